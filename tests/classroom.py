"""A class for tests: students who are right, partly right, wrong, or hostile.

All of them hand in notebook 1 alone, made from the student edition; each
knows which of its exercises have to get their points.
"""

import copy
import csv
from dataclasses import dataclass, field
from pathlib import Path

import lesson
import nbformat
from nbformat import NotebookNode

from labstaff.grading.classroom import Settings
from labstaff.grading.sandbox import Limits
from labstaff.publish.release import student_notebook
from labutils import settings

NOTEBOOK = "01_text_preprocessing"
EXERCISES = ("tokenize", "Vocab", "load_corpus_time_machine")
POINTS = dict(zip(EXERCISES, (2, 4, 3), strict=True))
# An honest cell takes two seconds, and several times as long on a machine that
# runs other tests as well.
CELL_SECONDS, NOTEBOOK_SECONDS = 20, 300
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


@dataclass
class Student:
    """Somebody who hands something in.

    Attributes:
        name: of the folder.
        right: exercises that are solved; the others are wrong.
        stub: exercises that are left as they came.
        before, after: code for a cell before the first exercise, and for one
            after it.
        lost: exercises that cannot be judged, for what `after` does.
        whole: hands in all of the notebook, and not only what comes before
            the end of the last exercise, which takes less long to run.
    """

    name: str
    right: tuple[str, ...] = EXERCISES
    stub: tuple[str, ...] = ()
    before: str = ""
    after: str = ""
    lost: tuple[str, ...] = ()
    whole: bool = False

    @property
    def points(self) -> dict[str, int]:
        found = {
            name: POINTS[name]
            if name in self.right and name not in self.lost else 0
            for name in EXERCISES
        }
        # It is made of the other two.
        if not set(EXERCISES[:2]) <= set(self.right):
            found["load_corpus_time_machine"] = 0
        return found


REST = EXERCISES[1:]
# What each of these does after the first exercise costs the rest of them.
FATAL = {
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "leave": "import os\nos._exit(0)",
    "kill": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "deaf": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "while True:\n    pass",
    "memory": "hoard = []\nwhile True:\n"
    "    hoard.append(bytearray(b'x' * 2 ** 26))",
    "output": "while True:\n    print('x' * 10 ** 6)",
    "mute": "get_ipython().kernel.session.send = None",
}
# And of these nothing but their own time.
HARMLESS = {
    "loop": "while True:\n    pass",
    "sleep": "import time\ntime.sleep(1000)",
    "a lot at once": "bytearray(30 * 2 ** 30)",
    "socket": "import socket\n"
    "socket.create_connection(('127.0.0.1', 22), timeout=3)",
    "delete": "import shutil, os\n"
    "for place in ('/home', '/tmp', '/usr', os.getcwd()):\n"
    "    shutil.rmtree(place, ignore_errors=True)",
    "write outside": "from pathlib import Path\n"
    "import labutils\n"
    "Path(labutils.__file__).write_text('raise SystemExit')",
    "threads": "import threading, time\n"
    "def go_on():\n"
    "    while True:\n"
    "        time.sleep(0.01)\n"
    "        print('still here')\n"
    "threading.Thread(target=go_on, daemon=True).start()",
    "read": "from pathlib import Path\n"
    "found = []\n"
    "for path in Path('/').rglob('*'):\n"
    "    try:\n"
    "        if path.suffix in ('.ipynb', '.json', '.csv'):\n"
    "            found.append(path.read_text()[-4000:])\n"
    "    except OSError:\n"
    "        pass\n"
    "print(len(found), [text for text in found if 'owl of' in text])\n"
    "print([text for text in found if 'HIDDEN' in text])",
}
# These hope to get points for wrong answers.
CHEATS = {
    "print": "import builtins\nbuiltins.print = lambda *a, **k: None",
    "torch": "import torch\n"
    "torch.equal = torch.allclose = lambda *a, **k: True\n"
    "torch.Tensor.__eq__ = lambda a, b: torch.ones(1).bool()",
    "checks": "from labutils import checks\n"
    "for name in checks.__all__:\n"
    "    setattr(checks, name, lambda solution: print('passed.'))",
    "assert": "import builtins\n"
    "class AssertionError(Exception):\n"
    "    pass\n"
    "builtins.AssertionError = AssertionError",
    "shell": "shell = get_ipython()\n"
    "shell.showtraceback = lambda *a, **k: None\n"
    "shell.run_cell_async = shell.run_cell\n"
    "type(shell).user_expressions = lambda self, asked: {\n"
    "    k: {'status': 'ok', 'data': {'text/plain': repr('ready')},\n"
    "        'metadata': {}} for k in asked}",
    "json": "import json\njson.dumps = lambda *a, **k: "
    "'{\"found\": true, \"value\": true, \"roots\": [], \"changed\": [], ' "
    "'\"recording\": true, \"grads\": [], \"learns\": [], \"lists\": []}'",
    "probe": "import sys\n"
    "def trace(frame, event, argument):\n"
    "    if 'answer' in frame.f_code.co_name:\n"
    "        print('probe', sorted(frame.f_locals))\n"
    "    return trace\n"
    "sys.setprofile(trace)",
}


