"""What a complete report would have, and this one has not."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labkit.report import words
from labkit.report.cells import STUB
from labkit.report.gathering import Gathered
from labutils import recorded
from labutils.corpus import SHA256, TIME_MACHINE
from labutils.files import LANGUAGES, translated
from labutils.history import History

MOST = 6  # names in one line
LONGEST = 500  # characters of it
CORPUS = re.compile(
    r"^(?:[Cc]orpus: |语料库\uff1a)(.+?)(?:, from .*|\uff0c来自.*)?$",
    re.MULTILINE)


@dataclass(frozen=True)
class Problem:
    """Something that is missing or not in order."""

    kind: str  # a key of the words' table `problems`
    where: str = ""  # the notebook
    what: tuple[str, ...] = ()  # the cells, exercises, files or trainings

    def in_words(self, language: str) -> str:
        """As one line, without what could write elsewhere on a terminal."""
        its, named = words(language), [*self.what[:MOST]]
        if more := len(self.what) - len(named):
            named.append(its["and_more"].format(number=more))
        line = its["problems"][self.kind].format(
            where=self.where, what=its["separator"].join(named))
        seen = "".join(c if c.isprintable() else " " for c in line)
        return " ".join(seen.split())[:LONGEST]


def problems(gathered: Sequence[Gathered]) -> list[Problem]:
    """All that is missing, notebook by notebook."""
    found = [problem for one in gathered for problem in _of(one)]
    discussed = any(cell.kind == "discussion" and cell.written
                    for one in gathered for cell in one.cells or ())
    return found if discussed else [*found, Problem("discussion")]


def state(name: str, history: History) -> str:
    """How far a training got: a key of the words' table `status`."""
    if name in recorded.names() and (
        # The recorded run itself, to the last microsecond.
        history.train_seconds == recorded.load(name).train_seconds
    ):
        return "replayed"
    if history.interrupted or history.diverged:
        return "interrupted" if history.interrupted else "diverged"
    return "full" if history.full else "capped"


def _of(one: Gathered) -> Iterator[Problem]:
    where = one.lesson.stem
    if one.path is None:
        yield Problem("no_notebook", where)
    elif one.cells is None:
        yield Problem("unreadable", where)
    elif not one.executed:
        yield Problem("not_executed", where)
    for kind, what in (_in_cells(one) | _in_results(one)).items():
        if what:
            yield Problem(kind, where, tuple(what))


def _in_cells(one: Gathered) -> dict[str, list[str]]:
    """By the kind of a problem, the cells and exercises that have it."""
    cells = one.cells or ()
    code = [c for c in cells if c.is_code or c.kind == "check"]
    run = [c for c in code if c.count]
    written = {cell.name: STUB not in cell.source for cell in cells
               if cell.kind == "exercise"}
    answers = {cell.name for cell in cells if cell.kind == "answer"}
    passed = [c.name for c in code if c.kind == "check"
              and any(translated(f"{c.name}: passed", language) in c.text
                      for language in LANGUAGES)]
    # A notebook that was not executed at all is said to be that alone.
    return {
        "cells_left": [f"{c.number}" for c in code if run and not c.count],
        "order": [f"{after.number}" for before, after in pairwise(run)
                  if after.count <= before.count],
        "error": [f"{c.number}: {e}" for c in run for e in c.errors],
        # What the course asks for, whatever has become of the cells.
        "exercise": [name for name in one.lesson.exercises
                     if one.cells and not written.get(name)],
        "check": [name for name in one.lesson.exercises
                  if run and written.get(name) and name not in passed],
        "answer": [c.heading for c in cells
                   if c.kind == "answer" and not c.written] + [
            name for name in one.lesson.answers
            if one.cells and name not in answers],
        "changed": ["/".join(path.parts[-2:]) for path in one.newer]}


def _in_results(one: Gathered) -> dict[str, list[str]]:
    """By the kind of a problem, the files and trainings that have it."""
    found: dict[str, list[str]] = {
        "no_result": one.missing, "damaged": one.damaged,
        "capped": [], "interrupted": [], "diverged": [], "replayed": []}
    printed = "\n".join(c.text for c in one.cells or () if c.is_code)
    # What the notebook has not printed is of another run.
    older = [f"{name}.txt" for name, text in one.texts.items()
             if text.strip() not in printed]
    named = CORPUS.findall("\n".join([printed, *one.texts.values()]))
    others = {name.strip() for name in named
              if not name.strip().startswith(TIME_MACHINE)}
    for name, history in one.histories.items():
        asked, best = history.settings["num_epochs"], history.best_held_out[0]
        if (reached := state(name, history)) != "full":
            found[reached].append(f"{name}: {history.num_epochs}/{asked}")
        if history.corpus.get("sha256") != SHA256:
            others.add(str(history.corpus.get("name", "?")))
        if (name in one.lesson.histories and not math.isnan(best)
                and f"{best:.2f}" not in printed):
            older.append(f"{name}.json")
    return found | {"practice": sorted(others),
                    "older": older if one.executed else []}
