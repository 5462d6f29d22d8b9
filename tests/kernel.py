"""A real notebook kernel, as a test's own."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client import KernelManager

SECONDS = 120  # for a cell; a test that takes so long has failed


class Kernel:
    """A kernel that finds the tests' modules.

    Args:
        descriptors: of files that it inherits.
        environment: variables to set, or to unset where the value is None;
            those by which a test run is recognised are unset.
    """

    def __init__(
        self, descriptors: Sequence[int] = (), **environment: str | None
    ) -> None:
        variables = dict(os.environ)
        folders = [str(Path(__file__).parent), *sys.path]
        for name, value in {
            "PYTHONPATH": os.pathsep.join(filter(None, folders)),
            "PYTEST_VERSION": None, "CI": None, "LABUTILS_EPOCHS": None,
            **environment,
        }.items():
            variables.pop(name, None)
            if value is not None:
                variables[name] = value
        self.manager = KernelManager()
        assert self.manager.kernel_spec
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(env=variables, pass_fds=descriptors)
        self.client = self.manager.client()
        try:
            self.client.start_channels()
            self.client.wait_for_ready(timeout=SECONDS)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def begin(self, code: str, allow_stdin: bool = True) -> "Cell":
        """Start a cell; `allow_stdin` is what programs set to False."""
        number = self.client.execute(code, allow_stdin=allow_stdin)
        return Cell(self, number)

    def run(self, code: str, allow_stdin: bool = True) -> "Cell":
        """Run a cell to its end; it must not fail."""
        cell = self.begin(code, allow_stdin)
        cell.read()
        assert not cell.error, cell.error
        return cell

    def evaluate(self, code: str, seconds: float = SECONDS) -> str:
        """What an expression gives, as text, without a trace of it."""
        number = self.client.execute(
            "", silent=True, store_history=False, allow_stdin=False,
            user_expressions={"it": code},
        )
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                reply = self.client.get_shell_msg(timeout=left)
            except Empty:
                raise TimeoutError from None
            if reply["parent_header"].get("msg_id") == number:
                break
        found = reply["content"]["user_expressions"]["it"]
        assert found["status"] == "ok", found
        return found["data"]["text/plain"]


class Cell:
    """A cell that runs, or has run, and what it has shown so far."""

    def __init__(self, kernel: Kernel, number: str) -> None:
        self.kernel, self.number = kernel, number
        self.messages: list[dict[str, Any]] = []
        self.over = False

    def read(self, seconds: float = SECONDS) -> bool:
        """Take in messages until the end or for some time.

        Returns:
            Whether the cell is over.
        """
        end = time.monotonic() + seconds
        while not self.over and self.take(end - time.monotonic()):
            pass
        assert self.over or seconds < SECONDS, "the cell does not end"
        return self.over

    def until(self, kind: str) -> None:
        """Take in messages up to the next of a kind."""
        while True:
            assert self.take(SECONDS), f"no {kind} comes"
            if self.messages and self.messages[-1]["msg_type"] == kind:
                return
            assert not self.over, f"it ended without {kind}: {self.error}"

    def take(self, seconds: float) -> bool:
        """Take in one message; False where none came in time."""
        try:
            message = self.kernel.client.get_iopub_msg(
                timeout=max(0.0, seconds)
            )
        except Empty:
            return False
        if message["parent_header"].get("msg_id") == self.number:
            self.messages.append(message)
            content = message["content"]
            self.over |= content.get("execution_state") == "idle"
        return True

    def of(self, *kinds: str) -> Iterator[dict[str, Any]]:
        return (m for m in self.messages if m["msg_type"] in kinds)

    @property
    def text(self) -> str:
        """All that was printed."""
        return "".join(m["content"]["text"] for m in self.of("stream"))

    @property
    def error(self) -> str:
        """The traceback; empty where there is none."""
        return "\n".join(
            "\n".join(m["content"]["traceback"]) for m in self.of("error")
        )
