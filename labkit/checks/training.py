"""Checks of training, notebook 3: clipping, the update, an epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from labkit.checks import slips
from labkit.checks.comparing import (
    Slips,
    alike,
    all_alike,
    combined,
    named,
    number,
    require,
)
from labkit.checks.harness import CheckFailed, call, check, devices, trying
from labkit.checks.measuring import (
    SLIPS,
    Batches,
    Losses,
    Model,
    carry_slips,
    forward,
    perplexity,
    perplexity_slip,
    tiny_model,
)

Tensors = list[torch.Tensor]


def _norm(tensors: Tensors) -> float:
    """Root of the sum of the squares of all numbers."""
    return float(torch.cat([t.flatten() for t in tensors]).norm())


# ---- clipping


class _Net(nn.Module):
    """A torch module with given gradients; it has no list of parameters."""

    def __init__(self, weights: Tensors, grads: Tensors) -> None:
        super().__init__()
        for i, (weight, grad) in enumerate(zip(weights, grads, strict=True)):
            self.register_parameter(f"weight_{i}", nn.Parameter(weight))
            self.get_parameter(f"weight_{i}").grad = grad


class _Plain:
    """The same without torch.nn, as our own networks are."""

    def __init__(self, weights: Tensors, grads: Tensors) -> None:
        self.params = [w.requires_grad_() for w in weights]
        for p, g in zip(self.params, grads, strict=True):
            p.grad = g

    def parameters(self) -> Tensors:
        return self.params


@dataclass
class _Clipped:
    """What a solution has made of gradients."""

    given: Tensors
    after: Tensors
    weights: Tensors
    theta: float
    tried: str

    @property
    def right(self) -> Tensors:
        factor = min(1.0, self.theta / _norm(self.given))
        return [g * factor for g in self.given]


@check
def grad_clipping(function) -> str:
    """One factor for all gradients."""
    cases = []
    for device in devices():
        by_hand = [torch.tensor([3.0]), torch.tensor([[4.0]])]
        more = [torch.randn(3, 4) * 5, torch.randn(2), torch.randn(4) / 10]
        for make in (_Plain, _Net):
            for grads in (by_hand, more):
                grads = [g.to(device) for g in grads]
                for theta in (1, 0.5, 2.5):
                    for part in (None, 1.2, 0.8):
                        factor = part * theta / _norm(grads) if part else 1
                        cases.append(_clip(
                            function, make, [g * factor for g in grads],
                            theta))
    wrong = [c for c in cases if not all_alike(c.after, c.right)]
    if wrong:
        shown, likely = _clipping_slip(cases, wrong)
        raise CheckFailed(f"gradients {_first_numbers(shown.after)}",
                          _first_numbers(shown.right), likely, shown.tried)
    return ("The common norm is brought down to theta, the direction stays, "
            "and smaller gradients are left alone.")


def _clip(function, make, given: Tensors, theta: float) -> _Clipped:
    tried = f"gradients {_first_numbers(given)}, theta = {theta}" + (
        ", of an nn.Module" if make is _Net else "")
    weights = [torch.randn_like(g) for g in given]
    model = make([w.clone() for w in weights], [g.clone() for g in given])
    with trying(tried):
        call(function, model, theta)
        params = list(model.parameters())
        require(all_alike(params, weights), "other parameters than before",
                "only the gradients change",
                "it is p.grad that has to be scaled, not p")
        after = [p.grad for p in params if p.grad is not None]
        require(len(after) == len(params), "a gradient is None", "gradients",
                "they are scaled, not removed")
    return _Clipped(given, after, weights, theta, tried)


def _first_numbers(tensors: Tensors) -> str:
    """The first numbers of some tensors, and their common norm."""
    flat = torch.cat([t.detach().flatten() for t in tensors])
    numbers = ", ".join(f"{x:.3g}" for x in flat[:3].tolist())
    more = ", ..." if len(flat) > 3 else ""
    return f"{numbers}{more} (norm {float(flat.norm()):.3g})"


def _clipping_slip(
    cases: list[_Clipped], wrong: list[_Clipped]
) -> tuple[_Clipped, str]:
    """A slip that explains what came of every case, and a case to show."""
    if all(all_alike(c.after, c.given) and "Module" in c.tried
           for c in wrong):
        return wrong[0], (
            "nothing is scaled: parameters() of an nn.Module can be read "
            "once only, so keep list(model.parameters())")
    def explains(make: Callable[[_Clipped], Tensors]) -> bool:
        return all(all_alike(c.after, make(c)) for c in cases)

    likely = named(CLIPS, explains) or named(
        combined(NORMS, SCALED, WHEN),
        lambda slips: explains(lambda c: _clipped(c, *slips)))
    if likely:
        return wrong[0], likely
    # Without a name for it, the case that tells most.
    strange = [_strangeness(c) for c in wrong]
    best = strange.index(max(strange))
    return wrong[best], strange[best][1]


def _strangeness(case: _Clipped) -> tuple[int, str]:
    """What the factors say of a slip; the larger the number, the more."""
    given, after = case.given, case.after
    if not all(a.isfinite().all() for a in after):
        return 4, ("nan or inf comes from the root of a negative number (the "
                   "squares are missing) or from a division by zero")
    old, new = torch.cat([g.flatten() for g in given]), torch.cat(
        [a.flatten() for a in after])
    large = old.abs() > case.theta
    cut = new[large].abs()
    if (1 < len(cut) < len(old) and torch.equal(old[~large], new[~large])
            and float(cut.max() - cut.min()) < 1e-4):
        return 3, slips.CLIP_VALUE
    ratios = [_norm([a]) / _norm([g])
              for a, g in zip(after, given, strict=True)]
    if not all(torch.allclose(a, ratio * g, rtol=1e-2, atol=1e-4)
               for ratio, a, g in zip(ratios, after, given, strict=True)):
        return 2, ("the direction changes: one factor, from the norm over all "
                   "gradients together, has to scale every number")
    if max(ratios) - min(ratios) > 1e-2 * max(ratios):
        return 1, slips.CLIP_EACH
    return 0, "one factor for all, but another than theta / norm"


_ROOT = "the norm is the root of the sum of squares "

# What is taken for the norm, of gradients and weights.
NORMS: Slips = {
    "": lambda grads, weights: _norm(grads),
    _ROOT + "(the root is missing)": lambda grads, weights: _norm(grads) ** 2,
    _ROOT + "(the squares are missing)": lambda grads, weights: max(
        0.0, sum(float(g.sum()) for g in grads)) ** 0.5,
    _ROOT + "(not a plain sum)":
        lambda grads, weights: sum(float(g.sum()) for g in grads),
    _ROOT + "(not of absolute values)":
        lambda grads, weights: sum(float(g.abs().sum()) for g in grads),
    "the norm of all is not the sum of the norms":
        lambda grads, weights: sum(_norm([g]) for g in grads),
    "the norm of all is not the mean of the norms":
        lambda grads, weights: sum(_norm([g]) for g in grads) / len(grads),
    "the norm of all is not the largest of the norms":
        lambda grads, weights: max(_norm([g]) for g in grads),
    "the squares are added up, not averaged":
        lambda grads, weights: _norm(grads) / len(torch.cat(
            [g.flatten() for g in grads])) ** 0.5,
    "the squares are added up, not averaged in each parameter":
        lambda grads, weights: sum(
            float((g ** 2).mean()) for g in grads) ** 0.5,
    "the gradients of one parameter alone make the norm (the first)":
        lambda grads, weights: _norm(grads[:1]),
    "the gradients of one parameter alone make the norm (the last)":
        lambda grads, weights: _norm(grads[-1:]),
    "the largest number is not the norm":
        lambda grads, weights: max(float(g.abs().max()) for g in grads),
    "the norm of the parameters is taken: it is the gradients' norm, p.grad":
        lambda grads, weights: _norm(weights),
}
# What comes of a gradient g, where n is above theta; m is its own norm.
SCALED: Slips = {
    "": lambda g, n, m, theta: g * theta / n,
    "the factor is upside down: theta / norm":
        lambda g, n, m, theta: g * n / theta,
    "theta is missing in the factor: theta / norm":
        lambda g, n, m, theta: g / n,
    "the norm is missing in the factor: theta / norm":
        lambda g, n, m, theta: g * theta,
    _ROOT + "(the root is missing in the factor)":
        lambda g, n, m, theta: g * theta / n ** 2,
    "gradients are scaled, not set to zero": lambda g, n, m, theta: 0 * g,
    slips.CLIP_EACH: lambda g, n, m, theta: g * theta / m,
    slips.CLIP_VALUE: lambda g, n, m, theta: g.clamp(-theta, theta),
    slips.CLIP_VALUE + " (and no number below -theta is kept)":
        lambda g, n, m, theta: g.clamp(max=theta),
}
# When a gradient is scaled.
WHEN: Slips = {
    "": lambda n, m, theta: n > theta,
    "nothing is scaled: change the gradients themselves, in place, or set "
    "p.grad; and what is read twice has to be a list, not a generator":
        lambda n, m, theta: False,
    "gradients below theta are scaled up: the factor is at most 1":
        lambda n, m, theta: True,
    "the comparison is the wrong way round: large gradients are scaled, "
    "small ones left alone": lambda n, m, theta: n < theta,
    _ROOT + "(the root is missing in the comparison)":
        lambda n, m, theta: n * n > theta,
    "theta is missing: the norm is brought down to theta, not to 1":
        lambda n, m, theta: n > 1,
    slips.CLIP_EACH + " (in the comparison)": lambda n, m, theta: m > theta,
}


def _clipped(case: _Clipped, norm, scaled, when) -> Tensors:
    n, theta = norm(case.given, case.weights), case.theta
    return [
        scaled(g, n, m, theta) if when(n, m, theta) else g
        for g in case.given for m in [_norm([g])]]


# What does not follow the same rule for each gradient, or has two of it.
CLIPS: Slips = {
    slips.CLIP_EACH: lambda case: [
        g * min(1.0, case.theta / _norm([g])) for g in case.given],
    slips.CLIP_EACH + " (and never up)": lambda case: [
        g * (case.theta / _norm([g])) for g in case.given],
    "the norm is not complete yet: add up all gradients first, then scale in "
    "a second loop": lambda case: [
        g * min(1.0, case.theta / _norm(case.given[:i + 1]))
        for i, g in enumerate(case.given)],
    "only the first gradient is scaled":
        lambda case: [case.right[0], *case.given[1:]],
    "only the last gradient is scaled":
        lambda case: [*case.given[:-1], case.right[-1]],
}


# ---- the update


@dataclass
class _Step:
    """What a solution has made of parameters."""

    old: Tensors
    grads: Tensors
    lr: float
    after: Tensors
    cleared: bool
    tried: str

    def made(self, move: Callable[[Any, Any, float], Any]) -> Tensors:
        """The parameters after a rule's step."""
        return [move(p, g, self.lr)
                for p, g in zip(self.old, self.grads, strict=True)]

    @property
    def right(self) -> Tensors:
        return self.made(lambda p, g, lr: p - lr * g)


