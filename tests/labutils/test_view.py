"""What a training shows while it runs: lines, or a picture that moves."""

import base64
import io
import itertools
import json
import math
import re
from pathlib import Path

import nbformat
import pytest
from kernel import Kernel
from matplotlib.image import imread
from nbclient import NotebookClient
from small import VOCAB, make_data, make_model

from labutils import History, train, view
from labutils.view import (
    SIZE,
    Curve,
    Lines,
    Live,
    Still,
    View,
    largest,
    new_view,
)

# What a training says after its first epoch.
FORETOLD = re.compile(
    r"(Less than a second|About [\d:]+ minutes) for the "
    r"(\d[\d,]* epochs|epoch) left on this machine \(cpu\)\.\n"
)
BASELINES = {"unigram": 18.0, "bigram": 8.0, "trigram": 5.0}


@pytest.fixture(autouse=True)
def no_cap(monkeypatch):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)


def make_history(epochs=0, num_epochs=100, baselines=None):
    settings = {"num_epochs": num_epochs, "epochs_cap": None, "device": "cpu"}
    history = History(settings=settings, baselines=baselines or {})
    for _ in range(epochs):
        history = go_on(history)
    return history


def go_on(history, held_out=None):
    """Half a second for an epoch of 1000 tokens."""
    history = history.with_epoch(20 / (history.num_epochs + 1), 0.5, 1000)
    if held_out is not None:
        history = history.with_held_out(held_out)
    return history.with_sample(f"sample {history.num_epochs}")


def size(png):
    """Width and height, once it has been decoded as a whole."""
    height, width, _ = imread(io.BytesIO(png)).shape
    return width, height


# ---- the record while it grows


def test_a_line_of_progress():
    history = make_history(num_epochs=3)
    assert history.line() == "epoch    0/3"
    assert history.sample == ""
    history = go_on(history)
    assert history.line() == (
        "epoch    1/3  perplexity  20.00  2,000 tokens/s  0:01 left"
    )
    history = go_on(history, held_out=12.345)
    assert history.line() == (
        "epoch    2/3  perplexity  10.00  held out   12.35  2,000 tokens/s"
        "  0:00 left"
    )
    history = go_on(history)
    assert history.line() == (
        "epoch    3/3  perplexity   6.67  held out   12.35  2,000 tokens/s"
    )
    assert history.sample == "sample 3"


def test_the_time_left_is_at_the_latest_pace():
    history = make_history(num_epochs=1000)
    history = history.with_epoch(20.0, 500.0, 1000)  # a slow start
    for _ in range(19):
        history = history.with_epoch(20.0, 0.5, 1000)
    assert history.seconds_left > 1000
    history = history.with_epoch(20.0, 0.5, 1000)
    assert history.seconds_left == pytest.approx(979 * 0.5)
    assert history.line().endswith("  8:10 left")


def test_progress_of_a_clock_that_stands_still():
    history = make_history(num_epochs=1)
    history = history.with_epoch(20.0, 0.0, 1000)
    assert history.line().endswith("nan tokens/s")


def test_a_history_as_it_was_after_an_earlier_epoch():
    history = train(
        make_model("concise"), make_data(), VOCAB, 1.0, 4, eval_every=2,
        verbose=False,
    )
    early = history.until(3)
    assert early.num_epochs == 3 and early.last_epoch == 4
    assert early.held_out_epochs == (1, 2)
    assert early.held_out_perplexity == history.held_out_perplexity[:2]
    assert [epoch for epoch, _ in early.samples] == [1, 2, 3]
    assert early.tokens == 3 * history.tokens // 4
    assert early.baselines == history.baselines
    assert go_on(early, held_out=1.0).held_out_epochs == (1, 2, 4)
    assert early.num_epochs == 3


# ---- in a terminal


def test_outside_a_notebook_there_are_lines():
    assert type(new_view()) is Lines
    assert type(new_view(verbose=False)) is View


