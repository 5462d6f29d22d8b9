"""What a grading leaves to read: a table, and pages for students and graders;
and the points for answers in words, which a person enters.

Nothing of what students have handed in is run or loaded by the pages: text is
escaped, of outputs only text and PNG images are kept, and the pages forbid
everything else (Content-Security-Policy).
"""

import contextlib
import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from labkit.course import NotebookError, grader, notebook_paths, read_notebook
from labkit.pages import Shown, short, shown
from labstaff.grading.archives import decoded
from labstaff.grading.matching import CourseNotebook, Exercise
from labstaff.grading.results import Graded, Status
from labstaff.grading.similarity import groups
from labutils.files import language, translated, write_atomically

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"^\w*\d{4,12}(\s|$)")  # before a name
POINTS = re.compile(r"\d+\.?\d*|\.\d+")
STOPS = ".\N{IDEOGRAPHIC FULL STOP}"
LONGEST = 2000  # characters of what is looked up in the catalogue
WRITTEN = "written.csv"
COLUMNS = ("answer", "student", "possible", "points", "comment", "text")
Row = dict[str, Any]  # of a table: a student's, or an exercise's


def write_reports(out: Path, students: Mapping[str, str],
                  graded: Sequence[Graded], course: Sequence[CourseNotebook],
                  warnings: Sequence[str] = ()) -> None:
    """Write the table and all the pages, from the results alone.

    Args:
        out: folder of the grading; `graded/` in it holds executed notebooks.
        students: shown name for each key.
        graded: every notebook of every student.
        warnings: what the grader should look at first.
    """
    lines = _rows(students, graded, course)
    titles = {notebook.stem: notebook.titles for notebook in course}
    pages = {"grades.csv": _as_csv(lines, course),
             # The same, and every verdict.
             "grades.json": json.dumps(
                 lines, ensure_ascii=False, indent=1, default=lambda one: {
                     name: value for name, value in asdict(one).items()
                     if name not in ("student", "seconds")}) + "\n",
             "index.html": _index(lines, course, students, warnings)}
    others = {g.student: g.language for g in graded if g.language}
    for one in graded:
        # In the notebook's language, or that of the student's others.
        spoken = one.language or others.get(one.student) or language()
        named = titles[one.notebook]
        file = f"{one.student}/{one.notebook}"
        pages[f"feedback/{file}.html"] = _template(
            "feedback.html", spoken).render(
                graded=one, name=students[one.student],
                title=named.get(spoken, named["en"]),
                outputs=_outputs(out / "graded" / f"{file}.ipynb"))
    for name, text in pages.items():
        write_atomically(out / name, text.encode("utf-8", "replace"))


@cache
def _template(name: str, spoken: str) -> jinja2.Template:
    """A template that speaks a language, by the catalogue of messages."""
    def said(text: str) -> str:
        return translated(text, spoken) if len(text) < LONGEST else text

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        keep_trailing_newline=True, extensions=["jinja2.ext.i18n"])
    made.install_gettext_callables(  # type: ignore[attr-defined]
        said, lambda one, many, n: said(one if n == 1 else many),
        newstyle=True)
    made.filters |= {"short": short, "said": said}
    made.globals["language"] = {"zh": "zh-CN"}.get(spoken, spoken)
    return made.get_template(name)


# ---- the table


def _rows(students: Mapping[str, str], graded: Sequence[Graded],
          course: Sequence[CourseNotebook]) -> list[Row]:
    """The lines, in the students' order."""
    found = {(g.student, g.notebook): g for g in graded}
    possible = {x.name: x.points for n in course for x in n.exercises}
    lines = []
    for key, name in students.items():
        own = [found[key, n.stem] for n in course]
        earned = {v.exercise: v.points for g in own for v in g.verdicts
                  if v.status is not Status.WRITTEN}
        lines.append({
            "key": key, "name": NUMBER.sub("", name),
            # None for an answer that is to be read.
            "points": {name: earned.get(name) for name in possible},
            "total": sum(g.points for g in own),
            "possible": sum(possible.values()), "state": _state(own),
            "notebooks": own})
    return lines


def _state(graded: Sequence[Graded]) -> str:
    """What a grader has to know about a student's line."""
    said: dict[str, list[str]] = {state: [] for state in (
        "missing", "refused", "interrupted", "nothing written", "timed out",
        "out of memory", "kernel died")}
    for one in graded:
        states = {one.state, *(v.status for v in one.verdicts)}
        if states == {"graded", Status.NOT_ATTEMPTED}:
            states = {"nothing written"}
        for state in states & said.keys():
            said[state].append(one.notebook[:2])
    words = [f"{state}: {', '.join(some)}"
             for state, some in said.items() if some]
    words += [f"late: {g.notebook[:2]} ({g.late})" for g in graded if g.late]
    if written := sum(v.status is Status.WRITTEN
                      for g in graded for v in g.verdicts):
        words.append(f"to be read: {written}")
    return "; ".join(words) or "complete"


