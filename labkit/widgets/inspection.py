"""A look inside a model: what it expects, remembers and lets through.

Each function reads a text from its beginning. All but `gates` ask nothing of
a model but the protocol; a gate can only be computed from the parameters.
A text that is too short and a model that cannot be looked at (over another
vocabulary, diverged, reading in two directions) are refused with a ValueError
that says why. Shapes: T characters, V vocabulary, L layers, H hidden units.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn import functional as F

from labutils.files import translated as _
from labutils.generation import encode, probabilities
from labutils.models import (
    LanguageModel,
    RNNModel,
    State,
    device_of,
    evaluation_mode,
)
from labutils.scratch import RNNModelScratch
from labutils.text import Vocab

# The blocks of torch's weights, in their order: gates, and the candidate.
BLOCKS = {"LSTM": ("input", "forget", "candidate", "output"),
          "GRU": ("reset", "update", "candidate")}


def surprises(text: str, model: LanguageModel, vocab: Vocab) -> torch.Tensor:
    """How unexpected each of two or more characters was, given all before it.

    Returns -log2 of each one's probability, in bits, `(T-1,)` float32 on the
    CPU: the first character has nothing before it and no number.
    """
    X = encode(text, model, vocab, least=2)
    with evaluation_mode(model):
        logits, _ = model(X, model.begin_state(1, X.device))
    probabilities(logits[-1], 1.0, None)  # refuses what is no number
    nats = F.cross_entropy(logits[:-1].float(), X[0, 1:], reduction="none")
    return nats.cpu() / math.log(2)


def hidden_states(
    text: str, model: LanguageModel, vocab: Vocab
) -> torch.Tensor:
    """The hidden units after each character, `(L, T, H)` on the CPU."""
    X = encode(text, model, vocab)
    with evaluation_mode(model):
        _, (hiddens, *_) = _walk(model, X)
    return _stacked(hiddens[1:]).cpu()


def sizes(model: LanguageModel) -> tuple[int, int]:
    """L and H: how many layers and hidden units there are to look at."""
    layers, _, units = _stacked(_tensors(_begin(model))[:1]).shape
    return layers, units


def gates(
    text: str, model: LanguageModel, vocab: Vocab
) -> dict[str, torch.Tensor]:
    """How far each gate was open at each character, from 0 to 1.

    The model is an `RNNModel` over `nn.LSTM` or `nn.GRU`, or from scratch with
    the parameters of `scratch.get_lstm_params`. Returns `(L, T, H)` on the CPU
    for each of "input", "forget" and "output", or for "reset" and "update".

    Source: Dive into Deep Learning, 9.1 and 9.2.
    """
    X, layers = encode(text, model, vocab), []
    with evaluation_mode(model):
        _, (states, *_) = _walk(model, X)
        # What a gate sees of the past: the state before its character.
        hiddens = _stacked(states)
        before, after = hiddens[:, :-1], hiddens[:, 1:]  # (L, T, H)
        inputs = F.one_hot(X[0], len(vocab)).to(after.dtype)  # (T, V)
        for layer, seen in enumerate((inputs, *after[:-1])):
            names, W_x, W_h, b = _weights(model, layer)
            opened = torch.sigmoid(seen @ W_x + before[layer] @ W_h + b)
            layers.append(opened.chunk(len(names), dim=1))
    return {
        name: torch.stack(of_layers).cpu()
        for name, *of_layers in zip(names, *layers, strict=True)
        if name != "candidate"}


def gradient_norms(
    text: str, model: LanguageModel, vocab: Vocab
) -> dict[str, torch.Tensor]:
    """How much the loss on the last character depends on each earlier state.

    The model reads all but the last of three or more characters and is to
    predict that one. Returns |d loss / d state|, `(L, T-2)` on the CPU, in
    nats per unit of state, for the "hidden state" and an LSTM's "memory cell":
    column t is about the state after character t. Gradients of parameters are
    left alone.
    """
    X = encode(text, model, vocab, least=3)
    with evaluation_mode(model), torch.enable_grad(), _without_cudnn():
        logits, states = _walk(model, X[:, :-1])
        loss = F.cross_entropy(logits, X[0, -1:])
        return {
            name: _stacked(torch.autograd.grad(
                loss, tensors[1:-1], retain_graph=True)).norm(dim=-1).cpu()
            for name, tensors in zip(
                ("hidden state", "memory cell"), states, strict=False)}


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """It can go back only through a layer in training mode.

    Its own `flags` fail where the precision of its recurrent layers alone was
    set, as notebooks do.
    """
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


def _begin(model: LanguageModel) -> State:
    """The first state of a model that can be followed step by step."""
    if getattr(model, "num_directions", 1) != 1:
        raise ValueError(_(
            "This model reads in two directions: expected one, since a step "
            "cannot be looked at before the text has ended."))
    state = model.begin_state(1, device_of(model))
    if not all(map(torch.is_tensor, _tensors(state))):
        raise ValueError(_(
            "This model's state holds more than tensors: expected a tensor or "
            "a tuple of tensors, as those of nn.GRU and nn.LSTM."))
    return state


def _walk(
    model: LanguageModel, X: torch.Tensor
) -> tuple[torch.Tensor, list[tuple[torch.Tensor, ...]]]:
    """Read `(1, T)` one by one: the last logits, and of each tensor of the
    state what it was at the beginning and after each."""
    state = _begin(model)
    for tensor in _tensors(state):
        tensor.requires_grad_()  # even where the parameters are frozen
    states = [_tensors(state)]
    for x in X.split(1, dim=1):
        logits, state = model(x, state)
        # Views: else the H of an LSTM from scratch would be a function of
        # its C, and a gradient of C would go through H as well.
        parts = tuple(part.view_as(part) for part in _tensors(state))
        state = parts[0] if torch.is_tensor(state) else parts
        states.append(parts)
    probabilities(logits[-1], 1.0, None)  # refuses what is no number
    return logits, [*zip(*states, strict=True)]


def _tensors(state: State) -> tuple[torch.Tensor, ...]:
    return (state,) if torch.is_tensor(state) else tuple(state)


def _stacked(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """`(L, T, H)` of T states, each `(1, H)` (from scratch) or `(L, 1, H)`."""
    return torch.stack([t.reshape(-1, t.shape[-1]) for t in tensors], dim=1)


def _weights(
    model: LanguageModel, layer: int
) -> tuple[tuple[str, ...], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Names of a layer's blocks; W_x, W_h and b with those side by side."""
    # From scratch: three for each of i, f, o, c and two for the scores.
    if isinstance(model, RNNModelScratch) and len(model.params) == 14:
        W_x, W_h, b = (torch.cat(model.params[k:9:3], -1) for k in range(3))
        return ("input", "forget", "output"), W_x, W_h, b
    rnn = model.rnn if isinstance(model, RNNModel) else None
    if rnn is None or rnn.mode not in BLOCKS:
        raise ValueError(_(
            "This model has no gates: expected an LSTM or a GRU."))
    zero = torch.zeros((), device="cpu")  # in a bias's place; for any device
    W_x, W_h, b_x, b_h = (
        getattr(rnn, f"{name}_l{layer}", zero)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    return BLOCKS[rnn.mode], W_x.T, W_h.T, b_x + b_h
