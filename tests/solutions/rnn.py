"""The plain recurrence: (inputs, state, params) to logits and state."""

import itertools
import math

import numpy
import torch
from torch.nn import functional as F

from . import slip


def right_as_in_the_notebook(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    H, = state
    outputs = []
    for X in inputs:
        H = torch.tanh(X @ W_xh + H @ W_hh + b_h)
        outputs.append(H @ W_hq + b_q)
    return torch.cat(outputs), (H,)


def right_products_before_the_loop(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    H, = state
    A = inputs @ W_xh + b_h
    states = []
    for a in A:
        H = (a + H @ W_hh).tanh()
        states.append(H)
    return torch.stack(states).flatten(0, 1) @ W_hq + b_q, [H]


def right_in_double_precision(inputs, state, params):
    a, b, c, d, e = (p.double() for p in params)
    h, outputs = state[0].double(), []
    for t in range(inputs.shape[0]):
        h = torch.tanh(
            torch.addmm(c, inputs[t].double(), a) + torch.mm(h, b))
        outputs.append(torch.addmm(e, h, d))
    return torch.cat(outputs, dim=0), (h,)


class right_as_a_class:  # noqa: N801
    """Called like the function, it can be unpacked like its result."""

    def __new__(cls, inputs, state, params):
        return right_as_in_the_notebook(inputs, state, params)


def right_with_named_functions(inputs, state, params):
    def step(H, X):
        return torch.tanh(
            torch.einsum("bv,vh->bh", X, params[0])
            + torch.einsum("bh,hk->bk", H, params[1]) + params[2])

    steps = list(itertools.accumulate(inputs, step, initial=state[0]))[1:]
    logits = [F.linear(H, params[3].T, params[4]) for H in steps]
    return torch.vstack(logits), (steps[-1],)


def right_by_torch_cell(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    H, zero = state[0], torch.zeros_like(b_h)
    logits = inputs.new_zeros(*inputs.shape[:2], len(b_q))
    for t, X in enumerate(inputs):
        H = torch.rnn_tanh_cell(X, H, W_xh.T, W_hh.T, b_h, zero)
        logits[t] = H @ W_hq + b_q
    return logits.view(-1, len(b_q)), (H,)


def right_in_place_on_own_tensors(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    (H,), outputs = state, inputs.new_empty(0, len(b_q))
    for X in inputs:
        pre = X @ W_xh
        pre += H @ W_hh
        pre += b_h
        H = pre.tanh_()
        outputs = torch.cat([outputs, torch.addmm(b_q, H, W_hq)])
    return outputs, (H,)


def right_rows_of_the_weights(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    H, tokens, logits = state[0], inputs.argmax(2), []
    for indices in tokens:
        H = (W_xh[indices] + H.matmul(W_hh).add(b_h)).tanh()
        logits += [H.matmul(W_hq).add(b_q)]
    return torch.cat(logits), [H]


def right_state_detached_at_the_end(inputs, state, params):
    logits, (H,) = right_as_in_the_notebook(inputs, state, params)
    return logits, (H.detach(),)


def variant(step=None, scores=None, give=None, start=None, each=None):
    """The recurrence with one thing done in another way.

    Args:
        step: of X, H, W_xh, W_hh, b_h to the new H.
        scores: of H and the old H, W_hq, b_q.
        give: of the list of scores, the last H and the state handed in.
        start: of the state handed in to the first H.
        each: of the inputs to what the loop runs over.
    """

    def solution(inputs, state, params):
        W_xh, W_hh, b_h, W_hq, b_q = params
        H = start(state[0]) if start else state[0]
        outputs = []
        for X in each(inputs) if each else inputs:
            old = H
            H = step(X, H, W_xh, W_hh, b_h) if step else torch.tanh(
                X @ W_xh + H @ W_hh + b_h)
            outputs.append(
                scores(H, old, W_hq, b_q) if scores else H @ W_hq + b_q)
        return give(outputs, H, state) if give else (
            torch.cat(outputs), (H,))

    return solution


def marked(words, **changes):
    return slip(words)(variant(**changes))


wrong_no_hidden_bias = marked(
    "a missing bias: b_h",
    step=lambda X, H, U, W, b: torch.tanh(X @ U + H @ W))
wrong_linear = marked(
    "no tanh", step=lambda X, H, U, W, b: X @ U + H @ W + b)
wrong_probabilities = marked(
    "softmax before the cross-entropy",
    give=lambda o, H, state: (torch.cat(o).softmax(1), (H,)))
wrong_old_state = marked(
    "the state handed in is returned",
    give=lambda o, H, state: (torch.cat(o), state))
wrong_bare_state = marked(
    "(H,)", give=lambda o, H, state: (torch.cat(o), H))
wrong_tanh_of_the_inputs_alone = marked(
    "the tanh goes around the whole sum",
    step=lambda X, H, U, W, b: torch.tanh(X @ U) + H @ W + b)
wrong_bias_outside_the_tanh = marked(
    "the tanh goes around the whole sum",
    step=lambda X, H, U, W, b: torch.tanh(X @ U + H @ W) + b)
wrong_tanh_of_each_and_of_the_sum = marked(
    "X W_xh + H W_hh + b_h (and there is but one)",
    step=lambda X, H, U, W, b: torch.tanh(
        torch.tanh(X @ U + b) + torch.tanh(H @ W)))
wrong_sigmoid = marked(
    "a sigmoid in place of tanh",
    step=lambda X, H, U, W, b: torch.sigmoid(X @ U + H @ W + b))
wrong_relu = marked(
    "a ReLU in place of tanh",
    step=lambda X, H, U, W, b: (X @ U + H @ W + b).relu())
wrong_transposed_weight = marked(
    "W_hh is transposed",
    step=lambda X, H, U, W, b: torch.tanh(X @ U + H @ W.T + b))
wrong_state_added = marked(
    "it is not added to it",
    step=lambda X, H, U, W, b: H + torch.tanh(X @ U + H @ W + b))
wrong_weight_first = marked(
    "a product is the wrong way round",
    step=lambda X, H, U, W, b: torch.tanh(X @ U + W @ H + b))
wrong_star_for_at = marked(
    "@ is no *",
    step=lambda X, H, U, W, b: torch.tanh(X @ U + H * W + b))
wrong_math_tanh = marked(
    "math.tanh does not",
    step=lambda X, H, U, W, b: math.tanh(X @ U + H @ W + b))
wrong_no_input = marked(
    "likely: not used: inputs, W_xh",
    step=lambda X, H, U, W, b: torch.tanh(H @ W + b))
wrong_state_not_used = marked(
    "state not carried from step to step",
    step=lambda X, H, U, W, b: torch.tanh(X @ U + b))
wrong_no_output_bias = marked(
    "a missing bias: b_q", scores=lambda H, old, W, b: H @ W)
wrong_scores_of_the_old_state = marked(
    "read off the old state", scores=lambda H, old, W, b: old @ W + b)
wrong_scores_with_tanh = marked(
    "no tanh around them", scores=lambda H, old, W, b: torch.tanh(H @ W + b))
wrong_log_softmax_each_step = marked(
    "softmax before the cross-entropy",
    scores=lambda H, old, W, b: F.log_softmax(H @ W + b, dim=1))
wrong_tokens = marked(
    "no argmax here", scores=lambda H, old, W, b: (H @ W + b).argmax(dim=1))
wrong_data = marked(
    "the graph is cut", scores=lambda H, old, W, b: (H @ W + b).data)
wrong_data_of_the_weight = marked(
    "the gradient of W_hq: none",
    scores=lambda H, old, W, b: H @ W.data + b)
wrong_hidden_states = marked(
    "the hidden states are returned", scores=lambda H, old, W, b: H)
wrong_from_zeros = marked(
    "the state handed in is ignored", start=torch.zeros_like)
wrong_from_noise = marked(
    "the state handed in is ignored", start=torch.randn_like)
wrong_from_ones = marked(
    "not from zeros (nor from ones)", start=torch.ones_like)
wrong_loop_over_rows = marked(
    "batch and time swapped", each=lambda inputs: inputs.transpose(0, 1))
wrong_backwards = marked(
    "the steps are read backwards", each=lambda inputs: inputs.flip(0))
wrong_backwards_put_back_in_order = marked(
    "the steps are read backwards, the scores put back in order",
    each=lambda inputs: inputs.flip(0),
    give=lambda o, H, state: (torch.cat(o[::-1]), (H,)))
wrong_last_step_left_out = marked(
    "the last step is left out", each=lambda inputs: inputs[:-1])
wrong_first_step_left_out = marked(
    "the first step is left out", each=lambda inputs: inputs[1:])
wrong_one_hot_again = marked(
    "what is one-hot already",
    each=lambda inputs: F.one_hot(inputs, inputs.shape[-1]).float())
wrong_list_of_scores = marked(
    "a list is no tensor yet", give=lambda o, H, state: (o, (H,)))
wrong_tensor_of_tensors = marked(
    "torch.stack or torch.cat",
    give=lambda o, H, state: (torch.tensor(o), (H,)))
wrong_stack = marked(
    "torch.cat, not torch.stack",
    give=lambda o, H, state: (torch.stack(o), (H,)))
wrong_cat_along_tokens = marked(
    "along the first axis",
    give=lambda o, H, state: (torch.cat(o, dim=1), (H,)))
wrong_stack_along_rows = marked(
    "batch and time swapped",
    give=lambda o, H, state: (
        torch.stack(o, 1).reshape(-1, o[0].shape[1]), (H,)))
wrong_last_scores = marked(
    "only the last step's scores", give=lambda o, H, state: (o[-1], (H,)))
wrong_return_in_the_loop = marked(
    "a `return` inside the loop", give=lambda o, H, state: (o[0], (H,)))
wrong_state_first = marked(
    "the wrong way round", give=lambda o, H, state: ((H,), torch.cat(o)))
wrong_scores_alone = marked(
    "both have to be returned", give=lambda o, H, state: torch.cat(o))
wrong_vocabulary_of_the_notebook = marked(
    "instead of writing numbers",
    give=lambda o, H, state: (torch.cat(o).reshape(-1, 28), (H,)))


@slip("state not carried from step to step")
def wrong_state_not_carried(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    outputs = []
    for X in inputs:
        H = torch.tanh(X @ W_xh + state[0] @ W_hh + b_h)
        outputs.append(H @ W_hq + b_q)
    return torch.cat(outputs), (H,)


@slip("the graph is cut")
def wrong_detached_at_each_step(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    H, = state
    outputs = []
    for X in inputs:
        H = torch.tanh(X @ W_xh + H.detach() @ W_hh + b_h)
        outputs.append(H @ W_hq + b_q)
    return torch.cat(outputs), (H,)


@slip("no `return`")
def wrong_printed(inputs, state, params):
    print(right_as_in_the_notebook(inputs, state, params))


@slip("changed in place")
def wrong_state_overwritten(inputs, state, params):
    logits, (H,) = right_as_in_the_notebook(inputs, state, params)
    state[0].data.copy_(H.data)
    return logits, (H,)


@slip("the graph is cut")
def wrong_numpy(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = (p.detach().numpy() for p in params)
    H, outputs = state[0].numpy(), []
    for X in inputs.numpy():
        H = numpy.tanh(X @ W_xh + H @ W_hh + b_h)
        outputs.append(H @ W_hq + b_q)
    return torch.tensor(numpy.concatenate(outputs)), (torch.tensor(H),)


@slip("the graph is cut")
@torch.no_grad()
def wrong_no_grad(inputs, state, params):
    return right_as_in_the_notebook(inputs, state, params)


@slip("a missing bias: b_h")
def wrong_twice_no_bias_and_softmax(inputs, state, params):
    params = [*params]
    params[2] = 0 * params[2]
    logits, state = right_as_in_the_notebook(inputs, state, params)
    return logits.softmax(1), state


wrong_twice_from_zeros_and_stacked = marked(
    "the state handed in is ignored", start=torch.zeros_like,
    give=lambda o, H, state: (torch.stack(o), (H,)))
