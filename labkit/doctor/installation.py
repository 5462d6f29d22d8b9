"""What is installed: the interpreter, the packages, in the versions asked for,
and are they what an import finds? Which kernel does a notebook get, and would
it show a widget?"""

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from labkit.doctor import BAD, NOTE, OK, TOO_LONG, WARN, Facts, Finding, mends
from labkit.doctor.machine import another, try_to_write
from labkit.doctor.mends import ROOT, installed
from labkit.doctor.probes import EXTENSION, MODULES, NAME
from labutils import settings
from labutils.files import translated as _

# Of each module that is imported, the package that brings it.
PACKAGES = {name: {"PIL": "pillow"}.get(name, name)
            for name in MODULES if name != "labutils"}
GENERATION = "5."  # of the front end, which goes with ipywidgets 8


def interpreter() -> Iterator[Finding]:
    home, state = settings.home(), OK
    edition = "the course" if mends.full_course() else "student edition"
    words = f"{home}, {_(edition)}"
    if not (home / "notebooks").is_dir():
        state, words = NOTE, _(
            f"labutils in {ROOT}, without the course's folder; data/ and "
            f"results/ are in {home}")
    yield Finding("course", state, words)
    state = OK
    words = f"{platform.python_version()}, {mends.shown(sys.executable)}"
    if mends.is_elsewhere():
        state, own = NOTE, mends.own_python().parents[1]
        words += _(f"; the course has an environment of its own, {own}")
    yield Finding("Python", state, words)


def packages() -> Iterator[Finding]:
    tested, missing, bad, other = mends.constraints(), [], [], []
    needed = mends.requirements().get("lab", [])
    for one in needed:
        version, exact = installed(one.name), tested.get(mends.plain(one.name))
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
        words = _(", in the versions tested") if tested else ""
        yield Finding("packages", OK, _(f"all {len(needed)} as needed{words}"))


# ---- imports


def imports(libraries: Facts) -> Iterator[Finding]:
    found, trouble = libraries.get("imports", {}), libraries["trouble"]
    problems = [
        (BAD, *wrong) for module, package in PACKAGES.items()
        if module in found and installed(package)
        and (wrong := _import(module, package, **found[module]))]
    if dying := libraries.get("importing"):
        mend = mends.reinstall(PACKAGES.get(dying) or dying)
        problems.append((BAD, _(f"importing {dying}: {trouble}"), mend))
        if trouble == TOO_LONG:
            problems[-1] = WARN, _(
                f"{dying} was not imported within the doctor's time: the first"
                " import, or one on a busy machine, takes longer"
            ), mends.longer()
    error = found.get("labutils", {}).get("error")
    if error and not problems:  # or it is they that labutils cannot import
        words = _(f"labutils does not import: {error}")
        problems.append((BAD, words, mends.install()))
    names = ", ".join(name for name in found if "error" not in found[name])
    if names and not problems:
        problems.append((OK, names, ""))
    for problem in problems:
        yield Finding("imports", *problem)


def _import(
    module: str, package: str, file: str = "", version: str = "",
    error: str = "",
) -> tuple[str, str] | None:
    """What is wrong with an installed module, and the line that mends it."""
    again = mends.reinstall(package)
    if file and not is_in(Path(file), site_packages(package)):
        found = Path(file)
        own = found.parent if found.name == "__init__.py" else found
        first = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if own.parent in [Path(part).absolute() for part in first]:
            again = mends.unset("PYTHONPATH")
        what = _(f"{version} in {own}") if version else own
        words = _(f"import {module} finds {what}, not the installed package")
        return words, again
    if not error:
        return None
    # It may be there, and lack what it imports itself.
    mend = mends.install() if "No module named" in error else again
    return _(f"{module} does not import: {error}"), mend


def site_packages(package: str) -> Path:
    """The folder into which a package is installed."""
    return Path(str(metadata.distribution(package).locate_file("")))


def is_in(file: Path, place: Path) -> bool:
    """Whether a file is in a folder, or a link there, as some installers'."""
    return place in file.parents or place.resolve() in file.resolve().parents


def hidden() -> Iterator[Finding]:
    """Files beside the notebooks that hide a module of the same name."""
    names = {*sys.stdlib_module_names, *MODULES,
             "labkit", "IPython", "ipykernel", "requests"}
    for path in sorted((settings.home() / "notebooks").glob("*.py")):
        if path.stem in names:
            mine = path.with_name(f"my_{path.name}")
            yield Finding(
                "file names", BAD, _(f"{path} hides the module {path.stem} "
                                     "from the notebooks"),
                f"mv {mends.shown(path)} {mends.shown(mine)}")


# ---- the kernel


def kernels(facts: Facts) -> Iterator[Finding]:
    yield _kernel(facts)
    runtime = facts.get("runtime")  # the folder in which its programs meet
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
    reason = facts.get("kernel_error") or facts["trouble"]
    words += _(f" does not start: {reason}")
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
    """Without a front end of their generation they are a line of text."""
    if (back := installed("ipywidgets")) is None:
        return  # said among the packages
    front, mend = facts["front_end"], mends.reinstall("jupyterlab_widgets")
    state, version = BAD, front.get("version", "")
    words = _(f"ipywidgets {back}, front end {version}")
    if not front:
        words = _(
            f"ipywidgets {back} has no front end: JupyterLab has no extension "
            f"{EXTENSION}")
    elif not version.startswith(GENERATION):
        words += _(f": they do not fit (front end in {front['path']})")
        if not is_in(Path(front["path"]), Path(sys.prefix)):
            # It hides this environment's own.
            mend = f"rm -r {mends.shown(front['path'])}"
    elif front["disabled"]:
        words += _(", but the extension is disabled")
        mend = mends.python("-m jupyterlab.labextensions enable", EXTENSION)
    else:
        state, mend = OK, ""
    yield Finding("widgets", state, words, mend)
