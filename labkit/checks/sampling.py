"""Checks of notebook 2: the random and the sequential sampler."""

from itertools import pairwise
from typing import Any

import torch

from labkit.checks import layouts, slips
from labkit.checks.comparing import items, kind, pair, require
from labkit.checks.harness import CheckFailed, check

# (N, batch_size, num_steps): the notebook's toy, one row, one step, a text
# of exactly one batch, one with rows to spare.
SIZES = ((35, 2, 5), (20, 1, 4), (12, 3, 1), (13, 2, 6), (50, 3, 4))
SHORT = (
    "a row at the end is cut short: keep one token back for the last target, "
    "and leave columns that fill no batch out"
)


@check
def seq_data_iter_random(function) -> str:
    """Rows in random order, each at most once."""
    for N, B, T, offset in _cases():
        tried = _words(N, B, T, offset)
        starts = _rows(function, N, B, T, offset)
        _random(starts, N, B, T, offset, tried)
    N, B, T = SIZES[-1]
    epochs = [_rows(function, N, B, T, 0) for _ in range(8)]
    likely = layouts.of_order(epochs, T)
    require(
        not likely, "rows that start at " + "; ".join(
            str([s for batch in starts for s in batch])
            for starts in epochs[:2]) + " in two epochs",
        "all rows in an order of chance, another each time", likely,
        f"{_words(N, B, T, 0)}, eight times")
    _draws_offsets(function)
    return (
        "At every offset each row is read at most once, no full batch is "
        "missing, rows are shuffled, and targets are the next tokens."
    )


@check
def seq_data_iter_sequential(function) -> str:
    """Rows that go on where they stopped."""
    for N, B, T, offset in _cases():
        starts = _rows(function, N, B, T, offset)
        if not layouts.goes_on(starts, N, B, T, offset):
            raise CheckFailed(
                f"batches whose rows start at {starts}",
                f"{layouts.sequential(N, B, T, offset)}",
                layouts.of_sequential(starts, N, B, T, offset),
                _words(N, B, T, offset))
    _draws_offsets(function)
    return (
        "At every offset row i of a batch goes on where row i of the batch "
        "before stopped, and targets are the next tokens."
    )


def _cases() -> list[tuple[int, int, int, int]]:
    """Sizes and offsets; 0 comes last, since some take it for None.

    It comes three times: the one that they draw then may be 0 by chance.
    """
    return [
        (N, B, T, offset) for N, B, T in SIZES
        for offset in (*range(min(T, N - B * T) - 1, 0, -1), 0, 0, 0)
    ]


def _words(N: int, B: int, T: int, *offset: int | None) -> str:
    return (
        f"a text of {N} tokens, batch_size={B}, num_steps={T}, "
        + (f"offset={offset[0]}" if offset else "no offset")
    )


def _text(N: int) -> torch.Tensor:
    """Tokens in which a neighbour is never the next number."""
    generator = torch.Generator().manual_seed(N)
    return torch.randperm(N, generator=generator) * 3 + 7


def _rows(
    function, N: int, B: int, T: int, *offset: int | None
) -> layouts.Starts:
    """For each batch where its rows start in the text; targets are checked.

    Shapes and targets are the same matter for both samplers.
    """
    tried = _words(N, B, T, *offset)
    corpus = _text(N)
    given = corpus.clone()
    position = {int(token): i for i, token in enumerate(corpus)}
    most = N // B + 2
    batches = _batches(function, given, B, T, *offset, most=most, tried=tried)
    expected = layouts.count(N, B, T, offset[0] or 0 if offset else 0)
    require(len(batches) <= most, f"more than {most} batches", f"{expected}",
            "the text holds so many only where rows are read twice", tried)
    found = []
    for number, batch in enumerate(batches):
        X, Y = _batch(batch, B, T, tried)
        where = f"in batch {number}"
        places = _places(f"{where} X", X, position, tried)
        _in_a_row(places, where, T, B, tried)
        targets = _places(f"{where} Y", Y, position, tried)
        _next_tokens(places, targets, where, N, offset, tried)
        found.append([row[0] for row in places])
    require(torch.equal(given, corpus), "afterwards the text is another one",
            "the text as it was", "the text handed in was changed", tried)
    firsts = [batch[0].data_ptr() for batch in batches]
    require(
        len(set(firsts)) == len(firsts),
        "one tensor again and again, with other numbers", "batches to keep",
        "each batch needs a tensor of its own", tried)
    return found


def _batches(function, corpus, B, T, *offset, most: int, tried: str) -> list:
    """What is yielded or returned; errors and single pairs are explained."""
    try:
        batches = items(
            function, corpus, B, T, *offset, most=most, tried=tried)
    except CheckFailed as failed:
        if "invalid for input of size" in failed.got:
            failed.likely = (
                "the numbers do not fill the new shape: keep one token back "
                "for the last target, and take the offset off as well"
            )
        raise
    alone = len(batches) == 2 and all(
        isinstance(b, torch.Tensor) and b.dim() == 2 for b in batches)
    if alone and batches[0].shape == batches[1].shape:
        raise CheckFailed(
            f"one pair of tensors of shape {tuple(batches[0].shape)}",
            "a pair for each batch, one after the other",
            "`return` ends the function at the first batch: `yield` each"
            if tuple(batches[0].shape) == (B, T) else
            "one pair of everything: cut it into batches of num_steps "
            "columns, and `yield` each", tried)
    return batches


