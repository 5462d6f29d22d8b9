"""The check of an epoch of training: notebook 3."""

import math
from functools import partial
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.clips import norm_of
from labkit.checks.comparing import all_alike, named, number, require
from labkit.checks.harness import CheckFailed, call, check, devices
from labkit.checks.perplexities import (
    SLIPS,
    Batches,
    Losses,
    Model,
    perplexity,
    perplexity_slip,
    tiny_model,
    token_losses,
)

# On steep slopes every gradient is clipped, on gentle ones none is, so that
# its size is seen.
SLOPES = (True, False)


def _model(device: torch.device, steep: bool) -> Model:
    return tiny_model(device, 0.7 if steep else 0.3, steep=steep)


@check
def train_epoch(function) -> str:
    """An epoch, weight by weight."""
    for device in devices():
        for use_random_iter in (False, True):
            for steep in SLOPES:
                for lr in (2.0, 0.5):
                    _epoch(function, use_random_iter, device, steep, lr)
        _overfits(function, device)
    return (
        "Weights and perplexity agree with labutils for sequential and "
        "random batches, and one batch repeated is learnt by heart."
    )


def _epoch(function, use_random_iter, device, steep, lr) -> None:
    kind_of = "random" if use_random_iter else "sequential"
    tried = f"three {kind_of} batches, the last one shorter, lr = {lr}" + (
        "" if device.type == "cpu" else f", device = {device}")
    model, batches = _model(device, steep), Batches(use_random_iter)
    params, start = list(model.params), _values(model)
    got = number(call(function, model, batches, lr, device, use_random_iter,
                      tried=tried), tried)
    after = [p.detach().clone() for p in params]
    require(all(p.requires_grad for p in params),
            "parameters that no longer collect gradients",
            "requires_grad as before", "", tried)
    by_hand = partial(_by_hand, device, steep, batches)
    weights, losses = by_hand(lr)
    if all(map(torch.equal, after, start)):
        raise CheckFailed(
            "the same weights as before", "trained weights",
            "no step was made, or one with gradients of zero: backward, "
            "then clipping, then sgd (which also clears the gradients)",
            tried)
    if not all_alike(after, weights):
        likely = named(
            {name: partial(by_hand, lr, **slip)
             for name, slip in _slips(use_random_iter).items()},
            lambda result: all_alike(after, result[0]))
        old, new, right = _farthest(start, after, weights)
        raise CheckFailed(
            f"a weight goes from {old:.4g} to {new:.4g}", f"to {right:.4g}",
            likely or _lr_slip(function, use_random_iter, device, steep)
            or "a part of the step is missing or in another order: "
            "forward, loss, backward, grad_clipping (to 1), sgd", tried)
    expected = perplexity(losses)
    if not math.isclose(got, expected, rel_tol=1e-3):
        likely = perplexity_slip(got, losses) or named(
            {"each batch is measured after the step that learns from it: "
             "take the loss from before": lambda: by_hand(lr, again=True)[1]},
            lambda result: math.isclose(
                got, perplexity(result), rel_tol=1e-4))
        raise CheckFailed(
            f"the weights are right, the perplexity is {got:.4g}",
            f"{expected:.4g}", likely, tried)


def _values(model: Model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.params]


def _farthest(
    start: list[torch.Tensor], got: list[torch.Tensor],
    expected: list[torch.Tensor],
) -> tuple[float, float, float]:
    """The weight that differs most: before, as it is, as it should be."""
    old, new, right = (
        torch.cat([t.flatten() for t in tensors])
        for tensors in (start, got, expected))
    place = int((new - right).abs().nan_to_num(torch.inf).argmax())
    return float(old[place]), float(new[place]), float(right[place])


def _lr_slip(function, use_random_iter, device, steep) -> str:
    """With lr = 0 nothing moves, unless it is not used."""
    model = _model(device, steep)
    start = _values(model)
    call(function, model, Batches(use_random_iter), 0.0, device,
         use_random_iter)
    still = all_alike(model.params, start)
    return "" if still else "lr is not used: hand it on to sgd"


