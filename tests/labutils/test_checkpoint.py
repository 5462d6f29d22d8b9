"""A training in parts ends as one in a single part, to the last bit."""

import dataclasses
import functools
import itertools
import math
import os
import random
from pathlib import Path

import pytest
import torch
from small import (
    BATCHES,
    TEXT,
    VOCAB,
    V,
    make_data,
    make_model,
    make_optimizer,
    weights,
)
from support import consistent, names
from torch import nn

from labutils import History, RNNModel, SeqDataLoader, train, training
from labutils.checkpoint import (
    MAGIC,
    Snapshot,
    read_checkpoint,
    save_checkpoint,
)

EPOCHS = 4
every_optimizer = pytest.mark.parametrize(
    "name", ["sgd", "momentum", "adam"]
)


@pytest.fixture(autouse=True)
def no_cap(monkeypatch):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.pt"


class Part:
    """A model with its optimizer, and how it is trained in these tests."""

    def __init__(self, kind, name="sgd", use_random_iter=False, seed=0):
        self.model = make_model(kind, seed)
        self.optimizer = make_optimizer(name, self.model)
        self.data = make_data(use_random_iter)

    def train(self, num_epochs=EPOCHS, **options):
        lr = None if self.optimizer else 1.0
        return train(
            self.model, self.data, VOCAB, lr, num_epochs,
            **{
                "optimizer": self.optimizer, "eval_every": 2,
                "verbose": False, **options,
            },
        )

    def train_until(self, epochs, **options):
        """Interrupt it in the middle of the epoch after so many."""
        if epochs == EPOCHS:
            return self.train(**options)
        steps = 0

        def count(grad):
            nonlocal steps
            steps += 1
            if steps > epochs * BATCHES + BATCHES // 2:
                raise KeyboardInterrupt

        hook = next(iter(self.model.parameters())).register_hook(count)
        history = self.train(**options)
        hook.remove()
        assert history.interrupted and history.num_epochs == epochs
        return history


@functools.cache
def in_one_part(*case):
    whole = Part(*case)
    history = whole.train()
    assert history.full
    return weights(whole.model), history


def timeless(history):
    """All of it but how long it took."""
    return dataclasses.replace(history, train_seconds=())


def same_as_in_one_part(part, history, *case):
    expected, record = in_one_part(*case)
    assert torch.equal(weights(part.model), expected)
    assert timeless(history) == timeless(record)
    assert list(history.train_seconds) == sorted(history.train_seconds)
    consistent(history)


# ---- a learning rate that falls


def falling(epoch):
    return 0.5 ** (epoch - 1)


def test_a_schedule_is_that_of_torch():
    part, other = Part("dropout", "adam"), Part("dropout", "adam")
    history = part.train(schedule=falling)
    assert history.settings["schedule"] == [1, 0.5, 0.25, 0.125]
    assert history.settings["lr"] == 0.01
    by_torch = torch.optim.lr_scheduler.ExponentialLR(other.optimizer, 0.5)
    other.data.restart()
    for epoch in range(EPOCHS):
        with training._seeded(other.model, other.data.seed, epoch):
            training.train_epoch(other.model, other.data, other.optimizer)
        by_torch.step()
    assert torch.equal(weights(part.model), weights(other.model))


@pytest.mark.parametrize("source", ["history", "path"])
def test_a_schedule_goes_on_where_it_stood(source, path):
    whole = Part("scratch", "momentum")
    record = whole.train(schedule=falling)
    part = Part("scratch", "momentum")
    history = part.train_until(2, schedule=falling, checkpoint=path)
    for other in (None, lambda epoch: 0.7):
        refused(part, "begun with schedule", resume=history, schedule=other)
    if source == "path":
        part, history = Part("scratch", "momentum", seed=1), path
    again = part.train(resume=history, schedule=falling)
    assert torch.equal(weights(part.model), weights(whole.model))
    assert timeless(again) == timeless(record)


