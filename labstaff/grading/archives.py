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
Call = Callable[..., Any]


class RefusedError(ValueError):
    """A file is not taken; the message is the reason."""


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
    open: Callable[[], IO[bytes]]
    problem: str = ""


class Limited:
    """Calls functions in a process of their own, with bounded resources.

    What needs more is refused, and costs nobody else anything.
    """

    def __init__(self, context: Any = None) -> None:
        self._context = context
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, function: Call, *args: Any) -> Any:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, self._context)
        try:
            return self._pool.submit(
                _bounded, SECONDS, MEMORY, function, args).result()
        except BrokenProcessPool:
            self.close()
            raise RefusedError(
                f"reading it took more than {SECONDS} s or "
                f"{MEMORY / 2**30:.0f} GB") from None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


@functools.cache
def _size() -> int:
    """Bytes of this process before it has read anything."""
    return psutil.Process().memory_info().vms


def _bounded(
    seconds: int, memory: int, function: Call, args: Sequence[Any]
) -> Any:
    """Call it; the system ends the process that computes for longer."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        for what, most in ((resource.RLIMIT_AS, _size() + memory),
                           (resource.RLIMIT_CORE, 0), (
                resource.RLIMIT_CPU, int(sum(os.times()[:2])) + seconds)):
            resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
    return function(*args)


# ---- all the files


def read(place: Path, inside: str = "") -> list[Found]:
    """All that is in a folder, an archive or a file, and in archives in them.

    Args:
        place: on the disk.
        inside: of an archive of the whole class, one student's file or folder.
    """
    found: list[Found] = []
    name = readable(place.name)
    try:
        for one in _Reader().everything(place, inside):
            found.append(one)
    except Exception as error:  # whatever it is, the others are graded
        found.append(Found(inside or name, refused=_words(error)))
    return found


def names(place: Path) -> list[str]:
    """The paths of all the files in an archive."""
    with place.open("rb") as file:
        return [one.path for one in _members(file, "")]


def _words(error: Exception) -> str:
    if isinstance(error, (RefusedError, NotebookError)):
        return str(error)
    if isinstance(error, MemoryError):
        return "reading it takes too much memory"
    said = (str(error).splitlines() or [""])[0][:150]
    return f"it cannot be read ({type(error).__name__}: {said})"


class _Reader:
    """Reads one student's files, and not too much of them all together."""

    def __init__(self) -> None:
        self.files, self.bytes = MOST_FILES, MOST_BYTES

    def everything(self, place: Path, inside: str) -> Iterator[Found]:
        if inside:
            with place.open("rb") as file:
                for one in _members(file, ""):
                    if f"{one.path}/".startswith(f"{inside}/"):
                        yield from self._file(one, 0)
        elif place.is_symlink() or not place.is_dir():
            yield from self._file(_on_disk(place, place.name), 0)
        else:
            for path in sorted(place.rglob("*")):
                if path.is_symlink() or not path.is_dir():
                    shown = path.relative_to(place.parent).as_posix()
                    yield from self._file(_on_disk(path, shown), 0)

    def _file(self, file: _File, depth: int) -> Iterator[Found]:
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
                raise RefusedError(f"more than {MOST_FILES} files, or a zip "
                                   "bomb: the rest is not read")
            if not notebook and not archive:
                yield Found(file.path, file.times, other=True,
                            refused=f"no notebook, but a {path.suffix or '?'} "
                            "file")
                return
            if file.problem:
                raise RefusedError(file.problem)
            content = self._content(
                file, LARGEST["notebook" if notebook else "archive"])
            if archive:
                if depth == DEEPEST:
                    raise RefusedError(
                        "an archive in an archive in an archive")
                for one in _members(io.BytesIO(content), file.path):
                    yield from self._file(replace(
                        one, times=[*file.times, *one.times]), depth + 1)
                return
            read, notes = parse_notebook(content)
            for cell in read.cells:  # of no use here, and it may be much
                cell.metadata = NotebookNode(
                    (name, value) for name, value in cell.metadata.items()
                    if name == "nbgrader")
                cell.pop("attachments", None)
                if cell.cell_type == "code":
                    cell.outputs = []
            read.metadata = NotebookNode()
            digest = hashlib.sha256(content).hexdigest()
            yield Found(file.path, file.times, "", digest, read, notes)
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
        raise RefusedError(
            f"it has more than {largest / 2**20:.0f} MB" if most == largest
            else f"more than {MOST_BYTES / 2**20:.0f} MB in all: a zip bomb, "
            "or too much")


