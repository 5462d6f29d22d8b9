"""The open exercises of notebook 4, solved."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import labutils

SIZES = {"batch_size": 8, "num_steps": 10, "max_tokens": 1000}


def deep_rnn(num_hiddens, num_layers):
    labutils.set_seed()
    return labutils.RNNModel(nn.RNN(28, num_hiddens, num_layers), 28)


def trained(model, epochs):
    train_iter, _ = labutils.load_data_time_machine(**SIZES)
    optimizer = torch.optim.SGD(model.parameters(), 1)
    for _ in range(epochs):
        value, _ = labutils.train_epoch(model, train_iter, optimizer)
    return value


@pytest.mark.slow
def test_modify_eight_layers():
    """Where two layers learn, twelve stay near the letter counts."""
    assert trained(deep_rnn(32, 2), 10) < 15
    assert 16 < trained(deep_rnn(32, 12), 10) < 20


def test_modify_equal_numbers_of_parameters():
    wide, narrow = (
        sum(p.numel() for p in deep_rnn(*sizes).parameters())
        for sizes in ((256, 1), (154, 2)))
    assert abs(wide / narrow - 1) < 0.02


class TwoWidths(nn.Module):
    def __init__(self):
        super().__init__()
        self.lower, self.upper = nn.RNN(28, 24), nn.RNN(24, 8)
        self.linear = nn.Linear(8, 28)

    def forward(self, X, state):
        hiddens, lower = self.lower(F.one_hot(X.T, 28).float(), state[0])
        hiddens, upper = self.upper(hiddens, state[1])
        return self.linear(hiddens.flatten(0, 1)), (lower, upper)

    def begin_state(self, batch_size, device=None):
        return tuple(torch.zeros(1, batch_size, layer.hidden_size,
                                 device=device)
                     for layer in (self.lower, self.upper))


def test_make_two_widths():
    train_iter, vocab = labutils.load_data_time_machine(**SIZES)
    labutils.set_seed()
    model = TwoWidths()
    history = labutils.train(model, train_iter, vocab, 1, 2, verbose=False)
    assert history.held_out < 28
    assert len(labutils.predict("the", 5, model, vocab)) >= 8
