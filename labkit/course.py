"""The course: its notebooks, how one is found and read, what a run leaves."""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import re
import symtable
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labutils import settings

if TYPE_CHECKING:
    from nbformat import NotebookNode

# IPython's magics above a whole cell that run what stands below as Python.
MAGIC = re.compile(r"%%(\w+)[^\n]*(?:\n|$)")
PYTHON_BELOW = ("time", "timeit", "capture", "prun", "python", "python3")
LONGEST_SOURCE, MOST_MARKS = 20_000, 100
NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
# Whoever names one of these can reach any value without naming it.
ANY = {"exec", "eval", "globals", "locals", "vars", "get_ipython"}


class NotebookError(RuntimeError):
    """A notebook is not found or not readable; the message says what to do."""


@dataclass(frozen=True)
class Lesson:
    """A notebook and what its full run leaves under results/."""

    stem: str  # of the notebook's file, and the name of its results' folder
    trainings: tuple[str, ...] = ()  # those with a summary and a curve
    histories: tuple[str, ...] = ()  # trainings with nothing but a history
    texts: tuple[str, ...] = ()  # other summaries
    pictures: tuple[str, ...] = ()  # other pictures
    optional: tuple[str, ...] = ()  # histories of those who trained more
    exercises: tuple[str, ...] = ()  # in code, each with a check
    answers: tuple[str, ...] = ()  # in words

    @property
    def runs(self) -> tuple[str, ...]:
        """All that a full run trains, in order; each leaves a history."""
        return self.trainings + self.histories


SEEDS = tuple(
    f"seeds_{network}_{run}"
    for network in ("lstm_256", "gru_256", "gru_296") for run in (0, 1, 2)
)
# Each part of the report by its key; labkit/report/templates/ has the titles.
PARTS = {
    "text": (
        Lesson("01_text_preprocessing", texts=("summary",),
               pictures=("frequencies",), exercises=(
                   "tokenize", "Vocab", "load_corpus_time_machine")),
        Lesson("02_long_sequence_sampling", exercises=(
            "seq_data_iter_random", "seq_data_iter_sequential")),
    ),
    "scratch": (
        Lesson("03_rnn_from_scratch",
               ("rnn_scratch_sequential", "rnn_scratch_random"),
               exercises=("one_hot", "get_params", "init_rnn_state", "rnn",
                          "predict", "grad_clipping", "sgd", "train_epoch")),
    ),
    "concise": (
        Lesson("04_rnn_concise",
               ("rnn_concise", "rnn_concise_2_layers",
                "rnn_concise_3_layers", "rnn_concise_4_layers"),
               exercises=("RNNModel", "deep_rnn"), answers=("depth",)),
    ),
    "lstm": (
        Lesson("05_lstm_from_scratch", ("lstm_scratch",), exercises=(
            "get_lstm_params", "init_lstm_state", "lstm",
            "evaluate_perplexity")),
    ),
    "deep": (
        Lesson("06_deep_lstm_vs_gru", ("deep_lstm", "deep_gru"),
               ("deep_gru_adam",), ("comparison",), ("comparison",),
               (*SEEDS, "whole_book_0", "whole_book_1", "whole_book_2"),
               exercises=("gru_cell", "interval"), answers=("lstm_or_gru",)),
    ),
}
LESSONS = tuple(lesson for part in PARTS.values() for lesson in part)


# ---- the files

# Of each language, where below notebooks/ its notebooks are.
FOLDERS = {"en": "", "zh": "zh"}
# What stands in the place of an answer that nobody has written yet.
NO_ANSWER = {"en": "YOUR ANSWER HERE", "zh": "在这里写下你的回答"}


def language_of(notebook: NotebookNode) -> str:
    """The language of most of a notebook's text, the course's own."""
    text = "".join(
        c.source for c in notebook.cells if c.cell_type == "markdown")
    chinese, latin = (len(re.findall(letter, text))
                      for letter in ("[\u4e00-\u9fff]", "[a-z]"))
    return "zh" if 4 * chinese > latin else "en"


def notebook_paths(
    names: Sequence[str] = (), extras: bool = False, language: str = "en",
) -> list[Path]:
    """The course's notebooks, in order, or those that are named.

    Args:
        names: paths, or the beginnings of file names in notebooks/ ("03").
        extras: with those beside the course, which are not graded; they can
            always be named.
        language: of their text; "en" are the source of the others.

    Raises:
        NotebookError: there is no such notebook.
    """
    folder = settings.home() / "notebooks" / FOLDERS[language]
    paths: list[Path] = []
    kinds = ("[0-9]*.ipynb", "extra_*.ipynb")[: 1 + bool(names or extras)]
    course = without_copies(
        path.name for kind in kinds for path in folder.glob(kind))
    if not names and not course:
        raise NotebookError(f"No notebooks in {folder}.")
    for name in names:
        if Path(name).is_file():
            paths.append(Path(name).resolve())
        else:
            paths += [folder / found for found in matching(name, course)]
    return paths if names else [folder / name for name in course]


