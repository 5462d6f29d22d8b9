"""Checks of what is measured: perplexity over a text, an interval of runs.

Notebooks 5 and 6. The small batches and the network are those of `training`
too.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from labkit.checks import slips
from labkit.checks.comparing import (
    Slips,
    all_alike,
    combined,
    named,
    number,
    pair,
    require,
)
from labkit.checks.harness import CheckFailed, call, check, generator, trying
from labutils import scratch, settings

V, H = 5, 4
EQUAL_ROWS = ((3, 4), (3, 4), (3, 2))
FEWER_ROWS = ((3, 4), (3, 4), (1, 2))
LONG = ((3, 150), (3, 150))
STUDENT_T = 4.303  # two degrees of freedom, 95 %
# 1, 2, 3 come late: their variance is their standard deviation.
RUNS = (
    [2.0, 4.0, 9.0], [7.1, 6.4, 6.9], [155.0, 36.0, 98.0],
    [-4.5, 0.25, -2.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0],
)
ROUNDED = "rounded: keep all digits, they are cut where a number is printed"


class Batches:
    """Batches of fixed numbers, the last one smaller than the others.

    Args:
        use_random_iter: what they say of themselves.
        sizes: (B, T) of each; a state is carried on to as many rows only.
    """

    def __init__(
        self, use_random_iter: bool,
        sizes: tuple[tuple[int, int], ...] = EQUAL_ROWS,
    ) -> None:
        self.use_random_iter = use_random_iter
        self.batch_size, self.num_steps = sizes[0]
        numbers = generator(3)
        self.batches = [
            (torch.randint(V, size, generator=numbers),
             torch.randint(V, size, generator=numbers))
            for size in sizes]

    def part(self, used: slice) -> "Batches":
        """Some of them alone."""
        some = Batches(self.use_random_iter)
        some.batches = self.batches[used]
        return some

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return iter([(X.clone(), Y.clone()) for X, Y in self.batches])

    def __len__(self) -> int:
        return len(self.batches)


class Model(scratch.RNNModelScratch):
    """As in notebook 3: its parameters are a list."""

    def parameters(self) -> list[torch.Tensor]:
        return self.params


def tiny_model(
    device: torch.device, scale: float, lstm: bool = False, steep: bool = False
) -> Model:
    """A small network, always the same.

    Args:
        device: where it lives.
        scale: of the weights.
        lstm: an LSTM in place of a plain recurrent network.
        steep: with gradients so large, in single numbers too, that they
            have to be clipped.
    """
    model = Model(
        V, H, device,
        *((scratch.get_lstm_params, scratch.init_lstm_state, scratch.lstm)
          if lstm else
          (scratch.get_rnn_params, scratch.init_rnn_state, scratch.rnn)))
    numbers = generator(4)
    with torch.no_grad():
        for p in model.params:
            p.copy_(scale * torch.randn(p.shape, generator=numbers))
        model.params[-2].mul_(7 if steep else 1)
    return model


class Losses(NamedTuple):
    """Of a batch: the loss of every token (nats), and the rows."""

    nats: torch.Tensor
    rows: int


def token_losses(
    logits: torch.Tensor, X: torch.Tensor, Y: torch.Tensor,
    targets: str = "right", softmax: bool = False, nll: bool = False,
) -> torch.Tensor:
    """The loss of every token, right or with a slip."""
    B, wanted = len(X), Y.T
    if targets == "last":
        logits, wanted = logits[-B:], wanted[-1:]
    elif targets == "late":  # Y shifted once more, the last step left out
        logits, wanted = logits[:-B], wanted[1:]
    elif targets == "early":
        logits, wanted = logits[B:], wanted[:-1]
    elif targets == "next of X":
        logits, wanted = logits[:-B], X.T[1:]
    elif targets == "turned":
        wanted = wanted.roll(-1, 0)
    elif targets == "rows":
        wanted = Y
    elif targets == "inputs":
        wanted = X.T
    if nll:
        return F.nll_loss(logits, wanted.reshape(-1), reduction="none")
    scores = logits.softmax(-1) if softmax else logits
    return F.cross_entropy(scores, wanted.reshape(-1), reduction="none")


# Of both checks: the arguments of token_losses that make each slip.
SLIPS: Slips = {
    slips.SWAPPED + " (in the targets: Y.T, as the logits)":
        {"targets": "rows"},
    slips.TARGETS + " (Y holds it; this is X)": {"targets": "inputs"},
    slips.TARGETS + " (Y is shifted already; this shifts once more)":
        {"targets": "late"},
    slips.TARGETS + " (Y is shifted already; no other shift)":
        {"targets": "turned"},
    slips.TARGETS + " (Y is shifted already; this shifts it back)":
        {"targets": "early"},
    slips.TARGETS + " (Y holds it, also the last one; this is X, shifted)":
        {"targets": "next of X"},
    slips.SOFTMAX: {"softmax": True},
    "F.nll_loss wants the logarithms of probabilities; F.cross_entropy takes "
    "the logits": {"nll": True},
    "only the last step counts; every step has a target":
        {"targets": "last"},
}


def carry_slips(use_random_iter: bool) -> Slips:
    """The argument of `forward` that makes each slip with a state."""
    if use_random_iter:
        name = ("state carried between random batches: their rows start "
                "anywhere, so each begins with an empty memory")
        return {name: {"carry": "yes"}}
    return {
        "state not carried from batch to batch: row i goes on where it "
        "stopped": {"carry": "no"}}


def forward(
    model: Model, batches: Batches, *, carry: str = "", again: bool = False,
    **changed: Any,
) -> Iterator[Losses]:
    """The losses of one batch after the other, right or with a slip.

    Args:
        model: its weights may change between two batches.
        batches: with or without a state that goes on.
        carry: "yes", "no", or what is wrong with the state that goes on.
        again: each batch is read once more, for its loss alone.
        changed: of token_losses.
    """
    carry = carry or ("no" if batches.use_random_iter else "yes")
    device, state = model.params[0].device, None
    for X, Y in batches:
        X, Y = X.to(device), Y.to(device)
        if state is None or carry == "no":
            state = model.begin_state(len(X), device)
        elif carry == "hidden alone":
            state = (state[0], torch.zeros_like(state[1]))
        elif carry == "cell alone":
            state = (torch.zeros_like(state[0]), state[1])
        if carry != "not detached":
            state = tuple(s.detach() for s in state)
        logits, after = model(X, state)
        yield Losses(token_losses(logits, X, Y, **changed), len(X))
        if again:
            logits, _ = model(X, state)
            yield Losses(token_losses(logits, X, Y, **changed), len(X))
        state = after


def perplexity(losses: list[Losses]) -> float:
    """exp of the mean over all tokens."""
    return float(torch.cat([b.nats for b in losses]).double().mean().exp())


def perplexity_slip(got: float, losses: list[Losses]) -> str:
    """What a wrong perplexity was made of; may be empty."""
    sums = [float(b.nats.double().sum()) for b in losses]
    counts = [b.nats.numel() for b in losses]
    means = [s / n for s, n in zip(sums, counts, strict=True)]
    rows, number = [b.rows for b in losses], len(losses)
    steps = [n // r for n, r in zip(counts, rows, strict=True)]
    total, tokens = sum(sums), sum(counts)

    def weighted(values: list[float], weights: list[int]) -> float:
        return sum(v * w for v, w in zip(values, weights, strict=True))

    def exp(nats: float) -> float:
        return math.exp(nats) if nats < 700 else math.inf

    added = {
        "the losses of all tokens are added up": total,
        "the means of the batches are added up": sum(means),
        "means are weighted by rows": weighted(means, rows),
        "means are weighted by steps": weighted(means, steps),
        "sums are weighted by tokens as if they were means":
            weighted(sums, counts),
        "every batch is weighted as a full one": sum(means) * counts[0],
    }
    divided = {
        "divided by the tokens": tokens, "not divided by anything": 1,
        "divided by the number of batches": number,
        "divided by the number of rows": sum(rows),
        "divided by the number of steps": sum(steps),
        "divided by the tokens of as many full batches": counts[0] * number,
        "divided by the tokens of the last batch alone": counts[-1],
        "divided by the tokens of the first batch alone": counts[0],
    }
    # What stands in the place of the mean over tokens.
    means_of = {
        "": total / tokens,
        slips.OVER_BATCHES: sum(means) / number,
        "only the last batch is measured": means[-1],
        "only the first batch is measured (a `return` inside the loop?)":
            means[0],
        "the last batch is left out": sum(sums[:-1]) / sum(counts[:-1] or [1]),
        "the first batch is left out": sum(sums[1:]) / sum(counts[1:] or [1]),
        **{f"{slips.WRONG_COUNT} (here {what}, {by})": some / count
           for by, count in divided.items() for what, some in added.items()
           if count != tokens or some != total},
    }
    mean = means_of[""]
    values = {name: exp(nats) for name, nats in means_of.items() if name} | {
        slips.OVER_BATCHES + " (not after each batch)":
            sum(map(exp, means)) / number,
        "exp comes last: the mean is taken over the losses of the tokens, "
        "not over perplexities of batches":
            weighted([*map(exp, means)], counts) / tokens,
        "exp comes last: the mean is taken over the losses of the tokens, "
        "not over their perplexities":
            float(torch.cat([b.nats for b in losses]).exp().mean()),
        "exp comes last: divide by the number of tokens before exp":
            exp(total) / tokens,
        "2 to the power of nats: the loss is in nats, so take exp": 2 ** mean,
        "10 to the power of nats: the loss is in nats, so take exp":
            10 ** min(mean, 300),
        "bits, not a perplexity: take exp of the nats": mean / math.log(2),
        "upside down: exp of the mean loss, not of minus the mean loss":
            exp(-mean),
        "exp is missing: this is the loss in nats": mean,
    } | {
        f"exp is missing, and {name}": nats
        for name, nats in means_of.items() if name}
    return named(values, partial(math.isclose, got, rel_tol=2e-5))


# ---- perplexity


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
        with trying(f"{len(batches)} {kind_of} batches{size_words}"):
            got = _measured(function, model, batches)
            expected = perplexity(_losses(model, batches))
            if not math.isclose(got, expected, rel_tol=1e-4):
                raise CheckFailed(f"{got:.4g}", f"{expected:.4g}",
                                  _slip(got, model, batches))
    return ("Agrees with labutils on batches of different sizes, sequential "
            "and random: a mean over tokens.")


def _measured(function: Callable, model: Model, batches: Batches) -> float:
    """The solution's perplexity; it must leave the model as it was."""
    before = [p.detach().clone() for p in model.params]
    fewer = len({len(X) for X, _ in batches}) > 1
    got = number(call(
        function, model, batches, explain=lambda error:
        "the last batch has fewer rows, so its state has fewer too: "
        "begin_state(X.shape[0], device)"
        if fewer and "size" in error else ""))
    require(torch.is_grad_enabled(), "gradients are switched off for all that "
            "follows", "only while measuring", "`with torch.no_grad():` ends "
            "with its block, torch.set_grad_enabled(False) does not")
    require(all_alike(model.params, before), "other weights than before",
            "the same", "measuring must not train")
    require(all(p.grad is None for p in model.params), "gradients on the "
            "parameters", "none", "no backward() while measuring")
    require(all(p.requires_grad for p in model.params), "parameters that can "
            "no longer be trained", "requires_grad as before",
            "torch.no_grad() is enough to measure without gradients")
    return got


