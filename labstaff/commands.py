"""The commands of instructors and graders: what runs each, and its options.

What a command needs it imports when it runs, so that the others do without.
"""

import argparse
import re
import webbrowser
from datetime import datetime
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from labkit.__main__ import count, describe
from labkit.__main__ import option as _option
from labutils.files import say

# Keys of publish.wheels.SYSTEMS.
SYSTEMS = ("linux", "linux-arm", "macos", "windows")


# ---- what runs


def _call(function: str, options: argparse.Namespace) -> int:
    """Call a function of labstaff with the command's options, and print what
    it gives back, or end as it says."""
    given = {name: value for name, value in vars(options).items()
             if name not in ("name", "command")}
    found = resolve_name(f"labstaff.{function}")(**given)
    if isinstance(found, bool):
        return 0 if found else 1
    print(*([found] if isinstance(found, str) else found), sep="\n")
    return 0


def _site(options: argparse.Namespace) -> int:
    from labstaff.site import explorer
    from labutils import results, settings

    settings.check()
    if options.train:
        explorer.train_all()
    kept = explorer.networks(options.practice)
    if options.out is None:
        page = explorer.write(results.folder(explorer.FOLDER), kept)
    else:
        from labstaff.site import course

        page = course.write(options.out, kept, options.solutions)
    print(f"Open {page}")
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return 0


def _grade(options: argparse.Namespace) -> int:
    from labstaff.grading.classroom import Settings, grade_class
    from labstaff.grading.sandbox import Limits

    limits = Limits(options.cell_seconds, options.notebook_seconds,
                    options.memory * 2**30)
    graded = grade_class(
        options.submissions, options.out,
        Settings(options.epochs, options.seed, limits, not options.no_sandbox),
        processes=options.jobs, scheduler=options.scheduler,
        again=options.again, only=options.notebook,
        deadline=options.deadline, roster=options.roster, say=say)
    say(f"{len({one.student for one in graded})} students. Open "
        f"{options.out / 'index.html'}")
    return 0


def _translate(options: argparse.Namespace) -> int:
    from labstaff.translate import translate

    left = translate()
    print(*left, f"{len(left)} left to do.", sep="\n")
    return 1 if left else 0


# ---- what is typed


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as '2026-11-30 23:59'") from None


