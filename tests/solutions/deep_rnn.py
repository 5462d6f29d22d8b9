"""deep_rnn(vocab_size, num_hiddens, num_layers): a model, as many layers."""

import torch
from torch import nn
from torch.nn import functional as F

import labutils
from labutils import scratch

from . import slip
from .RNNModel import Notebook


def right_as_in_the_notebook(vocab_size, num_hiddens, num_layers):
    layer = nn.RNN(vocab_size, num_hiddens, num_layers)
    return labutils.RNNModel(layer, vocab_size)


def right_with_ones_own_class(V, H, L):
    return Notebook(nn.RNN(V, H, num_layers=L), V)


def right_with_dropout(V, H, L):
    return labutils.RNNModel(
        nn.RNN(V, H, L, dropout=0.2 if L > 1 else 0.0), V)


def right_by_names(V, H, L):
    return labutils.RNNModel(nn.RNN(input_size=V, hidden_size=H,
                                    num_layers=L), vocab_size=V)


@slip("num_layers * batch_size * num_hiddens = 2 * 2 * 4 = 16")
def wrong_one_layer(V, H, L):
    return labutils.RNNModel(nn.RNN(V, H), V)


@slip("layers in place of")
def wrong_two_layers_always(V, H, L):
    return labutils.RNNModel(nn.RNN(V, H, 2), V)


@slip("layers in place of")
def wrong_one_more(V, H, L):
    return labutils.RNNModel(nn.RNN(V, H, L + 1), V)


@slip("the hidden size is not num_hiddens")
def wrong_other_width(V, H, L):
    return labutils.RNNModel(nn.RNN(V, H + 1, L), V)


@slip("expected an nn.RNN")
def wrong_gru(V, H, L):
    return labutils.RNNModel(nn.GRU(V, H, L), V)


@slip("an LSTM, or two directions")
def wrong_lstm(V, H, L):
    return labutils.RNNModel(nn.LSTM(V, H, L), V)


@slip("an LSTM, or two directions")
def wrong_both_directions(V, H, L):
    return labutils.RNNModel(nn.RNN(V, H, L, bidirectional=True), V)


@slip("expected: tanh")
def wrong_relu(V, H, L):
    return labutils.RNNModel(nn.RNN(V, H, L, nonlinearity="relu"), V)


@slip("has no one-hot encoding and no scores")
def wrong_layer_alone(V, H, L):
    return nn.RNN(V, H, L)


@slip("no `return`")
def wrong_nothing_returned(V, H, L):
    right_as_in_the_notebook(V, H, L)


@slip("num_layers is not used")
def wrong_from_scratch(V, H, L):
    return scratch.RNNModelScratch(
        V, H, "cpu", scratch.get_rnn_params, scratch.init_rnn_state,
        scratch.rnn)


class Stack(nn.Module):
    """Layers one upon the other, a state for each of them."""

    def __init__(self, V, H, L, layer=None):
        super().__init__()
        self.V, self.H = V, H
        self.cells = nn.ModuleList(
            layer or nn.RNN(H if k else V, H) for k in range(L))
        self.out = nn.Linear(H, V)

    def begin_state(self, batch_size, device=None):
        return [torch.zeros(1, batch_size, self.H, device=device)
                for _ in self.cells]

    def forward(self, X, states):
        Y, new = F.one_hot(X.T, self.V).float(), []
        for cell, state in zip(self.cells, states, strict=True):
            Y, state = cell(Y, state)
            new.append(state)
        return self.out(Y).flatten(0, 1), new


class Unregistered(Stack):
    def __init__(self, V, H, L):
        super().__init__(V, H, L)
        cells = list(self.cells)
        del self.cells
        self.cells = cells


class right_layer_upon_layer(Stack):  # noqa: N801
    pass


class right_own_subclass(labutils.RNNModel):  # noqa: N801
    def __init__(self, vocab_size, num_hiddens, num_layers):
        super().__init__(
            nn.RNN(vocab_size, num_hiddens, num_layers), vocab_size)


