"""Files of a submission, from folders and zip files that may be hostile.

Nothing is unpacked to disk, no link is followed, and no header is believed:
members are read up to a limit.
"""

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LARGEST = 20 * 2**20  # bytes of a notebook
MOST_FILES = 5_000  # of one submission
MOST_BYTES = 500 * 2**20  # that one zip file may unfold to, as it says
LARGEST_ZIP = 200 * 2**20
DEEPEST = 2  # zip files inside zip files
IGNORED = {".ipynb_checkpoints", "__MACOSX", "__pycache__", ".git", "results",
           ".venv"}
UTF8_NAMES = 0x800  # flag bit: the member's name is in UTF-8


@dataclass(frozen=True)
class Found:
    """A file of a submission.

    Attributes:
        path: inside the submission, with slashes.
        time: of its last change, to compare versions; of a zip's member as a
            tuple, of a file in seconds.
        content: its bytes; empty where it was refused.
        refused: why it was not read; empty where it was.
    """

    path: str
    time: tuple[float, ...]
    content: bytes = b""
    refused: str = ""


def ignored(path: PurePosixPath) -> bool:
    return any(part in IGNORED or part.startswith("._")
               for part in path.parts)


def files(place: Path) -> Iterator[Found]:
    """The notebooks and zip files in a folder, and what is in those.

    Args:
        place: a folder, a zip file or a notebook.
    """
    if place.is_symlink():
        yield Found(place.name, (0,), refused="a link is not followed")
    elif place.is_dir():
        yield from _folder(place)
    else:
        yield from _file(place, place.name)


def _folder(place: Path) -> Iterator[Found]:
    count = 0
    for folder, folders, names in os.walk(place, followlinks=False):
        folders[:] = sorted(f for f in folders if f not in IGNORED)
        for name in sorted(names):
            path = Path(folder, name)
            inside = path.relative_to(place).as_posix()
            if ignored(PurePosixPath(inside)):
                continue
            count += 1
            if count > MOST_FILES:
                yield Found(inside, (0,), refused=(
                    f"more than {MOST_FILES} files: the rest is not read"))
                return
            yield from _file(path, inside)


def _file(path: Path, inside: str) -> Iterator[Found]:
    suffix = path.suffix.lower()
    if suffix not in (".ipynb", ".zip"):
        return
    info = path.lstat()
    when = (info.st_mtime,)
    if not stat.S_ISREG(info.st_mode):  # a pipe would wait for ever
        yield Found(inside, when, refused="it is no ordinary file")
        return
    limit = LARGEST if suffix == ".ipynb" else LARGEST_ZIP
    if info.st_size > limit:
        yield Found(inside, when, refused=too_large(info.st_size, limit))
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        yield Found(inside, when, refused=f"it cannot be read: {error}")
        return
    if suffix == ".zip":
        yield from members(content, inside, 1)
    else:
        yield Found(inside, when, content)


def too_large(size: int, limit: int) -> str:
    return (f"it has {size / 2**20:.0f} MB; a file of this kind may have "
            f"{limit / 2**20:.0f} MB")


def members(content: bytes, inside: str, depth: int) -> Iterator[Found]:
    """The notebooks in a zip file, and in the zip files in it."""
    if depth > DEEPEST:
        yield Found(inside, (0,), refused="a zip file in a zip file in one")
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            total = sum(info.file_size for info in infos)
            if len(infos) > MOST_FILES or total > MOST_BYTES:
                yield Found(inside, (0,), refused=(
                    f"it would unfold to {len(infos)} files of "
                    f"{total / 2**20:.0f} MB: a zip bomb is not opened"))
                return
            for info in infos:
                yield from _member(archive, info, inside, depth)
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError,
            NotImplementedError, RuntimeError, MemoryError,
            UnicodeError, IndexError, KeyError) as error:
        yield Found(inside, (0,), refused=(
            f"it is no zip file that can be read ({error})"))


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, inside: str, depth: int
) -> Iterator[Found]:
    name = readable_name(info)
    path = PurePosixPath(name.replace("\\", "/"))
    shown = f"{inside}/{name}"
    if info.is_dir() or ignored(path):
        return
    suffix = path.suffix.lower()
    if suffix not in (".ipynb", ".zip"):
        return
    when = tuple(map(float, info.date_time))
    if path.is_absolute() or ".." in path.parts or path.parts[0][1:2] == ":":
        yield Found(shown, when, refused="its path climbs out of the zip file")
        return
    if stat.S_ISLNK(info.external_attr >> 16):
        yield Found(shown, when, refused="a link is not followed")
        return
    if info.flag_bits & 1:
        yield Found(shown, when, refused="it is encrypted")
        return
    limit = LARGEST if suffix == ".ipynb" else LARGEST_ZIP
    with archive.open(info) as member:
        content = member.read(limit + 1)  # the header may lie about its size
    if len(content) > limit:
        size = max(info.file_size, len(content))
        yield Found(shown, when, refused=too_large(size, limit))
    elif suffix == ".zip":
        yield from members(content, shown, depth + 1)
    else:
        yield Found(shown, when, content)


def readable_name(info: zipfile.ZipInfo) -> str:
    """A member's name; programs in China write GBK without saying so."""
    if info.flag_bits & UTF8_NAMES:
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "gbk"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename
