"""The check of the GRU cell: notebook 6."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from labkit.checks import mutants, slips
from labkit.checks.comparing import (
    alike,
    kind,
    named,
    require,
    same_tensor,
    tensor,
)
from labkit.checks.guard import generator
from labkit.checks.harness import CheckFailed, call, check, devices
from labkit.checks.misfits import INPUT_CHANGED, changed, sized, unused
from labkit.checks.networks import SHAPES

NAMES = ("X", "H", "W_x", "W_h", "b_x", "b_h")


@check
def gru_cell(function) -> str:
    """One step of the GRU against nn.GRUCell."""
    for device in devices():
        for _, B, V, H in SHAPES:
            _gru(function, B, V, H, device)
    _gradcheck(function)
    return (
        "State and gradients are those of nn.GRUCell with the same weights, "
        f"for {len(SHAPES)} shapes, and gradcheck agrees."
    )


def _gru(function, B: int, V: int, H: int, device: torch.device) -> None:
    tried = f"B = {B} rows, V = {V} inputs, H = {H} units"
    cell = nn.GRUCell(V, H).to(device)
    with torch.no_grad():
        for p in cell.parameters():
            p.copy_(torch.randn(p.shape))
    X, state = torch.randn(B, V, device=device), torch.randn(
        B, H, device=device)
    right = (X, state, cell.weight_ih.T, cell.weight_hh.T, cell.bias_ih,
             cell.bias_hh)
    mine = {
        name: p.detach().clone().requires_grad_()
        for name, p in zip(NAMES, right, strict=True)}
    # Inside a network these two come from elsewhere and are no parameters.
    mine["X"], mine["H"] = mine["X"].clone(), mine["H"].clone()

    def run() -> Any:
        return sized(function, *mine.values(), tried=tried,
                     sizes={"B": B, "V": V, "H": H, "3H": 3 * H})

    got = run()
    require(not isinstance(got, (tuple, list)), kind(got),
            "one tensor, the new state", "a step of the GRU gives one state "
            "and no scores: return it as it is, in no tuple", tried)
    got = tensor("the new state", got, tried)
    expected = cell(X, state)
    if not alike(got, expected):
        same_tensor("the new state", got, expected.detach(),
                    _likely(run, got, mine), tried)
    other = changed(mine, right)
    require(not other, f"{', '.join(other)} with other numbers than before",
            "what was handed in as it was", INPUT_CHANGED, tried)
    _same_gradients(cell, got, mine, tried)


def _likely(run: Callable[[], Any], got, mine: dict[str, Any]) -> str:
    """The slip whose result this is, or what a small change tells."""
    with torch.no_grad():
        X, H, *params = mine.values()
        mistaken: dict[str, Callable[[], Any]] = {
            name: partial(mutants.gru_step, X, H, params, **slip)
            for name, slip in mutants.GRU.items()}
        mistaken[slips.OLD_STATE] = lambda: H
        name = named(mistaken, lambda made: alike(got, made))
    if name:
        return name
    blocks = {
        f"{name}{gate}": block for name in NAMES[2:]
        for gate, block in zip("rzn", _blocks(mine[name]), strict=True)}
    try:
        idle = unused(run, {"X": mine["X"], "H": mine["H"], **blocks})
    except (CheckFailed, RuntimeError, TypeError):
        return ""
    gates = [k for k in "rzn" if all(n + k in idle for n in NAMES[2:])]
    biases = [n for n in idle if n[0] == "b" and n[-1] not in gates]
    if biases:
        return f"{slips.MISSING_BIAS}: {', '.join(biases)}"
    if gates:
        return f"not used: the blocks {' and '.join(gates)}"
    return f"not used: {', '.join(idle)}" if idle else ""


def _blocks(parameter: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():  # views, to be changed in place
        return parameter.chunk(3, -1)


def _same_gradients(cell, got, mine, tried: str) -> None:
    require(got.requires_grad, "a state without a gradient",
            "a state that backward() can start from", slips.NO_GRADIENT,
            tried)
    X, H = (mine[n].detach().requires_grad_() for n in "XH")
    weights = torch.rand(got.shape, generator=generator(1)).to(got.device)
    grads = call(
        partial(torch.autograd.grad, allow_unused=True),
        (got.double() * weights).sum(), [*mine.values()],
        tried=f"the backward pass, {tried}")
    right = torch.autograd.grad(
        (cell(X, H).double() * weights).sum(), [X, H, *cell.parameters()])
    for name, a, b in zip(mine, grads, right, strict=True):
        require(a is not None, f"no gradient of {name}", "one",
                slips.NO_GRADIENT, tried)
        same_tensor(f"the gradient of {name}", a,
                    b.T if name.startswith("W") else b, slips.NO_GRADIENT,
                    tried)


def _gradcheck(function) -> None:
    """Move every number a little, and compare with the gradient."""
    sizes: Sequence[tuple[int, ...]] = (
        (2, 3), (2, 2), (3, 6), (2, 6), (6,), (6,))
    numbers = [torch.randn(*s).double().requires_grad_() for s in sizes]
    try:
        if function(*numbers).dtype != torch.float64:
            return  # it works in single precision, too coarse for this
    except Exception:
        return  # single precision was asked for, and parity is proven
    # Fast mode compares one random direction instead of every entry.
    good = torch.autograd.gradcheck(
        function, numbers, fast_mode=True, raise_exception=False)
    if not good:
        raise CheckFailed(
            "gradients that are not the slope of the function",
            "those of the equations (gradcheck)", slips.NO_GRADIENT)
