"""The notebooks in what somebody has handed in: a file, a folder, an archive.

What is handed in may be hostile: nothing is unpacked to disk, no link is
followed, and no size that a file claims is believed. Whatever goes wrong with
a file is told of that file.
"""

import contextlib
import functools
import hashlib
import io
import os
import re
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

import psutil
from nbformat import NotebookNode

from labkit.course import NotebookError, parse_notebook
from labstaff.grading import sandbox

LARGEST = {"notebook": 20 * 2**20, "archive": 200 * 2**20}  # bytes of a file
MOST_FILES = 5_000  # of one student
MOST_BYTES = 500 * 2**20  # that are read of one student's archives
DEEPEST = 2  # archives inside archives
MEMORY, SECONDS = 2 * 2**30, 120  # to read what one student has handed in
IGNORED = {".ipynb_checkpoints", "__MACOSX", "__pycache__", ".git", ".venv",
           ".DS_Store", "Thumbs.db", "desktop.ini"}
ARCHIVE = re.compile(r"\.(zip|7z|rar|tgz|tbz2?|txz|tar(\.\w{1,4})?)$", re.I)
# Browsers and chat programs add an ending of their own.
NOTEBOOK = re.compile(r"\.ipynb(\.(txt|json|download))?$", re.I)
LINK = "a link is not followed"
UTF8_NAMES = 0x800  # flag bit: the member's name is in UTF-8
CHINESE = re.compile("[\u3000-\u9fff\uff00-\uffef]")
# What a few words in GBK are where they happen to be valid UTF-8.
NO_WORDS = re.compile("[\u0180-\u02ff\u0370-\u07ff]")
Call = Callable[..., Any]


@dataclass(frozen=True)
class Found:
    """A file of a submission."""

    path: str  # inside the submission, with slashes
    # Of the last change, in seconds since 1970: the file's on the disk, then,
    # within an archive, its own.
    times: Sequence[float] = ()
    refused: str = ""  # why it was not taken; empty where it was
    digest: str = ""  # SHA-256 of its bytes
    # In the present format; empty where it was refused.
    notebook: NotebookNode = field(default_factory=NotebookNode)
    notes: Sequence[str] = ()  # what had to be done to it
    other: bool = False  # neither a notebook nor an archive


@dataclass(frozen=True)
class _File:
    """A file that has not been read yet."""

    path: str
    times: Sequence[float]
    size: int  # as is claimed
    open: Callable[[], Any]
    problem: str = ""


def limited(context: Any, function: Call, *args: Any) -> Any:
    """Call a function in a process of its own: what needs more than `SECONDS`
    or `MEMORY` is refused, and costs nobody else anything."""
    try:
        with ProcessPoolExecutor(1, context, _bound,
                                 (SECONDS, MEMORY)) as pool:
            return pool.submit(function, *args).result()
    except BrokenProcessPool:
        raise NotebookError(f"reading it took more than {SECONDS} s or "
                            f"{MEMORY / 2**30:.0f} GB") from None


def _bound(seconds: int, memory: int) -> None:
    """The system ends this process when it computes for longer."""
    sandbox.bound(RLIMIT_AS=psutil.Process().memory_info().vms + memory,
                  RLIMIT_CPU=int(sum(os.times()[:2])) + seconds, RLIMIT_CORE=0)


# ---- all the files


def read(place: Path, inside: str = "") -> list[Found]:
    """All that is in a folder, an archive or a file, and in archives in them;
    `inside` an archive of the whole class, one student's file or folder."""
    found: list[Found] = []
    reader = _Reader()
    try:
        for file in _files(place, inside):
            found += reader.notebooks(file, 0)
    except Exception as error:  # whatever it is, the others are graded
        found.append(Found(inside or readable(place.name),
                           refused=_words(error)))
    return found


def names(place: Path) -> list[str]:
    """The paths of all that is in a folder, or of the files in an archive."""
    if place.is_dir():
        return [path.relative_to(place).as_posix()  # no link is followed
                for path in place.rglob("*")]
    with place.open("rb") as file:
        return [one.path for one in _members(file)]


