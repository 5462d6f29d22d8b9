"""What is asked about a notebook, and what is found out: a job and its result.

Jobs travel to other processes and machines; results are kept on disk.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from nbformat import NotebookNode

from labstaff.grading.matching import CourseNotebook
from labstaff.grading.sandbox import Limits
from labutils.files import write_atomically


class GradeError(RuntimeError):
    """The class cannot be graded so; the message says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """What all the results of a class have in common."""

    epochs: int = 1  # cap on every training
    # A probe's own follows from it and from the submitted file, so that
    # nobody can know it before.
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    sandbox: bool = True  # False: as the grader, on all of the grader's files


@dataclass(frozen=True)
class Job:
    """One notebook to grade; can be sent to another machine."""

    student: str  # key of the submission
    course: CourseNotebook
    notebook: NotebookNode  # as it was handed in
    digest: str  # SHA-256 of the submitted file
    settings: Settings = field(default_factory=Settings)
    text: Path | None = None  # of the corpus; None for the practice text
    slot: int = 0  # in the class: no two sandboxes at a time have the same
    notes: tuple[str, ...] = ()  # from reading the submission


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
    READ = "read"  # by a person, who has given the points


@dataclass(frozen=True)
class Verdict:
    """The judgement on one exercise."""

    exercise: str  # the grade_id of the cell that a student fills in
    status: Status
    points: float  # earned; 0 for an answer that a person has to read
    possible: float
    reason: str  # one sentence
    # Of a failed one, as in a check's message; each may be empty.
    tried: str = ""
    got: str = ""
    expected: str = ""
    likely: str = ""
    where: str = ""  # cell and line of an error, in words
    seed: int | None = None  # the same one gives a probe the same inputs
    cell: str = ""  # which cell counted, in words
    origin: str = ""  # in the course's package, where it is from there


@dataclass(frozen=True)
class Graded:
    """What has become of one notebook of one student."""

    student: str  # key of the submission
    notebook: str  # its stem in the course, such as "03_rnn_from_scratch"
    digest: str  # SHA-256 of the submitted file; empty where there is none
    # "graded", "missing" (nothing was handed in), "refused" (the file cannot
    # be read) or "interrupted" (by the machine; the next run tries it again).
    state: str
    verdicts: list[Verdict]  # one for each exercise, in order
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0  # that it took
    sandbox: str = "none"  # in which it ran, in words; "none" says so plainly
    # For each exercise what was written, code or words.
    sources: dict[str, str] = field(default_factory=dict)
    language: str = ""  # of the notebook's text, where there is one
    # Known when the table is made: which file counts, and why, in words; how
    # long after the deadline it was saved, empty for in time.
    file: str = ""
    late: str = ""
    # For the grader alone: they may name other students, or suspect this one.
    doubts: list[str] = field(default_factory=list)

    @classmethod
    def without_points(
        cls, student: str, course: CourseNotebook, status: Status, reason: str,
        state: str, digest: str = "", notes: Iterable[str] = ()) -> "Graded":
        """A notebook that did not come to be judged, for one reason."""
        return cls(student, course.stem, digest, state, [
            Verdict(x.name, status, 0.0, x.points, reason)
            for x in course.exercises], [*notes])

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
    def load(cls, path: Path) -> "Graded":
        """Read what `save` has written."""
        content = json.loads(path.read_text(encoding="utf-8"))
        verdicts = [Verdict(**v | {"status": Status(v["status"])})
                    for v in content.pop("verdicts")]
        return cls(verdicts=verdicts, **content)
