"""Controls that are moved, and what shows where nobody can move them."""

import base64
import io
import re
import sys
from functools import partial

import pytest
import torch
from kernel import Cell, Kernel
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from small import CPU, TEXT, VOCAB, V, make_model
from torch import nn

from labkit.widgets import (
    microscope,
    panel,
    playground,
    sampling_explorer,
    side_by_side,
)
from labkit.widgets.drawing import draw_next, shade
from labkit.widgets.inspection import (
    gates,
    gradient_norms,
    surprises,
)
from labkit.widgets.panel import check_text
from labkit.widgets.playground import first_prefix
from labutils import RNNModel, RNNModelScratch, Vocab, predict, scratch
from labutils.generation import next_distribution
from labutils.plots import COLOURS
from labutils.view import Live, Still

CALLS = {
    "sampling_explorer": "sampling_explorer(VOCAB[list(TEXT * 9)], VOCAB)",
    "playground": "playground(models, VOCAB)",
    "microscope": "microscope(models, VOCAB, 'time travel')",
    "side_by_side": "side_by_side(models, VOCAB)",
}


def make_models():
    torch.manual_seed(0)
    return {
        "plain": make_model("scratch"),
        "LSTM": RNNModel(nn.LSTM(V, 8, 2, dropout=0.5), V),
        "GRU": RNNModel(nn.GRU(V, 12), V),
        "LSTM from scratch": RNNModelScratch(
            V, 40, CPU, scratch.get_lstm_params, scratch.init_lstm_state,
            scratch.lstm,
        ),
    }


class Caught:
    """A widget's controls and what it draws, instead of a display."""

    def __init__(self, monkeypatch, call):
        monkeypatch.setattr(panel, "show", self.take)
        call()

    def take(self, controls, draw):
        self.controls, self.draw = controls, draw

    def page(self, **changes):
        values = {c.name: c.value for c in self.controls}
        assert set(changes) <= set(values)
        return panel._page(self.draw, {**values, **changes})


@pytest.fixture
def caught(monkeypatch):
    return partial(Caught, monkeypatch)


@pytest.fixture
def explorer(caught):
    return caught(lambda: sampling_explorer(range(100, 135)))


@pytest.fixture
def play(caught):
    return caught(lambda: playground(make_models(), VOCAB))


@pytest.fixture
def look(caught):
    return caught(lambda: microscope(make_models(), VOCAB, "time travel"))


@pytest.fixture
def two(caught):
    return caught(lambda: side_by_side(make_models(), VOCAB))


EACH = ["explorer", "play", "look", "two"]


def ax_of(page):
    return page.figure.axes[0]


def without_tags(html):
    return re.sub("<[^>]*>", " ", html)


# ---- batches


def test_the_batches_of_the_toy_corpus(explorer):
    page = explorer.page()
    assert page.plain.splitlines() == [
        "sequential, batch 0 of 3: (2, 5), from 35 tokens",
        "0: 100 101 102 103 104  ->  101 102 103 104 105",
        "17: 117 118 119 120 121  ->  118 119 120 121 122",
    ]
    moved = explorer.page(number=2, offset=1, num_steps=4)
    assert moved.plain.splitlines()[1:] == [
        "9: 109 110 111 112  ->  110 111 112 113",
        "25: 125 126 127 128  ->  126 127 128 129",
    ]


def test_the_chosen_batch_is_outlined(explorer):
    ax = ax_of(explorer.page(number=1))
    [outline] = [
        bars for bars in ax.collections
        if tuple(bars.get_linewidth()) == (2.5,)
    ]
    lefts = [path.vertices[:, 0].min() for path in outline.get_paths()]
    assert lefts == [5, 22]
    assert ax.get_title() == "outlined: batch 1 (of 0 to 2)"


def test_random_batches_depend_on_the_seed_alone(explorer):
    pages = [explorer.page(order="random", seed=s).plain for s in (1, 1, 2)]
    assert pages[0] == pages[1] != pages[2]


def test_a_batch_number_that_is_too_high_is_the_last(explorer):
    assert "batch 2 of 3" in explorer.page(number=99).plain


def test_steps_that_are_too_long_for_the_text(explorer):
    page = explorer.page(num_steps=64)
    assert "one batch needs at least 129 (batch_size 2 x num_st" in page.plain
    assert "Please set another value" in page.html
    assert page.figure.axes == []


