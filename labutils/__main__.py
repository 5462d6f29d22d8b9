"""The command line: python -m labutils, or labutils where it is installed."""

import argparse
import sys
import warnings
from collections.abc import Sequence

from labutils.commands import ALL


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
    for command in ALL:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
