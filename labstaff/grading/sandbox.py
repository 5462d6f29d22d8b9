"""Where a student's kernel runs: what it may see, and how much it may use."""

import contextlib
import errno
import os
import platform
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from labutils import settings

# Home, temporary files and the course's results, all of them in memory.
HOME = "/home/student"
SCRATCH = 256 * 2**20  # bytes of such files
LARGEST_FILE = 64 * 2**20  # bytes
# As root each sandbox gets a user of its own, who owns nothing.
FIRST_USER = 64_000
USERS = 1_000


@dataclass(frozen=True)
class Limits:
    """What one notebook may use."""

    cell: float = 60  # seconds
    notebook: float = 600  # seconds for all its cells
    memory: int = 3 * 2**30  # bytes that its processes hold together
    processes: int = 32  # at the same time
    output: int = 10 * 2**20  # bytes of all that its cells show


@cache
def fault() -> str:
    """Why there is no sandbox on this machine, and what to do; else empty."""
    if sys.platform != "linux":
        return ("There is no sandbox: bubblewrap is for Linux alone. Grade in "
                "the container of docs/grading.md.")
    if (program := shutil.which("bwrap")) is None:
        return ("There is no sandbox: bubblewrap is not installed. Install "
                "it: sudo apt-get install bubblewrap.")
    try:
        tried = subprocess.run(
            [program, "--ro-bind", "/", "/", *_namespaces(), "true"],
            capture_output=True, timeout=30, encoding="utf-8",
            errors="replace")
        if not tried.returncode:
            return ""
        said = tried.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    return (f"There is no sandbox: bubblewrap is installed ({program}) and "
            f"fails: {said}. Allow it to make namespaces; docs/grading.md "
            "says how in a container.")


def describe(confined: bool) -> str:
    """Where notebooks run, in words, for the report."""
    if confined:
        return "bubblewrap: no network, no files but the course's"
    # The container of docs/grading.Containerfile alone sets this.
    if os.environ.get("LABUTILS_CONTAINER", "").strip() == "grading":
        return "the container that the grader itself runs in"
    return "none"


# Calls that hold memory which belongs to no process, or begin a sandbox of
# one's own: shmget, semget, msgget, memfd_create, memfd_secret, unshare,
# setns, clone3 (libraries take clone then); last clone, for its flags. By
# machine, after the system's number for it.
REFUSED = {
    "x86_64": (0xC000003E, (29, 64, 68, 319, 447, 272, 308, 435), 56),
    "aarch64": (0xC00000B7, (194, 190, 186, 279, 447, 97, 268, 435), 220)}
NEW_USER = 0x10000000  # clone's flag


def system_calls() -> bytes:
    """A seccomp filter, for the machines that PyTorch is made for.

    Refused calls do not exist for the program (ENOSYS), nor does any call of
    another machine's, such as those of 32 bits.
    """
    machine, calls, clone = REFUSED[platform.machine()]
    load, equal, at_least, any_bit, end = 0x20, 0x15, 0x35, 0x45, 0x06
    number, kind, flags = 0, 4, 16  # places in what the kernel hands over
    refuse = end, 0, 0, 0x00050000 | errno.ENOSYS
    # Of each step how many to skip where it holds, and where it does not.
    steps = [(load, 0, 0, kind), (equal, 1, 0, machine), refuse,
             (load, 0, 0, number), (at_least, 0, 1, 0x40000000), refuse]
    for call in calls:
        steps += [(equal, 0, 1, call), refuse]
    steps += [(equal, 0, 3, clone), (load, 0, 0, flags),
              (any_bit, 0, 1, NEW_USER), refuse, (end, 0, 0, 0x7FFF0000)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def bound(**limits: int) -> None:
    """Limit what this process may use, by the system's names, where it can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        for name, most in limits.items():
            kind = getattr(resource, name)
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def command(text: Path | None) -> list[str]:
    """A command line that makes a sandbox, writes a line, and waits; the text
    is seen at the same place, and nothing outside can be written.

    Whether there can be one is not found out here: what students' code has
    done to the machine meanwhile must not decide where the next one's runs.
    """
    # First: a virtual environment or the course may lie below one of them.
    found = ["bwrap", *_namespaces(), "--clearenv", "--dev", "/dev"]
    for place in (HOME, "/tmp", "/dev/shm"):
        found += ["--perms", "1777", "--size", str(SCRATCH), "--tmpfs", place]
    found += ["--remount-ro", "/dev"]
    # What Python and the course are made of; parents before children.
    home = settings.home()
    readable = sorted({path for path in map(Path, (  # type: ignore[arg-type]
        "/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32",
        "/etc/ld.so.cache", "/etc/fonts", sys.base_prefix, sys.prefix,
        home / "labutils", home / "labkit", home / "pyproject.toml",
        *([text] if text else []))) if path.exists()}, key=str)
    # Made without --dir, parents could be read by root alone.
    for folder in sorted({str(f) for path in readable for f in path.parents}):
        found += ["--perms", "0755", "--dir", folder]
    for path in readable:
        found += ["--ro-bind", str(path), str(path)]
    # Of whoever grades, the root could be filled.
    return [*found, "--proc", "/proc", "--chdir", HOME, "--remount-ro", "/",
            "--", "sh", "-c", "echo; exec sleep infinity"]


def limits(limit: Limits, confined: bool) -> dict[str, int]:
    """A notebook's limits, as the system knows them."""
    # Address space is more than memory: libraries map far more than they
    # touch. What is really held is watched from outside.
    space = limit.memory + 4 * 2**30
    return {
        "RLIMIT_AS": space, "RLIMIT_DATA": space,
        # Threads count as well, and without namespaces all the user's.
        "RLIMIT_NPROC": 4 * limit.processes if confined else 4096,
        "RLIMIT_FSIZE": LARGEST_FILE, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 1024,
    }


def user(slot: int) -> int:
    """Number of the user that a sandbox runs as; 0 for the grader's own."""
    return 0 if os.geteuid() else FIRST_USER + slot % USERS


@cache
def _namespaces() -> list[str]:
    """Which of the machine's things the sandbox has of its own."""
    own = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
           "--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    # Root needs no user namespace; it drops to another user instead.
    if os.geteuid() == 0:
        return own
    known = subprocess.run(
        ["bwrap", "--help"], capture_output=True, timeout=30)
    if b"--disable-userns" in known.stdout + known.stderr:  # from 0.8 on
        own.append("--disable-userns")
    return ["--unshare-user", *own]


def environment(text: Path | None, home: str = HOME) -> dict[str, str]:
    """Variables of the kernel: none of the grader's own."""
    kept = ("LANG", "LC_ALL", "LABUTILS_EPOCHS", "LABUTILS_SEED")
    return {
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        # The very package that the grader runs, whatever else is installed.
        "PYTHONPATH": str(settings.home()),
        "HOME": home, "TMPDIR": "/tmp",
        "LABUTILS_DEVICE": "cpu",
        # Verdicts are translated where they are shown.
        "LABUTILS_LANG": "en",
        # Several kernels at once on as many cores: more threads only wait.
        "OMP_NUM_THREADS": "1",
        # Read when matplotlib is imported, before there is a kernel.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "LABUTILS_RESULTS_DIR": f"{home}/results",
        "LABUTILS_DATA_DIR": f"{home}/data",
        "LABUTILS_TEXT": str(text) if text else settings.PRACTICE,
        "PYTHONDONTWRITEBYTECODE": "1",
        **{name: os.environ[name] for name in kept if name in os.environ},
    }
