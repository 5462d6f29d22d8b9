"""What the course asks for, and where a submission answers it."""

import ast
import copy
from dataclasses import dataclass, field

from nbformat import NotebookNode

from labkit.course import grader, notebook_paths, read_notebook, title
from labstaff.exercises import exercises
from labstaff.publish.release import student_notebook

# ---- the course


@dataclass(frozen=True)
class Exercise:
    """Something that earns points."""

    name: str  # grade_id of the cell that a student fills in
    points: float  # that it can earn
    written: bool  # an answer in words
    stub: str  # what students find in the cell


@dataclass(frozen=True)
class CourseNotebook:
    """A notebook of the course as students get it."""

    stem: str  # of its file
    title: str
    exercises: tuple[Exercise, ...]  # in order
    # For each check cell's grade_id its source, without hidden tests.
    checks: dict[str, str] = field(default_factory=dict)
    # For each cell's id its name: the grade_id or else the id.
    cells: dict[str, str] = field(default_factory=dict)


def course() -> list[CourseNotebook]:
    """Read the course's notebooks.

    Raises:
        ExerciseError: a notebook's exercises do not fit together.
        NotebookError: a notebook cannot be read.
    """
    found = []
    for path in notebook_paths():
        source = read_notebook(path)
        exercises(source, path.name)
        found.append(_asked(path.stem, student_notebook(source)))
    return found


def _asked(stem: str, released: NotebookNode) -> CourseNotebook:
    """What the student edition of a notebook asks for."""
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
            points = float(grader(graded)["points"])
            found.append(Exercise(name, points, written, cell.source))
        elif meta["grade"]:
            checks[name] = cell.source
    return CourseNotebook(
        stem, title(released), tuple(found), checks,
        {cell.id: grader(cell).get("grade_id", cell.id)
         for cell in released.cells})


# ---- a submission


@dataclass
class Matched:
    """A submission, ready to be run."""

    # The student's cells in the student's order, with the course's checks.
    notebook: NotebookNode
    places: dict[str, int]  # index of each exercise's cell, if there is one
    notes: list[str]  # what was missing, doubled, moved or changed, in words


def match(submitted: NotebookNode, course: CourseNotebook) -> Matched:
    """Find the exercises and put the official checks in, in a copy.

    A cell is known by its grade_id, or else by its cell id, or else, an
    exercise in code, by the function that it defines.
    """
    notebook = copy.deepcopy(submitted)
    names = [_name(cell, course) for cell in notebook.cells]
    places: dict[str, int] = {}
    notes: list[str] = []
    for exercise in course.exercises:
        kind = "markdown" if exercise.written else "code"
        cells = [(i, cell) for i, cell in enumerate(notebook.cells)
                 if cell.cell_type == kind]
        found = [i for i, _ in cells if names[i] == exercise.name]
        if not found and not exercise.written:
            found = [i for i, cell in cells
                     if exercise.name in defined(cell.source)]
            if found:
                notes.append(
                    f"{exercise.name}: its cell has lost its mark; found by "
                    "what it defines.")
        if len(found) > 1:
            notes.append(
                f"{exercise.name}: {len(found)} cells have this name; the "
                "last one counts.")
        if found:
            places[exercise.name] = found[-1]
        else:
            notes.append(f"{exercise.name}: its cell is missing.")
    notes += _put_checks(notebook, names, course)
    expected = list(course.cells.values())
    order = [expected.index(n) for n in dict.fromkeys(names) if n in expected]
    if order != sorted(order):
        notes.append("The course's cells stand in another order; they were "
                     "run in the student's.")
    # Without old outputs, and with the course's kernel.
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = NotebookNode(kernelspec={
        "name": "python3", "display_name": "Python 3", "language": "python"})
    return Matched(notebook, places, notes)


def _name(cell: NotebookNode, course: CourseNotebook) -> str:
    """The course's name of a cell; empty for one of the student's own."""
    name = grader(cell).get("grade_id")
    if isinstance(name, str) and name in course.cells.values():
        return name
    return course.cells.get(cell.id, "")


def defined(source: str) -> set[str]:
    """Names of the functions and classes that a cell's source defines."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


def _put_checks(
    notebook: NotebookNode, names: list[str], course: CourseNotebook
) -> list[str]:
    """Put the official checks in the place of the student's copies."""
    changed = []
    for cell, name in zip(notebook.cells, names, strict=True):
        if name not in course.checks:
            continue
        if cell.cell_type != "code" or cell.source != course.checks[name]:
            changed.append(name)
        cell.cell_type = "code"
        cell.source = course.checks[name]
    missing = [name for name in course.checks if name not in names]
    return [
        f"{words}: {', '.join(some)}." for words, some in (
            ("Changed checks, replaced by the course's", changed),
            ("Checks that are missing", missing)) if some]
