"""Checks of training and measuring: an epoch with its parts, perplexity, runs.

The batches and the network that they have in common are small.
"""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from statistics import stdev
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.checks import slips
from labkit.checks.comparing import (
    Slips,
    alike,
    all_alike,
    combined,
    named,
    number,
    pair,
    require,
)
from labkit.checks.harness import (
    CheckFailed,
    call,
    check,
    devices,
    generator,
    names_of,
    trying,
)
from labutils import scratch, settings
from labutils.scratch import RNNModelScratch as Model

V, H = 5, 4
EQUAL_ROWS = ((3, 4), (3, 4), (3, 2))
FEWER_ROWS = ((3, 4), (3, 4), (1, 2))
LONG = ((3, 150), (3, 150))
Tensors = list[Tensor]
Losses = tuple[Tensor, int]  # of a batch: of every token (nats); rows


def _values(params: Tensors) -> Tensors:
    return [p.detach().clone() for p in params]


class Batches:
    """Batches of fixed numbers, the last one smaller than the others."""

    def __init__(self, use_random_iter: bool, sizes=EQUAL_ROWS) -> None:
        self.use_random_iter = use_random_iter
        self.batch_size, self.num_steps = sizes[0]
        draw = partial(torch.randint, V, generator=generator(3))
        self.batches = [(draw(size), draw(size)) for size in sizes]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter([(X.clone(), Y.clone()) for X, Y in self.batches])

    def __len__(self) -> int:
        return len(self.batches)


def tiny_model(device: torch.device, lstm=False, steep=False) -> Model:
    """A small network, always the same.

    Where it is `steep`, gradients are so large, in single numbers too, that
    they have to be clipped.
    """
    model = Model(V, H, device, *(
        (scratch.get_lstm_params, scratch.init_lstm_state, scratch.lstm)
        if lstm else
        (scratch.get_rnn_params, scratch.init_rnn_state, scratch.rnn)))
    numbers, scale = generator(4), 1.0 if lstm else 0.7 if steep else 0.3
    with torch.no_grad():
        for p in model.params:
            p.copy_(scale * torch.randn(p.shape, generator=numbers))
        model.params[-2].mul_(7 if steep else 1)
    return model


# Of both checks, as arguments of `forward`: which scores x, (T, B, V), meet
# which targets, or the loss.
SLIPS: Slips = {
    slips.SWAPPED + " (in the targets: Y.T, as the logits)":
        {"pairs": lambda x, X, Y: (x, Y.T)},
    slips.TARGETS + " (Y holds it; this is X)":
        {"pairs": lambda x, X, Y: (x, X)},
    slips.TARGETS + " (Y is shifted already; this shifts once more)":
        {"pairs": lambda x, X, Y: (x[:-1], Y[1:])},
    slips.TARGETS + " (Y is shifted already; no other shift)":
        {"pairs": lambda x, X, Y: (x, Y.roll(-1, 0))},
    slips.TARGETS + " (Y is shifted already; this shifts it back)":
        {"pairs": lambda x, X, Y: (x[1:], Y[:-1])},
    slips.TARGETS + " (Y holds it, also the last one; this is X, shifted)":
        {"pairs": lambda x, X, Y: (x[:-1], X[1:])},
    slips.SOFTMAX: {"pairs": lambda x, X, Y: (x.softmax(-1), Y)},
    "F.nll_loss wants the logarithms of probabilities; F.cross_entropy takes "
    "the logits": {"loss": F.nll_loss},
    "only the last step counts; every step has a target":
        {"pairs": lambda x, X, Y: (x[-1:], Y[-1:])},
}


# By use_random_iter, the argument of `forward` that makes the slip in a state.
CARRY: dict[bool, Slips] = {
    True: {"state carried between random batches: their rows start anywhere, "
           "so each begins with an empty memory": {"carry": "yes"},
           "state carried between random batches, and " + slips.NOT_DETACHED:
               {"carry": "not detached"}},
    False: {"state not carried from batch to batch: row i goes on where it "
            "stopped": {"carry": "no"},
            slips.NOT_DETACHED: {"carry": "not detached"}},
}