def test_rows_are_decoded_and_few(caught):
    corpus = torch.tensor(VOCAB[list(TEXT * 500)])
    explorer = caught(lambda: sampling_explorer(corpus, VOCAB))
    page = explorer.page(batch_size=9, num_steps=10)
    assert "a␣time␣tra" in page.plain and "␣time␣trav" in page.plain
    assert len(page.plain.splitlines()) == 5
    assert "and 5 more rows" in page.html
    assert "from 10,000 tokens" in page.plain
    # A thousand rows are drawn at the most.
    assert "from 1,000 tokens" in explorer.page(num_steps=1).plain


def test_words_are_set_apart(caught):
    vocab = Vocab(["time", "machine"])
    explorer = caught(lambda: sampling_explorer([1, 2, 1, 2, 1], vocab))
    assert "time machine" in explorer.page().plain


@pytest.mark.parametrize("length", [3, 4, 5, 11, 12])
def test_the_first_values_fit_a_short_corpus(caught, length):
    page = caught(lambda: sampling_explorer(range(length))).page()
    assert page.plain.startswith("sequential, batch 0 of 1")


@pytest.mark.parametrize("corpus", [[], [1, 2], [[1, 2, 3], [4, 5, 6]]])
def test_no_corpus(corpus):
    with pytest.raises(ValueError, match="expected one sequence of 3"):
        sampling_explorer(corpus)


# ---- texts


@pytest.mark.parametrize("name", make_models())
def test_the_text_is_what_predict_writes(play, name):
    model = make_models()[name]
    greedy = predict("time", 9, model, VOCAB)
    page = play.page(model=name, prefix="time", length=9, top_k=3)
    assert page.plain == greedy
    assert f"<u>time</u>{greedy[4:]}" in page.html
    drawn = predict(
        "time", 9, model, VOCAB, temperature=0.7, top_k=3,
        generator=torch.Generator().manual_seed(5),
    )
    page = play.page(
        model=name, prefix="time", length=9, temperature=0.7, top_k=3, seed=5
    )
    assert page.plain == drawn
    assert "drawn from the 3 likeliest, temperature 0.7" in page.html


def heights(ax):
    return [[bar.get_height() for bar in bars] for bars in ax.containers]


def test_the_bars_are_the_distribution(play):
    own, used = heights(ax_of(play.page(temperature=2.0, top_k=4)))
    model = make_models()["plain"]
    whole = next_distribution("time traveller", model, VOCAB)
    assert own == whole.sort(descending=True).values[:15].tolist()
    assert used[4:] == [0] * (len(used) - 4)
    roots = [p ** 0.5 for p in own[:4]]
    assert used[:4] == pytest.approx([x / sum(roots) for x in roots])
    _, greedy = heights(ax_of(play.page()))
    assert greedy == [1, *[0] * (len(greedy) - 1)]


def test_bars_that_nobody_sees_are_left_out():
    for sure, shown in ((0.99, 3), (0.5, V)):
        ax = Figure().add_subplot()
        rest = torch.full((V - 1,), (1 - sure) / (V - 1))
        draw_next(ax, VOCAB, {"sure": torch.cat([torch.tensor([sure]), rest])})
        assert [len(bars) for bars in ax.containers] == [min(shown, 15)]


def test_two_models_side_by_side(two):
    page = two.page(right="GRU", left="LSTM", prefix="time", length=20)
    models = make_models()
    texts = [predict("time", 20, models[n], VOCAB) for n in ("LSTM", "GRU")]
    place = next(i for i, (a, b) in enumerate(zip(*texts, strict=True))
                 if a != b)
    for name, text in zip(("LSTM", "GRU"), texts, strict=True):
        cost = 2 ** surprises("time", models[name], VOCAB).mean()
        line = f"{name} (perplexity of the prefix {cost:.2f}): {text}"
        assert line in page.plain.splitlines()
        marked = re.findall("<mark[^>]*>(.)</mark>", page.html)
        assert text[place].replace(" ", "␣") in marked
    assert len(marked) == 2
    assert f"They part at character {place - 3} after" in page.plain
    assert [len(bars) for bars in heights(ax_of(page))] == [12, 12]


