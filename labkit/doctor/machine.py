"""What does this machine have, and how long will the trainings take?"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from labkit.doctor import BAD, NOTE, OK, WARN, Answer, Finding, mends
from labkit.doctor.python import full_course
from labkit.report.browser import BrowserError, find
from labutils import settings

# A notebook's kernel takes some 700 MB, JupyterLab and a page as much again.
SCARCE, TOO_LITTLE = 1.5, 0.5  # GB
LONG = 45 * 60  # seconds, of all the trainings


# ---- for trainings


def device(libraries: Answer) -> Iterator[Finding]:
    """The line about the device and the threads."""
    facts, trouble = libraries.facts, libraries.trouble
    if "device" not in facts:
        if "too long" in trouble:
            words = "PyTorch was not ready in time"
            yield Finding("device", WARN, words, mends.longer())
            return
        there = mends.installed("torch")
        mend = mends.reinstall("torch") if there else mends.install()
        words = f"PyTorch does not work: {trouble}"
        yield Finding("device", BAD, words, mend)
        return
    if "bad_device" in facts:
        words = facts["bad_device"].partition(" Change it or")[0]
        yield Finding("device", BAD, words, mends.unset("LABUTILS_DEVICE"))
        return
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
        yield Finding("device", NOTE, words)
    elif threads > cores:
        words += ": they wait for each other"
        yield Finding("device", WARN, words, mends.unset("OMP_NUM_THREADS"))
    else:
        yield Finding("device", OK, words)


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def trainings(libraries: Answer) -> Iterator[Finding]:
    """The lines about a training step and about each notebook's trainings."""
    facts = libraries.facts
    if "device" not in facts:
        return
    if "steps" not in facts:
        reason = libraries.trouble or "no time was left"
        yield Finding(
            "training", WARN, "no step was timed: the machine is too busy, or "
            f"slow ({reason})", mends.longer(),
        )
        return
    steps = ", ".join(f"{n} {ms:.0f}" for n, ms in facts["steps"].items())
    yield Finding("a step", OK, f"{steps} milliseconds")
    total = sum(facts["estimates"].values())
    each = ", ".join(
        f"notebook {notebook}: {_minutes(seconds)}"
        for notebook, seconds in facts["estimates"].items()
    )
    words = (
        f"about {each}; {_minutes(total)} in all, {facts['ratio']:.1f} times "
        "the time of the recorded runs"
    )
    if cap := os.environ.get("LABUTILS_EPOCHS", "").strip():
        words += f", with LABUTILS_EPOCHS={cap}"
    busy = _busy()
    if total < LONG or busy:
        yield Finding("trainings", OK, words + busy)
    else:
        yield Finding(
            "trainings", WARN, f"{words}: long; with the line below they "
            "stop earlier, and say so", mends.put("LABUTILS_EPOCHS", "100"),
        )


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


def memory(libraries: Answer) -> Iterator[Finding]:
    """The line about free memory."""
    if "memory" not in libraries.facts:
        reason = libraries.facts.get("no_memory") or libraries.trouble
        yield Finding("memory", NOTE, f"could not be asked ({reason})")
        return
    free = libraries.facts["memory"] / 10**9
    state = BAD if free < TOO_LITTLE else WARN if free < SCARCE else OK
    words = f"{free:.1f} GB free"
    if state != OK:
        words += (
            f": {'too little for a notebook' if state == BAD else 'little'}; "
            "close other programs and notebooks that you do not use (in "
            "JupyterLab: Kernel, Shut Down All Kernels)"
        )
    yield Finding("memory", state, words)


# ---- for reports, tests and grading


def fonts(answer: Answer) -> Iterator[Finding]:
    """The line about Chinese letters in pictures."""
    families = answer.facts.get("chinese")
    if "No module named 'matplotlib" in answer.trouble:
        return  # said among the packages
    if families is None:
        yield Finding(
            "fonts", NOTE, f"matplotlib did not say ({answer.trouble}); its "
            "first list of fonts takes long, the second time it is there",
        )
    elif families:
        more = f" and {len(families) - 2} more" if len(families) > 2 else ""
        words = f"with Chinese letters: {', '.join(families[:2])}{more}"
        yield Finding("fonts", OK, words)
    else:
        # Whoever works in Chinese will miss them.
        chinese = os.environ.get("LANG", "").startswith("zh")
        yield Finding(
            "fonts", WARN if chinese else NOTE, "none with Chinese letters: "
            "in pictures they are empty boxes",
            _install_fonts(answer.facts["font_cache"]),
        )


def _install_fonts(cache: str) -> str:
    """Matplotlib looks for new fonts only when its list is gone."""
    lists = f"{mends.shown(cache)}/fontlist-*.json"
    if sys.platform == "linux":
        return f"sudo apt-get install fonts-noto-cjk && rm -f {lists}"
    # Windows and macOS come with such fonts.
    return f"{'Remove-Item' if mends.WINDOWS else 'rm -f'} {lists}"


def browser() -> Iterator[Finding]:
    """The line about a browser: for PDF files and for the browser tests."""
    try:
        found = find()
    except BrowserError:
        line = "sudo apt-get install chromium"
        yield Finding(
            "browser", NOTE, "no Chromium, Chrome or Edge: needed for PDF "
            "files and browser tests alone",
            line if sys.platform == "linux" else "",
        )
        return
    if not (settings.home() / "tests").is_dir():
        yield Finding("browser", OK, f"{found}, for PDF files")
    elif driver := mends.installed("playwright"):
        yield Finding("browser", OK, f"{found}, playwright {driver}")
    else:
        yield Finding(
            "browser", NOTE, f"{found}; no playwright, which the browser "
            "tests need", mends.install("dev"),
        )


def sandbox() -> Iterator[Finding]:
    """The line about bubblewrap, for those who grade."""
    if not full_course() or sys.platform != "linux":
        return
    found = shutil.which("bwrap")
    if not found:
        yield Finding(
            "sandbox", NOTE, "no bubblewrap, which grading needs",
            "sudo apt-get install bubblewrap",
        )
        return
    done = subprocess.run(
        [found, "--ro-bind", "/", "/", "--unshare-all", "true"],
        timeout=2, stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        yield Finding("sandbox", NOTE, f"{found} does not work: {said}")
    else:
        yield Finding("sandbox", OK, f"{found} works, for grading")
