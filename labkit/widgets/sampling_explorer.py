"""Where the batches of a text lie, and what stands in them."""

from collections.abc import Sequence
from html import escape

import torch

from labkit.widgets import panel
from labkit.widgets.drawing import (
    MONOSPACE,
    cell,
    header,
    paragraph,
    table,
    visible,
)
from labkit.widgets.panel import Control, Page
from labutils import plots
from labutils.batches import seq_data_iter_random, seq_data_iter_sequential
from labutils.files import translated as _
from labutils.text import Vocab

# Of a long text, what a picture has room for and what is drawn at once.
MOST_TOKENS = 10_000
MOST_DRAWN = 1000  # rows
MOST_ROWS = 4
SAMPLERS = {
    "sequential": seq_data_iter_sequential, "random": seq_data_iter_random,
}


def sampling_explorer(
    corpus: torch.Tensor | Sequence[int], vocab: Vocab | None = None
) -> None:
    """Cut a text into batches in different ways, and read one of them.

    Args:
        corpus: token indices, `(N,)`; of a long text the first 10,000,
            or less of it when the rows are short.
        vocab: to show tokens; None shows their indices.

    Raises:
        ValueError: fewer than 3 tokens, too short for any batch.
    """
    corpus = torch.as_tensor(corpus)
    if corpus.dim() != 1 or len(corpus) < 3:
        raise ValueError(_(
            f"The corpus has shape {tuple(corpus.shape)}: expected one "
            "sequence of 3 token indices or more."))

    def decode(indices: torch.Tensor) -> str:
        if vocab is None:
            return " ".join(map(str, indices.tolist()))
        found = vocab.to_tokens(indices)
        if all(len(token) == 1 for token in found):
            return "".join(map(visible, found))
        return " ".join(found)

    def draw(
        order: str, batch_size: int, num_steps: int, offset: int, number: int,
        seed: int,
    ) -> Page:
        tokens = corpus[: min(MOST_TOKENS, MOST_DRAWN * num_steps)]
        generator = torch.Generator().manual_seed(seed)
        batches = list(SAMPLERS[order](
            torch.arange(len(tokens)), batch_size, num_steps, offset, generator
        ))
        number = min(number, len(batches) - 1)
        ax = plots.plot_batches(
            {order: [X for X, _ in batches]}, len(tokens),
            panel.new_figure(2.0).add_subplot())
        X, Y = batches[number]
        ax.broken_barh(
            [(row[0], num_steps) for row in X.tolist()], (-0.44, 0.88),
            facecolor="none", edgecolor="black", linewidth=2.5)
        ax.set_title(f"outlined: batch {number} (of 0 to {len(batches) - 1})")
        ax.set_yticks([])
        lines = [_(f"{order}, batch {number} of {len(batches)}: "
                   f"{tuple(X.shape)}, from {len(tokens):,} tokens")]
        rows = [header("position", "input", "target")]
        for x, y in zip(X[:MOST_ROWS], Y[:MOST_ROWS], strict=True):
            texts = decode(tokens[x]), decode(tokens[y])
            lines.append(f"{int(x[0])}: {'  ->  '.join(texts)}")
            rows.append([cell(f"{int(x[0])}"),
                         *(cell(text, MONOSPACE) for text in texts)])
        html = paragraph(escape(lines[0])) + table(rows)
        if len(X) > MOST_ROWS:
            html += paragraph(_(f"and {len(X) - MOST_ROWS} more rows"))
        return Page(
            ax.figure, _(f"where the {len(batches)} batches lie in the text"),
            html, "\n".join(lines))

    steps = max(1, min(5, (len(corpus) - 1) // 2))
    panel.show([
        Control("order", "order", "Which subsequences stand in a batch "
                "together", "sequential", list(SAMPLERS)),
        Control("batch_size", "batch size", "Rows in a batch", 2,
                range(1, 33)),
        Control("num_steps", "steps", "Tokens in a row", steps, range(1, 65)),
        Control("offset", "offset", "Tokens skipped at the start", 0,
                range(64)),
        Control("number", "batch", "Which batch to outline and read", 0,
                range(100)),
        Control("seed", "seed", "Another random order", 0, range(100)),
    ], draw)
