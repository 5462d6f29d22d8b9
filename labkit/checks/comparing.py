"""What was got against what was expected, and the slip between the two."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from labkit.checks import slips
from labkit.checks.harness import CheckFailed, call, generator, trying

# A slip's name, and what makes it: a result, a function, keywords.
Slips = Mapping[str, Any]

MIXED_UP = ("shapes that do not fit: a weight or a bias stands where another "
            "one belongs, or a product is the wrong way round (X @ W, and @ "
            "is no *)")


def require(truth: Any, got: str, expected: str, likely: str = "") -> None:
    """Fail unless something holds."""
    if not truth:
        raise CheckFailed(got, expected, likely)


def alike(a: Any, b: Any) -> bool:
    """Equal up to rounding in single precision, whatever the dtypes."""
    a, b = (torch.as_tensor(x).detach().cpu().double() for x in (a, b))
    return a.shape == b.shape and torch.allclose(
        a, b, rtol=1e-3, atol=1e-4, equal_nan=True)


def all_alike(got: Iterable[Any], expected: Iterable[Any]) -> bool:
    """Tensor by tensor."""
    return all(alike(a, b) for a, b in zip(got, expected, strict=True))


def named(slips: Slips, matches: Callable[[Any], Any]) -> str:
    """The first slip that, as it `matches`, leads to what was got, or ""."""
    for name, slip in slips.items():
        try:
            if matches(slip):
                return name
        except (RuntimeError, ValueError, IndexError, OverflowError):
            continue  # with these numbers the slip would be an error
    return ""


def combined(*tables: Slips, most: int = 2) -> dict[str, tuple[Any, ...]]:
    """One choice from each table, "" being right; `most` slips at once.

    Those with the fewest come first, and with them those of the first tables.
    """
    made = {}
    for names in sorted(product(*tables), key=lambda names: (
            sum(map(bool, names)), [not name for name in names])):
        found = [name for name in names if name]
        if len(found) > most:
            break
        words = ("", "{}", "two slips. First: {}. Second: {}",
                 "three slips. First: {}. Second: {}. Third: {}")[len(found)]
        made[words.format(*found)] = tuple(
            table[name] for table, name in zip(tables, names, strict=True))
    return made


def tensor(what: str, got: Any) -> Tensor:
    """Fail unless it is a tensor."""
    require(isinstance(got, Tensor), f"{what} of type {kind(got)}",
            "a tensor", slips.NOTHING if got is None else slips.NO_TENSOR
            if isinstance(got, (list, tuple)) else "")
    return got


def same_tensor(
    what: str, got: Any, expected: Tensor, likely: Slips | str = ""
) -> None:
    """Fail unless shape and numbers agree; slips are functions of results."""
    got, expected = tensor(what, got), expected.detach()
    if alike(got, expected):
        return
    if not isinstance(likely, str):
        likely = named(likely, lambda result: alike(got, result()))
    if got.shape != expected.shape:
        raise CheckFailed(f"{what} of shape {tuple(got.shape)}",
                          f"{tuple(expected.shape)}", likely)
    difference = (got.detach().cpu().double() - expected.cpu().double()
                  ).abs().nan_to_num(torch.inf)
    place = (difference == difference.max()).nonzero()[0].tolist()
    found, right = (x[tuple(place)].item() for x in (got, expected))
    raise CheckFailed(
        f"{what}{place or ''} = {found:.4g}", f"{right:.4g}", likely)


def same_shape(
    what: str, got: Tensor, shape: Sequence[int], likely: str, axes: str = ""
) -> None:
    """Fail unless a tensor has a shape."""
    require(got.shape == shape, f"{what} {tuple(got.shape)}",
            f"{axes} = {shape}" if axes else f"{shape}", likely)


def floats_on(what: str, got: Tensor, device: torch.device) -> None:
    """Fail unless a tensor is of floats, and where it was asked for."""
    require(got.is_floating_point(), f"{what} of dtype {got.dtype}",
            "a floating dtype")
    require(got.device.type == device.type, f"{what} on {got.device}",
            f"on {device}", "the argument device is not used")


def zeros(
    what: str, got: Any, shape: Sequence[int], device: torch.device,
    slips: Mapping[tuple[int, ...], str], axes: str = "",
) -> None:
    """Fail unless it is an empty memory; slips are for some wrong shapes."""
    shown = slips.get(tuple(tensor(what, got).shape), "")
    same_shape(f"{what} of shape", got, shape, shown, axes)
    require(not got.any(), f"{what} with numbers up to {got.abs().max():.2g}",
            "zeros", "a text begins with an empty memory")
    floats_on(what, got, device)


def probabilities(logits: Tensor) -> bool:
    """Whether every row is a distribution, or the logarithm of one."""
    logits = logits.detach().double()
    return logits.dim() > 1 and any(
        bool(((p.sum(-1) - 1).abs() < 1e-4).all() and (p >= 0).all())
        for p in (logits, logits.exp()))


def untouched(now: Mapping[str, Tensor], before: Iterable[Tensor]) -> None:
    """Fail where tensors that were handed in have other numbers."""
    other = [name for (name, a), b in zip(now.items(), before, strict=True)
             if not torch.equal(a.detach(), b.detach())]
    require(not other, f"{', '.join(other)} with other numbers than before",
            "what was handed in as it was", "what was handed in is changed in "
            "place: whoever called still needs it, so make a new tensor, as "
            "in H = ...")


def unused(
    run: Callable[[], Tensor], parts: Mapping[str, Tensor]
) -> list[str]:
    """Names of the tensors on which the result of `run` does not depend."""
    def depends(part: Tensor) -> bool:
        kept = part.clone()
        part.add_(torch.rand_like(part) + 0.5)
        torch.manual_seed(0)  # a random start is the same one every time
        after = run()
        part.copy_(kept)
        return not torch.equal(after, before)

    with torch.no_grad(), torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        before = run()
        return [name for name, part in parts.items() if not depends(part)]


def same_gradients(
    what: str, got: Sequence[Tensor], mine: Mapping[str, Tensor],
    expected: Sequence[Tensor], right: Sequence[Tensor],
) -> None:
    """Fail unless gradients travel back as in the reference.

    That is from `got` to `mine` as from `expected` to `right`. Results after
    the first, which is `what`, may be detached.
    """
    require(got[0].requires_grad, f"{what} without a gradient",
            f"{what} that backward() can start from", slips.NO_GRADIENT)
    weights = torch.rand(expected[0].shape, generator=generator(1))
    # The next batch may go on from the states; they are detached before
    # that, so it is no mistake to do it early.
    through = all(s.requires_grad for s in got[1:])

    def loss(first, *states: Tensor) -> Tensor:
        return (first.double() * weights.to(first.device)).sum() + through * (
            sum((s.double() ** 2).sum() for s in states))

    grad = partial(torch.autograd.grad, allow_unused=True)
    with trying("the backward pass"):
        own = call(grad, loss(*got), [*mine.values()])
    theirs = grad(loss(*expected), right)
    for name, a, b in zip(mine, own, theirs, strict=True):
        require(a is not None, f"the gradient of {name}: none", "a gradient",
                slips.NO_GRADIENT)
        same_tensor(f"the gradient of {name}", a, torch.as_tensor(b),
                    slips.NO_GRADIENT + ". Within a batch the gradient "
                    "travels back through all the steps")


def sized(function: Callable[..., Any], *args: Any, **sizes: int) -> Any:
    """Call the student's code; where shapes clash, say which.

    `sizes` are those of the arguments; two of the same size tell nothing.
    """
    def clash(text: str) -> str:
        added = re.search(
            r"tensor a \((\d+)\) must match the size of tensor b \((\d+)\)",
            text)
        # Rows of the first matrix and columns of the second need not agree.
        found = added or re.search(
            r"cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)", text)
        names = {size: name for name, size in sizes.items()}
        if not found or len(names) < len(sizes):
            return ""
        axes = {names.get(int(number), "") for number in found.groups()}
        if added and "3H" in axes:
            return ("the blocks of a parameter are not taken apart, or along "
                    "the wrong axis: they stand side by side (dim=1), H "
                    "columns each")
        return slips.SWAPPED if "T" in axes else MIXED_UP

    return call(function, *args, explain=clash)


def pair(what: str, got: Any) -> tuple[Any, Any]:
    """Fail unless it is two things."""
    require(isinstance(got, (tuple, list)) and len(got) == 2, kind(got),
            f"two things: {what}", slips.NOTHING if got is None
            else "both have to be returned")
    return got[0], got[1]


def number(
    got: Any, wanted: str = "one number, the perplexity", likely: str = ""
) -> float:
    """Fail unless it is a number."""
    try:
        if isinstance(got, str):  # float("3") would be a number
            raise TypeError
        return float(got.detach() if torch.is_tensor(got) else got)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise CheckFailed(kind(got), wanted, slips.NOTHING if got is None
                          else likely) from None


def kind(value: Any) -> str:
    """A value's type in words, with its length or shape."""
    if value is None:
        return "None"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    name = type(value).__name__
    if isinstance(value, (tuple, list)):
        return f"a {name} of {len(value)}"
    return f"a value of type {name}"


def short(value: Any, most: int = 120) -> str:
    """A value as it would be typed, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