@pytest.mark.parametrize("factor", [0, -1, float("nan"), "fast"])
def test_a_schedule_that_cannot_be_is_refused(factor):
    part = Part("scratch")
    before = weights(part.model)
    with pytest.raises(ValueError, match=r"schedule\(3\) is .*above 0"):
        part.train(schedule=lambda epoch: factor if epoch == 3 else 1)
    assert torch.equal(weights(part.model), before)


# ---- going on


# Each value of each of the four once; the other pairs of them are slow.
FAST = {
    (0, "scratch", "sgd", False), (1, "dropout", "adam", True),
    (3, "scratch", "momentum", True), (EPOCHS, "scratch", "adam", False),
}


@pytest.mark.parametrize(
    ("epochs", "kind", "name", "use_random_iter"),
    [
        pytest.param(*case, marks=[] if case in FAST else pytest.mark.slow)
        for case in itertools.product(
            [0, 1, 3, EPOCHS], ["scratch", "dropout"],
            ["sgd", "momentum", "adam"], [False, True],
        )
    ],
)
def test_two_parts_are_as_good_as_one(
    epochs, kind, name, use_random_iter, path
):
    case = kind, name, use_random_iter
    part = Part(*case)
    history = part.train_until(epochs, checkpoint=path)
    consistent(history)
    # Another process, where nothing is as it was.
    other = Part(*case, seed=9)
    torch.rand(7)
    same_as_in_one_part(other, other.train(resume=path), *case)
    # The same process, where the loader has been used since.
    list(part.data)
    same_as_in_one_part(part, part.train(resume=history), *case)


@pytest.mark.parametrize(
    "kind", ["scratch", pytest.param("dropout", marks=pytest.mark.slow)]
)
def test_as_many_parts_as_one_likes(kind, path):
    part, history = Part(kind, "adam"), None
    for _ in range(3):
        history = part.train_until(0 if history is None else 1, resume=history)
        consistent(history)
        if history.num_epochs == 1:
            break
    for epochs in (2, 3):
        history = part.train(epochs, resume=history, checkpoint=path)
        part = Part(kind, "adam", seed=epochs)
        history = part.train(epochs, resume=path)
    history = part.train(resume=history)
    assert torch.equal(weights(part.model), in_one_part(kind, "adam")[0])


@pytest.mark.parametrize(
    ("name", "source"), [("momentum", "history"), ("adam", "file")]
)
def test_more_epochs_than_were_asked_for_at_first(name, source, path):
    part = Part("dropout", name)
    first = part.train(3, checkpoint=path)
    if source == "file":
        part = Part("dropout", name, seed=1)
    history = part.train(resume=first if source == "history" else str(path))
    expected, record = in_one_part("dropout", name)
    assert torch.equal(weights(part.model), expected)
    assert history.full and history.settings["num_epochs"] == EPOCHS
    assert history.train_perplexity == record.train_perplexity
    assert history.fingerprint == record.fingerprint
    # The third epoch, once the last one, was measured too.
    assert history.held_out_epochs == (1, 2, 3, 4)
    held_out = dict(
        zip(history.held_out_epochs, history.held_out_perplexity, strict=True)
    )
    del held_out[3]
    assert tuple(held_out.values()) == record.held_out_perplexity
    assert history.train_seconds[:3] == first.train_seconds


@pytest.mark.parametrize("source", ["history", "file"])
def test_a_finished_training_is_not_trained_on(source, path):
    part = Part("dropout", "adam")
    history = part.train(checkpoint=path)
    expected = weights(part.model)
    if source == "file":
        part = Part("dropout", "adam", seed=1)
    again = part.train(resume=history if source == "history" else path)
    assert again == history
    assert torch.equal(weights(part.model), expected)


