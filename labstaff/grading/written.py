"""Points for answers in words: a person enters them, and they are kept."""

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labstaff.grading.archives import decoded
from labstaff.grading.pages import harmless
from labstaff.grading.results import Graded, Status, Verdict
from labutils.files import write_atomically

NAME = "written.csv"
COLUMNS = ("answer", "student", "possible", "points", "comment")


def enter(
    out: Path, names: dict[str, str], graded: Sequence[Graded]
) -> tuple[list[Graded], list[str]]:
    """Take the points that were entered, and list what is still to be read.

    A line belongs to one text: who hands in another answer gets a new line,
    and no line is ever dropped.

    Returns:
        The results with these points, and what cannot be used, in words.
    """
    path, problems = out / NAME, []
    lines = _lines(path)
    found = []
    for one in graded:
        verdicts = []
        for verdict in one.verdicts:
            if verdict.status is Status.WRITTEN:
                text = one.answers.get(verdict.exercise, "")
                mark = hashlib.sha256(text.encode("utf-8", "replace"))
                answer = (f"{one.student}/{verdict.exercise}/"
                          f"{mark.hexdigest()[:6]}")
                line = lines.setdefault(answer, dict.fromkeys(COLUMNS, ""))
                line.update(answer=answer, possible=f"{verdict.possible:g}",
                            student=harmless(names[one.student]))
                try:
                    verdict = _read(verdict, line)
                except ValueError as error:
                    problems.append(f"{path.name}, {answer}: {error}")
            verdicts.append(verdict)
        found.append(replace(one, verdicts=verdicts))
    if lines:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines[answer] for answer in sorted(lines))
        text = "\ufeff" + buffer.getvalue()
        write_atomically(path, text.encode("utf-8", "replace"))
    return found, problems


def _lines(path: Path) -> dict[str, dict[str, str]]:
    """The lines of a file that a spreadsheet may have written, in GBK too."""
    try:
        text = decoded(path.read_bytes())
    except FileNotFoundError:
        return {}
    mark = max(",;\t", key=text.partition("\n")[0].count)
    return {
        line["answer"]: {name: line.get(name) or "" for name in COLUMNS}
        for line in csv.DictReader(io.StringIO(text), delimiter=mark)
        if line.get("answer")}


def _read(verdict: Verdict, line: dict[str, str]) -> Verdict:
    entered = line["points"].strip().replace(",", ".")
    if not entered:
        return verdict
    try:
        points = float(entered)
    except ValueError:
        points = -1.0
    if not 0 <= points <= verdict.possible:
        raise ValueError(f"{entered!r} are no points from 0 to "
                         f"{verdict.possible:g}.")
    return replace(verdict, status=Status.READ, points=points,
                   reason=line["comment"].lstrip("'") or "Read by a person.")
