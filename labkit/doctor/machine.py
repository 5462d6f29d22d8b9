"""What does this machine have, and how long will the trainings take?"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from labkit.doctor import BAD, NOTE, OK, WARN, Facts, Finding, mends
from labkit.doctor.python import full_course
from labkit.report.browser import BrowserError, find
from labutils import settings
from labutils.files import translated as _

# A notebook's kernel takes some 700 MB, JupyterLab and a page as much again.
SCARCE, TOO_LITTLE = 1.5, 0.5  # GB
LONG = 45 * 60  # seconds, of all the trainings


# ---- for trainings


def device(facts: Facts) -> Iterator[Finding]:
    """The line about the device and the threads."""
    state, mend, words = OK, "", facts["device"]
    threads, cores = facts["threads"], settings.processors()
    if facts["device_name"]:
        words += f" ({facts['device_name']})"
    words += _(f", {threads} threads" if threads > 1 else ", 1 thread")
    words += _(f" on {cores} cores" if cores > 1 else " on 1 core")
    if asked := os.environ.get("OMP_NUM_THREADS"):
        words += _(f", as OMP_NUM_THREADS={asked} asks")
    if "bad_device" in facts:
        state, words = BAD, facts["bad_device"]
        mend = mends.unset("LABUTILS_DEVICE")
    elif mends.has_nvidia_gpu() and not facts["gpu"]:
        state, build = NOTE, facts["cuda"]
        words += _(
            "; there is an NVIDIA GPU, but its driver does not fit "
            f"PyTorch's CUDA {build}" if build else "; there is an NVIDIA "
            "GPU, and this PyTorch is built for the CPU alone")
    elif threads > cores:
        state, words = WARN, _(f"{words}: they wait for each other")
        mend = mends.unset("OMP_NUM_THREADS")
    yield Finding("device", state, words, mend)


def trainings(facts: Facts) -> Iterator[Finding]:
    """The lines about a training step and about each notebook's trainings."""
    yield Finding("a step", OK, _(
        f"{facts['step']:.0f} milliseconds, of the LSTM of two layers"))
    total = sum(facts["estimates"].values())
    each = ", ".join(
        _(f"notebook {notebook}: {_minutes(seconds)}")
        for notebook, seconds in facts["estimates"].items())
    words = _(
        f"about {each}; {_minutes(total)} in all, {facts['ratio']:.1f} "
        "times the time of the recorded runs")
    if cap := os.environ.get("LABUTILS_EPOCHS", "").strip():
        words += _(f", with LABUTILS_EPOCHS={cap}")
    state, mend = OK, ""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load >= settings.processors() + 1:  # the figures are too long
        words += _(f" (other programs are running, load {load:.1f})")
    elif total >= LONG:
        words += _(": long; with the line below they stop earlier, and say so")
        state, mend = WARN, mends.put("LABUTILS_EPOCHS", "100")
    yield Finding("trainings", state, words, mend)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def memory(facts: Facts) -> Iterator[Finding]:
    """The line about free memory."""
    free = facts["memory"] / 10**9
    state = BAD if free < TOO_LITTLE else WARN if free < SCARCE else OK
    words = _(f"{free:.1f} GB free")
    if state != OK:
        words += _(
            ": too little for a notebook" if state == BAD else ": little")
        words += _(
            "; close other programs and notebooks that you do not use (in "
            "JupyterLab: Kernel, Shut Down All Kernels)")
    yield Finding("memory", state, words)


# ---- for reports, tests and grading


def fonts(facts: Facts) -> Iterator[Finding]:
    """The line about Chinese letters in pictures."""
    state, mend = OK, ""
    if font := facts["font"]:
        words = _(f"with Chinese letters: {font}")
    else:
        # Whoever works in Chinese will miss them.
        state = WARN if os.environ.get("LANG", "")[:2] == "zh" else NOTE
        words = _(
            "none with Chinese letters: in pictures they are empty boxes")
        # Matplotlib looks for new fonts only when its list is gone.
        mend = f"rm {mends.shown(facts['font_cache'])}/fontlist-*.json"
        # Windows and macOS come with such fonts.
        if sys.platform == "linux":
            mend = mends.then("sudo apt-get install fonts-noto-cjk", mend)
    yield Finding("fonts", state, words, mend)


def browser() -> Iterator[Finding]:
    """The line about a browser: for PDF files and for the browser tests."""
    state, mend = OK, ""
    try:
        words = find() + _(", for PDF files")
    except BrowserError:
        state, words = NOTE, _(
            "no Chromium, Chrome or Edge: needed for PDF files and browser "
            "tests alone")
        if sys.platform == "linux":
            mend = "sudo apt-get install chromium"
    yield Finding("browser", state, words, mend)


def sandbox() -> Iterator[Finding]:
    """The line about bubblewrap, for those who grade."""
    if not full_course() or sys.platform != "linux":
        return
    state, mend, words = NOTE, "", _("no bubblewrap, which grading needs")
    if found := shutil.which("bwrap"):
        done = subprocess.run(
            [found, "--ro-bind", "/", "/", "--unshare-all", "true"], timeout=2,
            stdin=subprocess.DEVNULL, capture_output=True, check=False)
        said = done.stderr.decode("utf-8", "replace").strip()
        words = _(f"{found} does not work: {said}")
        if not done.returncode:
            state, words = OK, _(f"{found} works, for grading")
    else:
        mend = "sudo apt-get install bubblewrap"
    yield Finding("sandbox", state, words, mend)
