"""Steps are taken faster and computed the same, on any machine.

The tests marked `device` record real graphs where there is a CUDA device;
elsewhere a stand-in records what a step is called with and calls it again,
so that all but CUDA's own part is tried everywhere.
"""

import contextlib
import math
import os
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small import (
    BATCHES,
    VOCAB,
    V,
    make_data,
    make_model,
    make_optimizer,
    weights,
)
from support import finish, python
from torch import nn

from labutils import (
    RNNModel,
    RNNModelScratch,
    scratch,
    settings,
    steps,
    train,
    train_epoch,
    training,
)
from labutils.steps import PacedStep, RecordedStep, fastest_number

CUDA = torch.device("cuda", 0)
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)
every_model = pytest.mark.parametrize("kind", ["scratch", "concise", "lstm"])
every_optimizer = pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
every_sampling = pytest.mark.parametrize(
    "use_random_iter", [False, True], ids=["sequential", "random"]
)


@pytest.fixture(autouse=True)
def no_cap(monkeypatch):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)


def a_model(kind, device="cpu"):
    if kind != "lstm":
        model = make_model(kind)
    else:
        torch.manual_seed(0)
        model = RNNModelScratch(
            V, 16, torch.device("cpu"), scratch.get_lstm_params,
            scratch.init_lstm_state, scratch.lstm)
    if isinstance(model, nn.Module):
        return model.to(device)
    model.params[:] = [p.detach().to(device).requires_grad_()
                       for p in model.params]
    return model


# ---- how many threads


def numbers_taken(numbers, seconds_of, count, known=None):
    """What is chosen where a step on n threads takes `seconds_of(n, time)`,
    by a clock that these seconds move."""
    now, taken = 0.0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps.time, "perf_counter", lambda: now)
        chosen = fastest_number(known or dict.fromkeys(numbers, 0.0))
        number = next(chosen)
        for _ in range(count):
            taken.append(number)
            seconds = seconds_of(number, now)
            now += seconds
            number = chosen.send(seconds)
    return taken


def test_more_threads_are_tried_for_as_long_as_they_are_faster():
    seconds = {1: 1.0, 2: 0.6, 4: 0.5, 8: 0.7, 16: 0.1}
    taken = numbers_taken([*seconds], lambda n, _: seconds[n], 100)
    assert taken[:8] == [1, 1, 2, 2, 4, 4, 8, 8]
    assert set(taken[8:]) == {4}


def test_one_that_is_far_slower_is_tried_once():
    taken = numbers_taken([1, 2], lambda n, _: [1.0, 50.0][n - 1], 40)
    assert Counter(taken) == {1: 39, 2: 1}


def test_a_step_that_was_timed_just_before_is_no_trial_again():
    seconds = {1: 1.0, 2: 50.0}
    taken = numbers_taken([1, 2], lambda n, _: seconds[n], 40, seconds)
    assert set(taken) == {1}
    seconds = {1: 1.0, 2: 0.5}
    taken = numbers_taken([1, 2], lambda n, _: seconds[n], 40, seconds)
    assert taken[:3] == [1, 2, 2] and set(taken[3:]) == {2}


def test_a_machine_that_becomes_busy_is_noticed_at_once():
    def seconds(n, now):
        return (2.5 if n == 1 else 100.0) if now > 50 else 1.0 / n

    taken = numbers_taken([1, 2], seconds, 300)
    first_busy = 2 + round((50 - 2) / 0.5)
    assert Counter(taken[first_busy:first_busy + 12])[2] <= 5
    assert Counter(taken[first_busy + 12:])[2] <= 2


def test_a_machine_that_is_free_again_is_noticed_in_time():
    def seconds(n, now):
        return 1.0 / n if now > 500 else 1.0 * n

    taken = numbers_taken([1, 2], seconds, 1500)
    # On one thread a step takes a second, on two that are held up two.
    assert Counter(taken[:500])[2] < 500 / 25
    assert Counter(taken[560:])[1] < 940 / 25


