"""Run a class's jobs: several notebooks at once, and nothing lost.

A job runs in a process of its own, on this machine or on a worker of a Dask
cluster. These processes are forked from a server that has imported all that
they need: no notebook waits for that, and none shares a process with another.
This process, which reads what students have written, imports none of it.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from labstaff.grading.results import Graded, Job, Status, Verdict
from labutils.corpus import find_corpus
from labutils.files import write_atomically

# Beyond the notebook's own limit, for beginning and ending.
SPARE = 90.0  # seconds
# A notebook is begun so often on other workers when its worker dies.
RETRIES = 5
SCHEDULER = 30  # seconds for the scheduler to answer

# Takes a job, gives what has become of it and the executed notebook.
Submit = Callable[[Job], "Future[tuple[Graded, bytes]]"]


class ClusterError(RuntimeError):
    """The cluster cannot be used; the message says why and what to do."""


# ---- all the jobs


def place(out: Path, student: str, stem: str) -> Path:
    """Where the result of one notebook is kept."""
    return out / "graded" / student / f"{stem}.json"


def finished(out: Path, job: Job) -> Graded | None:
    """The result of an earlier run, if it is of the same file."""
    try:
        found = Graded.load(place(out, job.student, job.course.stem))
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
    done = {
        number: found for number, job in enumerate(jobs)
        if (found := finished(out, job)) is not None
    }
    if done:
        say(f"{len(done)} of {len(jobs)} notebooks are graded already.")
    begin, before = time.monotonic(), len(done)
    waiting = {
        submit(job): number for number, job in enumerate(jobs)
        if number not in done
    }
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
        spent = time.monotonic() - begin
        left = spent / (len(done) - before) * (len(jobs) - len(done))
        say(f"{len(done)}/{len(jobs)}  {graded.student} {graded.notebook}: "
            f"{graded.points:g} of {graded.possible:g} points, "
            f"{graded.seconds:.0f} s; about {_duration(left)} left")
    return [done[number] for number in range(len(jobs))]


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
        [Verdict.without_points(x, status, reason)
         for x in job.course.exercises],
        notes=[*job.notes, reason],
    )


# ---- where they run


@contextlib.contextmanager
def local(processes: int | None = None) -> Iterator[Submit]:
    """This machine.

    Args:
        processes: notebooks at the same time; None: as many as cores.
    """
    if _context().get_start_method() == "forkserver":
        forkserver.ensure_running()  # its imports take seconds
    executor = ThreadPoolExecutor(processes or os.cpu_count())
    try:
        yield lambda job: executor.submit(in_process, job)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Submit]:
    """A Dask cluster; each of its workers' threads grades a notebook.

    Args:
        address: of the scheduler, such as tcp://10.0.0.1:8786.

    Raises:
        ClusterError: nobody answers there.
    """
    from distributed import Client  # the extra `cluster`

    try:
        client = Client(address, timeout=SCHEDULER)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address} ({error}). Start one "
            "with `dask scheduler`, or check the address."
        ) from None
    with client:
        # Not pure: the same file of two students is two jobs.
        executor = client.get_executor(pure=False, retries=RETRIES)
        yield lambda job: executor.submit(on_worker, job)


def on_worker(job: Job) -> tuple[Graded, bytes]:
    """Grade a notebook on the machine of a Dask worker.

    Raises:
        ClusterError: it has no copy of the corpus.
    """
    if job.text is not None and not job.text.is_file():
        path = find_corpus().path
        if path is None:
            raise ClusterError(
                "This worker has no copy of The Time Machine. Put one there "
                "and name it in LABUTILS_TEXT."
            )
        job = replace(job, text=path)
    # Dask begins its workers as daemons, which could begin no process.
    multiprocessing.current_process().daemon = False
    return in_process(job)


# ---- a process for each


def in_process(job: Job) -> tuple[Graded, bytes]:
    """Grade in a process of its own, which is ended when it takes too long.

    Raises:
        TimeoutError: it took too long.
        RuntimeError: it has ended without a result.
    """
    context: Any = _context()
    here, there = context.Pipe()
    process = context.Process(target=_grade, args=(job, there))
    process.start()
    there.close()
    try:
        if not here.poll(job.settings.limits.notebook + SPARE):
            raise TimeoutError
        return here.recv()
    except EOFError:
        process.join(5)
        raise RuntimeError(f"exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        here.close()


def _context() -> BaseContext:
    """How processes are begun on this system."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["labstaff.grading.notebook", __name__])
    return found


def _grade(job: Job, grader: Connection) -> None:
    """Grade, send the result, and end; runs in the new process."""
    import torch

    from labstaff.grading.notebook import grade

    threading.Thread(target=_end_with, args=(grader,), daemon=True).start()
    # Ctrl-C is for the grader's own process, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)  # the others need the cores
    grader.send(grade(job))


def _end_with(grader: Connection) -> None:
    """End this process, and the sandbox with it, when nobody waits any more.

    The server that it was forked from lives as long as this one does: that
    its parent has ended would never be seen.
    """
    with contextlib.suppress(EOFError, OSError):
        grader.recv()  # it never sends
    os._exit(1)
