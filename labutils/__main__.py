"""The command line: python -m labutils, or labutils where it is installed."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labutils import corpus, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 for success, 1 for a failure that the last line explains. (A
        command that cannot be parsed ends with 2.)
    """
    options = _parser().parse_args(arguments)
    # On a terminal a warning is a sentence, not a place in the source.
    warnings.formatwarning = lambda message, *_: f"labutils: {message}\n"
    try:
        return options.command(options)
    except (RuntimeError, ValueError, OSError) as error:
        print(f"labutils: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"labutils: {_missing(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("labutils: interrupted", file=sys.stderr)
        return 130


def _missing(error: ModuleNotFoundError) -> str:
    """What to do about a package that a command needs and does not find."""
    package = str(error.name).partition(".")[0]
    if str(error.name).startswith("labutils.teaching"):
        return (
            "this command belongs to the instructors' edition of the course. "
            "To run a whole notebook, open it and use the menu: Run, Restart "
            "Kernel and Run All Cells."
        )
    if package == "labutils":
        raise error  # no package to install would help
    return (
        f"this command needs {package}, which is not installed. In the "
        "course's folder: python -m pip install -c constraints.txt -e "
        '".[teach]"'
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="labutils",
        description="Commands of the course kit on recurrent networks.",
        epilog="example: labutils data (every command has its own --help)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    data = commands.add_parser(
        "data",
        help="show which text is used, or get The Time Machine",
        description="Show which text the notebooks use, or get the book's.",
        epilog="example: labutils data fetch --from ~/timemachine.txt",
    )
    data.add_argument("action", nargs="?", choices=("show", "fetch"),
                      default="show")
    data.add_argument("--from", dest="source", type=Path, metavar="FILE",
                      help="with fetch: take this copy, do not download")
    data.set_defaults(command=_data)
    run = commands.add_parser(
        "run",
        help="execute the notebooks without a browser",
        description="Execute notebooks into the results folder.",
        epilog="example: labutils run 03 04 --epochs 5",
    )
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK",
                     help="a path or the beginning of a name; default: all")
    run.add_argument("--epochs", type=_count, metavar="N",
                     help="cap on every training's epochs")
    run.add_argument("--out", type=Path, metavar="DIR",
                     help="folder for executed copies and results")
    run.add_argument("--in-place", action="store_true",
                     help="write full runs back into the notebooks")
    run.set_defaults(command=_run)
    record = commands.add_parser(
        "record",
        help="keep the histories of full runs as recorded runs",
        description="Write labutils/recorded from the results of full runs.",
        epilog="example: labutils record results results-of-seed-1",
    )
    record.add_argument("folders", nargs="*", type=Path, metavar="FOLDER",
                        help="results of full runs, one for each seed; the "
                        "first one's can be replayed; default: results")
    record.set_defaults(command=_record)
    release = commands.add_parser(
        "release",
        help="write the student edition, without solutions",
        description="Write the student edition: notebooks without solutions, "
        "the package, a guide. DIR is new, empty or an earlier release, which "
        "is replaced (a Git repository in it stays).",
        epilog="example: labutils release --out ../students",
    )
    release.add_argument("--out", type=Path, metavar="DIR", required=True,
                         help="folder of the student edition")
    release.set_defaults(command=_release)
    _add_grade(commands)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 1 up"
        )
    return int(text)


def _data(options: argparse.Namespace) -> int:
    if options.source and options.action != "fetch":
        raise ValueError("--from goes with fetch: labutils data fetch --from")
    if options.action == "show":
        return _show()
    path: Path | None
    if options.source:
        path = corpus.adopt(options.source)
    else:
        from labutils import download

        try:
            path = download.fetch(again=True).path
        except download.DownloadError as error:
            raise RuntimeError(f"{error} {corpus.WAYS_TO_GET_IT}") from error
    print(f"{corpus.TIME_MACHINE}: verified and stored as {path}")
    return 0


def _show() -> int:
    """Where a text is looked for, and what is there; downloads nothing."""
    cached = settings.data_dir() / corpus.FILE_NAME
    print(f"LABUTILS_TEXT: {settings.text() or 'not set'}")
    state = "there" if cached.exists() else "not there"
    print(f"data folder:   {cached} ({state})")
    found = corpus.find_corpus(download=False)
    print(found)
    return 0


def _run(options: argparse.Namespace) -> int:
    # nbclient is an instructor's tool: the other commands do without it.
    from labutils.teaching.execute import run

    done = run(
        options.notebooks, options.epochs, options.out, options.in_place
    )
    return 0 if done else 1


def _record(options: argparse.Namespace) -> int:
    from labutils.teaching.record import record

    for path in record(options.folders):
        print(f"{path.name} ({path.stat().st_size:,} bytes)")
    return 0


def _add_grade(commands: Any) -> None:
    grade = commands.add_parser(
        "grade",
        help="grade a class of notebooks",
        description="Grade what a class has handed in: each notebook in a "
        "sandbox of its own, several at once. DIR is new, or that of an "
        "earlier run, which goes on where it was.",
        epilog="example: labutils grade submissions/ --out graded/",
    )
    grade.add_argument("submissions", type=Path, metavar="SUBMISSIONS",
                       help="folder, or zip file, of folders, zip files or "
                       "notebooks, one for each student")
    grade.add_argument("--out", type=Path, metavar="DIR", required=True,
                       help="folder of the results")
    grade.add_argument("--epochs", type=_count, metavar="N", default=1,
                       help="cap on every training's epochs; default: 1")
    grade.add_argument("--jobs", type=_count, metavar="N",
                       help="notebooks at the same time; default: as many as "
                       "there are cores")
    grade.add_argument("--again", action="append", default=[],
                       metavar="STUDENT", help="number, name or key of a "
                       "student to grade once more; can be repeated")
    grade.add_argument("--seed", type=int, metavar="N", default=0,
                       help="from which the inputs of all probes follow")
    grade.add_argument("--cell-seconds", type=_count, metavar="N",
                       default=60, help="for a cell; default: 60")
    grade.add_argument("--notebook-seconds", type=_count, metavar="N",
                       default=600, help="for a notebook; default: 600")
    grade.add_argument("--memory", type=_count, metavar="GIB", default=3,
                       help="for a notebook; default: 3 GiB")
    grade.add_argument("--scheduler", metavar="ADDRESS",
                       help="of a Dask cluster, such as tcp://10.0.0.1:8786 "
                       "(needs the extra `cluster`)")
    grade.set_defaults(command=_grade)


def _grade(options: argparse.Namespace) -> int:
    from labutils.teaching.grading.classroom import Settings, grade_class
    from labutils.teaching.grading.sandbox import Limits

    graded = grade_class(
        options.submissions, options.out,
        Settings(options.epochs, options.seed, Limits(
            options.cell_seconds, options.notebook_seconds,
            options.memory * 2**30)),
        processes=options.jobs, scheduler=options.scheduler,
        again=options.again,
    )
    students = {one.student for one in graded}
    print(f"{len(students)} students. Open {options.out / 'index.html'}")
    return 0


def _release(options: argparse.Namespace) -> int:
    # nbgrader is an instructor's tool as well.
    from labutils.teaching.release import release

    print(release(options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
