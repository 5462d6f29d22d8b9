"""Who has handed in what: from a folder as it comes to a list of students.

What is handed in may be hostile: nothing is unpacked to disk, no link is
followed, and no header is believed: members of zip files are read up to a
limit.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import stat
import time
import unicodedata
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

import nbformat
from nbformat import NotebookNode

from labkit.course import title

# ---- limits of a submission
LARGEST = {".ipynb": 20 * 2**20, ".zip": 200 * 2**20}  # bytes of a file
MOST_FILES = 5_000
MOST_BYTES = 500 * 2**20  # that one zip file may unfold to, as it says
DEEPEST = 2  # zip files inside zip files
IGNORED = {".ipynb_checkpoints", "__MACOSX", "__pycache__", ".git", "results",
           ".venv"}
UTF8_NAMES = 0x800  # flag bit: the member's name is in UTF-8

# ---- names
NUMBER = re.compile(r"^(\d{6,12})(?:[\W_]+(.*))?$", re.DOTALL)
# What follows a name in the files that learning platforms export.
TAIL = re.compile(r"[-_\s]*(lab|hw|homework|assignment|实验|作业)\b.*$",
                  re.IGNORECASE | re.DOTALL)
LONGEST = 60  # characters of a key

# ---- which notebook it is
CELL = re.compile(r"nb(\d\d)-\d\d$")
SHARED = 3  # of the cells known: so many make a notebook the course's
FORMATS = (2, 3, 4)  # of notebooks that can be converted


class IntakeError(RuntimeError):
    """There is nothing to grade; the message says what was found."""


class RefusedError(ValueError):
    """A file is not taken; the message is the reason."""


@dataclass(frozen=True)
class Found:
    """A file of a submission."""

    path: str  # inside the submission, with slashes
    time: float = 0  # of its last change, in seconds since 1970
    refused: str = ""  # why it was not taken; empty where it was
    digest: str = ""  # SHA-256 of its bytes
    # In the present format; empty where it was refused.
    notebook: NotebookNode = field(default_factory=NotebookNode)
    notes: Sequence[str] = ()  # what had to be done to it


@dataclass
class Submission:
    """What one student has handed in."""

    key: str  # safe as a folder's name, another one for each student
    name: str  # as it is shown
    # For each notebook of the course the newest version.
    files: dict[str, Found] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    # Why a file, or a notebook of the course, was not taken.
    refused: dict[str, str] = field(default_factory=dict)


def find(submissions: Path, course: Sequence[str]) -> list[Submission]:
    """Read a folder, or a zip file, of submissions, and change nothing in it.

    Args:
        submissions: holds a folder or zip file for each student, or loose
            notebooks that are named after them.
        course: the stems of the course's notebooks.

    Raises:
        IntakeError: it is not there, or empty.
    """
    if not submissions.exists():
        raise IntakeError(
            f"There is no {submissions}. Name the folder, or the zip file, "
            "with what the students have handed in.")
    sources = (_in_folder(submissions) if submissions.is_dir()
               else _in_one_zip(submissions))
    names: dict[str, list[str]] = {}
    found: dict[str, list[Found]] = {}
    for source, some in sources:
        key, name = _student(source)
        names.setdefault(key, []).append(name)
        found.setdefault(key, []).extend(some)
    if not found:
        raise IntakeError(f"{submissions} holds no folder, zip file or "
                          "notebook. Expected one for each student.")
    # The plainest of a student's names that says more than the number.
    shown = {key: min(some, key=lambda name: (name == key, len(name), name))
             for key, some in names.items()}
    return [_submission(Submission(key, shown[key]), some, course)
            for key, some in sorted(found.items())]


# ---- students


def _in_folder(place: Path) -> Iterator[tuple[str, Iterable[Found]]]:
    """Each entry's name without its suffix, and the files in it."""
    for entry in sorted(place.iterdir()):
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_dir() or entry.suffix.lower() in LARGEST:
            yield _stem(entry.name), files(entry)


