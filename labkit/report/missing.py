"""What a complete report would have, and this one has not."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nbformat import NotebookNode

from labkit.report import cells
from labkit.report.gathering import Gathered, code_cells, executed
from labkit.report.words import AND_MORE, PROBLEMS, STATUS
from labutils import recorded
from labutils.corpus import SHA256, TIME_MACHINE
from labutils.history import History

MOST = 6  # names in one line
LONGEST = 500  # characters of it
CORPUS = re.compile(r"^[Cc]orpus: (.+?)(?:, from .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Problem:
    """Something that is missing or not in order.

    Attributes:
        kind: a key of words.PROBLEMS.
        where: the notebook.
        what: the cells, exercises or files; with a training how far it got,
            as a key of words.STATUS and the epochs.
    """

    kind: str
    where: str = ""
    what: tuple[str, ...] = ()
    reached: tuple[tuple[str, str], ...] = ()

    def in_words(self, language: str) -> str:
        """As one line."""
        more = [
            f"{what} ({STATUS[language][state]}, {epochs})"
            for what, (state, epochs) in zip(
                self.what, self.reached, strict=True)
        ] if self.reached else self.what
        named = [*more[:MOST]]
        if len(more) > MOST:
            named.append(AND_MORE[language].format(number=len(more) - MOST))
        separator = "、" if language == "zh" else ", "
        return _one_line(PROBLEMS[language][self.kind].format(
            where=self.where, what=separator.join(named)))


def _one_line(text: str) -> str:
    """Without what could write elsewhere on a terminal."""
    seen = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(seen.split())[:LONGEST]


def problems(gathered: Sequence[Gathered]) -> list[Problem]:
    """All that is missing, notebook by notebook."""
    found = [problem for one in gathered for problem in _of(one)]
    written = [
        cell for one in gathered if one.notebook
        for cell in cells.discussions(one.notebook) if cells.is_written(cell)
    ]
    return found if written else [*found, Problem("discussion")]


def state(name: str, history: History) -> tuple[str, str]:
    """How far a training got: a key of words.STATUS, and the epochs."""
    epochs = f"{history.num_epochs}/{history.settings['num_epochs']}"
    if is_replayed(name, history):
        return "replayed", epochs
    if history.interrupted or history.diverged:
        return "interrupted" if history.interrupted else "diverged", epochs
    return ("full" if history.full else "capped"), epochs


def is_replayed(name: str, history: History) -> bool:
    """Whether it is the recorded run, to the last microsecond."""
    return name in recorded.names() and (
        history.train_seconds == recorded.load(name).train_seconds)


def _of(one: Gathered) -> Iterator[Problem]:
    where = one.lesson.stem
    if one.path is None:
        yield Problem("no_notebook", where)
    elif one.notebook is None:
        yield Problem("unreadable", where)
    else:
        yield from _execution(one.notebook, where)
        yield from _answers(one.notebook, where)
        if one.newer:
            newer = f"{one.newer.parent.name}/{one.newer.name}"
            yield Problem("changed", where, (newer,))
    yield from _results(one)


def _execution(notebook: NotebookNode, where: str) -> Iterator[Problem]:
    if not executed(notebook):
        yield Problem("not_executed", where)
        return
    numbers = {id(c): n for n, c in enumerate(notebook.cells, start=1)}
    all_ = code_cells(notebook)
    left = [f"{numbers[id(c)]}" for c in all_ if not c.execution_count]
    if left:
        yield Problem("cells_left", where, tuple(left))
    run = [cell for cell in all_ if cell.execution_count]
    wrong = [
        f"{numbers[id(b)]}" for a, b in pairwise(run)
        if b.execution_count <= a.execution_count
    ]
    if wrong:
        yield Problem("order", where, tuple(wrong))
    errors = [
        f"{numbers[id(cell)]}: {output.get('ename', '')}" for cell in run
        for output in cell.outputs if output.output_type == "error"
    ]
    if errors:
        yield Problem("error", where, tuple(errors))


def _answers(notebook: NotebookNode, where: str) -> Iterator[Problem]:
    said = cells.checks(notebook)
    exercises = [cell for cell in cells.code(notebook) if cell.exercise]
    open_ = [c.exercise for c in exercises if cells.STUB in c.source]
    if open_:
        yield Problem("exercise", where, tuple(open_))
    failed = [
        cell.exercise for cell in exercises if cell.exercise not in open_
        and f"{cell.exercise}: passed" not in said.get(cell.exercise, "")
    ]
    if failed and executed(notebook):
        yield Problem("check", where, tuple(failed))
    empty = [
        cell.heading for cell in cells.answers(notebook)
        if not cells.is_written(cell)
    ]
    if empty:
        yield Problem("answer", where, tuple(empty))


def _results(one: Gathered) -> Iterator[Problem]:
    where, results = one.lesson.stem, one.results
    if results.missing:
        yield Problem("no_result", where, results.missing)
    if results.damaged:
        yield Problem("damaged", where, results.damaged)
    reached = {n: state(n, h) for n, h in results.histories.items()}
    for kind, states in (
        ("partial", ("capped", "interrupted", "diverged")),
        ("replayed", ("replayed",)),
    ):
        which = [n for n, (s, _) in reached.items() if s in states]
        if which:
            yield Problem(kind, where, tuple(which),
                          tuple(reached[n] for n in which))
    texts = sorted(_texts(one))
    if texts:
        yield Problem("practice", where, tuple(texts))
    older = _older(one) if executed(one.notebook) else []
    if older:
        yield Problem("older", where, tuple(older))


def _texts(one: Gathered) -> set[str]:
    """The names of all the texts that were used but for the book."""
    found = {
        str(history.corpus.get("name", "?"))
        for history in one.results.histories.values()
        if history.corpus.get("sha256") != SHA256
    }
    said = [*one.results.texts.values()]
    if one.notebook:
        said += [cell.text for cell in cells.code(one.notebook)]
    named = {name.strip() for text in said for name in CORPUS.findall(text)}
    return found | {n for n in named if not n.startswith(TIME_MACHINE)}


def _older(one: Gathered) -> list[str]:
    """Results whose text or figures the notebook has not printed."""
    assert one.notebook is not None
    printed = "\n".join(cell.text for cell in cells.code(one.notebook))
    found = [
        name for name, text in one.results.texts.items()
        if text.strip() not in printed
    ]
    for name in one.lesson.histories:
        history = one.results.histories.get(name)
        if history is None or math.isnan(history.best_held_out[0]):
            continue
        if f"{history.best_held_out[0]:.2f}" not in printed:
            found.append(f"{name}.json")
    return found
