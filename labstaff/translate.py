"""Notebooks and messages in another language: one source, one file each.

The English notebook is the source. Beside its translation lies a gettext PO
file with an entry for each text cell (`msgctxt` is the cell's id), from which
the translated notebook is made; code, outputs and metadata are the source's.

The messages of labutils, labkit and the grader are the texts in their code
and pages; what is filled in becomes {0}, {1} and so on (see
`labutils.files.translated`). A translation that is the English again says
that nobody is to read it there.
"""

import ast
import difflib
import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import nbformat
import polib
from jinja2 import Environment

from labkit.course import notebook_paths, read_notebook
from labutils import settings
from labutils.files import CATALOGUES, write_atomically

# What a translation must hold exactly as often as its source; a kind is looked
# for where none of those above it stands.
KEPT = {
    "code": re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL),
    "link": re.compile(r"\]\([^)\s]+|<https?://[^>]+>"),
    "mark": re.compile(r"^### (?:BEGIN|END) [A-Z ]+$", re.MULTILINE),
    "formula": re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL),
    "gap": re.compile(r"\{(\d+)(?:!s)?\}|%\((\w+)\)"),
    "number": re.compile(r"\d[\d,.]*\d|\d"),
}
# Texts of these calls are messages though they be a single word.
SINKS = {"_", "CheckFailed", "Control", "Finding", "header", "require"}
# What is said in single words elsewhere, or put together, or by argparse.
OTHERS = (
    "ok", "note", "WARN", "BAD", "Imports", "Notebooks", "Machine", "training",
    "results", "data", "folders", "forget", "output", "reset", "update",
    "surprise", "gates", "random", "space", "newline", "setting", "failed",
    "error", "read", "refused: {0}", "nothing written: {0}",
    "{0} students. Open {1}", "interrupted: {0}", "timed out: {0}",
    "out of memory: {0}", "kernel died: {0}", "complete", "tried", "got",
    "expected", "likely", "where", "possible", "{0}: {1}", "{0}: {1}.",
    "cell {0}, {1}",
    "the number is nobody's on the roster; taken for {0}'s, by the name.",
    "{0} ({1} of {2} versions, {3})", "{0} ({1} versions, all equal)",
    "a list of {0}", "a tuple of {0}", "epoch", "Folders",
    "Does not work: {0}.", "Works, with a warning: {0}.",
    "No notebook {0} is in the last commit: expected a path or the beginning "
    "of one of {1}.", "not used: the blocks {0} and {1}",
    "not used: the blocks {0} and {1} and {2}", "as", "{0}Error: {1}",
    "a missing bias: {0}", "the new state{0} = {1}", "the result{0} = {1}",
    "the gradient of {0} = {1}",
    "{0}, in line {1} of your cell", "{0}, in line {1} of your cell: {2}",
    "usage: ", "options", "positional arguments",
    "argument %(argument_name)s: %(message)s",
    "show this help message and exit", "%(prog)s: error: %(message)s\n",
    "expected one argument", "the following arguments are required: %s",
    "unrecognized arguments: %s",
    "invalid choice: %(value)r (choose from %(choices)s)",
    "ambiguous option: %(option)s could match %(matches)s",
    "expected at least one argument", "invalid %(type)s value: %(value)r",
)


def translate(language: str = "zh") -> list[str]:
    """Bring all files of a language up to date; returns what is left to do.

    New and changed cells wait for a translator, those that are gone are kept
    in the file as obsolete: nothing that was translated is ever lost.
    """
    left: list[str] = []
    for files, faults in made(language):
        for path, content in files.items():
            write_atomically(path, content)
        left += faults
    return left


def made(language: str) -> Iterator[tuple[dict[Path, bytes], list[str]]]:
    """The files of each notebook and of the messages as they should be, and
    what a translator has to do there."""
    for source in notebook_paths(extras=True):
        path = source.parent / language / source.name
        po = path.with_suffix(".po")
        entries = _updated(po, language, {
            cell.id: polib.POEntry(msgctxt=cell.id, msgid=cell.source)
            for cell in read_notebook(source).cells
            if cell.cell_type == "markdown"})
        files = {po: f"{entries}\n".encode(),
                 path: render(source, entries).encode()}
        yield files, [*faults(source.stem, entries)]
    if (path := catalogue(language)).parents[2].is_dir():
        entries = _updated(path, language, {
            message: polib.POEntry(msgid=message, occurrences=[*places])
            for message, places in _messages_by_place().items()})
        files = {path: f"{entries}\n".encode(),
                 path.with_suffix(".mo"): compiled(entries)}
        yield files, [*faults(path.name, entries)]


def catalogue(language: str) -> Path:
    """The file of the messages."""
    place = settings.home() / "labutils" / CATALOGUES.name
    return place / language / "LC_MESSAGES" / "labutils.po"


