"""How long a training will take: what is said, and that it changes nothing."""

import copy
import re

import pytest
import torch
from small import VOCAB, V, make_data, make_model, make_optimizer, weights
from torch import nn

from labutils import RNNModel, estimate, train
from labutils.checkpoint import Snapshot
from labutils.epochs import Work
from labutils.estimate import Pace, announcement, duration, measured
from labutils.interrupts import Interrupts
from labutils.progress import Progress

FORETOLD = re.compile(
    r"(Less than a second|About [\d:]+ (minutes|hours)) for .* on this "
    r"machine \(cpu\)\."
)


@pytest.fixture(autouse=True)
def no_cap(monkeypatch):
    for name in ("LABUTILS_EPOCHS", "LABUTILS_SECONDS"):
        monkeypatch.delenv(name, raising=False)


def make_work(
    kind="scratch", name="sgd", use_random_iter=False, epochs=500, done=0,
    model=None, eval_every=10,
):
    model = model or make_model(kind)
    optimizer = make_optimizer(name, model)
    if optimizer is None:
        optimizer = torch.optim.SGD(model.parameters(), 1.0)
    progress = Progress(epochs)
    for _ in range(done):
        progress.add_epoch(2.0, 0.1, 100)
    return Work(
        model, make_data(use_random_iter), VOCAB, optimizer, 1.0, eval_every,
        "time", progress,
    )


# ---- nothing is changed


def everything(work):
    """All the numbers of a training, and whose they are."""
    parameters = list(work.model.parameters())
    module = isinstance(work.model, nn.Module)
    numbers = [
        *parameters, *(p.grad for p in parameters if p.grad is not None),
        torch.get_rng_state(), work.train_iter.generator.get_state(),
        work.train_iter.held_out.generator.get_state(),
        *(work.model.buffers() if module else ()),
    ]
    return (
        [n.detach().clone() for n in numbers],
        Snapshot.of(work.model, work.optimizer).fingerprint(),
        str(work.optimizer.state_dict()["param_groups"]),
        [id(p) for p in parameters], [id(p.grad) for p in parameters],
        [m.training for m in work.model.modules()] if module else [],
        torch.is_grad_enabled(), copy.deepcopy(work.progress),
    )


def same(one, other):
    return one[1:] == other[1:] and all(
        a.dtype == b.dtype and torch.equal(a, b)
        for a, b in zip(one[0], other[0], strict=True)
    )


@pytest.mark.parametrize("kind", ["scratch", "dropout"])
@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("use_random_iter", [False, True])
@pytest.mark.parametrize("trained", [False, True])
def test_everything_stays_to_the_last_bit(
    kind, name, use_random_iter, trained
):
    work = make_work(kind, name, use_random_iter)
    if trained:  # there are gradients, and an optimizer's memory
        with Interrupts() as interrupts:
            work.train_epoch(interrupts)
    next(iter(work.train_iter.held_out))
    before = everything(work)
    with Interrupts() as interrupts:
        announcement(work, interrupts)
    assert same(everything(work), before)


def test_minus_zero_stays_minus_zero():
    work = make_work()
    weight = work.model.params[0]
    with torch.no_grad():
        weight[0] = -0.0
    with Interrupts() as interrupts:
        measured(work, interrupts)
    assert torch.all(torch.signbit(weight[0]))


class Normed(nn.Module):
    """With running statistics, and a part that is not to be trained."""

    def __init__(self):
        super().__init__()
        self.inner = make_model("dropout")
        self.norm = nn.BatchNorm1d(V)
        self.frozen = nn.Dropout().eval()

    def forward(self, X, state):
        logits, state = self.inner(X, state)
        return self.frozen(self.norm(logits)), state

    def begin_state(self, batch_size, device=None):
        return self.inner.begin_state(batch_size, device)


def test_buffers_and_modes_stay():
    work = make_work(model=Normed())
    before = everything(work)
    with Interrupts() as interrupts:
        measured(work, interrupts)
    assert same(everything(work), before)
    assert work.model.training and not work.model.frozen.training


