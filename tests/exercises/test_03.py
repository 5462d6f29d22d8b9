"""The open exercises of notebook 3 and of the one beside it, solved."""

import math
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import labutils
from labkit.course import grader, notebook_paths

PATH, EXTRA = notebook_paths(["03", "extra"])
SIZES = {"batch_size": 8, "num_steps": 20, "max_tokens": 1000}


def code(path: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def own():
    """What a reader has written at the end of notebook 3."""
    found = {"math": math, "torch": torch, "nn": nn, "F": F}
    for cell in code(PATH):
        if grader(cell).get("solution") or "class RNNModel" in cell.source:
            exec(cell.source, found)
    return found


def model(own, forward=None, num_hiddens=32):
    labutils.set_seed()
    return own["RNNModelScratch"](
        28, num_hiddens, torch.device("cpu"), own["get_params"],
        own["init_rnn_state"], forward or own["rnn"])


def loader():
    return labutils.load_data_time_machine(**SIZES)[0]


def perplexities(own, net, epochs, reset=False):
    batches = loader()
    return [own["train_epoch"](net, batches, 1, torch.device("cpu"), reset)
            for _ in range(epochs)]


@pytest.mark.slow
def test_modify_32_hidden_units(own):
    """Few units learn less by heart: the gap is smaller."""
    gaps = []
    for num_hiddens in (8, 64):
        net = model(own, num_hiddens=num_hiddens)
        training = perplexities(own, net, 60)[-1]
        held_out = labutils.evaluate_perplexity(net, loader().held_out)
        gaps.append(held_out / training)
    assert 1 < gaps[0] < gaps[1]


def test_modify_without_the_carried_state(own):
    """It trains either way, and what it learns is not the same."""
    carried, emptied = (
        perplexities(own, model(own), 12, reset)[-1]
        for reset in (False, True))
    assert carried != emptied and max(carried, emptied) < 20


def test_make_a_network_of_relu(own):
    """Before the training its gradient vanishes; after it reaches back."""
    def relu_rnn(inputs, state, params):
        W_xh, W_hh, b_h, W_hq, b_q = params
        H, = state
        states.clear()
        for X in inputs:
            H = torch.relu(X @ W_xh + H @ W_hh + b_h)
            states.append(H)
        return torch.cat(states) @ W_hq + b_q, (H,)

    def reach(net):
        X, Y = next(iter(loader()))
        logits, _ = net(X, net.begin_state(len(X), X.device))
        loss = F.cross_entropy(logits[-len(X):], Y[:, -1])
        norms = [g.norm() for g in torch.autograd.grad(loss, states)]
        return norms[-11] / norms[-1]

    states: list[torch.Tensor] = []
    net = model(own, relu_rnn)
    before = reach(net)
    assert perplexities(own, net, 20)[-1] < 18
    assert reach(net) > 10 * before


def test_make_the_layer_of_relu():
    """Of the notebook's layer, two lines change."""
    source, = (cell.source for cell in code(EXTRA)
               if "class TanhLayer" in cell.source)
    for old, new in (("TanhLayer", "ReluLayer"), ("tanh_()", "relu_()"),
                     ("1 - H[1:] ** 2  ", "(H[1:] > 0).to(H)")):
        assert old in source
        source = source.replace(old, new)
    found = {"torch": torch}
    exec(source, found)
    torch.manual_seed(0)
    A, H_0 = torch.randn(3, 2, 4).double(), torch.rand(2, 4).double()
    layer = nn.RNN(4, 4, nonlinearity="relu", bias=False).double()
    W_xh, W_hh = (w.T for w in layer.parameters())
    given = [x.detach().requires_grad_() for x in (A @ W_xh, H_0, W_hh)]
    assert torch.autograd.gradcheck(found["ReluLayer"].apply, given)
    ours, (theirs, _) = found["ReluLayer"].apply(*given), layer(A, H_0[None])
    torch.testing.assert_close(ours, theirs)
