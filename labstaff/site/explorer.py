"""The explorer: one file with style, code, words and weights inside."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.pages import STYLE, markdown_to_html
from labstaff.slides.decks import formula_font
from labutils.files import write_atomically

HERE = Path(__file__).parent / "explorer"
SCRIPTS = ("strings.js", "network.js", "draw.js", "page.js")


def page(kept: Mapping[str, Any]) -> str:
    """The whole page, around what `networks.networks` returns."""
    equations = markdown_to_html(_read("equations.md"))
    parts = {
        "style": _read("style.css") + STYLE + formula_font(equations),
        "script": "\n".join(map(_read, SCRIPTS)),
        # "</" would end the script in the middle of a string.
        "data": json.dumps(kept).replace("</", r"<\/"),
        "equations": equations,
    }
    return re.sub(
        r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("index.html"))


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def write(out: Path, kept: Mapping[str, Any]) -> Path:
    """Write the page as `index.html` into a folder, and return its path."""
    path = out / "index.html"
    write_atomically(path, page(kept).encode("utf-8"))
    return path
