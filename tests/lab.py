"""A real JupyterLab in a real browser, as a test's own."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from page import Page, wait_for

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]
IMAGES = Path(__file__).resolve().parents[1] / "notebooks/images"
SIZE = {"width": 1280, "height": 900}  # of the window, in pixels
TOKEN = "test"
KERNELSPEC = {
    "name": "python3", "display_name": "Python 3", "language": "python",
}


class Lab:
    """A JupyterLab with nothing of anybody's settings, and a browser.

    Skips the test where playwright or a browser is missing. For a fixture of
    one module, not of the session: as long as playwright runs, no other test
    of the same process can use asyncio.

    Args:
        folder: an empty folder of the test's own.
        environment: variables of the kernels to set, or to unset where the
            value is None; those by which a test run is recognised are unset.

    Attributes:
        notebooks: the folder that JupyterLab shows.
    """

    def __init__(self, folder: Path, **environment: str | None) -> None:
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self.environment = environment
        self.stack = ExitStack()
        self.window: Any = None

    def __enter__(self) -> "Lab":
        with self.stack as stack:
            self.context = stack.enter_context(_browser())
            shutil.copytree(IMAGES, self.notebooks / "images")
            self.address = stack.enter_context(
                _server(self.folder, self.notebooks, self._variables())
            )
            self.stack = stack.pop_all()  # nothing failed: not closed yet
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _variables(self) -> dict[str, str]:
        variables = dict(os.environ)
        changes = {
            "PYTEST_VERSION": None, "CI": None, "LABUTILS_DEVICE": "cpu",
            # Another test may run the same notebook at the same time.
            "LABUTILS_RESULTS_DIR": str(self.folder / "results"),
            **self.environment,
        }
        for name, value in changes.items():
            variables.pop(name, None)
            if value is not None:
                variables[name] = value
        return variables

    def write(self, name: str, sources: Iterable[str]) -> Path:
        """Make a notebook of these code cells."""
        path = self.notebooks / name
        cells = [nbformat.v4.new_code_cell(s.strip()) for s in sources]
        nbformat.write(
            nbformat.v4.new_notebook(
                cells=cells, metadata={"kernelspec": KERNELSPEC}
            ),
            path,
        )
        return path

    @contextmanager
    def open(self, name: str) -> Iterator[Page]:
        """A notebook in JupyterLab's window, its kernel connected.

        At the end its kernel is shut down and its tab closed. An error that
        the page has met until then fails the test.
        """
        fresh = self.window is None
        if fresh:
            self.window = self.context.new_page()
        page = Page(
            self.window, f"{self.address}/lab/tree/{name}?token={TOKEN}&reset"
        )
        try:
            # JupyterLab takes seconds to load, a notebook in it does not.
            page.load() if fresh else page.change_to(name)
            yield page
            page.shut_down()
        except BaseException:
            self.window.close()  # as it is, it is of no use to the next test
            self.window = None
            raise
        finally:
            page.close()


@contextmanager
def _browser() -> Iterator[Any]:
    """A Chromium without a window on the screen, as playwright's context."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright, from PyPI"
    )
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    if not found:
        pytest.skip("needs a browser: Chromium or Chrome on the PATH")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=found[0], args=ARGUMENTS, headless=True
        )
        # One for all windows: JupyterLab's scripts are loaded once.
        yield browser.new_context(viewport=SIZE)
        browser.close()


@contextmanager
def open_window() -> Iterator[Any]:
    """A window of a browser of its own, for a page without a notebook."""
    with _browser() as context:
        yield context.new_page()


@contextmanager
def _server(
    folder: Path, notebooks: Path, variables: dict[str, str]
) -> Iterator[str]:
    """The address of a running JupyterLab."""
    for name in (
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
    ):
        variables[name] = str(folder / name.lower())
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [
                sys.executable, "-m", "jupyterlab", "--no-browser",
                "--ip=127.0.0.1", f"--port={port}", "--allow-root",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={TOKEN}",
                f"--ServerApp.root_dir={notebooks}",
                "--LabApp.expose_app_in_browser=True",
            ],
            env=variables, stdout=log, stderr=log,
        )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answers() -> bool:
        assert server.poll() is None, (folder / "lab.log").read_text()
        try:
            with opener.open(f"{address}/api?token={TOKEN}") as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    try:
        wait_for(answers, "answer from JupyterLab")
        yield address
    finally:
        server.terminate()  # it ends its kernels, or they end after it
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
