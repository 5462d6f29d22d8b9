"""What is asked in a process of its own: `kernel` or `libraries`, then the
folder that has labutils in it, and the seconds there are.

It prints facts, each a line of JSON with its name, before what may fail: what
it printed before it died or was ended counts.
"""

import ast
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NAME = "python3"  # the kernel that the notebooks name
EXTENSION = "@jupyter-widgets/jupyterlab-manager"
# What it is asked.
FACTS = """{
    "executable": __import__("sys").executable,
    "prefix": __import__("sys").prefix,
    "version": __import__("platform").python_version(),
    **{name: getattr(find(name), "origin", None)
       for find in [__import__("importlib.util").util.find_spec]
       for name in ("labutils", "torch")},
}"""
MODULES = ("numpy", "torch", "matplotlib", "PIL", "labutils", "ipywidgets")
# As in the notebooks.
BATCH_SIZE, NUM_STEPS, VOCAB_SIZE, NUM_HIDDENS = 32, 35, 28, 256
ROUNDS = 7  # at the most; the quickest counts, others were disturbed
TIMED = "deep_lstm"  # the run whose steps are timed; most are of its kind


def say(**facts):
    print(json.dumps(facts), flush=True)


# ---- which kernel would JupyterLab start for a notebook, and does it answer?


def ask_kernel(until):
    """The current folder is the notebooks'."""
    from jupyter_client import kernelspec
    from jupyter_client.manager import run_kernel
    from jupyter_core import paths

    manager = kernelspec.KernelSpecManager()
    say(runtime=paths.jupyter_runtime_dir(), kernel_dirs=manager.kernel_dirs)
    client: Any
    with tempfile.TemporaryFile() as errors:
        try:
            spec = manager.get_kernel_spec(NAME)
            say(spec=spec.resource_dir, argv=spec.argv, env=spec.env)
            with run_kernel(  # as a server would
                kernel_name=NAME, startup_timeout=until - time.monotonic(),
                stdout=subprocess.DEVNULL, stderr=errors,
            ) as client:
                reply = client.execute(
                    "", silent=True, user_expressions={"facts": FACTS},
                    reply=True, timeout=max(0.1, until - time.monotonic()))
                facts = reply["content"]["user_expressions"]["facts"]
                say(kernel=ast.literal_eval(facts["data"]["text/plain"]))
        except Exception as error:
            errors.seek(0)
            lines = errors.read().decode("utf-8", "replace").splitlines()
            said = [x for x in lines if x.strip() and "WARNING" not in x]
            words = f"{type(error).__name__}: {error}".strip()
            say(kernel_error=said[-1] if said else words,
                late=time.monotonic() > until - 0.2,
                spec=manager.find_kernel_specs().get(NAME, ""))
    attempt("front_end", front_end)


def front_end():
    """The version and the folder of the widgets' extension of JupyterLab, and
    whether it is disabled; nothing where there is none."""
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server import config

    places = jupyter_path("labextensions")
    found = config.get_federated_extensions(places).get(EXTENSION)
    off = config.get_page_config(places)["disabledExtensions"]
    return {} if found is None else {
        "version": found["version"], "path": found["ext_path"],
        "disabled": EXTENSION in [name.partition(":")[0] for name in off]}


# ---- do the libraries import, on what would a model train, and how fast?
# which font has the Chinese letters of pictures?


def ask_libraries(until):
    """The end of the standard input starts the timing."""
    # At the end: what a notebook would import goes first.
    sys.path.append(sys.argv[2])
    attempt("memory", available_memory)
    import_all()
    try:
        device = find_device()
        model = new_model(device)
        step(model, device)  # the first one loads much
        sys.stdin.read()
        # A step that has begun is not broken off, and fonts come after it.
        time_steps(model, device, until - 0.5)
    finally:
        attempt("font", chinese_font)
    # Threads of a library must not keep the page waiting.
    sys.stdout.flush()
    os._exit(0)


def attempt(name, look):
    """Say what there is of something, or why that is not known."""
    try:
        say(**{name: look()})
    except Exception as error:
        say(**{f"no_{name}": str(error)})


def available_memory():
    """Bytes that a new program can have, within a container's limit."""
    import psutil  # ipykernel brings it

    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # no limit is "max"
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        free = min(free, max(limit - used, 0))
    return free


def import_all():
    """Say of each module its file and version, or the error."""
    found = {}
    for name in MODULES:
        say(importing=name)  # should it take the process down
        try:
            spec = importlib.util.find_spec(name)
            found[name] = {"file": spec.origin or "" if spec else ""}
            module = importlib.import_module(name)
            found[name]["version"] = str(getattr(module, "__version__", ""))
        except BaseException as error:  # SystemExit as well
            words = f"{type(error).__name__}: {error}"
            found.setdefault(name, {})["error"] = words
        say(imports=found)
    say(importing="")


def find_device():
    """The device of the settings, and what there is."""
    import torch

    from labutils import settings

    say(threads=torch.get_num_threads(), cuda=torch.version.cuda,
        gpu=torch.cuda.is_available())
    try:
        device = settings.device()
    except settings.SettingsError as error:
        say(bad_device=error.fault)
        device = torch.device("cpu")
    gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if gpu else ""
    say(device=str(device), device_name=name)
    return device


def new_model(device):
    """The network of the recorded run that is timed, untrained."""
    from torch import nn

    import labutils

    lstm = nn.LSTM(VOCAB_SIZE, NUM_HIDDENS, 2)
    return labutils.RNNModel(lstm, VOCAB_SIZE).to(device)


def step(model, device):
    """A training step that changes nothing, once the device has taken it."""
    import torch

    from labutils import training

    X = torch.randint(VOCAB_SIZE, (BATCH_SIZE, NUM_STEPS), device=device)
    # The first import of torch.optim.SGD would take a second.
    optimizer: Any = SimpleNamespace(
        zero_grad=model.zero_grad, step=lambda: None)
    float(training.train_step(
        model, X, X.T.reshape(-1), model.begin_state(BATCH_SIZE, device),
        optimizer, 1.0)[0])


def time_steps(model, device, until):
    """Time a few steps, the last begun before a time, and estimate the
    notebooks after each: on a busy machine the next may come too late."""
    found: list[float] = []
    while time.monotonic() < until and len(found) < ROUNDS:
        start = time.monotonic()
        step(model, device)
        found.append(1000 * (time.monotonic() - start))
        say(step=min(found), **estimates(min(found)))


def estimates(ms):
    """Seconds of each notebook's trainings, from milliseconds of a step here;
    and how many times longer that is than the recorded runs took."""
    from labkit.course import LESSONS
    from labutils import recorded, settings

    timed, cap = recorded.load(TIMED), settings.epochs_cap()
    steps = timed.tokens / (BATCH_SIZE * NUM_STEPS)
    ratio = ms / (1000 * timed.seconds / steps)
    found = defaultdict[str, float](float)
    for lesson in LESSONS:
        for run in map(recorded.load, lesson.runs):
            share = min(1, (cap or run.num_epochs) / run.num_epochs)
            found[lesson.number] += ratio * share * run.seconds
    return {"ratio": ratio, "estimates": found}


def chinese_font():
    """The family that pictures take their Chinese letters from, if any."""
    import matplotlib

    from labutils import plots

    say(font_cache=matplotlib.get_cachedir())
    return plots.set_style()


if __name__ == "__main__":
    ask = ask_kernel if sys.argv[1] == "kernel" else ask_libraries
    ask(time.monotonic() + float(sys.argv[3]))
