"""Notebooks as they were committed; what was there is kept beside them."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.course import NotebookError, matching, without_copies
from labutils import settings
from labutils.files import write_atomically

KEPT = "-kept-"  # in the name of what was kept, before the time


def reset(names: Sequence[str] = ()) -> list[str]:
    """Bring notebooks back to their state in git's last commit.

    A notebook that differs is first copied beside itself, with the time in
    the copy's name. No other file is touched.

    Args:
        names: the beginnings of file names in notebooks/ ("03"); none means
            all the notebooks that are committed.

    Returns:
        What was done, a line for each notebook.

    Raises:
        NotebookError: there is no git, no commit, or no such notebook in it;
            nothing was done.
        OSError: a file cannot be written.
    """
    folder = settings.home() / "notebooks"
    if not folder.is_dir():
        raise NotebookError(
            f"There is no {folder}: expected the course's folder, with "
            "notebooks/ in it. Use the labutils that was installed from there."
        )
    listed = _git(folder, "ls-tree", "--name-only", "-z", "HEAD").decode()
    committed = without_copies(
        name for name in listed.split("\0") if name.endswith(".ipynb"))
    chosen = [
        found for name in names for found in matching(
            Path(name).name, committed, " is in the last commit")
    ]
    files = {  # all are read before the first is written
        name: _git(folder, "cat-file", "--filters", f"HEAD:./{name}")
        for name in chosen or committed
    }
    return [_reset(folder / name, data) for name, data in files.items()]


def _git(folder: Path, *arguments: str) -> bytes:
    """What git answers in a folder."""
    git = shutil.which("git")
    if git is None:
        raise NotebookError(
            "git is not installed, and the committed notebooks are in it. "
            "Install git, or take fresh copies from where the course is."
        )
    done = subprocess.run(
        [git, "-C", str(folder), *arguments], capture_output=True, check=False
    )
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    raise NotebookError(
        f"git finds no commit for {folder} ({said[0] if said else 'no word'})."
        " Take fresh copies from where the course is, or get it with git "
        "clone."
    )


def _reset(path: Path, data: bytes) -> str:
    """Write the committed bytes, where they are not there already."""
    before = path.read_bytes() if path.exists() else None
    if before == data:
        return f"{path.name}: unchanged, nothing to do"
    if before is None:
        write_atomically(path, data)
        return f"{path.name}: was not there, now as committed"
    while (kept := path.with_name(
        f"{path.stem}{KEPT}{time.strftime('%Y-%m-%d-%H%M%S')}.ipynb"
    )).exists():
        time.sleep(0.1)  # the next second is free
    write_atomically(kept, before)
    write_atomically(path, data)
    return f"{path.name}: as committed again; what was there is in {kept.name}"
