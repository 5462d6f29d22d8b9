"""The record of one training."""

import dataclasses
import json
import math
import platform
from dataclasses import dataclass
from typing import Any

import numpy
import torch


@dataclass(frozen=True)
class History:
    """What happened in a training, epoch by epoch.

    Attributes:
        train_perplexity: one for each epoch, measured while it trained.
        train_seconds: seconds of training up to the end of each epoch, the
            evaluations left out.
        held_out_perplexity: one for each epoch of `held_out_epochs`.
        held_out_epochs: after which epochs the held-out text was read.
        samples: pairs of an epoch and a text generated after it.
        tokens: tokens trained on, over all epochs.
        settings: everything that the run was asked to do.
        corpus: which text, from where, with its hash.
        versions: Python, PyTorch and the machine.
        baselines: held-out perplexity of n-gram models, by name.
        fingerprint: SHA-256 of the model's and the optimizer's state at the
            end; a training goes on only from that very state.
        interrupted: somebody stopped it before its last epoch.
        diverged: it stopped because the perplexity was no number any more.
        out_of_time: it stopped because its seconds were over.
    """

    train_perplexity: tuple[float, ...]
    train_seconds: tuple[float, ...]
    held_out_perplexity: tuple[float, ...]
    held_out_epochs: tuple[int, ...]
    samples: tuple[tuple[int, str], ...]
    tokens: int
    settings: dict[str, Any]
    corpus: dict[str, Any]
    versions: dict[str, str]
    baselines: dict[str, float]
    fingerprint: str
    interrupted: bool = False
    diverged: bool = False
    out_of_time: bool = False

    @property
    def num_epochs(self) -> int:
        """Epochs that were trained to their end."""
        return len(self.train_perplexity)

    @property
    def perplexity(self) -> float:
        """Training perplexity of the last epoch."""
        return self.train_perplexity[-1] if self.num_epochs else math.nan

    @property
    def held_out(self) -> float:
        """Last held-out perplexity; not a number where there is none."""
        values = self.held_out_perplexity
        return values[-1] if values else math.nan

    @property
    def best_held_out(self) -> tuple[float, int]:
        """Lowest held-out perplexity and the epoch after which it stood."""
        if not self.held_out_epochs:
            return math.nan, 0
        best = min(self.held_out_perplexity)
        return best, self.held_out_epochs[self.held_out_perplexity.index(best)]

    def first_epoch_below(self, perplexity: float) -> int | None:
        """The first epoch whose training perplexity is below a number."""
        for epoch, value in enumerate(self.train_perplexity, start=1):
            if value < perplexity:
                return epoch
        return None

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return self.train_seconds[-1] if self.num_epochs else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Tokens trained on in a second."""
        return self.tokens / self.seconds if self.seconds else math.nan

    @property
    def full(self) -> bool:
        """Whether every epoch that was asked for was trained, and well."""
        done = self.num_epochs == self.settings["num_epochs"]
        return done and not (self.interrupted or self.diverged)

    @property
    def status(self) -> str:
        """In words, how far the training got."""
        asked = self.settings["num_epochs"]
        cap = self.settings["epochs_cap"]
        so_far = f"{self.num_epochs} of {asked} epochs"
        if self.interrupted:
            return f"PARTIAL RUN, interrupted after {so_far}"
        if self.diverged:
            return f"DIVERGED after {so_far}"
        if self.out_of_time:
            name, value = _time_limits(self.settings)[0]
            return f"CAPPED RUN, {so_far} ({name}={value:g})"
        if not self.full:
            return f"CAPPED RUN, {so_far} (LABUTILS_EPOCHS={cap})"
        return f"full run, {so_far}"

    def to_json(self) -> str:
        """As JSON; numbers that are none (diverged) become null."""
        record = dataclasses.asdict(self)
        for name in ("train_perplexity", "held_out_perplexity"):
            record[name] = [
                x if math.isfinite(x) else None for x in record[name]
            ]
        return json.dumps(record, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "History":
        """The history that `to_json` wrote."""
        record = json.loads(text)
        for name, value in record.items():
            if isinstance(value, list):
                record[name] = tuple(
                    math.nan if x is None else tuple(x)
                    if isinstance(x, list) else x for x in value
                )
        return cls(**record)


def time_limit(settings: dict[str, Any]) -> float | None:
    """Most seconds that a training with these settings may take."""
    limits = _time_limits(settings)
    return limits[0][1] if limits else None


def _time_limits(settings: dict[str, Any]) -> list[tuple[str, float]]:
    """The limits that were set, the smallest first, by their names.

    Histories from before there were such limits know nothing of them.
    """
    limits = (
        ("LABUTILS_SECONDS", settings.get("seconds_cap")),
        ("max_seconds", settings.get("max_seconds")),
    )
    found = [(name, value) for name, value in limits if value is not None]
    return sorted(found, key=lambda limit: limit[1])


def versions() -> dict[str, str]:
    """Versions that a figure may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
    }
