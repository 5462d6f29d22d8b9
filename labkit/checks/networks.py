"""Checks of the networks, by hand and on torch.nn, and of their parts.

A recurrence is compared with torch.nn's layer on the same weights, outputs and
gradients. Shapes: B batch, T steps, V vocabulary, H hidden units, L layers.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations, product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.checks import mutants, slips
from labkit.checks.comparing import (
    Slips,
    alike,
    all_alike,
    floats_on,
    kind,
    named,
    pair,
    probabilities,
    require,
    same_gradients,
    same_shape,
    same_tensor,
    sized,
    tensor,
    untouched,
    unused,
    zeros,
)
from labkit.checks.harness import CheckFailed, call, check, devices, trying
from labutils.files import translated as _

# (T, B, V, H): as many steps as rows among them, where a swap of the two
# does not even change a shape; one row, one step, two tokens.
SHAPES = ((4, 3, 6, 5), (3, 3, 5, 4), (1, 4, 3, 2), (5, 1, 2, 3), (2, 2, 2, 1))
# (V, H): large enough for a standard deviation, then odd sizes.
SIZES = ((28, 40), (2, 3), (5, 1))
OUTPUT = ["W_hq", "b_q"]
RNN = ["W_xh", "W_hh", "b_h", *OUTPUT]
LSTM = [f"{name}{k}" for k in "ifoc" for name in ("W_x", "W_h", "b_")] + OUTPUT
GRU = ["W_x", "W_h", "b_x", "b_h"]


@check
def one_hot(function) -> str:
    """Tokens to one-hot vectors, time first."""
    for device, (T, B, V, _H), last in product(
            devices(), SHAPES, (False, True)):
        # The largest token stays out of the first batch: the width must not
        # come from what is in it.
        X = torch.randint(max(1, V - 1), (B, T), device=device)
        X = torch.full_like(X, V - 1) if last else X
        with trying(f"X = {X.tolist()} of shape (B, T) = {(B, T)}, V = {V}"):
            given, expected = X.clone(), F.one_hot(X.T, V).float()
            got = tensor("the result", call(function, given, V))
            likely = ""
            if got.shape[-1:] != (V,):
                likely = slips.WIDTH
            elif got.shape == (B, T, V) or alike(
                    got, expected.transpose(0, 1).reshape(T, B, V)):
                likely = slips.SWAPPED
            elif any(alike(got, expected.roll(k, -1)) for k in (1, -1)):
                likely = "the 1 stands one place beside the token's index"
            same_shape("shape", got, (T, B, V), likely, "(T, B, V)")
            same_tensor("the result", got, expected, likely)
            require(got.is_floating_point(), f"dtype {got.dtype}",
                    "a floating dtype", "whole numbers cannot be multiplied "
                    "with weights: .float()")
            require(got.device.type == X.device.type,
                    f"a tensor on {got.device}", f"on {X.device}, where X is")
            untouched({"X": given}, [X])
    return (
        "Time first, as wide as the vocabulary, one 1 in each vector, for "
        f"{len(SHAPES)} shapes (one row, one step and two tokens among them).")


@check
def get_params(function) -> str:
    """The five parameters of the plain network."""
    _parameters(function, RNN)
    return ("Five parameters of the right shapes, weights small and random, "
            "biases zero, all of them leaves that collect gradients.")


@check
def get_lstm_params(function) -> str:
    """The fourteen parameters of the LSTM."""
    _parameters(function, LSTM)
    return ("Four blocks of three and the output layer: right shapes, weights "
            "small and random, biases zero, all leaves that collect "
            "gradients.")


@check
def init_rnn_state(function) -> str:
    """A tuple of one."""
    _state(function, 1, "(H,): a tuple of one tensor, with a comma")
    return "A tuple of one tensor of zeros, (B, H), for three shapes."


@check
def init_lstm_state(function) -> str:
    """A tuple of two."""
    _state(function, 2, "(H, C): two tensors")
    return ("Hidden state and memory cell, zeros of shape (B, H), for three "
            "shapes.")


def _shape(name: str, V: int, H: int) -> tuple[int, ...]:
    """Shape of a parameter, which its name says: x, h or q at its ends."""
    hidden = (H,) if name[0] == "b" else (
        (V, H) if name.startswith("W_x") else (H, H))
    return {"W_hq": (H, V), "b_q": (V,)}.get(name, hidden)


def _parameters(function, names: Sequence[str]) -> None:
    for device, (V, H) in product(devices(), SIZES):
        with trying(f"V = {V}, H = {H}, device = {device}"):
            params = call(function, V, H, device)
            _shapes(params, names, V, H)
            for name, param in zip(names, params, strict=True):
                _parameter(name, param, device)
            for (name, one), (other, two) in combinations(
                    zip(names, params, strict=True), 2):
                # Two biases are equal, both zero, but must not be one tensor.
                same = one.data_ptr() == two.data_ptr()
                require(
                    not same and (one.dim() == 1 or not torch.equal(one, two)),
                    f"{name} and {other} are "
                    + ("one tensor" if same else "equal"), "a tensor each, "
                    "drawn anew", "the same tensor stands in several places")
    _elsewhere(function, 3, 2)


def _shapes(params: Any, names: Sequence[str], V: int, H: int) -> None:
    # nn.ParameterList is a list of parameters as well.
    require(params is not None and not isinstance(params, (dict, Tensor))
            and hasattr(params, "__len__") and hasattr(params, "__getitem__"),
            kind(params), f"a list of {len(names)} tensors", "no `return`"
            if params is None else "")
    for p in params:
        require(isinstance(p, Tensor), f"a list with {kind(p)}",
                "tensors", "one flat list: extend (or +) puts the parameters "
                "of a block into it, append puts in the block"
                if isinstance(p, (list, tuple)) else "")
    found = [tuple(p.shape) for p in params]
    expected = [_shape(name, V, H) for name in names]
    if found == expected:
        return
    pairs = list(zip(names, found, expected, strict=False))
    other = [name for name, a, b in pairs if a != b]
    turned = [name for name, a, b in pairs if a != b and a == b[::-1]]
    few = len(found) < len(expected)
    if few and [s for s in expected if s[1:]] == [s for s in found if s[1:]]:
        likely = slips.MISSING_BIAS
    elif few:
        likely = ("one block for each gate and for the candidate, in full"
                  if len(names) > 5 else "all of " + ", ".join(names))
    elif len(found) > len(expected):
        more = [*(Counter(found) - Counter(expected)).elements()]
        likely = (f"a tensor too many: {more[0]}" if len(more) == 1 else
                  f"tensors too many: {len(found) - len(expected)}; not "
                  "expected: " + ", ".join(map(str, more)))
    elif other == turned:
        likely = ("rows and columns are swapped: (inputs, outputs), in "
                  + ", ".join(turned))
    elif sorted(found) == sorted(expected):
        likely = "the order is another one: " + ", ".join(names)
    else:
        likely = f"look at the shape of {', '.join(other)}"
    raise CheckFailed(f"{len(found)} tensors of the shapes {found}",
                      f"{len(expected)}: {expected}", likely)


def _parameter(name: str, param: Tensor, device: torch.device) -> None:
    require(param.is_leaf, f"{name} is the result of a computation",
            f"{name} itself is the tensor to learn, and gets a .grad",
            "requires_grad was set before the scaling; set it on the finished "
            "tensor: param.requires_grad_(True)")
    require(param.requires_grad, f"{name}.requires_grad is False", "True",
            "without requires_grad_(True) nothing is learnt")
    floats_on(name, param, device)
    numbers = param.detach().double()
    if name.startswith("b_"):
        require(not numbers.any(),
                f"{name} with numbers up to {numbers.abs().max():.2g}",
                "zeros", "biases start at zero")
    if numbers.numel() < 200:
        return  # too few for a standard deviation
    mean, spread = float(numbers.mean()), float(numbers.std())
    require(spread > 0, f"all numbers of {name} are {numbers[0, 0]:.2g}",
            "random numbers", "equal weights stay equal: every hidden unit "
            "would learn the same")
    require(spread < 0.4 and abs(mean) < 0.2,
            f"{name} with mean {mean:.2f} and standard deviation {spread:.2f}",
            "mean 0 and about 0.01", "not scaled: multiply by 0.01; or rand "
            "(0 to 1) in place of randn")


def _state(function, number: int, form: str) -> None:
    for device, (B, H) in product(devices(), ((3, 4), (1, 5), (2, 1))):
        with trying(f"B = {B}, H = {H}, device = {device}"):
            state = call(function, B, H, device)
            require(
                isinstance(state, (tuple, list)) and len(state) == number,
                kind(state), form, "no `return`" if state is None else
                "a tuple is needed, so that every model's state looks alike"
                if isinstance(state, Tensor) else
                "the memory cell needs its zeros as well"
                if number == 2 and kind(state).endswith(" of 1") else "")
            for part in state:
                zeros("a state", part, (B, H), device, {
                    (H, B): "rows and units are swapped",
                    (1, B, H): "the axis of layers is torch.nn's; here a "
                    "state is (B, H)"})
    _elsewhere(function, 2, 3)


def _elsewhere(make: Callable[..., Any], *sizes: int) -> None:
    """Ask for tensors on a device that none is on by default."""
    found = {"meta"}
    with contextlib.suppress(Exception):  # its numbers cannot be looked at
        made = make(*sizes, torch.device("meta"))
        found = {t.device.type for t in (
            [made] if isinstance(made, Tensor) else made)}
    with trying("another device than the CPU"):
        require(found == {"meta"}, f"a tensor on {min(found)}",
                "all of them on the device asked for",
                "the argument device is not used")


@check
def rnn(function) -> str:
    """The plain recurrence against nn.RNN."""
    return _recurrence(function, nn.RNN, "state")


@check
def lstm(function) -> str:
    """The LSTM against nn.LSTM."""
    return _recurrence(function, nn.LSTM, "hidden state, memory cell")


def _recurrence(function, layer_class: type, states: str) -> str:
    for device, shape in product(devices(), SHAPES):
        _parity(function, layer_class, shape, device)
    where = _(" and ").join(device.type for device in devices())
    return (f"Logits, {states} and gradients are those of "
            f"nn.{layer_class.__name__} with the same weights, for "
            f"{len(SHAPES)} shapes (one row, one step and two tokens among "
            f"them), on {where}.")


def _parity(function, layer_class: type, shape, device) -> None:
    """Compare logits, states and gradients with torch.nn's layer."""
    T, B, V, H = shape
    long, layer = layer_class is nn.LSTM, layer_class(V, H).to(device)
    inputs = F.one_hot(torch.randint(V, (T, B)), V).float().to(device)
    # Numbers large enough to matter.
    params = {name: torch.randn(_shape(name, V, H)).to(device)
              for name in (LSTM if long else RNN)}
    names = "HC" if long else "H"
    start = tuple((torch.rand(B, H) * 2 - 1).to(device) for _ in names)
    mine = {n: p.clone().requires_grad_() for n, p in params.items()}
    given = {"inputs": inputs.clone()} | {
        n: s.clone() for n, s in zip(names, start, strict=True)}

    def run() -> Any:
        X, *state = given.values()
        return sized(function, X, tuple(state), [*mine.values()], T=T, B=B,
                     V=V, H=H)

    with trying(f"T = {T} steps, B = {B} rows, V = {V} tokens, H = {H} units"):
        logits, after = _two(run(), (T * B, V))
        right = [p.requires_grad_() for p in params.values()]
        expected, states = _by_torch(layer, inputs, start, right)
        if not alike(logits, expected):
            likely = mutants.of_logits(logits, "LSTM" if long else "RNN",
                                       inputs, start, right, shape)
            same_tensor("logits", logits, expected,
                        likely or _second_look(
                            lambda: run()[0], logits, {**given, **mine}))
        _same_state(after, start, states)
        untouched(given | mine, (inputs, *start, *right))
        same_gradients("logits", [logits, *after], mine,
                       [expected, *states], right)


