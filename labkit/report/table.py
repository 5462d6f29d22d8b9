"""The table of all trainings, from their histories alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.report.gathering import Gathered
from labkit.report.missing import state
from labkit.report.words import STATUS
from labutils.history import History


@dataclass(frozen=True)
class Row:
    """A line of the table, as it is shown."""

    notebook: str
    training: str
    corpus: str
    epochs: str
    train: str
    held_out: str
    best: str
    seconds: str
    status: str
    full: bool


def rows(gathered: Sequence[Gathered], language: str) -> list[Row]:
    """A line for each training, in the order of the notebooks."""
    return [
        _row(one.lesson.stem, name, history, language)
        for one in gathered
        for name, history in one.results.histories.items()
    ]


def _row(notebook: str, name: str, history: History, language: str) -> Row:
    reached, epochs = state(name, history)
    best, epoch = history.best_held_out
    return Row(
        notebook[:2], name, str(history.corpus.get("name", "?")), epochs,
        _figure(history.perplexity), _figure(history.held_out),
        f"{_figure(best)} ({epoch})" if epoch else "-",
        f"{history.seconds:.1f}", STATUS[language][reached],
        reached == "full",
    )


def _figure(perplexity: float) -> str:
    return f"{perplexity:.2f}" if math.isfinite(perplexity) else "-"
