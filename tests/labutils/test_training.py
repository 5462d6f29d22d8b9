"""Training and evaluation, and the history they leave."""

import dataclasses
import io
import json
import math
import re
import sys
import time
import warnings

import numpy
import pytest
import torch
from small import BATCHES, CPU, VOCAB, V, make_data, make_model, weights
from support import consistent
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from labutils import (
    History,
    RNNModel,
    RNNModelScratch,
    SeqDataLoader,
    Vocab,
    evaluate_perplexity,
    grad_clipping,
    load_data_text,
    predict,
    scratch,
    train,
    train_epoch,
)
from labutils.evaluation import baselines
from labutils.view import Lines

LETTERS = Vocab("abcdefgh")
every_kind = pytest.mark.parametrize("kind", ["scratch", "concise"])
every_sampling = pytest.mark.parametrize(
    "use_random_iter", [False, True], ids=["sequential", "random"]
)


@pytest.fixture(autouse=True)
def no_cap(monkeypatch):
    for name in ("LABUTILS_EPOCHS", "LABUTILS_SECONDS"):
        monkeypatch.delenv(name, raising=False)


class Spy:
    """A model that has what the protocol asks for, and nothing more.

    It learns which token follows which. Its state is the last token of each
    row, which it has no use for, and it notes every call.
    """

    def __init__(self, vocab_size):
        self.W = torch.zeros(vocab_size, vocab_size, requires_grad=True)
        self.calls = []  # (whether it was training, X, state)
        self.begun = 0

    def __call__(self, X, state):
        self.calls.append((torch.is_grad_enabled(), X, state))
        logits = self.W[X.T.flatten()] + 0 * state.sum()
        # In the graph, as a real state is.
        return logits, X[:, -1] + 0 * self.W.sum()

    def begin_state(self, batch_size, device=None):
        self.begun += 1
        return torch.full((batch_size,), -1.0, device=device)

    def parameters(self):
        return [self.W]


class Listed:
    """Batches from a list."""

    def __init__(self, batches, use_random_iter):
        self.batches, self.use_random_iter = batches, use_random_iter

    def __iter__(self):
        return iter(self.batches)


def spy_data(use_random_iter=False):
    """Letters a to h in a circle; their indices are 1 to 8."""
    corpus = torch.tensor(LETTERS[list("abcdefgh" * 40)])
    return SeqDataLoader(corpus, 4, 10, use_random_iter, seed=0)


# ---- grad_clipping


def with_gradients(scale, seed=0):
    model = make_model("concise", seed)
    for param in model.parameters():
        param.grad = scale * torch.randn(param.shape)
    return model


def grads(model):
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("theta", [0.5, 1.0, 20.0])
def test_grad_clipping_agrees_with_torch(scale, theta):
    model, twin = with_gradients(scale), with_gradients(scale)
    norm = grad_clipping(model, theta)
    expected = torch.nn.utils.clip_grad_norm_(twin.parameters(), theta)
    exact = {"rtol": 1e-5, "atol": 0}  # of the smallest gradients, too
    assert_close(norm, expected, **exact)
    assert norm.shape == ()
    for grad, other in zip(grads(model), grads(twin), strict=True):
        # torch adds 1e-6 to the norm, here nearly 0 or well above 20.
        assert_close(grad, other, **exact)
    if float(norm) > theta:
        assert_close(grad_clipping(model, theta), torch.tensor(theta))


def test_grad_clipping_leaves_small_gradients_alone():
    model = with_gradients(1.0)
    before = grads(model)
    norm = grad_clipping(model, theta=1e9)
    assert_close(norm, torch.cat([g.flatten() for g in before]).norm())
    assert all(map(torch.equal, grads(model), before))
    assert torch.equal(grad_clipping(model, math.inf), norm)
    assert all(map(torch.equal, grads(model), before))


def test_grad_clipping_of_zero_gradients():
    model = with_gradients(0.0)
    assert grad_clipping(model, 1.0) == 0.0
    assert not any(grad.any() for grad in grads(model))


def test_grad_clipping_passes_over_parameters_without_gradient():
    model, part = with_gradients(1.0), with_gradients(1.0)
    part.linear.bias.grad = None
    assert grad_clipping(part, 1.0) < grad_clipping(model, 1.0)
    assert part.linear.bias.grad is None


# ---- training


@every_kind
@every_sampling
def test_training_lowers_the_perplexity(kind, use_random_iter):
    model, data = make_model(kind), make_data(use_random_iter)
    before = evaluate_perplexity(model, data.held_out)
    history = train(model, data, VOCAB, 1.0, 6, verbose=False)
    assert history.perplexity < 0.8 * history.train_perplexity[0]
    assert history.held_out < 0.8 * before
    assert history.held_out == evaluate_perplexity(model, data.held_out)


