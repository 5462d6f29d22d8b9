"""Checks of the recurrences: the plain one and the LSTM.

Each is compared with torch.nn's layer on the same weights, outputs and
gradients. Shapes: B batch, T steps, V vocabulary, H hidden units.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from labkit.checks import mutants, slips
from labkit.checks.comparing import (
    alike,
    kind,
    named,
    pair,
    require,
    same_tensor,
    tensor,
)
from labkit.checks.guard import generator
from labkit.checks.harness import call, check, devices
from labkit.checks.misfits import INPUT_CHANGED, changed, second_look, sized

# (T, B, V, H): as many steps as rows among them, where a swap of the two
# does not even change a shape; one row, one step, two tokens.
SHAPES = ((4, 3, 6, 5), (3, 3, 5, 4), (1, 4, 3, 2), (5, 1, 2, 3), (2, 2, 2, 1))


@check
def rnn(function) -> str:
    """The plain recurrence against nn.RNN."""
    for device in devices():
        for shape in SHAPES:
            _parity(
                function, nn.RNN, mutants.plain, mutants.RNN, shape, device
            )
    return _proven("nn.RNN", "state")


@check
def lstm(function) -> str:
    """The LSTM against nn.LSTM."""
    for device in devices():
        for shape in SHAPES:
            _parity(
                function, nn.LSTM, mutants.gated, mutants.LSTM, shape, device
            )
    return _proven("nn.LSTM", "hidden state, memory cell")


def _proven(layer: str, states: str) -> str:
    where = " and ".join(device.type for device in devices())
    return (
        f"Logits, {states} and gradients are those of {layer} with the same "
        f"weights, for {len(SHAPES)} shapes (one row, one step and two "
        f"tokens among them), on {where}."
    )


def _parity(
    function: Callable[..., Any],
    layer_class: type[nn.RNN] | type[nn.LSTM],
    model: Callable[..., Any],
    slips_of: dict[str, dict[str, Any]],
    shape: tuple[int, int, int, int],
    device: torch.device,
) -> None:
    """Compare logits, states and gradients with torch.nn's layer.

    Args:
        function: the solution, `(inputs, state, params)`.
        layer_class: nn.RNN or nn.LSTM.
        model: `(inputs, state, params, **slip)`, which can be wrong as well.
        slips_of: for each sentence the keyword that makes `model` wrong so.
        shape: (T, B, V, H).
        device: where.
    """
    T, B, V, H = shape
    tried = f"T = {T} steps, B = {B} rows, V = {V} tokens, H = {H} units"
    layer = layer_class(V, H)
    inputs = F.one_hot(torch.randint(V, (T, B)), V).float().to(device)
    params = [p.detach().to(device) for p in _weights(layer, V)]
    start = tuple(
        (torch.rand(B, H) * 2 - 1).to(device) for _ in range(_states(layer)))
    names = dict(zip(_names(layer), params, strict=True))
    mine = {n: p.clone().requires_grad_() for n, p in names.items()}
    given = {
        "inputs": inputs.clone(),
        **{n: s.clone() for n, s in zip("HC", start, strict=False)}}

    def run() -> Any:
        state = tuple(given[name] for name in "HC"[:len(start)])
        return sized(
            function, given["inputs"], state, [*mine.values()], tried=tried,
            sizes={"T": T, "B": B, "V": V, "H": H})

    result = run()
    require(not (isinstance(result, tuple) and len(result) > 2),
            kind(result), "two things: logits, state",
            "the parts of the state belong together, in a tuple of their own",
            tried)
    logits, after = pair("logits, state", result, tried)
    require(
        not (isinstance(logits, (tuple, list)) and torch.is_tensor(after)
             and tuple(after.shape) == (T * B, V)),
        "(state, logits)", "(logits, state)",
        "the two are returned the wrong way round", tried)
    logits = tensor("logits", logits, tried)

    params = [p.requires_grad_() for p in params]
    expected, expected_state = _by_torch(
        layer.to(device), inputs, start, params)
    reference = mutants.slipped(model, slips_of, inputs, start, params, shape)
    if not alike(logits, expected):
        likely = named(reference, lambda made: alike(logits, made))
        likely = likely or second_look(run, logits, given, mine)
        same_tensor("logits", logits, expected.detach(), likely, tried)
    _same_state(after, start, expected_state, tried)
    other = changed({**given, **mine}, (inputs, *start, *names.values()))
    require(not other, f"{', '.join(other)} with other numbers than before",
            "what was handed in as it was", INPUT_CHANGED, tried)
    _same_gradients(
        logits, after, mine, expected, expected_state, params, tried)


def _states(layer: nn.RNNBase) -> int:
    return 2 if isinstance(layer, nn.LSTM) else 1


def _names(layer: nn.RNNBase) -> list[str]:
    """What the notebooks call the parameters, in the book's order."""
    blocks = "ifoc" if isinstance(layer, nn.LSTM) else "h"
    names = []
    for k in blocks:
        names += (
            ["W_xh", "W_hh", "b_h"] if k == "h"
            else [f"W_x{k}", f"W_h{k}", f"b_{k}"])
    return [*names, "W_hq", "b_q"]


