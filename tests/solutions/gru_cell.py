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


@slip("keeps its weights transposed")
def wrong_stacked_blocks(X, H, W_x, W_h, b_x, b_h):
    cell = nn.GRUCell(X.shape[1], H.shape[1])
    cell.weight_ih.data, cell.weight_hh.data = W_x.data, W_h.data
    return cell(X, H)


def right_transposed_all_over(X, H, W_x, W_h, b_x, b_h):
    x = torch.einsum("bd,dk->kb", X, W_x) + b_x[:, None]
    h = W_h.T @ H.T + b_h[:, None]
    x, h = x.view(3, -1, len(X)), h.view(3, -1, len(X))
    r, z = torch.sigmoid(x[:2] + h[:2])
    n = torch.tanh(x[2] + r * h[2])
    return (n - z * n + z * H.T).T


def right_in_place_on_own_tensors(X, H, W_x, W_h, b_x, b_h):
    parts = torch.addmm(b_x, X, W_x).tensor_split(3, dim=-1)
    news = torch.addmm(b_h, H, W_h).tensor_split(3, dim=-1)
    R = (parts[0] + news[0]).sigmoid_()
    Z = (parts[1] + news[1]).sigmoid_()
    N = torch.addcmul(parts[2], R, news[2])
    N.tanh_()
    new = Z * H
    new += (1 - Z) * N
    return new


def right_row_by_row(X, H, W_x, W_h, b_x, b_h):
    n = H.size(1)
    rows = []
    for x, h in zip(X, H):  # noqa: B905
        a, b = x @ W_x + b_x, h @ W_h + b_h
        r = 1 / (1 + torch.exp(-(a[:n] + b[:n])))
        z = 1 / (1 + torch.exp(-(a[n:-n] + b[n:-n])))
        rows.append(z * h + (1 - z) * (a[-n:] + r * b[-n:]).tanh())
    return torch.stack(rows)


def variant(words, step):
    """A solution of x and h (r, z, n each) and the old H."""

    def solution(X, H, W_x, W_h, b_x, b_h):
        x, h = halves(X, H, W_x, W_h, b_x, b_h)
        return step(x, h, H)

    return slip(words)(solution)


def mix(Z, N, H):
    return (1 - Z) * N + Z * H


def gates(x, h, act=torch.sigmoid):
    return act(x[0] + h[0]), act(x[1] + h[1])


wrong_reset_of_both = variant(
    "and not the input's",
    lambda x, h, H: mix(gates(x, h)[1], torch.tanh(
        gates(x, h)[0] * (x[2] + h[2])), H))
wrong_reset_of_the_input = variant(
    "in place of the input's",
    lambda x, h, H: mix(gates(x, h)[1], torch.tanh(
        gates(x, h)[0] * x[2] + h[2]), H))
wrong_reset_the_other_way = variant(
    "and not 1 - R",
    lambda x, h, H: mix(gates(x, h)[1], torch.tanh(
        x[2] + (1 - gates(x, h)[0]) * h[2]), H))
wrong_gates_without_sigmoid = variant(
    "no sigmoid around the gates",
    lambda x, h, H: mix(x[1] + h[1], torch.tanh(
        x[2] + (x[0] + h[0]) * h[2]), H))
wrong_gates_with_tanh = variant(
    "the gates take a sigmoid",
    lambda x, h, H: mix(gates(x, h, torch.tanh)[1], torch.tanh(
        x[2] + gates(x, h, torch.tanh)[0] * h[2]), H))
wrong_candidate_with_relu = variant(
    "a ReLU in place of tanh",
    lambda x, h, H: mix(gates(x, h)[1], torch.relu(
        x[2] + gates(x, h)[0] * h[2]), H))
wrong_candidate_alone = variant(
    "the update gate is not used",
    lambda x, h, H: torch.tanh(x[2] + gates(x, h)[0] * h[2]))
wrong_candidate_first = variant(
    "the gates are in the wrong order: n, r, z",
    lambda x, h, H: mix(gates(x[1:], h[1:])[1], torch.tanh(
        x[0] + gates(x[1:], h[1:])[0] * h[0]), H))
wrong_pair = variant(
    "in no tuple",
    lambda x, h, H: (H, mix(gates(x, h)[1], torch.tanh(
        x[2] + gates(x, h)[0] * h[2]), H)))
wrong_old_state = variant(
    "the state handed in is returned", lambda x, h, H: H)
