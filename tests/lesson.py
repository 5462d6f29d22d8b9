"""A small notebook with exercises, and ways to play a student with one."""

import copy
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode, v4

from labutils import settings

REGION = re.compile(r"^ *### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION\n?",
                    re.DOTALL | re.MULTILINE)

IMPORTS = """
import torch
from torch.nn import functional as F
from labkit import checks
"""
ONE_HOT = '''
def one_hot(X, V):
    """Tokens (B, T) to vectors (T, B, V)."""
    ### BEGIN SOLUTION
    by_time = X.T
    return F.one_hot(by_time, V).float()
    ### END SOLUTION
'''
TOKENIZE = '''
def tokenize(lines, token="word"):
    """Lines to lists of words or characters."""
    ### BEGIN SOLUTION
    if token not in ("word", "char"):
        raise ValueError("expected word or char")
    ### END SOLUTION
    words = token == "word"
    ### BEGIN SOLUTION
    return [line.split() if words else list(line) for line in lines]
    ### END SOLUTION
'''
HIDDEN = """{check}
### BEGIN HIDDEN TESTS
assert {test}, "found by a hidden test"
### END HIDDEN TESTS
"""


def metadata(grade_id: str, points: int = 0, **flags: bool) -> dict:
    """What nbgrader writes about a cell.

    Args:
        grade_id: the cell's name.
        points: of a graded cell; 0 for any other.
        flags: solution, task, locked; False where not given.
    """
    meta = {"grade_id": grade_id, "grade": bool(points), "schema_version": 3,
            "solution": False, "task": False, "locked": False, **flags}
    return {"nbgrader": meta | ({"points": points} if points else {})}


def solution(name: str, source: str) -> NotebookNode:
    return code(source, metadata(name, solution=True))


def check(name: str, points: int, test: str) -> NotebookNode:
    source = HIDDEN.format(check=f"checks.{name}({name})", test=test)
    return code(source, metadata(f"check_{name}", points, locked=True))


def code(source: str, meta: dict | None = None) -> NotebookNode:
    """A code cell as it is committed: with the output of some run."""
    output = v4.new_output("stream", text="the output of an old run\n")
    return v4.new_code_cell(
        source.strip("\n"), execution_count=7, outputs=[output],
        metadata=meta or {"execution": {"iopub.status.busy": "then"}},
    )


def lesson() -> NotebookNode:
    """Two exercises in code, of 2 and 3 points, and an answer of 1."""
    cells = [
        v4.new_markdown_cell("# 7. A lesson | for tests"),
        code(IMPORTS),
        solution("one_hot", ONE_HOT),
        check("one_hot", 2, "one_hot(torch.zeros(1, 2).long(), 3).sum() == 2"),
        solution("tokenize", TOKENIZE),
        check("tokenize", 3, 'tokenize([" a"], "char") == [[" ", "a"]]'),
        v4.new_markdown_cell("Why? Because time comes first.",
                             metadata=metadata("why", 1, solution=True)),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"lesson-{number}"
    return v4.new_notebook(cells=cells, metadata={
        "kernelspec": {"name": "python3", "language": "python",
                       "display_name": "Python 3"},
        "widgets": {"state": "what a widget showed"},
    })


def course(root: Path, notebook: NotebookNode) -> Path:
    """Make a course with one notebook and hardly a package."""
    home = settings.home()
    for name in (".gitattributes", ".gitignore", "LICENSE", "constraints.txt",
                 "environment.yml", "pyproject.toml"):
        write(root / name, (home / name).read_text(encoding="utf-8"))
    write(root / "labutils" / "__init__.py", '"""Nearly nothing."""\n')
    write(root / "labkit" / "__init__.py", '"""Nearly nothing."""\n')
    write(root / "labstaff" / "key.py", "SECRET = 42\n")
    write(root / "labutils" / "__pycache__" / "x.pyc", "of some Python\n")
    write(root / "notebooks" / "07_lesson.ipynb", nbformat.writes(notebook))
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def meta(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def exercises(notebook: NotebookNode) -> list[str]:
    """Names of the exercises in code, in order."""
    return [
        meta(cell)["grade_id"] for cell in notebook.cells
        if meta(cell).get("solution") and not meta(cell)["grade"]
    ]


def solved(
    released: NotebookNode, source: NotebookNode, names: Collection[str]
) -> NotebookNode:
    """A released notebook as a student hands it in.

    Args:
        released: from the student edition.
        source: with solutions.
        names: of the exercises that the student has done.
    """
    done = copy.deepcopy(released)
    keys = {meta(c).get("grade_id"): c.source for c in source.cells}
    for cell in done.cells:
        if (name := meta(cell).get("grade_id")) in names:
            cell.source = keys[name]
    return done


def regions(cell: NotebookNode) -> Iterator[str]:
    """The texts between a cell's solution delimiters."""
    for match in REGION.finditer(cell.source + "\n"):
        yield match[1]
