"""Checks of the functions that make parameters and first states."""

from collections.abc import Sequence
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import kind, require
from labkit.checks.harness import CheckFailed, call, check, devices

# (V, H): large enough for a standard deviation, then odd sizes.
SIZES = ((28, 40), (2, 3), (5, 1))
RNN = ["W_xh", "W_hh", "b_h", "W_hq", "b_q"]
LSTM = [
    f"{name}{gate}" for gate in "ifoc" for name in ("W_x", "W_h", "b_")
] + ["W_hq", "b_q"]


@check
def get_params(function) -> str:
    """The five parameters of the plain network."""
    _parameters(function, RNN)
    return (
        "Five parameters of the right shapes, weights small and random, "
        "biases zero, all of them leaves that collect gradients."
    )


@check
def get_lstm_params(function) -> str:
    """The fourteen parameters of the LSTM."""
    _parameters(function, LSTM)
    return (
        "Four blocks of three and the output layer: right shapes, weights "
        "small and random, biases zero, all leaves that collect gradients."
    )


@check
def init_rnn_state(function) -> str:
    """A tuple of one."""
    _state(function, 1, "(H,): a tuple of one tensor, with a comma")
    return "A tuple of one tensor of zeros, (B, H), for three shapes."


@check
def init_lstm_state(function) -> str:
    """A tuple of two."""
    _state(function, 2, "(H, C): two tensors")
    return (
        "Hidden state and memory cell, zeros of shape (B, H), for three "
        "shapes."
    )


def _shape(name: str, V: int, H: int) -> tuple[int, ...]:
    """Shape of a parameter, which its name says: x, h or q at its ends."""
    if name == "W_hq":
        return (H, V)
    if name == "b_q":
        return (V,)
    if name.startswith("b_"):
        return (H,)
    return (V, H) if name.startswith("W_x") else (H, H)


def _parameters(function, names: Sequence[str]) -> None:
    for device in devices():
        for V, H in SIZES:
            tried = f"V = {V}, H = {H}, device = {device}"
            params = call(function, V, H, device, tried=tried)
            _shapes(params, names, V, H, tried)
            for name, param in zip(names, params, strict=True):
                _trainable(name, param, device, tried)
        # The last two sizes have too few numbers for statistics.
        V, H = SIZES[0]
        params = list(call(function, V, H, device))
        _numbers(params, names, f"V = {V}, H = {H}")


def _shapes(params: Any, names, V: int, H: int, tried: str) -> None:
    # nn.ParameterList is a list of parameters as well.
    require(
        params is not None and not isinstance(params, (dict, torch.Tensor))
        and hasattr(params, "__len__") and hasattr(params, "__getitem__"),
        kind(params), f"a list of {len(names)} tensors",
        "no `return`" if params is None else "", tried,
    )
    strange = [p for p in params if not isinstance(p, torch.Tensor)]
    require(not strange, f"a list with {kind(strange and strange[0])}",
            "tensors", "", tried)
    found = [tuple(p.shape) for p in params]
    expected = [_shape(name, V, H) for name in names]
    if found == expected:
        return
    flat = sum(len(shape) == 1 for shape in found)
    biases = sum(len(shape) == 1 for shape in expected)
    likely = "rows and columns are swapped: (inputs, outputs)"
    if flat < biases:
        likely = slips.MISSING_BIAS
    elif len(found) != len(expected):
        likely = "one block for each gate and for the candidate, in full"
    elif found == [shape[::-1] for shape in expected]:
        pass
    elif sorted(found) == sorted(expected):
        likely = "the order is another one: " + ", ".join(names)
    raise CheckFailed(
        f"{len(found)} tensors of the shapes {found}",
        f"{len(expected)}: {expected}", likely, tried,
    )


def _trainable(name: str, param, device, tried: str) -> None:
    require(
        param.is_leaf, f"{name} is the result of a computation",
        f"{name} itself is the tensor to learn, and gets a .grad",
        "requires_grad was set before the scaling; set it on the finished "
        "tensor: param.requires_grad_(True)", tried,
    )
    require(
        param.requires_grad, f"{name}.requires_grad is False", "True",
        "without requires_grad_(True) nothing is learnt", tried,
    )
    require(
        param.is_floating_point(), f"{name} of dtype {param.dtype}",
        "a floating dtype", "", tried,
    )
    require(
        param.device.type == torch.device(device).type,
        f"{name} on {param.device}", f"on {device}",
        "the argument device is not used", tried,
    )


def _numbers(params, names: Sequence[str], tried: str) -> None:
    for name, param in zip(names, params, strict=True):
        numbers = param.detach().double()
        if name.startswith("b_"):
            require(bool((numbers == 0).all()),
                    f"{name} with numbers up to {numbers.abs().max():.2g}",
                    "zeros", "biases start at zero", tried)
            continue
        spread = float(numbers.std())
        require(
            spread > 0, f"all numbers of {name} are {numbers[0, 0]:.2g}",
            "random numbers",
            "equal weights stay equal: every hidden unit would learn the "
            "same", tried,
        )
        require(
            spread < 0.4 and abs(float(numbers.mean())) < 0.2,
            f"{name} with mean {numbers.mean():.2f} and standard deviation "
            f"{spread:.2f}", "mean 0 and about 0.01",
            "not scaled: multiply by 0.01; or rand (0 to 1) in place of randn",
            tried,
        )
    _different(params, names, tried)


def _different(params, names: Sequence[str], tried: str) -> None:
    for i, first in enumerate(params):
        for j in range(i):
            other = params[j]
            # Two biases are equal, both zero, but must not be one tensor.
            same = first is other or (
                first.data_ptr() == other.data_ptr())
            equal = first.dim() == 2 and first.shape == other.shape and (
                torch.equal(first, other))
            require(
                not same and not equal,
                f"{names[j]} and {names[i]} are "
                + ("one tensor" if same else "equal"), "a tensor each, drawn "
                "anew", "the same tensor stands in several places", tried,
            )


def _state(function, number: int, form: str) -> None:
    for device in devices():
        for B, H in ((3, 4), (1, 5), (2, 1)):
            tried = f"B = {B}, H = {H}, device = {device}"
            state = call(function, B, H, device, tried=tried)
            bare = isinstance(state, torch.Tensor)
            likely = "no `return`" if state is None else (
                "a tuple is needed, so that every model's state looks alike"
                if bare else "the memory cell needs its zeros as well"
                if number == 2 else "")
            require(isinstance(state, (tuple, list)) and len(state) == number,
                    kind(state), form, likely, tried)
            for tensor in state:
                _zeros(tensor, B, H, device, tried)


def _zeros(tensor: Any, B: int, H: int, device, tried: str) -> None:
    require(isinstance(tensor, torch.Tensor), kind(tensor), "a tensor", "",
            tried)
    require(
        tuple(tensor.shape) == (B, H), f"shape {tuple(tensor.shape)}",
        f"{(B, H)}",
        "rows and units are swapped" if tuple(tensor.shape) == (H, B) else "",
        tried,
    )
    require(not tensor.any(), f"numbers up to {tensor.abs().max():.2g}",
            "zeros", "a text begins with an empty memory", tried)
    require(tensor.is_floating_point(), f"dtype {tensor.dtype}",
            "a floating dtype", "", tried)
    require(tensor.device.type == torch.device(device).type,
            f"a tensor on {tensor.device}", f"on {device}",
            "the argument device is not used", tried)
