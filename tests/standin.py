"""A second device for a machine without one; the CPU computes for it.

It refuses what a GPU refuses, tensors of two devices in one operation, and
its recurrent layers are as cuDNN's: they take contiguous weights alone, and
round their inputs to TF32 unless that is switched off.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import _VF
from torch.utils import _pytree as tree
from torch.utils import backend_registration

NAME = "standin"
DEVICE = f"{NAME}:0"


class Elsewhere(torch.Tensor):
    """A tensor on the device; `here` are its numbers."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> "Elsewhere":
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.size(), here.stride(), here.storage_offset(),
            dtype=here.dtype, device=DEVICE)
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _compute(func, *args, **(kwargs or {}))

    # What torch has for subclasses, which a GPU's tensor is not, is nothing
    # or wrong.
    data = property(
        torch.Tensor.detach, lambda self, new: setattr(self, "here", new.here))

    def tolist(self) -> Any:
        return self.here.tolist()

    def data_ptr(self) -> int:
        return self.here.data_ptr()

    def __format__(self, spec: str) -> str:
        return format(self.here.detach(), spec)


def _compute(func, *args: Any, **kwargs: Any) -> Any:
    """One operation, on the CPU."""
    name, device = func._schema.name, kwargs.get("device")
    given = [t for t in tree.tree_leaves((args, kwargs))
             if isinstance(t, torch.Tensor)]
    there = [t for t in given if isinstance(t, Elsewhere)]
    # Those that take tensors of several devices.
    if name not in ("aten::copy_", "aten::index") and there and any(
            t.dim() for t in given if not isinstance(t, Elsewhere)):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at "
            f"least two devices, {DEVICE} and cpu! ({name})")
    args, kwargs = tree.tree_map(
        lambda x: x.here if isinstance(x, Elsewhere)
        else torch.device("cpu") if isinstance(x, torch.device) else x,
        (args, kwargs))
    known = {id(t.here): t for t in there}
    stays = device is None or torch.device(device).type == NAME

    def back(x: Any) -> Any:
        if id(x) in known:  # it was changed in place
            return known[id(x)]
        return Elsewhere(x) if stays and torch.is_tensor(x) else x

    return tree.tree_map(back, func(*args, **kwargs))


# Beside this one, torch would find no streams of a real one any more.
REAL = torch.accelerator.current_accelerator(check_available=True)
if not REAL:  # now, since autograd counts a process's devices only once
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    # What it asks each for; the CPU's random numbers are this one's.
    _module = getattr(torch, NAME)
    _module.get_rng_state = lambda device=None: torch.get_rng_state()
    _module.set_rng_state = lambda state, device=None: None
    _library = torch.library.Library("_", "IMPL")
    _library.fallback(_compute, "PrivateUse1")


def _rounded(x: torch.Tensor) -> torch.Tensor:
    """To the ten bits of TF32; the gradient passes through."""
    coarse = ((x.detach().view(torch.int32) + 0x1000) & ~0x1FFF).view(x.dtype)
    return x + (coarse - x.detach())


def _on_cpu(layer, exact: bool = False) -> Any:
    """One of torch's layers, with inputs and results on the device."""
    def run(inputs, *rest):
        if not isinstance(inputs, Elsewhere):
            return layer(inputs, *rest)
        tensors = [t for t in tree.tree_leaves(rest) if torch.is_tensor(t)]
        if not exact and not all(t.is_contiguous() for t in tensors):
            raise RuntimeError("rnn: weights are not contiguous")
        coarse = not exact and (
            torch.backends.cudnn.rnn.fp32_precision == "tf32")
        made = layer(*tree.tree_map(
            lambda x: (_rounded if coarse else torch.clone)(x.cpu())
            if torch.is_tensor(x) else x, (inputs, *rest)))
        return tree.tree_map(lambda x: x.to(DEVICE), made)
    return run


def _made_by(function) -> Any:
    """torch.tensor and its like, which know C++ devices alone."""
    def make(data, *, device=None, **options):
        if torch.is_tensor(data) and device is None:
            return data
        return function(data, **options).to(device)
    return make


@pytest.fixture(name="second_device")
def stand_in(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """The device, which LABUTILS_DEVICE seems to name."""
    if REAL:
        pytest.skip(f"stands in for a device, and here is one: {REAL}")
    for name in ("tensor", "as_tensor"):
        monkeypatch.setattr(torch, name, _made_by(getattr(torch, name)))
    layers = {name: _on_cpu(getattr(_VF, name))
              for name in ("rnn_tanh", "rnn_relu", "lstm", "gru")}
    for name in ("rnn_tanh_cell", "rnn_relu_cell", "lstm_cell", "gru_cell"):
        layers[name] = _on_cpu(getattr(_VF, name), exact=True)
        monkeypatch.setattr(torch, name, layers[name])
    monkeypatch.setattr(torch.nn.modules.rnn, "_VF", SimpleNamespace(**layers))
    chosen = torch.device(DEVICE)
    monkeypatch.setattr("labutils.settings.device", lambda: chosen)
    monkeypatch.setattr("solutions.evaluate_perplexity.device", chosen)
    # It is slow, and a kernel in Python is not to be interrupted.
    monkeypatch.setattr("labkit.checks.harness.SECONDS", 60)
    return chosen
