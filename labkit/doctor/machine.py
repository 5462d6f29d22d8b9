"""What this machine has, what is read and written on it (by writing really),
and how long the trainings will take."""

import contextlib
import difflib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labkit.doctor import BAD, NOTE, OK, WARN, Facts, Finding, mends
from labkit.report.browser import BrowserError, find
from labutils import corpus, files, settings
from labutils.files import translated as _

NO_NETWORK = (
    "(Without a network add --from FILE to the line below, with a copy.)"
)
CAPS = ("LABUTILS_EPOCHS", "LABUTILS_SECONDS")  # of a training
# All of a full run's results take some 30 MB.
SCARCE, TOO_LITTLE = 500 * 10**6, 50 * 10**6
# A notebook's kernel takes some 700 MB, JupyterLab and a page as much again.
LITTLE_MEMORY, NO_MEMORY = 1.5, 0.5  # GB
LONG = 45 * 60  # seconds, of all the trainings


# ---- the text


def text() -> Iterator[Finding]:
    """As `corpus.find_corpus` looks, but nothing is downloaded or moved."""
    try:
        asked, cached = settings.text(), settings.data_dir()
    except settings.SettingsError:
        return  # said among the settings
    path, source, state = cached / corpus.FILE_NAME, "of the data folder", WARN
    mend, hint = mends.python("-m labkit data fetch"), _(NO_NETWORK)
    why = (
        f"until there is a copy of {corpus.TIME_MACHINE}, which a "
        f"notebook downloads if it can. {NO_NETWORK}")
    if asked:
        mend, hint = mends.unset("LABUTILS_TEXT"), ""
        why = "as LABUTILS_TEXT asks."
    if isinstance(asked, Path):
        path, source, state = asked, "named by LABUTILS_TEXT", BAD
    elif asked or not os.access(path, os.F_OK):
        sha256 = corpus.practice_text().sha256[:12]
        words = _(f"the practice text (SHA-256 {sha256}...), {why}")
        yield Finding("text", WARN, words, mend)
        return
    try:
        sha256 = corpus.open_time_machine(path, f"the file {source}").sha256
    except corpus.CorpusError as error:
        words = str(error).replace(_(corpus.WAYS_TO_GET_IT), hint).strip()
        # A hash is known by its beginning.
        words = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1...", words)
        yield Finding("text", state, words, mend)
    else:
        yield Finding("text", OK, _(
            f"{corpus.TIME_MACHINE}, verified (SHA-256 {sha256[:12]}..., "
            f"{corpus.SIZE:,} bytes): {path}, {source}"))


# ---- the settings


def variables() -> Iterator[Finding]:
    """The LABUTILS_* variables that the settings cannot use or do not know,
    or a line for them all."""
    bad = []
    for read in (
        settings.data_dir, settings.results_dir, settings.text,
        settings.epochs_cap, settings.seconds_cap, settings.seed,
    ):
        try:
            read()
        except settings.SettingsError as error:
            mend = mends.unset(error.fault.partition("=")[0])
            bad.append(Finding("settings", BAD, error.fault, mend))
    given = {
        name: value.strip() for name, value in sorted(os.environ.items())
        if name.startswith("LABUTILS_") and value.strip()}
    # These alone read any.
    source = "".join(Path(str(module.__file__)).read_text(encoding="utf-8")
                     for module in (settings, files))
    known = set(re.findall(r'"(LABUTILS_[A-Z_]+)"', source))
    for name in sorted(given.keys() - known):
        near = difflib.get_close_matches(name, known, 1)
        meant = _(f"; perhaps {near[0]} is meant") if near else ""
        words = _(f"{name} is set, and nothing reads it{meant}")
        bad.append(Finding("settings", WARN, words, mends.unset(name)))
    yield from bad
    if not bad:
        words = ", ".join(f"{name}={value}" for name, value in given.items())
        if caps := [name for name in CAPS if name in given]:
            words += _(": trainings are capped, and say so")
            yield Finding("settings", NOTE, words, mends.unset(*caps))
        else:
            words = words or _("no LABUTILS_* variable is set")
            yield Finding("settings", OK, words)


# ---- the folders


def check() -> Iterator[Finding]:
    """The lines about the results, the text's folder and the notebooks."""
    for name, variable, read, state in (
        ("results", "LABUTILS_RESULTS_DIR", settings.results_dir, BAD),
        ("data", "LABUTILS_DATA_DIR", settings.data_dir, WARN),
    ):
        # Said among the settings.
        with contextlib.suppress(settings.SettingsError):
            yield folder(name, variable, read(), state)
    home = settings.home()
    notebooks, copy = home / "notebooks", Path.home() / f"{home.name}-of-mine"
    if notebooks.is_dir() and (problem := try_to_write(notebooks)):
        yield Finding(
            "notebooks", WARN, _(f"{notebooks}: {problem}; what you change "
                                 "cannot be saved"), _owned(notebooks)
            or f"cp -r {mends.shown(home)} {mends.shown(copy)}")