@check
def sgd(function) -> str:
    """A step downhill, and no gradients afterwards."""
    steps = [
        step for device in devices() for lr in (0.5, 1, 0.01)
        for step in _two_steps(function, device, lr)]
    for step in steps:
        if not all_alike(step.after, step.right):
            old, grad, new, right = next(
                numbers for numbers in zip(*(
                    torch.cat([t.flatten() for t in tensors]).tolist()
                    for tensors in (
                        step.old, step.grads, step.after, step.right)),
                    strict=True) if not alike(*numbers[2:]))
            raise CheckFailed(f"a number goes from {old:.3g} to {new:.3g}",
                              f"to {right:.3g} (its gradient is {grad:.3g})",
                              _step_slip(steps), step.tried)
    for step in steps:
        with trying(step.tried):
            require(step.cleared, "gradients are still there",
                    "zero, or None", slips.NOT_ZEROED)
    return ("Each parameter moves by lr times its gradient, in place, and the "
            "gradients are zero afterwards.")


def _two_steps(function, device: torch.device, lr: float) -> list[_Step]:
    shapes, steps = ((2, 3), (4,), (1, 1)), []
    params = [torch.randn(s, device=device).requires_grad_() for s in shapes]
    for which in ("", ", the second step"):
        tried = f"three parameters, lr = {lr}{which}"
        grads = [torch.randn(s, device=device) for s in shapes]
        old = [p.detach().clone() for p in params]
        for p, g in zip(params, grads, strict=True):
            p.grad = g.clone()
        with trying(tried):
            call(function, list(params), lr)
            require(all(p.requires_grad and p.is_leaf for p in params),
                    "a parameter that no longer collects gradients",
                    "requires_grad as before", "the step is inside `with "
                    "torch.no_grad():`, requires_grad stays as it is")
        cleared = not any(p.grad is not None and p.grad.any() for p in params)
        after = [p.detach().clone() for p in params]
        steps.append(_Step(old, grads, lr, after, cleared, tried))
    return steps