def _slips(use_random_iter: bool) -> dict[str, dict[str, Any]]:
    carried: dict[str, dict[str, Any]] = {
        "state carried between random batches: their rows start anywhere, so "
        "each begins with an empty memory": {"carry": True},
        "state carried between random batches, and " + slips.NOT_DETACHED:
            {"carry": True, "detach": False},
    } if use_random_iter else {
        "state not carried from batch to batch: row i goes on where it "
        "stopped": {"carry": False},
        slips.NOT_DETACHED: {"detach": False},
    }
    # A state is often lost together with something else.
    (name, changes), *_ = carried.items()
    two = {
        f"two slips. First: {name}. Second: {other}": {**changes, **slip}
        for other, slip in SLIPS.items()
    }
    return {
        **carried,
        **SLIPS,
        "no clipping, or only after the step": {"clip": math.inf},
        slips.CLIP_EACH: {"clip": "each"},
        slips.CLIP_VALUE: {"clip": "value"},
        slips.NOT_ZEROED: {"zero": False},
        slips.WRONG_COUNT + " (the loss that backward starts from is too "
        "large)": {"divide": "nothing"},
        slips.WRONG_COUNT + " (the loss that backward starts from is too "
        "large, by T)": {"divide": "rows"},
        slips.WRONG_COUNT + " (the loss that backward starts from is too "
        "large, by B)": {"divide": "steps"},
        slips.WRONG_COUNT + " (here the mean is divided once more)":
            {"divide": "twice"},
        "one step for the whole epoch: every batch has its own": {
            "zero": False, "step": "end"},
        "one step for the whole epoch: every batch has its own (clipping "
        "and step)": {"zero": False, "step": "end", "clip": "end"},
        "only the first batch is used (a `return` inside the loop?)":
            {"used": slice(1)},
        "only the last batch is used": {"used": slice(-1, None)},
        "the last batch is left out": {"used": slice(-1)},
        "the first batch is left out": {"used": slice(1, None)},
        "every batch is used twice": {"steps": 2},
        "uphill: the step goes against the gradient": {"sign": -1},
        **two,
    }


def _by_hand(
    device, steep, batches, lr, *, carry=None, detach=True, clip=1.0,
    zero=True, divide="tokens", step="batch", used=None, steps=1, sign=1,
    again=False, **changed,
) -> tuple[list[torch.Tensor], list[Losses]]:
    """An epoch, right or with a slip: the weights, and every batch's loss."""
    carry = not batches.use_random_iter if carry is None else carry
    model, state, losses = _model(device, steep), None, []
    params, kept = model.params, None
    chosen = list(batches)[used or slice(None)]
    for i, (X, Y) in enumerate(chosen):
        X, Y = X.to(device), Y.to(device)
        if state is None or not carry:
            state = model.begin_state(len(X), device)
        elif detach:
            state = tuple(s.detach() for s in state)
        before = state
        for _ in range(steps):
            logits, state = model(X, before)
            nats = token_losses(logits, X, Y, **changed)
            n = nats.numel()
            factor = {"tokens": 1, "nothing": n, "rows": n / len(X),
                      "steps": len(X), "twice": 1 / n}[divide]
            grads = list(torch.autograd.grad(
                nats.mean() * factor, params, retain_graph=not detach))
            if kept and not zero:
                grads = [g + k for g, k in zip(grads, kept, strict=True)]
            last = i == len(chosen) - 1
            kept = grads = _clipped(
                grads, clip if clip != "end" else 1.0 if last else math.inf)
            if step == "batch" or last:
                for p, g in zip(params, grads, strict=True):
                    p.data -= sign * lr * g  # unseen by backward
        if again:
            nats = token_losses(model(X, before)[0], X, Y)
        losses.append(Losses(nats.detach(), len(X)))
    return _values(model), losses


def _clipped(grads, clip):
    if clip == "each":
        return [g * min(1.0, 1 / float(g.norm())) for g in grads]
    if clip == "value":
        return [g.clamp(-1, 1) for g in grads]
    return [g * min(1.0, clip / norm_of(grads)) for g in grads]


def _overfits(function, device: torch.device) -> None:
    """One batch, again and again, has to be learnt by heart."""
    batches = Batches(True)
    X = torch.tensor([[0, 1, 2, 3], [3, 4, 0, 1]])
    batches.batches = [(X, torch.tensor([[1, 2, 3, 4], [4, 0, 1, 2]]))]
    batches.batch_size = 2
    model = _model(device, False)
    tried = "one batch of 8 tokens, 60 times"
    for _ in range(60):
        last = number(call(function, model, batches, 1, device, True,
                           tried=tried), tried)
    require(last < 1.5, f"perplexity {last:.3g}",
            "below 1.5: a batch so small is learnt by heart", "", tried)