def test_texts_that_do_not_differ(two):
    page = two.page(length=0)
    assert "The two texts are the same." in page.plain
    assert "<mark" not in page.html


def test_a_prefix_of_one_character_has_no_perplexity(two):
    assert "(perplexity of the prefix -)" in two.page(prefix="t").plain


def test_the_same_model_twice(two):
    assert "Both models are GRU: choose another" in two.page(
        left="GRU", right="GRU"
    ).plain


# ---- the microscope


def test_surprise_stands_below_each_character(look):
    text = "time travels as far as time"
    page = look.page(model="GRU", text=text)
    bits = surprises(text, make_models()["GRU"], VOCAB).tolist()
    words = without_tags(page.html)
    numbers = re.findall(r"(?<=\s)(?:\d+\.\d|-)(?=\s)", words)
    assert numbers == ["-", *(f"{b:.1f}" for b in bits)]
    letters = [
        letter for line in re.findall(r"character((?:\s+\S)+)\s+bits", words)
        for letter in line.split()
    ]
    assert letters == list(text.replace(" ", "␣"))
    [bars] = heights(ax_of(page))
    assert bars == pytest.approx(bits)


def test_hidden_units_of_each_layer(look):
    images = []
    for layer in (1, 2, 3):
        page = look.page(
            model="LSTM", show="hidden units", layer=layer, units=5
        )
        [image] = ax_of(page).images
        assert image.get_array().shape == (5, len("time travel"))
        images.append(image.get_array())
        titles = f"LSTM, layer {min(layer, 2)} of 2"
        assert ax_of(page).get_title() == titles
    assert (images[0] != images[1]).any()
    assert (images[1] == images[2]).all()  # there is no third one


@pytest.mark.parametrize("name", ["LSTM", "GRU", "LSTM from scratch"])
def test_gates_are_drawn_and_counted(look, name):
    page = look.page(model=name, show="gates", layer=1, units=40)
    found = gates("time travel", make_models()[name], VOCAB)
    axes = [ax for ax in page.figure.axes if ax.images]
    assert [ax.get_title().split(": ")[1] for ax in axes] == [
        f"{gate} gate" for gate in found
    ]
    lines = page.plain.splitlines()[1:]
    for ax, line, values in zip(axes, lines, found.values(), strict=True):
        drawn = torch.tensor(ax.images[0].get_array().data)
        torch.testing.assert_close(drawn, values[0].T)
        assert f"{values[0].mean():.2f}" in line


def test_a_network_without_gates(look):
    page = look.page(model="plain", show="gates")
    assert page.plain.startswith("This model has no gates")


def test_gradient_norms_are_drawn(look):
    page = look.page(model="LSTM", show="gradient norms", layer=2)
    found = gradient_norms("time travel", make_models()["LSTM"], VOCAB)
    for line, norms in zip(ax_of(page).lines, found.values(), strict=True):
        assert line.get_ydata() == pytest.approx(norms[1].tolist())
    assert ax_of(page).get_yscale() == "log"


def test_gradients_that_are_zero(caught):
    model = make_model("scratch")
    with torch.no_grad():
        model.params[1].zero_()  # nothing is handed on
    look = caught(lambda: microscope({"cut": model}, VOCAB, "time travel"))
    page = look.page(show="gradient norms")
    assert "hidden state  0.0e+00  0.0e+00  -" in page.plain
    page.figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": ""}, "has 0 characters: expected at least 2."),
        ({"text": "t"}, "has 1 characters: expected at least 2."),
        ({"text": "at", "show": "gradient norms"}, "expected at least 3."),
        ({"text": "t" * 51}, "has 51 characters: 50 at most"),
        ({"text": "Time!"}, "Not in the vocabulary: '!', 'T'."),
    ],
)
def test_a_text_that_cannot_be_looked_at(look, changes, words):
    page = look.page(**changes)
    assert words in page.plain
    assert "Please set another value" in page.html


def test_the_first_look_can_be_chosen(caught):
    look = caught(lambda: microscope(
        make_models(), VOCAB, "time travel", first="hidden units"))
    assert "mean |value|" in look.page().plain
    with pytest.raises(ValueError, match=r"no 'nothing' .* one of surprise"):
        microscope(make_models(), VOCAB, "time travel", first="nothing")


