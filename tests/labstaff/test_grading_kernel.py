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

from labstaff.grading import pool, sandbox
from labstaff.grading.kernel import (
    KernelLostError,
    StudentKernel,
    wait_for_end,
)
from labstaff.grading.matching import CourseNotebook
from labstaff.grading.remote import Ended, Session
from labstaff.grading.results import Job, Settings
from labstaff.grading.sandbox import Limits
from labutils import settings
from labutils.corpus import find_corpus

pytestmark = pytest.mark.slow
# Enough for honest cells on a machine that runs other tests as well.
LIMITS = Limits(cell=60, notebook=120, memory=2 * 2**30)
HURRY = replace(LIMITS, cell=4)
# Its user is no other test's, which may run at the same time.
SLOT = 500
sandboxed = pytest.mark.skipif(
    bool(sandbox.fault()), reason="needs bubblewrap")


@pytest.fixture(scope="module", autouse=True)
def _server():
    yield
    pool.end_server()


class Run:
    """What became of some cells, run one after the other."""

    def __init__(self, *sources, limits=LIMITS, confined=True):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        self.notebook = nbformat.v4.new_notebook(cells=cells)
        own = Settings(
            limits=limits, sandbox=confined and not sandbox.fault())
        job = Job("", CourseNotebook("", {}, ()), self.notebook, "", own,
                  find_corpus(download=False).path, SLOT)
        self.kernel = StudentKernel(
            self.notebook, job, pool.kernel_server())
        self.ends, self.lost = [], ""
        with self.kernel.running():
            self.first = self.kernel._begun[-1]
            for index, cell in enumerate(cells):
                try:
                    self.kernel.run(cell, index)
                    self.ends.append("")
                except TimeoutError:
                    self.ends.append("late")
                except KernelLostError as lost:
                    self.lost = str(lost)
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


def test_without_a_sandbox_it_runs_as_the_grader_and_within_limits():
    run = Run("import os, resource\nprint(os.getuid(), os.getcwd())",
              "print(resource.getrlimit(resource.RLIMIT_CORE))",
              "import time\ntime.sleep(100)", limits=HURRY, confined=False)
    assert run.text == f"{os.getuid()} {run.kernel.home}\n(0, 0)\n"
    assert run.ends == ["", "", "late"]
    assert run.error == ["KeyboardInterrupt"]
    assert wait_for_end([run.first], 0)
    assert not Path(run.kernel.home).exists()


def test_without_a_sandbox_it_ends_with_the_server():
    class Left(Run):
        def ask(self):
            pool.end_server()
            self.ended = wait_for_end([self.first], 30)

    assert Left("print('there')", confined=False).ended


@sandboxed
def test_a_fork_bomb():
    run = Run("import os, torch\nwhile True:\n    os.fork()",
              "print('after')")
    assert run.lost == "processes"
    assert not [
        p for p in psutil.process_iter(["uids", "status"])
        if p.info["uids"].real == sandbox.user(SLOT) != 0
        and p.info["status"] != psutil.STATUS_ZOMBIE]


class Probed(Run):
    """Cells, and then two probes of a function `double` each."""

    def ask(self):
        self.answers = []
        for number in (4, 5):
            if self.lost or self.kernel.lost:
                break
            with self.kernel.probing():
                session = Session(self.request)
                self.answers.append(self.ask_once(session, number))

    def request(self, data, seconds):
        return self.kernel.request(data, min(seconds, self.seconds))

    seconds = 60.0

    def ask_once(self, session, number):
        try:
            return session.call(("double",), (number,), {})
        except Ended as ended:
            return type(ended.reason).__name__
        except Exception as error:
            return f"{type(error).__name__}: {error}"


class Hurried(Probed):
    seconds = 4.0

    def __init__(self, source):
        super().__init__(f"import labkit.checks\n{source}")


DOUBLE = "def double(x):\n    return 2 * x"


def test_a_probe_calls_what_the_cells_have_left():
    run = Probed(DOUBLE)
    assert run.answers == [8, 10]
    run = Probed("def double(x):\n    return y")
    assert run.answers == ["NameError: name 'y' is not defined"] * 2


@pytest.mark.parametrize("code", [
    "get_ipython = None",
    "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
])
def test_what_a_cell_may_break_and_a_probe_does_not_need(code):
    run = Probed(code + "\n" + DOUBLE)
    assert run.answers == [8, 10]


@pytest.mark.parametrize("code", [
    "exec = None", "type(get_ipython()).user_expressions = lambda *_: {}",
    "import pickle\npickle.loads = None", "import sys\ndel sys.path[:]\n"
    "for name in list(sys.modules):\n    if name.startswith('lab'):\n"
    "        del sys.modules[name]",
])
def test_without_an_agent_it_is_unreadable_and_not_lost(code):
    run = Probed(code + "\n" + DOUBLE)
    assert run.answers == ["UnreadableError"] * 2
    assert not run.kernel.lost


