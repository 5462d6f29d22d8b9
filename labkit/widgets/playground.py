"""A model that writes, and what it chooses from."""

from html import escape

import torch

from labkit.widgets.drawing import MONOSPACE, paragraph
from labkit.widgets.inputs import (
    Models,
    check_models,
    check_text,
    first_prefix,
)
from labkit.widgets.inspection import next_distribution
from labkit.widgets.marks import draw_next, label
from labkit.widgets.panel import (
    Choice,
    Control,
    Entry,
    Page,
    Slider,
    new_figure,
    show,
)
from labutils.generation import predict
from labutils.models import LanguageModel
from labutils.text import Vocab


def playground(models: Models, vocab: Vocab) -> None:
    """Let a model go on from a prefix, in different ways.

    Args:
        models: for each name a model over the characters of `vocab`.
        vocab: the vocabulary they were trained with.
    """
    check_models(models)

    def draw(
        model: str, prefix: str, temperature: float, top_k: int, length: int,
        seed: int,
    ) -> Page:
        check_text(prefix, vocab)
        chosen = models[model]
        text = write(prefix, length, chosen, vocab, temperature, top_k, seed)
        own = next_distribution(prefix, chosen, vocab)
        used = next_distribution(
            prefix, chosen, vocab, temperature=temperature,
            top_k=top_k or None,
        )
        figure = new_figure()
        ax = figure.add_subplot()
        draw_next(ax, vocab, {
            "the model's own": own, "after temperature and top-k": used,
        })
        ax.set_title(f'{label(model)}, after "{label(prefix[-25:])}"')
        likeliest = vocab.to_tokens(int(own.argmax()))
        return Page(
            figure,
            f"probabilities of the character after {prefix!r}; likeliest "
            f"{likeliest!r} with {float(own.max()):.2f}",
            paragraph(escape(way(temperature, top_k)) + ":")
            + paragraph(continued(prefix, text), MONOSPACE), text,
        )

    choice = Choice(
        "model", "model", "Which model writes", next(iter(models)),
        list(models),
    )
    show([choice, *writing_controls(vocab)], draw)


def writing_controls(vocab: Vocab) -> list[Control]:
    """Prefix, temperature, top-k, length and seed."""
    return [
        Entry(
            "prefix", "prefix", "What the text begins with; end with Enter",
            first_prefix(vocab),
        ),
        Slider(
            "temperature", "temperature",
            "0: the likeliest character every time; above 1: more surprising",
            0.0, 0.0, 2.0, 0.1,
        ),
        Slider(
            "top_k", "top-k", "Draw from the k likeliest alone; 0: from all",
            0, 0, len(vocab),
        ),
        Slider("length", "length", "How many characters to add", 50, 0, 300),
        Slider("seed", "seed", "Other random numbers, another text", 0, 0, 99),
    ]


def write(
    prefix: str, length: int, model: LanguageModel, vocab: Vocab,
    temperature: float, top_k: int, seed: int,
) -> str:
    """As `predict`, from the values of the controls.

    Args:
        temperature: 0 is greedy, whatever `top_k` is.
        top_k: 0 is all the characters.
        seed: of random numbers that nobody else draws.
    """
    if temperature == 0:
        return predict(prefix, length, model, vocab)
    return predict(
        prefix, length, model, vocab, temperature=temperature,
        top_k=top_k or None, generator=torch.Generator().manual_seed(seed),
    )


def way(temperature: float, top_k: int) -> str:
    """How the characters are chosen, in words."""
    if temperature == 0:
        return "the likeliest character every time"
    among = f"the {top_k} likeliest" if top_k else "all characters"
    return f"drawn from {among}, temperature {temperature:.1f}"


def continued(prefix: str, text: str) -> str:
    """The text as HTML, its prefix underlined."""
    return f"<u>{escape(prefix)}</u>{escape(text[len(prefix):])}"
