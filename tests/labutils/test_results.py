"""What a training leaves on the disk, and that it can be read back."""

import math
import os
import stat

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from labutils import (
    History,
    RNNModel,
    RNNModelScratch,
    SeqDataLoader,
    Vocab,
    evaluate_perplexity,
    results,
    scratch,
    settings,
    train,
)

CPU = torch.device("cpu")
TEXT = "a time traveller travels as far as time allows and back again "
VOCAB = Vocab(TEXT)
V = len(VOCAB)
every_kind = pytest.mark.parametrize("kind", ["scratch", "concise"])


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(tmp_path / "results"))
    return tmp_path / "results" / "09_test"


def make_model(kind, num_hiddens=8, seed=0):
    torch.manual_seed(seed)
    if kind == "concise":
        return RNNModel(nn.LSTM(V, num_hiddens, 2), V)
    return RNNModelScratch(
        V, num_hiddens, CPU, scratch.get_lstm_params, scratch.init_lstm_state,
        scratch.lstm,
    )


def make_data():
    corpus = torch.tensor(VOCAB[list(TEXT * 12)])
    loader = SeqDataLoader(corpus[:500], 4, 10, seed=0)
    loader.held_out = SeqDataLoader(corpus[500:], 4, 10, offset=0)
    loader.record = {"name": "a sentence"}
    return loader


def trained(kind, num_epochs=3):
    model = make_model(kind)
    history = train(
        model, make_data(), VOCAB, 1.0, num_epochs, verbose=False
    )
    return model, history


def save(model, history):
    return results.save_training(
        "09_test", "small", model, history, VOCAB, make_data()
    )


@every_kind
def test_a_training_leaves_four_files(kind, folder):
    model, history = trained(kind)
    summary = save(model, history)
    assert results.folder("09_test") == folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "small.json", "small.png", "small.pt", "small.txt",
    ]
    assert (folder / "small.txt").read_text(encoding="utf-8") == summary
    text = (folder / "small.json").read_text(encoding="utf-8")
    assert History.from_json(text) == history
    png = (folder / "small.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png[16:24] == (750).to_bytes(4) + (450).to_bytes(4)  # pixels


@every_kind
def test_the_weights_load_back_equal(kind, folder):
    model, history = trained(kind)
    save(model, history)
    other = make_model(kind, seed=1)
    held_out = make_data().held_out
    assert evaluate_perplexity(other, held_out) != history.held_out
    identities = [id(param) for param in other.parameters()]
    results.load_weights(folder / "small.pt", other)
    # Into the same tensors, which an optimizer may hold.
    assert [id(param) for param in other.parameters()] == identities
    for param, saved in zip(
        other.parameters(), model.parameters(), strict=True
    ):
        assert torch.equal(param, saved)
        assert param.requires_grad
    assert evaluate_perplexity(other, held_out) == history.held_out


@every_kind
def test_weights_of_another_size_are_refused(kind, folder):
    model = make_model(kind)
    path = folder / "small.pt"
    results.save_weights(path, model)
    larger = make_model(kind, num_hiddens=9)
    before = [param.detach().clone() for param in larger.parameters()]
    with pytest.raises(ValueError, match="does not fit") as caught:
        results.load_weights(path, larger)
    assert str(path) in str(caught.value)
    assert str(tuple(before[0].shape)) in str(caught.value)
    assert all(map(torch.equal, larger.parameters(), before))


def test_weights_of_another_kind_are_refused(folder):
    results.save_weights(folder / "small.pt", make_model("concise"))
    with pytest.raises(ValueError, match="the same layers and sizes"):
        results.load_weights(folder / "small.pt", make_model("scratch"))


class Sneaky:
    """Unpickling it would set off a command of its maker's choice."""

    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


def test_a_weights_file_runs_no_code(tmp_path):
    torch.save([Sneaky()], tmp_path / "sneaky.pt")
    with pytest.raises(ValueError, match="not a file of weights"):
        results.load_weights(tmp_path / "sneaky.pt", make_model("concise"))


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_a_damaged_weights_file_is_refused(tmp_path, keep):
    model, path = make_model("concise"), tmp_path / "small.pt"
    results.save_weights(path, model)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="damaged"):
        results.load_weights(path, model)


def test_a_state_dict_is_refused(tmp_path):
    model = make_model("concise")
    torch.save(model.state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match="not a file of weights"):
        results.load_weights(tmp_path / "other.pt", model)


