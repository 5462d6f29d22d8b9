"""The commands of instructors and graders.

What a command needs it imports when it runs, so that the others do without.
"""

import argparse
import re
import webbrowser
from datetime import datetime
from pathlib import Path
from typing import Any

from labkit.__main__ import count

# Keys of publish.wheels.SYSTEMS and publish.bundle.EXTRAS.
SYSTEMS = ("linux", "linux-arm", "macos", "windows")
EDITIONS = ("student", "full")


def add(commands: Any) -> None:
    """Describe them all to argparse; the entry point in pyproject.toml."""
    _add_run(commands)
    _add_slides(commands)
    _add_site(commands)
    _add_release(commands)
    _add_grade(commands)
    _add_record(commands)
    _add_bundle(commands)
    _add_translate(commands)


def _add_notebooks(command: Any) -> None:
    command.add_argument("notebooks", nargs="*", metavar="NOTEBOOK",
                         help="a path or the beginning of a name; default: "
                         "all")


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="execute the notebooks without a browser",
        description="Execute notebooks into the results folder.",
        epilog="example: labutils run 03 04 --epochs 5",
    )
    _add_notebooks(run)
    run.add_argument("--epochs", type=count, metavar="N",
                     help="cap on every training's epochs")
    run.add_argument("--out", type=Path, metavar="DIR",
                     help="folder for executed copies and results; default: "
                     "the results folder")
    run.add_argument("--in-place", action="store_true",
                     help="write full runs back into the notebooks")
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from labstaff.execute import run

    return 0 if run(options.notebooks, options.epochs, options.out,
                    options.in_place) else 1


def _add_site(commands: Any) -> None:
    site = commands.add_parser(
        "site",
        help="write the explorer, or the course as a website",
        description="Write the explorer, a page in which an RNN, an LSTM and "
        "a GRU run; with --out the whole course as pages. None of them needs "
        "a server or a network.",
        epilog="example: labutils site --open",
    )
    site.add_argument("--out", type=Path, metavar="DIR",
                      help="folder of the whole site; default: the explorer "
                      "alone, among the results")
    site.add_argument("--train", action="store_true",
                      help="first train and keep the explorer's networks, on "
                      "the text that `labutils data` names; some minutes each")
    site.add_argument("--practice", action="store_true",
                      help="take the networks of the practice text")
    site.add_argument("--no-solutions", action="store_true",
                      help="show the stubs that students get")
    site.add_argument("--open", action="store_true",
                      help="open it in a browser")
    site.set_defaults(command=_site)


def _site(options: argparse.Namespace) -> int:
    from labstaff.site import explorer, networks
    from labutils import results, settings

    settings.check()
    if options.train:
        networks.train_all()
    kept = networks.networks(options.practice)
    if options.out is None:
        page = explorer.write(results.folder(networks.FOLDER), kept)
    else:
        from labstaff.site import course

        page = course.write(options.out, kept, not options.no_solutions)
    print(f"Open {page}")
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return 0


def _add_slides(commands: Any) -> None:
    slides = commands.add_parser(
        "slides",
        help="write the lecture's slides from the notebooks",
        description="Write reveal.js slides of the notebooks, a file for "
        "each that needs no network, and an index.html.",
        epilog="example: labutils slides 03 --no-solutions",
    )
    _add_notebooks(slides)
    slides.add_argument("--out", type=Path, metavar="DIR",
                        help="folder of the slides; default: slides/ among "
                        "the results")
    slides.add_argument("--no-solutions", action="store_true",
                        help="show the stubs that students get")
    slides.add_argument("--lang", choices=("en", "zh"), default="en",
                        help="language of the notebooks; default: en")
    slides.set_defaults(command=_slides)


def _slides(options: argparse.Namespace) -> int:
    from labstaff.slides.decks import write

    print(*write(options.notebooks, options.out, not options.no_solutions,
                 options.lang), sep="\n")
    return 0


def _add_release(commands: Any) -> None:
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
    _add_lang(release)
    release.set_defaults(command=_release)


def _add_lang(command: Any) -> None:
    command.add_argument("--lang", action="append", default=[],
                         choices=("en", "zh"), help="language of notebooks "
                         "and guide; can be repeated; default: all there are")


