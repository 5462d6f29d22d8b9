"""What is written: files whole or not at all, lines on any terminal, in the
reader's language.

English is the language of the code and the key of the catalogue beside it.
"""

import contextlib
import gettext
import locale
import os
import re
import sys
import tempfile
from functools import cache, lru_cache
from pathlib import Path

LANGUAGES = ("en", "zh")
ENGLISH = re.compile("[a-z]+ [a-z]+")
CATALOGUES = Path(__file__).parent / "locale"
MOST_PARTS = 100  # of a message
Reading = tuple[str, int]  # of a text, and the English words left in it
Seen = dict[str, Reading]
Templates = list[tuple[list[str], str]]


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide it from a class
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def say(line: object, as_it_is: bool = False) -> None:
    """Print a line: a message, to be translated, or a text `as_it_is`.

    What the terminal cannot show (it is not UTF-8 on an older Windows, or in
    a file) is shown as its escape; one that was closed shows nothing, and
    ends no training.
    """
    text = str(line) if as_it_is else translated(line)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


def language() -> str:
    """"zh" or "en": what LABUTILS_LANG says, or else the notebook's own, or
    else the system's."""
    asked = os.environ.get("LABUTILS_LANG", "").strip()
    # Jupyter tells a kernel its notebook; others start it where that lies.
    notebook = os.environ.get("JPY_SESSION_NAME")
    with contextlib.suppress(OSError):  # the folder may be gone
        folder = Path(notebook).parent if notebook else Path.cwd()
        if folder.parts[-2:] == ("notebooks", "zh"):
            asked = asked or "zh"
        elif notebook and folder.name == "notebooks":
            asked = asked or "en"
    names = (os.environ.get(n) for n in ("LC_ALL", "LC_MESSAGES", "LANG"))
    asked = asked or next(filter(None, names), locale.getlocale()[0] or "")
    return "zh" if asked.lower().startswith(("zh", "chinese")) else "en"


def translated(text: object, into: str = "") -> str:
    """A message in the reader's language, or `into` another; as it is where
    there is no translation.

    A message whose parts were filled in is known by a template in the
    catalogue, such as "epoch {0} of {1}". What was filled in is translated in
    turn ({0!s} in the translation keeps it as it is), and so are sentences on
    several lines or with a semicolon between them.
    """
    english = (into or language()) == "en"
    return str(text) if english else _in_chinese(str(text))


@lru_cache(1000)
def _in_chinese(text: str) -> str:
    return _best(text, {})[0]


def _best(text: str, seen: Seen) -> Reading:
    """The reading of a text that leaves the fewest English words, and how
    many; as it is where so many parts of it were `seen` that it is no message
    but something that a student has written.
    """
    as_it_is = text, len(ENGLISH.findall(text))
    if text not in seen and len(seen) < MOST_PARTS:
        seen[text] = as_it_is
        seen[text] = min([*_readings(text, seen), as_it_is],
                         key=lambda reading: reading[1])
    return seen.get(text, as_it_is)


def _readings(text: str, seen: Seen) -> list[Reading]:
    """What a text may be. One that leaves no English ends the search; one that
    begins with a gap must be such, since almost any text has its words."""
    exact, templates = _catalogue()
    if text in exact:
        return [(exact[text], 0)]
    made = _by_parts(text, seen, "\n", "\n")
    for literals, translation in templates:
        if made and not made[-1][1]:
            return made[-1:]
        if (values := _values(literals, text)) is not None:
            reading = _filled(translation, values, seen)
            if literals[0] or not reading[1]:
                made.append(reading)
    return made + _by_parts(text, seen, "; ", "\N{FULLWIDTH SEMICOLON}")


def _by_parts(text: str, seen: Seen, mark: str, its: str) -> list[Reading]:
    if mark not in text:
        return []
    parts = [_best(part, seen) for part in text.split(mark)]
    words, left = zip(*parts, strict=True)
    return [(its.join(words), sum(left))]


def _filled(translation: str, values: list[str], seen: Seen) -> Reading:
    """With its gaps filled: {0} is translated, {0!s} stays as it is."""
    parts = [(value, 0) if f"{{{gap}!s}}" in translation
             else _best(value, seen) for gap, value in enumerate(values)]
    words, left = zip(*parts, strict=True)
    return translation.format(*words), sum(left)


@cache
def _catalogue() -> tuple[dict[str, str], Templates]:
    """The messages without gaps, and what stands between the gaps of the
    others, those that begin with a word and the longest first; each with its
    translation."""
    found = gettext.translation("labutils", CATALOGUES, ["zh"], fallback=True)
    exact: dict[str, str] = dict(vars(found).get("_catalog", {}))
    exact.pop("", None)  # the catalogue's own description
    templates: Templates = []
    for message in [message for message in exact if "{0}" in message]:
        literals = re.split(r"\{\d+\}", message)
        literals = [t.replace("{{", "{").replace("}}", "}") for t in literals]
        templates.append((literals, exact.pop(message)))
    templates.sort(key=lambda template: (
        " " not in template[0][0], -sum(map(len, template[0]))))
    return exact, templates


def _values(literals: list[str], text: str) -> list[str] | None:
    """What fills the gaps of a template to make a text; None where it cannot.

    By plain search: a regular expression could take hours over a long text.
    """
    first, *middle, last = literals
    start, end, values = len(first), len(text) - len(last), []
    if not (text.startswith(first) and text.endswith(last)):
        return None
    for literal in middle:
        if (place := text.find(literal, start, max(end, 0))) < start:
            return None
        values.append(text[start:place])
        start = place + len(literal)
    return None if start > end else [*values, text[start:end]]
