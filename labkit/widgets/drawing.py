"""What stands on a page: HTML below a picture, characters within it."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from labutils.files import translated as _
from labutils.plots import COLOURS
from labutils.text import Vocab

# Against the small letters that notebooks give to tables.
FONT = "font-size: 16px"
MONOSPACE = f"{FONT}; font-family: monospace; white-space: pre-wrap"
HEAT = "cividis"  # the same to the colour-blind
LIGHT = 0.47  # of its colours those from here on are written on in black
VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥"}


def paragraph(html: str, style: str = FONT) -> str:
    return f'<p style="{style}">{html}</p>'


def cell(text: str, style: str = "", tag: str = "td") -> str:
    """A cell of a table; `text` is plain."""
    return cell_of(escape(text), style, tag)


def cell_of(html: str, style: str = "", tag: str = "td") -> str:
    style = f"text-align: left; padding: 4px 8px; {style}"
    return f'<{tag} style="{style}">{html}</{tag}>'


def table(rows: Iterable[Iterable[str]]) -> str:
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<table style="{FONT}; margin-left: 0">{lines}</table>'


def header(*names: str) -> list[str]:
    return [cell(_(name), tag="th") for name in names]


def shade(share: float) -> str:
    """The style of a cell with a number from 0 to 1: a colour, and black or
    white to write on it, whichever has the higher contrast."""
    background = to_hex(matplotlib.colormaps[HEAT](min(1.0, max(0.0, share))))
    colour = "#000000" if share >= LIGHT else "#ffffff"
    return f"background: {background}; color: {colour}"


def visible(token: str) -> str:
    """A token that can be seen on its own."""
    return VISIBLE.get(token, token)


def label(text: str) -> str:
    """Matplotlib takes what stands between plain dollars for a formula."""
    return text.replace("$", r"\$")


def label_characters(ax: Axes, text: Sequence[str]) -> None:
    """Each character below its place on the horizontal axis."""
    ax.set_xticks(
        range(len(text)), [label(visible(c)) for c in text],
        family="monospace")
    ax.tick_params("x", length=0)


def draw_next(
    ax: Axes, vocab: Vocab, bars: Mapping[str, torch.Tensor], most: int = 15
) -> None:
    """Bars side by side: the likeliest next characters.

    `bars` has probabilities, `(V,)`, for each label; the characters shown are
    those with the highest in any of them, unless all are all but zero.
    """
    highest = torch.stack(list(bars.values())).amax(dim=0)
    seen = max(3, int((highest > 0.01).sum()))  # bars below one in a hundred
    chosen = highest.argsort(descending=True, stable=True)[: min(most, seen)]
    width = 0.8 / len(bars)
    for i, (name, probabilities) in enumerate(bars.items()):
        shift = (i - (len(bars) - 1) / 2) * width
        ax.bar(
            [place + shift for place in range(len(chosen))],
            probabilities[chosen].tolist(), width, label=label(name),
            color=COLOURS[i], edgecolor="black", hatch=("", "//")[i % 2])
    label_characters(ax, vocab.to_tokens(chosen))
    ax.set(xlabel="next character", ylabel="probability")
    ax.legend(frameon=False)
