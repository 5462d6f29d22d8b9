"""get_params(vocab_size, num_hiddens, device): W_xh, W_hh, b_h, W_hq, b_q."""

import torch
from torch import nn

from . import slip

SHAPES = ["vh", "hh", "h", "hv", "v"]


def made(V, H, device, fill=lambda shape, device: torch.randn(
        *shape, device=device) * 0.01):
    sizes = {"v": V, "h": H}
    params = []
    for name in SHAPES:
        shape = [sizes[letter] for letter in name]
        params.append(
            fill(shape, device) if len(shape) == 2
            else torch.zeros(shape, device=device))
    return params


def learning(params):
    for param in params:
        param.requires_grad_(True)
    return params


def right_as_in_the_notebook(vocab_size, num_hiddens, device):
    return learning(made(vocab_size, num_hiddens, device))


def right_uniform(vocab_size, num_hiddens, device):
    bound = num_hiddens ** -0.5

    def fill(shape, device):
        return torch.empty(shape, device=device).uniform_(
            -bound / 10, bound / 10)

    return tuple(learning(made(vocab_size, num_hiddens, device, fill)))


def right_modules_parameters(V, H, device):
    return nn.ParameterList([
        nn.Parameter(torch.normal(0, 0.01, (V, H), device=device)),
        nn.Parameter(torch.normal(0, 0.01, (H, H), device=device)),
        nn.Parameter(torch.zeros(H, device=device)),
        nn.Parameter(torch.normal(0, 0.01, (H, V), device=device)),
        nn.Parameter(torch.zeros(V, device=device)),
    ])


def right_in_double_precision(V, H, device):
    return [p.detach().double().requires_grad_()
            for p in made(V, H, device)]


def right_scaled_without_recording(V, H, device):
    params = learning(made(V, H, device, lambda shape, device: torch.randn(
        *shape, device=device)))
    with torch.no_grad():
        for param in params:
            param *= 0.01
    return params


@slip("a missing bias")
def wrong_no_output_bias(V, H, device):
    return right_as_in_the_notebook(V, H, device)[:4]


@slip("a missing bias")
def wrong_no_bias(V, H, device):
    a, b, _, c, _ = right_as_in_the_notebook(V, H, device)
    return [a, b, c]


@slip("rows and columns are swapped")
def wrong_turned(V, H, device):
    return learning([p.T.contiguous() if p.dim() == 2 else p
                     for p in made(V, H, device)])


@slip("the order is another one: W_xh, W_hh, b_h, W_hq, b_q")
def wrong_biases_last(V, H, device):
    a, b, c, d, e = right_as_in_the_notebook(V, H, device)
    return [a, b, d, c, e]


@slip("without requires_grad_(True) nothing is learnt")
def wrong_nothing_to_learn(V, H, device):
    return made(V, H, device)


@slip("without requires_grad_(True) nothing is learnt")
def wrong_only_the_weights_learn(V, H, device):
    return [p.requires_grad_(p.dim() == 2) for p in made(V, H, device)]


@slip("requires_grad was set before the scaling")
def wrong_scaled_after(V, H, device):
    def fill(shape, device):
        return torch.randn(*shape, requires_grad=True, device=device) * 0.01

    return learning_where_possible(made(V, H, device, fill))


def learning_where_possible(params):
    for param in params:
        if param.is_leaf:
            param.requires_grad_(True)
    return params


@slip("not scaled")
def wrong_not_scaled(V, H, device):
    return learning(made(V, H, device, lambda shape, device: torch.randn(
        *shape, device=device)))


@slip("rand (0 to 1) in place of randn")
def wrong_never_negative(V, H, device):
    return learning(made(V, H, device, lambda shape, device: torch.rand(
        *shape, device=device)))


@slip("equal weights stay equal")
def wrong_zeros(V, H, device):
    return learning(made(V, H, device, lambda shape, device: torch.zeros(
        shape, device=device)))


@slip("biases start at zero")
def wrong_random_biases(V, H, device):
    params = made(V, H, device)
    return learning([
        p if p.dim() == 2 else torch.randn(p.shape, device=device) * 0.01
        for p in params])


@slip("no `return`")
def wrong_prints(V, H, device):
    print(len(made(V, H, device)), end="")


@slip("a list of 5 tensors")
def wrong_a_dictionary(V, H, device):
    names = ("W_xh", "W_hh", "b_h", "W_hq", "b_q")
    return dict(zip(names, right_as_in_the_notebook(V, H, device),
                    strict=True))


@slip("the argument device is not used")
def wrong_device(V, H, device):
    return right_as_in_the_notebook(V, H, None)


@slip("rows and columns are swapped: (inputs, outputs), in W_hq")
def wrong_one_turned(V, H, device):
    *params, W_hq, b_q = right_as_in_the_notebook(V, H, device)
    return [*params, W_hq.detach().T.contiguous().requires_grad_(), b_q]


@slip("all of W_xh, W_hh, b_h, W_hq, b_q")
def wrong_no_output_layer(V, H, device):
    return right_as_in_the_notebook(V, H, device)[:3]


@slip("likely: a tensor too many: (40,)")
def wrong_a_bias_for_each_weight(V, H, device):
    W_xh, *params = made(V, H, device)
    return learning([W_xh, torch.zeros(H, device=device), *params])
