"""A course folder with an environment of its own, to be broken and mended."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = Path(sysconfig.get_paths()["purelib"])
FRONT_END = "share/jupyter/labextensions/@jupyter-widgets"


def environment(folder: Path, *paths: Path, without: str = "") -> Path:
    """An environment with links to the packages of this one.

    pip neither changes nor removes what lies outside of an environment, so
    that all this leaves the real packages alone.

    Args:
        folder: of the environment; beside it the links are put.
        paths: more folders to import from.
        without: words that the names of packages left out begin with.

    Returns:
        The interpreter.
    """
    venv.create(folder, symlinks=True)
    links = folder.with_name(f"{folder.name}-packages")
    links.mkdir()
    for path in PACKAGES.iterdir():
        mine = "labutils" in path.name or path.suffix == ".pth"
        if not mine and not (
            without and path.name.startswith(tuple(without.split()))
        ):
            (links / path.name).symlink_to(path)
    site = _site(folder)
    lines = "\n".join(map(str, [links, *paths]))
    (site / "course.pth").write_text(lines, encoding="utf-8")
    return folder / "bin" / "python"


def _site(folder: Path) -> Path:
    [site] = folder.glob("lib/python*/site-packages")
    return site


@dataclass
class Course:
    """A student's folder of the course.

    Attributes:
        folder: with labutils, notebooks and .venv in it.
        home: the student's home folder, empty.
    """

    folder: Path
    home: Path

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / "bin" / "python"

    @property
    def site(self) -> Path:
        """Where pip would install to; comes before the links."""
        return _site(self.folder / ".venv")

    @property
    def links(self) -> Path:
        return self.folder / ".venv-packages"

    def remove(self, *names: str) -> None:
        """Take packages out of the environment."""
        for name in names:
            found = [*self.links.glob(name), *self.links.glob(f"{name}-*")]
            assert found
            for path in found:
                path.unlink()

    def put_metadata(self, name: str, version: str) -> None:
        """Have a package be installed in another version, by its papers."""
        folder = self.site / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )

    def variables(self, given: dict[str, Any]) -> dict[str, str]:
        """A student's environment variables, none of the test run's."""
        mine = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("LABUTILS_", "JUPYTER", "PY"))
        }
        mine |= {
            "HOME": str(self.home),
            # Its list of fonts takes long to make.
            "MPLCONFIGDIR": matplotlib.get_cachedir(),
            "OMP_NUM_THREADS": "1",
        }
        return mine | {name: str(value) for name, value in given.items()}

    def doctor(
        self, *only: str, before: str = "", around: tuple[str, ...] = (),
        **given: Any,
    ) -> "Visit":
        """Let the doctor look, as a student would in a terminal.

        Args:
            only: parts; none means all.
            before: a line that is typed in the same terminal before.
            around: a command that the terminal runs under.
            given: environment variables.
        """
        options = " ".join(f"--only {part}" for part in only)
        line = (
            f".venv/bin/python -m labkit doctor --json --seconds 300 "
            f"{options}"
        )
        done = subprocess.run(
            [*around, "sh", "-c", f"{before or ':'} >&2\n{line}"],
            cwd=self.folder, env=self.variables(given), capture_output=True,
            text=True, timeout=300, check=False,
        )
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            pytest.fail(f"{done.stdout}\n{done.stderr}")
        assert answer["exit_code"] == done.returncode
        return Visit(done.returncode, answer["checks"], done.stderr)


@dataclass
class Visit:
    """What the doctor said."""

    code: int
    checks: list[dict[str, str]]
    err: str

    def __getitem__(self, name: str) -> dict[str, str]:
        """The one line of this name."""
        [found] = [check for check in self.checks if check["name"] == name]
        return found

    def states(self) -> dict[str, str]:
        return {check["name"]: check["state"] for check in self.checks}


def new_course(folder: Path) -> Course:
    """A course folder as `labutils release` leaves it, installed."""
    course = Course(folder / "course", folder / "home")
    course.home.mkdir()
    for name in ("labutils", "labkit"):
        shutil.copytree(
            ROOT / name, course.folder / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, course.folder)
    shutil.copy(
        ROOT / "labstaff" / "publish" / "student" / "Makefile", course.folder
    )
    (course.folder / "notebooks").mkdir()
    environment(course.folder / ".venv", course.folder)
    for name in ("share/jupyter/kernels/python3", FRONT_END):
        shutil.copytree(
            Path(sys.prefix, name), course.folder / ".venv" / name
        )
    return course


def confined(*options: str) -> tuple[str, ...]:
    """A command that runs another one with parts of the machine changed;
    skips the test where that is not to be had."""
    command = ("bwrap", "--dev-bind", "/", "/", *options)
    tried = shutil.which("bwrap") and subprocess.run(
        [*command, "true"], capture_output=True, check=False
    ).returncode == 0
    if not tried:
        pytest.skip("needs bubblewrap")
    return command