def _version(text: str) -> str:
    if not re.fullmatch(r"3\.(1[1-9]|[2-9]\d)", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a version such as 3.11, from 3.11 up")
    return text


def _folder(help: str, required: bool = False) -> tuple[Any, ...]:
    return _option("--out", type=Path, metavar="DIR", required=required,
                   help=help)


NOTEBOOKS = _option("names", nargs="*", metavar="NOTEBOOK", help="a path "
                    "or the beginning of a name; default: all")
NO_SOLUTIONS = _option("--no-solutions", dest="solutions",
                       action="store_false",
                       help="show the stubs that students get")
LANGUAGES = _option("--lang", dest="languages", action="append", default=[],
                    choices=("en", "zh"), help="language of notebooks and "
                    "guide; can be repeated; default: all there are")
# Of each command: what runs it (a function here, or one of labstaff that takes
# the options by their names), its line in the list, its description, an
# example, its options.
COMMANDS: dict[str, tuple[Any, ...]] = {
    "run": (
        "execute:run", "execute the notebooks without a browser",
        "Execute notebooks into the results folder.",
        "run 03 04 --epochs 5",
        NOTEBOOKS,
        _option("--epochs", type=count, metavar="N",
                help="cap on every training's epochs"),
        _folder("folder for executed copies and results; default: the "
                "results folder"),
        _option("--in-place", action="store_true",
                help="write full runs back into the notebooks"),
    ),
    "slides": (
        "slides.decks:write", "write the lecture's slides from the notebooks",
        "Write reveal.js slides of the notebooks, a file for each that needs "
        "no network, and an index.html.",
        "slides 03 --no-solutions",
        NOTEBOOKS,
        _folder("folder of the slides; default: slides/ among the results"),
        NO_SOLUTIONS,
        _option("--lang", dest="language", choices=("en", "zh"), default="en",
                help="language of the notebooks; default: en"),
    ),
    "site": (
        _site, "write the explorer, or the course as a website",
        "Write the explorer, a page in which an RNN, an LSTM and a GRU run; "
        "with --out the whole course as pages. None of them needs a server "
        "or a network.",
        "site --open",
        _folder("folder of the whole site; default: the explorer alone, "
                "among the results"),
        _option("--train", action="store_true",
                help="first train and keep the explorer's networks, on the "
                "text that `labutils data` names; some minutes each"),
        _option("--practice", action="store_true",
                help="take the networks of the practice text"),
        NO_SOLUTIONS,
        _option("--open", action="store_true", help="open it in a browser"),
    ),
    "release": (
        "publish.release:release",
        "write the student edition, without solutions",
        "Write the student edition: notebooks without solutions, the "
        "package, a guide. DIR is new, empty or an earlier release, which is "
        "replaced (a Git repository in it stays).",
        "release --out ../students",
        _folder("folder of the student edition", required=True),
        LANGUAGES,
    ),
    "grade": (
        _grade, "grade a class of notebooks",
        "Grade what a class has handed in: each notebook in a sandbox of its "
        "own, several at once. DIR is new, or that of an earlier run, which "
        "goes on where it was.",
        "grade submissions/ --out graded/",
        _option("submissions", type=Path, metavar="SUBMISSIONS",
                help="folder, or zip file, of folders, zip files or "
                "notebooks, one for each student"),
        _folder("folder of the results", required=True),
        _option("--notebook", action="append", default=[], metavar="NAME",
                help="the beginning of the name of one to grade, such as 03; "
                "can be repeated; default: all"),
        _option("--roster", type=Path, metavar="FILE",
                help="the class, a number and a name in each line; it "
                "settles whose a file is, and who is missing"),
        _option("--deadline", type=_time, metavar="TIME",
                help="such as '2026-11-30 23:59'; what was saved later is "
                "marked as late"),
        _option("--epochs", type=count, metavar="N", default=1,
                help="cap on every training's epochs; default: 1"),
        _option("--jobs", type=count, metavar="N", help="notebooks at the "
                "same time; default: as many as there are cores"),
        _option("--again", action="append", default=[], metavar="STUDENT",
                help="number or key of a student, or the name as the table "
                "shows it, to grade once more; can be repeated"),
        _option("--seed", type=int, metavar="N", default=0, help="from which "
                "the inputs of all probes follow; default: 0"),
        _option("--cell-seconds", type=count, metavar="N", default=60,
                help="for a cell; default: 60"),
        _option("--notebook-seconds", type=count, metavar="N", default=600,
                help="for a notebook; default: 600"),
        _option("--memory", type=count, metavar="GIB", default=3,
                help="for a notebook; default: 3 GiB"),
        _option("--scheduler", metavar="ADDRESS", help="of a Dask cluster, "
                "such as tcp://10.0.0.1:8786 (needs the extra `cluster`)"),
        _option("--no-sandbox", action="store_true",
                help="run what students have written as you, on your files; "
                "only for notebooks that you trust"),
    ),
    "record": (
        "record:record", "keep the histories of full runs as recorded runs",
        "Write labutils/recorded from the results of full runs.",
        "record results results-of-seed-1",
        _option("folders", nargs="*", type=Path, metavar="FOLDER",
                help="results of full runs, one for each seed; the first "
                "one's can be replayed; default: results"),
    ),
    "bundle": (
        "publish.bundle:bundle",
        "write a folder that installs a room without a network",
        "Write the course, the text and the wheels of every package into a "
        "folder, for a USB stick. DIR is new, empty or an earlier bundle, "
        "which is replaced.",
        "bundle --out bundle --for linux --for windows --python 3.11 "
        "--python 3.12",
        _folder("folder of the bundle", required=True),
        LANGUAGES,
        _option("--for", dest="systems", choices=SYSTEMS, action="append",
                default=[], help="system of the room's computers; can be "
                "repeated; default: this computer's"),
        _option("--python", dest="pythons", type=_version, metavar="VERSION",
                action="append", default=[], help="the room's Python, such "
                "as 3.11; can be repeated; default: the running one's"),
        _option("--torch-index", metavar="ADDRESS",
                help="package index that torch for Linux is taken from (make "
                "bundle TORCH=cpu names PyTorch's own)"),
    ),
    "translate": (
        _translate, "bring the translated notebooks up to date",
        "Write notebooks/LANGUAGE/*.po, in which a translator finds what is "
        "new or has changed, and the notebooks from them.",
        "translate",
    ),
}


def add(commands: Any) -> None:
    """Describe them all to argparse; the entry point in pyproject.toml."""
    describe(commands, {
        name: (partial(_call, run) if isinstance(run, str) else run, title,
               words, f"example: labutils {example}", *options)
        for name, (run, title, words, example, *options) in COMMANDS.items()})