@pytest.mark.parametrize(
    ("num_epochs", "shown"),
    [
        (1, [1]),
        (4, [1, 2, 3, 4]),
        (100, list(range(10, 101, 10))),
        (105, [*range(10, 101, 10), 105]),
    ],
)
def test_about_ten_lines_with_a_sample_beneath(num_epochs, shown, capsys):
    lines, history = Lines(), make_history(num_epochs=num_epochs)
    expected = []
    for epoch in range(1, num_epochs + 1):
        history = go_on(history)
        lines.update(history)
        if epoch in shown:
            expected += [history.line(), f"  sample {epoch}"]
    lines.finish(history, "")
    assert capsys.readouterr().out.splitlines() == expected


def test_silence(capsys):
    silent, history = View(), make_history(3)
    silent.update(history)
    silent.finish(history, "PARTIAL RUN")
    assert capsys.readouterr() == ("", "")


# ---- Curve


def test_frames_differ_as_the_training_proceeds():
    history = make_history(1)
    curve = Curve(history)
    frames = []
    for _ in range(20):
        history = go_on(history)
        frames.append(curve.frame(history))
        assert curve.frame(history) == frames[-1]
    assert len(set(frames)) == 20
    assert {size(frame) for frame in frames} == {SIZE}


def test_a_frame_shows_no_more_than_the_training_so_far():
    """The pixels of the frames before are not left behind."""
    history = make_history(50)
    curve = Curve(history)
    curve.frame(history)
    early = make_history(5)
    early_curve = Curve(early)
    assert early_curve.top == curve.top
    assert curve.frame(early) == early_curve.frame(early)


def test_held_out_perplexity_is_in_the_frame():
    history = make_history(3)
    curve = Curve(history)
    without = curve.frame(history)
    history = go_on(go_on(make_history(1), held_out=19.0), held_out=9.0)
    assert curve.frame(history) != without


def test_the_final_picture_has_twice_the_pixels_and_the_status():
    history = make_history(3)
    final = Curve(history).final(history, "")
    assert size(final) == (2 * SIZE[0], 2 * SIZE[1])
    curve = Curve(history)
    partial = curve.final(history, "PARTIAL RUN")
    assert size(partial) == size(final)
    assert partial != final
    assert curve.ax.get_title() == "PARTIAL RUN"


def test_baselines_are_drawn():
    curve = Curve(make_history(1, baselines=BASELINES))
    texts = [text.get_text() for text in curve.ax.texts]
    assert texts == ["unigram 18.0", "bigram 8.0", "trigram 5.0"]
    heights = [
        line.get_ydata()[0] for line in curve.ax.lines
        if len(set(line.get_ydata())) == 1
    ]
    assert heights == [18.0, 8.0, 5.0]
    history = make_history(3)
    curve.top = Curve(history).top
    assert curve.frame(history) != Curve(history).frame(history)


def test_all_values_lie_within_the_axes():
    history = make_history(3, baselines={"unigram": 300.0})
    assert Curve(history).top > 300
    curve = Curve(make_history(3))
    assert largest(make_history(50)) < curve.top
    assert largest(history) >= curve.top
    rising = make_history(3)
    rising = go_on(rising, held_out=1.01 * curve.top)
    assert largest(rising) >= curve.top
    assert largest(rising) < Curve(rising).top


def test_the_axis_is_as_long_as_the_training():
    curve = Curve(make_history(3, num_epochs=70))
    assert curve.ax.get_xlim() == (0, 70)


@pytest.mark.parametrize("value", [math.nan, 1e300])
def test_a_training_that_diverges_can_be_drawn(value):
    history = make_history(3)
    history = history.with_epoch(value, 0.5, 1000)
    curve = Curve(history)
    assert largest(history) < curve.top
    assert size(curve.frame(history)) == SIZE
    assert size(curve.final(history, "DIVERGED"))[0] == 2 * SIZE[0]


def test_before_the_first_epoch_there_is_a_picture_as_well():
    history = make_history()
    assert size(Curve(history).final(history, "PARTIAL RUN"))


# ---- Live, without a notebook


