"""labutils release: write the student edition."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
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


def _release(options: argparse.Namespace) -> int:
    # nbgrader is an instructor's tool as well.
    from labutils.teaching.release import release

    print(release(options.out))
    return 0
