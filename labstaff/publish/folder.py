"""A folder that is replaced as a whole and knows what was put into it."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from labutils import settings

# Lists the files with their SHA-256, as `sha256sum -c` reads it.
MANIFEST = ".release"
# Stays when the rest is replaced, so that a release can be pushed.
GIT = ".git"
OTHERS = {GIT, "__pycache__", ".ipynb_checkpoints"}  # not a release's own


def check(out: Path, marks: Collection[str] = (MANIFEST,)) -> Path:
    """A folder that may be replaced, as an absolute path.

    Raises:
        RuntimeError: it is a file, part of the course, or holds something and
            has not the `marks`, by which an earlier release is known.
    """
    out = out.expanduser().resolve()
    for name in ("notebooks", "labutils", "labkit", "labstaff"):
        own = (settings.home() / name).resolve()
        if out.is_relative_to(own):
            raise RuntimeError(
                f"{out} lies inside {own}, which is part of the course. Take "
                "a folder outside of it.")
    if out.exists() and not out.is_dir():
        raise RuntimeError(f"{out} is a file. Name a folder.")
    found = sorted(p.name for p in out.iterdir()) if out.exists() else []
    if set(marks) <= set(found) or not set(found) - {GIT}:
        return out
    raise RuntimeError(
        f"{out} is not empty and no earlier release: it holds "
        f"{', '.join(found[:3])}{' and more' if len(found) > 3 else ''}. "
        "Name a new folder.")


def replace(
    out: Path, fill: Callable[[Path], None], manifest: str = MANIFEST
) -> list[str]:
    """Put a folder that `fill` writes in the place of an earlier release,
    whole or not at all; its Git repository stays, if it has one.

    Nobody meets half a release: the new one is filled beside it, and after an
    error all is as before. The file `manifest` lists the others. Returns, in
    words, where the earlier release is kept, if somebody had changed it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    old = Path(f"{new}.old")
    try:
        new.chmod(0o755)  # mkdtemp's 0700 would hide it from a class
        fill(new)
        lines = sorted(_lines(new), key=lambda line: line.split("  ", 1)[1])
        write(new, {manifest: ("\n".join(lines) + "\n").encode("utf-8")})
        touched = changed(out, manifest)
        if out.exists():
            out.rename(old)
            _move_git(old, new)
        new.rename(out)
    except BaseException:
        if old.exists():
            _move_git(new, old)
            old.rename(out)
        shutil.rmtree(new, ignore_errors=True)
        raise
    if not touched:
        if old.exists():
            shutil.rmtree(old)
        return []
    number = 1
    while (kept := out.with_name(f"{out.name}.before{number}")).exists():
        number += 1
    old.rename(kept)
    return ["The earlier one had been changed there; it is kept as "
            f"{kept}."]


def write(place: Path, files: dict[str, bytes]) -> None:
    """Write files, by their paths with slashes, into a folder."""
    for name, data in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def changed(out: Path, manifest: str = MANIFEST) -> bool:
    """Whether a release holds a file that it was not made with; one that is
    missing is none that could be lost."""
    path = out / manifest
    listed = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = {x for x in _lines(out) if not x.endswith(f"  {manifest}")}
    return not lines <= set(listed.splitlines())


def _lines(out: Path) -> Iterator[str]:
    """What a manifest says of each file."""
    for path in out.rglob("*"):
        inside = path.relative_to(out)
        if path.is_file() and OTHERS.isdisjoint(inside.parts):
            with path.open("rb") as stream:  # a wheel can be very large
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            yield f"{sha256}  {inside.as_posix()}"


def _move_git(source: Path, target: Path) -> None:
    if (source / GIT).exists():
        (source / GIT).rename(target / GIT)
