"""Checks of the exercises, one for each, named after it.

`checks.rnn(rnn)` prints a line that says what was proven, or raises
CheckFailed, whose message says what was got, what was expected and which
slip is the likely reason. A check tests behaviour on inputs of its own; it
changes no model, no random state and no setting of the notebook.
"""

from labutils.checks.corpus import load_corpus_time_machine
from labutils.checks.depth import deep_rnn
from labutils.checks.encoding import one_hot
from labutils.checks.gru import gru_cell
from labutils.checks.measuring import evaluate_perplexity
from labutils.checks.models import RNNModel
from labutils.checks.parameters import (
    get_lstm_params,
    get_params,
    init_lstm_state,
    init_rnn_state,
)
from labutils.checks.recurrence import lstm, rnn
from labutils.checks.running import CheckFailed
from labutils.checks.sampling import (
    seq_data_iter_random,
    seq_data_iter_sequential,
)
from labutils.checks.statistics import interval
from labutils.checks.steps import grad_clipping, sgd
from labutils.checks.text import Vocab, tokenize
from labutils.checks.training import train_epoch
from labutils.checks.writing import predict

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
