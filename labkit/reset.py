"""Notebooks as they were committed; what was there is kept beside them."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.course import without_copies
from labutils import settings
from labutils.files import write_atomically

# In the name of what was kept, before the time.
KEPT = "-kept-"


class ResetError(RuntimeError):
    """Nothing was reset; the message says why and what to do."""


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
        ResetError: there is no git, no commit, or no such notebook in it;
            nothing was done.
        OSError: a file cannot be written.
    """
    folder = settings.home() / "notebooks"
    committed = _committed(folder)
    chosen = [n for name in names for n in _matching(name, committed)]
    files = {  # all are read before the first is written
        name: _git("cat-file", "--filters", f"HEAD:./{name}", folder=folder)
        for name in chosen or committed
    }
    return [_reset(folder / name, data) for name, data in files.items()]


def _committed(folder: Path) -> list[str]:
    """The notebooks in the last commit, without copies of them."""
    if not folder.is_dir():
        raise ResetError(
            f"There is no {folder}: expected the course's folder, with "
            "notebooks/ in it. Use the labutils that was installed from there."
        )
    listed = _git("ls-tree", "--name-only", "-z", "HEAD", folder=folder)
    names = listed.decode("utf-8").split("\0")
    return without_copies(n for n in names if n.endswith(".ipynb"))


def _matching(name: str, committed: list[str]) -> list[str]:
    found = [c for c in committed if c.startswith(Path(name).name)]
    if not found or not Path(name).name:
        known = ", ".join(Path(c).stem for c in committed) or "none at all"
        raise ResetError(
            f"No notebook {name!r} is in the last commit: expected the "
            f"beginning of one of {known}."
        )
    return found


def _git(*arguments: str, folder: Path) -> bytes:
    """What git answers in a folder."""
    git = shutil.which("git")
    if git is None:
        raise ResetError(
            "git is not installed, and the committed notebooks are in it. "
            "Install git, or take fresh copies from where the course is."
        )
    done = subprocess.run(
        [git, "-C", str(folder), *arguments], capture_output=True, check=False
    )
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    raise ResetError(
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
    kept = _free(path)
    write_atomically(kept, before)
    write_atomically(path, data)
    return f"{path.name}: as committed again; what was there is in {kept.name}"


def _free(path: Path) -> Path:
    """A name beside `path` that nothing has, with the time in it."""
    stem = f"{path.stem}{KEPT}{time.strftime('%Y-%m-%d-%H%M%S')}"
    kept, number = path.with_name(f"{stem}.ipynb"), 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{stem}-{number}.ipynb")
    return kept
