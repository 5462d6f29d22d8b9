"""Interrupts and kills, at any moment: nothing is lost that was whole."""

import contextlib
import functools
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from kernel import Kernel
from small import VOCAB, V, make_data, make_model, make_optimizer, weights
from support import consistent, finish, python

import labutils
from labutils import History, SeqDataLoader, train, training
from labutils.checkpoint import Interrupts, read_checkpoint

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no such signals"
)


@pytest.fixture(autouse=True)
def default_handler(monkeypatch):
    """Whoever started the tests in the background had SIGINT ignored."""
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt():
    signal.raise_signal(signal.SIGINT)


# ---- Interrupts by itself


def test_an_interrupt_is_held_back():
    with Interrupts() as interrupts:
        assert not interrupts.asked
        interrupt()
        assert interrupts.asked
        interrupt()


def test_at_once_it_is_not():
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            interrupt()
            pytest.fail("it was held back")
        assert interrupts.asked
        interrupt()  # held back again


def test_one_that_was_held_back_comes_with_the_next_at_once():
    with Interrupts() as interrupts:
        with interrupts.at_once():
            pass
        interrupt()
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            pytest.fail("it has begun")


def test_a_second_one_does_not_stop_the_rescue():
    rescued = []
    with Interrupts() as interrupts:
        try:
            with interrupts.at_once():
                try:
                    interrupt()
                finally:
                    interrupt()
                    rescued.append("inside")
        except KeyboardInterrupt:
            interrupt()
            rescued.append("outside")
    assert rescued == ["inside", "outside"]


def test_after_an_error_within_at_once_they_are_held_back():
    with Interrupts() as interrupts:
        with pytest.raises(RuntimeError), interrupts.at_once():
            raise RuntimeError
        interrupt()
        assert interrupts.asked


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_the_handler_before_comes_back(error):
    before = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(RuntimeError, KeyboardInterrupt), Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
        if error:
            raise error
    assert signal.getsignal(signal.SIGINT) == before
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_one_within_another():
    with Interrupts() as outer:
        with Interrupts() as inner:
            interrupt()
        assert inner.asked and not outer.asked
        interrupt()
        assert outer.asked


def test_in_another_thread_there_is_nothing_to_hold_back():
    before, found = signal.getsignal(signal.SIGINT), []

    def work():
        with Interrupts() as interrupts, interrupts.at_once():
            found.append(signal.getsignal(signal.SIGINT))
            found.append(train(
                make_model("scratch"), make_data(), VOCAB, 1.0, 1,
                verbose=False,
            ).full)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before, True]
    assert signal.getsignal(signal.SIGINT) == before


def test_where_interrupts_are_ignored_they_still_are():
    """So it is in a shell's background processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts, interrupts.at_once():
        interrupt()
    assert not interrupts.asked
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


# ---- a training that is interrupted in each of its lines

FOLDER = str(Path(labutils.__file__).parent)
TRACED = (
    FOLDER, contextlib.__file__, torch.random.__file__,
    str(Path(torch.optim.__file__).parent), torch.autograd.grad_mode.__file__,
)
LINES_EPOCHS = 2


class Bigrams:
    """A model that learns which token follows which."""

    def __init__(self):
        self.W = torch.zeros(V, V, requires_grad=True)

    def __call__(self, X, state):
        # A little dropout, to have random numbers.
        keep = torch.rand(1) if torch.is_grad_enabled() else 0.5
        return self.W[X.T.flatten()] * keep, state

    def begin_state(self, batch_size, device=None):
        return torch.zeros(batch_size, device=device)

    def parameters(self):
        return [self.W]


class Short:
    """A training of two epochs of two batches."""

    def __init__(self):
        self.model = Bigrams()
        self.optimizer = make_optimizer("momentum", self.model)
        corpus = make_data().corpus
        self.data = SeqDataLoader(corpus[:85], 4, 10, seed=0)
        self.data.held_out = SeqDataLoader(corpus[100:141], 4, 10, offset=0)

    def train(self, **options):
        return train(
            self.model, self.data, VOCAB, None, LINES_EPOCHS,
            optimizer=self.optimizer, **options,
        )


def interrupted_before_line(number, action):
    """Of the lines that `action` runs in labutils and what it calls.

    Returns:
        What it returned, None where KeyboardInterrupt came out, and whether
        there is such a line.
    """
    left, result = number, None

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        if event == "line":
            left -= 1
            if left == -1:
                interrupt()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = action()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return result, left < 0


@pytest.mark.slow
def test_interrupted_in_any_line_it_can_go_on(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "SAMPLE_LENGTH", 1)
    handler = signal.getsignal(signal.SIGINT)
    whole = Short()
    record = whole.train(verbose=False)
    path = tmp_path / "checkpoint.pt"
    count = Counter()
    # One line in seventeen; another test run takes others.
    for number in itertools.count(random.randrange(17), 17):
        part = Short()
        path.unlink(missing_ok=True)
        random_state = torch.get_rng_state()
        print("line", number)  # read where the test has failed
        history, reached = interrupted_before_line(
            number, functools.partial(
                part.train, checkpoint=path, save_every=1, verbose=False
            ),
        )
        assert torch.equal(torch.get_rng_state(), random_state)
        assert signal.getsignal(signal.SIGINT) is handler
        if not reached:
            break
        if history is None and not path.exists():
            count["before it began"] += 1
            assert not part.model.W.any()
            # Nothing holds it back there, so it can hit `with no_grad()`.
            torch.set_grad_enabled(True)
            continue
        assert torch.is_grad_enabled()
        if history is None:
            count["after its end"] += 1
            history = read_checkpoint(path)[1]
        elif history.interrupted:
            count["interrupted"] += 1
        consistent(history)
        assert read_checkpoint(path)[1] == history
        history = part.train(resume=history, verbose=False)
        assert torch.equal(part.model.W, whole.model.W)
        assert history.fingerprint == record.fingerprint
        assert history.train_perplexity == record.train_perplexity
        assert history.held_out_perplexity == record.held_out_perplexity
        assert history.samples == record.samples
    assert count["interrupted"] > 30
    # Nothing but the way out of the function.
    assert count["after its end"] <= 1


# ---- a notebook kernel

START = """
import json
import torch
from small import VOCAB, make_data, make_model, make_optimizer, weights
from labutils import train
from labutils.checkpoint import read_checkpoint
from labutils.checkpoint import Interrupts

