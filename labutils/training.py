"""Training, one way for every model."""

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from labutils import settings
from labutils.baselines import baselines
from labutils.checkpoint import Snapshot, resume_from, save_checkpoint
from labutils.evaluation import evaluate_perplexity
from labutils.generation import predict
from labutils.history import History
from labutils.interrupts import Interrupts
from labutils.progress import Progress
from labutils.protocol import LanguageModel, device_of
from labutils.sampling import SeqDataLoader
from labutils.steps import train_epoch
from labutils.text import Vocab
from labutils.view import new_view

SAMPLE_LENGTH = 50
SAMPLES = 20  # in a whole training


def train(
    model: LanguageModel,
    train_iter: SeqDataLoader,
    vocab: Vocab,
    lr: float,
    num_epochs: int,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    grad_clip: float = 1.0,
    eval_every: int = 10,
    prefix: str = "time traveller",
    resume: History | str | Path | None = None,
    checkpoint: str | Path | None = None,
    save_every: int = 50,
    verbose: bool = True,
) -> History:
    """Train a model and keep the record.

    Interrupt it (the stop button, Ctrl-C) and it returns what there is: the
    model as it was after the last whole epoch, and a history that says
    `interrupted`. With `resume` it goes on from there. Batches and dropout
    of an epoch follow from the loader's seed and the epoch's number, so that
    a training in two parts ends with the same weights as one in a single
    part, on a CPU to the last bit.

    Args:
        model: from scratch or on `torch.nn`; trained in place.
        train_iter: the batches; its `held_out` text is only ever read.
        vocab: to write the samples.
        lr: learning rate of the stochastic gradient descent.
        num_epochs: epochs in all; LABUTILS_EPOCHS caps them.
        optimizer: another one, over the model's parameters, in place of
            stochastic gradient descent (`lr` is then its own affair).
        grad_clip: largest norm of the gradients; math.inf clips nothing.
        eval_every: epochs from one held-out measurement to the next.
        prefix: what the samples begin with.
        resume: go on from the history of this very model (and, where there
            is one, with the same optimizer), or from a checkpoint's path.
        checkpoint: a file to keep the state in, so that a crash loses no
            more than the epochs since the last save; replaces what is there.
        save_every: epochs from one save to the next; the end and an
            interrupt are saved as well.
        verbose: show the progress.

    Returns:
        The history of this training, of all its parts together.

    Raises:
        ValueError: an argument is out of its range, or what is to be resumed
            does not fit; nothing was trained.

    Source: Dive into Deep Learning, 8.5.
    """
    _check(num_epochs, eval_every, save_every, grad_clip)
    predict(prefix, 0, model, vocab)  # a bad prefix is refused now
    if optimizer is None:
        optimizer = torch.optim.SGD(model.parameters(), lr)
    record = _settings(model, train_iter, optimizer, num_epochs, grad_clip)
    corpus = train_iter.record or {}
    epochs = min(num_epochs, record["epochs_cap"] or num_epochs)
    progress = Progress(epochs)
    if resume is not None:
        before = resume_from(resume, model, optimizer, record, corpus)
        epochs = max(epochs, before.num_epochs)
        progress = Progress.after(before, before.num_epochs, epochs)
    progress.baselines = baselines(train_iter, len(vocab))
    train_iter.restart(progress.epoch)
    work = _Work(model, train_iter, vocab, optimizer, grad_clip, progress)
    view = new_view(verbose)
    snapshot = Snapshot.of(model, optimizer)
    stopped: dict[str, bool] = {}
    with Interrupts() as interrupts:

        def history() -> History:
            return progress.history(
                record, corpus, snapshot.fingerprint(), **stopped
            )

        while progress.epoch < epochs:
            try:
                work.train_epoch(interrupts)
            except KeyboardInterrupt:
                snapshot.restore(model, optimizer)
                stopped = {"interrupted": True}
                break
            snapshot = Snapshot.of(model, optimizer)
            work.note_epoch()
            if not math.isfinite(progress.train_perplexity[-1]):
                stopped = {"diverged": True}
                break
            work.measure(eval_every, prefix)
            view.update(progress)
            if checkpoint and progress.epoch % save_every == 0:
                _keep(checkpoint, snapshot, history())
        result = history()
        if checkpoint and not result.diverged:
            _keep(checkpoint, snapshot, result)
        view.finish(progress, "" if result.full else result.status)
        if not result.full:
            print(result.status)
    if result.diverged:
        warnings.warn(
            "The perplexity is no finite number any more, so the training "
            "stopped. Make a new model and use a smaller learning rate or "
            "a smaller grad_clip.",
            stacklevel=2,
        )
    return result


