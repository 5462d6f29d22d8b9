"""The course as the grader knows it: exercises, points, official checks."""

from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labstaff.execute import notebook_paths
from labstaff.exercises import exercises, grader
from labstaff.publish.release import student_notebook


@dataclass(frozen=True)
class Exercise:
    """Something that earns points.

    Attributes:
        name: grade_id of the cell that a student fills in.
        cell: id of that cell.
        points: that it can earn.
        written: whether it is an answer in words.
        stub: what students find in the cell.
    """

    name: str
    cell: str
    points: float
    written: bool
    stub: str


@dataclass(frozen=True)
class CourseNotebook:
    """A notebook of the course as students get it.

    Attributes:
        stem: of its file.
        title: its first heading.
        exercises: in order.
        checks: for each check cell's grade_id its official source, without
            hidden tests.
        cells: for each cell's id its name: the grade_id or else the id.
    """

    stem: str
    title: str
    exercises: tuple[Exercise, ...]
    checks: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)


def course(paths: list[Path] | None = None) -> list[CourseNotebook]:
    """Read the course's notebooks.

    Args:
        paths: of notebooks with solutions; None takes the course's own.

    Raises:
        ExerciseError: a notebook's exercises do not fit together.
    """
    found = []
    for path in notebook_paths() if paths is None else paths:
        source = nbformat.read(path, as_version=4)
        exercises(source, path.name)
        found.append(_read(path.stem, student_notebook(source)))
    return found


def _read(stem: str, released: NotebookNode) -> CourseNotebook:
    """What the student edition of a notebook asks for."""
    title = released.cells[0].source.splitlines()[0].lstrip("# ")
    named = {
        meta["grade_id"]: cell for cell in released.cells
        if (meta := grader(cell))
    }
    found, checks = [], {}
    for name, cell in named.items():
        meta = grader(cell)
        if meta["solution"]:
            written = meta["grade"]
            graded = cell if written else named[f"check_{name}"]
            found.append(Exercise(
                name, cell.id, float(grader(graded)["points"]), written,
                cell.source))
        elif meta["grade"]:
            checks[name] = cell.source
    return CourseNotebook(
        stem, title, tuple(found), checks,
        {cell.id: grader(cell).get("grade_id", cell.id)
         for cell in released.cells},
    )
