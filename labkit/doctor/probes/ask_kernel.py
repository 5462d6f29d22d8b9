"""Which kernel would JupyterLab start for a notebook, and does it answer?

The current folder is the notebooks'.
"""

import json
import subprocess
import sys
import tempfile
import time

NAME = "python3"  # the kernel that the notebooks name

ASK = """
import json, sys
from importlib.util import find_spec
print(json.dumps({
    "executable": sys.executable, "prefix": sys.prefix,
    "version": sys.version.split()[0],
    **{_doctor_name: getattr(find_spec(_doctor_name), "origin", None)
       for _doctor_name in ("labutils", "torch")},
}))
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
    programs = {
        name: its["spec"]["argv"][0]
        for name, its in manager.get_all_specs().items() if name != NAME
    }
    say(kernel_dirs=manager.kernel_dirs, others=programs)
    try:
        spec = manager.get_kernel_spec(NAME)
        say(spec=spec.resource_dir, argv=spec.argv, env=spec.env)
        start(until)
    except Exception as error:
        say(kernel_error=f"{type(error).__name__}: {error}".strip(),
            spec=manager.find_kernel_specs().get(NAME, ""))


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
            say(kernel=ask(client, until))
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


def ask(client, until):
    """What ASK prints in the kernel, in its last line."""
    said = []

    def hear(message):
        if message["header"]["msg_type"] == "stream":
            said.append(message["content"]["text"])

    reply = client.execute_interactive(
        ASK, store_history=False, allow_stdin=False, output_hook=hear,
        timeout=max(0.1, until - time.monotonic()),
    )
    if reply["content"]["status"] != "ok":
        raise RuntimeError(reply["content"].get("evalue", "no answer"))
    return json.loads("".join(said).strip().rpartition("\n")[2])


if __name__ == "__main__":
    main()
