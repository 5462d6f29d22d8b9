"""An eye on a sandbox: what its processes use, from outside of it."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from labutils.teaching.grading.sandbox import LARGEST_FILE, Limits

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