def test_a_model_that_breaks_stays_as_it_was():
    work = make_work("dropout", "adam")

    def broken(grad):
        raise RuntimeError("broken")

    work.model.linear.bias.register_hook(broken)
    before = everything(work)
    with Interrupts() as interrupts, pytest.raises(RuntimeError, match="bro"):
        measured(work, interrupts)
    assert same(everything(work), before)


@pytest.mark.parametrize("kind", ["scratch", "dropout"])
@pytest.mark.parametrize("use_random_iter", [False, True])
def test_a_training_that_says_it_is_that_which_does_not(
    kind, use_random_iter, capsys
):
    def trained(verbose, resume=None, epochs=3):
        return train(
            model, data, VOCAB, 1.0, epochs, optimizer=optimizer,
            verbose=verbose, resume=resume,
        )

    found = []
    for verbose in (True, False):
        model, data = make_model(kind), make_data(use_random_iter)
        optimizer = make_optimizer("adam", model)
        first = trained(verbose)
        history = trained(verbose, first, 5)
        found.append((weights(model), history))
    (one, its), (other, others) = found
    assert torch.equal(one, other)
    assert its.train_perplexity == others.train_perplexity
    assert its.fingerprint == others.fingerprint
    assert capsys.readouterr().out.count("on this machine") == 2


# ---- what is said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, "About 0:01 minutes"), (79.6, "About 1:20 minutes"),
        (3599.4, "About 59:59 minutes"), (3599.6, "About 1:00:00 hours"),
        (3905.0, "About 1:05:05 hours"),
    ],
)
def test_a_duration_in_words(seconds, words):
    assert duration(seconds) == words


def said(monkeypatch, seconds, limit=None, **options):
    """Of a training that takes so many seconds."""
    monkeypatch.setattr(Pace, "seconds", lambda self, work: seconds)
    with Interrupts() as interrupts:
        return announcement(make_work(**options), interrupts, limit)


@pytest.mark.parametrize(
    ("seconds", "options", "words"),
    [
        (80, {}, "About 1:20 minutes for 500 epochs on this machine (cpu)."),
        (0.4, {"epochs": 2},
         "Less than a second for 2 epochs on this machine (cpu)."),
        (80, {"epochs": 1},
         "About 1:20 minutes for 1 epoch on this machine (cpu)."),
        (80, {"done": 100},
         "About 1:20 minutes for the 400 epochs left on this machine (cpu)."),
        (80, {"done": 499},
         "About 1:20 minutes for the epoch left on this machine (cpu)."),
        (80, {"limit": 80.0},
         "About 1:20 minutes for 500 epochs on this machine (cpu)."),
        (80, {"limit": 20.0},
         "About 1:20 minutes for 500 epochs on this machine (cpu); it stops "
         "after 20 seconds, about 125 epochs."),
        (80, {"limit": 0.1},
         "About 1:20 minutes for 500 epochs on this machine (cpu); it stops "
         "after 0.1 seconds, about 1 epoch."),
    ],
)
def test_what_is_said(monkeypatch, seconds, options, words):
    assert said(monkeypatch, seconds, **options) == words


def first_line(capsys, epochs, **options):
    model = make_model("concise")
    train(model, make_data(), VOCAB, 1.0, epochs, **options)
    return capsys.readouterr().out.splitlines()[0]


def test_a_training_says_it_first(capsys):
    line = first_line(capsys, 3)
    assert FORETOLD.fullmatch(line)
    assert " for 3 epochs " in line


def test_a_capped_training_speaks_of_its_cap(monkeypatch, capsys):
    monkeypatch.setenv("LABUTILS_EPOCHS", "2")
    assert " for 2 epochs " in first_line(capsys, 500)