def test_a_capped_training_goes_on_without_its_cap(monkeypatch, path):
    monkeypatch.setenv("LABUTILS_EPOCHS", "2")
    part = Part("scratch")
    history = part.train(checkpoint=path)
    assert history.status.startswith("CAPPED RUN, 2 of 4 epochs")
    # A cap below what there is takes nothing away.
    monkeypatch.setenv("LABUTILS_EPOCHS", "1")
    assert part.train(resume=history).num_epochs == 2
    monkeypatch.delenv("LABUTILS_EPOCHS")
    same_as_in_one_part(part, part.train(resume=path), "scratch")


@pytest.mark.parametrize("source", ["history", "file"])
def test_a_training_that_ran_out_of_time_goes_on(source, path):
    part = Part("dropout", "adam")
    history = part.train(checkpoint=path, max_seconds=1e-6)
    assert history.out_of_time and history.num_epochs == 1
    assert history.samples[-1][0] == 1
    # With as little time again: one epoch more.
    history = part.train(resume=history, checkpoint=path, max_seconds=1e-6)
    assert history.status == "CAPPED RUN, 2 of 4 epochs (max_seconds=1e-06)"
    if source == "file":
        part = Part("dropout", "adam", seed=1)
    history = part.train(resume=history if source == "history" else path)
    expected, record = in_one_part("dropout", "adam")
    assert torch.equal(weights(part.model), expected)
    assert history.full and not history.out_of_time
    assert history.train_perplexity == record.train_perplexity
    assert history.fingerprint == record.fingerprint
    consistent(history)


def test_the_device_may_be_another(path):
    part = Part("scratch")
    history = part.train_until(1, checkpoint=path)
    elsewhere = {**history.settings, "device": "cuda:7"}
    history = dataclasses.replace(history, settings=elsewhere)
    history = part.train(resume=history)
    same_as_in_one_part(part, history, "scratch")
    assert history.settings["device"] == "cpu"


def test_the_text_may_be_found_elsewhere(path):
    """Downloaded in the first part, the cached copy in the second."""
    part = Part("scratch")
    for source in ("a download", "the cached copy"):
        part.data.record = {"name": "a sentence", "source": source}
        history = part.train(
            3, checkpoint=path, resume=path if path.exists() else None)
    assert history.full


def test_going_on_leaves_torchs_random_numbers_alone(path):
    part = Part("dropout")
    before = torch.get_rng_state()
    history = part.train_until(2, checkpoint=path)
    assert torch.equal(torch.get_rng_state(), before)
    part.train(resume=history)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_history_that_is_resumed_stays_as_it_is():
    part = Part("scratch")
    history = part.train_until(2)
    text = history.to_json()
    part.train(resume=history)
    assert history.to_json() == text


def test_a_history_from_json_will_do():
    part = Part("dropout", "adam")
    history = History.from_json(part.train_until(2).to_json())
    same_as_in_one_part(part, part.train(resume=history), "dropout", "adam")


# ---- what is refused


class Table:
    """A model whose scores are looked up; its weights in any shape."""

    def __init__(self, *shape):
        self.W = torch.zeros(shape, requires_grad=True)

    def __call__(self, X, state):
        return self.W.reshape(V, V)[X.T.flatten()], state

    def begin_state(self, batch_size, device=None):
        return torch.zeros(batch_size, device=device)

    def parameters(self):
        return [self.W]


def bits(part):
    """The model and the optimizer, to the last bit, in one list."""
    found = weights(part.model).view(torch.int32).tolist()
    if part.optimizer:
        snapshot = Snapshot.of(part.model, part.optimizer)
        found.append(snapshot.fingerprint())
        found.append(str(snapshot.optimizer["param_groups"]))
    return found


def refused(part, words, error=ValueError, **options):
    """Without a trace on the model and the optimizer."""
    before = bits(part)
    with pytest.raises(error, match=words):
        part.train(**options)
    assert bits(part) == before


