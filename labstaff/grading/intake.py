"""Who has handed in what: from a folder as it comes to a list of students."""

import contextlib
import hashlib
import json
import re
import unicodedata
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat

from labstaff.grading.archives import Found, files, readable_name

NUMBER = re.compile(r"^(\d{6,12})(?:[\W_]+(.*))?$", re.DOTALL)
CELL = re.compile(r"nb(\d\d)-\d\d$")
SEPARATORS = re.compile(r"[-_\s]+")
# What follows a name in the files that learning platforms export.
TAIL = re.compile(r"[-_\s]*(lab|hw|homework|assignment|实验|作业)\b.*$",
                  re.IGNORECASE | re.DOTALL)
LONGEST = 60  # characters of a key
SHARED = 3  # of the cells known: so many make a notebook the course's


class IntakeError(RuntimeError):
    """There is nothing to grade; the message says what was found."""


@dataclass
class Submission:
    """What one student has handed in.

    Attributes:
        key: safe as a folder's name, another one for each student.
        name: as it is shown.
        files: for each notebook of the course a copy of the newest version.
        notes: what a grader should know.
        refused: for each file, or each notebook of the course, that was not
            taken the reason.
    """

    key: str
    name: str
    files: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def find(
    submissions: Path, course: Sequence[str], workspace: Path
) -> list[Submission]:
    """Read a folder, or a zip file, of submissions.

    Args:
        submissions: a folder or zip file for each student, or loose
            notebooks that are named after them; nothing in it is changed.
        course: the stems of the course's notebooks.
        workspace: an empty folder, for copies.

    Raises:
        IntakeError: it is not there, or empty.
    """
    if not submissions.exists():
        raise IntakeError(
            f"There is no {submissions}. Name the folder, or the zip file, "
            "with what the students have handed in."
        )
    found = _by_student(submissions)
    if not found:
        raise IntakeError(
            f"{submissions} holds no folder, zip file or notebook. Expected "
            "one for each student."
        )
    students = []
    for (key, name), some in sorted(found.items()):
        student = Submission(key, name)
        _choose(student, some, course, workspace / key)
        students.append(student)
    return students


def _by_student(place: Path) -> dict[tuple[str, str], list[Found]]:
    """All the files, for each student's key and name."""
    sources: list[tuple[str, list[Found]]] = []
    if place.is_dir():
        for entry in sorted(place.iterdir()):
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_dir() or entry.suffix.lower() in (".zip", ".ipynb"):
                sources.append((_stem(entry.name), list(files(entry))))
    else:
        sources = _in_one_zip(place)
    found: dict[tuple[str, str], list[Found]] = {}
    for name, some in sources:
        found.setdefault(_student(name), []).extend(some)
    return found


def _in_one_zip(place: Path) -> list[tuple[str, list[Found]]]:
    """A zip file of all: its first level names the students."""
    try:
        with zipfile.ZipFile(place) as archive:
            first = {
                PurePosixPath(readable_name(i).replace("\\", "/")).parts[:1]
                for i in archive.infolist()
            }
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise IntakeError(
            f"{place} is no folder, and no zip file that can be read "
            f"({error})."
        ) from None
    groups: dict[str, list[Found]] = {
        _stem(part[0]): [] for part in first if part
        and part[0] not in ("__MACOSX", "..", "/")
    }
    for one in files(place):
        inside = one.path.removeprefix(f"{place.name}/")
        groups.setdefault(_stem(inside.split("/")[0]), []).append(one)
    return sorted(groups.items())


def _stem(name: str) -> str:
    for suffix in (".zip", ".ipynb"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _student(name: str) -> tuple[str, str]:
    """Key and shown name, from the name of a folder or file."""
    clean = unicodedata.normalize("NFC", name).strip()
    clean = "".join(c if c.isprintable() else " " for c in clean)
    if match := NUMBER.match(clean):
        number, rest = match[1], TAIL.sub("", match[2] or "").strip(" -_")
        shown = f"{number} {rest}".strip()
        return number, shown
    shown = clean or "nameless"
    safe = re.sub(r"[^\w.-]+", "-", shown).strip("-.") or "nameless"
    if safe != shown or len(safe) > LONGEST:  # two must not become one
        mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:6]
        safe = f"{safe[:LONGEST]}-{mark}"
    return safe, shown


