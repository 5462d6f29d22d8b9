"""Helpers for the course kit on recurrent neural networks.

The notebooks build these things; each imports the finished ones from here.
A name is looked up when it is first used: importing the package is quick and
changes nothing.
"""

from importlib import import_module

from labutils import moved

__version__ = "0.1.0"

# Where each name is.
_HOMES = {
    "History": "history",
    "RNNModel": "models",
    "RNNModelScratch": "scratch",
    "SeqDataLoader": "batches",
    "Vocab": "text",
    "bits_per_character": "evaluation",
    "clean_line": "text",
    "count_corpus": "text",
    "device": "settings",
    "evaluate_perplexity": "evaluation",
    "find_corpus": "corpus",
    "grad_clipping": "training",
    "load_corpus_time_machine": "text",
    "load_data_text": "batches",
    "load_data_time_machine": "batches",
    "longest_copy": "generation",
    "predict": "generation",
    "read_time_machine": "text",
    "replay": "recorded",
    "seq_data_iter_random": "batches",
    "seq_data_iter_sequential": "batches",
    "set_seed": "settings",
    "tokenize": "text",
    "train": "training",
    "train_epoch": "training",
    "versions": "history",
}
_MODULES = (
    "corpus", "plots", "recorded", "results", "scratch", "settings",
)
__all__ = [*_HOMES]

# The book numbers these by chapter or keeps them in its own package.
_BOOK_NAMES = {
    "train_ch8": "train",
    "train_epoch_ch8": "train_epoch",
    "predict_ch8": "predict",
    "try_gpu": "device",
}


def __getattr__(name: str):
    if name in _HOMES:
        found = getattr(import_module(f"labutils.{_HOMES[name]}"), name)
        globals()[name] = found  # the next time it is found at once
        return found
    if name in _MODULES:
        return import_module(f"labutils.{name}")
    if name in _BOOK_NAMES:
        # An AttributeError would lose its words in `from labutils import ...`.
        raise ImportError(
            f"labutils has no {name!r}: the book's {name} is called "
            f"labutils.{_BOOK_NAMES[name]} here."
        )
    raise AttributeError(f"module 'labutils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})


moved.forward()
