"""Which kernel does a notebook get, and which interpreter runs it?"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from labkit.doctor import mends
from labkit.doctor.findings import BAD, NOTE, OK, WARN, Finding
from labkit.doctor.folders import another, try_to_write
from labkit.doctor.probe import ROOT, Probe
from labutils import settings

NAME = "python3"


def check(probe: Probe) -> list[Finding]:
    """The lines about the kernel that the notebooks name, and about the
    others that one could choose."""
    return [_kernel(probe), *_runtime(probe), *_others(probe), *_command()]


def _kernel(probe: Probe) -> Finding:
    facts = probe.facts
    if "labextensions" not in facts or "kernel_dirs" not in facts:
        return Finding(
            "kernel", BAD, f"Jupyter does not work: {probe.trouble}",
            mends.install(),
        )
    if "no_kernel" in facts:
        return Finding(
            "kernel", BAD, f"there is no kernel {NAME}", _install_kernel()
        )
    if "kernel" in facts:
        return _answered(probe)
    if facts.get("late") or "too long" in probe.trouble:
        return Finding(
            "kernel", WARN, f"{_place(probe)} did not answer in time: this "
            "machine is slow, or busy, or a firewall keeps programs from "
            "talking to each other", mends.longer(),
        )
    argv = facts.get("argv", [""])
    program = f" ({argv[0]})" if Path(argv[0]).is_absolute() else ""
    reason = (
        facts.get("kernel_said") or facts.get("kernel_error")
        or probe.trouble or "no reason given"
    )
    return Finding(
        "kernel", BAD, f"{_place(probe)}{program} does not start: {reason}",
        _mend(probe),
    )


def _place(probe: Probe) -> str:
    return f"{NAME} of {probe.facts.get('spec') or 'an unknown place'}"


def _answered(probe: Probe) -> Finding:
    """The kernel runs: what is it, and does it have what it takes?"""
    kernel = probe.facts["kernel"]
    where = f"{NAME} runs {kernel['executable']} ({kernel['version']})"
    failed = dict(probe.facts.get("kernel_imports") or {})
    for module in ("torch", "labutils"):
        if not kernel[module]:
            failed[module] = "it is not installed there"
    words = "; ".join(
        f"{module} does not import ({reason})"
        for module, reason in failed.items()
    )
    if Path(kernel["prefix"]).resolve() != Path(sys.prefix).resolve():
        found = f"{where}, another environment (kernel in {_spec(probe)})"
        state = BAD if failed else WARN
        found += f"; {words}" if words else ""
        return Finding("kernel", state, found, _mend(probe))
    if failed:
        # A kernel with variables of its own may import from elsewhere.
        mend = _mend(probe) if probe.facts.get("env") else mends.install()
        return Finding("kernel", BAD, f"{where}; {words}", mend)
    if not _same(kernel["labutils"]):
        return Finding(
            "kernel", WARN, f"{where}; its labutils is {kernel['labutils']}, "
            f"the doctor is of {ROOT}", mends.install(),
        )
    return Finding(
        "kernel", OK, f"{where}; it starts, and finds labutils and torch"
    )


def _spec(probe: Probe) -> str:
    return str(probe.facts.get("spec", ""))


def _same(labutils: str) -> bool:
    return Path(labutils).resolve().parents[1] == ROOT


def _mend(probe: Probe) -> str:
    """What puts this environment's kernel in the place of a wrong one."""
    spec = Path(_spec(probe))
    for part in os.environ.get("JUPYTER_PATH", "").split(os.pathsep):
        if part and Path(part) in spec.parents:
            return mends.unset("JUPYTER_PATH")
    own = Path(sys.prefix, "share", "jupyter", "kernels")
    places = [Path(place) for place in probe.facts.get("kernel_dirs", [])]
    before = places[:places.index(own)] if own in places else places
    if spec.parent in before:
        return mends.remove(spec)
    return _install_kernel()


def _install_kernel() -> str:
    return mends.python("-m", "ipykernel", "install", "--sys-prefix")


def _runtime(probe: Probe) -> list[Finding]:
    """Whether Jupyter can write the folder in which its programs meet."""
    folder = probe.facts.get("runtime")
    problem = try_to_write(Path(folder)) if folder else ""
    if not problem:
        return []
    return [Finding(
        "jupyter", BAD, f"Jupyter's own folder {folder}: {problem}",
        mends.put("JUPYTER_RUNTIME_DIR", another("jupyter-runtime")),
    )]


def _others(probe: Probe) -> list[Finding]:
    """Kernels that JupyterLab offers too, of other environments."""
    others = {
        name: program
        for name, program in probe.facts.get("others", {}).items()
        if Path(program).is_absolute() and program != sys.executable
    }
    if not others:
        return []
    words = ", ".join(f"{name} ({where})" for name, where in others.items())
    return [Finding(
        "kernels", NOTE, f"JupyterLab also offers {words}: keep to {NAME}, "
        "the one that the notebooks name",
    )]


def _command() -> list[Finding]:
    """Whether the word jupyter leads to this environment."""
    found = shutil.which("jupyter")
    own = Path(sys.executable).parent / "jupyter"
    if not found or not own.exists() or Path(found).parent == own.parent:
        return []
    return [Finding(
        "command", NOTE, f"the word jupyter starts {found}, which is of "
        "another environment; start this one's",
        f"{mends.shown(own)} lab {mends.shown(settings.home())}",
    )]
