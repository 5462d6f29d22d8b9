"""The real nbgrader: it makes the assignment from the notebooks as they are
and gives the points that the work deserves."""

import os
import subprocess
import sys
from pathlib import Path

import lesson
import nbformat
import pytest
from nbgrader.api import Gradebook

from labstaff.publish.release import STUB, student_notebook
from labutils import settings

# Notebooks of the course that are graded here, next to the small lesson: each
# of them runs once for each student, and these train nothing.
REAL = ("01_text_preprocessing", "02_long_sequence_sampling")
CONFIG = f"""
c = get_config()
c.CourseDirectory.course_id = "rnn"
c.ClearSolutions.code_stub = {{"python": {STUB!r}}}
c.Execute.timeout = 120
"""
# How many of a notebook's n exercises in code each student has done; the
# written answers are changed by those who have done all of them.
STUDENTS = {"solution": lambda n: n, "half": lambda n: (n + 1) // 2,
            "stub": lambda n: 0}


def sources() -> dict[str, nbformat.NotebookNode]:
    folder = settings.home() / "notebooks"
    real = {
        name: nbformat.read(folder / f"{name}.ipynb", as_version=4)
        for name in REAL
    }
    return {"07_lesson": lesson.lesson()} | {
        name: source for name, source in real.items()
        if lesson.exercises(source)
    }


SOURCES = sources()


def nbgrader(course: Path, *arguments: str) -> None:
    """Run nbgrader in a course folder, with no setting from elsewhere."""
    places = {
        name: str(course / ".settings" / name)
        for name in ("HOME", "USERPROFILE", "JUPYTER_CONFIG_DIR",
                     "JUPYTER_DATA_DIR", "IPYTHONDIR", "MPLCONFIGDIR")
    }
    variables = {
        # It calls alembic by name; nobody need have activated the environment.
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), os.environ["PATH"]]),
        "LABUTILS_EPOCHS": "1", "LABUTILS_DEVICE": "cpu",
        "LABUTILS_RESULTS_DIR": str(course / ".settings" / "results"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments], cwd=course,
        env=os.environ | places | variables, capture_output=True,
        encoding="utf-8", timeout=300,
    )
    assert done.returncode == 0, done.stderr


def done_by(student: str, source: nbformat.NotebookNode) -> list[str]:
    """Names of the cells that a student has filled in."""
    code = lesson.exercises(source)
    filled = code[: STUDENTS[student](len(code))]
    if student == "solution":
        filled += [
            lesson.meta(cell)["grade_id"] for cell in source.cells
            if cell.cell_type == "markdown"
            and lesson.meta(cell).get("solution")
        ]
    return filled


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder of nbgrader's, with graded work of each student."""
    folder = tmp_path_factory.mktemp("course")
    lesson.write(folder / "nbgrader_config.py", CONFIG)
    for name, source in SOURCES.items():
        path = folder / "source" / "rnn" / f"{name}.ipynb"
        lesson.write(path, nbformat.writes(source))
    nbgrader(folder, "generate_assignment", "rnn")
    for student in STUDENTS:
        for name, source in SOURCES.items():
            work = lesson.solved(
                released(folder, name), source, done_by(student, source)
            )
            path = folder / "submitted" / student / "rnn" / f"{name}.ipynb"
            lesson.write(path, nbformat.writes(work))
    nbgrader(folder, "autograde", "rnn")
    return folder


def released(folder: Path, name: str) -> nbformat.NotebookNode:
    path = folder / "release" / "rnn" / f"{name}.ipynb"
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("name", SOURCES)
def test_our_release_is_the_one_that_nbgrader_makes(course, name):
    ours = student_notebook(SOURCES[name])
    theirs = released(course, name)
    # These two it leaves in, so that ours differ on purpose.
    theirs.metadata.pop("widgets", None)
    for cell in theirs.cells:
        cell.metadata.pop("execution", None)
    assert ours == theirs


def scores(course: Path, student: str, name: str) -> dict:
    """Points and status of each graded cell, from the gradebook."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        graded = book.find_submission_notebook(name, "rnn", student)
        return {
            grade.name: (grade.auto_score, bool(grade.needs_manual_grade))
            for grade in graded.grades
        }


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("student", STUDENTS)
def test_points_are_those_of_what_is_done(course, student, name):
    filled = done_by(student, SOURCES[name])
    expected = {}
    for cell in SOURCES[name].cells:
        meta = lesson.meta(cell)
        if not meta.get("grade"):
            continue
        own = meta["grade_id"]
        if meta["solution"]:  # an answer in words: a person reads it
            changed = own in filled
            expected[own] = (None if changed else 0, changed)
        else:
            right = own.removeprefix("check_") in filled
            expected[own] = (meta["points"] if right else 0, False)
    assert scores(course, student, name) == expected


def test_hidden_tests_come_back_for_grading(course):
    path = course / "autograded" / "half" / "rnn" / "07_lesson.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    assert "HIDDEN TESTS" in cells[3].source
