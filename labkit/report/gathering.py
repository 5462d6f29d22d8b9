"""Find the executed notebooks and the results that belong to them."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from labkit.course import (
    FOLDERS,
    LESSONS,
    Lesson,
    NotebookError,
    language_of,
    read_notebook,
)
from labkit.pages import PNG
from labkit.report import cells
from labkit.report.cells import Cell
from labutils import settings
from labutils.history import History


@dataclass(frozen=True)
class Gathered:
    """A notebook of the course and its results, as they were found."""

    lesson: Lesson
    path: Path | None = None  # of the file that is used
    cells: tuple[Cell, ...] | None = None  # None: it cannot be read
    language: str = "en"  # of its text
    # With other cells, saved after the run.
    newer: list[Path] = field(default_factory=list)
    # By their names, in the lesson's order.
    histories: dict[str, History] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # files of results
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
        return [cell.source for cell in self.cells or ()]


def gather(folder: Path | None = None) -> list[Gathered]:
    """All the notebooks, each as it was executed last.

    They are in `folder`, or for None in notebooks/ or notebooks/zh/, where
    one works, or in the results folder, where `labutils run` writes.
    """
    own = settings.home() / "notebooks"
    folders = [folder] if folder else [
        *(own / name for name in FOLDERS.values()), settings.results_dir()]
    return [_gather(lesson, folders) for lesson in LESSONS]


def _gather(lesson: Lesson, folders: Sequence[Path]) -> Gathered:
    paths = [folder / f"{lesson.stem}.ipynb" for folder in folders]
    found = [_read(lesson, path) for path in paths if path.is_file()]
    # One that was executed before one that was not; then the newer one.
    used = max(found, key=lambda one: (one.executed, one.saved),
               default=Gathered(lesson))
    used.newer.extend(
        one.path for one in found if one.path
        and one.language == used.language
        and one.saved > used.saved and one.sources != used.sources)
    results = settings.results_dir() / lesson.stem
    if used.path and (beside := used.path.parent / lesson.stem).is_dir():
        results = beside
    for suffix, contents, names in (
        ("json", used.histories, lesson.runs + lesson.optional),
        ("txt", used.texts, lesson.trainings + lesson.texts),
        ("png", used.pictures, lesson.trainings + lesson.pictures),
    ):
        for name in names:
            path = results / f"{name}.{suffix}"
            if not path.is_file():
                if name not in lesson.optional:
                    used.missing.append(path.name)
            elif (content := _content(path)) is None:
                used.damaged.append(path.name)
            else:
                contents[name] = content
    return used


def _read(lesson: Lesson, path: Path) -> Gathered:
    with contextlib.suppress(NotebookError):
        notebook = read_notebook(path)
        return Gathered(lesson, path, cells.read(notebook, lesson.exercises),
                        language_of(notebook))
    return Gathered(lesson, path)


def _content(path: Path) -> Any:
    """The history, text or PNG of a file; None where it is damaged."""
    data = path.read_bytes()
    if path.suffix == ".txt":
        return data.decode("utf-8", "replace")
    if path.suffix == ".png":
        return data if data.startswith(PNG) else None
    with contextlib.suppress(Exception):  # it may hold anything
        history = History.from_json(data.decode("utf-8"))
        # All that the report reads of it.
        numbers = (*history.train_perplexity, *history.held_out_perplexity,
                   *history.best_held_out, history.seconds,
                   history.settings["num_epochs"])
        if (all(isinstance(number, int | float) for number in numbers)
                and isinstance(history.corpus, dict) and history.status):
            return history
    return None