def matching(name: str, course: Sequence[str], where: str = "") -> list[str]:
    """Those of the course's file names that begin with `name`.

    Raises:
        NotebookError: there is none; `where` says in a clause where.
    """
    found = [file for file in course if name and file.startswith(name)]
    if not found:
        known = ", ".join(Path(file).stem for file in course) or "none at all"
        raise NotebookError(
            f"No notebook {name!r}{where}: expected a path or the beginning "
            f"of one of {known}.")
    return found


def without_copies(names: Iterable[str]) -> list[str]:
    """File names in order, but no copies of another one of them.

    JupyterLab names a copy 03_rnn-Copy1.ipynb, and `reset` does it alike.
    """
    names = sorted(names)
    originals = tuple(f"{Path(name).stem}-" for name in names)
    return [name for name in names
            if not Path(name).stem.startswith(originals)]


# ---- what is in them


def read_notebook(path: Path) -> NotebookNode:
    """A notebook of nbformat 4, as `parse_notebook` makes it.

    Raises:
        NotebookError: there is no such file, or no notebook is in it.
    """
    try:
        return parse_notebook(path.read_bytes())[0]
    except FileNotFoundError:
        raise NotebookError(
            f"There is no notebook {path}. Look at the name and the folder."
        ) from None
    except (NotebookError, OSError) as error:
        raise NotebookError(
            f"{path.name} cannot be read as a notebook ({error}). Repair it, "
            "or take it from the last commit (`labutils reset`)."
        ) from error


def parse_notebook(content: bytes) -> tuple[NotebookNode, list[str]]:
    """The notebook in a file's bytes, and in words what had to be mended.

    Older formats are converted. What the schema of nbformat 4.5 forbids is
    left out or repaired, always in the same way: only a file without a list
    of cells is none.

    Raises:
        NotebookError: it is no notebook; the message is the reason alone.
    """
    import nbformat

    if not content.strip():
        raise NotebookError("the file is empty")
    try:
        raw = json.loads(text := _text(content))
        if "\\ud" in text.lower():  # half a character cannot be written
            raw = json.loads(json.dumps(raw, ensure_ascii=False).encode(
                "utf-8", "replace"))
    except (ValueError, RecursionError):
        raise NotebookError(
            "it is no JSON: cut off, or another kind of file") from None
    if not isinstance(raw, dict):
        raise NotebookError("it is JSON, and no notebook")
    notes = []
    try:
        if "worksheets" in raw and "cells" not in raw:
            notes.append("an old format, converted to nbformat 4")
            raw = _mended({"cells": [
                cell for sheet in _part(raw, "worksheets", list)
                if isinstance(sheet, dict)
                for cell in _part(sheet, "cells", list)]})
        if not isinstance(raw.get("cells"), list):
            raise NotebookError("it is JSON, and no notebook: it has no cells")
        if fault := _fault(raw):
            raw = _mended(raw)
            notes.append(f"not quite in the format, mended ({fault})")
        if fault := _fault(raw):
            raise NotebookError(f"it is a damaged notebook ({fault})")
        notebook = nbformat.versions[4].to_notebook_json(raw)
    except NotebookError:
        raise
    except Exception as error:  # nbformat and jsonschema fail in many ways
        raise NotebookError("it is a damaged notebook "
                            f"({type(error).__name__})") from error
    return notebook, notes


def _text(content: bytes) -> str:
    """JSON is UTF-8; some editors write UTF-16, and in China GBK."""
    for encoding in (json.detect_encoding(content), "gb18030"):
        with contextlib.suppress(UnicodeError):
            return content.decode(encoding)
    raise NotebookError("it is not in UTF-8")


def _fault(node: dict[str, Any], kind: str | None = None) -> str:
    """What the schema of 4.5 says against a notebook, or a part of one."""
    from nbformat.validator import iter_validate

    if kind is None:
        if node.get("nbformat") != 4 or type(
                minor := node.get("nbformat_minor")) is not int or minor < 5:
            return "its version"
        ids = [cell.get("id") for cell in node["cells"]
               if isinstance(cell, dict)]
        if len({*map(str, ids)}) < len(ids):
            return "ids of cells that occur twice"
    try:
        error = next(iter_validate(node, kind, 4, 5), None)
    except Exception as failed:  # it stumbles over what it should name
        error = failed
    words = (str(error) or repr(error)).splitlines() if error else []
    return words[0][:100] if words else ""


def _mended(raw: dict[str, Any]) -> dict[str, Any]:
    """The same in the format 4.5, without what that forbids."""
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
    taken: set[str] = set()
    return _with_metadata(book, raw) | {"cells": [
        _mended_cell(cell, number, taken)
        for number, cell in enumerate(raw["cells"]) if isinstance(cell, dict)]}


