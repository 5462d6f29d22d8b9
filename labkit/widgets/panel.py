"""Controls above a picture and a text that change in place.

A picture and a text are what a notebook keeps; the controls live as long as
the kernel does. A page that was loaded anew does not hear of their changes:
the cell has to be run again. ipywidgets is imported only where somebody can
move them.
"""

import base64
import io
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from labutils.view import Lines, Live, new_view

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
    """One thing to set; `hint` is what the pointer resting on it reads."""

    name: str
    label: str
    hint: str
    value: Any


@dataclass(frozen=True)
class Slider(Control):
    """A number between two others; whole numbers if `step` is one."""

    low: float
    high: float
    step: float = 1


@dataclass(frozen=True)
class Choice(Control):
    """One of several names."""

    options: Sequence[str]


@dataclass(frozen=True)
class Entry(Control):
    """A text to type; it counts when the field is left or Enter pressed."""


Draw = Callable[..., Page]


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
        screen.show(_page_in_any_case(draw, values))

    _display_panel(list(moving.values()))
    screen.show(_page(draw, values))
    for widget in moving.values():
        widget.observe(changed, names="value")


def new_figure(height: float = HEIGHT) -> Figure:
    """An empty picture as wide as all of them."""
    return Figure((WIDTH, height), dpi=DPI, layout="constrained")


def _page(draw: Draw, values: dict[str, Any]) -> Page:
    try:
        with matplotlib.rc_context(FONTS):
            return draw(**values)
    except ValueError as error:
        return _sentence("Please set another value.", str(error))


def _page_in_any_case(draw: Draw, values: dict[str, Any]) -> Page:
    """A traceback of a callback would be seen by nobody."""
    try:
        return _page(draw, values)
    except Exception as error:
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
        f'<p role="alert" style="font-size: 16px"><strong>{lead}</strong> '
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
        self.picture = _display(
            {"image/png": _png(page.figure), "text/plain": f"<{page.alt}>"},
            {"image/png": {"width": int(width), "height": int(height)}},
            self.picture,
        )
        self.text = _display(
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


def _display(data: dict, metadata: dict, handle: Any) -> Any:
    if handle is not None:
        handle.update(data, metadata=metadata, raw=True)
        return handle
    from IPython.display import display  # there is a kernel

    return display(data, metadata=metadata, raw=True, display_id=True)


def _widget(control: Control) -> Any:
    import ipywidgets  # type: ignore[import-untyped]

    style = {"description_width": "6.5em"}
    common = {
        "description": control.label, "tooltip": control.hint,
        "value": control.value, "continuous_update": False, "style": style,
        "layout": ipywidgets.Layout(width="25em", max_width="100%"),
    }
    if isinstance(control, Choice):
        # Not a drop-down: JupyterLab takes the arrow keys away from it.
        return ipywidgets.ToggleButtons(
            options=list(control.options), value=control.value,
            description=control.label, tooltip=control.hint,
            tooltips=[control.hint] * len(control.options),
            style={**style, "button_width": "auto"},
            layout=ipywidgets.Layout(width="100%"),
        )
    if isinstance(control, Slider):
        kind = (
            ipywidgets.IntSlider if isinstance(control.step, int)
            else ipywidgets.FloatSlider
        )
        return kind(
            min=control.low, max=control.high, step=control.step, **common
        )
    return ipywidgets.Text(placeholder=control.hint, **common)


def _display_panel(widgets: list[Any]) -> None:
    import ipywidgets  # type: ignore[import-untyped]
    from IPython.display import display

    panel = ipywidgets.Box(
        [*widgets, ipywidgets.HTML(PANEL_STYLE)],
        layout=ipywidgets.Layout(flex_flow="row wrap"),
    )
    panel.add_class("labutils-panel")
    display(panel)
