"""Checks of the networks' parts: inputs, parameters, states, recurrences.

A recurrence is compared with torch.nn's layer on the same weights, outputs and
gradients. Shapes: B batch, T steps, V vocabulary, H hidden units.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from labkit.checks import mutants, slips
from labkit.checks.comparing import (
    alike,
    kind,
    named,
    on_device,
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

# (T, B, V, H): as many steps as rows among them, where a swap of the two
# does not even change a shape; one row, one step, two tokens.
SHAPES = ((4, 3, 6, 5), (3, 3, 5, 4), (1, 4, 3, 2), (5, 1, 2, 3), (2, 2, 2, 1))
# (V, H): large enough for a standard deviation, then odd sizes.
SIZES = ((28, 40), (2, 3), (5, 1))
OUTPUT = ["W_hq", "b_q"]
RNN = ["W_xh", "W_hh", "b_h", *OUTPUT]
LSTM = [f"{name}{k}" for k in "ifoc" for name in ("W_x", "W_h", "b_")] + OUTPUT
GRU = ["W_x", "W_h", "b_x", "b_h"]

# ---- inputs


@check
def one_hot(function) -> str:
    """Tokens to one-hot vectors, time first."""
    for device in devices():
        for T, B, V, _ in SHAPES:
            # The largest token stays out of the batch: the width must not
            # come from what is in it.
            X = torch.randint(max(1, V - 1), (B, T), device=device)
            for batch in (X, torch.full_like(X, V - 1)):
                with trying(f"X = {batch.tolist()} of shape (B, T) = "
                            f"{(B, T)}, V = {V}"):
                    _one_hot(function, batch, V)
    return (
        "Time first, as wide as the vocabulary, one 1 in each vector, for "
        f"{len(SHAPES)} shapes (one row, one step and two tokens among them).")


def _one_hot(function, X: torch.Tensor, V: int) -> None:
    (B, T), given = X.shape, X.clone()
    got = tensor("the result", call(function, given, V))
    expected = F.one_hot(X.T, V).float()
    likely = ""
    if got.shape[-1:] != (V,):
        likely = slips.WIDTH
    elif tuple(got.shape) == (B, T, V) or alike(
            got, expected.transpose(0, 1).reshape(T, B, V)):
        likely = slips.SWAPPED
    elif alike(got, expected.roll(1, -1)) or alike(got, expected.roll(-1, -1)):
        likely = "the 1 stands one place beside the token's index"
    same_shape("shape", got, (T, B, V), likely, "(T, B, V)")
    same_tensor("the result", got, expected, likely)
    require(got.is_floating_point(), f"dtype {got.dtype}", "a floating dtype",
            "whole numbers cannot be multiplied with weights: .float()")
    require(got.device.type == X.device.type, f"a tensor on {got.device}",
            f"on {X.device}, where X is")
    require(torch.equal(given, X), "another X than before", "X as it was",
            "the batch handed in was changed")


# ---- parameters and first states


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
    if name.startswith("b"):
        return (V,) if name == "b_q" else (H,)
    if name == "W_hq":
        return (H, V)
    return (V, H) if name.startswith("W_x") else (H, H)


def _parameters(function, names: Sequence[str]) -> None:
    for device in devices():
        # The last two sizes have too few numbers for statistics.
        for V, H in (*SIZES, SIZES[0]):
            with trying(f"V = {V}, H = {H}, device = {device}"):
                params = call(function, V, H, device)
                _shapes(params, names, V, H)
                for name, param in zip(names, params, strict=True):
                    _trainable(name, param, device)
        with trying(f"V = {V}, H = {H}"):
            for name, param in zip(names, params, strict=True):
                _numbers(name, param.detach().double())
            _different(params, names)


def _shapes(params: Any, names: Sequence[str], V: int, H: int) -> None:
    # nn.ParameterList is a list of parameters as well.
    require(params is not None and not isinstance(params, (dict, torch.Tensor))
            and hasattr(params, "__len__") and hasattr(params, "__getitem__"),
            kind(params), f"a list of {len(names)} tensors", "no `return`"
            if params is None else "")
    strange = [p for p in params if not isinstance(p, torch.Tensor)]
    require(not strange, f"a list with {kind(strange and strange[0])}",
            "tensors", "one flat list: extend (or +) puts the parameters of "
            "a block into it, append puts in the block"
            if strange and isinstance(strange[0], (list, tuple)) else "")
    found = [tuple(p.shape) for p in params]
    expected = [_shape(name, V, H) for name in names]
    if found == expected:
        return
    biases = [sum(len(shape) == 1 for shape in s) for s in (found, expected)]
    likely = "rows and columns are swapped: (inputs, outputs)"
    if biases[0] < biases[1]:
        likely = slips.MISSING_BIAS
    elif len(found) != len(expected):
        likely = "one block for each gate and for the candidate, in full"
    elif found != [shape[::-1] for shape in expected] and (
            sorted(found) == sorted(expected)):
        likely = "the order is another one: " + ", ".join(names)
    raise CheckFailed(f"{len(found)} tensors of the shapes {found}",
                      f"{len(expected)}: {expected}", likely)


def _trainable(name: str, param: torch.Tensor, device: torch.device) -> None:
    require(param.is_leaf, f"{name} is the result of a computation",
            f"{name} itself is the tensor to learn, and gets a .grad",
            "requires_grad was set before the scaling; set it on the finished "
            "tensor: param.requires_grad_(True)")
    require(param.requires_grad, f"{name}.requires_grad is False", "True",
            "without requires_grad_(True) nothing is learnt")
    require(param.is_floating_point(), f"{name} of dtype {param.dtype}",
            "a floating dtype")
    on_device(name, param, device)


def _numbers(name: str, numbers: torch.Tensor) -> None:
    if name.startswith("b_"):
        require(not numbers.any(),
                f"{name} with numbers up to {numbers.abs().max():.2g}",
                "zeros", "biases start at zero")
        return
    mean, spread = float(numbers.mean()), float(numbers.std())
    require(spread > 0, f"all numbers of {name} are {numbers[0, 0]:.2g}",
            "random numbers", "equal weights stay equal: every hidden unit "
            "would learn the same")
    require(spread < 0.4 and abs(mean) < 0.2,
            f"{name} with mean {mean:.2f} and standard deviation {spread:.2f}",
            "mean 0 and about 0.01", "not scaled: multiply by 0.01; or rand "
            "(0 to 1) in place of randn")


def _different(params: Sequence[torch.Tensor], names: Sequence[str]) -> None:
    for i, first in enumerate(params):
        for name, other in zip(names[:i], params, strict=False):
            # Two biases are equal, both zero, but must not be one tensor.
            same = first is other or first.data_ptr() == other.data_ptr()
            equal = first.dim() == 2 and torch.equal(first, other)
            require(not same and not equal, f"{name} and {names[i]} are "
                    + ("one tensor" if same else "equal"), "a tensor each, "
                    "drawn anew", "the same tensor stands in several places")


def _state(function, number: int, form: str) -> None:
    for device in devices():
        for B, H in ((3, 4), (1, 5), (2, 1)):
            with trying(f"B = {B}, H = {H}, device = {device}"):
                state = call(function, B, H, device)
                likely = "no `return`" if state is None else (
                    "a tuple is needed, so that every model's state looks "
                    "alike" if isinstance(state, torch.Tensor) else
                    "the memory cell needs its zeros as well"
                    if number == 2 else "")
                require(isinstance(state, (tuple, list))
                        and len(state) == number, kind(state), form, likely)
                for part in state:
                    zeros("a state", part, (B, H), device, {
                        (H, B): "rows and units are swapped",
                        (1, B, H): "the axis of layers is torch.nn's; here a "
                        "state is (B, H)"})


# ---- recurrences


@check
def rnn(function) -> str:
    """The plain recurrence against nn.RNN."""
    for device in devices():
        for shape in SHAPES:
            _parity(function, nn.RNN, shape, device)
    return _proven("nn.RNN", "state")


@check
def lstm(function) -> str:
    """The LSTM against nn.LSTM."""
    for device in devices():
        for shape in SHAPES:
            _parity(function, nn.LSTM, shape, device)
    return _proven("nn.LSTM", "hidden state, memory cell")


def _proven(layer: str, states: str) -> str:
    where = " and ".join(device.type for device in devices())
    return (
        f"Logits, {states} and gradients are those of {layer} with the same "
        f"weights, for {len(SHAPES)} shapes (one row, one step and two "
        f"tokens among them), on {where}.")


def _parity(
    function: Callable[..., Any], layer_class: type[nn.RNN] | type[nn.LSTM],
    shape: tuple[int, int, int, int], device: torch.device,
) -> None:
    """Compare logits, states and gradients with torch.nn's layer.

    Args:
        function: the solution, `(inputs, state, params)`.
        layer_class: nn.RNN or nn.LSTM.
        shape: (T, B, V, H).
        device: where.
    """
    T, B, V, H = shape
    long, layer = layer_class is nn.LSTM, layer_class(V, H).to(device)
    inputs = F.one_hot(torch.randint(V, (T, B)), V).float().to(device)
    # Numbers large enough to matter.
    params = {
        name: torch.randn(_shape(name, V, H)).to(device)
        for name in (LSTM if long else RNN)}
    start = {
        name: (torch.rand(B, H) * 2 - 1).to(device)
        for name in ("HC" if long else "H")}
    mine = {n: p.clone().requires_grad_() for n, p in params.items()}
    given = {n: t.clone() for n, t in {"inputs": inputs, **start}.items()}

    def run() -> Any:
        state = tuple(given[name] for name in start)
        return sized(function, given["inputs"], state, [*mine.values()], T=T,
                     B=B, V=V, H=H)

    with trying(f"T = {T} steps, B = {B} rows, V = {V} tokens, H = {H} units"):
        logits, after = _two(run(), (T * B, V))
        right = [p.requires_grad_() for p in params.values()]
        expected, states = _by_torch(
            layer, inputs, tuple(start.values()), right)
        if not alike(logits, expected):
            likely = mutants.of_logits(
                logits, "LSTM" if long else "RNN", inputs,
                tuple(start.values()), right, shape)
            same_tensor("logits", logits, expected,
                        likely or _second_look(run, logits, given, mine))
        after = _same_state(after, tuple(start.values()), states)
        untouched(given | mine, (inputs, *start.values(), *right))
        same_gradients("logits", [logits, *after], mine,
                       [expected, *states], right)


def _two(result: Any, shape: tuple[int, int]) -> tuple[torch.Tensor, Any]:
    """Logits and state."""
    require(not (isinstance(result, tuple) and len(result) > 2),
            kind(result), "two things: logits, state",
            "the parts of the state belong together, in a tuple of their own")
    logits, after = pair("logits, state", result)
    require(not (isinstance(logits, (tuple, list)) and torch.is_tensor(after)
                 and tuple(after.shape) == shape), "(state, logits)",
            "(logits, state)", "the two are returned the wrong way round")
    return tensor("logits", logits), after


def _by_torch(layer: nn.RNNBase, inputs, start, params):
    """Logits and states of torch.nn's layer with these parameters."""
    *blocks, W_hq, b_q = params
    W_x, W_h, b = (list(blocks[k::3]) for k in range(3))
    if isinstance(layer, nn.LSTM):  # torch's order: i, f, c, o
        W_x, W_h, b = ([x[0], x[1], x[3], x[2]] for x in (W_x, W_h, b))
    weights = {
        "weight_ih_l0": torch.cat(W_x, 1).T,
        "weight_hh_l0": torch.cat(W_h, 1).T,
        "bias_ih_l0": torch.cat(b),
        "bias_hh_l0": torch.zeros_like(torch.cat(b)),
    }
    first = tuple(s[None] for s in start)
    hiddens, last = torch.func.functional_call(
        layer, weights, (inputs, first if len(first) > 1 else first[0]))
    last = last if isinstance(last, tuple) else (last,)
    return hiddens.flatten(0, 1) @ W_hq + b_q, tuple(s[0] for s in last)


