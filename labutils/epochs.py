"""What is done in each epoch of a training, and after it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from labutils.batches import SeqDataLoader
from labutils.evaluation import evaluate_perplexity
from labutils.generation import predict
from labutils.interrupts import Interrupts
from labutils.models import LanguageModel, device_of
from labutils.progress import Progress
from labutils.steps import train_epoch
from labutils.text import Vocab

SAMPLE_LENGTH = 50
SAMPLES = 20  # in a whole training


@dataclass
class Work:
    """A training's parts, and what is done with them.

    Attributes:
        eval_every: epochs from one held-out measurement to the next.
        prefix: what the samples begin with.
    """

    model: LanguageModel
    train_iter: SeqDataLoader
    vocab: Vocab
    optimizer: torch.optim.Optimizer
    grad_clip: float
    eval_every: int
    prefix: str
    progress: Progress

    def train_epoch(self, interrupts: Interrupts) -> None:
        """Train; nothing is written down, so this can be taken back."""
        # An interrupt can hit the optimizer while it has gradients off.
        with self.seeded(), torch.enable_grad(), interrupts.at_once():
            start = time.perf_counter()
            value, tokens = train_epoch(
                self.model, self.train_iter, self.optimizer, self.grad_clip
            )
            self.done = value, time.perf_counter() - start, tokens

    def note_epoch(self) -> None:
        self.progress.add_epoch(*self.done)

    def measure(self, last: bool) -> None:
        """The held-out text and a sample, where their time has come."""
        epoch, held_out = self.progress.epoch, self.train_iter.held_out
        if held_out is not None and (
            last or epoch == 1 or epoch % self.eval_every == 0
        ):
            value = evaluate_perplexity(self.model, held_out)
            self.progress.add_held_out(value)
        if last or epoch % self.sample_every == 0:
            text = predict(
                self.prefix, SAMPLE_LENGTH, self.model, self.vocab
            )
            self.progress.samples.append((epoch, text))

    @property
    def sample_every(self) -> int:
        """Epochs from one sample to the next."""
        return max(1, self.progress.num_epochs // SAMPLES)

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Dropout that follows from the seed and the epoch's number alone.

        The random numbers of the rest of the notebook are left as they are.
        """
        device = device_of(self.model)
        on_cpu = device.type == "cpu"
        with torch.random.fork_rng(
            [] if on_cpu else [device.index or 0],
            device_type="cuda" if on_cpu else device.type,
        ):
            number = self.train_iter.seed + 1_000_003 * self.progress.epoch
            number %= 2**63
            if on_cpu:  # a GPU's generator is none of our business
                torch.default_generator.manual_seed(number)
            else:
                torch.manual_seed(number)
            yield
