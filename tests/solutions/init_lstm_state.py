"""init_lstm_state(batch_size, num_hiddens, device): (H, C), zeros (B, H)."""

import torch

from . import slip


def right_as_in_the_notebook(batch_size, num_hiddens, device):
    return (torch.zeros(batch_size, num_hiddens, device=device),
            torch.zeros(batch_size, num_hiddens, device=device))


def right_a_list(B, H, device):
    H_0 = torch.zeros((B, H)).to(device)
    return [H_0, torch.zeros_like(H_0)]


def right_two_halves(B, H, device):
    return torch.zeros(2, B, H, device=device).unbind()


def right_in_double_precision(B, H, device):
    return tuple(
        torch.zeros(B, H, device=device).double() for _ in range(2))


@slip("the memory cell needs its zeros as well")
def wrong_hidden_state_alone(B, H, device):
    return (torch.zeros(B, H, device=device),)


@slip("a tuple is needed")
def wrong_one_tensor(B, H, device):
    return torch.zeros(2, B, H, device=device)


@slip("rows and units are swapped")
def wrong_units_first(B, H, device):
    return (torch.zeros(H, B, device=device),
            torch.zeros(H, B, device=device))


@slip("rows and units are swapped")
def wrong_cell_turned(B, H, device):
    return (torch.zeros(B, H, device=device),
            torch.zeros(H, B, device=device))


@slip("begins with an empty memory")
def wrong_random_cell(B, H, device):
    return (torch.zeros(B, H, device=device),
            torch.randn(B, H, device=device))


@slip("begins with an empty memory")
def wrong_open_cell(B, H, device):
    return torch.zeros(B, H, device=device), torch.ones(B, H, device=device)


@slip("no `return`")
def wrong_nothing_returned(B, H, device):
    torch.zeros(B, H, device=device), torch.zeros(B, H, device=device)


@slip("expected: (H, C): two tensors")
def wrong_three(B, H, device):
    return tuple(torch.zeros(3, B, H, device=device))


@slip("a tensor")
def wrong_nested(B, H, device):
    return ((torch.zeros(B, H, device=device),),
            (torch.zeros(B, H, device=device),))


@slip("a floating dtype")
def wrong_whole_numbers(B, H, device):
    return tuple(torch.zeros(2, B, H, device=device).long())


@slip("the argument device is not used")
def wrong_device(B, H, device):
    return tuple(torch.zeros(2, B, H))


@slip("the argument device is not used")
def wrong_device_of_the_cell(B, H, device):
    return torch.zeros(B, H, device=device), torch.zeros(B, H)
