"""A training while it runs: what it has written down so far."""

import math
from dataclasses import dataclass, field
from typing import Any

from labutils.history import History, versions


@dataclass
class Progress:
    """The growing lists from which a `History` is made.

    Attributes:
        num_epochs: epochs at which this training will stop.
        baselines: held-out perplexity of n-gram models, by name.

    The other attributes are those of `History`.
    """

    num_epochs: int
    baselines: dict[str, float] = field(default_factory=dict)
    train_perplexity: list[float] = field(default_factory=list)
    train_seconds: list[float] = field(default_factory=list)
    held_out_perplexity: list[float] = field(default_factory=list)
    held_out_epochs: list[int] = field(default_factory=list)
    samples: list[tuple[int, str]] = field(default_factory=list)
    tokens: int = 0

    @classmethod
    def after(
        cls, history: History, epoch: int, num_epochs: int
    ) -> "Progress":
        """Where the training of `history` stood after an epoch."""
        held_out = sum(e <= epoch for e in history.held_out_epochs)
        return cls(
            num_epochs,
            dict(history.baselines),
            list(history.train_perplexity[:epoch]),
            list(history.train_seconds[:epoch]),
            list(history.held_out_perplexity[:held_out]),
            list(history.held_out_epochs[:held_out]),
            [pair for pair in history.samples if pair[0] <= epoch],
            history.tokens * epoch // max(1, history.num_epochs),
        )

    @property
    def epoch(self) -> int:
        """Epochs trained so far."""
        return len(self.train_perplexity)

    @property
    def seconds_left(self) -> float:
        """At the pace of the last twenty epochs."""
        seconds = [0.0, *self.train_seconds][-21:]
        pace = (seconds[-1] - seconds[0]) / max(1, len(seconds) - 1)
        return pace * (self.num_epochs - self.epoch)

    def add_epoch(
        self, perplexity: float, seconds: float, tokens: int
    ) -> None:
        """Write down an epoch that took so long for so many tokens."""
        before = self.train_seconds[-1] if self.train_seconds else 0.0
        self.train_perplexity.append(perplexity)
        self.train_seconds.append(before + seconds)
        self.tokens += tokens

    def add_held_out(self, perplexity: float) -> None:
        """Write down a measurement after the present epoch."""
        self.held_out_perplexity.append(perplexity)
        self.held_out_epochs.append(self.epoch)

    def line(self) -> str:
        """Epoch, perplexities, speed and time left, on one line."""
        if not self.epoch:
            return f"epoch    0/{self.num_epochs}"
        seconds = self.train_seconds[-1]
        line = f"epoch {self.epoch:4d}/{self.num_epochs}"
        line += f"  perplexity {self.train_perplexity[-1]:6.2f}"
        if self.held_out_epochs:
            line += f"  held out {self.held_out_perplexity[-1]:7.2f}"
        line += f"  {self.tokens / seconds if seconds else math.nan:,.0f}"
        line += " tokens/s"
        if self.epoch < self.num_epochs:
            minutes, rest = divmod(round(self.seconds_left), 60)
            line += f"  {minutes}:{rest:02d} left"
        return line

    def sample(self) -> str:
        """The latest sample; empty where there is none yet."""
        return self.samples[-1][1] if self.samples else ""

    def history(
        self,
        settings: dict[str, Any],
        corpus: dict[str, Any],
        fingerprint: str,
        **stopped: bool,
    ) -> History:
        """The record of the training up to here."""
        return History(
            tuple(self.train_perplexity),
            tuple(self.train_seconds),
            tuple(self.held_out_perplexity),
            tuple(self.held_out_epochs),
            tuple(self.samples),
            self.tokens,
            settings,
            corpus,
            versions(),
            dict(self.baselines),
            fingerprint,
            **stopped,
        )
