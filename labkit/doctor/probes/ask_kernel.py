"""Which kernel would JupyterLab start for a notebook, and does it answer?

The current folder is the notebooks'.
"""

import ast
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

NAME = "python3"  # the kernel that the notebooks name
# What it is asked.
FACTS = """{
    "executable": __import__("sys").executable,
    "prefix": __import__("sys").prefix,
    "version": __import__("platform").python_version(),
    **{name: getattr(find(name), "origin", None)
       for find in [__import__("importlib.util").util.find_spec]
       for name in ("labutils", "torch")},
}"""


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
        for name, its in manager.get_all_specs().items() if name != NAME}
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
    from jupyter_client.manager import run_kernel

    client: Any
    with tempfile.TemporaryFile() as errors:
        try:
            with run_kernel(
                kernel_name=NAME, startup_timeout=until - time.monotonic(),
                stdout=subprocess.DEVNULL, stderr=errors,
            ) as client:
                reply = client.execute(
                    "", silent=True, user_expressions={"facts": FACTS},
                    reply=True, timeout=max(0.1, until - time.monotonic()))
                facts = reply["content"]["user_expressions"]["facts"]
                say(kernel=ast.literal_eval(facts["data"]["text/plain"]))
        except Exception:
            errors.seek(0)
            lines = errors.read().decode("utf-8", "replace").splitlines()
            said = [x for x in lines if x.strip() and "WARNING" not in x]
            say(late=time.monotonic() > until - 0.2,
                kernel_said=said[-1] if said else "")
            raise


if __name__ == "__main__":
    main()
