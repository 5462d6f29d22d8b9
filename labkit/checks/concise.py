"""Checks of the models on torch.nn: notebook 4.

Shapes: B batch, T steps, V vocabulary, H hidden units, L layers.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from labkit.checks import slips
from labkit.checks.comparing import (
    Slips,
    all_alike,
    kind,
    pair,
    probabilities,
    require,
    same_shape,
    same_tensor,
    sized,
    tensor,
    untouched,
    zeros,
)
from labkit.checks.harness import call, check, devices, trying

# ---- a model around a layer

# (T, B, V, H, layers)
SHAPES = ((4, 3, 6, 5, 1), (3, 3, 5, 4, 2), (1, 2, 2, 3, 3), (5, 1, 4, 2, 1))


@check
def RNNModel(model_class) -> str:  # noqa: N802, named after the exercise
    """A layer with scores, against the layer itself."""
    for device in devices():
        for T, B, V, H, layers in SHAPES:
            for layer_class in (nn.RNN, nn.GRU):
                layer = layer_class(V, H, layers)
                with trying(f"nn.{layer_class.__name__}({V}, {H}, {layers}), "
                            f"T = {T} steps, B = {B} rows"):
                    model = call(model_class, layer, V)
                    require(isinstance(model, nn.Module), kind(model),
                            "an nn.Module", slips.NOTHING if model is None
                            else "class RNNModel(nn.Module): its parameters "
                            "and .to come from there")
                    _model(model.to(device), layer, (T, B, V), device)
    _on_device(model_class)
    return ("Logits and state are those of the layer and a linear layer with "
            "the same weights, gradients reach every parameter, and "
            "begin_state fits, for one to three layers.")


def _model(model, layer, shape, device: torch.device) -> None:
    T, B, V = shape
    L, H = layer.num_layers, layer.hidden_size
    with trying("begin_state"):
        _first_state(call(model.begin_state, B, device), L, B, H, V, device)
    # A batch need not hold the last token.
    X = torch.randint(V - 1, (B, T), device=device)
    start = torch.randn(L, B, H, device=device)
    given = {"X": X.clone(), "state": start.clone()}
    logits, after = pair("logits, state", sized(
        model, *given.values(), T=T, B=B, V=V, H=H))
    logits = tensor("logits", logits)
    turned = (tuple(logits.shape), tuple(getattr(after, "shape", ()))) == (
        (L, B, H), (T * B, V))
    require(not turned, "(state, logits)", "(logits, state)",
            "the two are returned the wrong way round")
    weight, bias = _output_layer(model, layer, V, H)
    inputs = F.one_hot(X.T, V).float()
    require(not probabilities(logits), "rows that are probabilities",
            "scores of any size", slips.SOFTMAX)
    with torch.no_grad():
        hiddens, last = layer(inputs, start)
        same_tensor("logits", logits, hiddens.flatten(0, 1) @ weight.T + bias,
                    _slips(layer, inputs, start, weight, bias))
        same_tensor("state", after, last, {
            slips.OLD_STATE: lambda: start,
            slips.NOT_CARRIED: lambda: layer(inputs[-1:], start)[1],
            "the hidden states of all the steps are returned; expected the "
            "last state of each layer": lambda: hiddens,
            "only the last layer's state is returned": lambda: last[-1],
            "only the last layer's state is returned, of all steps":
                lambda: hiddens[-1],
        })
    untouched(given, (X, start))
    _all_learn(model, logits)


def _first_state(
    state: Any, L: int, B: int, H: int, V: int, device: torch.device
) -> None:
    require(
        not isinstance(state, (tuple, list)), f"begin_state: {kind(state)}",
        "one tensor", "these layers take the state as it is, in no tuple")
    zeros("begin_state", tensor("begin_state", state), (L, B, H), device, {
        (B, H): "each layer has a state: the first axis is missing",
        (1, B, H): "each layer has a state: the first axis is num_layers",
        (B, L, H): "rows and layers are swapped: (L, B, H)",
        (L, H): "each row has a state: the axis of batch_size is missing",
        (L, B, V): "the last axis is the layer's hidden_size, no vocabulary",
        (L, H, B): "rows and units are swapped: (L, B, H)",
    }, "(L, B, H)")


def _on_device(model_class) -> None:
    """Ask for a state on a device that no tensor is on by default."""
    meta = torch.device("meta")
    model = model_class(nn.RNN(3, 2), 3)
    try:
        state = model.to(meta).begin_state(2, meta)
    except Exception:  # on this device numbers cannot be looked at
        return
    with trying("begin_state for another device"):
        require(state.device.type == meta.type, "begin_state on the CPU",
                "on the device asked for", "the argument device is not used")


def _output_layer(model, layer, V: int, H: int):
    """Weight (V, H) and bias that are not the recurrent layer's."""
    parameters = list(model.parameters())
    inner = {id(p) for p in layer.parameters()}
    require(inner <= {id(p) for p in parameters},
            "the recurrent layer's weights are not among model.parameters()",
            "all of them", "keep the layer as self.rnn = rnn_layer")
    outer = [p for p in parameters if id(p) not in inner]
    shapes = sorted(tuple(p.shape) for p in outer)
    require(shapes in (sorted([(V, H), (V,)]), sorted([(H, V), (V,)])),
            f"further parameters of the shapes {shapes}" if shapes
            else "no parameters but the recurrent layer's",
            f"a linear layer: weight {(V, H)} and bias {(V,)}",
            slips.MISSING_BIAS if shapes in ([(V, H)], [(H, V)])
            else "nn.Linear is missing, or made outside __init__" if not shapes
            else "")
    weight, = (p for p in outer if p.dim() == 2)
    bias, = (p for p in outer if p.dim() == 1)
    return weight if weight.shape[0] == V else weight.T, bias


