"""Write the student edition: the course without solutions."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)

from labstaff.execute import notebook_paths
from labstaff.exercises import Exercises, exercises
from labstaff.publish import folder
from labutils import settings

# What stands in the place of a solution. A check that meets the error says
# that this line is to be replaced.
STUB = (
    "# Your code here, in place of the next line; then run the check.\n"
    "raise NotImplementedError()"
)
# Of the root, copied as they are; environment.yml is not among them.
COPIED = (
    ".gitattributes", ".gitignore", "LICENSE", "constraints.txt",
    "pyproject.toml",
)
PACKAGES = ("labutils", "labkit")
TEMPLATES = Path(__file__).parent / "student"


class ReleaseError(RuntimeError):
    """The student edition cannot be made; the message says why."""


@dataclass(frozen=True)
class Row:
    """A line of the table: a notebook, its title and its exercises."""

    name: str
    title: str
    exercises: Exercises


def release(out: Path) -> str:
    """Write the student edition into a folder, whole or not at all.

    Two releases of the same course are equal, byte for byte.

    Args:
        out: a folder that is new, empty, or an earlier release.

    Returns:
        What was written: a small table, in lines.

    Raises:
        ReleaseError: `out` lies inside the course's own folders, or a
            notebook cannot be read.
        ExerciseError: a notebook's exercises do not fit together.
        FolderError: `out` holds something else.
    """
    out = out.expanduser().resolve()
    check_place(out)
    folder.check(out)
    files, rows = edition()
    kept = folder.replace(out, files)
    lines = [f"Student edition: {out}", *_table(rows)]
    if kept:
        lines.append(
            "The earlier release had been changed there; it is kept as "
            f"{kept}."
        )
    return "\n".join(lines)


def edition() -> tuple[dict[str, bytes], list[Row]]:
    """The files of the student edition.

    Returns:
        The content of each file, by its path in the edition; a row for each
        notebook.
    """
    root = settings.home()
    files = {name: _lines(root / name) for name in COPIED}
    for name in PACKAGES:
        files |= _package(root / name)
    rows = []
    for path in notebook_paths():
        source = _read(path)
        rows.append(
            Row(path.stem, _title(source), exercises(source, path.name))
        )
        text = nbformat.writes(student_notebook(source)) + "\n"
        files[f"notebooks/{path.name}"] = text.encode("utf-8")
    files["Makefile"] = _lines(TEMPLATES / "Makefile")
    guide = _lines(TEMPLATES / "README.md").decode("utf-8")
    table = "\n".join(_guide_row(row) for row in rows)
    files["README.md"] = guide.replace("{rows}", table).encode("utf-8")
    # Students have no tests, and need none of what these bring.
    conda = _lines(root / "environment.yml")
    files["environment.yml"] = conda.replace(b".[test]", b".[lab]")
    return files, rows


def student_notebook(source: NotebookNode) -> NotebookNode:
    """A notebook without solutions, hidden tests and outputs.

    The steps and their order are those of nbgrader's generate_assignment,
    except for what needs its gradebook or the course's header and footer.

    Args:
        source: with solutions; stays as it is.
    """
    notebook, resources = copy.deepcopy(source), dict[str, Any]()
    for step in (
        LockCells(), ClearSolutions(code_stub={"python": STUB}),
        ClearOutput(), ClearHiddenTests(), ClearMarkScheme(),
        # After the cells have their final text, which these are about.
        ComputeChecksums(), CheckCellMetadata(),
    ):
        notebook, resources = step.preprocess(notebook, resources)
    # nbgrader leaves what widgets showed, and when a cell ran.
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


def check_place(out: Path) -> None:
    """Keep what is generated out of what it is generated from."""
    for name in ("notebooks", *PACKAGES, "labstaff"):
        own = (settings.home() / name).resolve()
        if out.is_relative_to(own):
            raise ReleaseError(
                f"{out} lies inside {own}, which is part of the course. Take "
                "a folder outside of it."
            )


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # a file that is no notebook fails in many ways
        raise ReleaseError(
            f"{path.name} cannot be read as a notebook "
            f"({type(error).__name__}). Repair it, or take it from the last "
            "commit."
        ) from error


def _package(source: Path) -> dict[str, bytes]:
    """A package, without what programs leave in it."""
    return {
        f"{source.name}/{inside.as_posix()}": _lines(path)
        for path in source.rglob("*")
        if path.is_file()
        and (inside := path.relative_to(source))
        and not any(p.startswith((".", "__pycache__")) for p in inside.parts)
    }


def _lines(path: Path) -> bytes:
    """A text with the line ends that it has in git, on every system."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def _title(notebook: NotebookNode) -> str:
    """The first heading; a bar in it would end a cell of the table."""
    lines = notebook.cells[0].source.splitlines() if notebook.cells else []
    heading = next((x for x in lines if x.startswith("# ")), "")
    return heading.removeprefix("# ").replace("|", "/")


def _guide_row(row: Row) -> str:
    label = row.title or row.name
    count = row.exercises.code + row.exercises.written
    return (
        f"| [{label}](notebooks/{row.name}.ipynb) | {count} "
        f"| {row.exercises.points:g} |"
    )


def _table(rows: list[Row]) -> list[str]:
    width = max(len(row.name) for row in rows)
    lines = [f"{'notebook':{width}}  in code  written  points"]
    total = Exercises(
        sum(row.exercises.code for row in rows),
        sum(row.exercises.written for row in rows),
        sum(row.exercises.points for row in rows),
    )
    for name, x in [(r.name, r.exercises) for r in rows] + [("total", total)]:
        lines.append(
            f"{name:{width}}  {x.code:7}  {x.written:7}  {x.points:6g}"
        )
    return lines
