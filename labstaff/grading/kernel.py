"""A student's kernel: cells run in it within limits, and it is watched."""

import contextlib
import json
import math
import os
import select
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbclient.util import run_sync
from nbformat import NotebookNode

from labstaff.grading import sandbox
from labstaff.grading.agent import MOST_BYTES
from labstaff.grading.forkserver import AGENT
from labstaff.grading.remote import UnreadableError, start_agent
from labstaff.grading.sandbox import LARGEST_FILE, Limits

START = 60.0  # seconds for a kernel to begin
GRACE = 3.0  # seconds for a kernel that was told to stop
WATCH = 0.1  # seconds between two looks at what it uses
LARGEST_MESSAGE = 16 * 2**20  # bytes of one of Jupyter's
LAUNCHER = [sys.executable, "-m", "ipykernel_launcher"]
ARGUMENTS = ["-f", "{connection_file}", "--log-level=CRITICAL"]


class KernelLostError(RuntimeError):
    """The kernel is gone, for one of the reasons in `notebook.LOST`, or else
    by no fault of the notebook's."""


class StudentKernel:
    """A running kernel for one notebook.

    Jupyter's messages bring it cells. Probes have hundreds of requests, for
    which those are too slow: they go through a pipe that it is born with.

    Args:
        text: of the corpus, which it may read.
        slot: a small number, another one for each sandbox of a time.
        forks: `pool.kernel_server`, for a kernel in a sandbox; None: it runs
            as the grader, on all files.
    """

    def __init__(self, notebook: NotebookNode, limits: Limits,
                 text: Path | None, slot: int,
                 forks: socket.socket | None) -> None:
        self.limits, self.text, self._forks = limits, text, forks
        self.lost = ""  # why it is gone; empty while it is there
        self.end = time.monotonic() + limits.notebook
        self._due = math.inf  # when the present request has to be over
        self._serving = ""  # Jupyter's request that the agent runs in
        self.folder = sandbox.folder()
        self.folder.chmod(0o711)
        self._ours, self._theirs = socket.socketpair()
        self._pipe = Connection(os.dup(self._ours.fileno()))
        self._killed = memory_kills()
        self.user = sandbox.user(slot) if forks else 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._ready, self._made = socket.socketpair()
        # Its end of the agent's pipe.
        self._agent = AGENT if forks else self._theirs.fileno()
        self.manager = _Manager(
            self, sandbox.command(self.folder, text) if forks
            else sandbox.without(limits, LAUNCHER))
        self.client: Any = _Client(self, notebook)

    @contextlib.contextmanager
    def running(self) -> Iterator["StudentKernel"]:
        """Start it; at the end nothing of it is left."""
        # What is written past the notebook would be the grader's.
        ends = ({"stdout": self._made, "pass_fds": []} if self._forks else
                {"stdout": subprocess.DEVNULL, "pass_fds": [self._agent]})
        try:
            with self.client.setup_kernel(cleanup_kc=True,
                                          cwd=str(self.folder),
                                          env=sandbox.environment(self.text),
                                          stderr=subprocess.DEVNULL, **ends):
                try:
                    yield self
                finally:
                    self._over.set()
                    self._watcher.join()
                    self._kill()
        finally:
            self._over.set()
            self.manager.context.destroy(linger=0)
            for end in (self._ours, self._theirs, self._pipe, self._ready,
                        self._made, self._forks):
                if end:
                    end.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def begun(self, pid: int, command: list[str]) -> None:
        """Watch the kernel; where a sandbox has begun, first have it begin."""
        self.process = self._first = psutil.Process(pid)
        if self._forks:
            self._fork(self._forks, command[command.index(ARGUMENTS[0]):])
        self._theirs.close()
        self._watcher.start()

    def _fork(self, forks: socket.socket, arguments: list[str]) -> None:
        while not select.select([self._ready], [], [], WATCH)[0]:
            if _has_ended(self._first):
                raise RuntimeError("bubblewrap could not make a sandbox")
        inside = os.pidfd_open(self._first.children(True)[-1].pid)
        request = {"arguments": arguments, "user": self.user,
                   "limits": sandbox.limits(self.limits, True),
                   "calls": sandbox.system_calls().hex(),
                   "environment": sandbox.environment(self.text)}
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                socket.send_fds(forks, [json.dumps(request).encode()], [
                    inside, self._theirs.fileno(), theirs.fileno()])
            os.close(inside)
            answer = ours.recv(1000).decode()
        if not answer.isdigit():
            raise RuntimeError(f"no kernel could begin in a sandbox: {answer}")
        self.process = psutil.Process(int(answer))

    def run(self, cell: NotebookNode, index: int) -> None:
        """Run a cell of the notebook; its errors are among its outputs.

        Raises:
            KernelLostError: the kernel has died, or had to be killed.
            TimeoutError: the cell ran too long; the kernel goes on.
        """
        if self.lost:
            raise KernelLostError(self.lost)
        try:
            self.client.execute_cell(cell, index)
        except CellTimeoutError:
            self._settle()
            raise TimeoutError("the cell was stopped after "
                               f"{self.limits.cell:.0f} s") from None
        except Exception:  # it has died, or sends messages that are none
            raise self._gone() from None
        if self.lost:
            raise KernelLostError(self.lost)

    @contextlib.contextmanager
    def probing(self) -> Iterator[None]:
        """Meanwhile the kernel answers requests, and runs no cell."""
        self._serving = self._evaluate(start_agent(self._agent))
        try:
            yield
        finally:
            if not self.lost and not self._agent_has_ended():
                with contextlib.suppress(OSError):
                    self._pipe.send_bytes(b"")

    def request(self, data: bytes, seconds: float) -> bytes:
        """Have the agent answer a request in some seconds, while `probing`.

        Raises:
            KernelLostError: as for `run`.
            TimeoutError: it took too long; the kernel goes on.
            UnreadableError: there is no agent.
        """
        if self.lost:
            raise KernelLostError(self.lost)
        end, told = min(time.monotonic() + seconds, self.end), False
        # Each step can wait for the kernel's end, even within a message.
        self._due = end + GRACE
        try:
            self._pipe.send_bytes(data)
            while not self._pipe.poll(0.5):
                if self._agent_has_ended():
                    raise UnreadableError("the kernel could not be asked")
                if not told and time.monotonic() > end:
                    told = True
                    run_sync(self.manager.interrupt_kernel)()
            answer = self._pipe.recv_bytes(MOST_BYTES)
        except (OSError, EOFError):  # it has hung up, or sends too much
            raise self._gone() from None
        finally:
            self._due = math.inf
        if told:
            raise TimeoutError
        return answer

    def lose(self, reason: str) -> None:
        """Kill the kernel and remember why."""
        if reason == "kernel died" and memory_kills() != self._killed:
            reason = "killed by the system, which was out of memory"
        self.lost = self.lost or reason
        self._kill()

    def _watch(self) -> None:
        """End the kernel when it uses more than it may."""
        while not self._over.wait(WATCH):
            if reason := self._excess():
                self.lose(reason)

    def _excess(self) -> str:
        """Why it has to end; empty where all is well."""
        found = self._processes()
        written = disk_use(self.folder)
        files: dict[tuple[int, int], int] = {}  # that no folder shows any more
        for process in found:
            files |= unlinked(process.pid)
        held = sum(memory(process, "rss") for process in found)
        if held > self.limits.memory:  # most of it may be the same memory
            held = sum(memory(process, "pss") for process in found)
        if _has_ended(self.process):
            return "kernel died"
        if len(found) > self.limits.processes:
            return "processes"
        if held + sum(files.values()) > self.limits.memory:
            return "out of memory"
        if time.monotonic() > min(self.end, self._due):
            return "timed out"
        return "output" if written > LARGEST_FILE else ""

    def _kill(self) -> None:
        """End all that runs in the sandbox, at once."""
        # Whoever waits for an answer waits no longer, even if some process
        # that escaped still holds the other end.
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        found = self._processes()
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        # The sandbox's first process is gone after all the others.
        wait_for_end(found, GRACE)

    def _processes(self) -> list[psutil.Process]:
        """All in the sandbox, its first one last."""
        found = [self.process, self._first]
        for process in {*found}:
            with contextlib.suppress(psutil.Error):
                found[:0] = process.children(True)
        return [*dict.fromkeys(found)]

    def _gone(self) -> KernelLostError:
        """Why it is gone; the watcher may be about to say so."""
        time.sleep(2 * WATCH)
        self.lose("kernel died")
        return KernelLostError(self.lost)

    def _settle(self) -> None:
        """Stop a cell, and wait until the kernel answers again."""
        for _ in range(2):  # a cell may survive one interrupt
            run_sync(self.manager.interrupt_kernel)()
            number = self._evaluate("0")
            end = time.monotonic() + GRACE
            while time.monotonic() < end:
                if self._has_replied(number, 0.5):
                    return
        self.lose("timed out")

    def _agent_has_ended(self) -> bool:
        if self._serving and self._has_replied(self._serving, 0):
            self._serving = ""
        return not self._serving

    def _has_replied(self, number: str, seconds: float) -> bool:
        """Whether one of Jupyter's requests has been answered."""
        try:
            message = run_sync(self.client.kc.get_shell_msg)(timeout=seconds)
            return message["parent_header"].get("msg_id") == number
        except Exception:  # none came in time, or nobody can read it
            return False

    def _evaluate(self, code: str) -> str:
        """Begin to evaluate an expression; the number of the request."""
        return self.client.kc.execute(
            "", silent=True, store_history=False, allow_stdin=False,
            user_expressions={"value": code})


