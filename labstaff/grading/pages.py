"""The pages of a grading: one for each notebook, and one for the grader.

Nothing of what students have handed in is run or loaded by them: text is
escaped, of outputs only text and PNG images are kept, and the pages forbid
everything else (Content-Security-Policy).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import nbformat

from labkit.pages import Shown, short, shown
from labstaff.exercises import grader
from labstaff.grading import table
from labstaff.grading.course import CourseNotebook
from labstaff.grading.results import Graded, Status, Verdict
from labstaff.grading.similarity import pairs
from labutils.files import write_atomically

WIDEST = 20  # rem, of a bar
SLOWEST = 10
GROUPS = 10  # of totals
LOOKS = {
    Status.PASSED: "passed", Status.FAILED: "failed", Status.ERROR: "error",
    Status.NOT_ATTEMPTED: "open", Status.WRITTEN: "open",
}
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
    keep_trailing_newline=True,
)


def write_reports(
    out: Path, students: dict[str, str], graded: Sequence[Graded],
    course: Sequence[CourseNotebook],
) -> None:
    """Write the table and all the pages, from the results alone.

    Args:
        out: folder of the grading; `graded/` in it holds executed notebooks.
        students: shown name for each key.
        graded: every notebook of every student.
        course: the notebooks, in order.
    """
    lines = table.rows(students, graded, course)
    write_atomically(out / "grades.csv", table.as_csv(lines, course))
    write_atomically(out / "grades.json", table.as_json(lines))
    titles = {notebook.stem: notebook.title for notebook in course}
    for one in graded:
        executed = out / "graded" / one.student / f"{one.notebook}.ipynb"
        page = _feedback(
            one, students[one.student], titles[one.notebook], executed)
        _write(out / "feedback" / one.student / f"{one.notebook}.html", page)
    _write(out / "index.html", _index(lines, graded, course, students))


def _write(path: Path, page: str) -> None:
    write_atomically(path, page.encode("utf-8", "replace"))


def _feedback(
    graded: Graded, name: str, title: str, executed: Path
) -> str:
    outputs = _outputs(executed)
    return TEMPLATES.get_template("feedback.html").render(
        graded=graded, name=name, title=title,
        to_read=sum(v.status is Status.WRITTEN for v in graded.verdicts),
        parts=[{
            "verdict": verdict, "look": LOOKS.get(verdict.status, "lost"),
            "facts": _facts(verdict),
            "source": short(graded.sources.get(verdict.exercise) or
                            graded.answers.get(verdict.exercise, "")),
            "outputs": outputs.get(verdict.exercise, []),
        } for verdict in graded.verdicts],
    )


def _facts(verdict: Verdict) -> list[tuple[str, str]]:
    return [
        (word, text) for word in
        ("tried", "got", "expected", "likely", "where")
        if (text := getattr(verdict, word))
    ]


def _outputs(executed: Path) -> dict[str, list[Shown]]:
    """What each exercise's cell and check have shown, made harmless."""
    try:
        notebook = nbformat.read(executed, as_version=4)
    except Exception:  # it is missing, or damaged
        return {}
    found: dict[str, list[Shown]] = {}
    for cell in notebook.cells:
        own = grader(cell)
        name = own.get("grade_id") if isinstance(own, dict) else None
        if isinstance(name, str) and cell.cell_type == "code":
            name = name.removeprefix("check_")
            found.setdefault(name, []).extend(
                one for output in cell.outputs if (one := shown(output)))
    return found


def _link(student: str, notebook: str) -> str:
    return f"feedback/{quote(student)}/{quote(notebook)}.html"


def _index(
    lines: Sequence[table.Row], graded: Sequence[Graded],
    course: Sequence[CourseNotebook], students: dict[str, str],
) -> str:
    run = [g for g in graded if g.state == "graded"]
    stubs = {x.name: x.stub for n in course for x in n.exercises}
    where = {x.name: n.stem for n in course for x in n.exercises}
    early = [g for g in run if any("ended early" in n for n in g.notes)]
    slow = sorted(run, key=lambda g: -g.seconds)[:SLOWEST]
    return TEMPLATES.get_template("index.html").render(
        course=course, rows=[_line(line, course) for line in lines],
        unprotected=sum(g.sandbox == "none" for g in run),
        sandboxes=sorted({g.sandbox for g in run}),
        exercises=_exercises(graded, course),
        distribution=_distribution(lines),
        slow=sorted({id(g): g for g in [*early, *slow]}.values(),
                    key=lambda g: -g.seconds),
        notes=sorted({
            (students[g.student], note) for g in graded for note in g.notes}),
        pairs=[{
            "exercise": p.exercise, "likeness": p.likeness,
            "one": students[p.one], "other": students[p.other],
            "links": [_link(s, where[p.exercise]) for s in (p.one, p.other)],
        } for p in pairs(run, stubs)],
        answers=sorted(({
            "exercise": v.exercise, "name": students[g.student],
            "link": _link(g.student, g.notebook),
            "text": short(g.answers.get(v.exercise, "")),
        } for g in run for v in g.verdicts if v.status is Status.WRITTEN),
            key=lambda a: (a["exercise"], a["name"])),
    )


def _line(line: table.Row, course: Sequence[CourseNotebook]) -> dict[str, Any]:
    found = {g.notebook: g for g in line.graded}
    return {
        "key": line.key, "name": line.name, "total": line.total,
        "state": line.state,
        "cells": [
            {"points": g.points, "link": _link(line.key, n.stem)}
            if (g := found.get(n.stem)) else None for n in course],
    }


def _exercises(
    graded: Sequence[Graded], course: Sequence[CourseNotebook]
) -> list[dict[str, Any]]:
    """How the class did in each exercise."""
    found = []
    for exercise in (x for n in course for x in n.exercises):
        all_ = [v for g in graded for v in g.verdicts
                if v.exercise == exercise.name]
        ends = Counter(v.status for v in all_)
        likely = Counter(v.likely for v in all_ if v.likely)
        passed = ends.pop(Status.PASSED, 0)
        found.append({
            "name": exercise.name, "possible": exercise.points,
            "passed": passed, "all": len(all_),
            "width": round(WIDEST * passed / max(1, len(all_)), 2),
            "others": ", ".join(
                f"{count} {end}" for end, count in sorted(ends.items())),
            "slip": max(sorted(likely), key=likely.__getitem__, default=""),
        })
    return found


def _distribution(lines: Sequence[table.Row]) -> list[dict[str, Any]]:
    """How many students have how many points."""
    possible = max((line.possible for line in lines), default=0) or 1
    counts = Counter(
        min(GROUPS - 1, int(GROUPS * line.total / possible)) for line in lines)
    most = max(counts.values(), default=1)
    return [{
        "words": f"{possible * k / GROUPS:g} to "
        f"{possible * (k + 1) / GROUPS:g}",
        "count": counts[k], "width": round(WIDEST * counts[k] / most, 2),
    } for k in range(GROUPS)]
