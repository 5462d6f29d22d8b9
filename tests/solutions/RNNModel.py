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


def after(forward):
    """A forward pass, something done with what comes out."""

    def run(self, X, state):
        logits, new = Notebook.forward(self, X, state)
        return forward(logits, new, state)

    return run


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


def encoded(self, X):
    return F.one_hot(X.T, self.vocab_size).float()


class right_weight_as_in_notebook_3(nn.Module):  # noqa: N801
    def __init__(self, rnn_layer, vocab_size):
        super().__init__()
        self.layer = rnn_layer
        shape = rnn_layer.hidden_size, vocab_size
        self.W_hq = nn.Parameter(torch.randn(shape) * 0.01)
        self.b_q = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, X, state):
        eye = torch.eye(len(self.b_q), device=X.device)
        Y, state = self.layer(eye[X.T], state)
        return torch.addmm(self.b_q, Y.flatten(0, 1), self.W_hq), state

    def begin_state(self, batch_size, device):
        L, H = self.layer.num_layers, self.layer.hidden_size
        return torch.zeros(L, batch_size, H).to(device)


class right_one_hot_by_scatter(Notebook):  # noqa: N801
    def forward(self, X, state):
        B, T = X.size()
        inputs = torch.zeros(T, B, self.vocab_size, device=X.device)
        inputs.scatter_(2, X.t().unsqueeze(-1), 1.0)
        hiddens, last = self.rnn(inputs, state)
        return torch.cat([self.linear(H) for H in hiddens]), last.detach()


class right_parts_in_a_dictionary(nn.Module):  # noqa: N801
    def __init__(self, rnn_layer, vocab_size):
        super().__init__()
        self.parts = nn.ModuleDict({
            "rnn": rnn_layer,
            "out": nn.Linear(rnn_layer.hidden_size, vocab_size)})

    def forward(self, X, H):
        V = self.parts["out"].out_features
        inputs = (X.T[..., None] == torch.arange(V, device=X.device)).float()
        Y, H = self.parts["rnn"](inputs, H)
        return torch.einsum(
            "tbh,vh->tbv", Y, self.parts["out"].weight).reshape(
                -1, V) + self.parts["out"].bias, H

    def begin_state(self, batch_size, device=None):
        rnn = self.parts["rnn"]
        return torch.stack([
            torch.zeros(batch_size, rnn.hidden_size, device=device)
            for _ in range(rnn.num_layers)])


def forward(words, method):
    return slip(words)(changed(forward=method))


def scored(words, layer):
    """A forward pass with the layer called in another way."""

    def method(self, X, state):
        hiddens, state = layer(self, X, state)
        return self.linear(hiddens.flatten(0, 1)), state

    return forward(words, method)


def started(words, method):
    return slip(words)(changed(begin_state=method))


wrong_width_of_the_batch = scored(
    "one-hot of the wrong width",
    lambda self, X, state: self.rnn(F.one_hot(X.T).float(), state))
wrong_width_of_the_units = scored(
    "one-hot of the wrong width",
    lambda self, X, state: self.rnn(
        F.one_hot(X.T, self.rnn.hidden_size).float(), state))
wrong_rows_first_one_hot = scored(
    "batch and time swapped",
    lambda self, X, state: self.rnn(
        F.one_hot(X, self.vocab_size).float(), state))
wrong_no_floats = scored(
    ".float()",
    lambda self, X, state: self.rnn(F.one_hot(X.T, self.vocab_size), state))
wrong_no_one_hot = forward(
    "one-hot inputs (T, B, V)",
    lambda self, X, state: self.rnn(X.T.float(), state))
wrong_rows_first = forward(
    "batch and time swapped",
    lambda self, X, state: (lambda Y, H: (
        self.linear(Y.transpose(0, 1).flatten(0, 1)), H))(
            *self.rnn(encoded(self, X), state)))
