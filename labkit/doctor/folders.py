"""Can the folders be written, and is there room? By writing really."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labkit.doctor import mends
from labkit.doctor.findings import BAD, OK, WARN, Finding
from labutils import settings

WRITTEN = 2**20  # bytes
# All of a full run's results take some 30 MB.
SCARCE, TOO_LITTLE = 500 * 10**6, 50 * 10**6


def check() -> list[Finding]:
    """The lines about the results, the text's folder and the notebooks."""
    findings = []
    for name, variable, read, state in (
        ("results", "LABUTILS_RESULTS_DIR", settings.results_dir, BAD),
        ("data", "LABUTILS_DATA_DIR", settings.data_dir, WARN),
    ):
        with contextlib.suppress(settings.SettingsError):
            findings.append(_folder(name, variable, read(), state))
    notebooks = settings.home() / "notebooks"
    if notebooks.is_dir() and (problem := try_to_write(notebooks)):
        findings.append(Finding(
            "notebooks", WARN, f"{notebooks}: {problem}; what you change "
            "cannot be saved", _owned(notebooks) or _copy(),
        ))
    return findings


def _folder(name: str, variable: str, folder: Path, state: str) -> Finding:
    problem = try_to_write(folder)
    free = _free(folder)
    if not problem and free >= SCARCE:
        words = f"{folder}: can be written, {_size(free)} free"
        return Finding(name, OK, words)
    mend = mends.put(variable, another(f"labutils-{name}"))
    if problem or free < TOO_LITTLE:
        problem = problem or f"only {_size(free)} are free there"
        return Finding(
            name, state, f"{folder}: {problem}", _owned(folder) or mend
        )
    words = f"{folder}: {_size(free)} are free there, which may not do"
    return Finding(name, WARN, words, mend)


def try_to_write(folder: Path) -> str:
    """Write a file there as labutils would, and remove it.

    Returns:
        What went wrong, in words; "" where nothing did.
    """
    try:
        with _made(folder):
            handle, name = tempfile.mkstemp(prefix=".doctor.", dir=folder)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(os.urandom(WRITTEN))
                    stream.flush()
                    os.fsync(stream.fileno())
            finally:
                Path(name).unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return f"no room for a file ({error.strerror})"
        return f"cannot be written ({error.strerror})"
    return ""


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The folder, which is gone afterwards if it was not there before."""
    missing = []
    while not os.access(folder, os.F_OK) and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    made = []
    try:
        for path in reversed(missing):
            path.mkdir()
            made.append(path)
        yield
    finally:
        for path in reversed(made):
            # Somebody may have put something into it.
            with contextlib.suppress(OSError):
                path.rmdir()


def _free(folder: Path) -> int:
    while not os.access(folder, os.F_OK) and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(number: int) -> str:
    if number >= 10**9:
        return f"{number / 10**9:,.0f} GB"
    return f"{number / 10**6:,.0f} MB"


def _owned(folder: Path) -> str:
    """A line that makes one's own folder writable again; "" where it is
    not that."""
    if os.name != "posix" or not os.geteuid() or not folder.is_dir():
        return ""
    about = folder.stat()
    if about.st_uid != os.geteuid() or about.st_mode & 0o300 == 0o300:
        return ""
    return f"chmod -R u+rwX {mends.shown(folder)}"


def another(name: str) -> Path:
    """A folder elsewhere that can be written and has room."""
    places = [Path.home(), Path(tempfile.gettempdir()), Path("/var/tmp")]
    for place in places:
        other = place / name
        if not place.is_dir() or try_to_write(other):
            continue
        if _free(other) >= SCARCE:
            return other
    return Path("/a/folder/with/room")


def _copy() -> str:
    home = settings.home()
    target = Path.home() / (home.name + "-of-mine")
    copy = "Copy-Item -Recurse" if mends.WINDOWS else "cp -r"
    return f"{copy} {mends.shown(home)} {mends.shown(target)}"