@every_kind
@every_sampling
def test_a_seed_fixes_the_weights_to_the_last_bit(kind, use_random_iter):
    def trained(model_seed, data_seed):
        model = make_model(kind, model_seed)
        data = make_data(use_random_iter, data_seed)
        # What else draws random numbers must not matter.
        torch.rand(data_seed)
        history = train(model, data, VOCAB, 1.0, 3, verbose=False)
        return weights(model), history.train_perplexity

    first, perplexity = trained(1, 1)
    again, perplexity_again = trained(1, 1)
    assert torch.equal(first, again)
    assert perplexity == perplexity_again
    assert not torch.equal(first, trained(2, 1)[0])
    assert not torch.equal(first, trained(1, 2)[0])


@every_kind
@every_sampling
def test_a_loader_gives_the_same_batches_to_each_training(
    kind, use_random_iter
):
    data = make_data(use_random_iter)

    def trained():
        model = make_model(kind)
        history = train(model, data, VOCAB, 1.0, 3, verbose=False)
        return weights(model), history.train_perplexity

    first, perplexity = trained()
    next(iter(data))  # nor does a look at it matter
    again, perplexity_again = trained()
    assert torch.equal(first, again)
    assert perplexity == perplexity_again


def test_the_epochs_of_a_training_differ():
    """In their batches, and in the units that dropout leaves out."""
    class Frozen(Spy):
        def __call__(self, X, state):
            self.calls.append((torch.is_grad_enabled(), X, torch.rand(3)))
            return 0 * self.W[X.T.flatten()], state

    frozen, data = Frozen(len(LETTERS)), spy_data(use_random_iter=True)
    train(frozen, data, LETTERS, 1.0, 3, prefix="a", verbose=False)
    calls = [call[1:] for call in frozen.calls if call[0]]
    epochs = [calls[:7], calls[7:14], calls[14:]]
    assert [len(epoch) for epoch in epochs] == [7, 7, 7]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        for place in (0, 1):
            firsts = [epochs[number][0][place] for number in (one, other)]
            assert not torch.equal(*firsts)


