"""What a grading leaves to read: a table, and pages for students and graders.

Nothing of what students have handed in is run or loaded by the pages: text is
escaped, of outputs only text and PNG images are kept, and the pages forbid
everything else (Content-Security-Policy).
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from labkit.course import NotebookError, grader, read_notebook
from labkit.pages import Shown, short, shown
from labstaff.grading.matching import CourseNotebook
from labstaff.grading.results import Graded, Status
from labstaff.grading.similarity import pairs
from labutils.files import language, translated, write_atomically

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# What the machine has ended is nothing that a student has got wrong.
LOST = (Status.TIMED_OUT, Status.OUT_OF_MEMORY, Status.KERNEL_DIED)
SLOWEST = 10
GROUPS = 10  # of totals
TEMPLATES = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
LONGEST = 2000  # characters of what is looked up in the catalogue


def write_reports(
    out: Path, students: Mapping[str, str], graded: Sequence[Graded],
    course: Sequence[CourseNotebook], warnings: Sequence[str] = (),
) -> None:
    """Write the table and all the pages, from the results alone.

    Args:
        out: folder of the grading; `graded/` in it holds executed notebooks.
        students: shown name for each key.
        graded: every notebook of every student.
        course: the notebooks, in order.
        warnings: what the grader should look at first.
    """
    lines = rows(students, graded, course)
    _write(out / "grades.csv", as_csv(lines, course))
    _write(out / "grades.json", as_json(lines))
    titles = {notebook.stem: notebook.titles for notebook in course}
    for one in graded:
        executed = out / "graded" / one.student / f"{one.notebook}.ipynb"
        # In the notebook's language, or that of the student's others.
        own = [g.language for g in graded if g.student == one.student]
        spoken = one.language or next(filter(None, own), language())
        page = _template("feedback.html", spoken).render(
            graded=one, name=students[one.student],
            title=titles[one.notebook].get(
                spoken, titles[one.notebook]["en"]),
            outputs=_outputs(executed))
        _write(out / "feedback" / one.student / f"{one.notebook}.html", page)
    _write(out / "index.html", _index(
        lines, course, students, warnings))


@cache
def _template(name: str, spoken: str) -> jinja2.Template:
    """A template that speaks a language; its own texts are in the catalogue
    too."""
    def said(text: str) -> str:
        return translated(text, spoken) if len(text) < LONGEST else text

    made = jinja2.Environment(
        loader=TEMPLATES, autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"])
    made.install_gettext_callables(  # type: ignore[attr-defined]
        said, lambda one, many, n: said(one if n == 1 else many),
        newstyle=True)
    made.filters |= {"short": short, "said": said}
    made.globals["language"] = {"zh": "zh-CN"}.get(spoken, spoken)
    return made.get_template(name)


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode("utf-8", "replace"))


# ---- the table


@dataclass(frozen=True)
class Row:
    """A student's line."""

    key: str
    name: str
    # For each exercise; None for an answer that is to be read.
    points: dict[str, float | None]
    total: float
    possible: float
    state: str  # "complete", or what is not, in words
    notebooks: list[Graded]  # in the course's order


def rows(
    students: Mapping[str, str], graded: Sequence[Graded],
    course: Sequence[CourseNotebook],
) -> list[Row]:
    """The lines, in the order of the students' keys; see `write_reports`."""
    found = {(g.student, g.notebook): g for g in graded}
    possible = {x.name: x.points for n in course for x in n.exercises}
    lines = []
    for key, name in sorted(students.items()):
        own = [found[key, n.stem] for n in course]
        earned = {v.exercise: v.points for g in own for v in g.verdicts
                  if v.status is not Status.WRITTEN}
        lines.append(Row(
            key, name, {name: earned.get(name) for name in possible},
            sum(g.points for g in own), sum(possible.values()), _state(own),
            own))
    return lines