def _slips(layer, inputs, start, weight, bias) -> Slips:
    V = inputs.shape[-1]

    def by_step(x=inputs, state=start, b=bias) -> torch.Tensor:
        return layer(x, state)[0] @ weight.T + b

    def flat(*args: Any, **slip: Any) -> torch.Tensor:
        return by_step(*args, **slip).flatten(0, 1)

    as_they_are = "the scores are the linear layer's as they are, with no {}"
    return {
        slips.SWAPPED: lambda: by_step().transpose(0, 1).reshape(-1, V),
        slips.SWAPPED + " (X has to be transposed first)":
            lambda: flat(inputs.transpose(0, 1)),
        slips.SWAPPED + " (a reshape is no transpose)":
            lambda: flat(inputs.transpose(0, 1).reshape(inputs.shape)),
        slips.START_IGNORED: lambda: flat(state=torch.zeros_like(start)),
        slips.MISSING_BIAS: lambda: flat(b=0 * bias),
        "the logits need the shape (T*B, V)": by_step,
        "only the last step's scores are returned; every step has some":
            lambda: by_step()[-1],
        "the scores of the first layer's state; the layer's output has one "
        "hidden state for every step": lambda: layer(
            inputs, start)[1].flatten(0, 1) @ weight.T + bias,
        "the hidden states are returned; a linear layer makes scores of "
        "them": lambda: layer(inputs, start)[0].flatten(0, 1),
        slips.NOT_CARRIED:
            lambda: torch.cat([by_step(x[None])[0] for x in inputs]),
        as_they_are.format("tanh around them"): lambda: flat().tanh(),
        as_they_are.format("ReLU before or after"): lambda: flat().relu(),
        **{
            f"the hidden states go into the linear layer as they are, with "
            f"no {name} around them":
                lambda around=around: around(layer(
                    inputs, start)[0]).flatten(0, 1) @ weight.T + bias
            for name, around in (("tanh", torch.tanh), ("ReLU", torch.relu))
        },
    }


def _all_learn(model, logits: torch.Tensor) -> None:
    """Fail unless a gradient reaches every parameter."""
    require(logits.requires_grad, "logits without a gradient",
            "logits that backward() can start from", slips.NO_GRADIENT)
    # Our own networks have parameters() alone.
    named = getattr(model, "named_parameters", None)
    names, parameters = zip(
        *(named() if named else enumerate(model.parameters())), strict=True)
    grads = torch.autograd.grad(
        logits.square().sum(), parameters, allow_unused=True)
    missing = [str(n) for n, g in zip(names, grads, strict=True) if g is None]
    require(not missing, f"no gradient reaches {', '.join(missing)}",
            "a gradient for every parameter", slips.NO_GRADIENT)


# ---- any model of several layers: what is tried is its behaviour

B, T = 2, 3
ROUNDING = 1e-6  # what single precision makes of numbers below one


@check
def deep_rnn(function) -> str:
    """A network of so many layers."""
    # Two layers first: there a second direction is no second layer.
    for V, H, L in ((7, 4, 2), (4, 3, 3), (6, 4, 1), (2, 2, 5)):
        with trying(f"vocab_size={V}, num_hiddens={H}, num_layers={L}"):
            model = call(function, V, H, L)
            require(callable(model) and hasattr(model, "begin_state")
                    and not isinstance(model, type), "a class"
                    if isinstance(model, type) else kind(model),
                    "a model: labutils.RNNModel around an nn.RNN",
                    _no_model(model))
            _depth(model, V, H, L)
    return ("As many layers as asked for, each with its own state and "
            "weights, and gradients reach all of them.")


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


