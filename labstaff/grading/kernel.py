"""A student's kernel: cells run in it within limits, and it is watched."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbclient.util import run_sync
from nbformat import NotebookNode

from labstaff.grading import sandbox
from labstaff.grading.channel import Line, expression
from labstaff.grading.manager import new_manager
from labstaff.grading.sandbox import Limits
from labstaff.grading.values import UnreadableError
from labstaff.grading.watch import (
    GRACE,
    WATCH,
    Clock,
    Watcher,
    size,
    wait_for_end,
)

START = 60.0  # seconds for a kernel to begin


class KernelLostError(RuntimeError):
    """The kernel is gone.

    Attributes:
        reason: "kernel died", "out of memory", "timed out", "processes" or
            "output".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StudentKernel:
    """A running kernel for one notebook.

    Args:
        notebook: whose cells will be run; they get their outputs.
        limits: that it has to keep.
        text: file of the corpus; None for the practice text.
        slot: a small number, another one for each kernel of a time.

    Attributes:
        lost: why the kernel is gone; empty while it is there.
        shown: bytes of outputs so far.
    """

    def __init__(
        self, notebook: NotebookNode, limits: Limits, text: Path | None,
        slot: int = 0,
    ) -> None:
        self.limits, self.lost, self.shown = limits, "", 0
        self.line: Line | None = None
        # Short: the path of a socket has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="lg"))
        self.folder.chmod(0o711)
        self.manager = new_manager(self.folder, text, limits, slot)
        self.client = _Client(self, notebook)
        self.text = text
        self.end = time.monotonic() + limits.notebook

    @contextlib.contextmanager
    def running(self) -> Iterator["StudentKernel"]:
        """Start it; at the end nothing of it is left."""
        try:
            with self.client.setup_kernel(
                cleanup_kc=True, cwd=str(self.folder),
                env=sandbox.environment(self.text),
                # What is written past the notebook would be the grader's.
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ):
                self.process = psutil.Process(self._pid())
                watcher = Watcher(self.process, self.limits, self.folder,
                                  self.end, self.lose)
                watcher.start()
                try:
                    yield self
                finally:
                    watcher.over.set()
                    self.kill()
        finally:
            self.manager.context.destroy(linger=0)
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, cell: NotebookNode, index: int) -> float:
        """Run a cell of the notebook; its errors are among its outputs.

        Returns:
            Seconds that it took.

        Raises:
            KernelLostError: the kernel has died, or had to be killed.
            TimeoutError: the cell ran too long; the kernel goes on.
        """
        begin = time.monotonic()
        if self.lost:
            raise KernelLostError(self.lost)
        try:
            self.client.execute_cell(cell, index)
        except CellTimeoutError:
            self._settle()
            raise TimeoutError(
                f"the cell was stopped after {self.limits.cell:.0f} s"
            ) from None
        except DeadKernelError:
            raise self.gone() from None
        except Exception:  # messages that are none
            self.lose("kernel died")
            raise self.gone() from None
        if self.lost:
            raise KernelLostError(self.lost)
        return time.monotonic() - begin

    def evaluate(self, code: str, seconds: float) -> str:
        """Run code silently; the text that its last expression gives.

        Args:
            code: an expression, evaluated in the student's namespace.
            seconds: that it may take.

        Raises:
            KernelLostError: as for `run`.
            TimeoutError: it took too long; the kernel goes on, or is lost.
            UnreadableError: there was no text; its message is the error's.
        """
        if self.lost:
            raise KernelLostError(self.lost)
        if self.line:
            return self._over_line(self.line, code, seconds)
        channel: Any = self.client.kc
        content = self._reply(channel, self._ask(code), seconds)
        answer = content.get("user_expressions", {}).get("far", {})
        if answer.get("status") != "ok":
            raise UnreadableError(
                f"{answer.get('ename', '?')}: {answer.get('evalue', '')}")
        return str(answer.get("data", {}).get("text/plain", ""))

    @contextlib.contextmanager
    def probing(self) -> Iterator[None]:
        """Meanwhile `evaluate` takes the short way, if there is one."""
        # A kernel that does not answer there is asked in Jupyter's way.
        with contextlib.suppress(OSError):
            line = Line(self.folder / "line")
            self._ask(expression(line.path))
            if line.connected(GRACE):
                self.line = line
        try:
            yield
        finally:
            if self.line:
                self.line.close()
            self.line = None

    def kill(self) -> None:
        """End all that runs in the sandbox, at once."""
        with contextlib.suppress(psutil.Error, AttributeError):
            found = [*self.process.children(True), self.process]
            for process in found:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            # The sandbox's first process is gone after all the others.
            wait_for_end(found, GRACE)

    def lose(self, reason: str) -> None:
        """Kill the kernel and remember why."""
        self.lost = self.lost or reason
        self.kill()

    def count(self, message: dict[str, Any]) -> bool:
        """Count an output; False from the limit on, when it is not kept."""
        self.shown += size(message.get("content"))
        if self.shown > self.limits.output:
            self.lose("output")
        return not self.lost

    def _ask(self, code: str) -> str:
        """Have an expression evaluated; the number of the request."""
        return self.client.kc.execute(  # type: ignore[union-attr]
            "", silent=True, store_history=False, allow_stdin=False,
            user_expressions={"far": code},
        )

    def _over_line(self, line: Line, code: str, seconds: float) -> str:
        clock = Clock(self, seconds)
        try:
            line.send(code)
            while (reply := line.receive(0.5)) is None:
                clock.look()
        except (OSError, EOFError, ValueError):
            self.line = None
            if clock.told:
                raise TimeoutError from None
            gone = self.gone()
            self.kill()
            raise gone from None
        if clock.told:
            raise TimeoutError
        worth, text = reply
        if not worth:
            raise UnreadableError(text)
        return text

    def _reply(
        self, channel: Any, number: str, seconds: float
    ) -> dict[str, Any]:
        clock = Clock(self, seconds)
        while True:
            clock.look()
            try:
                message = run_sync(channel.get_shell_msg)(timeout=0.5)
                if message["parent_header"].get("msg_id") != number:
                    continue
                content = message["content"]
            except Exception:  # none came in time, or nobody can read it
                continue
            if clock.told:
                raise TimeoutError
            return content

    def _settle(self) -> None:
        """Stop a cell, and wait until the kernel answers again."""
        run_sync(self.manager.interrupt_kernel)()
        with contextlib.suppress(TimeoutError, RuntimeError):
            self.evaluate("0", GRACE)
            return
        self.lose("timed out")

    def gone(self) -> KernelLostError:
        """Why it is gone; the watcher may be about to say so."""
        time.sleep(2 * WATCH)
        self.lost = self.lost or "kernel died"
        return KernelLostError(self.lost)

    def _pid(self) -> int:
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]


class _Client(NotebookClient):
    """nbclient, with an eye on how much is shown."""

    def __init__(self, kernel: StudentKernel, notebook: NotebookNode) -> None:
        super().__init__(
            notebook, km=kernel.manager, timeout=int(kernel.limits.cell),
            startup_timeout=int(START), allow_errors=True,
            interrupt_on_timeout=False, record_timing=False,
            coalesce_streams=True,
        )
        self.kernel = kernel

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] != "status" and not self.kernel.count(msg):
            return None
        return super().process_message(msg, cell, cell_index)
