"""The command line: `labutils`, or python -m labkit where it is not there.

The commands of instructors join it through the entry points of the group
`labutils.commands`; an edition without them has nothing of that kind. What a
command needs it imports when it runs: the others do without, and the doctor
speaks where PyTorch does not import.
"""

import argparse
import datetime
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from labkit.doctor import PARTS, as_json, exit_code, mends, page
from labkit.terminal import wrapped
from labutils.files import say
from labutils.files import translated as _

# Commands that a student may have read of, and that instructors alone have.
INSTRUCTORS = ("run", "slides", "site", "release", "grade", "record", "bundle")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 for success, 1 for a failure that the last line
    explains. (A command that cannot be parsed ends with 2.)"""
    # Names may be Chinese, and an old terminal may know no Chinese.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not a stand-in of pytest's
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    # On a terminal a warning is a sentence, not a place in the source.
    warnings.formatwarning = lambda message, *at: f"labutils: {message}\n"
    try:
        return options.command(options)
    except (RuntimeError, ValueError, OSError) as error:
        code, words = 1, str(error)
    except ModuleNotFoundError as error:
        code, words = 1, _missing(error)
    except KeyboardInterrupt:
        code, words = 130, _("interrupted")
    print(f"labutils: {_(words)}", file=sys.stderr)
    return code


class _Help(argparse.HelpFormatter):
    """In the reader's language."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return _(action.help) if action.help else action.help

    def _format_text(self, text: str) -> str:
        return super()._format_text(_(text))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(wrapped(text, width, indent, indent))


