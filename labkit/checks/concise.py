"""The check of the model on torch.nn: notebook 4.

Shapes: B batch, T steps, V vocabulary, H hidden units, L layers.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from labkit.checks import slips
from labkit.checks.comparing import (
    Slips,
    kind,
    pair,
    require,
    same_tensor,
    tensor,
)
from labkit.checks.harness import call, check, devices
from labkit.checks.misfits import INPUT_CHANGED, changed, probabilities, sized

# (T, B, V, H, layers)
SHAPES = ((4, 3, 6, 5, 1), (3, 3, 5, 4, 2), (1, 2, 2, 3, 3), (5, 1, 4, 2, 1))


@check
def RNNModel(model_class) -> str:  # noqa: N802, named after the exercise
    """A layer with scores, against the layer itself."""
    for device in devices():
        for T, B, V, H, layers in SHAPES:
            for layer_class in (nn.RNN, nn.GRU):
                layer = layer_class(V, H, layers)
                tried = (
                    f"nn.{layer_class.__name__}({V}, {H}, {layers}), "
                    f"T = {T} steps, B = {B} rows")
                model = call(model_class, layer, V, tried=tried)
                _module(model, tried)
                _model(model.to(device), layer, (T, B, V), device, tried)
    _on_device(model_class)
    return (
        "Logits and state are those of the layer and a linear layer with the "
        "same weights, gradients reach every parameter, and begin_state fits, "
        "for one to three layers."
    )


def _model(model, layer, shape, device, tried: str) -> None:
    T, B, V = shape
    L, H = layer.num_layers, layer.hidden_size
    state = call(model.begin_state, B, device, tried=f"begin_state, {tried}")
    _first_state(state, (L, B, H, V), device, tried)
    # A batch need not hold the last token.
    X = torch.randint(V - 1, (B, T), device=device)
    start = torch.randn(L, B, H, device=device)
    given = {"X": X.clone(), "state": start.clone()}
    sizes = {"T": T, "B": B, "V": V, "H": H}
    logits, after = pair("logits, state", sized(
        model, *given.values(), tried=tried, sizes=sizes), tried)
    logits = tensor("logits", logits, tried)
    turned = (tuple(logits.shape), tuple(getattr(after, "shape", ()))) == (
        (L, B, H), (T * B, V))
    require(not turned, "(state, logits)", "(logits, state)",
            "the two are returned the wrong way round", tried)
    weight, bias = _output_layer(model, layer, V, H, tried)
    inputs = F.one_hot(X.T, V).float()
    require(not probabilities(logits), "rows that are probabilities",
            "scores of any size", slips.SOFTMAX, tried)
    with torch.no_grad():
        hiddens, last = layer(inputs, start)
        same_tensor(
            "logits", logits, hiddens.flatten(0, 1) @ weight.T + bias,
            _slips(layer, inputs, start, weight, bias), tried)
        same_tensor("state", after, last, {
            slips.OLD_STATE: lambda: start,
            slips.NOT_CARRIED: lambda: layer(inputs[-1:], start)[1],
            "the hidden states of all the steps are returned; expected the "
            "last state of each layer": lambda: hiddens,
            "only the last layer's state is returned": lambda: last[-1],
            "only the last layer's state is returned, of all steps":
                lambda: hiddens[-1],
        }, tried)
    other = changed(given, (X, start))
    require(not other, f"{', '.join(other)} with other numbers than before",
            "what was handed in as it was", INPUT_CHANGED, tried)
    all_learn(model, logits, tried)


def _first_state(state: Any, sizes, device, tried: str) -> None:
    L, B, H, V = sizes
    require(
        not isinstance(state, (tuple, list)), f"begin_state: {kind(state)}",
        "one tensor", "these layers take the state as it is, in no tuple",
        tried)
    state = tensor("begin_state", state, tried)
    likely = {
        (B, H): "each layer has a state: the first axis is missing",
        (1, B, H): "each layer has a state: the first axis is num_layers",
        (B, L, H): "rows and layers are swapped: (L, B, H)",
        (L, H): "each row has a state: the axis of batch_size is missing",
        (L, B, V): "the last axis is the layer's hidden_size, no vocabulary",
        (L, H, B): "rows and units are swapped: (L, B, H)",
    }.get(tuple(state.shape), "")
    require(tuple(state.shape) == (L, B, H),
            f"begin_state of shape {tuple(state.shape)}",
            f"(L, B, H) = {(L, B, H)}", likely, tried)
    require(not state.any(), "a begin_state that is not zero", "zeros",
            "a text begins with an empty memory", tried)
    require(state.is_floating_point(), f"begin_state of {state.dtype}",
            "a floating dtype", "", tried)
    require(state.device.type == torch.device(device).type,
            f"begin_state on {state.device}", f"on {device}",
            "the argument device is not used", tried)


def _module(model: Any, tried: str) -> None:
    require(
        isinstance(model, nn.Module), kind(model), "an nn.Module",
        slips.NOTHING if model is None else
        "class RNNModel(nn.Module): its parameters and .to come from there",
        tried)


def _on_device(model_class) -> None:
    """Ask for a state on a device that no tensor is on by default."""
    meta = torch.device("meta")
    model = model_class(nn.RNN(3, 2), 3)
    try:
        state = model.to(meta).begin_state(2, meta)
    except Exception:  # on this device numbers cannot be looked at
        return
    require(state.device.type == meta.type, "begin_state on the CPU",
            "on the device asked for", "the argument device is not used",
            "begin_state for another device")


def _output_layer(model, layer, V: int, H: int, tried: str):
    """Weight (V, H) and bias that are not the recurrent layer's."""
    parameters = list(model.parameters())
    inner = {id(p) for p in layer.parameters()}
    require(inner <= {id(p) for p in parameters},
            "the recurrent layer's weights are not among model.parameters()",
            "all of them", "keep the layer as self.rnn = rnn_layer", tried)
    outer = [p for p in parameters if id(p) not in inner]
    shapes = sorted(tuple(p.shape) for p in outer)
    require(
        shapes in (sorted([(V, H), (V,)]), sorted([(H, V), (V,)])),
        f"further parameters of the shapes {shapes}" if shapes
        else "no parameters but the recurrent layer's",
        f"a linear layer: weight {(V, H)} and bias {(V,)}",
        slips.MISSING_BIAS if shapes in ([(V, H)], [(H, V)])
        else "nn.Linear is missing, or made outside __init__"
        if not shapes else "", tried)
    weight, = (p for p in outer if p.dim() == 2)
    bias, = (p for p in outer if p.dim() == 1)
    return weight if weight.shape[0] == V else weight.T, bias