# Of an LSTM's state; a random batch starts from none.
LOST: Slips = {
    slips.CELL_LOST: {"kept": (1, 0)},
    "the LSTM's hidden state is lost: both H and C go on to the next batch":
        {"kept": (0, 1)},
}


def forward(
    model: Model, batches: Batches, *, carry: str = "", kept=(1, 1),
    used=slice(None), again: bool = False,
    pairs=lambda x, X, Y: (x, Y), loss=F.cross_entropy,
) -> Iterator[Losses]:
    """The losses of one batch after the other, right or with a slip.

    The slip is in the state (`carry` it, yes or no, or what is `kept` of H
    and C), in the batches that are `used`, in the `pairs` of scores and
    targets, in the `loss`, or each batch is read `again`, for its loss alone.
    """
    carry = carry or ("no" if batches.use_random_iter else "yes")
    device, state = model.params[0].device, None
    for X, Y in [*batches][used]:
        X, Y = X.T.to(device), Y.T.to(device)
        B = X.shape[1]
        if state is None or carry == "no":
            state = model.begin_state(B, device)
        if carry != "not detached":
            state = tuple(s.detach() for s in state)
        state = tuple(k * s for k, s in zip(kept, state, strict=False))
        logits, after = model(X.T, state)
        for read_again in range(1 + again):
            if read_again:
                logits, _ = model(X.T, state)
            scores, targets = pairs(logits.unflatten(0, (-1, B)), X, Y)
            yield loss(scores.flatten(0, 1), targets.flatten(),
                       reduction="none"), B
        state = after


def perplexity(losses: Sequence[Losses]) -> float:
    """exp of the mean over all tokens."""
    return float(torch.cat([nats for nats, _ in losses]).double().mean().exp())


def perplexity_slip(got: float, losses: Sequence[Losses]) -> str:
    """What a wrong perplexity was made of; may be empty."""
    if not math.isfinite(got):
        return ("a number out of range: add up the losses of the tokens, "
                "divide by their number, and take exp only then")
    sums, counts, rows = torch.tensor(
        [(float(nats.double().sum()), len(nats), B) for nats, B in losses],
        dtype=torch.float64).T
    means, steps = sums / counts, counts / rows
    tokens = counts.sum()
    mean = sums.sum() / tokens
    added = {
        "the losses of all tokens are added up": sums,
        "the means of the batches are added up": means,
        "means are weighted by rows": means * rows,
        "means are weighted by steps": means * steps,
        "sums are weighted by tokens as if they were means": sums * counts,
        "every batch is weighted as a full one": means * counts[0],
    }
    divided = {
        "divided by the tokens": tokens, "not divided by anything": 1,
        "divided by the number of batches": len(losses),
        "divided by the number of rows": rows.sum(),
        "divided by the number of steps": steps.sum(),
        "divided by the tokens of as many full batches":
            counts[0] * len(losses),
        "divided by the tokens of the last batch alone": counts[-1],
        "divided by the tokens of the first batch alone": counts[0],
    }
    # What stands in the place of the mean over tokens.
    means_of = {
        slips.OVER_BATCHES: means.mean(),
        "only the last batch is measured": means[-1],
        "only the first batch is measured (a `return` inside the loop?)":
            means[0],
        "the last batch is left out": sums[:-1].sum() / counts[:-1].sum(),
        "the first batch is left out": sums[1:].sum() / counts[1:].sum(),
        **{f"{slips.WRONG_COUNT} (here {what}, {by})": some.sum() / count
           for by, count in divided.items() for what, some in added.items()},
    }
    return named({
        **{name: nats.exp() for name, nats in means_of.items()},
        slips.OVER_BATCHES + " (not after each batch)": means.exp().mean(),
        "exp comes last: the mean is taken over the losses of the tokens, "
        "not over perplexities of batches":
            (means.exp() * counts).sum() / tokens,
        "exp comes last: the mean is taken over the losses of the tokens, "
        "not over their perplexities":
            torch.cat([nats for nats, _ in losses]).exp().mean(),
        "exp comes last: divide by the number of tokens before exp":
            sums.sum().exp() / tokens,
        "2 to the power of nats: the loss is in nats, so take exp": 2 ** mean,
        "10 to the power of nats: the loss is in nats, so take exp":
            10 ** mean,
        "bits, not a perplexity: take exp of the nats": mean / math.log(2),
        "upside down: exp of the mean loss, not of minus the mean loss":
            (-mean).exp(),
        "exp is missing: this is the loss in nats": mean,
        **{f"exp is missing, and {name}": nats
           for name, nats in means_of.items()},
        **{f"2 to the power of nats in place of exp, and {name}": 2 ** nats
           for name, nats in means_of.items()},
    }, partial(math.isclose, got, rel_tol=2e-5))