def _two(result: Any, shape: tuple[int, int]) -> tuple[Tensor, Any]:
    """Logits, which need the shape, and state."""
    require(not (isinstance(result, tuple) and len(result) > 2),
            kind(result), "two things: logits, state",
            "the parts of the state belong together, in a tuple of their own")
    logits, after = pair("logits, state", result)
    require(tuple(getattr(after, "shape", ())) != shape
            or tuple(getattr(logits, "shape", ())) == shape, "(state, logits)",
            "(logits, state)", "the two are returned the wrong way round")
    return tensor("logits", logits), after


def _by_torch(layer: nn.RNNBase, inputs, start, params):
    """Logits and states of torch.nn's layer with these parameters."""
    *blocks, W_hq, b_q = params
    order = (0, 1, 3, 2) if isinstance(layer, nn.LSTM) else (0,)  # i, f, c, o
    W_x, W_h, b = ([blocks[3 * k + i] for k in order] for i in range(3))
    weights = {
        # Copies, in one piece: cuDNN wants them so, and moves what it gets.
        "weight_ih_l0": torch.cat([W.T for W in W_x]),
        "weight_hh_l0": torch.cat([W.T for W in W_h]),
        "bias_ih_l0": torch.cat(b),
        "bias_hh_l0": torch.zeros_like(torch.cat(b)),
    }
    first = tuple(s[None] for s in start)
    hiddens, last = torch.func.functional_call(
        layer, weights, (inputs, first if len(first) > 1 else first[0]))
    last = last if isinstance(last, tuple) else (last,)
    return hiddens.flatten(0, 1) @ W_hq + b_q, tuple(s[0] for s in last)


