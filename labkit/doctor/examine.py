"""All the checks and the processes they ask, within the time that there is."""

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from labkit.doctor import BAD, NOTE, OK, PARTS, WARN, Finding, Sections, mends
from labkit.doctor.probes import EXTENSION, NAME
from labkit.report.browser import BrowserError, find
from labutils import corpus, settings
from labutils.files import translated as _

# Of the time there is, until when each probe is heard, in this order: steps
# are timed when the kernel has ended, as on two cores they would be in each
# other's way.
UNTIL = {"kernel": 0.66, "libraries": 0.89}
# What a probe said, by name, until it ended; "trouble" is why it did not come
# to its end, "" where it did.
Facts = dict[str, Any]
TOO_LONG = "took too long, and was ended"
NO_TIME = "no time was left"  # to time a step
GENERATION = "5."  # of the widgets' front end, which goes with ipywidgets 8
# All of a full run's results take some 30 MB.
SCARCE = 0.5  # GB
# A notebook's kernel takes some 700 MB, JupyterLab and a page as much again.
LITTLE_MEMORY = 1.5  # GB
LONG = 45 * 60  # seconds, of all the trainings


# ---- Python, packages, imports


def interpreter() -> Iterator[Finding]:
    version, state = platform.python_version(), OK
    words = _(f"{version}, {mends.shown(sys.executable)}, for the course in "
              f"{settings.home()}")
    if mends.is_elsewhere():
        state, own = NOTE, mends.own_python().parents[1]
        words += _(f"; the course has an environment of its own, {own}")
    yield Finding("Python", state, words)


def packages() -> Iterator[Finding]:
    tested, missing, bad, other = mends.constraints(), [], [], []
    needed = mends.requirements().get("lab", [])
    for one in needed:
        version = mends.installed(one.name)
        exact = tested.get(mends.plain(one.name))
        said = _(f"{one.name} is {version}")
        if version is None:
            missing.append(one.name)
        # +cpu and the like fit.
        elif not one.specifier.contains(version, prereleases=True):
            bad.append(_(f"{said}, needed is {one.specifier}"))
        elif exact and not exact.specifier.contains(version, prereleases=True):
            instead = str(exact.specifier).removeprefix("==")
            other.append(_(f"{said}, tested was {instead}"))
    if missing:
        bad.insert(0, _(f"missing: {', '.join(missing)}"))
    if bad or other:
        state, words = BAD if bad else WARN, "; ".join(bad + other)
        yield Finding("packages", state, words, mends.install())
    else:
        yield Finding("packages", OK, _(
            f"all {len(needed)} as needed, in the versions tested"))


def imports(libraries: Facts) -> Iterator[Finding]:
    found, dying = libraries.get("found", {}), libraries["importing"]
    trouble = libraries["trouble"]
    problems = []
    for module, file in found.items():
        if is_as_installed(module, file):
            continue
        outside = os.environ.get("PYTHONPATH")  # comes first
        problems.append((
            BAD, _(f"import {module} finds {file}, not the installed package"),
            mends.unset("PYTHONPATH") if outside
            else mends.reinstall(module)))
    if dying and trouble == TOO_LONG:
        problems.append((WARN, _(
            f"{dying} was not imported within the doctor's time: the first "
            "import, or one on a busy machine, takes longer"), mends.longer()))
    elif dying:
        # It may be there, and lack what it imports itself.
        lacking = dying == "labutils" or "No module named" in trouble
        problems.append((
            BAD, _(f"{dying} does not import: {trouble}"), mends.install()
            if lacking else mends.reinstall(dying)))
    for problem in problems or [(OK, ", ".join(found), "")]:
        yield Finding("imports", *problem)


def is_as_installed(module: str, file: str) -> bool:
    """Whether an import finds what was installed, or a link there."""
    place = mends.ROOT if module == "labutils" else Path(str(
        metadata.distribution(module).locate_file("")))
    return Path(file).resolve() == (place / module / "__init__.py").resolve()


# ---- notebooks: the kernel and the widgets