@check
def evaluate_perplexity(function) -> str:
    """A mean over tokens."""
    # The function takes the notebook's, which may be another one.
    device = names_of(function).get("device")
    if not isinstance(device, torch.device):
        device = settings.device()
    for order, sizes, words in (
        ("sequential", EQUAL_ROWS, ", the last one shorter"),
        ("random", EQUAL_ROWS, ", the last one shorter"),
        ("random", FEWER_ROWS, ", the last one with fewer rows"),
        ("sequential", LONG, " of 450 tokens each"),
    ):
        model = tiny_model(device, lstm=True)
        batches = Batches(order == "random", sizes)
        with trying(f"{len(batches)} {order} batches{words}"):
            got = _measured(function, model, batches)
            losses = [*forward(model, batches)]
            expected = perplexity(losses)
            if not math.isclose(got, expected, rel_tol=1e-4):
                raise CheckFailed(f"{got:.4g}", f"{expected:.4g}",
                                  perplexity_slip(got, losses)
                                  or _forward_slip(got, model, batches))
    return ("Agrees with labutils on batches of different sizes, sequential "
            "and random: a mean over tokens.")


def _measured(function: Callable, model: Model, batches: Batches) -> float:
    """The solution's perplexity; it must leave the model as it was."""
    before = _values(model.params)
    fewer = len({len(X) for X, _ in batches}) > 1
    got = number(call(
        function, model, batches, explain=lambda error:
        "the last batch has fewer rows, so its state has fewer too: "
        "begin_state(X.shape[0], device)" if fewer and "size" in error
        else "no backward() while measuring"
        if "does not require grad" in error else ""))
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
def _forward_slip(got: float, model: Model, batches: Batches) -> str:
    """A slip before the losses, alone or with one in what is made of them."""
    made = {name: [*forward(model, batches, **change)] for name, change in {
        **CARRY[batches.use_random_iter], **LOST, **SLIPS}.items()}
    return named(made, lambda losses: math.isclose(
        got, perplexity(losses), rel_tol=2e-5)) or next(
        (f"two slips. First: {first}. Second: {second}"
         for first, losses in made.items()
         if (second := perplexity_slip(got, losses))), "" if got >= 1 else
        "a perplexity is never below 1: it is exp of a mean loss")


def _flat(tensors: Tensors) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def _norm(tensors: Tensors) -> float:
    return float(_flat(tensors).norm())


@dataclass
class _Trial:
    """What a solution has made of parameters p and their gradients g."""

    p: Tensors
    g: Tensors
    size: float  # theta or lr
    after: Tensors = field(default_factory=list)  # gradients, or parameters
    tried: str = ""
    cleared: bool = False

    def clipped(self) -> Tensors:
        factor = min(1.0, self.size / _norm(self.g))
        return [g * factor for g in self.g]

    def moved(self, move=lambda p, g, lr: p - lr * g) -> Tensors:
        """The parameters after a rule's step."""
        return [move(p, g, self.size)
                for p, g in zip(self.p, self.g, strict=True)]


