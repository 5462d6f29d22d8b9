"""Grade on several machines, with Dask (the extra `cluster`)."""

import multiprocessing
import threading
from concurrent.futures import Future
from dataclasses import replace

from distributed import Client
from distributed import Future as Remote

from labstaff.grading import forks
from labstaff.grading.notebook import Job
from labstaff.grading.pool import in_process
from labstaff.grading.results import Graded
from labutils.corpus import find_corpus

# A notebook is begun so often on other workers when its worker dies.
RETRIES = 5
SECONDS = 30  # for the scheduler to answer


class ClusterError(RuntimeError):
    """The cluster cannot be used; the message says why and what to do."""


class Cluster:
    """A Dask cluster; each of its workers' threads grades a notebook.

    Args:
        address: of the scheduler, such as tcp://10.0.0.1:8786.

    Raises:
        ClusterError: nobody answers there.
    """

    def __init__(self, address: str) -> None:
        try:
            self.client = Client(address, timeout=SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise ClusterError(
                f"No Dask scheduler answers at {address} ({error}). Start one "
                "with `dask scheduler`, or check the address."
            ) from None

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def submit(self, job: Job) -> "Future[tuple[Graded, bytes]]":
        """Begin a job on some worker."""
        own: Future[tuple[Graded, bytes]] = Future()
        # Not pure: the same file of two students is two jobs.
        remote = self.client.submit(
            on_worker, job, pure=False, retries=RETRIES)

        def wait() -> None:
            # Held by this thread: a job that nobody refers to is dropped.
            _hand_over(remote, own)

        threading.Thread(target=wait, daemon=True).start()
        return own


def _hand_over(
    remote: Remote, own: "Future[tuple[Graded, bytes]]"
) -> None:
    try:
        own.set_result(remote.result())
    except Exception as error:
        own.set_exception(error)


def on_worker(job: Job) -> tuple[Graded, bytes]:
    """Grade a notebook on the machine of a worker.

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
    return in_process(job, forks.context())
