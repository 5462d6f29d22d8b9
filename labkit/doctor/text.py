"""Which text would a notebook train on, and what do the settings say?"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from labkit.doctor import mends
from labkit.doctor.findings import BAD, NOTE, OK, WARN, Finding
from labutils import corpus, settings

CAPS = ("LABUTILS_EPOCHS", "LABUTILS_SECONDS")  # of a training
NO_NETWORK = (
    "(Without a network add --from FILE to the line below, with a copy.)"
)


def text() -> list[Finding]:
    """The line about the text; as `corpus.find_corpus` looks, but nothing is
    downloaded and no bad copy is moved."""
    try:
        asked, cached = settings.text(), settings.data_dir()
    except settings.SettingsError:
        return []  # said among the settings
    if asked == settings.PRACTICE:
        return [_practice(
            "as LABUTILS_TEXT asks", mends.unset("LABUTILS_TEXT")
        )]
    if isinstance(asked, Path):
        return [_book(asked, "named by LABUTILS_TEXT", BAD,
                      mends.unset("LABUTILS_TEXT"))]
    path = cached / corpus.FILE_NAME
    if os.access(path, os.F_OK):
        return [_book(path, "of the data folder", WARN,
                      mends.data("fetch"), f" {NO_NETWORK}")]
    return [_practice(
        f"until there is a copy of {corpus.TIME_MACHINE}, which a notebook "
        "downloads if it can", mends.data("fetch"), f" {NO_NETWORK}",
    )]


def _book(
    path: Path, source: str, state: str, mend: str, more: str = ""
) -> Finding:
    """The line about a file that should be the book."""
    try:
        found = corpus.open_time_machine(path, f"the file {source}")
    except corpus.CorpusError as error:
        words = str(error).replace(corpus.WAYS_TO_GET_IT, "").strip()
        # A hash is known by its beginning.
        words = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1...", words)
        return Finding("text", state, words + more, mend)
    return Finding(
        "text", OK, f"{found.name}, verified (SHA-256 {found.sha256[:12]}..., "
        f"{corpus.SIZE:,} bytes): {path}, {source}",
    )


def _practice(why: str, mend: str, more: str = "") -> Finding:
    found = corpus.practice_text()
    return Finding(
        "text", WARN, f"the practice text (SHA-256 {found.sha256[:12]}...)"
        f", {why}.{more}", mend,
    )


def variables() -> list[Finding]:
    """The lines about the LABUTILS_* variables."""
    findings = []
    for read in (
        settings.data_dir, settings.results_dir, settings.text,
        settings.epochs_cap, settings.seconds_cap, settings.seed,
    ):
        try:
            read()
        except settings.SettingsError as error:
            findings.append(_bad(str(error)))
    known = _known()
    given = {
        name: os.environ[name].strip() for name in sorted(os.environ)
        if name.startswith("LABUTILS_") and os.environ[name].strip()
    }
    findings += [_unknown(n, known) for n in given if n not in known]
    if not findings:
        findings.append(_given(given))
    return findings


def _bad(words: str) -> Finding:
    """The line about a value that cannot be used."""
    name = words.partition("=")[0]
    return Finding(
        "settings", BAD, words.partition(" Change it or")[0],
        mends.unset(name),
    )


def _known() -> set[str]:
    """Every variable that the settings read, in one place as they are."""
    source = Path(settings.__file__).read_text(encoding="utf-8")
    return set(re.findall(r'"(LABUTILS_[A-Z_]+)"', source))


def _unknown(name: str, known: set[str]) -> Finding:
    near = difflib.get_close_matches(name, known, 1)
    meant = f"; perhaps {near[0]} is meant" if near else ""
    return Finding(
        "settings", WARN, f"{name} is set, and nothing reads it{meant}",
        mends.unset(name),
    )


def _given(given: dict[str, str]) -> Finding:
    if not given:
        return Finding("settings", OK, "no LABUTILS_* variable is set")
    words = ", ".join(f"{name}={value}" for name, value in given.items())
    caps = [name for name in CAPS if name in given]
    if not caps:
        return Finding("settings", OK, words)
    return Finding(
        "settings", NOTE, f"{words}: trainings are capped, and say so",
        mends.unset(*caps),
    )