@check
def grad_clipping(function) -> str:
    """One factor for all gradients."""
    cases = []
    for device in devices():
        by_hand = [torch.tensor([3.0]), torch.tensor([[4.0]])]
        more = [torch.randn(3, 4) * 5, torch.randn(2), torch.randn(4) / 10]
        for module, grads, theta, part in product(
                (False, True), (by_hand, more), (1, 0.5, 2.5),
                (None, 1.2, 0.8)):
            factor = part * theta / _norm(grads) if part else 1
            given = [(g * factor).to(device) for g in grads]
            cases.append(_clip(function, module, given, theta))
    if wrong := [c for c in cases if not all_alike(c.after, c.clipped())]:
        likely, shown = _clipping_slip(cases, wrong)
        raise CheckFailed(f"gradients {_first_numbers(shown.after)}",
                          _first_numbers(shown.clipped()), likely, shown.tried)
    return ("The common norm is brought down to theta, the direction stays, "
            "and smaller gradients are left alone.")


def _clip(function, module: bool, given: Tensors, theta: float) -> _Trial:
    tried = f"gradients {_first_numbers(given)}, theta = {theta}"
    tried = f"{tried}, of an nn.Module" if module else tried
    weights = [torch.randn_like(g) for g in given]
    params: Tensors = [nn.Parameter(w.clone()) for w in weights]
    for p, g in zip(params, given, strict=True):
        p.grad = g.clone()
    # One has no list of its parameters, the other is made like our own.
    model = nn.ParameterList(params) if module else Model(
        V, H, given[0].device, lambda *_: params, scratch.init_rnn_state,
        scratch.rnn)
    with trying(tried):
        call(function, model, theta)
        params = list(model.parameters())
        require(all_alike(params, weights), "other parameters than before",
                "only the gradients change",
                "it is p.grad that has to be scaled, not p")
        after = [p.grad for p in params if p.grad is not None]
        require(len(after) == len(params), "a gradient is None", "gradients",
                "they are scaled, not removed")
    return _Trial(weights, given, theta, after, tried)


def _first_numbers(tensors: Tensors) -> str:
    """The first numbers of some tensors, and their common norm."""
    flat = _flat(tensors)
    numbers = ", ".join(f"{x:.3g}" for x in flat[:3].tolist())
    more = ", ..." if len(flat) > 3 else ""
    return f"{numbers}{more} (norm {float(flat.norm()):.3g})"


def _clipping_slip(
    cases: list[_Trial], wrong: list[_Trial]
) -> tuple[str, _Trial]:
    """A slip that explains what came of every case, and a case to show."""
    if likely := named(CLIPS, partial(_explains, cases)) or named(
            combined(NORMS, SCALED, WHEN),
            lambda slips: _explains(cases, lambda c: _clipped(c, *slips))):
        return likely, wrong[0]
    # Without a name for it, the case that tells most.
    most = min(wrong, key=_strange)
    return _strange(most)[1], most


def _explains(trials: list[_Trial], make: Callable[[_Trial], Tensors]) -> bool:
    return all(all_alike(trial.after, make(trial)) for trial in trials)


def _strange(case: _Trial) -> tuple[int, str]:
    """What the factors say of a slip; the smaller the number, the more."""
    old, new = _flat(case.g), _flat(case.after)
    most = new.abs().max()
    ratios = [_norm([a]) / _norm([g])
              for a, g in zip(case.after, case.g, strict=True)]
    said = (
        (not new.isfinite().all(), "nan or inf comes from the root of a "
         "negative number (the squares are missing) or from a division by "
         "zero"),
        (1 < int((old.abs() > most).sum()) < len(old)
         and alike(new, old.clamp(-most, most)), slips.CLIP_VALUE),
        (not all_alike(case.after, map(operator.mul, case.g, ratios)),
         "the direction changes: one factor, from the norm over all gradients "
         "together, has to scale every number"),
        (max(ratios) - min(ratios) > 1e-2 * max(ratios), slips.CLIP_EACH),
        (True, "one factor for all, but another than theta / norm"))
    return next((i, words) for i, (holds, words) in enumerate(said) if holds)


_ROOT = "the norm is the root of the sum of squares "

