"""Pictures: what stands in them, not how they look."""

import io
import os
import subprocess
import sys
import warnings
from base64 import b64decode

import matplotlib.pyplot as plt
import pytest
import torch
from kernel import Kernel
from matplotlib import font_manager
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from labutils import (
    History,
    seq_data_iter_random,
    seq_data_iter_sequential,
)
from labutils.plots import (
    COLOURS,
    STYLES,
    UNUSED,
    new_axes,
    plot_batches,
    plot_frequencies,
    plot_perplexity,
    set_style,
)


@pytest.fixture(autouse=True)
def no_windows():
    set_style.cache_clear()
    plt.close("all")
    plt.switch_backend("agg")
    yield
    plt.close("all")


def make_history(epochs=20, every=5, asked=None, **changes):
    """A training of 2 seconds an epoch."""
    held_out_epochs = tuple(
        e for e in range(1, epochs + 1) if e == 1 or e % every == 0
    )
    record = {
        "train_perplexity": tuple(30 / (e + 1) for e in range(epochs)),
        "train_seconds": tuple(2.0 * (e + 1) for e in range(epochs)),
        "held_out_perplexity": tuple(20.0 - e / 2 for e in held_out_epochs),
        "held_out_epochs": held_out_epochs,
        "samples": (),
        "tokens": 100 * epochs,
        "settings": {
            "num_epochs": epochs if asked is None else asked, "epochs_cap": 2,
        },
        "corpus": {},
        "versions": {},
        "baselines": {},
        "fingerprint": "",
    }
    return History(**{**record, **changes})


def drawn(ax):
    """Drawing it all, with warnings as errors, finds what no label shows."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax.figure.canvas.draw()
    return ax


TWO_BATCHES = torch.tensor([[[0, 1], [4, 5]], [[2, 3], [6, 7]]])
PLOTS = {
    "frequencies": lambda ax=None: plot_frequencies({"words": [5, 2, 1]}, ax),
    "batches": lambda ax=None: plot_batches({"row": TWO_BATCHES}, 6, ax),
    "perplexity": lambda ax=None: plot_perplexity({"RNN": make_history()}, ax),
}
every_plot = pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)


@every_plot
def test_a_plot_is_drawn_on_the_axes_given(plot):
    ax = Figure().add_subplot()
    assert plot(ax) is ax
    assert ax.has_data()
    assert not plt.get_fignums()
    drawn(ax)


@every_plot
def test_a_plot_makes_its_own_axes(plot):
    ax = drawn(plot())
    assert ax.has_data()
    assert plt.get_fignums() == [ax.figure.number]
    assert plot() is not ax


@every_plot
def test_a_plot_says_what_it_shows(plot):
    ax = plot()
    assert ax.get_xlabel()
    # The rows of plot_batches have names of their own.
    assert ax.get_ylabel() or ax.get_yticklabels()[0].get_text() == "row"


def test_new_axes_have_the_usual_size_times_two_factors():
    assert tuple(new_axes().figure.get_size_inches()) == (5, 3)
    assert tuple(new_axes(2, 0.5).figure.get_size_inches()) == (10, 1.5)


def test_frequencies():
    counts = {"one": [9, 3, 1], "two": [7, 2], "three": [5]}
    ax = drawn(plot_frequencies(counts))
    assert ax.get_xscale() == ax.get_yscale() == "log"
    for line, (label, values) in zip(
        ax.get_lines(), counts.items(), strict=True
    ):
        assert line.get_label() == label
        assert list(line.get_ydata()) == values
        assert list(line.get_xdata()) == list(range(1, len(values) + 1))
    assert len({line.get_linestyle() for line in ax.get_lines()}) == 3
    assert len({line.get_color() for line in ax.get_lines()}) == 3
    assert [text.get_text() for text in ax.get_legend().texts] == [*counts]
    assert "rank" in ax.get_xlabel() and ax.get_ylabel() == "occurrences"


def test_there_are_enough_curves_that_differ():
    pairs = {
        (COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]) for i in range(12)
    }
    assert len(pairs) == 12


def bars(ax):
    """(row, first position, one past the last, colour) of every bar."""
    found = []
    for collection in ax.collections:
        for path in collection.get_paths():
            box = path.get_extents()
            colour = to_hex(collection.get_facecolor()[0]).upper()
            row = round((box.y0 + box.y1) / 2)
            found.append((row, round(box.x0), round(box.x1), colour))
    return found


def coloured(ax):
    return [bar for bar in bars(ax) if bar[3] != UNUSED]


def inputs(sample, length, offset):
    """Batches over a text whose tokens are their own positions."""
    return [X for X, _ in sample(range(length), 2, 5, offset)]


def check_positions(ax, batches):
    """Each position in its row, once, in its batch's own colour."""
    colours = {}
    for row, Xs in enumerate(batches.values()):
        expected = {
            position: number
            for number, X in enumerate(Xs)
            for position in X.flatten().tolist()
        }
        found = [
            (position, colour)
            for r, start, end, colour in coloured(ax) if r == row
            for position in range(start, end)
        ]
        assert len(found) == len(expected)
        assert dict(found).keys() == expected.keys()
        for position, colour in found:
            number = expected[position]
            assert colours.setdefault((row, number), colour) == colour
        shades = [colours[row, number] for number in range(len(Xs))]
        assert len(set(shades)) == len(Xs)


