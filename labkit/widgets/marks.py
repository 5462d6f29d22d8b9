"""Characters in pictures."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes

from labutils.plots import COLOURS
from labutils.text import Vocab

HEAT = "cividis"  # the same to the colour-blind
VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥"}



def visible(token: str) -> str:
    """A token that can be seen on its own."""
    return VISIBLE.get(token, token)


def label(text: str) -> str:
    """For matplotlib, which takes what stands between dollars for a formula.
    """
    return text.replace("$", r"\$")


def label_characters(ax: Axes, text: Sequence[str]) -> None:
    """Each character below its place on the horizontal axis."""
    ax.set_xticks(
        range(len(text)), [label(visible(c)) for c in text],
        family="monospace",
    )
    ax.tick_params("x", length=0)


def draw_next(
    ax: Axes, vocab: Vocab, bars: Mapping[str, torch.Tensor], most: int = 15
) -> None:
    """Bars side by side: the likeliest next characters.

    Args:
        bars: for each label probabilities, `(V,)`; the characters shown are
            those with the highest in any of them.
    """
    highest = torch.stack(list(bars.values())).amax(dim=0)
    chosen = highest.argsort(descending=True, stable=True)[:most]
    width = 0.8 / len(bars)
    for i, (name, probabilities) in enumerate(bars.items()):
        shift = (i - (len(bars) - 1) / 2) * width
        ax.bar(
            [place + shift for place in range(len(chosen))],
            probabilities[chosen].tolist(), width, label=label(name),
            color=COLOURS[i], edgecolor="black", hatch=("", "//")[i % 2],
        )
    label_characters(ax, vocab.to_tokens(chosen))
    ax.set(xlabel="next character", ylabel="probability")
    ax.legend(frameon=False)