def test_a_long_text_is_cut(caught):
    look = caught(lambda: microscope(make_models(), VOCAB, TEXT))
    assert [c.value for c in look.controls if c.name == "text"] == [TEXT[:50]]
    assert "Please" not in look.page().html


# ---- all of them


@pytest.mark.parametrize("name", ["play", "two"])
def test_a_prefix_that_cannot_be_read(name, request):
    widget = request.getfixturevalue(name)
    for prefix, words in (
        ("", "has 0 characters"), ("Zeit", "vocabulary: 'Z'."),
    ):
        page = widget.page(prefix=prefix)
        assert words in page.plain
        assert page.figure.axes == []


@pytest.mark.parametrize("name", EACH)
def test_every_control_is_named_explained_and_within_its_range(name, request):
    controls = request.getfixturevalue(name).controls
    assert len({c.label for c in controls}) == len(controls)
    for control in controls:
        assert control.label and len(control.hint) > 9
        if isinstance(control.among, tuple):
            low, high, step = control.among
            assert low <= control.value <= high and 0 < step < high - low
        elif control.among is not None:
            assert control.value in control.among


SHOWN = [
    ("explorer", {}), ("explorer", {"num_steps": 1, "batch_size": 1}),
    ("play", {}), ("two", {}),
    *(
        ("look", {"show": show, "model": "LSTM"})
        for show in ("surprise", "hidden units", "gates", "gradient norms")
    ),
]


@pytest.mark.parametrize(("name", "changes"), SHOWN)
def test_a_picture_can_be_read_from_the_back_row(name, changes, request):
    page = request.getfixturevalue(name).page(**changes)
    assert page.figure.axes
    width, height = page.figure.get_size_inches()
    assert width == 7 and 2 <= height <= 5.5
    page.figure.draw_without_rendering()  # or there are no ticks yet
    for text in page.figure.findobj(Text):
        if text.get_text():
            assert text.get_fontsize() >= 11, text
    sizes = re.findall(r"font-size: (\d+)px", page.html)
    assert sizes and min(map(int, sizes)) >= 15


def test_a_picture_has_twice_the_pixels_of_its_place(play):
    png = imread(io.BytesIO(panel._png(play.page().figure)))
    assert png.shape[1] == 2 * panel.DPI * panel.WIDTH == 1400


@pytest.mark.parametrize("name", EACH)
def test_numbers_and_models_are_left_as_they_were(monkeypatch, name, request):
    models = make_models()
    monkeypatch.setattr(sys.modules[__name__], "make_models", lambda: models)
    widget = request.getfixturevalue(name)
    before = [p.clone() for m in models.values() for p in m.parameters()]
    random = torch.get_rng_state()
    changes = {"order": "random"} if name == "explorer" else {}
    if name in ("play", "two"):
        changes = {"temperature": 1.0}
    pages = [widget.page(**changes) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), random)
    after = [p for m in models.values() for p in m.parameters()]
    assert all(map(torch.equal, after, before))
    assert models["LSTM"].training and models["GRU"].training
    assert pages[0].plain == pages[1].plain
    assert pages[0].html == pages[1].html
    assert pages[0].alt == pages[1].alt


def test_characters_that_mean_something_elsewhere(caught):
    text = r'a<b>&"$\q$_{time}'
    vocab = Vocab(list(text))
    size = len(vocab)
    models = {
        rf"<i>{k}</i>$\q$": RNNModel(nn.GRU(size, 8), size) for k in "ab"
    }
    for call in (
        lambda: playground(models, vocab),
        lambda: side_by_side(models, vocab),
        lambda: microscope(models, vocab, text),
    ):
        widget = caught(call)
        for name in ("prefix", "text"):
            if name in {c.name for c in widget.controls}:
                page = widget.page(**{name: text})
        assert "<b>" not in page.html and "<i>" not in page.html
        assert "&lt;" in page.html
        # A formula between dollars would fail.
        page.figure.draw_without_rendering()


def test_a_script_that_the_font_lacks(caught):
    text = "时间旅行者"
    vocab = Vocab(list(text))
    models = {"GRU": RNNModel(nn.GRU(len(vocab), 8), len(vocab))}
    play = caught(lambda: playground(models, vocab))
    page = play.page()  # its first prefix is of this vocabulary
    assert page.plain.startswith(first_prefix(vocab))
    panel._png(page.figure)  # a warning would be an error


