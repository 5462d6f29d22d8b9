"""Pictures: of token counts, of batches, of trainings.

Every function draws on the axes it is given, or on new ones, and returns them.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from labutils.files import translated as _
from labutils.history import History

FIGURE_SIZE = (5.0, 3.0)  # inches
# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", ":", "-.")
UNUSED = "#DDDDDD"
# With Chinese letters, on Windows, macOS and Linux; the first that is there
# is asked for what matplotlib's own font lacks.
CHINESE = (
    "Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "Noto Sans CJK SC",
    "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "SimHei", "Heiti TC", "Noto Sans CJK JP",
)


@cache
def set_style() -> str | None:
    """Chinese letters in all figures, and sharp ones in a notebook.

    Called by whatever draws first, and then no more: what the reader sets
    stays. Returns the name of the font with Chinese letters.
    """
    known = {font.name for font in font_manager.fontManager.ttflist}
    found = next((name for name in CHINESE if name in known), None)
    if found and found not in plt.rcParams["font.family"]:
        plt.rcParams["font.family"] = [*plt.rcParams["font.family"], found]
    if kernel := notebook_kernel():
        from matplotlib_inline.config import InlineBackend

        inline = InlineBackend.instance(parent=kernel.shell)
        # Twice the pixels, for a projector; a reader's own choice stays.
        if inline.figure_formats == {"png"}:
            inline.figure_formats = {"retina"}
    return found


def notebook_kernel() -> Any:
    """The notebook kernel that this process is, or None."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None)


def new_axes(width: float = 1.0, height: float = 1.0) -> Axes:
    """Axes of their own in a figure of the usual size, times two factors."""
    set_style()
    size = (FIGURE_SIZE[0] * width, FIGURE_SIZE[1] * height)
    return plt.subplots(figsize=size, layout="constrained")[1]


def plot_frequencies(
    counts: Mapping[str, Sequence[int]], ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Token counts, of each curve the largest first, against their rank."""
    ax = new_axes() if ax is None else ax
    ax.set_prop_cycle(color=COLOURS * 2, linestyle=STYLES * 3)
    for label, values in counts.items():
        ax.loglog(range(1, len(values) + 1), values, label=label)
    ax.set(xlabel="rank of the token", ylabel="occurrences", title=title)
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def plot_batches(
    batches: Mapping[str, Iterable[torch.Tensor]], num_tokens: int,
    ax: Axes | None = None, title: str = "",
) -> Axes:
    """Which part of a text goes to which batch; `ax.legend()` is the key.

    Args:
        batches: for each bar's label the inputs of the batches, `(B, T)`,
            over a text whose tokens are their own positions 0, 1, 2, ...
        num_tokens: how much of the text to show; what no batch reads is grey.
    """
    ax = new_axes(1.6, 0.3 * len(batches) + 0.25) if ax is None else ax
    for bar, inputs in enumerate(map(list, batches.values())):
        ax.broken_barh([(0, num_tokens)], (bar - 0.4, 0.8), color=UNUSED,
                       label="" if bar else "no input")
        length, last = inputs[0].shape[1], len(inputs) - 1
        few = num_tokens <= 40 * length  # there is room for numbers
        for number, X in enumerate(inputs):
            colour = (COLOURS[number % len(COLOURS)] if few
                      else plt.get_cmap("viridis")(number / max(1, last)))
            in_key = not bar and (few or number in (0, last))
            starts = [s for s in X[:, 0].tolist() if s < num_tokens]
            ax.broken_barh(
                [(start, length) for start in starts], (bar - 0.4, 0.8),
                facecolor=colour, edgecolor="white", linewidth=1.0 * few,
                label=f"batch {number}" if in_key else "")
            for start in starts if few else ():
                ax.text(start + length / 2, bar, str(number), color="white",
                        ha="center", va="center")
    ax.set(xlabel="position in the text", xlim=(0, num_tokens), title=title)
    ax.set_yticks(range(len(batches)), list(batches))
    ax.invert_yaxis()
    return ax


def plot_perplexity(
    histories: Mapping[str, History], ax: Axes | None = None, *,
    x: str = "epoch",
) -> Axes:
    """Perplexity while training: on the training text and on the held-out.

    Training curves are solid, held-out curves of the same colour dash-dotted
    with the same marker; thin lines are n-gram models on the held-out text.

    Args:
        histories: for each label the history of a training.
        x: "epoch" or "seconds" (of training).
    """
    if x not in ("epoch", "seconds"):
        raise ValueError(_(f"x is {x!r}: expected 'epoch' or 'seconds'."))
    ax = new_axes() if ax is None else ax
    for i, (label, history) in enumerate(histories.items()):
        colour, marker = COLOURS[i % len(COLOURS)], "osD^vP"[i % 6]
        # Place in x of the end of each epoch, epoch 0 included.
        place = ((0.0, *history.train_seconds) if x == "seconds"
                 else range(history.num_epochs + 1))
        held_out = [place[epoch] for epoch in history.held_out_epochs]
        for xs, ys, style, name in (
            (place[1:], history.train_perplexity, "-", "training"),
            (held_out, history.held_out_perplexity, "-.", "held out"),
        ):
            ax.semilogy(
                xs, ys, style, color=colour, marker=marker, markersize=4,
                markevery=max(1, len(ys) // 10), label=f"{label}, {name}")
        if not history.full:
            ax.set_title(history.status, fontsize="small")
    texts = {tuple(h.baselines.items()) for h in histories.values()}
    if len(texts) == 1:  # all of them were measured on the same text
        draw_baselines(ax, dict(texts.pop()))
    label_perplexity(ax, "epoch" if x == "epoch" else "seconds of training")
    return ax


def draw_baselines(ax: Axes, baselines: Mapping[str, float]) -> None:
    """A thin line with its name for each n-gram model's perplexity."""
    for name, perplexity in baselines.items():
        ax.axhline(perplexity, color="grey", linewidth=0.6)
        # Right of the axes, where no curve crosses it; the lowest below its
        # line, since the next one can be close.
        lowest = perplexity == min(baselines.values())
        ax.annotate(
            f"{name} {perplexity:.1f}", (1, perplexity), xytext=(3, 0),
            xycoords=ax.get_yaxis_transform(), textcoords="offset points",
            va="top" if lowest else "bottom", fontsize="x-small",
            color="#555555")


def label_perplexity(ax: Axes, xlabel: str) -> None:
    """Labels, ticks, grid and legend for curves of perplexity."""
    ax.set(xlabel=xlabel, ylabel="perplexity (log scale)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.set_yticks([1, 2, 5, 10, 20, 50])
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(alpha=0.3)
    # Below the axes: within them it would hide a part of some curve.
    ax.legend(fontsize="small", ncols=2, frameon=False, loc="upper center",
              bbox_to_anchor=(0.5, -0.2))
