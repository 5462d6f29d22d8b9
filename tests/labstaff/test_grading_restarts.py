"""A small class, graded: killed, again, in a cluster; nothing is lost."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import classroom
import psutil
import pytest
from classroom import CELL_SECONDS, NOTEBOOK_SECONDS, SETTINGS, rows
from page import wait_for

from labstaff.grading import sandbox
from labstaff.grading.classroom import GradeError, Settings, grade_class
from labstaff.grading.kernel import wait_for_end

# One who is right, one who is half done, two with a wrong function.
SMALL = ("20230003", "20230011", "20230020", "20230022")
ONCE_MORE = ("20230003", "20230022")
pytestmark = pytest.mark.skipif(
    sandbox.bubblewrap() is None,
    reason="hostile code is not run without bubblewrap")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Four students, and the table that they get."""
    folder = tmp_path_factory.mktemp("small")
    students = [
        student for student in classroom.honest() if student.name[:8] in SMALL
    ]
    submissions = classroom.hand_in(folder / "submissions", students)
    grade_class(submissions, folder / "out", SETTINGS, processes=2,
                say=lambda line: None)
    return submissions, (folder / "out" / "grades.csv").read_bytes()


def start(submissions, out, *more):
    return subprocess.Popen(
        [sys.executable, "-m", "labkit", "grade", str(submissions),
         "--out", str(out), "--jobs", "2", "--cell-seconds", str(CELL_SECONDS),
         "--memory", "1", "--notebook-seconds", str(NOTEBOOK_SECONDS), *more],
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


def is_kernel(process):
    with contextlib.suppress(psutil.Error):  # it may have ended
        return "ipykernel_launcher" in process.cmdline()
    return False


def test_what_is_killed_leaves_nothing_behind(tmp_path):
    [sleeper] = [s for s in classroom.hostile() if "sleep" in s.name]
    submissions = classroom.hand_in(tmp_path / "submissions", [sleeper])
    process = start(submissions, tmp_path / "out")

    def family():
        found = psutil.Process(process.pid).children(recursive=True)
        return any(map(is_kernel, found)) and found

    found = wait_for(family, "kernel")
    process.send_signal(signal.SIGKILL)
    process.wait()
    # Left alone, the cell that sleeps would go on for CELL_SECONDS.
    assert wait_for_end(found, CELL_SECONDS / 2)


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
    grade_class(submissions, out, SETTINGS, again=["20230003"], processes=2,
                say=said.append)
    assert said[0] == "3 of 4 notebooks are graded already."
    assert said[1].startswith("4/4  20230003")
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
    from labstaff.grading.classroom import _keep_settings

    _keep_settings(out, SETTINGS)
    with pytest.raises(GradeError, match="was begun with other settings"):
        grade_class(submissions, out, Settings(epochs=3))