def test_the_first_prefix():
    assert first_prefix(VOCAB) == "time traveller"
    assert first_prefix(Vocab("xyz")) == "xyz"


def test_a_text_is_checked_against_the_vocabulary():
    check_text("time", VOCAB)
    with pytest.raises(ValueError) as error:
        check_text("tIme!", VOCAB)
    assert str(error.value) == (
        "Not in the vocabulary: '!', 'I'. The models know the space and "
        + "".join(sorted(set(TEXT) - {" "}))
    )


@pytest.mark.parametrize("widget", [playground, side_by_side])
def test_what_is_no_dictionary_of_models(widget):
    with pytest.raises(TypeError, match="is of type RNNModelScratch: expec"):
        widget(make_model("scratch"), VOCAB)
    with pytest.raises(ValueError, match="models holds 0: expected"):
        widget({}, VOCAB)


def test_one_model_is_no_pair():
    with pytest.raises(ValueError, match="models holds 1: expected 2 or more"):
        side_by_side({"GRU": make_model("concise")}, VOCAB)


# ---- models that cannot be looked at


def diverged_models():
    """The LSTM's training has diverged."""
    models = make_models()
    with torch.no_grad():
        models["LSTM"].linear.bias[3] = float("nan")
    return models


@pytest.mark.parametrize(
    ("widget", "control"),
    [(playground, "model"), (microscope, "model"), (side_by_side, "right")],
)
def test_a_model_that_has_diverged_says_so(caught, widget, control):
    text = ["time travel"] if widget is microscope else []
    shown = caught(lambda: widget(diverged_models(), VOCAB, *text))
    page = shown.page(**{control: "LSTM"})
    assert "Please set another value" in page.html
    assert "scores are no finite numbers: it diverged" in page.plain
    assert "a smaller learning rate" in page.plain
    page = shown.page(**{control: "GRU"})  # the others can be looked at
    assert "Please" not in page.html and page.figure.axes


@pytest.mark.parametrize("name", list(CALLS)[1:])
def test_another_texts_vocabulary(name):
    for vocab, size in ((Vocab(TEXT + "xyz"), V + 3), (Vocab("time"), 5)):
        with pytest.raises(ValueError, match=(
            f"'plain': The model was made for a vocabulary of {V} tokens, "
            f"and this one has {size}. Pass the vocabulary of"
        )):
            names = {"models": make_models(), "VOCAB": vocab}
            eval(CALLS[name], globals() | names)


def test_a_model_that_cannot_be_followed_step_by_step(caught):
    model = RNNModel(nn.GRU(V, 8, bidirectional=True), V)
    with pytest.raises(ValueError, match="reads in two directions"):
        microscope({"both ways": model}, VOCAB, "time travel")
    play = caught(lambda: playground({"both ways": model}, VOCAB))
    text = predict("time traveller", 50, model, VOCAB)
    assert play.page().plain == text


# ---- colours


def luminance(colour):
    """How light a colour is, 0 to 1.

    Source: Web Content Accessibility Guidelines 2.2, relative luminance.
    """
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_contrast_of_coloured_text():
    # A grey for which the guidelines give 4.48 against white.
    grey = 1.05 / (luminance("#777777") + 0.05)
    assert grey == pytest.approx(4.48, abs=0.01)
    for step in range(1001):
        background, colour = re.findall("#[0-9a-f]{6}", shade(step / 1000))
        light, dark = sorted(map(luminance, (background, colour)))[::-1]
        assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert shade(-0.1) == shade(0) != shade(1) == shade(1.1)


def test_bars_differ_by_more_than_colour(play):
    bars = [container[0] for container in ax_of(play.page()).containers]
    assert len({bar.get_hatch() for bar in bars}) == 2
    assert len({bar.get_facecolor() for bar in bars}) == 2
    assert len(set(COLOURS)) == len(COLOURS)


# ---- without a notebook


def test_in_a_terminal_there_is_the_text(capsys):
    assert playground(make_models(), VOCAB) is None
    text = predict("time traveller", 50, make_models()["plain"], VOCAB)
    assert capsys.readouterr().out == text + "\n"


