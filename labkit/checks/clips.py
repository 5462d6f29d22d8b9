"""The ways in which the clipping of gradients goes wrong."""

from collections.abc import Callable

import torch

from labkit.checks import slips

Tensors = list[torch.Tensor]
# Gradients, weights and theta to the gradients that the slip leads to.
Rule = Callable[[Tensors, Tensors, float], Tensors]


def norm_of(tensors: Tensors) -> float:
    """Root of the sum of the squares of all numbers."""
    return float(torch.cat([t.flatten() for t in tensors]).norm())


def strangeness(
    given: Tensors, after: Tensors, theta: float
) -> tuple[int, str]:
    """What the factors say of a slip without a name, and how much it tells.

    Returns:
        The more it tells, the larger the number; and a sentence.
    """
    if not all(a.isfinite().all() for a in after):
        return 4, (
            "nan or inf comes from the root of a negative number (the "
            "squares are missing) or from a division by zero")
    old, new = torch.cat([g.flatten() for g in given]), torch.cat(
        [a.flatten() for a in after])
    large = old.abs() > theta
    cut = new[large].abs()
    if (1 < len(cut) < len(old) and torch.equal(old[~large], new[~large])
            and float(cut.max() - cut.min()) < 1e-4):
        return 3, slips.CLIP_VALUE
    ratios = [norm_of([a]) / norm_of([g])
              for a, g in zip(after, given, strict=True)]
    if not all(torch.allclose(a, ratio * g, rtol=1e-2, atol=1e-4)
               for ratio, a, g in zip(ratios, after, given, strict=True)):
        return 2, (
            "the direction changes: one factor, from the norm over all "
            "gradients together, has to scale every number")
    if max(ratios) - min(ratios) > 1e-2 * max(ratios):
        return 1, slips.CLIP_EACH
    return 0, "one factor for all, but another than theta / norm"


def _down(norm: Callable[[Tensors, Tensors], float]) -> Rule:
    """With something else in the place of the norm."""

    def rule(grads: Tensors, weights: Tensors, theta: float) -> Tensors:
        n = norm(grads, weights)
        return [g * (theta / n) if n > theta else g for g in grads]

    return rule


def _times(factor: Callable[[float, float], float]) -> Rule:
    """With another factor, of the norm and theta."""

    def rule(grads: Tensors, weights: Tensors, theta: float) -> Tensors:
        return [g * factor(norm_of(grads), theta) for g in grads]

    return rule


def _each(
    change: Callable[[torch.Tensor, float, float], torch.Tensor]
) -> Rule:
    """Every gradient by itself; also of the norm of all and theta."""

    def rule(grads: Tensors, weights: Tensors, theta: float) -> Tensors:
        return [change(g, norm_of(grads), theta) for g in grads]

    return rule


def _running(grads: Tensors, weights: Tensors, theta: float) -> Tensors:
    scaled: Tensors = []
    for i, g in enumerate(grads):
        n = norm_of(grads[:i + 1])
        scaled.append(g * theta / n if n > theta else g)
    return scaled


def _one(place: int) -> Rule:
    def rule(grads: Tensors, weights: Tensors, theta: float) -> Tensors:
        scaled, n = list(grads), norm_of(grads)
        scaled[place] = scaled[place] * min(1.0, theta / n)
        return scaled

    return rule