@torch.no_grad()
def _losses(model: Model, batches: Batches, **slip: Any) -> list[Losses]:
    return list(forward(model, batches, **slip))


def _slip(got: float, model: Model, batches: Batches) -> str:
    if not math.isfinite(got):
        return ("a number out of range: add up the losses of the tokens, "
                "divide by their number, and take exp only then")
    lost: Slips = {} if batches.use_random_iter else {
        slips.CELL_LOST: {"carry": "hidden alone"},
        "the LSTM's hidden state is lost: both H and C go on to the next "
        "batch": {"carry": "cell alone"},
    }
    changes = {**carry_slips(batches.use_random_iter), **lost, **SLIPS}
    made = {name: partial(_losses, model, batches, **change)
            for name, change in changes.items()}
    likely = perplexity_slip(got, _losses(model, batches)) or named(
        made, lambda losses: math.isclose(
            got, perplexity(losses()), rel_tol=2e-5))
    if likely:
        return likely
    second = ""

    def with_another(losses: Callable[[], list[Losses]]) -> bool:
        nonlocal second
        second = perplexity_slip(got, losses())
        return bool(second)

    if first := named(made, with_another):
        return f"two slips. First: {first}. Second: {second}"
    return "" if got >= 1 else (
        "a perplexity is never below 1: it is exp of a mean loss")


