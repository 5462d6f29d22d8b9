"""Helpers for the course kit on recurrent neural networks.

The notebooks build these things; each imports the finished ones from here.
A name is looked up when it is first used: importing the package is quick and
changes nothing.
"""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

__version__ = "0.1.0"

_NAMES = {
    "batches": "SeqDataLoader load_data_text load_data_time_machine "
    "seq_data_iter_random seq_data_iter_sequential",
    "corpus": "find_corpus",
    "evaluation": "bits_per_character evaluate_perplexity",
    "generation": "longest_copy predict",
    "history": "History versions",
    "models": "RNNModel",
    "recorded": "replay",
    "scratch": "RNNModelScratch",
    "settings": "device set_seed",
    "text": "Vocab clean_line count_corpus load_corpus_time_machine "
    "read_time_machine tokenize",
    "training": "grad_clipping train train_epoch",
}
_MODULE_OF = {
    name: module for module, names in _NAMES.items() for name in names.split()
}
_MODULES = (*_NAMES, "plots", "results")
__all__ = [*_MODULE_OF]

# The book numbers these by chapter or keeps them in its own package.
_BOOK_NAMES = {
    "train_ch8": "train",
    "train_epoch_ch8": "train_epoch",
    "predict_ch8": "predict",
    "try_gpu": "device",
}


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(f"labutils.{name}")
    if name in _MODULE_OF:
        return getattr(import_module(f"labutils.{_MODULE_OF[name]}"), name)
    if name in _BOOK_NAMES:
        # An AttributeError would lose its words in `from labutils import ...`.
        raise ImportError(import_module("labutils.files").translated(
            f"labutils has no {name!r}: the book's {name} is called "
            f"labutils.{_BOOK_NAMES[name]} here."))
    raise AttributeError(f"module 'labutils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_MODULES})


# What notebooks of earlier releases import from other places: they still run.
MOVED = {
    "labutils.baselines": "labutils.evaluation",
    "labutils.checks": "labkit.checks",
    "labutils.widgets": "labkit.widgets",
}


class _Forward(MetaPathFinder, Loader):
    """Finds what has moved, once Python has found nothing there."""

    def find_spec(self, fullname, path=None, target=None):
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module):
        old, now = module.__name__, MOVED[module.__name__]
        import_module("labutils.files").say(f"{old} is {now} now.")
        # What stands here in the end is what the import gives back.
        sys.modules[old] = import_module(now)


sys.meta_path.append(_Forward())
