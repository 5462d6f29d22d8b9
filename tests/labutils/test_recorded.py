"""Recorded runs: how they are written, played back and compared with."""

import dataclasses
import functools
import json
import math
import re
import signal

import pytest
from small import VOCAB, make_data, make_model
from support import MACHINE_PATH

import labutils
from labkit.__main__ import main
from labstaff import record
from labutils import History, recorded, train
from labutils.view import Live

# Training perplexity after so many epochs, read off the book's figures.
MILESTONES = {
    "lstm_scratch": {50: 14.5, 100: 10.5, 200: 7.2, 300: 4.4, 400: 1.8,
                     500: 1.2},
    "deep_lstm": {50: 14.35, 100: 9.18, 150: 5.63, 200: 1.83, 250: 1.10,
                  500: 1.02},
    "deep_gru": {50: 8.40, 100: 3.77, 150: 1.13, 200: 1.04, 500: 1.02},
}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Recorded runs of the test's own."""
    for name in ("LABUTILS_EPOCHS", "LABUTILS_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    for module in (recorded, record):
        monkeypatch.setattr(module, "FOLDER", tmp_path / "recorded")
    return tmp_path / "recorded"


@functools.cache
def trained(seed):
    data = make_data(seed=seed)
    data.record = {"name": "a sentence", "sha256": "12", "tokens": 800}
    return train(
        make_model("concise", seed), data, VOCAB, 1.0, 4, eval_every=2,
        verbose=False,
    )


def make_history(seed=0, **changes):
    return dataclasses.replace(trained(seed), **changes)


@pytest.fixture
def three(tmp_path):
    """Results of three seeds, recorded."""
    folders = []
    for seed in range(3):
        histories = tmp_path / f"seed{seed}" / "09_test"
        histories.mkdir(parents=True)
        text = make_history(seed).to_json()
        (histories / "small.json").write_text(text, encoding="utf-8")
        folders.append(histories.parent)
    assert main(["record", *map(str, folders)]) == 0


def close(a, b):
    return a == pytest.approx(b, rel=1e-6)


def test_a_recorded_run_is_the_first_folders(three):
    assert recorded.names() == ["small"]
    found, expected = recorded.load("small"), make_history(0)
    assert close(found.train_perplexity, expected.train_perplexity)
    assert close(found.held_out_perplexity, expected.held_out_perplexity)
    assert found.held_out_epochs == expected.held_out_epochs
    assert found.samples == expected.samples
    assert found.settings == expected.settings
    assert found.versions == expected.versions
    assert found.corpus["sha256"] == "12"
    assert found.full


def test_a_recorded_run_is_small(three, folder):
    """Seven digits a number, one line an attribute."""
    text = (folder / "small.json").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 20
    assert len(text) < 3000


def test_the_interval_holds_the_runs_and_what_is_near():
    low, high = record.interval([1.10, 1.19, 1.12])
    assert 1 < low < 1.10 < 1.19 < high
    assert record.interval([1.1, 1.1]) == pytest.approx((1.1, 1.1))


def test_the_interval_by_hand():
    """Nats of 1/e, 1 and e: logarithms -1, 0, 1 with deviation 1."""
    values = [math.exp(math.exp(x)) for x in (-1, 0, 1)]
    half = 4.303 * math.sqrt(4 / 3)
    assert record.interval(values) == pytest.approx(
        (math.exp(math.exp(-half)), math.exp(math.exp(half)))
    )


def test_a_run_inside_the_range(three):
    lines = recorded.compare("small", make_history(1)).splitlines()
    assert [line.split(": ")[1][:11] for line in lines] == ["as expected"] * 2
    assert lines[0].startswith("training perplexity ")
    assert lines[1].startswith("lowest held-out perplexity ")
    assert all(line.endswith("(from 3 runs on cpu)") for line in lines)


def test_a_run_outside_the_range(three):
    mine = make_history(1)
    worse = tuple(2 * p for p in mine.train_perplexity)
    mine = dataclasses.replace(mine, train_perplexity=worse)
    first, second = recorded.compare("small", mine).splitlines()
    assert f"{mine.settled_perplexity:.2f}: NOT as expected of a " in first
    assert ": as expected of a new run, " in second


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interrupted": True}, "not compared, this is no full run"),
        ({"corpus": {"sha256": "34"}}, "not compared, it has another text"),
        ({"lr": 2.0}, "not compared, it has another setting"),
        ({"device": "cuda:0"}, "unknown, too few recorded on cuda"),
    ],
)
def test_what_cannot_be_compared_says_why(three, changes, words):
    mine = make_history(1)
    settings = {k: v for k, v in changes.items() if k in ("lr", "device")}
    others = {k: v for k, v in changes.items() if k not in settings}
    mine = dataclasses.replace(
        mine, settings={**mine.settings, **settings}, **others
    )
    assert recorded.compare("small", mine) == (
        f"expected of a new run: {words}"
    )


