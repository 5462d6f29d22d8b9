"""The judgement on an exercise: its check, run outside the kernel."""

import re
from dataclasses import dataclass

import torch

from labkit import checks
from labkit.checks import guard, harness
from labstaff.grading.remote import Evaluate, Link
from labstaff.grading.results import Status
from labstaff.grading.values import Ended, UnreadableError

WHERE = re.compile(r", in line (\d+) of your cell")


@dataclass(frozen=True)
class Judgement:
    """How an exercise stands; the words as in a check's message."""

    status: Status
    reason: str
    tried: str = ""
    got: str = ""
    expected: str = ""
    likely: str = ""
    where: str = ""


def judge(exercise: str, evaluate: Evaluate, seed: int) -> Judgement:
    """Judge the student's function by the course's own check.

    Args:
        exercise: its name.
        evaluate: runs an expression in the student's kernel.
        seed: of the inputs; the same one gives the same judgement.

    Raises:
        KernelLostError: by `evaluate`.
    """
    link = Link(evaluate)
    check = getattr(checks, exercise).__wrapped__
    recording = torch.is_grad_enabled()
    try:
        link.open()
        if not link.ask("describe", exercise)["found"]:
            return Judgement(
                Status.NOT_ATTEMPTED, f"There is no {exercise} to call.")
        function = link.function(exercise)
        with guard.seeded(seed), guard.unchanged({}):
            return Judgement(Status.PASSED, check(function))
    except harness.NotWritten as failed:
        return Judgement(
            Status.NOT_ATTEMPTED, f"{failed.got} is not written yet.")
    except harness.CheckFailed as failed:
        return _failed(failed)
    except Ended as ended:
        if isinstance(ended.reason, TimeoutError):
            return Judgement(
                Status.TIMED_OUT, "A call of the function took too long.")
        if isinstance(ended.reason, UnreadableError):
            return Judgement(
                Status.FAILED, "What the function gives back cannot be read.",
                got=str(ended.reason)[:500])
        raise ended.reason from None
    finally:
        torch.set_grad_enabled(recording)


def _failed(failed: harness.CheckFailed) -> Judgement:
    place = WHERE.search(failed.got)
    raised = failed.expected == "no error"
    status = Status.ERROR if raised else Status.FAILED
    if failed.got.startswith("MemoryError"):
        status = Status.OUT_OF_MEMORY
    return Judgement(
        status,
        "The function ends with an error." if raised else "Not right.",
        failed.tried, failed.got, failed.expected, failed.likely,
        f"line {place[1]}" if place else "",
    )
