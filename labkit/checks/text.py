"""Checks of the text: tokens, vocabulary and corpus, and both samplers."""

import inspect
import operator
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import copy, deepcopy
from functools import partial
from itertools import chain, islice, pairwise, product
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import kind, named, pair, require, short, tensor
from labkit.checks.harness import CheckFailed, call, check, trying
from labutils import corpus as corpora
from labutils import text as finished

LINES = (
    ["the time machine", "", "by h g wells"], ["a"], [""],
    ["", "it it was", "", "so so so it"],
)
KINDS = (["word"], ["char"])
# Rare tokens come first: to count and not to sort shows.
TOKENS: tuple[list[list[str]], ...] = (
    [["of", "time"], [], ["the", "end", "time", "the", "the"]],
    [["w"], ["z", "y", "x"], ["x", "y", "z"], ["v", "u"]],  # many ties
    [["b"]],
    [[]],
)
OPTIONS: tuple[dict[str, Any], ...] = tuple(
    {"min_freq": least, "reserved_tokens": reserved}
    for least, reserved in (
        (0, []), (2, []), (0, ["<pad>", "<bos>"]), (2, ["<pad>"]),
        (0, ["<pad>", "the"])))  # which is in the text


def _flat(lists: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))


@check
def tokenize(function) -> str:
    """Lines to words or characters."""
    for lines, kinds in (*product(LINES, KINDS), (LINES[0], [])):
        with trying(f"tokenize({', '.join(map(repr, (lines, *kinds)))})"):
            given = list(lines)
            found = _lists(call(function, given, *kinds))
            expected = finished.tokenize(lines, *kinds)
            require(found == expected, short(found), short(expected),
                    _tokens_slip(lines, found, *kinds) if kinds else
                    'the default is words: token="word"')
            require(given == lines, f"afterwards lines is {short(given)}",
                    "the lines as they were", slips.CHANGED)
    with trying("tokenize(['a line'], 'syllable')"):
        likely = ("a kind that does not exist has to be refused: raise "
                  "ValueError")
        try:
            got = short(function(["a line"], "syllable"))
        except ValueError:
            return ("Words, characters and empty lines come out right, and an "
                    "unknown kind of token is refused.")
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            likely = ("an error of another kind: raise ValueError, with a "
                      "sentence that says what is wrong")
        raise CheckFailed(got, "a ValueError", likely)


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


def _tokens_slip(lines: list[str], found: list[Any], token: str) -> str:
    expected = finished.tokenize(lines, token)
    other = finished.tokenize(lines, "char" if token == "word" else "word")
    flat = "one flat list: each line keeps a list of its own"
    again = "a token that has been there before is a token again: keep it"
    tokens = _flat(expected)
    return named({
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
    }, lambda result: result == found) or (
        flat if any(isinstance(line, str) for line in found) else "")


@check
def Vocab(vocab_class) -> str:  # noqa: N802, named after the exercise
    """Tokens and their indices."""
    for options, tokens in (*product(OPTIONS, TOKENS), ({}, TOKENS[0])):
        asked = [repr(tokens), *(f"{k}={v!r}" for k, v in options.items())]
        with trying(f"vocab = Vocab({', '.join(asked)})"):
            vocab = _made(vocab_class, tokens, options)
            names = finished.Vocab(tokens, **options).idx_to_token
            found, length = _listed(vocab), len(vocab)
            # Without a list of tokens they were read by means of the length.
            listed = isinstance(
                getattr(vocab, "idx_to_token", None), (list, tuple))
            require(found == (names if listed else names[:length]),
                    f"tokens in the order {short(found)}", short(names),
                    _order_slip(tokens, found, **options) if options else
                    "by default no token is too rare and none is reserved: "
                    "min_freq=0, reserved_tokens=()")
            require(length == len(names), f"len(vocab) = {length}",
                    f"{len(names)}, <unk> and reserved tokens included",
                    "the length is that of the list of tokens, idx_to_token")
            _encodes(vocab, tokens, names)
            _tokens(vocab, list(range(len(names))), names,
                    "a list of indices gives a list of tokens")
            _tokens(vocab, 0, "<unk>", "one index gives one token, not a list")
            _counts(vocab, tokens)
    return ("Order, ties, rare, reserved and unknown tokens are right, and "
            "what is encoded can be decoded.")


