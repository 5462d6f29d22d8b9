"""What the course asks for, and the lines that mend what is not so.

The lines are as one types them in a terminal. What is asked for stands in two
lists: pyproject.toml has ranges (those of the installed package stand in where
the course's folder is not at hand), constraints.txt the exact versions that
were tested.
"""

import contextlib
import os
import shlex
import shutil
import sys
import tomllib
from importlib import import_module, metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labutils import settings

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]  # has the packages in it
WINDOWS = os.name == "nt"
# PyTorch's own index of builds for the CPU.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED = ("", "lab")  # the package itself and what shows its notebooks


# ---- what is asked for, and what is there


def installed(name: str) -> str | None:
    """The version of an installed package; None where there is none."""
    try:
        # None as well where its metadata is damaged.
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def fits(version: str, asked: "Requirement") -> bool:
    """Whether a version is one that is asked for; +cpu and the like are."""
    return asked.specifier.contains(version, prereleases=True)


def requirements() -> "dict[str, list[Requirement]]":
    """What each extra asks for on this machine, and "" for everyone.

    Where the course's folder is not at hand, all that a lesson needs stands
    under ""; where labutils is not installed either, there is nothing.
    """
    path = settings.home() / "pyproject.toml"
    if path.is_file():
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        lists = {
            "": project["dependencies"], **project["optional-dependencies"]
        }
        return {extra: _asked(lines) for extra, lines in lists.items()}
    try:
        return {"": _asked(metadata.requires("labutils") or [], "lab")}
    except metadata.PackageNotFoundError:
        return {}


def _asked(lines: list[str], extra: str = "") -> "list[Requirement]":
    """What lines ask for; labutils itself stands for another extra."""
    found = map(_packaging("requirements").Requirement, lines)
    return [
        one for one in found if one.name != "labutils"
        and (one.marker is None or one.marker.evaluate({"extra": extra}))
    ]


def extra_of(package: str) -> str | None:
    """The extra that brings a package; None where none does."""
    for extra, asked in requirements().items():
        if plain(package) in [plain(one.name) for one in asked]:
            return extra or "lab"
    return None


def constraints() -> "dict[str, Requirement]":
    """The tested version of each package, by its plain name."""
    path = settings.home() / "constraints.txt"
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    asked = _asked([line for line in lines if line[:1] not in ("#", "")])
    return {plain(one.name): one for one in asked}


def plain(name: str) -> str:
    """A package's name in the one spelling that can be compared."""
    return _packaging("utils").canonicalize_name(name)


def _packaging(module: str) -> Any:
    """A module of packaging; where an installation is broken, of the copy
    that pip has."""
    try:
        return import_module(f"packaging.{module}")
    except ImportError:
        return import_module(f"pip._vendor.packaging.{module}")


# ---- lines of a shell


def shown(path: Path | str) -> str:
    """A path, quoted where it has to be; short where one stands above it."""
    path = Path(path)
    if path.is_absolute() and path.anchor == Path.cwd().anchor:
        with contextlib.suppress(ValueError):
            path = path.relative_to(Path.cwd())
    if not WINDOWS:
        return shlex.quote(str(path))
    return f'"{path}"' if " " in str(path) else str(path)


def python(*arguments: str) -> str:
    """A line that runs this very interpreter."""
    return " ".join([_start(sys.executable), *arguments])


def _start(program: Path | str) -> str:
    """PowerShell starts a program whose name is quoted only after &."""
    name = shown(program)
    return f"& {name}" if name.startswith('"') else name


def unset(*names: str) -> str:
    """A line that unsets environment variables."""
    if WINDOWS:
        return "; ".join(f"Remove-Item Env:{name}" for name in names)
    return " ".join(["unset", *names])


def put(name: str, value: Path | str) -> str:
    """A line that sets an environment variable."""
    if WINDOWS:
        return f'$env:{name} = "{value}"'
    return f"export {name}={shlex.quote(str(value))}"


def remove(path: Path | str) -> str:
    """A line that removes a folder."""
    command = "Remove-Item -Recurse" if WINDOWS else "rm -r"
    return f"{command} {shown(path)}"


def rename(path: Path, name: str) -> str:
    """A line that gives a file another name."""
    command = "Rename-Item" if WINDOWS else "mv"
    target = name if WINDOWS else shown(path.with_name(name))
    return f"{command} {shown(path)} {target}"


def longer() -> str:
    """A line that gives the doctor more time."""
    return python("-m", "labkit", "doctor", "--seconds", "60")


# ---- lines that install


def own_python() -> Path:
    """The interpreter of the course's own environment, there or not."""
    place = "Scripts/python.exe" if WINDOWS else "bin/python"
    return settings.home() / ".venv" / place


def is_elsewhere() -> bool:
    """Whether the course has an environment of its own, which is not this."""
    own, this = own_python(), Path(sys.prefix).resolve()
    return own.exists() and own.parents[1].resolve() != this


def install(extra: str = "lab") -> str:
    """A line after which all the packages are there, as tested."""
    if is_elsewhere():
        return f"{_start(own_python())} -m labkit doctor"
    if not (settings.home() / "pyproject.toml").is_file():
        # Not labutils by its name: another package may have it in a registry.
        asked = requirements()
        return pip(*[
            f'"{str(one).partition(";")[0].strip()}"'
            for needed in NEEDED for one in asked.get(needed, [])
        ] or ["-e", f'"THE_COURSE_FOLDER[{extra}]"'])
    if not in_environment():
        return make()
    index = [] if installed("torch") else _cpu_index()
    return pip(*index, *_course(extra))


def reinstall(package: str) -> str:
    """A line that installs one package anew, as tested."""
    index = _cpu_index() if package == "torch" else []
    return pip(
        "--force-reinstall", "--no-deps", *index, *_constraints(), package
    )


def pip(*arguments: str) -> str:
    """A line that installs into this environment."""
    line = python("-m", "pip", "install", *arguments)
    # Not importlib.util.find_spec: setuptools acts on a question for pip.
    if PathFinder.find_spec("pip"):
        return line
    return _then(python("-m", "ensurepip"), line)


def make() -> str:
    """A line that makes an environment of the course's own."""
    home, own, index = settings.home(), own_python(), _cpu_index()
    if WINDOWS or not shutil.which("make"):
        start = "py" if WINDOWS else "python3"
        return _then(
            f"{start} -m venv {shown(own.parents[1])}",
            " ".join([_start(own), "-m pip install", *index, *_course("lab")]),
        )
    place = [] if home.resolve() == Path.cwd() else ["-C", shown(home)]
    return " ".join(["make", *place, "lab", *["TORCH=cpu"] * bool(index)])


def in_environment() -> bool:
    """Whether packages may be installed here without harm to others."""
    return sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ


def has_nvidia_gpu() -> bool:
    """Whether its driver is there, on Linux."""
    return Path("/proc/driver/nvidia/version").exists()


def _then(*lines: str) -> str:
    return ("; " if WINDOWS else " && ").join(lines)


def _cpu_index() -> list[str]:
    """On Linux the usual torch brings gigabytes for an NVIDIA GPU."""
    if sys.platform != "linux" or has_nvidia_gpu():
        return []
    return ["--extra-index-url", CPU_INDEX]


def _constraints() -> list[str]:
    path = settings.home() / "constraints.txt"
    return ["-c", shown(path)] if path.is_file() else []


def _course(extra: str) -> list[str]:
    """Quoted, since brackets mean something to a shell."""
    home = settings.home()
    place = "." if home.resolve() == Path.cwd() else home
    return [*_constraints(), "-e", f'"{place}[{extra}]"']
