"""Training, one way for every model."""

import math
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from labutils import settings
from labutils.batches import SeqDataLoader
from labutils.checkpoint import Snapshot, resume_from, save_checkpoint
from labutils.epochs import Work
from labutils.estimate import announcement
from labutils.evaluation import baselines
from labutils.generation import predict
from labutils.history import History, time_limit
from labutils.interrupts import Interrupts
from labutils.models import LanguageModel, device_of
from labutils.progress import Progress
from labutils.text import Vocab
from labutils.view import new_view


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
    max_seconds: float | None = None,
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
        max_seconds: stop before an epoch that would not end within so many
            seconds from now, after one epoch at least; LABUTILS_SECONDS caps
            them.
        verbose: say how long it will take, and show the progress.

    Returns:
        The history of this training, of all its parts together.

    Raises:
        ValueError: an argument is out of its range, or what is to be resumed
            does not fit; nothing was trained.

    Source: Dive into Deep Learning, 8.5.
    """
    _check(num_epochs, eval_every, save_every, grad_clip, max_seconds)
    predict(prefix, 0, model, vocab)  # a bad prefix is refused now
    if optimizer is None:
        optimizer = torch.optim.SGD(model.parameters(), lr)
    record = _settings(
        model, train_iter, optimizer, num_epochs, grad_clip, max_seconds
    )
    corpus = train_iter.record or {}
    epochs = min(num_epochs, record["epochs_cap"] or num_epochs)
    progress = Progress(epochs)
    if resume is not None:
        before = resume_from(resume, model, optimizer, record, corpus)
        epochs = max(epochs, before.num_epochs)
        progress = Progress.after(before, before.num_epochs, epochs)
    progress.baselines = baselines(train_iter, len(vocab))
    train_iter.restart(progress.epoch)
    work = Work(
        model, train_iter, vocab, optimizer, grad_clip, eval_every, prefix,
        progress,
    )
    view = new_view(verbose)
    snapshot = Snapshot.of(model, optimizer)
    stopped: dict[str, bool] = {}
    limit = time_limit(record)
    with Interrupts() as interrupts:

        def history() -> History:
            return progress.history(
                record, corpus, snapshot.fingerprint(), **stopped
            )

        if verbose and progress.epoch < epochs:
            # The first epoch will find that one was asked for.
            with suppress(KeyboardInterrupt):
                print(announcement(work, interrupts, limit), flush=True)
        clock = _Clock(limit)
        while progress.epoch < epochs and not stopped:
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
            last = progress.epoch == epochs
            if not last and clock.is_over():
                stopped = {"out_of_time": True}
            work.measure(last or bool(stopped))
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


class _Clock:
    """Knows when the next epoch would end too late."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.start = self.before = time.monotonic()

    def is_over(self) -> bool:
        """To be asked after each epoch; the next may take as long."""
        now = time.monotonic()
        epoch, self.before = now - self.before, now
        if self.limit is None:
            return False
        return now - self.start + epoch > self.limit


def _check(
    num_epochs: int, eval_every: int, save_every: int, grad_clip: float,
    max_seconds: float | None,
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
    if max_seconds is not None and not 0 < max_seconds < math.inf:
        raise ValueError(
            f"max_seconds is {max_seconds}: expected a number above 0, or "
            "None for no limit."
        )


def _settings(
    model: LanguageModel,
    train_iter: SeqDataLoader,
    optimizer: torch.optim.Optimizer,
    num_epochs: int,
    grad_clip: float,
    max_seconds: float | None,
) -> dict[str, Any]:
    """All that a training was asked to do, for its history."""
    return {
        "num_epochs": num_epochs,
        "epochs_cap": settings.epochs_cap(),
        "max_seconds": max_seconds,
        "seconds_cap": settings.seconds_cap(),
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
