"""Do the libraries import, on what would a model train, and how fast? Which
of matplotlib's fonts have Chinese letters?

A line with a number of seconds on the standard input starts the timing.
"""

import contextlib
import importlib.util
import json
import os
import re
import sys
import time
from pathlib import Path

MODULES = ("numpy", "torch", "matplotlib", "PIL", "labutils", "ipywidgets")
# As in the notebooks.
BATCH_SIZE, NUM_STEPS, VOCAB_SIZE, NUM_HIDDENS = 32, 35, 28, 256
ROUNDS = 7  # at the most; the quickest counts, others were disturbed
# How the names of each notebook's recorded runs begin.
NOTEBOOKS = {
    "3": ("rnn_scratch",), "4": ("rnn_concise",), "5": ("lstm_scratch",),
    "6": ("deep", "seeds"),
}
TIMED = "deep_lstm"  # the run whose steps are timed; most are of its kind
# Families that hold Chinese letters, of the usual systems.
CHINESE = re.compile(
    r"CJK|Source Han|WenQuanYi|LXGW|Sarasa|Sim(Hei|Sun)|YaHei|PingFang|Heiti"
    r"|Songti|KaiTi|FangSong|Hiragino Sans GB|Arial Unicode|Droid Sans Fall"
    r"|Noto S\w+ [ST]C|JhengHei|MingLiU"
)
LETTERS = "实验报告"  # lab report


def say(**facts):
    print(json.dumps(facts), flush=True)


def attempt(name, look):
    """Say what there is of something, or why that is not known."""
    try:
        say(**{name: look()})
    except Exception as error:
        say(**{f"no_{name}": str(error)})


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


def time_steps(model, device, seconds):
    """Time a few steps, the last begun within so many seconds, and estimate
    the notebooks after each: on a busy machine the next may come too late."""
    until = time.monotonic() + seconds
    found: list[float] = []
    while time.monotonic() < until and len(found) < ROUNDS:
        start = time.monotonic()
        step(model, device)
        found.append(1000 * (time.monotonic() - start))
        say(step=min(found), **estimates(min(found)))


def estimates(ms):
    """Seconds of each notebook's trainings, from milliseconds of a step here;
    and how many times longer that is than the recorded runs took."""
    from labutils import recorded, settings

    runs = {name: recorded.load(name) for name in recorded.names()}
    steps = runs[TIMED].tokens / (BATCH_SIZE * NUM_STEPS)
    ratio = ms / (1000 * runs[TIMED].seconds / steps)
    cap = settings.epochs_cap()
    return {"ratio": ratio, "estimates": {
        notebook: ratio * sum(
            run.seconds * min(run.num_epochs, cap or run.num_epochs)
            / run.num_epochs
            for name, run in runs.items() if name.startswith(begins)
        ) for notebook, begins in NOTEBOOKS.items()
    }}


def chinese_fonts():
    """Families in which every one of LETTERS is found."""
    import matplotlib
    from matplotlib import font_manager, ft2font

    say(font_cache=matplotlib.get_cachedir())
    found = set()
    for font in font_manager.fontManager.ttflist:
        if font.name in found or not CHINESE.search(font.name):
            continue
        with contextlib.suppress(OSError, RuntimeError):  # removed since
            face = ft2font.FT2Font(font.fname)
            if all(face.get_char_index(ord(letter)) for letter in LETTERS):
                found.add(font.name)
    return sorted(found)


def main():
    # At the end: what a notebook would import goes first.
    sys.path.append(sys.argv[1])
    attempt("memory", available_memory)
    import_all()
    try:
        device = find_device()
        model = new_model(device)
        step(model, device)  # the first one loads much
        time_steps(model, device, float(sys.stdin.readline() or 0))
    finally:
        attempt("fonts", chinese_fonts)
    # Threads of a library must not keep the page waiting.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
