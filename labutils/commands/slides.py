"""labutils slides: write the lecture's slides."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    slides = commands.add_parser(
        "slides",
        help="write the lecture's slides from the notebooks",
        description="Write reveal.js slides of the notebooks, a file for "
        "each that needs no network, and an index.html.",
        epilog="example: labutils slides 03 --no-solutions",
    )
    slides.add_argument("notebooks", nargs="*", metavar="NOTEBOOK",
                        help="a path or the beginning of a name; default: all")
    slides.add_argument("--out", type=Path, metavar="DIR",
                        help="folder of the slides; default: slides/ among "
                        "the results")
    slides.add_argument("--no-solutions", action="store_true",
                        help="show the stubs that students get")
    slides.set_defaults(command=_slides)


def _slides(options: argparse.Namespace) -> int:
    # nbconvert and reveal.js are instructors' tools.
    from labutils.teaching.slides.decks import write

    for line in write(
        options.notebooks, options.out, not options.no_solutions
    ):
        print(line)
    return 0