class _Manager(AsyncKernelManager):
    """Starts a kernel in the sandbox, and talks to it through files."""

    def __init__(self, kernel: StudentKernel, command: list[str]) -> None:
        super().__init__(transport="ipc", ip=str(kernel.folder / "k"),
                         connection_file=str(kernel.folder / "k.json"))
        self.kernel, self.command = kernel, command
        # A larger message ends the connection, and with it the cell.
        self.context = zmq.asyncio.Context()
        self.context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)

    @property
    def kernel_spec(self) -> KernelSpec:
        # Signals do not reach into the sandbox; messages do.
        return KernelSpec(
            argv=self.command + ARGUMENTS, display_name="Python 3",
            language="python", interrupt_mode="message")

    async def _async_launch_kernel(self, kernel_cmd: list[str],
                                   **kwargs: Any) -> None:
        await super()._async_launch_kernel(kernel_cmd, **kwargs)
        process: Any = self.provisioner
        self.kernel.begun(process.pid, kernel_cmd)

    def client(self, **kwargs: Any) -> Any:
        # One context, so that all its sockets have the same limits.
        return super().client(context=self.context, **kwargs)

    def write_connection_file(self, **kwargs: Any) -> None:
        super().write_connection_file(**kwargs)
        if user := self.kernel.user:
            for path in (self.connection_file, self.kernel.folder):
                os.chown(path, user, user)