def _choose(
    student: Submission, found: list[Found], course: Sequence[str],
    folder: Path,
) -> None:
    """Take the newest version of each notebook."""
    versions: dict[str, list[tuple[Found, bytes]]] = {}
    for one in found:
        if one.refused:
            student.refused[one.path] = one.refused
            continue
        content, reason, notes = _notebook(one.content)
        stem = _which(content, one.path, course)
        if content is None:
            student.refused[stem or one.path] = reason
        elif not stem:
            student.notes.append(
                f"{one.path}: not recognised as a notebook of the course.")
        else:
            student.notes += [f"{one.path}: {note}" for note in notes]
            text = nbformat.writes(content).encode("utf-8", "replace")
            versions.setdefault(stem, []).append((one, text))
    for stem, some in sorted(versions.items()):
        some.sort(key=lambda pair: (pair[0].time, pair[0].path))
        newest, text = some[-1]
        if len(some) > 1:
            student.notes.append(
                f"{stem}: {len(some)} versions; {newest.path}, the newest, "
                "counts.")
        if PurePosixPath(newest.path).stem != stem:
            student.notes.append(
                f"{stem}: handed in as {PurePosixPath(newest.path).name}.")
        student.refused.pop(stem, None)
        folder.mkdir(parents=True, exist_ok=True)
        student.files[stem] = folder / f"{stem}.ipynb"
        student.files[stem].write_bytes(text)
    if not student.files:
        student.notes.append("No notebook of the course was found.")


def _notebook(content: bytes) -> tuple[Any, str, list[str]]:
    """A notebook of the present format, or the reason why there is none."""
    notes = []
    if not content.strip():
        return None, "the file is empty", []
    try:
        raw = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None, "it is not in UTF-8", []
    except (ValueError, RecursionError):
        return None, "it is no JSON: cut off, or another kind of file", []
    if not isinstance(raw, dict) or "nbformat" not in raw:
        return None, "it is JSON, and no notebook", []
    version = raw["nbformat"]
    if not isinstance(version, int) or version > 4 or version < 2:
        return None, f"format {version!r}; expected 4", []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = nbformat.from_dict(raw)
            if version < 4:
                book = nbformat.convert(book, 4)
                notes.append(f"format {version}, converted to 4")
            _repair(book)
            nbformat.validate(book)
    except Exception as error:  # nbformat and jsonschema fail in many ways
        words = str(error).splitlines()[0][:100]
        return None, f"it is a damaged notebook ({words})", []
    if "kernelspec" not in book.metadata:
        notes.append("without a kernel in its metadata; Python was taken")
    return book, "", notes


def _repair(book: Any) -> None:
    """Give cells what older notebooks do not have."""
    book.nbformat_minor = max(5, int(book.get("nbformat_minor", 0)))
    seen: set[str] = set()
    for number, cell in enumerate(book.cells):
        if cell.get("id") in seen or not cell.get("id"):
            cell["id"] = f"cell-{number}"
        seen.add(cell["id"])


def _which(book: Any, path: str, course: Sequence[str]) -> str:
    """The course's notebook that this is, by its cells, or by its name."""
    counts: dict[str, int] = {}
    if book is not None:
        for cell in book.cells:
            if match := CELL.fullmatch(str(cell.get("id", ""))):
                counts[match[1]] = counts.get(match[1], 0) + 1
    for number, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        for stem in course:
            if count >= SHARED and stem.startswith(number):
                return stem
    name = PurePosixPath(path).stem
    for stem in course:
        if stem in name:
            return stem
    with contextlib.suppress(IndexError):
        title = book.cells[0].source if book is not None else ""
        for stem in course:
            if title.lstrip("# ").startswith(f"{int(stem[:2])}. "):
                return stem
    return ""
