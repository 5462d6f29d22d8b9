"""Grade a whole class: several notebooks at once, and nothing lost."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from labstaff.grading import child, forks
from labstaff.grading.notebook import Job
from labstaff.grading.results import Graded, Status, Verdict
from labutils.files import write_atomically

# Beyond the notebook's own limit, for beginning and ending.
SPARE = 90.0  # seconds

# Takes a job, gives what has become of it.
Submit = Callable[[Job], "Future[tuple[Graded, bytes]]"]


def place(out: Path, student: str, stem: str) -> Path:
    """Where the result of one notebook is kept."""
    return out / "graded" / student / f"{stem}.json"


def finished(out: Path, job: Job) -> Graded | None:
    """The result of an earlier run, if it is of the same file."""
    path = place(out, job.student, job.course.stem)
    try:
        found = Graded.load(path)
    except (OSError, ValueError):
        return None
    return found if found.digest == job.digest else None


def run(
    jobs: Sequence[Job], out: Path, submit: Submit,
    say: Callable[[str], None] = print,
) -> list[Graded]:
    """Grade what is not graded yet; each result is on disk at once.

    Args:
        jobs: all of the class.
        out: folder of results.
        submit: begins a job.
        say: shows a line of progress.

    Returns:
        The results of all the jobs, in their order.
    """
    done: dict[int, Graded] = {}
    waiting: dict[Any, int] = {}
    for number, job in enumerate(jobs):
        if (found := finished(out, job)) is not None:
            done[number] = found
    if done:
        say(f"{len(done)} of {len(jobs)} notebooks are graded already.")
    begin, before = time.monotonic(), len(done)
    for number, job in enumerate(jobs):
        if number not in done:
            waiting[submit(replace(job, slot=number))] = number
    for future in as_completed(waiting):
        number = waiting[future]
        job = jobs[number]
        try:
            graded, executed = future.result()
        except Exception as error:  # a worker or its machine is gone
            graded, executed = _lost(job, error), b""
        path = place(out, job.student, job.course.stem)
        if executed:
            write_atomically(path.with_suffix(".ipynb"), executed)
        graded.save(path)
        done[number] = graded
        say(_line(graded, len(done), len(jobs), before, begin))
    return [done[number] for number in range(len(jobs))]


def _line(
    graded: Graded, done: int, all_: int, before: int, begin: float
) -> str:
    spent = time.monotonic() - begin
    left = spent / (done - before) * (all_ - done)
    return (
        f"{done}/{all_}  {graded.student} {graded.notebook}: "
        f"{graded.points:g} of {graded.possible:g} points, "
        f"{graded.seconds:.0f} s; about {_duration(left)} left"
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _lost(job: Job, error: Exception) -> Graded:
    """A notebook whose worker came to no result."""
    timed_out = isinstance(error, TimeoutError)
    status = Status.TIMED_OUT if timed_out else Status.KERNEL_DIED
    reason = (
        "It was not finished within its time." if timed_out
        else f"Its process has ended ({type(error).__name__}: {error})."
    )
    return Graded(
        job.student, job.course.stem, job.digest, "graded",
        [Verdict(x.name, status, 0.0, x.points, reason)
         for x in job.course.exercises],
        notes=[*job.notes, reason],
    )


class Local:
    """Processes on this machine, one for each notebook.

    Args:
        processes: how many at once.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.count = processes or os.cpu_count() or 1
        self.context = forks.context()
        self.pool = ThreadPoolExecutor(self.count)
        self.slots: SimpleQueue[int] = SimpleQueue()
        for slot in range(self.count):
            self.slots.put(slot)

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, job: Job) -> "Future[tuple[Graded, bytes]]":
        return self.pool.submit(self._one, job)

    def _one(self, job: Job) -> tuple[Graded, bytes]:
        slot = self.slots.get()
        try:
            return in_process(replace(job, slot=slot), self.context)
        finally:
            self.slots.put(slot)


def in_process(job: Job, context: Any) -> tuple[Graded, bytes]:
    """Grade in a process of its own, which is ended when it takes too long.

    Raises:
        TimeoutError: it took too long.
        RuntimeError: it has ended without a result.
    """
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=child.main, args=(job, there))
    process.start()
    there.close()
    try:
        if not here.poll(job.limits.notebook + SPARE):
            raise TimeoutError
        return here.recv()
    except EOFError:
        process.join(5)
        raise RuntimeError(f"exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        here.close()