def _keep(
    checkpoint: str | Path, snapshot: Snapshot, history: History
) -> None:
    """Save; a full disk must not end a training."""
    try:
        save_checkpoint(checkpoint, snapshot, history)
    except OSError as error:
        warnings.warn(
            f"The state after epoch {history.num_epochs} was not saved "
            f"({error}). The training goes on; the file before it, if there "
            "was one, is unharmed.",
            stacklevel=3,
        )


@dataclass
class _Work:
    """What is done in and after each epoch."""

    model: LanguageModel
    train_iter: SeqDataLoader
    vocab: Vocab
    optimizer: torch.optim.Optimizer
    grad_clip: float
    progress: Progress

    def train_epoch(self, interrupts: Interrupts) -> None:
        """Train; nothing is written down, so this can be taken back."""
        seeded = _seeded(
            self.model, self.train_iter.seed, self.progress.epoch
        )
        # An interrupt can hit the optimizer while it has gradients off.
        with seeded, torch.enable_grad(), interrupts.at_once():
            start = time.perf_counter()
            value, tokens = train_epoch(
                self.model, self.train_iter, self.optimizer, self.grad_clip
            )
            self.done = value, time.perf_counter() - start, tokens

    def note_epoch(self) -> None:
        self.progress.add_epoch(*self.done)

    def measure(self, eval_every: int, prefix: str) -> None:
        """The held-out text and a sample, where their time has come."""
        epoch, epochs = self.progress.epoch, self.progress.num_epochs
        held_out = self.train_iter.held_out
        if held_out is not None and (
            epoch in (1, epochs) or epoch % eval_every == 0
        ):
            value = evaluate_perplexity(self.model, held_out)
            self.progress.add_held_out(value)
        if epoch == epochs or epoch % max(1, epochs // SAMPLES) == 0:
            text = predict(prefix, SAMPLE_LENGTH, self.model, self.vocab)
            self.progress.samples.append((epoch, text))


@contextmanager
def _seeded(model: LanguageModel, seed: int, epoch: int) -> Iterator[None]:
    """Dropout that follows from the seed and the epoch's number alone.

    The random numbers of the rest of the notebook are left as they are.
    """
    device = device_of(model)
    on_cpu = device.type == "cpu"
    with torch.random.fork_rng(
        [] if on_cpu else [device.index or 0],
        device_type="cuda" if on_cpu else device.type,
    ):
        number = (seed + 1_000_003 * epoch) % 2**63
        if on_cpu:  # a GPU's generator is none of our business
            torch.default_generator.manual_seed(number)
        else:
            torch.manual_seed(number)
        yield


def _check(
    num_epochs: int, eval_every: int, save_every: int, grad_clip: float
) -> None:
    if min(num_epochs, eval_every, save_every) < 1:
        raise ValueError(
            f"num_epochs is {num_epochs}, eval_every {eval_every} and "
            f"save_every {save_every}: expected 1 or more of each."
        )
    if not grad_clip > 0:
        raise ValueError(
            f"grad_clip is {grad_clip}: expected a number above 0; with "
            "math.inf nothing is clipped."
        )


def _settings(
    model: LanguageModel,
    train_iter: SeqDataLoader,
    optimizer: torch.optim.Optimizer,
    num_epochs: int,
    grad_clip: float,
) -> dict[str, Any]:
    """All that a training was asked to do, for its history."""
    return {
        "num_epochs": num_epochs,
        "epochs_cap": settings.epochs_cap(),
        "optimizer": type(optimizer).__name__,
        "lr": optimizer.param_groups[0]["lr"],
        "grad_clip": grad_clip if math.isfinite(grad_clip) else None,
        "batch_size": train_iter.batch_size,
        "num_steps": train_iter.num_steps,
        "use_random_iter": train_iter.use_random_iter,
        "seed": train_iter.seed,
        "device": str(device_of(model)),
        "num_parameters": sum(p.numel() for p in model.parameters()),
    }
