"""Controls above a picture and a text that change in place, and the models
and texts that they are given.

A picture and a text are what a notebook keeps; the controls live as long as
the kernel does. A page that was loaded anew does not hear of their changes:
the cell has to be run again. ipywidgets is imported only where somebody can
move them.
"""

import base64
import io
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from labkit.widgets.drawing import FONT
from labkit.widgets.inspection import check_vocab, read
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
    """What the controls' values come to.

    Args:
        figure: the picture.
        alt: what it shows, in one sentence for those who cannot see it.
        html: the text below it.
        plain: the same text where there is no HTML.
    """

    figure: Figure
    alt: str
    html: str
    plain: str


@dataclass(frozen=True)
class Control:
    """One thing to set.

    Args:
        name: of the argument of `draw` that it sets.
        label: what stands beside it.
        hint: what the pointer resting on it reads.
        value: its first value.
        among: what it can be: one of some names (buttons), of a range of
            whole numbers, or of numbers given as (lowest, highest, step)
            (sliders). None is any text; it counts when the field is left or
            Enter is pressed.
    """

    name: str
    label: str
    hint: str
    value: Any
    among: list[str] | range | tuple[float, float, float] | None = None


Draw = Callable[..., Page]
Models = Mapping[str, LanguageModel]


def show(controls: Sequence[Control], draw: Draw) -> None:
    """Display what `draw` makes of the controls' values, and the controls.

    Args:
        controls: those that a person at a notebook gets, in this order.
        draw: called with each control's value by its name. A ValueError of
            it is shown as a sentence, for somebody to set another value.
    """
    place = new_view()
    values: dict[str, Any] = {c.name: c.value for c in controls}
    if isinstance(place, Lines) and not place.picture:
        print(_page(draw, values).plain)  # a terminal
        return
    on_page = os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")
    screen: _Screen | _OnPage = _OnPage() if on_page else _Screen()
    if not (on_page or isinstance(place, Live)):
        screen.show(_page(draw, values))
        return
    moving = {control.name: _widget(control) for control in controls}

    def changed(_: object) -> None:
        values = {name: widget.value for name, widget in moving.items()}
        screen.show(_page(draw, values, moved=True))

    _display_panel(list(moving.values()))
    screen.show(_page(draw, values))
    for widget in moving.values():
        widget.observe(changed, names="value")


def new_figure(height: float = HEIGHT) -> Figure:
    """An empty picture as wide as all of them."""
    return Figure((WIDTH, height), dpi=DPI, layout="constrained")


def _page(draw: Draw, values: dict[str, Any], moved: bool = False) -> Page:
    try:
        with matplotlib.rc_context(FONTS):
            return draw(**values)
    except ValueError as error:
        return _sentence("Please set another value.", str(error))
    except Exception as error:
        if not moved:
            raise
        # A traceback of a callback would be seen by nobody.
        words = f"{type(error).__name__}: {error}"
        return _sentence("This did not work.", words)


def _sentence(lead: str, words: str) -> Page:
    """Words in place of a picture that these values do not have."""
    figure = new_figure(0.4)
    figure.text(
        0.5, 0.5, "no picture for these values", color="#555555",
        ha="center", va="center", fontsize=FONTS["font.size"],
    )
    html = (
        f'<p role="alert" style="{FONT}"><strong>{lead}</strong> '
        f"{escape(words)}</p>"
    )
    return Page(figure, "no picture for these values", html, words)