# ---- displays that a test reads, in place of a notebook


MOVES = {
    "sampling_explorer": ("steps", 7, "value", "(2, 7)"),
    "playground": ("temperature", 0.5, "value", "temperature 0.5"),
    "microscope": ("show", 2, "index", "below 0.1"),
    "side_by_side": ("prefix", "a time", "value", "<u>a time</u>"),
}


class Displayed:
    """A widget on displays of the test's own; nothing else differs."""

    def __init__(self, monkeypatch, call, view):
        self.outputs, self.controls = {}, {}
        monkeypatch.setattr(panel, "new_view", lambda: view)
        # Whether it is another one can be told without the pixels.
        monkeypatch.setattr(panel, "_png", lambda figure: figure)
        monkeypatch.setattr(panel, "display_in_place", self.display)
        monkeypatch.setattr("IPython.display.display", self.add)
        names = {"models": dict(list(make_models().items())[1:])}
        eval(call, globals() | names)

    def display(self, data, metadata, handle):
        """As labutils.view does it: a new output, or another in its place."""
        handle = len(self.outputs) if handle is None else handle
        self.outputs[handle] = data
        return handle

    def add(self, box):
        *widgets, _ = box.children
        self.controls = {widget.description: widget for widget in widgets}

    @property
    def html(self):
        return self.outputs[1]["text/html"]

    @property
    def png(self):
        return self.outputs[0]["image/png"]


@pytest.mark.parametrize("name", CALLS)
def test_a_control_that_is_moved_replaces_both_outputs(monkeypatch, name):
    shown = Displayed(monkeypatch, CALLS[name], Live())
    html, png = shown.html, shown.png
    label, value, trait, words = MOVES[name]
    assert words not in html
    setattr(shown.controls[label], trait, value)
    assert words in shown.html and shown.png is not png
    assert len(shown.outputs) == 2


def test_in_a_notebook_that_nobody_watches_there_are_no_controls(monkeypatch):
    shown = Displayed(monkeypatch, CALLS["playground"], Still())
    assert len(shown.outputs) == 2 and not shown.controls


def test_errors_are_shown_in_place_of_a_picture(monkeypatch):
    shown = Displayed(monkeypatch, CALLS["playground"], Live())
    shown.controls["prefix"].value = "Time?"
    assert "Please set another value" in shown.html
    assert "&#x27;?&#x27;, &#x27;T&#x27;" in shown.html
    shown.controls["prefix"].value = "time"
    assert "<u>time</u>" in shown.html

    def fail(*_):
        raise AttributeError("nobody thought of it")

    with monkeypatch.context() as patch:
        patch.setattr(panel, "check_text", fail)
        shown.controls["length"].value = 9
    assert "not work.</strong> AttributeError: nobody thou" in shown.html
    shown.controls["length"].value = 10
    assert "<u>time</u>" in shown.html


# ---- in a notebook


SETUP = """
import os, sys, torch
from small import TEXT, VOCAB
from test_widgets import make_models
from labkit.widgets import *
models = make_models()
"""
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def kernel():
    with Kernel() as kernel:
        kernel.run(SETUP)
        yield kernel


def shown(cell, kind="display_data"):
    """The data of the pictures and the texts, without the panel."""
    return [
        message["content"] for message in cell.of(kind)
        if VIEW not in message["content"]["data"]
    ]


def check_two_outputs(cell):
    """A picture and a text, which can be replaced; nothing else."""
    picture, text = shown(cell)
    assert set(picture["data"]) == {"image/png", "text/plain"}
    assert set(text["data"]) == {"text/html", "text/plain"}
    png = imread(io.BytesIO(base64.b64decode(picture["data"]["image/png"])))
    height, width, _ = png.shape
    assert picture["metadata"] == {
        "image/png": {"width": width // 2, "height": height // 2}
    }
    assert not list(cell.of("stream", "execute_result"))
    return picture, text


@pytest.mark.slow
def test_where_nobody_can_move_it():
    with Kernel() as fresh:
        fresh.run(SETUP)
        for call in CALLS.values():
            cells = [fresh.run(call, allow_stdin=False) for _ in range(2)]
            for cell in cells:
                check_two_outputs(cell)
                assert len(list(cell.of("display_data"))) == 2
                assert not list(cell.of("comm_open"))
            first, second = (
                [content["data"] for content in shown(cell)] for cell in cells
            )
            assert first == second
        imported = fresh.run("print('ipywidgets' in sys.modules)")
        assert imported.text == "False\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CI", "PYTEST_VERSION"])