def test_a_limited_training_speaks_of_its_limit(monkeypatch, capsys):
    line = first_line(capsys, 10**6, max_seconds=0.01)
    assert "; it stops after 0.01 seconds, about 1 epoch." in line
    monkeypatch.setenv("LABUTILS_SECONDS", "1")
    line = first_line(capsys, 10**6)
    assert "; it stops after 1 seconds, about " in line


def test_where_nothing_is_left_nothing_is_said(capsys):
    model, data = make_model("concise"), make_data()
    history = train(model, data, VOCAB, 1.0, 2, verbose=False)
    train(model, data, VOCAB, 1.0, 2, resume=history)
    assert "machine" not in capsys.readouterr().out


def test_a_quiet_training_measures_nothing(monkeypatch, capsys):
    monkeypatch.setattr(estimate, "measured", None)
    train(
        make_model("concise"), make_data(), VOCAB, 1.0, 1, verbose=False
    )
    assert capsys.readouterr().out == ""


# ---- what is measured


class Metered:
    """Steps of 3 s, evaluations of 5 s a batch, characters of 0.1 s."""

    def __init__(self, clock):
        self.clock = clock
        self.W = torch.zeros(V, V, requires_grad=True)
        self.steps = 0

    def __call__(self, X, state):
        if torch.is_grad_enabled():
            self.steps += 1
            # The first step of all takes longer.
            self.clock.now += 3.0 + 50.0 * (self.steps == 1)
        else:
            self.clock.now += 5.0 if len(X) > 1 else 0.1
        return self.W[X.T.flatten()], state

    def begin_state(self, batch_size, device=None):
        return torch.zeros(batch_size, device=device)

    def parameters(self):
        return [self.W]


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def metered(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(estimate, "time", clock)
    return Metered(clock)


def test_the_parts_are_measured(metered):
    """19 batches to train on, 7 held out, 50 characters a sample."""
    with Interrupts() as interrupts:
        pace = measured(make_work(model=metered), interrupts)
    assert pace.epoch == pytest.approx(19 * 3.0)
    assert pace.held_out == pytest.approx(7 * 5.0)
    assert pace.sample == pytest.approx(50 * 0.1)
    assert metered.steps == 2


def test_without_held_out_text_nothing_is_read(metered):
    work = make_work(model=metered)
    work.train_iter.held_out = None
    with Interrupts() as interrupts:
        assert measured(work, interrupts).held_out == 0.0


@pytest.mark.parametrize(
    ("epochs", "done", "evaluations", "samples"),
    [
        (500, 0, 52, 22), (500, 250, 27, 12), (5, 0, 2, 5), (1, 0, 1, 1),
        (100, 99, 1, 1),
    ],
)
def test_the_parts_are_added_up(epochs, done, evaluations, samples):
    work = make_work(epochs=epochs, done=done)
    seconds = Pace(1.0, 1000.0, 10**6).seconds(work)
    assert seconds == epochs - done + 1000 * evaluations + 10**6 * samples


def test_no_more_steps_than_the_training_has(metered):
    metered.clock.now = -1e9
    work = make_work(model=metered, epochs=1)
    work.train_iter.corpus = work.train_iter.corpus[:85]  # two batches
    fast = Metered.__call__
    with pytest.MonkeyPatch.context() as patch, Interrupts() as interrupts:

        def free(self, X, state):
            before = self.clock.now
            result = fast(self, X, state)
            self.clock.now = before
            return result

        patch.setattr(Metered, "__call__", free)
        measured(work, interrupts)
    assert metered.steps == 1 + 1 + 2


def test_a_real_estimate_is_of_the_right_size():
    """Within a factor of five, on a machine that does other things too."""
    model, data = RNNModel(nn.GRU(V, 200), V), make_data()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    work = Work(
        model, data, VOCAB, optimizer, 1.0, 10, "time", Progress(10)
    )
    with Interrupts() as interrupts:
        epoch = measured(work, interrupts).epoch
    history = train(
        model, data, VOCAB, 1.0, 10, optimizer=optimizer, verbose=False
    )
    assert history.seconds / 5 < 10 * epoch < 5 * history.seconds