@pytest.mark.parametrize("one", [1.02, 2.0, 20.0])
def test_trials_lose_little_of_the_time(one):
    taken = numbers_taken([1, 2], lambda n, _: one if n == 1 else 1.0, 5000)
    assert taken.count(1) > 5
    assert (one - 1) * taken.count(1) < 5000 / 25


class Model:
    """Of sizes at which operations are shared out."""

    def __init__(self, kind):
        torch.manual_seed(0)
        H, B, T = 256, 4, 10
        self.data = make_data()
        self.data.batch_size, self.data.num_steps = B, T
        if kind == "scratch":
            self.model = RNNModelScratch(
                V, H, torch.device("cpu"), scratch.get_rnn_params,
                scratch.init_rnn_state, scratch.rnn)
        else:
            drop = 0.5 if kind == "dropout" else 0.0
            self.model = RNNModel(nn.GRU(V, H, 2, dropout=drop), V)
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.001)

    def train(self, step):
        """Weights after an epoch."""
        train_epoch(self.model, self.data, self.optimizer, 1.0, step)
        return weights(self.model)


@pytest.fixture
def threads():
    """What is set in a test is set back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def paced(monkeypatch, wanted):
    """A step whose numbers of threads, where it has a choice, are these."""
    def chosen(numbers):
        assert set(wanted) <= set(numbers)
        while True:
            for number in wanted:
                _ = yield number

    monkeypatch.setattr(steps, "fastest_number", chosen)
    return PacedStep(training.train_step, 4)


@pytest.mark.parametrize("kind", [
    "scratch", pytest.param("concise", marks=pytest.mark.slow), "dropout"])
def test_the_weights_do_not_depend_on_the_number_of_threads(
    monkeypatch, threads, kind
):
    threads(1)
    expected = Model(kind).train(training.train_step)
    step = paced(monkeypatch, [1, 2])
    assert torch.equal(Model(kind).train(step), expected)
    assert len(step.taken) == 2


def test_where_they_would_one_number_is_kept(threads):
    def step_by_threads(model, *others):
        result = training.train_step(model, *others)
        with torch.no_grad():
            next(iter(model.parameters())).add_(1e-3 * torch.get_num_threads())
        return result

    for number in (1, 2):
        threads(number)
        expected = Model("scratch").train(step_by_threads)
        before = {f"threads: {number}": 9, "other": 1}
        step = PacedStep(step_by_threads, 4)
        step.taken.update(before)
        assert torch.equal(Model("scratch").train(step), expected)
        assert step.taken - Counter(before) == {
            f"threads: {number}": len(list(Model("scratch").data))}


def test_a_training_says_on_how_many_threads_its_steps_were_taken():
    before = torch.get_num_threads()
    history = train(make_model("scratch"), make_data(), VOCAB, 1.0, 3,
                    verbose=False)
    assert torch.get_num_threads() == before
    assert sum(history.steps.values()) == 3 * BATCHES
    assert all(name.startswith("threads: ") for name in history.steps)


def test_measurements_take_one_thread():
    seen = []

    class Spy(nn.Module):
        vocab_size = V

        def __init__(self):
            super().__init__()
            self.inner = make_model("concise")

        def begin_state(self, *args):
            return self.inner.begin_state(*args)

        def forward(self, X, state):
            if not torch.is_grad_enabled():
                seen.append(torch.get_num_threads())
            return self.inner(X, state)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        train(Spy(), make_data(), VOCAB, 1.0, 1, verbose=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen and set(seen) == {1}


# ---- how many processors


ASK = "from labutils.settings import processors; print(processors())"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_processors_are_those_that_the_process_may_use():
    may = sorted(os.sched_getaffinity(0))
    process = python("-c", f"import os; os.sched_setaffinity(0, {may[:1]})\n"
                     + ASK)
    assert finish(process)[:2] == (0, "1\n")
    assert settings.processors() <= len(may)


@pytest.mark.skipif(
    not os.access("/sys/fs/cgroup/cpu", os.W_OK),
    reason="needs a control group that one may make",
)
def test_a_real_quota_counts():
    group = Path("/sys/fs/cgroup/cpu") / f"labutils-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_quota_us").write_text("120000")
        process = python(
            "-c", f"open({str(group / 'tasks')!r}, 'w').write('0')\n" + ASK)
        assert finish(process)[:2] == (0, "1\n")
    finally:
        group.rmdir()


@pytest.mark.parametrize(("groups", "files", "expected"), [
    ("0::/a/b\n", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"},
     1.5),
    ("0::/docker/123\n", {"cpu.max": "400000 100000"}, 4),  # in a container
    ("0::/\n", {"cpu.max": "max 100000"}, math.inf),
    ("0::/\n", {}, math.inf),
    ("4:memory:/x\n2:cpu,cpuacct:/a\n0::/\n",
     {"cpu,cpuacct/a/cpu.cfs_quota_us": "50000",
      "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, 0.5),
    ("2:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1",
                    "cpu/a/cpu.cfs_period_us": "100000"}, math.inf),
    ("0::/\n", {"cpu.max": "no numbers"}, math.inf),
])
def test_the_strictest_quota_counts(tmp_path, groups, files, expected):
    own = tmp_path / "cgroup"
    own.write_text(groups)
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert settings._quota(tmp_path / "fs", own) == expected


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert settings._quota(tmp_path, tmp_path / "none") == math.inf


# ---- recorded


class StandIn:
    """Takes torch.cuda's part on the CPU: a graph is a list of calls."""

    def __init__(self, patch):
        self.recording = None
        self.calls = 0
        self.fail = None  # what a recording ends with

        @contextlib.contextmanager
        def graph(made, stream):
            self.recording = made
            try:
                if self.fail:
                    raise self.fail
                yield
            finally:
                self.recording = None

        generator = SimpleNamespace(
            clone_state=lambda: None, graphsafe_set_state=lambda state: None)
        stream = SimpleNamespace(wait_stream=lambda other: None)
        for name, value in {
            "graph": graph, "CUDAGraph": lambda: Graph(),
            "Stream": lambda device: stream,
            "current_stream": lambda device: stream,
            "stream": lambda stream: contextlib.nullcontext(),
            "get_rng_state": lambda device: torch.get_rng_state(),
            "set_rng_state": lambda state, device: torch.set_rng_state(state),
            "get_sync_debug_mode": lambda: 0,
            "set_sync_debug_mode": lambda mode: None,
            "default_generators": [generator],
        }.items():
            patch.setattr(torch.cuda, name, value)
        # A CPU's Adam must not be told that it is captured.
        patch.setattr(steps, "_capturable",
                      lambda *_: contextlib.nullcontext())

    def take_step(self, *args):
        self.calls += 1
        loss, state = training.train_step(*args)
        if self.recording:
            self.recording.call = args, loss, args[3]
        return loss, state


