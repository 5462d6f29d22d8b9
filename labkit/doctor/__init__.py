"""The doctor: a page that says what works on this machine.

It runs where the course does not: nothing in this folder imports more than
the standard library and `packaging`, except for what `probes` asks in
processes of their own.
"""

from dataclasses import dataclass
from typing import Any

PARTS = {  # with their titles
    "python": "Python and packages", "imports": "Imports",
    "notebooks": "Notebooks", "text": "Text and settings",
    "machine": "Machine", "folders": "Folders",
    "extras": "Reports, tests, grading",
}
# All is well; good to know; works, but not as it should; does not work.
OK, NOTE, WARN, BAD = "ok", "note", "WARN", "BAD"

# What a probe said, by name, until it ended; "trouble" is why it did not come
# to its end, "" where it did.
Facts = dict[str, Any]
TOO_LONG = "took too long, and was ended"


@dataclass(frozen=True)
class Finding:
    """One line of the page."""

    name: str  # what was looked at
    state: str
    found: str  # in words
    mend: str = ""  # the one line, typed in a terminal, that mends it


Sections = dict[str, list[Finding]]  # by the titles of the parts