def other(setting, part):
    """Make this setting of a training another one."""
    corpus, options = part.data.corpus, {}
    if setting == "optimizer":
        part.optimizer = make_optimizer("adam", part.model)
    elif setting == "lr":
        part.optimizer = torch.optim.SGD(part.model.parameters(), 0.5)
    elif setting == "grad_clip":
        options["grad_clip"] = math.inf
    elif setting == "batch_size":
        part.data = SeqDataLoader(corpus, 5, 10, seed=0)
    elif setting == "num_steps":
        part.data = SeqDataLoader(corpus, 4, 11, seed=0)
    elif setting == "use_random_iter":
        part.data = make_data(use_random_iter=True)
    elif setting == "seed":
        part.data = make_data(seed=1)
    elif setting == "text":
        part.data.record = {"name": "another sentence"}
    else:
        assert setting == "num_parameters"
        part.model = RNNModel(nn.GRU(V, 15), V)
        part.optimizer = None
    if setting != "text":
        part.data.record = {"name": "a sentence"}
    return options


@pytest.mark.parametrize(
    ("setting", "source"),
    [
        *((setting, "history") for setting in (
            "optimizer", "lr", "grad_clip", "batch_size", "num_steps",
            "use_random_iter", "seed", "num_parameters", "text",
        )),
        ("lr", "file"), ("num_parameters", "file"),
    ],
)
def test_every_other_setting_is_refused(setting, source, path):
    part = Part("scratch")
    history = part.train(2, checkpoint=path)
    before = path.read_bytes()
    options = other(setting, part)
    refused(
        part, f"begun with {setting} .* here {setting} is .*same settings",
        resume=history if source == "history" else path, checkpoint=path,
        **options,
    )
    assert path.read_bytes() == before


def test_every_setting_is_either_compared_or_free_to_change():
    """A new setting has to be thought of in the test above."""
    assert set(in_one_part("scratch")[1].settings) == {
        "optimizer", "lr", "grad_clip", "batch_size", "num_steps",
        "use_random_iter", "seed", "num_parameters",
        "num_epochs", "epochs_cap", "max_seconds", "seconds_cap", "device",
    }


@pytest.mark.parametrize("source", ["history", "file"])
def test_fewer_epochs_than_there_are(source, path):
    part = Part("scratch")
    history = part.train(3, checkpoint=path)
    refused(
        part, "num_epochs is 2, .* 3 epochs already",
        resume=history if source == "history" else path, num_epochs=2,
    )


def test_a_history_and_another_model():
    history = Part("scratch").train(2)
    refused(Part("scratch", seed=1), "not in the state", resume=history)
    refused(Part("scratch"), "not in the state", resume=history)


def test_a_history_and_weights_that_were_changed_since():
    part = Part("scratch")
    history = part.train(2)
    weight = part.model.params[0]
    with torch.no_grad():
        value = weight[0, 0].clone()
        weight[0, 0] = torch.nextafter(value, torch.tensor(math.inf))
    refused(part, "not in the state", resume=history)
    with torch.no_grad():
        weight[0, 0] = value
    same_as_in_one_part(part, part.train(resume=history), "scratch")


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_a_history_and_a_fresh_optimizer(name):
    part = Part("scratch", name)
    history = part.train(2)
    part.optimizer = make_optimizer(name, part.model)
    refused(part, "not in the state.*the same optimizer", resume=history)


def test_an_older_history_of_the_same_model():
    part = Part("scratch")
    first = part.train(2)
    part.train(3, resume=first)
    refused(part, "not in the state", resume=first)


class Diverges(Table):
    """From some batch on it returns what is no number."""

    def __init__(self, batches):
        super().__init__(V, V)
        self.batches = batches

    def __call__(self, X, state):
        self.batches -= torch.is_grad_enabled()  # no sample counts
        logits, state = super().__call__(X, state)
        return logits if self.batches >= 0 else logits * math.nan, state


