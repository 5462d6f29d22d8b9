"""The explorer's networks and file, without a browser."""

import json
import re

import pytest

from labkit.__main__ import main
from labstaff.site import explorer
from labutils import training
from labutils.batches import load_data_time_machine
from labutils.evaluation import evaluate_perplexity
from labutils.models import device_of

EPOCHS = {"RNN": 2, "LSTM": 1, "GRU": 1}
TINY = explorer.Plan(4, 3000, 2000, EPOCHS)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)
    monkeypatch.setenv("LABUTILS_TEXT", "practice")
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(tmp_path))
    return tmp_path / "explorer"


@pytest.mark.slow
def test_they_are_kept_with_what_one_must_know(folder):
    assert explorer.networks() == explorer.networks(practice=True)
    path = explorer.train_all(TINY)
    assert path == folder / "networks.json"
    kept = explorer.networks()
    assert kept["book"] is False and kept["tokens"] == 3000
    loader, vocab = load_data_time_machine(
        explorer.BATCH_SIZE, explorer.NUM_STEPS, max_tokens=3000,
        held_out_tokens=2000)
    assert kept["vocab"] == vocab.idx_to_token
    for name, found in kept["networks"].items():
        model = explorer.model_of(name, kept)
        # Halves of the numbers lose next to nothing.
        assert evaluate_perplexity(model, loader.held_out) == pytest.approx(
            found["perplexity"], rel=0.01)
        assert found["parameters"] == sum(
            p.numel() for p in model.parameters())
        assert (found["num_hiddens"], found["status"]) == (4, "")
    assert explorer.networks(practice=True) != kept


@pytest.mark.slow
def test_the_epoch_is_chosen_on_held_out_text(monkeypatch):
    values = iter([9.0, 7.0, 8.0, 6.5, 7.5])

    def told(model, data):
        return next(values)

    monkeypatch.setattr(training, "evaluate_perplexity", told)
    loader, vocab = load_data_time_machine(32, 50, held_out_tokens=2000)
    chosen, plain = (explorer.new_model("GRU", len(vocab), 4)
                     for _ in range(2))
    history = explorer._train_best(chosen, loader, vocab, 0.003, 5)
    assert history.best_held_out == (6.5, 4)
    values = iter([4.0, 3.0, 2.0, 1.0])  # the best epoch is the last
    loader.restart()
    explorer._train_best(plain, loader, vocab, 0.003, 4)
    for one, other in zip(
            chosen.parameters(), plain.parameters(), strict=True):
        assert (one == other).all()


@pytest.mark.parametrize("variable", ["LABUTILS_EPOCHS", "LABUTILS_SECONDS"])
def test_a_capped_training_says_so(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    if variable == "LABUTILS_SECONDS":
        monkeypatch.setattr(
            explorer.History, "time_limit", (1e-9, variable))
    explorer.train_all(TINY)
    found = explorer.networks()["networks"]
    assert found["RNN"]["status"] == "(1 of 2 epochs)"
    assert found["LSTM"]["status"] == ""


def test_a_training_that_is_stopped_leaves_what_was(monkeypatch, folder):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    explorer.train_all(TINY)
    before = (folder / "networks.json").read_bytes()
    monkeypatch.setattr(explorer, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        explorer.train_all(TINY)
    assert (folder / "networks.json").read_bytes() == before


def test_a_training_that_diverges_is_an_error(monkeypatch):
    monkeypatch.setitem(explorer.LR, "RNN", 1e30)
    with (pytest.warns(UserWarning, match="no finite number"),
          pytest.raises(RuntimeError, match="Try another seed")):
        explorer.train_all(TINY)


@pytest.mark.parametrize("damage", [
    lambda kept: "", lambda kept: "[]", lambda kept: kept[:1000],
    lambda kept: kept.replace('"weights": "', '"weights": "AAAA'),
    lambda kept: kept.replace('"num_hiddens": 64', '"num_hiddens": 65'),
    lambda kept: kept.replace('"LSTM"', '"lstm"'),
])
def test_a_damaged_file_is_named(folder, capsys, damage):
    folder.mkdir()
    kept = explorer.PRACTICE.read_text(encoding="utf-8")
    (folder / "networks.json").write_text(damage(kept), encoding="utf-8")
    assert main(["site"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert str(folder / "networks.json") in line
    assert "is damaged" in line and "--train" in line


def test_the_bundled_networks_are_those_of_the_practice_text():
    kept = explorer.networks(practice=True)
    assert kept["book"] is False
    assert explorer.PRACTICE.stat().st_size < 200_000
    loader, vocab = load_data_time_machine(
        explorer.BATCH_SIZE, explorer.NUM_STEPS,
        max_tokens=kept["tokens"], held_out_tokens=3000)
    assert kept["vocab"] == vocab.idx_to_token
    for name, found in kept["networks"].items():
        model = explorer.model_of(name, kept)
        assert device_of(model).type == "cpu"
        assert evaluate_perplexity(model, loader.held_out) == pytest.approx(
            found["perplexity"], rel=0.005)


# ---- the file


def test_the_command_writes_one_file_and_opens_it(
    folder, capsys, monkeypatch
):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["site", "--open"]) == 0
    path = folder / "index.html"
    assert capsys.readouterr().out == f"Open {path}\n"
    assert opened == [path.as_uri()]
    html = path.read_text(encoding="utf-8")
    # Nothing in it is fetched, and nothing is left to fill in.
    assert not re.search(r"""(src|href)=|url\((?!'data:)|@import""", html)
    assert not re.search(r"\{\{\w+\}\}", html)
    assert html.count("<math") == 8 and html.count("</script>") == 1


def test_no_string_ends_the_script():
    kept = explorer.networks(practice=True) | {"vocab": ["</script>"]}
    html = explorer.page(kept)
    assert html.count("</script>") == 1
    data = re.search(r"const DATA = (\{.*\});", html)
    assert json.loads(data[1]) == kept


def test_its_own_code_stays_readable():
    files = [path for path in explorer.HERE.iterdir()
             if path.suffix in (".js", ".css", ".html")]
    assert sum(len(path.read_text("utf-8").splitlines())
               for path in files) < 900
