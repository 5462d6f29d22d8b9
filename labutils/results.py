"""Results that outlive the kernel: summaries, curves, histories, weights."""

import io
import math
from pathlib import Path
from pickle import UnpicklingError

import torch
from matplotlib.figure import Figure

from labutils import settings
from labutils.batches import SeqDataLoader
from labutils.evaluation import bits_per_character
from labutils.files import translated as _
from labutils.files import write_atomically
from labutils.generation import longest_copy, predict
from labutils.history import History
from labutils.models import LanguageModel, copy_parameters
from labutils.plots import FIGURE_SIZE, plot_perplexity
from labutils.recorded import compare
from labutils.text import Vocab

PREFIXES = ("time traveller", "traveller")
SAMPLE_LENGTH = 50


def folder(notebook: str) -> Path:
    """Where a notebook's results are, such as results/04_rnn_concise."""
    return settings.results_dir() / notebook


def save_text(notebook: str, name: str, text: str) -> Path:
    """Write a text file among a notebook's results."""
    return _write(folder(notebook) / name, text.encode("utf-8"))


def save_figure(notebook: str, name: str, figure: Figure) -> Path:
    """Write a figure as PNG among a notebook's results."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return _write(folder(notebook) / name, buffer.getvalue())


def save_training(
    notebook: str, name: str, model: LanguageModel, history: History,
    vocab: Vocab, train_iter: SeqDataLoader,
) -> str:
    """Write everything a training leaves behind, and return the summary.

    `results/<notebook>/<name>` with .txt (summary), .png (curve), .json
    (history) and .pt (weights).

    Raises:
        OSError: the results folder cannot be written; says what to do.
    """
    summary = summarize(name, model, history, vocab, train_iter)
    save_text(notebook, f"{name}.txt", summary)
    save_history(notebook, name, history)
    # Without pyplot: never shown in the notebook by accident.
    figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
    plot_perplexity({name: history}, figure.add_subplot())
    save_figure(notebook, f"{name}.png", figure)
    save_weights(folder(notebook) / f"{name}.pt", model)
    return summary


def save_history(notebook: str, name: str, history: History) -> Path:
    """Write a history as JSON among a notebook's results."""
    return save_text(notebook, f"{name}.json", history.to_json())


def summarize(
    name: str, model: LanguageModel, history: History, vocab: Vocab,
    train_iter: SeqDataLoader,
) -> str:
    """A training in a few lines of text; what the model writes is searched for
    copies from the corpus of `train_iter`."""
    asked, settled = history.settings, history.settled_perplexity
    lines = [
        f"model: {name} ({asked['num_parameters']:,} parameters)",
        f"status: {history.status}",
        f"corpus: {history.corpus.get('name', 'not recorded')}",
        f"training perplexity: {_figure(history.perplexity)}",
        f"  median of the last ten epochs: {_figure(settled)}",
    ]
    if history.held_out_epochs:
        best, epoch = history.best_held_out
        lines += [
            f"held-out perplexity: {_figure(history.held_out)}",
            f"  at its lowest: {_figure(best)}, epoch {epoch}",
            "counting alone, held out: " + ", ".join(
                f"{n} {value:.2f}" for n, value in history.baselines.items()),
        ]
    if history.test_perplexity is not None:
        lines.append(f"test perplexity: {_figure(history.test_perplexity)}")
    lines += [
        f"seconds: {history.seconds:.1f} ({history.tokens_per_second:,.0f} "
        f"tokens/s on {asked['device']})",
        compare(name, history),
    ]
    if history.diverged:
        lines.append("prediction: none, the model has diverged")
    source = "".join(vocab.to_tokens(train_iter.corpus))
    for prefix in () if history.diverged else PREFIXES:
        text = predict(prefix, SAMPLE_LENGTH, model, vocab)
        copied = longest_copy(text[len(prefix):], source)
        lines += [
            f"prediction: {text}",
            f"  longest run copied from the training text: {len(copied)} of "
            f"{SAMPLE_LENGTH} characters",
        ]
    return _("\n".join(lines)) + "\n"


def _figure(perplexity: float) -> str:
    """A perplexity, and the same in bits."""
    if not math.isfinite(perplexity):
        return "not a finite number"
    bits = bits_per_character(perplexity)
    return f"{perplexity:.2f} ({bits:.2f} bits per character)"


def save_weights(path: Path, model: LanguageModel) -> None:
    """Write the model's parameters, in their order, as a list of tensors."""
    buffer = io.BytesIO()
    torch.save([p.detach().cpu() for p in model.parameters()], buffer)
    _write(path, buffer.getvalue())


def load_weights(path: Path, model: LanguageModel) -> None:
    """Copy saved parameters into a model of the same make.

    Raises:
        ValueError: the file is damaged or its parameters do not fit; the
            model is unchanged.
        OSError: the file cannot be read.
    """
    data = io.BytesIO(Path(path).expanduser().read_bytes())
    try:
        saved = torch.load(data, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, UnpicklingError):
        saved = None
    if not isinstance(saved, list):
        raise ValueError(_(
            f"{path} is damaged, or not a file of weights from "
            "save_training. Run the training and save it again."))
    copy_parameters(saved, model, str(path))


def _write(path: Path, data: bytes) -> Path:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise OSError(_(
            f"Cannot write {path}: {error.strerror or error}. Make the folder "
            "writable, or set LABUTILS_RESULTS_DIR to another one, and run "
            "this cell again.")) from error
    return path