def test_the_summary_of_a_full_run():
    model, history = trained("concise")
    data = make_data()
    history = history.with_test(7.0)
    summary = results.summarize("small", model, history, VOCAB, data)
    names, values = zip(
        *(line.split(": ", 1) for line in summary.splitlines()), strict=True
    )
    copied = "  longest run copied from the training text"
    assert names == (
        "model", "status", "corpus", "training perplexity",
        "  median of the last ten epochs", "held-out perplexity",
        "  at its lowest", "counting alone, held out", "test perplexity",
        "seconds", "expected of a new run", "prediction", copied,
        "prediction", copied,
    )
    number = sum(param.numel() for param in model.parameters())
    assert values[0] == f"small ({number:,} parameters)"
    assert values[1] == "full run, 3 of 3 epochs"
    assert values[2] == "a sentence"
    bits = math.log2(history.perplexity)
    assert values[3] == (
        f"{history.perplexity:.2f} ({bits:.2f} bits per character)"
    )
    settled = sorted(history.train_perplexity)[1]  # of three
    assert values[4].startswith(f"{settled:.2f} (")
    lowest, epoch = history.best_held_out
    assert values[5].startswith(f"{history.held_out:.2f} (")
    assert values[6].startswith(f"{lowest:.2f} (")
    assert values[6].endswith(f" bits per character), epoch {epoch}")
    assert values[7].startswith(
        f"unigram {history.baselines['unigram']:.2f}, bigram "
    )
    assert values[8] == "7.00 (2.81 bits per character)"
    assert values[9].startswith(f"{history.seconds:.1f} (")
    assert values[9].endswith(" tokens/s on cpu)")
    assert values[10] == "unknown, no run small is recorded"
    assert values[11].startswith("time traveller")
    assert values[13].startswith("traveller")
    assert history.samples[-1][1] == values[11]


class Reciter:
    """A model that knows its text, and after its end says one letter."""

    def __init__(self, text):
        self.text = text

    def __call__(self, X, state):
        place = state + X.shape[1]
        following = (self.text + "e" * 200)[int(place)]
        logits = torch.zeros(X.numel(), V)
        logits[-1, VOCAB[following]] = 1.0
        return logits, place

    def begin_state(self, batch_size, device=None):
        return torch.zeros(1, dtype=torch.int64)

    def parameters(self):
        return [torch.zeros(1)]


def test_the_summary_counts_what_was_copied():
    _, history = trained("concise", num_epochs=1)
    part = " travels as far as"  # 18 letters that follow "time traveller"
    reciter = Reciter("time traveller" + part)
    summary = results.summarize("it", reciter, history, VOCAB, make_data())
    [first, _] = [
        line for line in summary.splitlines() if "copied" in line
    ]
    assert first.endswith(f": {len(part)} of 50 characters")


def test_a_capped_run_says_so(monkeypatch, folder):
    monkeypatch.setenv("LABUTILS_EPOCHS", "1")
    model, history = trained("concise")
    summary = save(model, history)
    status = "status: CAPPED RUN, 1 of 3 epochs (LABUTILS_EPOCHS=1)"
    assert status in summary.splitlines()
    text = (folder / "small.json").read_text(encoding="utf-8")
    assert not History.from_json(text).full


@pytest.mark.filterwarnings("ignore:The perplexity is no finite")
def test_a_diverged_run_can_be_saved(folder):
    model = make_model("scratch")
    history = train(
        model, make_data(), VOCAB, 1e9, 5, grad_clip=math.inf, verbose=False
    )
    summary = save(model, history)
    assert "status: DIVERGED after " in summary
    assert len(list(folder.iterdir())) == 4


def test_a_run_interrupted_in_its_first_epoch_can_be_saved(folder):
    class Impatient(SeqDataLoader):
        def __iter__(self):
            raise KeyboardInterrupt

    model = make_model("concise")
    data = Impatient(make_data().corpus, 4, 10)
    history = train(model, data, VOCAB, 1.0, 5, verbose=False)
    summary = save(model, history)
    assert "status: PARTIAL RUN, interrupted after 0 of 5 epochs" in summary
    assert "held-out" not in summary
    assert len(list(folder.iterdir())) == 4


def test_saving_again_replaces_what_was_there(folder):
    model, history = trained("concise")
    save(model, history)
    model, history = trained("concise", num_epochs=1)
    summary = save(model, history)
    assert "full run, 1 of 1 epochs" in summary
    assert (folder / "small.txt").read_text(encoding="utf-8") == summary
    assert len(list(folder.iterdir())) == 4  # and no temporary file


def test_texts_and_figures(folder):
    path = results.save_text("09_test", "note.txt", "Zeit: 时间\n")
    assert path == folder / "note.txt"
    assert path.read_bytes() == "Zeit: 时间\n".encode()
    path = results.save_figure("09_test", "note.png", Figure())
    assert path.read_bytes().startswith(b"\x89PNG")


def check_cannot_write(folder):
    """Saving fails with an error that says how to go on; nothing is lost."""
    model, history = trained("concise", num_epochs=1)
    before = [param.detach().clone() for param in model.parameters()]
    with pytest.raises(OSError, match="LABUTILS_RESULTS_DIR") as caught:
        save(model, history)
    assert str(folder / "small.txt") in str(caught.value)
    assert all(map(torch.equal, model.parameters(), before))
    assert history.full


def test_a_results_folder_beneath_a_file(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    below = tmp_path / "file" / "results"
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(below))
    check_cannot_write(below / "09_test")


def test_a_results_folder_that_is_a_file(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(tmp_path / "file"))
    model, history = trained("concise", num_epochs=1)
    with pytest.raises(settings.SettingsError, match="LABUTILS_RESULTS_DIR"):
        save(model, history)


def test_a_folder_in_the_place_of_a_file(folder):
    (folder / "small.txt").mkdir(parents=True)
    check_cannot_write(folder)
    assert [path.name for path in folder.iterdir()] == ["small.txt"]


def test_a_results_folder_that_is_read_only(folder):
    folder.mkdir(parents=True)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("no folder is read-only to this user")
        check_cannot_write(folder)
    finally:
        folder.chmod(stat.S_IRWXU)
