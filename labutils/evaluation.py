"""How surprised a model is by a text, and what counting alone achieves.

An n-gram model predicts a token from the n - 1 tokens before it, by how often
each followed them in the training text.
"""

import math
from functools import partial

import numpy
import torch
from torch.nn import functional as F

from labutils.batches import SeqDataLoader
from labutils.files import translated as _
from labutils.models import (
    Batches,
    LanguageModel,
    as_targets,
    device_of,
    evaluation_mode,
    next_state,
)


def perplexity(nats: float) -> float:
    """exp of a mean loss in nats; infinite where that is out of range."""
    return float(torch.tensor(nats, dtype=torch.float64, device="cpu").exp())


def bits_per_character(perplexity: float) -> float:
    """Its logarithm to base 2: what a character costs in a packed file."""
    return math.log2(perplexity)


def evaluate_perplexity(model: LanguageModel, data_iter: Batches) -> float:
    """Perplexity over every token of `data_iter`, without training.

    Returns:
        exp of the mean negative log-likelihood (nats) of a token.

    Source: Dive into Deep Learning, 8.5 and 9.2.
    """
    device = device_of(model)
    corpus = getattr(data_iter, "corpus", None)
    known = getattr(model, "vocab_size", math.inf)
    if corpus is not None and corpus.max() >= known:
        raise ValueError(_(
            f"These batches hold the index {corpus.max()}, and the model "
            f"knows {known} tokens: they are of another text than the model."))
    nats, tokens, state = 0.0, 0, None
    with evaluation_mode(model):
        for X, Y in data_iter:
            X, y = X.to(device), as_targets(Y).to(device)
            state = next_state(model, state, len(X), data_iter)
            logits, state = model(X, state)
            nats += float(F.cross_entropy(logits, y, reduction="sum"))
            tokens += y.numel()
    return perplexity(nats / tokens)


NAMES = ("unigram", "bigram", "trigram", "4-gram", "5-gram", "6-gram")


def baselines(train_iter: SeqDataLoader, vocab_size: int) -> dict[str, float]:
    """Held-out perplexity of n-gram models of one to three tokens, and of the
    best longer one, if it is better; nothing without held-out text."""
    if train_iter.held_out is None:
        return {}
    corpus, held_out = train_iter.corpus, train_iter.held_out.corpus
    values = [ngram_perplexity(corpus, held_out, n, vocab_size)
              for n in range(1, len(NAMES) + 1)]
    best = min(range(len(NAMES)), key=values.__getitem__)
    return {NAMES[n]: values[n] for n in sorted({0, 1, 2, best})}


def ngram_perplexity(
    corpus: torch.Tensor, held_out: torch.Tensor, n: int, vocab_size: int
) -> float:
    """Perplexity of an n-gram model with Witten-Bell smoothing.

    The more different tokens have followed a context, the more it trusts the
    context that is one token shorter:

        P(w | h) = (c(hw) + t(h) P(w | h')) / (c(h) + t(h))

    with counts c, the number t(h) of different tokens seen after h, and h'
    without its oldest token. The shortest context of all falls back on equal
    probabilities.

    Args:
        corpus: token indices to count, `(N,)`.
        held_out: the tokens that follow them, `(M,)`; every one is predicted.
        n: length of the n-grams, 1 or more.
        vocab_size: V.

    Source: I. Witten and T. Bell, The zero-frequency problem (1991),
        method C; S. Chen and J. Goodman, An empirical study of smoothing
        techniques for language modeling (1999).
    """
    text = torch.cat([corpus, held_out]).numpy()
    count = partial(numpy.bincount, minlength=len(text))
    probability = numpy.full(len(held_out), 1 / vocab_size)
    # At each place of the text a number for the run of tokens that ends
    # there; it and the token that follows make the number of a longer run.
    contexts = numpy.zeros_like(text)
    n = min(n, len(corpus))  # a longer context was seen nowhere
    for seen in range(len(corpus), len(corpus) - n, -1):  # so many runs
        grams = numpy.unique(
            contexts * vocab_size + text, return_inverse=True)[1]
        # One of the places at which each different n-gram was seen.
        places = numpy.unique(grams[:seen], return_index=True)[1]
        kinds = count(contexts[places])
        times = count(contexts[:seen])
        counts = count(grams[:seen])
        h = contexts[seen:]
        known = times[h] > 0  # a context never seen leaves the estimate alone
        h, hw = h[known], grams[seen:][known]
        probability[known] = (
            (counts[hw] + kinds[h] * probability[known])
            / (times[h] + kinds[h]))
        contexts, text = grams[:-1], text[1:]
    return perplexity(-float(numpy.log(probability).mean()))