def _files(place: Path, inside: str) -> Iterator[_File]:
    """The files of one student, those in archives not yet among them."""
    if inside:
        with place.open("rb") as file:
            yield from (one for one in _members(file)
                        if f"{one.path}/".startswith(f"{inside}/"))
        return
    folder = place.is_dir() and not place.is_symlink()
    for path in sorted(place.rglob("*")) if folder else [place]:
        info = path.lstat()
        if stat.S_ISDIR(info.st_mode):
            continue
        # A pipe would be waited for.
        problem = LINK if stat.S_ISLNK(info.st_mode) else (
            "" if stat.S_ISREG(info.st_mode) else "it is no ordinary file")
        yield _File(readable(path.relative_to(place.parent).as_posix()),
                    [info.st_mtime], info.st_size,
                    functools.partial(path.open, "rb"), problem)


def _words(error: Exception) -> str:
    if isinstance(error, NotebookError):
        return str(error)
    if isinstance(error, MemoryError):
        return "reading it takes too much memory"
    said = (str(error).splitlines() or [""])[0][:150]
    return f"it cannot be read ({type(error).__name__}: {said})"


class _Reader:
    """Reads one student's files, and not too much of them all together."""

    def __init__(self) -> None:
        self.files, self.bytes = MOST_FILES, MOST_BYTES

    def notebooks(self, file: _File, depth: int) -> Iterator[Found]:
        """A notebook, or those in an archive and in the archives in it."""
        path = PurePosixPath(file.path)
        # What the student's own folder is called says nothing.
        if any(part in IGNORED or part.startswith("._")
               for part in path.parts[1 if depth == 0 else 0:]):
            return
        notebook = NOTEBOOK.search(path.name)
        archive = ARCHIVE.search(path.name)
        self.files -= 1
        try:
            if self.files < 0:
                raise NotebookError(f"more than {MOST_FILES} files, or a zip "
                                    "bomb: the rest is not read")
            if not notebook and not archive:
                yield Found(file.path, file.times, other=True, refused="no "
                            f"notebook, but a {path.suffix or '?'} file")
                return
            if file.problem:
                raise NotebookError(file.problem)
            content = self._content(
                file, LARGEST["notebook" if notebook else "archive"])
            if not archive:
                yield _parsed(file, content)
                return
            if depth == DEEPEST:
                raise NotebookError("an archive in an archive in an archive")
            before, inside = self.files, []
            for one in _members(io.BytesIO(content), f"{file.path}/"):
                inside.append(PurePosixPath(one.path).name)
                yield from self.notebooks(replace(
                    one, times=[*file.times, *one.times]), depth + 1)
            if self.files == before:  # no file but a system's
                raise NotebookError("no notebook is in it; it holds "
                                    f"{', '.join(inside[:5]) or 'no file'}")
        except Exception as error:  # archives fail in many ways
            yield Found(file.path, file.times, _words(error))

    def _content(self, file: _File, largest: int) -> bytes:
        """Its bytes, no more than it may have, whatever it claims."""
        most = min(largest, self.bytes)
        if file.size <= most:
            with file.open() as opened:
                content = opened.read(most + 1)
            self.bytes -= len(content)
            if len(content) <= most:
                return content
        raise NotebookError(
            f"it has more than {largest / 2**20:.0f} MB" if most == largest
            else f"more than {MOST_BYTES / 2**20:.0f} MB in all: a zip bomb, "
            "or too much")


def _parsed(file: _File, content: bytes) -> Found:
    """A notebook, without what is of no use here and may be much; its kernel
    is the course's."""
    read, notes = parse_notebook(content)
    for cell in read.cells:
        cell.metadata = NotebookNode(
            (name, value) for name, value in cell.metadata.items()
            if name == "nbgrader")
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    read.metadata = NotebookNode(kernelspec={
        "name": "python3", "display_name": "Python 3", "language": "python"})
    digest = hashlib.sha256(content).hexdigest()
    return Found(file.path, file.times, "", digest, read, notes)