MOVES: Slips = {
    "nothing moves: change the tensors in place (param -= ...); param = "
    "param - ... only makes a new name": lambda p, g, lr: p,
    "param.grad goes back to zero, not the parameter itself":
        lambda p, g, lr: 0 * p,
    "uphill: the step goes against the gradient": lambda p, g, lr: p + lr * g,
    "lr is not used": lambda p, g, lr: p - g,
    "the gradient is multiplied by lr, not divided by it":
        lambda p, g, lr: p - g / lr,
    "the old value is thrown away: the step is taken from it":
        lambda p, g, lr: -lr * g,
    "the old value is thrown away, and with it the step: param is set to lr "
    "* param.grad": lambda p, g, lr: lr * g,
    "lr times the gradient, not times the parameter":
        lambda p, g, lr: p - lr * p,
    "the gradient is multiplied by the parameter":
        lambda p, g, lr: p - lr * g * p,
    "the step has length lr whatever the gradient":
        lambda p, g, lr: p - lr * g.sign(),
    "the step has length lr whatever the gradient (no norm here)":
        lambda p, g, lr: p - lr * g / g.norm(),
    "one mean gradient for all numbers: each has its own":
        lambda p, g, lr: p - lr * g.mean(),
    "two steps at once": lambda p, g, lr: p - 2 * lr * g,
    "the step is divided by a count: the loss is a mean already":
        lambda p, g, lr: p - lr * g / len(p),
}


