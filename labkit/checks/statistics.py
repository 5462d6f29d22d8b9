"""Checks of the comparison of networks: notebook 6."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

from labkit.checks import slips
from labkit.checks.comparing import kind, named, pair, require
from labkit.checks.harness import CheckFailed, call, check

STUDENT_T = 4.303  # two degrees of freedom, 95 %
# 1, 2, 3 come late: their variance is their standard deviation.
RUNS = (
    [2.0, 4.0, 9.0], [7.1, 6.4, 6.9], [155.0, 36.0, 98.0],
    [-4.5, 0.25, -2.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0],
)
ROUNDED = "rounded: keep all digits, they are cut where a number is printed"


@check
def interval(function) -> str:
    """Mean and half width for three runs."""
    for values in RUNS:
        tried = f"interval({values})"
        given = list(values)
        got = call(function, given, tried=tried)
        if hasattr(got, "tolist"):  # two numbers in an array are two numbers
            got = got.tolist()
        numbers = pair("mean, half width", got, tried)
        mean, half = (_number(number, tried) for number in numbers)
        _mean(values, mean, half, tried)
        _half_width(values, half, tried)
        require(given == values, f"afterwards values is {given}",
                f"{values}", slips.CHANGED, tried)
    return (
        "Mean and half width agree with Student's t for three values, by "
        "hand for 1, 2, 3."
    )


def _number(value: Any, tried: str) -> float:
    likely = "two numbers, not words: f-strings come later, in print"
    require(not isinstance(value, str), f"the string {value!r}", "a number",
            likely, tried)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise CheckFailed(
            kind(value), "a number", "each of the two is one number, whatever "
            "how many runs there are", tried) from None


def _near(a: float, b: float, tolerance: float = 1e-3) -> bool:
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-5)


def _spread(values: list[float]) -> float:
    center = sum(values) / len(values)
    squares = sum((v - center) ** 2 for v in values)
    return math.sqrt(squares / (len(values) - 1))


def _mean(values, mean: float, half: float, tried: str) -> None:
    n = len(values)
    center = sum(values) / n
    expected = STUDENT_T * _spread(values) / math.sqrt(n)
    if _near(mean, center, 1e-6):
        return
    likely = named({
        "the two ends of the interval; expected its middle and half of its "
        "width": lambda: center - expected,
        "half width and mean are swapped": lambda: expected,
        "the median is not the mean": lambda: sorted(values)[1],
        "the sum is not divided by the number of values":
            lambda: sum(values),
        "divide by the number of values, 3": lambda: sum(values) / (n - 1),
        "// rounds down; / does not": lambda: sum(values) // n,
        "absolute values: a mean, as a difference, may be negative":
            lambda: sum(map(abs, values)) / n,
        "absolute value: a mean, as a difference, may be negative":
            lambda: abs(center),
    }, lambda result: _near(mean, result, 1e-6))
    if not likely and _is_rounded(mean, center):
        likely = ROUNDED
    raise CheckFailed(f"mean {mean:.6g}", f"{center:.6g}", likely, tried)


def _is_rounded(number: float, exact: float) -> bool:
    near = [round(exact, digits) for digits in range(4)]
    return number in (*near, math.floor(exact), math.trunc(exact))


def _half_width(values, half: float, tried: str) -> None:
    spread = _spread(values)
    expected = STUDENT_T * spread / math.sqrt(len(values))
    # Two or three digits are seen by their digits, not by the distance.
    rounded = _is_rounded(half, expected) and half != expected
    if _near(half, expected) and not rounded:
        return
    likely = ROUNDED if rounded else next((
        name for name, result in _widths(values)
        if _near(half, result) and result), "")
    if not likely and _near(half, (max(values) - min(values)) / 2):
        likely = (
            "half of the distance between the largest and the smallest value "
            "in place of 4.303 standard errors"
        )
    raise CheckFailed(
        f"half width {half:.4g}", f"{expected:.4g}", likely, tried)


def _widths(values: list[float]) -> Iterator[tuple[str, float]]:
    """Half widths with slips in them, those with one slip first."""
    n, s = len(values), _spread(values)
    population = s * math.sqrt((n - 1) / n)
    bessel = "the variance divides by n - 1 (Bessel's correction)"
    squared = "the variance in place of the standard deviation"
    factors = {
        "": STUDENT_T,
        "the factor 4.303 of Student's t is missing": 1.0,
        "1.96 holds for many runs, for three it is 4.303": 1.96,
        "2 is not enough for three runs, 4.303 is": 2.0,
        "three runs leave two degrees of freedom, so 4.303": 3.182,
        "with two degrees of freedom and 95 % between the ends it is 4.303":
            2.92,
        "three runs leave two degrees of freedom, not one, so 4.303": 12.706,
        "the full width; half of it is asked for": 2 * STUDENT_T,
        "the interval is halved twice": STUDENT_T / 2,
    }
    spreads = {
        "": s, bessel: population, squared: s ** 2,
        f"{squared}; {bessel}": population ** 2,
    }
    divisors = {
        "": math.sqrt(n),
        "the standard error of a mean is divided by the root of n": 1.0,
        "divided by n where the standard error takes its root": float(n),
    }
    made = sorted(
        product(factors, spreads, divisors),
        key=lambda names: sum(map(bool, names)))
    for names in made:
        factor, spread, divisor = names
        yield (
            "; and ".join(filter(None, names)),
            factors[factor] * spreads[spread] / divisors[divisor],
        )
