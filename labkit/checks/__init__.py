"""Checks of the exercises, one for each, named after it.

`checks.rnn(rnn)` prints a line that says what was proven, or raises
CheckFailed, whose message says what was got, what was expected and which
slip is the likely reason. A check tests behaviour on inputs of its own; it
changes no model, no random state and no setting of the notebook.
"""

from labkit.checks.concise import RNNModel
from labkit.checks.corpus import load_corpus_time_machine
from labkit.checks.depth import deep_rnn
from labkit.checks.encoding import one_hot
from labkit.checks.gru import gru_cell
from labkit.checks.harness import CheckFailed
from labkit.checks.networks import lstm, rnn
from labkit.checks.parameters import (
    get_lstm_params,
    get_params,
    init_lstm_state,
    init_rnn_state,
)
from labkit.checks.perplexity import evaluate_perplexity
from labkit.checks.sampling import (
    seq_data_iter_random,
    seq_data_iter_sequential,
)
from labkit.checks.statistics import interval
from labkit.checks.steps import grad_clipping, sgd
from labkit.checks.text import Vocab, tokenize
from labkit.checks.training import train_epoch
from labkit.checks.writing import predict

__all__ = [
    "CheckFailed",
    "RNNModel",
    "Vocab",
    "deep_rnn",
    "evaluate_perplexity",
    "get_lstm_params",
    "get_params",
    "grad_clipping",
    "gru_cell",
    "init_lstm_state",
    "init_rnn_state",
    "interval",
    "load_corpus_time_machine",
    "lstm",
    "one_hot",
    "predict",
    "rnn",
    "seq_data_iter_random",
    "seq_data_iter_sequential",
    "sgd",
    "tokenize",
    "train_epoch",
]