class Graph:
    def replay(self):
        args, loss, state = self.call
        new_loss, new_state = training.train_step(*args)
        loss.copy_(new_loss)
        steps._copy(state, new_state)


@pytest.fixture
def stand_in(monkeypatch):
    return StandIn(monkeypatch)


def optimizer_of(name, model):
    return (make_optimizer(name, model)
            or torch.optim.SGD(model.parameters(), 1.0))


def epochs(model, name, data, step, number=3, optimizer=None):
    """Train, and return the perplexities and the last weights."""
    optimizer = optimizer or optimizer_of(name, model)
    values = [train_epoch(model, data, optimizer, 1.0, step)
              for _ in range(number)]
    return values, weights(model).cpu()


@every_model
@every_optimizer
@every_sampling
def test_a_recorded_training_is_the_same(stand_in, kind, name,
                                         use_random_iter):
    expected = epochs(a_model(kind), name, make_data(use_random_iter),
                      training.train_step)
    step = RecordedStep(stand_in.take_step, verbose=False)
    found = epochs(a_model(kind), name, make_data(use_random_iter), step)
    assert found[0] == expected[0]
    assert torch.equal(found[1], expected[1])
    alone = 0 if name == "sgd" else 1
    assert step.taken == Counter(
        {"CUDA graph": 3 * BATCHES - alone, "one by one": alone})