def _weights(layer: nn.RNNBase, V: int) -> list[torch.Tensor]:
    """Random parameters in the book's order, large enough to matter."""
    H, blocks = layer.hidden_size, 4 if isinstance(layer, nn.LSTM) else 1
    params = []
    for _ in range(blocks):
        params += [torch.randn(V, H), torch.randn(H, H), torch.randn(H)]
    return [*params, torch.randn(H, V), torch.randn(V)]


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


def _same_state(after: Any, start, expected, tried: str) -> None:
    number = len(expected)
    form = "(H,): a tuple of one" if number == 1 else "the pair (H, C)"
    likely = slips.CELL_LOST if number == 2 else (
        "a tuple of one is written (H,)")
    require(isinstance(after, (tuple, list)) and len(after) == number,
            f"a state that is {kind(after)}", form, likely, tried)
    after = [tensor("state", a, tried) for a in after]
    old = [alike(a, s) for a, s in zip(after, start, strict=True)]
    for k, (got, right) in enumerate(zip(after, expected, strict=True)):
        likely = (
            "H and C are swapped in the returned state"
            if number == 2 and alike(after[0], expected[1])
            and alike(after[1], expected[0])
            else slips.OLD_STATE if all(old) or (old[k] and not k)
            else _cell_slip(got, expected[0], right) if k
            else "expected the state after the last step")
        same_tensor(f"state {'HC'[k]}", got, right.detach(), likely, tried)


def _cell_slip(got: torch.Tensor, H: torch.Tensor, C: torch.Tensor) -> str:
    """What a wrong cell state most likely is."""
    if alike(got, C.tanh()):
        return "C itself is carried on, not tanh(C)"
    if alike(got, H):
        return slips.CELL_LOST + " (this is H)"
    return slips.CELL_LOST


def _same_gradients(
    logits, after, mine, expected, expected_state, params, tried: str
) -> None:
    require(logits.requires_grad, "logits without a gradient",
            "logits that backward() can start from", slips.NO_GRADIENT, tried)
    numbers = generator(1)
    weights = torch.rand(expected.shape, generator=numbers).to(expected.device)
    # The next batch may go on from the states; they are detached before
    # that, so it is no mistake to do it early.
    through = all(s.requires_grad for s in after)

    def loss(logits, state) -> torch.Tensor:
        return (logits.double() * weights).sum() + through * sum(
            (s.double() ** 2).sum() for s in state)

    got = call(
        partial(torch.autograd.grad, allow_unused=True),
        loss(logits, after), [*mine.values()],
        tried=f"the backward pass, {tried}")
    right = torch.autograd.grad(loss(expected, expected_state), params)
    for name, a, b in zip(mine, got, right, strict=True):
        what = f"the gradient of {name}"
        require(a is not None, f"{what}: none", "a gradient",
                slips.NO_GRADIENT, tried)
        if not alike(a, b):
            same_tensor(
                what, a, b, slips.NO_GRADIENT + ". Within a batch the "
                "gradient travels back through all the steps", tried)