CLIPS: dict[str, Rule] = {
    "nothing is scaled: change the gradients themselves, in place, or set "
    "p.grad; and what is read twice has to be a list, not a generator":
        _times(lambda n, theta: 1.0),
    "gradients below theta are scaled up: the factor is at most 1":
        _times(lambda n, theta: theta / n),
    "the comparison is the wrong way round: large gradients are scaled, "
    "small ones left alone": _times(
        lambda n, theta: theta / n if n < theta else 1.0),
    "the factor is upside down: theta / norm": _times(
        lambda n, theta: n / theta if n > theta else 1.0),
    "the factor is upside down: theta / norm, and at most 1": _times(
        lambda n, theta: min(1.0, n / theta)),
    "the factor is upside down: theta / norm, and only above theta": _times(
        lambda n, theta: n / theta),
    "theta is missing in the factor: theta / norm": _times(
        lambda n, theta: 1 / n if n > theta else 1.0),
    "theta is missing: the norm is brought down to theta, not to 1": _times(
        lambda n, theta: 1 / n if n > 1 else 1.0),
    "theta is missing: every norm becomes 1": _times(
        lambda n, theta: 1 / n),
    "the norm is missing in the factor: theta / norm": _times(
        lambda n, theta: theta if n > theta else 1.0),
    "the norm is missing in the factor: theta / norm, and only above theta":
        _times(lambda n, theta: theta),
    "gradients are scaled, not set to zero": _times(
        lambda n, theta: 0.0 if n > theta else 1.0),
    slips.CLIP_EACH: _each(
        lambda g, n, theta: g * min(1.0, theta / float(g.norm()))),
    slips.CLIP_EACH + " (and never up)": _each(
        lambda g, n, theta: g * (theta / float(g.norm()))),
    slips.CLIP_EACH + " (in the factor, not only in the comparison)": _each(
        lambda g, n, theta: g * theta / float(g.norm()) if n > theta else g),
    slips.CLIP_EACH + " (in the comparison, not only in the factor)": _each(
        lambda g, n, theta: g * theta / n if float(g.norm()) > theta else g),
    slips.CLIP_VALUE: _each(lambda g, n, theta: g.clamp(-theta, theta)),
    slips.CLIP_VALUE + " (and no number below -theta is kept)": _each(
        lambda g, n, theta: g.clamp(max=theta)),
    slips.CLIP_VALUE + " (all of them or none)": _each(
        lambda g, n, theta: g.clamp(-theta, theta) if n > theta else g),
    slips.CLIP_VALUE + " (all of them or none, whatever the sign)": _each(
        lambda g, n, theta: g.clamp(max=theta) if n > theta else g),
    "the norm is not complete yet: add up all gradients first, then scale "
    "in a second loop": _running,
    "only the first gradient is scaled": _one(0),
    "only the last gradient is scaled": _one(-1),
    "the norm is the root of the sum of squares (the root is missing)":
        _down(lambda grads, weights: norm_of(grads) ** 2),
    "the norm is the root of the sum of squares (the root is missing in the "
    "comparison)": _times(
        lambda n, theta: theta / n if n * n > theta else 1.0),
    "the norm is the root of the sum of squares (the root is missing in the "
    "factor)": _times(
        lambda n, theta: theta / n ** 2 if n > theta else 1.0),
    "the norm is the root of the sum of squares (the squares are missing)":
        _down(lambda grads, weights: max(
            0.0, sum(float(g.sum()) for g in grads)) ** 0.5),
    "the norm is the root of the sum of squares (not a plain sum)":
        _down(lambda grads, weights: sum(float(g.sum()) for g in grads)),
    "the norm is the root of the sum of squares (not of absolute values)":
        _down(lambda grads, weights: sum(
            float(g.abs().sum()) for g in grads)),
    "the norm of all is not the sum of the norms": _down(
        lambda grads, weights: sum(norm_of([g]) for g in grads)),
    "the norm of all is not the mean of the norms": _down(
        lambda grads, weights: sum(
            norm_of([g]) for g in grads) / len(grads)),
    "the norm of all is not the largest of the norms": _down(
        lambda grads, weights: max(norm_of([g]) for g in grads)),
    "the squares are added up, not averaged": _down(
        lambda grads, weights: norm_of(grads) / sum(
            g.numel() for g in grads) ** 0.5),
    "the squares are added up, not averaged in each parameter": _down(
        lambda grads, weights: sum(
            float((g ** 2).mean()) for g in grads) ** 0.5),
    "the gradients of one parameter alone make the norm (the first)":
        _down(lambda grads, weights: norm_of(grads[:1])),
    "the gradients of one parameter alone make the norm (the last)":
        _down(lambda grads, weights: norm_of(grads[-1:])),
    "the largest number is not the norm": _down(
        lambda grads, weights: max(float(g.abs().max()) for g in grads)),
    "the norm of the parameters is taken: it is the gradients' norm, p.grad":
        _down(lambda grads, weights: norm_of(weights)),
}
