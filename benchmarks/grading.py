"""How long a class takes to grade, here and with nbgrader.

    python benchmarks/grading.py [--quick]

The honest part of the tests' class hands in notebook 1; both graders get the
same files, on the same cores, at one epoch. Then two students hand in all six
notebooks, solved, which tells what a whole submission costs. Writes
results/benchmarks/grading.txt.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import nbformat

from labkit.course import notebook_paths
from labstaff.grading import sandbox
from labstaff.grading.results import Graded
from labstaff.publish.release import STUB, student_notebook
from labutils import settings
from labutils.results import save_text

sys.path.insert(0, str(settings.home() / "tests"))

import classroom
import lesson

CONFIG = f"""
c = get_config()
c.CourseDirectory.course_id = "rnn"
c.ClearSolutions.code_stub = {{"python": {STUB!r}}}
"""
BIG = 1_000  # students


def timed(*arguments: str, cwd: Path) -> float:
    """Seconds of a command that has to succeed."""
    places = {
        name: str(cwd / ".settings" / name)
        for name in ("HOME", "USERPROFILE", "JUPYTER_CONFIG_DIR",
                     "JUPYTER_DATA_DIR", "IPYTHONDIR", "MPLCONFIGDIR")
    }
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]])
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, check=True,
        capture_output=True,
        env={**os.environ, **places, "PATH": path, "LABUTILS_EPOCHS": "1",
             "LABUTILS_DEVICE": "cpu", "OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - begin


def nbgrader_course(folder: Path, students: list[classroom.Student]) -> None:
    """A course of nbgrader's, with everybody's work handed in."""
    editions = classroom.Editions()
    lesson.write(folder / "nbgrader_config.py", CONFIG)
    lesson.write(folder / "source" / "rnn" / f"{classroom.NOTEBOOK}.ipynb",
                 nbformat.writes(editions.source["en"]))
    timed("nbgrader", "generate_assignment", "rnn", cwd=folder)
    for number, student in enumerate(students):
        path = folder / "submitted" / f"s{number}" / "rnn"
        lesson.write(path / f"{classroom.NOTEBOOK}.ipynb",
                     nbformat.writes(editions.of(student)))


def grade(submissions: Path, out: Path) -> float:
    return timed("labkit", "grade", str(submissions), "--out", str(out),
                 cwd=submissions.parent)


def against_nbgrader(folder: Path, count: int) -> list[str]:
    """The same class, graded by one and by the other."""
    honest = classroom.honest()[:count]
    students = [replace(one, whole=True) for one in honest]
    submissions = classroom.hand_in(folder / "submissions", students)
    nbgrader_course(folder / "nbgrader", students)
    own = grade(submissions, folder / "out")
    theirs = timed("nbgrader", "autograde", "rnn", cwd=folder / "nbgrader")
    return [
        f"{count} honest students, notebook 1, seconds",
        f"  labutils grade      {own:7.1f}  {own / count:5.2f} a student",
        f"  nbgrader autograde  {theirs:7.1f}  {theirs / count:5.2f} a "
        "student",
        f"  ratio               {own / theirs:7.2f}",
    ]


def whole_course(folder: Path, paths: list[Path]) -> list[str]:
    """What the notebooks cost, and so a large class."""
    for number in range(2):
        for path in paths:
            source = nbformat.read(path, as_version=4)
            work = lesson.solved(
                student_notebook(source), source, lesson.exercises(source))
            lesson.write(folder / "submissions" / f"student{number}" /
                         path.name, nbformat.writes(work))
    out = folder / "out"
    seconds = grade(folder / "submissions", out) / 2
    lines = ["two students, solved notebooks, seconds of a process"]
    for path in paths:
        found = [Graded.load(p) for p in out.rglob(f"{path.stem}.json")]
        mean = sum(g.seconds for g in found) / len(found)
        points = min(g.points for g in found)
        lines.append(f"  {path.stem:28s} {mean:6.1f}  {points:g} points")
    hours = BIG * seconds / 3600
    return [
        *lines,
        f"  a student's {len(paths)} notebooks take {seconds:.1f} s of this "
        f"machine; {BIG:,} students {hours:.1f} hours,",
        f"  {hours * (os.cpu_count() or 1):.0f} hours of one core",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true",
                        help="two students, and one notebook in place of six")
    quick = parser.parse_args().quick
    paths = notebook_paths()[:1] if quick else notebook_paths()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lines = [
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} "
            f"cores, Python {platform.python_version()}; sandbox: "
            f"{sandbox.describe(confined=True)}", "",
            *against_nbgrader(
                folder / "class", 2 if quick else len(classroom.honest())),
            "", *whole_course(folder / "course", paths),
        ]
    text = "\n".join(lines) + "\n"
    print(text)
    print(save_text("benchmarks", "grading.txt", text))


if __name__ == "__main__":
    main()