_vocab_error = partial(slips.matching, (
    (r"^AttributeError|has no len|not subscriptable",
     "a method is missing, or misspelt: the class has __len__, __getitem__ "
     "and to_tokens"),
    (r"unhashable type: 'list'", "tokens is a list of lines, each a list of "
     "tokens: count the tokens, not the lines")))


def _made(vocab_class, tokens, options: dict[str, Any]) -> Any:
    lines, given = deepcopy((tokens, options))
    try:
        names = {*inspect.signature(vocab_class).parameters}
    except (TypeError, ValueError):
        names = set()
    # By name, as the notebook does, where nobody has changed the names.
    vocab = call(
        lambda: vocab_class(lines, **given) if names >= {*given}
        else vocab_class(lines, *given.values()),
        explain=_vocab_error if options else lambda _: "reserved tokens and "
        "min_freq are optional: it has to work without them")
    before = {"tokens": tokens, **options}
    for name, now in {"tokens": lines, **given}.items():
        require(now == before[name], f"afterwards {name} is {short(now)}",
                "the lists as they were", slips.CHANGED)
    return vocab


def _listed(vocab) -> list[Any]:
    """Its tokens in their order."""
    length = call(len, vocab, explain=_vocab_error)
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


def _order_slip(tokens, found: list[Any], min_freq, reserved_tokens) -> str:
    head = ["<unk>", *reserved_tokens]
    counts = Counter(t for t in _flat(tokens) if t not in head)
    own = [t for t in found if t not in head]
    if "<unk>" not in found:
        return "<unk> is missing: it has index 0"
    if not set(head) <= set(found):
        return "the reserved tokens are left out"
    if set(own) & {*_flat(_flat(TOKENS))} - {*_flat(tokens)}:
        return ("lists that belong to the class are shared by all "
                "vocabularies: make them in __init__")
    frequent = {t for t in counts if counts[t] >= min_freq}
    if set(own) != frequent:
        return named({
            "only the first line is counted": frequent & set(tokens[0]),
            "only the last line is counted": frequent & set(tokens[-1]),
            "min_freq is not used: rarer tokens are left out": set(counts),
            "a token that occurs exactly min_freq times is kept (>=)":
                {t for t in counts if counts[t] > min_freq},
            "min_freq the wrong way round: the rarer tokens are left out":
                set(counts) - frequent,
            "the words are taken apart into their characters":
                set("".join(counts)),
        }, lambda some: some == set(own))
    if len(found) > len(set(found)):
        return ("a token has two indices: each stands in the list once, a "
                "reserved one that is also in the text as well")
    if found[-len(head):] == head:
        return "<unk> and reserved tokens come first, not last"
    if found[0] != "<unk>":
        return "<unk> has index 0, the reserved tokens follow"
    if found[:len(head)] != head:
        return ("reserved tokens come right after <unk>, in their order, "
                "before the tokens of the text")
    return slips.ORDER if any(
        counts[a] < counts[b] for a, b in pairwise(own)) else slips.TIES


def _encodes(vocab, tokens, names: list[str]) -> None:
    """Tokens to indices, and no trace of those that are unknown."""
    for index, token in enumerate(names):
        _index(vocab, token, index)
    _index(vocab, names, list(range(len(names))))
    _index(vocab, "nowhere", 0, slips.UNKNOWN)
    for token in [t for t in _flat(tokens) if t not in names]:
        _index(vocab, token, 0, "a rare token is unknown: below min_freq it "
               "has the index of <unk>")
    _index(vocab, [names[-1], "nowhere"], [len(names) - 1, 0], slips.UNKNOWN)
    require(len(vocab) == len(names),
            f"len(vocab) = {len(vocab)} after vocab['nowhere']",
            f"{len(names)}, as before", "looking up an unknown token has made "
            "the vocabulary longer: .get(token, 0) leaves it as it is")


