"""A folder that is replaced as a whole and knows what was put into it."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

# Lists the files with their SHA-256, as `sha256sum -c` reads it.
MANIFEST = ".release"
# Stays when the rest is replaced, so that a release can be pushed.
GIT = ".git"
LEFTOVERS = {"__pycache__", ".ipynb_checkpoints"}


class FolderError(RuntimeError):
    """The folder holds something that must not be lost."""


def check(out: Path) -> None:
    """Make sure that a folder may be replaced.

    Raises:
        FolderError: it is a file, or holds more than an earlier release.
    """
    if out.exists() and not out.is_dir():
        raise FolderError(f"{out} is a file. Name a folder.")
    found = sorted(p.name for p in out.iterdir()) if out.exists() else []
    if MANIFEST in found or not set(found) - {GIT}:
        return
    raise FolderError(
        f"{out} is not empty and no earlier release: it holds "
        f"{', '.join(found[:3])}{' and more' if len(found) > 3 else ''}. "
        "Name a new folder."
    )


def replace(out: Path, files: dict[str, bytes]) -> Path | None:
    """Write files into a folder, in the place of an earlier release.

    They are written beside it first, so that nobody meets half a release.

    Args:
        out: the folder; its Git repository stays, if it has one.
        files: content of each file, by its path with slashes.

    Returns:
        Where the earlier release is kept, if somebody had changed it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        new.chmod(0o755)  # mkdtemp's 0700 would hide it from a class
        _write(new, files | {MANIFEST: _manifest(files)})
        if out.exists():
            return _swap(new, out)
        new.rename(out)
        return None
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def changed(out: Path) -> bool:
    """Whether a release holds a file that it was not made with.

    A file that is missing is none that could be lost.
    """
    listed = set()
    with contextlib.suppress(FileNotFoundError):
        text = (out / MANIFEST).read_text(encoding="utf-8")
        listed = set(text.splitlines())
    for path in _files(out):
        name = path.relative_to(out).as_posix()
        if name != MANIFEST and _line(name, path.read_bytes()) not in listed:
            return True
    return False


def _files(out: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(out):
        folders[:] = [f for f in folders if f not in {GIT, *LEFTOVERS}]
        found += [Path(place, name) for name in names if name != GIT]
    return found


def _line(name: str, data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()}  {name}"


def _manifest(files: dict[str, bytes]) -> bytes:
    lines = [_line(name, files[name]) for name in sorted(files)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _write(place: Path, files: dict[str, bytes]) -> None:
    for name in sorted(files):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])


def _swap(new: Path, out: Path) -> Path | None:
    """Put `new` in the place of `out`; after an error all is as before."""
    touched, old = changed(out), Path(f"{new}.old")
    out.rename(old)
    try:
        _move_git(old, new)
        new.rename(out)
    except BaseException:
        _move_git(new, old)
        old.rename(out)
        raise
    if not touched:
        shutil.rmtree(old)
        return None
    kept = _free(out)
    old.rename(kept)
    return kept


def _move_git(source: Path, target: Path) -> None:
    if (source / GIT).exists():
        (source / GIT).rename(target / GIT)


def _free(out: Path) -> Path:
    """A name beside `out` that nothing has."""
    number = 1
    while (path := out.with_name(f"{out.name}.before{number}")).exists():
        number += 1
    return path
