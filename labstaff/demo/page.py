"""The page itself: a notebook, served by Voila to this machine alone."""

import json
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import labutils
from labutils import settings
from labutils.corpus import Corpus

ADDRESS = "127.0.0.1"
PORT = 8866
# Both: what draws widgets, and what Voila has in the place of JupyterLab.
WIDGETS = (
    "@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"
)
HERE = Path(__file__).parent
SHARE = HERE / "share"  # with the template, which asks no other machine
PAGE = HERE / "demo.ipynb"


class PageError(RuntimeError):
    """The page cannot be served; the message says why and what to do."""


def free_port(port: int | None) -> int:
    """The port that was asked for, or else the usual one or another.

    Raises:
        PageError: that port is in use.
    """
    for choice in (PORT, 0) if port is None else (port,):
        with socket.socket() as attempt:
            if os.name == "posix":  # as the server will do it
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((ADDRESS, choice))
            except OSError:
                continue
            return attempt.getsockname()[1]
    raise PageError(
        f"port {port} is in use: another demo, or another program. Take "
        "another one with --port, or leave --port out."
    )


def put_text(corpus: Corpus) -> None:
    """Have the page's kernels use this text, and not look for one."""
    os.environ["LABUTILS_TEXT"] = str(corpus.path or settings.PRACTICE)


def serve(port: int, browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Args:
        port: a free one.
        browser: open the page in a browser.
    """
    with _surroundings():
        from voila.app import Voila
        app = Voila.instance(
            ip=ADDRESS, port=port, port_retries=0, open_browser=browser,
            log_level="ERROR",
        )
        app.initialize([
            str(PAGE), "--template=lecture",
            # Other programs' extensions want a whole JupyterLab around them.
            *(f"--VoilaConfiguration.extension_allowlist={name}"
              for name in WIDGETS),
        ])
        # It tells of every page that its pings are corrected.
        logging.getLogger("tornado.general").setLevel("ERROR")
        print(f"The page: http://{ADDRESS}:{port}/ (Ctrl-C ends it)",
              flush=True)
        app.start()


@contextmanager
def _surroundings() -> Iterator[None]:
    """Where Voila finds the template and this environment's kernel.

    A kernel of the same name that somebody has installed for another
    environment would come first.
    """
    with tempfile.TemporaryDirectory(prefix="labutils-demo-") as folder:
        spec = Path(folder, "kernels", "python3", "kernel.json")
        spec.parent.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f",
                   "{connection_file}", "--log-level=CRITICAL"]
        spec.write_text(json.dumps({
            "argv": command, "display_name": "Python 3", "language": "python",
        }), encoding="utf-8")
        _put_first("JUPYTER_PATH", folder, SHARE)
        # The kernel's labutils is this one, installed or not.
        _put_first("PYTHONPATH", Path(labutils.__file__).parents[1])
        # Somebody's settings of Voila are not for this page.
        os.environ["JUPYTER_CONFIG_DIR"] = folder
        yield


def _put_first(variable: str, *paths: str | Path) -> None:
    """Of a search path in the environment; this process serves, and ends."""
    before = os.environ.get(variable)
    parts = [*map(str, paths), *([before] if before else [])]
    os.environ[variable] = os.pathsep.join(parts)
