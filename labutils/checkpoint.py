"""Stopping a training, and going on from where it stands.

A snapshot, kept in memory after each epoch, and the number of epochs are all
that a training needs to go on: batches and dropout follow from seed and epoch.
"""

import copy
import hashlib
import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from labutils.files import translated as _
from labutils.files import write_atomically
from labutils.history import History
from labutils.models import LanguageModel, copy_parameters

MAGIC = b"labutils checkpoint 1"


class Interrupts:
    """Holds interrupts back, except where the work can be taken back.

    Within `with Interrupts() as interrupts:` an interrupt is noted in
    `asked`, and only within `interrupts.at_once()` does it raise. Signals
    reach the main thread alone: in another there is nothing to hold back.
    """

    def __init__(self) -> None:
        self.asked = False
        self._raise = False

    def __enter__(self) -> "Interrupts":
        # A process in the background ignores interrupts, and still shall.
        self._hold = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN)
        if self._hold:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._hold:
            # None: the handler before was not installed from Python.
            signal.signal(signal.SIGINT, self._before or signal.SIG_DFL)

    def _note(self, *_: object) -> None:
        self.asked = True
        if self._raise:
            self._raise = False  # once: a second one must not stop the rescue
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Interrupts raise here, one that was held back included."""
        if self.asked:
            raise KeyboardInterrupt
        self._raise = True
        try:
            yield
        finally:
            self._raise = False


@dataclass
class Snapshot:
    """The parameters and the optimizer's memory at one moment."""

    parameters: list[torch.Tensor]  # copies, in the model's order
    optimizer: dict[str, Any]  # a copy of its `state_dict()`

    @classmethod
    def of(cls, model: LanguageModel, optimizer: Optimizer) -> "Snapshot":
        parameters = [p.detach().clone() for p in model.parameters()]
        return cls(parameters, copy.deepcopy(optimizer.state_dict()))

    def restore(self, model: LanguageModel, optimizer: Optimizer) -> None:
        """Put this state into a model and an optimizer of the same make."""
        copy_parameters(self.parameters, model, "The saved state")
        # A copy, since the optimizer goes on to change what it is given.
        optimizer.load_state_dict(copy.deepcopy(self.optimizer))

    def fingerprint(self) -> str:
        """SHA-256 of all the numbers: equal means equal to the last bit."""
        sha256, tensors = hashlib.sha256(), list(self.parameters)
        for _number, memory in sorted(self.optimizer["state"].items()):
            tensors += [memory[name] for name in sorted(memory)]
        for tensor in filter(torch.is_tensor, tensors):
            values = tensor.cpu().contiguous().flatten()
            sha256.update(values.view(torch.uint8).numpy().tobytes())
        return sha256.hexdigest()


def save_checkpoint(
    path: str | Path, snapshot: Snapshot, history: History
) -> None:
    """Write all that a training needs to go on, behind a hash of it."""
    buffer = io.BytesIO()
    torch.save({"history": history.to_json(), **vars(snapshot)}, buffer)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest().encode()
    contents = b"\n".join([MAGIC, digest, data])
    write_atomically(Path(path).expanduser(), contents)


def read_checkpoint(path: str | Path) -> tuple[Snapshot, History]:
    """What `save_checkpoint` wrote; a ValueError if it did not write this."""
    magic, _end, rest = Path(path).expanduser().read_bytes().partition(b"\n")
    digest, _end, data = rest.partition(b"\n")
    if magic != MAGIC:
        raise ValueError(_(
            f"{path} is no checkpoint: expected a file that train(..., "
            "checkpoint=...) has written."))
    if hashlib.sha256(data).hexdigest().encode() != digest:
        raise ValueError(_(
            f"{path} is damaged: its contents do not have the hash that "
            "stands in it. Go on from another checkpoint, or train anew."))
    saved = torch.load(io.BytesIO(data), "cpu", weights_only=True)
    snapshot = Snapshot(saved["parameters"], saved["optimizer"])
    return snapshot, History.from_json(saved["history"])


def resume_from(
    resume: History | str | Path, model: LanguageModel, optimizer: Optimizer,
    new: History,
) -> History:
    """The history to go on from; ValueError where something does not fit.

    Args:
        resume: a history, or a checkpoint's path: then model and optimizer
            are given the saved state.
        new: the history of the training that is to go on, still empty.
    """
    if isinstance(resume, History):
        before, saved = resume, None
    else:
        saved, before = read_checkpoint(resume)
    if before.diverged:
        raise ValueError(_(
            f"This training {before.status}: there is nothing to go on from. "
            "Make a new model and train it with a smaller learning rate."))
    if new.settings["num_epochs"] < before.num_epochs:
        raise ValueError(_(
            f"num_epochs is {new.settings['num_epochs']}, but this training "
            f"has {before.num_epochs} epochs already: expected as many or "
            "more."))
    begun, now = before.asked("num_epochs"), new.asked("num_epochs")
    for name in begun | now:
        if begun.get(name) != now.get(name):
            raise ValueError(_(
                f"This training was begun with {name} {begun.get(name)!r}; "
                f"here {name} is {now.get(name)!r}. Go on with the same "
                "settings, or leave resume= out to begin another training."))
    if saved is not None:
        saved.restore(model, optimizer)
    elif Snapshot.of(model, optimizer).fingerprint() != before.fingerprint:
        raise ValueError(_(
            "The model, or the optimizer, is not in the state in which this "
            "history ends. Pass the very model that was trained and, where "
            "you had passed one, the same optimizer; or go on from a "
            "checkpoint's path."))
    return replace(
        before, settings=new.settings, versions=new.versions,
        baselines=new.baselines, interrupted=False, out_of_time=False,
    )
