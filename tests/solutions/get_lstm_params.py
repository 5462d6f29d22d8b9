"""get_lstm_params(vocab_size, num_hiddens, device): i, f, o, c; output."""

import torch
from torch import nn

from . import slip


def block(V, H, device, scale=0.01):
    return [torch.randn(V, H, device=device) * scale,
            torch.randn(H, H, device=device) * scale,
            torch.zeros(H, device=device)]


def output(V, H, device):
    return [torch.randn(H, V, device=device) * 0.01,
            torch.zeros(V, device=device)]


def learning(params):
    for param in params:
        param.requires_grad_(True)
    return params


def right_as_in_the_notebook(V, H, device):
    params = []
    for _ in range(4):
        params += block(V, H, device)
    return learning(params + output(V, H, device))


def right_written_out(vocab_size, num_hiddens, device):
    def three():
        return (torch.normal(0, 0.01, (vocab_size, num_hiddens)).to(device),
                torch.normal(0, 0.01, (num_hiddens, num_hiddens)).to(device),
                torch.zeros(num_hiddens, device=device))

    W_xi, W_hi, b_i = three()
    W_xf, W_hf, b_f = three()
    W_xo, W_ho, b_o = three()
    W_xc, W_hc, b_c = three()
    W_hq, b_q = output(vocab_size, num_hiddens, device)
    params = (W_xi, W_hi, b_i, W_xf, W_hf, b_f, W_xo, W_ho, b_o, W_xc, W_hc,
              b_c, W_hq, b_q)
    return tuple(p.requires_grad_() for p in params)


def right_modules_parameters(V, H, device):
    return nn.ParameterList(right_as_in_the_notebook(V, H, device))


def right_in_double_precision(V, H, device):
    return [p.detach().double().requires_grad_()
            for p in right_as_in_the_notebook(V, H, device)]


@slip("one block for each gate and for the candidate")
def wrong_no_candidate(V, H, device):
    params = []
    for _ in range(3):
        params += block(V, H, device)
    params += [*output(V, H, device), torch.zeros(H, device=device)]
    return learning(params)


@slip("one block for each gate and for the candidate")
def wrong_a_gate_too_few(V, H, device):
    return right_as_in_the_notebook(V, H, device)[3:]


@slip("a missing bias")
def wrong_gates_without_bias(V, H, device):
    return [p for i, p in enumerate(right_as_in_the_notebook(V, H, device))
            if i >= 12 or i % 3 < 2]


@slip("rows and columns are swapped")
def wrong_turned(V, H, device):
    return learning([
        p.detach().T.contiguous() if p.dim() == 2 else p
        for p in right_as_in_the_notebook(V, H, device)])


@slip("the order is another one")
def wrong_sorted_by_kind(V, H, device):
    params = right_as_in_the_notebook(V, H, device)
    return [*params[0:12:3], *params[1:12:3], *params[2:12:3], *params[12:]]


@slip("the order is another one")
def wrong_output_first(V, H, device):
    params = right_as_in_the_notebook(V, H, device)
    return params[12:] + params[:12]


@slip("the same tensor stands in several places")
def wrong_one_block_four_times(V, H, device):
    return learning(block(V, H, device) * 4 + output(V, H, device))


@slip("without requires_grad_(True) nothing is learnt")
def wrong_nothing_to_learn(V, H, device):
    return [p for _ in range(4) for p in block(V, H, device)] + output(
        V, H, device)


@slip("not scaled")
def wrong_not_scaled(V, H, device):
    params = [p for _ in range(4) for p in block(V, H, device, scale=1)]
    return learning(params + output(V, H, device))


@slip("a list of 14 tensors")
def wrong_prints(V, H, device):
    right_as_in_the_notebook(V, H, device)


@slip("equal weights stay equal")
def wrong_zeros(V, H, device):
    return learning([torch.zeros_like(p)
                     for p in right_as_in_the_notebook(V, H, device)])


@slip("the argument device is not used")
def wrong_device(V, H, device):
    return right_as_in_the_notebook(V, H, None)


@slip("the argument device is not used")
def wrong_device_of_the_output_layer(V, H, device):
    params = [p for _ in range(4) for p in block(V, H, device)]
    return learning(params + output(V, H, "cpu"))


@slip("look at the shape of b_i, b_f, b_o, b_c")
def wrong_biases_as_rows(V, H, device):
    params = right_as_in_the_notebook(V, H, device)
    for k in range(2, 12, 3):
        params[k] = torch.zeros(1, H, device=device)
    return learning(params)


@slip("look at the shape of W_xi, W_xf, W_xo, W_xc")
def wrong_square_weights(V, H, device):
    params = [p for _ in range(4) for p in block(H, H, device)]
    return learning(params + output(V, H, device))


@slip("likely: a tensor too many: (28,)")
def wrong_a_bias_too_many(V, H, device):
    return learning([*right_as_in_the_notebook(V, H, device),
                     torch.zeros(V, device=device)])


@slip("tensors too many: 3; not expected: (28, 40), (40, 40), (40,)")
def wrong_a_block_too_many(V, H, device):
    return learning([*block(V, H, device),
                     *right_as_in_the_notebook(V, H, device)])
