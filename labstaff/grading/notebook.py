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
    """Run a notebook and judge its exercises; the executed one comes along."""
    begin = time.monotonic()
    os.environ["LABUTILS_EPOCHS"] = str(job.settings.epochs)
    found = match(job.notebook, job.course)
    verdicts, notes = _run(job, found)
    code, words = ({
        x.name: found.notebook.cells[found.places[x.name]].source
        for x in job.course.exercises
        if x.written is written and x.name in found.places
    } for written in (False, True))
    graded = Graded(
        job.student, job.course.stem, job.digest, "graded",
        [verdicts[x.name] for x in job.course.exercises],
        [*job.notes, *found.notes, *notes], time.monotonic() - begin,
        sandbox.describe(job.settings.sandbox), code, words)
    return graded, nbformat.writes(found.notebook).encode("utf-8", "replace")


def _run(job: Job, found: Matched) -> tuple[dict[str, Verdict], list[str]]:
    """Execute cell by cell; each exercise is judged after its cell.

    What stands below the last of them can change no verdict, and is not run.
    """
    verdicts = _before(job, found)
    due: dict[int, list[Exercise]] = {}
    for x in job.course.exercises:
        if x.name not in verdicts:
            due.setdefault(found.places[x.name], []).append(x)
    notes: list[str] = []
    if not due:
        return verdicts, notes
    kernel = StudentKernel(
        found.notebook, job.settings.limits, job.text, job.slot,
        job.settings.sandbox)
    try:
        with kernel.running():
            for index, cell in enumerate(
                found.notebook.cells[: max(due) + 1]
            ):
                if cell.cell_type != "code":
                    continue
                late = False
                try:
                    kernel.run(cell, index)
                except TimeoutError as error:
                    notes.append(f"Cell {index + 1}: {error}.")
                    late = True
                for exercise in due.get(index, ()):
                    verdicts[exercise.name] = _judged(
                        job, kernel, exercise, cell, index, late)
    except KernelLostError as lost:
        if lost.reason not in LOST:  # the machine's fault
            raise
        status, reason = LOST[lost.reason]
        notes.append(f"The run ended early: {reason}.")
        for exercise in (x for some in due.values() for x in some):
            verdicts.setdefault(exercise.name, Verdict.without_points(
                exercise, status, f"Not judged: {reason}."))
    return verdicts, notes


def _before(job: Job, found: Matched) -> dict[str, Verdict]:
    """Verdicts that need no run: written answers, and what is missing."""
    verdicts = {}
    for exercise in job.course.exercises:
        place = found.places.get(exercise.name)
        source = "" if place is None else found.notebook.cells[place].source
        if place is None:
            end = Status.NOT_ATTEMPTED, "Its cell is missing."
        elif source.strip() in ("", exercise.stub.strip()):
            end = Status.NOT_ATTEMPTED, "Nothing was written."
        elif exercise.written:
            end = Status.WRITTEN, "An answer in words, to be read."
        else:
            continue
        verdicts[exercise.name] = Verdict.without_points(exercise, *end)
    return verdicts


def _judged(
    job: Job, kernel: StudentKernel, exercise: Exercise, cell: NotebookNode,
    index: int, late: bool,
) -> Verdict:
    """The verdict on an exercise whose cell has just been run."""
    if late:
        return Verdict.without_points(
            exercise, Status.TIMED_OUT, "Its cell was stopped after "
            f"{job.settings.limits.cell:.0f} s.")
    place = f"cell {index + 1}"
    for error in cell.outputs:
        if error.output_type == "error":
            name = error.get("ename")
            return Verdict.without_points(
                exercise, Status.OUT_OF_MEMORY if name == "MemoryError"
                else Status.ERROR, "Its cell ends with an error.",
                f"{name}: {error.get('evalue')}"[:500], place)
    text = f"{job.settings.seed} {job.digest} {exercise.name}"
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4])
    with kernel.probing():
        found = judge(exercise.name, kernel.request, seed, exercise.points)
    return replace(found, where=found.where and f"{place}, {found.where}")