def kernels(facts: Facts) -> Iterator[Finding]:
    if "kernel" in facts:
        yield _answered(facts)
        return
    words = _(f"{NAME} of {facts['spec'] or 'an unknown place'}")
    reason = facts.get("kernel_error") or facts["trouble"]
    if facts.get("late") or reason == TOO_LONG:
        words += _(
            " did not answer in time: this machine is slow, or busy, or a "
            "firewall keeps programs from talking to each other")
        yield Finding("kernel", WARN, words, mends.longer())
    else:
        words += _(f" does not start: {reason}")
        yield Finding("kernel", BAD, words, _mend(facts["spec"]))


def _answered(facts: Facts) -> Finding:
    """The kernel runs: what is it, and would it import what is installed?"""
    kernel, spec, state = facts["kernel"], facts["spec"], OK
    words = _(f"{NAME} runs {kernel['executable']} ({kernel['version']})")
    elsewhere = Path(kernel["prefix"]).resolve() != Path(sys.prefix).resolve()
    if elsewhere:
        state = WARN
        words += _(f", another environment (kernel in {spec})")
    for module in ("labutils", "torch"):
        if not kernel[module]:
            state = BAD
            words += _(f"; {module} is not installed there")
        elif not elsewhere and not is_as_installed(module, kernel[module]):
            state = BAD
            words += _(f"; its {module} is {kernel[module]}")
    if state == OK:
        words += _("; it starts, and finds labutils and torch")
        return Finding("kernel", OK, words)
    mend = _mend(spec) if elsewhere else mends.install()
    return Finding("kernel", state, words, mend)


def _mend(spec: str) -> str:
    """What puts this environment's kernel in the place of a wrong one."""
    own = Path(sys.prefix, "share", "jupyter", "kernels", NAME)
    if own.is_dir() and spec and Path(spec) != own:
        return f"rm -r {mends.shown(spec)}"  # which hides it
    return mends.python("-m ipykernel install --sys-prefix")


def widgets(facts: Facts) -> Iterator[Finding]:
    """Without a front end of their generation they are a line of text."""
    if (back := mends.installed("ipywidgets")) is None:
        return  # said among the packages
    front, state, mend = facts["front_end"], OK, ""
    if not front:
        state, mend = BAD, mends.reinstall("jupyterlab_widgets")
        words = _(
            f"ipywidgets {back} has no front end: JupyterLab has no extension "
            f"{EXTENSION}")
    else:
        words = _(f"ipywidgets {back}, front end {front['version']}")
        if not front["version"].startswith(GENERATION):
            state, mend = BAD, f"rm -r {mends.shown(front['path'])}"
            words += _(f": they do not fit (front end in {front['path']})")
    yield Finding("widgets", state, words, mend)


# ---- text and settings


def text() -> Iterator[Finding]:
    """As `corpus.find_corpus` looks, but nothing is downloaded or moved."""
    asked, cached = settings.text(), settings.data_dir() / corpus.FILE_NAME
    source, mend = "named by LABUTILS_TEXT", mends.unset("LABUTILS_TEXT")
    if not asked:
        source = "of the data folder"
        mend = mends.python("-m labkit data fetch")
    path, state = Path(asked or cached), BAD if asked else WARN
    if asked == settings.PRACTICE:
        state, words = WARN, _("the practice text, as LABUTILS_TEXT asks.")
    elif not asked and not os.access(path, os.F_OK):
        words = _(
            "the practice text, until there is a copy of "
            f"{corpus.TIME_MACHINE}, which a notebook downloads if it can. "
            f"{corpus.WAYS_TO_GET_IT}")
    else:
        try:
            corpus.open_time_machine(path, f"the file {source}")
            state, mend, words = OK, "", _(
                f"{corpus.TIME_MACHINE}, verified (SHA-256 "
                f"{corpus.SHA256[:12]}..., {corpus.SIZE:,} bytes): {path}, "
                f"{source}")
        except corpus.CorpusError as error:
            words = str(error)
    yield Finding("text", state, words, mend)


