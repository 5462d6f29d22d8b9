"""A student's kernel: what it may not do, and what is left when it tries."""

import contextlib
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import pytest

from labstaff.grading import sandbox
from labstaff.grading.kernel import KernelLostError, StudentKernel
from labstaff.grading.sandbox import Limits
from labstaff.grading.values import UnreadableError
from labutils import settings
from labutils.corpus import find_corpus

# Enough for honest cells on a machine that runs other tests as well.
LIMITS = Limits(cell=60, notebook=120, memory=2 * 2**30)
HURRY = replace(LIMITS, cell=4)
# Its user is no other test's, which may run at the same time.
SLOT = 500
sandboxed = pytest.mark.skipif(
    sandbox.bubblewrap() is None, reason="needs bubblewrap")


class Run:
    """What became of some cells, run one after the other."""

    def __init__(self, *sources, limits=LIMITS):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        self.notebook = nbformat.v4.new_notebook(cells=cells)
        self.kernel = StudentKernel(
            self.notebook, limits, find_corpus(download=False).path, SLOT)
        self.ends, self.lost = [], ""
        with self.kernel.running():
            self.first = self.kernel.process
            for index, cell in enumerate(cells):
                try:
                    self.kernel.run(cell, index)
                    self.ends.append("")
                except TimeoutError:
                    self.ends.append("late")
                except KernelLostError as lost:
                    self.lost = lost.reason
                    break
            self.ask()

    def ask(self):
        """What is asked of the kernel in the end: nothing here."""

    @property
    def text(self):
        return "".join(
            output.get("text", "") for cell in self.notebook.cells
            for output in cell.outputs)

    @property
    def error(self):
        return [
            output.ename for cell in self.notebook.cells
            for output in cell.outputs if output.output_type == "error"]


def test_a_cell_and_a_question():
    run = Run("x = 20 + 1\nprint('it is', 2 * x)", "1 / 0", "print(x)")
    assert run.text == "it is 42\n21\n"
    assert run.error == ["ZeroDivisionError"]
    assert run.ends == ["", "", ""]


def test_nothing_is_left():
    run = Run("import subprocess\nsubprocess.Popen(['sleep', '1234'])")
    with contextlib.suppress(psutil.NoSuchProcess):
        assert run.first.status() == psutil.STATUS_ZOMBIE
    assert not run.kernel.folder.exists()
    assert not [
        p for p in psutil.process_iter(["cmdline"])
        if p.info["cmdline"] == ["sleep", "1234"]]


@pytest.mark.parametrize("code", [
    "while True:\n    pass",
    "import time\ntime.sleep(1000)",
    "while True:\n    try:\n        while True:\n            pass\n"
    "    except BaseException:\n        pass\n    break",
])
def test_a_cell_that_takes_too_long_is_stopped_alone(code):
    run = Run(code, "print('next')", limits=HURRY)
    assert run.ends[0] == "late"
    assert "next" in run.text


def test_a_cell_that_cannot_be_stopped_costs_the_kernel():
    run = Run("print('before')", "import signal\n"
              "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
              "while True:\n    pass", "print('after')", limits=HURRY)
    assert run.lost == "timed out"
    assert "before" in run.text
    assert "after" not in run.text


@pytest.mark.parametrize(("code", "reason"), [
    ("import os\nos._exit(3)", "kernel died"),
    ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
     "kernel died"),
    ("x = []\nwhile True:\n    x.append(bytearray(b'x' * 2 ** 26))",
     "out of memory"),
    ("import time\nfor i in range(2000):\n    print('x' * 10 ** 4)\n"
     "    time.sleep(0.001)", "output"),
])
def test_what_costs_the_kernel(code, reason):
    run = Run("print('before')", code, "print('after')")
    assert run.lost == reason
    assert "before" in run.text
    assert "after" not in run.text


@sandboxed
def test_a_fork_bomb():
    run = Run("import os\nwhile True:\n    os.fork()", "print('after')")
    assert run.lost
    assert not [
        p for p in psutil.process_iter(["uids", "status"])
        if p.info["uids"].real == sandbox.user(SLOT) != 0
        and p.info["status"] != psutil.STATUS_ZOMBIE]


