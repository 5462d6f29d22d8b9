"""The explorer: its three networks, and the page with all of it inside.

Each network is trained by `labutils.training.train` and kept as it was after
the epoch with the lowest perplexity on held-out text: its parameters in their
order, as 16-bit numbers in base64.
"""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from jinja2 import Template
from torch import nn

from labkit.pages import STYLE, markdown_to_html
from labstaff.slides.decks import formula_font
from labutils import results, settings
from labutils.batches import SeqDataLoader, load_data_time_machine
from labutils.corpus import TIME_MACHINE, find_corpus
from labutils.files import say, write_atomically
from labutils.history import History
from labutils.models import RNNModel
from labutils.text import Vocab
from labutils.training import train

LAYERS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
# Where `train_all` keeps them, among the results.
FOLDER, NAME = "explorer", "networks.json"
# The same of the practice text, for where the book must not go.
PRACTICE = Path(__file__).parent / "practice.json"
HERE = Path(__file__).parent / "explorer"
SCRIPTS = ("strings.js", "network.js", "draw.js", "page.js")
BATCH_SIZE, NUM_STEPS = 32, 50
LR = {"RNN": 0.002, "LSTM": 0.004, "GRU": 0.003}  # of Adam


@dataclass(frozen=True)
class Plan:
    """How the networks are trained on a text."""

    num_hiddens: int
    max_tokens: int  # characters to train on
    held_out_tokens: int  # those after them; the best epoch is chosen there
    num_epochs: dict[str, int]


BOOK = Plan(192, 155_000, 7_500, {"RNN": 24, "LSTM": 18, "GRU": 14})
# The practice text is a seventh of the book, and small networks will do.
SHORT = Plan(64, 22_000, 3_000, {"RNN": 60, "LSTM": 60, "GRU": 60})


def train_all(plan: Plan | None = None) -> Path:
    """Train the three on the text that is found, by the plan that is made for
    it unless another is given, and return their file. A KeyboardInterrupt
    leaves that as it was."""
    is_book = find_corpus().name == TIME_MACHINE
    plan = plan or (BOOK if is_book else SHORT)
    loader, vocab = load_data_time_machine(
        BATCH_SIZE, NUM_STEPS, max_tokens=plan.max_tokens,
        held_out_tokens=plan.held_out_tokens)
    found = {}
    for name, asked in plan.num_epochs.items():
        say(f"{name}: {plan.num_hiddens} hidden units")
        model = new_model(name, len(vocab), plan.num_hiddens)
        history = _train_best(model, loader, vocab, LR[name], asked)
        best, epoch = history.best_held_out
        done = history.num_epochs
        flat = nn.utils.parameters_to_vector(model.parameters()).detach()
        halves = flat.cpu().numpy().astype("<f2")
        found[name] = {
            "num_hiddens": plan.num_hiddens,
            "parameters": history.settings["num_parameters"],
            "epoch": epoch, "perplexity": best,
            "status": "" if done == asked else f"({done} of {asked} epochs)",
            "weights": base64.b64encode(halves.tobytes()).decode(),
        }
    kept = {
        "book": is_book, "tokens": len(loader.corpus),
        "vocab": vocab.idx_to_token, "networks": found,
        "counting": history.baselines["trigram"],
    }
    return results.save_text(FOLDER, NAME, json.dumps(kept, indent=1) + "\n")


def new_model(name: str, vocab_size: int, num_hiddens: int) -> RNNModel:
    """A network as the seed makes it, before any training."""
    settings.set_seed()
    layer = LAYERS[name](vocab_size, num_hiddens)
    return RNNModel(layer, vocab_size).to(settings.device())


def _train_best(
    model: RNNModel, loader: SeqDataLoader, vocab: Vocab, lr: float,
    num_epochs: int,
) -> History:
    """Train, and leave the model as it was after its best epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr)
    history: History | None = None
    best: dict[str, torch.Tensor] = {}
    for epoch in range(1, num_epochs + 1):
        history = train(
            model, loader, vocab, None, epoch, optimizer=optimizer,
            eval_every=1, resume=history, verbose=False)
        if history.interrupted:
            raise KeyboardInterrupt
        if history.diverged or history.num_epochs < epoch:  # a cap
            break
        say(history.line())
        lowest, at = history.best_held_out
        if at == epoch and math.isfinite(lowest):
            best = {k: v.clone() for k, v in model.state_dict().items()}
        if history.seconds > history.time_limit[0]:
            break
    if history is None or not best:
        raise RuntimeError("The training diverged. Try another seed.")
    model.load_state_dict(best)
    return history


def model_of(name: str, kept: Mapping[str, Any]) -> RNNModel:
    """The network in what `networks` returns, as PyTorch has it."""
    found = kept["networks"][name]
    model = new_model(name, len(kept["vocab"]), found["num_hiddens"])
    flat = numpy.frombuffer(base64.b64decode(found["weights"]), "<f2")
    nn.utils.vector_to_parameters(
        torch.from_numpy(flat.astype("float32")), model.parameters())
    return model


def networks(practice: bool = False) -> dict[str, Any]:
    """The networks that were trained here, or else, and with `practice` in any
    case, the bundled ones. Raises a ValueError if the file is damaged."""
    path = results.folder(FOLDER) / NAME
    path = PRACTICE if practice or not path.exists() else path
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        for name in LAYERS:
            model_of(name, kept)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Remove it, or train anew: "
            "labutils site --train"
        ) from error
    return kept


# ---- the page


def page(kept: Mapping[str, Any]) -> str:
    """The whole page, around what `networks` returns."""
    equations = markdown_to_html(_read("equations.md"))
    return Template(_read("index.html"), keep_trailing_newline=True).render(
        style=_read("style.css") + STYLE + formula_font(equations),
        script="\n".join(map(_read, SCRIPTS)),
        # "</" would end the script in the middle of a string.
        data=json.dumps(kept).replace("</", r"<\/"), equations=equations)


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def write(out: Path, kept: Mapping[str, Any]) -> Path:
    """Write the page as `index.html` into a folder, and return its path."""
    path = out / "index.html"
    write_atomically(path, page(kept).encode("utf-8"))
    return path
