"""Which cells of a notebook belong into the report."""

import ast
import symtable
from dataclasses import dataclass
from functools import cached_property

from nbformat import NotebookNode

from labkit.course import grader
from labkit.outputs import Shown, shown

STUB = "raise NotImplementedError()"
EMPTY_ANSWERS = {"", "YOUR ANSWER HERE"}
TAG = "discussion"
EDGES = ("### BEGIN SOLUTION", "### END SOLUTION")


@dataclass(frozen=True)
class Cell:
    """A cell with what the report has to know about it.

    Attributes:
        number: its place in the notebook, from 1.
        heading: the section's heading above it.
        prompt: the Markdown right above it.
        exercise: the name of the exercise that is solved in it, if any.
        outputs: what it has shown, made harmless.
    """

    number: int
    source: str
    heading: str
    prompt: str
    exercise: str
    outputs: tuple[Shown, ...]

    @property
    def text(self) -> str:
        """The text that it has shown."""
        return "".join(one.text for one in self.outputs)

    @cached_property
    def tree(self) -> ast.Module:
        """Empty where it is no plain Python: a slip, or IPython's % and !."""
        try:
            return ast.parse(self.source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ast.Module([], [])

    @cached_property
    def defines(self) -> set[str]:
        """Names that it gives a value; those inside its functions not."""
        return _defined(self.tree)

    @cached_property
    def uses(self) -> set[str]:
        """Names that it takes from cells above; also "labutils.train"."""
        return _used(self.source, self.tree) - self.defines


def code(notebook: NotebookNode) -> list[Cell]:
    """All the cells with code, the checks left out."""
    return [
        _cell(notebook, number) for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and cell.source.strip()
        and not _is_check(cell)
    ]


def checks(notebook: NotebookNode) -> dict[str, str]:
    """What the check of each exercise has said."""
    return {
        str(grader(cell).get("grade_id", "")).removeprefix("check_"):
        _cell(notebook, number).text
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and _is_check(cell)
    }


def answers(notebook: NotebookNode) -> list[Cell]:
    """The written answers that get points; the discussion is none of them."""
    return [
        _cell(notebook, number) for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown" and grader(cell).get("solution")
        and not _is_discussion(cell)
    ]


def discussions(notebook: NotebookNode) -> list[Cell]:
    """What stands in the cells that are tagged for it."""
    return [
        _cell(notebook, number) for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown" and _is_discussion(cell)
    ]


def images(notebook: NotebookNode) -> dict[int, dict[str, str]]:
    """PNG images pasted into cells, for each cell's number by address."""
    return {
        number: {
            f"attachment:{name}": str(kinds["image/png"])
            for name, kinds in cell.attachments.items() if "image/png" in kinds
        }
        for number, cell in enumerate(notebook.cells, start=1)
        if cell.get("attachments")
    }


def is_written(cell: Cell) -> bool:
    """Whether an answer is more than the words in its place."""
    return cell.source.strip() not in EMPTY_ANSWERS


def chosen(cells: list[Cell]) -> list[Cell]:
    """The exercises, the trainings, and the cells that they rest on.

    A cell is needed if it was the last one to give a name its value before a
    cell that is needed uses the name.
    """
    wanted = {
        place for place, cell in enumerate(cells)
        if cell.exercise or trains(cell, cells)
    }
    open_ = sorted(wanted)
    while open_:
        place = open_.pop()
        for name in cells[place].uses:
            above = [p for p in range(place) if name in cells[p].defines]
            if above and above[-1] not in wanted:
                wanted.add(above[-1])
                open_.append(above[-1])
    return [cells[place] for place in sorted(wanted)]


def trains(cell: Cell, cells: list[Cell]) -> bool:
    """Whether it trains a model, by itself or with a function that does."""
    if "labutils.train" in cell.uses:
        return True
    return any(
        cell.uses & other.defines & _functions(other) for other in cells
        if other.number < cell.number and "labutils.train" in other.uses
    )


def _functions(cell: Cell) -> set[str]:
    return {
        node.name for node in cell.tree.body
        if isinstance(node, ast.FunctionDef)
    }


def _is_check(cell: NotebookNode) -> bool:
    own = grader(cell)
    return bool(own.get("grade") and not own.get("solution"))


def _is_discussion(cell: NotebookNode) -> bool:
    return TAG in cell.metadata.get("tags", [])


def _cell(notebook: NotebookNode, place: int) -> Cell:
    cell = notebook.cells[place]
    above = [c for c in notebook.cells[:place] if c.cell_type == "markdown"]
    headings = [
        line.lstrip("# ") for c in above for line in c.source.splitlines()
        if line.startswith("## ")
    ]
    found = [shown(output) for output in cell.get("outputs", [])]
    solved = cell.cell_type == "code" and grader(cell).get("solution")
    return Cell(
        place + 1, _without_edges(cell.source),
        headings[-1] if headings else "",
        above[-1].source if above else "",
        str(grader(cell).get("grade_id", "")) if solved else "",
        tuple(one for one in found if one),
    )


def _without_edges(source: str) -> str:
    """Without the marks of the instructors' edition around solutions."""
    return "\n".join(
        line for line in source.split("\n") if line.strip() not in EDGES)


def _defined(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                found.add(part.id)
            if isinstance(part, ast.alias):
                found.add((part.asname or part.name).partition(".")[0])
    return found


def _used(source: str, tree: ast.Module) -> set[str]:
    if not tree.body:
        return set()
    top = symtable.symtable(source, "cell", "exec")
    found = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    inner = list(top.get_children())
    while inner:
        table = inner.pop()
        inner += table.get_children()
        found |= {s.get_name() for s in table.get_symbols() if s.is_global()}
    return found | {
        f"{part.value.id}.{part.attr}" for part in ast.walk(tree)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
    }