def test_a_training_that_diverged(path):
    part = Part("scratch")
    part.model = Diverges(4 * BATCHES)
    part.data.held_out = None
    options = {"num_epochs": 9, "checkpoint": path, "save_every": 2}
    with pytest.warns(UserWarning, match="smaller learning rate"):
        history = part.train(**options)
    assert history.diverged
    refused(part, "DIVERGED after .*nothing to go on from", resume=history)
    # The file still is of the epochs before, when all was well.
    _, saved = read_checkpoint(path)
    assert not saved.diverged
    assert saved.num_epochs == 4 and history.num_epochs == 5
    part.model = Table(V, V)
    assert part.train(num_epochs=9, resume=path).full


def test_weights_of_other_shapes(path):
    part = Part("scratch")
    part.model = Table(V, V)
    part.train(2, checkpoint=path)
    part.model = Table(V * V)
    refused(
        part, rf"does not fit .*\({V}, {V}\).* has \[\({V * V},\)\].*same "
        "layers and sizes", resume=path,
    )
    # The same numbers in as many tensors of other shapes.
    part.model = Table(V, V)
    assert part.train(resume=path).full


def test_an_optimizer_over_other_groups(path):
    part = Part("scratch", "adam")
    part.train(2, checkpoint=path)
    first, *rest = part.model.parameters()
    part.optimizer = torch.optim.Adam(
        [{"params": [first]}, {"params": rest}], 0.01
    )
    refused(part, "parameter group", resume=path)