def _in_one_zip(place: Path) -> Iterator[tuple[str, Iterable[Found]]]:
    """The same of a zip file of all: its first level names the students."""
    try:
        with zipfile.ZipFile(place) as archive:
            first = {_path(info).parts[:1] for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise IntakeError(f"{place} is no folder, and no zip file that can be "
                          f"read ({error}).") from None
    groups: dict[str, list[Found]] = {
        _stem(part[0]): [] for part in first
        if part and part[0] not in ("__MACOSX", "..", "/")}
    for one in files(place):
        inside = one.path.removeprefix(f"{place.name}/")
        groups.setdefault(_stem(inside.split("/")[0]), []).append(one)
    yield from sorted(groups.items())


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in LARGEST else name


def _student(name: str) -> tuple[str, str]:
    """Key and shown name, from the name of a folder or file."""
    clean = unicodedata.normalize("NFC", name).strip()
    clean = "".join(c if c.isprintable() else " " for c in clean)
    if match := NUMBER.match(clean):
        number, rest = match[1], TAIL.sub("", match[2] or "").strip(" -_")
        return number, f"{number} {rest}".strip()
    shown = clean or "nameless"
    safe = re.sub(r"[^\w.-]+", "-", shown).strip("-.") or "nameless"
    if safe != shown or len(safe) > LONGEST:  # two must not become one
        mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:6]
        safe = f"{safe[:LONGEST]}-{mark}"
    return safe, shown


# ---- files


def files(place: Path) -> Iterator[Found]:
    """The notebooks in a folder, and in the zip files in it, or in a file."""
    if place.is_symlink():
        yield Found(place.name, refused="a link is not followed")
    elif not place.is_dir():
        yield from _file(place, place.name)
    else:
        count = 0
        for folder, folders, names in os.walk(place, followlinks=False):
            folders[:] = sorted(set(folders) - IGNORED)
            for name in sorted(names):
                path = Path(folder, name)
                inside = path.relative_to(place).as_posix()
                if _ignored(PurePosixPath(inside)):
                    continue
                count += 1
                if count > MOST_FILES:
                    yield Found(inside, refused=f"more than {MOST_FILES} "
                                "files: the rest is not read")
                    return
                yield from _file(path, inside)


def _ignored(path: PurePosixPath) -> bool:
    return path.suffix.lower() not in LARGEST or any(
        part in IGNORED or part.startswith("._") for part in path.parts)


def _file(path: Path, inside: str) -> Iterator[Found]:
    info = path.lstat()
    ordinary = stat.S_ISREG(info.st_mode)  # a pipe would wait for ever
    problem = "" if ordinary else "it is no ordinary file"
    return _read(inside, info.st_mtime, problem, lambda: path.open("rb"), 0)


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, inside: str, depth: int
) -> Iterator[Found]:
    path = _path(info)
    if info.is_dir() or _ignored(path):
        return
    problem = ""
    if path.is_absolute() or ".." in path.parts or path.parts[0][1:2] == ":":
        problem = "its path climbs out of the zip file"
    elif stat.S_ISLNK(info.external_attr >> 16):
        problem = "a link is not followed"
    elif info.flag_bits & 1:
        problem = "it is encrypted"
    when = time.mktime((*info.date_time, 0, 0, -1))
    yield from _read(f"{inside}/{readable_name(info)}", when, problem,
                     lambda: archive.open(info), depth)


def _read(
    path: str, when: float, problem: str, opened: Callable[[], IO[bytes]],
    depth: int,
) -> Iterator[Found]:
    """A notebook, or those in a zip file and in the zip files in it."""
    suffix = PurePosixPath(path).suffix.lower()
    try:
        if problem:
            raise RefusedError(problem)
        with opened() as file:  # a header may lie about the size
            content = file.read(LARGEST[suffix] + 1)
        if len(content) > LARGEST[suffix]:
            raise RefusedError(
                f"it has more than {LARGEST[suffix] / 2**20:.0f} MB")
        if suffix == ".zip":
            yield from _unfolded(content, path, depth + 1)
            return
        notebook, notes = _notebook(content)
    except RefusedError as reason:
        yield Found(path, when, str(reason))
    except OSError as error:
        yield Found(path, when, f"it cannot be read: {error}")
    else:
        digest = hashlib.sha256(content).hexdigest()
        yield Found(path, when, "", digest, notebook, notes)


