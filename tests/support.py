"""What several test files share: a stand-in text, a web server, processes."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labutils import History, corpus, settings

# What a committed output must not hold: somebody's folders.
MACHINE_PATH = re.compile(r"/(?:home|root|tmp|work|Users)/|[A-Z]:\\")

# Takes the place of The Time Machine, so that a test needs no copy of it. It
# begins as the book's file does and fills more than one network packet.
STAND_IN = b"The Time Machine, by H. G. Wells [1898]\n" + b"".join(
    b"Line %d of a text that stands in for the book.\n" % number
    for number in range(1, 1001)
)


def take_stand_in(set_attribute: Callable = setattr) -> None:
    """Make labutils take STAND_IN for The Time Machine.

    Args:
        set_attribute: monkeypatch.setattr, or setattr in a process that
            ends with its test.
    """
    sha256 = hashlib.sha256(STAND_IN).hexdigest()
    set_attribute(corpus, "SHA256", sha256)
    set_attribute(corpus, "SIZE", len(STAND_IN))


def use_corpus(url: str) -> None:
    """Get the stand-in from `url`; for a process of its own."""
    take_stand_in()
    corpus.URLS = (url,)
    corpus.READ_SECONDS = 60.0
    warnings.simplefilter("error")
    assert corpus.find_corpus().text.encode() == STAND_IN


def real_text() -> Path:
    """The path of The Time Machine; skips the test where there is none."""
    path = settings.text()
    if not isinstance(path, Path):
        pytest.skip("needs The Time Machine; here is only the practice text")
    return path


def names(folder: Path) -> list[str]:
    """The names of what is in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())


def consistent(history: History) -> None:
    """Its parts fit together, as far as the training got."""
    assert len(history.train_seconds) == history.num_epochs
    assert len(history.held_out_perplexity) == len(history.held_out_epochs)
    assert all(e <= history.num_epochs for e in history.held_out_epochs)
    assert all(epoch <= history.num_epochs for epoch, _ in history.samples)
    assert History.from_json(history.to_json()) == history


def closed_address() -> str:
    """An address on this machine where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/timemachine.txt"


def python(
    *arguments: str | Path, **environment: str | Path | None
) -> subprocess.Popen:
    """Start a Python process.

    Args:
        arguments: what follows `python` on the command line.
        environment: variables to set, or to unset where the value is None.
    """
    variables = dict(os.environ)
    # Where the process finds this module.
    variables["PYTHONPATH"] = str(Path(__file__).parent)
    variables["PYTHONIOENCODING"] = "utf-8"
    for name, value in environment.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = str(value)
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a process."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()  # it must not go on when the test has given up
    return process.returncode, out, err


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Gives each address the answer that the test has set for it."""

    server: "Server"
    timeout = 30

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.answers[self.path](self)

    def log_message(self, *_) -> None:
        """Not on the screen of a test run."""


class Server(ThreadingHTTPServer):
    """A web server on this machine, as bad as a test wants it.

    Attributes:
        answers: what to do for each path.
        asked: the paths that were asked for, in order.
        over: set at the end of the test; an answer that takes long stops.
    """

    daemon_threads = False  # so that closing waits for them

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.over = threading.Event()

    def at(self, path: str, answer: Answer) -> str:
        """Answer like this at `path`, and return its full address."""
        self.answers[path] = answer
        return f"http://127.0.0.1:{self.server_port}{path}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def body(
    data: bytes, *, status: int = 200, length: int | None = None
) -> Answer:
    """An answer with these bytes.

    Args:
        data: what is sent.
        status: HTTP status.
        length: what the header says of the length; None sends no such header
            and the data ends where the connection does.
    """

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(data)

    return answer
