"""An interrupt (the stop button, Ctrl-C) that waits for a good moment."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Holds interrupts back, except where the work can be taken back.

    Within `with Interrupts() as interrupts:` an interrupt is noted in
    `asked`, to be looked at when nothing is half done. Only within
    `interrupts.at_once()` does it raise KeyboardInterrupt, as it always does
    elsewhere.

    Signals reach the main thread alone, so in any other one there is nothing
    to hold back.
    """

    def __init__(self) -> None:
        self.asked = False
        self._raise = False

    def __enter__(self) -> "Interrupts":
        # A process in the background ignores interrupts, and still shall.
        self._hold = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        )
        if self._hold:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._hold:
            # None: the handler before was not installed from Python.
            signal.signal(signal.SIGINT, self._before or signal.SIG_DFL)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._raise:
            self._raise = False  # once: a second one must not stop the rescue
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Interrupts raise here, one that was held back included."""
        if self.asked:
            raise KeyboardInterrupt
        self._raise = True
        try:
            yield
        finally:
            self._raise = False
