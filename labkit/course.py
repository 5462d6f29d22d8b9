"""The course: its notebooks, how one is found and read, what a run leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labutils import settings

if TYPE_CHECKING:
    from nbformat import NotebookNode


class NotebookError(RuntimeError):
    """A notebook is not found or not readable; the message says what to do."""


# ---- the lessons, and what a full run of each leaves under results/


@dataclass(frozen=True)
class Lesson:
    """A notebook and what its full run leaves under results/."""

    stem: str  # of the notebook's file, and the name of its results' folder
    trainings: tuple[str, ...] = ()  # those with a summary and a curve
    histories: tuple[str, ...] = ()  # trainings with nothing but a history
    texts: tuple[str, ...] = ()  # other summaries
    pictures: tuple[str, ...] = ()  # other pictures
    optional: tuple[str, ...] = ()  # histories of those who trained more

    @property
    def number(self) -> str:
        """The notebook's number, as people say it: "3"."""
        return self.stem.partition("_")[0].lstrip("0")

    @property
    def runs(self) -> tuple[str, ...]:
        """All that a full run trains, in order; each leaves a history."""
        return self.trainings + self.histories


SEEDS = tuple(
    f"seeds_{network}_{run}"
    for network in ("lstm_256", "gru_256", "gru_296") for run in (0, 1, 2)
)
# Each part of the report by its key; labkit/report/templates/ has the titles.
PARTS = {
    "text": (
        Lesson("01_text_preprocessing", texts=("summary",),
               pictures=("frequencies",)),
        Lesson("02_long_sequence_sampling"),
    ),
    "scratch": (
        Lesson("03_rnn_from_scratch",
               ("rnn_scratch_sequential", "rnn_scratch_random")),
    ),
    "concise": (
        Lesson("04_rnn_concise",
               ("rnn_concise", "rnn_concise_2_layers",
                "rnn_concise_3_layers", "rnn_concise_4_layers")),
    ),
    "lstm": (Lesson("05_lstm_from_scratch", ("lstm_scratch",)),),
    "deep": (
        Lesson("06_deep_lstm_vs_gru", ("deep_lstm", "deep_gru"),
               ("deep_gru_adam", *SEEDS), ("comparison",), ("comparison",),
               ("whole_book",)),
    ),
}
LESSONS = tuple(lesson for part in PARTS.values() for lesson in part)


# ---- the files


def notebook_paths(names: Sequence[str] = ()) -> list[Path]:
    """The course's notebooks, in order, or those that are named.

    Args:
        names: paths, or the beginnings of file names in notebooks/ ("03").

    Raises:
        NotebookError: there is no such notebook.
    """
    folder, paths = settings.home() / "notebooks", []
    course = without_copies(path.name for path in folder.glob("[0-9]*.ipynb"))
    if not names and not course:
        raise NotebookError(f"No notebooks in {folder}.")
    for name in names:
        if Path(name).is_file():
            paths.append(Path(name).resolve())
        else:
            paths += [folder / found for found in matching(name, course)]
    return paths if names else [folder / name for name in course]


def matching(name: str, course: Sequence[str], where: str = "") -> list[str]:
    """Those of the course's file names that begin with `name`.

    Raises:
        NotebookError: there is none; `where` says in a clause where.
    """
    found = [file for file in course if name and file.startswith(name)]
    if not found:
        known = ", ".join(Path(file).stem for file in course) or "none at all"
        raise NotebookError(
            f"No notebook {name!r}{where}: expected a path or the beginning "
            f"of one of {known}."
        )
    return found


def without_copies(names: Iterable[str]) -> list[str]:
    """File names in order, but no copies of another one of them.

    JupyterLab names a copy 03_rnn-Copy1.ipynb, and `reset` does it alike.
    """
    found: list[str] = []
    for name in sorted(names, key=lambda name: (len(name), name)):
        stem = Path(name).stem
        if not any(stem.startswith(f"{Path(o).stem}-") for o in found):
            found.append(name)
    return sorted(found)


# ---- what is in them


def read_notebook(path: Path) -> NotebookNode:
    """A notebook of nbformat 4; one of an older format is converted.

    Raises:
        NotebookError: there is no such file, or no sound notebook is in it.
    """
    import nbformat

    try:
        # By steps: nbformat.read only logs what is wrong with a notebook.
        notebook = nbformat.reader.reads(path.read_text(encoding="utf-8"))
        notebook = nbformat.convert(notebook, 4)
        nbformat.validate(notebook)
    except FileNotFoundError:
        raise NotebookError(
            f"There is no notebook {path}. Look at the name and the folder."
        ) from None
    except Exception as error:  # a file that is no notebook fails in many ways
        reason = (str(error).splitlines() or [""])[0][:200]
        raise NotebookError(
            f"{path.name} cannot be read as a notebook "
            f"({type(error).__name__}: {reason}). Repair it, or take it from "
            "the last commit (`labutils reset`)."
        ) from error
    return notebook


def title(notebook: NotebookNode) -> str:
    """The first heading of the first level; empty where there is none."""
    headings = (
        line.removeprefix("# ").strip()
        for cell in notebook.cells if cell.cell_type == "markdown"
        for line in cell.source.splitlines() if line.startswith("# ")
    )
    return next(headings, "")


def grader(cell: NotebookNode) -> dict[str, Any]:
    """The cell's nbgrader metadata; empty for an ordinary cell."""
    found = cell.metadata.get("nbgrader", {})
    return found if isinstance(found, dict) else {}
