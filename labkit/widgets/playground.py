"""Models that write: one of them, or two beside each other."""

from collections.abc import Iterable
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
from labkit.widgets.panel import Control, Models, Page, new_figure
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

    def draw(
        model: str, prefix: str, temperature: float, top_k: int, **how: int
    ) -> Page:
        [text], way = written(
            [models[model]], vocab, prefix, temperature, top_k, **how)
        own = next_distribution(prefix, models[model], vocab)
        ax = new_figure().add_subplot()
        draw_next(ax, vocab, {
            "the model's own": own,
            "after temperature and top-k": next_distribution(
                prefix, models[model], vocab, temperature=temperature,
                top_k=top_k or None)})
        ax.set_title(f'{label(model)}, after "{label(prefix[-25:])}"')
        likeliest = vocab.to_tokens(int(own.argmax()))
        return Page(
            ax.figure,
            _(f"probabilities of the character after {prefix!r}; likeliest "
              f"{likeliest!r} with {float(own.max()):.2f}"),
            paragraph(f"{way}:")
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

    def draw(left: str, right: str, prefix: str, **how: Any) -> Page:
        if left == right:
            raise ValueError(_(f"Both models are {left}: choose another one."))
        two = {name: models[name] for name in (left, right)}
        texts, way = written(two.values(), vocab, prefix, **how)
        ax = new_figure().add_subplot()
        draw_next(ax, vocab, {
            name: next_distribution(prefix, two[name], vocab) for name in two
        }, most=12)
        ax.set_title(f'after "{label(prefix[-25:])}"')
        pairs = enumerate(zip(*texts, strict=True))
        place, a, b = next(
            ((i, a, b) for i, (a, b) in pairs if a != b), (None, "", ""))
        parting = _("The two texts are the same." if place is None else
            f"They part at character {place - len(prefix) + 1} after the "
            f"prefix: {a!r} against {b!r}.")
        lines, rows = [], [
            header("model", "perplexity of the prefix", f"text ({way})")]
        for name, text in zip(two, texts, strict=True):
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
    """Those of the arguments of `written`."""
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


def written(
    models: Iterable[LanguageModel], vocab: Vocab, prefix: str,
    temperature: float, top_k: int, length: int, seed: int,
) -> tuple[list[str], str]:
    """What each model writes, and in words how; temperature 0 is greedy, 0 as
    `top_k` stands for all characters."""
    panel.check_text(prefix, vocab)
    texts = [
        predict(prefix, length, model, vocab, temperature=temperature or None,
                top_k=(temperature and top_k) or None,
                generator=torch.Generator().manual_seed(seed))
        for model in models]
    among = f"the {top_k} likeliest" if top_k else "all characters"
    return texts, _(
        f"drawn from {among}, temperature {temperature:.1f}" if temperature
        else "the likeliest character every time")


def continued(prefix: str, text: str, place: int | None = None) -> str:
    """As HTML, the prefix underlined and one place after it marked."""
    html = f"<u>{escape(prefix)}</u>{escape(text[len(prefix) : place])}"
    if place is not None:
        mark = f'<mark style="{MARK}">{escape(visible(text[place]))}</mark>'
        html += mark + escape(text[place + 1 :])
    return html
