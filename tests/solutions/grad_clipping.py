"""One factor for all gradients: (model, theta), in place; no result."""

import math

import torch
from torch import nn

from . import slip


def right_as_in_the_notebook(model, theta):
    grads = [p.grad for p in model.parameters()]
    norm = torch.sqrt(sum((g ** 2).sum() for g in grads))
    if norm > theta:
        for g in grads:
            g *= theta / norm


def right_as_in_the_book(net, theta):
    if isinstance(net, nn.Module):
        params = [p for p in net.parameters() if p.requires_grad]
    else:
        params = net.params
    norm = torch.sqrt(sum(torch.sum(p.grad ** 2) for p in params))
    if norm > theta:
        for param in params:
            param.grad[:] *= theta / norm


def right_of_torch(model, theta):
    return nn.utils.clip_grad_norm_(model.parameters(), theta)


def right_new_gradients(model, theta):
    total = sum(p.grad.pow(2).sum().item() for p in model.parameters())
    factor = min(1.0, theta / math.sqrt(total))
    for p in model.parameters():
        p.grad = p.grad * factor


def right_one_long_vector(model, theta):
    params = [*model.parameters()]
    norm = torch.cat([p.grad.reshape(-1) for p in params]).norm(p=2)
    for p in params:
        p.grad.mul_((theta / norm).clamp(max=1))
    return norm


def right_norm_of_norms(model, theta):
    norms = [torch.linalg.norm(p.grad) for p in model.parameters()]
    norm = torch.stack(norms).norm()
    for p in model.parameters():
        p.grad /= max(1.0, float(norm) / theta)


def right_in_double_precision_loops(model, theta):
    squares = 0.0
    for p in model.parameters():
        for g in p.grad.flatten().tolist():
            squares += g * g
    norm = squares ** 0.5
    if norm <= theta:
        return
    for p in model.parameters():
        p.grad.data.copy_((p.grad.double() * theta / norm).float())


def right_foreach(model, theta):
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads)
    torch._foreach_mul_(grads, torch.clamp(theta / norm, max=1.0))


@slip("clipping each parameter by itself")
def wrong_each(model, theta):
    for p in model.parameters():
        norm = p.grad.norm()
        if norm > theta:
            p.grad *= theta / norm


@slip("clipping each parameter by itself")
def wrong_each_with_torch(model, theta):
    for p in model.parameters():
        nn.utils.clip_grad_norm_(p, theta)


@slip("clipping each parameter by itself")
def wrong_each_always(model, theta):
    for p in model.parameters():
        p.grad *= theta / p.grad.norm()


@slip("clipping each parameter by itself")
def wrong_each_after_comparing_all(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters()))
    if norm > theta:
        for p in model.parameters():
            p.grad *= theta / p.grad.norm()


@slip("clipping each parameter by itself")
def wrong_each_compared(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters()))
    for p in model.parameters():
        if p.grad.norm() > theta:
            p.grad *= theta / norm


@slip("clipping each parameter by itself")
def wrong_each_to_an_equal_share(model, theta):
    params = list(model.parameters())
    for p in params:
        part = theta / math.sqrt(len(params))
        p.grad *= min(1.0, float(part / p.grad.norm()))


@slip("clipping by value")
def wrong_value(model, theta):
    nn.utils.clip_grad_value_(model.parameters(), theta)


@slip("clipping by value")
def wrong_large_values(model, theta):
    for p in model.parameters():
        p.grad[p.grad > theta] = theta


@slip("clipping by value")
def wrong_value_where_the_norm_is_large(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters()))
    if norm > theta:
        for p in model.parameters():
            p.grad.clamp_(-theta, theta)


@slip("the direction changes")
def wrong_signs(model, theta):
    for p in model.parameters():
        p.grad = theta * p.grad.sign()


@slip("the direction changes")
def wrong_rows_by_themselves(model, theta):
    for p in model.parameters():
        norm = p.grad.norm(dim=-1, keepdim=True)
        p.grad *= (theta / norm).clamp(max=1)


@slip("not complete yet")
def wrong_norm_added_up_on_the_way(model, theta):
    squares = 0
    for p in model.parameters():
        squares += (p.grad ** 2).sum()
        norm = squares.sqrt()
        if norm > theta:
            p.grad *= theta / norm


