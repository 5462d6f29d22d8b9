"""Which kernel would JupyterLab start for a notebook, and does it answer?

python ask_kernel.py ROOT SECONDS; the current folder is the notebooks'.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAME = "python3"  # the kernel that the notebooks name

WHERE = """
def _doctor_where(name):
    from importlib.util import find_spec
    try:
        spec = find_spec(name)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return spec and (spec.origin or str(spec.submodule_search_locations))
"""
ASK = WHERE + """
import json, sys
print(json.dumps({
    "executable": sys.executable, "prefix": sys.prefix,
    "version": sys.version.split()[0],
    "labutils": _doctor_where("labutils"), "torch": _doctor_where("torch"),
}))
"""
IMPORT = """
import json
_doctor_failed = {}
for _doctor_name in ("torch", "labutils"):
    try:
        __import__(_doctor_name)
    except BaseException as _doctor_error:
        _doctor_failed[_doctor_name] = (
            f"{type(_doctor_error).__name__}: {_doctor_error}")
print(json.dumps(_doctor_failed))
"""


def say(**facts):
    print(json.dumps(facts), flush=True)


def main():
    until = time.monotonic() + float(sys.argv[2])
    from jupyter_core import paths

    say(labextensions=paths.jupyter_path("labextensions"),
        configs=paths.jupyter_config_path(),
        runtime=paths.jupyter_runtime_dir())
    from jupyter_client import kernelspec

    manager = kernelspec.KernelSpecManager()
    say(kernel_dirs=manager.kernel_dirs, others=others(manager))
    try:
        spec = manager.get_kernel_spec(NAME)
    except kernelspec.NoSuchKernel:
        say(no_kernel=True)
        return
    except Exception as error:
        say(kernel_error=f"{type(error).__name__}: {error}",
            spec=manager.find_kernel_specs().get(NAME, ""))
        return
    say(spec=spec.resource_dir, argv=spec.argv, env=spec.env)
    try:
        start(until)
    except Exception as error:
        say(kernel_error=f"{type(error).__name__}: {error}".strip())


def others(manager):
    """Kernels of other names: their folders and what they run."""
    found = {}
    for name, folder in manager.find_kernel_specs().items():
        with contextlib.suppress(OSError, ValueError, LookupError):
            text = Path(folder, "kernel.json").read_text(encoding="utf-8")
            if name != NAME:
                found[name] = json.loads(text)["argv"][0]
    return found


def start(until):
    """Start the kernel as a server would, and ask it."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name=NAME)
    with tempfile.TemporaryFile() as errors:
        manager.start_kernel(stdout=subprocess.DEVNULL, stderr=errors)
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=until - time.monotonic())
            answer = ask(client, ASK, until)
            say(kernel=answer)
            if not like_here(answer):
                say(kernel_imports=ask(client, IMPORT, until))
        except Exception:
            late = manager.is_alive() and time.monotonic() > until - 0.2
            say(late=late, kernel_said=last(errors))
            raise
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def last(errors):
    """The last line of what the kernel said, warnings left out."""
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").splitlines()
    said = [line for line in lines if line.strip() and "WARNING" not in line]
    return said[-1] if said else ""


def like_here(answer):
    """Whether the kernel finds what this process finds: what these import
    is asked by another probe already."""
    here: dict = {}
    exec(WHERE, here)
    where = here["_doctor_where"]
    sys.path[0] = ""  # the current folder, as in a kernel
    return answer["executable"] == sys.executable and all(
        answer[name] == where(name) for name in ("labutils", "torch")
    )


def ask(client, code, until):
    """What the code prints in the kernel, in its last line."""
    said = []

    def hear(message):
        if message["header"]["msg_type"] == "stream":
            said.append(message["content"]["text"])

    reply = client.execute_interactive(
        code, store_history=False, allow_stdin=False, output_hook=hear,
        timeout=max(0.1, until - time.monotonic()),
    )
    if reply["content"]["status"] != "ok":
        raise RuntimeError(reply["content"].get("evalue", "no answer"))
    return json.loads("".join(said).strip().rpartition("\n")[2])


if __name__ == "__main__":
    main()
