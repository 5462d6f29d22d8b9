"""labutils reset: bring notebooks back to their committed state."""

import argparse
from typing import Any


def add(commands: Any) -> None:
    reset = commands.add_parser(
        "reset",
        help="bring notebooks back to their committed state",
        description="Take notebooks from git's last commit. What was there "
        "is kept beside them, with the time in its name; no other file is "
        "touched.",
        epilog="example: labutils reset 03 04",
    )
    reset.add_argument("notebooks", nargs="*", metavar="NOTEBOOK",
                       help="the beginning of a name in notebooks/")
    reset.add_argument("--all", action="store_true",
                       help="all the notebooks")
    reset.set_defaults(command=_reset)


def _reset(options: argparse.Namespace) -> int:
    from labutils.reset import reset

    if options.all == bool(options.notebooks):
        raise ValueError(
            "name the notebooks to reset, such as 03, or say --all, and not "
            "both."
        )
    lines = reset(options.notebooks)
    print("\n".join(lines))
    if not all(line.endswith("nothing to do") for line in lines):
        print("Where one is open in JupyterLab: menu File, Reload Notebook "
              "from Disk.")
    return 0
