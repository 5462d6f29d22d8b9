"""The command line: python -m labutils, or labutils where it is installed."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from labutils.commands import ALL, INSTRUCTORS
from labutils.doctor import mends, packages


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
        words = _missing(error, options.name)
        print(f"labutils: {words}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("labutils: interrupted", file=sys.stderr)
        return 130


def _missing(error: ModuleNotFoundError, command: str) -> str:
    """What to do about a package that a command needs and does not find."""
    package = str(error.name).partition(".")[0]
    if str(error.name).startswith("labutils.teaching"):
        words = (
            f"{command} belongs to the instructors' edition of the course."
        )
        if command == "run":
            words += (
                " To run a whole notebook, open it and use the menu: Run, "
                "Restart Kernel and Run All Cells."
            )
        return words
    if package == "labutils":
        raise error  # no package to install would help
    extra = next(
        (one.extra for one in packages.requirements()
         if packages.plain(one.name) == packages.plain(package)), "teach",
    )
    return (
        f"this command needs {package}, which is not installed here. Type: "
        f"{mends.install(extra or 'lab')}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="labutils",
        description="Commands of the course kit on recurrent networks.",
        epilog="example: labutils data (every command has its own --help)",
    )
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", dest="name"
    )
    students = find_spec("labutils.teaching") is None
    for command in ALL:
        unlisted = students and command in INSTRUCTORS
        command.add(_Unlisted(commands) if unlisted else commands)
    return parser


class _Unlisted:
    """Takes commands that answer, but that the help does not name."""

    def __init__(self, commands: Any) -> None:
        self.commands = commands

    def add_parser(self, name: str, help: str, **more: Any) -> Any:
        return self.commands.add_parser(name, **more)


if __name__ == "__main__":
    sys.exit(main())
