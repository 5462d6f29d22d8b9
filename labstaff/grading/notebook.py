"""Grade one notebook of one student, in a process of its own."""

import hashlib
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labstaff.grading import sandbox
from labstaff.grading.course import CourseNotebook, Exercise
from labstaff.grading.kernel import KernelLostError, StudentKernel
from labstaff.grading.matching import Matched, match
from labstaff.grading.remote import judge
from labstaff.grading.results import Graded, Status, Verdict
from labstaff.grading.sandbox import Limits

# What a lost kernel is to the exercises that were not judged before.
LOST = {
    "timed out": (Status.TIMED_OUT, "a cell ran too long and could not be "
                  "stopped"),
    "out of memory": (Status.OUT_OF_MEMORY, "more memory than allowed"),
    "processes": (Status.KERNEL_DIED, "more processes than allowed"),
    "output": (Status.KERNEL_DIED, "more output than allowed"),
    "kernel died": (Status.KERNEL_DIED, "the kernel died"),
}


@dataclass(frozen=True)
class Job:
    """One notebook to grade; can be sent to another machine.

    Attributes:
        student: key of the submission.
        course: the notebook's exercises and checks.
        content: of the submitted file.
        limits: to run it in.
        epochs: cap on every training.
        seed: of the whole grading; probes have seeds that follow from it and
            from the content, so that nobody can know them before.
        text: of the corpus; None for the practice text.
        slot: a small number, another one for each job of a time.
        notes: from reading the submission.
    """

    student: str
    course: CourseNotebook
    content: bytes
    limits: Limits = field(default_factory=Limits)
    epochs: int = 1
    seed: int = 0
    text: Path | None = None
    slot: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def grade(job: Job) -> tuple[Graded, bytes]:
    """Run a notebook and judge its exercises.

    Returns:
        What was found, and the executed notebook (empty where it cannot be
        read).
    """
    begin = time.monotonic()
    blank = Graded(job.student, job.course.stem, job.digest, "refused", [])
    try:
        submitted = nbformat.reads(
            job.content.decode("utf-8"), as_version=4)
        found = match(submitted, job.course)
    except Exception as error:  # nbformat fails in many ways
        reason = f"This is not a notebook ({type(error).__name__})."
        return replace(blank, notes=[*job.notes, reason], verdicts=[
            _verdict(x, Status.ERROR, reason) for x in job.course.exercises
        ]), b""
    os.environ["LABUTILS_EPOCHS"] = str(job.epochs)
    verdicts, notes = _run(job, found)
    sources = {
        x.name: found.notebook.cells[found.places[x.name]].source
        for x in job.course.exercises if x.name in found.places
    }
    written = {x.name for x in job.course.exercises if x.written}
    graded = replace(
        blank, state="graded", notes=[*job.notes, *found.notes, *notes],
        verdicts=[verdicts[x.name] for x in job.course.exercises],
        seconds=time.monotonic() - begin, sandbox=sandbox.describe(),
        sources={k: v for k, v in sources.items() if k not in written},
        answers={k: v for k, v in sources.items() if k in written},
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
    kernel = StudentKernel(found.notebook, job.limits, job.text, job.slot)
    try:
        with kernel.running():
            for index, cell in enumerate(found.notebook.cells):
                if cell.cell_type != "code":
                    continue
                late = _execute(kernel, cell, index, notes)
                if index in due:
                    exercise = due[index]
                    verdicts[exercise.name] = _judged(
                        job, kernel, exercise, cell, index, late)
    except KernelLostError as lost:
        notes.append(f"The run ended early: {LOST[lost.reason][1]}.")
    for exercise in due.values():
        if exercise.name not in verdicts:
            status, reason = LOST.get(kernel.lost, LOST["kernel died"])
            verdicts[exercise.name] = _verdict(
                exercise, status, f"Not judged: {reason}.")
    return verdicts, notes


def _before(job: Job, found: Matched) -> dict[str, Verdict]:
    """Verdicts that need no run: written answers, and what is missing."""
    verdicts = {}
    for exercise in job.course.exercises:
        place = found.places.get(exercise.name)
        source = "" if place is None else found.notebook.cells[place].source
        if place is None or source.strip() in ("", exercise.stub.strip()):
            verdicts[exercise.name] = _verdict(
                exercise, Status.NOT_ATTEMPTED,
                "Its cell is missing." if place is None
                else "Nothing was written.")
        elif exercise.written:
            verdicts[exercise.name] = _verdict(
                exercise, Status.WRITTEN, "An answer in words, to be read.")
    return verdicts


def _execute(
    kernel: StudentKernel, cell: NotebookNode, index: int, notes: list[str]
) -> bool:
    """Run a cell; whether it had to be stopped."""
    try:
        kernel.run(cell, index)
    except TimeoutError as error:
        notes.append(f"Cell {index + 1}: {error}.")
        return True
    return False


def _judged(
    job: Job, kernel: StudentKernel, exercise: Exercise, cell: NotebookNode,
    index: int, late: bool,
) -> Verdict:
    """The verdict on an exercise whose cell has just been run."""
    if late:
        return _verdict(
            exercise, Status.TIMED_OUT,
            f"Its cell was stopped after {job.limits.cell:.0f} s.")
    failed = [o for o in cell.outputs if o.output_type == "error"]
    if failed:
        error = failed[0]
        out = error.get("ename") == "MemoryError"
        return _verdict(
            exercise, Status.OUT_OF_MEMORY if out else Status.ERROR,
            "Its cell ends with an error.",
            got=f"{error.get('ename')}: {error.get('evalue')}"[:500],
            where=f"cell {index + 1}",
        )
    seed = _seed(job, exercise)
    with kernel.probing():
        found = judge(exercise.name, kernel.request, seed, exercise.points)
    where = found.where and f"cell {index + 1}, {found.where}"
    return replace(found, where=where)


def _verdict(
    exercise: Exercise, status: Status, reason: str, got: str = "",
    where: str = "",
) -> Verdict:
    """A verdict without points."""
    return Verdict(exercise.name, status, 0.0, exercise.points, reason,
                   got=got, where=where)


def _seed(job: Job, exercise: Exercise) -> int:
    text = f"{job.seed} {job.digest} {exercise.name}"
    return int.from_bytes(
        hashlib.sha256(text.encode("utf-8")).digest()[:4], "big")
