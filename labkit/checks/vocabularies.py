"""A vocabulary asked one thing after the other, and the slips behind it."""

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

from labkit.checks import slips
from labkit.checks.comparing import require, short
from labkit.checks.harness import CheckFailed, NotWritten, call


def make(vocab_class, tokens, min_freq: int, reserved: list[str]) -> Any:
    """A vocabulary, and how it was made in words."""
    tried = (
        f"vocab = Vocab({tokens!r}, min_freq={min_freq}, "
        f"reserved_tokens={reserved!r})"
    )
    lines, special = [list(line) for line in tokens], list(reserved)
    try:
        names = inspect.signature(vocab_class).parameters
    except (TypeError, ValueError):
        names = {}  # type: ignore[assignment]
    # As the notebook does, by name, where nobody has changed the names.
    by_name = {"min_freq", "reserved_tokens"} <= set(names)
    vocab = answer(
        lambda: vocab_class(
            lines, min_freq=min_freq, reserved_tokens=special)
        if by_name else vocab_class(lines, min_freq, special),
        tried, of_error)
    require(lines == tokens, f"afterwards tokens is {short(lines)}",
            "the lists as they were", slips.CHANGED, tried)
    require(
        special == reserved, f"afterwards reserved_tokens is {special}",
        f"{reserved}", slips.CHANGED, tried)
    return vocab, tried


def answer(
    read: Callable[[], Any], tried: str, likely: Callable[[str], str]
) -> Any:
    """What a method returns; an error in it is explained with `likely`."""
    try:
        return call(read, tried=tried)
    except NotWritten:
        raise
    except CheckFailed as failed:
        failed.likely = likely(failed.got) or failed.likely
        raise


def listed(vocab, tried: str) -> list[str]:
    """Its tokens in their order."""
    length = answer(lambda: len(vocab), f"{tried}; len(vocab)",
                     of_error)
    names = call(lambda: getattr(vocab, "idx_to_token", None), tried=tried)
    if isinstance(names, (list, tuple)):
        return list(names)
    return answer(
        lambda: [vocab.to_tokens(i) for i in range(length)],
        f"{tried}; vocab.to_tokens of each index",
        lambda error: f"len(vocab) is {length}: is that how many there are?"
        if error.startswith(("IndexError", "KeyError")) else of_error(error))


def of_error(got: str) -> str:
    """The slip behind an error while a vocabulary is made or asked."""
    if got.startswith("AttributeError") or "has no len" in got or (
            "not subscriptable" in got):
        return (
            "a method is missing, or misspelt: the class has __len__, "
            "__getitem__ and to_tokens"
        )
    if "unhashable type: 'list'" in got:
        return (
            "tokens is a list of lines, each a list of tokens: count the "
            "tokens, not the lines"
        )
    return ""


def slip(
    tokens: list[list[str]], min_freq: int, reserved: list[str],
    found: list[Any],
) -> str:
    """What is wrong with the tokens of a vocabulary, or with their order.

    Args:
        tokens, min_freq, reserved: what it was made of.
        found: its tokens.
    """
    counts = Counter(t for line in tokens for t in line)
    kept = [t for t in counts if counts[t] >= min_freq]
    head = ["<unk>", *reserved]
    own = [t for t in found if t not in head]
    if "<unk>" not in found:
        return "<unk> is missing: it has index 0"
    if not set(reserved) <= set(found):
        return "the reserved tokens are left out"
    if set(own) != set(kept):
        return _wrong_tokens(tokens, min_freq, set(own), counts)
    if len(found) > len(set(found)):
        return "a token has two indices: each stands in the list once"
    if found[:len(head)] != head:
        return _wrong_head(head, found)
    by_count = [counts[t] for t in own]
    falls = by_count == sorted(by_count, reverse=True)
    return slips.TIES if falls else slips.ORDER


def _wrong_tokens(tokens, min_freq: int, own: set, counts: Counter) -> str:
    def enough(some) -> set:
        return {t for t in some if counts[t] >= min_freq}

    words = {
        "only the first line is counted": enough(tokens[0]),
        "only the last line is counted": enough(tokens[-1]),
        "min_freq is not used: rarer tokens are left out": set(counts),
        "a token that occurs exactly min_freq times is kept (>=)":
            {t for t in counts if counts[t] > min_freq},
        "min_freq the wrong way round: the rarer tokens are left out":
            {t for t in counts if counts[t] < min_freq},
        "the words are taken apart into their characters":
            set("".join(counts)),
        "no token of the text is in it": set(),
    }
    return next((name for name, some in words.items() if some == own), "")


