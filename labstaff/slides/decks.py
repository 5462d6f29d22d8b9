"""The lecture's slides: a file for each notebook, and a page of links."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import nbformat

from labstaff.execute import notebook_paths
from labstaff.slides import cells, exporter
from labutils import settings
from labutils.files import write_atomically

TITLE = re.compile("<title>(.*?)</title>")
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slides</title>
<style>
body {{ font: 20px/1.5 sans-serif; max-width: 40em; margin: 3em auto;
       padding: 0 1em; color: #1b1f24 }}
a {{ color: #0b5c8f }}
li {{ margin: .4em 0 }}
kbd {{ border: 1px solid #d0d7de; border-radius: 4px; padding: 0 .3em }}
</style>
</head>
<body>
<h1>Slides</h1>
<ul>
{links}
</ul>
<p><kbd>&rarr;</kbd> goes on, <kbd>&larr;</kbd> back, <kbd>Esc</kbd> shows
all slides, <kbd>F</kbd> fills the screen, <kbd>B</kbd> darkens it,
<kbd>S</kbd> opens the speaker's window with the notes, <kbd>?</kbd> names
the other keys. To print, add <code>?print-pdf</code> to the address.</p>
</body>
</html>
"""


@dataclass(frozen=True)
class Deck:
    """The slides of one notebook.

    Attributes:
        page: all of them, as HTML.
        count: how many there are.
        left_out: ids of the cells that say nothing about slides.
    """

    page: str
    count: int
    left_out: list[str]


def write(
    names: Sequence[str] = (), out: Path | None = None,
    solutions: bool = True,
) -> list[str]:
    """Write the slides of the notebooks.

    Args:
        names: which, as for `execute.notebook_paths`; none means all.
        out: their folder; None takes slides/ among the results.
        solutions: False shows the stubs that students get.

    Returns:
        A line about each file.

    Raises:
        ExecuteError: there is no such notebook.
        SlideError: a notebook cannot be made into slides.
    """
    out = settings.results_dir() / "slides" if out is None else out
    lines = []
    for path in notebook_paths(names):
        made = deck(path, solutions)
        write_atomically(out / f"{path.stem}.html", made.page.encode("utf-8"))
        lines.append(_line(path.stem, made))
    index = out / "index.html"
    write_atomically(index, _index(out).encode("utf-8"))
    return [*lines, f"Open {index}"]


def deck(path: Path, solutions: bool = True) -> Deck:
    """The slides of one notebook; arguments and errors as for `write`."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # a file that is no notebook fails in many ways
        raise cells.SlideError(
            f"{path.name} cannot be read as a notebook "
            f"({type(error).__name__}). Name another one."
        ) from error
    try:
        shown = cells.prepare(notebook, solutions)
    except cells.SlideError as error:
        raise cells.SlideError(f"{path.name}: {error}") from None
    return Deck(
        exporter.export(shown, _title(notebook) or path.stem),
        cells.count(shown), cells.without_slide(notebook),
    )


def _title(notebook: nbformat.NotebookNode) -> str:
    lines = "\n".join(cell.source for cell in notebook.cells).splitlines()
    heading = next((line for line in lines if line.startswith("# ")), "")
    return heading.removeprefix("# ")


def _line(name: str, made: Deck) -> str:
    size = len(made.page.encode("utf-8")) / 2**20
    line = f"{name}: {made.count} slides, {size:.1f} MB"
    if made.left_out:
        more = " ..." * (len(made.left_out) > 3)
        line += (
            "; cells without a slide type, left out: "
            f"{', '.join(made.left_out[:3])}{more}"
        )
    return line


def _index(out: Path) -> str:
    """Links to all the slides of a folder, also those of earlier runs."""
    links = []
    for path in sorted(out.glob("*.html")):
        found = TITLE.search(path.read_text(encoding="utf-8"))
        if found and path.name != "index.html":
            links.append(f'<li><a href="{quote(path.name)}">{found[1]}</a>')
    return INDEX.format(links="\n".join(links))