def _step_slip(steps: list[_Step]) -> str:
    def everywhere(make: Callable[[_Step], Tensors]) -> bool:
        return all(all_alike(s.after, make(s)) for s in steps)

    likely = named(MOVES, lambda move: everywhere(lambda s: s.made(move)))
    if likely.startswith("nothing moves") and all(s.cleared for s in steps):
        return ("nothing moves: the step comes before the gradients go to "
                "zero, and it changes the parameter itself (param -= ...)")
    return likely or named({
        "only the first parameter moves (a `return` in the loop?)":
            lambda s: [s.right[0], *s.old[1:]],
        "only the last parameter moves; all of it belongs into the loop":
            lambda s: [*s.old[:-1], s.right[-1]],
    }, everywhere) or (
        "a step is lr times the gradient: nothing else goes into it, and "
        "nothing is kept from one step to the next")


# ---- an epoch


@check
def train_epoch(function) -> str:
    """An epoch, weight by weight."""
    for device in devices():
        for use_random_iter in (False, True):
            # On steep slopes every gradient is clipped, on gentle ones none
            # is, so that its size is seen.
            for steep in (True, False):
                for lr in (2.0, 0.5):
                    kind_of = "random" if use_random_iter else "sequential"
                    where = "" if device.type == "cpu" else (
                        f", device = {device}")
                    with trying(f"three {kind_of} batches, the last one "
                                f"shorter, lr = {lr}{where}"):
                        _epoch(function, use_random_iter, device, steep, lr)
        with trying("one batch of 8 tokens, 60 times"):
            _overfits(function, device)
    return ("Weights and perplexity agree with labutils for sequential and "
            "random batches, and one batch repeated is learnt by heart.")


def _model(device: torch.device, steep: bool) -> Model:
    return tiny_model(device, 0.7 if steep else 0.3, steep=steep)


def _values(params: Tensors) -> Tensors:
    return [p.detach().clone() for p in params]


def _epoch(function, use_random_iter, device, steep, lr) -> None:
    model, batches = _model(device, steep), Batches(use_random_iter)
    params, start = list(model.params), _values(model.params)
    got = number(call(function, model, batches, lr, device, use_random_iter))
    after = _values(params)
    require(all(p.requires_grad for p in params), "parameters that no longer "
            "collect gradients", "requires_grad as before")
    require(not all(map(torch.equal, after, start)),
            "the same weights as before", "trained weights",
            "no step was made, or one with gradients of zero: backward, "
            "then clipping, then sgd (which also clears the gradients)")
    by_hand = partial(_by_hand, device, steep, batches, lr)
    weights, losses = by_hand()
    if not all_alike(after, weights):
        likely = named(_epoch_slips(use_random_iter),
                       lambda slip: all_alike(after, by_hand(**slip)[0]))
        old, new, right = _farthest(start, after, weights)
        raise CheckFailed(
            f"a weight goes from {old:.4g} to {new:.4g}", f"to {right:.4g}",
            likely or _lr_slip(function, use_random_iter, device, steep)
            or "a part of the step is missing or in another order: "
            "forward, loss, backward, grad_clipping (to 1), sgd")
    expected = perplexity(losses)
    if not math.isclose(got, expected, rel_tol=1e-3):
        raise CheckFailed(
            f"the weights are right, the perplexity is {got:.4g}",
            f"{expected:.4g}", perplexity_slip(got, losses) or named(
                {"each batch is measured after the step that learns from it: "
                 "take the loss from before": {"again": True}},
                lambda slip: math.isclose(
                    got, perplexity(by_hand(**slip)[1][1::2]), rel_tol=1e-4)))


