"""Find the executed notebooks and the results that belong to them."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from labkit.course import LESSONS, Lesson, NotebookError, read_notebook
from labkit.outputs import PNG
from labutils import settings
from labutils.history import History


@dataclass(frozen=True)
class Results:
    """What is saved of a notebook's run, by the names of the files.

    Attributes:
        folder: where it was looked for.
        histories: of the trainings, in the lesson's order.
        texts: the summaries.
        pictures: PNG files.
        missing: names of files that are not there.
        damaged: names of files that cannot be read.
    """

    folder: Path
    histories: dict[str, History]
    texts: dict[str, str]
    pictures: dict[str, bytes]
    missing: tuple[str, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Gathered:
    """A notebook of the course, as it was found.

    Attributes:
        path: of the file that is used; None where there is none.
        notebook: what is in it; None where it cannot be read.
        newer: a file in notebooks/ with other cells, saved after the run.
    """

    lesson: Lesson
    path: Path | None
    notebook: NotebookNode | None
    newer: Path | None
    results: Results


def gather(folder: Path | None = None) -> list[Gathered]:
    """All the notebooks, each as it was executed last.

    Args:
        folder: the only one to look in; None looks in notebooks/, where one
            works, and in the results folder, where `labutils run` writes.
    """
    folders = [folder] if folder else [
        settings.home() / "notebooks", settings.results_dir()]
    return [_gather(lesson, folders) for lesson in LESSONS]


def executed(notebook: NotebookNode | None) -> bool:
    """Whether any cell was run."""
    return notebook is not None and any(
        cell.get("execution_count") for cell in code_cells(notebook))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells with code in them."""
    return [
        cell for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip()
    ]


def _gather(lesson: Lesson, folders: list[Path]) -> Gathered:
    paths = [f / f"{lesson.stem}.ipynb" for f in folders]
    paths = [path for path in paths if path.is_file()]
    read = {path: _read(path) for path in paths}
    # One that was executed before one that was not; then the newer one.
    paths.sort(key=lambda p: (executed(read[p]), p.stat().st_mtime_ns))
    used = paths.pop() if paths else None
    newer = next((
        p for p in paths if used and p.stat().st_mtime_ns
        > used.stat().st_mtime_ns and _sources(read[p]) != _sources(read[used])
    ), None)
    beside = used.parent / lesson.stem if used else None
    place = beside if beside and beside.is_dir() else (
        settings.results_dir() / lesson.stem)
    return Gathered(
        lesson, used, read[used] if used else None, newer,
        _results(lesson, place))


def _read(path: Path) -> NotebookNode | None:
    with contextlib.suppress(NotebookError):
        return read_notebook(path)
    return None


def _sources(notebook: NotebookNode | None) -> list[str]:
    return [cell.source for cell in notebook.cells] if notebook else []


def _results(lesson: Lesson, folder: Path) -> Results:
    """Read what is there, and note what is not."""
    missing, damaged = [], []
    histories: dict[str, History] = {}
    for name in (*lesson.trainings, *lesson.histories, *lesson.optional):
        path = folder / f"{name}.json"
        if not path.is_file():
            missing += [path.name] if name not in lesson.optional else []
            continue
        history = _history(path)
        if history is None:
            damaged.append(path.name)
        else:
            histories[name] = history
    files = {}
    for name in (
        *(f"{n}.txt" for n in (*lesson.trainings, *lesson.texts)),
        *(f"{n}.png" for n in (*lesson.trainings, *lesson.pictures)),
    ):
        if not (folder / name).is_file():
            missing.append(name)
            continue
        data = (folder / name).read_bytes()
        if name.endswith(".png") and not data.startswith(PNG):
            damaged.append(name)
        else:
            files[name] = data
    return Results(
        folder, histories,
        {name: data.decode("utf-8", "replace")
         for name, data in files.items() if name.endswith(".txt")},
        {name: data for name, data in files.items() if name.endswith(".png")},
        tuple(missing), tuple(damaged),
    )


def _history(path: Path) -> History | None:
    """None where the file is none of a training."""
    try:
        history = History.from_json(path.read_text(encoding="utf-8"))
        # What the report reads; a damaged record fails here, not later.
        best, epoch = history.best_held_out
        f"{history.perplexity:.2f}{history.held_out:.2f}{best:.2f}{epoch:d}"
        f"{history.seconds:.1f}{history.corpus.get('name')}{history.status}"
        return history
    except (ValueError, TypeError, LookupError, AttributeError, OSError):
        return None
