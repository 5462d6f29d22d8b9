"""What of a notebook's cells is shown on slides, and on which.

Where a cell goes stands in its metadata, `slideshow`; docs/slides.md says what
may stand there, for JupyterLab and nbconvert and, for code cells, of our own.
"""

import copy
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from labkit.course import grader, language_of
from labstaff.exercises import HIDDEN, SOLUTION
from labstaff.publish.release import student_notebook

VALUES = {
    "slide_type": ("slide", "subslide", "fragment", "-", "notes", "skip"),
    "code": ("skip",),
    "output": ("fragment", "subslide", "skip"),
}
# Of nbgrader: hidden tests, and the lines around solutions.
MARKS = re.compile(rf".*BEGIN {HIDDEN}[\s\S]*?(?:END {HIDDEN}.*\n?|\Z)"
                   rf"|.*(?:BEGIN|END) {SOLUTION}.*\n?")
PICTURE = "image/png"
# What needs a kernel or a script; nbconvert would take them for the best.
LIVE = {"application/vnd.jupyter.widget-view+json", "application/javascript"}


def prepare(notebook: NotebookNode, solutions: bool = True) -> NotebookNode:
    """The cells as they come onto slides: a copy, in which code and output
    stand where the metadata wants them; without `solutions` it has the stubs
    that students get.

    Raises:
        ValueError: metadata that nobody knows, or no slide at all.
    """
    for number, cell in enumerate(notebook.cells, start=1):
        for key, value in cell.metadata.get("slideshow", {}).items():
            if key in VALUES and value not in VALUES[key]:
                raise ValueError(
                    f"cell {number}: {key} is {value!r}; it takes "
                    f"{', '.join(VALUES[key])}. Correct it in the cell's "
                    "metadata, under slideshow.")
    if all(_type(cell) in ("skip", "notes") for cell in notebook.cells):
        raise ValueError(
            "no cell is a slide. Give the cells a slide type in JupyterLab: "
            "the gears on the right, Common Tools.")
    shown = for_reading(notebook, solutions)
    for cell in shown.cells:
        if (cell.cell_type == "markdown" and not solutions
                and grader(cell).get("solution")):
            cell.metadata["slideshow"] = {"slide_type": "skip"}
    shown.cells = [part for cell in shown.cells for part in _parts(cell)]
    return shown


def for_reading(notebook: NotebookNode, solutions: bool) -> NotebookNode:
    """A copy without what is there for tools: hidden tests and the marks
    around solutions are gone, and of a widget there is its picture."""
    shown = copy.deepcopy(notebook)
    shown.metadata.pop("widgets", None)
    stubs = notebook if solutions else student_notebook(
        notebook, language_of(notebook))
    for cell, stub in zip(shown.cells, stubs.cells, strict=True):
        cell.source = MARKS.sub("", stub.source).rstrip("\n").replace(
            "](../images/", "](images/")  # from another language's folder
        if cell.cell_type == "code":
            cell.outputs = _still(cell.outputs)
    return shown


def count(shown: NotebookNode) -> int:
    """How many slides prepared cells make."""
    # The first cell that is shown begins one, whatever it says.
    _, *kinds = [kind for kind in map(_type, shown.cells)
                 if kind not in ("skip", "notes")]
    return 1 + kinds.count("slide") + kinds.count("subslide")


def _still(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs that stand by themselves, without a kernel.

    Of a widget there is its picture. Where there is a picture, lines printed
    beside it say the same at length (those of a training): left out.
    """
    pictures = [o for o in outputs if PICTURE in o.get("data", {})]
    for output in pictures:  # nbconvert would show HTML rather than it
        output.data = NotebookNode(
            (kind, output.data[kind]) for kind in (PICTURE, "text/plain")
            if kind in output.data)
    return [o for o in outputs if LIVE.isdisjoint(o.get("data", {}))
            and not (pictures and o.output_type == "stream")]


def _type(cell: NotebookNode) -> str:
    """A cell that says nothing stays off: who added it has not seen what the
    slide looks like with it."""
    return cell.metadata.get("slideshow", {}).get("slide_type", "skip")


def _parts(cell: NotebookNode) -> Iterator[NotebookNode]:
    """The cell, or its code and its output as two of them."""
    kind, where = _type(cell), cell.metadata.get("slideshow", {})
    cell.metadata["slideshow"] = where | {"slide_type": kind}
    place = where.get("output") if cell.cell_type == "code" else None
    after = copy.deepcopy(cell) if place else cell
    if cell.cell_type == "code" and where.get("code") == "skip":
        cell.metadata["transient"] = {"remove_source": True}
    if place:
        cell.outputs = []
    yield cell
    if place and "skip" not in (place, kind):
        after.id = f"{cell.id}-output"
        after.metadata.update(slideshow={"slide_type": place},
                              transient={"remove_source": True})
        yield after
