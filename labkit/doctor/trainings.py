"""How long the notebooks' trainings take here: steps timed, runs scaled.

Imported in a process of its own: it needs torch and the rest of labutils.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import labutils
from labutils import recorded, scratch, settings
from labutils.models import as_targets, detach

BATCH_SIZE, NUM_STEPS, VOCAB_SIZE = 32, 35, 28
ROUNDS = 7  # at the most; the quickest counts, others were disturbed

# The recorded runs whose steps are timed.
TIMED = (
    "rnn_scratch_sequential", "rnn_concise", "rnn_concise_3_layers",
    "lstm_scratch", "deep_lstm", "deep_gru",
)
# Whose notebook they are, and whose steps theirs are like. Runs of no
# notebook's own training (the book is replayed there) are left out.
NOTEBOOKS = {
    "3": {"rnn_scratch_sequential": TIMED[0], "rnn_scratch_random": TIMED[0]},
    "4": {
        "rnn_concise": TIMED[1], "rnn_concise_2_layers": TIMED[2],
        "rnn_concise_3_layers": TIMED[2], "rnn_concise_4_layers": TIMED[2],
    },
    "5": {"lstm_scratch": TIMED[3]},
    "6": {
        "deep_lstm": TIMED[4], "deep_gru": TIMED[5], "deep_gru_adam": TIMED[5],
        **{f"seeds_lstm_256_{seed}": TIMED[4] for seed in range(3)},
        **{f"seeds_gru_{H}_{seed}": TIMED[5]
           for H in (256, 296) for seed in range(3)},
    },
}


def new_model(name: str, device: torch.device) -> Any:
    """The model of a recorded run that is timed, untrained."""
    V = VOCAB_SIZE
    if name == "rnn_scratch_sequential":
        return labutils.RNNModelScratch(
            V, 512, device, scratch.get_rnn_params, scratch.init_rnn_state,
            scratch.rnn,
        )
    if name == "lstm_scratch":
        return labutils.RNNModelScratch(
            V, 256, device, scratch.get_lstm_params, scratch.init_lstm_state,
            scratch.lstm,
        )
    layer = {
        "rnn_concise": nn.RNN(V, 256, 1),
        "rnn_concise_3_layers": nn.RNN(V, 256, 3),
        "deep_lstm": nn.LSTM(V, 256, 2),
        "deep_gru": nn.GRU(V, 256, 2),
    }[name]
    return labutils.RNNModel(layer, V).to(device)


def new_step(name: str, device: torch.device) -> Callable[[], float]:
    """A training step of a recorded run's model, with a loss as its end."""
    model = new_model(name, device)
    parameters = list(model.parameters())
    text = torch.randint(VOCAB_SIZE, (BATCH_SIZE, NUM_STEPS + 1))
    X, y = text[:, :-1].to(device), as_targets(text[:, 1:]).to(device)
    state = model.begin_state(BATCH_SIZE, device)

    def step() -> float:
        logits, _ = model(X, detach(state))
        loss = F.cross_entropy(logits, y)
        loss.backward()
        labutils.grad_clipping(model, 1.0)
        # As torch.optim.SGD does, whose first import takes a second.
        with torch.no_grad():
            for parameter in parameters:
                parameter -= parameter.grad
                parameter.grad = None
        return float(loss.detach())  # waits for a GPU

    return step


def new_steps(device: torch.device) -> dict[str, Callable[[], float]]:
    """The steps to time, each taken once: the first one loads much."""
    steps = {name: new_step(name, device) for name in TIMED}
    for step in steps.values():
        step()
    return steps


def time_steps(
    steps: dict[str, Callable[[], float]],
    seconds: float,
    say: Callable[..., None],
) -> None:
    """Time a few steps of each model, and estimate the notebooks.

    Args:
        steps: from `new_steps`.
        seconds: after so many no step begins.
        say: takes the facts after each step: `steps`, milliseconds by
            recorded run, and `estimates`, seconds by notebook; the last ones
            count.
    """
    until = time.monotonic() + seconds
    found: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.monotonic()
            if start > until:
                return
            step()
            ms = 1000 * (time.monotonic() - start)
            found[name] = min(ms, found.get(name, ms))
            # At once: on a busy machine the next one may come too late.
            say(steps=found, **estimates(found))


def estimates(found: dict[str, float]) -> dict[str, Any]:
    """Seconds of each notebook's trainings, from milliseconds of a step.

    Args:
        found: milliseconds here, by recorded run; one or more.
    """
    ratios = {name: ms / recorded_ms(name) for name, ms in found.items()}
    usual = statistics.median(ratios.values())
    seconds = {
        notebook: sum(
            _capped_seconds(run) * ratios.get(like, usual)
            for run, like in runs.items()
        )
        for notebook, runs in NOTEBOOKS.items()
    }
    return {"estimates": seconds, "ratio": usual}


_recorded = functools.cache(recorded.load)


def recorded_ms(name: str) -> float:
    """Milliseconds of a step when the run was recorded."""
    history = _recorded(name)
    return 1000 * history.seconds * BATCH_SIZE * NUM_STEPS / history.tokens


def _capped_seconds(name: str) -> float:
    history, cap = _recorded(name), settings.epochs_cap()
    epochs = min(history.num_epochs, cap or history.num_epochs)
    return history.seconds * epochs / history.num_epochs
