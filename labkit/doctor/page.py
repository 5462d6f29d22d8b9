"""The page, for people and for programs."""

import dataclasses
import json
import shutil
import textwrap

from labkit.doctor import BAD, WARN, Finding, Section

STATE, NAME = 6, 12  # characters of the first two columns
WIDEST = 100  # a line that is longer reads badly


def exit_code(sections: list[Section]) -> int:
    """0 all is well; 1 works, with warnings; 2 something does not work."""
    states = {f.state for section in sections for f in section.findings}
    return 2 if BAD in states else 1 if WARN in states else 0


def page(sections: list[Section]) -> str:
    """The findings as lines of a terminal, and a verdict below."""
    lines = []
    for section in sections:
        if not section.findings:
            continue
        lines.append(section.title)
        lines += [line for f in section.findings for line in _lines(f)]
        lines.append("")
    return "\n".join([*lines, *textwrap.wrap(_verdict(sections), _width())])


def as_json(sections: list[Section]) -> str:
    """The same, for a program."""
    checks = [
        {"section": section.title, **dataclasses.asdict(finding)}
        for section in sections for finding in section.findings
    ]
    return json.dumps(
        {"exit_code": exit_code(sections), "checks": checks}, indent=1
    )


def _lines(finding: Finding) -> list[str]:
    """A line of findings, broken where the terminal ends, and the mend."""
    margin = " " * (2 + STATE + NAME)
    lines = textwrap.wrap(
        finding.found,
        _width(),
        initial_indent=f"  {finding.state:{STATE}}{finding.name:{NAME}}",
        subsequent_indent=margin,
        break_long_words=False,  # a path that is broken cannot be copied
        break_on_hyphens=False,
    )
    # Never broken: it is there to be copied.
    return lines + ([f"{margin}> {finding.mend}"] if finding.mend else [])


def _width() -> int:
    return max(40, min(WIDEST, shutil.get_terminal_size().columns))


def _verdict(sections: list[Section]) -> str:
    named = {
        state: [
            f.name for section in sections
            for f in section.findings if f.state == state
        ]
        for state in (BAD, WARN)
    }
    parts: list[str] = []
    if named[BAD]:
        parts.append(f"Does not work: {', '.join(named[BAD])}.")
    if named[WARN]:
        parts.append(f"Works, with a warning: {', '.join(named[WARN])}.")
    if not parts:
        return "All is well."
    return " ".join([*parts, "Each line after a > mends the one above it."])
