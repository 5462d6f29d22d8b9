"""The lecture's page without a browser: its models, its port, its files."""

import dataclasses
import json
import os
import re
import socket
from pathlib import Path

import nbformat
import pytest
import support
from support import MACHINE_PATH, finish

from labkit.__main__ import main
from labstaff.demo import models, page
from labstaff.demo.models import StaleError
from labstaff.demo.page import PageError
from labutils import settings

pytestmark = pytest.mark.slow  # nearly every one trains


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Trained to the end in one epoch of a second."""
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)
    monkeypatch.setenv("LABUTILS_TEXT", "practice")
    monkeypatch.setenv("LABUTILS_RESULTS_DIR", str(tmp_path))
    monkeypatch.setattr(models, "NUM_HIDDENS", 4)
    monkeypatch.setattr(models, "TOKENS", 5000)
    monkeypatch.setattr(models, "STEPS", 1)
    return tmp_path / "demo"


def trained(capsys) -> list[str]:
    """Which models a start trains."""
    capsys.readouterr()
    models.prepare()
    out = capsys.readouterr().out
    kept = re.findall(r"^(\w+) \(\d of 3\): trained and kept$", out, re.M)
    found = re.findall(r"^(\w+) \(\d of 3\): (?!trained and)", out, re.M)
    assert sorted(kept + found) == ["GRU", "LSTM", "RNN"]
    assert out.count("epoch    1/") == len(found)
    return found


# ---- the models


def test_they_are_trained_at_the_first_start_and_kept(small, capsys):
    assert trained(capsys) == ["RNN", "LSTM", "GRU"]
    before = {p.name: p.read_bytes() for p in small.iterdir()}
    assert sorted(before) == [
        "GRU.json", "GRU.pt", "LSTM.json", "LSTM.pt", "RNN.json", "RNN.pt",
    ]
    first = models.load()
    assert trained(capsys) == []
    assert {p.name: p.read_bytes() for p in small.iterdir()} == before
    again = models.load()
    assert capsys.readouterr().out == ""
    for name in ("RNN", "LSTM", "GRU"):
        parts = [demo.models[name].state_dict() for demo in (first, again)]
        assert parts[0].keys() == parts[1].keys()
        assert all((a == parts[1][k]).all() for k, a in parts[0].items())
        assert name == type(first.models[name].rnn).__name__


def test_the_kept_weights_are_those_that_were_trained(monkeypatch):
    seen = []
    monkeypatch.setattr(
        models.results, "save_weights",
        lambda path, model, save=models.results.save_weights: (
            seen.append(model), save(path, model)),
    )
    models.prepare()
    for model, kept in zip(seen, models.load().models.values(), strict=True):
        for one, other in zip(
            model.parameters(), kept.parameters(), strict=True
        ):
            assert (one == other).all()


def stale(words):
    with pytest.raises(StaleError, match=words):
        models.load()


def test_nothing_is_trained_by_a_page(small):
    stale("not trained yet")
    assert not small.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("NUM_HIDDENS", 5), ("LR", 0.1), ("STEPS", 20), ("BATCH_SIZE", 16),
     ("NUM_STEPS", 20), ("TOKENS", 6000)],
)
def test_other_settings_are_trained_anew(monkeypatch, capsys, name, value):
    models.prepare()
    monkeypatch.setattr(models, name, value)
    stale("settings or its text were others")
    assert trained(capsys) == ["RNN", "LSTM", "GRU"]
    models.load()


def test_another_seed_or_text_is_trained_anew(monkeypatch, tmp_path, capsys):
    models.prepare()
    monkeypatch.setenv("LABUTILS_SEED", "1")
    stale("settings or its text were others")
    assert len(trained(capsys)) == 3
    copy = tmp_path / "book.txt"
    copy.write_bytes(support.STAND_IN)
    support.take_stand_in(monkeypatch.setattr)
    monkeypatch.setenv("LABUTILS_TEXT", str(copy))
    stale("settings or its text were others")
    assert len(trained(capsys)) == 3
    assert models.load().warning == ""


@pytest.mark.parametrize(
    ("variable", "status"),
    [("LABUTILS_EPOCHS", "CAPPED RUN, 1 of"),
     ("LABUTILS_SECONDS", "CAPPED RUN, ")],
)
def test_a_capped_model_says_so_and_is_not_kept_for_long(
    monkeypatch, capsys, variable, status
):
    monkeypatch.setattr(models, "STEPS", 10_000)
    monkeypatch.setenv(variable, "1")
    models.prepare()
    assert trained(capsys) == []  # as long as the cap is the same
    warning = models.load().warning
    assert status in warning and variable in warning
    assert all(name in warning for name in models.LAYERS)
    monkeypatch.setattr(models, "train", None)
    monkeypatch.setenv(variable, "2")
    stale("trained anew, it was a CAPPED RUN")
    monkeypatch.delenv(variable)
    stale("trained anew, it was a CAPPED RUN")


def test_a_full_model_stays_where_there_is_a_cap(monkeypatch, capsys):
    monkeypatch.setattr(models, "STEPS", 10)
    models.prepare()
    monkeypatch.setenv("LABUTILS_EPOCHS", "1")
    assert trained(capsys) == []


@pytest.mark.parametrize("suffix", ["pt", "json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "another"])
def test_a_damaged_file_is_trained_anew(small, capsys, suffix, damage):
    models.prepare()
    path = small / f"LSTM.{suffix}"
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.write_bytes((small / f"GRU.{suffix}").read_bytes())
    stale("not trained yet|trained anew")
    assert trained(capsys) == ["LSTM"]
    models.load()


def test_a_training_that_is_stopped_is_not_kept(monkeypatch, small, capsys):
    real = models.train

    def stopped(model, *arguments, **options):
        history = real(model, *arguments, **options)
        kind = type(model.rnn).__name__
        return dataclasses.replace(history, interrupted=kind == "LSTM")

    monkeypatch.setattr(models, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        models.prepare()
    assert sorted(path.name for path in small.iterdir()) == [
        "RNN.json", "RNN.pt"
    ]
    monkeypatch.setattr(models, "train", real)
    assert trained(capsys) == ["LSTM", "GRU"]


def test_a_crash_between_two_files_keeps_no_old_word(
    monkeypatch, small, capsys
):
    models.prepare()
    monkeypatch.setenv("LABUTILS_SEED", "1")

    def full(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(models.results, "save_weights", full)
        with pytest.raises(OSError, match="disk full"):
            models.prepare()
    monkeypatch.delenv("LABUTILS_SEED")
    assert trained(capsys) == ["RNN"]


def test_the_practice_text_is_named():
    models.prepare()
    demo = models.load()
    assert "practice text (not The Time Machine)" in demo.warning
    assert "practice text" in demo.about
    assert demo.about.count("full run, 1 of 1 epochs") == 3


def test_a_short_text_is_read_more_often(monkeypatch):
    monkeypatch.setattr(models, "STEPS", 850)
    loader, _ = models._data()
    batches = len(list(loader))
    assert batches * models._num_epochs(loader) == pytest.approx(850, rel=0.1)


# ---- the port


def test_a_port_that_is_in_use(capsys, small):
    with socket.socket() as taken:
        taken.bind((page.ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PageError, match=f"port {port} is in use"):
            page.free_port(port)
        assert main(["demo", "--no-browser", "--port", str(port)]) == 1
    # Said before anything was trained.
    assert not small.exists()
    assert re.fullmatch(
        rf"labutils: port {port} is in use[^\n]+\n", capsys.readouterr().err
    )
    assert page.free_port(port) == port


def test_without_a_port_there_is_always_one(monkeypatch):
    with socket.socket() as taken:
        taken.bind((page.ADDRESS, 0))
        taken.listen()
        monkeypatch.setattr(page, "PORT", taken.getsockname()[1])
        assert page.free_port(None) not in (0, page.PORT)
    assert page.free_port(None) == page.PORT


# ---- the command


def test_train_only_opens_no_page(monkeypatch, capsys):
    monkeypatch.setattr(page, "serve", None)
    # Undone at the end: the command sets it for the page's kernels.
    monkeypatch.setenv("LABUTILS_TEXT", settings.PRACTICE)
    assert main(["demo", "--train-only"]) == 0
    assert capsys.readouterr().out.count("not trained yet") == 3


def test_without_voila_nothing_is_trained(small):
    script = (
        "import sys\nsys.modules['voila'] = None\n"
        "from labkit.__main__ import main\nsys.exit(main())"
    )
    code, out, err = finish(support.python("-c", script, "demo"))
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"labutils: this command needs voila, [^\n]+ Type: [^\n]+\n", err
    )
    assert not small.exists()


# ---- the files


def test_the_pages_notebook_is_source_alone():
    notebook = nbformat.read(page.PAGE, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert not cell.get("outputs") and not cell.get("execution_count")
        assert not cell.metadata
    assert not MACHINE_PATH.search(page.PAGE.read_text(encoding="utf-8"))


def test_the_template_names_no_other_machine():
    [template] = page.SHARE.rglob("*.j2")
    assert "//" not in template.read_text(encoding="utf-8")
    conf = template.with_name("conf.json").read_text(encoding="utf-8")
    assert json.loads(conf) == {"base_template": "lab"}


def test_the_kernel_is_this_environments(monkeypatch, tmp_path):
    for name in ("JUPYTER_PATH", "PYTHONPATH", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))  # and undone at the end
    from jupyter_client.kernelspec import KernelSpecManager

    wrong = tmp_path / "kernels" / "python3"
    wrong.mkdir(parents=True)
    (wrong / "kernel.json").write_text(json.dumps(
        {"argv": ["false"], "display_name": "Wrong", "language": "python"}
    ))
    assert KernelSpecManager().get_kernel_spec("python3").argv == ["false"]
    with page._surroundings():
        found = KernelSpecManager().get_kernel_spec("python3").argv
        assert Path(found[0]).samefile(page.sys.executable)
        first = os.environ["PYTHONPATH"].split(os.pathsep)[0]
        assert (Path(first) / "labstaff" / "demo").samefile(page.HERE)
