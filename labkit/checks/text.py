"""Checks of notebook 1: tokens and the vocabulary."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from labkit.checks import slips, vocabularies
from labkit.checks.comparing import kind, named, require, short
from labkit.checks.harness import CheckFailed, call, check
from labkit.checks.vocabularies import answer, listed, make
from labutils import text as finished

LINES = (
    ["the time machine", "", "by h g wells"],
    ["a"],
    [""],
    ["", "it it was", "", "so so so it"],
)
# Rare tokens come first: to count and not to sort shows.
TOKENS: tuple[list[list[str]], ...] = (
    [["of", "time"], [], ["the", "end", "time", "the", "the"]],
    [["w"], ["z", "y", "x"], ["x", "y", "z"], ["v", "u"]],  # many ties
    [["b"]],
    [[]],
)
OPTIONS: tuple[tuple[int, list[str]], ...] = (
    (0, []), (2, []), (0, ["<pad>", "<bos>"]), (2, ["<pad>"]),
)


@check
def tokenize(function) -> str:
    """Lines to words or characters."""
    for lines in LINES:
        for token in ("word", "char"):
            _tokenize(function, list(lines), token)
    lines = list(LINES[0])
    tried = f"tokenize({lines!r})"
    default = _lists(call(function, lines, tried=tried), tried)
    require(
        default == finished.tokenize(lines),
        short(default), short(finished.tokenize(lines)),
        'the default is words: token="word"', tried,
    )
    _refuses_unknown_kind(function)
    return (
        "Words, characters and empty lines come out right, and an unknown "
        "kind of token is refused."
    )


def _tokenize(function, lines: list[str], token: str) -> None:
    tried = f"tokenize({lines!r}, {token!r})"
    given = list(lines)
    found = _lists(call(function, given, token, tried=tried), tried)
    expected = finished.tokenize(lines, token)
    if found != expected:
        raise CheckFailed(
            short(found), short(expected), _tokens_slip(lines, token, found),
            tried)
    require(given == lines, f"afterwards lines is {short(given)}",
            "the lines as they were", slips.CHANGED, tried)


def _lists(got: Any, tried: str) -> list[Any]:
    """What came back as a list, and in it lists of tuples."""
    once = (
        "a generator, map or zip can be read only once: return a list, as "
        "list(...) or [...] makes it"
    )
    require(
        isinstance(got, (list, tuple)), kind(got), "a list of lists",
        slips.NOTHING if got is None else once if isinstance(got, Iterator)
        else "", tried,
    )
    for line in got:
        require(not isinstance(line, Iterator), f"{kind(line)} for a line",
                "a list of tokens for each line", once, tried)
    return [list(line) if isinstance(line, tuple) else line for line in got]


def _tokens_slip(lines: list[str], token: str, found: list[Any]) -> str:
    expected = finished.tokenize(lines, token)
    other = finished.tokenize(lines, "char" if token == "word" else "word")
    flat = "one flat list: each line keeps a list of its own"
    again = "a token that has been there before is a token again: keep it"
    likely = named(
        {
            "a string in place of a list of its characters" if token == "char"
            else "the lines come back as they went in": lambda: lines,
            "words and characters are mixed up": lambda: other,
            "words and characters are mixed up, and empty lines are left out":
                lambda: [line for line in other if line],
            "empty lines are left out: each line gives a list, an empty line "
            "an empty one": lambda: [line for line in expected if line],
            "an empty line gives [''] with split(' '); split() gives []":
                lambda: [line.split(" ") for line in lines],
            "the spaces are characters too":
                lambda: [[c for c in line if c != " "] for line in lines],
            flat: lambda: [t for line in expected for t in line],
            flat + " (a list around it does not help)":
                lambda: [[t for line in expected for t in line]],
            "the characters of each word must not stand in lists of their "
            "own": lambda: [[*map(list, line.split())] for line in lines],
            "`return` stands inside the loop: it ends the function at the "
            "first line": lambda: expected[:1],
            "`return` stands inside the loop, or only the first line is "
            "read": lambda: expected[0],
            "only the last line is left: append to one list that was there "
            "before the loop": lambda: expected[-1:],
            "the lines are in another order": lambda: expected[::-1],
            again: lambda: [list(dict.fromkeys(line)) for line in expected],
            again + ", and in its place": lambda: [*map(set, expected)],
            "the last character of each line is missing; these lines have no "
            "newline at their end":
                lambda: finished.tokenize([x[:-1] for x in lines], token),
        },
        lambda result: result == found,
    )
    strings = any(isinstance(line, str) for line in found)
    return likely or (flat if strings else "")


def _refuses_unknown_kind(function) -> None:
    tried = "tokenize(['a line'], 'syllable')"
    try:
        got = function(["a line"], "syllable")
    except ValueError:
        return
    except Exception as error:
        raise CheckFailed(
            f"{type(error).__name__}: {error}", "a ValueError",
            "an error of another kind: raise ValueError, with a sentence "
            "that says what is wrong", tried,
        ) from None
    raise CheckFailed(
        short(got), "a ValueError",
        "a kind that does not exist has to be refused: raise ValueError",
        tried,
    )


@check
def Vocab(vocab_class) -> str:  # noqa: N802, named after the exercise
    """Tokens and their indices."""
    _stands_alone(vocab_class)
    for tokens in TOKENS:
        for min_freq, reserved in OPTIONS:
            _vocab(vocab_class, tokens, min_freq, reserved)
    _defaults(vocab_class, TOKENS[0])
    return (
        "Order, ties, rare, reserved and unknown tokens are right, and what "
        "is encoded can be decoded."
    )


def _stands_alone(vocab_class) -> None:
    """A second vocabulary knows nothing of the first."""
    first, tried = make(vocab_class, TOKENS[0], 0, [])
    before = listed(first, tried)
    second, tried = make(vocab_class, TOKENS[1], 0, [])
    found = listed(second, tried)
    mixed = {"the", "time"} <= set(found) & set(before)
    require(
        not mixed, f"tokens in the order {short(found)}",
        "the tokens of this text alone", "lists that belong to the class are "
        "shared by all vocabularies: make them in __init__", tried)


def _vocab(vocab_class, tokens, min_freq: int, reserved: list[str]) -> None:
    expected = finished.Vocab(tokens, min_freq, reserved).idx_to_token
    vocab, tried = make(vocab_class, tokens, min_freq, reserved)
    found = listed(vocab, tried)
    # Without a list of tokens they were read by means of the length.
    by_length = not isinstance(
        getattr(vocab, "idx_to_token", None), (list, tuple))
    if found != expected and not (
            by_length and found == expected[:len(vocab)]):
        raise CheckFailed(
            f"tokens in the order {short(found)}", short(expected),
            vocabularies.slip(tokens, min_freq, reserved, found), tried,
        )
    require(
        len(vocab) == len(expected), f"len(vocab) = {len(vocab)}",
        f"{len(expected)}, <unk> and reserved tokens included", "", tried,
    )
    vocabularies.encodes(vocab, expected, tried)
    rare = [t for line in tokens for t in line if t not in expected]
    vocabularies.takes_unknown(vocab, expected, rare, tried)
    vocabularies.decodes(vocab, expected, tried)
    counts = Counter(t for line in tokens for t in line).most_common()
    vocabularies.counts(vocab, counts, tried)


def _defaults(vocab_class, tokens) -> None:
    tried = f"vocab = Vocab({tokens!r})"
    vocab = answer(
        lambda: vocab_class([list(line) for line in tokens]), tried,
        lambda _: "reserved tokens and min_freq are optional: it has to work "
        "without them")
    found, expected = listed(vocab, tried), finished.Vocab(tokens)
    require(
        found == expected.idx_to_token, f"tokens in the order {short(found)}",
        short(expected.idx_to_token),
        "by default no token is too rare and none is reserved: min_freq=0, "
        "reserved_tokens=()", tried)
