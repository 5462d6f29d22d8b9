"""A complete set of executed notebooks and results, without long trainings."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
from matplotlib.figure import Figure
from nbformat import NotebookNode
from small import VOCAB, make_data, make_model

import labutils
from labkit.course import LESSONS, read_notebook
from labutils import History, RNNModel, SeqDataLoader, results
from labutils.corpus import SHA256, TIME_MACHINE

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
EPOCHS = 2


def make(folder: Path) -> None:
    """Write the notebooks, and beside each the results that belong to it.

    The notebooks are those of the course. The results are those of one tiny
    training under all the names; what was saved is put among the outputs, as
    if the notebook had printed it.
    """
    model, data, history = train()
    said = results.summarize("training", model, history, VOCAB, data)
    results.save_text("once", "training.txt", said)
    results.save_history("once", "training", history)
    results.save_figure("once", "training.png", Figure(figsize=(5, 3)))
    said += f"{history.best_held_out[0]:.2f} held out"
    for lesson in LESSONS:
        for suffix, names in (
            ("json", lesson.runs), ("txt", lesson.trainings + lesson.texts),
            ("png", lesson.trainings + lesson.pictures),
        ):
            for name in names:
                path = folder / lesson.stem / f"{name}.{suffix}"
                path.parent.mkdir(exist_ok=True)
                shutil.copy(folder / "once" / f"training.{suffix}", path)
        notebook = read_notebook(NOTEBOOKS / f"{lesson.stem}.ipynb")
        last = [c for c in notebook.cells if c.cell_type == "code"][-1]
        last.outputs.append(nbformat.v4.new_output(
            "stream", name="stdout", text=said))
        write(folder / f"{lesson.stem}.ipynb", notebook)
    shutil.rmtree(folder / "once")


def train() -> tuple[RNNModel, SeqDataLoader, History]:
    """A model, its data and the history of its training."""
    model, data = make_model("concise"), make_data()
    data.record = {"name": TIME_MACHINE, "sha256": SHA256, "source": "a test"}
    history = labutils.train(
        model, data, VOCAB, 1.0, EPOCHS, eval_every=1, verbose=False)
    return model, data, history


def write(path: Path, notebook: NotebookNode) -> None:
    # Without nbformat's check, which takes as long as all the rest.
    path.write_text(json.dumps(notebook), encoding="utf-8")


def edit(path: Path, change: Callable[[NotebookNode], object]) -> None:
    """Change a notebook where it stands."""
    notebook = read_notebook(path)
    change(notebook)
    write(path, notebook)


def copy(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))
