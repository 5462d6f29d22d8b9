"""The open exercises of notebook 5, done with what the course offers."""

import functools

import pytest
import torch
from small import CPU, VOCAB, V, make_data

from labutils import RNNModelScratch, scratch, train

H, EPOCHS = 8, 12


@pytest.fixture(autouse=True)
def no_cap(monkeypatch):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)


def new_model(get_params=scratch.get_lstm_params, forward=scratch.lstm,
              **biases):
    """As in the notebook: b_i, b_f, b_o are where these biases start."""
    torch.manual_seed(0)
    model = RNNModelScratch(
        V, H, CPU, get_params, scratch.init_lstm_state, forward)
    with torch.no_grad():
        for name, value in biases.items():
            model.params[{"b_i": 2, "b_f": 5, "b_o": 8}[name]].fill_(value)
    return model


def epochs_to(limit, model):
    history = train(
        model, make_data(tokens=800), VOCAB, 1.0, EPOCHS, verbose=False)
    return history.first_epoch_below(limit) or EPOCHS + 1


@functools.cache  # two tests compare with it
def of_the_notebook():
    return epochs_to(12, new_model())


@pytest.mark.slow
def test_open_input_and_output_gates_shorten_the_flat_stretch():
    assert epochs_to(12, new_model(b_i=4, b_o=4)) < of_the_notebook() / 2
    assert abs(epochs_to(12, new_model(b_f=1)) - of_the_notebook()) <= 1


@pytest.mark.slow
def test_larger_weights_start_sooner():
    def uniform(vocab_size, num_hiddens, device):
        params = scratch.get_lstm_params(vocab_size, num_hiddens, device)
        with torch.no_grad():
            for param in params:
                param.uniform_(-(num_hiddens ** -0.5), num_hiddens ** -0.5)
        return params

    assert epochs_to(12, new_model(uniform)) < of_the_notebook() / 2


def test_gates_that_see_the_cell():
    def get_params(vocab_size, num_hiddens, device):
        peepholes = [torch.zeros(num_hiddens, device=device,
                                 requires_grad=True) for _ in range(3)]
        return [*scratch.get_lstm_params(vocab_size, num_hiddens, device),
                *peepholes]

    def lstm(inputs, state, params):
        (W_xi, W_hi, b_i, W_xf, W_hf, b_f, W_xo, W_ho, b_o, W_xc, W_hc, b_c,
         W_hq, b_q, w_i, w_f, w_o) = params
        H, C = state
        outputs = []
        for X in inputs:
            I = torch.sigmoid(X @ W_xi + H @ W_hi + C * w_i + b_i)
            F = torch.sigmoid(X @ W_xf + H @ W_hf + C * w_f + b_f)
            O = torch.sigmoid(X @ W_xo + H @ W_ho + C * w_o + b_o)
            C = F * C + I * torch.tanh(X @ W_xc + H @ W_hc + b_c)
            H = O * torch.tanh(C)
            outputs.append(H @ W_hq + b_q)
        return torch.cat(outputs), (H, C)

    model, plain = new_model(get_params, lstm), new_model()
    X, _ = next(iter(make_data(tokens=800)))
    for a, b in zip(model(X, model.begin_state(4)),
                    plain(X, plain.begin_state(4)), strict=True):
        torch.testing.assert_close(a, b)  # with all of them at zero
    train(model, make_data(tokens=800), VOCAB, 1.0, 2, verbose=False)
    for w in model.params[-3:]:
        assert w.shape == (H,) and w.any()