# What is taken for the norm, of gradients G and weights W.
NORMS: Slips = {
    "": lambda G, W: _norm(G),
    _ROOT + "(the root is missing)": lambda G, W: _norm(G) ** 2,
    _ROOT + "(the squares are missing)": lambda G, W: max(
        0.0, sum(float(g.sum()) for g in G)) ** 0.5,
    _ROOT + "(not a plain sum)": lambda G, W: sum(float(g.sum()) for g in G),
    _ROOT + "(not of absolute values)":
        lambda G, W: sum(float(g.abs().sum()) for g in G),
    "the norm of all is not the sum of the norms":
        lambda G, W: sum(_norm([g]) for g in G),
    "the norm of all is not the mean of the norms":
        lambda G, W: sum(_norm([g]) for g in G) / len(G),
    "the norm of all is not the largest of the norms":
        lambda G, W: max(_norm([g]) for g in G),
    "the squares are added up, not averaged":
        lambda G, W: _norm(G) / len(_flat(G)) ** 0.5,
    "the squares are added up, not averaged in each parameter":
        lambda G, W: sum(float((g ** 2).mean()) for g in G) ** 0.5,
    "the gradients of one parameter alone make the norm (the first)":
        lambda G, W: _norm(G[:1]),
    "the gradients of one parameter alone make the norm (the last)":
        lambda G, W: _norm(G[-1:]),
    "the largest number is not the norm":
        lambda G, W: max(float(g.abs().max()) for g in G),
    "the norm of the parameters is taken: it is the gradients' norm, p.grad":
        lambda G, W: _norm(W),
}
# What comes of a gradient g, where n is above t, theta; m is its own norm.
SCALED: Slips = {
    "": lambda g, n, m, t: g * t / n,
    "the factor is upside down: theta / norm": lambda g, n, m, t: g * n / t,
    "theta is missing in the factor: theta / norm": lambda g, n, m, t: g / n,
    "the norm is missing in the factor: theta / norm":
        lambda g, n, m, t: g * t,
    _ROOT + "(the root is missing in the factor)":
        lambda g, n, m, t: g * t / n ** 2,
    "gradients are scaled, not set to zero": lambda g, n, m, t: 0 * g,
    slips.CLIP_EACH: lambda g, n, m, t: g * t / m,
    slips.CLIP_VALUE: lambda g, n, m, t: g.clamp(-t, t),
    slips.CLIP_VALUE + " (and no number below -theta is kept)":
        lambda g, n, m, t: g.clamp(max=t),
}
# When a gradient is scaled.
WHEN: Slips = {
    "": lambda n, m, t: n > t,
    "nothing is scaled: change the gradients themselves, in place, or set "
    "p.grad; and what is read twice has to be a list, not a generator":
        lambda n, m, t: False,
    "gradients below theta are scaled up: the factor is at most 1":
        lambda n, m, t: True,
    "the comparison is the wrong way round: large gradients are scaled, "
    "small ones left alone": lambda n, m, t: n < t,
    _ROOT + "(the root is missing in the comparison)":
        lambda n, m, t: n * n > t,
    "theta is missing: the norm is brought down to theta, not to 1":
        lambda n, m, t: n > 1,
    slips.CLIP_EACH + " (in the comparison)": lambda n, m, t: m > t,
}


def _clipped(case: _Trial, norm, scaled, when) -> Tensors:
    n, theta = norm(case.g, case.p), case.size
    return [scaled(g, n, m, theta) if when(n, m, theta) else g
            for g in case.g for m in [_norm([g])]]


# What does not follow the same rule for each gradient, or has two of it.
CLIPS: Slips = {
    slips.CLIP_EACH: lambda case: [
        g * min(1.0, case.size / _norm([g])) for g in case.g],
    slips.CLIP_EACH + " (and never up)": lambda case: [
        g * (case.size / _norm([g])) for g in case.g],
    "the norm is not complete yet: add up all gradients first, then scale in "
    "a second loop": lambda case: [
        g * min(1.0, case.size / _norm(case.g[:i + 1]))
        for i, g in enumerate(case.g)],
    "only the first gradient is scaled":
        lambda case: [case.clipped()[0], *case.g[1:]],
    "only the last gradient is scaled":
        lambda case: [*case.g[:-1], case.clipped()[-1]],
    "nothing is scaled: parameters() of an nn.Module can be read once only, "
    "so keep list(model.parameters())":
        lambda case: case.g if "Module" in case.tried else case.clipped(),
}