torch.set_num_threads(1)

class Part:
    def __init__(self):
        self.model, self.data = make_model("dropout"), make_data()
        self.optimizer = make_optimizer("adam", self.model)

    def train(self, num_epochs=10**6, **options):
        return train(
            self.model, self.data, VOCAB, None, num_epochs, eval_every=7,
            optimizer=self.optimizer, **options
        )

part, history = Part(), None
"""

# The outer Interrupts is for the second of two that comes too late.
GO_ON = """
with Interrupts():
    history = part.train(resume=history, checkpoint={path!r}, save_every=3)
"""

REPORT = """
saved, record = read_checkpoint({path!r})
print(json.dumps({{
    "history": history.to_json(),
    "saved": record == history,
    "fingerprint": saved.fingerprint(),
}}))
"""

COMPARE = """
num_epochs = history.num_epochs + 2
first = part.train(num_epochs, resume=history, verbose=False)
other = Part()
second = other.train(num_epochs, resume={path!r}, verbose=False)
whole = Part()
third = whole.train(num_epochs, verbose=False)
expected = weights(whole.model)
print(json.dumps({{
    "weights": [
        torch.equal(weights(part.model), expected),
        torch.equal(weights(other.model), expected),
    ],
    "histories": [h.to_json() for h in (first, second, third)],
}}))
"""


@pytest.mark.slow
@posix
def test_a_kernel_that_is_interrupted_at_random_moments(tmp_path):
    """Eight interrupts in one training, four of them double."""
    path = str(tmp_path / "checkpoint.pt")
    seed = random.randrange(10**6)
    print("random seed", seed)  # read where the test has failed
    draw = random.Random(seed)
    counts = [0]
    with Kernel() as kernel:
        kernel.run(START)
        for number in range(8):
            cell = kernel.begin(GO_ON.format(path=path))
            cell.until("display_data")  # the first epoch is over
            assert not cell.read(draw.uniform(0, 0.3))
            kernel.interrupt()
            if number % 2:
                time.sleep(draw.uniform(0, 0.01))
                kernel.interrupt()
            cell.read()
            assert not cell.error
            report = json.loads(kernel.run(REPORT.format(path=path)).text)
            history = History.from_json(report["history"])
            consistent(history)
            counts.append(history.num_epochs)
            assert history.interrupted
            foretold, status = cell.text.splitlines()
            assert foretold.startswith("About ")
            assert status == (
                f"PARTIAL RUN, interrupted after {counts[-1]} of 1000000 "
                "epochs"
            )
            assert report["saved"]
            assert report["fingerprint"] == history.fingerprint
        found = json.loads(kernel.run(COMPARE.format(path=path)).text)
    assert counts == sorted(counts) and counts[-1] >= 8
    assert found["weights"] == [True, True]
    *parts, whole = map(History.from_json, found["histories"])
    for history in parts:
        assert history.full
        assert history.fingerprint == whole.fingerprint
        assert history.train_perplexity == whole.train_perplexity
        assert history.held_out_perplexity[:-1] == (
            whole.held_out_perplexity[:-1]
        )
        assert history.held_out == whole.held_out


# ---- a process that is interrupted, or killed

CTRL_C = """
import json
import signal

import torch
from small import BATCHES, VOCAB, make_data, make_model
from labutils import evaluate_perplexity, predict, train

torch.set_num_threads(1)
# Whoever started the tests in the background had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
model, data = make_model("concise"), make_data()
batch_number = 0


def tell(grad):
    global batch_number
    batch_number += 1
    if batch_number == 4 * BATCHES + 4:  # in the middle of the fifth epoch
        print("now", flush=True)


