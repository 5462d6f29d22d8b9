"""Text from a trained model, and how much of it is only copied."""

import math

import torch
from torch.nn import functional as F

from labutils import settings
from labutils.files import translated as _
from labutils.models import LanguageModel, device_of, evaluation_mode
from labutils.text import Vocab


def predict(
    prefix: str, num_preds: int, model: LanguageModel, vocab: Vocab, *,
    temperature: float | None = None, top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> str:
    """Go on from `prefix`, one character at a time.

    Args:
        num_preds: how many characters to add.
        model: a model over the characters of `vocab`.
        temperature: None takes the likeliest character every time (greedy).
            A number above 0 draws from softmax(logits / temperature).
        top_k: draw from the k likeliest characters alone; with no
            temperature, from their probabilities as they are.
        generator: source of the random numbers, on the CPU.

    Raises:
        ValueError: an argument is out of its range.

    Source: Dive into Deep Learning, 8.5.
    """
    settings.whole_number("num_preds", num_preds, least=0)
    greedy = temperature is None and top_k is None
    temperature = settings.above_zero(
        "temperature", 1.0 if temperature is None else temperature,
        ", or None for the likeliest character every time")
    X = encode(prefix, model, vocab)  # (1, T): the whole prefix
    written: list[int] = []
    with evaluation_mode(model):
        state = model.begin_state(1, X.device)
        for _ in range(num_preds):
            logits, state = model(X, state)
            chances = probabilities(logits[-1], temperature, top_k)
            chosen = chances.argmax() if greedy else torch.multinomial(
                chances, 1, generator=generator)
            written.append(int(chosen))
            X = torch.tensor([written[-1:]], device=X.device)  # (1, 1)
    return prefix + "".join(vocab.to_tokens(written))


def next_distribution(
    prefix: str, model: LanguageModel, vocab: Vocab, *,
    temperature: float = 1.0, top_k: int | None = None,
) -> torch.Tensor:
    """The probabilities of the character after `prefix`, as for `predict`.

    Temperature 1 gives the model's own probabilities, 0 everything to the
    likeliest character. Returns `(V,)` float32 on the CPU.
    """
    X = encode(prefix, model, vocab)
    with evaluation_mode(model):
        logits, _ = model(X, model.begin_state(1, X.device))
    return probabilities(logits[-1], temperature, top_k)


def probabilities(
    logits: torch.Tensor, temperature: float, top_k: int | None
) -> torch.Tensor:
    """softmax(logits / temperature) over the k largest of `(V,)` logits.

    On the CPU, so that a seed draws the same text from a model on any device.
    """
    if not temperature >= 0:
        raise ValueError(_(
            f"temperature is {temperature}: expected 0 or more."))
    top_k = len(logits) if top_k is None else top_k
    settings.whole_number("top_k", top_k, otherwise=", or None")
    scores = logits.detach().float().cpu()
    if not (scores < math.inf).all():  # false for what is no number, too
        raise ValueError(_(
            "The model's scores are no finite numbers: it diverged in its "
            "training. Make a new model and use a smaller learning rate."))
    if temperature == 0:
        return F.one_hot(scores.argmax(), len(scores)).float()
    kept, places = scores.topk(min(top_k, len(scores)))
    # The largest is 0 now: near temperature 0 the others vanish, as they
    # should, in place of all overflowing together.
    kept = (kept - kept[0]) / max(temperature, 1e-30)
    return torch.zeros_like(scores).index_copy(0, places, kept.softmax(0))


def encode(
    text: str, model: LanguageModel, vocab: Vocab, least: int = 1
) -> torch.Tensor:
    """The text as indices for the model, `(1, T)` on its device."""
    if len(text) < least:
        raise ValueError(_(
            f"The text {text!r} has {len(text)} characters: expected at least "
            f"{least}."))
    made_for = getattr(model, "vocab_size", len(vocab))
    if made_for != len(vocab):
        raise ValueError(_(
            f"The model was made for a vocabulary of {made_for} tokens, and "
            f"this one has {len(vocab)}. Pass the vocabulary of the text that "
            "the model is for."))
    return torch.tensor([vocab[list(text)]], device=device_of(model))


def longest_copy(text: str, source: str) -> str:
    """The longest run of `text` that stands word for word in `source`.

    Of several equally long ones the first. Where `text` was written by a
    model that was trained on `source`, its length says how much may be memory.
    """
    longest = ""
    for end in range(1, len(text) + 1):
        # The only run up to here that could be longer than the longest so far.
        run = text[end - len(longest) - 1 : end]
        if run in source:
            longest = run
    return longest