def test_another_seed_is_no_other_setting(three):
    assert ": as expected" in recorded.compare("small", make_history(2))


def test_one_run_makes_no_range(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(tmp_path / "results"))
    histories = tmp_path / "results" / "09_test"
    histories.mkdir(parents=True)
    history = make_history()
    (histories / "one.json").write_text(history.to_json(), encoding="utf-8")
    assert main(["record"]) == 0
    assert capsys.readouterr().out.startswith("one.json (")
    words = recorded.compare("one", history)
    assert words == (
        "expected of a new run: unknown, too few recorded on cpu"
    )


def test_a_run_that_is_not_full_is_not_recorded(tmp_path, folder, capsys):
    histories = tmp_path / "results" / "09_test"
    histories.mkdir(parents=True)
    text = make_history(interrupted=True).to_json()
    (histories / "one.json").write_text(text, encoding="utf-8")
    assert main(["record", str(tmp_path / "results")]) == 1
    assert "one.json is a PARTIAL RUN" in capsys.readouterr().err
    assert not folder.exists()


def test_nothing_to_record(tmp_path, capsys):
    assert main(["record", str(tmp_path)]) == 1
    assert "labutils run" in capsys.readouterr().err


def test_replay_in_a_terminal_prints_what_train_printed(three, capsys):
    history = labutils.replay("small", seconds=3600)  # nobody waits
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "RECORDED RUN small, full run, 4 of 4 epochs"
    assert re.match(r"a sentence; 0:\d\d minutes on cpu \(", out[1])
    assert out[2] == "Nothing is trained now."
    assert [line.split()[1] for line in out[3::2]] == [
        "1/4", "2/4", "3/4", "4/4",
    ]
    assert out[4::2] == [f"  {text}" for _, text in history.samples]
    assert f"perplexity {history.perplexity:6.2f}" in out[-2]


def test_replay_of_an_unknown_run(three):
    with pytest.raises(ValueError, match="expected one of small"):
        labutils.replay("large")


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_replay_in_less_than_no_time(three, seconds):
    with pytest.raises(ValueError, match="expected 0 or more"):
        labutils.replay("small", seconds)


@pytest.mark.parametrize("speed", [0, -1.0, math.nan])
def test_replay_at_no_speed(three, speed):
    with pytest.raises(ValueError, match=f"speed is {speed}: .* above 0"):
        labutils.replay("small", speed=speed)


