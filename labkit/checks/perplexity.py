"""The check of a perplexity over a whole text: notebook 5."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import all_alike, named, number, require
from labkit.checks.harness import CheckFailed, call, check
from labkit.checks.perplexities import (
    EQUAL_ROWS,
    FEWER_ROWS,
    SLIPS,
    Batches,
    Losses,
    Model,
    perplexity,
    perplexity_slip,
    tiny_model,
    token_losses,
)
from labutils import settings

LONG = ((3, 150), (3, 150))


@check
def evaluate_perplexity(function) -> str:
    """A mean over tokens."""
    device = settings.device()  # the function takes the notebook's
    for use_random_iter, sizes, size_words in (
        (False, EQUAL_ROWS, ", the last one shorter"),
        (True, EQUAL_ROWS, ", the last one shorter"),
        (True, FEWER_ROWS, ", the last one with fewer rows"),
        (False, LONG, " of 450 tokens each"),
    ):
        batches = Batches(use_random_iter, sizes)
        model = tiny_model(device, 1.0, lstm=True)
        kind_of = "random" if use_random_iter else "sequential"
        tried = f"{len(batches)} {kind_of} batches{size_words}"
        got = _measured(function, model, batches, tried)
        expected = perplexity(_losses(model, batches))
        if not math.isclose(got, expected, rel_tol=1e-4):
            raise CheckFailed(f"{got:.4g}", f"{expected:.4g}",
                              _slip(got, model, batches), tried)
    return (
        "Agrees with labutils on batches of different sizes, sequential and "
        "random: a mean over tokens."
    )


def _measured(
    function: Callable, model: Model, batches: Batches, tried: str
) -> float:
    """The solution's perplexity; it must leave the model as it was."""
    before = [p.detach().clone() for p in model.params]
    try:
        got = number(call(function, model, batches, tried=tried), tried)
        require(torch.is_grad_enabled(),
                "gradients are switched off for all that follows",
                "only while measuring", "`with torch.no_grad():` ends with "
                "its block, torch.set_grad_enabled(False) does not", tried)
    except CheckFailed as failed:
        rows = {len(X) for X, _ in batches}
        if len(rows) > 1 and "size" in failed.got:
            failed.likely = (
                "the last batch has fewer rows, so its state has fewer too: "
                "begin_state(X.shape[0], device)")
        raise
    require(all_alike(model.params, before), "other weights than before",
            "the same", "measuring must not train", tried)
    require(all(p.grad is None for p in model.params),
            "gradients on the parameters", "none",
            "no backward() while measuring", tried)
    require(all(p.requires_grad for p in model.params),
            "parameters that can no longer be trained",
            "requires_grad as before", "torch.no_grad() is enough to measure "
            "without gradients", tried)
    return got


@torch.no_grad()
def _losses(
    model: Model, batches: Batches, carry: str = "", **changed
) -> list[Losses]:
    """Of every batch the losses, right or with a slip."""
    carry = carry or ("no" if batches.use_random_iter else "yes")
    device, found, state = model.params[0].device, [], None
    for X, Y in batches:
        X, Y = X.to(device), Y.to(device)
        if state is None or carry == "no":
            state = model.begin_state(len(X), device)
        elif carry == "hidden":
            state = (state[0], torch.zeros_like(state[1]))
        elif carry == "cell":
            state = (torch.zeros_like(state[0]), state[1])
        logits, state = model(X, state)
        found.append(Losses(
            token_losses(logits, X, Y, **changed), len(X)))
    return found


def _slip(got: float, model: Model, batches: Batches) -> str:
    if not math.isfinite(got):
        return (
            "a number out of range: add up the losses of the tokens, divide "
            "by their number, and take exp only then")
    changes: dict[str, dict[str, Any]] = {
        "state carried between random batches: their rows start anywhere, so "
        "each begins with an empty memory": {"carry": "yes"},
    } if batches.use_random_iter else {
        "state not carried from batch to batch: row i goes on where it "
        "stopped": {"carry": "no"},
        slips.CELL_LOST: {"carry": "hidden"},
        "the LSTM's hidden state is lost: both H and C go on to the next "
        "batch": {"carry": "cell"},
    }
    one_slip = {**changes, **SLIPS}
    likely = perplexity_slip(got, _losses(model, batches)) or named(
        {name: partial(_losses, model, batches, **change)
         for name, change in one_slip.items()},
        lambda losses: math.isclose(got, perplexity(losses), rel_tol=2e-5))
    if likely:
        return likely
    for name, change in one_slip.items():
        try:
            second = perplexity_slip(got, _losses(model, batches, **change))
        except (RuntimeError, ValueError, IndexError):
            continue
        if second:
            return f"two slips. First: {name}. Second: {second}"
    return "" if got >= 1 else (
        "a perplexity is never below 1: it is exp of a mean loss")