class Clock:
    """Time passes only where a test says so."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def shown(monkeypatch):
    """What is displayed: pairs of a handle (None: a new one) and the data."""
    pairs = []

    def display(data, metadata, handle):
        pairs.append((handle, data))
        return handle or f"handle {len(pairs)}"

    monkeypatch.setattr(view, "display_in_place", display)
    return pairs


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(view, "time", clock)
    return clock


def test_the_axis_grows_when_the_held_out_perplexity_rises(shown, clock):
    live, history = Live(), make_history(1)
    tops = []
    for held_out in (20.0, 25.0, 50.0, 50.0, 500.0, 400.0):
        history = go_on(history, held_out)
        clock.now += 1
        live.update(history)
        assert largest(history) < live.curve.top
        assert live.curve.ax.get_ylim()[1] == live.curve.top
        tops.append(live.curve.top)
    assert tops == sorted(tops)
    assert len(set(tops)) == 3


def test_one_picture_and_one_text_changed_in_place(shown, clock):
    live, history = Live(), make_history()
    for _ in range(4):
        history = go_on(history)
        clock.now += 1
        live.update(history)
    live.finish(history, "PARTIAL RUN")
    handles = [handle for handle, _ in shown]
    assert handles == [None, None] + 4 * ["handle 1", "handle 2"]
    assert all("image/png" in data for _, data in shown[::2])
    assert [data for _, data in shown[1::2]][-1] == {
        "text/plain": f"{history.line()}\nepoch    1: sample 1\n"
        "epoch    3: sample 3\nepoch    4: sample 4"
    }


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (20, [1, 11, 20])],
)
def test_a_notebook_keeps_the_last_line_and_three_samples(
    epochs, kept, shown, capsys
):
    history = make_history()
    for _ in range(epochs):
        history = go_on(history)
        Still().update(history)
    assert not shown and not capsys.readouterr().out
    Still().finish(history, "")
    assert [list(data) for _, data in shown] == [["image/png", "text/plain"]]
    first, *samples = capsys.readouterr().out.splitlines()
    assert first == history.line()
    assert samples == [f"epoch {n:4d}: sample {n}" for n in kept]


def test_a_training_without_an_update_is_displayed_at_its_end(shown):
    live, history = Live(), make_history()
    live.finish(history, "PARTIAL RUN")
    assert [handle for handle, _ in shown] == [None, None]


@pytest.mark.parametrize(
    ("cost", "pause"), [(0.0, 0.2), (0.001, 0.2), (0.03, 3.0)]
)
def test_never_too_often_and_never_too_costly(
    shown, clock, monkeypatch, cost, pause
):
    frame = Curve.frame

    def slow_frame(curve, history):
        # The axes are drawn once, and slowly.
        clock.now += cost if curve.background is not None else 5.0
        return frame(curve, history)

    monkeypatch.setattr(Curve, "frame", slow_frame)
    live, history = Live(), make_history(1)
    live.update(history)
    for _ in range(3):
        history = go_on(history)
        before = len(shown)
        clock.now += 0.99 * pause
        live.update(history)
        assert len(shown) == before
        clock.now += 0.02 * pause
        live.update(history)
        assert len(shown) == before + 2


# ---- in a kernel

START = """
import base64, json, os
import torch
from small import VOCAB, make_data, make_model
from labutils import train
from labutils.view import Curve, ending

torch.set_num_threads(1)

def trained(num_epochs, **options):
    return train(
        make_model("concise"), make_data(), VOCAB, 1.0, num_epochs, **options
    )