@pytest.mark.parametrize("kind", ["scratch", "dropout"])
@every_sampling
def test_training_leaves_torchs_random_numbers_alone(kind, use_random_iter):
    model, data = make_model(kind), make_data(use_random_iter)
    before = torch.get_rng_state()
    train(model, data, VOCAB, 1.0, 2, verbose=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_error_leaves_torchs_random_numbers_alone():
    class Broken(Spy):
        def __call__(self, X, state):
            torch.rand(1)
            raise RuntimeError("broken")

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="broken"):
        train(Broken(9), spy_data(), LETTERS, 1.0, 5, verbose=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_fixes_dropout_as_well():
    def trained(data_seed, draws):
        model, data = make_model("dropout"), make_data(seed=data_seed)
        torch.rand(draws)
        train(model, data, VOCAB, 1.0, 3, verbose=False)
        return weights(model)

    assert torch.equal(trained(1, draws=0), trained(1, draws=5))
    assert not torch.equal(trained(1, draws=0), trained(2, draws=0))


def test_one_step_by_hand():
    """One batch: the gradient of the mean loss, clipped, times lr."""
    model, twin = make_model("concise"), make_model("concise")
    [(X, Y)] = batches = [next(iter(make_data()))]
    value, tokens = train_epoch(
        model, Listed(batches, False),
        torch.optim.SGD(model.parameters(), 2.0), grad_clip=0.01,
    )
    logits, _ = twin(X, twin.begin_state(4))
    loss = F.cross_entropy(logits, Y.T.flatten())
    loss.backward()
    before = weights(twin).clone()
    gradient = torch.cat([grad.flatten() for grad in grads(twin)])
    assert gradient.norm() > 0.1
    step = 2.0 * 0.01 * gradient / gradient.norm()
    assert tokens == 40
    assert value == pytest.approx(math.exp(loss.item()))
    assert_close(weights(model), before - step)


def test_no_step_is_longer_than_lr_times_grad_clip():
    model, corpus = make_model("concise"), make_data().corpus
    one_batch = SeqDataLoader(corpus[:41], 4, 10)
    before = weights(model).clone()
    train(model, one_batch, VOCAB, 2.0, 1, grad_clip=0.01, verbose=False)
    moved = weights(model) - before
    assert_close(moved.norm(), torch.tensor(0.02), rtol=1e-4, atol=0)


def test_the_protocol_is_all_that_train_needs():
    spy, data = Spy(len(LETTERS)), spy_data()
    data.held_out = spy_data()
    history = train(
        spy, data, LETTERS, 1.0, 40, prefix="c", verbose=False
    )
    assert history.train_perplexity[0] > 5
    assert history.perplexity < 1.2
    assert history.held_out < 1.2
    assert history.samples[-1][1][:20] == "cdefghabcdefghabcdef"
    assert history.settings["num_parameters"] == 81


def test_sequential_sampling_carries_the_state_on():
    spy, data = Spy(len(LETTERS)), spy_data()
    train_epoch(spy, data, torch.optim.SGD(spy.parameters(), 1.0))
    assert len(spy.calls) == 7
    assert spy.begun == 1
    (_, X, state), *rest = spy.calls
    assert torch.all(state == -1)
    for _, following, state in rest:
        assert torch.equal(state, X[:, -1].float())
        # The next token in the circle: the rows do go on.
        assert torch.equal(following[:, 0], X[:, -1] % 8 + 1)
        X = following


def test_random_sampling_begins_anew_with_each_batch():
    spy, data = Spy(len(LETTERS)), spy_data(use_random_iter=True)
    train_epoch(spy, data, torch.optim.SGD(spy.parameters(), 1.0))
    assert spy.begun == len(spy.calls) == 7
    assert all(torch.all(state == -1) for _, _, state in spy.calls)


def test_every_epoch_and_every_evaluation_begins_anew():
    spy, data = Spy(len(LETTERS)), spy_data()
    for _ in range(2):
        train_epoch(spy, data, torch.optim.SGD(spy.parameters(), 1.0))
        evaluate_perplexity(spy, data)
    begins = [bool(torch.all(state == -1)) for _, _, state in spy.calls]
    assert begins == ([True] + [False] * 6) * 4


@every_sampling
def test_no_graph_reaches_from_a_batch_to_the_next(use_random_iter):
    spy, data = Spy(len(LETTERS)), spy_data(use_random_iter)
    _, made = spy(torch.ones(4, 10, dtype=torch.int64), spy.begin_state(4))
    assert made.grad_fn is not None  # what the spy returns does have one
    del spy.calls[:]
    train_epoch(spy, data, torch.optim.SGD(spy.parameters(), 1.0))
    assert all(training_ for training_, _, _ in spy.calls)
    assert all(state.grad_fn is None for _, _, state in spy.calls)
    assert not any(state.requires_grad for _, _, state in spy.calls)


def test_a_state_of_two_tensors_is_carried_on_and_cut_off():
    """An LSTM's second batch by hand, from the first one's (H, C)."""
    torch.manual_seed(0)
    model = RNNModel(nn.LSTM(V, 16), V)
    batches = list(make_data())[:2]
    twin = RNNModel(nn.LSTM(V, 16), V)
    twin.load_state_dict(model.state_dict())
    # A step of length 0, so that the second gradient is all that is left.
    train_epoch(
        model, Listed(batches, False), torch.optim.SGD(model.parameters(), 0.0)
    )
    (X, _), (X_next, Y_next) = batches
    with torch.no_grad():
        _, state = twin(X, twin.begin_state(4))
    logits, _ = twin(X_next, state)
    F.cross_entropy(logits, Y_next.T.flatten()).backward()
    for grad, other in zip(grads(model), grads(twin), strict=True):
        assert_close(grad, other)


def test_held_out_text_is_only_ever_read():
    spy = Spy(9)
    data = SeqDataLoader(torch.arange(300) % 4 + 1, 4, 10, seed=0)
    data.held_out = SeqDataLoader(torch.arange(300) % 4 + 5, 4, 10, seed=0)
    train(spy, data, LETTERS, 1.0, 3, prefix="a", verbose=False, eval_every=1)
    trained = torch.cat([X.flatten() for on, X, _ in spy.calls if on])
    read = torch.cat([X.flatten() for on, X, _ in spy.calls if not on])
    assert set(trained.tolist()) == {1, 2, 3, 4}
    assert set(read.tolist()) >= {5, 6, 7, 8}
    # No weight of the held-out tokens has moved from its zero.
    assert spy.W[1:5].any() and not spy.W[5:].any()


def test_another_optimizer():
    model, data = make_model("concise"), make_data()
    adam = torch.optim.Adam(model.parameters(), 0.01)
    history = train(
        model, data, VOCAB, None, 2, optimizer=adam, verbose=False
    )
    twin, steps = make_model("concise"), torch.optim.Adam
    optimizer, again = steps(twin.parameters(), 0.01), make_data()
    for _ in range(2):
        train_epoch(twin, again, optimizer)
    assert torch.equal(weights(model), weights(twin))
    assert history.settings["optimizer"] == "Adam"
    assert history.settings["lr"] == 0.01


# ---- what is recorded


@every_kind
@every_sampling
def test_the_history_of_a_full_run(kind, use_random_iter, capsys):
    model, data = make_model(kind), make_data(use_random_iter, seed=3)
    history = train(
        model, data, VOCAB, 0.5, 5, grad_clip=2.0, eval_every=2, verbose=False
    )
    assert history.num_epochs == 5
    assert history.full and not history.interrupted and not history.diverged
    assert history.status == "full run, 5 of 5 epochs"
    assert history.held_out_epochs == (1, 2, 4, 5)
    assert len(history.held_out_perplexity) == 4
    seconds = history.train_seconds
    assert len(seconds) == 5 and seconds[0] > 0
    assert list(seconds) == sorted(seconds)
    assert [epoch for epoch, _ in history.samples] == [1, 2, 3, 4, 5]
    assert all(
        text.startswith("time traveller") for _, text in history.samples
    )
    assert history.tokens == 5 * BATCHES * 40
    assert history.corpus == {"name": "a sentence"}
    assert history.baselines == baselines(data, V)
    assert list(history.baselines)[:3] == ["unigram", "bigram", "trigram"]
    assert re.fullmatch("[0-9a-f]{64}", history.fingerprint)
    assert history.settings == {
        "num_epochs": 5,
        "epochs_cap": None,
        "max_seconds": None,
        "seconds_cap": None,
        "optimizer": "SGD",
        "lr": 0.5,
        "grad_clip": 2.0,
        "batch_size": 4,
        "num_steps": 10,
        "use_random_iter": use_random_iter,
        "seed": 3,
        "device": "cpu",
        "num_parameters": len(weights(model)),
    }
    assert history.versions["torch"] == torch.__version__
    assert capsys.readouterr().out == ""


def test_about_ten_lines_of_progress(capsys):
    history = train(
        Spy(len(LETTERS)), spy_data(), LETTERS, 1.0, 60, prefix="a"
    )
    assert [epoch for epoch, _ in history.samples] == list(range(3, 61, 3))
    foretold, *lines = capsys.readouterr().out.splitlines()
    assert foretold.endswith(" for the 59 epochs left on this machine (cpu).")
    assert len(lines) == 20  # a sample beneath each
    for epoch, line, sample in zip(
        range(6, 61, 6), lines[::2], lines[1::2], strict=True
    ):
        assert line.startswith(f"epoch {epoch:4d}/60  perplexity ")
        assert "held out" not in line
        assert sample == "  " + dict(history.samples)[epoch]
    assert lines[-2].endswith(" tokens/s")
    assert lines[0].endswith(" left")


def test_without_held_out_text():
    history = train(
        Spy(len(LETTERS)), spy_data(), LETTERS, 1.0, 2, verbose=False
    )
    assert history.held_out_perplexity == history.held_out_epochs == ()
    assert math.isnan(history.held_out)
    assert math.isnan(history.best_held_out[0])
    assert history.baselines == {}


def test_a_cap_on_the_epochs(monkeypatch, capsys):
    monkeypatch.setenv("LABUTILS_EPOCHS", "2")
    history = train(
        make_model("concise"), make_data(), VOCAB, 1.0, 5, verbose=False
    )
    status = "CAPPED RUN, 2 of 5 epochs (LABUTILS_EPOCHS=2)"
    assert history.num_epochs == 2
    assert not history.full
    assert history.status == status
    assert history.settings["num_epochs"] == 5
    assert history.settings["epochs_cap"] == 2
    # Said even where the progress is not.
    assert status in capsys.readouterr().out


@pytest.mark.parametrize("cap", ["5", "6"])
def test_a_cap_that_caps_nothing(monkeypatch, cap):
    monkeypatch.setenv("LABUTILS_EPOCHS", cap)
    history = train(
        Spy(len(LETTERS)), spy_data(), LETTERS, 1.0, 5, verbose=False
    )
    assert history.full
    assert history.status == "full run, 5 of 5 epochs"


class Slow(Spy):
    """A step takes 0.02 s; there are 7 in an epoch."""

    def __call__(self, X, state):
        time.sleep(0.02 * torch.is_grad_enabled())
        return super().__call__(X, state)


def slowly(num_epochs=1000, model=None, **options):
    return train(
        model or Slow(len(LETTERS)), spy_data(), LETTERS, 1.0, num_epochs,
        prefix="a", eval_every=1000, verbose=False, **options,
    )


def test_a_training_for_some_seconds(capsys):
    history = slowly(max_seconds=0.8)
    assert 1 <= history.num_epochs <= 5
    assert history.out_of_time and not history.full
    status = f"CAPPED RUN, {history.num_epochs} of 1000 epochs (max_"
    assert history.status == f"{status}seconds=0.8)"
    assert status in capsys.readouterr().out
    assert history.settings["max_seconds"] == 0.8
    # What one wants to see at the end is measured at the end.
    assert history.samples[-1][0] == history.num_epochs
    consistent(history)


def test_no_epoch_is_begun_that_would_end_too_late():
    """An epoch takes 0.14 s: two have room, by half an epoch."""
    assert slowly(max_seconds=0.35).num_epochs <= 2


def test_one_epoch_is_trained_in_any_case():
    assert slowly(max_seconds=1e-6).num_epochs == 1


def test_time_enough_makes_a_full_run(capsys):
    history = slowly(2, max_seconds=3600)
    assert history.full and not history.out_of_time
    assert history.status == "full run, 2 of 2 epochs"
    assert capsys.readouterr().out == ""
    # The last epoch is not too late for itself.
    assert slowly(1, max_seconds=1e-6).full


@pytest.mark.parametrize(
    ("seconds", "cap", "words"),
    [(None, "1", "LABUTILS_SECONDS=1"), (3600, "1", "LABUTILS_SECONDS=1"),
     (0.2, "1", "max_seconds=0.2")],
)
def test_a_cap_on_the_seconds(monkeypatch, seconds, cap, words):
    monkeypatch.setenv("LABUTILS_SECONDS", cap)
    history = slowly(max_seconds=seconds)
    assert history.num_epochs <= 7
    assert history.status.endswith(f" of 1000 epochs ({words})")
    assert history.settings["seconds_cap"] == 1


def test_whichever_cap_comes_first(monkeypatch):
    monkeypatch.setenv("LABUTILS_EPOCHS", "2")
    monkeypatch.setenv("LABUTILS_SECONDS", "3600")
    history = slowly()
    assert history.status == "CAPPED RUN, 2 of 1000 epochs (LABUTILS_EPOCHS=2)"
    history = slowly(max_seconds=1e-6)
    assert history.status == "CAPPED RUN, 1 of 1000 epochs (max_seconds=1e-06)"


@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_no_time_at_all_is_refused(value):
    spy = Slow(len(LETTERS))
    with pytest.raises(ValueError, match=r"max_seconds is .*: expected"):
        slowly(model=spy, max_seconds=value)
    assert spy.calls == []


def test_a_history_from_before_there_were_limits_is_read():
    record = json.loads(make_history().to_json())
    del record["out_of_time"]
    for name in ("max_seconds", "seconds_cap"):
        del record["settings"][name]
    history = History.from_json(json.dumps(record))
    assert history.full
    assert history.status == "full run, 3 of 3 epochs"


def test_out_of_time_survives_json():
    history = slowly(max_seconds=1e-6)
    assert History.from_json(history.to_json()) == history


def make_history(**changes):
    history = train(
        make_model("concise"), make_data(), VOCAB, 1.0, 3, eval_every=2,
        verbose=False,
    )
    return dataclasses.replace(history, **changes)


def strictly(text):
    """JSON as other programs read it: NaN and Infinity are none."""
    def refuse(name):
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def test_a_history_survives_json():
    history = make_history()
    text = history.to_json()
    assert strictly(text)["settings"]["lr"] == 1.0
    assert text.endswith("}\n")
    again = History.from_json(text)
    assert again == history
    assert again.to_json() == text
    assert isinstance(again.train_perplexity, tuple)
    assert isinstance(again.samples[0], tuple)


def test_numbers_that_are_none_survive_json():
    history = make_history(
        train_perplexity=(27.5, math.inf, math.nan),
        held_out_perplexity=(27.0, math.inf, math.nan),
        diverged=True,
    )
    record = strictly(history.to_json())
    assert record["train_perplexity"] == [27.5, None, None]
    again = History.from_json(history.to_json())
    for values in (again.train_perplexity, again.held_out_perplexity):
        assert math.isfinite(values[0])
        assert math.isnan(values[1]) and math.isnan(values[2])
    assert again.diverged
    assert again.status == "DIVERGED after 3 of 3 epochs"


def test_a_run_without_clipping_survives_json():
    history = train(
        make_model("concise"), make_data(), VOCAB, 0.1, 1, grad_clip=math.inf,
        verbose=False,
    )
    assert history.settings["grad_clip"] is None
    strictly(history.to_json())
    assert History.from_json(history.to_json()) == history


def test_what_a_history_says_of_itself():
    history = make_history(
        train_perplexity=(9.0, 4.0, 2.0),
        train_seconds=(1.0, 2.0, 4.0),
        held_out_perplexity=(8.0, 6.0, 7.0),
        tokens=800,
    )
    assert history.perplexity == 2.0
    assert history.held_out == 7.0
    assert history.best_held_out == (6.0, 2)
    assert history.seconds == 4.0
    assert history.tokens_per_second == 200.0
    assert history.first_epoch_below(4.5) == 2
    assert history.first_epoch_below(2.0) is None


# ---- trainings that do not reach their end


@pytest.mark.parametrize("make", [scratch.rnn, scratch.lstm])
def test_a_training_that_diverges_stops_and_keeps_the_history(make, capsys):
    torch.manual_seed(0)
    name = make.__name__
    model = RNNModelScratch(
        V, 16, CPU, getattr(scratch, f"get_{name}_params"),
        getattr(scratch, f"init_{name}_state"), make,
    )
    with pytest.warns(UserWarning, match="smaller learning rate") as caught:
        history = train(
            model, make_data(), VOCAB, 1e9, 50, grad_clip=math.inf,
            verbose=False,
        )
    assert caught[0].filename == __file__
    assert history.diverged and not history.full and not history.interrupted
    assert 1 <= history.num_epochs < 50
    assert len(history.train_seconds) == history.num_epochs
    assert not math.isfinite(history.perplexity)
    assert all(map(math.isfinite, history.train_perplexity[:-1]))
    assert history.status.startswith("DIVERGED after ")
    assert history.status in capsys.readouterr().out
    again = History.from_json(history.to_json())
    assert again.status == history.status


def test_a_training_that_does_not_diverge_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = train(
            make_model("scratch"), make_data(), VOCAB, 1.0, 2, verbose=False
        )
    assert not history.diverged


def test_an_interrupt_before_the_first_epoch_ends(capsys):
    class Impatient(Spy):
        def __call__(self, X, state):
            raise KeyboardInterrupt

    history = train(
        Impatient(len(LETTERS)), spy_data(), LETTERS, 1.0, 5, verbose=False
    )
    consistent(history)
    assert history.interrupted and history.num_epochs == 0
    assert history.seconds == 0.0
    assert math.isnan(history.perplexity)
    assert math.isnan(history.tokens_per_second)
    assert history.status == "PARTIAL RUN, interrupted after 0 of 5 epochs"
    assert history.status in capsys.readouterr().out


def test_any_other_error_is_not_swallowed():
    class Broken(Spy):
        def __call__(self, X, state):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        train(Broken(len(LETTERS)), spy_data(), LETTERS, 1.0, 5)


# ---- evaluation


def nats_by_hand(model, batches, carry):
    """Every token's negative log-likelihood, one batch after the other."""
    nats, state = [], None
    for X, Y in batches:
        if state is None or not carry:
            state = model.begin_state(len(X))
        logits, state = model(X, state)
        log_probabilities = torch.log_softmax(logits, dim=1)
        nats += [
            -float(row[y])
            for row, y in zip(log_probabilities, Y.T.flatten(), strict=True)
        ]
    return nats


@every_kind
@every_sampling
def test_perplexity_is_the_mean_over_tokens(kind, use_random_iter):
    model = make_model(kind)
    train(model, make_data(), VOCAB, 1.0, 3, verbose=False)
    corpus = make_data().corpus
    batches = [
        (corpus[i : i + 4 * n].view(4, n), corpus[i + 1 :][: 4 * n].view(4, n))
        for i, n in [(0, 20), (100, 1), (200, 7)]
    ]
    with torch.no_grad():
        nats = nats_by_hand(model, batches, carry=not use_random_iter)
        parts = [nats_by_hand(model, [b], carry=False) for b in batches]
    value = evaluate_perplexity(model, Listed(batches, use_random_iter))
    assert value == pytest.approx(math.exp(sum(nats) / len(nats)), rel=1e-5)
    # Quite another number than the mean over batches.
    by_batch = math.exp(sum(sum(p) / len(p) for p in parts) / 3)
    assert value != pytest.approx(by_batch, rel=1e-2)


def test_the_perplexity_of_a_known_model():
    """Of two tokens the right one has probability 3/4, then 1/4."""
    class Certain(Spy):
        def __call__(self, X, state):
            scores = torch.tensor([math.log(3.0), 0.0])
            return scores.expand(X.numel(), 2), state

    X = torch.zeros(1, 4, dtype=torch.int64)
    data = Listed([(X, torch.tensor([[0, 0, 0, 1]]))], True)
    value = evaluate_perplexity(Certain(2), data)
    assert value == pytest.approx((4 / 3) ** 0.75 * 4**0.25)


@pytest.mark.parametrize("name", ["rnn", "lstm"])
def test_an_untrained_model_is_as_good_as_a_guess(name):
    torch.manual_seed(0)
    model = RNNModelScratch(
        28, 64, CPU, getattr(scratch, f"get_{name}_params"),
        getattr(scratch, f"init_{name}_state"), getattr(scratch, name),
    )
    generator = torch.Generator().manual_seed(0)
    corpus = torch.randint(28, (2000,), generator=generator)
    value = evaluate_perplexity(model, SeqDataLoader(corpus, 4, 10, seed=0))
    assert value == pytest.approx(28, rel=0.01)


def test_evaluation_changes_nothing():
    model, data = make_model("concise"), make_data().held_out
    before = weights(model).clone()
    first = evaluate_perplexity(model, data)
    assert evaluate_perplexity(model, data) == first
    assert torch.equal(weights(model), before)
    assert all(p.grad is None for p in model.parameters())
    assert torch.is_grad_enabled()


def make_dropout_model():
    torch.manual_seed(0)
    return RNNModel(nn.LSTM(V, 16, 2, dropout=0.9), V)


def test_dropout_is_off_during_evaluation_and_back_on_after():
    model, data = make_dropout_model(), make_data().held_out
    model.eval()
    expected = evaluate_perplexity(model, data)
    assert not model.training  # as it was
    assert not model.rnn.training
    model.train()
    assert evaluate_perplexity(model, data) == expected
    assert model.training and model.rnn.training
    # The sample that a training writes is no reason to leave it off either.
    predict("time", 5, model, VOCAB)
    assert model.training and model.rnn.training


def test_dropout_is_back_on_after_an_interrupted_evaluation():
    def batches():
        yield from make_data().held_out
        raise KeyboardInterrupt

    model = make_dropout_model()
    with pytest.raises(KeyboardInterrupt):
        evaluate_perplexity(model, Listed(batches(), True))
    assert model.training and model.rnn.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("lr", "num_epochs", "options", "words"),
    [
        (1.0, 0, {}, "num_epochs is 0: expected a whole"),
        (1.0, -3, {}, "num_epochs is -3: expected a whole"),
        (1.0, 2, {"eval_every": 0}, "eval_every is 0: expected a whole"),
        (1.0, 2, {"save_every": 0}, "save_every is 0: expected a whole"),
        (1.0, 2, {"grad_clip": 0.0}, "grad_clip is 0.0: .*above 0"),
        (1.0, 2, {"grad_clip": -1.0}, "grad_clip is -1.0: .*above 0"),
        (1.0, 2, {"grad_clip": math.nan}, "grad_clip is nan: .*above 0"),
        (1.0, 2, {"prefix": ""}, "has 0 characters: expected at least 1"),
        (-1.0, 2, {}, "lr is -1.0: expected .* above 0"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_step(
    lr, num_epochs, options, words
):
    spy = Spy(len(LETTERS))
    with pytest.raises(ValueError, match=words):
        train(spy, spy_data(), LETTERS, lr, num_epochs, **options)
    assert not spy.calls


def test_a_bad_cap_is_refused_before_the_first_step(monkeypatch):
    monkeypatch.setenv("LABUTILS_EPOCHS", "many")
    spy = Spy(len(LETTERS))
    with pytest.raises(ValueError, match="LABUTILS_EPOCHS='many'"):
        train(spy, spy_data(), LETTERS, 1.0, 2)
    assert not spy.calls


# ---- slips that used to cost a training


@pytest.mark.parametrize("number", [
    numpy.int64, torch.tensor, numpy.uint8, lambda n: torch.tensor([n])[0],
])
def test_numbers_of_numpy_and_torch_are_numbers(number, tmp_path):
    corpus = make_data().corpus
    data = SeqDataLoader(corpus, number(4), number(10), seed=number(3))
    history = train(
        make_model("concise"), data, VOCAB, number(1), number(2),
        eval_every=number(1), save_every=number(1), verbose=False,
        max_seconds=number(100), grad_clip=number(1),
        checkpoint=tmp_path / "it",
    )
    assert History.from_json(history.to_json()) == history
    assert (tmp_path / "it").exists()


@pytest.mark.parametrize("name, value", [
    ("num_epochs", 2.5), ("num_epochs", "3"), ("eval_every", None),
    ("save_every", 0.5), ("lr", "fast"), ("grad_clip", "1"),
])
def test_what_is_no_number_is_refused_before_the_first_step(name, value):
    spy = Spy(len(LETTERS))
    options = {"lr": 1.0, "num_epochs": 2, name: value}
    if value == "1":
        options["grad_clip"] = [1.0]
    with pytest.raises(ValueError, match=f"{name} is .*: expected a "):
        train(spy, spy_data(), LETTERS, prefix="a", **options)
    assert spy.calls == []


def test_an_optimizer_over_another_model_is_refused():
    model, other = make_model("concise"), make_model("concise")
    before = weights(model).clone()
    for make in (torch.optim.SGD, torch.optim.Adam):
        foreign = make(other.parameters(), 0.1)
        with pytest.raises(ValueError, match="6 of the optimizer's 6 param"):
            train(model, make_data(), VOCAB, None, 2, optimizer=foreign)
    assert torch.equal(weights(model), before)


def test_a_part_of_the_model_can_be_trained():
    model = make_model("concise")
    head = torch.optim.SGD(model.linear.parameters(), 0.1)
    before = model.rnn.weight_hh_l0.clone()
    train(model, make_data(), VOCAB, None, 1, optimizer=head, verbose=False)
    assert torch.equal(model.rnn.weight_hh_l0, before)


def test_a_learning_rate_beside_an_optimizer_is_not_silently_lost():
    model = make_model("concise")
    adam = torch.optim.Adam(model.parameters(), 0.01)
    with pytest.warns(UserWarning, match="lr=2 is not used.* 0.01") as caught:
        train(model, make_data(), VOCAB, 2, 1, optimizer=adam, verbose=False)
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match="lr is None and there is no optim"):
        train(model, make_data(), VOCAB, None, 1)


def test_a_checkpoint_below_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model, data = make_model("concise"), make_data()
    first = train(
        model, data, VOCAB, 1.0, 2, checkpoint="~/runs/it", verbose=False
    )
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]
    again = train(
        model, data, VOCAB, 1.0, 3, resume="~/runs/it", verbose=False
    )
    assert again.train_perplexity[:2] == first.train_perplexity


def test_another_texts_vocabulary_is_refused_before_the_first_step():
    model = make_model("concise")
    with pytest.raises(ValueError, match=f"of {V} tokens, and this one has 9"):
        train(model, make_data(), LETTERS, 1.0, 2, prefix="a")
    with pytest.raises(ValueError, match="they are of another text"):
        evaluate_perplexity(
            model, SeqDataLoader(torch.arange(300), 4, 10, seed=0)
        )


def test_a_state_of_states_is_carried_on():
    class Nested(Spy):
        def __call__(self, X, state):
            logits, after = super().__call__(X, state[0][1])
            return logits, ((state[0][0], after), after)

        def begin_state(self, batch_size, device=None):
            zeros = super().begin_state(batch_size, device)
            return (zeros, zeros), zeros

    nested, plain = Nested(len(LETTERS)), Spy(len(LETTERS))
    for model in (nested, plain):
        train(model, spy_data(), LETTERS, 1.0, 2, prefix="a", verbose=False)
    assert torch.equal(nested.W, plain.W)


class Screen(io.StringIO):
    """A terminal of an encoding that knows few letters."""

    encoding = "cp1252"

    def write(self, text):
        text.encode(self.encoding)
        return super().write(text)


def test_letters_that_the_terminal_does_not_know(monkeypatch, tmp_path):
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    path = tmp_path / "诗.txt"
    path.write_text("床前明月光疑是地上霜\n" * 30, encoding="utf-8")
    data, vocab = load_data_text(path, 2, 5, clean=str.strip)
    model = RNNModel(nn.GRU(len(vocab), 4), len(vocab))
    history = train(
        model, data, vocab, 1.0, 3, prefix="床前", checkpoint=tmp_path / "it"
    )
    assert history.full and (tmp_path / "it").exists()
    assert history.samples[-1][1].startswith("床前")
    assert r"\u5e8a\u524d" in screen.getvalue()


@pytest.mark.parametrize("moment", ["update", "finish"])
def test_an_error_of_the_display_ends_no_training(monkeypatch, moment):
    def fails(*_):
        raise RuntimeError("no room for a picture")

    monkeypatch.setattr(Lines, moment, fails)
    with pytest.warns(UserWarning, match="goes on.*no room for a picture"):
        history = train(
            Spy(len(LETTERS)), spy_data(), LETTERS, 1.0, 4, prefix="a"
        )
    assert history.full


# ---- the time that it will take


def shown_time(seconds, left, **settings):
    history = History(settings={
        "num_epochs": left + 1, "epochs_cap": None, "device": "cpu",
        **settings,
    })
    return history.with_epoch(9.0, seconds, 1000).time_needed()


@pytest.mark.parametrize("seconds, left, words", [
    (0.001, 2, "Less than a second for the 2 epochs left on this machine "
     "(cpu)."),
    (0.16, 499, "About 1:20 minutes for the 499 epochs left on this machine "
     "(cpu)."),
    (60, 1, "About 1:00 minutes for the epoch left on this machine (cpu)."),
    (60, 1234, "About 1234:00 minutes for the 1,234 epochs left on this "
     "machine (cpu)."),
])
def test_the_time_is_that_of_the_epochs_so_far(seconds, left, words):
    assert shown_time(seconds, left) == words


def test_a_limit_of_time_is_named():
    words = shown_time(1.0, 99, max_seconds=30, seconds_cap=20)
    assert words.endswith("on this machine (cpu); it stops after 20 s.")


def test_the_time_is_said_once_after_the_first_epoch(capsys):
    spy = Spy(len(LETTERS))
    history = train(spy, spy_data(), LETTERS, 1.0, 3, prefix="a")
    said = capsys.readouterr().out
    assert said.count("for the 2 epochs left") == said.count("left on") == 1
    assert said.index("2 epochs left") < said.index("epoch    1/3")
    train(spy, spy_data(), LETTERS, 1.0, 6, prefix="a", resume=history)
    said = capsys.readouterr().out
    assert said.count("for the 2 epochs left") == said.count("left on") == 1
    train(spy, spy_data(), LETTERS, 1.0, 3, prefix="a", verbose=False)
    assert capsys.readouterr().out == ""