wrong_three_axes = forward(
    "(T*B, V)",
    lambda self, X, state: (lambda Y, H: (self.linear(Y), H))(
        *self.rnn(encoded(self, X), state)))
wrong_state_not_passed = scored(
    "the state handed in is ignored",
    lambda self, X, state: self.rnn(encoded(self, X)))
wrong_hidden_states = forward(
    "the hidden states are returned",
    lambda self, X, state: (lambda Y, H: (Y.flatten(0, 1), H))(
        *self.rnn(encoded(self, X), state)))
wrong_scores_of_the_last_state = forward(
    "only the last step's scores",
    lambda self, X, state: (lambda Y, H: (self.linear(H[-1]), H))(
        *self.rnn(encoded(self, X), state)))
wrong_all_states_returned = forward(
    "the hidden states of all the steps",
    lambda self, X, state: (lambda Y, H: (
        self.linear(Y.flatten(0, 1)), Y))(
            *self.rnn(encoded(self, X), state)))
wrong_top_state_alone = forward(
    "only the last layer's state",
    lambda self, X, state: (lambda Y, H: (
        self.linear(Y.flatten(0, 1)), H[-1]))(
            *self.rnn(encoded(self, X), state)))
wrong_steps_not_connected = forward(
    "state not carried from step to step",
    lambda self, X, state: (
        torch.cat([self.linear(self.rnn(x[None], state)[0][0])
                   for x in encoded(self, X)]),
        self.rnn(encoded(self, X), state)[1]))
wrong_log_softmax = forward(
    "softmax before the cross-entropy",
    after(lambda logits, new, old: (F.log_softmax(logits, 1), new)))
wrong_tanh = forward(
    "no tanh", after(lambda logits, new, old: (logits.tanh(), new)))
wrong_nothing_returned = forward(
    "no `return`", after(lambda logits, new, old: None))
wrong_order_of_results = forward(
    "the wrong way round", after(lambda logits, new, old: (new, logits)))
wrong_hidden_graph = forward(
    "the graph is cut",
    lambda self, X, state: (lambda Y, H: (
        self.linear(Y.detach().flatten(0, 1)), H))(
            *self.rnn(encoded(self, X), state)))
wrong_device_ignored = started(
    "the argument device is not used",
    lambda self, batch_size, device: torch.zeros(
        self.rnn.num_layers, batch_size, self.rnn.hidden_size))
wrong_tuple_of_states = started(
    "in no tuple",
    lambda self, batch_size, device: (torch.zeros(
        self.rnn.num_layers, batch_size, self.rnn.hidden_size),))
wrong_vocabulary_in_the_state = started(
    "hidden_size",
    lambda self, batch_size, device: torch.zeros(
        self.rnn.num_layers, batch_size, self.vocab_size))
wrong_printed_state = started(
    "no `return`", lambda self, batch_size, device: None)


@slip("super().__init__()")
class wrong_no_super(Notebook):  # noqa: N801
    def __init__(self, rnn_layer, vocab_size):
        self.rnn, self.vocab_size = rnn_layer, vocab_size
        self.linear = nn.Linear(rnn_layer.hidden_size, vocab_size)


@slip("made outside __init__")
class wrong_layer_made_anew(Notebook):  # noqa: N801
    def __init__(self, rnn_layer, vocab_size):
        nn.Module.__init__(self)
        self.rnn, self.vocab_size = rnn_layer, vocab_size

    def forward(self, X, state):
        hiddens, state = self.rnn(encoded(self, X), state)
        linear = nn.Linear(self.rnn.hidden_size, self.vocab_size)
        return linear(hiddens.flatten(0, 1)), state


@slip("an nn.Module")
class wrong_no_module:  # noqa: N801
    def __init__(self, rnn_layer, vocab_size):
        self.model = Notebook(rnn_layer, vocab_size)
        self.parameters = self.model.parameters
        self.begin_state = self.model.begin_state

    def __call__(self, X, state):
        return self.model(X, state)