# ---- the interval around a mean of runs


@check
def interval(function) -> str:
    """Mean and half width for three runs."""
    for values in RUNS:
        with trying(f"interval({values})"):
            given = list(values)
            got = call(function, given)
            if hasattr(got, "tolist"):  # two numbers in an array are two
                got = got.tolist()
            mean, half = map(_number, pair("mean, half width", got))
            _mean(values, mean)
            _half_width(values, half)
            require(given == values, f"afterwards values is {given}",
                    f"{values}", slips.CHANGED)
    return ("Mean and half width agree with Student's t for three values, by "
            "hand for 1, 2, 3.")


def _number(value: Any) -> float:
    require(not isinstance(value, str), f"the string {value!r}", "a number",
            "two numbers, not words: f-strings come later, in print")
    return number(value, "a number", "each of the two is one number, whatever "
                  "how many runs there are")


def _near(a: float, b: float, tolerance: float = 1e-3) -> bool:
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-5)


def _is_rounded(number: float, exact: float) -> bool:
    near = [round(exact, digits) for digits in range(4)]
    return number in (*near, math.floor(exact), math.trunc(exact))


def _spread(values: list[float]) -> float:
    center = sum(values) / len(values)
    squares = sum((v - center) ** 2 for v in values)
    return math.sqrt(squares / (len(values) - 1))