def variables() -> Iterator[Finding]:
    for read in (  # what they cannot use becomes a line
        settings.data_dir, settings.results_dir, settings.text,
        settings.epochs_cap, settings.seconds_cap, settings.seed,
    ):
        read()
    given = [
        f"{name}={value}" for name, value in sorted(os.environ.items())
        if name.startswith("LABUTILS_") and value.strip()]
    yield Finding("settings", OK, ", ".join(given)
                  or _("no LABUTILS_* variable is set"))


def folders() -> Iterator[Finding]:
    """Can results and the text be written, and is there room for them?"""
    for name, variable, path, state in (
        ("results", "LABUTILS_RESULTS_DIR", settings.results_dir(), BAD),
        ("data", "LABUTILS_DATA_DIR", settings.data_dir(), WARN),
    ):
        problem, free = try_to_write(path), free_space(path)
        if problem:
            words = f"{path}: {problem}"
        elif free < SCARCE:
            state, words = WARN, _(
                f"{path}: only {free:.1f} GB are free there, which may not do")
        else:
            state, words = OK, _(
                f"{path}: can be written, {free:,.0f} GB free")
        mend = "" if state == OK else mends.put(
            variable, another(f"labutils-{name}"))
        yield Finding(name, state, words, mend)


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
        return _(f"cannot be written ({error.strerror})")
    return ""


def free_space(folder: Path) -> float:
    """In GB."""
    return shutil.disk_usage(_existing(folder)).free / 10**9


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    above = (folder, *folder.parents)
    return next((path for path in above if os.access(path, os.F_OK)), folder)


def another(name: str) -> Path:
    """A folder elsewhere, where the most room is."""
    places = (Path.home() / name, Path(tempfile.gettempdir(), name))
    return max(places, key=free_space)


# ---- for trainings


def device(facts: Facts) -> Iterator[Finding]:
    words = facts["device"]
    if facts["device_name"]:
        words += f" ({facts['device_name']})"
    yield Finding("device", OK, words + _(
        f", threads: {facts['threads']}, cores: {settings.processors()}"))


def trainings(facts: Facts) -> Iterator[Finding]:
    total = sum(facts["estimates"].values())
    each = ", ".join(
        _(f"notebook {notebook}: {_minutes(seconds)}")
        for notebook, seconds in facts["estimates"].items())
    words = _(
        f"about {each}; {_minutes(total)} in all (a step of the LSTM of two "
        f"layers takes {facts['step']:.0f} milliseconds)")
    state, mend = OK, ""
    if total >= LONG:
        words += _(": long; with the line below they stop earlier, and say so")
        state, mend = WARN, mends.put("LABUTILS_EPOCHS", "100")
    yield Finding("trainings", state, words, mend)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def memory(facts: Facts) -> Iterator[Finding]:
    free = facts["memory"] / 10**9
    state, words = OK, _(f"{free:.1f} GB free")
    if free < LITTLE_MEMORY:
        state = WARN
        words += _(
            ": little; close other programs and notebooks that you do not use "
            "(in JupyterLab: Kernel, Shut Down All Kernels)")
    yield Finding("memory", state, words)


# ---- for pictures, reports and tests


def fonts(facts: Facts) -> Iterator[Finding]:
    if font := facts["font"]:
        yield Finding("fonts", OK, _(f"with Chinese letters: {font}"))
        return
    mend = mends.then(
        mends.system("fonts-noto-cjk"),  # Windows and macOS come with such
        # Matplotlib looks for new fonts only when its list is gone.
        f"rm {mends.shown(facts['font_cache'])}/fontlist-*.json")
    yield Finding("fonts", NOTE, _(
        "none with Chinese letters: in pictures they are empty boxes"), mend)


def browser() -> Iterator[Finding]:
    try:
        yield Finding("browser", OK, find() + _(", for PDF files"))
    except BrowserError:
        yield Finding("browser", NOTE, _(
            "no Chromium, Chrome or Edge: needed for PDF files and browser "
            "tests alone"), mends.system("chromium"))


