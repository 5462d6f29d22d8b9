"""What is asked about a notebook, and what is found out: a job and its result.

Jobs travel to other processes and machines; results are kept on disk, and the
reports are made from them alone. Nothing slow is imported here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from labstaff.grading.sandbox import Limits
from labutils.files import write_atomically

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from labstaff.grading.matching import CourseNotebook, Exercise


@dataclass(frozen=True)
class Settings:
    """What all the results of a class have in common.

    Attributes:
        epochs: cap on every training.
        seed: probes have seeds that follow from it and from the submitted
            file, so that nobody can know them before.
        limits: of a notebook.
    """

    epochs: int = 1
    seed: int = 0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Job:
    """One notebook to grade; can be sent to another machine.

    Attributes:
        student: key of the submission.
        course: the notebook's exercises and checks.
        notebook: as it was handed in.
        digest: SHA-256 of the submitted file.
        settings: of the class.
        text: file of the corpus; None for the practice text.
        slot: the job's number in the class: sandboxes at the same time need
            different ones.
        notes: from reading the submission.
    """

    student: str
    course: CourseNotebook
    notebook: NotebookNode
    digest: str
    settings: Settings = field(default_factory=Settings)
    text: Path | None = None
    slot: int = 0
    notes: tuple[str, ...] = ()


class Status(StrEnum):
    """How an exercise ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "out of memory"
    KERNEL_DIED = "kernel died"
    NOT_ATTEMPTED = "not attempted"
    WRITTEN = "to be read"


@dataclass(frozen=True)
class Verdict:
    """The judgement on one exercise.

    Attributes:
        exercise: its name, the grade_id of the cell that a student fills in.
        status: how it ended.
        points: what it has earned; 0 for an answer that a person has to read.
        possible: what it could earn.
        reason: one sentence.
        tried, got, expected, likely: of a failed one, as in a check's
            message; each may be empty.
        where: cell and line of an error, in words.
        seed: of the probe's inputs; the same one gives the same inputs.
    """

    exercise: str
    status: Status
    points: float
    possible: float
    reason: str
    tried: str = ""
    got: str = ""
    expected: str = ""
    likely: str = ""
    where: str = ""
    seed: int | None = None

    @classmethod
    def without_points(
        cls, exercise: Exercise, status: Status, reason: str, got: str = "",
        where: str = "",
    ) -> Verdict:
        """One that was not judged by its check; the words as above."""
        return cls(exercise.name, status, 0.0, exercise.points, reason,
                   got=got, where=where)


@dataclass(frozen=True)
class Graded:
    """What has become of one notebook of one student.

    Attributes:
        student: key of the submission.
        notebook: its stem in the course, such as "03_rnn_from_scratch".
        digest: SHA-256 of the submitted file; empty where there is none.
        state: "graded", "missing" (nothing was handed in) or "refused" (the
            file cannot be read).
        verdicts: one for each exercise, in the notebook's order.
        notes: what a grader should know: cells that were missing, a file that
            had another name, several versions, a limit that was reached.
        seconds: that it took.
        sandbox: in which it ran, in words; "none" says so plainly.
        sources: source of each exercise's cell, as submitted.
        answers: text of each written answer, as submitted.
    """

    student: str
    notebook: str
    digest: str
    state: str
    verdicts: list[Verdict]
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    sandbox: str = "none"
    sources: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def points(self) -> float:
        return sum(verdict.points for verdict in self.verdicts)

    @property
    def possible(self) -> float:
        return sum(verdict.possible for verdict in self.verdicts)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        write_atomically(path, (text + "\n").encode("utf-8"))

    @classmethod
    def load(cls, path: Path) -> Graded:
        """Read what `save` has written.

        Raises:
            ValueError: it is no such file.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            verdicts = [
                Verdict(**v | {"status": Status(v["status"])})
                for v in content.pop("verdicts")
            ]
            return cls(verdicts=verdicts, **content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no grading result: {error}") from None