def folder(name: str, variable: str, path: Path, state: str) -> Finding:
    """A folder that a variable may put elsewhere; `state` where nothing can
    be written."""
    problem, free = try_to_write(path), shutil.disk_usage(_existing(path)).free
    unit, of = (10**9, "GB") if free >= 10**9 else (10**6, "MB")
    room = f"{free / unit:,.0f} {of}"
    if not problem and free >= SCARCE:
        return Finding(name, OK, _(f"{path}: can be written, {room} free"))
    mend = mends.put(variable, another(f"labutils-{name}"))
    words = _(f"{path}: only {room} are free there")
    if problem:
        words, mend = f"{path}: {problem}", _owned(path) or mend
    elif free >= TOO_LITTLE:
        words, state = _(f"{words}, which may not do"), WARN
    return Finding(name, state, words, mend)


def try_to_write(folder: Path) -> str:
    """Write a file there, or where labutils would make the folder, and
    remove it; what went wrong, in words, or ""."""
    try:
        with tempfile.NamedTemporaryFile(
            prefix=".doctor.", dir=_existing(folder)
        ) as stream:
            stream.write(os.urandom(2**20))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return _(f"no room for a file ({error.strerror})")
        return _(f"cannot be written ({error.strerror})")
    return ""


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    above = (folder, *folder.parents)
    return next((path for path in above if os.access(path, os.F_OK)), folder)


def _owned(folder: Path) -> str:
    """A line that makes one's own folder writable again, or ""."""
    if os.name != "posix" or not os.geteuid() or not folder.is_dir():
        return ""
    about = folder.stat()
    if about.st_uid != os.geteuid() or about.st_mode & 0o300 == 0o300:
        return ""
    return f"chmod -R u+rwX {mends.shown(folder)}"


def another(name: str) -> Path:
    """A folder elsewhere that can be written and has room."""
    for place in (Path.home(), Path(tempfile.gettempdir()), Path("/var/tmp")):
        room = place.is_dir() and shutil.disk_usage(place).free >= SCARCE
        if room and not try_to_write(place / name):
            return place / name
    return Path("/a/folder/with/room")


# ---- for trainings


def device(facts: Facts) -> Iterator[Finding]:
    state, mend, words = OK, "", facts["device"]
    threads, cores = facts["threads"], settings.processors()
    if facts["device_name"]:
        words += f" ({facts['device_name']})"
    words += _(f", {threads} threads" if threads > 1 else ", 1 thread")
    words += _(f" on {cores} cores" if cores > 1 else " on 1 core")
    if "bad_device" in facts:
        state, words = BAD, facts["bad_device"]
        mend = mends.unset("LABUTILS_DEVICE")
    elif mends.has_nvidia_gpu() and not facts["gpu"]:
        state, build = NOTE, facts["cuda"]
        words += _(
            "; there is an NVIDIA GPU, but its driver does not fit "
            f"PyTorch's CUDA {build}" if build else "; there is an NVIDIA "
            "GPU, and this PyTorch is built for the CPU alone")
    yield Finding("device", state, words, mend)


def trainings(facts: Facts) -> Iterator[Finding]:
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
    free = facts["memory"] / 10**9
    state = BAD if free < NO_MEMORY else WARN if free < LITTLE_MEMORY else OK
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
    if font := facts["font"]:
        yield Finding("fonts", OK, _(f"with Chinese letters: {font}"))
        return
    # Whoever works in Chinese will miss them.
    state = WARN if os.environ.get("LANG", "")[:2] == "zh" else NOTE
    # Matplotlib looks for new fonts only when its list is gone.
    mend = f"rm {mends.shown(facts['font_cache'])}/fontlist-*.json"
    # Windows and macOS come with such fonts.
    if get := mends.system("fonts-noto-cjk"):
        mend = mends.then(get, mend)
    yield Finding("fonts", state, _(
        "none with Chinese letters: in pictures they are empty boxes"), mend)


def browser() -> Iterator[Finding]:
    try:
        yield Finding("browser", OK, find() + _(", for PDF files"))
    except BrowserError:
        yield Finding("browser", NOTE, _(
            "no Chromium, Chrome or Edge: needed for PDF files and browser "
            "tests alone"), mends.system("chromium"))


def sandbox() -> Iterator[Finding]:
    """The line about bubblewrap, for those who grade."""
    if not mends.full_course() or sys.platform != "linux":
        return
    if not (found := shutil.which("bwrap")):
        yield Finding("sandbox", NOTE, _("no bubblewrap, which grading needs"),
                      mends.system("bubblewrap"))
        return
    done = subprocess.run(
        [found, "--ro-bind", "/", "/", "--unshare-all", "true"], timeout=2,
        stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode:
        yield Finding("sandbox", NOTE, _(f"{found} does not work: {said}"))
    else:
        yield Finding("sandbox", OK, _(f"{found} works, for grading"))
