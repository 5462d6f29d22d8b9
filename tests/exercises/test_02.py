"""The open exercises of notebook 2, done with what the course offers."""

import torch
from solutions.seq_data_iter_random import (
    right_as_in_the_notebook as seq_data_iter_random,
)
from solutions.seq_data_iter_sequential import (
    right_as_in_the_notebook as seq_data_iter_sequential,
)
from torch.nn import functional as F

import labutils
from labutils.corpus import practice_text

TOY, B, T = torch.arange(35), 2, 5


def rows(batches):
    return sorted(row.tolist() for X, _ in batches for row in X)


def test_an_offset_of_a_row_or_more_only_drops_rows():
    found = [
        rows(seq_data_iter_random(TOY, 1, T, offset)) for offset in (3, 8, 13)]
    assert found[1] == found[0][1:] and found[2] == found[0][2:]
    # In order the rows are the same too, as long as the layout divides.
    assert rows(seq_data_iter_sequential(TOY, 1, T, 8)) == found[1]


def overlapping(corpus, batch_size, num_steps, offset):
    """The notebook's random sampler with rows that overlap by half."""
    step = num_steps // 2
    num_rows = (len(corpus) - offset - 1 - num_steps) // step + 1
    starts = offset + step * torch.randperm(num_rows)
    for chosen in starts.split(batch_size):
        if len(chosen) == batch_size:
            X = torch.stack([corpus[s:s + num_steps] for s in chosen])
            Y = torch.stack([corpus[s + 1:s + num_steps + 1] for s in chosen])
            yield X, Y


def test_rows_that_overlap_by_half_are_nearly_twice_as_many():
    corpus = torch.arange(991)
    once = rows(seq_data_iter_random(corpus, 1, 10, 0))
    twice = rows(overlapping(corpus, 1, 10, 0))
    assert len(twice) == 2 * len(once) - 1
    # And yet no token is read that was not read before.
    assert {i for row in twice for i in row} <= {
        i for row in once for i in row}
    assert all(len(row) == 10 for row in twice)


def lines_in_batches(lines, vocab, batch_size):
    """Each line as a row, padded to the longest of its batch."""
    pad = vocab["<pad>"]
    coded = [vocab[line] for line in lines if len(line) > 1]
    for i in range(0, len(coded) - batch_size + 1, batch_size):
        batch = coded[i:i + batch_size]
        longest = max(map(len, batch))
        padded = torch.tensor(
            [line + [pad] * (longest - len(line)) for line in batch])
        yield padded[:, :-1], padded[:, 1:]


def test_lines_are_padded_and_the_loss_leaves_the_padding_out():
    lines = [labutils.clean_line(line)
             for line in practice_text().text.splitlines()[:40]]
    chars = labutils.tokenize(lines, "char")
    vocab = labutils.Vocab(chars, reserved_tokens=["<pad>"])
    shapes, pad = set(), vocab["<pad>"]
    for X, Y in lines_in_batches(chars, vocab, 4):
        assert X.shape == Y.shape and pad not in X[:, 0]
        shapes.add(tuple(X.shape))
        logits = torch.zeros(Y.numel(), len(vocab))
        logits[:, pad] = 100.0  # it foresees nothing but padding
        lazy = F.cross_entropy(logits, Y.flatten())
        honest = F.cross_entropy(logits, Y.flatten(), ignore_index=pad)
        assert honest == 100 and (lazy < honest) == bool((pad == Y).any())
    assert len({T for _, T in shapes}) > 1  # each batch has its own
