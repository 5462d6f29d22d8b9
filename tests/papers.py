"""A complete set of executed notebooks and results, without long trainings."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from small import VOCAB, make_data, make_model

import labutils
from labkit.course import LESSONS, Lesson
from labkit.course import read_notebook as read
from labutils import History, results
from labutils.corpus import SHA256, TIME_MACHINE

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
EPOCHS = 2


def make(folder: Path) -> None:
    """Write the notebooks, and beside each the results that belong to it.

    The notebooks are those of the course. The results are a tiny training's,
    saved as the notebooks save theirs; what was saved is put among the
    outputs, as if the notebook had printed it.
    """
    model, data, history = train()
    for lesson in LESSONS:
        path = folder / f"{lesson.stem}.ipynb"
        notebook = read(NOTEBOOKS / path.name)
        said = _results(lesson, model, data, history)
        last = [c for c in notebook.cells if c.cell_type == "code"][-1]
        last.outputs.append(nbformat.v4.new_output(
            "stream", name="stdout", text=said))
        write(path, notebook)


def train(name: str = TIME_MACHINE, sha256: str = SHA256, epochs=EPOCHS):
    """A model, its data and the history of its training."""
    model, data = make_model("concise"), make_data()
    data.record = {"name": name, "sha256": sha256, "source": "a test"}
    history = labutils.train(
        model, data, VOCAB, 1.0, epochs, eval_every=1, verbose=False)
    return model, data, history


def _results(lesson: Lesson, model, data, history: History) -> str:
    """Save everything that a full run leaves; what it would have printed."""
    said = []
    for name in lesson.trainings:
        said.append(results.save_training(
            lesson.stem, name, model, history, VOCAB, data))
    for name in lesson.histories:
        results.save_history(lesson.stem, name, history)
        said.append(f"{history.best_held_out[0]:.2f} held out")
    for name in lesson.texts:
        results.save_text(lesson.stem, f"{name}.txt", f"the {name}\n1 2 3\n")
        said.append(f"the {name}\n1 2 3\n")
    for name in lesson.pictures:
        figure = labutils.plots.plot_perplexity({name: history}).figure
        results.save_figure(lesson.stem, f"{name}.png", figure)
        labutils.plots.plt.close(figure)
    return "\n".join(said)


def write(path: Path, notebook: NotebookNode) -> None:
    nbformat.write(notebook, path)


def edit(path: Path, change: Callable[[NotebookNode], object]) -> None:
    """Change a notebook where it stands."""
    notebook = read(path)
    change(notebook)
    write(path, notebook)


def copy(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))