# The part, the name and the function of each check; the probe whose answer it
# takes, and the fact without which it has nothing to say.
CHECKS: list[tuple[str, str, Callable[..., Iterator[Finding]], str, str]] = [
    ("python", "Python", interpreter, "", ""),
    ("python", "packages", packages, "", ""),
    ("imports", "imports", imports, "libraries", "importing"),
    ("notebooks", "kernel", kernels, "kernel", "spec"),
    ("notebooks", "widgets", widgets, "kernel", "front_end"),
    ("text", "text", text, "", ""),
    ("text", "settings", variables, "", ""),
    ("machine", "device", device, "libraries", "device"),
    ("machine", "training", trainings, "libraries", "step"),
    ("machine", "memory", memory, "libraries", "memory"),
    ("folders", "folders", folders, "", ""),
    ("extras", "fonts", fonts, "libraries", "font"),
    ("extras", "browser", browser, "", ""),
]


def examine(seconds: float, parts: Collection[str]) -> Sections:
    """Look at some parts, for so many seconds at the most."""
    start = time.monotonic()
    asked = {probe for part, *_, probe, _ in CHECKS if part in parts}
    probes = {name: ask(name, share * seconds - 0.5)
              for name, share in UNTIL.items() if name in asked}
    answers = {name: hear(probe, start + UNTIL[name] * seconds)
               for name, probe in probes.items()}
    sections: Sections = {}
    for part, name, check, probe, fact in CHECKS:
        if part in parts:
            found = careful(name, check, answers.get(probe), fact)
            sections.setdefault(PARTS[part], []).extend(found)
    return sections


def careful(
    name: str, check: Callable[..., Iterator[Finding]],
    facts: Facts | None = None, fact: str = "",
) -> list[Finding]:
    """The check's findings; what keeps it from looking becomes one of them.

    What is broken on a machine breaks in ways that nobody foresaw, and the
    other lines of the page are wanted all the same.
    """
    found: list[Finding] = []
    if facts is None or fact in facts:
        try:
            found.extend(check() if facts is None else check(facts))
            return found
        except Exception as error:
            state, mend = WARN, ""
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
    else:
        reason = facts["trouble"] or NO_TIME
        late = reason in (TOO_LONG, NO_TIME)
        state, line = (WARN, mends.longer) if late else (BAD, mends.install)
        mend = line()
    words = _(f"could not be looked at ({reason})")
    # The settings' own error, of this process or of a probe's.
    if bad := re.search(r"SettingsError:\s((LABUTILS_\w+)=.*)", reason):
        state, words, mend = BAD, bad[1], mends.unset(bad[2])
    return [*found, Finding(name, state, words, mend)]


def ask(name: str, seconds: float) -> "subprocess.Popen[str]":
    """Start a probe in a process of its own: a library that crashes, hangs or
    prints takes down a probe, never the page."""
    script = Path(__file__).with_name("probes.py")
    notebooks = settings.home() / "notebooks"
    return subprocess.Popen(
        # -P: what lies beside the script would hide packages.
        [sys.executable, "-P", script, name, mends.ROOT, str(seconds)],
        # Where a kernel starts as well.
        cwd=notebooks if notebooks.is_dir() else None,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Facts come as UTF-8, whatever the terminal's encoding is.
        encoding="utf-8", errors="replace",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"})


def hear(probe: "subprocess.Popen[str]", until: float) -> Facts:
    """Close a probe's input and wait for its end, at the latest until a time
    of `time.monotonic()`."""
    try:
        left = max(0.0, until - time.monotonic())
        out, err = probe.communicate(timeout=left)
    except subprocess.TimeoutExpired:
        probe.kill()
        return facts(probe.communicate()[0]) | {"trouble": TOO_LONG}
    code = probe.returncode
    said = err.strip().splitlines() or [f"exit code {code}"]
    trouble = f"ended by signal {-code}" if code < 0 else said[-1]
    return facts(out) | {"trouble": trouble if code else ""}


def facts(out: str) -> Facts:
    """What the lines say; of facts of one name the last one counts."""
    found: Facts = {}
    for line in out.splitlines():
        # Others are some library's own words.
        with contextlib.suppress(ValueError, TypeError):
            found.update(json.loads(line))
    return found