def _same_state(after: Any, start, expected) -> None:
    long = len(expected) == 2
    require(isinstance(after, (tuple, list)) and len(after) == len(expected),
            f"a state that is {kind(after)}",
            "the pair (H, C)" if long else "(H,): a tuple of one",
            slips.CELL_LOST if long else "a tuple of one is written (H,)")
    after = [tensor("state", part) for part in after]
    swapped = long and all(map(alike, after, expected[::-1]))
    likely: dict[str, Slips] = {"H": {
        # Where they are not, this is the right one.
        "H and C are swapped in the returned state": expected[swapped],
        slips.OLD_STATE: start[0],
    }, "C": {
        "C itself is carried on, not tanh(C)": expected[-1].tanh(),
        slips.CELL_LOST + " (this is H)": expected[0],
        slips.CELL_LOST: start[-1] if after[-1].any() else 0 * start[-1],
    }}
    for name, got, right in zip(likely, after, expected, strict=False):
        same_tensor(f"state {name}", got, right,
                    named(likely[name], partial(alike, got))
                    or "expected the state after the last step")


def _second_look(
    run: Callable[[], Tensor], got, parts: dict[str, Tensor]
) -> str:
    """What can be said where no slip alone explains what `run` makes of parts.
    """
    steps: Any = parts.get("inputs", ())
    likely = [slips.SOFTMAX] if len(steps) and probabilities(got) else []
    try:
        idle = unused(run, parts)
        # Whether the last step's logits know nothing of the first step.
        blind = len(steps) > 1 and unused(
            lambda: run()[-len(steps[0]):], {"first": steps[0]})
    except (CheckFailed, RuntimeError, TypeError):
        return "; ".join(likely)
    # Without its weights as well, a bias is not what is missing.
    biases = [n for n in idle if n[0] == "b" and f"W_x{n[-1]}" not in idle]
    states = {"H", "C"} & {*idle} if len(steps) else set()
    gates = [k for k in "rzn" if {name + k for name in GRU} <= {*idle}]
    rest = [n for n in idle
            if n not in {*biases, *states} and n[-1] not in gates]
    likely += [words for words, holds in (
        (f"{slips.MISSING_BIAS}: {', '.join(biases)}", biases),
        (slips.CELL_LOST, "C" in states), (slips.START_IGNORED, "H" in states),
        (slips.NOT_CARRIED, blind and "inputs" not in idle),
        (f"not used: the blocks {' and '.join(gates)}", gates),
        (f"not used: {', '.join(rest)}", rest)) if holds]
    return "; ".join(likely[:2])