def test_where_tests_run_there_are_no_controls(kernel, name):
    kernel.run(f"os.environ[{name!r}] = '1'")
    try:
        cell = kernel.run(CALLS["playground"])
    finally:
        kernel.run(f"del os.environ[{name!r}]")
    check_two_outputs(cell)
    assert not list(cell.of("comm_open"))


class Moved:
    """A widget in a kernel, moved as a browser moves it."""

    def __init__(self, kernel, call):
        self.kernel = kernel
        self.cell = kernel.run(call)
        self.picture, self.text = (
            content["transient"]["display_id"]
            for content in check_two_outputs(self.cell)
        )
        self.states = {}
        for message in self.cell.of("comm_open"):
            content = message["content"]
            state = content["data"]["state"]
            if state.get("description"):
                self.states[state["description"]] = (
                    content["comm_id"], state
                )

    def move(self, label, value, trait="value"):
        """Set a control.

        Returns:
            The new HTML and the new PNG.
        """
        client = self.kernel.client
        message = client.session.msg("comm_msg", {
            "comm_id": self.states[label][0],
            "data": {
                "method": "update", "state": {trait: value},
                "buffer_paths": [],
            },
        })
        client.shell_channel.send(message)
        cell = Cell(self.kernel, message["header"]["msg_id"])
        cell.read()
        assert not cell.error and not cell.text
        assert not shown(cell)  # nothing new: the old ones are replaced
        updates = {
            content["transient"]["display_id"]: content["data"]
            for content in shown(cell, "update_display_data")
        }
        assert set(updates) == {self.picture, self.text}
        return (
            updates[self.text]["text/html"],
            updates[self.picture]["image/png"],
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_control_is_moved(kernel, name):
    label, value, trait, words = MOVES[name]
    call = CALLS[name].replace("models", "dict(list(models.items())[1:])")
    widget = Moved(kernel, call)
    _, before = shown(widget.cell)
    assert words not in before["data"]["text/html"]
    first, *rest = widget.cell.of("display_data")
    assert VIEW in first["content"]["data"]  # the controls
    assert len(rest) == 2
    html, png = widget.move(label, value, trait)
    assert words in html
    picture = shown(widget.cell)[0]["data"]["image/png"]
    assert png != picture


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_what_a_reader_of_the_controls_finds(kernel, name):
    widget = Moved(kernel, CALLS[name])
    for label, (_, state) in widget.states.items():
        assert state["_model_name"] in {
            "IntSliderModel", "FloatSliderModel", "TextModel",
            "ToggleButtonsModel",
        }
        assert state["tooltip"], label
        # A change counts when it is over: nothing is drawn on the way.
        assert state.get("continuous_update", False) is False


@pytest.mark.slow
def test_a_wrong_value_and_a_right_one_again(kernel):
    widget = Moved(kernel, CALLS["playground"])
    html, wrong = widget.move("prefix", "Time?")
    assert "Please set another value" in html
    assert "&#x27;?&#x27;, &#x27;T&#x27;" in html
    html, png = widget.move("prefix", "time")
    assert "<u>time</u>" in html
    assert png != wrong


@pytest.mark.slow
def test_an_error_that_nobody_thought_of_is_shown(kernel):
    kernel.run("own = make_models()")
    widget = Moved(kernel, "playground(own, VOCAB)")
    kernel.run("own['GRU'].linear = None")
    html, _ = widget.move("model", 2, "index")
    assert "This did not work.</strong> AttributeError: " in html
    html, _ = widget.move("model", 1, "index")
    assert "<u>time traveller</u>" in html


@pytest.mark.slow
def test_the_models_are_not_copied(kernel):
    kernel.run("own = make_models()")
    widget = Moved(kernel, "playground(own, VOCAB)")
    html, _ = widget.move("length", 5)
    assert "kkkkk" not in html
    kernel.run("own['plain'].params[4].data[VOCAB['k']] += 100")
    html, _ = widget.move("length", 7)
    assert "kkkkkkk" in html