@check
def sgd(function) -> str:
    """A step downhill, and no gradients afterwards."""
    for device in devices():
        steps = [step for lr in (0.5, 1, 0.01)
                 for step in _two_steps(function, device, lr)]
        for step in steps:
            if all_alike(step.after, step.moved()):
                continue
            old, new, right, grad = _strangest(
                step.p, step.after, step.moved(), step.g)
            raise CheckFailed(f"a number goes from {old:.3g} to {new:.3g}",
                              f"to {right:.3g} (its gradient is {grad:.3g})",
                              _step_slip(steps), step.tried)
        for step in steps:
            with trying(step.tried):
                require(step.cleared, "gradients are still there",
                        "zero, or None", slips.NOT_ZEROED)
    return ("Each parameter moves by lr times its gradient, in place, and the "
            "gradients are zero afterwards.")


def _strangest(old: Tensors, new: Tensors, right: Tensors, *more: Tensors):
    """The numbers at the place where new and right ones differ most."""
    rows = torch.stack([*map(_flat, (old, new, right, *more))])
    far = (rows[1] - rows[2]).abs().nan_to_num(torch.inf).argmax()
    return rows[:, far].tolist()


def _two_steps(function, device: torch.device, lr: float) -> Iterator[_Trial]:
    params = [torch.randn(s, device=device).requires_grad_()
              for s in ((2, 3), (4,), (1, 1))]
    first = f"three parameters, lr = {lr}"
    for tried in (first, f"{first}, the second step"):
        old, grads = _values(params), [torch.randn_like(p) for p in params]
        for p, g in zip(params, grads, strict=True):
            p.grad = g.clone()
        with trying(tried):
            call(function, list(params), lr)
            require(all(p.requires_grad and p.is_leaf for p in params),
                    "a parameter that no longer collects gradients",
                    "requires_grad as before", "the step is inside `with "
                    "torch.no_grad():`, requires_grad stays as it is")
        cleared = not any(p.grad is not None and p.grad.any() for p in params)
        yield _Trial(old, grads, lr, _values(params), tried, cleared)


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


def _step_slip(steps: list[_Trial]) -> str:
    likely = named(MOVES, lambda move: _explains(
        steps, lambda step: step.moved(move)))
    if likely.startswith("nothing moves") and all(s.cleared for s in steps):
        return ("nothing moves: the step comes before the gradients go to "
                "zero, and it changes the parameter itself (param -= ...)")
    return likely or named({
        "only the first parameter moves (a `return` in the loop?)":
            lambda step: [step.moved()[0], *step.p[1:]],
        "only the last parameter moves; all of it belongs into the loop":
            lambda step: [*step.p[:-1], step.moved()[-1]],
    }, partial(_explains, steps)) or (
        "a step is lr times the gradient: nothing else goes into it, and "
        "nothing is kept from one step to the next")


@check
def train_epoch(function) -> str:
    """An epoch, weight by weight."""
    for device in devices():
        # On gentle slopes no gradient is clipped, so that its size is seen and
        # a long step is no other norm; on steep ones each of them is.
        for use_random_iter, steep, lr in product(
                (False, True), (False, True), (2.0, 0.5)):
            kind_of = "random" if use_random_iter else "sequential"
            with trying(f"three {kind_of} batches, the last one shorter, "
                        f"lr = {lr}, device = {device}"):
                _epoch(function, use_random_iter, device, steep, lr)
        with trying("one batch of 8 tokens, 60 times"):
            _overfits(function, device)
    return ("Weights and perplexity agree with labutils for sequential and "
            "random batches, and one batch repeated is learnt by heart.")


