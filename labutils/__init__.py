"""Helpers for the course kit on recurrent neural networks.

The notebooks build these things; each imports the finished ones from here.
"""

import sys

# `labutils doctor` has to speak where the imports below fail: it goes first,
# and needs nothing but the standard library.
if sys.argv[1:2] == ["doctor"] and sys.argv[0].endswith(
    ("-m", "labutils", "labutils.exe")
):
    from labutils.doctor.command import main

    sys.exit(main(sys.argv[1:]))

from labutils.corpus import find_corpus
from labutils.evaluation import bits_per_character, evaluate_perplexity
from labutils.generation import longest_copy, predict
from labutils.history import History, versions
from labutils.loading import load_data_text, load_data_time_machine
from labutils.models import RNNModel
from labutils.recorded import replay
from labutils.sampling import (
    SeqDataLoader,
    seq_data_iter_random,
    seq_data_iter_sequential,
)
from labutils.scratch import RNNModelScratch
from labutils.settings import device, set_seed
from labutils.steps import grad_clipping, train_epoch
from labutils.text import (
    Vocab,
    clean_line,
    count_corpus,
    load_corpus_time_machine,
    read_time_machine,
    tokenize,
)
from labutils.training import train

__version__ = "0.1.0"

__all__ = [
    "History",
    "RNNModel",
    "RNNModelScratch",
    "SeqDataLoader",
    "Vocab",
    "bits_per_character",
    "clean_line",
    "count_corpus",
    "device",
    "evaluate_perplexity",
    "find_corpus",
    "grad_clipping",
    "load_corpus_time_machine",
    "load_data_text",
    "load_data_time_machine",
    "longest_copy",
    "predict",
    "read_time_machine",
    "replay",
    "seq_data_iter_random",
    "seq_data_iter_sequential",
    "set_seed",
    "tokenize",
    "train",
    "train_epoch",
    "versions",
]

# The book numbers these by chapter or keeps them in its own package.
_BOOK_NAMES = {
    "train_ch8": "train",
    "train_epoch_ch8": "train_epoch",
    "predict_ch8": "predict",
    "try_gpu": "device",
}


def __getattr__(name: str):
    if name in _BOOK_NAMES:
        # An AttributeError would lose its words in `from labutils import ...`.
        raise ImportError(
            f"labutils has no {name!r}: the book's {name} is called "
            f"labutils.{_BOOK_NAMES[name]} here."
        )
    raise AttributeError(f"module 'labutils' has no attribute {name!r}")
