"""A class for tests: students who are right, partly right, wrong, or hostile.

All of them hand in notebook 1 alone, made from the student edition, and most
of them no more of it than two exercises; each knows which of them have to get
their points.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lesson
import nbformat
from nbformat import NotebookNode

from labkit.course import FOLDERS
from labstaff.grading.matching import course
from labstaff.grading.results import Settings
from labstaff.grading.sandbox import Limits
from labstaff.publish.release import student_notebook
from labutils import settings

COURSE = course()
NOTEBOOK = "01_text_preprocessing"
EXERCISES = ("tokenize", "Vocab", "load_corpus_time_machine")
POINTS = dict(zip(EXERCISES, (2, 4, 3), strict=True))
# An honest cell takes a tenth of a second, since torch is imported before it,
# and ten times as long on a machine that runs other tests as well. One of the
# hostile ones reads all the files it finds, which may be many.
CELL_SECONDS, NOTEBOOK_SECONDS = 12, 300
SETTINGS = Settings(
    limits=Limits(cell=CELL_SECONDS, notebook=NOTEBOOK_SECONDS, memory=2**30))
# No submission holds it but one, so that others can look for it.
SECRET = "the owl of the south wing"
WRONG = {
    "tokenize": '''def tokenize(lines, token="word"):
    return [line.split() for line in lines]
''',
    "Vocab": '''class Vocab:
    def __init__(self, tokens, min_freq=0, reserved_tokens=()):
        flat = sorted({t for line in tokens for t in line})
        self.idx_to_token = ["<unk>", *flat]

    def __len__(self):
        return len(self.idx_to_token)

    def __getitem__(self, tokens):
        if isinstance(tokens, str):
            return self.idx_to_token.index(tokens)
        return [self[t] for t in tokens]

    def to_tokens(self, indices):
        return [self.idx_to_token[i] for i in indices]
''',
    "load_corpus_time_machine": '''
def load_corpus_time_machine(max_tokens=-1):
    vocab = Vocab(chars)
    flat = [token for line in chars for token in line]
    return torch.tensor(vocab[flat[:max_tokens]]), vocab
''',
}


# All that the first two exercises need of the notebook.
NEEDED = """
from collections import Counter

import torch

from labkit import checks


def count_corpus(tokens):
    return Counter(token for line in tokens for token in line)
"""


@dataclass
class Student:
    """Somebody who hands something in.

    Attributes:
        name: of the folder.
        right: exercises that are solved; the others are wrong.
        stub: exercises that are left as they came.
        before, after: code for cells before the first exercise, and for some
            after it.
        fatal: whether `after` ends the kernel, so that nothing more is judged.
        whole: hands in all of the notebook up to the last exercise, and not
            only the first two exercises, which take less long to run.
        chinese: works in the Chinese edition.
    """

    name: str
    right: tuple[str, ...] = EXERCISES
    stub: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    fatal: bool = False
    whole: bool = False
    chinese: bool = False

    @property
    def points(self) -> dict[str, int]:
        judged = EXERCISES[:1] if self.fatal else EXERCISES[:2]
        if self.whole:
            judged = EXERCISES
        return {
            name: POINTS[name] if name in judged and name in self.right else 0
            for name in EXERCISES
        }


# What each of these does after the first exercise costs the rest of them. (A
# kernel that leaves or prints for ever is test_grading_kernel.py's.)
FATAL = {
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "deaf": "import signal, time\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "while True:\n    time.sleep(1)",
    "memory": "hoard = []\nwhile True:\n"
    "    hoard.append(bytearray(b'x' * 2 ** 26))",
    "mute": "get_ipython().kernel.session.send = None",
}
# And of these nothing but their own time.
READ = """import os
from pathlib import Path
import labutils
places = ['/home', '/root', '/tmp',
          *Path(labutils.__file__).parents[1].glob('[!.]*')]
secrets, books = [], 0
for place in places:
    for folder, inside, files in os.walk(place):
        inside[:] = set(inside) - {'site-packages'}
        for name in files:
            try:
                if name.endswith(('.ipynb', '.json', '.csv')):
                    text = Path(folder, name).read_text(errors='replace')
                    books += 'load_corpus_time_machine' in text
                    secrets += [text[-4000:]] * ('owl of' in text)
            except OSError:
                pass
print(secrets, 'notebooks of the course:', books)
"""
REACHING = {
    "socket": "import socket\n"
    "socket.create_connection(('127.0.0.1', 22), timeout=3)",
    "write outside": "from pathlib import Path\n"
    "import labutils\n"
    "Path(labutils.__file__).write_text('raise SystemExit')",
}
DELETE = """import os, shutil
for place in ('/home', '/tmp', '/usr', os.getcwd()):
    shutil.rmtree(place, ignore_errors=True)
"""
THREAD = """import threading, time
def go_on():
    while True:
        time.sleep(0.3)
        print('still here')
