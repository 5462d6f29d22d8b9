"""A training in JupyterLab, watched and stopped in a real browser."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]
SECONDS = 90  # for a step; one that takes so long has failed
TOKEN = "test"
NAME = "training.ipynb"
TRAINING = """
import torch
from torch import nn
from labutils import RNNModel, load_data_time_machine, train

train_iter, vocab = load_data_time_machine(32, 35)
model = RNNModel(nn.GRU(len(vocab), 32), len(vocab))
history = train(model, train_iter, vocab, 1.0, 3000)
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(condition, what, pause=0.1):
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"no {what} after {SECONDS} s"
        time.sleep(pause)
    return found


@pytest.fixture
def notebook(tmp_path):
    """The training as a notebook, alone in the folder that Lab shows."""
    path = tmp_path / "notebooks" / NAME
    path.parent.mkdir()
    cell = nbformat.v4.new_code_cell(TRAINING.strip())
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=[cell], metadata={"kernelspec": {
                "name": "python3", "display_name": "Python 3",
                "language": "python",
            }},
        ),
        path,
    )
    return path


@pytest.fixture
def lab(notebook, tmp_path):
    """The address of a JupyterLab with nothing of anybody's settings."""
    variables = {
        **os.environ, "LABUTILS_TEXT": "practice", "LABUTILS_DEVICE": "cpu"
    }
    for name in ("PYTEST_VERSION", "CI", "LABUTILS_EPOCHS"):
        variables.pop(name, None)
    for name in (
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
    ):
        variables[name] = str(tmp_path / name.lower())
    # Without the question whether one wants to read news.
    settings = tmp_path / "jupyterlab_settings_dir"
    file = settings / "@jupyterlab/apputils-extension"
    file.mkdir(parents=True)
    (file / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )
    port = free_port()
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [
                sys.executable, "-m", "jupyterlab", "--no-browser",
                "--ip=127.0.0.1", f"--port={port}", "--allow-root",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={TOKEN}",
                f"--ServerApp.root_dir={notebook.parent}",
                "--LabApp.expose_app_in_browser=True",
            ],
            env=variables, stdout=log, stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answers():
        assert server.poll() is None, (tmp_path / "lab.log").read_text()
        try:
            with opener.open(f"{address}/api?token={TOKEN}") as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    try:
        wait_for(answers, "answer from JupyterLab")
        yield address
    finally:
        server.terminate()  # it ends its kernels
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture
def browser(tmp_path):
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
        yield browser
        browser.close()


def open_notebook(browser, lab):
    """A fresh page, its kernel connected."""
    page = browser.new_context().new_page()
    page.set_default_timeout(1000 * SECONDS)
    page.goto(f"{lab}/lab/tree/{NAME}?token={TOKEN}&reset")
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext"
    )
    page.evaluate(
        "() => jupyterapp.shell.currentWidget.sessionContext.ready"
    )
    page.wait_for_function(
        """() => jupyterapp.shell.currentWidget.sessionContext.session
            ?.kernel?.connectionStatus === 'connected'"""
    )
    return page


def pictures(page):
    """What the images among the outputs show, as `data:` addresses."""
    return page.eval_on_selector_all(
        ".jp-OutputArea-output img", "images => images.map(i => i.src)"
    )


def test_a_training_is_watched_stopped_saved_and_read(
    browser, lab, notebook
):
    page = open_notebook(browser, lab)
    # Not to be awaited: the promise ends with the training.
    page.evaluate(
        "() => { jupyterapp.commands.execute('notebook:run-all-cells'); }"
    )
    page.wait_for_selector(".jp-OutputArea-output img")
    seen = []

    def four_were_seen():
        [picture] = pictures(page)
        if picture not in seen:
            seen.append(picture)
        return len(seen) == 4

    wait_for(four_were_seen, "four different pictures")
    texts = page.locator(".jp-OutputArea-output")
    assert "PARTIAL RUN" not in " ".join(texts.all_inner_texts())

    page.click('[data-command="notebook:interrupt-kernel"]')
    texts.filter(has_text="PARTIAL RUN, interrupted").wait_for()
    page.wait_for_function(
        """() => jupyterapp.shell.currentWidget.sessionContext.session
            .kernel.status === 'idle'"""
    )
    [final] = pictures(page)
    assert final not in seen
    page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    page.context.close()

    [cell] = nbformat.read(notebook, as_version=4).cells
    assert not [o for o in cell.outputs if o.output_type == "error"]
    [stored] = [
        output.data["image/png"] for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    stored = f"data:image/png;base64,{''.join(stored.split())}"
    assert final == stored

    page = open_notebook(browser, lab)
    page.wait_for_selector(".jp-OutputArea-output img")
    assert pictures(page) == [stored]
    image = page.locator(".jp-OutputArea-output img")
    shown = image.evaluate("i => [i.naturalWidth, i.width, i.complete]")
    assert shown == [1000, 500, True]
    page.context.close()
