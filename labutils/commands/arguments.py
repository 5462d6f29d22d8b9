"""What values the commands' options take."""

import argparse


def count(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 1 up"
        )
    return int(text)