def _same_state(after: Any, start, expected) -> list[torch.Tensor]:
    long = len(expected) == 2
    require(isinstance(after, (tuple, list)) and len(after) == len(expected),
            f"a state that is {kind(after)}",
            "the pair (H, C)" if long else "(H,): a tuple of one",
            slips.CELL_LOST if long else "a tuple of one is written (H,)")
    after = [tensor("state", a) for a in after]
    old = [alike(a, s) for a, s in zip(after, start, strict=True)]
    swapped = long and all(map(alike, after, expected[::-1]))
    for k, (got, right) in enumerate(zip(after, expected, strict=True)):
        likely = "expected the state after the last step"
        if swapped:
            likely = "H and C are swapped in the returned state"
        elif all(old) or (old[k] and not k):
            likely = slips.OLD_STATE
        elif k and alike(got, right.tanh()):
            likely = "C itself is carried on, not tanh(C)"
        elif k:
            likely = slips.CELL_LOST + (
                " (this is H)" if alike(got, expected[0]) else "")
        same_tensor(f"state {'HC'[k]}", got, right, likely)
    return after


def _second_look(run: Callable[[], Any], logits, given, mine) -> str:
    """What can be said where no slip alone explains the logits.

    Args:
        run: the solution, on the tensors of `given` and `mine`.
        logits: what it has made of them.
        given: names and tensors: the inputs and the state.
        mine: names and tensors: the parameters.
    """
    found = []
    if probabilities(logits):
        found.append(slips.SOFTMAX)
    try:
        idle = unused(lambda: run()[0], {**given, **mine})
        steps = given["inputs"]
        blind = len(steps) > 1 and torch.equal(*_later(run, steps))
    except (CheckFailed, RuntimeError, TypeError):
        return "; ".join(found)
    # Without its weights as well, a bias is not what is missing.
    biases = [
        n for n in idle
        if n.startswith("b") and n.replace("b_", "W_x") not in idle]
    if biases:
        found.append(f"{slips.MISSING_BIAS}: {', '.join(biases)}")
    if "C" in idle:
        found.append(slips.CELL_LOST)
    if "H" in idle:
        found.append(slips.START_IGNORED)
    if blind and "inputs" not in idle:
        found.append(slips.NOT_CARRIED)
    if rest := [n for n in idle if n not in {*biases, "H", "C"}]:
        found.append(f"not used: {', '.join(rest)}")
    return "; ".join(found[:2])


