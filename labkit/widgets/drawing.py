"""HTML below a picture."""

from collections.abc import Sequence
from html import escape

import matplotlib
from matplotlib.colors import to_hex

from labkit.widgets.marks import HEAT

# Against the small letters that notebooks give to tables.
FONT = "font-size: 16px"
MONOSPACE = f"{FONT}; font-family: monospace; white-space: pre-wrap"



def paragraph(html: str, style: str = FONT) -> str:
    return f'<p style="{style}">{html}</p>'


def cell(text: str, style: str = "", tag: str = "td") -> str:
    """A cell of a table; `text` is plain."""
    return cell_of(escape(text), style, tag)


def cell_of(html: str, style: str = "", tag: str = "td") -> str:
    style = f"text-align: left; padding: 4px 8px; {style}"
    return f'<{tag} style="{style}">{html}</{tag}>'


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells."""
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<table style="{FONT}; margin-left: 0">{lines}</table>'


def header(*names: str) -> list[str]:
    return [cell(name, tag="th") for name in names]


def shade(share: float) -> tuple[str, str]:
    """A colour for a number from 0 to 1, and black or white to write on it.

    Of the two it is the one with the higher contrast: 4.58 or more.
    """
    background = to_hex(matplotlib.colormaps[HEAT](min(1.0, max(0.0, share))))
    light = luminance(background)
    return background, "#000000" if light > 0.179 else "#ffffff"


def luminance(colour: str) -> float:
    """How light a colour is, 0 to 1.

    Source: Web Content Accessibility Guidelines 2.2, relative luminance.
    """
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
