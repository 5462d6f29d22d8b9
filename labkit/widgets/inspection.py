"""A look inside a model: what it expects, remembers and lets through.

Each function reads a text from its beginning. All but `gates` ask nothing of
a model but the protocol; a gate can only be computed from the parameters.
A model that cannot be looked at is refused with a ValueError that says why.
Shapes: T characters, V vocabulary, L layers, H hidden units.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from labutils.generation import encode
from labutils.models import (
    LanguageModel,
    RNNModel,
    State,
    device_of,
    evaluation_mode,
)
from labutils.scratch import RNNModelScratch
from labutils.text import Vocab

LSTM_GATES = ("input", "forget", "output")
GRU_GATES = ("reset", "update")
# The tensors of a state, in their order.
STATE_NAMES = ("hidden state", "memory cell")


def check_vocab(
    model: LanguageModel, vocab: Vocab, name: str = "The model"
) -> None:
    """Refuse a model over the characters of another text.

    Args:
        name: what the error message calls it.

    Raises:
        ValueError: it was made for a vocabulary of another size.
    """
    # Its first index is in every vocabulary.
    X = torch.zeros(1, 1, dtype=torch.long, device=device_of(model))
    with evaluation_mode(model):
        logits, _ = model(X, model.begin_state(1, X.device))
    if logits.shape[-1] != len(vocab):
        raise ValueError(
            f"{name} has scores for {logits.shape[-1]} tokens, the vocabulary "
            f"has {len(vocab)}: expected the vocabulary that the model was "
            "trained with."
        )


def read(
    text: str, model: LanguageModel, vocab: Vocab, least: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a model makes of a text.

    Args:
        text: `least` or more characters.

    Returns:
        The text's indices, `(1, T)`, and the scores of the character after
        each, `(T, V)`, both on the model's device.

    Raises:
        ValueError: the text is too short, or the model is over another
            vocabulary or has diverged.
    """
    check_vocab(model, vocab)
    X = encode(text, model, vocab, least)
    with evaluation_mode(model):
        logits, _ = model(X, model.begin_state(1, X.device))
    if logits.softmax(dim=-1).isnan().any():
        raise ValueError(
            f"After {text!r} the model's scores are no numbers (NaN or "
            "infinite), as when a training has diverged. Make the model anew "
            "and train it with a lower learning rate or clipped gradients."
        )
    return X, logits


def surprises(text: str, model: LanguageModel, vocab: Vocab) -> torch.Tensor:
    """How unexpected each character was, given all those before it.

    Args:
        text: two or more characters.

    Returns:
        -log2 of each character's probability, in bits, `(T-1,)` float32 on
        the CPU: the first character has nothing before it and no number.

    Raises:
        ValueError: the text is too short.
    """
    X, logits = read(text, model, vocab, least=2)
    nats = F.cross_entropy(logits[:-1].float(), X[0, 1:], reduction="none")
    return nats.cpu() / math.log(2)


def hidden_states(
    text: str, model: LanguageModel, vocab: Vocab
) -> torch.Tensor:
    """The hidden units after each character.

    Args:
        text: one or more characters.

    Returns:
        `(L, T, H)` on the CPU; a model from scratch has L = 1.

    Raises:
        ValueError: the text is empty, or the model reads in two directions.
    """
    X, _ = read(text, model, vocab)
    with evaluation_mode(model):
        _, states = _walk(model, X, _begin(model))
    return _hiddens(states).cpu()


def sizes(model: LanguageModel) -> tuple[int, int]:
    """L and H: how many layers and hidden units there are to look at."""
    layers, _, units = _hiddens([_begin(model)]).shape
    return layers, units


def gates(
    text: str, model: LanguageModel, vocab: Vocab
) -> dict[str, torch.Tensor]:
    """How far each gate was open at each character, from 0 to 1.

    Args:
        text: one or more characters.
        model: an `RNNModel` over `nn.LSTM` (its blocks are i, f, g, o) or
            `nn.GRU` (r, z, n), or a model from scratch with the parameters of
            `scratch.get_lstm_params` (i, f, o, c).

    Returns:
        `(L, T, H)` on the CPU for each of "input", "forget" and "output", or
        for "reset" and "update".

    Raises:
        ValueError: the model has no gates, or those above.

    Source: Dive into Deep Learning, 9.1 and 9.2.
    """
    X, _ = read(text, model, vocab)
    with evaluation_mode(model):
        start = _begin(model)
        _, states = _walk(model, X, start)
        # What a gate sees of the past: the state before its character.
        hiddens = _hiddens([start, *states])
        before, after = hiddens[:, :-1], hiddens[:, 1:]  # (L, T, H)
        inputs = F.one_hot(X[0], len(vocab)).to(after.dtype)  # (T, V)
        layers = [
            _gates(model, layer, seen, before[layer])
            for layer, seen in enumerate((inputs, *after[:-1]))
        ]
    return {
        name: torch.stack([layer[name] for layer in layers]).cpu()
        for name in layers[0]
    }


