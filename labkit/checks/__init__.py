"""Checks of the exercises, one for each, named after it.

`checks.rnn(rnn)` prints a line that says what was proven, or raises
CheckFailed, whose message says what was got, what was expected and which
slip is the likely reason. A check tests behaviour on inputs of its own; it
changes no model, no random state and no setting of the notebook.
"""

from labkit.checks.generation import predict
from labkit.checks.harness import CheckFailed
from labkit.checks.networks import (
    RNNModel,
    deep_rnn,
    get_lstm_params,
    get_params,
    gru_cell,
    init_lstm_state,
    init_rnn_state,
    lstm,
    one_hot,
    rnn,
)
from labkit.checks.text import (
    Vocab,
    load_corpus_time_machine,
    seq_data_iter_random,
    seq_data_iter_sequential,
    tokenize,
)
from labkit.checks.training import (
    evaluate_perplexity,
    grad_clipping,
    interval,
    sgd,
    train_epoch,
)

__all__ = ["CheckFailed", "RNNModel", "Vocab", "deep_rnn",
           "evaluate_perplexity", "get_lstm_params", "get_params",
           "grad_clipping", "gru_cell", "init_lstm_state", "init_rnn_state",
           "interval", "load_corpus_time_machine", "lstm", "one_hot",
           "predict", "rnn", "seq_data_iter_random",
           "seq_data_iter_sequential", "sgd", "tokenize", "train_epoch"]