def _on_disk(path: Path, shown: str) -> _File:
    info = path.lstat()
    # A pipe would be waited for.
    problem = LINK if stat.S_ISLNK(info.st_mode) else (
        "" if stat.S_ISREG(info.st_mode) else "it is no ordinary file")
    return _File(readable(shown), [info.st_mtime], info.st_size,
                 lambda: path.open("rb"), problem)


# ---- archives


def _members(file: IO[bytes], path: str) -> Iterator[_File]:
    """The files in an archive, whose kind its first bytes tell."""
    first = file.read(6)
    file.seek(0)
    if first.startswith(b"Rar!"):
        raise RefusedError("a RAR archive is not opened here: unpack it into "
                           "a folder, or ask for a zip file")
    try:
        kind = {b"7z": _in_7z, b"PK": _in_zip}.get(first[:2], _in_tar)
        for one in kind(file):
            parts = PurePosixPath(one.path.replace("\\", "/"))
            problem = one.problem
            if parts.is_absolute() or ".." in parts.parts or (
                    parts.parts and parts.parts[0][1:2] == ":"):
                problem = "its path climbs out of the archive"
            yield _File(f"{path}/{parts}" if path else str(parts), one.times,
                        one.size, one.open, problem)
    except (RefusedError, MemoryError):
        raise
    except Exception as error:
        raise RefusedError(
            "it is no archive that can be read, zip, 7z or tar "
            f"({(str(error) or type(error).__name__)[:100]})") from None


def _in_zip(file: IO[bytes]) -> Iterator[_File]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            problem = LINK if stat.S_ISLNK(info.external_attr >> 16) else (
                "it is encrypted" if info.flag_bits & 1 else "")
            when = 0.0
            with contextlib.suppress(ValueError, OverflowError):
                when = time.mktime((*info.date_time, 0, 0, -1))
            yield _File(readable_name(info), [when], info.file_size,
                        functools.partial(archive.open, info), problem)


def _in_tar(file: IO[bytes]) -> Iterator[_File]:
    with tarfile.open(fileobj=file) as archive:
        for info in archive:
            if info.isdir():
                continue
            opened: Any = functools.partial(archive.extractfile, info)
            yield _File(readable(info.name), [float(info.mtime)], info.size,
                        opened, "" if info.isfile() else LINK)


def _in_7z(file: IO[bytes]) -> Iterator[_File]:
    import py7zr

    with py7zr.SevenZipFile(file) as archive:
        problem = "it is encrypted" if archive.needs_password() else ""
        infos = [one for one in archive.list() if not one.is_directory]

    def opened(name: str) -> IO[bytes]:
        file.seek(0)
        factory = py7zr.io.BytesIOFactory(LARGEST["archive"] + 1)
        with py7zr.SevenZipFile(file) as archive:
            archive.extract(targets=[name], factory=factory)
        factory.products[name].seek(0)
        return io.BytesIO(factory.products[name].read())

    for one in infos:
        when = one.creationtime.timestamp() if one.creationtime else 0.0
        yield _File(
            one.filename, [when], one.uncompressed,
            functools.partial(opened, one.filename),
            problem or (LINK if one.is_symlink else ""))


# ---- names


def readable_name(info: zipfile.ZipInfo) -> str:
    """A member's name; programs in China write GBK without saying so."""
    if not info.flag_bits & UTF8_NAMES:
        with contextlib.suppress(UnicodeError):
            return decoded(info.filename.encode("cp437"))
    return readable(info.filename)


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
