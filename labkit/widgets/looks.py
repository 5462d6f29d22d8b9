"""What the microscope shows: a page for each way of looking at a text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from labkit.widgets.drawing import cell, header, paragraph, shade, table
from labkit.widgets.inspection import (
    gates,
    gradient_norms,
    hidden_states,
    surprises,
)
from labkit.widgets.marks import HEAT, label, label_characters, visible
from labkit.widgets.panel import Page, new_figure
from labutils.models import LanguageModel
from labutils.plots import COLOURS, STYLES
from labutils.text import Vocab

IN_A_LINE = 16  # characters of the coloured text


@dataclass(frozen=True)
class Subject:
    """What is looked at; `layer` counts from 1."""

    name: str
    model: LanguageModel
    vocab: Vocab
    text: str
    layer: int
    units: int

    @property
    def parts(self) -> tuple[str, LanguageModel, Vocab]:
        return self.text, self.model, self.vocab

    def of_layer(self, values: torch.Tensor) -> tuple[torch.Tensor, str]:
        """The layer asked for, or else the last, and a title."""
        layer = min(self.layer, len(values))
        title = f"{label(self.name)}, layer {layer} of {len(values)}"
        return values[layer - 1], title


def surprise(subject: Subject) -> Page:
    """Bits of each character, as bars and as coloured text."""
    bits = surprises(*subject.parts).tolist()
    guessing = math.log2(len(subject.vocab))
    figure = new_figure()
    ax = figure.add_subplot()
    ax.bar(range(1, len(subject.text)), bits, color=COLOURS[0])
    ax.axhline(
        guessing, color=COLOURS[1], linestyle="--",
        label=f"blind guessing, {guessing:.1f} bits",
    )
    label_characters(ax, subject.text)
    mean = sum(bits) / len(bits)
    ax.set(
        ylabel="surprise (bits)", xlim=(-0.6, len(subject.text) - 0.4),
        title=f"{label(subject.name)}, {mean:.2f} bits a character",
    )
    # Above the bars: any of them may be the highest.
    ax.set_ylim(0, 1.2 * max(guessing, *bits))
    ax.legend(frameon=False, loc="upper right")
    said = (
        f"{mean:.2f} bits a character, perplexity {2 ** mean:.2f}; blind "
        f"guessing costs {guessing:.2f} bits."
    )
    numbers = [f"{b:.1f}" for b in bits]
    lines = zip(subject.text, ["-", *numbers], strict=True)
    return Page(
        figure, f"surprise of each character of {subject.text!r}",
        paragraph(said) + _coloured(subject.text, bits, guessing),
        "\n".join([said, " ".join(f"{visible(c)}:{b}" for c, b in lines)]),
    )


def hidden_units(subject: Subject) -> Page:
    """Units over characters."""
    values, title = subject.of_layer(hidden_states(*subject.parts))
    largest = max(1.0, float(values.abs().max()))
    figure = new_figure()
    ax = figure.add_subplot()
    image = _heat(ax, values, subject, -largest, largest)
    ax.set(ylabel="hidden unit", title=title)
    figure.colorbar(image, label="value")
    return _with_table(figure, "hidden units", subject, [
        ["", "mean |value|", "above 0.9", "below -0.9"],
        [
            f"all {values.shape[1]} units", f"{values.abs().mean():.2f}",
            _share(values > 0.9), _share(values < -0.9),
        ],
    ])


def open_gates(subject: Subject) -> Page:
    """Each gate's units over characters."""
    found = gates(*subject.parts)
    figure = new_figure(1.0 + 1.5 * len(found))
    axes = figure.subplots(len(found), sharex=True)
    rows = [["gate", "mean", "above 0.9", "below 0.1"]]
    for ax, (name, of_layers) in zip(axes, found.items(), strict=True):
        values, title = subject.of_layer(of_layers)
        image = _heat(ax, values, subject, 0, 1)
        ax.set(ylabel="unit")
        ax.set_title(f"{title}: {name} gate")
        rows.append([
            name, f"{values.mean():.2f}", _share(values > 0.9),
            _share(values < 0.1),
        ])
    figure.colorbar(image, ax=axes, label="0 closed, 1 open")
    return _with_table(figure, "gates", subject, rows)


def gradient(subject: Subject) -> Page:
    """How the loss on the last character depends on each state before."""
    found = gradient_norms(*subject.parts)
    figure = new_figure()
    ax = figure.add_subplot()
    rows = [["", "first state", "last but one", "first / last but one"]]
    for i, (name, of_layers) in enumerate(found.items()):
        norms, title = subject.of_layer(of_layers)
        # A norm of 0 has no place on a log axis.
        shown = [norm or math.nan for norm in norms.tolist()]
        ax.plot(
            range(len(shown)), shown, marker="os"[i], markersize=5,
            color=COLOURS[i], linestyle=STYLES[i], label=name,
        )
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
    return _with_table(figure, "gradient norms", subject, rows)


LOOKS = {
    "surprise": (surprise, 2), "hidden units": (hidden_units, 1),
    "gates": (open_gates, 1), "gradient norms": (gradient, 3),
}


def _heat(
    ax: Axes, values: torch.Tensor, subject: Subject, low: float, high: float
) -> Any:
    """Characters to the right, the first units downwards; `(T, H)`."""
    image = ax.imshow(
        values[:, : subject.units].T.numpy(), aspect="auto", cmap=HEAT,
        vmin=low, vmax=high, interpolation="nearest",
    )
    label_characters(ax, subject.text)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return image


def _share(mask: torch.Tensor) -> str:
    return f"{mask.float().mean():.0%}"


def _with_table(
    figure: Any, what: str, subject: Subject, rows: list[list[str]]
) -> Page:
    names, *lines = rows
    return Page(
        figure, f"{what} at each character of {subject.text!r}",
        table([header(*names), *([cell(x) for x in line] for line in lines)]),
        "\n".join("  ".join(line).strip() for line in rows),
    )


def _coloured(text: str, bits: list[float], guessing: float) -> str:
    """The text in a table: characters, and below each its number."""
    boxes: list[Mapping[str, str]] = [
        {"number": "-", "style": "text-align: center"}
    ]
    for value in bits:
        background, colour = shade(value / guessing)
        boxes.append({
            "number": f"{value:.1f}",
            "style": f"text-align: center; background: {background}; "
            f"color: {colour}",
        })
    rows = []
    for start in range(0, len(text), IN_A_LINE):
        part = slice(start, start + IN_A_LINE)
        characters = [
            cell(visible(c), f"{box['style']}; font-weight: bold")
            for c, box in zip(text[part], boxes[part], strict=True)
        ]
        numbers = [cell(box["number"], box["style"]) for box in boxes[part]]
        rows += [
            [cell("character", tag="th"), *characters],
            [cell("bits", tag="th"), *numbers],
        ]
    return table(rows)
