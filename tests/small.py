"""Models, data and optimizers so small that an epoch takes milliseconds.

The processes and kernels that tests start import it as well.
"""

import torch
from torch import nn

from labutils import RNNModel, RNNModelScratch, SeqDataLoader, Vocab, scratch

CPU = torch.device("cpu")
TEXT = "a time traveller travels as far as time allows and back again "
VOCAB = Vocab(TEXT)
V = len(VOCAB)
BATCHES = 9  # in an epoch of `make_data`, of 4 rows of 10 tokens


def make_model(kind, seed=0):
    torch.manual_seed(seed)
    if kind == "concise":
        return RNNModel(nn.GRU(V, 16), V)
    if kind == "dropout":
        return RNNModel(nn.GRU(V, 16, 2, dropout=0.5), V)
    return RNNModelScratch(
        V, 16, CPU, scratch.get_rnn_params, scratch.init_rnn_state, scratch.rnn
    )


def make_data(use_random_iter=False, seed=0, tokens=400):
    corpus = torch.tensor(VOCAB[list(TEXT * 20)])
    loader = SeqDataLoader(corpus[:tokens], 4, 10, use_random_iter, seed)
    loader.held_out = SeqDataLoader(corpus[800:1100], 4, 10, offset=0)
    loader.record = {"name": "a sentence"}
    return loader


def make_optimizer(name, model):
    """None is what `train` makes itself: SGD without momentum."""
    if name == "momentum":
        return torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    if name == "adam":
        return torch.optim.Adam(model.parameters(), 0.01)
    return None


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])
