"""An eye on a sandbox: what its processes use, from outside of it."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from nbclient.util import run_sync

from labstaff.grading.sandbox import LARGEST_FILE, Limits

if TYPE_CHECKING:
    from labstaff.grading.kernel import StudentKernel

GRACE = 3.0  # seconds for a kernel that was told to stop its cell
WATCH = 0.1  # seconds between two looks


class Watcher(threading.Thread):
    """Ends what uses more than it may.

    Args:
        process: the first one of the sandbox.
        limits: of all of them together.
        sockets: the folder that the sandbox can write to.
        end: when all has to be over, as time.monotonic() has it.
        lose: ends the sandbox; takes the reason, as in KernelLostError.

    Attributes:
        over: set when there is nothing more to watch.
    """

    def __init__(
        self, process: psutil.Process, limits: Limits, sockets: Path,
        end: float, lose: Callable[[str], None],
    ) -> None:
        super().__init__(daemon=True)
        self.process, self.limits, self.sockets = process, limits, sockets
        self.end, self.lose = end, lose
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(WATCH):
            try:
                found = [self.process, *self.process.children(True)]
            except psutil.Error:
                return
            if reason := self._reason(found):
                self.lose(reason)

    def _reason(self, found: list[psutil.Process]) -> str:
        """Which limit is passed; empty where none is."""
        held = 0
        for process in found:
            with contextlib.suppress(psutil.Error):
                held += process.memory_info().rss
        if len(found) > self.limits.processes:
            return "processes"
        if held > self.limits.memory:
            return "out of memory"
        if time.monotonic() > self.end:
            return "timed out"
        if _folder_size(self.sockets) > LARGEST_FILE:
            return "output"
        return ""


class Clock:
    """Tells a kernel to stop after a time, and ends one that does not.

    Attributes:
        told: whether it was told.
    """

    def __init__(self, kernel: "StudentKernel", seconds: float) -> None:
        self.kernel, self.told = kernel, False
        self.end = min(time.monotonic() + seconds, kernel.end)

    def look(self) -> None:
        """To be called again and again while an answer is waited for.

        Raises:
            KernelLostError: there will be none.
        """
        now = time.monotonic()
        if now > self.end + GRACE:
            self.kernel.lose("timed out")
        elif now > self.end and not self.told:
            self.told = True
            run_sync(self.kernel.manager.interrupt_kernel)()
        if self.kernel.lost or not self.kernel.process.is_running():
            raise self.kernel.gone()


def wait_for_end(processes: list[psutil.Process], seconds: float) -> bool:
    """Wait until processes have ended, taken notice of or not.

    psutil waits for that notice, too, which some systems take after seconds.

    Returns:
        Whether they all have ended in this time.
    """
    end = time.monotonic() + seconds
    while not (ended := all(map(_has_ended, processes))):
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    return ended


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def size(value: Any) -> int:
    """About how many bytes the content of a message has."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(size, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(size, value))
    return 8


def _folder_size(folder: Path) -> int:
    with contextlib.suppress(OSError):  # files come and go
        return sum(path.lstat().st_size for path in folder.iterdir())
    return 0
