"""Collect the wheels that a course needs, for any system, with pip.

`pip download` decides by the system it runs on which requirements count
("only on Windows"), whatever --platform says. So what a wheel needs is read
here, for the system that the wheels are for, and pip only fetches it.
"""

import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

# What else an installation with no network needs: pip itself, because a
# Linux without its python3-venv package has none, and what hatchling asks for
# when a package is installed where it stands.
TOOLS = ("pip>=25", "editables>=0.5")


# torch's wheels need glibc 2.28. Wheels for an older one work as well, but pip
# counts few of them in unless it is told so.
LINUX = [*(f"manylinux_2_{n}_" for n in range(28, 4, -1)), "manylinux2014_"]
# What requirements ask of a system, in the order in which SYSTEMS answers.
MARKERS = ("os_name", "sys_platform", "platform_system", "platform_machine")
# By the names that stick/install.py finds for the computer it runs on: in
# words; the tags of its wheels' names, the best first; its markers.
SYSTEMS = {
    "linux": ("Linux, x86_64", [f"{tag}x86_64" for tag in LINUX],
              ("posix", "linux", "Linux", "x86_64")),
    "linux-arm": ("Linux, aarch64", [f"{tag}aarch64" for tag in LINUX],
                  ("posix", "linux", "Linux", "aarch64")),
    # PyTorch has no wheels for Macs with an Intel processor.
    "macos": ("macOS 14 or newer, arm64", ["macosx_14_0_arm64"],
              ("posix", "darwin", "Darwin", "arm64")),
    "windows": ("Windows, x86_64", ["win_amd64"],
                ("nt", "win32", "Windows", "AMD64")),
}


@dataclass(frozen=True)
class Target:
    """What a set of wheels is for: a key of SYSTEMS, a Python such as 3.11."""

    system: str
    python: str

    def __str__(self) -> str:
        title, *_ = SYSTEMS[self.system]
        return f"{title}, Python {self.python}"


def course_requirements(project: Path, extra: str) -> list[Requirement]:
    """What a course's package needs to be installed and to run, with an extra;
    `project` is its pyproject.toml."""
    read = tomllib.loads(project.read_text(encoding="utf-8"))
    own, extras = read["project"], read["project"]["optional-dependencies"]
    waiting = [*read["build-system"]["requires"], *TOOLS,
               *own["dependencies"], f"{own['name']}[{extra}]"]
    found = []
    while waiting:
        need = Requirement(waiting.pop())
        if need.name == own["name"]:  # an extra may name others
            waiting += [line for name in need.extras for line in extras[name]]
        else:
            found.append(need)
    return found


def collect(
    wanted: list[Requirement], target: Target, pins: Path, folder: Path,
    torch_index: str | None = None,
) -> None:
    """Fetch wheels into a folder, and those that they need, one of each
    package, until none is missing.

    Args:
        pins: a constraints file with exact versions.
        torch_index: where torch for Linux is taken from.

    Raises:
        RuntimeError: pip finds no such wheel, or two requirements differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if torch_index and target.system.startswith("linux"):
        torch = [need for need in wanted if need.name == "torch"]
        _download(torch, target, pins, folder, f"--index-url={torch_index}")
    followed: set[tuple[str, str]] = set()  # packages and their extras
    while wanted:
        _download(wanted, target, pins, folder)
        there, following = by_name(folder), []
        for need in wanted:
            name = canonicalize_name(need.name)
            version = parse_wheel_filename(there[name].name)[1]
            if not need.specifier.contains(version, prereleases=True):
                raise RuntimeError(
                    f"{there[name].name} was fetched, but a package needs "
                    f"{need}. Write a version of {need.name} that suits both "
                    "into constraints.txt.")
            for extra in ("", *need.extras):
                if (name, extra) not in followed:
                    followed.add((name, extra))
                    following += _needs(there[name], extra, target)
        wanted = following


def by_name(folder: Path) -> dict[str, Path]:
    """The wheels of a folder by the names of their packages."""
    return {parse_wheel_filename(path.name)[0]: path
            for path in folder.glob("*.whl")}


def _download(
    needs: Iterable[Requirement], target: Target, pins: Path, folder: Path,
    *options: str,
) -> None:
    """Have pip fetch wheels that are not there yet, and nothing they need."""
    there = by_name(folder)
    lines = sorted({f"{name}{need.specifier}" for need in needs if (
        name := canonicalize_name(need.name)) not in there})
    if not lines:
        return
    names = sorted({Requirement(line).name for line in lines})
    print("  " + textwrap.shorten(
        f"{len(names)} packages: {', '.join(names)}", 75, placeholder=" ...",
        break_on_hyphens=False), flush=True)
    if any(name.startswith("nvidia-") for name in names):
        print("  With them come CUDA's libraries, several gigabytes. Without "
              "an NVIDIA GPU: make bundle TORCH=cpu", flush=True)
    _, tags, _ = SYSTEMS[target.system]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-input",
         "--disable-pip-version-check", "--no-deps", f"--dest={folder}",
         f"--constraint={pins}", "--only-binary=:all:",
         f"--python-version={target.python}.99",
         *(f"--platform={tag}" for tag in tags),
         *options, *lines],
        capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        first = next((line.removeprefix("ERROR:")
                      for line in done.stderr.splitlines()
                      if line.startswith("ERROR:")), done.stderr[-300:])
        raise RuntimeError(
            f"pip could not fetch a wheel for {target}. It says: "
            f"{' '.join(first.split())} Is the network there, and has the "
            "version of constraints.txt a wheel for this system?")


def _needs(path: Path, extra: str, target: Target) -> list[Requirement]:
    """What a wheel needs on a system, with one of its extras or without."""
    with zipfile.ZipFile(path) as wheel:
        [info] = [place for place in zipfile.Path(wheel).iterdir()
                  if place.name.endswith(".dist-info")]
        lines = metadata.PathDistribution(info).requires or []
    *_, markers = SYSTEMS[target.system]
    system = dict(zip(MARKERS, markers, strict=True))
    # The first release of this Python and one after the last, since nobody
    # knows which one a room has.
    environments = [
        system | {"extra": extra, "python_version": target.python,
                  "python_full_version": f"{target.python}.{release}"}
        for release in (0, 99)]
    return [
        need for need in map(Requirement, lines) if need.marker is None
        or any(map(need.marker.evaluate, environments))]
