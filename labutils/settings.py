"""Run settings: the LABUTILS_* environment variables, read in this one place.

Each function reads the environment when it is called. Importing this needs the
standard library alone, for the doctor: only devices and seeds need torch.
"""

import math
import operator
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labutils.files import translated as _

if TYPE_CHECKING:
    import torch

PRACTICE = "practice"
OWN = Path("/proc/self/cgroup")
# Of epochs, seconds and seeds; torch refuses seeds of more than 64 bits.
LARGEST = 2**32 - 1


class SettingsError(ValueError):
    """A variable cannot be used: its name, its value, and what it takes."""

    def __str__(self) -> str:
        name, value, takes = self.args
        fault = _(f"{name}={value!r} cannot be used: it takes {takes}.")
        return f"{fault} " + _(f"Change it or unset {name}.")


def _read(name: str) -> str | None:
    """The variable's value; unset and blank mean the same."""
    return os.environ.get(name, "").strip() or None


def _number(name: str, smallest: int) -> int | None:
    value = _read(name)
    if value is None:
        return None
    # The length first: int() refuses thousands of digits in its own words.
    digits = value.isascii() and value.isdecimal() and len(value) < 20
    if not digits or not smallest <= int(value) <= LARGEST:
        raise SettingsError(
            name, value, f"a whole number from {smallest} to {LARGEST}")
    return int(value)


def _path(name: str, value: str) -> Path:
    """A relative path starts at `home()`: the current folder differs between
    a shell, a notebook and a test run."""
    try:
        return Path(os.path.normpath(home() / Path(value).expanduser()))
    except RuntimeError as error:
        takes = "a path, and this user is unknown"
        raise SettingsError(name, value, takes) from error


def _folder(name: str, default: str) -> Path:
    value = _read(name)
    path = _path(name, value or default)
    # os.access: a Path in a locked folder raises instead of answering.
    if value and os.access(path, os.F_OK) and not path.is_dir():
        raise SettingsError(name, value, "a folder, and this is a file")
    return path


def home() -> Path:
    """The folder that holds data/ and results/.

    In a checkout (or a released course folder) that is the folder with
    notebooks/ in it; for an installed package it is ~/labutils.
    """
    root = Path(__file__).resolve().parents[1]
    return root if (root / "notebooks").is_dir() else Path.home() / "labutils"


def data_dir() -> Path:
    """Folder of the cached text (LABUTILS_DATA_DIR)."""
    return _folder("LABUTILS_DATA_DIR", "data")


def results_dir() -> Path:
    """Folder of the saved results (LABUTILS_RESULTS_DIR)."""
    return _folder("LABUTILS_RESULTS_DIR", "results")


def text() -> Path | str | None:
    """The path that LABUTILS_TEXT names, the word "practice", or None."""
    value = _read("LABUTILS_TEXT")
    if value is None or value == PRACTICE:
        return value
    return _path("LABUTILS_TEXT", value)


def epochs_cap() -> int | None:
    """Largest number of epochs a training may run (LABUTILS_EPOCHS)."""
    return _number("LABUTILS_EPOCHS", 1)


def seconds_cap() -> int | None:
    """Most seconds that a training may take (LABUTILS_SECONDS)."""
    return _number("LABUTILS_SECONDS", 1)


def seed() -> int:
    """Seed of every random number (LABUTILS_SEED, 0 when unset)."""
    return _number("LABUTILS_SEED", 0) or 0


def device() -> "torch.device":
    """Device to train on (LABUTILS_DEVICE, or else CUDA, or else the CPU).

    MPS, a Mac's GPU, must be asked for: for recurrent layers it is slower
    than the CPU beside it.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    usable = ["cuda"] * bool(count) + [f"cuda:{i}" for i in range(count)]
    usable += ["cpu"] + ["mps"] * torch.backends.mps.is_available()
    value = _read("LABUTILS_DEVICE") or usable[0]
    if value not in usable:
        raise SettingsError(
            "LABUTILS_DEVICE", value,
            f"one of this machine's devices ({', '.join(usable)})")
    return torch.device(value)


def processors() -> int:
    """Processors that this process may keep busy, whatever the host has."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:  # macOS and Windows
        allowed = os.cpu_count() or 1
    return max(1, int(min(allowed, _quota())))


def _quota(root: Path = Path("/sys/fs/cgroup"), own: Path = OWN) -> float:
    """Processors that this process's control groups leave it, or infinity.

    The strictest of its group and those above, of version 1 or 2; within a
    container they may stand under other names than the host's.
    """
    quota = math.inf
    for group in own.read_text().splitlines() if own.exists() else ():
        _, controllers, name = group.split(":", 2)
        files = (["cpu.cfs_quota_us", "cpu.cfs_period_us"] if controllers
                 else ["cpu.max"])  # of version 1, of version 2
        place = root / controllers / name.lstrip("/")
        for folder in (place, *place.parents):
            with suppress(OSError, ValueError):
                texts = [(folder / file).read_text() for file in files]
                allowed, period = map(float, " ".join(texts).split())
                if allowed > 0:  # "max" and -1: there is no quota
                    quota = min(quota, allowed / period)
    return quota


def check() -> None:
    """Read every variable: a bad one is an error before a long run."""
    for read in (data_dir, results_dir, text, epochs_cap, seconds_cap, seed,
                 device):
        read()


def set_seed() -> int:
    """Seed torch's global generator from the settings and return the seed."""
    import torch

    return torch.manual_seed(seed()).initial_seed()


def whole_number(
    name: str, value: Any, least: int = 1, otherwise: str = ""
) -> int:
    """An argument that counts something, NumPy's and tensors' included; a
    ValueError, which ends with `otherwise`, if it is none or below `least`."""
    with suppress(TypeError):
        if (number := operator.index(value)) >= least:
            return number
    raise ValueError(_(
        f"{name} is {value!r}: expected a whole number, {least} or more"
        f"{otherwise}."))


def above_zero(name: str, value: Any, otherwise: str = "") -> float:
    """An argument that measures something; ValueError unless above 0."""
    with suppress(TypeError, ValueError):
        if (number := float(value)) > 0:
            return number
    raise ValueError(_(
        f"{name} is {value!r}: expected a number above 0{otherwise}."))
