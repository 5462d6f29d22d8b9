"""Train the recorded runs on the whole book, minutes each.

Run it with:  python benchmarks/whole_book.py [SEED ...]
Writes whole_book_SEED.json among the results of notebook 6, whose own cells
it runs; `labutils record` then keeps them with the package.
"""

import json
import sys
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "notebooks/06_deep_lstm_vs_gru.ipynb"
CELLS = (
    "nb06-02",  # imports and settings
    "nb06-03",  # the vocabulary
    "nb06-117",  # load_the_book
    "nb06-37",  # train_on_the_book
)


def sources() -> dict[str, str]:
    """The notebook's cells by their ids."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: "".join(cell["source"]) for cell in cells}


def notebook() -> dict[str, Any]:
    """What stands in the notebook's kernel after these cells."""
    names: dict[str, Any] = {}
    for cell in CELLS:
        exec(sources()[cell], names)
    return names


if __name__ == "__main__":
    train_on_the_book = notebook()["train_on_the_book"]
    for seed in map(int, sys.argv[1:] or "012"):
        train_on_the_book(seed)
