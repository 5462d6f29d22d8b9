"""labutils demo: a page for the lecture hall, with trained models."""

import argparse
from typing import Any


def add(commands: Any) -> None:
    demo = commands.add_parser("demo", help="x", epilog="example: labutils demo")
    demo.set_defaults(command=None)
