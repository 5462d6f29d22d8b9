"""How surprised a model is by a text."""

import math

import torch
from torch.nn import functional as F

from labutils.protocol import (
    Batches,
    LanguageModel,
    as_targets,
    device_of,
    evaluation_mode,
    next_state,
)


def perplexity(nats: float) -> float:
    """exp of a mean loss in nats; infinite where that is out of range."""
    return float(torch.tensor(nats, dtype=torch.float64).exp())


def bits_per_character(perplexity: float) -> float:
    """A perplexity as the bits that each character costs: its log to base 2.

    So many bits a character would take in a file packed with the model's
    probabilities (arithmetic coding).
    """
    return math.log2(perplexity)


def evaluate_perplexity(model: LanguageModel, data_iter: Batches) -> float:
    """Perplexity over every token of `data_iter`, without training.

    Returns:
        exp of the mean negative log-likelihood (nats) of a token.

    Source: Dive into Deep Learning, 8.5 and 9.2.
    """
    device = device_of(model)
    nats, tokens, state = 0.0, 0, None
    with evaluation_mode(model):
        for X, Y in data_iter:
            X, y = X.to(device), as_targets(Y).to(device)
            state = next_state(model, state, len(X), data_iter)
            logits, state = model(X, state)
            nats += float(F.cross_entropy(logits, y, reduction="sum"))
            tokens += y.numel()
    return perplexity(nats / tokens)
