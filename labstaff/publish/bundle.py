"""Write the bundle: a folder that installs a room of computers offline."""

import json
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from labstaff.publish import folder, release, wheels
from labstaff.publish.stick import install
from labstaff.publish.wheels import SYSTEMS, Target
from labutils import corpus

STICK = Path(__file__).parent / "stick"
ABOUT = "bundle.json"
COMPILED = 1.3  # size of an environment with the compiled files, to without
NO_BOOK = (
    "NO COPY OF THE TIME MACHINE IS IN THE BUNDLE: the room will work on the "
    f"practice text. {corpus.WAYS_TO_GET_IT} Then make the bundle again."
)


def bundle(
    out: Path, systems: Sequence[str] = (), pythons: Sequence[str] = (),
    torch_index: str | None = None, languages: Sequence[str] = (),
) -> str:
    """Write a bundle into a folder, whole or not at all. Returns what was
    written, in lines.

    Args:
        systems: keys of SYSTEMS; none means this computer's.
        pythons: versions such as "3.11"; none means the running one's.
        torch_index: where torch for Linux is taken from, if not where all the
            other packages are.
        languages: as for `release.edition`, with its errors.

    Raises:
        CorpusError: LABUTILS_TEXT names something that is not the book.
        RuntimeError: a wheel is missing, this computer is none of SYSTEMS, or
            `out` holds something else than an earlier bundle, or is part of
            the course.
    """
    out = folder.check(out, (install.SUMS, ABOUT))
    targets = _targets(systems, pythons)
    with warnings.catch_warnings():
        # The bundle has words of its own for this.
        warnings.simplefilter("ignore", corpus.PracticeTextWarning)
        text = corpus.find_corpus()
    lines: list[str] = []
    notes = [] if text.path else [NO_BOOK]
    if notes:  # before the downloads, and once more after them
        print(NO_BOOK, file=sys.stderr, flush=True)

    def fill(new: Path) -> None:
        print("The course ...", flush=True)
        course = new / "course"
        files, _ = release.edition(languages)
        if text.path:
            files[f"data/{corpus.FILE_NAME}"] = text.text.encode("utf-8")
        folder.write(course, files)
        found = [_add_wheels(new, target, torch_index) for target in targets]
        about = {"text": text.name, "targets": found}
        folder.write(new, {
            ABOUT: (json.dumps(about, indent=1) + "\n").encode("utf-8"),
            **_papers(about),
        })
        for name in ("course", "wheels"):
            sizes = [path.stat().st_size for path in (new / name).rglob("*")
                     if path.is_file()]
            lines.append(
                f"{name}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB")
        lines.extend(
            f"{one['title']}: {one['wheels']} wheels, "
            f"{one['bytes'] / 1e6:.0f} MB; installed "
            f"{one['unpacked'] / 1e9:.1f} GB" for one in found)

    notes += folder.replace(out, fill, install.SUMS)
    return "\n".join([
        f"Bundle: {out}", *lines, f"Text: {text.name}", *notes,
        "Copy the whole folder to a USB stick. Its README.md says how to "
        "install from it."])


def _targets(systems: Sequence[str], pythons: Sequence[str]) -> list[Target]:
    """Each system with each Python."""
    here = install.system()
    if not systems and here not in SYSTEMS:
        raise RuntimeError(
            f"This computer ({here}) is none that a bundle can be made for. "
            f"Name others with --for: {', '.join(SYSTEMS)}.")
    running = ".".join(map(str, sys.version_info[:2]))
    return [Target(*both) for both in product(
        dict.fromkeys(systems or [here]), dict.fromkeys(pythons or [running]))]


def _add_wheels(
    new: Path, target: Target, torch_index: str | None
) -> dict[str, Any]:
    """Collect a target's wheels; returns what bundle.json says of it."""
    print(f"Wheels for {target} ...", flush=True)
    course, all_wheels = new / "course", new / "wheels"
    all_wheels.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=new) as name:
        place = Path(name)
        wheels.collect(
            wheels.course_requirements(course / "pyproject.toml", "lab"),
            target, course / "constraints.txt", place, torch_index)
        about: dict[str, Any] = {
            "system": target.system, "python": target.python,
            "title": str(target), "wheels": 0, "bytes": 0, "unpacked": 0}
        for path in place.glob("*.whl"):
            about["wheels"] += 1
            about["bytes"] += path.stat().st_size
            with zipfile.ZipFile(path) as wheel:
                about["unpacked"] += round(COMPILED * sum(
                    info.file_size for info in wheel.infolist()))
            # One for all systems may be there already: it is the same.
            path.replace(all_wheels / path.name)
    return about


def _papers(about: dict[str, Any]) -> dict[str, bytes]:
    """The install scripts and the page that explains them."""
    targets = about["targets"]
    values = {
        "{versions}": " ".join(dict.fromkeys(x["python"] for x in targets)),
        "{text}": about["text"],
        "{space}": f"{max(x['unpacked'] for x in targets) / 1e9:.1f}",
        "{targets}": "\n".join(f"* {x['title']}" for x in targets),
    }
    files = {}
    for name in ("README.md", "install.bat", "install.py", "install.sh"):
        text = (STICK / name).read_text(encoding="utf-8")
        for word, value in values.items() if name != "install.py" else ():
            text = text.replace(word, value)
        # cmd.exe misses a label in a file with line ends of Unix.
        ends = "\r\n" if name.endswith(".bat") else "\n"
        files[name] = text.replace("\n", ends).encode("utf-8")
    return files
