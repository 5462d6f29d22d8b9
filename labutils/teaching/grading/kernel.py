"""A student's kernel: cells run in it within limits, and it is watched."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbclient.util import run_sync
from nbformat import NotebookNode

from labutils.teaching.grading import sandbox
from labutils.teaching.grading.sandbox import Limits
from labutils.teaching.grading.watch import WATCH, Watcher, size

GRACE = 3.0  # seconds for a kernel that was told to stop its cell
LARGEST_MESSAGE = 64 * 2**20  # bytes
START = 60.0  # seconds for a kernel to begin
LAUNCHER = [
    sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
    "--log-level=CRITICAL",
]


class KernelLostError(RuntimeError):
    """The kernel is gone.

    Attributes:
        reason: "kernel died", "out of memory", "timed out", "processes" or
            "output".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SandboxedManager(AsyncKernelManager):
    """Starts its kernel in the sandbox, and talks to it through files."""

    sandboxed: list[str]
    user: int

    @property
    def kernel_spec(self) -> KernelSpec:
        # Signals do not reach into the sandbox; messages do.
        return KernelSpec(
            argv=self.sandboxed, display_name="Python 3", language="python",
            interrupt_mode="message",
        )

    def client(self, **kwargs: Any) -> Any:
        # One context, so that all its sockets have the same limits.
        return super().client(context=self.context, **kwargs)

    def write_connection_file(self, **kwargs: Any) -> None:
        super().write_connection_file(**kwargs)
        if self.user:
            for path in (self.connection_file, Path(self.ip).parent):
                os.chown(path, self.user, self.user)


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
        # Short: the path of a socket has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="lg"))
        self.folder.chmod(0o711)
        self.manager = SandboxedManager(
            transport="ipc", ip=str(self.folder / "k"),
            connection_file=str(self.folder / "k.json"),
        )
        # A larger message ends the connection, and with it the cell.
        context = zmq.asyncio.Context()
        context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        self.manager.context = context
        self.manager.sandboxed = sandbox.command(
            LAUNCHER, self.folder, text, limits, slot)
        self.manager.user = sandbox.user(slot)
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
            raise self._gone() from None
        except Exception:  # messages that are none
            self.lose("kernel died")
            raise self._gone() from None
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
            RuntimeError: there was no text; its message is the error's.
        """
        if self.lost:
            raise KernelLostError(self.lost)
        channel: Any = self.client.kc
        number = channel.execute(
            "", silent=True, store_history=False, allow_stdin=False,
            user_expressions={"far": code},
        )
        content = self._reply(channel, number, seconds)
        answer = content.get("user_expressions", {}).get("far", {})
        if answer.get("status") != "ok":
            raise RuntimeError(
                f"{answer.get('ename', '?')}: {answer.get('evalue', '')}")
        return str(answer.get("data", {}).get("text/plain", ""))

    def kill(self) -> None:
        """End all that runs in the sandbox, at once."""
        with contextlib.suppress(psutil.Error, AttributeError):
            found = [*self.process.children(True), self.process]
            for process in found:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            # The sandbox's first process is gone after all the others.
            psutil.wait_procs(found, GRACE)

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

    def _reply(
        self, channel: Any, number: str, seconds: float
    ) -> dict[str, Any]:
        end = min(time.monotonic() + seconds, self.end)
        told = False
        while True:
            if self.lost or not self.process.is_running():
                raise self._gone()
            with contextlib.suppress(Exception):
                # Empty after the time, or a message nobody can read.
                message = run_sync(channel.get_shell_msg)(timeout=0.5)
                if message["parent_header"].get("msg_id") == number:
                    if told:
                        raise TimeoutError
                    return message["content"]
            if time.monotonic() > end + GRACE:
                self.lose("timed out")
            elif time.monotonic() > end and not told:
                told = True
                run_sync(self.manager.interrupt_kernel)()

    def _settle(self) -> None:
        """Stop a cell, and wait until the kernel answers again."""
        run_sync(self.manager.interrupt_kernel)()
        with contextlib.suppress(TimeoutError, RuntimeError):
            self.evaluate("0", GRACE)
            return
        self.lose("timed out")

    def _gone(self) -> KernelLostError:
        # The watcher may be about to say why.
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