model.linear.bias.register_hook(tell)
before = evaluate_perplexity(model, data)
history = train(model, data, VOCAB, 1.0, 10**6, verbose=False)
after = evaluate_perplexity(model, data)
sample = predict("time", 10, model, VOCAB)
more = train(
    model, data, VOCAB, 1.0, history.num_epochs + 2, resume=history,
    verbose=False,
)
print(json.dumps({
    "history": history.to_json(), "before": before, "after": after,
    "training": model.training, "sample": sample, "more": more.to_json(),
}))
"""


@pytest.mark.slow
@posix
def test_ctrl_c_keeps_the_model_and_the_history():
    child = python("-c", CTRL_C, LABUTILS_EPOCHS=None)
    assert child.stdout.readline() == "now\n"
    child.send_signal(signal.SIGINT)
    code, out, err = finish(child)
    assert code == 0, err
    status, last = out.splitlines()
    found = json.loads(last)
    history = History.from_json(found["history"])
    consistent(history)
    assert history.interrupted and not history.full and not history.diverged
    assert 4 <= history.num_epochs < 10**6
    assert status == history.status
    assert status.startswith("PARTIAL RUN, interrupted after ")
    # The model is as trained so far, and trains on.
    assert found["after"] < found["before"]
    assert found["training"]
    assert found["sample"].startswith("time") and len(found["sample"]) == 14
    more = History.from_json(found["more"])
    assert more.full and more.num_epochs == history.num_epochs + 2
    model = make_model("concise")
    whole = train(
        model, make_data(), VOCAB, 1.0, more.num_epochs, verbose=False
    )
    assert more.fingerprint == whole.fingerprint


# One process imports PyTorch; the ones to be killed are its forks.
KILLED = """
import os
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # the optimizers import it: once, not in each fork
from small import VOCAB, make_data, make_model, make_optimizer
from labutils import train, training

torch.set_num_threads(1)
path = Path(sys.argv[1])
save_checkpoint = training.save_checkpoint


def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())


def save(where, snapshot, history):
    tell("trained", history.num_epochs)
    save_checkpoint(where, snapshot, history)
    tell("saved", history.num_epochs)


def hang(*_):
    tell("hangs", 0)
    time.sleep(600)


def go_on(way):
    training.save_checkpoint = save
    if way == "fsync":
        os.fsync = hang
    if way == "replace":
        Path.replace = hang
    model = make_model("concise")
    train(
        model, make_data(), VOCAB, None, 10**6, eval_every=7,
        optimizer=make_optimizer("adam", model), checkpoint=path,
        save_every=1, resume=path if path.exists() else None, verbose=False,
    )


for way in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            go_on(way.strip())
        finally:
            os._exit(1)
    tell("begins", pid)
    _, status = os.waitpid(pid, 0)
    tell("ends", os.waitstatus_to_exitcode(status))
"""


class Killed:
    """A process whose forks train, to be killed."""

    def __init__(self, path):
        self.process = python("-c", KILLED, path, LABUTILS_EPOCHS=None)
        self.trained = self.saved = 0

    def fork(self, way, kill_after, pause=0.0):
        """Train on, and kill at some time after a certain word was said."""
        self.process.stdin.write(f"{way}\n")
        self.process.stdin.flush()
        pid, said = None, set()
        try:
            while pid is None or kill_after not in said:
                word, number = self.read()
                said.add(word)
                pid = number if word == "begins" else pid
                assert word in ("begins", "trained", kill_after)
            time.sleep(pause)
        finally:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        while word != "ends":
            word, number = self.read()
        assert number == -signal.SIGKILL

    def read(self):
        word, number = self.process.stdout.readline().split()
        if word in ("trained", "saved"):
            setattr(self, word, int(number))
        return word, int(number)


@pytest.mark.slow
@posix
def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    seed = random.randrange(10**6)
    print("random seed", seed)  # read where the test has failed
    draw = random.Random(seed)
    killed = Killed(path)
    try:
        for _ in range(10):
            killed.fork("", "saved", draw.uniform(0, 0.05))
            history = read_checkpoint(path)[1]
            consistent(history)
            assert killed.saved <= history.num_epochs <= killed.trained
            assert killed.trained - history.num_epochs <= 1
        for way in ("fsync", "replace"):
            before = path.read_bytes()
            killed.fork(way, "hangs")
            assert path.read_bytes() == before
            assert killed.trained == history.num_epochs + 1
    finally:
        code, _, err = finish(killed.process)
    assert code == 0, err
    assert history.num_epochs >= 10

    def trained(**options):
        model = make_model("concise")
        return train(
            model, make_data(), VOCAB, None, history.num_epochs + 2,
            eval_every=7, optimizer=make_optimizer("adam", model),
            verbose=False, **options,
        ), weights(model)

    last, model = trained(resume=path)
    whole, expected = trained()
    assert torch.equal(model, expected)
    assert last.fingerprint == whole.fingerprint
    assert last.train_perplexity == whole.train_perplexity
    assert last.held_out_perplexity == whole.held_out_perplexity