@pytest.mark.parametrize(
    "sample", [seq_data_iter_random, seq_data_iter_sequential]
)
def test_batches_draw_each_position_once(sample):
    batches = {
        f"offset {offset}": inputs(sample, 35, offset) for offset in (0, 3)
    }
    ax = drawn(plot_batches(batches, 35))
    grey = [bar[:3] for bar in bars(ax) if bar[3] == UNUSED]
    assert grey == [(0, 0, 35), (1, 0, 35)]
    check_positions(ax, batches)
    # Each row of a batch bears the batch's number in its middle.
    numbers = {t.get_position(): int(t.get_text()) for t in ax.texts}
    assert numbers == {
        (int(row[0]) + 2.5, bar): number
        for bar, Xs in enumerate(batches.values())
        for number, X in enumerate(Xs)
        for row in X
    }
    assert [t.get_text() for t in ax.get_yticklabels()] == [*batches]
    assert ax.get_xlim() == (0, 35)
    assert ax.yaxis_inverted()  # the first row on top
    key = {text: to_hex(box.get_facecolor()[0]).upper() for box, text in zip(
        *ax.get_legend_handles_labels(), strict=True)}
    assert key == {"no input": UNUSED} | {
        f"batch {number}": COLOURS[number]
        for number in range(len(batches["offset 0"]))}


@pytest.mark.parametrize(
    "sample", [seq_data_iter_random, seq_data_iter_sequential]
)
def test_many_batches_are_drawn_without_numbers(sample):
    batches = {"many": inputs(sample, 501, 0)}
    assert len(batches["many"]) == 50
    ax = drawn(plot_batches(batches, 501))
    check_positions(ax, batches)
    assert not ax.texts
    assert ax.get_legend_handles_labels()[1] == [
        "no input", "batch 0", "batch 49"]


def test_batches_beyond_the_part_shown_are_left_out():
    ax = drawn(plot_batches({"row": TWO_BATCHES}, 6))
    assert sorted(bar[1:3] for bar in coloured(ax)) == [(0, 2), (2, 4), (4, 6)]
    assert len(ax.texts) == 3


@pytest.mark.parametrize("x", ["epoch", "seconds"])
def test_perplexity_has_two_lines_a_training(x):
    histories = {"RNN": make_history(), "GRU": make_history(10, 4)}
    ax = drawn(plot_perplexity(histories, x=x))
    lines = ax.get_lines()
    assert [line.get_label() for line in lines] == [
        "RNN, training", "RNN, held out", "GRU, training", "GRU, held out",
    ]
    factor = 1 if x == "epoch" else 2.0
    for i, history in enumerate(histories.values()):
        training, held_out = lines[2 * i : 2 * i + 2]
        epochs = range(1, history.num_epochs + 1)
        assert list(training.get_xdata()) == [factor * e for e in epochs]
        assert tuple(training.get_ydata()) == history.train_perplexity
        assert list(held_out.get_xdata()) == [
            factor * e for e in history.held_out_epochs
        ]
        assert tuple(held_out.get_ydata()) == history.held_out_perplexity
        assert training.get_linestyle() == "-"
        assert held_out.get_linestyle() == "-."
        assert training.get_color() == held_out.get_color()
    assert lines[0].get_color() != lines[2].get_color()
    assert lines[1].get_marker() != lines[3].get_marker()
    assert ax.get_yscale() == "log"
    assert ax.get_ylabel() == "perplexity (log scale)"
    assert ax.get_xlabel() == (
        "epoch" if x == "epoch" else "seconds of training"
    )
    assert len(ax.get_legend().texts) == 4


def test_counting_is_drawn_once_where_the_text_is_the_same():
    counted = {"unigram": 17.0, "bigram": 10.0, "trigram": 7.0}
    one = make_history(baselines=counted)
    ax = drawn(plot_perplexity({"RNN": one, "GRU": one}))
    thin = ax.get_lines()[4:]
    assert [line.get_ydata()[0] for line in thin] == [17.0, 10.0, 7.0]
    words = [text.get_text() for text in ax.texts]
    assert words == ["unigram 17.0", "bigram 10.0", "trigram 7.0"]
    other = make_history(baselines={"trigram": 6.0})
    assert not drawn(plot_perplexity({"RNN": one, "GRU": other})).texts


def test_epochs_are_whole_numbers():
    ax = drawn(plot_perplexity({"RNN": make_history(3)}))
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks and all(tick == int(tick) for tick in ticks)
    marks = [t.get_text() for t in ax.get_yticklabels()]
    assert marks == ["1", "2", "5", "10", "20", "50"]


def test_a_single_epoch_can_be_seen():
    ax = drawn(plot_perplexity({"RNN": make_history(1)}))
    training, held_out = ax.get_lines()
    assert training.get_marker() != "None"
    assert held_out.get_marker() != "None"


