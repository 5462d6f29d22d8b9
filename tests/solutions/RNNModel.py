"""class RNNModel(nn.Module): (rnn_layer, vocab_size); forward, begin_state."""

import torch
from torch import nn
from torch.nn import functional as F

from . import slip


class Notebook(nn.Module):
    def __init__(self, rnn_layer, vocab_size):
        super().__init__()
        self.rnn, self.vocab_size = rnn_layer, vocab_size
        self.linear = nn.Linear(rnn_layer.hidden_size, vocab_size)

    def forward(self, X, state):
        inputs = F.one_hot(X.T, self.vocab_size).float()
        hiddens, state = self.rnn(inputs, state)
        return self.linear(hiddens.flatten(0, 1)), state

    def begin_state(self, batch_size, device):
        return torch.zeros(self.rnn.num_layers, batch_size,
                           self.rnn.hidden_size, device=device)


def changed(**methods):
    """The notebook's class with other methods."""
    return type("RNNModel", (Notebook,), methods)


class right_as_in_the_notebook(Notebook):  # noqa: N801
    pass


class right_as_in_the_book(nn.Module):  # noqa: N801
    def __init__(self, rnn_layer, vocab_size, **kwargs):
        super().__init__(**kwargs)
        self.rnn = rnn_layer
        self.vocab_size = vocab_size
        self.num_hiddens = self.rnn.hidden_size
        self.linear = nn.Linear(self.num_hiddens, self.vocab_size)

    def forward(self, inputs, state):
        X = F.one_hot(inputs.T.long(), self.vocab_size).to(torch.float32)
        Y, state = self.rnn(X, state)
        return self.linear(Y.reshape((-1, Y.shape[-1]))), state

    def begin_state(self, batch_size=1, device=None):
        shape = (self.rnn.num_layers, batch_size, self.num_hiddens)
        return torch.zeros(shape, device=device)


class right_step_by_step(Notebook):  # noqa: N801
    def forward(self, X, state):
        table, scores = torch.eye(self.vocab_size, device=X.device), []
        for column in X.unbind(1):
            hidden, state = self.rnn(table[column][None], state)
            scores.append(self.linear(hidden[0]))
        return torch.cat(scores), state


class right_scores_by_hand(nn.Module):  # noqa: N801
    def __init__(self, rnn_layer, vocab_size):
        super().__init__()
        self.layer, self.V = rnn_layer, vocab_size
        self.W = nn.Parameter(
            torch.randn(vocab_size, rnn_layer.hidden_size) * 0.1)
        self.b = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, X, state):
        H, last = self.layer(F.one_hot(X.t(), self.V).float(), state)
        return F.linear(H, self.W, self.b).reshape(-1, self.V), last

    def begin_state(self, batch_size, device):
        return self.W.new_zeros(
            (self.layer.num_layers, batch_size, self.layer.hidden_size),
            device=device)


def rows_last(self, X, state):
    hiddens, state = self.rnn(
        F.one_hot(X.T, self.vocab_size).float(), state)
    return self.linear(hiddens.transpose(0, 1).flatten(0, 1)), state


def last_step(self, X, state):
    hiddens, state = self.rnn(
        F.one_hot(X.T, self.vocab_size).float(), state)
    return self.linear(hiddens[-1]), state


def in_three_axes(self, X, state):
    hiddens, state = self.rnn(
        F.one_hot(X.T, self.vocab_size).float(), state)
    return self.linear(hiddens), state


def after(forward):
    """A forward pass, something done with what comes out."""

    def run(self, X, state):
        logits, new = Notebook.forward(self, X, state)
        return forward(logits, new, state)

    return run


wrong_rows_first = slip("batch and time swapped")(changed(forward=rows_last))
wrong_last_step_only = slip("only the last step's scores")(
    changed(forward=last_step))
wrong_three_axes = slip("(T*B, V)")(changed(forward=in_three_axes))
wrong_old_state = slip("the state handed in is returned")(
    changed(forward=after(lambda logits, new, old: (logits, old))))
wrong_softmax = slip("softmax before the cross-entropy")(
    changed(forward=after(lambda logits, new, old: (logits.softmax(1), new))))
wrong_logits_alone = slip("both have to be returned")(
    changed(forward=after(lambda logits, new, old: logits)))
wrong_no_gradient = slip("the graph is cut")(
    changed(forward=after(lambda logits, new, old: (logits.detach(), new))))
wrong_without_layers = slip("the first axis is missing")(
    changed(begin_state=lambda self, batch_size, device: torch.zeros(
        batch_size, self.rnn.hidden_size, device=device)))
wrong_one_layer = slip("the first axis is num_layers")(
    changed(begin_state=lambda self, batch_size, device: torch.zeros(
        1, batch_size, self.rnn.hidden_size, device=device)))
wrong_rows_before_layers = slip("rows and layers are swapped")(
    changed(begin_state=lambda self, batch_size, device: torch.zeros(
        batch_size, self.rnn.num_layers, self.rnn.hidden_size,
        device=device)))
wrong_random_state = slip("an empty memory")(
    changed(begin_state=lambda self, batch_size, device: torch.randn(
        self.rnn.num_layers, batch_size, self.rnn.hidden_size,
        device=device)))


@slip("batch and time swapped")
class wrong_not_transposed(Notebook):  # noqa: N801
    def forward(self, X, state):
        B, T = X.shape
        inputs = F.one_hot(X, self.vocab_size).float().reshape(T, B, -1)
        hiddens, state = self.rnn(inputs, state)
        return self.linear(hiddens.flatten(0, 1)), state


@slip("the state handed in is ignored")
class wrong_from_zeros(Notebook):  # noqa: N801
    def forward(self, X, state):
        return Notebook.forward(self, X, torch.zeros_like(state))


@slip("a missing bias")
class wrong_no_bias(Notebook):  # noqa: N801
    def __init__(self, rnn_layer, vocab_size):
        super().__init__(rnn_layer, vocab_size)
        self.linear = nn.Linear(rnn_layer.hidden_size, vocab_size, bias=False)
