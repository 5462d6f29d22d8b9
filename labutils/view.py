"""A training to look at while it runs.

Where somebody sits before a notebook: one picture and one line of text, both
changed in place. In a notebook that runs by itself (nbval, papermill) nothing
until the end, in a terminal about ten plain lines. A notebook keeps the final
picture, the last line and three samples in either case.
"""

import io
import os
import time
import warnings
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from PIL import Image

from labutils import plots
from labutils.files import say
from labutils.files import translated as _
from labutils.history import History

LINES = 10
# At most five pictures a second, and no more of them than take this share of
# the time: a slow machine trains on and shows fewer.
SHORTEST_PAUSE = 0.2  # seconds
SHARE = 0.01
SIZE = (500, 330)  # pixels on the page
DPI = 100


class View:
    """What `train` tells of its progress; by itself, it shows nothing."""

    failed = False

    def tell(self, history: History, ending: str | None = None) -> None:
        """Show it, unless that has failed: its error must end no training."""
        if self.failed:
            return
        try:
            if ending is None:
                self.update(history)
            else:
                self.finish(history, ending)
        except Exception as error:
            self.failed = True
            warnings.warn(_(
                "The training goes on, but cannot be shown any more "
                f"({type(error).__name__}: {error})."), stacklevel=3)

    def update(self, history: History) -> None:
        """After each epoch."""

    def finish(self, history: History, status: str) -> None:
        """Once, at the end; `status` is empty after a full run."""


def new_view(verbose: bool = True) -> View:
    """The view that fits the place where this runs."""
    if not verbose:
        return View()
    kernel = plots.notebook_kernel()
    if kernel is None:
        return Lines()
    plots.set_style()
    if os.environ.get("CI") or "PYTEST_VERSION" in os.environ:
        return Still()
    # Programs that run notebooks say that nobody can answer a question.
    content = kernel.get_parent().get("content", {})
    return Live() if content.get("allow_stdin", False) else Still()


class Lines(View):
    """About ten lines of text."""

    def update(self, history: History) -> None:
        epoch, last = history.num_epochs, history.last_epoch
        if epoch % max(1, last // LINES) == 0 or epoch == last:
            say(f"{history.line()}\n  {history.sample}", as_it_is=True)


class Still(View):
    """What a notebook keeps of a training."""

    def finish(self, history: History, status: str) -> None:
        show_picture(Curve(history).final(history, status))
        say(ending(history), as_it_is=True)


def ending(history: History) -> str:
    """The last line, and the first, the middle and the last sample."""
    samples = history.samples
    chosen = dict.fromkeys([*samples[:1], *samples[len(samples) // 2 :][:1],
                            *samples[-1:]])
    texts = [_(f"epoch {epoch:4d}: {text}") for epoch, text in chosen]
    return "\n".join([history.line(), *texts])


class Live(View):
    """One picture and one line of text, changed in place."""

    curve: Any = None
    next_time = 0.0
    picture = text = None  # the handles of what is displayed

    def update(self, history: History) -> None:
        if time.perf_counter() < self.next_time:
            return
        if self.curve is None or largest(history) >= self.curve.top:
            self.curve = Curve(history)
            self.curve.frame(history)  # slow but once: not counted below
        start = time.perf_counter()
        text = f"{history.line()}  {history.sample}"
        self._show(self.curve.frame(history), text)
        end = time.perf_counter()
        self.next_time = end + max(SHORTEST_PAUSE, (end - start) / SHARE)

    def finish(self, history: History, status: str) -> None:
        self._show(Curve(history).final(history, status), ending(history))

    def _show(self, png: bytes, text: str) -> None:
        self.picture = show_picture(png, self.picture)
        self.text = display_in_place({"text/plain": text}, {}, self.text)


class Curve:
    """Perplexity over epochs, drawn in milliseconds: all but the two curves is
    drawn once and kept as pixels."""

    def __init__(self, history: History) -> None:
        self.figure = Figure(
            (SIZE[0] / DPI, SIZE[1] / DPI), dpi=DPI, layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        self.ax = self.figure.add_subplot()
        self.top = 1.4 * largest(history)
        blue = plots.COLOURS[0]
        self.training, self.held_out = (
            self.ax.semilogy([], [], style, color=blue, label=label)[0]
            for label, style in (("training", "-"), ("held out", "-.")))
        plots.label_perplexity(self.ax, "epoch")
        self.ax.set(xlim=(0, history.last_epoch), ylim=(0.95, self.top))
        plots.draw_baselines(self.ax, history.baselines)
        self.background: Any = None

    def frame(self, history: History) -> bytes:
        """A PNG of the training so far."""
        if self.background is None:
            self.canvas.draw()
            self.background = self.canvas.copy_from_bbox(self.figure.bbox)
        self.canvas.restore_region(self.background)
        self._set(history)
        self.ax.draw_artist(self.training)
        self.ax.draw_artist(self.held_out)
        buffer = io.BytesIO()
        imsave(buffer, self.canvas.buffer_rgba(), format="png",
               pil_kwargs={"compress_level": 1})
        return buffer.getvalue()

    def final(self, history: History, status: str) -> bytes:
        """A PNG with twice the pixels, and what the reader must know."""
        self._set(history)
        self.ax.set_title(status, fontsize="small")
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=2 * DPI)
        return quantize(buffer.getvalue())

    def _set(self, history: History) -> None:
        epochs = range(1, history.num_epochs + 1)
        self.training.set_data(epochs, history.train_perplexity)
        self.held_out.set_data(
            history.held_out_epochs, history.held_out_perplexity)


def largest(history: History) -> float:
    """Of the numbers that have a place on the vertical axis."""
    values = (*history.train_perplexity, *history.held_out_perplexity,
              *history.baselines.values())
    return max((x for x in values if x < float("inf")), default=20.0)


def quantize(png: bytes) -> bytes:
    """The same picture in 256 colours, enough for lines and letters.

    Notebooks full of pictures are kept in Git; it takes a third of the bytes.
    """
    picture = Image.open(io.BytesIO(png))
    if picture.mode == "P":
        return png
    small = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        small, "png", dpi=picture.info.get("dpi"))
    return small.getvalue()


def show_picture(png: bytes, handle: Any = None) -> Any:
    """Display a picture, or replace the handle's; returns the handle."""
    return display_in_place(
        {"image/png": png, "text/plain": "<perplexity by epoch>"},
        {"image/png": {"width": SIZE[0], "height": SIZE[1]}}, handle)


def display_in_place(data: dict, metadata: dict, handle: Any) -> Any:
    from IPython.display import display  # there is a kernel

    return display(data, metadata=metadata, raw=True, update=bool(handle),
                   display_id=handle.display_id if handle else True)