def count(text: str) -> int:
    """An option's value: a whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        words = _(f"{text!r} is not a whole number from 1 up")
        raise argparse.ArgumentTypeError(words)
    return int(text)


def _missing(error: ModuleNotFoundError) -> str:
    """What to do about a package that a command needs and does not find."""
    package = str(error.name).partition(".")[0]
    if package in ("labutils", "labkit", "labstaff"):
        raise error  # no package to install would help
    return (
        f"this command needs {package}, which is not installed here. Type: "
        f"{mends.install(mends.extra_of(package) or 'teach')}")


def _parser() -> argparse.ArgumentParser:
    vars(argparse)["_"] = _  # in place of gettext's, which has no catalogue
    new_parser: Any = partial(argparse.ArgumentParser, formatter_class=_Help)
    parser = new_parser(
        prog="labutils",
        description="Commands of the course kit on recurrent networks.",
        epilog="example: labutils data (every command has its own --help)")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", dest="name",
        parser_class=new_parser)
    describe(commands, COMMANDS)
    for point in entry_points(group="labutils.commands"):
        try:
            point.load()(commands)
        except ModuleNotFoundError:  # removed since it was installed
            continue
    for name in set(INSTRUCTORS) - set(commands.choices):
        # No help=, so that the list of commands leaves it out. Whatever
        # follows is taken: no word can begin with that prefix.
        absent = commands.add_parser(name, add_help=False, prefix_chars="\0")
        absent.add_argument("rest", nargs="*")
        absent.set_defaults(command=_not_here)
    return parser


def _not_here(options: argparse.Namespace) -> int:
    words = (
        f"{options.name} belongs to the instructors' edition of the course.")
    if options.name == "run":
        words += (" To run a whole notebook, open it and use the menu: Run, "
                  "Restart Kernel and Run All Cells.")
    raise RuntimeError(words)


def describe(commands: Any, table: Mapping[str, tuple[Any, ...]]) -> None:
    """Describe the commands of a table, such as COMMANDS, to argparse."""
    for name, (run, title, words, example, *options) in table.items():
        command = commands.add_parser(
            name, help=title, description=words, epilog=example)
        command.set_defaults(command=run)
        for names, settings in options:
            command.add_argument(*names, **settings)


def option(*names: str, **settings: Any) -> tuple[Any, ...]:
    """An argument, as argparse takes it."""
    return names, settings


def _data(options: argparse.Namespace) -> int:
    from labutils import corpus, settings

    if options.source and options.action != "fetch":
        raise ValueError("--from goes with fetch: labutils data fetch --from")
    if options.action == "show":
        cached = settings.data_dir() / corpus.FILE_NAME
        say(f"LABUTILS_TEXT: {settings.text() or 'not set'}")
        state = _("there") if cached.exists() else _("not there")
        say(f"data folder:   {cached} ({state})")
        say(corpus.find_corpus(download=False))
        return 0
    try:
        path = (corpus.adopt(options.source) if options.source
                else corpus.fetch(again=True).path)
    except corpus.DownloadError as error:
        raise RuntimeError(f"{error} {_(corpus.WAYS_TO_GET_IT)}") from error
    say(f"{corpus.TIME_MACHINE}: verified and stored as {path}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from labkit.doctor.examine import examine

    sections = examine(options.seconds, options.only or PARTS)
    print(as_json(sections) if options.json else page(sections))
    return exit_code(sections)


def _reset(options: argparse.Namespace) -> int:
    from labkit.reset import reset

    if options.all == bool(options.notebooks):
        raise ValueError("name the notebooks to reset, such as 03, or say "
                         "--all, and not both.")
    lines = reset(options.notebooks)
    say("\n".join(lines))
    if not all(line.endswith("nothing to do") for line in lines):
        say("Where one is open in JupyterLab: menu File, Reload Notebook "
            "from Disk.")
    return 0


def _report(options: argparse.Namespace) -> int:
    from labkit.report.write import Student, write_report

    student = Student(options.id, options.name, options.lab, options.major,
                      options.date)
    for path in write_report(
        student, options.lang, options.notebooks, options.out,
        pdf=options.pdf, archive=options.zip,
        allow_incomplete=options.allow_incomplete,
    ):
        say(f"wrote {path}")
    return 0


# Of each command: what runs it, its line in the list, its description, an
# example, its options.
COMMANDS: dict[str, tuple[Any, ...]] = {
    "data": (
        _data, "show which text is used, or get The Time Machine",
        "Show which text the notebooks use, or get the book's.",
        "example: labutils data fetch --from ~/timemachine.txt",
        option("action", nargs="?", choices=("show", "fetch"),
               default="show"),
        option("--from", dest="source", type=Path, metavar="FILE",
               help="with fetch: take this copy, do not download"),
    ),
    "doctor": (
        _doctor, "check this machine, and say what mends it",
        "Check Python, packages, kernel, text, machine and folders. Needs no "
        "network, changes nothing and takes less than ten seconds. Where "
        "something is bad, the line below it mends it. Exit code: 0 all is "
        "well, 1 works, with warnings, 2 something does not work.",
        "example: labutils doctor --only notebooks",
        option("--json", action="store_true",
               help="print the same for a program"),
        option("--seconds", type=count, metavar="N", default=10,
               help="how long it may take; default: 10, which a slow or busy "
               "machine may exceed"),
        option("--only", metavar="PART", action="append", choices=PARTS,
               help="look at this alone, such as once more after mending it; "
               f"can be repeated: {', '.join(PARTS)}"),
    ),
    "report": (
        _report, "write the lab report from the executed notebooks",
        "Write one document from the executed notebooks and their results: "
        "<id>-<name>-Lab-<n>.html. What is missing is listed first; then "
        "nothing is written, unless it is allowed.",
        'example: labutils report --id 20231234 --name "Name" --lab 4 --pdf '
        "--zip",
        option("--id", required=True, metavar="NUMBER",
               help="your student number"),
        option("--name", required=True, help="your name"),
        option("--lab", required=True, type=count, metavar="N",
               help="the report's number"),
        option("--major", default="", help="your major"),
        option("--date", help="of the experiment; default: today",
               default=datetime.date.today().isoformat()),
        option("--lang", choices=("zh", "en"), default="zh",
               help="language of titles and labels; default: zh"),
        option("--pdf", action="store_true",
               help="also as PDF, through Chromium, Chrome or Edge"),
        option("--zip", action="store_true",
               help="also a zip file of report and notebooks, to hand in"),
        option("--out", type=Path, metavar="DIR", help="where to write; "
               "default: report/ in the results folder"),
        option("--notebooks", type=Path, metavar="DIR",
               help="take the notebooks from here alone; default: notebooks/ "
               "or the results folder, whichever was executed last"),
        option("--allow-incomplete", action="store_true",
               help="write it although something is missing, with a list of "
               "it on the first page"),
    ),
    "reset": (
        _reset, "bring notebooks back to their committed state",
        "Take notebooks from git's last commit. What was there is kept beside "
        "them, with the time in its name; no other file is touched.",
        "example: labutils reset 03 04",
        option("notebooks", nargs="*", metavar="NOTEBOOK",
               help="the beginning of a name in notebooks/"),
        option("--all", action="store_true", help="all the notebooks"),
    ),
}


if __name__ == "__main__":
    sys.exit(main())
