"""Checks of notebook 2: the random and the sequential sampler.

What a sampler gives is read as places in the text: N tokens, B rows in a
batch, T tokens in a row; `starts` holds for each batch where its rows start.
"""

from itertools import chain, pairwise
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import items, kind, pair, require
from labkit.checks.harness import CheckFailed, call, check, trying

Starts = list[list[int]]

# (N, batch_size, num_steps): the notebook's toy, one row, one step, a text
# of exactly one batch, one with rows to spare.
SIZES = ((35, 2, 5), (20, 1, 4), (12, 3, 1), (13, 2, 6), (50, 3, 4))


@check
def seq_data_iter_random(function) -> str:
    """Rows in random order, each at most once."""
    for N, B, T, offset in _cases():
        with trying(_words(N, B, T, offset)):
            starts = _rows(function, N, B, T, offset)
            _random(starts, N, B, T, offset)
    N, B, T = SIZES[-1]
    with trying(f"{_words(N, B, T, 0)}, eight times"):
        epochs = [_rows(function, N, B, T, 0) for _ in range(8)]
        likely = _of_order(epochs, T)
        require(
            not likely, "rows that start at " + "; ".join(
                str(_flat(starts)) for starts in epochs[:2])
            + " in two epochs",
            "all rows in an order of chance, another each time", likely)
    _draws_offsets(function)
    return ("At every offset each row is read at most once, no full batch is "
            "missing, rows are shuffled, and targets are the next tokens.")


@check
def seq_data_iter_sequential(function) -> str:
    """Rows that go on where they stopped."""
    for N, B, T, offset in _cases():
        with trying(_words(N, B, T, offset)):
            starts = _rows(function, N, B, T, offset)
            if not _goes_on(starts, N, B, T, offset):
                raise CheckFailed(f"batches whose rows start at {starts}",
                                  f"{_sequential(N, B, T, offset)}",
                                  _of_sequential(starts, N, B, T, offset))
    _draws_offsets(function)
    return ("At every offset row i of a batch goes on where row i of the "
            "batch before stopped, and targets are the next tokens.")


def _cases() -> list[tuple[int, int, int, int]]:
    """Sizes and offsets; 0 comes last, since some take it for None.

    It comes three times: the one that they draw then may be 0 by chance.
    """
    return [
        (N, B, T, offset) for N, B, T in SIZES
        for offset in (*range(min(T, N - B * T) - 1, 0, -1), 0, 0, 0)
    ]


def _words(N: int, B: int, T: int, *offset: int | None) -> str:
    return (f"a text of {N} tokens, batch_size={B}, num_steps={T}, "
            + (f"offset={offset[0]}" if offset else "no offset"))


def _flat(rows: Starts) -> list[int]:
    return list(chain.from_iterable(rows))


# ---- what both samplers have to keep to: shapes, rows and targets


def _rows(function, N: int, B: int, T: int, *offset: int | None) -> Starts:
    """For each batch where its rows start in the text."""
    # Tokens in which a neighbour is never the next number.
    corpus = torch.randperm(N, generator=torch.Generator().manual_seed(N))
    corpus = corpus * 3 + 7
    given = corpus.clone()
    position = {int(token): i for i, token in enumerate(corpus)}
    most = N // B + 2
    batches = _batches(function, given, B, T, *offset, most=most)
    require(len(batches) <= most, f"more than {most} batches",
            f"{_count(N, B, T, offset[0] or 0 if offset else 0)}",
            "the text holds so many only where rows are read twice")
    found = []
    for number, batch in enumerate(batches):
        X, Y = _batch(batch, B, T)
        where = f"in batch {number}"
        places = _places(f"{where} X", X, position)
        _in_a_row(places, where, B)
        targets = _places(f"{where} Y", Y, position)
        wanted = [[i + 1 for i in row] for row in places]
        if targets != wanted:
            raise CheckFailed(
                f"{where} the inputs at positions {places[0]} have targets "
                f"at {targets[0]}", f"targets at {wanted[0]}",
                _of_targets(places, targets, N, *offset))
        found.append([row[0] for row in places])
    require(torch.equal(given, corpus), "afterwards the text is another one",
            "the text as it was", "the text handed in was changed")
    firsts = [batch[0].data_ptr() for batch in batches]
    require(len(set(firsts)) == len(firsts), "one tensor again and again, "
            "with other numbers", "batches to keep", "each batch needs a "
            "tensor of its own")
    return found


