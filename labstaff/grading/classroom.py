"""Grade a class: from a folder of submissions to a table and its pages."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from labkit.course import matching
from labstaff.grading import pages, pool, sandbox
from labstaff.grading.archives import limited
from labstaff.grading.intake import Submission, find
from labstaff.grading.matching import CourseNotebook, course
from labstaff.grading.results import Graded, GradeError, Job, Settings, Status
from labutils.corpus import find_corpus
from labutils.files import write_atomically

SETTINGS = "settings.json"
LOCK = "lock"
LOOK = "LOOK AT IT"  # in notes that are the grader's alone


def grade_class(submissions: Path, out: Path, settings: Settings, *,
                processes: int | None = None, scheduler: str | None = None,
                again: Sequence[str] = (), only: Sequence[str] = (),
                deadline: datetime | None = None, roster: Path | None = None,
                say: Callable[[str], None] = print) -> list[Graded]:
    """Grade what is not graded yet, write the reports, return all results.

    Args:
        out: folder of results; that of an earlier run, which goes on, needs
            the same settings.
        processes, only: the options --jobs and --notebook; the others have
            their own names.
        say: shows a line of progress.

    Raises:
        GradeError, NotebookError: with what to do.
    """
    out = out.expanduser().resolve()
    submissions = submissions.expanduser().resolve()
    if out == submissions or submissions in out.parents:
        raise GradeError(f"{out} lies among the submissions. Name another "
                         "folder for the results.")
    out.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(out / LOCK).acquire(timeout=0)
    except Timeout:
        raise GradeError(
            f"Another grading writes into {out} at this moment. Wait for its "
            "end, or name another folder.") from None
    with lock, pool.workers(processes, scheduler) as (executor, at_once):
        _keep_settings(out, settings)
        every = course()
        wanted = {file for name in only for file in matching(
            name, [notebook.stem for notebook in every])}
        notebooks = [n for n in every if not only or n.stem in wanted]
        students, said = find(submissions, notebooks, roster,
                              partial(limited, pool.CONTEXT))
        _forget(out, students, again)
        # On a cluster, it is the workers that need one.
        if settings.sandbox and not scheduler and (why := sandbox.fault()):
            raise GradeError(f"{why} Or say --no-sandbox: what students have "
                             "written then runs as you, on your files.")
        if sandbox.describe(settings.sandbox) == "none":
            say("labutils: NO SANDBOX, as you asked: what students have "
                "written runs as you.")
        if (text := find_corpus().path) is None:
            said.insert(0, "The Time Machine was not found: all notebooks ran "
                        "on the practice text.")
        for line in said:
            say(f"LOOK: {line}")
        jobs, others = _jobs(students, notebooks, settings, text)
        graded = [*pool.run(jobs, out, executor, say, at_once), *others]
        names = {student.key: student.name for student in students}
        graded, problems = pages.enter(out, names, graded)
        told = _told(graded, students, deadline)
        problems += [f"{names[one.student]}: {doubt}" for one in told
                     for doubt in one.doubts if LOOK in doubt]
        for line in problems:
            say(f"LOOK: {line}")
        pages.write_reports(out, names, told, notebooks, [*said, *problems])
    return graded


def _keep_settings(out: Path, settings: Settings) -> None:
    """Results of different settings must not stand in one table."""
    path, own = out / SETTINGS, json.dumps(asdict(settings), indent=1) + "\n"
    if not path.exists():
        if any(p.name != LOCK for p in out.iterdir()):
            raise GradeError(f"{out} is not empty and no folder of an earlier "
                             "grading. Name a new folder.")
        write_atomically(path, own.encode("utf-8"))
    before, own = (" ".join(text.split()) for text in (
        path.read_text(encoding="utf-8", errors="replace"), own))
    if before != own:
        raise GradeError(f"{out} was begun with other settings ({before}); "
                         f"these are {own}. Take the same ones, or a new "
                         "folder.")


def _forget(out: Path, students: list[Submission],
            again: Sequence[str]) -> None:
    """Remove the results of the students to be graded once more."""
    for wanted in again:
        found = [s for s in students if wanted in (s.key, s.name)
                 or s.key.startswith(f"{wanted}-")
                 or s.name.endswith(f" {wanted}")]
        if len(found) != 1:
            keys = ", ".join(s.key for s in found or students[:5])
            raise GradeError(
                f"--again {wanted}: {len(found)} students match; "
                f"expected one, such as {keys}.")
        shutil.rmtree(out / "graded" / found[0].key, ignore_errors=True)


def _jobs(
    students: list[Submission], notebooks: list[CourseNotebook],
    settings: Settings, text: Path | None,
) -> tuple[list[Job], list[Graded]]:
    """What is to be run, and the results of what cannot be."""
    jobs: list[Job] = []
    others = []
    for student in students:
        for notebook in notebooks:
            if found := student.files.get(notebook.stem):
                jobs.append(Job(
                    student.key, notebook, found.notebook, found.digest,
                    settings, text, len(jobs), tuple(found.notes)))
            else:
                refused = student.why_not(notebook.stem)
                others.append(Graded.without_points(
                    student.key, notebook, Status.NOT_ATTEMPTED,
                    refused or "It was not handed in.",
                    "refused" if refused else "missing",
                    notes=filter(None, refused.split("; "))))
    return jobs, others


def _told(graded: Sequence[Graded], students: Sequence[Submission],
          deadline: datetime | None) -> list[Graded]:
    """The results with what is known of the files by now."""
    own = {student.key: student for student in students}
    found = []
    for one in graded:
        student = own[one.student]
        late, file = "", student.files.get(one.notebook)
        doubts = [*student.doubts, *(n for n in one.notes if LOOK in n)]
        if deadline and file:
            came, after = (file.times[i] - deadline.timestamp()
                           for i in (0, -1))
            if after > 0:
                late = (f"{after / 86400:.1f} days" if after > 86400
                        else f"{after / 3600:.1f} hours")
            elif came > 0 and all(one.inside for one in student.entries):
                doubts.append(f"{file.path}: by the platform's date it was "
                              "handed in after the deadline, by its own saved "
                              "before.")
        names = ", ".join(entry.name for entry in student.entries)
        found.append(replace(
            one, late=late, file=student.chosen.get(
                one.notebook, names if one.state == "refused" else ""),
            notes=[*student.notes, *(
                note for note in one.notes
                if LOOK not in note and f"{note}." not in student.notes)],
            doubts=doubts))
    return found
