"""Do the libraries import, on what would a model train, and how fast?

A line with a number of seconds on the standard input starts the timing.
"""

import contextlib
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

MODULES = ("numpy", "torch", "matplotlib", "PIL", "labutils", "ipywidgets")
# As in the notebooks.
BATCH_SIZE, NUM_STEPS, VOCAB_SIZE, NUM_HIDDENS = 32, 35, 28, 256
ROUNDS = 7  # at the most; the quickest counts, others were disturbed
# Of each notebook: how the names of its recorded runs begin, and the run whose
# steps are timed for them. Only networks of one kind, from scratch or of
# torch.nn, are slower on another machine by about the same factor.
NOTEBOOKS = {
    "3": (("rnn_scratch",), "lstm_scratch"),
    "4": (("rnn_concise",), "deep_lstm"),
    "5": (("lstm_scratch",), "lstm_scratch"),
    "6": (("deep", "seeds"), "deep_lstm"),
}


def say(**facts):
    print(json.dumps(facts), flush=True)


def available_memory():
    """Bytes that a new program can have; in a container not more than its
    limit leaves."""
    import psutil  # ipykernel brings it

    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # no limit is "max"
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        free = min(free, max(limit - used, 0))
    return free


def import_all():
    """Import modules and say of each its file and version, or the error."""
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
        say(bad_device=str(error))
        device = torch.device("cpu")
    name = ""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    say(device=str(device), device_name=name)
    return device


def new_models(device):
    """The models of the recorded runs whose steps are timed, untrained."""
    from torch import nn

    import labutils
    from labutils import scratch

    return {
        "lstm_scratch": labutils.RNNModelScratch(
            VOCAB_SIZE, NUM_HIDDENS, device, scratch.get_lstm_params,
            scratch.init_lstm_state, scratch.lstm,
        ),
        "deep_lstm": labutils.RNNModel(
            nn.LSTM(VOCAB_SIZE, NUM_HIDDENS, 2), VOCAB_SIZE
        ).to(device),
    }


def step(model, device):
    """A training step; its loss, once the device has computed it."""
    import torch

    import labutils

    tokens = torch.randint(VOCAB_SIZE, (BATCH_SIZE, NUM_STEPS), device=device)
    logits, _ = model(tokens, model.begin_state(BATCH_SIZE, device))
    loss = torch.nn.functional.cross_entropy(logits, tokens.T.reshape(-1))
    loss.backward()
    labutils.grad_clipping(model, 1.0)
    # As torch.optim.SGD does, whose first import takes a second.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= parameter.grad
            parameter.grad = None
    return float(loss.detach())


def time_steps(models, device, seconds):
    """Time a few steps of each model, and estimate the notebooks.

    Says after each round, since on a busy machine the next one may come too
    late: `steps`, milliseconds by recorded run, and `estimates`, seconds by
    notebook. After so many seconds no round begins.
    """
    until = time.monotonic() + seconds
    found: dict = {}
    for _ in range(ROUNDS):
        if time.monotonic() > until:
            return
        for name, model in models.items():
            start = time.monotonic()
            step(model, device)
            ms = 1000 * (time.monotonic() - start)
            found[name] = min(ms, found.get(name, ms))
        say(steps=found, **estimates(found))


def estimates(found):
    """Seconds of each notebook's trainings, from milliseconds of a step here;
    and how many times longer that is than the recorded runs took."""
    from labutils import recorded, settings

    runs = {name: recorded.load(name) for name in recorded.names()}
    cap = settings.epochs_cap()
    then, now = {}, {}
    for notebook, (begins, timed) in NOTEBOOKS.items():
        then[notebook] = sum(
            run.seconds * min(1, (cap or run.num_epochs) / run.num_epochs)
            for name, run in runs.items() if name.startswith(begins)
        )
        steps = runs[timed].tokens / (BATCH_SIZE * NUM_STEPS)
        ratio = found[timed] / (1000 * runs[timed].seconds / steps)
        now[notebook] = ratio * then[notebook]
    return {
        "estimates": now, "ratio": sum(now.values()) / sum(then.values())
    }


def main():
    # At the end: what a notebook would import goes first.
    sys.path.append(sys.argv[1])
    try:
        say(memory=available_memory())
    except Exception as error:
        say(no_memory=str(error))
    import_all()
    device = find_device()
    models = new_models(device)
    for model in models.values():
        step(model, device)  # the first one loads much
    seconds = float(sys.stdin.readline() or 0)
    if seconds > 0:
        time_steps(models, device, seconds)
    # Threads of a library must not keep the page waiting.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
