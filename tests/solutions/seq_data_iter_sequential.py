"""Rows that go on: (corpus, batch_size, num_steps, offset=None) to (X, Y)s."""

import random

import torch

from . import slip


def right_as_in_the_notebook(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = int(torch.randint(num_steps, (1,)))
    length = (len(corpus) - offset - 1) // batch_size
    end = offset + batch_size * length
    Xs = corpus[offset:end].reshape(batch_size, length)
    Ys = corpus[offset + 1:end + 1].reshape(batch_size, length)
    for i in range(0, length - num_steps + 1, num_steps):
        yield Xs[:, i:i + num_steps], Ys[:, i:i + num_steps]


def right_as_in_the_book(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = random.randint(0, num_steps - 1)
    num_tokens = ((len(corpus) - offset - 1) // batch_size) * batch_size
    Xs = torch.tensor(corpus[offset: offset + num_tokens].tolist())
    Ys = torch.tensor(corpus[offset + 1: offset + 1 + num_tokens].tolist())
    Xs, Ys = Xs.reshape(batch_size, -1), Ys.reshape(batch_size, -1)
    num_batches = Xs.shape[1] // num_steps
    for i in range(0, num_steps * num_batches, num_steps):
        X = Xs[:, i: i + num_steps]
        Y = Ys[:, i: i + num_steps]
        yield X, Y


def right_row_by_row_in_lists(corpus, B, T, offset=None):
    if offset is None:
        offset = random.choice(range(T))
    tokens = [int(token) for token in corpus][offset:]
    length = (len(tokens) - 1) // B
    starts = [row * length for row in range(B)]
    batches = []
    for step in range(length // T):
        X = [tokens[s + step * T:s + step * T + T] for s in starts]
        Y = [tokens[s + step * T + 1:s + step * T + T + 1] for s in starts]
        batches += [(torch.tensor(X), torch.tensor(Y))]
    return batches


def right_strided_and_split(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = torch.randint(0, num_steps, (1,)).item()
    length = (corpus.numel() - offset - 1) // batch_size
    rows = corpus[offset:].as_strided(
        (batch_size, length + 1), (length, 1), offset)
    whole = length - length % num_steps
    return zip(  # noqa: B905
        rows[:, :whole].split(num_steps, 1),
        rows[:, 1:whole + 1].split(num_steps, 1))


def right_rows_trimmed_to_whole_batches(corpus, B, T, offset=None):
    """Rows that a batch ends with: what is over lies at the end."""
    offset = random.randrange(T) if offset is None else offset
    num_batches = (len(corpus) - offset - 1) // (B * T)
    used = B * T * num_batches
    X = corpus[offset:offset + used].view(B, num_batches, T)
    Y = corpus[offset + 1:offset + 1 + used].view(B, num_batches, T)
    return [(X[:, i], Y[:, i]) for i in range(num_batches)]


def sampler(**slips):
    """The notebook's sampler with changes.

    Args:
        slips: functions that take the place of a step: `drawn` of T,
            `length` of n, B and T (n tokens follow the offset), `first` of
            the offset, `columns` of length and T, `shift` of T, `last` of X
            and Y.
    """
    step = {
        "drawn": lambda T: random.randrange(T),
        "length": lambda n, B, T: (n - 1) // B,
        "first": lambda offset: offset,
        "columns": lambda length, T: range(0, length - T + 1, T),
        "shift": lambda T: 1,
        "last": lambda X, Y: (X, Y),
        **slips,
    }

    def solution(corpus, batch_size, num_steps, offset=None):
        B, T = batch_size, num_steps
        offset = step["drawn"](T) if offset is None else offset
        length = step["length"](len(corpus) - offset, B, T)
        first, shift = step["first"](offset), step["shift"](T)
        Xs = corpus[first:first + B * length].reshape(B, length)
        Ys = corpus.roll(-shift)[first:first + B * length].reshape(B, length)
        for i in step["columns"](length, T):
            yield step["last"](Xs[:, i:i + T], Ys[:, i:i + T])

    return solution


def marked(words, **slips):
    return slip(words)(sampler(**slips))


right_with_other_words = sampler()

wrong_targets_are_inputs = marked("off-by-one targets", shift=lambda T: 0)
wrong_targets_two_ahead = marked("off-by-one targets", shift=lambda T: 2)
wrong_targets_before = marked("off-by-one targets", shift=lambda T: -1)
wrong_targets_are_the_next_batch = marked(
    "the row after", shift=lambda T: T)
wrong_inputs_and_targets_swapped = marked(
    "X and Y are swapped", last=lambda X, Y: (Y, X))
wrong_last_target_is_the_first_token = marked(
    "keep one token back for the last target", length=lambda n, B, T: n // B)
wrong_offset_ignored = marked(
    "the offset is not used", first=lambda offset: 0)
wrong_offset_twice = marked(
    "start at it, not after it",
    first=lambda offset: offset + 1, length=lambda n, B, T: (n - 2) // B)
wrong_last_batch_dropped = marked(
    "range stops too early",
    columns=lambda length, T: range(0, length - T, T))
wrong_first_batch_dropped = marked(
    "the first columns are missing",
    columns=lambda length, T: range(T, length - T + 1, T))
wrong_narrow_last_batch = marked(
    "leave columns that fill no batch out",
    columns=lambda length, T: range(0, length, T))
wrong_one_column_further = marked(
    "num_steps columns further",
    columns=lambda length, T: range(length - T + 1))
wrong_gaps_between_batches = marked(
    "num_steps columns further",
    columns=lambda length, T: range(0, length - T + 1, T + 1))
wrong_batches_backwards = marked(
    "the batches are out of order",
    columns=lambda length, T: range(0, length - T + 1, T)[::-1])
wrong_batches_shuffled = marked(
    "the batches are out of order",
    columns=lambda length, T: random.sample(
        range(0, length - T + 1, T), length // T))
wrong_rows_backwards = marked(
    "the rows of a batch are in another order",
    last=lambda X, Y: (X.flip(0), Y.flip(0)))
wrong_time_first = marked(
    "batch and time swapped", last=lambda X, Y: (X.T, Y.T))
wrong_time_first_reshaped = marked(
    "batch and time swapped",
    last=lambda X, Y: (X.T.reshape(X.shape), Y.T.reshape(Y.shape)))
wrong_floats = marked(
    "torch.tensor keeps whole numbers", last=lambda X, Y: (X.float(), Y))
wrong_one_target_a_row = marked(
    "a target for each token", last=lambda X, Y: (X, Y[:, -1:]))
wrong_rows_too_short = marked(
    "the rows are too short", length=lambda n, B, T: max((n - 1) // B - T, T))
wrong_offset_always_zero = marked(
    "the offset is not drawn at random", drawn=lambda T: 0)
wrong_offset_up_to_num_steps = marked(
    "drawn from the wrong range", drawn=lambda T: random.randint(0, T))
wrong_offset_below_num_steps_less_one = marked(
    "drawn from the wrong range", drawn=lambda T: random.randrange(T - 1))


@slip("row i has to go on from batch to batch")
def wrong_rows_follow_inside_a_batch(corpus, B, T, offset=None):
    offset = random.randrange(T) if offset is None else offset
    num_batches = (len(corpus) - offset - 1) // (B * T)
    for i in range(num_batches):
        s = offset + i * B * T
        yield (corpus[s:s + B * T].reshape(B, T),
               corpus[s + 1:s + B * T + 1].reshape(B, T))


@slip("the rows overlap")
def wrong_rows_overlap(corpus, B, T, offset=None):
    offset = random.randrange(T) if offset is None else offset
    for i in range((len(corpus) - offset - 1) // (B * T)):
        starts = [offset + (i + row) * T for row in range(B)]
        yield (torch.stack([corpus[s:s + T] for s in starts]),
               torch.stack([corpus[s + 1:s + T + 1] for s in starts]))


@slip("reshape cuts along the text")
def wrong_laid_out_in_columns(corpus, B, T, offset=None):
    offset = random.randrange(T) if offset is None else offset
    length = (len(corpus) - offset - 1) // B
    Xs = corpus[offset:offset + B * length].reshape(length, B).T
    Ys = corpus[offset + 1:offset + B * length + 1].reshape(length, B).T
    for i in range(0, length - T + 1, T):
        yield Xs[:, i:i + T], Ys[:, i:i + T]


@slip("the rows are shuffled, as in the random sampler")
def wrong_random(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = int(torch.randint(num_steps, (1,)))
    num_rows = (len(corpus) - offset - 1) // num_steps
    starts = offset + num_steps * torch.randperm(num_rows)
    for i in range(num_rows // batch_size):
        rows = starts[batch_size * i:batch_size * (i + 1)]
        X = torch.stack([corpus[s:s + num_steps] for s in rows])
        Y = torch.stack([corpus[s + 1:s + num_steps + 1] for s in rows])
        yield X, Y


@slip("keep one token back for the last target")
def wrong_no_token_kept_back(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = random.randint(0, num_steps - 1)
    num_tokens = (len(corpus) - offset) // batch_size * batch_size
    Xs = corpus[offset:offset + num_tokens].reshape(batch_size, -1)
    Ys = corpus[offset + 1:offset + 1 + num_tokens].reshape(batch_size, -1)
    for i in range(0, Xs.shape[1] // num_steps * num_steps, num_steps):
        yield Xs[:, i:i + num_steps], Ys[:, i:i + num_steps]


@slip("take the offset off")
def wrong_length_without_offset(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = random.randint(0, num_steps - 1)
    length = (len(corpus) - 1) // batch_size
    Xs = corpus[offset:offset + batch_size * length].view(batch_size, length)
    Ys = corpus[offset + 1:offset + 1 + batch_size * length].view(
        batch_size, length)
    for i in range(0, length - num_steps + 1, num_steps):
        yield Xs[:, i:i + num_steps], Ys[:, i:i + num_steps]


@slip("offset 0 is an offset too")
def wrong_offset_or_random(corpus, batch_size, num_steps, offset=None):
    offset = offset or random.randint(0, num_steps - 1)
    yield from right_as_in_the_book(corpus, batch_size, num_steps, offset)


@slip("the offset is not used")
def wrong_offset_drawn_always(corpus, batch_size, num_steps, offset=None):
    offset = random.randint(0, num_steps - 1)
    yield from right_as_in_the_book(corpus, batch_size, num_steps, offset)


@slip("by default")
def wrong_default_offset(corpus, batch_size, num_steps, offset=0):
    if offset is None:
        offset = random.randint(0, num_steps - 1)
    yield from right_as_in_the_book(corpus, batch_size, num_steps, offset)


@slip("`return` ends the function at the first batch")
def wrong_returned_first_batch(corpus, batch_size, num_steps, offset=None):
    for batch in right_as_in_the_book(corpus, batch_size, num_steps, offset):
        return batch


@slip("no `return` and no `yield`")
def wrong_nothing_returned(corpus, batch_size, num_steps, offset=None):
    batches = right_as_in_the_book(corpus, batch_size, num_steps, offset)
    list(batches)


@slip("one pair of everything")
def wrong_whole_layout(corpus, batch_size, num_steps, offset=None):
    offset = 0 if offset is None else offset
    length = (len(corpus) - offset - 1) // batch_size
    end = offset + batch_size * length
    return (corpus[offset:end].reshape(batch_size, length),
            corpus[offset + 1:end + 1].reshape(batch_size, length))


@slip("batch and time swapped")
def wrong_twice_sizes_swapped_and_targets(corpus, B, T, offset=None):
    offset = random.randrange(T) if offset is None else offset
    length = (len(corpus) - offset - 1) // T
    Xs = corpus[offset:offset + T * length].reshape(T, length)
    for i in range(0, length - B + 1, B):
        yield Xs[:, i:i + B], Xs[:, i:i + B]
