"""Grade one notebook of one student, in a process of its own."""

import hashlib
import os
import re
import time
from dataclasses import replace
from socket import socket

import nbformat
from nbformat import NotebookNode, v4

from labkit.course import language_of, names_in
from labstaff.grading import matching, sandbox
from labstaff.grading.kernel import KernelLostError, StudentKernel
from labstaff.grading.matching import Exercise, Matched
from labstaff.grading.remote import judge
from labstaff.grading.results import Graded, Job, Status, Verdict

# Python's name of a cell that it cannot read, which tells nobody anything.
LINE = re.compile(r" \([^()]*, line (\d+)\)$")
# What a lost kernel is to the exercises that were not judged before.
LOST = {
    "timed out": (
        Status.TIMED_OUT, "a cell ran too long and could not be stopped"),
    "out of memory": (Status.OUT_OF_MEMORY, "more memory than allowed"),
    "processes": (Status.KERNEL_DIED, "more processes than allowed"),
    "output": (Status.KERNEL_DIED, "more output than allowed"),
    "kernel died": (Status.KERNEL_DIED, "the kernel died"),
}
# In what Python shows of a traceback of IPython's, the name in a frame.
FRAME = re.compile(r", in (?:\\x1b\[[\d;]*m)*(\w+)")


def grade(job: Job, forks: socket) -> tuple[Graded, bytes]:
    """Run a notebook and judge its exercises; the executed one comes along.

    For `forks` see `StudentKernel`.
    """
    begin = time.monotonic()
    os.environ["LABUTILS_EPOCHS"] = str(job.settings.epochs)
    found = matching.match(job.notebook, job.course)
    verdicts, notes = _run(job, found, forks)
    cells = [c.source for c in found.notebook.cells if c.cell_type == "code"]
    for x in job.course.exercises:
        written = found.sources.get(x.name, "")
        taken = verdicts[x.name].origin or matching.borrowed(
            x.name, written, cells)
        if found.attempts.get(x.name) and taken not in ("", x.borrows):
            notes.append(f"{x.name}: LOOK AT IT, it is made of {taken}, which "
                         "the course's package holds.")
    graded = Graded(
        job.student, job.course.stem, job.digest, "graded",
        [verdicts[x.name] for x in job.course.exercises],
        [*job.notes, *found.notes, *notes], time.monotonic() - begin,
        sandbox.describe(job.settings.sandbox), found.sources,
        language_of(job.notebook))
    return graded, nbformat.writes(found.notebook).encode("utf-8", "replace")


