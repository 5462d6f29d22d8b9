"""Text from a trained model, and how much of it is only copied."""

import torch

from labutils.models import LanguageModel, device_of, evaluation_mode
from labutils.text import Vocab


def predict(
    prefix: str,
    num_preds: int,
    model: LanguageModel,
    vocab: Vocab,
    *,
    temperature: float | None = None,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> str:
    """Go on from `prefix`, one character at a time.

    Args:
        prefix: the characters to begin with, one or more.
        num_preds: how many characters to add.
        model: a model over the characters of `vocab`.
        temperature: None takes the likeliest character every time (greedy).
            A number above 0 draws from softmax(logits / temperature).
        top_k: draw from the k likeliest characters alone; with no
            temperature, from their probabilities as they are.
        generator: source of the random numbers, on the CPU; None is torch's
            own.

    Returns:
        The prefix and the characters after it.

    Raises:
        ValueError: an argument is out of its range.

    Source: Dive into Deep Learning, 8.5.
    """
    _check(prefix, num_preds, temperature, top_k)
    device = device_of(model)
    indices = vocab[list(prefix)]
    with evaluation_mode(model):
        state = model.begin_state(1, device)
        X = torch.tensor([indices], device=device)  # (1, T): the whole prefix
        for _ in range(num_preds):
            logits, state = model(X, state)
            indices.append(_pick(logits[-1], temperature, top_k, generator))
            X = torch.tensor([indices[-1:]], device=device)  # (1, 1)
    return prefix + "".join(vocab.to_tokens(indices[len(prefix):]))


def longest_copy(text: str, source: str) -> str:
    """The longest run of `text` that stands word for word in `source`.

    Args:
        text: what a model has written.
        source: what it was trained on.

    Returns:
        The run, the first of several equally long ones; its length says how
        much of the text may be memory.
    """
    longest = ""
    for start in range(len(text)):
        # A longer run than the longest so far, or none from here.
        while (
            start + len(longest) < len(text)
            and text[start : start + len(longest) + 1] in source
        ):
            longest = text[start : start + len(longest) + 1]
    return longest


def _check(prefix, num_preds, temperature, top_k) -> None:
    if not prefix:
        raise ValueError(
            "The prefix is empty: expected at least one character, such as "
            "'time traveller'."
        )
    if num_preds < 0:
        raise ValueError(f"num_preds is {num_preds}: expected 0 or more.")
    if temperature is not None and not temperature > 0:
        raise ValueError(
            f"temperature is {temperature}: expected a number above 0, or "
            "None for the likeliest character every time."
        )
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}: expected 1 or more, or None.")


def _pick(
    logits: torch.Tensor,
    temperature: float | None,
    top_k: int | None,
    generator: torch.Generator | None,
) -> int:
    """An index drawn as the options say; `logits` is (V,)."""
    if temperature is None and top_k is None:
        return int(logits.argmax())
    # On the CPU a seed gives the same text whatever device the model is on.
    logits = logits.cpu() / (1.0 if temperature is None else temperature)
    scores, choices = logits.topk(min(top_k or len(logits), len(logits)))
    probabilities = torch.softmax(scores, dim=0)
    drawn = torch.multinomial(probabilities, 1, generator=generator)
    return int(choices[drawn])
