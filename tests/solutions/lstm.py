"""lstm(inputs, state, params): (T, B, V) to logits (T*B, V) and (H, C)."""

import torch
from torch import nn
from torch.nn import functional as F

from . import slip


def right_as_in_the_notebook(inputs, state, params):
    (W_xi, W_hi, b_i, W_xf, W_hf, b_f, W_xo, W_ho, b_o,
     W_xc, W_hc, b_c, W_hq, b_q) = params
    H, C = state
    outputs = []
    for X in inputs:
        I = torch.sigmoid(X @ W_xi + H @ W_hi + b_i)
        F = torch.sigmoid(X @ W_xf + H @ W_hf + b_f)
        O = torch.sigmoid(X @ W_xo + H @ W_ho + b_o)
        C_tilde = torch.tanh(X @ W_xc + H @ W_hc + b_c)
        C = F * C + I * C_tilde
        H = O * torch.tanh(C)
        outputs.append(H @ W_hq + b_q)
    return torch.cat(outputs), (H, C)


def right_one_product(inputs, state, params):
    *gates, W_hq, b_q = params
    W_x, W_h = torch.cat(gates[0::3], 1), torch.cat(gates[1::3], 1)
    A = inputs @ W_x + torch.cat(gates[2::3])
    h, c = state
    hiddens = []
    for a in A.unbind():
        i, f, o, g = (a + h @ W_h).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        hiddens.append(h)
    return torch.stack(hiddens).flatten(0, 1) @ W_hq + b_q, [h, c]


def right_by_torch(inputs, state, params):
    *g, W_hq, b_q = params
    order = (0, 1, 3, 2)
    layer = nn.LSTM(inputs.shape[2], state[0].shape[1])
    weights = {
        "weight_ih_l0": torch.cat([g[3 * k].T for k in order]),
        "weight_hh_l0": torch.cat([g[3 * k + 1].T for k in order]),
        "bias_ih_l0": torch.cat([g[3 * k + 2] for k in order]),
        "bias_hh_l0": inputs.new_zeros(4 * state[0].shape[1]),
    }
    all_h, (h, c) = torch.func.functional_call(
        layer, weights, (inputs, (state[0][None], state[1][None])))
    return all_h.flatten(0, 1) @ W_hq + b_q, (h[0], c[0])


def right_in_double_precision(inputs, state, params):
    return right_one_product(
        inputs.double(), [s.double() for s in state],
        [p.double() for p in params])


def variant(gate=torch.sigmoid, candidate=torch.tanh, shown=torch.tanh,
            order=(0, 1, 2, 3), keep=lambda old, new: new, bias=1,
            give=lambda logits, H, C: (torch.cat(logits), (H, C)),
            first=lambda state: state, step=None, forget=None, output=None,
            read=None):
    """The recurrence with one thing done in another way."""
    forget, output = forget or gate, output or gate

    def run(inputs, state, params):
        *g, W_hq, b_q = params
        H, C = first(state)
        logits = []
        for X in inputs:
            i, f, o, c = (
                X @ g[3 * k] + H @ g[3 * k + 1] + bias * g[3 * k + 2]
                for k in order)
            old_C = C
            C = forget(f) * C + gate(i) * candidate(c)
            H = output(o) * shown(C)
            C = keep(old_C, C)
            logits.append((read(C) if read else H) @ W_hq + b_q)
        return give(logits, H, C)

    return run


@slip("the LSTM's cell state is lost")
def wrong_cell_lost(inputs, state, params):
    logits, H = [], state[0]
    for X in inputs:
        part, (H, _) = right_as_in_the_notebook(
            X[None], (H, torch.zeros_like(H)), params)
        logits.append(part)
    return torch.cat(logits), (H, state[1])


wrong_cell_not_carried = slip("the LSTM's cell state is lost")(
    variant(keep=lambda old, new: old))
wrong_hidden_state_alone = slip("the LSTM's cell state is lost")(
    variant(give=lambda logits, H, C: (torch.cat(logits), (H,))))
wrong_bare_hidden_state = slip("the LSTM's cell state is lost")(
    variant(give=lambda logits, H, C: (torch.cat(logits), H)))
wrong_swapped_states = slip("H and C are swapped")(
    variant(give=lambda logits, H, C: (torch.cat(logits), (C, H))))
wrong_order_of_torch = slip("the gates are in the wrong order: i, f, c, o")(
    variant(order=(0, 1, 3, 2)))
wrong_forget_and_input = slip("the gates are in the wrong order: f, i, o, c")(
    variant(order=(1, 0, 2, 3)))
wrong_no_bias = slip("a missing bias")(variant(bias=0))
wrong_cell_shown_plainly = slip("no tanh where the cell is shown")(
    variant(shown=lambda c: c))
wrong_cell_shown_with_sigmoid = slip("a sigmoid where the cell is shown")(
    variant(shown=torch.sigmoid))
