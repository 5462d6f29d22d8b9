"""What of a notebook's cells is shown on slides, and on which.

Where a cell goes stands in its metadata, as JupyterLab and nbconvert know it:

    "slideshow": {"slide_type": "slide"}    a new slide
                                "subslide"  the next slide of the same section
                                "fragment"  the same slide, one key later
                                "-"         the same slide, at once
                                "notes"     what the speaker says (key S)
                                "skip"      not in the lecture

Two entries of our own go further for a code cell: `"code": "skip"` shows its
output alone, and `"output"` says where its output goes when that is not right
below the code: "fragment", "subslide" or "skip".
"""

import copy
from collections.abc import Iterator
from typing import Any

from nbformat import NotebookNode

from labkit.course import grader, language_of
from labstaff.exercises import EDGE
from labstaff.publish.release import student_notebook

VALUES = {
    "slide_type": ("slide", "subslide", "fragment", "-", "notes", "skip"),
    "code": ("skip",),
    "output": ("fragment", "subslide", "skip"),
}
PICTURE = "image/png"
# What needs a kernel or a script; nbconvert would take them for the best.
LIVE = (
    "application/vnd.jupyter.widget-view+json", "application/javascript",
)


class SlideError(ValueError):
    """A notebook cannot be made into slides; the message says why."""


def prepare(notebook: NotebookNode, solutions: bool = True) -> NotebookNode:
    """The cells as they come onto slides.

    Hidden tests and the marks around solutions are gone, of a widget there
    is its picture, and code and output stand where the metadata wants them.

    Args:
        notebook: with solutions and outputs; stays as it is.
        solutions: False shows the stubs that students get.

    Raises:
        SlideError: metadata that nobody knows, or no slide at all.
    """
    _check(notebook)
    shown = for_reading(notebook, solutions)
    for cell in shown.cells:
        is_answer = cell.cell_type == "markdown" and grader(cell).get(
            "solution")
        if is_answer and not solutions:
            cell.metadata["slideshow"] = {"slide_type": "skip"}
    shown.cells = [part for cell in shown.cells for part in _parts(cell)]
    return shown


def for_reading(notebook: NotebookNode, solutions: bool) -> NotebookNode:
    """A copy without what is there for tools; arguments as for `prepare`."""
    shown = copy.deepcopy(notebook)
    shown.metadata.pop("widgets", None)
    stubs = notebook if solutions else student_notebook(
        notebook, language_of(notebook))
    for cell, stub in zip(shown.cells, stubs.cells, strict=True):
        cell.source = without_marks(stub.source)
        if cell.cell_type == "code":
            cell.outputs = still(cell.outputs)
    return shown


def without_slide(notebook: NotebookNode) -> list[str]:
    """The ids of the cells that say nothing about slides."""
    return [
        cell.get("id", f"cell {number}")
        for number, cell in enumerate(notebook.cells, start=1)
        if "slideshow" not in cell.metadata
    ]


def count(shown: NotebookNode) -> int:
    """How many slides prepared cells make."""
    first = True  # the first cell that is shown begins one, whatever it says
    found = 0
    for cell in shown.cells:
        if (kind := _type(cell)) not in ("skip", "notes"):
            found += first or kind in ("slide", "subslide")
            first = False
    return found


def without_marks(source: str) -> str:
    """A cell's source without hidden tests and the marks of nbgrader."""
    lines, hidden = [], False
    for line in source.splitlines():
        if mark := EDGE.search(line):
            hidden = mark[1] == "BEGIN" and mark[2] != "SOLUTION"
        elif not hidden:
            lines.append(line)
    return "\n".join(lines)


def still(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs that stand by themselves, without a kernel.

    Of a widget there is its picture. Where there is a picture, lines printed
    beside it say the same at length (those of a training): left out.
    """
    kept = []
    for output in outputs:
        data = output.get("data", {})
        is_live = any(kind in data for kind in LIVE)
        if PICTURE in data:  # nbconvert would show HTML rather than it
            output.data = NotebookNode(
                (kind, data[kind]) for kind in (PICTURE, "text/plain")
                if kind in data
            )
        if PICTURE in data or not is_live:
            kept.append(output)
    if any(PICTURE in output.get("data", {}) for output in kept):
        kept = [o for o in kept if o.output_type != "stream"]
    return kept


def _check(notebook: NotebookNode) -> None:
    for number, cell in enumerate(notebook.cells, start=1):
        for key, value in cell.metadata.get("slideshow", {}).items():
            if key in VALUES and value not in VALUES[key]:
                raise SlideError(
                    f"cell {number}: {key} is {value!r}; it takes "
                    f"{', '.join(VALUES[key])}. Correct it in the cell's "
                    "metadata, under slideshow."
                )
    if all(_type(cell) in ("skip", "notes") for cell in notebook.cells):
        raise SlideError(
            "no cell is a slide. Give the cells a slide type in JupyterLab: "
            "the gears on the right, Common Tools."
        )


def _type(cell: NotebookNode) -> str:
    """A cell that says nothing stays off the slides: who added it has not
    seen what the slide looks like with it."""
    return cell.metadata.get("slideshow", {}).get("slide_type", "skip")


def _parts(cell: NotebookNode) -> Iterator[NotebookNode]:
    """The cell, or its code and its output as two of them."""
    where: dict[str, Any] = cell.metadata.get("slideshow", {})
    cell.metadata["slideshow"] = where | {"slide_type": _type(cell)}
    if cell.cell_type != "code":
        yield cell
        return
    if where.get("code") == "skip":
        cell.metadata["transient"] = {"remove_source": True}
    place = where.get("output")
    outputs = cell.outputs
    if place:
        cell.outputs = []
    yield cell
    if place in ("fragment", "subslide") and _type(cell) != "skip":
        after = copy.deepcopy(cell)
        after.outputs, after.id = outputs, f"{cell.id}-output"
        after.metadata["slideshow"] = {"slide_type": place}
        after.metadata["transient"] = {"remove_source": True}
        yield after
