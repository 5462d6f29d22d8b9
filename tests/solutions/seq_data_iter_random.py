"""Shuffled rows: (corpus, batch_size, num_steps, offset=None) to (X, Y)s."""

import random

import numpy
import torch

from . import slip
from .seq_data_iter_sequential import right_as_in_the_notebook as sequential


def right_as_in_the_notebook(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = int(torch.randint(num_steps, (1,)))
    num_rows = (len(corpus) - offset - 1) // num_steps
    starts = offset + num_steps * torch.randperm(num_rows)
    for i in range(num_rows // batch_size):
        rows = starts[batch_size * i:batch_size * (i + 1)]
        X = torch.stack([corpus[s:s + num_steps] for s in rows])
        Y = torch.stack([corpus[s + 1:s + num_steps + 1] for s in rows])
        yield X, Y


def right_as_in_the_book(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = random.randint(0, num_steps - 1)
    corpus = corpus[offset:]
    num_subseqs = (len(corpus) - 1) // num_steps
    initial_indices = list(range(0, num_subseqs * num_steps, num_steps))
    random.shuffle(initial_indices)

    def data(pos):
        return corpus[pos:pos + num_steps].tolist()

    num_batches = num_subseqs // batch_size
    for i in range(0, batch_size * num_batches, batch_size):
        chosen = initial_indices[i:i + batch_size]
        X = [data(j) for j in chosen]
        Y = [data(j + 1) for j in chosen]
        yield torch.tensor(X), torch.tensor(Y)


def right_views_in_a_list(text, B, T, offset=None):
    offset = random.randrange(T) if offset is None else offset
    windows = text[offset:].unfold(0, T + 1, T)
    order = numpy.random.permutation(len(windows))
    batches = []
    while len(order) >= B:
        rows, order = windows[order[:B].tolist()], order[B:]
        batches.append([rows[:, :-1], rows[:, 1:]])
    return batches


def right_one_gather(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = torch.randint(0, num_steps, ()).item()
    n = (len(corpus) - 1 - offset) // num_steps
    first = offset + num_steps * torch.randperm(n)[:n - n % batch_size]
    places = first.reshape(-1, batch_size, 1) + torch.arange(num_steps)
    return zip(corpus[places], corpus[places + 1])  # noqa: B905


class right_as_an_iterator:  # noqa: N801
    """The rows that fill no batch are always the last ones."""

    def __init__(self, corpus, batch_size, num_steps, offset=None):
        if offset is None:
            offset = int(torch.rand(()) * num_steps)
        n = (len(corpus) - offset - 1) // num_steps // batch_size * batch_size
        self.rows = [offset + num_steps * i for i in range(n)]
        random.shuffle(self.rows)
        self.corpus, self.B, self.T = corpus, batch_size, num_steps

    def __iter__(self):
        return self

    def __next__(self):
        if not self.rows:
            raise StopIteration
        rows = [self.rows.pop() for _ in range(self.B)]
        places = torch.tensor([range(s, s + self.T) for s in rows])
        return self.corpus.take(places), self.corpus.take(places + 1)


def sampler(**slips):
    """The book's sampler with changes.

    Args:
        slips: functions that take the place of a step: `drawn` of T, `used`
            of N, T, offset (where rows start), `order` of the starts,
            `batches` of the starts and B, `target` of X's positions, `last`
            of X and Y.
    """
    step = {
        "drawn": lambda T: random.randrange(T),
        "used": lambda N, T, offset: range(offset, N - T, T),
        "order": lambda starts: random.sample(starts, len(starts)),
        "batches": lambda starts, B: [
            starts[i:i + B] for i in range(0, len(starts) - B + 1, B)],
        "target": lambda places: places + 1,
        "last": lambda X, Y: (X, Y),
        **slips,
    }

    def solution(corpus, batch_size, num_steps, offset=None):
        if offset is None:
            offset = step["drawn"](num_steps)
        starts = list(step["used"](len(corpus), num_steps, offset))
        for rows in step["batches"](step["order"](starts), batch_size):
            X = torch.tensor([[*range(s, s + num_steps)] for s in rows])
            yield step["last"](corpus[X], corpus[step["target"](X)])

    return solution


def marked(words, **slips):
    return slip(words)(sampler(**slips))


right_with_other_words = sampler()

wrong_with_replacement = marked(
    "the random sampler reuses subsequences",
    order=lambda starts: random.choices(starts, k=len(starts)))
wrong_rows_drawn_for_each_batch = marked(
    "the random sampler reuses subsequences",
    batches=lambda starts, B: [
        random.sample(starts, B) for _ in range(len(starts) // B)])
wrong_rows_from_anywhere = marked(
    "the random sampler reuses subsequences",
    used=lambda N, T, offset: random.sample(
        range(offset, N - T), (N - offset - 1) // T))
wrong_last_batch_dropped = marked(
    "the random sampler drops subsequences",
    batches=lambda starts, B: [
        starts[i:i + B] for i in range(0, len(starts) - B, B)])
wrong_rows_with_gaps = marked(
    "num_steps further each",
    used=lambda N, T, offset: range(offset, N - T, T + 1))
wrong_offset_ignored = marked(
    "the offset is not used",
    used=lambda N, T, offset: range(0, N - T, T))
wrong_targets_are_inputs = marked(
    "off-by-one targets", target=lambda places: places)
wrong_targets_before = marked(
    "off-by-one targets", target=lambda places: (places - 1).clip(0))
wrong_targets_are_the_next_row = marked(
    "the row after",
    used=lambda N, T, offset: range(offset, N - T - T, T),
    target=lambda places: places + places.shape[1])
wrong_inputs_and_targets_swapped = marked(
    "X and Y are swapped", last=lambda X, Y: (Y, X))
wrong_targets_of_other_rows = marked(
    "the rows of X and Y are in different orders",
    last=lambda X, Y: (X, Y.flip(0)))
wrong_time_first = marked(
    "batch and time swapped", last=lambda X, Y: (X.T, Y.T))
wrong_time_first_reshaped = marked(
    "batch and time swapped",
    last=lambda X, Y: (X.T.reshape(X.shape), Y.T.reshape(Y.shape)))
wrong_inputs_alone = marked(
    "both have to be returned", last=lambda X, Y: X)
wrong_floats = marked(
    "torch.tensor keeps whole numbers", last=lambda X, Y: (X.float(), Y))
wrong_lists = marked(
    "a list is no tensor yet",
    last=lambda X, Y: (X.tolist(), Y.tolist()))
wrong_one_target_a_row = marked(
    "a target for each token", last=lambda X, Y: (X, Y[:, -1]))
wrong_rest_is_yielded = marked(
    "rows that fill no batch are left out, not yielded",
    batches=lambda starts, B: [
        starts[i:i + B] for i in range(0, len(starts), B)])
wrong_not_shuffled = marked(
    "the rows are not shuffled", order=lambda starts: starts)
wrong_seed_inside = marked(
    "the seed is set inside",
    order=lambda starts: random.Random(1).sample(starts, len(starts)))
wrong_batches_shuffled = marked(
    "whole batches are shuffled",
    order=lambda starts: starts,
    batches=lambda starts, B: random.sample(
        [starts[i:i + B] for i in range(0, len(starts) - B + 1, B)],
        len(starts) // B))
wrong_shuffled_inside_batches = marked(
    "the same rows",
    order=lambda starts: starts,
    batches=lambda starts, B: [
        random.sample(starts[i:i + B], B)
        for i in range(0, len(starts) - B + 1, B)])
wrong_started_anywhere = marked(
    "hardly change places",
    order=lambda starts: (
        lambda k: starts[k:] + starts[:k])(random.randrange(len(starts))))
wrong_offset_always_zero = marked(
    "the offset is not drawn at random", drawn=lambda T: 0)
wrong_offset_up_to_num_steps = marked(
    "drawn from the wrong range", drawn=lambda T: random.randint(0, T))
wrong_offset_from_the_whole_text = marked(
    "drawn from the wrong range", drawn=lambda T: random.randint(0, 59))


@slip("offset 0 is an offset too")
def wrong_not_offset(corpus, batch_size, num_steps, offset=None):
    if not offset:
        offset = random.randint(0, num_steps - 1)
    yield from right_as_in_the_book(corpus, batch_size, num_steps, offset)


@slip("the offset is not used")
def wrong_offset_drawn_always(corpus, batch_size, num_steps, offset=None):
    offset = random.randint(0, num_steps - 1)
    yield from right_as_in_the_book(corpus, batch_size, num_steps, offset)


@slip("keep its arguments")
def wrong_no_offset(corpus, batch_size, num_steps):
    yield from right_as_in_the_book(corpus, batch_size, num_steps)


@slip("keep one token back for the last target")
def wrong_no_token_kept_back(corpus, batch_size, num_steps, offset=None):
    if offset is None:
        offset = int(torch.randint(num_steps, (1,)))
    num_rows = (len(corpus) - offset) // num_steps
    starts = offset + num_steps * torch.randperm(num_rows)
    for i in range(num_rows // batch_size):
        rows = starts[batch_size * i:batch_size * (i + 1)]
        X = torch.stack([corpus[s:s + num_steps] for s in rows])
        Y = torch.stack([corpus[s + 1:s + num_steps + 1] for s in rows])
        yield X, Y


@slip("keep one token back for the last target")
def wrong_no_token_kept_back_in_lists(corpus, B, T, offset=None):
    offset = random.randrange(T) if offset is None else offset
    starts = list(range(offset, len(corpus), T))[:(len(corpus) - offset) // T]
    random.shuffle(starts)
    for i in range(0, len(starts) - B + 1, B):
        rows = starts[i:i + B]
        yield (torch.tensor([corpus[s:s + T].tolist() for s in rows]),
               torch.tensor([corpus[s + 1:s + 1 + T].tolist() for s in rows]))


@slip("`return` ends the function at the first batch")
def wrong_returned_first_batch(corpus, batch_size, num_steps, offset=None):
    for X, Y in right_as_in_the_book(corpus, batch_size, num_steps, offset):
        return X, Y


@slip("no `return` and no `yield`")
def wrong_printed(corpus, batch_size, num_steps, offset=None):
    for X, Y in right_as_in_the_book(corpus, batch_size, num_steps, offset):
        print(X, Y)


@slip("a tensor of its own")
def wrong_one_tensor_for_all(corpus, B, T, offset=None):
    X = torch.empty(B, T, dtype=torch.int64)
    Y = torch.empty(B, T, dtype=torch.int64)
    for new_X, new_Y in right_as_in_the_book(corpus, B, T, offset):
        X.copy_(new_X)
        Y.copy_(new_Y)
        yield X, Y


@slip("the sequential sampler")
def wrong_sequential(corpus, batch_size, num_steps, offset=None):
    yield from sequential(corpus, batch_size, num_steps, offset)


@slip("the order of the tokens inside a row is lost")
def wrong_tokens_shuffled(corpus, batch_size, num_steps, offset=None):
    corpus = corpus[torch.randperm(len(corpus))]
    yield from right_as_in_the_book(corpus, batch_size, num_steps, offset)


@slip("the text handed in was changed")
def wrong_text_changed(corpus, batch_size, num_steps, offset=None):
    yield from right_as_in_the_book(corpus, batch_size, num_steps, offset)
    corpus.zero_()


@slip("in place of the tokens")
def wrong_positions(corpus, batch_size, num_steps, offset=None):
    corpus = torch.arange(len(corpus))
    yield from right_as_in_the_book(corpus, batch_size, num_steps, offset)


@slip("the toy text alone")
def wrong_targets_right_for_the_toy(corpus, B, T, offset=None):
    for X, _ in right_as_in_the_book(corpus, B, T, offset):
        yield X, X + 1


@slip("batch and time swapped")
def wrong_twice_time_first_and_same_targets(corpus, B, T, offset=None):
    for X, _ in right_as_in_the_book(corpus, B, T, offset):
        yield X.T, X.T


@slip("here it is the token itself")
def wrong_targets_of_the_last_row(corpus, batch_size, num_steps, offset=None):
    offset = 0 if offset is None else offset
    for X, Y in right_with_other_words(corpus, batch_size, num_steps, offset):
        Y = Y.clone()
        Y[-1] = X[-1]
        yield X, Y
