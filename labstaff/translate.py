"""Notebooks in another language: one source, one file of translations each.

The English notebook is the source. Beside its translation lies a gettext PO
file with an entry for each text cell (`msgctxt` is the cell's id), from which
the translated notebook is made; code, outputs and metadata are the source's.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
import polib
from nbformat import NotebookNode

from labkit.course import read_notebook
from labutils import settings
from labutils.files import write_atomically

# What a translation must hold exactly as often as its source.
KEPT = {
    "code": re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL),
    "formula": re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL),
    "link": re.compile(r"\]\(([^)\s]+)|<(https?://[^>]+)>"),
    "mark": re.compile(r"^### (?:BEGIN|END) [A-Z ]+$", re.MULTILINE),
    "number": re.compile(r"\d[\d,.]*\d|\d"),
}
# A folder lower, the way to a file beside the notebooks is longer.
BESIDE = re.compile(r"\]\((?=images/)")


def translate(language: str = "zh") -> list[str]:
    """Bring all files of a language up to date; returns what is left to do.

    New and changed cells wait for a translator, those that are gone are kept
    in the file as obsolete: nothing that was translated is ever lost.
    """
    left: list[str] = []
    for source in sources():
        entries = extract(source, language)
        write_atomically(
            _po(source, language), f"{entries}\n".encode()
        )
        write_atomically(
            _notebook(source, language), render(source, entries).encode()
        )
        left += faults(source, entries)
    return left


def drift(language: str = "zh") -> list[str]:
    """What is wrong with the files as they are, a line for each fault."""
    found = []
    for source in sources():
        path = _po(source, language)
        if not path.exists():
            found.append(f"{source.stem}: there is no {path.name}")
            continue
        entries = extract(source, language)
        found += faults(source, entries)
        if f"{entries}\n" != path.read_text(encoding="utf-8"):
            found.append(f"{source.stem}: {path.name} is not up to date")
        made = _notebook(source, language)
        if not made.exists() or made.read_text(encoding="utf-8") != render(
            source, entries
        ):
            found.append(f"{source.stem}: the notebook is not what its source "
                         f"and {path.name} make")
    return [f"{fault}; run `labutils translate`" for fault in found]


def sources() -> list[Path]:
    """All notebooks that are translated, in order."""
    return sorted(
        path for path in (settings.home() / "notebooks").glob("*.ipynb")
        if "-" not in path.stem  # a copy that JupyterLab or `reset` made
    )


def extract(source: Path, language: str) -> polib.POFile:
    """The entries of a notebook: those on disk, brought up to date."""
    path = _po(source, language)
    old = polib.pofile(str(path)) if path.exists() else polib.POFile()
    by_cell = {entry.msgctxt: entry for entry in old}
    entries = polib.POFile(wrapwidth=0)
    entries.metadata = {
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Language": language,
    }
    for cell in _text_cells(source):
        entry = by_cell.pop(cell.id, None) or polib.POEntry(msgctxt=cell.id)
        entry.obsolete = False
        if entry.msgid != cell.source:
            if entry.msgstr:
                entry.flags = ["fuzzy"]
                entry.previous_msgid = entry.msgid
            entry.msgid = cell.source
        elif not entry.fuzzy:
            entry.previous_msgid = None
        entries.append(entry)
    for entry in by_cell.values():
        if entry.msgstr:
            entry.obsolete = True
            entries.append(entry)
    return entries


def render(source: Path, entries: polib.POFile) -> str:
    """The translated notebook as it is written; twice gives the same."""
    notebook = read_notebook(source)
    by_cell = {e.msgctxt: e.msgstr for e in entries if not e.obsolete}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = by_cell.get(cell.id) or cell.source
            cell.source = BESIDE.sub("](../", text)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def faults(source: Path, entries: polib.POFile) -> Iterator[str]:
    """What a translator has to do, cell by cell."""
    for entry in entries:
        cell = f"{source.stem}, cell {entry.msgctxt}"
        if entry.obsolete:
            continue
        if not entry.msgstr:
            yield f"{cell}: not translated"
            continue
        if entry.fuzzy:
            yield f"{cell}: the English text has changed"
        for kind, pattern in KEPT.items():
            ours, theirs = (
                Counter(_found(kind, pattern, text))
                for text in (entry.msgid, entry.msgstr)
            )
            for what in (ours - theirs) + (theirs - ours):
                yield (f"{cell}: the {kind} {what!r} stands {ours[what]} "
                       f"times in English, {theirs[what]} times here")


def _found(kind: str, pattern: re.Pattern[str], text: str) -> list[str]:
    if kind not in ("code", "link", "mark"):
        text = KEPT["link"].sub("](", KEPT["code"].sub("`", text))
    if kind == "number":
        text = KEPT["formula"].sub("$", text)
    found = [match[0] for match in pattern.finditer(text)]
    return [" ".join(what.split()) for what in found]


def _text_cells(source: Path) -> list[NotebookNode]:
    cells = read_notebook(source).cells
    return [cell for cell in cells if cell.cell_type == "markdown"]


def _po(source: Path, language: str) -> Path:
    return source.parent / language / f"{source.stem}.po"


def _notebook(source: Path, language: str) -> Path:
    return source.parent / language / source.name