def _release(options: argparse.Namespace) -> int:
    from labstaff.publish.release import release

    print(release(options.out, options.lang))
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
    grade.add_argument("--notebook", action="append", default=[],
                       metavar="NAME", help="the beginning of the name of one "
                       "to grade, such as 03; can be repeated; default: all")
    grade.add_argument("--roster", type=Path, metavar="FILE",
                       help="the class, a number and a name in each line; it "
                       "settles whose a file is, and who is missing")
    grade.add_argument("--deadline", type=_time, metavar="TIME",
                       help="such as '2026-11-30 23:59'; what was saved later "
                       "is marked as late")
    grade.add_argument("--epochs", type=count, metavar="N", default=1,
                       help="cap on every training's epochs; default: 1")
    grade.add_argument("--jobs", type=count, metavar="N",
                       help="notebooks at the same time; default: as many as "
                       "there are cores")
    grade.add_argument("--again", action="append", default=[],
                       metavar="STUDENT", help="number or key of a student, "
                       "or the name as the table shows it, to grade once "
                       "more; can be repeated")
    grade.add_argument("--seed", type=int, metavar="N", default=0,
                       help="from which the inputs of all probes follow; "
                       "default: 0")
    grade.add_argument("--cell-seconds", type=count, metavar="N",
                       default=60, help="for a cell; default: 60")
    grade.add_argument("--notebook-seconds", type=count, metavar="N",
                       default=600, help="for a notebook; default: 600")
    grade.add_argument("--memory", type=count, metavar="GIB", default=3,
                       help="for a notebook; default: 3 GiB")
    grade.add_argument("--scheduler", metavar="ADDRESS",
                       help="of a Dask cluster, such as tcp://10.0.0.1:8786 "
                       "(needs the extra `cluster`)")
    grade.add_argument("--no-sandbox", action="store_true",
                       help="run what students have written as you, on your "
                       "files; only for notebooks that you trust")
    grade.set_defaults(command=_grade)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as '2026-11-30 23:59'") from None


def _grade(options: argparse.Namespace) -> int:
    from labstaff.grading.classroom import Settings, grade_class
    from labstaff.grading.sandbox import Limits

    graded = grade_class(
        options.submissions, options.out,
        Settings(options.epochs, options.seed, Limits(
            options.cell_seconds, options.notebook_seconds,
            options.memory * 2**30), not options.no_sandbox),
        processes=options.jobs, scheduler=options.scheduler,
        again=options.again, only=options.notebook,
        deadline=options.deadline, roster=options.roster,
    )
    students = {one.student for one in graded}
    print(f"{len(students)} students. Open {options.out / 'index.html'}")
    return 0


def _add_record(commands: Any) -> None:
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


def _record(options: argparse.Namespace) -> int:
    from labstaff.record import record

    for path in record(options.folders):
        print(f"{path.name} ({path.stat().st_size:,} bytes)")
    return 0


def _add_bundle(commands: Any) -> None:
    bundle = commands.add_parser(
        "bundle",
        help="write a folder that installs a room without a network",
        description="Write the course, the text and the wheels of every "
        "package into a folder, for a USB stick. DIR is new, empty or an "
        "earlier bundle, which is replaced.",
        epilog="example: labutils bundle --out bundle --for linux --for "
        "windows --python 3.11 --python 3.12",
    )
    bundle.add_argument("--out", type=Path, metavar="DIR", required=True,
                        help="folder of the bundle")
    bundle.add_argument("--edition", choices=EDITIONS, default="student",
                        help="default: student")
    _add_lang(bundle)
    bundle.add_argument("--for", dest="systems", choices=SYSTEMS,
                        action="append", default=[],
                        help="system of the room's computers; can be "
                        "repeated; default: this computer's")
    bundle.add_argument("--python", dest="pythons", type=_version,
                        metavar="VERSION", action="append", default=[],
                        help="the room's Python, such as 3.11; can be "
                        "repeated; default: the running one's")
    bundle.add_argument("--torch-index", metavar="ADDRESS",
                        help="package index that torch for Linux is taken "
                        "from (make bundle TORCH=cpu names PyTorch's own)")
    bundle.set_defaults(command=_bundle)


def _version(text: str) -> str:
    if not re.fullmatch(r"3\.(1[1-9]|[2-9]\d)", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a version such as 3.11, from 3.11 up"
        )
    return text


def _bundle(options: argparse.Namespace) -> int:
    from labstaff.publish.bundle import Options, bundle

    print(bundle(options.out, Options(
        options.edition, options.systems, options.pythons,
        options.torch_index, options.lang,
    )))
    return 0


def _add_translate(commands: Any) -> None:
    translate = commands.add_parser(
        "translate",
        help="bring the translated notebooks up to date",
        description="Write notebooks/LANGUAGE/*.po, in which a translator "
        "finds what is new or has changed, and the notebooks from them.",
        epilog="example: labutils translate",
    )
    translate.add_argument("--language", choices=("zh",), default="zh",
                           help="default: zh, Chinese")
    translate.set_defaults(command=_translate)


def _translate(options: argparse.Namespace) -> int:
    from labstaff.translate import translate

    left = translate(options.language)
    print(*left, f"{len(left)} left to do.", sep="\n")
    return 1 if left else 0
