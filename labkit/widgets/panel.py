"""Controls above a picture and a text that change in place, and the models
and texts that they are given.

A picture and a text are what a notebook keeps; the controls live as long as
the kernel does. A page that was loaded anew does not hear of their changes:
the cell has to be run again. ipywidgets is imported only where somebody can
move them.
"""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from labkit.widgets.drawing import FONT
from labutils.files import say
from labutils.files import translated as _
from labutils.generation import encode
from labutils.models import LanguageModel
from labutils.text import Vocab
from labutils.view import Lines, Live, display_in_place, new_view

DPI = 100
WIDTH, HEIGHT = 7.0, 3.0  # inches
# Points: what is read from the back row.
FONTS: Any = {"font.size": 12, "axes.titlesize": 12, "legend.fontsize": 11}
# JupyterLab makes the writing on controls smaller than that on the page, and
# sets the name of buttons above them.
PANEL_STYLE = """<style>
.labutils-panel {--jp-widgets-font-size: 15px}
.labutils-panel .widget-toggle-buttons {display: flex}
.labutils-panel .widget-toggle-buttons > label {text-align: right}
</style>"""


@dataclass(frozen=True)
class Page:
    """What the controls' values come to."""

    figure: Any  # matplotlib's
    alt: str  # what it shows, in one sentence for those who cannot see it
    html: str  # the text below it
    plain: str  # the same text where there is no HTML


@dataclass(frozen=True)
class Control:
    """One thing to set: one of some names (buttons), of a range of whole
    numbers or of numbers given as (lowest, highest, step) (sliders), or any
    text, which counts when the field is left or Enter is pressed."""

    name: str  # of the argument of `draw` that it sets
    label: str  # what stands beside it
    hint: str  # what the pointer resting on it reads
    value: Any  # its first value
    among: list[str] | range | tuple[float, float, float] | None = None


Models = Mapping[str, LanguageModel]


def show(controls: Sequence[Control], draw: Callable[..., Page]) -> None:
    """Display what `draw` makes of each control's value, by its name, and, for
    a person at a notebook, the controls. A ValueError of `draw` is shown as a
    sentence, for somebody to set another value."""
    view = new_view()
    values: dict[str, Any] = {c.name: c.value for c in controls}
    if isinstance(view, Lines):
        say(_page(draw, values).plain, as_it_is=True)  # a terminal
        return
    moving = _widgets(controls) if isinstance(view, Live) else {}
    handles = _display(_page(draw, values))

    def changed(event: object) -> None:
        values = {name: widget.value for name, widget in moving.items()}
        _display(_page(draw, values, moved=True), *handles)

    for widget in moving.values():
        widget.observe(changed, names="value")


def new_figure(height: float = HEIGHT) -> Figure:
    """An empty picture as wide as all of them."""
    return Figure((WIDTH, height), dpi=DPI, layout="constrained")


def _page(
    draw: Callable[..., Page], values: dict[str, Any], moved: bool = False
) -> Page:
    try:
        with matplotlib.rc_context(FONTS):
            return draw(**values)
    except ValueError as error:
        lead, words = _("Please set another value."), str(error)
    except Exception as error:
        if not moved:
            raise
        # A traceback of a callback would be seen by nobody.
        lead = _("This did not work.")
        words = f"{type(error).__name__}: {error}"
    figure, nothing = new_figure(0.4), "no picture for these values"
    figure.text(0.5, 0.5, nothing, color="#555555", ha="center", va="center",
                fontsize=FONTS["font.size"])
    html = f"<strong>{lead}</strong> {escape(words)}"
    html = f'<p role="alert" style="{FONT}">{html}</p>'
    return Page(figure, _(nothing), html, words)


def _png(figure: Figure) -> bytes:
    """With twice the pixels, for a projector."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(FONTS), warnings.catch_warnings():
        # A character that the font lacks is drawn as an empty box.
        warnings.filterwarnings("ignore", message="Glyph", append=False)
        figure.savefig(buffer, format="png", dpi=2 * DPI)
    return buffer.getvalue()


def _display(page: Page, picture: Any = None, text: Any = None) -> Any:
    """A picture and a text, or others in their place; their two handles."""
    width, height = map(int, page.figure.get_size_inches() * DPI)
    return display_in_place(
        {"image/png": _png(page.figure), "text/plain": f"<{page.alt}>"},
        {"image/png": {"width": width, "height": height}}, picture,
    ), display_in_place(
        {"text/html": page.html, "text/plain": page.plain}, {}, text)


def _widgets(controls: Sequence[Control]) -> dict[str, Any]:
    """Display the controls; a widget for each, by its name."""
    import ipywidgets as w  # type: ignore[import-untyped]
    from IPython.display import display

    style = {"description_width": "6.5em"}
    field: dict[str, Any] = {
        "continuous_update": False, "style": style,
        "layout": {"width": "25em", "max_width": "100%"}}
    made = {}
    for control in controls:
        hint = _(control.hint)
        match control.among:
            case None:
                kind, options = w.Text, field | {"placeholder": hint}
            case list(names):
                # Not a drop-down: JupyterLab takes the arrow keys from it.
                kind, options = w.ToggleButtons, {
                    "options": [(_(name), name) for name in names],
                    "tooltips": [hint] * len(names),
                    "style": {**style, "button_width": "auto"},
                    "layout": {"width": "100%"}}
            case range() as among:
                kind, options = w.IntSlider, field | {
                    "min": among[0], "max": among[-1]}
            case low, high, step:
                kind, options = w.FloatSlider, field | {
                    "min": low, "max": high, "step": step}
        made[control.name] = kind(
            description=_(control.label), tooltip=hint,
            value=control.value, **options)
    panel = w.Box([*made.values(), w.HTML(PANEL_STYLE)],
                  layout={"flex_flow": "row wrap"})
    display(panel.add_class("labutils-panel"))
    return made


def check_models(models: Models, vocab: Vocab, least: int = 1) -> None:
    """Refuse what is no dictionary of models over the vocabulary."""
    example = "such as {'RNN': rnn, 'LSTM': lstm}"
    if not isinstance(models, Mapping):
        raise TypeError(_(
            f"models is of type {type(models).__name__}: expected a "
            f"dictionary from names to models, {example}."))
    if len(models) < least:
        raise ValueError(_(
            f"models holds {len(models)}: expected {least} or more, "
            f"{example}."))
    for name, model in models.items():
        try:
            encode(" ", model, vocab)
        except ValueError as error:
            raise ValueError(_(f"{name!r}: {error}")) from None


def check_text(text: str, vocab: Vocab) -> None:
    """Refuse a text with characters that are not in the vocabulary."""
    if unknown := sorted(set(text) - vocab.token_to_idx.keys()):
        known = "".join(
            sorted(t for t in vocab.idx_to_token if len(t) == 1 and t != " "))
        raise ValueError(_(
            f"Not in the vocabulary: {', '.join(map(repr, unknown))}. The "
            f"models know the space and {known[:60]}"))
