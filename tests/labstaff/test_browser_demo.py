"""The lecture's page in a real browser, from a real start of the command."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from lab import _browser, _free_port
from page import wait_for

import labutils

pytestmark = pytest.mark.slow

ROOT = Path(labutils.__file__).parents[1]
SIZE = {"width": 1600, "height": 900}  # what a projector shows


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The command, on small trainings, in surroundings that are no help."""
    folder = tmp_path_factory.mktemp("demo")
    wrong = folder / "share" / "kernels" / "python3"
    wrong.mkdir(parents=True)
    (wrong / "kernel.json").write_text(json.dumps(
        {"argv": ["false"], "display_name": "Wrong", "language": "python"}
    ))
    config = folder / "config"
    config.mkdir()
    (config / "voila.json").write_text(
        json.dumps({"VoilaConfiguration": {"template": "no such"}})
    )
    variables = {
        **os.environ, "LABUTILS_TEXT": "practice", "LABUTILS_EPOCHS": "1",
        "LABUTILS_RESULTS_DIR": str(folder / "results"),
        "PYTHONPATH": str(ROOT), "JUPYTER_PATH": str(folder / "share"),
        "JUPYTER_CONFIG_DIR": str(config), "PYTHONUNBUFFERED": "1",
    }
    # A start in the background would have it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    log = (folder / "log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit", "demo", "--no-browser", "--port",
         str(_free_port())],
        env=variables, stdout=log, stderr=subprocess.STDOUT, cwd=folder,
    )
    signal.signal(signal.SIGINT, before)

    def said():
        return (folder / "log").read_text(encoding="utf-8")

    def address():
        assert process.poll() is None, said()
        return re.search(r"The page: (http://\S+)", said())

    try:
        yield process, wait_for(address, "address")[1], said
    finally:
        for child in psutil.Process().children(recursive=True):
            if process.poll() is None and child.pid == process.pid:
                process.kill()
        process.wait()
        log.close()


@pytest.fixture(scope="module")
def page(start):
    """The open page, what it has asked for, and its errors."""
    _, address, _ = start
    with _browser() as context:
        window = context.new_page()
        window.set_viewport_size(SIZE)
        window.set_default_timeout(90_000)
        window.asked, window.said = [], []
        window.on("request", lambda r: window.asked.append(r.url))
        window.on("pageerror", lambda e: window.said.append(str(e)))
        window.on("console", lambda m: m.type == "error"
                  and window.said.append(m.text))
        window.goto(address)
        window.locator(".labutils-screen img").nth(1).wait_for()
        yield window


def screen(page, number):
    return page.locator(".labutils-screen").nth(number)


def control(page, number, name):
    """A control of one of the two panels, by its description."""
    panel = page.locator(".labutils-panel").nth(number)
    label = page.get_by_text(name, exact=True)
    return panel.locator(
        ".widget-inline-hbox, .widget-toggle-buttons"
    ).filter(has=label)


def check_changes(page, number, move, words):
    """The move brings another picture, and a text with these words."""
    text = screen(page, number).inner_text
    source = screen(page, number).locator("img")
    before = source.get_attribute("src")
    assert words not in text()
    move()
    wait_for(lambda: words in text(), f"{words!r} on the page")
    assert source.get_attribute("src") != before
    assert source.evaluate("i => i.decode().then(() => i.naturalWidth)") > 1000
    assert source.get_attribute("alt")


def choose(page, number, name, option):
    return control(page, number, name).get_by_text(option, exact=True).click


def press(page, number, name, *keys):
    def move():
        control(page, number, name).locator(".noUi-handle").focus()
        for key in keys:
            page.keyboard.press(key)

    return move


def type_in(page, number, name, words):
    def move():
        field = control(page, number, name).locator("input")
        field.fill(words)
        field.press("Enter")

    return move


def test_the_terminal_says_what_goes_on(start):
    _, address, said = start
    lines = said().splitlines()
    assert lines[-1] == f"The page: {address} (Ctrl-C ends it)"
    for number, name in enumerate(("RNN", "LSTM", "GRU"), start=1):
        place = lines.index(f"{name} ({number} of 3): not trained yet")
        assert lines[place + 1].startswith("epoch    1/1  perplexity ")


def test_only_this_machine_is_served(start):
    process, address, _ = start

    def listening():
        found = psutil.Process(process.pid).net_connections("tcp")
        return {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}

    assert wait_for(listening, "server") == {"127.0.0.1"}
    assert address.startswith("http://127.0.0.1:")


def test_what_was_capped_says_so(page):
    capped, text = page.locator('p[role="alert"]').all_inner_texts()
    assert re.fullmatch(
        r"RNN, LSTM, GRU: CAPPED RUN, 1 of \d+ epochs "
        r"\(LABUTILS_EPOCHS=1\)\.", capped,
    )
    assert text == "All have read the practice text (not The Time Machine)."


def test_the_playground(page, screenshots):
    check_changes(
        page, 0, press(page, 0, "temperature", *["ArrowRight"] * 5),
        "temperature 0.5",
    )
    check_changes(page, 0, type_in(page, 0, "prefix", "we sm"), "we sm")
    before = screen(page, 0).locator("img").get_attribute("src")
    choose(page, 0, "model", "LSTM")()
    wait_for(
        lambda: screen(page, 0).locator("img").get_attribute("src") != before,
        "the other model",
    )
    page.screenshot(path=screenshots / "demo.png")


def test_the_microscope(page, screenshots):
    choose(page, 1, "model", "LSTM")()
    check_changes(page, 1, choose(page, 1, "show", "gates"), "forget")
    check_changes(
        page, 1, choose(page, 1, "show", "gradient norms"), "last but one"
    )
    check_changes(
        page, 1, type_in(page, 1, "text", "Time?"), "Please set another value"
    )
    type_in(page, 1, "text", "we smiled")()
    choose(page, 1, "show", "surprise")()
    wait_for(lambda: "bits a character" in screen(page, 1).inner_text(),
             "the surprises")
    page.locator("h2").nth(1).evaluate("title => title.scrollIntoView()")
    page.screenshot(path=screenshots / "demo_microscope.png")


def test_it_can_be_read_from_the_back_row(page):
    for selector, smallest in (
        ("#rendered_cells p", 24), (".labutils-screen td", 24),
        (".labutils-panel label", 20), (".labutils-panel button", 20),
        (".labutils-panel input", 20),
    ):
        sizes = page.locator(selector).evaluate_all(
            "all => all.map(x => parseFloat(getComputedStyle(x).fontSize))"
        )
        assert sizes and min(sizes) >= smallest, selector
    # Twice as high as the pixels would be: the writing grows with it.
    box = screen(page, 0).locator("img").bounding_box()
    assert box["width"] > 900
    # Nothing has to be pushed to the side.
    assert page.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth"
    )


def test_no_other_machine_was_asked(start, page):
    _, address, _ = start
    assert len(page.asked) > 10
    own = (address, "data:", "blob:")
    assert [url for url in page.asked if not url.startswith(own)] == []


def test_the_page_has_met_no_error(page):
    page.title()  # playwright hands errors over only while it is asked
    assert page.said == []


def test_ctrl_c_ends_it_and_its_kernels(start, page):
    """The last test: nothing is served after it."""
    process, _, said = start
    kernels = psutil.Process(process.pid).children(recursive=True)
    assert kernels
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    psutil.wait_procs(kernels, timeout=30)
    assert not [kernel for kernel in kernels if kernel.is_running()]
    assert "Traceback" not in said()