def _mended_cell(
    cell: dict[str, Any], number: int, taken: set[str]
) -> dict[str, Any]:
    runs = {"outputs", "execution_count", "prompt_number"} & cell.keys()
    kind = cell.get("cell_type")
    if kind not in ("code", "markdown", "raw"):
        kind = "code" if runs else "markdown"
    source = cell.get("source", cell.get("input"))  # until format 3
    lines = source if isinstance(source, list) else [source]
    # Its own id where it has one, or else the same at each reading.
    name = re.sub(r"[^\w-]+", "-", _part(cell, "id", str).strip(), flags=re.A)
    name = name[:60] or f"cell-{number}"
    while name in taken:
        name = f"{name[:50]}-{number}"
    taken.add(name)
    made: dict[str, Any] = {
        "id": name, "cell_type": kind, "metadata": {},
        "source": "".join(line for line in lines if isinstance(line, str))}
    if kind == "code":
        made |= {"execution_count": None, "outputs": [
            output for output in _part(cell, "outputs", list)
            if isinstance(output, dict) and not _fault(output, "output")]}
    # What else it has is kept where the schema lets it.
    for part in {"execution_count", "attachments"} & cell.keys():
        if not _fault(more := made | {part: cell[part]}, f"{kind}_cell"):
            made = more
    return _with_metadata(made, cell, f"{kind}_cell")


def _with_metadata(
    made: dict[str, Any], raw: dict[str, Any], kind: str | None = None
) -> dict[str, Any]:
    return made | {"metadata": {
        name: value for name, value in _part(raw, "metadata", dict).items()
        if not _fault(made | {"metadata": {name: value}}, kind)}}


def _part(holder: dict[str, Any], name: str, kind: type) -> Any:
    """A part of that kind, or an empty one."""
    found = holder.get(name)
    return found if isinstance(found, kind) else kind()


def title(notebook: NotebookNode) -> str:
    """The first heading of the first level; empty where there is none."""
    headings = (
        line.removeprefix("# ").strip()
        for cell in notebook.cells if cell.cell_type == "markdown"
        for line in cell.source.splitlines() if line.startswith("# ")
    )
    return next(headings, "")


def grader(cell: NotebookNode) -> dict[str, Any]:
    """The cell's nbgrader metadata; empty for an ordinary cell."""
    found = cell.metadata.get("nbgrader", {})
    return found if isinstance(found, dict) else {}


# ---- the code in a cell


def tree(source: str) -> ast.Module:
    """A code cell as Python, with IPython's % and ! turned into calls.

    A magic above a whole cell, such as %%time, is taken off: what stands
    below it is run all the same. What is no Python raises one of NO_PYTHON.
    """
    try:
        return ast.parse(source)
    except NO_PYTHON:
        # IPython goes through the whole source once for each mark.
        marks = sum(source.count(mark) for mark in "!%?")
        if len(source) > LONGEST_SOURCE or marks > MOST_MARKS:
            raise
    from IPython.core.inputtransformer2 import TransformerManager

    code = source.lstrip()
    while (found := MAGIC.match(code)) and found[1] in PYTHON_BELOW:
        code = code[found.end():].lstrip("\n")
    try:
        return ast.parse(TransformerManager().transform_cell(code))
    except Exception as error:  # it fails in many ways
        raise SyntaxError("neither Python's nor IPython's") from error


@functools.lru_cache(1000)
def names_in(source: str) -> tuple[set[str], dict[str, str]]:
    """How the code of a cell is tied to other cells.

    Returns:
        The global names that it uses before it binds them itself, and what it
        takes of them ("labutils.train"); and those that it binds, each to a
        "function" (or class), an "import" or another "value". What is no
        Python binds none and may use ANY.
    """
    used: set[str] = set()
    bound: dict[str, str] = {}
    try:
        whole = tree(source)
        paths = [ast.unparse(node) for node in ast.walk(whole)
                 if isinstance(node, ast.Attribute)]
        used.update(path for path in paths
                    if path.replace(".", "").isidentifier())
        statements = [symtable.symtable(ast.unparse(node), "cell", "exec")
                      for node in whole.body]
    except NO_PYTHON:
        return ANY, bound
    for tables in ([statement] for statement in statements):
        before = {*bound}
        for table in tables:
            tables += table.get_children()
            top = table.get_type() == "module"
            for symbol in table.get_symbols():
                name = symbol.get_name()
                if not top and not symbol.is_global():
                    continue
                if symbol.is_namespace():
                    bound[name] = "function"
                elif symbol.is_imported():
                    bound[name] = "import"
                elif symbol.is_assigned():
                    bound.setdefault(name, "value")
                # A function looks when it is called, which may be later.
                if symbol.is_referenced() and not (top and name in before):
                    used.add(name)
    return used, bound