threading.Thread(target=go_on, daemon=True).start()
"""
HARMLESS = {
    "reaching": (READ, *REACHING.values(), DELETE),
    "weighing": ("bytearray(30 * 2 ** 30)", THREAD,
                 "import time\ntime.sleep(1000)"),
}
# These hope to get points for wrong answers.
CHEATS = {
    "names": (
        "import builtins\nbuiltins.print = lambda *a, **k: None",
        "import torch\n"
        "torch.equal = torch.allclose = lambda *a, **k: True\n"
        "torch.Tensor.__eq__ = lambda a, b: torch.ones(1).bool()",
        "from labkit import checks\n"
        "for name in checks.__all__:\n"
        "    setattr(checks, name, lambda solution: print('passed.'))",
        "import builtins\n"
        "class AssertionError(Exception):\n"
        "    pass\n"
        "builtins.AssertionError = AssertionError",
    ),
    "shell": (
        "shell = get_ipython()\n"
        "shell.showtraceback = lambda *a, **k: None\n"
        "shell.run_cell_async = shell.run_cell\n"
        "type(shell).user_expressions = lambda self, asked: {\n"
        "    k: {'status': 'ok', 'data': {'text/plain': repr('ready')},\n"
        "        'metadata': {}} for k in asked}",
    ),
    "json": (
        "import json\njson.dumps = lambda *a, **k: "
        "'{\"found\": true, \"value\": true, \"roots\": [], "
        "\"arguments\": [], \"recording\": true, \"lists\": []}'",
    ),
    "probe": (
        "import sys\n"
        "def trace(frame, event, argument):\n"
        "    if 'answer' in frame.f_code.co_name:\n"
        "        print('probe', sorted(frame.f_locals))\n"
        "    return trace\n"
        "sys.setprofile(trace)",
    ),
}


def honest() -> list[Student]:
    """Eight who mean it."""
    tokenize, vocab, _ = EXERCISES
    return [
        Student("20230001-李雷-Lab", whole=True),
        Student("20230002-Wrong End-Lab", right=(tokenize, vocab), whole=True,
                chinese=True),
        Student("20230003-=1+1-Lab", before=(
            f"note = {SECRET!r}", "print('<script>alert(1)')")),
        Student("20230004-Half-Lab", right=(tokenize,), stub=(vocab,)),
        Student("20230005-Wrong Beginning-Lab", right=(vocab,)),
        Student("20230006-All Wrong-Lab", right=()),
        Student("20230007-Nothing-Lab", right=(), stub=EXERCISES),
        Student("20230008-Extra Cells-Lab", before=("1 / 0",),
                after=("2 / 0",)),
    ]


def hostile() -> list[Student]:
    """Ten who do not."""
    fatal = [
        Student(f"2023{i:04d}-{name}-Lab", after=(code,), fatal=True)
        for i, (name, code) in enumerate(FATAL.items(), start=100)
    ]
    harmless = [
        Student(f"2023{i:04d}-{name}-Lab", after=cells)
        for i, (name, cells) in enumerate(HARMLESS.items(), start=200)
    ]
    cheats = [
        Student(f"2023{i:04d}-{name}-Lab", right=(), before=cells)
        for i, (name, cells) in enumerate(CHEATS.items(), start=300)
    ]
    return fatal + harmless + cheats


class Editions:
    """The notebook with and without solutions, in both languages."""

    def __init__(self) -> None:
        self.source, self.released = {}, {}
        for language, folder in FOLDERS.items():
            source = nbformat.read(
                settings.home() / "notebooks" / folder / f"{NOTEBOOK}.ipynb",
                as_version=4)
            self.source[language] = source
            self.released[language] = student_notebook(source, language)

    def of(self, student: Student) -> NotebookNode:
        """What a student hands in."""
        language = "zh" if student.chinese else "en"
        work = lesson.solved(
            self.released[language], self.source[language], student.right)
        cells = [] if student.whole else [own(NEEDED, "needed")]
        for cell in work.cells:
            name = lesson.meta(cell).get("grade_id", "")
            exercise = name.removeprefix("check_")
            if not student.whole and exercise not in EXERCISES[:2]:
                continue
            if name == EXERCISES[0]:
                cells += extra(student.before, "before")
            if name in EXERCISES and name not in student.right + student.stub:
                cell.source = WRONG[name].strip("\n")
            cells.append(cell)
            if name == EXERCISES[0]:
                cells += extra(student.after, "after")
            if name == f"check_{EXERCISES[-1]}":
                break
        work.cells = cells
        return work


def extra(sources: Sequence[str], name: str) -> list[NotebookNode]:
    return [own(code, f"{name}-{i}") for i, code in enumerate(sources)]


def own(code: str, name: str) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(code.strip("\n"))
    cell.id = name
    return cell


def hand_in(folder: Path, students: list[Student]) -> Path:
    """Write everybody's folder."""
    editions = Editions()
    for student in students:
        path = folder / student.name / f"{NOTEBOOK}.ipynb"
        lesson.write(path, nbformat.writes(editions.of(student)))
    return folder


def rows(out: Path) -> dict[str, dict[str, str]]:
    """The table by student number."""
    with (out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["key"][:8]: row for row in csv.DictReader(file)}