class Watched(Live):
    """Before an audience: notes the epochs that are shown, and when."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.seen = clock, []

    def update(self, history):
        self.seen.append((history.num_epochs, self.clock.now))

    def finish(self, history, status):
        self.seen.append((status, self.clock.now))


class Clock:
    """In the place of `time`: sleeping is all that takes time here."""

    def __init__(self):
        self.now, self.interrupts = 100.0, 0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert 0 < seconds <= 0.1  # soon awake after an interrupt
        self.now += seconds
        if self.now > 101 and self.interrupts:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def watched(three, folder, monkeypatch):
    """A run of four epochs of 1, 2, 3 and 4 seconds, and who watches it."""
    path = folder / "small.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    saved["history"]["train_seconds"] = [1.0, 3.0, 6.0, 10.0]
    path.write_text(json.dumps(saved), encoding="utf-8")
    clock = Clock()
    view = Watched(clock)
    monkeypatch.setattr(recorded, "time", clock)
    monkeypatch.setattr(recorded, "new_view", lambda: view)
    return view


def moments(view):
    """Seconds after the start at which each thing was shown."""
    return [round(moment - 100, 6) for _, moment in view.seen]


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        ({"speed": 1}, [0, 1, 3, 6, 10]),
        ({"speed": 20}, [0, 0.05, 0.15, 0.3, 0.5]),
        ({"speed": 0.5}, [0, 2, 6, 12, 20]),
        ({"seconds": 5, "speed": 0.5}, [0, 2, 6, 12, 20]),
        ({"seconds": 4}, [0, 1, 2, 3, 4]),
        ({"seconds": 0}, [0, 0, 0, 0, 0]),
        ({}, [0, 2.5, 5, 7.5, 10]),
    ],
    ids=str,
)
def test_the_pace_of_a_replay(watched, pace, expected):
    history = labutils.replay("small", **pace)
    assert history.full
    assert [what for what, _ in watched.seen] == [
        1, 2, 3, 4, "recorded run"
    ]
    assert moments(watched) == pytest.approx(expected)


def test_a_replay_that_is_interrupted_shows_its_end_at_once(watched):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        watched.clock.interrupts = 1
        labutils.replay("small", speed=0.1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert watched.seen[-1][0] == "recorded run"
    assert moments(watched)[-1] < 1.2


def test_limits_are_no_settings_that_a_comparison_looks_at(three):
    mine = make_history(1)
    assert set(mine.settings) >= {"max_seconds", "seconds_cap"}
    limits = {"max_seconds": 3600.0, "seconds_cap": 60, "epochs_cap": 9}
    mine = dataclasses.replace(mine, settings={**mine.settings, **limits})
    assert ": as expected" in recorded.compare("small", mine)


class TestCommitted:
    """The recorded runs that come with the package."""

    @pytest.fixture(autouse=True)
    def committed(self, monkeypatch, folder):
        monkeypatch.undo()

    def test_there_is_one_of_each_training(self):
        assert set(recorded.names()) >= {
            "rnn_scratch_sequential", "rnn_scratch_random", "rnn_concise",
            "rnn_concise_2_layers", "lstm_scratch", "deep_lstm", "deep_gru",
            "whole_book_0", "whole_book_1", "whole_book_2",
        }

    def test_each_is_a_full_run_on_the_book(self):
        for name in recorded.names():
            history = recorded.load(name)
            assert history.full, name
            assert history.corpus["name"] == "The Time Machine", name
            assert len(history.train_seconds) == history.num_epochs, name

    @pytest.mark.parametrize("name", MILESTONES)
    def test_the_published_milestones_are_met(self, name):
        """Training perplexity by epoch, at most 15 % above the book's."""
        history = recorded.load(name)
        for epoch, published in MILESTONES[name].items():
            found = history.train_perplexity[epoch - 1]
            assert found <= 1.15 * published, (epoch, found)

    def test_each_says_nothing_of_the_machines_folders(self):
        for path in recorded.FOLDER.glob("*.json"):
            text = path.read_text(encoding="utf-8")
            assert path.stat().st_size < 50_000
            assert not MACHINE_PATH.search(text), path.name

    def test_the_seven_have_a_range_and_lie_in_it(self):
        for name in recorded.names():
            saved = json.loads(
                (recorded.FOLDER / f"{name}.json").read_text("utf-8")
            )
            for ranges in saved["ranges"].values():
                assert ranges["runs"] >= 3
            history = History.from_json(json.dumps(saved["history"]))
            assert "OUTSIDE" not in recorded.compare(name, history)
