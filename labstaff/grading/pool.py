"""Run a class's jobs: several notebooks at once, and nothing lost.

A job runs in a process of its own, on this machine or on a worker of a Dask
cluster, and its kernel in another. Both are forked from servers that have
imported all that they need. This process, which reads what students have
written, imports none of it.
"""

import contextlib
import json
import math
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from labstaff.grading import forkserver, sandbox
from labstaff.grading.proof import prove
from labstaff.grading.results import Graded, GradeError, Job, Status
from labutils.corpus import find_corpus
from labutils.files import write_atomically

SPARE = 90.0  # seconds beyond a notebook's own limit, to begin and to end
MEMORY = 3 * 2**30  # bytes of the process that grades
RETRIES = 5  # of a notebook, on other workers when its own dies
SCHEDULER = 30  # seconds for the scheduler to answer

# Variables that say where the caches of matplotlib and others are.
CACHES = ("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
CONTEXT: Any = multiprocessing.get_context(
    "forkserver" if hasattr(os, "fork") else "spawn")
CONTEXT.set_forkserver_preload(["labstaff.grading.notebook", __name__])
_lock = threading.Lock()
# Of kernels, where one runs: what is asked of it, and the process.
_server: tuple[socket.socket, subprocess.Popen[bytes]] | None = None


# ---- all the jobs


def place(out: Path, job: Job) -> Path:
    """Where the result of one notebook is kept."""
    return out / "graded" / job.student / f"{job.course.stem}.json"


def run(jobs: Sequence[Job], out: Path, executor: Executor,
        say: Callable[[str], None] = print, at_once: int = 1
        ) -> list[Graded]:
    """Grade what is not graded yet, some `at_once`, each result on disk at
    once; those of all the jobs come in their order."""
    done = {number: found for number, job in enumerate(jobs)
            if (found := _finished(out, job))}
    if done:
        say(f"{len(done)} of {len(jobs)} notebooks are graded already.")
    waiting = {executor.submit(in_process, job): number
               for number, job in enumerate(jobs) if number not in done}
    for future in as_completed(waiting):
        number = waiting[future]
        job = jobs[number]
        try:
            graded, executed = future.result()
        except GradeError:
            raise
        except Exception as error:  # a worker or its machine is gone
            graded, executed = _lost(job, error), b""
        path = place(out, job)
        if executed:
            write_atomically(path.with_suffix(".ipynb"), executed)
        graded.save(path)
        done[number] = graded
        # By what each took itself: all of them wait for the proof as well.
        left = (sum(one.seconds for one in done.values()) / len(done)
                * math.ceil((len(jobs) - len(done)) / at_once))
        about = f"{left / 60:.0f} min" if left >= 30 else f"{left:.0f} s"
        say(f"{len(done)}/{len(jobs)}  {graded.student} {graded.notebook}: "
            f"{graded.points:g} of {graded.possible:g} points, "
            f"{graded.seconds:.0f} s; about {about} left")
    if lost := sum(one.state == "interrupted" for one in done.values()):
        say(f"labutils: the machine interrupted {lost} notebooks. The same "
            "command tries them again.")
    return [done[number] for number in range(len(jobs))]


def _finished(out: Path, job: Job) -> Graded | None:
    """The result of an earlier run, if it is of the same file."""
    with contextlib.suppress(Exception):  # it is missing, or damaged
        found = Graded.load(place(out, job))
        if found.digest == job.digest and found.state != "interrupted":
            return found
    return None


def _lost(job: Job, error: Exception) -> Graded:
    """A notebook whose worker came to no result."""
    if isinstance(error, TimeoutError):
        status, state = Status.TIMED_OUT, "graded"
        reason = "It was not finished within its time."
    else:  # no student's fault
        status, state = Status.KERNEL_DIED, "interrupted"
        reason = f"Its process has ended ({type(error).__name__}: {error})."
    return Graded.without_points(job.student, job.course, status, reason,
                                 state, job.digest, [*job.notes, reason])


# ---- where they run


@contextlib.contextmanager
def workers(processes: int | None,
            scheduler: str | None) -> Iterator[tuple[Executor, int]]:
    """What waits for a job each, and how many: threads for so many processes
    of this machine (None: as many as cores), or that scheduler's Dask cluster,
    with a GradeError where nobody answers."""
    if scheduler is None:
        processes = processes or os.cpu_count() or 1
        executor = ThreadPoolExecutor(processes)
        try:
            yield executor, processes
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            end_server()
        return
    from distributed import Client  # the extra `cluster`

    try:
        client = Client(scheduler, timeout=SCHEDULER)
    except (OSError, ValueError, TimeoutError) as error:
        raise GradeError(
            f"No Dask scheduler answers at {scheduler} ({error}). Start one "
            "with `dask scheduler`, or check the address.") from None
    with client:
        # Not pure: the same file of two students is two jobs.
        yield (client.get_executor(pure=False, retries=RETRIES),
               sum(client.nthreads().values()) or 1)


# ---- a process for each


def in_process(job: Job) -> tuple[Graded, bytes]:
    """Grade in a process of its own, which is ended when it takes too long.

    Raises:
        GradeError: this machine cannot grade.
        TimeoutError: it took too long.
        RuntimeError: its process has ended each time.
    """
    if job.text is not None and not job.text.is_file():
        if (path := find_corpus().path) is None:
            raise GradeError(
                "This worker has no copy of The Time Machine. Put one there "
                "and name it in LABUTILS_TEXT.")
        job = replace(job, text=path)
    prove(job.settings, job.text, _tried)
    return _tried(job)


def _tried(job: Job) -> tuple[Graded, bytes]:
    """Grade; a process that was killed from outside is begun once more."""
    with contextlib.suppress(RuntimeError):
        return _once(job)
    return _once(job)


def _once(job: Job) -> tuple[Graded, bytes]:
    # Dask begins its workers as daemons, which could begin no process.
    multiprocessing.current_process().daemon = False
    here, there = CONTEXT.Pipe()
    with there, kernel_server() as forks:
        process = CONTEXT.Process(target=_grade, args=(job, there, forks))
        process.start()
    try:
        if not here.poll(job.settings.limits.notebook + SPARE):
            raise TimeoutError
        if isinstance(found := here.recv(), str):
            raise RuntimeError(found)
        return found
    except EOFError:
        process.join(5)
        raise RuntimeError(f"exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        here.close()


def kernel_server() -> socket.socket:
    """A connection to the server of kernels, which is begun if need be."""
    global _server
    with _lock:
        if _server is None or _server[1].poll() is not None:
            ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-P", str(forkserver.__file__)],
                    stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, cwd="/",
                    start_new_session=True, env=sandbox.environment(None))
            ours.send(json.dumps({name: os.environ[name] for name in CACHES
                                  if name in os.environ}).encode())
            _server = ours, process
        return _server[0].dup()


def end_server() -> None:
    """End the server of kernels; those that run go on."""
    global _server
    with _lock:
        if _server:
            _server[0].close()
            _server[1].kill()
            _server[1].wait()
        _server = None


def _grade(job: Job, grader: Connection, forks: socket.socket) -> None:
    """Grade, send the result or an error, and end; in the new process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Ctrl-C is for the grader's own process, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import torch

        from labstaff.grading.notebook import grade

        # A student's kernel has no GPU to be asked about.
        os.environ["LABUTILS_DEVICE"] = "cpu"
        # Whatever a kernel answers.
        sandbox.bound(RLIMIT_DATA=MEMORY)
        torch.set_num_threads(1)  # the others need the cores
        found: Any = grade(job, forks)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    grader.send(found)


def _end_with_parent() -> None:
    """End this process, and the sandbox with it, when nobody waits any more:
    the server that it was forked from would not end before it."""
    parent: Any = multiprocessing.parent_process()
    parent.join()
    os._exit(1)