class Probed(Run):
    """Cells, and then two questions as a probe asks them."""

    def __init__(self, *sources):
        self.answers = []
        super().__init__(*sources)

    def ask(self):
        with self.kernel.probing():
            self.short = self.kernel.line is not None
            for code in ("x + 1", "y"):
                try:
                    self.answers.append(self.kernel.evaluate(code, 20))
                except UnreadableError as error:
                    self.answers.append(str(error).partition(":")[0])


def test_questions_go_the_short_way():
    run = Probed("x = 1")
    assert run.short
    assert run.answers == ["2", "NameError"]


@sandboxed
def test_a_link_in_the_place_of_the_socket_changes_nothing(tmp_path):
    own = tmp_path / "own"
    own.write_text("mine")
    own.chmod(0o600)
    run = Probed(
        "import os, sys\n"
        "place = os.path.dirname(sys.argv[sys.argv.index('-f') + 1])\n"
        f"os.symlink({str(own)!r}, place + '/line')\nx = 1")
    assert not run.error
    assert not run.short  # and it is asked in the other way
    assert run.answers == ["2", "NameError"]
    assert own.stat().st_mode & 0o777 == 0o600


def test_without_get_ipython_it_is_unreadable_and_not_lost():
    run = Probed("get_ipython = None\nx = 1")
    assert not run.short
    assert run.answers == ["2", "NameError"]


def test_the_whole_notebook_has_a_limit():
    begin = time.monotonic()
    run = Run(*["import time\ntime.sleep(3)"] * 9,
              limits=Limits(cell=4, notebook=8, memory=2 * 2**30))
    assert run.lost == "timed out"
    assert len(run.ends) < 9
    assert time.monotonic() - begin < 30  # not the 27 s that it asked for


def test_memory_that_cannot_be_had_is_an_error():
    run = Run("bytearray(30 * 2 ** 30)", "print('next')")
    assert run.error == ["MemoryError"]
    assert "next" in run.text


@sandboxed
class TestSandbox:
    def test_it_has_no_network(self):
        run = Run("import socket\n"
                  "socket.create_connection(('127.0.0.1', 22), 2)",
                  "socket.getaddrinfo('example.org', 80)")
        assert run.error == ["ConnectionRefusedError", "gaierror"]

    def test_it_sees_the_course_and_nothing_else(self):
        home = str(settings.home())
        # It may lie in the course's folder, and is what Python runs from.
        venv = Path(sys.prefix).name
        run = Run(
            "import os, labutils, labkit.checks, torch",
            f"print(sorted({{*os.listdir({home!r})}} - {{{venv!r}}}))",
            f"print(os.listdir({home + '/labstaff/grading'!r}))",
            f"print(os.path.exists({home + '/notebooks'!r}))",
            "print(sorted(os.listdir('/home')), os.getcwd())",
            "print({k for k in os.environ if 'SECRET' in k})",
            "labutils.find_corpus()",
        )
        assert run.text.splitlines()[:5] == [
            "['labkit', 'labstaff', 'labutils', 'pyproject.toml']",
            "['limits.py']", "False",
            "['student'] /home/student", "set()",
        ]
        assert not run.error

    def test_it_can_change_nothing(self):
        run = Run(
            "import labutils\nopen(labutils.__file__, 'a')",
            "import torch\nopen(torch.__file__, 'a')",
            "open('/usr/x', 'w')",
            "open('notes.txt', 'w').write('mine')",
        )
        assert set(run.error) <= {"OSError", "PermissionError"}
        assert len(run.error) == 3

    def test_it_cannot_fill_the_disk(self):
        run = Run("with open('big', 'wb') as file:\n"
                  "    for _ in range(100):\n"
                  "        file.write(bytes(2 ** 22))")
        assert run.error == ["OSError"]

    def test_it_sees_no_other_process(self):
        run = Run("import os\n"
                  "print(len([p for p in os.listdir('/proc')"
                  " if p.isdigit()]) < 6)", "os.kill(1, 9)\nprint('there')")
        assert run.text.startswith("True")

    def test_as_root_it_is_somebody_else(self):
        run = Run("import os\nprint(os.getuid())")
        own = sandbox.user(SLOT) or os.getuid()
        assert run.text == f"{own}\n"
        assert (own == 0) is False
