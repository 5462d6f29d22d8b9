"""What grading finds out, as it is kept on disk and shown in reports."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from labutils.files import write_atomically


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
    def load(cls, path: Path) -> "Graded":
        """Read what `save` has written.

        Raises:
            ValueError: it is no such file.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            verdicts = [
                Verdict(**{**v, "status": Status(v["status"])})
                for v in content.pop("verdicts")
            ]
            return cls(verdicts=verdicts, **content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no grading result: {error}") from None
