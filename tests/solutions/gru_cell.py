"""gru_cell(X, H, W_x, W_h, b_x, b_h): one step, blocks r, z, n."""

import torch
from torch import nn
from torch.nn import functional as F

from . import slip


def right_as_in_the_notebook(X, H, W_x, W_h, b_x, b_h):
    x_r, x_z, x_n = (X @ W_x + b_x).chunk(3, dim=1)
    h_r, h_z, h_n = (H @ W_h + b_h).chunk(3, dim=1)
    R = torch.sigmoid(x_r + h_r)
    Z = torch.sigmoid(x_z + h_z)
    N = torch.tanh(x_n + R * h_n)
    return (1 - Z) * N + Z * H


def right_block_by_block(X, H, W_x, W_h, b_x, b_h):
    n = H.shape[1]

    def part(k):
        s = slice(k * n, (k + 1) * n)
        return X @ W_x[:, s] + b_x[s], H @ W_h[:, s] + b_h[s]

    r = sum(part(0)).sigmoid()
    z = sum(part(1)).sigmoid()
    a, b = part(2)
    new = (a + r * b).tanh()
    return new + z * (H - new)


def right_by_torch(X, H, W_x, W_h, b_x, b_h):
    return torch.gru_cell(X, H, W_x.T, W_h.T, b_x, b_h)


def right_in_double_precision(X, H, W_x, W_h, b_x, b_h):
    return right_as_in_the_notebook(
        *(t.double() for t in (X, H, W_x, W_h, b_x, b_h)))


def right_linear(X, H, W_x, W_h, b_x, b_h):
    gx, gh = F.linear(X, W_x.t(), b_x), F.linear(H, W_h.t(), b_h)
    size = H.size(-1)
    gates = torch.sigmoid(gx[:, :2 * size] + gh[:, :2 * size])
    r, z = gates.split(size, dim=1)
    return torch.lerp(torch.tanh(gx[:, 2 * size:] + r * gh[:, 2 * size:]),
                      H, z)


def halves(X, H, W_x, W_h, b_x, b_h):
    return (X @ W_x + b_x).chunk(3, 1), (H @ W_h + b_h).chunk(3, 1)


@slip("the gates are in the wrong order: z, r, n")
def wrong_update_first(*args):
    (x_z, x_r, x_n), (h_z, h_r, h_n) = halves(*args)
    Z, R = torch.sigmoid(x_z + h_z), torch.sigmoid(x_r + h_r)
    return (1 - Z) * torch.tanh(x_n + R * h_n) + Z * args[1]


@slip("reset before the product")
def wrong_as_in_the_book(X, H, W_x, W_h, b_x, b_h):
    n = H.shape[1]
    (x_r, x_z, x_n), (h_r, h_z, _) = halves(X, H, W_x, W_h, b_x, b_h)
    R, Z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    N = torch.tanh(x_n + (R * H) @ W_h[:, 2 * n:] + b_h[2 * n:])
    return (1 - Z) * N + Z * H


@slip("Z and 1 - Z are swapped")
def wrong_mixed_the_other_way(*args):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = halves(*args)
    R, Z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return Z * torch.tanh(x_n + R * h_n) + (1 - Z) * args[1]


@slip("the reset gate is not used")
def wrong_no_reset(*args):
    (_, x_z, x_n), (_, h_z, h_n) = halves(*args)
    Z = torch.sigmoid(x_z + h_z)
    return (1 - Z) * torch.tanh(x_n + h_n) + Z * args[1]


@slip("a missing bias: b_h")
def wrong_one_bias(X, H, W_x, W_h, b_x, b_h):
    return right_as_in_the_notebook(X, H, W_x, W_h, b_x, 0 * b_h)


@slip("a missing bias: b_x and b_h")
def wrong_no_bias(X, H, W_x, W_h, b_x, b_h):
    return right_as_in_the_notebook(X, H, W_x, W_h, 0 * b_x, 0 * b_h)


@slip("no tanh around the candidate")
def wrong_linear_candidate(*args):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = halves(*args)
    R, Z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return (1 - Z) * (x_n + R * h_n) + Z * args[1]


@slip("a sigmoid in place of tanh")
def wrong_three_sigmoids(*args):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = halves(*args)
    R, Z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return (1 - Z) * torch.sigmoid(x_n + R * h_n) + Z * args[1]


@slip("no `return`")
def wrong_prints(*args):
    right_as_in_the_notebook(*args)


@slip("the graph is cut")
@torch.no_grad()
def wrong_without_a_graph(*args):
    return right_as_in_the_notebook(*args)


@slip("the graph is cut")
def wrong_detached_gate(*args):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = halves(*args)
    R, Z = torch.sigmoid(x_r + h_r).detach(), torch.sigmoid(x_z + h_z)
    return (1 - Z) * torch.tanh(x_n + R * h_n) + Z * args[1]


@slip("no error")
def wrong_stacked_blocks(X, H, W_x, W_h, b_x, b_h):
    cell = nn.GRUCell(X.shape[1], H.shape[1])
    cell.weight_ih.data, cell.weight_hh.data = W_x.data, W_h.data
    return cell(X, H)
