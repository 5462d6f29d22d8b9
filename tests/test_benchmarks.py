"""The benchmarks run and say what they should; no time is ever judged."""

import re
import sys
from pathlib import Path

import pytest
import torch
from support import finish, python

from labutils import settings
from labutils.corpus import practice_text

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import loading  # noqa: E402
import variants  # noqa: E402


def run(script: str, *arguments: str, results: Path | None = None) -> str:
    """Run a benchmark on the practice text and return what it prints."""
    process = python(
        BENCHMARKS / script, *arguments,
        LABUTILS_TEXT=settings.PRACTICE, LABUTILS_RESULTS_DIR=results,
    )
    code, out, err = finish(process)
    assert code == 0, err
    return out


@pytest.fixture
def corpus() -> torch.Tensor:
    return variants.first_batches(loading.encoded(practice_text().text), 2)


def test_trainings_are_timed_and_drawn(tmp_path):
    out = run("trainings.py", "--quick", results=tmp_path)
    text = (tmp_path / "benchmarks" / "trainings.txt").read_text("utf-8")
    assert text in out
    rows = [tuple(line.split()[:2]) for line in text.splitlines() if line]
    for name in variants.TRAININGS:
        assert [row[1] for row in rows if row[0] == name] == [
            "kit", "plain", "torch.nn"
        ]
    assert len(variants.TRAININGS) == 7
    assert "import labutils" in text
    assert f"{torch.__version__}" in text
    picture = (tmp_path / "benchmarks" / "trainings.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_threads_are_chosen_freely_where_mkl_is_told_so():
    flags = Path("/proc/cpuinfo")
    if not (torch.backends.mkl.is_available() and flags.exists()
            and {"GenuineIntel", "avx2"} <= set(flags.read_text().split())):
        pytest.skip("needs an Intel processor with AVX2")
    process = python("-c", f"import sys; sys.path[:0] = [{str(BENCHMARKS)!r}]"
                     + CHOICES, MKL_CBWR="AUTO,STRICT")
    assert finish(process)[1] == 7 * "[1, 2, 4]\n"


CHOICES = """
from variants import *
from labutils import training
from labutils.steps import PacedStep
for own in TRAININGS.values():
    model = trainable(kit_model(own, new_weights(own)))
    corpus = torch.arange(TOKENS) % VOCAB_SIZE
    X, Y = next(iter(new_loader(own, corpus)))
    step = PacedStep(training.train_step, 4)
    print([*step.usable(
        model, X, as_targets(Y), model.begin_state(BATCH_SIZE),
        torch.optim.SGD(model.parameters(), own.lr), GRAD_CLIP)])
"""


def test_threads_are_timed_quiet_and_busy(tmp_path):
    run("threads.py", "--quick", "--busy", "1", results=tmp_path)
    text = (tmp_path / "benchmarks" / "threads.txt").read_text("utf-8")
    [row] = re.findall(r"^rnn_concise +([ .\d]+)$", text, re.MULTILINE)
    assert len(row.split()) == 7 and min(map(float, row.split())) > 0


def test_live_view_is_timed_in_a_kernel(tmp_path):
    run("view.py", "--quick", results=tmp_path)
    text = (tmp_path / "benchmarks" / "view.txt").read_text("utf-8")
    assert text.count("share spent in the view") == 3
    assert text.count("snapshot after an epoch") == 2
    assert text.count("checkpoint saved") == 2


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads /proc"
)
def test_the_memory_of_a_student_is_measured(tmp_path):
    run("student.py", "--quick", results=tmp_path)
    text = (tmp_path / "benchmarks" / "student.txt").read_text("utf-8")
    rows = re.findall(r"^(\S.{20}) +(\d+) +(\d+)$", text, re.MULTILINE)
    assert [name.strip() for name, *_ in rows] == [
        "kernel, nothing run", "01_text_preprocessing", "JupyterLab's server"]
    for _, now, most in rows:
        assert 0 < int(now) <= int(most)
    [total] = re.findall(r"all of them at once +(\d+)$", text, re.MULTILINE)
    assert abs(int(total) - int(rows[1][1]) - int(rows[2][1])) <= 2


def test_without_cuda_nothing_is_said_to_be_measured(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    assert "Nothing is measured" in run("on_cuda.py", results=tmp_path)
    assert not list(tmp_path.iterdir())


def test_peak_memory_is_a_number():
    mb = float(run("memory.py", "rnn_concise", "torch.nn"))
    assert sys.platform == "win32" or 0 < mb < 2000


def test_operations_counted_by_hand():
    """One product at a time, for the layer shapes of the deep GRU."""
    tokens, gates, H, V = 32 * 35, 3, 256, 28
    products = [
        gates * V * H, gates * H * H,  # first layer
        gates * H * H, gates * H * H,  # second layer
        H * V,
    ]
    assert variants.floating_point_operations(
        variants.TRAININGS["deep_gru"]
    ) == 6 * tokens * sum(products)


@pytest.mark.parametrize("name", variants.TRAININGS)
def test_variants_compute_the_same(name, corpus):
    variants.check(variants.TRAININGS[name], corpus)


def swapped_gates(X, state, params):
    """The LSTM with its input and forget gate exchanged."""
    i, f, rest = params[:3], params[3:6], params[6:]
    return variants.lstm_step(X, state, [*f, *i, *rest])


def no_memory(X, state, params):
    """A recurrent network that forgets its state."""
    (H,) = state
    return variants.rnn_step(X, (torch.zeros_like(H),), params)


@pytest.mark.parametrize(("name", "layer", "wrong"), [
    ("deep_lstm", torch.nn.LSTM, swapped_gates),
    ("rnn_concise", torch.nn.RNN, no_memory),
])
def test_check_finds_a_wrong_plain_variant(
    name, layer, wrong, corpus, monkeypatch
):
    monkeypatch.setitem(variants.STEPS, layer, wrong)
    with pytest.raises(AssertionError, match="plain computes something else"):
        variants.check(variants.TRAININGS[name], corpus)


def test_check_finds_a_wrong_kit(corpus, monkeypatch):
    right = variants.scratch.rnn

    def detached(inputs, state, params):
        """The right loss, and no gradient for the hidden weights."""
        W_xh, W_hh, *rest = params
        return right(inputs, state, [W_xh, W_hh.detach(), *rest])

    monkeypatch.setattr(variants.scratch, "rnn", detached)
    with pytest.raises(AssertionError, match="kit computes something else"):
        variants.check(variants.TRAININGS["rnn_scratch_sequential"], corpus)


@pytest.mark.parametrize("name", ["rnn_scratch_random", "lstm_scratch"])
def test_plain_epoch_ends_with_the_weights_of_the_kits(name, corpus):
    """Clipping and the step itself, where the parameters are the same."""
    training = variants.TRAININGS[name]
    weights = variants.new_weights(training)
    kit, plain = (
        variants.trainable(variants.new_model(training, variant, weights))
        for variant in ("kit", "plain")
    )
    optimizer = torch.optim.SGD(kit.parameters(), training.lr)
    loader = variants.new_loader(training, corpus)
    variants.labutils.train_epoch(kit, loader, optimizer, 0.1)
    loader.restart()
    variants.train_plainly(plain, loader, training.lr, 0.1)
    torch.testing.assert_close(
        list(plain.parameters()), list(kit.parameters()), rtol=1e-3, atol=1e-5
    )