def _slips(layer, inputs, start, weight, bias) -> Slips:
    V = inputs.shape[-1]

    def wrong(x=inputs, state=start, b=bias) -> torch.Tensor:
        return layer(x, state)[0] @ weight.T + b

    return {
        slips.SWAPPED: lambda: wrong().transpose(0, 1).reshape(-1, V),
        slips.SWAPPED + " (X has to be transposed first)": lambda: wrong(
            inputs.transpose(0, 1)).flatten(0, 1),
        slips.SWAPPED + " (a reshape is no transpose)": lambda: wrong(
            inputs.transpose(0, 1).reshape(inputs.shape)).flatten(0, 1),
        slips.START_IGNORED: lambda: wrong(
            state=torch.zeros_like(start)).flatten(0, 1),
        slips.MISSING_BIAS: lambda: wrong(b=0 * bias).flatten(0, 1),
        "the logits need the shape (T*B, V)": lambda: wrong(),
        "only the last step's scores are returned; every step has some":
            lambda: wrong()[-1],
        "the scores of the first layer's state; the layer's output has one "
        "hidden state for every step": lambda: layer(
            inputs, start)[1].flatten(0, 1) @ weight.T + bias,
        "the hidden states are returned; a linear layer makes scores of "
        "them": lambda: layer(inputs, start)[0].flatten(0, 1),
        slips.NOT_CARRIED: lambda: torch.cat([
            layer(x[None], start)[0][0] @ weight.T + bias for x in inputs]),
        "the scores are the linear layer's as they are, with no tanh around "
        "them": lambda: wrong().flatten(0, 1).tanh(),
        "the scores are the linear layer's as they are, with no ReLU before "
        "or after": lambda: wrong().flatten(0, 1).relu(),
    }


def all_learn(model, logits: torch.Tensor, tried: str) -> None:
    """Fail unless a gradient reaches every parameter."""
    require(logits.requires_grad, "logits without a gradient",
            "logits that backward() can start from", slips.NO_GRADIENT, tried)
    # Our own networks have parameters() alone.
    named = getattr(model, "named_parameters", None)
    names, parameters = zip(
        *(named() if named else enumerate(model.parameters())), strict=True)
    grads = torch.autograd.grad(
        logits.square().sum(), parameters, allow_unused=True)
    missing = [n for n, g in zip(names, grads, strict=True) if g is None]
    require(not missing, f"no gradient reaches {', '.join(map(str, missing))}",
            "a gradient for every parameter", slips.NO_GRADIENT, tried)
