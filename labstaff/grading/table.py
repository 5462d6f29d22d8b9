"""The table of a class: students by exercises."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labstaff.grading.course import CourseNotebook
from labstaff.grading.results import Graded, Status

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Row:
    """A student's line.

    Attributes:
        key, name: of the student.
        points: for each exercise; None for an answer that is to be read.
        total, possible: of all.
        state: "complete", or what is not, in words.
        graded: the results, in the course's order.
    """

    key: str
    name: str
    points: dict[str, float | None]
    total: float
    possible: float
    state: str
    graded: tuple[Graded, ...]


def rows(
    students: dict[str, str], graded: Sequence[Graded],
    course: Sequence[CourseNotebook],
) -> list[Row]:
    """The lines, in the order of the students' keys.

    Args:
        students: shown name for each key.
        graded: every notebook of every student.
        course: the notebooks, in order.
    """
    found = {(g.student, g.notebook): g for g in graded}
    lines = []
    for key in sorted(students):
        own = tuple(found[key, n.stem] for n in course
                    if (key, n.stem) in found)
        verdicts = {v.exercise: v for g in own for v in g.verdicts}
        points = {
            x.name: None if (v := verdicts.get(x.name)) is None
            or v.status is Status.WRITTEN else v.points
            for n in course for x in n.exercises
        }
        lines.append(Row(
            key, students[key], points, sum(g.points for g in own),
            sum(x.points for n in course for x in n.exercises),
            _state(own), own,
        ))
    return lines


def _state(graded: Sequence[Graded]) -> str:
    """What a grader has to know about a student's line."""
    words = []
    for state in ("missing", "refused"):
        some = [g.notebook[:2] for g in graded if g.state == state]
        if some:
            words.append(f"{state}: {', '.join(some)}")
    written = sum(
        v.status is Status.WRITTEN for g in graded for v in g.verdicts)
    if written:
        words.append(f"to be read: {written}")
    return "; ".join(words) or "complete"


def as_csv(lines: Sequence[Row], course: Sequence[CourseNotebook]) -> bytes:
    """The table for a spreadsheet: UTF-8 with a mark, CRLF, no formulas."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow([
        "key", "name",
        *(f"{n.stem[:2]} {x.name}" for n in course for x in n.exercises),
        "total", "possible", "state",
    ])
    for line in lines:
        writer.writerow([
            harmless(line.key), harmless(line.name),
            *("" if p is None else f"{p:g}" for p in line.points.values()),
            f"{line.total:g}", f"{line.possible:g}", line.state,
        ])
    return ("\ufeff" + buffer.getvalue()).encode("utf-8", "replace")


def harmless(text: str) -> str:
    """A cell's text that no spreadsheet will compute."""
    return f"'{text}" if text.startswith(FORMULA) else text


def as_json(lines: Sequence[Row]) -> bytes:
    """The same, and every verdict."""
    content: list[dict[str, Any]] = [
        {"key": r.key, "name": r.name, "points": r.points, "total": r.total,
         "possible": r.possible, "state": r.state,
         "notebooks": [
             {k: v for k, v in asdict(g).items()
              if k not in ("sources", "student", "seconds")}
             for g in r.graded]}
        for r in lines
    ]
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    return text.encode("utf-8", "replace")
