"""A text under the microscope: surprise, hidden units, gates, gradients."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from matplotlib.ticker import MaxNLocator

from labkit.widgets import inspection, panel
from labkit.widgets.drawing import (
    HEAT,
    cell,
    header,
    label,
    label_characters,
    paragraph,
    shade,
    table,
    visible,
)
from labkit.widgets.panel import Control, Page, new_figure
from labutils.files import translated as _
from labutils.plots import COLOURS, STYLES
from labutils.text import Vocab

LONGEST = 50  # characters: so many can be read below a picture
UNITS = 32  # and so many told apart
IN_A_LINE = 16  # characters of the coloured text


def microscope(
    models: panel.Models, vocab: Vocab, text: str, first: str = "surprise"
) -> None:
    """Look at what a model does with each character of a text.

    Args:
        models: for each name a model that was trained with `vocab`.
        text: what they read first; of a long one the first 50 characters.
        first: what to look at first: "surprise", "hidden units", "gates" or
            "gradient norms".

    Raises:
        TypeError, ValueError: something else than such models, a model that
            reads in two directions, or no such thing to look at.
    """
    panel.check_models(models, vocab)
    if first not in LOOKS:
        raise ValueError(_(f"There is no {first!r} to look at: expected one "
                           f"of {', '.join(LOOKS)}."))

    def draw(model: str, show: str, text: str, **values: int) -> Page:
        if len(text) > LONGEST:
            raise ValueError(_(
                f"The text has {len(text)} characters: {LONGEST} at most can "
                "be read below a picture. Shorten it."))
        panel.check_text(text, vocab)
        look, page = LOOKS[show]
        found = look(text, models[model], vocab)
        return page(found, Subject(model, text, vocab, **values))

    sizes = map(inspection.sizes, models.values())
    layers, units = map(max, zip(*sizes, strict=True))
    panel.show([
        Control("model", "model", "Which model reads", next(iter(models)),
                list(models)),
        Control("show", "show", "What to look at", first, list(LOOKS)),
        Control("text", "text", "What it reads; end with Enter",
                text[:LONGEST]),
        Control("layer", "layer", "Of the hidden units, gates and gradients: "
                "layer 1 reads the characters", 1, range(1, layers + 1)),
        Control("units", "units", "How many hidden units the pictures show",
                min(UNITS, units), range(1, units + 1)),
    ], draw)


class Subject(NamedTuple):
    """What is looked at; `layer` counts from 1."""

    name: str
    text: str
    vocab: Vocab
    layer: int
    units: int

    def of_layer(self, values: torch.Tensor) -> tuple[torch.Tensor, str]:
        """The layer asked for, or else the last, and a title."""
        layer = min(self.layer, len(values))
        title = f"{label(self.name)}, layer {layer} of {len(values)}"
        return values[layer - 1], title


def surprise(found: torch.Tensor, subject: Subject) -> Page:
    """Bits of each character, as bars and as coloured text."""
    bits, guessing = found.tolist(), math.log2(len(subject.vocab))
    ax = new_figure().add_subplot()
    ax.bar(range(1, len(subject.text)), bits, color=COLOURS[0])
    ax.axhline(guessing, color=COLOURS[1], linestyle="--",
               label=f"blind guessing, {guessing:.1f} bits")
    label_characters(ax, subject.text)
    mean = sum(bits) / len(bits)
    ax.set(
        ylabel="surprise (bits)", xlim=(-0.6, len(subject.text) - 0.4),
        title=f"{label(subject.name)}, {mean:.2f} bits a character",
        ylim=(0, 1.2 * max(guessing, *bits)))  # the legend stands above them
    ax.legend(frameon=False, loc="upper right")
    said = _(f"{mean:.2f} bits a character, perplexity {2 ** mean:.2f}; blind "
             f"guessing costs {guessing:.2f} bits.")
    # The first character has nothing before it.
    numbers = ["-", *(f"{b:.1f}" for b in bits)]
    styles = ["", *(shade(b / guessing) for b in bits)]
    rows = []
    for start in range(0, len(numbers), IN_A_LINE):
        part = slice(start, start + IN_A_LINE)
        centred = [f"text-align: center; {style}" for style in styles[part]]
        in_bold = [f"{style}; font-weight: bold" for style in centred]
        characters = map(cell, map(visible, subject.text[part]), in_bold)
        rows += [
            [*header("character"), *characters],
            [*header("bits"), *map(cell, numbers[part], centred)]]
    pairs = zip(map(visible, subject.text), numbers, strict=True)
    return Page(
        ax.figure, _(f"surprise of each character of {subject.text!r}"),
        paragraph(said) + table(rows),
        "\n".join([said, " ".join(map(":".join, pairs))]))


def gradient(found: dict[str, torch.Tensor], subject: Subject) -> Page:
    """How the loss on the last character depends on each state before."""
    ax = new_figure().add_subplot()
    rows = [["", "first state", "last but one", "first / last but one"]]
    for i, (name, of_layers) in enumerate(found.items()):
        norms, title = subject.of_layer(of_layers)
        # A norm of 0 has no place on a log axis.
        shown = [norm or math.nan for norm in norms.tolist()]
        ax.plot(shown, marker="os"[i], markersize=5, color=COLOURS[i],
                linestyle=STYLES[i], label=name)
        ax.set_title(f"{title}, loss on the last character")
        first, last = float(norms[0]), float(norms[-1])
        ratio = f"{first / last:.1e}" if last else "-"
        rows.append([name, f"{first:.1e}", f"{last:.1e}", ratio])
    if any(float(norms.max()) > 0 for norms in found.values()):
        ax.set_yscale("log")
    label_characters(ax, subject.text)
    ax.set(ylabel="gradient norm", xlim=(-0.6, len(subject.text) - 0.4))
    ax.grid(alpha=0.3, axis="y")
    ax.legend(frameon=False)
    return with_table(ax.figure, "gradient norms", subject, rows)


def heat_maps(
    found: torch.Tensor | dict[str, torch.Tensor], subject: Subject,
    what: str, low: int, columns: list[str],
) -> Page:
    """Characters to the right, the first units downwards.

    `found` has values from `low` to 1, `(L, T, H)`, of the hidden units or of
    each gate; `columns` are the names of the table's columns.
    """
    if not isinstance(found, dict):
        found = {"": found}
    figure = new_figure(max(panel.HEIGHT, 1.0 + 1.5 * len(found)))
    axes = figure.subplots(len(found), sharex=True, squeeze=False)[:, 0]
    rows = [columns]
    for ax, (gate, of_layers) in zip(axes, found.items(), strict=True):
        values, title = subject.of_layer(of_layers)
        # Units of nn.RNN may be rectified, and then have no upper limit.
        largest = max(1.0, float(values.abs().max()))
        image = ax.imshow(
            values[:, : subject.units].T.numpy(), aspect="auto", cmap=HEAT,
            vmin=low * largest, vmax=largest, interpolation="nearest")
        label_characters(ax, subject.text)
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.set_ylabel("unit" if gate else "hidden unit")
        ax.set_title(f"{title}: {gate} gate" if gate else title)
        high, close = values > 0.9, values < low + 0.1
        rows.append([
            gate or f"all {values.shape[1]} units",
            f"{values.abs().mean():.2f}", f"{high.float().mean():.0%}",
            f"{close.float().mean():.0%}"])
    scale = "value" if low else "0 closed, 1 open"
    figure.colorbar(image, ax=axes, label=scale)
    return with_table(figure, what, subject, rows)


def with_table(
    figure: Any, what: str, subject: Subject, rows: list[list[str]]
) -> Page:
    rows = [[_(x) for x in line] for line in rows]
    names, *lines = rows
    return Page(
        figure, _(f"{what} at each character of {subject.text!r}"),
        table([header(*names), *(map(cell, line) for line in lines)]),
        "\n".join("  ".join(line).strip() for line in rows))


# Of each name, what looks into the model and what shows it.
LOOKS: dict[str, tuple[Callable[..., Any], Callable[..., Page]]] = {
    "surprise": (inspection.surprises, surprise),
    "hidden units": (inspection.hidden_states, partial(
        heat_maps, what="hidden units", low=-1,
        columns=["", "mean |value|", "above 0.9", "below -0.9"])),
    "gates": (inspection.gates, partial(
        heat_maps, what="gates", low=0,
        columns=["gate", "mean", "above 0.9", "below 0.1"])),
    "gradient norms": (inspection.gradient_norms, gradient),
}
