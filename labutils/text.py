"""From a text to a sequence of token indices.

Source: Dive into Deep Learning, 8.2.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch

from labutils import settings
from labutils.corpus import read_corpus
from labutils.files import translated as _


def clean_line(line: str) -> str:
    """Lower-case letters a to z with single spaces between, as in the book."""
    return re.sub("[^A-Za-z]+", " ", line).strip().lower()


def read_time_machine() -> list[str]:
    """The cleaned lines of The Time Machine; prints which text it is."""
    return [clean_line(line) for line in read_corpus().text.splitlines()]


def tokenize(lines: Iterable[str], token: str = "word") -> list[list[str]]:
    """Split each line into a list of tokens.

    Raises:
        ValueError: `token` is neither "word" nor "char".
    """
    if token == "word":
        return [line.split() for line in lines]
    if token == "char":
        return [list(line) for line in lines]
    raise ValueError(_(
        f"Unknown kind of token {token!r}: expected 'word' or 'char'."))


def count_corpus(tokens: Iterable[str] | Iterable[list[str]]) -> Counter[str]:
    """How often each token occurs, in a list of tokens or of such lists."""
    lines = ([line] if isinstance(line, str) else line for line in tokens)
    return Counter(chain.from_iterable(lines))


class Vocab:
    """Tokens and their indices; index 0 stands for every unknown token.

    After 0 come the reserved tokens, then the rest, the most frequent first;
    tokens that are equally frequent keep the order of their first occurrence.

    Args:
        tokens: a list of tokens, or of such lists (one a line).
        min_freq: tokens that occur less often count as unknown.
        reserved_tokens: tokens to have in any case, such as "<pad>".

    Attributes:
        token_freqs: every token of the text with its count, the most
            frequent first, the rare ones included.
        idx_to_token, token_to_idx: a list and a dictionary.
    """

    unk = 0  # the index of every unknown token

    def __init__(
        self, tokens: Iterable[str] | Iterable[list[str]] = (),
        min_freq: int = 0, reserved_tokens: Sequence[str] = (),
    ) -> None:
        self.token_freqs = count_corpus(tokens).most_common()
        frequent = [t for t, freq in self.token_freqs if freq >= min_freq]
        # A dict keeps the order and the first place of a repeated token.
        distinct = dict.fromkeys(["<unk>", *reserved_tokens, *frequent])
        self.idx_to_token = list(distinct)
        self.token_to_idx = {t: i for i, t in enumerate(self.idx_to_token)}

    def __len__(self) -> int:
        return len(self.idx_to_token)

    def __getitem__(self, tokens: str | Sequence[str]) -> Any:
        """The index of a token, or the indices of a list of tokens."""
        if isinstance(tokens, str):
            return self.token_to_idx.get(tokens, self.unk)
        return [self[token] for token in tokens]

    def to_tokens(self, indices: int | Sequence[int] | torch.Tensor):
        """The token of an index, or the tokens of a sequence of indices.

        Raises:
            IndexError: an index is not in the vocabulary.
        """
        if isinstance(indices, torch.Tensor):
            indices = indices.tolist()
        if not isinstance(indices, int):
            return [self.to_tokens(index) for index in indices]
        if not 0 <= indices < len(self):
            raise IndexError(_(
                f"Index {indices} is not in the vocabulary: expected 0 to "
                f"{len(self) - 1}."))
        return self.idx_to_token[indices]


def load_corpus_time_machine(
    max_tokens: int = -1, token: str = "char"
) -> tuple[torch.Tensor, Vocab]:
    """The Time Machine as in `encode_lines`, cut to `max_tokens` (-1: whole);
    the vocabulary is that of the whole text."""
    end = end_of(max_tokens)
    corpus, vocab = encode_lines(read_time_machine(), token)
    return corpus[:end], vocab


def encode_lines(
    lines: Iterable[str], token: str = "char"
) -> tuple[torch.Tensor, Vocab]:
    """Lines of text as one sequence of token indices, `(N,)` int64.

    As in the book, nothing stands between the last token of a line and the
    first of the next.
    """
    tokens = list(chain.from_iterable(tokenize(lines, token)))
    vocab = Vocab(tokens)
    indices = torch.tensor(vocab[tokens], dtype=torch.int64, device="cpu")
    return indices, vocab


def end_of(max_tokens: int) -> int | None:
    """Where a slice of so many tokens ends; None for the whole text."""
    return None if max_tokens == -1 else settings.whole_number(
        "max_tokens", max_tokens, otherwise=", or -1 for the whole text")