def _epoch(function, use_random_iter, device, steep, lr) -> None:
    model, batches = tiny_model(device, steep=steep), Batches(use_random_iter)
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
        before_loss = combined(
            {"": {}, **CARRY[use_random_iter]}, {"": {}, **SLIPS})
        likely = named({
            **{name: {**state, **targets}
               for name, (state, targets) in before_loss.items()}, **STEPS,
        }, lambda slip: all_alike(after, by_hand(**slip)[0]))
        if not likely:  # with lr = 0 nothing moves, unless it is not used
            model = tiny_model(device, steep=steep)
            call(function, model, batches, 0.0, device, use_random_iter)
            likely = ("a part of the step is missing or in another order: "
                      "forward, loss, backward, grad_clipping (to 1), sgd"
                      if all_alike(model.params, start)
                      else "lr is not used: hand it on to sgd")
        old, new, right = _strangest(start, after, weights)
        raise CheckFailed(f"a weight goes from {old:.4g} to {new:.4g}",
                          f"to {right:.4g}", likely)
    expected = perplexity(losses)
    if not math.isclose(got, expected, rel_tol=1e-3):
        afterwards = by_hand(again=True)[1][1::2]
        raise CheckFailed(
            f"the weights are right, the perplexity is {got:.4g}",
            f"{expected:.4g}", perplexity_slip(got, losses) or (
                "each batch is measured after the step that learns from it: "
                "take the loss from before" if math.isclose(
                    got, perplexity(afterwards), rel_tol=1e-4) else ""))


_LARGE = (slips.WRONG_COUNT + " (the loss that backward starts from is too "
          "large{})")

# What goes wrong after the loss, as arguments of `_by_hand`.
STEPS: Slips = {
    "gradients longer than 1 in the step: no clipping, or only after the "
    "step, or to another norm": {"theta": math.inf},
    **{f"clipping to the norm {norm}; expected to 1": {"theta": norm}
       for norm in (0.01, 0.1, 0.25, 0.5, 1.5, 2, 3, 5, 10)},
    **{words: {"clip": rule} for words, rule in CLIPS.items()},
    slips.CLIP_VALUE: {"clip": lambda case: [
        g.clamp(-1, 1) for g in case.g]},
    slips.NOT_ZEROED: {"zero": False},
    _LARGE.format(""): {"factor": lambda B, T: B * T},
    _LARGE.format(", by T"): {"factor": lambda B, T: T},
    _LARGE.format(", by B"): {"factor": lambda B, T: B},
    slips.WRONG_COUNT + " (here the mean is divided once more)":
        {"factor": lambda B, T: 1 / (B * T)},
    "one step for the whole epoch: every batch has its own": {
        "zero": False, "at_end": ["step"]},
    "one step for the whole epoch: every batch has its own (clipping "
    "and step)": {"zero": False, "at_end": ["step", "clip"]},
    "only the first batch is used (a `return` inside the loop?)":
        {"used": slice(1)},
    "only the last batch is used": {"used": slice(-1, None)},
    "the last batch is left out": {"used": slice(-1)},
    "the first batch is left out": {"used": slice(1, None)},
    "uphill: the step goes against the gradient": {"scale": -1},
    "the step is twice as long: one step a batch, lr times the gradient":
        {"scale": 2},
}


def _by_hand(
    device, steep, batches, lr, *, used=slice(None), clip=_Trial.clipped,
    theta=1.0, zero=True, factor=lambda B, T: 1, at_end=(), scale=1,
    **changed: Any,
) -> tuple[Tensors, list[Losses]]:
    """An epoch, right or with a slip: the weights, and every batch's loss."""
    model, losses, kept = tiny_model(device, steep=steep), [], None
    params, size = model.params, len(batches.batches[used])
    for nats, rows in forward(model, batches, used=used, **changed):
        losses.append((nats.detach(), rows))
        if "again" in changed and len(losses) % 2 == 0:
            continue
        grads = list(torch.autograd.grad(
            nats.mean() * factor(rows, len(nats) / rows), params,
            retain_graph="carry" in changed))
        if kept and not zero:
            grads = [g + k for g, k in zip(grads, kept, strict=True)]
        last = len(losses) == size
        if last or "clip" not in at_end:
            grads = clip(_Trial([], grads, theta))
        kept = grads
        if last or "step" not in at_end:
            for p, g in zip(params, grads, strict=True):
                p.data -= scale * lr * g  # unseen by backward
    return _values(params), losses


