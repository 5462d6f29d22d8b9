"""The command's options, its output and its exit code."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import Any

PARTS = (
    "python", "imports", "notebooks", "text", "machine", "folders", "extras"
)


def add(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check this machine, and say what mends it",
        description="Check Python, packages, kernel, text, machine and "
        "folders. Needs no network, changes nothing and takes less than ten "
        "seconds. Where something is bad, the line below it mends it. Exit "
        "code: 0 all is well, 1 works, with warnings, 2 something does not "
        "work.",
        epilog="example: labutils doctor --only notebooks",
    )
    doctor.add_argument("--json", action="store_true",
                        help="print the same for a program")
    doctor.add_argument("--seconds", type=_seconds, metavar="N", default=10,
                        help="how long it may take; default: 10, which a "
                        "slow or busy machine may exceed")
    doctor.add_argument("--only", metavar="PART", action="append",
                        choices=PARTS, help="look at this alone, such as "
                        "once more after mending it; can be repeated: "
                        f"{', '.join(PARTS)}")
    doctor.set_defaults(command=_doctor)


def _seconds(text: str) -> float:
    """A number of seconds in which something can be found out."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 5 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds from 5 to 3600"
        )
    return seconds


def main(arguments: Sequence[str]) -> int:
    """Run the command alone, without the rest of the package."""
    parser = argparse.ArgumentParser(prog="labutils")
    add(parser.add_subparsers(required=True, metavar="COMMAND"))
    options = parser.parse_args(arguments)
    try:
        return options.command(options)
    except KeyboardInterrupt:
        print("labutils: interrupted", file=sys.stderr)
        return 130


def _doctor(options: argparse.Namespace) -> int:
    # Too old to read the doctor itself.
    if sys.version_info < (3, 8):  # noqa: UP036
        version = sys.version.split()[0]
        print(f"BAD   Python {version} is too old: take 3.11 or newer")
        return 2
    from labutils.doctor import page
    from labutils.doctor.examine import examine

    # A path may hold what a terminal of another encoding cannot show.
    with contextlib.suppress(AttributeError):  # a stand-in of pytest's
        sys.stdout.reconfigure(  # type: ignore[union-attr]
            errors="backslashreplace"
        )
    sections = examine(options.seconds, options.only or PARTS)
    print(page.as_json(sections) if options.json else page.page(sections))
    return page.exit_code(sections)
