"""Which kernel does a notebook get, and would it show a widget?"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from labkit.doctor import BAD, OK, TOO_LONG, WARN, Facts, Finding, mends
from labkit.doctor.folders import another, try_to_write
from labkit.doctor.mends import ROOT, installed
from labkit.doctor.python import is_in, site_packages
from labutils.files import translated as _

NAME = "python3"  # the kernel that the notebooks name
EXTENSION = "@jupyter-widgets/jupyterlab-manager"
GENERATION = "5"  # of the front end, which goes with ipywidgets 8


# ---- the kernel


def kernels(facts: Facts) -> Iterator[Finding]:
    """The lines about the kernel that the notebooks name, and about the
    folder in which Jupyter's programs meet."""
    yield _kernel(facts)
    runtime = facts.get("runtime")
    if runtime and (problem := try_to_write(Path(runtime))):
        yield Finding(
            "jupyter", BAD, _(f"Jupyter's own folder {runtime}: {problem}"),
            mends.put("JUPYTER_RUNTIME_DIR", another("jupyter-runtime")))


def _kernel(facts: Facts) -> Finding:
    if "kernel" in facts:
        return _answered(facts)
    words = _(f"{NAME} of {facts.get('spec') or 'an unknown place'}")
    if facts.get("late") or facts["trouble"] == TOO_LONG:
        words += _(
            " did not answer in time: this machine is slow, or busy, or a "
            "firewall keeps programs from talking to each other")
        return Finding("kernel", WARN, words, mends.longer())
    program = facts.get("argv", [""])[0]
    if Path(program).is_absolute():
        words += f" ({program})"
    reason = facts.get("kernel_said") or facts.get("kernel_error")
    words += _(f" does not start: {reason or facts['trouble']}")
    return Finding("kernel", BAD, words, _mend(facts))


def _answered(facts: Facts) -> Finding:
    """The kernel runs: what is it, and would it import what is installed?"""
    kernel, state = facts["kernel"], OK
    words = _(f"{NAME} runs {kernel['executable']} ({kernel['version']})")
    elsewhere = Path(kernel["prefix"]).resolve() != Path(sys.prefix).resolve()
    if elsewhere:
        state = WARN
        words += _(
            f", another environment (kernel in {facts.get('spec', '')})")
    for module, worse in (("labutils", WARN), ("torch", BAD)):
        if not kernel[module]:
            state = BAD
            words += _(f"; {module} is not installed there")
        elif not elsewhere:
            place = ROOT if module == "labutils" else site_packages(module)
            if not is_in(Path(kernel[module]), place):
                state = BAD if state == BAD else worse
                words += _(
                    f"; its {module} is {kernel[module]}, not in {place}")
    if state == OK:
        words += _("; it starts, and finds labutils and torch")
        return Finding("kernel", OK, words)
    # A kernel with variables of its own may import from elsewhere, too.
    own = elsewhere or facts.get("env")
    mend = _mend(facts) if own else mends.install()
    return Finding("kernel", state, words, mend)


def _mend(facts: Facts) -> str:
    """What puts this environment's kernel in the place of a wrong one."""
    spec = Path(facts.get("spec") or "")
    for part in os.environ.get("JUPYTER_PATH", "").split(os.pathsep):
        if part and Path(part) in spec.parents:
            return mends.unset("JUPYTER_PATH")
    own = Path(sys.prefix, "share", "jupyter", "kernels")
    places = [*map(Path, facts["kernel_dirs"]), own]
    if spec.parent in places[:places.index(own)]:
        return f"rm -r {mends.shown(spec)}"
    return mends.python("-m ipykernel install --sys-prefix")


# ---- widgets


def widgets(facts: Facts) -> Iterator[Finding]:
    """The line about widgets: without their front end (an extension that
    JupyterLab loads from share/jupyter/labextensions), or with one of another
    generation than the Python package, they are a line of text."""
    if (back := installed("ipywidgets")) is None:
        return  # said among the packages
    state, mend = BAD, mends.reinstall("jupyterlab_widgets")
    places = [Path(place) / EXTENSION for place in facts["labextensions"]]
    # JupyterLab takes the first; the others are hidden by it.
    fronts = {
        place: str(_said(place / "package.json").get("version", "unreadable"))
        for place in places if (place / "package.json").is_file()}
    first, version = next(iter(fronts.items()), (None, ""))
    fits = [front.startswith(f"{GENERATION}.") for front in fronts.values()]
    words = _(f"ipywidgets {back}, front end {version}")
    if first is None:
        words = _(
            f"ipywidgets {back} has no front end: JupyterLab has no extension "
            f"{EXTENSION}")
    elif not fits[0]:
        words += _(f": they do not fit (front end in {first})")
        if any(fits):  # it hides a right one
            mend = f"rm -r {mends.shown(first)}"
    elif _disabled(facts["configs"]):
        words += _(", but the extension is disabled")
        mend = mends.python("-m jupyterlab.labextensions enable", EXTENSION)
    else:
        state, mend = OK, ""
    yield Finding("widgets", state, words, mend)


def _said(path: Path) -> Facts:
    """The JSON object in a file; empty where it cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return dict(json.loads(path.read_text(encoding="utf-8")))
    return {}


def _disabled(configs: list[str]) -> bool:
    """As JupyterLab settles it: the first of the folders has the last word."""
    state: dict[str, bool] = {}
    for folder in reversed(configs):
        said = _said(Path(folder, "labconfig", "page_config.json"))
        with contextlib.suppress(ValueError, TypeError):  # no dictionary
            state.update(said.get("disabledExtensions", {}))
    return any(off for name, off in state.items()
               if name.partition(":")[0] == EXTENSION)