def _index(vocab, key, expected, likely: str = "") -> None:
    asked = f"vocab[{short(key)}]"
    lists = "a list of tokens gives a list of indices"
    with trying(asked):
        got = call(
            lambda: vocab[copy(key)], explain=lambda error: likely
            if error.startswith(("KeyError", "ValueError"))
            else lists if "unhashable" in error else _vocab_error(error))
    several = isinstance(key, list)
    if likely == slips.UNKNOWN:
        likely = "an unknown token has the index of <unk>, 0"
    if got is None and not likely:
        likely = slips.NOTHING
    elif several != isinstance(got, (list, tuple)):
        likely = lists if several else (
            "a string is one token, though Python can loop over it: it has "
            "one index")
    elif not likely and not several and _same(got, expected + 1):
        likely = "indices count from 0, in the order of idx_to_token"
    require(_same(got, expected), f"{asked} = {short(got)}", short(expected),
            likely)


def _tokens(vocab, given: Any, wanted: Any, likely: str) -> None:
    asked = f"vocab.to_tokens({given})"
    with trying(asked):
        got = call(
            lambda: vocab.to_tokens(given), explain=lambda error: likely
            if error.startswith("TypeError") else _vocab_error(error))
    require(_same(got, wanted), f"{asked} = {short(got)}", short(wanted),
            slips.NOTHING if got is None else likely)


def _counts(vocab, tokens) -> None:
    likely = "pairs (token, count), the most frequent first, rare tokens too"
    freqs = call(
        lambda: vocab.token_freqs,
        explain=lambda error: f"token_freqs is missing: {likely}"
        if error.startswith("AttributeError") else "")
    expected = Counter(_flat(tokens)).most_common()
    pairs = isinstance(freqs, (list, tuple)) and [
        tuple(p) if isinstance(p, list) else p for p in freqs]
    require(pairs == expected, f"token_freqs = {short(freqs)}",
            short(expected),
            f"a list, not a method (or a @property): {likely}"
            if callable(freqs) else
            f"a list, not a dictionary (most_common() makes one): {likely}"
            if isinstance(freqs, dict) else likely)


def _same(got: Any, expected: Any) -> bool:
    """Equal; a tuple is as good as a list, a tensor is not."""
    if isinstance(expected, list) and not isinstance(got, (list, tuple)):
        return False
    try:
        return bool((list(got) if isinstance(expected, list) else got)
                    == expected)
    except Exception:  # of arrays and tensors, and of who knows what
        return False


@check
def load_corpus_time_machine(function) -> str:
    """The whole text as one sequence of indices."""
    # Found once already by the notebook; the check does not download.
    raw = corpora.find_corpus(download=False).text.splitlines()
    lines = [finished.clean_line(line) for line in raw]
    whole, vocab = finished.encode_lines(lines)
    for most, given in ((200, [200]), (-1, [-1]), (1, [1]), (-1, [])):
        asked = f"max_tokens={most}" if given else ""
        with trying(f"load_corpus_time_machine({asked})"):
            expected = whole[:most] if most > 0 else whole
            got, found = pair("corpus, vocab", call(
                function, *given, explain=lambda error: "lines have different "
                "lengths: make one flat list of all tokens first"
                if "expected sequence of length" in error else ""))
            require(isinstance(got, torch.Tensor)
                    or not isinstance(found, torch.Tensor),
                    "first the vocabulary, then the corpus", "corpus, vocab",
                    "vocabulary and corpus are swapped")
            got, names = tensor("corpus", got).cpu(), _listed(found)
            require(got.dim() == 1, f"a corpus of shape {tuple(got.shape)}",
                    f"({len(expected)},)", "the corpus has one dimension, "
                    "(N,)")
            require(got.dtype == torch.int64, f"a corpus of dtype {got.dtype}",
                    "torch.int64, as indices are in PyTorch",
                    slips.FLOATS if got.is_floating_point() else "")
            if other := _difference(got, names, expected, vocab):
                raise CheckFailed(*other, _corpus_slip(
                    got.tolist(), len(names), vocab, raw, most) if given else
                    "the default is the whole text, max_tokens=-1")
            require(names == vocab.idx_to_token, f"the tokens {short(names)}",
                    short(vocab.idx_to_token), "corpus and vocabulary do not "
                    "belong together")
    return ("The whole text and its beginnings are encoded as by labutils, "
            "with the vocabulary of the whole text.")