def _run(job: Job, found: Matched,
         forks: socket) -> tuple[dict[str, Verdict], list[str]]:
    """Execute cell by cell; an exercise is judged when its check is due.

    What stands below the last of them can change no verdict, and is not run;
    nor are the course's own cells on which nothing of the student's depends.
    """
    verdicts: dict[str, Verdict] = {}
    due: dict[Exercise, list[int]] = {}
    for exercise in job.course.exercises:
        attempts = found.attempts.get(exercise.name, [])
        if attempts and not exercise.written:
            due[exercise] = found.judged[exercise.name]
            continue
        status, reason = Status.WRITTEN, "An answer in words, to be read."
        if not attempts:
            status, reason = Status.NOT_ATTEMPTED, found.lost.get(
                exercise.name, "Nothing was written.")
        verdicts[exercise.name] = Verdict(
            exercise.name, status, 0.0, exercise.points, reason,
            cell=", ".join(f"cell {i + 1}" for i in attempts))
    notes: list[str] = []
    late: set[int] = set()
    if not due:
        return verdicts, notes
    last = max(index for places in due.values() for index in places)
    cells = found.notebook.cells
    wanted: set[str] = set()  # names that the cells use, and have bound
    known: set[str] = set()

    def run(at: int) -> None:
        try:
            kernel.run(cells[at], at)
        except TimeoutError as error:
            late.add(at)
            frames = FRAME.findall(str(_errors(cells[at])))
            inside = [n for n in dict.fromkeys(frames) if n in found.attempts]
            notes.append(f"Cell {at + 1}: {error}, within {', '.join(inside)}."
                         if inside else f"Cell {at + 1}: {error}.")
        if at not in late and not _errors(cells[at]):
            known.update(names_in(cells[at].source)[1])

    kernel = StudentKernel(found.notebook, job, forks)
    try:
        with kernel.running():
            needed = matching.to_run(found, job.course, last)
            for index in range(last + 1):
                if index in needed:
                    wanted |= names_in(cells[index].source)[0]
                for source, names in matching.to_lend(
                        found, index, wanted, known):
                    notes.append(_why_lent(
                        cells, *found.lent.pop(source), names))
                    # Below the student's, which keep their numbers.
                    cells.append(v4.new_code_cell(source))
                    run(len(cells) - 1)
                for exercise, places in due.items():
                    before = verdicts.get(exercise.name)
                    if index in places and not (before and before.points):
                        verdicts[exercise.name] = _judged(
                            job, kernel, exercise, found, index, late)
                if index in needed:
                    run(index)
    except KernelLostError as lost:
        if str(lost) not in LOST:  # the machine's fault
            raise
        status, reason = LOST[str(lost)]
        notes.append(f"The run ended early: {reason}.")
        for exercise in job.course.exercises:
            verdicts.setdefault(exercise.name, Verdict(
                exercise.name, status, 0.0, exercise.points,
                f"Not judged: {reason}."))
    return verdicts, notes


def _errors(cell: NotebookNode) -> list[NotebookNode]:
    return [output for output in cell.get("outputs", ())
            if output.output_type == "error"]


def _why_lent(cells: list[NotebookNode], place: int, own: bool,
              names: set[str]) -> str:
    """Why a cell of the course's is run, in words."""
    which = ", ".join(sorted(names))
    if not own:
        return f"The course's cell for {which} is missing; it was run."
    ends = [f"ended with {end.ename}: {end.evalue}"[:200]
            for end in _errors(cells[place - 1])]
    how = ends[-1] if ends else f"does not define {which}"
    return f"Cell {place} {how}; the course's own cell was run after it."


def _judged(job: Job, kernel: StudentKernel, exercise: Exercise,
            found: Matched, index: int, late: set[int]) -> Verdict:
    """The verdict on what the cells above have left for an exercise."""
    counted = max(i for i in found.attempts[exercise.name] if i < index)
    place = f"cell {counted + 1}"
    text = f"{job.settings.seed} {job.digest} {exercise.name}"
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4])
    with kernel.probing():
        verdict = judge(exercise.name, kernel.request, seed, exercise.points)
    cells = found.notebook.cells
    ends = _errors(cells[counted])
    if verdict.points:
        pass
    elif any(matching.continues(cells, i)
             for i in found.attempts[exercise.name]):
        verdict = replace(verdict, likely="", reason="The next cell continues "
                          "the function: a function must stand in one cell.")
    elif counted in late:  # its cell's own end says why
        verdict = Verdict(
            exercise.name, Status.TIMED_OUT, 0.0, exercise.points,
            f"Its cell was stopped after {job.settings.limits.cell:.0f} s.")
    elif ends:
        name, said = ends[-1].get("ename"), str(ends[-1].get("evalue"))
        line = LINE.search(said)
        verdict = Verdict(
            exercise.name, Status.OUT_OF_MEMORY if name == "MemoryError"
            else Status.ERROR, 0.0, exercise.points,
            "Its cell ends with an error.",
            got=f"{name}: {LINE.sub('', said)}"[:500],
            where=f"{place}, line {line[1]}" if line else place)
    if verdict.where.startswith("line"):
        verdict = replace(verdict, where=f"{place}, {verdict.where}")
    return replace(verdict, cell=f"cell {counted + 1}, as it stands before "
                   f"cell {index + 1}")