def _depth(model, V: int, H: int, L: int) -> None:
    weights = list(model.parameters())
    device = weights[0].device if weights else torch.device("cpu")
    with trying("begin_state"):
        state = call(model.begin_state, B, device)
        require(state is not None, "begin_state gives None", "zeros",
                slips.NOTHING)
        numbers = sum(p.numel() for p in _parts(state))
        require(numbers == L * B * H, f"a state of {numbers} numbers",
                f"L * B * H = {L * B * H}", _state_slip(numbers, H, L))
    X = torch.randint(V, (B, T), device=device)
    with trying(f"B = {B} rows, T = {T} steps"):
        logits, _ = _forward(model, X, state, V)
        kinds = [m for m in getattr(model, "modules", list)()
                 if isinstance(m, (nn.RNN, nn.RNNCell))]
        # As many numbers as L layers of H units have H layers of L units.
        require(all(m.hidden_size == H for m in kinds),
                "layers of another hidden size", f"num_hiddens = {H}",
                "num_hiddens and num_layers are mixed up")
        _count(weights, V, H, L)
        require(all(m.nonlinearity == "tanh" for m in kinds),
                "another nonlinearity", "tanh",
                "nn.RNN takes a tanh where nothing else is asked for")
        _all_learn(model, logits)
        training = getattr(model, "training", False)
        if training:
            model.eval()  # dropout would change logits on its own
        with torch.no_grad():
            _behaves(model, X, state, V)
        if training:
            model.train()


def _state_slip(numbers: int, H: int, L: int) -> str:
    if numbers == B * H:
        return "num_layers is not used: this network has one layer"
    if numbers == 2 * L * B * H:
        return "two states for each layer: an LSTM, or two directions"
    if numbers % (B * H) == 0:
        return f"{numbers // (B * H)} layers in place of {L}"
    return "the hidden size is not num_hiddens"


def _parts(state: Any) -> list[torch.Tensor]:
    parts = list(state) if isinstance(state, (tuple, list)) else [state]
    return [tensor("state", part) for part in parts]


def _forward(model, X, state, V: int) -> tuple[torch.Tensor, Any]:
    """Logits and state, the logits in the right shape."""
    logits, after = pair("logits, state", sized(model, X.clone(), state))
    logits = tensor("logits", logits)
    same_shape("logits of shape", logits, (X.numel(), V),
               "every step of every row has scores", "(T*B, V)")
    return logits, after


def _count(weights: list[torch.Tensor], V: int, H: int, L: int) -> None:
    counted = sum(p.numel() for p in weights)
    layers = V * H + H * H + (L - 1) * 2 * H * H
    bare = layers + H * V + V
    # Two biases in a layer as in torch.nn, or one as in our own networks.
    possible = [bare + L * H * biases for biases in (2, 1)]
    gates = {n * (layers + 2 * L * H) + H * V + V: name
             for n, name in ((3, "GRU"), (4, "LSTM"))}
    without = {bare, *(n - V for n in (bare, *possible))}
    require(counted in possible, f"{counted} parameters", f"{possible[0]}",
            f"this is an nn.{gates[counted]}, expected an nn.RNN"
            if counted in gates else slips.MISSING_BIAS if counted in without
            else "missing or shared weights: each layer has its own (a plain "
            "list hides them, nn.ModuleList does not)" if counted < possible[1]
            else "more weights than the layers and the scores need")


def _behaves(model, X, state, V: int) -> None:
    """Change a token, then the state, and look which logits change."""
    logits, after = _forward(model, X, state, V)
    require(not probabilities(logits), "rows that are probabilities",
            "scores of any size", slips.SOFTMAX)
    other = X.clone()
    other[0, 1] = (other[0, 1] + 1) % V  # row 0, step 1
    with trying("the token at step 1 of row 0 is another one"):
        new, _ = _forward(model, other, state, V)
        moved = sorted(
            (t, b) for t in range(T) for b in range(B)
            if (new - logits)[t * B + b].abs().max() > ROUNDING)
        where = ", ".join(f"step {t} of row {b}" for t, b in moved)
        require(all(b == 0 and t for t, b in moved) and (1, 0) in moved,
                f"other logits at {where or 'no step'}", "at step 1 of row 0, "
                "and after it in the same row", slips.SWAPPED)
    full = [p + 1 for p in _parts(state)]
    started = full[0] if torch.is_tensor(state) else type(state)(full)
    new, _ = _forward(model, X, started, V)
    require(not torch.equal(new[:B], logits[:B]), "the same logits from "
            "another state", "other logits", slips.START_IGNORED)
    # Two batches, one after the other, are one long one.
    with trying("the first step, then the others from its state"):
        one, between = _forward(model, X[:, :1], state, V)
        two, last = _forward(model, X[:, 1:], between, V)
        require(
            all_alike([torch.cat([one, two]), *_parts(after)],
                      [logits, *_parts(last)]),
            "other logits or another state than in one go", "the same",
            slips.OLD_STATE if all_alike(_parts(between), _parts(state))
            else slips.NOT_CARRIED)