"""

EXPECTED = """
status = "" if history.full else history.status
png = Curve(history).final(history, status)
print(json.dumps({
    "history": history.to_json(), "png": base64.b64encode(png).decode(),
    "text": ending(history),
}))
"""


@pytest.fixture(scope="module")
def kernel():
    with Kernel() as kernel:
        kernel.run(START)
        yield kernel


def png_of(content):
    return base64.b64decode(content["data"]["image/png"])


def check_live(kernel, cell):
    """The cell's displays are one picture and one text; their history."""
    first = [m["content"] for m in cell.of("display_data")]
    assert [set(content["data"]) for content in first] == [
        {"image/png", "text/plain"}, {"text/plain"},
    ]
    picture, text = (c["transient"]["display_id"] for c in first)
    assert picture != text
    both = list(cell.of("display_data", "update_display_data"))
    pictures = [m for m in both if "image/png" in m["content"]["data"]]
    texts = [m for m in both if "image/png" not in m["content"]["data"]]
    for messages, number in ((pictures, picture), (texts, text)):
        assert {m["content"]["transient"]["display_id"] for m in messages} == {
            number
        }
    # All but the last wait for their turn.
    times = [m["header"]["date"] for m in pictures[:-1]]
    for before, after in itertools.pairwise(times):
        assert (after - before).total_seconds() >= 0.19
    *frames, final = [png_of(m["content"]) for m in pictures]
    assert {size(frame) for frame in frames} == {SIZE}
    assert len(set(frames)) == len(frames)
    assert size(final) == (2 * SIZE[0], 2 * SIZE[1])
    for message in pictures:
        assert message["content"]["metadata"] == {
            "image/png": {"width": SIZE[0], "height": SIZE[1]}
        }
    lines = [m["content"]["data"]["text/plain"] for m in texts]
    epochs = [int(line.split()[1].split("/")[0]) for line in lines]
    assert epochs == sorted(epochs) and epochs[0] == 1
    # And the last ones are of the history that was returned.
    expected = json.loads(kernel.run(EXPECTED).text)
    assert base64.b64encode(final).decode() == expected["png"]
    assert lines[-1] == expected["text"]
    return History.from_json(expected["history"])


@pytest.mark.slow
def test_a_whole_training_in_a_notebook(kernel):
    cell = kernel.run("history = trained(40)")
    history = check_live(kernel, cell)
    assert history.full
    assert FORETOLD.fullmatch(cell.text)
    assert history.samples[-1][1].startswith("time traveller")


@pytest.mark.slow
def test_an_interrupted_training_in_a_notebook(kernel):
    cell = kernel.begin("history = trained(2000)")
    for _ in range(4):
        cell.until("update_display_data")  # a picture
        cell.until("update_display_data")  # its text
    kernel.interrupt()
    cell.read()
    assert not cell.error
    history = check_live(kernel, cell)
    assert history.interrupted
    foretold, status = cell.text.splitlines(keepends=True)
    assert FORETOLD.fullmatch(foretold)
    assert status == history.status + "\n"


def check_lines(cell, num_epochs):
    assert not list(cell.of("update_display_data"))
    [message] = cell.of("display_data")
    assert size(png_of(message["content"])) == (2 * SIZE[0], 2 * SIZE[1])
    foretold, *lines = cell.text.splitlines(keepends=True)
    assert FORETOLD.fullmatch(foretold)
    check_ending(lines, num_epochs)


def check_ending(lines, num_epochs):
    """The last line and three samples, the first and the last among them."""
    last, *samples = lines
    assert last.startswith(f"epoch {num_epochs:4d}/{num_epochs}  ")
    epochs = [int(re.match(r"epoch +(\d+): time traveller", line)[1])
              for line in samples]
    assert len(set(epochs)) == 3 and epochs == sorted(epochs)
    assert epochs[-1] == num_epochs


@pytest.mark.slow
def test_where_nobody_can_answer_there_are_lines(kernel):
    cell = kernel.run("history = trained(20)", allow_stdin=False)
    check_lines(cell, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CI", "PYTEST_VERSION"])
def test_where_tests_run_there_are_lines(kernel, name):
    kernel.run(f"os.environ[{name!r}] = '1'")
    try:
        check_lines(kernel.run("history = trained(20)"), 20)
    finally:
        kernel.run(f"del os.environ[{name!r}]")
    check_live(kernel, kernel.run("history = trained(2)"))


@pytest.mark.slow
def test_silence_in_a_notebook(kernel):
    cell = kernel.run("history = trained(2, verbose=False)")
    assert not list(cell.of("display_data", "update_display_data", "stream"))


@pytest.mark.slow
def test_a_notebook_run_by_a_program(monkeypatch):
    for name in ("CI", "PYTEST_VERSION"):  # it is not for their sake
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(START + "history = trained(20)")]
    )
    NotebookClient(
        notebook, kernel_name="python3", coalesce_streams=True
    ).execute()
    lines, picture = notebook.cells[0].outputs
    check_ending(lines.text.splitlines()[1:], 20)
    assert size(png_of(picture)) == (2 * SIZE[0], 2 * SIZE[1])
