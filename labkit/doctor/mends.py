"""The lines that mend something, as one types them in a terminal."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sys
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from labkit.doctor.versions import installed
from labutils import settings

WINDOWS = os.name == "nt"
# PyTorch's own index of builds for the CPU.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


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


def data(*arguments: str) -> str:
    """A line that gets the text."""
    return python("-m", "labkit", "data", *arguments)


def longer() -> str:
    """A line that gives the doctor more time."""
    return python("-m", "labkit", "doctor", "--seconds", "60")


def own_environment() -> Path | None:
    """The interpreter of the course's own .venv, where there is one."""
    place = "Scripts/python.exe" if WINDOWS else "bin/python"
    found = settings.home() / ".venv" / place
    return found if found.exists() else None


def install(extra: str = "lab") -> str:
    """A line after which all the packages are there, as tested."""
    own, home = own_environment(), settings.home()
    if own and Path(sys.prefix).resolve() != own.parents[1].resolve():
        return f"{_start(own)} -m labkit doctor"
    if not (home / "pyproject.toml").is_file():
        return pip(*_without_course())
    if not in_environment():
        return make()
    index = [] if installed("torch") else _cpu_index()
    return pip(*index, *_constraints(), "-e", f'"{_bare(home)}[{extra}]"')


def _without_course() -> list[str]:
    """What an installed labutils asks for, where its folder is not at hand.

    Not labutils by its name: another package may have it in a registry.
    """
    try:
        lines = metadata.requires("labutils") or []
    except metadata.PackageNotFoundError:
        return ["-e", '"THE_COURSE_FOLDER[lab]"']
    asked = [line.split(";") for line in lines]
    return [
        f'"{words[0].strip()}"' for words in asked
        if not words[0].startswith("labutils")
        and (len(words) == 1 or "lab" in re.split("[^a-z]+", words[1]))
    ]


def reinstall(package: str) -> str:
    """A line that installs one package anew, as tested."""
    index = _cpu_index() if package == "torch" else []
    return pip(
        "--force-reinstall", "--no-deps", *index, *_constraints(), package
    )


def pip(*arguments: str) -> str:
    """A line that installs into this environment."""
    # Not importlib.util.find_spec: setuptools acts on a question for pip.
    if PathFinder.find_spec("pip"):
        return python("-m", "pip", "install", *arguments)
    if shutil.which("uv"):
        where = shown(sys.executable)
        return " ".join(["uv pip install --python", where, *arguments])
    follows = ";" if WINDOWS else "&&"
    return (
        f"{python('-m', 'ensurepip')} {follows} "
        f"{python('-m', 'pip', 'install', *arguments)}"
    )


def make(interpreter: str = "") -> str:
    """A line that makes an environment of the course's own."""
    home = settings.home()
    if WINDOWS or not shutil.which("make"):
        start = interpreter or ("py" if WINDOWS else "python3")
        own = home / ".venv" / ("Scripts" if WINDOWS else "bin") / "python"
        return (
            f"{start} -m venv {shown(home / '.venv')}"
            f"{'; ' if WINDOWS else ' && '}{_start(own)} -m pip install "
            # Quoted, since brackets mean something to a shell.
            + " ".join([
                *_cpu_index(), *_constraints(), "-e", f'"{_bare(home)}[lab]"'
            ])
        )
    words = ["make", "lab"]
    if home.resolve() != Path.cwd():
        words[1:1] = ["-C", shown(home)]
    if interpreter:
        words.append(f"PYTHON={interpreter}")
    if _cpu_index():
        words.append("TORCH=cpu")
    return " ".join(words)


def in_environment() -> bool:
    """Whether packages may be installed here without harm to others."""
    return sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ


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


def _bare(home: Path) -> str:
    return "." if home.resolve() == Path.cwd() else str(home)
