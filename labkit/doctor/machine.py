"""What does this machine have, and how long will the trainings take?"""

from __future__ import annotations

import os
from pathlib import Path

from labkit.doctor import mends
from labkit.doctor.findings import BAD, NOTE, OK, WARN, Finding
from labkit.doctor.probe import Probe
from labkit.doctor.versions import installed

# A notebook's kernel takes some 700 MB, JupyterLab and a page as much again.
SCARCE, TOO_LITTLE = 1.5, 0.5  # GB
LONG = 45 * 60  # seconds, of all the trainings


def device(torch: Probe) -> list[Finding]:
    """The line about the device and the threads."""
    facts = torch.facts
    if "device" not in facts:
        return [_no_torch(torch.trouble)]
    if "bad_device" in facts:
        return [Finding(
            "device", BAD, facts["bad_device"].partition(" Change it or")[0],
            mends.unset("LABUTILS_DEVICE"),
        )]
    words = facts["device"]
    if facts["device_name"]:
        words += f" ({facts['device_name']})"
    threads, cores = facts["threads"], _cores()
    words += f", {threads} thread{'s' * (threads > 1)}"
    words += f" on {cores} core{'s' * (cores > 1)}"
    if os.environ.get("OMP_NUM_THREADS"):
        words += f", as OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']} asks"
    if mends.has_nvidia_gpu() and not facts["gpu"]:
        build = facts["cuda"]
        words += "; there is an NVIDIA GPU, " + (
            f"but its driver does not fit PyTorch's CUDA {build}" if build
            else "and this PyTorch is built for the CPU alone"
        )
        return [Finding("device", NOTE, words)]
    if threads > cores:
        return [Finding(
            "device", WARN, f"{words}: they wait for each other",
            mends.unset("OMP_NUM_THREADS"),
        )]
    return [Finding("device", OK, words)]


def _no_torch(trouble: str) -> Finding:
    """The line where PyTorch did not get as far as its devices."""
    if "too long" in trouble:
        return Finding(
            "device", WARN, "PyTorch was not ready in time", mends.longer()
        )
    mend = mends.reinstall("torch") if installed("torch") else mends.install()
    return Finding("device", BAD, f"PyTorch does not work: {trouble}", mend)


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def trainings(torch: Probe) -> list[Finding]:
    """The lines about a training step and about each notebook's trainings."""
    facts = torch.facts
    if "steps" not in facts:
        if "device" not in facts:
            return []
        return [Finding(
            "training", WARN, "no step was timed: the machine is too busy, or "
            f"slow ({torch.trouble or 'no time was left'})",
            mends.longer(),
        )]
    steps = ", ".join(
        f"{name.replace('_sequential', '')} {ms:.0f}"
        for name, ms in facts["steps"].items()
    )
    return [
        Finding("a step", OK, f"{steps} milliseconds"),
        _trainings(facts["estimates"], facts["ratio"]),
    ]


def _trainings(estimates: dict[str, float], ratio: float) -> Finding:
    total = sum(estimates.values())
    each = ", ".join(
        f"notebook {name}: {_minutes(seconds)}"
        for name, seconds in estimates.items()
    )
    words = (
        f"{each}; {_minutes(total)} in all, {ratio:.1f} times the time of "
        f"the recorded runs{_capped()}{_busy()}"
    )
    if total < LONG or _busy():
        return Finding("trainings", OK, f"about {words}")
    return Finding(
        "trainings", WARN, f"about {words}: long; with the line below they "
        "stop earlier, and say so", mends.put("LABUTILS_EPOCHS", "100"),
    )


def _capped() -> str:
    cap = os.environ.get("LABUTILS_EPOCHS", "").strip()
    return f", with LABUTILS_EPOCHS={cap}" if cap else ""


def _busy() -> str:
    """Words for a machine that is at work, whose figures are too long."""
    try:
        load = os.getloadavg()[0]
    except (OSError, AttributeError):  # Windows
        return ""
    if load < _cores() + 1:
        return ""
    return f" (other programs are running, load {load:.1f})"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def memory(fonts: Probe) -> list[Finding]:
    """The line about free memory."""
    free = available()
    if free is None:
        free = fonts.facts.get("memory")
    if free is None:
        return [Finding("memory", NOTE, "this system does not say")]
    words = f"{free / 10**9:.1f} GB free"
    close = (
        "close other programs and notebooks that you do not use (in "
        "JupyterLab: Kernel, Shut Down All Kernels)"
    )
    if free < TOO_LITTLE * 10**9:
        return [Finding("memory", BAD, f"{words}: too little for a notebook; "
                        f"{close}")]
    if free < SCARCE * 10**9:
        return [Finding("memory", WARN, f"{words}: little; {close}")]
    return [Finding("memory", OK, words)]


def available() -> int | None:
    """Bytes that a new program can have, where Linux says; in a container
    not more than its limit leaves."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        values = dict(line.split(":") for line in lines)
        free = 1024 * int(values["MemAvailable"].split()[0])
    except (OSError, ValueError, LookupError):
        return None
    group = Path("/sys/fs/cgroup")
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit = int((group / most).read_text())
            left = limit - int((group / used).read_text())
        except (OSError, ValueError):  # no limit is the word "max"
            continue
        free = min(free, max(left, 0))
    return free