@check
def gru_cell(function) -> str:
    """One step of the GRU against nn.GRUCell."""
    for device, (_T, B, V, H) in product(devices(), SHAPES):
        with trying(f"B = {B} rows, V = {V} inputs, H = {H} units"):
            _gru(function, B, V, H, device)
    return ("State and gradients are those of nn.GRUCell with the same "
            "weights, " f"for {len(SHAPES)} shapes, and gradcheck agrees.")


def _gru(function, B: int, V: int, H: int, device: torch.device) -> None:
    shapes = [(B, V), (B, H), (V, 3 * H), (H, 3 * H), (3 * H,), (3 * H,)]
    names = ["X", "H", *GRU]
    right = [torch.randn(s).to(device).requires_grad_() for s in shapes]
    mine = {name: p.detach().clone().requires_grad_()
            for name, p in zip(names, right, strict=True)}
    # Inside a network these two come from elsewhere and are no parameters.
    mine |= {name: mine[name].clone() for name in "XH"}

    def run() -> Any:
        return sized(function, *mine.values(), B=B, V=V, H=H, **{"3H": 3 * H})

    got = run()
    require(not isinstance(got, (tuple, list)), kind(got),
            "one tensor, the new state", "a step of the GRU gives one state "
            "and no scores: return it as it is, in no tuple")
    got = tensor("the new state", got)
    weights = dict(zip(
        ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
        (p.t().contiguous() for p in right[2:]), strict=True))
    expected = torch.func.functional_call(
        nn.GRUCell(V, H).to(device), weights, tuple(right[:2]))
    if not alike(got, expected):
        same_tensor("the new state", got, expected, _gru_slip(run, got, mine))
    untouched(mine, right)
    same_gradients("a state", [got], mine, [expected], right)
    good = True
    # Where single precision is asked for, too coarse for this, parity proves.
    with contextlib.suppress(Exception):
        numbers = [p.detach().cpu().double().requires_grad_() for p in right]
        # Fast mode compares one random direction instead of every entry.
        good = function(*numbers).dtype != torch.float64 or (
            torch.autograd.gradcheck(
                function, numbers, fast_mode=True, raise_exception=False))
    require(good, "gradients that are not the slope of the function",
            "those of the equations (gradcheck)", slips.NO_GRADIENT)


