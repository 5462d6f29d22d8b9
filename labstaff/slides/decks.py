"""The lecture's slides: a file for each notebook, and a page of links."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from labkit.course import notebook_paths, read_notebook, title
from labstaff.slides import cells, exporter
from labutils import settings
from labutils.files import write_atomically

TITLE = re.compile("<title>(.*?)</title>")
CONTENTS = Path(__file__).parent / "deck" / "contents.html"


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
    solutions: bool = True, language: str = "en",
) -> list[str]:
    """Write the slides of the notebooks.

    Args:
        names: which, as for `notebook_paths`; none means all.
        out: their folder; None takes slides/ among the results.
        solutions: False shows the stubs that students get.
        language: of the notebooks.

    Returns:
        A line about each file.

    Raises:
        NotebookError: there is no such notebook, or it cannot be read.
        SlideError: a notebook cannot be made into slides.
    """
    out = settings.results_dir() / "slides" if out is None else out
    lines = []
    for path in notebook_paths(names, language=language):
        made = deck(path, solutions)
        write_atomically(out / f"{path.stem}.html", made.page.encode("utf-8"))
        lines.append(_line(path.stem, made))
    index = out / "index.html"
    write_atomically(index, _index(out).encode("utf-8"))
    return [*lines, f"Open {index}"]


def deck(path: Path, solutions: bool = True) -> Deck:
    """The slides of one notebook; arguments and errors as for `write`."""
    notebook = read_notebook(path)
    try:
        shown = cells.prepare(notebook, solutions)
    except cells.SlideError as error:
        raise cells.SlideError(f"{path.name}: {error}") from None
    return Deck(
        exporter.export(shown, title(notebook) or path.stem),
        cells.count(shown), cells.without_slide(notebook),
    )


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
    page = CONTENTS.read_text(encoding="utf-8")
    return page.replace("{links}", "\n".join(links))