def _png(figure: Figure) -> bytes:
    """With twice the pixels, for a projector."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(FONTS), warnings.catch_warnings():
        # A character that the font lacks is drawn as an empty box.
        warnings.filterwarnings("ignore", message="Glyph", append=False)
        figure.savefig(buffer, format="png", dpi=2 * DPI)
    return buffer.getvalue()


class _Screen:
    """A picture and a text, displayed once and then replaced."""

    def __init__(self) -> None:
        self.picture: Any = None
        self.text: Any = None

    def show(self, page: Page) -> None:
        width, height = (page.figure.get_size_inches() * DPI).astype(int)
        self.picture = display_in_place(
            {"image/png": _png(page.figure), "text/plain": f"<{page.alt}>"},
            {"image/png": {"width": int(width), "height": int(height)}},
            self.picture,
        )
        self.text = display_in_place(
            {"text/html": page.html, "text/plain": page.plain}, {}, self.text
        )


class _OnPage:
    """A picture and a text as one widget.

    A page of Voila changes no output after it was made, but every widget.
    """

    def __init__(self) -> None:
        self.widget: Any = None

    def show(self, page: Page) -> None:
        import ipywidgets  # type: ignore[import-untyped]
        from IPython.display import display

        data = base64.b64encode(_png(page.figure)).decode()
        source = f"data:image/png;base64,{data}"
        html = f'<img alt="{escape(page.alt)}" src="{source}">{page.html}'
        if self.widget is None:
            self.widget = ipywidgets.HTML(html)
            self.widget.add_class("labutils-screen")
            display(self.widget)
        self.widget.value = html


def _widget(control: Control) -> Any:
    import ipywidgets  # type: ignore[import-untyped]

    among, layout, style = control.among, ipywidgets.Layout, {
        "description_width": "6.5em",
    }
    common = {
        "description": control.label, "tooltip": control.hint,
        "value": control.value,
    }
    if isinstance(among, list):
        # Not a drop-down: JupyterLab takes the arrow keys away from it.
        return ipywidgets.ToggleButtons(
            options=among, tooltips=[control.hint] * len(among),
            style={**style, "button_width": "auto"},
            layout=layout(width="100%"), **common,
        )
    common |= {
        "continuous_update": False, "style": style,
        "layout": layout(width="25em", max_width="100%"),
    }
    if among is None:
        return ipywidgets.Text(placeholder=control.hint, **common)
    if isinstance(among, range):
        return ipywidgets.IntSlider(min=among[0], max=among[-1], **common)
    low, high, step = among
    return ipywidgets.FloatSlider(min=low, max=high, step=step, **common)


def _display_panel(widgets: list[Any]) -> None:
    import ipywidgets  # type: ignore[import-untyped]
    from IPython.display import display

    panel = ipywidgets.Box(
        [*widgets, ipywidgets.HTML(PANEL_STYLE)],
        layout=ipywidgets.Layout(flex_flow="row wrap"),
    )
    panel.add_class("labutils-panel")
    display(panel)


# ---- what the widgets are given


def check_models(models: Models, vocab: Vocab, least: int = 1) -> None:
    """Refuse what is no dictionary of models over the vocabulary.

    Raises:
        TypeError, ValueError: with an example of what was expected.
    """
    example = "such as {'RNN': rnn, 'LSTM': lstm}"
    if not isinstance(models, Mapping):
        raise TypeError(
            f"models is of type {type(models).__name__}: expected a "
            f"dictionary from names to models, {example}."
        )
    if len(models) < least:
        raise ValueError(
            f"models holds {len(models)}: expected {least} or more, {example}."
        )
    for name, model in models.items():
        check_vocab(model, vocab, f"The model {name!r}")


def check_text(text: str, model: LanguageModel, vocab: Vocab) -> None:
    """Refuse a text that the model cannot read.

    Raises:
        ValueError: it is empty or has characters that are not in the
            vocabulary, or the model has diverged.
    """
    unknown = sorted({c for c in text if c not in vocab.token_to_idx})
    if unknown:
        found = ", ".join(map(repr, unknown))
        known = "".join(
            sorted(t for t in vocab.idx_to_token if len(t) == 1 and t != " ")
        )
        raise ValueError(
            f"Not in the vocabulary: {found}. The models know the space and "
            f"{known[:60]}"
        )
    read(text, model, vocab)


def first_prefix(vocab: Vocab) -> str:
    """The book's hero, or for another text's characters some of those."""
    known = [token for token in vocab.idx_to_token if len(token) == 1]
    if set("time traveller") <= set(known):
        return "time traveller"
    return "".join(known[:3])
