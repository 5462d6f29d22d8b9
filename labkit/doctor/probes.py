"""What is asked in a process of its own: `kernel` or `libraries`, then the
folder that has labutils in it, and the seconds there are.

It prints facts, each a line of JSON with its name, before what may fail: what
it printed before it died or was ended counts.
"""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
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
MODULES = ("numpy", "torch", "matplotlib", "labutils", "ipywidgets")
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

    say(spec=kernelspec.find_kernel_specs().get(NAME, ""))
    client: Any
    with tempfile.TemporaryFile() as errors:
        try:
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
                late=time.monotonic() > until - 0.2)
    say(front_end=front_end())


def front_end():
    """The version and the folder of the widgets' extension of JupyterLab;
    nothing where there is none."""
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server import config

    places = jupyter_path("labextensions")
    found = config.get_federated_extensions(places).get(EXTENSION)
    return found and {"version": found["version"], "path": found["ext_path"]}


# ---- do the libraries import, on what would a model train, and how fast?


def ask_libraries(until):
    """The end of the standard input starts the timing."""
    import psutil  # ipykernel brings it

    # What a new program can have.
    say(memory=psutil.virtual_memory().available)
    # At the end: what a notebook would import goes first.
    sys.path.append(sys.argv[2])
    import_all()
    import torch

    from labutils import settings

    device = settings.device()
    gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if gpu else ""
    say(device=str(device), device_name=name, threads=torch.get_num_threads())
    try:
        sys.stdin.read()
        # A step that has begun is not broken off, and fonts come after it.
        time_steps(new_model(device), device, until - 0.5)
    finally:
        import matplotlib

        from labutils import plots

        # The family from which pictures take Chinese letters, if any.
        say(font_cache=matplotlib.get_cachedir(), font=plots.set_style())
    # Threads of a library must not keep the page waiting.
    sys.stdout.flush()
    os._exit(0)


def import_all():
    """Say of each module which file it is; the first error is the last."""
    found = {}
    for name in MODULES:
        if spec := importlib.util.find_spec(name):
            found[name] = spec.origin or ""
            # Should it take the process down.
            say(importing=name, found=found)
            importlib.import_module(name)
    say(importing="")


def new_model(device):
    """The network of the recorded run that is timed, untrained."""
    from torch import nn

    import labutils

    lstm = nn.LSTM(VOCAB_SIZE, NUM_HIDDENS, 2)
    return labutils.RNNModel(lstm, VOCAB_SIZE).to(device)


def time_steps(model, device, until):
    """Time a few training steps that change nothing, the last begun before a
    time, and estimate the notebooks after each: on a busy machine the next may
    come too late."""
    import torch

    from labutils import training

    X = torch.randint(VOCAB_SIZE, (BATCH_SIZE, NUM_STEPS), device=device)
    # The first import of torch.optim.SGD would take a second.
    optimizer: Any = SimpleNamespace(
        zero_grad=model.zero_grad, step=lambda: None)
    found: list[float] = []
    while time.monotonic() < until and len(found) < ROUNDS:
        start = time.monotonic()
        loss, _ = training.train_step(
            model, X, X.T.reshape(-1), model.begin_state(BATCH_SIZE, device),
            optimizer, 1.0)
        loss.item()  # waits for the device
        found.append(1000 * (time.monotonic() - start))
        say(step=min(found), estimates=estimates(min(found)))


def estimates(ms):
    """Seconds of each notebook's trainings, from milliseconds of a step."""
    from labkit.course import LESSONS
    from labutils import recorded, settings

    timed, cap = recorded.load(TIMED), settings.epochs_cap()
    steps = timed.tokens / (BATCH_SIZE * NUM_STEPS)
    ratio = ms / (1000 * timed.seconds / steps)
    found = defaultdict[str, float](float)
    for lesson in LESSONS:
        number = lesson.stem.partition("_")[0].lstrip("0")
        for run in map(recorded.load, lesson.runs):
            share = min(1, (cap or run.num_epochs) / run.num_epochs)
            found[number] += ratio * share * run.seconds
    return found


if __name__ == "__main__":
    ask = ask_kernel if sys.argv[1] == "kernel" else ask_libraries
    ask(time.monotonic() + float(sys.argv[3]))
