"""What the cells of somebody's notebook have shown, made harmless.

Only text and PNG images are kept: HTML, scripts and SVG could do something to
whoever opens a page with them.
"""

import base64
import re
from dataclasses import dataclass
from typing import Any

LONGEST = 20_000  # characters of one output
LINES = 200
LARGEST_IMAGE = 2_000_000  # characters in base64
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PNG = b"\x89PNG\r\n"


@dataclass(frozen=True)
class Shown:
    """One output: a PNG image in base64, or else a text."""

    image: str = ""
    text: str = ""


def shown(output: Any) -> Shown | None:
    """An output as text or as a PNG; None for any other."""
    data = output.get("data", {})
    image = "".join(str(data.get("image/png", "")).split())
    if image and len(image) <= LARGEST_IMAGE and is_png(image):
        return Shown(image=image)
    text = (
        "\n".join(map(str, output.get("traceback", [])))
        or output.get("text") or data.get("text/plain") or ""
    )
    text = short(COLOURS.sub("", str(text)))
    return Shown(text=text) if text else None


def is_png(image: str) -> bool:
    """Whether a text is a PNG in base64, as far as its beginning tells."""
    try:
        return base64.b64decode(image, validate=True).startswith(PNG)
    except ValueError:
        return False


def short(text: str, lines: int = LINES) -> str:
    """A text, cut where it is too long for a page."""
    cut = "\n".join(text.split("\n")[:lines])[:LONGEST]
    return cut if cut == text else f"{cut}\n(cut here)"
