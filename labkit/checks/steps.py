"""Checks of a training step: clipping and the update, notebook 3."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from labkit.checks import slips
from labkit.checks.clips import CLIPS, norm_of, strangeness
from labkit.checks.comparing import alike, all_alike, named, require
from labkit.checks.harness import CheckFailed, call, check, devices

Tensors = list[torch.Tensor]


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
        factor = min(1.0, self.theta / norm_of(self.given))
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
                        cases.append(_clip(function, make, [
                            g * (part * theta / norm_of(grads) if part else 1)
                            for g in grads], theta))
    _judge_clipping(cases)
    return (
        "The common norm is brought down to theta, the direction stays, and "
        "smaller gradients are left alone."
    )


def _clip(function, make, given: Tensors, theta: float) -> _Clipped:
    tried = f"gradients {_numbers(given)}, theta = {theta}" + (
        ", of an nn.Module" if make is _Net else "")
    weights = [torch.randn_like(g) for g in given]
    model = make([w.clone() for w in weights], [g.clone() for g in given])
    call(function, model, theta, tried=tried)
    params = list(model.parameters())
    require(all_alike(params, weights), "other parameters than before",
            "only the gradients change", "it is p.grad that has to be "
            "scaled, not p", tried)
    after = [p.grad for p in params if p.grad is not None]
    require(len(after) == len(params), "a gradient is None", "gradients",
            "they are scaled, not removed", tried)
    return _Clipped(given, after, weights, theta, tried)


def _judge_clipping(cases: list[_Clipped]) -> None:
    """A slip is named only where it explains what came of every case."""
    wrong = [c for c in cases if not all_alike(c.after, c.right)]
    if not wrong:
        return
    shown = wrong[0]
    likely = next((
        name for name, rule in CLIPS.items()
        if all(all_alike(c.after, rule(c.given, c.weights, c.theta))
               for c in cases)), "")
    if all(all_alike(c.after, c.given) and "Module" in c.tried
           for c in wrong):
        likely = (
            "nothing is scaled: parameters() of an nn.Module can be read "
            "once only, so keep list(model.parameters())")
    if not likely:
        strange = [strangeness(c.given, c.after, c.theta) for c in wrong]
        best = strange.index(max(strange))
        shown, likely = wrong[best], strange[best][1]
    raise CheckFailed(
        f"gradients {_numbers(shown.after)}", _numbers(shown.right),
        likely, shown.tried)


def _numbers(tensors: Tensors) -> str:
    """The first numbers of some tensors, and their common norm."""
    flat = torch.cat([t.detach().flatten() for t in tensors])
    numbers = ", ".join(f"{x:.3g}" for x in flat[:3].tolist())
    more = ", ..." if len(flat) > 3 else ""
    return f"{numbers}{more} (norm {float(flat.norm()):.3g})"


@dataclass
class _Step:
    """What a solution has made of parameters."""

    old: Tensors
    grads: Tensors
    lr: float
    after: Tensors
    cleared: bool
    tried: str

    @property
    def right(self) -> Tensors:
        return [p - self.lr * g for p, g in self.pairs]

    @property
    def pairs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(zip(self.old, self.grads, strict=True))

    def numbers(self) -> zip:
        """Old value, gradient, new and right value, number by number."""
        return zip(*(
            torch.cat([t.flatten() for t in tensors]).tolist()
            for tensors in (self.old, self.grads, self.after, self.right)
        ), strict=True)


@check
def sgd(function) -> str:
    """A step downhill, and no gradients afterwards."""
    steps = []
    for device in devices():
        for lr in (0.5, 1, 0.01):
            steps += _two_steps(function, device, lr)
    wrong = [s for s in steps if not all_alike(s.after, s.right)]
    if wrong:
        old, grad, new, right = next(
            numbers for numbers in wrong[0].numbers()
            if not alike(numbers[2], numbers[3]))
        raise CheckFailed(
            f"a number goes from {old:.3g} to {new:.3g}",
            f"to {right:.3g} (its gradient is {grad:.3g})",
            _step_slip(steps), wrong[0].tried)
    for step in steps:
        require(step.cleared, "gradients are still there", "zero, or None",
                slips.NOT_ZEROED, step.tried)
    return (
        "Each parameter moves by lr times its gradient, in place, and the "
        "gradients are zero afterwards."
    )


def _two_steps(function, device, lr: float) -> list[_Step]:
    shapes, steps = ((2, 3), (4,), (1, 1)), []
    params = [torch.randn(s, device=device).requires_grad_() for s in shapes]
    for which in ("", ", the second step"):
        tried = f"three parameters, lr = {lr}{which}"
        grads = [torch.randn(s, device=device) for s in shapes]
        old = [p.detach().clone() for p in params]
        for p, g in zip(params, grads, strict=True):
            p.grad = g.clone()
        call(function, list(params), lr, tried=tried)
        require(all(p.requires_grad and p.is_leaf for p in params),
                "a parameter that no longer collects gradients",
                "requires_grad as before", "the step is inside `with "
                "torch.no_grad():`, requires_grad stays as it is", tried)
        cleared = not any(p.grad is not None and p.grad.any() for p in params)
        after = [p.detach().clone() for p in params]
        steps.append(_Step(old, grads, lr, after, cleared, tried))
    return steps


def _step_slip(steps: list[_Step]) -> str:
    def all_steps(move: Callable[[_Step], Tensors]) -> Callable[[], bool]:
        return lambda: all(all_alike(s.after, move(s)) for s in steps)

    def each(move: Callable) -> Callable[[], bool]:
        return all_steps(lambda s: [move(p, g, s.lr) for p, g in s.pairs])

    still = each(lambda p, g, lr: p)
    return named(
        {
            "nothing moves: the step comes before the gradients go to zero, "
            "and it changes the parameter itself (param -= ...)":
                lambda: still() and all(s.cleared for s in steps),
            "nothing moves: change the tensors in place (param -= ...); "
            "param = param - ... only makes a new name": still,
            "param.grad goes back to zero, not the parameter itself":
                each(lambda p, g, lr: 0 * p),
            "uphill: the step goes against the gradient":
                each(lambda p, g, lr: p + lr * g),
            "lr is not used": each(lambda p, g, lr: p - g),
            "the gradient is multiplied by lr, not divided by it":
                each(lambda p, g, lr: p - g / lr),
            "only the first parameter moves (a `return` in the loop?)":
                all_steps(lambda s: [s.right[0], *s.old[1:]]),
            "only the last parameter moves; all of it belongs into the loop":
                all_steps(lambda s: [*s.old[:-1], s.right[-1]]),
            "the old value is thrown away: the step is taken from it":
                each(lambda p, g, lr: -lr * g),
            "the old value is thrown away, and with it the step: param is "
            "set to lr * param.grad": each(lambda p, g, lr: lr * g),
            "lr times the gradient, not times the parameter":
                each(lambda p, g, lr: p - lr * p),
            "the gradient is multiplied by the parameter":
                each(lambda p, g, lr: p - lr * g * p),
            "the step has length lr whatever the gradient":
                each(lambda p, g, lr: p - lr * g.sign()),
            "the step has length lr whatever the gradient (no norm here)":
                each(lambda p, g, lr: p - lr * g / g.norm()),
            "one mean gradient for all numbers: each has its own":
                each(lambda p, g, lr: p - lr * g.mean()),
            "two steps at once": each(lambda p, g, lr: p - 2 * lr * g),
            "the step is divided by a count: the loss is a mean already":
                each(lambda p, g, lr: p - lr * g / len(p)),
        },
        lambda result: result) or (
            "a step is lr times the gradient: nothing else goes into it, and "
            "nothing is kept from one step to the next")
