"""deep_rnn(vocab_size, num_hiddens, num_layers): a model, as many layers."""

from torch import nn

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


@slip("num_layers is not used")
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