wrong_candidate_with_sigmoid = slip("the candidate takes a tanh")(
    variant(candidate=torch.sigmoid))
wrong_from_zeros = slip("the state handed in is ignored")(
    variant(first=lambda state: [torch.zeros_like(s) for s in state]))
wrong_from_ones = slip("not from zeros (nor from ones)")(
    variant(first=lambda state: [torch.ones_like(s) for s in state]))
wrong_last_step_only = slip("only the last step's scores")(
    variant(give=lambda logits, H, C: (logits[-1], (H, C))))
wrong_stacked = slip("torch.cat, not torch.stack")(
    variant(give=lambda logits, H, C: (torch.stack(logits), (H, C))))
wrong_softmax = slip("softmax before the cross-entropy")(
    variant(give=lambda logits, H, C: (
        torch.cat(logits).softmax(-1), (H, C))))
wrong_nothing_returned = slip("no `return`")(
    variant(give=lambda logits, H, C: None))


@slip("state not carried from step to step")
def wrong_each_step_from_the_start(inputs, state, params):
    parts = [right_as_in_the_notebook(X[None], state, params) for X in inputs]
    return torch.cat([logits for logits, _ in parts]), parts[-1][1]


@slip("batch and time swapped")
def wrong_rows_first(inputs, state, params):
    logits, state = right_as_in_the_notebook(inputs, state, params)
    T, B, V = inputs.shape[0], inputs.shape[1], params[-1].shape[0]
    return logits.reshape(T, B, V).transpose(0, 1).reshape(-1, V), state


@slip("the state handed in is returned")
def wrong_old_state(inputs, state, params):
    return right_as_in_the_notebook(inputs, state, params)[0], state


@slip("the graph is cut")
def wrong_detached_at_each_step(inputs, state, params):
    logits = []
    for X in inputs:
        part, state = right_as_in_the_notebook(
            X[None], [s.detach() for s in state], params)
        logits.append(part)
    return torch.cat(logits), state


def right_step_by_step_with_own_names(x, s, p):
    h, c = s
    y = []
    for t in range(x.size(0)):
        z = [torch.addmm(p[k + 2], x[t], p[k]).addmm(h, p[k + 1])
             for k in (0, 3, 6, 9)]
        c = torch.addcmul(z[1].sigmoid() * c, z[0].sigmoid(), z[3].tanh())
        h = torch.mul(z[2].sigmoid(), c.tanh())
        y.append(torch.mm(h, p[-2]).add_(p[-1]))
    return torch.concat(y), (h, c)


def right_by_einsum_over_stacked_gates(inputs, state, params):
    W_x, W_h, b = (torch.stack(params[k:12:3]) for k in range(3))
    H, C, scores = *state, []
    for X in inputs:
        pre = torch.einsum("bv,gvh->gbh", X, W_x) + b[:, None]
        pre = pre + torch.einsum("bk,gkh->gbh", H, W_h)
        (i, f, o), new = pre[:3].sigmoid(), pre[3].tanh()
        C = f * C + i * new
        H = o * C.tanh()
        scores.append(F.linear(H, params[12].T, params[13]))
    return torch.stack(scores).reshape(-1, params[13].numel()), (H, C)


def right_states_of_their_own(inputs, state, params):
    H, C = (s.clone() for s in state)
    outputs = inputs.new_zeros(*inputs.shape[:2], params[-1].shape[0])
    for t, X in enumerate(inputs):
        outputs[t], (H, C) = right_as_in_the_notebook(
            X[None], (H, C), params)
    return outputs.flatten(end_dim=1), (H.detach(), C.detach())


def stepped(words, step, bias=True):
    """A solution whose step is written out.

    Args:
        words: of its slip.
        step: of the four sums i, f, o, c and H, C to the new H, C.
    """

    def solution(inputs, state, params):
        *g, W_hq, b_q = params
        H, C = state
        outputs = []
        for X in inputs:
            sums = [X @ g[k] + H @ g[k + 1] + g[k + 2] for k in (0, 3, 6, 9)]
            H, C = step(*sums, H, C)
            outputs.append(H @ W_hq + b_q if bias else H @ W_hq)
        return torch.cat(outputs), (H, C)

    return slip(words)(solution)


def cell(i, f, c, C):
    return f.sigmoid() * C + i.sigmoid() * c.tanh()


def shown(o, C):
    return o.sigmoid() * C.tanh(), C


wrong_no_output_bias = stepped(
    "a missing bias: b_q",
    lambda i, f, o, c, H, C: shown(o, cell(i, f, c, C)), bias=False)
wrong_no_forget_gate = stepped(
    "the forget gate is not used",
    lambda i, f, o, c, H, C: shown(o, C + i.sigmoid() * c.tanh()))
