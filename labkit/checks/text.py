"""Checks of notebook 1: tokens, the vocabulary and the corpus."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import kind, named, pair, require, short, tensor
from labkit.checks.harness import CheckFailed, call, check, trying
from labutils import corpus as corpora
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

# ---- tokens


@check
def tokenize(function) -> str:
    """Lines to words or characters."""
    for lines in LINES:
        for token in ("word", "char"):
            with trying(f"tokenize({lines!r}, {token!r})"):
                given = list(lines)
                found = _lists(call(function, given, token))
                expected = finished.tokenize(lines, token)
                if found != expected:
                    raise CheckFailed(short(found), short(expected),
                                      _tokens_slip(lines, token, found))
                require(given == lines, f"afterwards lines is {short(given)}",
                        "the lines as they were", slips.CHANGED)
    with trying(f"tokenize({LINES[0]!r})"):
        found = _lists(call(function, list(LINES[0])))
        expected = finished.tokenize(LINES[0])
        require(found == expected, short(found), short(expected),
                'the default is words: token="word"')
    with trying("tokenize(['a line'], 'syllable')"):
        _refuses_unknown_kind(function)
    return ("Words, characters and empty lines come out right, and an unknown "
            "kind of token is refused.")


def _lists(got: Any) -> list[Any]:
    """What came back as a list, and in it lists of tuples."""
    once = ("a generator, map or zip can be read only once: return a list, as "
            "list(...) or [...] makes it")
    require(isinstance(got, (list, tuple)), kind(got), "a list of lists",
            slips.NOTHING if got is None else once if isinstance(got, Iterator)
            else "")
    for line in got:
        require(not isinstance(line, Iterator), f"{kind(line)} for a line",
                "a list of tokens for each line", once)
    return [list(line) if isinstance(line, tuple) else line for line in got]


def _tokens_slip(lines: list[str], token: str, found: list[Any]) -> str:
    expected = finished.tokenize(lines, token)
    other = finished.tokenize(lines, "char" if token == "word" else "word")
    flat = "one flat list: each line keeps a list of its own"
    again = "a token that has been there before is a token again: keep it"
    tokens = [t for line in expected for t in line]
    likely = named({
        "a string in place of a list of its characters" if token == "char"
        else "the lines come back as they went in": lines,
        "words and characters are mixed up": other,
        "words and characters are mixed up, and empty lines are left out":
            [line for line in other if line],
        "empty lines are left out: each line gives a list, an empty line an "
        "empty one": [line for line in expected if line],
        "an empty line gives [''] with split(' '); split() gives []":
            [line.split(" ") for line in lines],
        "the spaces are characters too":
            [[c for c in line if c != " "] for line in lines],
        flat: tokens,
        flat + " (a list around it does not help)": [tokens],
        "the characters of each word must not stand in lists of their own":
            [[*map(list, line.split())] for line in lines],
        "`return` stands inside the loop: it ends the function at the first "
        "line": expected[:1],
        "`return` stands inside the loop, or only the first line is read":
            expected[0],
        "only the last line is left: append to one list that was there "
        "before the loop": expected[-1:],
        "the lines are in another order": expected[::-1],
        "the tokens of a line are in another order":
            [line[::-1] for line in expected],
        again: [list(dict.fromkeys(line)) for line in expected],
        again + ", and in its place": [*map(set, expected)],
        "the last character of each line is missing; these lines have no "
        "newline at their end":
            finished.tokenize([x[:-1] for x in lines], token),
    }, lambda result: result == found)
    strings = any(isinstance(line, str) for line in found)
    return likely or (flat if strings else "")


def _refuses_unknown_kind(function) -> None:
    try:
        got = function(["a line"], "syllable")
    except ValueError:
        return
    except Exception as error:
        raise CheckFailed(f"{type(error).__name__}: {error}", "a ValueError",
                          "an error of another kind: raise ValueError, with a "
                          "sentence that says what is wrong") from None
    raise CheckFailed(short(got), "a ValueError", "a kind that does not exist "
                      "has to be refused: raise ValueError")


# ---- the vocabulary


@check
def Vocab(vocab_class) -> str:  # noqa: N802, named after the exercise
    """Tokens and their indices."""
    _stands_alone(vocab_class)
    for tokens in TOKENS:
        for min_freq, reserved in OPTIONS:
            with trying(_words(tokens, min_freq, reserved)):
                vocab = _made(vocab_class, tokens, min_freq, reserved)
                expected = finished.Vocab(tokens, min_freq, reserved)
                _ordered(vocab, tokens, min_freq, reserved, expected)
                _encodes(vocab, tokens, expected.idx_to_token)
                _decodes(vocab, expected.idx_to_token)
                _counts(vocab, tokens)
    tokens = TOKENS[0]
    with trying(f"vocab = Vocab({tokens!r})"):
        vocab = call(
            vocab_class, [list(line) for line in tokens], explain=lambda _:
            "reserved tokens and min_freq are optional: it has to work "
            "without them")
        found, names = _listed(vocab), finished.Vocab(tokens).idx_to_token
        require(found == names, f"tokens in the order {short(found)}",
                short(names), "by default no token is too rare and none is "
                "reserved: min_freq=0, reserved_tokens=()")
    return ("Order, ties, rare, reserved and unknown tokens are right, and "
            "what is encoded can be decoded.")


def _words(tokens, min_freq: int, reserved: list[str]) -> str:
    return (f"vocab = Vocab({tokens!r}, min_freq={min_freq}, "
            f"reserved_tokens={reserved!r})")


def _vocab_error(error: str) -> str:
    """The slip behind an error while a vocabulary is made or asked."""
    return slips.matching((
        (r"^AttributeError|has no len|not subscriptable",
         "a method is missing, or misspelt: the class has __len__, "
         "__getitem__ and to_tokens"),
        (r"unhashable type: 'list'",
         "tokens is a list of lines, each a list of tokens: count the "
         "tokens, not the lines"),
    ), error)


_asked = partial(call, explain=_vocab_error)


def _made(vocab_class, tokens, min_freq: int, reserved: list[str]) -> Any:
    lines, special = [list(line) for line in tokens], list(reserved)
    try:
        names = set(inspect.signature(vocab_class).parameters)
    except (TypeError, ValueError):
        names = set()
    # As the notebook does, by name, where nobody has changed the names.
    if {"min_freq", "reserved_tokens"} <= names:
        vocab = _asked(lambda: vocab_class(
            lines, min_freq=min_freq, reserved_tokens=special))
    else:
        vocab = _asked(vocab_class, lines, min_freq, special)
    require(lines == tokens, f"afterwards tokens is {short(lines)}",
            "the lists as they were", slips.CHANGED)
    require(special == reserved, f"afterwards reserved_tokens is {special}",
            f"{reserved}", slips.CHANGED)
    return vocab


def _listed(vocab) -> list[Any]:
    """Its tokens in their order."""
    length = _asked(len, vocab)
    names = call(getattr, vocab, "idx_to_token", None)
    if isinstance(names, (list, tuple)):
        return list(names)
    with trying("vocab.to_tokens of each index below len(vocab)"):
        return call(
            lambda: [vocab.to_tokens(i) for i in range(length)],
            explain=lambda error:
            f"len(vocab) is {length}: is that how many there are?"
            if error.startswith(("IndexError", "KeyError"))
            else _vocab_error(error))


def _stands_alone(vocab_class) -> None:
    """A second vocabulary knows nothing of the first."""
    for tokens in TOKENS[:2]:
        with trying(_words(tokens, 0, [])):
            found = _listed(_made(vocab_class, tokens, 0, []))
            require(tokens is TOKENS[0] or not {"the", "time"} <= set(found),
                    f"tokens in the order {short(found)}", "the tokens of "
                    "this text alone", "lists that belong to the class are "
                    "shared by all vocabularies: make them in __init__")


def _ordered(vocab, tokens, min_freq: int, reserved, expected) -> None:
    """The tokens in their order, and how many there are."""
    found, names = _listed(vocab), expected.idx_to_token
    # Without a list of tokens they were read by means of the length.
    by_length = not isinstance(
        getattr(vocab, "idx_to_token", None), (list, tuple))
    if found != names and not (by_length and found == names[:len(vocab)]):
        raise CheckFailed(f"tokens in the order {short(found)}", short(names),
                          _order_slip(tokens, min_freq, reserved, found))
    require(len(vocab) == len(names), f"len(vocab) = {len(vocab)}",
            f"{len(names)}, <unk> and reserved tokens included",
            "the length is that of the list of tokens, idx_to_token")


def _order_slip(tokens, min_freq: int, reserved, found: list[Any]) -> str:
    """What is wrong with the tokens of a vocabulary, or with their order."""
    counts = Counter(t for line in tokens for t in line)
    head = ["<unk>", *reserved]
    own = [t for t in found if t not in head]
    if "<unk>" not in found:
        return "<unk> is missing: it has index 0"
    if not set(reserved) <= set(found):
        return "the reserved tokens are left out"
    if set(own) != {t for t in counts if counts[t] >= min_freq}:
        return named({
            "only the first line is counted":
                {t for t in tokens[0] if counts[t] >= min_freq},
            "only the last line is counted":
                {t for t in tokens[-1] if counts[t] >= min_freq},
            "min_freq is not used: rarer tokens are left out": set(counts),
            "a token that occurs exactly min_freq times is kept (>=)":
                {t for t in counts if counts[t] > min_freq},
            "min_freq the wrong way round: the rarer tokens are left out":
                {t for t in counts if counts[t] < min_freq},
            "the words are taken apart into their characters":
                set("".join(counts)),
            "no token of the text is in it": set(),
        }, lambda some: some == set(own))
    if len(found) > len(set(found)):
        return "a token has two indices: each stands in the list once"
    if found[-len(head):] == head:
        return "<unk> and reserved tokens come first, not last"
    if found[0] != "<unk>":
        return "<unk> has index 0, the reserved tokens follow"
    if found[:len(head)] != head:
        return ("reserved tokens come right after <unk>, in their order, "
                "before the tokens of the text")
    by_count = [counts[t] for t in own]
    falls = by_count == sorted(by_count, reverse=True)
    return slips.TIES if falls else slips.ORDER


def _encodes(vocab, tokens, names: list[str]) -> None:
    """Tokens to indices, and no trace of those that are unknown."""
    for index, token in enumerate(names):
        _index(vocab, token, index)
    _index(vocab, names, list(range(len(names))))
    _index(vocab, "nowhere", 0, slips.UNKNOWN)
    for token in [t for line in tokens for t in line if t not in names]:
        _index(vocab, token, 0, "a rare token is unknown: below min_freq it "
               "has the index of <unk>")
    _index(vocab, [names[-1], "nowhere"], [len(names) - 1, 0], slips.UNKNOWN)
    require(len(vocab) == len(names),
            f"len(vocab) = {len(vocab)} after vocab['nowhere']",
            f"{len(names)}, as before", "looking up an unknown token has made "
            "the vocabulary longer: .get(token, 0) leaves it as it is")


def _index(vocab, key, expected, likely: str = "") -> None:
    """Fail unless vocab[key] is what is expected."""
    asked = f"vocab[{short(key)}]"
    lists = "a list of tokens gives a list of indices"
    with trying(asked):
        got = call(
            lambda: vocab[list(key) if isinstance(key, list) else key],
            explain=lambda error: likely
            if error.startswith(("KeyError", "ValueError"))
            else lists if "unhashable" in error else _vocab_error(error))
    if _same(got, expected):
        return
    if likely == slips.UNKNOWN:
        likely = "an unknown token has the index of <unk>, 0"
    if got is None and not likely:
        likely = slips.NOTHING
    elif isinstance(key, list):
        likely = likely if isinstance(got, (list, tuple)) else lists
    elif isinstance(got, (list, tuple)):
        likely = ("a string is one token, though Python can loop over it: it "
                  "has one index")
    elif not likely and _same(got, expected + 1):
        likely = "indices count from 0, in the order of idx_to_token"
    raise CheckFailed(f"{asked} = {short(got)}", short(expected), likely)


def _decodes(vocab, names: list[str]) -> None:
    """Indices to tokens, a list of them and one."""
    _tokens(vocab, list(range(len(names))), names,
            "a list of indices gives a list of tokens")
    _tokens(vocab, 0, "<unk>", "one index gives one token, not a list")


def _tokens(vocab, given: Any, wanted: Any, likely: str) -> None:
    """Fail unless vocab.to_tokens(given) is what is wanted."""
    asked = f"vocab.to_tokens({given})"
    with trying(asked):
        got = call(
            lambda: vocab.to_tokens(given), explain=lambda error: likely
            if error.startswith("TypeError") else _vocab_error(error))
    require(_same(got, wanted), f"{asked} = {short(got)}", short(wanted),
            slips.NOTHING if got is None else likely)


def _counts(vocab, tokens) -> None:
    """The attribute token_freqs."""
    likely = "pairs (token, count), the most frequent first, rare tokens too"
    freqs = call(
        lambda: vocab.token_freqs,
        explain=lambda error: f"token_freqs is missing: {likely}"
        if error.startswith("AttributeError") else "")
    if callable(freqs):
        likely = f"a list, not a method (or a @property): {likely}"
    elif isinstance(freqs, dict):
        likely = (
            f"a list, not a dictionary (most_common() makes one): {likely}")
    expected = Counter(t for line in tokens for t in line).most_common()
    pairs = isinstance(freqs, (list, tuple)) and [
        tuple(p) if isinstance(p, (list, tuple)) else p for p in freqs]
    require(pairs == expected, f"token_freqs = {short(freqs)}",
            short(expected), likely)


def _same(got: Any, expected: Any) -> bool:
    """Equal; a tuple is as good as a list, a tensor is not."""
    if isinstance(expected, list) and not isinstance(got, (list, tuple)):
        return False
    try:
        return bool((list(got) if isinstance(expected, list) else got)
                    == expected)
    except Exception:  # of arrays and tensors, and of who knows what
        return False


# ---- the corpus


@check
def load_corpus_time_machine(function) -> str:
    """The whole text as one sequence of indices."""
    # Found once already by the notebook; the check does not download.
    raw = corpora.find_corpus(download=False).text.splitlines()
    lines = [finished.clean_line(line) for line in raw]
    whole, vocab = finished.encode_lines(lines)
    for most in (200, -1, 1):
        with trying(f"load_corpus_time_machine(max_tokens={most})"):
            _corpus(*_loaded(function, most), whole, vocab, raw, most)
    with trying("load_corpus_time_machine()"):
        got, _ = _loaded(function)
        require(len(got) == len(whole), f"{len(got)} tokens", f"{len(whole)}",
                "the default is the whole text, max_tokens=-1")
    return ("The whole text and its beginnings are encoded as by labutils, "
            "with the vocabulary of the whole text.")


def _loaded(function, *most: int) -> tuple[torch.Tensor, Any]:
    got, found = pair("corpus, vocab", call(
        function, *most, explain=lambda error:
        "lines have different lengths: make one flat list of all tokens first"
        if "expected sequence of length" in error else ""))
    require(isinstance(got, torch.Tensor) or not torch.is_tensor(found),
            "first the vocabulary, then the corpus", "corpus, vocab",
            "vocabulary and corpus are swapped")
    return tensor("corpus", got), found


def _corpus(got, found, whole, vocab, raw: list[str], most: int) -> None:
    def likely() -> str:
        return _corpus_slip(got, length, whole, vocab, raw, most)

    length, expected = call(len, found), _beginning(whole, most)
    if length != len(vocab):
        raise CheckFailed(
            f"a vocabulary of {length}", f"{len(vocab)}", likely())
    require(got.dim() == 1, f"a corpus of shape {tuple(got.shape)}",
            f"({len(expected)},)", "the corpus has one dimension, (N,)")
    if len(got) != len(expected):
        raise CheckFailed(
            f"a corpus of {len(got)} tokens", f"{len(expected)}", likely())
    require(got.dtype == torch.int64, f"a corpus of dtype {got.dtype}",
            "torch.int64, as indices are in PyTorch", slips.FLOATS
            if got.is_floating_point() else "")
    if not torch.equal(got.cpu(), expected):
        at = int((got.cpu() != expected).nonzero()[0])
        raise CheckFailed(
            f"corpus[{at}] = {got[at]}", f"{expected[at]}", likely())
    with trying("vocab.to_tokens of each index"):
        decoded = call(lambda: [found.to_tokens(i) for i in range(length)])
        require(decoded == vocab.idx_to_token, f"the tokens {short(decoded)}",
                short(vocab.idx_to_token), "corpus and vocabulary do not "
                "belong together")


def _corpus_slip(got, length: int, whole, vocab, raw, most: int) -> str:
    """Why a corpus, or the length of its vocabulary, is another one."""
    lines = [finished.clean_line(line) for line in raw]
    counts_lines = "max_tokens counts tokens, not lines"
    cuts = {
        "max_tokens is not used": whole,
        "the last token is cut off: -1 means the whole text": whole[:-1],
        "one token too many: [:n] takes the first n": whole[:most + 1],
        "one token too few: [:n] takes the first n": whole[:most - 1],
        counts_lines: whole[:sum(map(len, lines[:most]))],
        "the end of the text where its beginning is asked for":
            whole[-most:],
    }
    if length == len(vocab) and (
            name := named(cuts, lambda cut: _equal(got, cut))):
        return name
    between = "something stands between two lines (here a {}); expected " \
        "nothing"
    uncleaned = ("the lines are not cleaned: only small letters a to z, and "
                 "single spaces between words, are kept")
    texts: list[tuple[str, Callable[[], Any]]] = [
        ("", lambda: "".join(lines)),
        ("words in place of characters", lambda: " ".join(lines).split()),
        (between.format("space"), lambda: " ".join(lines)),
        (between.format("newline"), lambda: "\n".join(lines)),
        (counts_lines, lambda: "".join(lines[:most])),
        (uncleaned, lambda: "".join(raw)),
        (uncleaned, lambda: "".join(raw).lower()),
        (uncleaned, lambda: "\n".join(raw)),
    ]
    part = ("the vocabulary is made of the part that is kept; expected that "
            "of the whole text")
    for name, make in texts:
        tokens = list(make())
        for some, which in ((tokens, ""), (tokens[:most], part)):
            own = finished.Vocab(some)
            if length == len(own) and any(
                    _equal(got, torch.tensor(own[kept]))
                    for kept in (_beginning(tokens, most), tokens)):
                return "; and ".join(filter(None, (name, which)))
        if _equal(got, torch.tensor(vocab[_beginning(tokens, most)])):
            return name
    if length == len(vocab) - 1:
        return "one token less in the vocabulary: <unk> counts too"
    return slips.ORDER if _renamed(got, _beginning(whole, most)) else ""


def _beginning(tokens, most: int):
    return tokens if most == -1 else tokens[:most]


def _equal(a, b) -> bool:
    return a.shape == b.shape and bool((a == b).all())


def _renamed(got: torch.Tensor, expected: torch.Tensor) -> bool:
    """The same tokens under other indices."""
    if got.shape != expected.shape:
        return False
    names = set(zip(expected.tolist(), got.tolist(), strict=True))
    return len(names) == len(set(expected.tolist())) == len(set(got.tolist()))
