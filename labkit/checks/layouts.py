"""Where the rows of batches start in a text, and the slips that show there.

N tokens, B rows in a batch, T tokens in a row. `starts` holds a list for each
batch: where its rows start.
"""

from itertools import pairwise

from labkit.checks import slips

Starts = list[list[int]]

NOT_USED = "the offset is not used: the first row has to start at it"
ZERO_TOO = (
    "offset 0 is an offset too: draw one only where `offset is None`"
)


def count(N: int, B: int, T: int, offset: int) -> int:
    """How many full batches a text has, in any order."""
    return (N - offset - 1) // (B * T)


def sequential(N: int, B: int, T: int, offset: int) -> Starts:
    """As in the notebook: B long rows, the columns at their end left out."""
    length = (N - offset - 1) // B
    return layout(B, T, offset, length, length // T)


def layout(B: int, T: int, first: int, length: int, batches: int) -> Starts:
    """Rows of some length, one after the other, T columns at a time."""
    return [
        [first + row * length + i * T for row in range(B)]
        for i in range(batches)
    ]


def goes_on(starts: Starts, N: int, B: int, T: int, offset: int) -> bool:
    """Whether each row goes on, and no full batch is missing.

    What is left over may lie at the end of each row or of the text.
    """
    batches = count(N, B, T, offset)
    if len(starts) != batches:
        return False
    length = starts[0][1] - starts[0][0] if B > 1 else batches * T
    return length >= batches * T and (
        starts == layout(B, T, offset, length, batches))


def of_sequential(
    starts: Starts, N: int, B: int, T: int, offset: int
) -> str:
    """The slip in the rows of the sequential sampler."""
    expected = sequential(N, B, T, offset)
    flat = [start for batch in starts for start in batch]
    if not starts:
        return "no batch at all"
    first = min(flat)
    if starts == expected[:len(starts)]:
        return "batches at the end are missing: range stops too early"
    if starts == expected[-len(starts):]:
        return "the first columns are missing: batches start at the offset"
    if first != offset and goes_on(starts, N, B, T, first):
        return _offset_slip(first, offset)
    if flat == list(range(first, first + T * len(flat), T)):
        return (
            "the rows follow each other inside a batch; row i has to go on "
            "from batch to batch, so lay the text out in B long rows"
        )
    if goes_on([sorted(batch) for batch in starts], N, B, T, offset):
        return (
            "the rows of a batch are in another order: row 0 is the "
            "beginning of the text"
        )
    if goes_on(sorted(starts), N, B, T, offset):
        return "the batches are out of order: read from left to right"
    length = (starts[0][-1] - starts[0][0]) // max(B - 1, 1)
    if starts != layout(B, T, first, length, len(starts)) and (
            len(set(flat)) == len(flat)) and not any(
            (start - offset) % T for start in flat):
        return (
            "the rows are shuffled, as in the random sampler; here row i "
            "goes on from batch to batch"
        )
    return _between(starts, T)


def _between(starts: Starts, T: int) -> str:
    steps = {
        b - a for one, two in pairwise(starts)
        for a, b in zip(one, two, strict=True)
    }
    if steps - {T}:
        return (
            "from one batch to the next go num_steps columns further, in "
            "each row"
        )
    flat = sorted(start for batch in starts for start in batch)
    if any(b - a < T for a, b in pairwise(flat)):
        return "the rows overlap: what one has read, no other reads"
    return "the rows are too short: lay all of the text out in B equal rows"


def of_random(starts: Starts, N: int, B: int, T: int, offset: int) -> str:
    """The slip in rows of the random sampler that start in strange places."""
    flat = [start for batch in starts for start in batch]
    if B > 1 and starts == sequential(N, B, T, offset):
        return (
            "this is the sequential sampler; here the text is cut into rows "
            "of num_steps tokens, and the rows are shuffled"
        )
    if any(0 < abs(a - b) < T for a in flat for b in flat):
        return slips.REUSED + "; these overlap"
    if len({start % T for start in flat}) == 1:
        return _offset_slip(min(flat), offset)
    return (
        "the first row starts at the offset, the next ones num_steps "
        "further each"
    )


def of_targets(
    places: Starts, targets: Starts, N: int, *offset: int | None
) -> str:
    """The slip in the targets of a batch.

    Args:
        places, targets: positions of X and Y in the text, row by row.
    """
    T = len(places[0])
    shifts = [
        {t - i for t, i in zip(*rows, strict=True)}
        for rows in zip(targets, places, strict=True)
    ]
    if all(len(row) == 1 for row in shifts) and len(set(map(min, shifts))) > 1:
        return "the rows of X and Y are in different orders"
    both = set().union(*shifts)
    shift = min(both)
    after = None if not offset else places[0][0] - (offset[0] or 0) - 1
    if both == {-1} and after is not None and T > 1 and after % T == 0:
        return slips.TARGETS + "; here X and Y are swapped"
    if any(N - 1 in row for row in places):
        return (
            "keep one token back for the last target: nothing follows the "
            "last token of the text"
        )
    if len(both) > 1:
        return slips.TARGETS
    here = {
        0: "here it is the token itself", -1: "here it is the one before",
        T: "here it is num_steps further, in the row after",
    }.get(shift, f"here it is {shift} further")
    return f"{slips.TARGETS}; {here}"


def _offset_slip(first: int, offset: int) -> str:
    if offset == 0:
        return ZERO_TOO
    if first == offset + 1:
        return (
            "the offset is not used as it stands: the first row has to start "
            "at it, not after it"
        )
    return NOT_USED


def of_order(epochs: list[Starts], T: int) -> str:
    """The slip in the order of several epochs; empty if all is well."""
    flat = [tuple(s for batch in starts for s in batch) for starts in epochs]
    if len(set(flat)) == 1:
        ordered = sorted(flat[0])
        if list(flat[0]) in (ordered, ordered[::-1]):
            return "the rows are not shuffled"
        return (
            "the order is the same in each epoch: the seed is set inside the "
            "function, or the order made outside"
        )
    met = {frozenset(batch) for starts in epochs for batch in starts}
    if len(met) == len(epochs[0]):
        return (
            "the same rows stand together in each epoch: whole batches are "
            "shuffled, or rows inside their batch; shuffle the rows before "
            "they are put into batches"
        )
    pairs = [
        b - a for row in flat for a, b in pairwise(row)]
    if 2 * pairs.count(T) > len(pairs) or 2 * pairs.count(-T) > len(pairs):
        return "the rows hardly change places: shuffle them all"
    return ""
