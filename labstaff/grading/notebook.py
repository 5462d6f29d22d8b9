"""Grade one notebook of one student, in a process of its own."""

import hashlib
import os
import time
from dataclasses import replace

import nbformat
from nbformat import NotebookNode

from labstaff.grading import sandbox
from labstaff.grading.kernel import KernelLostError, StudentKernel
from labstaff.grading.matching import Exercise, Matched, match
from labstaff.grading.remote import judge
from labstaff.grading.results import Graded, Job, Status, Verdict

# What a lost kernel is to the exercises that were not judged before.
LOST = {
    "timed out": (Status.TIMED_OUT, "a cell ran too long and could not be "
                  "stopped"),
    "out of memory": (Status.OUT_OF_MEMORY, "more memory than allowed"),
    "processes": (Status.KERNEL_DIED, "more processes than allowed"),
    "output": (Status.KERNEL_DIED, "more output than allowed"),
    "kernel died": (Status.KERNEL_DIED, "the kernel died"),
}


def grade(job: Job) -> tuple[Graded, bytes]:
    """Run a notebook and judge its exercises.

    Returns:
        What was found, and the executed notebook.
    """
    begin = time.monotonic()
    os.environ["LABUTILS_EPOCHS"] = str(job.settings.epochs)
    found = match(job.notebook, job.course)
    verdicts, notes = _run(job, found)
    sources: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for exercise in job.course.exercises:
        if (place := found.places.get(exercise.name)) is not None:
            sources[exercise.written][exercise.name] = (
                found.notebook.cells[place].source)
    graded = Graded(
        job.student, job.course.stem, job.digest, "graded",
        [verdicts[x.name] for x in job.course.exercises],
        [*job.notes, *found.notes, *notes], time.monotonic() - begin,
        sandbox.describe(), sources[False], sources[True],
    )
    return graded, nbformat.writes(found.notebook).encode("utf-8", "replace")


def _run(
    job: Job, found: Matched
) -> tuple[dict[str, Verdict], list[str]]:
    """Execute cell by cell; each exercise is judged after its cell."""
    verdicts = _before(job, found)
    due = {
        found.places[x.name]: x for x in job.course.exercises
        if x.name not in verdicts
    }
    notes: list[str] = []
    kernel = StudentKernel(
        found.notebook, job.settings.limits, job.text, job.slot)
    try:
        with kernel.running():
            for index, cell in enumerate(found.notebook.cells):
                if cell.cell_type != "code":
                    continue
                late = False
                try:
                    kernel.run(cell, index)
                except TimeoutError as error:
                    notes.append(f"Cell {index + 1}: {error}.")
                    late = True
                if exercise := due.get(index):
                    verdicts[exercise.name] = (
                        _not_run(job, exercise, cell, index, late)
                        or _judged(job, kernel, exercise, index))
    except KernelLostError as lost:
        notes.append(f"The run ended early: {LOST[lost.reason][1]}.")
    for exercise in due.values():
        if exercise.name not in verdicts:
            status, reason = LOST.get(kernel.lost, LOST["kernel died"])
            verdicts[exercise.name] = Verdict.without_points(
                exercise, status, f"Not judged: {reason}.")
    return verdicts, notes


def _before(job: Job, found: Matched) -> dict[str, Verdict]:
    """Verdicts that need no run: written answers, and what is missing."""
    verdicts = {}
    for exercise in job.course.exercises:
        place = found.places.get(exercise.name)
        source = "" if place is None else found.notebook.cells[place].source
        if place is None or source.strip() in ("", exercise.stub.strip()):
            verdicts[exercise.name] = Verdict.without_points(
                exercise, Status.NOT_ATTEMPTED,
                "Its cell is missing." if place is None
                else "Nothing was written.")
        elif exercise.written:
            verdicts[exercise.name] = Verdict.without_points(
                exercise, Status.WRITTEN, "An answer in words, to be read.")
    return verdicts


def _not_run(
    job: Job, exercise: Exercise, cell: NotebookNode, index: int, late: bool
) -> Verdict | None:
    """The verdict on an exercise whose cell did not run to its end."""
    if late:
        return Verdict.without_points(
            exercise, Status.TIMED_OUT, "Its cell was stopped after "
            f"{job.settings.limits.cell:.0f} s.")
    for error in cell.outputs:
        if error.output_type == "error":
            name = error.get("ename")
            return Verdict.without_points(
                exercise, Status.OUT_OF_MEMORY if name == "MemoryError"
                else Status.ERROR, "Its cell ends with an error.",
                got=f"{name}: {error.get('evalue')}"[:500],
                where=f"cell {index + 1}")
    return None


def _judged(
    job: Job, kernel: StudentKernel, exercise: Exercise, index: int
) -> Verdict:
    """The verdict on an exercise whose cell has just been run."""
    text = f"{job.settings.seed} {job.digest} {exercise.name}"
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4])
    with kernel.probing():
        found = judge(exercise.name, kernel.request, seed, exercise.points)
    where = found.where and f"cell {index + 1}, {found.where}"
    return replace(found, where=where, seed=seed)
