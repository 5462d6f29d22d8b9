"""The record of one training, while it runs and after it."""

import dataclasses
import json
import math
import platform
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
import torch

from labutils.files import translated as _

# Settings on which no figure depends: what ends a training early, and where.
FREE = ("epochs_cap", "max_seconds", "seconds_cap", "device")


@dataclass(frozen=True)
class History:
    """What happened in a training; each epoch makes a new, longer one."""

    train_perplexity: tuple[float, ...] = ()  # of each epoch, while it trained
    train_seconds: tuple[float, ...] = ()  # so far, without the evaluations
    held_out_perplexity: tuple[float, ...] = ()
    held_out_epochs: tuple[int, ...] = ()  # after which it was measured
    samples: tuple[tuple[int, str], ...] = ()  # epochs and generated texts
    tokens: int = 0  # trained on, over all epochs
    # How many were taken in each way (labutils.steps).
    steps: dict[str, int] = field(default_factory=dict, compare=False)
    settings: dict[str, Any] = field(default_factory=dict)  # what was asked
    corpus: dict[str, Any] = field(default_factory=dict)  # with its hash
    versions: dict[str, str] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)  # held out
    test_perplexity: float | None = None  # once the training was over
    fingerprint: str = ""  # SHA-256 of the state that it ends in
    interrupted: bool = False  # somebody stopped it before its last epoch
    diverged: bool = False  # the perplexity was no number any more
    out_of_time: bool = False  # its seconds were over

    def with_epoch(
        self, perplexity: float, seconds: float, tokens: int,
        steps: Mapping[str, int] | None = None,
    ) -> "History":
        """One epoch longer; `steps` are those of all epochs so far."""
        return replace(
            self,
            train_perplexity=(*self.train_perplexity, perplexity),
            train_seconds=(*self.train_seconds, self.seconds + seconds),
            tokens=self.tokens + tokens,
            steps=dict(steps or self.steps),
            diverged=not math.isfinite(perplexity),
        )

    def with_held_out(self, perplexity: float) -> "History":
        """With a measurement on the held-out text after the last epoch."""
        return replace(
            self,
            held_out_perplexity=(*self.held_out_perplexity, perplexity),
            held_out_epochs=(*self.held_out_epochs, self.num_epochs),
        )

    def with_test(self, perplexity: float) -> "History":
        """With the one measurement on the test text."""
        return replace(self, test_perplexity=perplexity)

    def with_sample(self, text: str) -> "History":
        return replace(self, samples=(*self.samples, (self.num_epochs, text)))

    def until(self, epoch: int) -> "History":
        """As it was after an earlier epoch."""
        held_out = sum(e <= epoch for e in self.held_out_epochs)
        return replace(
            self,
            train_perplexity=self.train_perplexity[:epoch],
            train_seconds=self.train_seconds[:epoch],
            held_out_perplexity=self.held_out_perplexity[:held_out],
            held_out_epochs=self.held_out_epochs[:held_out],
            samples=tuple(pair for pair in self.samples if pair[0] <= epoch),
            tokens=self.tokens * epoch // max(1, self.num_epochs),
        )

    @property
    def num_epochs(self) -> int:
        """Epochs that were trained to their end."""
        return len(self.train_perplexity)

    @property
    def perplexity(self) -> float:
        """Training perplexity of the last epoch."""
        return (math.nan, *self.train_perplexity)[-1]

    @property
    def settled_perplexity(self) -> float:
        """Its median over the last ten epochs: one slip changes nothing."""
        return statistics.median(self.train_perplexity[-10:] or [math.nan])

    @property
    def held_out(self) -> float:
        """Last held-out perplexity; not a number where there is none."""
        return (math.nan, *self.held_out_perplexity)[-1]

    @property
    def best_held_out(self) -> tuple[float, int]:
        """Lowest held-out perplexity and the epoch after which it stood."""
        pairs = zip(
            self.held_out_perplexity, self.held_out_epochs, strict=True)
        return min(pairs, default=(math.nan, 0))

    def first_epoch_below(self, perplexity: float) -> int | None:
        """The first epoch whose training perplexity is below a number."""
        epochs = enumerate(self.train_perplexity, start=1)
        return next((e for e, value in epochs if value < perplexity), None)

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return (0.0, *self.train_seconds)[-1]

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else math.nan

    @property
    def last_epoch(self) -> int:
        """The epoch that this training ends with, if nothing stops it."""
        asked = self.settings["num_epochs"]
        cap = self.settings["epochs_cap"] or asked
        return max(self.num_epochs, min(asked, cap))

    @property
    def seconds_left(self) -> float:
        """Seconds to the last epoch, at the pace of the last twenty."""
        seconds = (0.0, *self.train_seconds)[-21:]
        pace = (seconds[-1] - seconds[0]) / max(1, len(seconds) - 1)
        return pace * (self.last_epoch - self.num_epochs)

    @property
    def time_limit(self) -> tuple[float, str]:
        """Most seconds that it may take, and the name of what says so."""
        # Histories from before there were such limits know nothing of them.
        return min(
            (self.settings.get("seconds_cap") or math.inf, "LABUTILS_SECONDS"),
            (self.settings.get("max_seconds") or math.inf, "max_seconds"),
        )

    def asked(self, *free: str) -> dict[str, Any]:
        """The settings on which its figures depend, but for those that are
        `free` to differ, and the text, wherever that was found."""
        free = (*FREE, *free)
        asked = {k: v for k, v in self.settings.items() if k not in free}
        text = {k: v for k, v in self.corpus.items() if k != "source"}
        return {**asked, "text": text}

    @property
    def sample(self) -> str:
        return self.samples[-1][1] if self.samples else ""

    def line(self) -> str:
        """Epoch, perplexities, speed and time left, on one line."""
        parts = [f"epoch {self.num_epochs:4d}/{self.last_epoch}"]
        if self.num_epochs:
            parts.append(f"  perplexity {self.perplexity:6.2f}")
        if self.held_out_epochs:
            parts.append(f"  held out {self.held_out:7.2f}")
        if self.num_epochs:
            parts.append(f"  {self.tokens_per_second:,.0f} tokens/s")
        if 0 < self.num_epochs < self.last_epoch:
            minutes, rest = divmod(round(self.seconds_left), 60)
            parts.append(f"  {minutes}:{rest:02d} left")
        return "".join(map(_, parts))

    def time_needed(self) -> str:
        """A sentence on how long the epochs that are left will take."""
        left = self.last_epoch - self.num_epochs
        minutes, rest = divmod(round(self.seconds_left), 60)
        how_long = ("Less than a second" if self.seconds_left < 1
                    else f"About {minutes}:{rest:02d} minutes")
        epochs = f"{left:,} epochs" if left > 1 else "epoch"
        limit = self.time_limit[0]
        end = f"; it stops after {limit:g} s" if limit < math.inf else ""
        return (f"{how_long} for the {epochs} left on this machine "
                f"({self.settings['device']}){end}.")

    @property
    def full(self) -> bool:
        """Whether every epoch that was asked for was trained, and well."""
        done = self.num_epochs == self.settings["num_epochs"]
        return done and not (self.interrupted or self.diverged)

    @property
    def status(self) -> str:
        """In words, how far the training got."""
        so_far = f"{self.num_epochs} of {self.settings['num_epochs']} epochs"
        if self.interrupted:
            return f"PARTIAL RUN, interrupted after {so_far}"
        if self.diverged:
            return f"DIVERGED after {so_far}"
        if self.out_of_time:
            seconds, name = self.time_limit
            return f"CAPPED RUN, {so_far} ({name}={seconds:g})"
        if not self.full:
            cap = self.settings["epochs_cap"]
            return f"CAPPED RUN, {so_far} (LABUTILS_EPOCHS={cap})"
        return f"full run, {so_far}"

    def to_json(self) -> str:
        """As JSON; numbers that are none (diverged) become null."""
        record = dataclasses.asdict(self)
        for name in ("train_perplexity", "held_out_perplexity"):
            values = record[name]
            record[name] = [x if math.isfinite(x) else None for x in values]
        return json.dumps(record, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "History":
        record = json.loads(text)
        for name, value in record.items():
            if isinstance(value, list):
                record[name] = tuple(
                    math.nan if x is None else tuple(x)
                    if isinstance(x, list) else x for x in value)
        return cls(**record)


def versions() -> dict[str, str]:
    """Versions that a figure may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
    }