def _as_csv(lines: Sequence[Row], course: Sequence[CourseNotebook]) -> str:
    """The table for a spreadsheet, in the grader's language: with a mark of
    UTF-8, CRLF, no formulas, the most points behind an exercise's name."""
    def said(*texts: str) -> str:
        return "; ".join(translated(text).rstrip(STOPS) for text in texts)

    table: list[Iterable[str]] = [map(said, (
        "key", "name",
        *(f"{n.stem[:2]} {x.name} ({x.points:g})"
          for n in course for x in n.exercises),
        "total", "possible", "state", "files that count", "Notes"))]
    for line in lines:
        own = line["notebooks"]
        table.append([
            line["key"], line["name"], *(
                "" if points is None else f"{points:g}" for points in (
                    *line["points"].values(), line["total"],
                    line["possible"])), said(*line["state"].split("; ")),
            said(*(f"{g.notebook[:2]}: {g.file}" for g in own if g.file)),
            said(*dict.fromkeys(
                note for g in own for note in (*g.doubts, *g.notes)))])
    return _spreadsheet(table)


def _spreadsheet(table: Iterable[Iterable[str]]) -> str:
    """Texts, of which no spreadsheet will compute any."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(
        [f"'{text}" if text.startswith(FORMULA) else text for text in row]
        for row in table)
    return "\ufeff" + buffer.getvalue()

# ---- the pages


def _outputs(executed: Path) -> dict[str, list[Shown]]:
    """What each exercise's cell and check have shown, made harmless."""
    found: dict[str, list[Shown]] = {}
    with contextlib.suppress(NotebookError):  # it is missing, or damaged
        for cell in read_notebook(executed).cells:
            name = grader(cell).get("grade_id")
            if isinstance(name, str) and cell.cell_type == "code":
                found.setdefault(name.removeprefix("check_"), []).extend(
                    one for output in cell.outputs if (one := shown(output)))
    return found


def _index(lines: Sequence[Row], course: Sequence[CourseNotebook],
           students: Mapping[str, str], warnings: Sequence[str]) -> str:
    """The grader's page."""
    graded = [g for line in lines for g in line["notebooks"]]
    run = [g for g in graded if g.state == "graded"]
    exercises = [x for n in course for x in n.exercises]
    where = {x.name: n.stem for n in course for x in n.exercises}
    solutions = {grader(cell).get("grade_id"): cell.source
                 for path in notebook_paths() if path.stem in where.values()
                 for cell in read_notebook(path).cells}
    answers = [(v.exercise, students[g.student], g) for g in run
               for v in g.verdicts if v.status is Status.WRITTEN]
    return _template("index.html", language()).render(
        course=course, rows=lines, names=students, warnings=warnings,
        unprotected=sum(g.sandbox == "none" for g in run),
        sandboxes=sorted({g.sandbox for g in run}),
        exercises=[_exercise(x, graded) for x in exercises],
        notes=sorted({
            (students[g.student], note) for g in graded for note in g.notes}),
        where=where, asked=any(x.written for x in exercises),
        groups=groups(run, {x.name: f"{x.stub}\n{solutions.get(x.name, '')}"
                            for x in exercises}),
        answers=sorted(answers, key=lambda found: found[:2]))


def _exercise(exercise: Exercise, graded: Sequence[Graded]) -> Row:
    """How the class did in an exercise."""
    every = [v for g in graded for v in g.verdicts
             if v.exercise == exercise.name]
    ends = Counter(v.status for v in every)
    likely = Counter(v.likely for v in every if v.likely)
    return {"name": exercise.name, "possible": exercise.points,
            "passed": ends.pop(Status.PASSED, 0), "all": len(every),
            "others": sorted(ends.items()),
            "slip": max(sorted(likely), key=likely.__getitem__, default="")}


# ---- points for answers in words


def enter(out: Path, names: Mapping[str, str],
          graded: Sequence[Graded]) -> tuple[list[Graded], list[str]]:
    """Take the points that were entered, and list what is still to be read.

    A line belongs to one text: who hands in another answer gets a new line,
    and no line is ever dropped. What cannot be used comes along, in words.
    """
    path, problems = out / WRITTEN, []
    lines = _lines(path)
    found = []
    for one in graded:
        verdicts = []
        for verdict in one.verdicts:
            if verdict.status is Status.WRITTEN:
                text = one.sources.get(verdict.exercise, "")
                mark = hashlib.sha256(text.encode("utf-8", "replace"))
                answer = (f"{one.student}/{verdict.exercise}/"
                          f"{mark.hexdigest()[:6]}")
                line = lines.setdefault(answer, dict.fromkeys(COLUMNS, ""))
                line.update(answer=answer, possible=f"{verdict.possible:g}",
                            student=names[one.student], text=short(text))
                entered = line["points"].strip(" '").replace(",", ".")
                if POINTS.fullmatch(entered) and (
                        float(entered) <= verdict.possible):
                    verdict = replace(
                        verdict, status=Status.READ, points=float(entered),
                        reason=line["comment"].lstrip("'")
                        or "Read by a person.")
                elif entered:
                    said = (f"{entered!r} are no points from 0 to "
                            f"{verdict.possible:g}.")
                    problems.append(f"{path.name}, {answer}: {said}")
            verdicts.append(verdict)
        found.append(replace(one, verdicts=verdicts))
    if lines:
        table = (lines[answer].values() for answer in sorted(lines))
        write_atomically(path, _spreadsheet([COLUMNS, *table]).encode(
            "utf-8", "replace"))
    return found, problems


def _lines(path: Path) -> dict[str, dict[str, str]]:
    """The lines of a file that a spreadsheet may have written, in GBK too."""
    text = decoded(path.read_bytes()) if path.exists() else ""
    mark = max(",;\t", key=text.partition("\n")[0].count)
    return {
        line["answer"]: {name: line.get(name) or "" for name in COLUMNS}
        for line in csv.DictReader(io.StringIO(text), delimiter=mark)
        if line.get("answer")}