def _later(run: Callable[[], Any], inputs) -> list[torch.Tensor]:
    """The last step's logits, for two different first steps."""
    rows, kept, made = inputs.shape[1], inputs.clone(), []
    with torch.no_grad():
        for _ in range(2):
            made.append(run()[0][-rows:].clone())
            inputs[0] += 1
        inputs.copy_(kept)
    return made


# ---- the GRU cell


# gradcheck needs it.
@check(imports="torch.fx.experimental.symbolic_shapes")
def gru_cell(function) -> str:
    """One step of the GRU against nn.GRUCell."""
    for device in devices():
        for _, B, V, H in SHAPES:
            with trying(f"B = {B} rows, V = {V} inputs, H = {H} units"):
                _gru(function, B, V, H, device)
    _gradcheck(function)
    return ("State and gradients are those of nn.GRUCell with the same "
            "weights, " f"for {len(SHAPES)} shapes, and gradcheck agrees.")


def _gru(function, B: int, V: int, H: int, device: torch.device) -> None:
    shapes = [(B, V), (B, H), (V, 3 * H), (H, 3 * H), (3 * H,), (3 * H,)]
    names = ["X", "H", *GRU]
    right = [torch.randn(s).to(device).requires_grad_() for s in shapes]
    mine = {
        name: p.detach().clone().requires_grad_()
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
        (p.t() for p in right[2:]), strict=True))
    expected = torch.func.functional_call(
        nn.GRUCell(V, H).to(device), weights, tuple(right[:2]))
    if not alike(got, expected):
        same_tensor("the new state", got, expected, _gru_slip(run, got, mine))
    untouched(mine, right)
    same_gradients("a state", [got], mine, [expected], right)