def _messages_by_place() -> dict[str, dict[tuple[str, str], None]]:
    """The messages in the code, and for each the files that it stands in."""
    found: dict[str, dict[tuple[str, str], None]] = {m: {} for m in OTHERS}
    root = settings.home()
    modules = [path for folder in ("labutils", "labkit", "labstaff/grading")
               for path in (root / folder).rglob("*.py")]
    pages = (root / "labstaff/grading").rglob("*.html")
    for module in [*sorted(modules), *sorted(pages)]:
        place = (module.relative_to(root).as_posix(), "")
        text = module.read_text(encoding="utf-8")
        for message in _of_page(text) if module.suffix == ".html" else (
                messages(ast.parse(text))):
            found.setdefault(message, {})[place] = None
    return found


def _updated(
    path: Path, language: str, wanted: dict[str, polib.POEntry]
) -> polib.POFile:
    """The entries that are wanted, with the translations that a file has;
    below, as obsolete, those that nobody wants any more."""
    old = polib.pofile(str(path)) if path.exists() else polib.POFile()
    known = {entry.msgctxt or entry.msgid: entry for entry in old
             if entry.msgstr}
    gone = [entry for key, entry in known.items() if key not in wanted]
    by_text = {entry.msgid: entry for entry in gone}
    for key, entry in wanted.items():
        near = [] if key in known else difflib.get_close_matches(
            entry.msgid, by_text, 1, 0.8)
        if before := by_text[near[0]] if near else known.get(key):
            entry.msgstr, entry.tcomment = before.msgstr, before.tcomment
            if before.msgid != entry.msgid:
                entry.flags, entry.previous_msgid = ["fuzzy"], before.msgid
            elif before.fuzzy:
                entry.flags = before.flags
                entry.previous_msgid = before.previous_msgid
    for entry in gone:
        entry.obsolete = True
    entries = polib.POFile(wrapwidth=0)
    entries.metadata = {
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Language": language,
    }
    entries += [*wanted.values(), *gone]
    return entries


def _of_page(template: str) -> Iterator[str]:
    """The texts that a page's template has translated."""
    pages = Environment(extensions=["jinja2.ext.i18n"])
    for _, _, said in pages.extract_translations(  # type: ignore[attr-defined]
            template):
        yield from (said,) if isinstance(said, str) else filter(None, said)


def messages(node: ast.AST, sink: bool = False) -> Iterator[str]:
    """The texts in code that somebody may read, with gaps for the values."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    parts = [*_parts(node)]
    said = "".join(part for part in parts if isinstance(part, str))
    inside = [part for part in parts if isinstance(part, ast.AST)]
    if not said:
        sink = sink and isinstance(node, ast.IfExp)
        if isinstance(node, ast.Call):
            sink = ast.unparse(node.func) in SINKS
        inside = [*ast.iter_child_nodes(node)]
    elif re.search("[A-Za-z]", said) and (sink or " " in said):
        gaps = count()
        yield said if len(parts) == 1 else "".join(
            part.replace("{", "{{").replace("}", "}}")
            if isinstance(part, str) else f"{{{next(gaps)}}}"
            for part in parts)
    for part in inside:
        yield from messages(part, sink)


def _parts(node: ast.AST) -> Iterator[str | ast.AST | None]:
    """What a text is put together from, where a node is one; else itself."""
    match node:
        case ast.BinOp(left, ast.Add(), right):
            yield from (*_parts(left), *_parts(right))
        case ast.JoinedStr(values):
            for value in values:
                yield from _parts(value)
        case ast.FormattedValue(value):
            yield value
        case ast.Constant(str(text)):  # which str.format may fill in
            first, *others = text.split("{}")
            yield first
            for other in others:
                yield from (None, other)
        case _:
            yield node


def compiled(entries: polib.POFile) -> bytes:
    """The catalogue as a program reads it."""
    short = polib.POFile()
    short.metadata = entries.metadata
    short += [e for e in entries if e.translated() and e.msgstr != e.msgid]
    return short.to_binary()


def render(source: Path, entries: polib.POFile) -> str:
    """The translated notebook as it is written; twice gives the same."""
    notebook = read_notebook(source)
    texts = {e.msgctxt: e.msgstr for e in entries if not e.obsolete}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = texts.get(cell.id) or cell.source
            # A folder lower, the way to the pictures is longer.
            cell.source = text.replace("](images/", "](../images/")
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def faults(name: str, entries: polib.POFile) -> Iterator[str]:
    """What a translator has to do, cell by cell."""
    for entry in (e for e in entries if not e.obsolete):
        cell = f"{name}, " + (
            f"cell {entry.msgctxt}" if entry.msgctxt else repr(entry.msgid))
        if not entry.msgstr:
            yield f"{cell}: not translated"
            continue
        if entry.fuzzy:
            yield f"{cell}: the English text has changed"
        ours, theirs = _kept(entry.msgid), _kept(entry.msgstr)
        for kind, what in (ours - theirs) + (theirs - ours):
            yield (f"{cell}: the {kind} {what!r} stands {ours[kind, what]} "
                   f"times in English, {theirs[kind, what]} times here")


def _kept(text: str) -> Counter[tuple[str, str]]:
    """How often a text holds what, by its kind."""
    found = Counter[tuple[str, str]]()
    for kind, pattern in KEPT.items():
        for match in pattern.finditer(text):
            what = match[match.lastindex or 0]  # of a gap its name
            found[kind, " ".join(what.split())] += 1
        text = pattern.sub(" ", text)
    return found
