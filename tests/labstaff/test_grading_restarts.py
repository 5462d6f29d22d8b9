"""A grading that is killed, repeated or refused: nothing is lost or mixed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import classroom
import psutil
import pytest
from classroom import NOTEBOOK_SECONDS, SETTINGS
from nbformat import v4

from labstaff.grading import classroom as grading
from labstaff.grading import pool, proof, sandbox
from labstaff.grading.classroom import grade_class
from labstaff.grading.kernel import wait_for_end
from labstaff.grading.matching import CourseNotebook, Exercise
from labstaff.grading.results import (
    Graded,
    GradeError,
    Job,
    Settings,
    Status,
    Verdict,
)
from labutils import settings
from labutils.corpus import find_corpus
from labutils.files import write_atomically

# ---- the list of jobs, with workers that know the results at once

NOTEBOOK = CourseNotebook("01_words", {"en": "1. Words"}, (
    Exercise("tokenize", 2, False, ""), Exercise("Vocab", 3, False, "")))
JOBS = [
    Job(f"s{i}", NOTEBOOK, v4.new_notebook(), f"digest {i}", slot=i,
        notes=("a note",))
    for i in range(4)
]


class Workers:
    """Answers to a job with a result, or with an error for its student."""

    def __init__(self, errors=()):
        self.begun, self.errors = [], dict(errors)

    def submit(self, _, job):
        self.begun.append(job.student)
        future = Future()
        if error := self.errors.get(job.student):
            future.set_exception(error)
        else:
            future.set_result(self.graded(job))
        return future

    def graded(self, job):
        verdict = Verdict("tokenize", Status.PASSED, 2, 2, "Fine.")
        return Graded(job.student, "01_words", job.digest, "graded",
                      [verdict]), b"executed"


def run(out, workers, jobs=JOBS, say=lambda line: None):
    return pool.run(jobs, out, workers, say)


@pytest.mark.parametrize("results", range(5))
def test_ended_after_any_result_it_goes_on_with_the_others(tmp_path, results):
    whole = run(tmp_path / "whole", Workers())
    assert [one.student for one in whole] == ["s0", "s1", "s2", "s3"]
    said = []

    def end(line):
        said.append(line)
        if len(said) == results:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        run(tmp_path / "out", Workers(), JOBS if results else [], end)
    later, said[:] = Workers(), []
    assert run(tmp_path / "out", later, say=said.append) == whole
    assert len(later.begun) == 4 - results
    if results:
        assert said[0] == f"{results} of 4 notebooks are graded already."
    assert (tmp_path / "out/graded/s3/01_words.ipynb").read_bytes()


def test_the_time_left_is_known_from_the_first_notebook(tmp_path, monkeypatch):
    """Each takes 8 s, two at once; the proof before them took a minute."""
    workers, said = Workers(), []
    clock = iter(range(0, 6000, 60))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    graded = workers.graded
    monkeypatch.setattr(workers, "graded", lambda job: (
        replace(graded(job)[0], seconds=8.0), b""))
    pool.run(JOBS, tmp_path, workers, said.append, 2)
    assert [line.rpartition("; ")[2] for line in said] == [
        "about 16 s left", "about 8 s left", "about 8 s left",
        "about 0 s left"]


def test_another_file_and_a_damaged_result_are_graded_again(tmp_path):
    run(tmp_path, Workers())
    pool.place(tmp_path, JOBS[1]).write_text("{")
    other = Job("s2", NOTEBOOK, v4.new_notebook(), "another digest")
    again = Workers()
    run(tmp_path, again, [*JOBS[:2], other, JOBS[3]])
    assert again.begun == ["s1", "s2"]


def test_a_worker_without_a_result_costs_its_own_notebook(tmp_path):
    found = run(tmp_path, Workers(
        {"s1": TimeoutError(), "s2": RuntimeError("exit code -9")}))
    assert [one.points for one in found] == [2, 0, 0, 2]
    assert [
        {(v.exercise, v.status) for v in one.verdicts} for one in found[1:3]
    ] == [{("tokenize", end), ("Vocab", end)}
          for end in (Status.TIMED_OUT, Status.KERNEL_DIED)]
    assert found[2].notes == [
        "a note", "Its process has ended (RuntimeError: exit code -9)."]
    # That was no student's fault, and is tried again by the next run.
    assert [one.state for one in found[1:3]] == ["graded", "interrupted"]
    again = Workers()
    assert [one.points for one in run(tmp_path, again)] == [2, 0, 2, 2]
    assert again.begun == ["s2"]


def test_a_process_that_is_killed_is_begun_once_more(monkeypatch):
    ends = [RuntimeError("exit code -9"), None, *[RuntimeError("broken")] * 2]

    def once(job):
        if error := ends.pop(0):
            raise error
        return job

    monkeypatch.setattr(pool, "_once", once)
    assert pool._tried(JOBS[0]) is JOBS[0]
    with pytest.raises(RuntimeError, match="broken"):
        pool._tried(JOBS[0])


def test_a_machine_that_cannot_grade_ends_the_run(tmp_path):
    with pytest.raises(GradeError, match="no torch"):
        run(tmp_path, Workers({"s1": GradeError("no torch")}))
    assert not pool.place(tmp_path, JOBS[1]).exists()


def test_the_course_s_own_solutions_come_first(tmp_path, monkeypatch):
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(tmp_path))
    monkeypatch.setattr(proof, "_state", lambda *_: "state")
    settings, begun = Settings(sandbox=False), []

    def graded(status, error=None):
        def run(job):
            begun.append(job)
            if error:
                raise error
            return Graded("course", "course", "", "graded", [Verdict(
                "one_hot", status, 1, 1, "Not right.", got="None")]), b""
        return run

    for run, words in (
        (graded(Status.FAILED), r"\(one_hot: Not right. None\)"),
        (graded(Status.PASSED, RuntimeError("OSError: libtorch")), "libtorch"),
    ):
        proof._fault.cache_clear()
        with pytest.raises(GradeError, match=words):
            proof.prove(settings, None, run)
    for _ in range(2):  # what passed is kept for the next process
        proof._fault.cache_clear()
        proof.prove(settings, None, graded(Status.PASSED))
    proof._fault.cache_clear()
    assert len(begun) == 3
    names = {x.name for n in grading.course() for x in n.exercises
             if not x.written}
    assert {x.name for x in begun[0].course.exercises} == names


# ---- what is refused


def test_results_among_the_submissions(tmp_path):
    with pytest.raises(GradeError, match="lies among the submissions"):
        grade_class(tmp_path, tmp_path / "out", SETTINGS)


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(GradeError, match="not empty and no folder of"):
        grade_class(tmp_path / "in", tmp_path / "out", SETTINGS)


@pytest.mark.slow
def test_other_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "course", lambda: [NOTEBOOK])
    work = v4.new_notebook(cells=[v4.new_markdown_cell("# Mine")])
    classroom.lesson.write(tmp_path / "in" / "a.ipynb", str(work))
    out = tmp_path / "out"
    # Nothing of the course is handed in, so that nothing is run.
    [*absent] = grade_class(tmp_path / "in", out, SETTINGS, say=print)
    assert {one.state for one in absent} == {"refused"}
    with pytest.raises(GradeError, match="was begun with other settings"):
        grade_class(tmp_path / "in", out, Settings(epochs=3))
    with pytest.raises(GradeError, match="--again 2023: 0 students match"):
        grade_class(tmp_path / "in", out, SETTINGS, again=["2023"])


# ---- a small class, in the sandbox

# How long the sleeper's cell sleeps is said from outside, by one of the few
# variables that the sandbox passes on: not at all, but where it is killed.
PAUSE, LONG = "LABUTILS_SEED", 3600
LASTING = replace(SETTINGS, limits=replace(
    SETTINGS.limits, cell=LONG, notebook=2 * LONG))
SMALL = [
    *(s for s in classroom.honest() if s.name[:8] in ("20230003", "20230005")),
    classroom.Student("20230009-Sleeper-Lab",
                      after=(
        f"import os, time\ntime.sleep(int(os.environ.get({PAUSE!r}, 0)))",)),
]


def slow(test):
    return pytest.mark.slow(pytest.mark.skipif(
        bool(sandbox.fault()), reason="needs bubblewrap")(test))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three students, and the table that they get."""
    # That the course's own solutions are graded first is test_grading.py's.
    state = proof._state(LASTING, find_corpus().path)
    write_atomically(settings.results_dir() / proof.KEPT / state, b"")
    folder = tmp_path_factory.mktemp("small")
    submissions = classroom.hand_in(folder / "submissions", SMALL)
    grade_class(submissions, folder / "out", LASTING, processes=2,
                say=lambda line: None)
    return submissions, (folder / "out" / "grades.csv").read_bytes()


