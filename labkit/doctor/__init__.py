"""The doctor: a page that says what works on this machine.

It runs where the course does not: nothing in this folder imports more than
the standard library and `packaging`, except for the scripts in `probes`, which
run in processes of their own.
"""

from dataclasses import dataclass, field
from typing import Any

PARTS = (
    "python", "imports", "notebooks", "text", "machine", "folders", "extras"
)
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


@dataclass(frozen=True)
class Answer:
    """What a probe said.

    Attributes:
        facts: by name; all that it had said when it ended or was ended.
        trouble: why it did not come to its end; "" where it did.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
