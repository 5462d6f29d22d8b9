"""Notebooks as they were committed; what was there is kept beside them."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from labkit.course import FOLDERS, NotebookError, matching, without_copies
from labutils import settings
from labutils.files import write_atomically


def reset(names: Sequence[str] = ()) -> list[str]:
    """Bring notebooks back to their state in git's last commit, and return
    what was done, a line for each.

    One that differs is first copied beside itself, with the time in the
    copy's name. No other file is touched.

    Args:
        names: the beginnings of file names in notebooks/ ("03"), which mean
            all languages, or paths, which mean one; none means all that are
            committed.

    Raises:
        NotebookError: there is no git, no commit, or no such notebook in it;
            nothing was done.
        OSError: a file cannot be written.
    """
    own = settings.home() / "notebooks"
    if not own.is_dir():
        raise NotebookError(
            f"There is no {own}: expected the course's folder, with "
            "notebooks/ in it. Use the labutils that was installed from there."
        )
    listed = _git(own, "ls-tree", "-r", "--name-only", "-z", "HEAD").decode()
    places = {PurePosixPath(place) for place in FOLDERS.values()}
    committed = [PurePosixPath(name) for name in without_copies(
        name for name in listed.split("\0") if name.endswith(".ipynb")
        and PurePosixPath(name).parent in places)]
    chosen = []
    for name in names:
        place = Path(name).parent.name  # in a path, of a language
        there = [path for path in committed
                 if place in ("", path.parent.name or own.name)]
        files = matching(Path(name).name, sorted({p.name for p in there}),
                         " is in the last commit")
        chosen += [path for path in there if path.name in files]
    contents = {  # all are read before the first is written
        path: _git(own, "cat-file", "--filters", f"HEAD:./{path}")
        for path in chosen or committed}
    return [_reset(own / path, path, data) for path, data in contents.items()]


def _git(folder: Path, *arguments: str) -> bytes:
    """What git answers in a folder."""
    git = shutil.which("git")
    if git is None:
        raise NotebookError(
            "git is not installed, and the committed notebooks are in it. "
            "Install git, or take fresh copies from where the course is.")
    done = subprocess.run(
        [git, "-C", str(folder), *arguments], capture_output=True, check=False)
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    raise NotebookError(
        f"git finds no commit for {folder} ({said[0] if said else 'no word'})."
        " Take fresh copies from where the course is, or get it with git "
        "clone.")


def _reset(path: Path, name: PurePosixPath, data: bytes) -> str:
    """Write the committed bytes, where they are not there already."""
    before = path.read_bytes() if path.exists() else None
    if before == data:
        return f"{name}: unchanged, nothing to do"
    if before is None:
        write_atomically(path, data)
        return f"{name}: was not there, now as committed"
    while (kept := path.with_name(
        f"{path.stem}-kept-{time.strftime('%Y-%m-%d-%H%M%S')}.ipynb"
    )).exists():
        time.sleep(0.1)  # the next second is free
    write_atomically(kept, before)
    write_atomically(path, data)
    return f"{name}: as committed again; what was there is in {kept.name}"