class right_cell_by_cell(Stack):  # noqa: N801
    """One step through all the layers, then the next."""

    def __init__(self, V, H, L):
        super().__init__(V, H, 0)
        self.cells = nn.ModuleList(
            [nn.RNNCell(V, H)] + [nn.RNNCell(H, H) for _ in range(L - 1)])

    def begin_state(self, batch_size, device):
        return tuple(torch.zeros(batch_size, self.H, device=device)
                     for _ in self.cells)

    def forward(self, X, states):
        scores, states = [], list(states)
        for x in F.one_hot(X, self.V).float().unbind(1):
            for k, cell in enumerate(self.cells):
                x = states[k] = cell(x, states[k])
            scores.append(self.out(x))
        return torch.cat(scores), tuple(states)


def right_ready_to_write(V, H, L):
    return labutils.RNNModel(nn.RNN(V, H, num_layers=L), V).eval()


def own(words, layer=None, **methods):
    """The notebook's class with other methods around a layer."""

    def solution(V, H, L):
        kind = type("Own", (Notebook,), methods)
        return kind((layer or nn.RNN)(V, H, L), V)

    return slip(words)(solution)


def after(change):
    """A forward pass, something done with what comes out."""

    def forward(self, X, state):
        logits, new = Notebook.forward(self, X, state)
        return change(logits, new, state)

    return forward


wrong_no_bias = own(
    "a missing bias", lambda V, H, L: nn.RNN(V, H, L, bias=False))
wrong_batch_first = own(
    "batch and time swapped",
    lambda V, H, L: nn.RNN(V, H, L, batch_first=True))
wrong_units_and_layers_mixed_up = own(
    "num_hiddens and num_layers are mixed up",
    lambda V, H, L: nn.RNN(V, L, H))
wrong_rows_of_scores = own(
    "batch and time swapped",
    forward=after(lambda logits, new, old: (
        logits.reshape(3, -1, logits.shape[1]).transpose(0, 1).reshape(
            logits.shape) if len(logits) == 6 else logits, new)))
wrong_softmax = own(
    "softmax before the cross-entropy",
    forward=after(lambda logits, new, old: (logits.softmax(1), new)))
wrong_old_state = own(
    "the state handed in is returned",
    forward=after(lambda logits, new, old: (logits, old)))
wrong_from_zeros = own(
    "the state handed in is ignored",
    forward=lambda self, X, state: Notebook.forward(
        self, X, torch.zeros_like(state)))
wrong_no_graph = own(
    "the graph is cut",
    forward=after(lambda logits, new, old: (logits.detach(), new)))
wrong_no_state = own(
    "no `return`", begin_state=lambda self, batch_size, device: None)
wrong_last_scores = own(
    "every step of every row has scores",
    forward=after(lambda logits, new, old: (logits[-2:], new)))


@slip("missing or shared weights")
def wrong_hidden_in_a_list(V, H, L):
    return Unregistered(V, H, L)


@slip("missing or shared weights")
def wrong_one_layer_many_times(V, H, L):
    model = Stack(V, H, L)
    model.cells = nn.ModuleList(
        [model.cells[0]] + [model.cells[1 % L]] * (L - 1))
    return model if L > 2 else Stack(V, H, L)


@slip("the class is returned")
def wrong_class(V, H, L):
    return labutils.RNNModel


@slip("one model that holds all the layers")
def wrong_list_of_models(V, H, L):
    return [labutils.RNNModel(nn.RNN(V, H), V) for _ in range(L)]


@slip("keep its arguments")
def wrong_no_number_of_layers(vocab_size, num_hiddens):
    return labutils.RNNModel(nn.RNN(vocab_size, num_hiddens, 2), vocab_size)


@slip("recurrent layer has input_size")
def wrong_sizes_exchanged(V, H, L):
    return labutils.RNNModel(nn.RNN(H, V, L), V)


@slip("num_layers is not used")
def wrong_right_for_one_layer(vocab_size, num_hiddens, num_layers=1):
    layer = nn.RNN(vocab_size, num_hiddens)
    layer.num_layers_wanted = num_layers
    return labutils.RNNModel(layer, vocab_size)
