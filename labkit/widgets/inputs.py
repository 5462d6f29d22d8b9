"""What the widgets are given: models, and texts that somebody types."""

from collections.abc import Mapping

from labutils.models import LanguageModel
from labutils.text import Vocab

Models = Mapping[str, LanguageModel]
PREFIX = "time traveller"



def check_models(models: Models, least: int = 1) -> None:
    """Refuse what is no dictionary of models.

    Raises:
        TypeError, ValueError: with an example of what was expected.
    """
    example = "such as {'RNN': rnn, 'LSTM': lstm}"
    if not isinstance(models, Mapping):
        raise TypeError(
            f"models is of type {type(models).__name__}: expected a "
            f"dictionary from names to models, {example}."
        )
    if len(models) < least:
        raise ValueError(
            f"models holds {len(models)}: expected {least} or more, {example}."
        )


def check_text(text: str, vocab: Vocab, least: int = 1) -> None:
    """Refuse a text that a model cannot read.

    Raises:
        ValueError: it is too short, or has characters that are not in the
            vocabulary.
    """
    if len(text) < least:
        raise ValueError(
            f"There are {len(text)} characters: {least} or more are needed. "
            "Type a few letters."
        )
    unknown = sorted({c for c in text if c not in vocab.token_to_idx})
    if unknown:
        found = ", ".join(map(repr, unknown))
        known = "".join(
            sorted(t for t in vocab.idx_to_token if len(t) == 1 and t != " ")
        )
        raise ValueError(
            f"Not in the vocabulary: {found}. The models know the space and "
            f"{known[:60]}"
        )


def first_prefix(vocab: Vocab) -> str:
    """The book's hero, or for another text's characters some of those."""
    known = [token for token in vocab.idx_to_token if len(token) == 1]
    if set(PREFIX) <= set(known):
        return PREFIX
    return "".join(known[:3])