def _gru_slip(run: Callable[[], Any], got, mine: dict[str, Any]) -> str:
    """The slip whose result this is, or what a small change tells."""
    with torch.no_grad():
        X, H, *params = mine.values()
        name = named(mutants.GRU, lambda slip: alike(
            got, mutants.gru_step(X, H, params, **slip)))
        if name or alike(got, H):
            return name or slips.OLD_STATE
        blocks = {
            f"{name}{gate}": block for name in GRU
            for gate, block in zip("rzn", mine[name].chunk(3, -1),
                                   strict=True)}
    try:
        idle = unused(run, {"X": mine["X"], "H": mine["H"], **blocks})
    except (CheckFailed, RuntimeError, TypeError):
        return ""
    gates = [k for k in "rzn" if all(n + k in idle for n in GRU)]
    biases = [n for n in idle if n[0] == "b" and n[-1] not in gates]
    if biases:
        return f"{slips.MISSING_BIAS}: {', '.join(biases)}"
    if gates:
        return f"not used: the blocks {' and '.join(gates)}"
    return f"not used: {', '.join(idle)}" if idle else ""


def _gradcheck(function) -> None:
    """Move every number a little, and compare with the gradient."""
    sizes: Sequence[tuple[int, ...]] = (
        (2, 3), (2, 2), (3, 6), (2, 6), (6,), (6,))
    numbers = [torch.randn(*s).double().requires_grad_() for s in sizes]
    try:
        if function(*numbers).dtype != torch.float64:
            return  # it works in single precision, too coarse for this
    except Exception:
        return  # single precision was asked for, and parity is proven
    # Fast mode compares one random direction instead of every entry.
    good = torch.autograd.gradcheck(
        function, numbers, fast_mode=True, raise_exception=False)
    require(good, "gradients that are not the slope of the function",
            "those of the equations (gradcheck)", slips.NO_GRADIENT)