def _batch(batch: Any, B: int, T: int, tried: str) -> tuple[Any, Any]:
    X, Y = pair("X, Y", batch, tried)
    for name, value in (("X", X), ("Y", Y)):
        if not isinstance(value, torch.Tensor):
            raise CheckFailed(
                f"{name} is {kind(value)}", "a tensor", slips.NO_TENSOR
                if isinstance(value, (list, tuple)) else "", tried)
        shape = tuple(value.shape)
        likely = ""
        if shape == (T, B):
            likely = slips.SWAPPED
        elif name == "Y" and shape in ((B,), (B, 1)):
            likely = (
                "a target for each token, not for each row: Y is X, shifted "
                "by one token"
            )
        elif value.dim() == 2 and shape[0] < B:
            likely = "rows that fill no batch are left out, not yielded"
        elif value.dim() == 2 and shape[1] < T:
            likely = SHORT
        require(shape == (B, T), f"{name} of shape {shape}", f"{(B, T)}",
                likely, tried)
        require(not value.is_floating_point(), f"{name} of {value.dtype}",
                "torch.int64", slips.FLOATS, tried)
    return X, Y


def _places(
    what: str, rows: torch.Tensor, position: dict[int, int], tried: str
) -> list[list[int]]:
    """Where the tokens of a batch stand in the text."""
    for token in rows.flatten().tolist():
        likely = (
            "positions, or other numbers made by counting, in place of the "
            "tokens: the toy text alone has token i at position i"
        )
        require(token in position, f"{what} holds {token}, which is nowhere "
                "in the text", "tokens of the text", likely, tried)
    return [[position[token] for token in row] for row in rows.tolist()]


def _run(places: list[int]) -> bool:
    return places == list(range(places[0], places[0] + len(places)))


def _in_a_row(places, where: str, T: int, B: int, tried: str) -> None:
    """Each row has to be a piece of the text."""
    if all(map(_run, places)):
        return
    row = next(row for row in places if not _run(row))
    flat = [place for row in places for place in row]
    likely = (
        "the order of the tokens inside a row is lost: a row is "
        "corpus[start:start + num_steps]"
    )
    if B > 1 and all(_run(flat[b::B]) for b in range(B)):
        likely = slips.SWAPPED
    elif B > 1 and all(b - a == B for a, b in pairwise(row)):
        likely = (
            "batch and time swapped in the layout: reshape cuts along the "
            "text, (B, length), and nothing is transposed"
        )
    raise CheckFailed(
        f"{where} a row of X has the tokens at positions {row}",
        "neighbours in the text, one after the other", likely, tried)


def _next_tokens(places, targets, where: str, N: int, offset, tried) -> None:
    wanted = [[i + 1 for i in row] for row in places]
    if targets == wanted:
        return
    raise CheckFailed(
        f"{where} the inputs at positions {places[0]} have targets at "
        f"{targets[0]}", f"targets at {wanted[0]}",
        layouts.of_targets(places, targets, N, *offset), tried)


def _random(starts, N: int, B: int, T: int, offset: int, tried: str) -> None:
    possible = list(range(offset, N - T, T))
    flat = [start for batch in starts for start in batch]
    repeated = sorted({s for s in flat if flat.count(s) > 1})
    require(not repeated, f"the rows that start at {repeated} come twice",
            "each row once at most", slips.REUSED, tried)
    if set(flat) - set(possible):
        raise CheckFailed(
            f"rows that start at {sorted(flat)}", f"{possible}",
            layouts.of_random(starts, N, B, T, offset), tried)
    expected = layouts.count(N, B, T, offset)
    require(len(starts) == expected, f"number of batches: {len(starts)}",
            f"{expected}", slips.DROPPED, tried)


def _draws_offsets(function) -> None:
    """Without an offset each epoch draws one, below num_steps."""
    N, B, T = 60, 2, 4
    tried = _words(N, B, T)

    def drawn(epochs: int, *offset: None) -> set[int]:
        found = set()
        for _ in range(epochs):
            starts = _rows(function, N, B, T, *offset)
            # So few rows fit where the offset is far too large.
            flat = [s for batch in starts for s in batch] or [N]
            # These sizes leave no row over: the first one shows the offset.
            found.add(min(flat))
        return found

    without = drawn(60)
    require(
        len(without) > 1, f"offset {min(without)} in each of 60 epochs",
        f"another one from 0 to {T - 1} each time",
        "the offset is not drawn at random" if len(drawn(20, None)) == 1 else
        "by default an offset is drawn: offset=None in the first line", tried)
    require(
        without == set(range(T)), f"offsets {sorted(without)} in 60 epochs",
        f"{list(range(T))}", "the offset is drawn from the wrong range: 0 to "
        "num_steps - 1, both included", tried)
