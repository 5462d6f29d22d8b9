"""The process that grades one notebook; imported before it is forked."""

import os
import select
import signal
import threading
from multiprocessing.connection import Connection

import torch

from labstaff.grading.notebook import Job, grade


def main(job: Job, answer: Connection) -> None:
    """Grade, send the result, and end."""
    _end_unheard(answer)
    # Ctrl-C is for the grader's own process, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)  # the others need the cores
    answer.send(grade(job))
    answer.close()


def _end_unheard(answer: Connection) -> None:
    """End this process, and the sandbox with it, when nobody waits any more.

    The server that it was forked from lives as long as this one does: that
    its parent has ended would never be seen.
    """
    if not hasattr(select, "poll"):
        return  # on Windows
    poll = select.poll()
    poll.register(answer.fileno(), 0)  # that the other end is closed, alone

    def wait() -> None:
        poll.poll()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
