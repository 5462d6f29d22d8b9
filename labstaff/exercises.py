"""The exercises of a notebook, found by nbgrader's metadata and checked."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nbformat import NotebookNode

from labkit.course import grader

SOLUTION, HIDDEN = "SOLUTION", "HIDDEN TESTS"
EDGE = re.compile(rf"(BEGIN|END) ({SOLUTION}|{HIDDEN})")
PAIR = re.compile(r"BEGIN ([A-Z ]+); END \1")
# A comment that somebody meant as a delimiter, however it is spelled; of a
# mark scheme, too, which is nbgrader's alone.
MEANT = re.compile(
    r"\s*#+\W*(begin|end)\W*(solution|hidden\W*tests?\b|mark\w*\W*scheme)",
    re.IGNORECASE,
)


class Exercises(NamedTuple):
    """What a notebook asks for: exercises in code, written answers, and the
    points of all its graded cells together."""

    code: int
    written: int
    points: float


def exercises(notebook: NotebookNode, name: str) -> Exercises:
    """Check and count the exercises of a notebook; messages give its `name`.

    Raises:
        ValueError: a delimiter without its other half or in a cell of the
            wrong kind, a grade_id used twice, a solution without a check,
            metadata that nbgrader would refuse.
    """
    for number, fault in _faults(notebook.cells):
        cell = notebook.cells[number - 1]
        first, *_ = cell.source.strip().splitlines() or [""]
        grade_id = grader(cell).get("grade_id")
        shown = f"grade_id {grade_id!r}" if grade_id else repr(first[:40])
        raise ValueError(f"{name}, cell {number} ({shown}): {fault}")
    kinds = [cell.cell_type for cell in notebook.cells
             if grader(cell).get("solution")]
    return Exercises(
        kinds.count("code"), kinds.count("markdown"),
        sum(float(grader(cell).get("points", 0)) for cell in notebook.cells))


def _faults(cells: Sequence[NotebookNode]) -> Iterator[tuple[int, str]]:
    """What is wrong, and with which cell, counted from 1."""
    # It takes a second, which who grades with the exercises can do without.
    from nbgrader.nbgraderformat import MetadataValidator

    places: dict[str, int] = {}  # of each grade_id
    for number, cell in enumerate(cells, start=1):
        try:
            MetadataValidator().validate_cell(cell)
        except Exception as error:  # several kinds, its own and jsonschema's
            words = str(error).splitlines()[0]
            yield number, (f"nbgrader refuses its metadata ({words}). Expected"
                           " schema 3, as in the other exercise cells.")
        for fault in _region_faults(cell):
            yield number, fault
        if grade_id := grader(cell).get("grade_id"):
            if grade_id in places:
                yield number, (f"cell {places[grade_id]} has the same "
                               "grade_id. Give one of them another.")
            places[grade_id] = number
    for number, cell in enumerate(cells, start=1):
        meta = grader(cell)
        if not meta.get("solution") or meta["grade"]:
            continue
        after = places.get(check := f"check_{meta['grade_id']}", 0)
        if after < number or not _is_check(cells[after - 1]):
            yield number, ("a solution without a check. Expected a graded "
                           f"code cell {check!r} below it.")


def _region_faults(cell: NotebookNode) -> Iterator[str]:
    """Delimiters come in pairs, and stand where nbgrader acts on them."""
    for line in cell.source.split("\n"):
        if MEANT.match(line) and not EDGE.search(line):
            yield (f"{line.strip()!r} is no delimiter, and what it encloses "
                   f"would reach the students. Expected '### BEGIN {SOLUTION}'"
                   f" or '### BEGIN {HIDDEN}', and so on with END.")
    found = [edge[0] for edge in EDGE.finditer(cell.source)]
    if alone := PAIR.sub("", "; ".join(found)).strip("; "):
        yield (f"{alone} without its other half. Each BEGIN needs its END "
               "before the next one.")
    solution = grader(cell).get("solution")
    begun = f"BEGIN {SOLUTION}" in found
    if begun and not solution:
        yield "a solution in a cell not marked as a solution."
    if f"BEGIN {HIDDEN}" in found and not _is_check(cell):
        yield "hidden tests in a cell that is not a check."
    if cell.cell_type == "code" and solution and not begun:
        yield ("marked as a solution, and nothing says where it begins. Put "
               f"### BEGIN {SOLUTION} and ### END {SOLUTION} around it, below "
               "the signature and the docstring.")


def _is_check(cell: NotebookNode) -> bool:
    meta = grader(cell)
    return bool(meta.get("grade") and not meta.get("solution"))
