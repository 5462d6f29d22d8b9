"""The check of one-hot vectors: notebook 3."""

import torch
from torch.nn import functional as F

from labkit.checks import slips
from labkit.checks.comparing import alike, require, same_tensor, tensor
from labkit.checks.harness import call, check, devices
from labkit.checks.networks import SHAPES


@check
def one_hot(function) -> str:
    """Tokens to one-hot vectors, time first."""
    for device in devices():
        for T, B, V, _ in SHAPES:
            # The largest token stays out of the batch: the width must not
            # come from what is in it.
            X = torch.randint(max(1, V - 1), (B, T), device=device)
            for batch in (X, torch.full_like(X, V - 1)):
                _one_hot(function, batch, V)
    return (
        "Time first, as wide as the vocabulary, one 1 in each vector, for "
        f"{len(SHAPES)} shapes (one row, one step and two tokens among them)."
    )


def _one_hot(function, X: torch.Tensor, V: int) -> None:
    B, T = X.shape
    tried = f"X = {X.tolist()} of shape (B, T) = {(B, T)}, V = {V}"
    given = X.clone()
    got = tensor("the result", call(function, given, V, tried=tried), tried)
    expected = F.one_hot(X.T, V).float()
    likely = ""
    if got.shape[-1:] != (V,):
        likely = slips.WIDTH
    elif tuple(got.shape) == (B, T, V) or alike(
            got, expected.transpose(0, 1).reshape(T, B, V)):
        likely = slips.SWAPPED
    elif alike(got, expected.roll(1, -1)) or alike(
            got, expected.roll(-1, -1)):
        likely = "the 1 stands one place beside the token's index"
    require(tuple(got.shape) == (T, B, V), f"shape {tuple(got.shape)}",
            f"(T, B, V) = {(T, B, V)}", likely, tried)
    same_tensor("the result", got, expected, likely, tried)
    require(got.is_floating_point(), f"dtype {got.dtype}", "a floating dtype",
            "whole numbers cannot be multiplied with weights: .float()", tried)
    require(got.device.type == X.device.type, f"a tensor on {got.device}",
            f"on {X.device}, where X is", "", tried)
    require(torch.equal(given, X), "another X than before", "X as it was",
            "the batch handed in was changed", tried)
