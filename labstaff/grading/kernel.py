"""A student's kernel: cells run in it within limits, and it is watched."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import zmq
import zmq.asyncio
from jupyter_client import AsyncKernelClient
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbclient.util import run_sync
from nbformat import NotebookNode

from labstaff.grading import sandbox
from labstaff.grading.agent import MOST_BYTES
from labstaff.grading.forkserver import AGENT
from labstaff.grading.remote import UnreadableError, start_agent
from labstaff.grading.results import Job

START = 60.0  # seconds for a kernel to begin
GRACE = 3.0  # seconds for a kernel that was told to stop
END = 60.0  # seconds for killed processes to be gone, on a busy machine
WATCH = 0.1  # seconds between two looks at what it uses
LARGEST_MESSAGE = 16 * 2**20  # bytes of one of Jupyter's


class KernelLostError(RuntimeError):
    """The kernel is gone, for one of the reasons in `notebook.LOST`, or else
    by no fault of the notebook's."""


class StudentKernel:
    """A running kernel for one notebook.

    Jupyter's messages bring it cells. Probes have hundreds of requests, for
    which those are too slow: they go through a pipe that it is born with.
    Where it is from, `forks`, is a connection to `pool.kernel_server`.
    """

    def __init__(self, notebook: NotebookNode, job: Job,
                 forks: socket.socket) -> None:
        self.text, self.confined = job.text, job.settings.sandbox
        self.limits = job.settings.limits
        self.user = sandbox.user(job.slot) if self.confined else 0
        self.lost = ""  # why it is gone; empty while it is there
        self.end = time.monotonic() + self.limits.notebook
        self._due = self.end  # when the present request has to be over
        self._serving = ""  # Jupyter's request that the agent runs in
        self.home = sandbox.HOME if self.confined else tempfile.mkdtemp()
        self._forks, self._killed = forks, memory_kills()
        self._ours, self._theirs = socket.socketpair()
        self._pipe = Connection(os.dup(self._ours.fileno()))
        # The sandbox's first process, if there is one, then the kernel.
        self._begun: list[psutil.Process] = []
        # Its home, with its sockets: in the sandbox, where it fills no disk.
        self._places: list[int] = []
        self._over = threading.Event()
        self.client: Any = _Client(self, notebook)

    @contextlib.contextmanager
    def running(self) -> Iterator["StudentKernel"]:
        """Start it; at the end nothing of it is left."""
        context = zmq.asyncio.Context()
        # A larger message ends the connection, and with it the cell.
        context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        watcher = threading.Thread(target=self._watch, daemon=True)
        channels: Any = AsyncKernelClient(context=context)
        # On a busy machine a heartbeat would come too late.
        channels.is_alive = channels._async_is_alive = self._is_there
        try:
            watcher.start()
            channels.load_connection_info(self._begin())
            channels.start_channels(hb=False)
            run_sync(channels.wait_for_ready)(timeout=START)
            channels.allow_stdin = False
            self.client.kc = channels
            yield self
        finally:
            self._over.set()
            watcher.join()
            self._kill()
            context.destroy(linger=0)
            for end in (self._ours, self._theirs, self._pipe, self._forks):
                end.close()
            for place in self._places:
                os.close(place)
            if not self.confined:
                shutil.rmtree(self.home, ignore_errors=True)

    def _begin(self) -> dict[str, Any]:
        """Make the sandbox, and a fork that joins it; how to talk to it."""
        channels = ("shell", "iopub", "stdin", "control", "hb")
        connection: dict[str, Any] = {
            "transport": "ipc", "ip": f"{self.home}/k", **{
                f"{name}_port": i for i, name in enumerate(channels, 1)}}
        key = secrets.token_hex()
        request = {
            "confined": self.confined, "user": self.user,
            "calls": sandbox.system_calls().hex(),
            "arguments": [f"--Session.key={key}", "--log-level=CRITICAL", *(
                f"--IPKernelApp.{name}={value}"
                for name, value in connection.items())],
            "limits": sandbox.limits(self.limits, self.confined),
            "environment": sandbox.environment(self.text, self.home)}
        inside = os.pidfd_open(
            self._sandbox() if self.confined else os.getpid())
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, self._theirs:
                socket.send_fds(self._forks, [json.dumps(request).encode()], [
                    inside, self._theirs.fileno(), theirs.fileno()])
            os.close(inside)
            answer, self._places, *_ = socket.recv_fds(ours, 1000, 1)
        if not self._places:
            raise RuntimeError(f"no kernel could begin: {answer.decode()}")
        self._begun.append(psutil.Process(int(answer)))
        return connection | {
            "key": key, "ip": f"/proc/self/fd/{self._places[0]}/k"}

    def _sandbox(self) -> int:
        """Make a sandbox; the number of a process in it."""
        first = psutil.Popen(
            sandbox.command(self.text), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, env=sandbox.environment(None))
        self._begun.append(first)
        with first.stdout:
            if not first.stdout.readline():
                raise RuntimeError("bubblewrap could not make a sandbox")
        return first.children(True)[-1].pid

    def run(self, cell: NotebookNode, index: int) -> None:
        """Run a cell of the notebook; its errors are among its outputs.

        Raises:
            KernelLostError: the kernel has died, or had to be killed.
            TimeoutError: the cell ran too long; the kernel goes on.
        """
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
        self._serving = self._evaluate(start_agent(AGENT))
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
                    self._interrupt()
            answer = self._pipe.recv_bytes(MOST_BYTES)
        except (OSError, EOFError):  # it has hung up, or sends too much
            raise self._gone() from None
        finally:
            self._due = self.end
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
        held = sum(memory(process, False) for process in found)
        if held > self.limits.memory:  # most of it may be the same memory
            held = sum(memory(process, True) for process in found)
        if any(map(_has_ended, self._begun)):
            return "kernel died"
        if len(found) > self.limits.processes:
            return "processes"
        if held > self.limits.memory:
            return "out of memory"
        return "timed out" if time.monotonic() > self._due else ""

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
        wait_for_end(found, END)
        for process in self._begun:
            with contextlib.suppress(psutil.Error):
                process.wait(0)

    def _processes(self) -> list[psutil.Process]:
        """All in the sandbox, its first one last."""
        found = self._begun[::-1]
        for process in self._begun:
            with contextlib.suppress(psutil.Error):
                found[:0] = process.children(True)
        return [*dict.fromkeys(found)]

    def _gone(self) -> KernelLostError:
        """Why it is gone; the watcher may be about to say so."""
        time.sleep(2 * WATCH)
        self.lose("kernel died")
        return KernelLostError(self.lost)

    async def _is_there(self) -> bool:
        return not self.lost

    def _interrupt(self) -> None:
        with contextlib.suppress(psutil.Error):
            self._begun[-1].send_signal(signal.SIGINT)

    def _settle(self) -> None:
        """Stop a cell, and wait until the kernel answers again."""
        for _ in range(2):  # a cell may survive one interrupt
            self._interrupt()
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


class _Client(NotebookClient):
    """nbclient, with an eye on how much is shown."""

    def __init__(self, kernel: StudentKernel, notebook: NotebookNode) -> None:
        super().__init__(
            notebook, timeout=int(kernel.limits.cell), allow_errors=True,
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
    while not (ended := all(map(_has_ended, processes))) and (
            time.monotonic() < end):
        time.sleep(0.01)
    return ended


def memory(process: psutil.Process, share: bool) -> int:
    """Bytes that a process holds; of what several hold together its share
    alone, where that can be found out, which takes longer."""
    found = 0
    with contextlib.suppress(psutil.Error):
        found = process.memory_info().rss
        if share:
            found = getattr(process.memory_full_info(), "pss", found)
    return found


def memory_kills() -> list[str]:
    """How many processes the system has killed for want of memory."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/vmstat").read_text().splitlines()
        return [line for line in lines if line.startswith("oom_kill ")]
    return []


def _has_ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return True