def gradient_norms(
    text: str, model: LanguageModel, vocab: Vocab
) -> dict[str, torch.Tensor]:
    """How much the loss on the last character depends on each earlier state.

    The model reads all but the last character and is to predict that one;
    this is |d loss / d state| of each state that it hands on in between.

    Args:
        text: three or more characters.

    Returns:
        For "hidden state", and for the "memory cell" of an LSTM too, `(L,
        T-2)` on the CPU, in nats per unit of state: column t is about the
        state after character t. Gradients of parameters are left alone.

    Raises:
        ValueError: the text is too short, or the model reads in two
            directions.
    """
    X, _ = read(text, model, vocab, least=3)
    # cuDNN can go back only through a layer in training mode.
    with (
        evaluation_mode(model), torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=False),
    ):
        start = _begin(model)
        for tensor in _tensors(start):
            tensor.requires_grad_()  # even where the parameters are frozen
        logits, states = _walk(model, X[:, :-1], start)
        loss = F.cross_entropy(logits, X[0, -1:])
        norms = {}
        for name, *tensors in zip(
            STATE_NAMES, *map(_tensors, states[:-1]), strict=False
        ):
            grads = torch.autograd.grad(loss, tensors, retain_graph=True)
            rows = [grad.reshape(-1, grad.shape[-1]) for grad in grads]
            norms[name] = torch.stack(rows, dim=1).norm(dim=-1).cpu()
    return norms


def _begin(model: LanguageModel) -> State:
    """The first state of a model that can be followed step by step."""
    if getattr(model, "num_directions", 1) != 1:
        raise ValueError(
            "This model reads in two directions: expected one, since a step "
            "cannot be looked at before the text has ended."
        )
    state = model.begin_state(1, device_of(model))
    if not all(map(torch.is_tensor, _tensors(state))):
        raise ValueError(
            "This model's state holds more than tensors: expected a tensor or "
            "a tuple of tensors, as those of nn.GRU and nn.LSTM."
        )
    return state


def _walk(
    model: LanguageModel, X: torch.Tensor, state: State
) -> tuple[torch.Tensor, list[State]]:
    """Read `(1, T)` one by one: the last logits and the state after each."""
    states = []
    for x in X.split(1, dim=1):
        logits, state = model(x, state)
        # Views: else the H of an LSTM from scratch would be a function of
        # its C, and a gradient of C would go through H as well.
        parts = tuple(part.view_as(part) for part in _tensors(state))
        state = parts[0] if torch.is_tensor(state) else parts
        states.append(state)
    return logits, states


def _tensors(state: State) -> tuple[torch.Tensor, ...]:
    return (state,) if torch.is_tensor(state) else tuple(state)


def _hiddens(states: list[State]) -> torch.Tensor:
    """The hidden units of states, `(L, T, H)`.

    From scratch a state's tensors are `(1, H)`, else `(L, 1, H)`.
    """
    tensors = [_tensors(state)[0] for state in states]
    return torch.stack([t.reshape(-1, t.shape[-1]) for t in tensors], dim=1)


def _gates(
    model: Any, layer: int, inputs: torch.Tensor, before: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Gates `(T, H)` of a layer, from what it reads and its states before."""
    # From scratch: three for each of i, f, o, c and two for the scores.
    if isinstance(model, RNNModelScratch) and len(model.params) == 14:
        W_x, W_h, b = (torch.cat(model.params[k:9:3], -1) for k in range(3))
        opened = torch.sigmoid(inputs @ W_x + before @ W_h + b).chunk(3, 1)
        return dict(zip(LSTM_GATES, opened, strict=True))
    rnn = model.rnn if isinstance(model, RNNModel) else None
    if not isinstance(rnn, nn.LSTM | nn.GRU):
        raise ValueError(
            "This model has no gates: expected an LSTM or a GRU."
        )
    W_x, W_h, b_x, b_h = (
        getattr(rnn, f"{name}_l{layer}", torch.zeros(()))  # bias=False: none
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    scores = inputs @ W_x.T + b_x + before @ W_h.T + b_h
    if isinstance(rnn, nn.LSTM):
        I, F_, _, O = torch.sigmoid(scores).chunk(4, dim=1)
        return dict(zip(LSTM_GATES, (I, F_, O), strict=True))
    R, Z, _ = torch.sigmoid(scores).chunk(3, dim=1)
    return dict(zip(GRU_GATES, (R, Z), strict=True))
