"""A whole class, graded: attacks contained, nothing lost, the same again."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import classroom
import pytest

from labutils.teaching.grading import sandbox
from labutils.teaching.grading.classroom import (
    GradeError,
    Settings,
    grade_class,
)
from labutils.teaching.grading.results import Graded
from labutils.teaching.grading.sandbox import Limits

# An honest cell takes two seconds, and several times as long on a machine that
# runs other tests as well.
CELL, NOTEBOOK = 20, 300
SETTINGS = Settings(
    limits=Limits(cell=CELL, notebook=NOTEBOOK, memory=2**30))
ONCE_MORE = ("20230001", "20230022")
# A line of the first hidden test; nbgrader's own examples lie about.
HIDDEN = "labutils.tokenize(lines, kind)"
pytestmark = pytest.mark.skipif(
    sandbox.bubblewrap() is None,
    reason="hostile code is not run without bubblewrap")


def rows(out: Path) -> dict[str, dict[str, str]]:
    """The table by student number."""
    with (out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["key"][:8]: row for row in csv.DictReader(file)}


def points(out: Path, student: str) -> dict[str, float]:
    [path] = (out / "graded").glob(f"{student}*/{classroom.NOTEBOOK}.json")
    return {v.exercise: v.points for v in Graded.load(path).verdicts}


def test_the_hidden_tests_are_still_so_worded():
    assert HIDDEN in "".join(c.source for c in classroom.source().cells)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Forty students, graded once."""
    folder = tmp_path_factory.mktemp("class")
    students = [*classroom.honest(), *classroom.hostile()]
    submissions = classroom.hand_in(folder / "submissions", students)
    said = []
    grade_class(submissions, folder / "out", SETTINGS, processes=2,
                say=said.append)
    return students, folder / "out", said


def test_everybody_has_a_row(whole):
    students, out, said = whole
    assert len(students) == 40
    assert set(rows(out)) == {s.name[:8] for s in students}
    assert any(line.startswith("40/40  ") for line in said)


@pytest.mark.parametrize(
    "student", [*classroom.honest(), *classroom.hostile()],
    ids=lambda student: student.name[9:-4])
def test_the_score_is_right(whole, student):
    assert points(whole[1], student.name[:8]) == student.points


def test_nobody_has_seen_another_submission(whole):
    students, out, _ = whole
    [own] = [s.name[:8] for s in students if classroom.SECRET in s.before]
    for path in out.rglob("*"):
        if path.is_file() and own not in path.parts:
            text = path.read_text(encoding="utf-8", errors="replace")
            assert f"'{classroom.SECRET}" not in text, path
            assert HIDDEN not in text, path


def test_the_table_opens_in_a_spreadsheet(whole):
    data = (whole[1] / "grades.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    table = rows(whole[1])
    assert "李雷" in table["20230001"]["name"]
    for row in table.values():
        assert not [v for v in row.values() if v[:1] in "=+-@\t" and v]


def test_a_second_run_does_nothing_again(whole):
    _, out, _ = whole
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.json")
              if p.parent.parent.name == "graded"}
    table = (out / "grades.csv").read_bytes()
    said = []
    grade_class(out.parent / "submissions", out, SETTINGS, say=said.append)
    assert said[0] == "40 of 40 notebooks are graded already."
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert (out / "grades.csv").read_bytes() == table


# ---- a small class


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Six students, and the table that they get."""
    folder = tmp_path_factory.mktemp("small")
    students = classroom.honest()[:1] + classroom.honest()[6:11]
    submissions = classroom.hand_in(folder / "submissions", students)
    grade_class(submissions, folder / "out", SETTINGS, processes=2,
                say=lambda line: None)
    return submissions, (folder / "out" / "grades.csv").read_bytes()


def start(submissions, out, *more):
    return subprocess.Popen(
        [sys.executable, "-m", "labutils", "grade", str(submissions),
         "--out", str(out), "--jobs", "2", "--cell-seconds", str(CELL),
         "--memory", "1", "--notebook-seconds", str(NOTEBOOK), *more],
        stdout=subprocess.DEVNULL, start_new_session=True,
    )


def test_killed_and_started_again_it_ends_with_the_same_table(
    small, tmp_path
):
    submissions, table = small
    chance = random.Random(5)
    for _ in range(5):
        process = start(submissions, tmp_path / "out")
        time.sleep(chance.uniform(1, 6))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(submissions, tmp_path / "out").wait() == 0
    assert (tmp_path / "out" / "grades.csv").read_bytes() == table


def test_graded_twice_it_is_the_same(small, tmp_path):
    """Two of them, alone and one after the other."""
    submissions, _ = small
    some = [p for p in submissions.iterdir() if p.name[:8] in ONCE_MORE]
    for path in some:
        shutil.copytree(path, tmp_path / "submissions" / path.name)
    grade_class(tmp_path / "submissions", tmp_path / "out", SETTINGS,
                processes=1, say=lambda line: None)
    found, before = rows(tmp_path / "out"), rows(submissions.parent / "out")
    assert found == {key: before[key] for key in ONCE_MORE}


def test_one_student_again(small, tmp_path):
    submissions, table = small
    out, said = tmp_path / "out", []
    shutil.copytree(submissions.parent / "out", out)
    grade_class(submissions, out, SETTINGS, again=["20230001"], processes=2,
                say=said.append)
    assert said[0] == "5 of 6 notebooks are graded already."
    assert said[1].startswith("6/6  20230001")
    assert (out / "grades.csv").read_bytes() == table
    with pytest.raises(GradeError, match="--again 2023: no students match"):
        grade_class(submissions, out, SETTINGS, again=["2023"])


def test_two_dask_workers_one_of_them_killed(small, tmp_path):
    pytest.importorskip("distributed")
    from distributed import LocalCluster

    submissions, table = small
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True,
        dashboard_address=None,
    ) as cluster:
        process = start(submissions, tmp_path / "out", "--scheduler",
                        cluster.scheduler_address)
        time.sleep(6)
        worker = next(iter(cluster.workers.values()))
        os.kill(worker.pid, signal.SIGKILL)
        assert process.wait(300) == 0
    assert (tmp_path / "out" / "grades.csv").read_bytes() == table


# ---- what is refused


def test_results_among_the_submissions(small):
    submissions, _ = small
    with pytest.raises(GradeError, match="lies among the submissions"):
        grade_class(submissions, submissions / "out", SETTINGS)


def test_a_folder_of_something_else(small, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(GradeError, match="not empty and no folder of"):
        grade_class(small[0], tmp_path, SETTINGS)


def test_other_settings(small, tmp_path):
    submissions, _ = small
    out = tmp_path / "out"
    out.mkdir()
    from labutils.teaching.grading.classroom import _keep_settings

    _keep_settings(out, SETTINGS)
    with pytest.raises(GradeError, match="was begun with other settings"):
        grade_class(submissions, out, Settings(epochs=3))
