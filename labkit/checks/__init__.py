"""Checks of the exercises, one for each, named after it.

`checks.rnn(rnn)` prints a line that says what was proven, or raises
CheckFailed, whose message says what was got, what was expected and which
slip is the likely reason. A check tests behaviour on inputs of its own; it
changes no model, no random state and no setting of the notebook.
"""

from labkit.checks.concise import RNNModel, deep_rnn
from labkit.checks.generation import predict
from labkit.checks.harness import CheckFailed
from labkit.checks.measuring import evaluate_perplexity, interval
from labkit.checks.networks import (
    get_lstm_params,
    get_params,
    gru_cell,
    init_lstm_state,
    init_rnn_state,
    lstm,
    one_hot,
    rnn,
)
from labkit.checks.sampling import (
    seq_data_iter_random,
    seq_data_iter_sequential,
)
from labkit.checks.text import Vocab, load_corpus_time_machine, tokenize
from labkit.checks.training import grad_clipping, sgd, train_epoch

__all__ = ["CheckFailed", "RNNModel", "Vocab", "deep_rnn",
           "evaluate_perplexity", "get_lstm_params", "get_params",
           "grad_clipping", "gru_cell", "init_lstm_state", "init_rnn_state",
           "interval", "load_corpus_time_machine", "lstm", "one_hot",
           "predict", "rnn", "seq_data_iter_random",
           "seq_data_iter_sequential", "sgd", "tokenize", "train_epoch"]
