"""Recorded runs: what full trainings did, kept with the package.

`labutils record` writes them from the results of full runs.
"""

import json
import time
from pathlib import Path
from typing import Any

from labutils.checkpoint import Interrupts
from labutils.files import say
from labutils.history import History
from labutils.view import new_view

FOLDER = Path(__file__).parent / "recorded"
SECONDS = 10.0  # of a replay
# What is compared, and where it stands in a history.
FIGURES = {
    "training perplexity": lambda history: history.perplexity,
    "lowest held-out perplexity": lambda history: history.best_held_out[0],
}


def names() -> list[str]:
    """The names of all the recorded runs."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> History:
    """The history of a recorded run.

    Raises:
        ValueError: there is none of this name; the message has those that
            there are.
    """
    return _history(_read(name))


def replay(
    name: str, seconds: float | None = None, *, speed: float | None = None
) -> History:
    """Show a recorded run as if it were trained now.

    Nothing is trained; a line says so. Interrupt it to see the end at once.

    Args:
        name: such as "rnn_scratch_sequential".
        seconds: how long it takes before an audience, 10 unless told; where
            nobody watches it takes no time.
        speed: in place of seconds: 1 is as it really was, with its quicker
            and its slower epochs, 20 twenty times as fast.

    Returns:
        The history of the recorded run.

    Raises:
        ValueError: no such run, or a number that cannot be.
    """
    _check_pace(seconds, speed)
    history = load(name)
    say(f"RECORDED RUN {name}, {history.status}")
    say(_circumstances(history))
    view = new_view()
    due = _due(history, seconds, speed) if view.is_live else None
    start = time.monotonic()
    with Interrupts() as interrupts:
        for epoch in range(1, history.num_epochs + 1):
            view.update(history.until(epoch))
            if due:
                _wait(start + due[epoch - 1], interrupts)
        view.finish(history, "recorded run")
    return history


def _check_pace(seconds: float | None, speed: float | None) -> None:
    if seconds is not None and speed is not None:
        raise ValueError(
            f"seconds is {seconds} and speed is {speed}: expected one of the "
            "two, since each says how long the replay takes."
        )
    if seconds is not None and not seconds >= 0:
        raise ValueError(f"seconds is {seconds}: expected 0 or more.")
    if speed is not None and not speed > 0:
        raise ValueError(
            f"speed is {speed}: expected a number above 0, such as 20 for "
            "twenty times as fast."
        )


def _due(
    history: History, seconds: float | None, speed: float | None
) -> list[float]:
    """Seconds after which each epoch is over."""
    if speed is not None:
        return [so_far / speed for so_far in history.train_seconds]
    last = history.num_epochs
    seconds = SECONDS if seconds is None else seconds
    return [seconds * epoch / last for epoch in range(1, last + 1)]


def _wait(moment: float, interrupts: Interrupts) -> None:
    """In naps, so that an interrupt is soon seen."""
    while not interrupts.asked and (left := moment - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))


def compare(name: str, history: History) -> str:
    """Whether a full run's figures lie where those of recorded runs lie.

    Returns:
        One line for each figure, or one that says why there is no answer.
    """
    if name not in names():
        return f"recorded range: none, no run {name} is recorded"
    if not history.full:
        return "recorded range: not compared, this is no full run"
    saved = _read(name)
    recorded = _history(saved)
    for what, mine, theirs in (
        ("text", _text(history), _text(recorded)),
        ("setting", _asked(history), _asked(recorded)),
    ):
        if mine != theirs:
            return f"recorded range: not compared, it has another {what}"
    device = history.settings["device"].partition(":")[0]
    ranges = saved["ranges"].get(device)
    if ranges is None:
        return f"recorded range: none for {device}"
    lines = []
    for figure, value_of in FIGURES.items():
        low, high = ranges[figure]
        value = value_of(history)
        where = "inside" if low <= value <= high else "OUTSIDE"
        lines.append(
            f"{figure} {value:.2f}: {where} the recorded range, {low:.2f} to "
            f"{high:.2f} ({ranges['runs']} runs on {device})"
        )
    return "\n".join(lines)


def _read(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise ValueError(
            f"There is no recorded run {name!r}: expected one of "
            f"{', '.join(names())}."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def _history(saved: dict[str, Any]) -> History:
    return History.from_json(json.dumps(saved["history"]))


def _circumstances(history: History) -> str:
    """Where and how a run was recorded; nothing of it was trained here."""
    versions = history.versions
    minutes, seconds = divmod(round(history.seconds), 60)
    return (
        f"{history.corpus['name']}; {minutes}:{seconds:02d} minutes on "
        f"{history.settings['device']} ({versions['system']} "
        f"{versions['machine']}, PyTorch {versions['torch']}).\n"
        "Nothing is trained now."
    )


def _text(history: History) -> tuple[Any, ...]:
    names = ("sha256", "tokens", "held_out_tokens")
    return tuple(history.corpus.get(name) for name in names)


def _asked(history: History) -> dict[str, Any]:
    """The settings on which the figures depend, except for chance.

    The limits are none of them: what they limited is no full run.
    """
    others = ("seed", "device", "epochs_cap", "max_seconds", "seconds_cap")
    return {k: v for k, v in history.settings.items() if k not in others}