@slip("the root is missing")
def wrong_no_root(model, theta):
    norm = sum((p.grad ** 2).sum() for p in model.parameters())
    if norm > theta:
        for p in model.parameters():
            p.grad *= theta / norm


@slip("the root is missing in the comparison")
def wrong_no_root_compared(model, theta):
    squares = sum((p.grad ** 2).sum() for p in model.parameters())
    if squares > theta:
        for p in model.parameters():
            p.grad *= theta / squares.sqrt()


@slip("the squares are missing")
def wrong_no_squares(model, theta):
    norm = torch.sqrt(sum(p.grad.sum() for p in model.parameters()))
    for p in model.parameters():
        p.grad *= torch.clamp(theta / norm, max=1.0)


@slip("absolute values")
def wrong_absolute(model, theta):
    norm = sum(p.grad.abs().sum() for p in model.parameters())
    if norm > theta:
        for p in model.parameters():
            p.grad *= theta / norm


@slip("not the sum of the norms")
def wrong_sum_of_norms(model, theta):
    norm = sum(p.grad.norm() for p in model.parameters())
    if norm > theta:
        for p in model.parameters():
            p.grad *= theta / norm


@slip("not the mean of the norms")
def wrong_mean_of_norms(model, theta):
    norms = torch.stack([p.grad.norm() for p in model.parameters()])
    if norms.mean() > theta:
        for p in model.parameters():
            p.grad *= theta / norms.mean()


@slip("added up, not averaged")
def wrong_mean_square(model, theta):
    flat = torch.cat([p.grad.flatten() for p in model.parameters()])
    norm = (flat ** 2).mean().sqrt()
    if norm > theta:
        for p in model.parameters():
            p.grad *= theta / norm


@slip("not averaged in each parameter")
def wrong_mean_square_of_each(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).mean() for p in model.parameters()))
    if norm > theta:
        for p in model.parameters():
            p.grad *= theta / norm


@slip("the gradients of one parameter alone")
def wrong_norm_of_the_last(model, theta):
    for p in model.parameters():
        norm = p.grad.norm()
    if norm > theta:
        for p in model.parameters():
            p.grad *= theta / norm


@slip("only the last gradient is scaled")
def wrong_only_the_last(model, theta):
    params = list(model.parameters())
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in params))
    for p in params:
        g = p.grad
    if norm > theta:
        g *= theta / norm


@slip("scaled up")
def wrong_always(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters()))
    for p in model.parameters():
        p.grad *= theta / norm


@slip("the comparison is the wrong way round")
def wrong_smaller(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters()))
    if norm < theta:
        for p in model.parameters():
            p.grad *= theta / norm


@slip("upside down")
def wrong_upside_down(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters()))
    if norm > theta:
        for p in model.parameters():
            p.grad *= norm / theta


@slip("theta is missing")
def wrong_to_norm_one(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters()))
    if norm > theta:
        for p in model.parameters():
            p.grad /= norm


@slip("nothing is scaled")
def wrong_new_names(model, theta):
    grads = [p.grad for p in model.parameters()]
    norm = torch.sqrt(sum((g ** 2).sum() for g in grads))
    if norm > theta:
        for g in grads:
            g = g * theta / norm


@slip("parameters() of an nn.Module can be read once only")
def wrong_parameters_read_twice(model, theta):
    params = model.parameters()
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in params))
    if norm > theta:
        for p in params:
            p.grad *= theta / norm


@slip("it is p.grad that has to be scaled")
def wrong_parameters_scaled(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters()))
    if norm > theta:
        for p in model.parameters():
            p.data *= theta / norm


@slip("model.parameters() gives the parameters of any")
def wrong_list_of_our_own_class(model, theta):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.params))
    if norm > theta:
        for p in model.params:
            p.grad *= theta / norm


@slip("clipping by value")
def wrong_twice_no_root_and_value(model, theta):
    norm = sum((p.grad ** 2).sum() for p in model.parameters())
    if norm > 2 * theta:
        for p in model.parameters():
            p.grad.clamp_(-theta, theta)