def wait_for(condition):
    """What `condition` gives, as soon as that is true."""
    end = time.monotonic() + NOTEBOOK_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def is_sandbox(process):
    with contextlib.suppress(psutil.Error):  # it may have ended
        return process.name() == "bwrap"
    return False


def kernels(pid):
    """The process's whole family, if there is a sandbox in it."""
    found = psutil.Process(pid).children(recursive=True)
    return any(map(is_sandbox, found)) and found


@slow
def test_killed_it_leaves_nothing_behind_and_ends_with_the_same_table(
    small, tmp_path
):
    submissions, table = small
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit", "grade", str(submissions),
         "--out", str(out), "--jobs", "2", "--cell-seconds", str(LONG),
         "--memory", "1", "--notebook-seconds", str(2 * LONG)],
        stdout=subprocess.DEVNULL, start_new_session=True,
        env=os.environ | {PAUSE: str(LONG)},
    )
    try:
        wait_for(lambda: len([*out.glob("graded/*/*.json")]) == 2)
        family = wait_for(lambda: kernels(process.pid))  # the sleeper's
    finally:
        process.kill()
        process.wait()
    # Left alone, the cell that sleeps would go on for an hour.
    assert wait_for_end(family, NOTEBOOK_SECONDS)
    said = []
    grade_class(submissions, out, LASTING, say=said.append)
    assert "2 of 3 notebooks are graded already." in said
    assert (out / "grades.csv").read_bytes() == table


