"""Reasons found by a second look: shapes in an error, and small changes."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.harness import CheckFailed, NotWritten, call

MIXED_UP = (
    "shapes that do not fit: a weight or a bias stands where another one "
    "belongs, or a product is the wrong way round (X @ W, and @ is no *)"
)
INPUT_CHANGED = (
    "what was handed in is changed in place: whoever called still needs it, "
    "so make a new tensor, as in H = ..."
)
_SIZES = (
    r"tensor a \((\d+)\) must match the size of tensor b \((\d+)\)",
    r"cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)",
)


def sized(
    function: Callable[..., Any], *args: Any, tried: str,
    sizes: Mapping[str, int],
) -> Any:
    """Call the student's code; where shapes clash, say which.

    Args:
        function: the solution, or what uses it.
        args: its arguments.
        tried: the arguments in words.
        sizes: what each size is in these arguments, such as T or B.
    """
    try:
        return call(function, *args, tried=tried)
    except NotWritten:
        raise
    except CheckFailed as failed:
        failed.likely = clash(failed.got, sizes) or failed.likely
        raise


def clash(text: str, sizes: Mapping[str, int]) -> str:
    """The slip behind an error about shapes; may be empty.

    Args:
        text: the error.
        sizes: names and sizes. Two of the same size tell nothing.
    """
    found = next(filter(None, (re.search(p, text) for p in _SIZES)), None)
    if not found or len(set(sizes.values())) < len(sizes):
        return ""
    numbers = [int(number) for number in found.groups() if number]
    # Rows of the first matrix and columns of the second need not agree.
    inner = numbers[1:3] if len(numbers) == 4 else numbers
    names = {size: name for name, size in sizes.items()}
    axes = {names.get(number, "") for number in inner}
    if "3H" in axes and inner is numbers:  # added, not multiplied
        return (
            "the blocks of a parameter are not taken apart, or along the "
            "wrong axis: they stand side by side (dim=1), H columns each")
    return slips.SWAPPED if "T" in axes else MIXED_UP


def unused(
    run: Callable[[], torch.Tensor], parts: Mapping[str, torch.Tensor]
) -> list[str]:
    """Names of the tensors that a result does not depend on.

    Args:
        run: gives the result, from these very tensors.
        parts: names and tensors. Each is changed a little, and back.
    """
    def again() -> torch.Tensor:
        torch.manual_seed(0)  # a random start is the same one every time
        return run()

    found = []
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        before = again()
        for name, part in parts.items():
            kept = part.clone()
            part.add_(torch.rand_like(part) + 0.5)
            if torch.equal(again(), before):
                found.append(name)
            part.copy_(kept)
    return found


def probabilities(logits: torch.Tensor) -> bool:
    """Whether every row is a distribution, or the logarithm of one."""
    logits = logits.detach().double()
    if logits.dim() < 2:
        return False
    ones = torch.ones(logits.shape[:-1], dtype=torch.float64)
    return any(
        torch.allclose(p.sum(-1).cpu(), ones, atol=1e-4) and bool(
            (p >= 0).all()) for p in (logits, logits.exp()))


def changed(now: Mapping[str, torch.Tensor], before) -> list[str]:
    """Names of the tensors that have other numbers than before."""
    return [
        name for (name, a), b in zip(now.items(), before, strict=True)
        if not torch.equal(a.detach(), b.detach())]


def second_look(run: Callable[[], Any], logits, given, mine) -> str:
    """What can be said where no slip alone explains the logits.

    Args:
        run: the solution, on the tensors of `given` and `mine`.
        logits: what it has made of them.
        given: names and tensors: the inputs and the state.
        mine: names and tensors: the parameters.
    """
    found = []
    if probabilities(logits):
        found.append(slips.SOFTMAX)
    try:
        idle = unused(lambda: run()[0], {**given, **mine})
        steps = given["inputs"]
        blind = len(steps) > 1 and torch.equal(*_later(run, steps))
    except (CheckFailed, RuntimeError, TypeError):
        return "; ".join(found)
    # Without its weights as well, a bias is not what is missing.
    biases = [
        n for n in idle
        if n.startswith("b") and n.replace("b_", "W_x") not in idle]
    if biases:
        found.append(f"{slips.MISSING_BIAS}: {', '.join(biases)}")
    if "C" in idle:
        found.append(slips.CELL_LOST)
    if "H" in idle:
        found.append(slips.START_IGNORED)
    if blind and "inputs" not in idle:
        found.append(slips.NOT_CARRIED)
    if rest := [n for n in idle if n not in {*biases, "H", "C"}]:
        found.append(f"not used: {', '.join(rest)}")
    return "; ".join(found[:2])


def _later(run: Callable[[], Any], inputs) -> list[torch.Tensor]:
    """The last step's logits, for two different first steps."""
    rows, kept, made = inputs.shape[1], inputs.clone(), []
    with torch.no_grad():
        for _ in range(2):
            made.append(run()[0][-rows:].clone())
            inputs[0] += 1
        inputs.copy_(kept)
    return made
