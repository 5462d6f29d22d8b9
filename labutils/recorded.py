"""Recorded runs: what full trainings did; `labutils record` writes them."""

import json
import time
from pathlib import Path
from typing import Any

from labutils import settings
from labutils.checkpoint import Interrupts
from labutils.files import say
from labutils.files import translated as _
from labutils.history import History
from labutils.view import Live, new_view

FOLDER = Path(__file__).parent / "recorded"
# What is compared, and where it stands in a history.
FIGURES = {
    "training perplexity": lambda history: history.settled_perplexity,
    "lowest held-out perplexity": lambda history: history.best_held_out[0],
}


def names() -> list[str]:
    """The names of all the recorded runs."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> History:
    """The history of a recorded run."""
    return _read(name)[0]


def replay(
    name: str, seconds: float = 10.0, *, speed: float | None = None
) -> History:
    """Show a recorded run as if it were trained now; a line says it is not.

    Args:
        seconds: how long it takes before an audience (an interrupt shows the
            end); where nobody watches it takes no time.
        speed: counts in place of seconds: 1 is as it really was, with its
            quicker and its slower epochs, 20 twenty times as fast.

    Raises:
        ValueError: no such run, or a number that cannot be.
    """
    if not seconds >= 0:
        raise ValueError(_(f"seconds is {seconds}: expected 0 or more."))
    speed = None if speed is None else settings.above_zero("speed", speed)
    history = load(name)
    say(f"RECORDED RUN {name}, {history.status}")
    versions = history.versions
    minutes, rest = divmod(round(history.seconds), 60)
    say(
        f"{history.corpus['name']}; {minutes}:{rest:02d} minutes on "
        f"{history.settings['device']} ({versions['system']} "
        f"{versions['machine']}, PyTorch {versions['torch']}).\n"
        "Nothing is trained now.")
    view = new_view()
    watched = isinstance(view, Live)
    start = time.monotonic()
    with Interrupts() as interrupts:
        for epoch, so_far in enumerate(history.train_seconds, start=1):
            view.tell(history.until(epoch))
            end = start + (so_far / speed if speed
                           else seconds * epoch / history.num_epochs)
            while (watched and not interrupts.asked
                   and (left := end - time.monotonic()) > 0):
                time.sleep(min(left, 0.1))  # so an interrupt is soon seen
        view.tell(history, "recorded run")
    return history


def compare(name: str, history: History) -> str:
    """Whether a full run's figures are what recorded runs make one expect: a
    line for each figure, or one that says why there is no answer."""
    if name not in names():
        return f"expected of a new run: unknown, no run {name} is recorded"
    if not history.full:
        return "expected of a new run: not compared, this is no full run"
    recorded, all_ranges = _read(name)
    asked, its = history.asked("seed"), recorded.asked("seed")
    if asked != its:
        other = "text" if asked["text"] != its["text"] else "setting"
        return f"expected of a new run: not compared, it has another {other}"
    device = history.settings["device"].partition(":")[0]
    if device not in all_ranges:
        return f"expected of a new run: unknown, too few recorded on {device}"
    ranges, lines = all_ranges[device], []
    for figure, value_of in FIGURES.items():
        (low, high), value = ranges[figure], value_of(history)
        where = "as" if low <= value <= high else "NOT as"
        lines.append(
            f"{figure} {value:.2f}: {where} expected of a new run, {low:.2f} "
            f"to {high:.2f} (from {ranges['runs']} runs on {device})")
    return "\n".join(lines)


def _read(name: str) -> tuple[History, dict[str, Any]]:
    """A recorded run, and the ranges of its figures on each device."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise ValueError(_(
            f"There is no recorded run {name!r}: expected one of "
            f"{', '.join(names())}."))
    saved = json.loads(path.read_text(encoding="utf-8"))
    return History.from_json(json.dumps(saved["history"])), saved["ranges"]
