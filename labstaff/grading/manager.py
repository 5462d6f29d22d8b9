"""Starts a kernel in the sandbox, and talks to it through files."""

import os
import sys
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from labstaff.grading import sandbox
from labstaff.grading.sandbox import Limits

LARGEST_MESSAGE = 64 * 2**20  # bytes
LAUNCHER = [
    sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
    "--log-level=CRITICAL",
]


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


def new_manager(
    folder: Path, text: Path | None, limits: Limits, slot: int
) -> SandboxedManager:
    """A manager of a kernel that is not started yet.

    Args:
        folder: for its sockets; shared with the sandbox.
        text, limits, slot: as for `sandbox.command`.
    """
    manager = SandboxedManager(
        transport="ipc", ip=str(folder / "k"),
        connection_file=str(folder / "k.json"),
    )
    # A larger message ends the connection, and with it the cell.
    context = zmq.asyncio.Context()
    context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    manager.context = context
    manager.sandboxed = sandbox.command(LAUNCHER, folder, text, limits, slot)
    manager.user = sandbox.user(slot)
    return manager
