"""How long a training will take on this machine, before it begins."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from labutils import epochs
from labutils.batches import Batch, SeqDataLoader
from labutils.checkpoint import Snapshot
from labutils.epochs import Work
from labutils.evaluation import evaluate_perplexity
from labutils.generation import predict
from labutils.interrupts import Interrupts
from labutils.models import device_of
from labutils.steps import train_epoch

LONG_ENOUGH = 0.1  # seconds of steps in a row, for their pace to be known
MOST_READ = 4  # batches of the held-out text


@dataclass(frozen=True)
class Pace:
    """Seconds that the parts of a training take.

    Attributes:
        epoch: training on all batches once, and keeping the state.
        held_out: one measurement on the held-out text.
        sample: writing one sample.
    """

    epoch: float
    held_out: float
    sample: float

    def seconds(self, work: Work) -> float:
        """Seconds for the epochs that are left."""
        last, first = work.progress.num_epochs, work.progress.epoch

        def times(every: int) -> int:
            """How often, after the first and the last epoch as well."""
            return min(last - first, last // every - first // every + 2)

        return (
            self.epoch * (last - first)
            + self.held_out * times(work.eval_every)
            + self.sample * times(work.sample_every)
        )


def announcement(
    work: Work, interrupts: Interrupts, limit: float | None = None
) -> str:
    """A sentence such as "About 1:20 minutes for 500 epochs ...".

    Nothing of the training is changed by it: steps are really made, and then
    taken back.

    Args:
        work: the training; the epochs it has behind it are not counted.
        interrupts: an interrupt ends the measurement at once.
        limit: seconds after which the training will stop.

    Raises:
        KeyboardInterrupt: there was one; everything is as it was.
    """
    seconds = measured(work, interrupts).seconds(work)
    done, last = work.progress.epoch, work.progress.num_epochs
    left = f"the {last - done:,} epochs left" if done else f"{last:,} epochs"
    if last - done == 1:
        left = "the epoch left" if done else "1 epoch"
    how_long = "Less than a second" if seconds < 1 else duration(seconds)
    sentence = (
        f"{how_long} for {left} on this machine ({device_of(work.model)})"
    )
    if limit is None or seconds <= limit:
        return f"{sentence}."
    fit = max(1, int(limit / seconds * (last - done)))
    return (
        f"{sentence}; it stops after {limit:g} seconds, about {fit:,} "
        f"epoch{'s' if fit > 1 else ''}."
    )


def duration(seconds: float) -> str:
    """In words, as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"About {minutes}:{rest:02d} minutes"
    return f"About {minutes // 60}:{minutes % 60:02d}:{rest:02d} hours"


def measured(work: Work, interrupts: Interrupts) -> Pace:
    """The pace of a training, from a few of its steps.

    They take about a fifth of a second, or as long as two steps take.
    """
    # What puts things back stands outside of at_once(): no interrupt there.
    with (
        _as_it_was(work), work.seeded(), torch.enable_grad(),
        interrupts.at_once(),
    ):
        epoch = _batches(work.train_iter) * _step(work) + _timed(
            lambda: Snapshot.of(work.model, work.optimizer)
        )
        sample = _timed(lambda: predict(
            work.prefix, epochs.SAMPLE_LENGTH, work.model, work.vocab
        ))
        return Pace(epoch, _held_out(work), sample)


def _step(work: Work) -> float:
    """Seconds of a step: the last of some blocks, each twice as long."""
    batch = next(iter(work.train_iter))

    def block(steps: int) -> float:
        """Seconds of so many; an epoch ends with a wait for the device."""
        again = _Again(batch, steps, work.train_iter.use_random_iter)
        return _timed(lambda: train_epoch(
            work.model, again, work.optimizer, work.grad_clip
        ))

    block(1)  # the first one also loads, allocates, plans
    left = work.progress.num_epochs - work.progress.epoch
    most = left * _batches(work.train_iter)
    steps, seconds = 1, block(1)
    while seconds < LONG_ENOUGH and 2 * steps <= most:
        steps *= 2
        seconds = block(steps)
    return seconds / steps


def _held_out(work: Work) -> float:
    """Seconds of a measurement on the held-out text."""
    loader = work.train_iter.held_out
    if loader is None:
        return 0.0
    batches = _batches(loader)
    read = min(batches, MOST_READ)
    again = _Again(next(iter(loader)), read, loader.use_random_iter)
    return batches / read * _timed(
        lambda: evaluate_perplexity(work.model, again)
    )


def _batches(loader: SeqDataLoader) -> int:
    """Batches in an epoch, the tokens skipped at its start left out."""
    size = loader.batch_size * loader.num_steps
    return max(1, (len(loader.corpus) - 1) // size)


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


@dataclass
class _Again:
    """The same batch so many times."""

    batch: Batch
    times: int
    use_random_iter: bool

    def __iter__(self) -> Iterator[Batch]:
        return itertools.repeat(self.batch, self.times)


@contextmanager
def _as_it_was(work: Work) -> Iterator[None]:
    """Put everything back that steps and measurements change."""
    model: Any = work.model
    parameters = list(model.parameters())
    grads = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None  # else these would be overwritten in their place
    is_module = isinstance(model, torch.nn.Module)
    modes = [(m, m.training) for m in model.modules()] if is_module else []
    buffers = [(b, b.clone()) for b in model.buffers()] if is_module else []
    loaders = [work.train_iter, work.train_iter.held_out]
    drawn = [(x, x.generator.get_state()) for x in loaders if x is not None]
    snapshot = Snapshot.of(model, work.optimizer)
    try:
        yield
    finally:
        snapshot.restore(model, work.optimizer)
        for p, grad in zip(parameters, grads, strict=True):
            p.grad = grad
        for module, training in modes:
            module.training = training
        for buffer, values in buffers:
            buffer.copy_(values)
        for loader, state in drawn:
            loader.generator.set_state(state)