def _unfolded(content: bytes, path: str, depth: int) -> Iterator[Found]:
    if depth > DEEPEST:
        raise RefusedError("a zip file in a zip file in one")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            total = sum(info.file_size for info in infos)
            if len(infos) > MOST_FILES or total > MOST_BYTES:
                raise RefusedError(
                    f"it would unfold to {len(infos)} files of "
                    f"{total / 2**20:.0f} MB: a zip bomb is not opened")
            for info in infos:
                yield from _member(archive, info, path, depth)
    except RefusedError:
        raise
    except Exception as error:  # zipfile fails in many ways
        raise RefusedError(
            f"it is no zip file that can be read ({error})") from None


def _path(info: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(readable_name(info).replace("\\", "/"))


def readable_name(info: zipfile.ZipInfo) -> str:
    """A member's name; programs in China write GBK without saying so."""
    if not info.flag_bits & UTF8_NAMES:
        for encoding in ("utf-8", "gbk"):
            with contextlib.suppress(UnicodeError):
                return info.filename.encode("cp437").decode(encoding)
    return info.filename


# ---- notebooks


def _submission(
    student: Submission, found: Iterable[Found], course: Sequence[str]
) -> Submission:
    """Take the newest version of each notebook."""
    versions: dict[str, list[Found]] = {}
    for one in found:
        if one.refused:
            name = _named(one.path, course) or one.path
            student.refused[name] = one.refused
        elif stem := _which(one.notebook, one.path, course):
            versions.setdefault(stem, []).append(one)
            student.notes += [f"{one.path}: {note}" for note in one.notes]
        else:
            student.notes.append(
                f"{one.path}: not recognised as a notebook of the course.")
    for stem, some in sorted(versions.items()):
        newest = max(some, key=lambda one: (one.time, one.path))
        path = PurePosixPath(newest.path)
        if len(some) > 1:
            student.notes.append(
                f"{stem}: {len(some)} versions; {path}, the newest, counts.")
        if path.stem != stem:
            student.notes.append(f"{stem}: handed in as {path.name}.")
        student.refused.pop(stem, None)
        student.files[stem] = newest
    if not student.files:
        student.notes.append("No notebook of the course was found.")
    return student


def _notebook(content: bytes) -> tuple[NotebookNode, list[str]]:
    """A notebook of the present format, and what had to be done to it.

    Raises:
        RefusedError: it is none.
    """
    if not content.strip():
        raise RefusedError("the file is empty")
    try:
        raw = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise RefusedError("it is not in UTF-8") from None
    except (ValueError, RecursionError):
        raise RefusedError(
            "it is no JSON: cut off, or another kind of file") from None
    if not isinstance(raw, dict) or "nbformat" not in raw:
        raise RefusedError("it is JSON, and no notebook")
    version = raw["nbformat"]
    if version not in FORMATS:
        raise RefusedError(f"format {version!r}; expected 4")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = nbformat.versions[version]
            notebook = nbformat.convert(reader.to_notebook_json(raw), 4)
            # From version 4.5 on each cell has an id.
            notebook.nbformat_minor = max(5, int(notebook.nbformat_minor))
            _, notebook = nbformat.validator.normalize(notebook)
            nbformat.validate(notebook)
    except Exception as error:  # nbformat and jsonschema fail in many ways
        words = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise RefusedError(f"it is a damaged notebook ({words})") from None
    notes = []
    if version < 4:
        notes.append(f"format {version}, converted to 4")
    if "kernelspec" not in notebook.metadata:
        notes.append("without a kernel in its metadata; Python was taken")
    return notebook, notes


def _which(book: NotebookNode, path: str, course: Sequence[str]) -> str:
    """The course's notebook that this is, by its cells, name or title."""
    counts = Counter(match[1] for cell in book.cells
                     if (match := CELL.fullmatch(cell.id)))
    for number, count in counts.most_common():
        for stem in course:
            if count >= SHARED and stem.startswith(number):
                return stem
    heading = title(book)
    return _named(path, course) or next(
        (s for s in course if heading.startswith(f"{int(s[:2])}. ")), "")


def _named(path: str, course: Sequence[str]) -> str:
    """The course's notebook whose name is in that of a file."""
    name = PurePosixPath(path).stem
    return next((stem for stem in course if stem in name), "")
