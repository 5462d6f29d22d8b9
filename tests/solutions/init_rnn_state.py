"""init_rnn_state(batch_size, num_hiddens, device): zeros (B, H), a tuple."""

import torch

from . import slip


def right_as_in_the_notebook(batch_size, num_hiddens, device):
    return (torch.zeros(batch_size, num_hiddens, device=device),)


def right_a_list(batch_size, num_hiddens, device):
    return [torch.zeros((batch_size, num_hiddens)).to(device)]


def right_full(B, H, device):
    return torch.full((B, H), 0.0, device=device),


def right_in_double_precision(B, H, device):
    return tuple(torch.zeros(1, B, H, dtype=torch.float64, device=device))


@slip("a tuple is needed")
def wrong_bare(batch_size, num_hiddens, device):
    return torch.zeros(batch_size, num_hiddens, device=device)


@slip("a tuple is needed")
def wrong_brackets_make_no_tuple(batch_size, num_hiddens, device):
    return (torch.zeros((batch_size, num_hiddens), device=device))


@slip("rows and units are swapped")
def wrong_units_first(batch_size, num_hiddens, device):
    return (torch.zeros(num_hiddens, batch_size, device=device),)


@slip("begins with an empty memory")
def wrong_random(batch_size, num_hiddens, device):
    return (torch.randn(batch_size, num_hiddens, device=device),)


@slip("begins with an empty memory")
def wrong_ones(batch_size, num_hiddens, device):
    return (torch.ones(batch_size, num_hiddens, device=device),)


@slip("no `return`")
def wrong_nothing_returned(batch_size, num_hiddens, device):
    state = (torch.zeros(batch_size, num_hiddens, device=device),)  # noqa


@slip("(H,)")
def wrong_two(batch_size, num_hiddens, device):
    return (torch.zeros(batch_size, num_hiddens, device=device),
            torch.zeros(batch_size, num_hiddens, device=device))


@slip("expected: (3, 4)")
def wrong_one_row_for_all(batch_size, num_hiddens, device):
    return (torch.zeros(num_hiddens, device=device),)


@slip("expected: (3, 4)")
def wrong_with_a_layer(batch_size, num_hiddens, device):
    return (torch.zeros(1, batch_size, num_hiddens, device=device),)


@slip("a floating dtype")
def wrong_whole_numbers(batch_size, num_hiddens, device):
    return (torch.zeros(batch_size, num_hiddens, device=device,
                        dtype=torch.int64),)


@slip("the argument device is not used")
def wrong_device(B, H, device):
    return tuple(torch.zeros(1, B, H))
