"""How much memory one student takes on a server, JupyterLab and kernels.

Run it with:  python benchmarks/student.py [--quick]
Writes results/benchmarks/student.txt. Linux only: it reads /proc.

A JupyterLab of its own starts the kernels, as it does for a student; notebooks
1, 3 and 6 run in them from start to end with few epochs, since memory does not
grow with the number of epochs. Resident memory is what a limit counts; of
that, what several processes share (the code of PyTorch, say) is counted in
each of them, so that the sums are on the safe side.
"""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
import torch
from jupyter_client import BlockingKernelClient

from labutils import settings
from labutils.results import save_text

NOTEBOOKS = ("01", "03", "06")
TOKEN = "measured"
SECONDS = 600  # for a cell, and for the server to answer


class Server:
    """A JupyterLab, asked as a browser asks it.

    Args:
        process: the server's.
        address: where it answers.
        runtime: the folder of the kernels' connection files.
    """

    def __init__(
        self, process: subprocess.Popen, address: str, runtime: Path
    ) -> None:
        self.process, self.address = process, address
        self.runtime = runtime

    def ask(self, what: str, **content: str) -> Any:
        """Get something, or with content ask for something new."""
        request = urllib.request.Request(
            f"{self.address}/api/{what}",
            method="POST" if content else "GET",
            data=json.dumps(content).encode() if content else None,
            headers={"Authorization": f"token {TOKEN}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=SECONDS) as answer:
            return json.loads(answer.read() or "null")

    def kernel(self, folder: str) -> BlockingKernelClient:
        """Start a kernel in a folder, and connect to it."""
        started = self.ask("kernels", name="python3", path=folder)
        file = self.runtime / f"kernel-{started['id']}.json"
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels()
        wait_for(lambda: client.wait_for_ready(timeout=SECONDS) is None)
        return client


@contextmanager
def jupyterlab(folder: Path, epochs: int) -> Iterator[Server]:
    """A JupyterLab with settings of its own."""
    variables = os.environ | {
        "LABUTILS_EPOCHS": str(epochs), "LABUTILS_DEVICE": "cpu",
        "LABUTILS_RESULTS_DIR": str(folder / "results"),
    }
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        variables[f"JUPYTER_{name}"] = str(folder / name.lower())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={settings.home()}",
    ]
    with (folder / "lab.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *arguments], env=variables,
            stdout=log, stderr=log,
        )
    server = Server(
        process, f"http://127.0.0.1:{port}", folder / "runtime_dir"
    )
    try:
        wait_for(lambda: server.ask("status"))
        yield server
    finally:
        process.terminate()  # it ends its kernels
        process.wait()


def wait_for(condition: Callable[[], Any]) -> None:
    """Until it holds; what does not answer yet is asked again."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        # RuntimeError: a kernel that takes long to start is thought dead.
        with suppress(urllib.error.URLError, ConnectionError, RuntimeError):
            if condition():
                return
        time.sleep(0.2)
    raise TimeoutError(f"nothing after {SECONDS} s")


def run(client: BlockingKernelClient, notebook: Path) -> None:
    """Run a notebook's code cells."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            reply = client.execute_interactive(
                cell.source, timeout=SECONDS, output_hook=lambda _: None,
            )["content"]
            if reply["status"] != "ok":
                raise RuntimeError(f"{notebook.name}: {reply['evalue']}")


def megabytes(pid: int, field: str) -> float:
    """VmRSS (resident now) or VmHWM (the most it has been) of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return float(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no {field}")


def measured(notebooks: Sequence[str], epochs: int) -> list[str]:
    """A line for the server, and one for each notebook."""
    lines = [f"{'':22s}{'now':>8s}{'at most':>9s}"]
    total = 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyterlab(Path(folder), epochs) as server,
    ):
        own = psutil.Process(server.process.pid)
        for number in notebooks:
            [path] = (settings.home() / "notebooks").glob(f"{number}_*")
            before = {child.pid for child in own.children()}
            client = server.kernel("notebooks")
            [pid] = {child.pid for child in own.children()
                     if "ipykernel_launcher" in child.cmdline()} - before
            if number == notebooks[0]:
                lines.append(_line("kernel, nothing run", pid))
            run(client, path)
            lines.append(_line(path.stem, pid))
            total += megabytes(pid, "VmRSS")
            client.stop_channels()
        lines.append(_line("JupyterLab's server", own.pid))
        total += megabytes(own.pid, "VmRSS")
    return [*lines, f"all of them at once    {total:7.0f}"]


def _line(name: str, pid: int) -> str:
    now, most = (megabytes(pid, field) for field in ("VmRSS", "VmHWM"))
    return f"{name:22.22s}{now:8.0f}{most:9.0f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true",
                        help="notebook 1 alone, which trains nothing")
    quick = parser.parse_args().quick
    notebooks, epochs = NOTEBOOKS[:1] if quick else NOTEBOOKS, 3
    head = [
        "Memory of one student, in MB (2**20 bytes)",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, Python "
        f"{platform.python_version()}, PyTorch {torch.__version__}, "
        f"{epochs} epochs, on the CPU", "",
    ]
    text = "\n".join([*head, *measured(notebooks, epochs)]) + "\n"
    print(text)
    save_text("benchmarks", "student.txt", text)


if __name__ == "__main__":
    main()