def _overfits(function, device: torch.device) -> None:
    """One batch, again and again, has to be learnt by heart."""
    batches, model = Batches(True), tiny_model(device)
    X = torch.tensor([[0, 1, 2, 3], [3, 4, 0, 1]])
    batches.batches = [(X, torch.tensor([[1, 2, 3, 4], [4, 0, 1, 2]]))]
    batches.batch_size = 2
    for _ in range(60):
        last = number(call(function, model, batches, 1, device, True))
    require(last < 1.5, f"perplexity {last:.3g}",
            "below 1.5: a batch so small is learnt by heart")


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
        with trying(f"interval({values})"):
            given = list(values)
            got = call(function, given)
            if hasattr(got, "tolist"):  # two numbers in an array are two
                got = got.tolist()
            mean, half = (
                number(value, "a number", "two numbers, not words: f-strings "
                       "come later, in print" if isinstance(value, str) else
                       "each of the two is one number, whatever how many runs "
                       "there are") for value in pair("mean, half width", got))
            center = sum(values) / len(values)
            width = STUDENT_T * stdev(values) / math.sqrt(len(values))
            if not _near(mean, center, rel_tol=1e-6):
                raise CheckFailed(f"mean {mean:.6g}", f"{center:.6g}",
                                  _mean_slip(mean, center, width, values))
            # Two or three digits are seen by their digits, not by the
            # distance.
            if not _near(half, width) or (
                    half != width and _is_rounded(half, width)):
                raise CheckFailed(f"half width {half:.4g}", f"{width:.4g}",
                                  _width_slip(half, width, values))
            require(given == values, f"afterwards values is {given}",
                    f"{values}", slips.CHANGED)
    return ("Mean and half width agree with Student's t for three values, by "
            "hand for 1, 2, 3.")


_near = partial(math.isclose, rel_tol=1e-3, abs_tol=1e-5)


def _is_rounded(number: float, exact: float) -> bool:
    return number in (*(round(exact, digits) for digits in range(4)),
                      math.floor(exact), math.trunc(exact))


def _mean_slip(
    mean: float, center: float, width: float, values: list[float]
) -> str:
    n, total = len(values), sum(values)
    return named({
        "the two ends of the interval; expected its middle and half of its "
        "width": center - width,
        "half width and mean are swapped": width,
        "the median is not the mean": sorted(values)[1],
        "the sum is not divided by the number of values": total,
        "divide by the number of values, 3": total / (n - 1),
        "// rounds down; / does not": total // n,
        "absolute values: a mean, as a difference, may be negative":
            sum(map(abs, values)) / n,
        "absolute value: a mean, as a difference, may be negative":
            abs(center),
    }, partial(_near, mean, rel_tol=1e-6)) or (
        ROUNDED if _is_rounded(mean, center) else "")


def _width_slip(half: float, width: float, values: list[float]) -> str:
    if _is_rounded(half, width):
        return ROUNDED
    n, variance = len(values), stdev(values) ** 2
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
    variances = {"": variance, "the variance divides by n - 1 (Bessel's "
                 "correction)": variance * (n - 1) / n}
    powers = {"": 0.5, "the variance in place of the standard deviation": 1.0}
    divisors = {
        "": math.sqrt(n),
        "the standard error of a mean is divided by the root of n": 1.0,
        "divided by n where the standard error takes its root": float(n),
        "n - 1 belongs into the variance; the standard error is divided by "
        "the root of n": math.sqrt(n - 1),
    }
    return named(
        combined(factors, variances, powers, divisors, most=3), lambda c:
        variance and _near(half, c[0] * c[1] ** c[2] / c[3])) or (
        "half of the distance between the largest and the smallest value in "
        "place of 4.303 standard errors"
        if _near(half, (max(values) - min(values)) / 2) else "")