def _gru_slip(run: Callable[[], Any], got, mine: dict[str, Any]) -> str:
    """The slip whose result this is, or what a small change tells."""
    with torch.no_grad():
        X, H, *params = mine.values()
        name = named(mutants.GRU, lambda slip: alike(
            got, mutants.gru_step(X, H, params, **slip)))
        blocks = {f"{name}{gate}": block for name in GRU for gate, block
                  in zip("rzn", mine[name].chunk(3, -1), strict=True)}
    return name or (slips.OLD_STATE if alike(got, H) else _second_look(
        run, got, {"X": X, "H": H, **blocks}))


# ---- the models on torch.nn, of L layers

# (T, B, V, H, L)
MODELS = ((4, 3, 6, 5, 1), (3, 3, 5, 4, 2), (1, 2, 2, 3, 3), (5, 1, 4, 2, 1))


@check
def RNNModel(model_class) -> str:  # noqa: N802, named after the exercise
    """A layer with scores, against the layer itself."""
    for device, (T, B, V, H, layers), layer_class in product(
            devices(), MODELS, (nn.RNN, nn.GRU)):
        layer = layer_class(V, H, layers)
        with trying(f"nn.{layer_class.__name__}({V}, {H}, {layers}), "
                    f"T = {T} steps, B = {B} rows"):
            model = call(model_class, layer, V)
            require(isinstance(model, nn.Module), kind(model), "an nn.Module",
                    slips.NOTHING if model is None else
                    "class RNNModel(nn.Module): its parameters and .to come "
                    "from there")
            _model(model.to(device), layer, (T, B, V), device)
    with trying("begin_state"):
        _elsewhere(lambda B, meta: model_class(nn.RNN(3, 2), 3).to(meta)
                   .begin_state(B, meta), 2)
    return ("Logits and state are those of the layer and a linear layer with "
            "the same weights, gradients reach every parameter, and "
            "begin_state fits, for one to three layers.")