def _state(graded: Iterable[Graded]) -> str:
    """What a grader has to know about a student's line."""
    graded = [*graded]
    said = {state: [g.notebook[:2] for g in graded if g.state == state]
            for state in ("missing", "refused", "interrupted")}
    for end in LOST:
        said[end] = [g.notebook[:2] for g in graded
                     if any(v.status is end for v in g.verdicts)]
    said["late"] = [f"{g.notebook[:2]} ({g.late})" for g in graded if g.late]
    words = [f"{state}: {', '.join(some)}"
             for state, some in said.items() if some]
    if written := sum(v.status is Status.WRITTEN
                      for g in graded for v in g.verdicts):
        words.append(f"to be read: {written}")
    return "; ".join(words) or "complete"


def as_csv(lines: Sequence[Row], course: Sequence[CourseNotebook]) -> str:
    """The table for a spreadsheet: with a mark of UTF-8, CRLF, no formulas."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow([
        "key", "name",
        *(f"{n.stem[:2]} {x.name}" for n in course for x in n.exercises),
        "total", "possible", "state", "files",
    ])
    for line in lines:
        writer.writerow([
            harmless(line.key), harmless(line.name),
            *("" if p is None else f"{p:g}" for p in line.points.values()),
            f"{line.total:g}", f"{line.possible:g}", line.state,
            harmless("; ".join(f"{g.notebook[:2]}: {g.file}"
                               for g in line.notebooks if g.file)),
        ])
    return "\ufeff" + buffer.getvalue()


def harmless(text: str) -> str:
    """A cell's text that no spreadsheet will compute."""
    return f"'{text}" if text.startswith(FORMULA) else text


def as_json(lines: Sequence[Row]) -> str:
    """The same, and every verdict."""
    def kept(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        left_out = ("sources", "student", "seconds")
        return {name: v for name, v in fields if name not in left_out}

    content = [asdict(line, dict_factory=kept) for line in lines]
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


# ---- the pages


def _outputs(executed: Path) -> dict[str, list[Shown]]:
    """What each exercise's cell and check have shown, made harmless."""
    found: dict[str, list[Shown]] = {}
    try:
        notebook = read_notebook(executed)
    except NotebookError:  # it is missing, or damaged
        return found
    for cell in notebook.cells:
        name = grader(cell).get("grade_id")
        if isinstance(name, str) and cell.cell_type == "code":
            found.setdefault(name.removeprefix("check_"), []).extend(
                one for output in cell.outputs if (one := shown(output)))
    return found


def _index(
    lines: Sequence[Row], course: Sequence[CourseNotebook],
    students: Mapping[str, str], warnings: Sequence[str],
) -> str:
    """The grader's page."""
    graded = [g for line in lines for g in line.notebooks]
    run = [g for g in graded if g.state == "graded"]
    slowest = enumerate(sorted(run, key=lambda g: -g.seconds))
    stubs = {x.name: x.stub for n in course for x in n.exercises}
    return _template("index.html", language()).render(
        course=course, rows=lines, names=students, warnings=warnings,
        unprotected=sum(g.sandbox == "none" for g in run),
        sandboxes=sorted({g.sandbox for g in run}),
        exercises=_exercises(graded, course),
        distribution=_distribution(lines),
        slow=[g for rank, g in slowest if rank < SLOWEST
              or any("ended early" in note for note in g.notes)],
        notes=sorted({
            (students[g.student], note) for g in graded for note in g.notes}),
        where={x.name: n.stem for n in course for x in n.exercises},
        pairs=pairs(run, stubs),
        answers=sorted((
            (v.exercise, students[g.student], g) for g in run
            for v in g.verdicts if v.status is Status.WRITTEN
        ), key=lambda found: found[:2]),
    )


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
            "others": sorted(ends.items()),
            "slip": max(sorted(likely), key=likely.__getitem__, default=""),
        })
    return found


def _distribution(lines: Sequence[Row]) -> list[tuple[str, int]]:
    """How many students have how many points."""
    possible = max((line.possible for line in lines), default=0) or 1
    counts = Counter(
        min(GROUPS - 1, int(GROUPS * line.total / possible)) for line in lines)
    ends = [f"{possible * k / GROUPS:g}" for k in range(GROUPS + 1)]
    return [(f"{ends[k]} to {ends[k + 1]}", counts[k]) for k in range(GROUPS)]
