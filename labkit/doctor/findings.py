"""What a check has found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OK, NOTE, WARN, BAD = "ok", "note", "WARN", "BAD"


@dataclass(frozen=True)
class Finding:
    """One line of the page.

    Attributes:
        name: what was looked at.
        state: OK; NOTE (good to know); WARN (works, but not as it should);
            BAD (does not work).
        found: what was found, in words.
        mend: the one line, typed in a terminal, that mends it.
    """

    name: str
    state: str
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page: its title and its lines."""

    title: str
    findings: list[Finding]


def careful(
    name: str, check: Callable[..., list[Finding]], *arguments: Any
) -> list[Finding]:
    """The check's findings; an error within it becomes one of them.

    What is broken on a machine breaks in ways that nobody foresaw, and the
    other lines of the page are wanted all the same.
    """
    try:
        return check(*arguments)
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        return [Finding(name, WARN, f"could not be looked at ({words})")]
