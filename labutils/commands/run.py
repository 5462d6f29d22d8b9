"""labutils run: execute the notebooks without a browser."""

import argparse
from pathlib import Path
from typing import Any

from labutils.commands.arguments import count


def add(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="execute the notebooks without a browser",
        description="Execute notebooks into the results folder.",
        epilog="example: labutils run 03 04 --epochs 5",
    )
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK",
                     help="a path or the beginning of a name; default: all")
    run.add_argument("--epochs", type=count, metavar="N",
                     help="cap on every training's epochs")
    run.add_argument("--out", type=Path, metavar="DIR",
                     help="folder for executed copies and results; default: "
                     "the results folder")
    run.add_argument("--in-place", action="store_true",
                     help="write full runs back into the notebooks")
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    # nbclient is an instructor's tool: the other commands do without it.
    from labutils.teaching.execute import run

    done = run(
        options.notebooks, options.epochs, options.out, options.in_place
    )
    return 0 if done else 1