def _difference(got, names, expected, vocab) -> tuple[str, str] | None:
    if len(names) != len(vocab):
        return f"a vocabulary of {len(names)}", f"{len(vocab)}"
    if len(got) != len(expected):
        return f"a corpus of {len(got)} tokens", f"{len(expected)}"
    for at in (got != expected).nonzero()[:1].flatten():
        return f"corpus[{at}] = {got[at]}", f"{expected[at]}"
    return None


def _corpus_slip(given, length: int, vocab, raw, most: int) -> str:
    """Why a corpus, or the length of its vocabulary, is another one."""
    lines = [finished.clean_line(line) for line in raw]
    whole, end = vocab[list("".join(lines))], None if most == -1 else most
    counts_lines = "max_tokens counts tokens, not lines"
    cuts = {
        "max_tokens is not used": whole,
        "the last token is cut off: -1 means the whole text": whole[:-1],
        "one token too many: [:n] takes the first n": whole[:most + 1],
        "one token too few: [:n] takes the first n": whole[:most - 1],
        counts_lines: whole[:sum(map(len, lines[:most]))],
        "the end of the text where its beginning is asked for": whole[-most:],
    }
    name = named(cuts, partial(operator.eq, given))
    if name and length == len(vocab):
        return name
    between = ("something stands between two lines (here a {}); expected "
               "nothing")
    uncleaned = ("the lines are not cleaned: only small letters a to z, and "
                 "single spaces between words, are kept")
    joined, together = " ".join(lines), "".join(raw)
    texts: tuple[tuple[str, Iterable[str]], ...] = (
        ("", "".join(lines)), ("words in place of characters", joined.split()),
        (between.format("space"), joined),
        (between.format("newline"), "\n".join(lines)),
        (counts_lines, "".join(lines[:most])), (uncleaned, together),
        (uncleaned, together.lower()), (uncleaned, "\n".join(raw)))
    part = ("the vocabulary is made of the part that is kept; expected that "
            "of the whole text")
    for name, text in texts:
        tokens = list(text)
        for some, which in ((tokens, ""), (tokens[:most], part)):
            own = finished.Vocab(some)
            if length == len(own) and given in (
                    own[tokens[:end]], own[tokens]):
                return f"{name}; and {which}" if name and which else (
                    name or which)
        if given == vocab[tokens[:end]]:
            return name
    if length == len(vocab) - 1:
        return "one token less in the vocabulary: <unk> counts too"
    # The same tokens under other indices.
    right = whole[:end]
    renamed = len({*zip(right, given, strict=False)}) == len({*right}) == (
        len({*given})) and len(right) == len(given)
    return slips.ORDER if renamed else ""


# ---- the samplers
# What one gives is read as places in the text: N tokens, B rows in a batch, T
# tokens in a row; `starts` holds for each batch where its rows start.

Starts = list[list[int]]

# (N, batch_size, num_steps): the notebook's toy, one row, one step, a text
# of exactly one batch, one with rows to spare.
SIZES = ((35, 2, 5), (20, 1, 4), (12, 3, 1), (13, 2, 6), (50, 3, 4))
# With offsets; 0 comes last, since some take it for None, and three times: the
# one that they draw then may be 0 by chance.
CASES = [(N, B, T, offset) for N, B, T in SIZES
         for offset in (*range(min(T, N - B * T) - 1, 0, -1), 0, 0, 0)]


@check
def seq_data_iter_random(function) -> str:
    """Rows in random order, each at most once."""
    for case in CASES:
        with trying(_text_words(*case)):
            _random(_rows(function, *case), *case)
    N, B, T = SIZES[-1]
    with trying(f"{_text_words(N, B, T, 0)}, eight times"):
        epochs = [_rows(function, N, B, T, 0) for _ in range(8)]
        likely = _of_order(epochs, T)
        require(not likely, "rows that start at "
                + "; ".join(str(_flat(starts)) for starts in epochs[:2])
                + " in two epochs", "all rows in an order of chance, another "
                "each time", likely)
    _draws_offsets(function)
    return ("At every offset each row is read at most once, no full batch is "
            "missing, rows are shuffled, and targets are the next tokens.")


