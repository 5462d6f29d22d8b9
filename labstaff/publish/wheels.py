"""Collect the wheels that a course needs, for any system, with pip.

`pip download` decides by the system it runs on which requirements count
("only on Windows"), whatever --platform says. So what a wheel needs is read
here, for the system that the wheels are for, and pip only fetches it.
"""

import email
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Iterable
from email.message import Message
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from labstaff.publish.systems import RELEASES, Target

# What else an installation with no network needs: pip itself, because a
# Linux without its python3-venv package has none, and what hatchling asks for
# when a package is installed where it stands.
TOOLS = ("pip>=25", "editables>=0.5")

# Size of an environment with the compiled files, without them being 1.
COMPILED = 1.3


class WheelError(RuntimeError):
    """The wheels cannot be collected; the message says why."""


def course_requirements(project: Path, extra: str) -> list[Requirement]:
    """What a course's package needs to be installed and to run.

    Args:
        project: its pyproject.toml.
        extra: whose requirements are added.
    """
    read = tomllib.loads(project.read_text(encoding="utf-8"))
    extras = read["project"]["optional-dependencies"]
    build = read["build-system"]["requires"]
    wanted = [*build, *TOOLS, *read["project"]["dependencies"]]
    own, waiting = canonicalize_name(read["project"]["name"]), [extra]
    while waiting:
        for line in extras[waiting.pop()]:
            # An extra may name others: labutils[lab].
            if (need := Requirement(line)).name == own:
                waiting += need.extras
            else:
                wanted.append(line)
    return [Requirement(line) for line in wanted]


def collect(
    wanted: list[Requirement], target: Target, pins: Path, folder: Path,
    torch_index: str | None = None,
) -> None:
    """Fetch wheels, and those that they need, until none is missing.

    Args:
        wanted: what to begin with.
        target: what the wheels are for.
        pins: a constraints file with exact versions.
        folder: where they go, one of each package.
        torch_index: where torch for Linux is taken from.

    Raises:
        WheelError: pip finds no such wheel, or two requirements differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if torch_index and target.system.startswith("linux"):
        torch = [need for need in wanted if need.name == "torch"]
        _download(torch, target, pins, folder,
                  f"--index-url={torch_index}")
    followed: set[tuple[str, str]] = set()
    while wanted:
        found = by_name(folder)
        _download(
            [need for need in wanted if _name(need) not in found],
            target, pins, folder,
        )
        found = by_name(folder)
        following = []
        for need in wanted:
            wheel = found[_name(need)]
            _check_version(need, wheel)
            extras = {"", *need.extras}
            new = {e for e in extras if (_name(need), e) not in followed}
            following += _needs(wheel, new, target)
            followed |= {(_name(need), extra) for extra in new}
        wanted = following


def by_name(folder: Path) -> dict[str, Path]:
    """The wheels of a folder by the names of their packages."""
    return {
        parse_wheel_filename(path.name)[0]: path
        for path in folder.glob("*.whl")
    }


def unpacked(folder: Path) -> int:
    """Bytes that the wheels of a folder take when they are installed, about.

    Python's compiled files come on top of what the wheels hold.
    """
    size = 0
    for path in folder.glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            size += sum(info.file_size for info in wheel.infolist())
    return round(size * COMPILED)


def first_release(folder: Path, python: str) -> int:
    """The smallest N for which all wheels of a folder take python.N.

    A package may ask for more than 3.11: for 3.11.5, say.
    """
    asked = [
        SpecifierSet(_metadata(path).get("Requires-Python", ""))
        for path in folder.glob("*.whl")
    ]
    for release in RELEASES:
        if all(python_range.contains(f"{python}.{release}")
               for python_range in asked):
            return release
    raise WheelError(f"The wheels do not fit together on Python {python}.")


def _name(need: Requirement) -> str:
    return canonicalize_name(need.name)


def _download(
    needs: Iterable[Requirement], target: Target, pins: Path, folder: Path,
    *options: str,
) -> None:
    """Have pip fetch these wheels and nothing that they need."""
    lines: dict[str, Requirement] = {}
    for need in needs:
        known = lines.setdefault(_name(need), need)
        known.specifier &= need.specifier
    if not lines:
        return
    names = sorted(lines)
    line = f"{len(names)} packages: {', '.join(names)}"
    short = textwrap.shorten(
        line, 75, placeholder=" ...", break_on_hyphens=False)
    print(f"  {short}", flush=True)
    if any(name.startswith("nvidia-") for name in names):
        print("  With them come CUDA's libraries, several gigabytes. Without "
              "an NVIDIA GPU: make bundle TORCH=cpu", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-input",
         "--disable-pip-version-check", "--no-deps", f"--dest={folder}",
         f"--constraint={pins}", *target.pip_options(), *options,
         *(f"{name}{lines[name].specifier}" for name in names)],
        capture_output=True, encoding="utf-8", errors="replace",
    )
    if done.returncode:
        raise WheelError(_reason(done.stderr, target))


def _reason(said: str, target: Target) -> str:
    """pip's error, in one line, and what to do."""
    errors = [x for x in said.splitlines() if x.startswith("ERROR:")]
    first = errors[0].removeprefix("ERROR:") if errors else said[-300:]
    return (
        f"pip could not fetch a wheel for {target}. It says: "
        f"{' '.join(first.split())} Is the network there, and has the version "
        "of constraints.txt a wheel for this system?"
    )


def _check_version(need: Requirement, wheel: Path) -> None:
    version = parse_wheel_filename(wheel.name)[1]
    if not need.specifier.contains(version, prereleases=True):
        raise WheelError(
            f"{wheel.name} was fetched, but a package needs {need}. Write a "
            f"version of {need.name} that suits both into constraints.txt."
        )


def _needs(
    path: Path, extras: Iterable[str], target: Target
) -> list[Requirement]:
    """What a wheel needs on a system.

    Args:
        path: the wheel.
        extras: those that count; the empty name stands for none.
        target: the system.
    """
    needs = map(Requirement, _metadata(path).get_all("Requires-Dist", []))
    environments = [
        environment | {"extra": extra}
        for environment in target.environments() for extra in extras
    ]
    return [
        need for need in needs
        if environments and (need.marker is None or any(
            need.marker.evaluate(values)  # type: ignore[arg-type]
            for values in environments
        ))
    ]


def _metadata(path: Path) -> Message:
    with zipfile.ZipFile(path) as wheel:
        [name] = [
            name for name in wheel.namelist()
            if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
        ]
        return email.message_from_bytes(wheel.read(name))
