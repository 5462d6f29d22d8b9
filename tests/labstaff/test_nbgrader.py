"""The real nbgrader: it makes the assignment from the notebooks as they are
and gives the points that the work deserves."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import lesson
import nbformat
import pytest
from nbgrader.api import Gradebook

from labkit.course import notebook_paths, read_notebook
from labstaff.publish.release import STUB, student_notebook

pytestmark = pytest.mark.slow
LESSON = "07_lesson"  # graded here: an exercise of each kind, and no training
CONFIG = f"""
c = get_config()
c.CourseDirectory.course_id = "rnn"
c.ClearSolutions.code_stub = {{"python": {STUB!r}}}
c.Execute.timeout = 120
"""
# What each student has filled in: nbgrader takes seconds for each of them, so
# that one has the cells that are right, wrong and answered in words.
STUDENTS = {"half": ["one_hot", "why"], "stub": []}
REAL = {path.stem: path for path in notebook_paths()}  # these are released


@cache
def source(name: str) -> nbformat.NotebookNode:
    return lesson.lesson() if name == LESSON else read_notebook(REAL[name])


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


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder of nbgrader's, with graded work of each student."""
    folder = tmp_path_factory.mktemp("course")
    lesson.write(folder / "nbgrader_config.py", CONFIG)
    for name in (LESSON, *REAL):
        path = folder / "source" / "rnn" / f"{name}.ipynb"
        lesson.write(path, nbformat.writes(source(name)))
    nbgrader(folder, "generate_assignment", "rnn")
    for student in STUDENTS:
        work = lesson.solved(
            released(folder, LESSON), source(LESSON), STUDENTS[student])
        path = folder / "submitted" / student / "rnn" / f"{LESSON}.ipynb"
        lesson.write(path, nbformat.writes(work))
    nbgrader(folder, "autograde", "rnn", "--notebook", LESSON)
    return folder


def released(folder: Path, name: str) -> nbformat.NotebookNode:
    return read_notebook(folder / "release" / "rnn" / f"{name}.ipynb")


@pytest.mark.parametrize("name", [LESSON, *REAL])
def test_our_release_is_the_one_that_nbgrader_makes(course, name):
    ours = student_notebook(source(name))
    theirs = released(course, name)
    # These two it leaves in, so that ours differ on purpose.
    theirs.metadata.pop("widgets", None)
    for cell in theirs.cells:
        cell.metadata.pop("execution", None)
    assert ours == theirs


def scores(course: Path, student: str) -> dict:
    """Points and status of each graded cell, from the gradebook."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        graded = book.find_submission_notebook(LESSON, "rnn", student)
        return {
            grade.name: (grade.auto_score, bool(grade.needs_manual_grade))
            for grade in graded.grades
        }


@pytest.mark.parametrize("student", STUDENTS)
def test_points_are_those_of_what_is_done(course, student):
    filled = STUDENTS[student]
    expected = {}
    for cell in source(LESSON).cells:
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
    assert scores(course, student) == expected


def test_hidden_tests_come_back_for_grading(course):
    path = course / "autograded" / "half" / "rnn" / f"{LESSON}.ipynb"
    cells = read_notebook(path).cells
    assert "HIDDEN TESTS" in cells[3].source