@slow
def test_one_student_again(small, tmp_path, monkeypatch):
    submissions, table = small
    first, out, said = submissions.parent / "out", tmp_path / "out", []
    shutil.copytree(first, out)
    before = (out / "grades.json").read_bytes()

    def graded(job):  # as the first time
        path = pool.place(first, job)
        return Graded.load(path), path.with_suffix(".ipynb").read_bytes()

    workers = Workers()
    monkeypatch.setattr(workers, "graded", graded)
    monkeypatch.setattr(
        pool, "workers", lambda *_: contextlib.nullcontext((workers, 1)))
    grade_class(submissions, out, LASTING, again=["20230005"],
                say=said.append)
    assert workers.begun == ["20230005"]
    done = said.index("2 of 3 notebooks are graded already.")
    assert said[done + 1].startswith("3/3  20230005")
    assert (out / "grades.csv").read_bytes() == table
    assert (out / "grades.json").read_bytes() == before


@slow
def test_two_dask_workers_one_of_them_killed(small, tmp_path):
    pytest.importorskip("distributed")
    from distributed import LocalCluster

    submissions, table = small
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True,
        dashboard_address=None,
    ) as cluster, ThreadPoolExecutor(1) as executor:
        done = executor.submit(
            grade_class, submissions, tmp_path / "out", LASTING,
            scheduler=cluster.scheduler_address, say=lambda line: None)
        busy = wait_for(
            lambda: [worker for worker in cluster.workers.values()
                     if kernels(worker.pid)])
        busy[0].close_gracefully()  # none takes its place: the other has to
        os.kill(busy[0].pid, signal.SIGKILL)
        done.result(300)
    assert (tmp_path / "out" / "grades.csv").read_bytes() == table
