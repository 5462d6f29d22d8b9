"""Which cell of a submission is which of the course's."""

import ast
import copy
from dataclasses import dataclass, field

from nbformat import NotebookNode

from labstaff.exercises import grader
from labstaff.grading.course import CourseNotebook, Exercise

# Of cells that a student has added, so many are named in a note.
NAMED = 3


@dataclass
class Matched:
    """A submission, ready to be run.

    Attributes:
        notebook: the student's cells in the student's order, with the
            course's own check cells.
        places: for each exercise the index of its cell; absent where there is
            none.
        notes: what was missing, doubled, moved or changed, in words.
    """

    notebook: NotebookNode
    places: dict[str, int]
    notes: list[str] = field(default_factory=list)


def match(submitted: NotebookNode, course: CourseNotebook) -> Matched:
    """Find the exercises and put the official checks in.

    A cell is known by its grade_id, or else by its cell id, or else, an
    exercise in code, by the function that it defines.

    Args:
        submitted: of a student; stays as it is.
        course: the notebook that it was made from.
    """
    notebook = copy.deepcopy(submitted)
    names = [_name(cell, course) for cell in notebook.cells]
    places: dict[str, int] = {}
    notes: list[str] = []
    for exercise in course.exercises:
        found = [i for i, name in enumerate(names) if name == exercise.name]
        found = [i for i in found
                 if _is_kind(notebook.cells[i], exercise)] or found[:0]
        if not found:
            found = _defining(notebook, exercise)
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
    notes += _order(names, course)
    _clean(notebook)
    return Matched(notebook, places, notes)


def _name(cell: NotebookNode, course: CourseNotebook) -> str:
    """The course's name of a cell; empty for one of the student's own."""
    known = set(course.cells.values())
    own = grader(cell)
    name = own.get("grade_id") if isinstance(own, dict) else None
    if isinstance(name, str) and name in known:
        return name
    return course.cells.get(str(cell.get("id", "")), "")


def _is_kind(cell: NotebookNode, exercise: Exercise) -> bool:
    return cell.cell_type == ("markdown" if exercise.written else "code")


def _defining(notebook: NotebookNode, exercise: Exercise) -> list[int]:
    """Code cells that define a function or class of the exercise's name."""
    if exercise.written:
        return []
    return [
        i for i, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and exercise.name in defined(cell.source)
    ]


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
    notes, changed = [], []
    for cell, name in zip(notebook.cells, names, strict=True):
        if name not in course.checks:
            continue
        if cell.cell_type != "code" or cell.source != course.checks[name]:
            changed.append(name)
        cell.cell_type = "code"
        cell.source = course.checks[name]
    if changed:
        notes.append(
            f"Changed checks, replaced by the course's: {_listed(changed)}.")
    missing = [name for name in course.checks if name not in names]
    if missing:
        notes.append(f"Checks that are missing: {_listed(missing)}.")
    return notes


def _order(names: list[str], course: CourseNotebook) -> list[str]:
    """A note where the course's cells stand in another order."""
    expected = list(course.cells.values())
    found = [expected.index(n) for n in dict.fromkeys(names) if n in expected]
    if found != sorted(found):
        return ["The course's cells stand in another order; they were run in "
                "the student's."]
    return []


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _clean(notebook: NotebookNode) -> None:
    """Without old outputs, and with the course's kernel."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = type(notebook)(kernelspec={
        "name": "python3", "display_name": "Python 3", "language": "python"})