def test_a_state_may_begin_with_one_tensor_twice(stand_in):
    def alike(batch_size, num_hiddens, device):
        zeros = torch.zeros(batch_size, num_hiddens, device=device)
        return zeros, zeros

    def model():
        torch.manual_seed(0)
        return RNNModelScratch(
            V, 16, torch.device("cpu"), scratch.get_lstm_params, alike,
            scratch.lstm)

    expected = epochs(model(), "sgd", make_data(), training.train_step)
    step = RecordedStep(stand_in.take_step, verbose=False)
    found = epochs(model(), "sgd", make_data(), step)
    assert torch.equal(found[1], expected[1])


class Ragged:
    """Batches of which the last one is shorter."""

    use_random_iter = False

    def __init__(self):
        self.batches = [(X[:, :4], Y[:, :4]) if i == BATCHES - 1 else (X, Y)
                        for i, (X, Y) in enumerate(make_data())]

    def __iter__(self):
        return iter(self.batches)


@every_model
def test_a_batch_of_another_shape_is_taken_as_ever(stand_in, kind):
    expected = epochs(a_model(kind), "adam", Ragged(), training.train_step)
    step = RecordedStep(stand_in.take_step, verbose=False)
    found = epochs(a_model(kind), "adam", Ragged(), step)
    assert found[0] == expected[0] and torch.equal(found[1], expected[1])
    assert step.taken["one by one"] == 1 + 3


def test_another_learning_rate_is_recorded_anew(stand_in):
    """The graph has it for a constant."""
    model, data = a_model("scratch"), make_data()
    optimizer = optimizer_of("sgd", model)
    step, graphs = RecordedStep(stand_in.take_step, verbose=False), []
    for rate in (1.0, 1.0, 0.5):
        optimizer.param_groups[0]["lr"] = rate
        epochs(model, "sgd", data, step, 1, optimizer)
        graphs.append(step.graph)
    assert graphs[0] is graphs[1] is not graphs[2] is not None


def hooked(model):
    model.rnn.register_forward_hook(lambda *_: None)
    return torch.optim.SGD(model.parameters(), 1.0)


def with_gradient_hook(model):
    next(model.parameters()).register_hook(lambda grad: grad)
    return torch.optim.SGD(model.parameters(), 1.0)


def with_dropout_of_its_own(model):
    model.rnn = nn.GRU(V, 16, 2, dropout=0.5)
    return torch.optim.SGD(model.parameters(), 1.0)


def scheduled(model):
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    optimizer.register_step_post_hook(lambda *_: None)
    return optimizer


@pytest.mark.parametrize(("make", "words"), [
    (hooked, "there are hooks"), (with_gradient_hook, "there are hooks"),
    (scheduled, "there are hooks"),
    (with_dropout_of_its_own, "cuDNN draws its dropout"),
    (lambda model: torch.optim.Adagrad(model.parameters(), 0.1),
     "Adagrad is not made for it"),
])
def test_an_obstacle_is_said_once(stand_in, capsys, make, words):
    model = a_model("concise")
    step = RecordedStep(stand_in.take_step, verbose=True)
    epochs(model, None, make_data(), step, optimizer=make(model))
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and f"takes longer: {words}" in out
    assert step.taken == Counter({"one by one": 3 * BATCHES})


def test_what_cannot_be_recorded_is_trained_as_ever(stand_in, capsys):
    stand_in.fail = RuntimeError("operation not permitted\nmore words")
    expected = epochs(a_model("scratch"), "adam", make_data(),
                      training.train_step)
    step = RecordedStep(stand_in.take_step, verbose=True)
    found = epochs(a_model("scratch"), "adam", make_data(), step)
    assert found[0] == expected[0] and torch.equal(found[1], expected[1])
    assert "takes longer: operation not permitted." in capsys.readouterr().out


