"""The open exercises of notebook 6, done with what the course offers."""

import math
import sys
from pathlib import Path

import pytest
import torch
from small import VOCAB, V, make_data
from torch import nn

import labutils
from labutils import RNNModel, SeqDataLoader, batches, train
from labutils.corpus import practice_text

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import whole_book


@pytest.fixture(autouse=True)
def no_cap(monkeypatch):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)


def trained(layer, seed, num_epochs=2, **options):
    torch.manual_seed(seed)
    model = RNNModel(layer(V, 8, 2, **options), V)
    history = train(
        model, make_data(seed=seed, tokens=800), VOCAB, None, num_epochs,
        optimizer=torch.optim.Adam(model.parameters(), 0.01), eval_every=1,
        verbose=False)
    return model, history


@pytest.mark.slow
def test_six_new_seeds():
    pairs = [
        [trained(layer, seed)[1].best_held_out[0]
         for layer in (nn.LSTM, nn.GRU)] for seed in range(3, 9)
    ]
    differences = torch.tensor([a - b for a, b in pairs])
    half = 2.571 * differences.std() / math.sqrt(6)
    assert differences.mean() - half > 0  # the GRU starts sooner


@pytest.mark.slow
def test_the_nine_are_trained_anew_for_who_asks(monkeypatch, tmp_path):
    monkeypatch.setenv("LABUTILS_EPOCHS", "1")
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(tmp_path))
    notebook = whole_book.notebook()
    cells = whole_book.sources()
    notebook["book_hiddens"] = 4
    exec(cells["nb06-13"], notebook)
    notebook["networks"] = {"LSTM": (nn.LSTM, 4), "GRU": (nn.GRU, 5)}
    notebook["adam"] = notebook["histories"]["LSTM"]
    exec(cells["nb06-30"].replace("anew = False", "anew = True"), notebook)
    assert {path.stem for path in tmp_path.glob("*/*.json")} == {
        f"seeds_{network}_{k}" for network in ("lstm_4", "gru_5")
        for k in range(3)}
    runs = notebook["runs"]["GRU"]
    assert [h.settings["seed"] for h in runs] == [0, 1, 2]
    assert {h.num_epochs for h in runs} == {1}


def test_the_best_setting_is_measured_once_on_test_text():
    train_iter = make_data(tokens=800)
    rest = SeqDataLoader(train_iter.held_out.corpus[100:], 4, 10, offset=0)
    tried = {
        dropout: trained(nn.GRU, 0, 3, dropout=dropout)[1]
        for dropout in (0.0, 0.5)
    }
    best = min(tried, key=lambda dropout: tried[dropout].best_held_out)
    value, epoch = tried[best].best_held_out
    model, again = trained(nn.GRU, 0, epoch, dropout=best)
    assert again.held_out == value  # the very network of that epoch
    history = again.with_test(labutils.evaluate_perplexity(model, rest))
    assert 1 < history.test_perplexity < V


@pytest.mark.slow
def test_the_book_is_trained_with_another_cell(monkeypatch, tmp_path):
    """With the notebook's own functions, as the recorded runs are made."""
    monkeypatch.setattr(batches, "read_corpus", Book)
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(tmp_path))
    notebook = whole_book.notebook()
    notebook["book_hiddens"] = 4
    model, history = notebook["train_on_the_book"](
        5, layer=nn.GRU, num_epochs=2)
    [path] = tmp_path.glob("*/whole_book_5.json")
    assert labutils.History.from_json(path.read_text("utf-8")) == history
    assert isinstance(model.rnn, nn.GRU) and history.full
    assert history.settings["schedule"] == [1, 0.5]
    assert history.test_perplexity == pytest.approx(history.held_out, rel=0.1)


class Book:
    """As long as the novel."""

    text = practice_text().text * 8

    def record(self):
        return {"name": "the practice text, again and again"}