@check
def seq_data_iter_sequential(function) -> str:
    """Rows that go on where they stopped."""
    for case in CASES:
        with trying(_text_words(*case)):
            starts = _rows(function, *case)
            require(_goes_on(starts, *case),
                    f"batches whose rows start at {starts}",
                    f"{_sequential(*case)}", _of_sequential(starts, *case))
    _draws_offsets(function)
    return ("At every offset row i of a batch goes on where row i of the "
            "batch before stopped, and targets are the next tokens.")


def _text_words(N: int, B: int, T: int, *offset: int | None) -> str:
    return (f"a text of {N} tokens, batch_size={B}, num_steps={T}, "
            + (f"offset={offset[0]}" if offset else "no offset"))


def _rows(function, N: int, B: int, T: int, *offset: int | None) -> Starts:
    """For each batch where its rows start in the text."""
    # Tokens in which a neighbour is never the next number.
    corpus = torch.randperm(N, generator=torch.Generator().manual_seed(N))
    corpus = corpus * 3 + 7
    given = corpus.clone()
    position = {token: i for i, token in enumerate(corpus.tolist())}
    most = N // B + 2
    batches = _batches(function, given, B, T, *offset, most=most)
    require(len(batches) <= most, f"more than {most} batches",
            f"{_count(N, B, T, offset[0] or 0 if offset else 0)}",
            "the text holds so many only where rows are read twice")
    found, firsts = [], set()
    for number, batch in enumerate(batches):
        X, Y = pair("X, Y", batch)
        where = f"in batch {number}"
        places = _places("X", X, where, position, B, T)
        _in_a_row(places, where, B)
        targets = _places("Y", Y, where, position, B, T)
        for row, got in zip(places, targets, strict=True):
            if got != (wanted := [i + 1 for i in row]):
                raise CheckFailed(
                    f"{where} the inputs at positions {row} have targets at "
                    f"{got}", f"targets at {wanted}",
                    _of_targets(places, targets, N, *offset))
        found.append([row[0] for row in places])
        firsts.add(X.data_ptr())
    require(torch.equal(given, corpus), "afterwards the text is another one",
            "the text as it was", "the text handed in was changed")
    require(len(firsts) == len(batches), "one tensor again and again, "
            "with other numbers", "batches to keep", "each batch needs a "
            "tensor of its own")
    return found


def _batches(function, *args: Any, most: int) -> list[Any]:
    """What is yielded or returned; errors and single pairs are explained."""
    def read() -> list[Any]:  # no more than one beyond `most`
        found = function(*args)
        require(isinstance(found, Iterable), kind(found), "something to loop "
                "over: `yield` each batch, or return a list", "no `return` "
                "and no `yield`" if found is None else "")
        return list(islice(found, most + 1))

    batches = call(read, explain=lambda error: "the numbers do not fill the "
                   "new shape: keep one token back for the last target, and "
                   "take the offset off as well"
                   if "invalid for input of size" in error else "")
    shapes = [tuple(b.shape) for b in batches if isinstance(b, torch.Tensor)]
    if (len(batches) == len(shapes) == 2
            and shapes[0] == shapes[1] and len(shapes[0]) == 2):
        raise CheckFailed(
            f"one pair of tensors of shape {shapes[0]}",
            "a pair for each batch, one after the other",
            "`return` ends the function at the first batch: `yield` each"
            if shapes[0] == args[1:3] else
            "one pair of everything: cut it into batches of num_steps "
            "columns, and `yield` each")
    return batches