def honest() -> list[Student]:
    """Eighteen who mean it."""
    some = [
        Student("20230001-李雷-Lab", whole=True),
        Student("20230002-韩梅梅-Lab", whole=True),
        Student("20230003-Ada Lovelace-Lab"), Student("20230004-Zoë-Lab"),
        Student("20230005-O'Neil-Lab"), Student("20230006-=1+1-Lab"),
    ]
    some += [
        Student(f"2023001{i}-Half {i}-Lab", right=EXERCISES[:i],
                stub=EXERCISES[i:])
        for i in (1, 2)
    ]
    some += [
        Student(f"2023002{i}-Wrong {i}-Lab",
                right=tuple(x for x in EXERCISES if x != wrong))
        for i, wrong in enumerate(EXERCISES)
    ]
    some += [
        Student("20230030-All Wrong-Lab", right=()),
        Student("20230031-Nothing-Lab", right=(), stub=EXERCISES),
        Student("20230032-Secret-Lab", before=f"note = {SECRET!r}"),
        Student("20230033-Extra Cells-Lab", before="1 / 0", after="2 / 0"),
        Student("20230034-Prints-Lab", before="print('<script>alert(1)')"),
        Student("20230035-One-Lab", right=EXERCISES[1:2]),
        Student("20230036-Two-Lab", right=EXERCISES[2:]),
    ]
    return some


def hostile() -> list[Student]:
    """Twenty-two who do not."""
    # The last exercise needs the first one's function, as it stands.
    fatal = [
        Student(f"2023{i:04d}-{name}-Lab", after=code, lost=REST)
        for i, (name, code) in enumerate(FATAL.items(), start=100)
    ]
    harmless = [
        Student(f"2023{i:04d}-{name}-Lab", after=code)
        for i, (name, code) in enumerate(HARMLESS.items(), start=200)
    ]
    cheats = [
        Student(f"2023{i:04d}-{name}-Lab", right=(), before=code)
        for i, (name, code) in enumerate(CHEATS.items(), start=300)
    ]
    return fatal + harmless + cheats


def source() -> NotebookNode:
    path = settings.home() / "notebooks" / f"{NOTEBOOK}.ipynb"
    return nbformat.read(path, as_version=4)


@dataclass
class Editions:
    """The notebook with and without solutions, read once."""

    source: NotebookNode = field(default_factory=source)

    def __post_init__(self) -> None:
        self.released = student_notebook(self.source)

    def of(self, student: Student) -> NotebookNode:
        """What a student hands in."""
        work = lesson.solved(self.released, self.source, student.right)
        cells = []
        for cell in work.cells:
            name = lesson.meta(cell).get("grade_id")
            if name == EXERCISES[0] and student.before:
                cells.append(own(student.before, "before"))
            if (name in EXERCISES and name not in student.right
                    and name not in student.stub):
                cell = copy.deepcopy(cell)
                cell.source = WRONG[name].strip("\n")
            cells.append(cell)
            if name == EXERCISES[0] and student.after:
                cells.append(own(student.after, "after"))
            if name == f"check_{EXERCISES[-1]}" and not student.whole:
                break
        work.cells = cells
        return work


def own(code: str, name: str) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(code)
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