def test_an_interrupt_while_recording_changes_nothing(stand_in):
    stand_in.fail = KeyboardInterrupt()
    model = a_model("scratch")
    before = weights(model)
    step = RecordedStep(stand_in.take_step, verbose=True)
    with pytest.raises(KeyboardInterrupt):
        epochs(model, "sgd", make_data(), step)
    assert torch.equal(weights(model), before)


def test_a_result_that_is_still_around_is_parted_from_the_parameters():
    model = a_model("concise")
    kept = model(torch.zeros(1, 2, dtype=torch.int64), model.begin_state(1))
    parameter = next(model.parameters())
    node = torch.autograd.graph.get_gradient_edge(parameter).node
    before = parameter.detach().clone(), parameter.data_ptr()
    steps._new_leaf(parameter)
    assert torch.autograd.graph.get_gradient_edge(parameter).node is not node
    assert torch.equal(parameter.detach(), before[0])
    assert parameter.data_ptr() == before[1]
    kept[0].sum().backward()
    assert parameter.grad is not None


def test_an_optimizer_counts_on_the_device_for_a_step_alone():
    model = a_model("concise")
    adam = torch.optim.Adam(model.parameters())
    with steps._capturable(adam):
        assert adam.param_groups[0]["capturable"]
    assert not adam.param_groups[0]["capturable"]


# ---- recorded, on a CUDA device


@pytest.mark.device
@needs_cuda
@every_model
@every_optimizer
@every_sampling
def test_a_graph_trains_to_the_same_weights(kind, name, use_random_iter):
    expected = epochs(a_model(kind, CUDA), name, make_data(use_random_iter),
                      training.train_step)
    step = RecordedStep(training.train_step, verbose=True)
    model = a_model(kind, CUDA)
    # In a notebook, results from before the training are still around.
    kept = model(torch.zeros(1, 2, dtype=torch.int64, device=CUDA),
                 model.begin_state(1, CUDA))
    found = epochs(model, name, make_data(use_random_iter), step)
    assert step.taken["CUDA graph"] >= 3 * BATCHES - 1, step.obstacle
    torch.testing.assert_close(found[1], expected[1], rtol=1e-3, atol=1e-4)
    for a, b in zip(found[0], expected[0], strict=True):
        assert a == pytest.approx(b, rel=1e-3)
    del kept


@pytest.mark.device
@needs_cuda
@every_optimizer
def test_a_graph_in_two_parts_ends_as_in_one(name, tmp_path):
    def run(num_epochs, **options):
        model = a_model("scratch", CUDA)
        optimizer = make_optimizer(name, model)
        history = train(
            model, make_data(), VOCAB, None if optimizer else 1.0,
            num_epochs, optimizer=optimizer, verbose=False, **options)
        return weights(model).cpu(), history

    path = tmp_path / "checkpoint.pt"
    run(2, checkpoint=path)
    found, history = run(4, resume=path)
    expected, _ = run(4)
    assert torch.equal(found, expected)
    assert history.steps["CUDA graph"] >= 4 * BATCHES - 2


@pytest.mark.device
@needs_cuda
def test_a_checkpoint_from_cuda_goes_on_on_the_cpu(tmp_path):
    path = tmp_path / "checkpoint.pt"
    model = a_model("scratch", CUDA)
    train(model, make_data(), VOCAB, None, 2, verbose=False, checkpoint=path,
          optimizer=torch.optim.Adam(model.parameters()))
    model = a_model("scratch")
    history = train(model, make_data(), VOCAB, None, 3, verbose=False,
                    resume=path,
                    optimizer=torch.optim.Adam(model.parameters()))
    assert history.full


@pytest.mark.device
@needs_cuda
def test_a_model_that_waits_for_the_device_is_trained_as_ever(capsys):
    class Waits(RNNModel):
        def forward(self, X, state):
            self.seen = X.sum().item()
            return super().forward(X, state)

    torch.manual_seed(0)
    model = Waits(nn.GRU(V, 16), V).to(CUDA)
    history = train(model, make_data(), VOCAB, 1.0, 2)
    assert "No CUDA graph" in capsys.readouterr().out
    assert history.full and history.steps == {"one by one": 2 * BATCHES}