def _places(
    name: str, rows: Any, where: str, position, B: int, T: int
) -> list[list[int]]:
    """Where the tokens of X or Y stand in the text."""
    shape = tuple(tensor(name, rows).shape)
    require(
        shape == (B, T), f"{name} of shape {shape}", f"{(B, T)}",
        slips.SWAPPED if shape == (T, B) else
        "a target for each token, not for each row: Y is X, shifted by one "
        "token" if name == "Y" and shape in ((B,), (B, 1)) else
        "rows that fill no batch are left out, not yielded"
        if len(shape) == 2 and shape[0] < B else
        "a row at the end is cut short: keep one token back for the last "
        "target, and leave columns that fill no batch out"
        if len(shape) == 2 and shape[1] < T else "")
    require(not rows.is_floating_point(), f"{name} of {rows.dtype}",
            "torch.int64", slips.FLOATS)
    for token in rows.flatten().tolist():
        require(
            token in position, f"{where} {name} holds {token}, which is "
            "nowhere in the text", "tokens of the text", "positions, or other "
            "numbers made by counting, in place of the tokens: the toy text "
            "alone has token i at position i")
    return [[position[token] for token in row] for row in rows.tolist()]


def _in_a_row(places: list[list[int]], where: str, B: int) -> None:
    """Each row has to be a piece of the text."""
    def steps(row: list[int], far: int = 1) -> bool:
        return all(b - a == far for a, b in pairwise(row))

    row = next((row for row in places if not steps(row)), [])
    flat = _flat(places)
    require(
        not row, f"{where} a row of X has the tokens at positions {row}",
        "neighbours in the text, one after the other",
        slips.SWAPPED if B > 1 and all(steps(flat[b::B]) for b in range(B))
        else "batch and time swapped in the layout: reshape cuts along the "
        "text, (B, length), and nothing is transposed"
        if B > 1 and steps(row, B) else
        "the order of the tokens inside a row is lost: a row is "
        "corpus[start:start + num_steps]")


def _of_targets(places, targets, N: int, *offset: int | None) -> str:
    """The slip in the targets of a batch, from positions row by row."""
    T = len(places[0])
    shifts = [{t - i for t, i in zip(*rows, strict=True)}
              for rows in zip(targets, places, strict=True)]
    shifts = [row for row in shifts if row != {1}]  # those that are wrong
    if all(len(row) == 1 for row in shifts) and len(set(map(min, shifts))) > 1:
        return "the rows of X and Y are in different orders"
    both = set().union(*shifts)
    if both == {-1} and offset and T > 1 and (
            places[0][0] - (offset[0] or 0) - 1) % T == 0:
        return slips.TARGETS + "; here X and Y are swapped"
    if any(N - 1 in row for row in places):
        return ("keep one token back for the last target: nothing follows the "
                "last token of the text")
    if len(both) > 1:
        return slips.TARGETS
    shift = both.pop()
    here = {
        0: "here it is the token itself", -1: "here it is the one before",
        T: "here it is num_steps further, in the row after",
    }.get(shift, f"here it is {shift} further")
    return f"{slips.TARGETS}; {here}"


def _count(N: int, B: int, T: int, offset: int) -> int:
    """How many full batches a text has, in any order."""
    return (N - offset - 1) // (B * T)


def _random(starts: Starts, N: int, B: int, T: int, offset: int) -> None:
    possible, flat = list(range(offset, N - T, T)), _flat(starts)
    repeated = sorted({s for s in flat if flat.count(s) > 1})
    require(not repeated, f"the rows that start at {repeated} come twice",
            "each row once at most", slips.REUSED)
    require(
        set(flat) <= set(possible), f"rows that start at {sorted(flat)}",
        f"{possible}",
        "this is the sequential sampler; here the text is cut into rows of "
        "num_steps tokens, and the rows are shuffled"
        if B > 1 and starts == _sequential(N, B, T, offset) else
        slips.REUSED + "; these overlap"
        if any(0 < abs(a - b) < T for a in flat for b in flat) else
        _offset_slip(min(flat), offset)
        if len({start % T for start in flat}) == 1 else
        "the first row starts at the offset, the next ones num_steps further "
        "each")
    expected = _count(N, B, T, offset)
    require(len(starts) == expected, f"number of batches: {len(starts)}",
            f"{expected}", slips.DROPPED)


