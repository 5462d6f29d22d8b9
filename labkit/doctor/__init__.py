"""The doctor: a page that says what works on this machine.

It runs where the course does not: nothing in this folder imports more than
the standard library and `packaging`, except for what `probes` asks in
processes of their own.
"""

import json
import shutil
from dataclasses import asdict, dataclass

from labkit.terminal import columns, wrapped
from labutils.files import translated as _

PARTS = {  # with their titles
    "python": "Python and packages", "imports": "Imports",
    "notebooks": "Notebooks", "text": "Text and settings",
    "machine": "Machine", "folders": "Folders",
    "extras": "Pictures and reports",
}
# All is well; good to know; works, but not as it should; does not work.
OK, NOTE, WARN, BAD = "ok", "note", "WARN", "BAD"

STATE, NAME = 6, 12  # characters of the first two columns
WIDEST = 100  # a line that is longer reads badly


@dataclass(frozen=True)
class Finding:
    """One line of the page."""

    name: str  # what was looked at
    state: str
    found: str  # in words
    mend: str = ""  # the one line, typed in a terminal, that mends it


Sections = dict[str, list[Finding]]  # by the titles of the parts


def exit_code(sections: Sections) -> int:
    """0 all is well; 1 works, with warnings; 2 something does not work."""
    return 2 if _named(sections, BAD) else 1 if _named(sections, WARN) else 0


def page(sections: Sections) -> str:
    """The findings as lines of a terminal, and a verdict below."""
    width = max(40, min(WIDEST, shutil.get_terminal_size().columns))
    lines = []
    for title, findings in sections.items():
        lines.append(_(title))
        lines += [line for f in findings for line in _lines(f, width)]
        lines.append("")
    verdict = [
        _(f"{words}: {', '.join(map(_, names))}.")
        for words, state in (
            ("Does not work", BAD), ("Works, with a warning", WARN),
        ) if (names := _named(sections, state))
    ]
    if verdict:
        verdict.append(_("Each line after a > mends the one above it."))
    words = " ".join(verdict) or _("All is well.")
    return "\n".join([*lines, *wrapped(words, width)])


def as_json(sections: Sections) -> str:
    checks = [
        {"section": title, **asdict(finding)}
        for title, findings in sections.items() for finding in findings]
    found = {"exit_code": exit_code(sections), "checks": checks}
    return json.dumps(found, indent=1)


def _lines(finding: Finding, width: int) -> list[str]:
    """A line of findings, broken where the terminal ends, and the mend."""
    margin, first = " " * (2 + STATE + NAME), "  "
    for word, room in ((finding.state, STATE), (finding.name, NAME)):
        first += _(word) + " " * (room - columns(_(word)))
    lines = wrapped(
        finding.found, width, first, margin, break_on_hyphens=False,
        break_long_words=False,  # a path that is broken cannot be copied
    )
    # Never broken: it is there to be copied.
    return lines + ([f"{margin}> {finding.mend}"] if finding.mend else [])


def _named(sections: Sections, state: str) -> list[str]:
    return [
        finding.name for findings in sections.values()
        for finding in findings if finding.state == state]