def _wrong_head(head: list[str], found: list[Any]) -> str:
    if found[-len(head):] == head:
        return "<unk> and reserved tokens come first, not last"
    if found[0] != "<unk>":
        return "<unk> has index 0, the reserved tokens follow"
    return (
        "reserved tokens come right after <unk>, in their order, before the "
        "tokens of the text"
    )


def encodes(vocab, expected: list[str], tried: str) -> None:
    """Tokens to indices, one by one and a list of them."""
    for index, token in enumerate(expected):
        _asked(vocab, token, index, tried)
    _asked(vocab, expected, list(range(len(expected))), tried)


def takes_unknown(
    vocab, expected: list[str], rare: list[str], tried: str
) -> None:
    """Tokens that are not in the vocabulary: index 0, and no trace."""
    _asked(vocab, "nowhere", 0, tried, slips.UNKNOWN)
    for token in rare:
        _asked(
            vocab, token, 0, tried, "a rare token is unknown: below min_freq "
            "it has the index of <unk>")
    mixed = [expected[-1], "nowhere"]
    _asked(vocab, mixed, [len(expected) - 1, 0], tried, slips.UNKNOWN)
    require(
        len(vocab) == len(expected),
        f"len(vocab) = {len(vocab)} after vocab['nowhere']",
        f"{len(expected)}, as before", "looking up an unknown token has made "
        "the vocabulary longer: .get(token, 0) leaves it as it is", tried)


def _asked(vocab, key, expected, tried: str, likely: str = "") -> None:
    """Fail unless vocab[key] is what is expected."""
    asked = f"vocab[{short(key)}]"
    lists = "a list of tokens gives a list of indices"
    got = answer(
        lambda: vocab[list(key) if isinstance(key, list) else key],
        f"{tried}; {asked}",
        lambda error: likely if error.startswith(("KeyError", "ValueError"))
        else lists if "unhashable" in error else of_error(error))
    if _same(got, expected):
        return
    if likely == slips.UNKNOWN:
        likely = "an unknown token has the index of <unk>, 0"
    if got is None and not likely:
        likely = slips.NOTHING
    elif isinstance(key, list):
        likely = likely if isinstance(got, (list, tuple)) else lists
    elif isinstance(got, (list, tuple)):
        likely = (
            "a string is one token, though Python can loop over it: it has "
            "one index"
        )
    elif not likely and _same(got, expected + 1):
        likely = "indices count from 0, in the order of idx_to_token"
    raise CheckFailed(
        f"{asked} = {short(got)}", short(expected), likely, tried)


def decodes(vocab, expected: list[str], tried: str) -> None:
    """Indices to tokens, a list of them and one."""
    indices = list(range(len(expected)))
    _decoded(
        vocab, indices, expected, "a list of indices gives a list of tokens",
        tried)
    _decoded(vocab, 0, "<unk>", "one index gives one token, not a list",
             tried)


def _decoded(vocab, given, wanted, likely: str, tried: str) -> None:
    asked = f"vocab.to_tokens({given})"
    got = answer(
        lambda: vocab.to_tokens(given), f"{tried}; {asked}",
        lambda error: likely if error.startswith("TypeError")
        else of_error(error))
    require(
        _same(got, wanted), f"{asked} = {short(got)}", short(wanted),
        slips.NOTHING if got is None else likely, tried)


def counts(vocab, expected: list[tuple[str, int]], tried: str) -> None:
    """The attribute token_freqs."""
    likely = "pairs (token, count), the most frequent first, rare tokens too"
    wanted = f"token_freqs is missing: {likely}"
    freqs = answer(
        lambda: vocab.token_freqs, f"{tried}; vocab.token_freqs",
        lambda error: wanted if error.startswith("AttributeError") else "")
    if callable(freqs):
        likely = "a list, not a method (or a @property): " + likely
    elif isinstance(freqs, dict):
        likely = "a list, not a dictionary (most_common() makes one): " + (
            likely)
    pairs = None
    if isinstance(freqs, (list, tuple)):
        pairs = [
            tuple(p) if isinstance(p, (list, tuple)) else p for p in freqs]
    require(pairs == expected, f"token_freqs = {short(freqs)}",
            short(expected), likely, tried)


def _same(got: Any, expected: Any) -> bool:
    """Equal; a tuple is as good as a list, a tensor is not."""
    if isinstance(expected, list) and not isinstance(got, (list, tuple)):
        return False
    try:
        return bool((list(got) if isinstance(expected, list) else got)
                    == expected)
    except Exception:  # of arrays and tensors, and of who knows what
        return False
