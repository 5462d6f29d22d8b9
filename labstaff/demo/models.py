"""The models of the page: trained once, kept, and loaded afterwards."""

import contextlib
import hashlib
import io
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import torch
from torch import nn

from labkit.widgets.drawing import cell, header, table
from labutils import results, settings
from labutils.batches import SeqDataLoader, load_data_time_machine
from labutils.corpus import TIME_MACHINE
from labutils.history import History
from labutils.models import LanguageModel, RNNModel
from labutils.text import Vocab
from labutils.training import train

NOTEBOOK = "demo"  # the folder's name among the results
LAYERS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
NUM_HIDDENS = 256
BATCH_SIZE, NUM_STEPS = 32, 35
TOKENS, HELD_OUT = 160_000, 5_000  # characters: nearly the whole book
STEPS = 850  # of training, however long the text is
LR = 0.005  # of Adam


class StaleError(RuntimeError):
    """There is no kept model for these settings; the message says why."""


@dataclass(frozen=True)
class Demo:
    """What the page shows.

    Attributes:
        models: a trained model for each name.
        warning: what the audience must not take for more than it is, as
            HTML; empty after full trainings on the book.
        about: what they are and how good, as HTML.
    """

    models: dict[str, LanguageModel]
    vocab: Vocab
    warning: str
    about: str


def prepare() -> None:
    """Train the models that are not kept yet, and say what is going on.

    Raises:
        KeyboardInterrupt: a training was stopped; those before it are kept.
    """
    loader, vocab = _data()
    for number, name in enumerate(LAYERS, start=1):
        try:
            _load(name, loader, vocab)
        except StaleError as error:
            print(f"{name} ({number} of {len(LAYERS)}): {error}", flush=True)
            _train(name, loader, vocab)
        else:
            print(f"{name} ({number} of {len(LAYERS)}): trained and kept")


def load() -> Demo:
    """The kept models; nothing is trained.

    Raises:
        StaleError: one is not there, or was made with other settings.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # the page says it better
        loader, vocab = _data()
    models: dict[str, LanguageModel] = {}
    histories = {}
    for name in LAYERS:
        models[name], histories[name] = _load(name, loader, vocab)
    return Demo(models, vocab, _warning(histories), _about(histories))


def _data() -> tuple[SeqDataLoader, Vocab]:
    return load_data_time_machine(
        BATCH_SIZE, NUM_STEPS, max_tokens=TOKENS, held_out_tokens=HELD_OUT
    )


def _model(name: str, vocab: Vocab) -> RNNModel:
    """With the first weights that the seed makes."""
    settings.set_seed()
    layer = LAYERS[name](len(vocab), NUM_HIDDENS)
    return RNNModel(layer, len(vocab)).to(settings.device())


def _num_epochs(loader: SeqDataLoader) -> int:
    batches = len(loader.corpus) // (BATCH_SIZE * NUM_STEPS)
    return max(1, round(STEPS / batches))


def _asked(name: str, loader: SeqDataLoader) -> dict[str, Any]:
    """All on which a kept model depends, except for limits."""
    record = loader.record or {}
    return {
        "layer": name, "num_hiddens": NUM_HIDDENS, "lr": LR,
        "batch_size": BATCH_SIZE, "num_steps": NUM_STEPS,
        "num_epochs": _num_epochs(loader), "seed": loader.seed,
        # Where the text came from changes nothing.
        "corpus": {k: v for k, v in record.items() if k != "source"},
    }


def _files(name: str) -> tuple[Path, Path]:
    """Of the weights, and of what is known about them."""
    folder = results.folder(NOTEBOOK)
    return folder / f"{name}.pt", folder / f"{name}.json"


def _train(name: str, loader: SeqDataLoader, vocab: Vocab) -> None:
    model = _model(name, vocab)
    history = train(
        model, loader, vocab, LR, _num_epochs(loader), eval_every=1,
        optimizer=torch.optim.Adam(model.parameters(), LR),
    )
    if history.interrupted:
        raise KeyboardInterrupt
    if history.diverged:
        raise RuntimeError(f"{name}: {history.status}. Try another seed.")
    weights, about = _files(name)
    about.unlink(missing_ok=True)  # never beside weights that it is not about
    results.save_weights(weights, model)
    saved = {
        "asked": _asked(name, loader),
        "weights": _sha256(weights),
        "history": json.loads(history.to_json()),
    }
    text = json.dumps(saved, indent=1) + "\n"
    results.save_text(NOTEBOOK, about.name, text)


def _load(
    name: str, loader: SeqDataLoader, vocab: Vocab
) -> tuple[LanguageModel, History]:
    """A kept model.

    Raises:
        StaleError: it has to be trained; says why.
    """
    weights, about = _files(name)
    if not (weights.exists() and about.exists()):
        raise StaleError("not trained yet")
    try:
        saved = json.loads(about.read_text(encoding="utf-8"))
        history = History.from_json(json.dumps(saved["history"]))
        asked, sha256 = saved["asked"], saved["weights"]
    except (ValueError, KeyError, TypeError):
        raise StaleError(f"trained anew, {about} is damaged") from None
    if asked != _asked(name, loader):
        raise StaleError("trained anew, its settings or its text were others")
    if not history.full and _limits(history.settings) != _limits_now():
        raise StaleError(f"trained anew, it was a {history.status}")
    if sha256 != _sha256(weights):
        raise StaleError(f"trained anew, {weights} is not what was kept")
    model = _model(name, vocab)
    results.load_weights(weights, model)
    return model, history


def _limits(of: dict[str, Any]) -> tuple[Any, Any]:
    return of.get("epochs_cap"), of.get("seconds_cap")


def _limits_now() -> tuple[Any, Any]:
    return settings.epochs_cap(), settings.seconds_cap()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _warning(histories: dict[str, History]) -> str:
    by_status: dict[str, list[str]] = {}
    for name, history in histories.items():
        if not history.full:
            by_status.setdefault(history.status, []).append(name)
    words = [
        f"{', '.join(names)}: {status}." for status, names in by_status.items()
    ]
    text = next(iter(histories.values())).corpus["name"]
    if text != TIME_MACHINE:
        words.append(f"All have read {text}.")
    return "".join(f'<p role="alert">{escape(line)}</p>' for line in words)


def _about(histories: dict[str, History]) -> str:
    """Text, training and perplexities, in a table."""
    rows = [header("model", "parameters", "training", "held-out perplexity")]
    for name, history in histories.items():
        rows.append([
            cell(name), cell(f"{history.settings['num_parameters']:,}"),
            cell(history.status),
            cell(f"{history.held_out:.2f}" if history.held_out_epochs
                 else "not measured"),
        ])
    corpus = next(iter(histories.values())).corpus
    return (
        f"<p>Text: <strong>{escape(str(corpus['name']))}</strong>, "
        f"{corpus['tokens']:,} characters.</p>" + table(rows)
    )
