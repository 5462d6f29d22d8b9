"""The exercises of a notebook, found by nbgrader's metadata and checked."""

import re
from dataclasses import dataclass

from nbformat import NotebookNode
from nbgrader.nbgraderformat import MetadataValidator

from labkit.course import grader

SOLUTION, HIDDEN, SCHEME = "SOLUTION", "HIDDEN TESTS", "MARK SCHEME"
# A comment that somebody meant as a delimiter, however it is spelled.
MEANT = re.compile(
    r"\s*#+\W*(begin|end)\W*(solution|hidden\W*tests?\b|mark\w*\W*scheme)",
    re.IGNORECASE,
)
EDGE = re.compile(rf"(BEGIN|END) ({SOLUTION}|{HIDDEN}|{SCHEME})")


class ExerciseError(ValueError):
    """A notebook's exercises do not fit together; the message says where."""


@dataclass(frozen=True)
class Exercises:
    """What a notebook asks for.

    Attributes:
        code: number of exercises in code.
        written: number of written answers.
        points: of all its graded cells together.
    """

    code: int
    written: int
    points: float


def exercises(notebook: NotebookNode, name: str) -> Exercises:
    """Check a notebook's exercises and count them.

    Args:
        notebook: with solutions.
        name: of its file, for messages.

    Raises:
        ExerciseError: a delimiter without its other half or in a cell of the
            wrong kind, a grade_id used twice, a solution without a check,
            metadata that nbgrader would refuse.
    """
    places: dict[str, int] = {}  # of each grade_id
    for number, cell in enumerate(notebook.cells, start=1):
        try:
            _check_metadata(cell)
            _check_regions(cell)
            if grade_id := grader(cell).get("grade_id"):
                if grade_id in places:
                    raise ExerciseError(
                        f"cell {places[grade_id]} has the same grade_id. "
                        "Give one of them another."
                    )
                places[grade_id] = number
        except ExerciseError as error:
            raise ExerciseError(
                f"{name}, cell {number} {_shown(cell)}: {error}"
            ) from None
    _check_pairs(notebook, name, places)
    cells = [(cell.cell_type, grader(cell)) for cell in notebook.cells]
    return Exercises(
        sum(kind == "code" and meta.get("solution", False)
            for kind, meta in cells),
        sum(kind == "markdown"
            and (meta.get("solution", False) or meta.get("task", False))
            for kind, meta in cells),
        sum(float(meta.get("points", 0)) for _, meta in cells),
    )


def _shown(cell: NotebookNode) -> str:
    """By what an author recognises a cell."""
    if name := grader(cell).get("grade_id"):
        return f"(grade_id {name!r})"
    lines = cell.source.strip().splitlines() or [""]
    return f"({lines[0][:40]!r})"


def _check_metadata(cell: NotebookNode) -> None:
    """What nbgrader asks of a cell."""
    if "nbgrader" not in cell.metadata:
        return
    try:
        MetadataValidator().validate_cell(cell)
    except Exception as error:  # several kinds, from nbgrader and jsonschema
        words = str(error).splitlines()[0]
        raise ExerciseError(
            f"nbgrader refuses its metadata ({words}). Expected schema 3, as "
            "in the other exercise cells."
        ) from error


def _check_regions(cell: NotebookNode) -> None:
    """Delimiters come in pairs, and stand where nbgrader acts on them."""
    found, open_ = set(), ""
    for line in cell.source.split("\n"):
        edge = EDGE.search(line)
        if not edge:
            if MEANT.match(line):
                raise ExerciseError(
                    f"{line.strip()!r} is no delimiter, and what it encloses "
                    f"would reach the students. Expected '### BEGIN "
                    f"{SOLUTION}' or '### BEGIN {HIDDEN}', and so on with END."
                )
            continue
        side, what = edge.groups()
        if (side == "BEGIN" and open_) or (side == "END" and open_ != what):
            where = f"inside {open_}" if open_ else "without its BEGIN"
            raise ExerciseError(
                f"{side} {what} stands {where}. Each BEGIN needs its END "
                "before the next one."
            )
        open_ = what if side == "BEGIN" else ""
        found.add(what)
    if open_:
        raise ExerciseError(f"BEGIN {open_} has no END {open_}. Add it.")
    meta = grader(cell)
    solution = meta.get("solution")
    if SOLUTION in found and not solution:
        raise ExerciseError("a solution in a cell not marked as a solution.")
    if HIDDEN in found and not _is_check(cell):
        raise ExerciseError("hidden tests in a cell that is not a check.")
    if SCHEME in found and not meta.get("task"):
        raise ExerciseError("a mark scheme in a cell that is not a task.")
    if cell.cell_type == "code" and solution and SOLUTION not in found:
        raise ExerciseError(
            "marked as a solution, and nothing says where it begins. Put "
            f"### BEGIN {SOLUTION} and ### END {SOLUTION} around it, below "
            "the signature and the docstring."
        )


def _is_check(cell: NotebookNode) -> bool:
    meta = grader(cell)
    return bool(meta.get("grade") and not meta.get("solution"))


def _check_pairs(
    notebook: NotebookNode, name: str, places: dict[str, int]
) -> None:
    """Each solution in code is followed by the check named after it."""
    for cell in notebook.cells:
        meta = grader(cell)
        if not meta.get("solution") or meta["grade"]:
            continue
        number, check = places[meta["grade_id"]], f"check_{meta['grade_id']}"
        after = places.get(check, 0)
        if after < number or not _is_check(notebook.cells[after - 1]):
            raise ExerciseError(
                f"{name}, cell {number} {_shown(cell)}: a solution without "
                f"a check. Expected a graded code cell {check!r} below it."
            )
