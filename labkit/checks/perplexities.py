"""Small batches, a small network, and what wrong perplexities are made of."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from labkit.checks import slips
from labkit.checks.guard import generator
from labutils import scratch

V, H = 5, 4
EQUAL_ROWS = ((3, 4), (3, 4), (3, 2))
FEWER_ROWS = ((3, 4), (3, 4), (1, 2))


class Batches:
    """Batches of fixed numbers, the last one smaller than the others.

    Args:
        use_random_iter: what they say of themselves.
        sizes: (B, T) of each; a state is carried on to as many rows only.
    """

    def __init__(
        self,
        use_random_iter: bool,
        sizes: tuple[tuple[int, int], ...] = EQUAL_ROWS,
    ) -> None:
        self.use_random_iter = use_random_iter
        self.batch_size, self.num_steps = sizes[0]
        numbers = generator(3)
        self.batches = [
            (torch.randint(V, size, generator=numbers),
             torch.randint(V, size, generator=numbers))
            for size in sizes]

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
SLIPS: dict[str, dict[str, Any]] = {
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


def perplexity(losses: list[Losses]) -> float:
    """exp of the mean over all tokens."""
    return float(torch.cat([b.nats for b in losses]).double().mean().exp())


def perplexity_slip(got: float, losses: list[Losses]) -> str:
    """What a wrong perplexity was made of; may be empty."""
    sums = [float(b.nats.double().sum()) for b in losses]
    counts = [b.nats.numel() for b in losses]
    means = [s / n for s, n in zip(sums, counts, strict=True)]
    total, tokens, rows = sum(sums), sum(counts), [b.rows for b in losses]
    mean, weighted = total / tokens, [
        m * r for m, r in zip(means, rows, strict=True)]
    steps = [n // r for n, r in zip(counts, rows, strict=True)]
    per_step = sum(m * t for m, t in zip(means, steps, strict=True))
    count = slips.WRONG_COUNT

    def exp(nats: float) -> float:
        return math.exp(nats) if nats < 700 else math.inf

    values = {
        slips.OVER_BATCHES: exp(sum(means) / len(means)),
        slips.OVER_BATCHES + " (not after each batch)":
            sum(map(exp, means)) / len(means),
        "exp comes last: the mean is taken over the losses of the tokens, "
        "not over perplexities of batches":
            sum(exp(m) * n for m, n in zip(means, counts, strict=True))
            / tokens,
        "exp comes last: the mean is taken over the losses of the tokens, "
        "not over their perplexities":
            float(torch.cat([b.nats for b in losses]).exp().mean()),
        "exp is missing: this is the loss in nats": mean,
        "exp is missing, and " + slips.OVER_BATCHES: sum(means) / len(means),
        "exp is missing, and " + count: total,
        "2 to the power of nats: the loss is in nats, so take exp": 2 ** mean,
        "10 to the power of nats: the loss is in nats, so take exp":
            10 ** min(mean, 300),
        "bits, not a perplexity: take exp of the nats": mean / math.log(2),
        "upside down: exp of the mean loss, not of minus the mean loss":
            exp(-mean),
        count + " (here the sum is not divided by anything)": exp(total),
        "exp comes last: divide by the number of tokens before exp":
            exp(total) / tokens,
        count + " (here by the number of batches)": exp(total / len(losses)),
        count + " (here by the number of rows)": exp(total / sum(rows)),
        count + " (here by the number of steps)": exp(total / sum(steps)),
        count + " (here the means of the batches are divided by it: weigh "
        "each with its tokens)": exp(sum(means) / tokens),
        count + " (here means are weighted by rows)":
            exp(sum(weighted) / sum(rows)),
        count + " (here means are weighted by rows, then divided by tokens)":
            exp(sum(weighted) / tokens),
        count + " (here means are weighted by steps)":
            exp(per_step / sum(steps)),
        count + " (here means are weighted by steps, then divided by tokens)":
            exp(per_step / tokens),
        count + " (here the means of the batches are added up)":
            exp(sum(means)),
        count + " (here by the tokens of as many full batches)":
            exp(total / (counts[0] * len(losses))),
        count + " (here every batch is weighted as a full one)":
            exp(sum(means) * counts[0] / tokens),
        count + " (here by the tokens of the last batch alone)":
            exp(total / counts[-1]),
        count + " (here by those of the first batch alone)":
            exp(total / counts[0]),
        "only the last batch is measured": exp(means[-1]),
        "only the first batch is measured (a `return` inside the loop?)":
            exp(means[0]),
        "the last batch is left out": exp(
            sum(sums[:-1]) / max(1, sum(counts[:-1]))),
        "the first batch is left out": exp(
            sum(sums[1:]) / max(1, sum(counts[1:]))),
    }
    return next((
        name for name, value in values.items()
        if math.isclose(got, value, rel_tol=2e-5)), "")
