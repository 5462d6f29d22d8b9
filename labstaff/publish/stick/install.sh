#!/bin/sh
# Installs the course from the folder of this file, with no network:
#   sh install.sh [FOLDER]
# To choose the interpreter: PYTHON=/path/to/python3.11 sh install.sh
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
wanted="{versions}"

fits() {
    found=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' \
        2>/dev/null) || return 1
    case " $wanted " in *" $found "*) return 0 ;; esac
    seen="$seen $1 is $found;"
    return 1
}

seen=""
if [ -n "${PYTHON:-}" ]; then
    candidates=$PYTHON
else
    candidates="python3 python"
    for version in $wanted; do candidates="$candidates python$version"; done
fi
for python in $candidates; do
    if fits "$python"; then
        # -B: nothing is written beside the wheels.
        exec "$python" -B "$here/install.py" "$@"
    fi
done
echo "install: this bundle needs Python $wanted (any one of these)." >&2
echo "install: found:${seen:- no Python at all}" >&2
echo "install: install such a Python, or name it:" \
    "PYTHON=/path/to/python sh install.sh" >&2
exit 1