# ---- the file


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The bytes of a checkpoint."""
    path = tmp_path_factory.mktemp("checkpoint") / "good.pt"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LABUTILS_EPOCHS", raising=False)
        Part("scratch", "adam").train(2, checkpoint=path)
    return path.read_bytes()


HEAD = len(MAGIC) + 1 + 64 + 1


def damaged(path, data, words="is damaged|is no checkpoint"):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


def test_a_whole_file_is_read(path, written):
    path.write_bytes(written)
    snapshot, history = read_checkpoint(path)
    assert history.num_epochs == 2
    assert snapshot.fingerprint() == history.fingerprint


@pytest.mark.parametrize(
    "length",
    [0, 1, len(MAGIC) - 1, len(MAGIC), len(MAGIC) + 1, len(MAGIC) + 33,
     HEAD - 1, HEAD, HEAD + 1, 1000, -100, -1],
)
def test_a_file_cut_short(path, written, length):
    damaged(path, written[:length])


def test_a_file_that_goes_on(path, written):
    damaged(path, written + b"\n", "is damaged")


def test_a_file_of_zeros(path, written):
    damaged(path, bytes(len(written)), "is no checkpoint")
    damaged(path, written[:HEAD] + bytes(len(written) - HEAD), "is damaged")


def test_any_flipped_bit_is_found(path, written):
    places = random.Random(0).sample(range(HEAD, len(written)), 50)
    for place in [*range(HEAD), *places, len(written) - 1]:
        data = bytearray(written)
        data[place] ^= 1 << place % 8
        damaged(
            path, bytes(data),
            "is no checkpoint" if place <= len(MAGIC) else "is damaged",
        )


@pytest.mark.parametrize(
    "data", [b"", b"\n", TEXT.encode(), b"PK\x03\x04", b"\x89PNG\r\n\x1a\n"]
)
def test_a_file_of_another_kind(path, data):
    damaged(path, data, "is no checkpoint: expected a file that train")


def test_a_bare_torch_file_is_no_checkpoint(path):
    torch.save(make_model("concise").state_dict(), path)
    damaged(path, path.read_bytes(), "is no checkpoint")


@pytest.mark.parametrize("part", [slice(0), slice(-1), slice(30)])
def test_a_damaged_file_is_refused_by_train(path, written, part):
    path.write_bytes(written[part])
    refused(Part("scratch", "adam"), "is (damaged|no checkpoint)", resume=path)
    assert path.read_bytes() == written[part]


def test_a_file_that_is_not_there(path):
    refused(
        Part("scratch"), path.name, error=FileNotFoundError, resume=path
    )


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_while_saving_keeps_the_old_file(
    path, written, monkeypatch, step
):
    path.write_bytes(written)
    snapshot, history = read_checkpoint(path)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, snapshot, history)
    part = Part("scratch", "adam")
    # A training goes on without.
    with pytest.warns(UserWarning, match="not saved .*disk full") as caught:
        history = part.train(checkpoint=path, save_every=1)
    assert history.full
    assert len(caught) == EPOCHS
    monkeypatch.undo()
    assert path.read_bytes() == written
    assert names(path.parent) == [path.name]


def test_when_it_is_saved(path, monkeypatch):
    saves = []

    def save(where, snapshot, history):
        consistent(history)
        assert where == path
        assert snapshot.fingerprint() == history.fingerprint
        saves.append(history.num_epochs)
        save_checkpoint(where, snapshot, history)

    monkeypatch.setattr(training, "save_checkpoint", save)
    part = Part("scratch")
    part.train(4, checkpoint=path, save_every=2)
    assert saves == [2, 4]
    del saves[:]
    Part("scratch").train(3, checkpoint=path)
    assert saves == [3]
    del saves[:]
    Part("scratch").train_until(1, checkpoint=path)
    assert saves == [1]
    del saves[:]
    Part("scratch").train(2)
    assert saves == []


def test_the_folder_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "checkpoint.pt"
    Part("scratch").train(1, checkpoint=str(path))
    assert read_checkpoint(path)[1].full


def test_what_is_saved_while_it_runs_can_be_gone_on_from(path, monkeypatch):
    """A crash right after a save: the history in it says nothing wrong."""
    def save(where, snapshot, history):
        save_checkpoint(where, snapshot, history)
        if history.num_epochs == 2:
            raise RuntimeError("crash")

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_checkpoint", save)
        with pytest.raises(RuntimeError, match="crash"):
            Part("dropout", "adam").train(checkpoint=path, save_every=2)
    part = Part("dropout", "adam", seed=3)
    history = part.train(resume=path, checkpoint=path)
    same_as_in_one_part(part, history, "dropout", "adam")
    assert read_checkpoint(path)[1] == history


# ---- Snapshot


@every_optimizer
def test_a_snapshot_does_not_change_with_the_model(name):
    part = Part("scratch", name)
    part.train(1)
    optimizer = part.optimizer or torch.optim.SGD(part.model.parameters(), 1)
    snapshot = Snapshot.of(part.model, optimizer)
    before, fingerprint = weights(part.model), snapshot.fingerprint()
    part.train(2)
    assert snapshot.fingerprint() == fingerprint
    for _ in range(2):  # nor by being restored
        snapshot.restore(part.model, optimizer)
        assert torch.equal(weights(part.model), before)
        assert Snapshot.of(part.model, optimizer).fingerprint() == fingerprint
        part.train(1)
        assert snapshot.fingerprint() == fingerprint


def test_a_snapshot_from_before_the_first_step_empties_the_optimizer():
    part = Part("scratch", "adam")
    snapshot = Snapshot.of(part.model, part.optimizer)
    part.train(1)
    assert part.optimizer.state
    snapshot.restore(part.model, part.optimizer)
    assert not part.optimizer.state


def test_a_fingerprint_sees_every_number():
    part = Part("scratch", "adam")
    part.train(1)
    tensors = [p.data for p in part.model.parameters()] + [
        value for memory in part.optimizer.state.values()
        for value in memory.values()
    ]
    seen = {Snapshot.of(part.model, part.optimizer).fingerprint()}
    for number, tensor in enumerate(tensors, start=2):
        tensor.view(-1)[-1] += 0.5
        seen.add(Snapshot.of(part.model, part.optimizer).fingerprint())
        assert len(seen) == number
