"""Where the batches of a text lie, and what stands in them."""

from collections.abc import Iterator, Sequence
from html import escape

import torch

from labkit.widgets.drawing import MONOSPACE, cell, header, paragraph, table
from labkit.widgets.marks import visible
from labkit.widgets.panel import (
    Choice,
    Control,
    Page,
    Slider,
    new_figure,
    show,
)
from labutils import plots
from labutils.batches import (
    Batch,
    seq_data_iter_random,
    seq_data_iter_sequential,
)
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
        raise ValueError(
            f"The corpus has shape {tuple(corpus.shape)}: expected one "
            "sequence of 3 token indices or more."
        )

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
        figure = new_figure(2.0)
        ax = plots.plot_batches(
            {order: [X for X, _ in batches]}, len(tokens),
            figure.add_subplot(),
        )
        X, Y = batches[number]
        ax.broken_barh(
            [(row[0], num_steps) for row in X.tolist()], (-0.44, 0.88),
            facecolor="none", edgecolor="black", linewidth=2.5,
        )
        ax.set_title(f"outlined: batch {number} (of 0 to {len(batches) - 1})")
        ax.set_yticks([])
        what = (
            f"{order}, batch {number} of {len(batches)}: {tuple(X.shape)}, "
            f"from {len(tokens):,} tokens"
        )
        rows = list(_rows(tokens, vocab, (X, Y)))
        return Page(
            figure, f"where the {len(batches)} batches lie in the text",
            _html(what, rows, len(X) - len(rows)),
            "\n".join([what, *(f"{p}: {x}  ->  {y}" for p, x, y in rows)]),
        )

    show(_controls(len(corpus)), draw)


def _controls(num_tokens: int) -> list[Control]:
    steps = max(1, min(5, (num_tokens - 1) // 2))
    return [
        Choice(
            "order", "order", "Which subsequences stand in a batch together",
            "sequential", list(SAMPLERS),
        ),
        Slider("batch_size", "batch size", "Rows in a batch", 2, 1, 32),
        Slider("num_steps", "steps", "Tokens in a row", steps, 1, 64),
        Slider("offset", "offset", "Tokens skipped at the start", 0, 0, 63),
        Slider("number", "batch", "Which batch to outline and read", 0, 0, 99),
        Slider("seed", "seed", "Another random order", 0, 0, 99),
    ]


def _rows(
    tokens: torch.Tensor, vocab: Vocab | None, batch: Batch
) -> Iterator[tuple[int, str, str]]:
    """Position, input and target of the first rows."""
    for x, y in list(zip(*batch, strict=True))[:MOST_ROWS]:
        yield int(x[0]), _decode(tokens[x], vocab), _decode(tokens[y], vocab)


def _decode(indices: torch.Tensor, vocab: Vocab | None) -> str:
    if vocab is None:
        return " ".join(map(str, indices.tolist()))
    found = vocab.to_tokens(indices)
    if all(len(token) == 1 for token in found):
        return "".join(map(visible, found))
    return " ".join(found)


def _html(what: str, rows: list[tuple[int, str, str]], hidden: int) -> str:
    more = paragraph(f"and {hidden} more rows") if hidden else ""
    lines = [
        [cell(str(place)), cell(x, MONOSPACE), cell(y, MONOSPACE)]
        for place, x, y in rows
    ]
    head = header("position", "input", "target")
    return paragraph(escape(what)) + table([head, *lines]) + more
