"""What a check leaves as it was, and where its random numbers come from."""

import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy
import torch

MOST = 100  # of the things in a list that are looked at
_seed = 0


@contextmanager
def unchanged(names: Mapping[str, Any]) -> Iterator[None]:
    """Random numbers, default dtype and the notebook's models stay.

    Args:
        names: of a notebook, and what they stand for. A solution may use the
            notebook's `model` where it should use its argument: nobody shall
            lose a trained network to a check.
    """
    python, arrays = random.getstate(), numpy.random.get_state()
    dtype = torch.get_default_dtype()
    kept = [
        (p, p.detach().clone(), None if p.grad is None else p.grad.clone())
        for p in _parameters(names)
    ]
    cuda = torch.cuda.device_count() if torch.cuda.is_initialized() else 0
    try:
        with (
            torch.random.fork_rng(devices=range(cuda)),
            warnings.catch_warnings(),
        ):
            # What PyTorch warns of is no judgement on a solution.
            warnings.simplefilter("ignore")
            # The same judgement whenever the same solution is checked.
            random.seed(_seed)
            numpy.random.seed(_seed)
            seed_torch(_seed)
            yield
    finally:
        random.setstate(python)
        numpy.random.set_state(arrays)
        torch.set_default_dtype(dtype)
        for parameter, value, grad in kept:
            parameter.data.copy_(value)
            parameter.grad = grad


def seed_torch(seed: int) -> None:
    """torch.manual_seed, without what that does for devices that are absent.

    It notes the whole stack for each of them, which takes longer than most of
    the calls that a probe makes.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let checks take other inputs than students can know beforehand.

    Args:
        seed: from 0 to 2**32 - 1; it is 0 where students check their work.
    """
    global _seed
    before, _seed = _seed, seed
    try:
        yield
    finally:
        _seed = before


def generator(number: int) -> torch.Generator:
    """Random numbers of their own, the same ones for the same seed."""
    return torch.Generator().manual_seed(_seed + number)


def _parameters(names: Mapping[str, Any]) -> list[torch.Tensor]:
    """Parameters of the models among some names."""
    found: dict[int, torch.Tensor] = {}
    for value in list(names.values()):
        if isinstance(value, type):
            continue
        if isinstance(value, (list, tuple)):
            # A list of parameters, not one of a text's words.
            tensors = list(value[:MOST])
        elif callable(getattr(value, "parameters", None)):
            try:
                tensors = list(value.parameters())
            except Exception:  # anything may be called `parameters`
                continue
        else:
            continue
        for tensor in tensors:
            if isinstance(tensor, torch.Tensor) and tensor.is_leaf:
                found[id(tensor)] = tensor
    return list(found.values())