def test_a_call_that_takes_too_long_is_stopped_alone():
    run = Hurried("def double(x):\n    while x == 4:\n        pass\n"
                  "    return 2 * x")
    assert run.answers == ["TimeoutError", 10]


# A function that finds the agent's end of the pipe.
PIPE = """
import inspect, os, struct
def double(x):
    [pipe] = [f.frame.f_locals['pipe'].fileno() for f in inspect.stack()
              if f.function == 'serve']
"""
STUBBORN = """
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""


@pytest.mark.parametrize(("body", "reason"), [
    ("    os.write(pipe, struct.pack('!i', 1000) + b'[')" + STUBBORN,
     "timed out"),  # within an answer
    (STUBBORN, "timed out"),
    ("    os.write(pipe, struct.pack('!i', 2 ** 31 - 1))", "kernel died"),
    ("    os.write(pipe, struct.pack('!iQ', -1, 2 ** 62))", "kernel died"),
    ("    os.close(pipe)\n    os.closerange(3, 64)", "kernel died"),
    ("    os._exit(0)", "kernel died"),
], ids=["half", "stubborn", "large", "huge", "closed", "exit"])
def test_what_in_a_probe_costs_the_kernel(body, reason):
    begin = time.monotonic()
    run = Hurried(PIPE + body)
    assert run.answers == ["KernelLostError"]
    assert run.kernel.lost == reason
    assert time.monotonic() - begin < 60


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
            f"print(os.path.exists({home + '/notebooks'!r}))",
            "print(sorted(os.listdir('/home')), os.getcwd())",
            "print({k for k in os.environ if 'SECRET' in k})",
            "labutils.find_corpus()",
        )
        assert run.text.splitlines()[:4] == [
            "['labkit', 'labutils', 'pyproject.toml']", "False",
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

    def test_memory_that_is_nobody_s_cannot_be_had(self):
        run = Run(
            "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)",
            "os.memfd_create('x')",
            "print([(f(*a), ctypes.get_errno()) for f, a in ("
            "(libc.shmget, (0, 2 ** 20, 0o1600)), (libc.unshare, (2 ** 28,)),"
            "(libc.syscall, (56, 2 ** 28 | 17, 0, 0, 0, 0)))])",
            *(f"for i in range(40):\n    open(f'{folder}/{{i}}', 'wb')"
              ".write(bytes(2 ** 23))" for folder in ("/dev/shm", "/tmp")),
            "open('/dev/x', 'w')", "open('/x', 'w')",
            "import threading, subprocess\n"
            "threading.Thread(target=print, args=('thread',)).start()\n"
            "print(subprocess.check_output(['echo', 'program']))",
        )
        assert run.text.startswith("[(-1, 38), (-1, 38), (-1, 38)]\n")
        assert "thread" in run.text
        assert "program" in run.text
        assert len(run.error) == 5
        assert set(run.error) <= {"OSError", "PermissionError"}

    def test_no_folder_outside_can_be_written(self):
        run = Run(
            "mounts = [line.split() for line in open('/proc/self/mounts')]\n"
            "print([place for _, place, _, how, *_ in mounts if\n"
            "       how.startswith('rw') and not place.startswith('/dev')])",
            "import os\nfor name in os.listdir('.'):\n"
            "    if name.startswith('k-'):\n        os.unlink(name)",
            "print('after')")
        assert run.text == "['/home/student', '/tmp', '/proc']\nafter\n"

    def test_it_is_somebody_else_and_has_no_rights(self, monkeypatch):
        monkeypatch.setenv("SECRET_OF_THE_GRADER", "1")
        pool.end_server()
        run = Run(
            "import os\nprint(os.getuid())",
            "found = open('/proc/self/status').read().split()\n"
            "print([int(found[found.index(name + ':') + 1], 16) for name in "
            "('CapInh', 'CapPrm', 'CapEff', 'CapAmb', 'NoNewPrivs',"
            " 'Seccomp')])",
            "held = open('/proc/self/environ').read() + str(os.environ)\n"
            "print('SECRET' in held, os.environ['HOME'])",
            "os.setresuid(0, 0, 0)", "os.listdir('/proc/1/root')")
        own = sandbox.user(SLOT) or os.getuid()
        assert run.text.splitlines()[:3] == [
            f"{own}", "[0, 0, 0, 0, 1, 2]", "False /home/student"]
        assert run.error == ["PermissionError", "PermissionError"]
        assert own
