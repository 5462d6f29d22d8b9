"""Pictures: of token counts, of batches, of trainings.

Every function draws on the axes it is given, or on new ones, and returns
them. Curves differ by line style as well as by colour.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from labutils.history import History
from labutils.protocol import Batches

FIGURE_SIZE = (5.0, 3.0)  # inches
# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", ":", "-.")
UNUSED = "#DDDDDD"


def new_axes(width: float = 1.0, height: float = 1.0) -> Axes:
    """Axes of their own in a figure of the usual size, times two factors."""
    size = (FIGURE_SIZE[0] * width, FIGURE_SIZE[1] * height)
    return plt.subplots(figsize=size, layout="constrained")[1]


def plot_frequencies(
    counts: Mapping[str, Sequence[int]], ax: Axes | None = None
) -> Axes:
    """Token counts against their rank, both on log axes.

    Args:
        counts: for each curve's label the counts, the largest first.
        ax: axes to draw on; None makes new ones.
    """
    ax = new_axes() if ax is None else ax
    for i, (label, values) in enumerate(counts.items()):
        ax.loglog(
            range(1, len(values) + 1), values, label=label,
            color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i % len(STYLES)],
        )
    ax.set(xlabel="rank of the token", ylabel="occurrences")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def plot_batches(
    rows: Mapping[str, Sequence[Sequence[int]]],
    num_tokens: int,
    ax: Axes | None = None,
) -> Axes:
    """Which part of a text goes to which batch.

    Args:
        rows: for each row's label the batches: the positions in the text
            that each batch reads as inputs.
        num_tokens: length of the text; positions in no batch stay grey.
        ax: axes to draw on; None makes new ones.
    """
    ax = new_axes(1.6, 0.3 * len(rows) + 0.25) if ax is None else ax
    for row, batches in enumerate(rows.values()):
        ax.broken_barh([(0, num_tokens)], (row - 0.4, 0.8), color=UNUSED)
        for number, positions in enumerate(batches):
            colour = COLOURS[number % len(COLOURS)]
            for start, length in _runs(positions):
                ax.broken_barh(
                    [(start, length)], (row - 0.4, 0.8), facecolor=colour,
                    edgecolor="white", linewidth=0.8,
                )
                ax.text(
                    start + length / 2, row, str(number), color="white",
                    ha="center", va="center", clip_on=True,
                )
    ax.set(xlabel="position in the text", xlim=(0, num_tokens))
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    return ax


def _runs(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring positions gathered into (start, length)."""
    runs: list[tuple[int, int]] = []
    for position in positions:
        if runs and position == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((position, 1))
    return runs


def batch_positions(data_iter: Batches) -> list[list[int]]:
    """The inputs of each batch, row after row.

    Over a text whose tokens are their own positions (0, 1, 2, ...) these are
    the rows for `plot_batches`.
    """
    return [X.flatten().tolist() for X, _ in data_iter]


def plot_perplexity(
    histories: Mapping[str, History],
    ax: Axes | None = None,
    *,
    x: str = "epoch",
) -> Axes:
    """Perplexity while training: on the training text and on the held-out.

    Training curves are solid, held-out curves of the same colour dash-dotted
    with a marker of their own.

    Args:
        histories: for each label the history of a training.
        ax: axes to draw on; None makes new ones.
        x: "epoch" or "seconds" (of training).
    """
    if x not in ("epoch", "seconds"):
        raise ValueError(f"x is {x!r}: expected 'epoch' or 'seconds'.")
    ax = new_axes() if ax is None else ax
    for i, (label, history) in enumerate(histories.items()):
        colour, marker = COLOURS[i % len(COLOURS)], "osD^vP"[i % 6]
        # Place in x of the end of each epoch, epoch 0 included.
        place = (
            (0.0, *history.train_seconds) if x == "seconds"
            else range(history.num_epochs + 1)
        )
        short = history.num_epochs < 3
        ax.semilogy(
            place[1:], history.train_perplexity, color=colour,
            marker=marker if short else None, label=f"{label}, training",
        )
        ax.semilogy(
            [place[epoch] for epoch in history.held_out_epochs],
            history.held_out_perplexity, color=colour, linestyle="-.",
            marker=marker, markersize=3, markevery=0.1,
            label=f"{label}, held out",
        )
        if not history.full:
            ax.set_title(history.status, fontsize="small")
    _label(ax, "epoch" if x == "epoch" else "seconds of training")
    return ax


def _label(ax: Axes, xlabel: str) -> None:
    ax.set(xlabel=xlabel, ylabel="perplexity (log scale)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.set_yticks([1, 2, 5, 10, 20, 50])
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small")
