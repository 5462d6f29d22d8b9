"""Two models on the same prefix."""

from html import escape

from labkit.widgets.drawing import (
    MONOSPACE,
    cell,
    cell_of,
    header,
    paragraph,
    table,
)
from labkit.widgets.inputs import Models, check_models, check_text
from labkit.widgets.inspection import next_distribution, surprises
from labkit.widgets.marks import draw_next, label, visible
from labkit.widgets.panel import Choice, Page, new_figure, show
from labkit.widgets.playground import continued, way, write, writing_controls
from labutils.text import Vocab

# Not by colour alone: bold in a frame.
MARK = (
    "background: #FFE14D; color: #000000; font-weight: bold; "
    "outline: 1px solid #000000"
)


def side_by_side(models: Models, vocab: Vocab) -> None:
    """What two models make of the same prefix, with the same random numbers.

    Args:
        models: two or more, for each name a model over the characters of
            `vocab`.
        vocab: the vocabulary they were trained with.
    """
    check_models(models, least=2)
    names = list(models)

    def draw(
        left: str, right: str, prefix: str, temperature: float, top_k: int,
        length: int, seed: int,
    ) -> Page:
        check_text(prefix, vocab)
        if left == right:
            raise ValueError(f"Both models are {left}: choose another one.")
        pair = {name: models[name] for name in (left, right)}
        texts = {
            name: write(prefix, length, model, vocab, temperature, top_k, seed)
            for name, model in pair.items()
        }
        figure = new_figure()
        ax = figure.add_subplot()
        draw_next(ax, vocab, {
            name: next_distribution(prefix, model, vocab)
            for name, model in pair.items()
        }, most=12)
        ax.set_title(f'after "{label(prefix[-25:])}"')
        costs = {
            name: _perplexity(prefix, model, vocab)
            for name, model in pair.items()
        }
        place = first_difference(*texts.values())
        parting = parting_sentence(list(texts.values()), prefix, place)
        return Page(
            figure,
            f"probabilities of the character after {prefix!r}, of {left} and "
            f"of {right}",
            _html(way(temperature, top_k), prefix, texts, costs, place)
            + paragraph(escape(parting)),
            "\n".join([
                *(
                    f"{name} (perplexity of the prefix {costs[name]}): {text}"
                    for name, text in texts.items()
                ),
                parting,
            ]),
        )

    show([
        Choice("left", "first", "One of the two", names[0], names),
        Choice("right", "second", "The other one", names[1], names),
        *writing_controls(vocab),
    ], draw)


def first_difference(one: str, other: str) -> int | None:
    """The first place where two texts of equal length differ, if any."""
    for place, (a, b) in enumerate(zip(one, other, strict=True)):
        if a != b:
            return place
    return None


def parting_sentence(
    texts: list[str], prefix: str, place: int | None
) -> str:
    """Where the two texts part, in words."""
    if place is None:
        return "The two texts are the same."
    a, b = (repr(text[place]) for text in texts)
    return (
        f"They part at character {place - len(prefix) + 1} after the prefix: "
        f"{a} against {b}."
    )


def _perplexity(prefix, model, vocab) -> str:
    """2 to the mean surprise in bits, without the first character."""
    if len(prefix) < 2:
        return "-"
    return f"{float(2 ** surprises(prefix, model, vocab).mean()):.2f}"


def _html(
    how: str, prefix: str, texts: dict[str, str], costs: dict[str, str],
    place: int | None,
) -> str:
    rows = [
        [
            cell(name), cell(costs[name]),
            cell_of(_marked(prefix, text, place), MONOSPACE),
        ]
        for name, text in texts.items()
    ]
    return table(
        [header("model", "perplexity of the prefix", f"text ({how})"), *rows]
    )


def _marked(prefix: str, text: str, place: int | None) -> str:
    """With the prefix underlined and the first difference marked."""
    if place is None:
        return continued(prefix, text)
    marked = f'<mark style="{MARK}">{escape(visible(text[place]))}</mark>'
    before = continued(prefix, text[:place])
    return before + marked + escape(text[place + 1 :])
