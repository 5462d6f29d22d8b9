"""Tokens to vectors: one_hot(X, vocab_size), (B, T) to (T, B, V) floats."""

import torch
from torch import nn
from torch.nn import functional as F

from . import slip


def right_as_in_the_notebook(X, vocab_size):
    return F.one_hot(X.T, vocab_size).float()


def right_rows_of_the_identity(X, vocab_size):
    return torch.eye(vocab_size, device=X.device)[X.t()]


def right_by_scatter(X, vocab_size):
    T, B = X.shape[1], X.shape[0]
    zeros = torch.zeros(T, B, vocab_size, device=X.device)
    return zeros.scatter_(2, X.T.unsqueeze(-1), 1)


def right_by_comparing(X, vocab_size):
    places = torch.arange(vocab_size, device=X.device)
    return (X.permute(1, 0)[..., None] == places).double()


def right_step_by_step(tokens, V):
    steps = [F.one_hot(column, V) for column in tokens.unbind(1)]
    return torch.stack(steps).to(torch.float32)


def right_as_an_embedding(X, vocab_size):
    table = torch.eye(vocab_size, device=X.device)
    return nn.Embedding.from_pretrained(table)(X.T)


@slip("batch and time swapped")
def wrong_rows_first(X, vocab_size):
    return F.one_hot(X, vocab_size).float()


@slip("batch and time swapped")
def wrong_reshaped(X, vocab_size):
    B, T = X.shape
    return F.one_hot(X, vocab_size).reshape(T, B, vocab_size).float()


@slip("one-hot of the wrong width")
def wrong_as_wide_as_the_batch(X, vocab_size):
    return F.one_hot(X.T).float()


@slip("one-hot of the wrong width")
def wrong_one_place_more(X, vocab_size):
    return F.one_hot(X.T, vocab_size + 1).float()


@slip("one-hot of the wrong width")
def wrong_as_the_course_has_it(X, vocab_size):
    return F.one_hot(X.T, 28).float()


@slip(".float()")
def wrong_whole_numbers(X, vocab_size):
    return F.one_hot(X.T, vocab_size)


@slip("no `return`")
def wrong_prints(X, vocab_size):
    F.one_hot(X.T, vocab_size).float()


@slip("the 1 stands one place beside")
def wrong_one_beside(X, vocab_size):
    return F.one_hot((X.T + 1) % vocab_size, vocab_size).float()


@slip("(T, B, V)")
def wrong_indices_as_floats(X, vocab_size):
    return X.T.float()


@slip("a list is no tensor yet")
def wrong_a_list(X, vocab_size):
    return [F.one_hot(column, vocab_size).float() for column in X.T]


@slip("changed in place")
def wrong_turned_in_place(X, vocab_size):
    return F.one_hot(X.t_(), vocab_size).float()


@slip("changed in place")
def wrong_counted_from_zero(X, vocab_size):
    hot = F.one_hot(X.T, vocab_size).float()
    X -= X.min()
    return hot
