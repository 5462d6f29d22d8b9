"""Models that write: one of them, or two beside each other."""

from dataclasses import dataclass
from html import escape
from typing import Any

import torch

from labkit.widgets import panel
from labkit.widgets.drawing import (
    MONOSPACE,
    cell,
    cell_of,
    draw_next,
    header,
    label,
    paragraph,
    table,
    visible,
)
from labkit.widgets.inspection import surprises
from labkit.widgets.panel import Control, Models, Page, new_axes
from labutils.files import translated as _
from labutils.generation import next_distribution, predict
from labutils.models import LanguageModel
from labutils.text import Vocab

# Not by colour alone: bold in a frame.
MARK = (
    "background: #FFE14D; color: #000000; font-weight: bold; "
    "outline: 1px solid #000000"
)


def playground(models: Models, vocab: Vocab) -> None:
    """Let a model go on from a prefix, in different ways.

    Args:
        models: for each name a model that was trained with `vocab`.

    Raises:
        TypeError, ValueError: something else than such models.
    """
    panel.check_models(models, vocab)

    def draw(model: str, **values: Any) -> Page:
        asked = Asked(vocab, **values)
        prefix, text = asked.prefix, asked.written_by(models[model])
        own = next_distribution(prefix, models[model], vocab)
        ax = new_axes()
        draw_next(ax, vocab, {
            "the model's own": own,
            "after temperature and top-k": next_distribution(
                prefix, models[model], vocab, temperature=asked.temperature,
                top_k=asked.top_k or None)})
        ax.set_title(f'{label(model)}, after "{label(prefix[-25:])}"')
        likeliest = vocab.to_tokens(int(own.argmax()))
        return Page(
            ax.figure,
            _(f"probabilities of the character after {prefix!r}; likeliest "
              f"{likeliest!r} with {float(own.max()):.2f}"),
            paragraph(f"{asked.way}:")
            + paragraph(continued(prefix, text), MONOSPACE), text)

    names = list(models)
    panel.show([
        Control("model", "model", "Which model writes", names[0], names),
        *writing_controls(vocab),
    ], draw)


def side_by_side(models: Models, vocab: Vocab) -> None:
    """What two models make of the same prefix, with the same random numbers.

    Args:
        models: two or more, for each name a model trained with `vocab`.

    Raises:
        TypeError, ValueError: something else than such models.
    """
    panel.check_models(models, vocab, least=2)

    def draw(left: str, right: str, **values: Any) -> Page:
        if left == right:
            raise ValueError(_(f"Both models are {left}: choose another one."))
        asked = Asked(vocab, **values)
        prefix, two = asked.prefix, {n: models[n] for n in (left, right)}
        texts = {name: asked.written_by(two[name]) for name in two}
        ax = new_axes()
        draw_next(ax, vocab, {
            name: next_distribution(prefix, two[name], vocab) for name in two
        }, most=12)
        ax.set_title(f'after "{label(prefix[-25:])}"')
        pairs = enumerate(zip(*texts.values(), strict=True))
        place = next((i for i, (a, b) in pairs if a != b), None)
        parting = _("The two texts are the same." if place is None else
            f"They part at character {place - len(prefix) + 1} after the "
            f"prefix: {texts[left][place]!r} against {texts[right][place]!r}.")
        lines, rows = [], [
            header("model", "perplexity of the prefix", f"text ({asked.way})")]
        for name, text in texts.items():
            cost = "-" if len(prefix) < 2 else (
                f"{float(2 ** surprises(prefix, two[name], vocab).mean()):.2f}"
            )
            marked = continued(prefix, text, place)
            rows.append([cell(name), cell(cost), cell_of(marked, MONOSPACE)])
            lines.append(
                _(f"{name} (perplexity of the prefix {cost}): {text}"))
        return Page(
            ax.figure,
            _(f"probabilities of the character after {prefix!r}, of {left} "
              f"and of {right}"),
            table(rows) + paragraph(escape(parting)),
            "\n".join([*lines, parting]))

    names = list(models)
    panel.show([
        Control("left", "first", "One of the two", names[0], names),
        Control("right", "second", "The other one", names[1], names),
        *writing_controls(vocab),
    ], draw)


def writing_controls(vocab: Vocab) -> list[Control]:
    """Those of the values of `Asked`."""
    return [
        Control("prefix", "prefix", "What the text begins with; end with "
                "Enter", first_prefix(vocab)),
        Control("temperature", "temperature", "0: the likeliest character "
                "every time; above 1: more surprising", 0.0, (0.0, 2.0, 0.1)),
        Control("top_k", "top-k", "Draw from the k likeliest alone; 0: from "
                "all", 0, range(len(vocab) + 1)),
        Control("length", "length", "How many characters to add", 50,
                range(301)),
        Control("seed", "seed", "Other random numbers, another text", 0,
                range(100))]


def first_prefix(vocab: Vocab) -> str:
    """The book's hero, or for another text's characters some of those."""
    known = [token for token in vocab.idx_to_token if len(token) == 1]
    if set("time traveller") <= set(known):
        return "time traveller"
    return "".join(known[:3])


@dataclass(frozen=True)
class Asked:
    """What is to be written, and how; temperature 0 is greedy."""

    vocab: Vocab
    prefix: str
    temperature: float
    top_k: int  # 0: all of them
    length: int
    seed: int

    def __post_init__(self) -> None:
        panel.check_text(self.prefix, self.vocab)

    def written_by(self, model: LanguageModel) -> str:
        return predict(
            self.prefix, self.length, model, self.vocab,
            temperature=self.temperature or None,
            top_k=(self.temperature and self.top_k) or None,
            generator=torch.Generator().manual_seed(self.seed))

    @property
    def way(self) -> str:
        """How the characters are chosen, in words."""
        if self.temperature == 0:
            return _("the likeliest character every time")
        k = self.top_k
        among = f"the {k} likeliest" if k else "all characters"
        return _(f"drawn from {among}, temperature {self.temperature:.1f}")


def continued(prefix: str, text: str, place: int | None = None) -> str:
    """As HTML, the prefix underlined and one place after it marked."""
    start, rest = f"<u>{escape(prefix)}</u>", text[len(prefix) : place]
    if place is None:
        return start + escape(rest)
    marked = f'<mark style="{MARK}">{escape(visible(text[place]))}</mark>'
    return start + escape(rest) + marked + escape(text[place + 1 :])
