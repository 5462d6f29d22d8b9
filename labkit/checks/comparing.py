"""What was got against what was expected, and the slip between the two."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.harness import CheckFailed, call

# A slip's name and what it would lead to, computed when it is needed.
Slips = Mapping[str, Callable[[], Any]]


def require(
    truth: bool, got: str, expected: str, likely: str = "", tried: str = ""
) -> None:
    """Fail unless something holds."""
    if not truth:
        raise CheckFailed(got, expected, likely, tried)


def alike(a: Any, b: Any) -> bool:
    """Equal up to rounding in single precision, whatever the dtypes."""
    a, b = torch.as_tensor(a).detach(), torch.as_tensor(b).detach()
    if a.shape != b.shape:
        return False
    return torch.allclose(
        a.cpu().double(), b.cpu().double(), rtol=1e-3, atol=1e-4,
        equal_nan=True,
    )


def all_alike(got: Iterable[Any], expected: Iterable[Any]) -> bool:
    """Tensor by tensor."""
    return all(alike(a, b) for a, b in zip(got, expected, strict=True))


def named(slips: Slips, matches: Callable[[Any], bool]) -> str:
    """The first slip whose result is what was got; may be empty."""
    for name, result in slips.items():
        try:
            if matches(result()):
                return name
        except (RuntimeError, ValueError, IndexError):
            continue  # with these shapes the slip would be an error
    return ""


def same_tensor(
    what: str,
    got: Any,
    expected: torch.Tensor,
    slips: Slips | str,
    tried: str,
) -> None:
    """Fail unless two tensors have the same shape and numbers.

    Args:
        what: their name in the message.
        got: from the solution.
        expected: what is right.
        slips: for the explanation: the slip, or several with their results.
        tried: the arguments in words.
    """
    got = tensor(what, got, tried)
    if alike(got, expected):
        return
    likely = slips if isinstance(slips, str) else named(
        slips, lambda result: alike(got, result))
    if got.shape != expected.shape:
        raise CheckFailed(
            f"{what} of shape {tuple(got.shape)}", f"{tuple(expected.shape)}",
            likely, tried,
        )
    difference = (got.detach().cpu().double() - expected.cpu().double()).abs()
    flat = int(difference.nan_to_num(torch.inf).argmax())
    place = tuple(
        int(i) for i in torch.unravel_index(
            torch.tensor(flat), expected.shape or (1,))
    )
    index = f"{what}{list(place)}" if expected.dim() else what
    raise CheckFailed(
        f"{index} = {got.flatten()[flat].item():.4g}",
        f"{expected.flatten()[flat].item():.4g}", likely, tried,
    )


def tensor(what: str, got: Any, tried: str = "") -> torch.Tensor:
    """Fail unless it is a tensor."""
    require(
        isinstance(got, torch.Tensor), f"{what} of type {kind(got)}",
        "a tensor", slips.NOTHING if got is None
        else slips.NO_TENSOR if isinstance(got, (list, tuple)) else "", tried,
    )
    return got


def pair(what: str, got: Any, tried: str = "") -> tuple[Any, Any]:
    """Fail unless it is two things."""
    require(
        isinstance(got, (tuple, list)) and len(got) == 2, kind(got),
        f"two things: {what}",
        slips.NOTHING if got is None else "both have to be returned", tried,
    )
    return got[0], got[1]


def items(
    function: Callable[..., Any], *args: Any, most: int, tried: str = ""
) -> list[Any]:
    """What a function yields or returns, no more than one beyond `most`."""

    def read() -> list[Any]:
        found = function(*args)
        require(
            isinstance(found, Iterable), kind(found),
            "something to loop over: `yield` each batch, or return a list",
            "no `return` and no `yield`" if found is None else "", tried,
        )
        return list(islice(found, most + 1))

    return call(read, tried=tried)


def number(got: Any, tried: str) -> float:
    """Fail unless it is a perplexity."""
    try:
        if isinstance(got, str):  # float("3") would be a number
            raise TypeError
        return float(got.detach() if torch.is_tensor(got) else got)
    except (TypeError, ValueError, RuntimeError):
        raise CheckFailed(
            kind(got), "one number, the perplexity",
            slips.NOTHING if got is None else "", tried) from None


def kind(value: Any) -> str:
    """A value's type in words, with its length or shape."""
    if value is None:
        return "None"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    name = type(value).__name__
    if isinstance(value, (tuple, list)):
        return f"a {name} of {len(value)}"
    return f"a value of type {name}"


def short(value: Any, most: int = 120) -> str:
    """A value as it would be typed, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