def _model(model, layer, shape, device: torch.device) -> None:
    (T, B, V), L, H = shape, layer.num_layers, layer.hidden_size
    with trying("begin_state"):
        state = call(model.begin_state, B, device)
        require(not isinstance(state, (tuple, list)),
                f"begin_state: {kind(state)}", "one tensor",
                "these layers take the state as it is, in no tuple")
        zeros("begin_state", state, (L, B, H), device, {
            (B, H): "each layer has a state: the first axis is missing",
            (1, B, H): "each layer has a state: the first axis is num_layers",
            (B, L, H): "rows and layers are swapped: (L, B, H)",
            (L, H): "each row has a state: the axis of batch_size is missing",
            (L, B, V): "the last axis is the layer's hidden_size, no "
            "vocabulary", (L, H, B): "rows and units are swapped: (L, B, H)",
        }, "(L, B, H)")
    # A batch need not hold the last token.
    X = torch.randint(V - 1, (B, T), device=device)
    start = torch.randn(L, B, H, device=device)
    given = {"X": X.clone(), "state": start.clone()}
    logits, after = _two(
        sized(model, *given.values(), T=T, B=B, V=V, H=H), (T * B, V))
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
        })
    untouched(given, (X, start))
    _all_learn(model, logits)


def _output_layer(model, layer, V: int, H: int):
    """Weight (V, H) and bias that are not the recurrent layer's."""
    inner, found = set(layer.parameters()), list(model.parameters())
    require(inner <= {*found},
            "the recurrent layer's weights are not among model.parameters()",
            "all of them", "keep the layer as self.rnn = rnn_layer")
    outer = [p for p in found if p not in inner]
    shapes = sorted(tuple(p.shape) for p in outer)
    require(shapes in (sorted([(V, H), (V,)]), sorted([(H, V), (V,)])),
            f"further parameters of the shapes {shapes}" if shapes
            else "no parameters but the recurrent layer's",
            f"a linear layer: weight {(V, H)} and bias {(V,)}",
            slips.MISSING_BIAS if shapes in ([(V, H)], [(H, V)])
            else "nn.Linear is missing, or made outside __init__" if not shapes
            else "")
    bias, weight = sorted(outer, key=Tensor.dim)
    return weight if weight.shape[0] == V else weight.T, bias


def _slips(layer, inputs, start, weight, bias) -> Slips:
    hiddens, last = layer(inputs, start)

    def scores(hidden: Tensor, b=bias) -> Tensor:
        return hidden @ weight.T + b

    def flat(x=inputs, state=start) -> Tensor:
        return scores(layer(x, state)[0]).flatten(0, 1)

    as_they_are = "the scores are the linear layer's as they are, with no {}"
    as_they_come = ("the hidden states go into the linear layer as they are, "
                    "with no {} around them")
    return {
        slips.SWAPPED: lambda: scores(hiddens).transpose(0, 1).flatten(0, 1),
        slips.SWAPPED + " (X has to be transposed first)":
            lambda: flat(inputs.transpose(0, 1)),
        slips.SWAPPED + " (a reshape is no transpose)":
            lambda: flat(inputs.transpose(0, 1).reshape(inputs.shape)),
        slips.START_IGNORED: lambda: flat(state=torch.zeros_like(start)),
        slips.MISSING_BIAS: lambda: scores(hiddens, 0).flatten(0, 1),
        "the logits need the shape (T*B, V)": lambda: scores(hiddens),
        "only the last step's scores are returned; every step has some":
            lambda: scores(hiddens[-1]),
        "the scores of the first layer's state; the layer's output has one "
        "hidden state for every step": lambda: scores(last).flatten(0, 1),
        "the hidden states are returned; a linear layer makes scores of "
        "them": lambda: hiddens.flatten(0, 1),
        slips.NOT_CARRIED: lambda: torch.cat([flat(x[None]) for x in inputs]),
        as_they_are.format("tanh around them"): lambda: flat().tanh(),
        as_they_are.format("ReLU before or after"): lambda: flat().relu(),
        as_they_come.format("tanh"):
            lambda: scores(hiddens.tanh()).flatten(0, 1),
        as_they_come.format("ReLU"):
            lambda: scores(hiddens.relu()).flatten(0, 1),
    }


