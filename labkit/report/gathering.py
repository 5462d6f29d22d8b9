"""Find the executed notebooks and the results that belong to them."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from labkit.course import LESSONS, Lesson, NotebookError, read_notebook
from labkit.pages import PNG
from labkit.report import cells
from labkit.report.cells import Cell
from labutils import settings
from labutils.history import History


@dataclass(frozen=True)
class Gathered:
    """A notebook of the course and its results, as they were found.

    Attributes:
        path: of the file that is used; None where there is none.
        cells: what is in it; None where it cannot be read.
        newer: a file in notebooks/ with other cells, saved after the run.
        histories: by the names of the trainings, in the lesson's order.
        texts: the summaries, by their names.
        pictures: PNG files, by their names.
        missing: names of results that are not there.
        damaged: names of results that cannot be read.
    """

    lesson: Lesson
    path: Path | None = None
    cells: tuple[Cell, ...] | None = None
    newer: Path | None = None
    histories: dict[str, History] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def executed(self) -> bool:
        """Whether any cell was run."""
        return any(cell.count for cell in self.cells or ())

    @property
    def saved(self) -> datetime:
        """When the file was written last."""
        return datetime.fromtimestamp(
            self.path.stat().st_mtime if self.path else 0)

    @property
    def sources(self) -> list[str]:
        """What is written in the cells."""
        return [cell.source for cell in self.cells or ()]


def gather(folder: Path | None = None) -> list[Gathered]:
    """All the notebooks, each as it was executed last.

    Args:
        folder: the only one to look in; None looks in notebooks/, where one
            works, and in the results folder, where `labutils run` writes.
    """
    folders = [folder] if folder else [
        settings.home() / "notebooks", settings.results_dir()]
    return [_gather(lesson, folders) for lesson in LESSONS]


def _gather(lesson: Lesson, folders: Sequence[Path]) -> Gathered:
    paths = [folder / f"{lesson.stem}.ipynb" for folder in folders]
    found = [
        Gathered(lesson, path, _cells(path)) for path in paths
        if path.is_file()
    ]
    # One that was executed before one that was not; then the newer one.
    used = max(found, key=lambda one: (one.executed, one.saved),
               default=Gathered(lesson))
    newer = [
        one.path for one in found
        if one.saved > used.saved and one.sources != used.sources
    ]
    results = settings.results_dir() / lesson.stem
    if used.path and (beside := used.path.parent / lesson.stem).is_dir():
        results = beside
    used = replace(used, newer=newer[0] if newer else None)
    _read_results(used, results)
    return used


def _cells(path: Path) -> tuple[Cell, ...] | None:
    with contextlib.suppress(NotebookError):
        return cells.read(read_notebook(path))
    return None


def _read_results(one: Gathered, folder: Path) -> None:
    """Read what is there, and note what is not."""
    lesson = one.lesson
    found: dict[str, dict[str, Any]] = {
        ".json": one.histories, ".txt": one.texts, ".png": one.pictures}
    for suffix, names in (
        (".json", lesson.runs + lesson.optional),
        (".txt", lesson.trainings + lesson.texts),
        (".png", lesson.trainings + lesson.pictures),
    ):
        for name in names:
            path = folder / f"{name}{suffix}"
            if not path.is_file():
                if name not in lesson.optional:
                    one.missing.append(path.name)
            elif (content := _content(path)) is None:
                one.damaged.append(path.name)
            else:
                found[suffix][name] = content


def _content(path: Path) -> History | str | bytes | None:
    """What a saved file holds; None where it is damaged."""
    data = path.read_bytes()
    if path.suffix == ".txt":
        return data.decode("utf-8", "replace")
    if path.suffix == ".png":
        return data if data.startswith(PNG) else None
    with contextlib.suppress(ValueError, TypeError, LookupError,
                             AttributeError):
        history = History.from_json(data.decode("utf-8"))
        # All that the report reads of it.
        numbers = (
            *history.train_perplexity, *history.held_out_perplexity,
            *history.best_held_out, history.seconds,
            history.settings["num_epochs"],
        )
        if (
            all(isinstance(number, int | float) for number in numbers)
            and isinstance(history.corpus, dict) and history.status
        ):
            return history
    return None