def test_a_full_run_needs_no_title_and_a_capped_one_has_it():
    assert plot_perplexity({"RNN": make_history()}).get_title() == ""
    ax = plot_perplexity({"RNN": make_history(2, asked=500)})
    assert ax.get_title() == "CAPPED RUN, 2 of 500 epochs (LABUTILS_EPOCHS=2)"


@pytest.mark.parametrize(
    "history",
    [
        make_history(0, asked=5, interrupted=True),
        make_history(held_out_perplexity=(), held_out_epochs=()),
        make_history(
            2, asked=5, train_perplexity=(27.0, float("inf")), diverged=True
        ),
        make_history(
            1, asked=5, train_perplexity=(float("nan"),), diverged=True,
            held_out_perplexity=(), held_out_epochs=(),
        ),
    ],
    ids=["no epoch", "nothing held out", "diverged", "nothing but nan"],
)
@pytest.mark.parametrize("x", ["epoch", "seconds"])
def test_a_training_with_little_to_show_can_be_plotted(history, x):
    ax = drawn(plot_perplexity({"RNN": history}, x=x))
    training, held_out = ax.get_lines()
    assert len(training.get_xdata()) == history.num_epochs
    assert len(held_out.get_xdata()) == len(history.held_out_epochs)


@pytest.mark.parametrize("x", ["epochs", "", None])
def test_an_unknown_x_is_refused(x):
    with pytest.raises(ValueError, match="expected 'epoch' or 'seconds'"):
        plot_perplexity({"RNN": make_history()}, x=x)
    assert not plt.get_fignums()  # before an empty figure is made


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere there always is a display"
)
@pytest.mark.slow
def test_plots_work_without_a_display():
    environment = {
        name: value for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    }
    script = (
        "import matplotlib; from labutils.plots import new_axes; "
        "new_axes().figure.canvas.draw(); print(matplotlib.get_backend())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment,
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().strip() == "agg"


def test_a_title_stands_above_the_picture():
    frequencies = plot_frequencies({"words": [3, 1]}, title="Words by rank")
    batches = plot_batches({"toy": [torch.arange(4)[None]]}, 5, title="Toy")
    assert frequencies.get_title() == "Words by rank"
    assert batches.get_title() == "Toy"


# Chinese letters.

WORDS_ZH = "训练困惑度"


def figure_with(words):
    ax = new_axes()
    ax.set_title(words)
    data = io.BytesIO()
    ax.figure.savefig(data, format="png")
    plt.close(ax.figure)
    return data.getvalue()


def test_chinese_letters_are_drawn_where_a_font_has_them():
    if set_style() is None:
        pytest.skip("needs a font with Chinese letters, fonts-noto-cjk")
    # A letter that no font has warns, which fails the test, and is a box;
    # boxes look all the same.
    assert figure_with(WORDS_ZH) != figure_with(WORDS_ZH[::-1])
    # Others still come from matplotlib's own font.
    assert plt.rcParams["font.family"][0] == "sans-serif"


def test_without_such_a_font_nothing_is_said_and_nothing_changes(
    monkeypatch, caplog
):
    latin = [f for f in font_manager.fontManager.ttflist
             if f.name.startswith("DejaVu")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", latin)
    monkeypatch.setitem(plt.rcParams, "font.family", ["sans-serif"])
    set_style.cache_clear()
    assert set_style() is None
    assert plt.rcParams["font.family"] == ["sans-serif"]
    figure_with("words")
    with pytest.warns(UserWarning, match="missing from font"):
        figure_with(WORDS_ZH)  # so one knows
    assert not caplog.records


def test_a_font_is_asked_for_once():
    set_style()
    before = [*plt.rcParams["font.family"]]
    set_style.cache_clear()
    set_style()
    assert plt.rcParams["font.family"] == before


@pytest.mark.slow
def test_an_import_changes_no_style():
    script = (
        "import matplotlib; before = dict(matplotlib.rcParams);"
        "from labutils import plots, results, view;"
        "assert dict(matplotlib.rcParams) == before"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script])
    assert done.returncode == 0


# In a notebook.

CHOOSE_PNG = "%config InlineBackend.figure_formats = ['png', 'jpeg']"


@pytest.mark.slow
@pytest.mark.parametrize("chosen, factor", [("", 2), (CHOOSE_PNG, 1)])
def test_a_notebooks_figure_has_twice_the_pixels_unless_the_reader_chooses(
    chosen, factor
):
    with Kernel() as kernel:
        if chosen:
            kernel.run(chosen)
        kernel.run("from labutils.plots import *")
        cell = kernel.run("plot_frequencies({'words': [3, 1]});")
    (shown,) = cell.of("display_data")
    with Image.open(io.BytesIO(b64decode(
        shown["content"]["data"]["image/png"]
    ))) as picture:
        width = picture.size[0]
    said = shown["content"]["metadata"].get("image/png", {})
    assert width // said.get("width", width) == factor
    assert 450 * factor < width < 550 * factor