def _all_learn(model, logits: Tensor) -> None:
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
    return next((words for kinds, words in (
        (type(None), slips.NOTHING),
        (nn.RNNBase, "the layer alone has no one-hot encoding and no scores"),
        (type, "the class is returned; call it to make a model"),
        ((tuple, list), "one model that holds all the layers, and nothing "
         "else")) if isinstance(model, kinds)), "")


def _depth(model, V: int, H: int, L: int) -> None:
    weights = list(model.parameters())
    device = weights[0].device if weights else torch.device("cpu")
    with trying("begin_state"):
        state = call(model.begin_state, B, device)
        numbers = sum(p.numel() for p in _parts(state))
        require(
            numbers == L * B * H, f"a state of {numbers} numbers",
            "num_layers * batch_size * num_hiddens = "
            f"{L} * {B} * {H} = {L * B * H}",
            "num_layers is not used: this network has one layer"
            if numbers == B * H else
            "two states for each layer: an LSTM, or two directions"
            if numbers == 2 * L * B * H else
            "the hidden size is not num_hiddens" if numbers % (B * H)
            else f"{numbers // (B * H)} layers in place of {L}")
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
        if isinstance(model, nn.Module):
            model.eval()  # dropout would change logits on its own
        with torch.no_grad():
            _behaves(model, X, state, V)


def _parts(state: Any) -> list[Tensor]:
    parts = list(state) if isinstance(state, (tuple, list)) else [state]
    return [tensor("state", part) for part in parts]


def _forward(model, X, state, V: int) -> tuple[Tensor, Any]:
    """Logits and state, the logits in the right shape."""
    logits, after = _two(sized(model, X.clone(), state), (X.numel(), V))
    same_shape("logits of shape", logits, (X.numel(), V),
               "every step of every row has scores", "(T*B, V)")
    return logits, after


def _count(weights: list[Tensor], V: int, H: int, L: int) -> None:
    counted = sum(p.numel() for p in weights)
    layers = V * H + H * H + (L - 1) * 2 * H * H
    bare = layers + H * V + V
    # Two biases in a layer as in torch.nn, or one as in our own networks.
    possible = [bare + L * H * biases for biases in (2, 1)]
    gru = 3 * (layers + 2 * L * H) + H * V + V
    without = {bare, *(n - V for n in (bare, *possible))}
    require(counted in possible, f"{counted} parameters", f"{possible[0]}",
            "this is an nn.GRU, expected an nn.RNN" if counted == gru
            else slips.MISSING_BIAS if counted in without
            else "missing or shared weights: each layer has its own (a plain "
            "list hides them, nn.ModuleList does not)" if counted < possible[1]
            else "more weights than the layers and the scores need")


def _behaves(model, X, state, V: int) -> None:
    """Read each row alone, then from another state, then in two parts."""
    logits, after = _forward(model, X, state, V)
    require(not probabilities(logits), "rows that are probabilities",
            "scores of any size", slips.SOFTMAX)
    for b in range(B):
        with trying(f"row {b} alone"):
            alone, _ = _forward(
                model, X[b:b + 1], call(model.begin_state, 1, X.device), V)
            require(alike(alone, logits[b::B]), "other logits than in the "
                    "batch", "the same", slips.SWAPPED)
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
