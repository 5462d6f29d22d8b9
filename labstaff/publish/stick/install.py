"""Install the course from the folder of this file, with no network.

install.sh and install.bat find a Python that fits and run this with it; it
needs nothing but Python itself.
"""

import argparse
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SUMS = "SHA256SUMS"
START = "--LabApp.default_url=/lab/tree/notebooks"


def main(arguments: list[str] | None = None) -> int:
    # A folder's name may be Chinese, and an old terminal know no Chinese.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="install",
        description="Install the course on this computer, with no network.",
        epilog="example: sh install.sh ~/rnn-course")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER",
                        default=Path("~/rnn-course"),
                        help="where the course goes; default: rnn-course in "
                        "your home folder")
    parser.add_argument("--check", action="store_true",
                        help="verify this copy of the bundle, install nothing")
    options = parser.parse_args(arguments)
    try:
        if options.check:  # on any computer, above all the one that made it
            verify(HERE)
            print("This copy is whole.")
        else:
            about = json.loads((HERE / "bundle.json").read_text("utf-8"))
            target = fitting(about["targets"])
            verify(HERE, "1 of 3: ")
            install(options.folder.expanduser().absolute(), target)
    except (RuntimeError, OSError) as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    return 0


def system() -> str:
    """The name of this kind of computer, as bundles use it."""
    here = sysconfig.get_platform()
    if here.startswith("macosx"):
        # One Python for Macs of both kinds says "universal2".
        here = f"macosx-{platform.machine()}"
    return {
        "linux-x86_64": "linux", "linux-aarch64": "linux-arm",
        "macosx-arm64": "macos", "win-amd64": "windows",
    }.get(here, here)


def fitting(targets: list[dict[str, Any]]) -> dict[str, Any]:
    """The target that this computer and Python are, or a RuntimeError."""
    major, minor, micro = sys.version_info[:3]
    for target in targets:
        if (target["python"] == f"{major}.{minor}"
                and target["system"] == system()):
            return target
    served = "; ".join(target["title"] for target in targets)
    raise RuntimeError(
        f"this is Python {major}.{minor}.{micro} on {system()}, and the "
        f"bundle is for: {served}. Install such a Python, or have a bundle "
        "made for this one (labutils bundle --help).")


def verify(folder: Path, step: str = "") -> None:
    """Compare every file of a bundle with its list of SHA-256 sums; a
    RuntimeError names what is missing or damaged."""
    listed = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    print(f"{step}reading and verifying {len(listed)} files ...", flush=True)
    bad = []
    for line in listed:
        expected, name = line.split("  ", 1)
        try:
            with (folder / name).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != expected:
                bad.append(f"{name} is damaged")
        except FileNotFoundError:
            bad.append(f"{name} is missing")
        except OSError as error:
            bad.append(f"{name} cannot be read ({error.strerror})")
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise RuntimeError(
            f"this copy of the bundle is not whole: {', '.join(bad[:3])}"
            f"{more}. Nothing was installed. Copy the bundle again.")


def install(out: Path, target: dict[str, Any]) -> None:
    """Copy the course into a folder and give it a Python environment.

    Run again it repairs: the environment is made anew, files of the course
    are brought back, notebooks that are there stay. A RuntimeError says that
    the folder holds something else, that the disk is too full, or which step
    fails.
    """
    _check_folder(out, target["unpacked"])
    kept = copy_course(HERE / "course", out)
    words = f", keeping {kept} notebooks that are there" if kept else ""
    print(f"2 of 3: the course is in {out}{words}", flush=True)
    print(f"3 of 3: installing {target['wheels']} packages into "
          f"{out / '.venv'}; this takes some minutes ...", flush=True)
    programs = out / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    python, wheels = str(programs / "python"), HERE / "wheels"
    [pip] = wheels.glob("pip-*.whl")
    offline = ["install", "--quiet", "--disable-pip-version-check",
               "--no-index", f"--find-links={wheels}"]
    # Nobody's settings of pip and Python.
    environment = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("PIP_", "PYTHON"))
    } | {"PIP_CONFIG_FILE": os.devnull}
    # Not every Linux has ensurepip: pip comes from its wheel, which runs.
    for command in (
        [sys.executable, "-m", "venv", "--clear", "--without-pip", ".venv"],
        [python, str(pip / "pip"), *offline, "pip"],
        [python, "-m", "pip", *offline, "--constraint=constraints.txt",
         "--editable", ".[lab]"],
        [python, "-m", "labkit", "data"],
    ):
        done = subprocess.run(command, cwd=out, env=environment)
        if done.returncode:
            raise RuntimeError("this step failed, and its message stands "
                               f"above: {shlex.join(command)}")
    # For make in that folder: nothing is left to install.
    for name in ("made", "ready-lab"):
        (out / ".venv" / name).touch()
    if os.name == "nt":
        start = f'    cd "{out}"\n    .venv\\Scripts\\jupyter lab {START}'
    else:
        root = " --allow-root" if os.geteuid() == 0 else ""
        start = (f"    cd {shlex.quote(str(out))}\n"
                 f"    .venv/bin/jupyter lab{root} {START}")
    print(f"\nDone. To start:\n\n{start}\n")


def copy_course(course: Path, out: Path) -> int:
    """Copy a course's files; returns how many notebooks were there already,
    and stay as they are."""
    kept = 0
    for path in filter(Path.is_file, sorted(course.rglob("*"))):
        inside = path.relative_to(course)
        # What a student has worked on is not replaced.
        if inside.parts[0] == "notebooks" and (out / inside).exists():
            kept += 1
            continue
        (out / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / inside)
    return kept


def _check_folder(out: Path, needed: int) -> None:
    """Whether the course may go there, and has room."""
    if out.exists() and not out.is_dir():
        raise RuntimeError(f"{out} is a file. Name a folder.")
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    if found and not {"labutils", "notebooks", "pyproject.toml"} <= found:
        raise RuntimeError(
            f"{out} holds something else than this course. Name a new folder.")
    place = next(p for p in (out, *out.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < needed and ".venv" not in found:  # which is replaced
        raise RuntimeError(
            f"{out} needs {needed / 1e9:.1f} GB on its disk; "
            f"{free / 1e9:.1f} GB are free. Make room, or name a folder on "
            "another disk.")


if __name__ == "__main__":
    sys.exit(main())
