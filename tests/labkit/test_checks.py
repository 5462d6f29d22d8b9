"""The exercises' checks: right solutions pass, wrong ones are explained."""

import inspect
import io
import os
import random
import re
import subprocess
import sys
import threading
import time
import tomllib
import types
from contextlib import redirect_stdout
from pathlib import Path

import numpy
import pytest
import solutions
import torch
from standin import stand_in  # noqa: F401, a fixture

import labutils
from labkit import checks
from labkit.checks.harness import HINTS, SECONDS, NotWritten, check
from labkit.course import grader, notebook_paths, read_notebook
from labutils.files import translated

EXERCISES = [name for name in checks.__all__ if name != "CheckFailed"]
MODULES = solutions.modules()


def made(kind):
    """Every solution of a kind: "right" or "wrong"."""
    return [
        pytest.param(name, solution, id=f"{name}-{label}")
        for name, module in MODULES.items()
        for label, solution in vars(module).items()
        if label.startswith(kind)
    ]


def passed(name, solution):
    """What a check prints of a solution."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        getattr(checks, name)(solution)
    return printed.getvalue()


def refusal(name, solution):
    """The error with which a check refuses a solution."""
    with pytest.raises(checks.CheckFailed) as caught:
        passed(name, solution)
    return caught.value


def refused(name, solution):
    """Its message."""
    return " ".join(str(refusal(name, solution)).split())


# Two words of English; not what Python says, names, code or a text.
QUOTED = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"|\w+Error: .*|dtype torch\.\w+"
                    r"|\S*\([^()]*\)|forward, loss.*?sgd")
SENTENCE = re.compile("[a-z]+ [a-z]+")


@pytest.fixture
def unusual():
    """A notebook that has set all that torch lets it set."""
    dtype, precision = torch.float64, torch.get_float32_matmul_precision()
    torch.set_default_dtype(dtype)
    torch.set_default_device("meta")
    torch.set_deterministic_debug_mode("error")
    torch.set_float32_matmul_precision("medium")
    yield
    after = (torch.get_default_dtype(), torch.get_default_device().type,
             torch.get_deterministic_debug_mode(),
             torch.get_float32_matmul_precision())
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_deterministic_debug_mode("default")
    torch.set_float32_matmul_precision(precision)
    assert after == (dtype, "meta", 2, "medium"), "a check has changed them"


@pytest.mark.device
@pytest.mark.parametrize(("name", "solution"), made("right"))
def test_a_right_solution_passes(name, solution):
    assert f"{name}: passed. " in passed(name, solution)


@pytest.mark.slow
@pytest.mark.device
def test_a_right_solution_passes_whatever_is_set(unusual):
    for name, module in MODULES.items():
        for label, solution in list(vars(module).items()):
            if label.startswith("right"):
                assert "passed" in passed(name, solution), label


@pytest.mark.device
@pytest.mark.parametrize(("name", "solution"), made("wrong"))
def test_a_wrong_solution_is_explained(
    name, solution, unusual, monkeypatch
):
    error = refusal(name, solution)
    message = " ".join(str(error).split())
    assert message.startswith(f"{name}: not right yet.")
    assert solution.slip in message
    assert message.endswith(f"hint: checks.{name}.hint()")
    monkeypatch.setenv("LABUTILS_LANG", "zh")
    assert str(error).startswith(f"{name}：还不对。")
    for part in (error.tried, error.got, error.expected, error.likely):
        assert not SENTENCE.search(QUOTED.sub("", translated(part))), part


def test_what_was_got_is_not_what_was_expected():
    """The row that is shown is one that differs."""
    from solutions.seq_data_iter_random import wrong_targets_of_the_last_row

    message = refused("seq_data_iter_random", wrong_targets_of_the_last_row)
    got, expected = (part.partition("]")[0].rpartition("[")[2] for part in (
        message.partition("have targets at ")[2],
        message.partition("expected: targets at ")[2]))
    assert got and expected and got != expected


def test_every_exercise_has_a_check_and_solutions():
    assert sorted(MODULES) == sorted(EXERCISES)
    for name, module in MODULES.items():
        labels = [label.partition("_")[0] for label in vars(module)]
        assert labels.count("right") >= 3, name
        assert labels.count("wrong") >= 6, name


def test_every_wrong_solution_names_a_slip():
    for name, module in MODULES.items():
        for label, solution in vars(module).items():
            if label.startswith("wrong"):
                assert getattr(solution, "slip", ""), f"{name}.{label}"


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_is_met_kindly(name):
    def stub(*arguments, **options):
        raise NotImplementedError()

    # A traceback knows a function by its code.
    stub.__code__ = stub.__code__.replace(co_name=name)
    message = refused(name, stub)
    assert f"{name}: {name} is not written yet." in message
    assert "run that cell, then this one again" in message
    assert message.endswith(f"For a hint: checks.{name}.hint()")


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", EXERCISES)
def test_hints_come_one_by_one_and_then_say_where_to_read(name, capsys):
    words = tomllib.loads(HINTS.read_text("utf-8"))[name]
    fresh = check(inspect.unwrap(getattr(checks, name)))
    said = []
    for _ in range(len(words["hints"]) + 2):
        fresh.hint()
        said.append(flat(capsys.readouterr().out))
    assert 2 <= len(words["hints"]) <= 3
    for number, text in enumerate(words["hints"], 1):
        assert said[number - 1] == (
            f"{name}, hint {number} of {len(words['hints'])}: {flat(text)}")
    assert said[-2].startswith(f"{name}: there are no more hints. ")
    assert flat(words["read"]) in said[-2]
    assert said[-1] == said[0]


def test_no_hint_holds_a_line_of_a_solution():
    words = tomllib.loads(HINTS.read_text("utf-8"))
    cells = [cell for path in notebook_paths()
             for cell in read_notebook(path).cells]
    for cell in cells:
        name = (grader(cell) or {}).get("grade_id")
        if name not in EXERCISES:
            continue
        hints = "".join("".join(words[name]["hints"]).split())
        _, *parts = re.split("### (?:BEGIN|END) SOLUTION", cell.source)
        for line in "".join(parts[::2]).splitlines():
            code = "".join(line.partition("  #")[0].split())
            # And no value that one is set to.
            for part in {code, code.partition("=")[2]}:
                assert len(part) < 8 or part not in hints, part


def test_a_stub_behind_a_solution_is_named():
    def sgd(params, lr):
        raise NotImplementedError()

    def train_epoch(model, train_iter, lr, device, use_random_iter):
        sgd(model.parameters(), lr)

    assert "sgd is not written yet" in refused("train_epoch", train_epoch)


def test_a_method_that_is_a_stub_is_named():
    class Half(torch.nn.Module):
        def __init__(self, rnn_layer, vocab_size):
            super().__init__()
            self.rnn = rnn_layer
            self.linear = torch.nn.Linear(rnn_layer.hidden_size, vocab_size)

        def begin_state(self, batch_size, device):
            raise NotImplementedError()

    message = refused("RNNModel", Half)
    assert "RNNModel: begin_state is not written yet." in message


def test_an_error_is_shown_with_its_line():
    def rnn(inputs, state, params):
        return inputs.nothing_like_that

    message = refused("rnn", rnn)
    assert "AttributeError" in message
    assert "return inputs.nothing_like_that" in message
    assert "in line " in message


def test_a_line_of_the_package_is_not_the_students():
    """An error inside labutils is shown with the line that called it."""
    def deep_rnn(vocab_size, num_hiddens, num_layers):
        layer = torch.nn.RNN(vocab_size, num_hiddens, batch_first=True)
        return labutils.RNNModel(layer, vocab_size)

    assert "return labutils.RNNModel(" in refused("deep_rnn", deep_rnn)


def test_ipython_shows_the_message_alone():
    with pytest.raises(checks.CheckFailed) as caught:
        checks.interval(lambda values: (0.0, 0.0))
    assert "\n".join(
        caught.value._render_traceback_()) == str(caught.value)


def test_a_verdict_is_said_on_any_terminal():
    """Printed, it would raise where the terminal is not UTF-8."""
    @check
    def umlauts(solution):
        return "für jedes Gerät"

    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with redirect_stdout(terminal):
        umlauts(None)
    assert b"f\\xfcr jedes" in terminal.buffer.getvalue()


# ---- on a second device

# What the stand-in cannot do: a gradient through indices, views that are
# turned in place.
BEYOND = ("right_state_from_the_loader", "right_row_by_row",
          "right_as_an_embedding")


@pytest.mark.parametrize(("name", "label"), [
    ("lstm", "right_as_in_the_notebook"), ("rnn", "right_as_a_class"),
    ("RNNModel", "right_as_in_the_book"), ("gru_cell", "right_by_torch")])
def test_a_layer_like_cudnns_is_no_reason_to_refuse(
        name, label, second_device):
    """One that rounds to TF32 and wants its weights in one piece."""
    passed(name, getattr(MODULES[name], label))


def test_the_layers_of_the_stand_in_round(second_device):
    layer = torch.nn.RNN(2, 3)
    inputs, weights = torch.randn(1, 1, 2), dict(layer.named_parameters())
    far = torch.nn.RNN(2, 3).to(second_device)
    far.load_state_dict(layer.state_dict())
    got, exact = far(inputs.to(second_device))[0].cpu(), layer(inputs)[0]
    assert not torch.allclose(got, exact, rtol=1e-5, atol=1e-6)
    assert torch.allclose(got, exact, rtol=1e-2, atol=1e-2)
    weights["weight_ih_l0"] = torch.randn(2, 3).T
    with pytest.raises(RuntimeError, match="contiguous"):
        torch.func.functional_call(
            far, {n: w.to(second_device) for n, w in weights.items()},
            inputs.to(second_device))


@pytest.mark.slow
def test_right_solutions_pass_on_a_second_device(second_device):
    for name, module in MODULES.items():
        labels = [x for x in vars(module)
                  if x.startswith("right") and x not in BEYOND]
        for label in labels[:2]:
            passed(name, getattr(module, label))


def test_the_notebooks_device_counts(second_device):
    """It need not be that of the settings."""
    solution = MODULES["evaluate_perplexity"].right_as_in_the_notebook
    names = inspect.unwrap(solution).__globals__
    MODULES["evaluate_perplexity"].device = torch.device("cpu")
    assert names["device"].type == "cpu"
    passed("evaluate_perplexity", solution)


# ---- nothing is left behind


class Anything:
    """A network that lies about in a notebook."""

    def __init__(self):
        self.weight = torch.ones(2, requires_grad=True)
        self.weight.grad = torch.full((2,), 5.0)

    def parameters(self):
        return [self.weight]


def with_globals(function, **names):
    """The function as a cell of a notebook with these names."""
    return types.FunctionType(
        function.__code__, {**function.__globals__, **names})


def meddles(params, lr):
    model.weight.data -= 1  # noqa: F821
    model.weight.grad = None  # noqa: F821
    loose[0].data *= 3  # noqa: F821


def test_the_models_of_the_notebook_stay_as_they_are():
    model, loose = Anything(), [torch.ones(1, requires_grad=True)]
    refused("sgd", with_globals(meddles, model=model, loose=loose))
    assert torch.equal(model.weight, torch.ones(2))
    assert torch.equal(model.weight.grad, torch.full((2,), 5.0))
    assert torch.equal(loose[0], torch.ones(1))


@pytest.mark.parametrize("name", EXERCISES)
def test_random_numbers_and_settings_stay(name):
    def reckless(*arguments, **options):
        random.seed(9)
        numpy.random.seed(9)
        torch.manual_seed(9)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_deterministic_debug_mode("error")
        raise RuntimeError("enough")

    random.seed(1)
    numpy.random.seed(1)
    torch.manual_seed(1)
    before = (random.getstate(), numpy.random.get_state()[1].tolist(),
              torch.get_rng_state().tolist())
    refused(name, reckless)
    assert before == (
        random.getstate(), numpy.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist())
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert torch.get_deterministic_debug_mode() == 0
    # Read in the older way, as long as that is how they are set.
    assert torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_judgement_does_not_depend_on_the_random_state():
    from solutions.seq_data_iter_random import wrong_with_replacement

    messages = set()
    for seed in range(3):
        torch.manual_seed(seed)
        random.seed(seed)
        messages.add(refused("seq_data_iter_random", wrong_with_replacement))
    assert len(messages) == 1


# ---- nothing hangs


def spins(*arguments):
    while True:
        pass


def swallows(*arguments):
    while True:
        try:
            while True:
                pass
        except BaseException:
            if caught_often():
                raise


def sleeps(*arguments):
    time.sleep(2 * SECONDS + 1.5)


def yields(*arguments):
    while True:
        yield torch.zeros(2, 5), torch.zeros(2, 5)


def caught_often(calls=[0]):  # noqa: B006
    calls[0] += 1
    return calls[0] > 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "solution"),
    [("rnn", spins), ("sgd", swallows), ("predict", sleeps),
     ("seq_data_iter_random", spins)],
)
def test_a_solution_without_an_end_is_given_up(name, solution):
    assert "no end after" in refused(name, solution)
    # What can be stopped is stopped; a call that waits ends when it ends.
    deadline = time.monotonic() + 30
    while any(t.name == "solution" for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "name", ["seq_data_iter_random", "seq_data_iter_sequential"]
)
def test_a_sampler_without_an_end_is_refused(name):
    assert "not right yet" in refused(name, yields)


@pytest.fixture
def busy():
    """A machine with a few times more work than processors."""
    count = 3 * (os.cpu_count() or 1)
    hogs = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(count)]
    yield
    for hog in hogs:
        hog.kill()
        hog.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells")
def test_on_a_busy_machine_a_right_solution_has_more_time(busy):
    def works(X, vocab_size):
        begin = time.thread_time()
        while time.thread_time() < begin + 0.1:
            pass
        return torch.nn.functional.one_hot(X.T, vocab_size).float()

    begin = time.monotonic()
    assert "passed" in passed("one_hot", works)
    assert time.monotonic() - begin > SECONDS, "it was not busy enough"
    assert "no end after" in refused("one_hot", sleeps)


@pytest.mark.slow
def test_an_import_is_not_interrupted(tmp_path, monkeypatch):
    """Half imported, a module would be broken for the rest of the process."""
    (tmp_path / "slow_to_import.py").write_text(
        "import time\n"
        f"for _ in range({int(25 * SECONDS)}):\n"
        "    time.sleep(0.1)\n"
        "ready = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def works(X, vocab_size):
        import slow_to_import

        assert slow_to_import.ready
        return torch.nn.functional.one_hot(X.T, vocab_size).float()

    def spins_afterwards(X, vocab_size):
        works(X, vocab_size)
        spins()

    try:
        assert "no end after" in refused("one_hot", spins_afterwards)
        assert sys.modules["slow_to_import"].ready
        del sys.modules["slow_to_import"]
        assert "passed" in passed("one_hot", works)
    finally:
        sys.modules.pop("slow_to_import", None)


@pytest.mark.slow
def test_the_first_check_of_a_process_may_import_slowly(tmp_path):
    """PyTorch imports 500 modules for gradcheck, 800 for an optimizer: with no
    bytecode that takes longer than a check may."""
    name, label = "gru_cell", "right_as_in_the_notebook"
    done = subprocess.run(
        [sys.executable, "-c", f"""if True:
            import sys, time, torch

            class Compiler:  # takes as long, and finds nothing
                def find_spec(self, *_):
                    end = time.perf_counter() + 0.005
                    while time.perf_counter() < end:
                        pass

            sys.meta_path.insert(0, Compiler())
            from labkit import checks
            from solutions.{name} import {label} as solution
            checks.{name}(solution)
            torch.optim.SGD([torch.ones(1, requires_grad=True)], 1).step()
            """],
        capture_output=True, text=True, timeout=300, cwd=tmp_path, env={
            **os.environ,
            "PYTHONPATH": str(Path(solutions.__file__).parents[1])})
    assert f"{name}: passed." in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr


def test_exit_is_explained():
    assert "use return" in refused("rnn", lambda *arguments: exit())


def test_checks_take_what_the_course_itself_uses():
    for name, finished in inspect.getmembers(checks, callable):
        if name in EXERCISES:
            assert finished.__doc__, name


def test_not_written_is_a_failed_check():
    assert issubclass(NotWritten, checks.CheckFailed)
    assert issubclass(checks.CheckFailed, AssertionError)