def _batches(function, *args: Any, most: int) -> list[Any]:
    """What is yielded or returned; errors and single pairs are explained."""
    batches = call(
        lambda: items(function, *args, most=most), explain=lambda error:
        "the numbers do not fill the new shape: keep one token back for the "
        "last target, and take the offset off as well"
        if "invalid for input of size" in error else "")
    alone = len(batches) == 2 and all(
        isinstance(b, torch.Tensor) and b.dim() == 2 for b in batches)
    if alone and batches[0].shape == batches[1].shape:
        raise CheckFailed(
            f"one pair of tensors of shape {tuple(batches[0].shape)}",
            "a pair for each batch, one after the other",
            "`return` ends the function at the first batch: `yield` each"
            if tuple(batches[0].shape) == args[1:3] else
            "one pair of everything: cut it into batches of num_steps "
            "columns, and `yield` each")
    return batches


def _batch(batch: Any, B: int, T: int) -> tuple[Any, Any]:
    X, Y = pair("X, Y", batch)
    for name, value in (("X", X), ("Y", Y)):
        if not isinstance(value, torch.Tensor):
            raise CheckFailed(
                f"{name} is {kind(value)}", "a tensor", slips.NO_TENSOR
                if isinstance(value, (list, tuple)) else "")
        shape = tuple(value.shape)
        likely = ""
        if shape == (T, B):
            likely = slips.SWAPPED
        elif name == "Y" and shape in ((B,), (B, 1)):
            likely = ("a target for each token, not for each row: Y is X, "
                      "shifted by one token")
        elif value.dim() == 2 and shape[0] < B:
            likely = "rows that fill no batch are left out, not yielded"
        elif value.dim() == 2 and shape[1] < T:
            likely = (
                "a row at the end is cut short: keep one token back for the "
                "last target, and leave columns that fill no batch out")
        require(shape == (B, T), f"{name} of shape {shape}", f"{(B, T)}",
                likely)
        require(not value.is_floating_point(), f"{name} of {value.dtype}",
                "torch.int64", slips.FLOATS)
    return X, Y


def _places(what: str, rows: torch.Tensor, position) -> list[list[int]]:
    """Where the tokens of a batch stand in the text."""
    for token in rows.flatten().tolist():
        require(
            token in position, f"{what} holds {token}, which is nowhere in "
            "the text", "tokens of the text", "positions, or other numbers "
            "made by counting, in place of the tokens: the toy text alone "
            "has token i at position i")
    return [[position[token] for token in row] for row in rows.tolist()]


def _run(places: list[int]) -> bool:
    return places == list(range(places[0], places[0] + len(places)))


def _in_a_row(places: list[list[int]], where: str, B: int) -> None:
    """Each row has to be a piece of the text."""
    row = next((row for row in places if not _run(row)), None)
    if row is None:
        return
    flat = _flat(places)
    likely = ("the order of the tokens inside a row is lost: a row is "
              "corpus[start:start + num_steps]")
    if B > 1 and all(_run(flat[b::B]) for b in range(B)):
        likely = slips.SWAPPED
    elif B > 1 and all(b - a == B for a, b in pairwise(row)):
        likely = ("batch and time swapped in the layout: reshape cuts along "
                  "the text, (B, length), and nothing is transposed")
    raise CheckFailed(f"{where} a row of X has the tokens at positions {row}",
                      "neighbours in the text, one after the other", likely)


def _of_targets(places, targets, N: int, *offset: int | None) -> str:
    """The slip in the targets of a batch, from positions row by row."""
    T = len(places[0])
    shifts = [
        {t - i for t, i in zip(*rows, strict=True)}
        for rows in zip(targets, places, strict=True)]
    if all(len(row) == 1 for row in shifts) and len(set(map(min, shifts))) > 1:
        return "the rows of X and Y are in different orders"
    both = set().union(*shifts)
    after = None if not offset else places[0][0] - (offset[0] or 0) - 1
    if both == {-1} and after is not None and T > 1 and after % T == 0:
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


# ---- the rows of the random sampler


def _count(N: int, B: int, T: int, offset: int) -> int:
    """How many full batches a text has, in any order."""
    return (N - offset - 1) // (B * T)


def _random(starts: Starts, N: int, B: int, T: int, offset: int) -> None:
    possible, flat = list(range(offset, N - T, T)), _flat(starts)
    repeated = sorted({s for s in flat if flat.count(s) > 1})
    require(not repeated, f"the rows that start at {repeated} come twice",
            "each row once at most", slips.REUSED)
    if set(flat) - set(possible):
        raise CheckFailed(f"rows that start at {sorted(flat)}", f"{possible}",
                          _of_random(starts, N, B, T, offset))
    expected = _count(N, B, T, offset)
    require(len(starts) == expected, f"number of batches: {len(starts)}",
            f"{expected}", slips.DROPPED)