wrong_no_input_gate = stepped(
    "the input gate is not used",
    lambda i, f, o, c, H, C: shown(o, f.sigmoid() * C + c.tanh()))
wrong_one_minus_forget = stepped(
    "the input gate is not used",
    lambda i, f, o, c, H, C: shown(
        o, f.sigmoid() * C + (1 - f.sigmoid()) * c.tanh()))
wrong_no_output_gate = stepped(
    "the output gate is not used",
    lambda i, f, o, c, H, C: (cell(i, f, c, C).tanh(), cell(i, f, c, C)))
wrong_gates_with_tanh = stepped(
    "the gates take a sigmoid",
    lambda i, f, o, c, H, C: (
        o.tanh() * (f.tanh() * C + i.tanh() * c.tanh()).tanh(),
        f.tanh() * C + i.tanh() * c.tanh()))
wrong_candidate_plain = stepped(
    "no tanh around the candidate",
    lambda i, f, o, c, H, C: shown(
        o, f.sigmoid() * C + i.sigmoid() * c))
wrong_old_cell_shown = stepped(
    "the old cell is shown",
    lambda i, f, o, c, H, C: (o.sigmoid() * C.tanh(), cell(i, f, c, C)))
wrong_hidden_state_for_cell = stepped(
    "the LSTM's cell state is lost",
    lambda i, f, o, c, H, C: shown(o, cell(i, f, c, H)))
wrong_tanh_of_the_cell_carried = stepped(
    "C itself is carried on",
    lambda i, f, o, c, H, C: (
        shown(o, cell(i, f, c, C))[0], cell(i, f, c, C).tanh()))
wrong_input_for_output = stepped(
    "not used: W_xo, W_ho, b_o",
    lambda i, f, o, c, H, C: shown(i, cell(i, f, c, C)))
wrong_detached_cell = stepped(
    "the graph is cut",
    lambda i, f, o, c, H, C: shown(o, cell(i, f, c, C.detach())))


def with_biases(words, *gone):
    """A solution that lacks the bias of some gates."""

    def solution(inputs, state, params):
        params = [p * 0 if k in gone else p for k, p in enumerate(params)]
        return right_one_product(inputs, state, params)

    return slip(words)(solution)


wrong_no_forget_bias = with_biases("a missing bias: b_f", 5)
wrong_no_candidate_bias = with_biases("a missing bias: b_c", 11)
wrong_no_bias_in_two_gates = with_biases("a missing bias: b_i, b_o", 2, 8)

wrong_hidden_state_twice = slip("the LSTM's cell state is lost")(
    variant(give=lambda logits, H, C: (torch.cat(logits), (H, H))))
wrong_old_cell_returned = slip("the LSTM's cell state is lost")(
    lambda inputs, state, params: (
        right_one_product(inputs, state, params)[0],
        (right_one_product(inputs, state, params)[1][0], state[1])))
wrong_cell_zero = slip("the LSTM's cell state is lost")(
    variant(first=lambda state: (state[0], torch.zeros_like(state[1]))))
wrong_hidden_zero = slip("the state handed in is ignored")(
    variant(first=lambda state: (torch.zeros_like(state[0]), state[1])))
wrong_three_things = slip("in a tuple of their own")(
    variant(give=lambda logits, H, C: (torch.cat(logits), H, C)))
wrong_twice_order_and_softmax = slip("softmax before the cross-entropy")(
    variant(order=(1, 0, 2, 3), give=lambda logits, H, C: (
        torch.cat(logits).softmax(-1), (H, C))))
wrong_twice_cell_and_bias = slip("a missing bias: b_i")(
    variant(keep=lambda old, new: old, bias=0))


@slip("batch and time swapped")
def wrong_loop_over_rows(inputs, state, params):
    return right_as_in_the_notebook(inputs.transpose(0, 1), state, params)


wrong_forget_gate_as_it_is = slip("no sigmoid around the gate F")(
    variant(forget=lambda f: f))
wrong_output_gate_with_tanh = slip("around the gate O (here a tanh)")(
    variant(output=torch.tanh))
wrong_input_gate_as_it_is = slip("no sigmoid around the gate I")(
    variant(gate=lambda i: i, forget=torch.sigmoid, output=torch.sigmoid))
wrong_states_swapped_on_the_way_in = slip("where the state is taken apart")(
    variant(first=lambda state: state[::-1]))
wrong_scores_of_the_cell = slip("read off the cell C")(
    variant(read=lambda C: C))
wrong_scores_of_the_shown_cell = slip("read off tanh(C)")(
    variant(read=torch.tanh))


@slip("the steps are read backwards, the scores put back in order")
def wrong_backwards_put_back_in_order(inputs, state, params):
    logits, state = right_one_product(inputs.flip(0), state, params)
    T, (B, V) = len(inputs), (inputs.shape[1], logits.shape[1])
    return logits.reshape(T, B, V).flip(0).reshape(-1, V), state