# ---- archives


def _members(file: IO[bytes], place: str = "") -> Iterator[_File]:
    """The files in an archive, whose kind its first bytes tell."""
    first = file.read(6)
    file.seek(0)
    if first.startswith(b"Rar!"):
        raise NotebookError("a RAR archive is not opened here: unpack it "
                            "into a folder, or ask for a zip file")
    try:
        kind = {b"7z": _in_7z, b"PK": _in_zip}.get(first[:2], _in_tar)
        for one in kind(file):
            path = PurePosixPath(one.path.replace("\\", "/"))
            problem = one.problem
            if path.is_absolute() or ".." in path.parts or (
                    path.parts and path.parts[0][1:2] == ":"):
                problem = "its path climbs out of the archive"
            yield replace(one, path=f"{place}{path}", problem=problem)
    except (NotebookError, MemoryError):
        raise
    except Exception as error:
        raise NotebookError(
            "it is no archive that can be read, zip, 7z or tar "
            f"({(str(error) or type(error).__name__)[:100]})") from None


def _in_zip(file: IO[bytes]) -> Iterator[_File]:
    with zipfile.ZipFile(file) as archive:
        infos = [one for one in archive.infolist() if not one.is_dir()]
        for info, name in zip(infos, readable_names(infos), strict=True):
            problem = LINK if stat.S_ISLNK(info.external_attr >> 16) else (
                "it is encrypted" if info.flag_bits & 1 else "")
            when = 0.0
            with contextlib.suppress(ValueError, OverflowError):
                when = time.mktime((*info.date_time, 0, 0, -1))
            yield _File(name, [when], info.file_size,
                        functools.partial(archive.open, info), problem)


def _in_tar(file: IO[bytes]) -> Iterator[_File]:
    with tarfile.open(fileobj=file) as archive:
        for info in archive:
            if not info.isdir():
                yield _File(readable(info.name), [float(info.mtime)],
                            info.size, functools.partial(
                                archive.extractfile, info),
                            "" if info.isfile() else LINK)


def _in_7z(file: IO[bytes]) -> Iterator[_File]:
    import py7zr

    def opened(name: str) -> IO[bytes]:
        file.seek(0)
        factory = py7zr.io.BytesIOFactory(LARGEST["archive"] + 1)
        with py7zr.SevenZipFile(file) as archive:
            archive.extract(targets=[name], factory=factory)
        (product := factory.products[name]).seek(0)
        return io.BytesIO(product.read())

    with py7zr.SevenZipFile(file) as archive:
        problem = "it is encrypted" if archive.needs_password() else ""
        infos = [one for one in archive.list() if not one.is_directory]
    for one in infos:
        when = one.creationtime.timestamp() if one.creationtime else 0.0
        yield _File(one.filename, [when], one.uncompressed,
                    functools.partial(opened, one.filename),
                    problem or (LINK if one.is_symlink else ""))


# ---- names


def readable_names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Members' names; programs in China write GBK without saying so, and
    then in the whole archive."""
    raw = [b"" if info.flag_bits & UTF8_NAMES
           else info.filename.encode("cp437", "ignore") for info in infos]
    text = decoded(b"\0".join(raw))
    if NO_WORDS.search(text) and not CHINESE.search(text):
        text = b"\0".join(raw).decode("gb18030", "replace")
    names = [*map(decoded, raw)] if "\ufffd" in text else text.split("\0")
    return [name or readable(info.filename)
            for name, info in zip(names, infos, strict=False)]


def readable(name: str) -> str:
    """A name as people read it; on the disk, too, it may be in GBK."""
    with contextlib.suppress(UnicodeError):
        return decoded(name.encode("utf-8", "surrogateescape"))
    return name.encode("utf-8", "replace").decode()


def decoded(name: bytes) -> str:
    """Text in UTF-8, or else in GBK."""
    for encoding in ("utf-8-sig", "gb18030"):
        with contextlib.suppress(UnicodeError):
            return name.decode(encoding)
    return name.decode("utf-8", "replace")
