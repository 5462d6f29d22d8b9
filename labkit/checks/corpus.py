"""The check of the corpus: notebook 1."""

from collections.abc import Callable
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import pair, require, short, tensor
from labkit.checks.harness import CheckFailed, call, check
from labutils import corpus as corpora
from labutils import text as finished

Tokens = list[str]
PART = (
    "the vocabulary is made of the part that is kept; expected that of the "
    "whole text"
)


@check
def load_corpus_time_machine(function) -> str:
    """The whole text as one sequence of indices."""
    # Found once already by the notebook; the check does not download.
    raw = corpora.find_corpus(download=False).text.splitlines()
    lines = [finished.clean_line(line) for line in raw]
    whole, vocab = finished.encode_lines(lines)
    for most in (200, -1, 1):
        tried = f"load_corpus_time_machine(max_tokens={most})"
        got, found = _two(_loaded(function, most, tried=tried), tried)
        expected = whole if most == -1 else whole[:most]
        _corpus(got, found, expected, whole, vocab, raw, most, tried)
    tried = "load_corpus_time_machine()"
    got, _ = _two(_loaded(function, tried=tried), tried)
    require(len(got) == len(whole), f"{len(got)} tokens", f"{len(whole)}",
            "the default is the whole text, max_tokens=-1", tried)
    return (
        "The whole text and its beginnings are encoded as by labutils, with "
        "the vocabulary of the whole text."
    )


def _loaded(function, *most: int, tried: str) -> Any:
    try:
        return call(function, *most, tried=tried)
    except CheckFailed as failed:
        if "expected sequence of length" in failed.got:
            failed.likely = (
                "lines have different lengths: make one flat list of all "
                "tokens first"
            )
        raise


def _two(got: Any, tried: str) -> tuple[torch.Tensor, Any]:
    got, found = pair("corpus, vocab", got, tried)
    if isinstance(found, torch.Tensor) and not isinstance(got, torch.Tensor):
        raise CheckFailed(
            "first the vocabulary, then the corpus", "corpus, vocab",
            "vocabulary and corpus are swapped", tried)
    return tensor("corpus", got, tried), found


def _corpus(got, found, expected, whole, vocab, raw, most, tried) -> None:
    def likely() -> str:
        return _slip(got, length, whole, vocab, raw, most)

    length = call(len, found, tried=f"{tried}; len(vocab)")
    if length != len(vocab):
        raise CheckFailed(
            f"a vocabulary of {length}", f"{len(vocab)}", likely(), tried)
    require(
        got.dim() == 1, f"a corpus of shape {tuple(got.shape)}",
        f"({len(expected)},)", "the corpus has one dimension, (N,)", tried)
    if len(got) != len(expected):
        raise CheckFailed(f"a corpus of {len(got)} tokens",
                          f"{len(expected)}", likely(), tried)
    require(
        got.dtype == torch.int64, f"a corpus of dtype {got.dtype}",
        "torch.int64, as indices are in PyTorch",
        slips.FLOATS if got.is_floating_point() else "", tried,
    )
    if not torch.equal(got.cpu(), expected):
        at = int((got.cpu() != expected).nonzero()[0])
        raise CheckFailed(
            f"corpus[{at}] = {got[at]}", f"{expected[at]}", likely(), tried)
    decoded = call(
        lambda: [found.to_tokens(i) for i in range(length)],
        tried=f"{tried}; vocab.to_tokens of each index")
    require(
        decoded == vocab.idx_to_token, f"the tokens {short(decoded)}",
        short(vocab.idx_to_token),
        "corpus and vocabulary do not belong together", tried)


def _slip(got, length: int, whole, vocab, raw: list[str], most: int) -> str:
    """Why a corpus, or the length of its vocabulary, is another one."""
    lines = [finished.clean_line(line) for line in raw]
    rows = sum(map(len, lines[:most]))
    cuts = {
        "max_tokens is not used": whole,
        "the last token is cut off: -1 means the whole text": whole[:-1],
        "one token too many: [:n] takes the first n":
            whole[:most + 1],
        "one token too few: [:n] takes the first n":
            whole[:most - 1],
        "max_tokens counts tokens, not lines": whole[:rows],
        "the end of the text where its beginning is asked for":
            whole[-most:],
    }
    if length == len(vocab):
        for name, cut in cuts.items():
            if _equal(got, cut):
                return name
    for name, make in _texts(raw, lines):
        tokens = make()
        for some in (tokens, tokens[:most]):
            own = finished.Vocab(some)
            if length != len(own):
                continue
            if _equal(got, torch.tensor(own[_kept(tokens, most)])):
                part = PART if len(some) < len(tokens) else ""
                return "; and ".join(filter(None, (name, part)))
        if _equal(got, torch.tensor(vocab[_kept(tokens, most)])):
            return name
    if length == len(vocab) - 1:
        return "one token less in the vocabulary: <unk> counts too"
    return slips.ORDER if _renamed(got, _kept(whole, most)) else ""


def _texts(
    raw: list[str], lines: list[str]
) -> list[tuple[str, Callable[[], Tokens]]]:
    """The tokens of the text, each with the slip that has made them."""
    between = "something stands between two lines (here a {}); expected " \
        "nothing"
    uncleaned = (
        "the lines are not cleaned: only small letters a to z, and single "
        "spaces between words, are kept"
    )
    return [
        ("", lambda: list("".join(lines))),
        ("words in place of characters", lambda: " ".join(lines).split()),
        (between.format("space"), lambda: list(" ".join(lines))),
        (between.format("newline"), lambda: list("\n".join(lines))),
        (uncleaned, lambda: list("".join(raw))),
        (uncleaned, lambda: list("".join(raw).lower())),
        (uncleaned, lambda: list("\n".join(raw))),
    ]


def _kept(tokens, most: int):
    return tokens if most == -1 else tokens[:most]


def _equal(a, b) -> bool:
    return a.shape == b.shape and bool((a == b).all())


def _renamed(got: torch.Tensor, expected: torch.Tensor) -> bool:
    """The same tokens under other indices."""
    if got.shape != expected.shape:
        return False
    names = set(zip(expected.tolist(), got.tolist(), strict=True))
    return len(names) == len(set(expected.tolist())) == len(
        set(got.tolist()))
