"""What the course asks for (pyproject.toml has ranges, constraints.txt the
exact versions that were tested), and lines of a terminal that mend what is
not so."""

import os
import shlex
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labutils import settings

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]  # has the packages in it
WINDOWS = os.name == "nt"
# PyTorch's own index of builds for the CPU.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


# ---- what is asked for, and what is there


def installed(name: str) -> str | None:
    """The version of an installed package; None where there is none."""
    try:
        return metadata.version(name)  # None where its metadata is damaged
    except metadata.PackageNotFoundError:
        return None


def requirements() -> "dict[str, list[Requirement]]":
    """What an installation with each extra needs on this machine, a lesson's
    first; nothing where the course's folder is not at hand."""
    path = settings.home() / "pyproject.toml"
    if not path.is_file():
        return {}
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return {extra: _asked(project["dependencies"] + lines)
            for extra, lines in project["optional-dependencies"].items()}


def _asked(lines: list[str]) -> "list[Requirement]":
    """What lines ask for; labutils itself stands for another extra."""
    found = map(_packaging("requirements").Requirement, lines)
    return [one for one in found if one.name != "labutils"
            and (one.marker is None or one.marker.evaluate())]


def extra_of(package: str) -> str | None:
    """The extra that brings a package; None where none does."""
    return next((
        extra for extra, asked in requirements().items()
        if plain(package) in [plain(one.name) for one in asked]), None)


def constraints() -> "dict[str, Requirement]":
    """The tested version of each package, by its plain name."""
    path = settings.home() / "constraints.txt"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [line for line in text.splitlines() if line[:1] not in ("#", "")]
    return {plain(one.name): one for one in _asked(lines)}


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


# ---- lines of a shell: sh or PowerShell, in which rm works, too


def shown(path: Path | str) -> str:
    """A path, quoted where it has to be; short where one stands above it."""
    path = Path(path)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    if not WINDOWS:
        return shlex.quote(str(path))
    return f'"{path}"' if " " in str(path) else str(path)


def start(program: Path | str, *arguments: str) -> str:
    """PowerShell starts a program whose name is quoted only after &."""
    name = shown(program)
    name = f"& {name}" if name.startswith('"') else name
    return " ".join([name, *arguments])


def python(*arguments: str) -> str:
    """A line that runs this very interpreter."""
    return start(sys.executable, *arguments)


def then(*lines: str) -> str:
    """A line for lines, but empty ones, each of which needs the one before."""
    return ("; " if WINDOWS else " && ").join(filter(None, lines))


def unset(name: str) -> str:
    return f"rm Env:{name}" if WINDOWS else f"unset {name}"


def put(name: str, value: Path | str) -> str:
    """A line that sets an environment variable."""
    if WINDOWS:
        return f'$env:{name} = "{value}"'
    return f"export {name}={shlex.quote(str(value))}"


def longer() -> str:
    return python("-m labkit doctor --seconds 60")


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
    home, own = settings.home(), own_python()
    if is_elsewhere():
        return start(own, "-m labkit doctor")
    place = "." if home.resolve() == Path.cwd() else home
    # Quoted, since brackets mean something to a shell.
    course = [*_constraints(), "-e", f'"{place}[{extra}]"']
    # Where no harm is done to others.
    if sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ:
        index = [] if installed("torch") else _cpu_index()
        return python("-m pip install", *index, *course)
    return then(  # into an environment of the course's own
        python("-m venv", shown(own.parents[1])),
        start(own, "-m pip install", *_cpu_index(), *course))


def system(package: str) -> str:
    """A line that installs a package of Debian's; "" on other systems."""
    return f"sudo apt-get install {package}" if sys.platform == "linux" else ""


def reinstall(package: str) -> str:
    """A line that installs one package anew, as tested."""
    index = _cpu_index() if package == "torch" else []
    return python("-m pip install", "--force-reinstall", "--no-deps", *index,
                  *_constraints(), package)


def has_nvidia_gpu() -> bool:
    """Whether its driver is there, on Linux."""
    return Path("/proc/driver/nvidia/version").exists()


def _cpu_index() -> list[str]:
    """On Linux the usual torch brings gigabytes for an NVIDIA GPU."""
    if sys.platform != "linux" or has_nvidia_gpu():
        return []
    return ["--extra-index-url", CPU_INDEX]


def _constraints() -> list[str]:
    path = settings.home() / "constraints.txt"
    return ["-c", shown(path)] if path.is_file() else []
