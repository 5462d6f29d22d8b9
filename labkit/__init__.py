"""What a student uses around a lesson: checks, widgets, report, doctor."""

import sys

# Older Pythons read this file as well: it keeps to what they understand.
if sys.version_info < (3, 11):  # noqa: UP036
    version = sys.version.split()[0]
    sys.stderr.write(
        f"labutils: Python 3.11 or newer is needed; {sys.executable} is "
        f"{version}. In the course's folder type: make lab PYTHON=python3.11 "
        "(or any newer one that is installed here)\n")
    sys.exit(2)