def _of_random(starts: Starts, N: int, B: int, T: int, offset: int) -> str:
    """The slip in rows of the random sampler that start in strange places."""
    flat = _flat(starts)
    if B > 1 and starts == _sequential(N, B, T, offset):
        return ("this is the sequential sampler; here the text is cut into "
                "rows of num_steps tokens, and the rows are shuffled")
    if any(0 < abs(a - b) < T for a in flat for b in flat):
        return slips.REUSED + "; these overlap"
    if len({start % T for start in flat}) == 1:
        return _offset_slip(min(flat), offset)
    return ("the first row starts at the offset, the next ones num_steps "
            "further each")


def _of_order(epochs: list[Starts], T: int) -> str:
    """The slip in the order of several epochs; empty if all is well."""
    flat = [_flat(starts) for starts in epochs]
    if all(row == flat[0] for row in flat):
        if flat[0] in (sorted(flat[0]), sorted(flat[0])[::-1]):
            return "the rows are not shuffled"
        return ("the order is the same in each epoch: the seed is set inside "
                "the function, or the order made outside")
    met = {frozenset(batch) for starts in epochs for batch in starts}
    if len(met) == len(epochs[0]):
        return ("the same rows stand together in each epoch: whole batches "
                "are shuffled, or rows inside their batch; shuffle the rows "
                "before they are put into batches")
    pairs = [b - a for row in flat for a, b in pairwise(row)]
    if 2 * max(pairs.count(T), pairs.count(-T)) > len(pairs):
        return "the rows hardly change places: shuffle them all"
    return ""


# ---- the rows of the sequential sampler


def _sequential(N: int, B: int, T: int, offset: int) -> Starts:
    """As in the notebook: B long rows, the columns at their end left out."""
    length = (N - offset - 1) // B
    return _layout(B, T, offset, length, length // T)


def _layout(B: int, T: int, first: int, length: int, batches: int) -> Starts:
    """Rows of some length, one after the other, T columns at a time."""
    return [
        [first + row * length + i * T for row in range(B)]
        for i in range(batches)
    ]


def _goes_on(starts: Starts, N: int, B: int, T: int, offset: int) -> bool:
    """Whether each row goes on, and no full batch is missing.

    What is left over may lie at the end of each row or of the text.
    """
    batches = _count(N, B, T, offset)
    if len(starts) != batches:
        return False
    length = starts[0][1] - starts[0][0] if B > 1 else batches * T
    return length >= batches * T and (
        starts == _layout(B, T, offset, length, batches))


def _of_sequential(
    starts: Starts, N: int, B: int, T: int, offset: int
) -> str:
    """The slip in the rows of the sequential sampler."""
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
    length = (starts[0][-1] - starts[0][0]) // max(B - 1, 1)
    if (starts != _layout(B, T, first, length, len(starts))
            and len(set(flat)) == len(flat)
            and not any((start - offset) % T for start in flat)):
        return ("the rows are shuffled, as in the random sampler; here row i "
                "goes on from batch to batch")
    if any(b - a != T for one, two in pairwise(starts)
           for a, b in zip(one, two, strict=True)):
        return ("from one batch to the next go num_steps columns further, in "
                "each row")
    if any(b - a < T for a, b in pairwise(sorted(flat))):
        return "the rows overlap: what one has read, no other reads"
    return "the rows are too short: lay all of the text out in B equal rows"


# ---- offsets


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
    N, B, T = 60, 2, 4

    def drawn(epochs: int, *offset: None) -> set[int]:
        # These sizes leave no row over: the first one shows the offset. So
        # few rows fit where the offset is far too large.
        return {
            min(_flat(_rows(function, N, B, T, *offset)) or [N])
            for _ in range(epochs)}

    with trying(_words(N, B, T)):
        without = drawn(60)
        require(
            len(without) > 1, f"offset {min(without)} in each of 60 epochs",
            f"another one from 0 to {T - 1} each time",
            "the offset is not drawn at random" if len(drawn(20, None)) == 1
            else "by default an offset is drawn: offset=None in the first "
            "line")
        require(without == set(range(T)), f"offsets {sorted(without)} in 60 "
                "epochs", f"{list(range(T))}", "the offset is drawn from the "
                "wrong range: 0 to num_steps - 1, both included")
