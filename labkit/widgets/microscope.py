"""A text under the microscope: surprise, hidden units, gates, gradients."""

from labkit.widgets.inputs import (
    Models,
    check_models,
    check_text,
    first_prefix,
)
from labkit.widgets.inspection import hidden_states
from labkit.widgets.looks import LOOKS, Subject
from labkit.widgets.panel import Choice, Entry, Page, Slider, show
from labutils.text import Vocab

LONGEST = 50  # characters: so many can be read below a picture
UNITS = 32  # and so many told apart


def microscope(
    models: Models, vocab: Vocab, text: str, first: str = "surprise"
) -> None:
    """Look at what a model does with each character of a text.

    Args:
        models: for each name a model over the characters of `vocab`.
        vocab: the vocabulary they were trained with.
        text: what they read first; of a long one the first 50 characters.
        first: what to look at first: "surprise", "hidden units", "gates" or
            "gradient norms".

    Raises:
        ValueError: no such thing to look at.
    """
    check_models(models)
    if first not in LOOKS:
        raise ValueError(
            f"There is no {first!r} to look at: expected one of "
            f"{', '.join(LOOKS)}."
        )

    def draw(
        model: str, show: str, text: str, layer: int, units: int
    ) -> Page:
        look, least = LOOKS[show]
        check_text(text, vocab, least)
        if len(text) > LONGEST:
            raise ValueError(
                f"The text has {len(text)} characters: {LONGEST} at most can "
                "be read below a picture. Shorten it."
            )
        return look(Subject(model, models[model], vocab, text, layer, units))

    letter = first_prefix(vocab)[:1]
    shapes = [hidden_states(letter, m, vocab).shape for m in models.values()]
    layers, units = (max(shape[k] for shape in shapes) for k in (0, 2))
    show([
        Choice(
            "model", "model", "Which model reads", next(iter(models)),
            list(models),
        ),
        Choice(
            "show", "show", "What to look at", first, list(LOOKS)
        ),
        Entry("text", "text", "What it reads; end with Enter", text[:LONGEST]),
        Slider(
            "layer", "layer", "Of the hidden units, gates and gradients: "
            "layer 1 reads the characters", 1, 1, layers,
        ),
        Slider(
            "units", "units", "How many hidden units the pictures show",
            min(UNITS, units), 1, units,
        ),
    ], draw)