def _of_order(epochs: list[Starts], T: int) -> str:
    """The slip in the order of several epochs; empty if all is well."""
    flat = [_flat(starts) for starts in epochs]
    if all(row == flat[0] for row in flat):
        if flat[0] in (sorted(flat[0]), sorted(flat[0])[::-1]):
            return "the rows are not shuffled"
        return ("the order is the same in each epoch: the seed is set inside "
                "the function, or the order made outside")
    if len({frozenset(batch) for batch in _flat(epochs)}) == len(epochs[0]):
        return ("the same rows stand together in each epoch: whole batches "
                "are shuffled, or rows inside their batch; shuffle the rows "
                "before they are put into batches")
    pairs = [b - a for row in flat for a, b in pairwise(row)]
    if 2 * max(pairs.count(T), pairs.count(-T)) > len(pairs):
        return "the rows hardly change places: shuffle them all"
    return ""


def _sequential(
    N: int, B: int, T: int, offset: int, length: int = 0
) -> Starts:
    """Rows of some length, one after the other, T columns at a time.

    As in the notebook the columns at their end are left out.
    """
    length = length or (N - offset - 1) // B
    return [[offset + row * length + i * T for row in range(B)]
            for i in range(_count(N, B, T, offset))]


def _goes_on(starts, N: int, B: int, T: int, offset: int) -> bool:
    """Whether each row goes on, and no full batch is missing.

    What is left over may lie at the end of each row or of the text.
    """
    length = starts[0][1] - starts[0][0] if starts and B > 1 else N
    return length >= T * _count(N, B, T, offset) and (
        starts == _sequential(N, B, T, offset, length))


def _of_sequential(starts, N: int, B: int, T: int, offset: int) -> str:
    expected, flat = _sequential(N, B, T, offset), _flat(starts)
    if not starts:
        return "no batch at all"
    first = min(flat)
    if starts == expected[:len(starts)]:
        return "batches at the end are missing: range stops too early"
    if starts == expected[-len(starts):]:
        return "the first columns are missing: batches start at the offset"
    if first != offset and _goes_on(starts, N, B, T, first):
        return _offset_slip(first, offset)
    if flat == list(range(first, first + T * len(flat), T)):
        return ("the rows follow each other inside a batch; row i has to go "
                "on from batch to batch, so lay the text out in B long rows")
    if _goes_on([sorted(batch) for batch in starts], N, B, T, offset):
        return ("the rows of a batch are in another order: row 0 is the "
                "beginning of the text")
    if _goes_on(sorted(starts), N, B, T, offset):
        return "the batches are out of order: read from left to right"
    widths = {b - a for batch in starts for a, b in pairwise(batch)}
    steps = {b - a for row in zip(*starts, strict=True)
             for a, b in pairwise(row)}
    if ((len(widths) > 1 or steps - {T}) and len(set(flat)) == len(flat)
            and not any((start - offset) % T for start in flat)):
        return ("the rows are shuffled, as in the random sampler; here row i "
                "goes on from batch to batch")
    if steps - {T}:
        return ("from one batch to the next go num_steps columns further, in "
                "each row")
    if any(b - a < T for a, b in pairwise(sorted(flat))):
        return "the rows overlap: what one has read, no other reads"
    return "the rows are too short: lay all of the text out in B equal rows"


def _offset_slip(first: int, offset: int) -> str:
    if offset == 0:
        return (
            "offset 0 is an offset too: draw one only where `offset is None`")
    if first == offset + 1:
        return ("the offset is not used as it stands: the first row has to "
                "start at it, not after it")
    return "the offset is not used: the first row has to start at it"


def _draws_offsets(function) -> None:
    """Without an offset each epoch draws one, below num_steps."""
    # These sizes leave no row over: the first one shows the offset. So few
    # rows fit where the offset is far too large.
    N, B, T = 60, 2, 4
    with trying(_text_words(N, B, T)):
        without, with_none = (
            {min(_flat(_rows(function, N, B, T, *offset)), default=N)
             for _ in range(epochs)} for epochs, *offset in ((60,), (20, None))
        )
        require(len(without) > 1,
                f"offset {min(without)} in each of 60 epochs",
                f"another one from 0 to {T - 1} each time",
                "the offset is not drawn at random" if len(with_none) == 1 else
                "by default an offset is drawn: offset=None in the first line")
        require(without == set(range(T)), f"offsets {sorted(without)} in 60 "
                "epochs", f"{list(range(T))}", "the offset is drawn from the "
                "wrong range: 0 to num_steps - 1, both included")