wrong_plain_rnn = variant(
    "not used: the blocks r and z", lambda x, h, H: torch.tanh(x[2] + h[2]))
wrong_state_detached = variant(
    "the graph is cut",
    lambda x, h, H: mix(gates(x, h)[1], torch.tanh(
        x[2] + gates(x, h)[0] * h[2]), H.detach()))
wrong_twice_order_and_flipped = variant(
    "the new state",
    lambda x, h, H: mix(1 - gates(x, h)[0], torch.tanh(
        x[2] + gates(x, h)[1] * h[2]), H))


@slip("the bias b_hn as well")
def wrong_bias_outside_the_reset(X, H, W_x, W_h, b_x, b_h):
    n = H.shape[1]
    (x_r, x_z, x_n), (h_r, h_z, _) = halves(X, H, W_x, W_h, b_x, b_h)
    R, Z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    N = torch.tanh(x_n + R * (H @ W_h[:, 2 * n:]) + b_h[2 * n:])
    return (1 - Z) * N + Z * H


@slip("a missing bias: b_hn")
def wrong_no_bias_in_the_candidate(X, H, W_x, W_h, b_x, b_h):
    n = H.shape[1]
    b_h = torch.cat([b_h[:2 * n], torch.zeros(n)])
    return right_as_in_the_notebook(X, H, W_x, W_h, b_x, b_h)


@slip("a reshape mixes them")
def wrong_reshaped_blocks(X, H, W_x, W_h, b_x, b_h):
    n = H.shape[1]
    W_x, W_h = W_x.reshape(3, -1, n), W_h.reshape(3, n, n)
    b_x, b_h = b_x.reshape(3, n), b_h.reshape(3, n)
    x = [X @ W_x[k] + b_x[k] for k in range(3)]
    h = [H @ W_h[k] + b_h[k] for k in range(3)]
    R, Z = torch.sigmoid(x[0] + h[0]), torch.sigmoid(x[1] + h[1])
    return (1 - Z) * torch.tanh(x[2] + R * h[2]) + Z * H


@slip("no column between")
def wrong_every_third_column(X, H, W_x, W_h, b_x, b_h):
    x, h = X @ W_x + b_x, H @ W_h + b_h
    R = torch.sigmoid(x[:, ::3] + h[:, ::3])
    Z = torch.sigmoid(x[:, 1::3] + h[:, 1::3])
    return (1 - Z) * torch.tanh(x[:, 2::3] + R * h[:, 2::3]) + Z * H


@slip("along the wrong axis")
def wrong_chunks_of_rows(X, H, W_x, W_h, b_x, b_h):
    x_r, x_z, x_n = (X @ W_x + b_x).chunk(3)
    h_r, h_z, h_n = (H @ W_h + b_h).chunk(3)
    R, Z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return (1 - Z) * torch.tanh(x_n + R * h_n) + Z * H


@slip("blocks of a parameter are not taken apart")
def wrong_blocks_not_taken_apart(X, H, W_x, W_h, b_x, b_h):
    G = torch.sigmoid(X @ W_x + H @ W_h + b_x + b_h)
    N = torch.tanh(X @ W_x + b_x + G * (H @ W_h + b_h))
    return (1 - G) * N + G * H


@slip("wrong way round")
def wrong_weights_transposed(X, H, W_x, W_h, b_x, b_h):
    return right_as_in_the_notebook(X, H, W_x.T, W_h.T, b_x, b_h)


@slip("changed in place")
def wrong_state_multiplied(X, H, W_x, W_h, b_x, b_h):
    x, h = halves(X, H, W_x, W_h, b_x, b_h)
    R, Z = gates(x, h)
    N = torch.tanh(x[2] + R * h[2])
    H *= Z
    H += (1 - Z) * N
    return H


@slip("not used: H")
def wrong_state_not_used(X, H, W_x, W_h, b_x, b_h):
    return right_as_in_the_notebook(X, 0 * H, W_x, W_h, b_x, b_h)


wrong_reset_gate_as_it_is = variant(
    "no sigmoid around the gate R", lambda x, h, H: mix(
        torch.sigmoid(x[1] + h[1]), torch.tanh(x[2] + (x[0] + h[0]) * h[2]),
        H))
wrong_update_gate_with_tanh = variant(
    "no sigmoid around the gate Z (here a tanh)", lambda x, h, H: mix(
        torch.tanh(x[1] + h[1]),
        torch.tanh(x[2] + torch.sigmoid(x[0] + h[0]) * h[2]), H))
