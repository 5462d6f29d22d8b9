"""The check of the deeper network: notebook 4.

Any model of that depth may come, so what is tried is its behaviour: which
logits change when a token or the state does. Shapes as in `models`.
"""

from typing import Any

import torch
from torch import nn

from labkit.checks import slips
from labkit.checks.comparing import alike, kind, pair, require, tensor
from labkit.checks.concise import all_learn
from labkit.checks.harness import call, check
from labkit.checks.misfits import probabilities, sized

B, T = 2, 3
ROUNDING = 1e-6  # what single precision makes of numbers below one


@check
def deep_rnn(function) -> str:
    """A network of so many layers."""
    # Two layers first: there a second direction is no second layer.
    for V, H, L in ((7, 4, 2), (4, 3, 3), (6, 4, 1), (2, 2, 5)):
        tried = f"vocab_size={V}, num_hiddens={H}, num_layers={L}"
        model = call(function, V, H, L, tried=tried)
        require(
            callable(model) and hasattr(model, "begin_state")
            and not isinstance(model, type),
            "a class" if isinstance(model, type) else kind(model),
            "a model: labutils.RNNModel around an nn.RNN",
            _no_model(model), tried)
        _depth(model, V, H, L, tried)
    return (
        "As many layers as asked for, each with its own state and weights, "
        "and gradients reach all of them."
    )


def _no_model(model: Any) -> str:
    if model is None:
        return slips.NOTHING
    if isinstance(model, nn.RNNBase):
        return "the layer alone has no one-hot encoding and no scores"
    if isinstance(model, type):
        return "the class is returned; call it to make a model"
    if isinstance(model, (tuple, list)):
        return "one model that holds all the layers, and nothing else"
    return ""


def _depth(model, V: int, H: int, L: int, tried: str) -> None:
    weights = list(model.parameters())
    device = weights[0].device if weights else torch.device("cpu")
    state = call(model.begin_state, B, device, tried=f"begin_state, {tried}")
    require(state is not None, "begin_state gives None", "zeros",
            slips.NOTHING, tried)
    parts = _parts(state)
    numbers = sum(p.numel() for p in parts)
    require(numbers == L * B * H, f"a state of {numbers} numbers",
            f"L * B * H = {L * B * H}", _state_slip(numbers, H, L), tried)
    X = torch.randint(V, (B, T), device=device)
    tried = f"{tried}, B = {B} rows, T = {T} steps"
    logits, _ = _forward(model, X, state, V, tried)
    kinds = [m for m in getattr(model, "modules", list)()
             if isinstance(m, (nn.RNN, nn.RNNCell))]
    # As many numbers as L layers of H units have H layers of L units.
    require(all(m.hidden_size == H for m in kinds),
            "layers of another hidden size", f"num_hiddens = {H}",
            "num_hiddens and num_layers are mixed up", tried)
    _count(model, V, H, L, tried)
    require(all(m.nonlinearity == "tanh" for m in kinds),
            "another nonlinearity", "tanh", "", tried)
    all_learn(model, logits, tried)
    training = getattr(model, "training", False)
    if training:
        model.eval()  # dropout would change logits on its own
    with torch.no_grad():
        _behaves(model, X, state, V, tried)
    if training:
        model.train()


def _parts(state: Any) -> list[torch.Tensor]:
    parts = list(state) if isinstance(state, (tuple, list)) else [state]
    return [tensor("state", part) for part in parts]


def _forward(model, X, state, V: int, tried: str) -> tuple[Any, Any]:
    """Logits and state, the logits in the right shape."""
    logits, after = pair("logits, state", sized(
        model, X.clone(), state, tried=tried, sizes={}), tried)
    logits = tensor("logits", logits, tried)
    shape = X.numel(), V
    require(tuple(logits.shape) == shape,
            f"logits of shape {tuple(logits.shape)}", f"(T*B, V) = {shape}",
            "every step of every row has scores", tried)
    return logits, after


def _count(model, V: int, H: int, L: int, tried: str) -> None:
    counted = sum(p.numel() for p in model.parameters())
    layers = V * H + H * H + (L - 1) * 2 * H * H
    weights = layers + H * V + V
    # Two biases in a layer as in torch.nn, or one as in our own networks.
    possible = [weights + L * H * biases for biases in (2, 1)]
    if counted in possible:
        return
    gates = {n * (layers + 2 * L * H) + H * V + V: name
             for n, name in ((3, "GRU"), (4, "LSTM"))}
    without = {weights, *(n - V for n in (weights, *possible))}
    likely = (
        f"this is an nn.{gates[counted]}, expected an nn.RNN"
        if counted in gates else slips.MISSING_BIAS if counted in without
        else "missing or shared weights: each layer has its own (a plain "
        "list hides them, nn.ModuleList does not)" if counted < possible[1]
        else "more weights than the layers and the scores need")
    require(False, f"{counted} parameters", f"{possible[0]}", likely, tried)


def _behaves(model, X, state, V: int, tried: str) -> None:
    """Change a token, then the state, and look which logits change."""
    logits, after = _forward(model, X, state, V, tried)
    require(not probabilities(logits), "rows that are probabilities",
            "scores of any size", slips.SOFTMAX, tried)
    other = X.clone()
    other[0, 1] = (other[0, 1] + 1) % V  # row 0, step 1
    new, _ = _forward(model, other, state, V, tried)
    moved = {
        (t, b) for t in range(T) for b in range(B)
        if (new - logits)[t * B + b].abs().max() > ROUNDING}
    where = ", ".join(f"step {t} of row {b}" for t, b in sorted(moved))
    token = f"{tried}; the token at step 1 of row 0 is another one"
    require(all(b == 0 and t for t, b in moved) and (1, 0) in moved,
            f"other logits at {where or 'no step'}",
            "at step 1 of row 0, and after it in the same row",
            slips.SWAPPED, token)
    full = [p + 1 for p in _parts(state)]
    started = full[0] if torch.is_tensor(state) else type(state)(full)
    new, _ = _forward(model, X, started, V, tried)
    require(not torch.equal(new[:B], logits[:B]),
            "the same logits from another state", "other logits",
            slips.START_IGNORED, tried)
    _goes_on(model, X, state, (logits, after), V, tried)


def _goes_on(model, X, state, whole, V: int, tried: str) -> None:
    """Two batches, one after the other, are one long one."""
    logits, after = whole
    one, between = _forward(model, X[:, :1], state, V, tried)
    two, last = _forward(model, X[:, 1:], between, V, tried)
    tried = f"{tried}; the first step, then the others from its state"
    if not all(alike(a, b) for a, b in zip(
            [torch.cat([one, two]), *_parts(after)], [logits, *_parts(last)],
            strict=True)):
        same = all(alike(a, b) for a, b in zip(
            _parts(between), _parts(state), strict=True))
        require(False, "other logits or another state than in one go",
                "the same", slips.OLD_STATE if same else slips.NOT_CARRIED,
                tried)


def _state_slip(numbers: int, H: int, L: int) -> str:
    if numbers == B * H:
        return "num_layers is not used: this network has one layer"
    if numbers == 2 * L * B * H:
        return "two states for each layer: an LSTM, or two directions"
    if numbers % (B * H) == 0:
        return f"{numbers // (B * H)} layers in place of {L}"
    return "the hidden size is not num_hiddens"