def _half(values: list[float]) -> float:
    return STUDENT_T * _spread(values) / math.sqrt(len(values))


def _mean(values: list[float], mean: float) -> None:
    n, center = len(values), sum(values) / len(values)
    if _near(mean, center, 1e-6):
        return
    likely = named({
        "the two ends of the interval; expected its middle and half of its "
        "width": center - _half(values),
        "half width and mean are swapped": _half(values),
        "the median is not the mean": sorted(values)[1],
        "the sum is not divided by the number of values": sum(values),
        "divide by the number of values, 3": sum(values) / (n - 1),
        "// rounds down; / does not": sum(values) // n,
        "absolute values: a mean, as a difference, may be negative":
            sum(map(abs, values)) / n,
        "absolute value: a mean, as a difference, may be negative":
            abs(center),
    }, lambda result: _near(mean, result, 1e-6))
    if not likely and _is_rounded(mean, center):
        likely = ROUNDED
    raise CheckFailed(f"mean {mean:.6g}", f"{center:.6g}", likely)


def _half_width(values: list[float], half: float) -> None:
    expected = _half(values)
    # Two or three digits are seen by their digits, not by the distance.
    rounded = _is_rounded(half, expected) and half != expected
    if _near(half, expected) and not rounded:
        return
    likely = ROUNDED if rounded else _width_slip(half, values)
    if not likely and _near(half, (max(values) - min(values)) / 2):
        likely = ("half of the distance between the largest and the smallest "
                  "value in place of 4.303 standard errors")
    raise CheckFailed(f"half width {half:.4g}", f"{expected:.4g}", likely)


def _width_slip(half: float, values: list[float]) -> str:
    """The slips in a half width."""
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
        "n - 1 belongs into the variance; the standard error is divided by "
        "the root of n": math.sqrt(n - 1),
    }
    return named(
        combined(factors, spreads, divisors, most=3),
        lambda c: c[1] and _near(half, c[0] * c[1] / c[2]))