class _Client(NotebookClient):
    """nbclient, with an eye on how much is shown."""

    def __init__(self, kernel: StudentKernel, notebook: NotebookNode) -> None:
        super().__init__(
            notebook, km=kernel.manager, timeout=int(kernel.limits.cell),
            startup_timeout=int(START), allow_errors=True,
            interrupt_on_timeout=False, record_timing=False,
            coalesce_streams=True)
        self.kernel, self.shown = kernel, 0  # bytes of outputs so far

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] != "status":
            self.shown += len(json.dumps(
                msg.get("content"), ensure_ascii=False, default=str))
            if self.shown > self.kernel.limits.output:
                self.kernel.lose("output")
            if self.kernel.lost:
                return None
        return super().process_message(msg, cell, cell_index)


def wait_for_end(processes: list[psutil.Process], seconds: float) -> bool:
    """Wait until processes have ended, taken notice of or not; whether so.

    psutil waits for that notice, too, which some systems take after seconds.
    """
    end = time.monotonic() + seconds
    while not all(map(_has_ended, processes)):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def memory(process: psutil.Process, kind: str) -> int:
    """Bytes that a process holds ("rss"); of what several hold together its
    share alone ("pss", which takes longer to find out)."""
    with contextlib.suppress(psutil.Error):
        if kind == "pss":
            full = process.memory_full_info()
            return getattr(full, "pss", full.rss)
        return process.memory_info().rss
    return 0


def unlinked(pid: int) -> dict[tuple[int, int], int]:
    """Bytes of the files that a process alone keeps from being removed."""
    found = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                status = entry.stat()
                if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                    key = status.st_dev, status.st_ino
                    found[key] = status.st_blocks * 512
    return found


def disk_use(folder: Path) -> int:
    """Bytes of all that lies in a folder; files come and go meanwhile."""
    total = 0
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            with contextlib.suppress(OSError):
                status = Path(place, name).lstat()
                total += max(status.st_size, status.st_blocks * 512)
    return total


def memory_kills() -> str:
    """How many processes the system has killed for want of memory."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return line
    return ""


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True