def _farthest(*tensors: Tensors) -> tuple[float, ...]:
    """The weight that differs most: before, as it is, as it should be."""
    flat = [torch.cat([t.flatten() for t in some]) for some in tensors]
    place = (flat[1] - flat[2]).abs().nan_to_num(torch.inf).argmax()
    return tuple(float(numbers[place]) for numbers in flat)


def _lr_slip(function, use_random_iter, device, steep) -> str:
    """With lr = 0 nothing moves, unless it is not used."""
    model = _model(device, steep)
    start = _values(model.params)
    call(function, model, Batches(use_random_iter), 0.0, device,
         use_random_iter)
    still = all_alike(model.params, start)
    return "" if still else "lr is not used: hand it on to sgd"


def _epoch_slips(use_random_iter: bool) -> Slips:
    (name, lost), = carry_slips(use_random_iter).items()
    attached = "state carried between random batches, and " if (
        use_random_iter) else ""
    large = slips.WRONG_COUNT + " (the loss that backward starts from is " \
        "too large{})"
    return {
        name: lost,
        attached + slips.NOT_DETACHED: {"carry": "not detached"},
        **SLIPS,
        "no clipping, or only after the step": {"clip": math.inf},
        slips.CLIP_EACH: {"clip": "each"},
        slips.CLIP_VALUE: {"clip": "value"},
        slips.NOT_ZEROED: {"zero": False},
        large.format(""): {"divide": "nothing"},
        large.format(", by T"): {"divide": "rows"},
        large.format(", by B"): {"divide": "steps"},
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
        "uphill: the step goes against the gradient": {"scale": -1},
        "the step is twice as long: one step a batch, lr times the gradient":
            {"scale": 2},
        # A state is often lost together with something else.
        **{f"two slips. First: {name}. Second: {other}": {**lost, **slip}
           for other, slip in SLIPS.items()},
    }


def _by_hand(
    device, steep, batches, lr, *, used=slice(None), clip=1.0, zero=True,
    divide="tokens", step="batch", scale=1, again=False, **changed: Any,
) -> tuple[Tensors, list[Losses]]:
    """An epoch, right or with a slip: the weights, and every batch's loss."""
    model, losses, kept = _model(device, steep), [], None
    params, part = model.params, batches.part(used)
    read = forward(model, part, again=again, **changed)
    for i, (nats, rows) in enumerate(read):
        losses.append(Losses(nats.detach(), rows))
        if again and i % 2:
            continue
        n = nats.numel()
        factor = {"tokens": 1, "nothing": n, "rows": n / rows, "steps": rows,
                  "twice": 1 / n}[divide]
        grads = list(torch.autograd.grad(
            nats.mean() * factor, params, retain_graph="carry" in changed))
        if kept and not zero:
            grads = [g + k for g, k in zip(grads, kept, strict=True)]
        last = i == len(part) - 1
        kept = grads = _clipped_to(
            clip if clip != "end" else 1.0 if last else math.inf, grads)
        if step == "batch" or last:
            for p, g in zip(params, grads, strict=True):
                p.data -= scale * lr * g  # unseen by backward
    return _values(params), losses


def _clipped_to(clip: float | str, grads: Tensors) -> Tensors:
    if clip == "each":
        return [g * min(1.0, 1 / float(g.norm())) for g in grads]
    if clip == "value":
        return [g.clamp(-1, 1) for g in grads]
    return [g * min(1.0, float(clip) / _norm(grads)) for g in grads]


def _overfits(function, device: torch.device) -> None:
    """One batch, again and again, has to be learnt by heart."""
    batches, model = Batches(True), _model(device, False)
    X = torch.tensor([[0, 1, 2, 3], [3, 4, 0, 1]])
    batches.batches = [(X, torch.tensor([[1, 2, 3, 4], [4, 0, 1, 2]]))]
    batches.batch_size = 2
    for _ in range(60):
        last = number(call(function, model, batches, 1, device, True))
    require(last < 1.5, f"perplexity {last:.3g}",
            "below 1.5: a batch so small is learnt by heart")
