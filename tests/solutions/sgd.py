"""A step downhill: (params, lr); in place, gradients zero afterwards."""

import torch

from . import slip


def right_as_in_the_notebook(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad
            param.grad.zero_()


def right_through_data(params, lr):
    for p in params:
        p.data = p.data - lr * p.grad
        p.grad = None


@torch.no_grad()
def right_without_gradients_left(parameters, rate):
    for p in parameters:
        p.sub_(p.grad, alpha=rate)
        p.grad = torch.zeros_like(p)


def right_of_torch(params, lr):
    optimizer = torch.optim.SGD(params, lr=lr)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)


def right_all_at_once(params, lr):
    params = list(params)
    with torch.no_grad():
        torch._foreach_add_(params, [p.grad for p in params], alpha=-lr)
    for p in params:
        p.grad *= 0


def right_in_two_loops(params, lr):
    for p in params:
        p.data.add_(-lr * p.grad)
    for p in params:
        p.grad.detach_().fill_(0)


def right_copied(params, lr):
    for p in params:
        new = p.detach().double() - lr * p.grad.double()
        with torch.no_grad():
            p.copy_(new)
            p.grad.copy_(torch.zeros(p.shape))


def right_number_by_number(params, lr):
    for p in params:
        flat, grad = p.data.view(-1), p.grad.view(-1)
        for i in range(len(flat)):
            flat[i] = flat[i].item() - lr * grad[i].item()
        grad[:] = 0.0
    return params


@slip("gradients not zeroed")
def wrong_not_zeroed(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad


@slip("gradients not zeroed")
def wrong_only_the_last_zeroed(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad
        param.grad.zero_()


@slip("gradients not zeroed")
def wrong_zero_without_underscore(params, lr):
    for param in params:
        param.data -= lr * param.grad
        torch.zeros_like(param.grad)


@slip("the step comes before the gradients go to zero")
def wrong_zeroed_before(params, lr):
    with torch.no_grad():
        for param in params:
            param.grad.zero_()
            param -= lr * param.grad


@slip("not the parameter itself")
def wrong_parameter_zeroed(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad
            param.zero_()


@slip("with torch.no_grad()")
def wrong_recorded(params, lr):
    for param in params:
        param -= lr * param.grad
        param.grad.zero_()


@slip("param = param - ... makes a new tensor")
def wrong_new_name(params, lr):
    with torch.no_grad():
        for param in params:
            param = param - lr * param.grad
            param.grad.zero_()


@slip("param = param - ... makes a new tensor")
def wrong_new_name_recorded(params, lr):
    for param in params:
        param = param - lr * param.grad
        param.grad.zero_()


@slip("nothing moves: change the tensors in place")
def wrong_new_name_alone(params, lr):
    with torch.no_grad():
        for param in params:
            param = param - lr * param.grad


@slip("changes the parameter itself")
def wrong_new_list(params, lr):
    new = [p.detach() - lr * p.grad for p in params]
    for p in params:
        p.grad.zero_()
    return new


@slip("changes the parameter itself")
def wrong_put_into_the_list(params, lr):
    for i, p in enumerate(params):
        params[i] = (p.detach() - lr * p.grad).requires_grad_()
        p.grad = None


@slip("uphill")
def wrong_uphill(params, lr):
    with torch.no_grad():
        for param in params:
            param += lr * param.grad
            param.grad.zero_()


@slip("lr is not used")
def wrong_no_lr(params, lr):
    with torch.no_grad():
        for param in params:
            param -= param.grad
            param.grad.zero_()


@slip("lr is not used")
def wrong_lr_of_the_notebook(params, lr):
    lr = 1
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad
            param.grad.zero_()


@slip("not divided by it")
def wrong_divided_by_lr(params, lr):
    for param in params:
        param.data -= param.grad / lr
        param.grad.zero_()


@slip("the old value is thrown away")
def wrong_typo(params, lr):
    with torch.no_grad():
        for param in params:
            param.copy_(-lr * param.grad)
            param.grad.zero_()


@slip("and with it the step")
def wrong_set_to_the_step(params, lr):
    for param in params:
        param.data = lr * param.grad
        param.grad = None


@slip("only the first parameter moves")
def wrong_returned_at_once(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad
            param.grad.zero_()
            return params


@slip("not times the parameter")
def wrong_parameter_in_place_of_gradient(params, lr):
    for param in params:
        param.data -= lr * param.data
        param.grad.zero_()


@slip("the gradient is multiplied by the parameter")
def wrong_parameter_times_gradient(params, lr):
    with torch.no_grad():
        for param in params:
            param *= 1 - lr * param.grad
            param.grad.zero_()


@slip("divided by a count")
def wrong_divided_by_rows(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / param.shape[0]
            param.grad.zero_()


@slip("the step has length lr")
def wrong_signs(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * torch.sign(param.grad)
            param.grad.zero_()


@slip("whatever the gradient (no norm here)")
def wrong_divided_by_the_norm(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / param.grad.norm()
            param.grad.zero_()


@slip("one mean gradient")
def wrong_mean_gradient(params, lr):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad.mean()
            param.grad.zero_()


@slip("nothing is kept from one step to the next")
def wrong_momentum(params, lr, kept={}):  # noqa: B006
    for i, param in enumerate(params):
        kept[i] = kept.get(i, 0) * 0.9 + param.grad
        param.data -= lr * kept[i]
        param.grad = None


@slip("inside `with torch.no_grad():`")
def wrong_no_longer_trainable(params, lr):
    for param in params:
        param.requires_grad_(False)
        param -= lr * param.grad
        param.grad.zero_()


@slip("keep its arguments")
def wrong_with_batch_size(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


@slip("not right yet")
def wrong_printed(params, lr):
    with torch.no_grad():
        for param in params:
            print(param - lr * param.grad)


@slip("uphill")
def wrong_twice_uphill_and_not_zeroed(params, lr):
    with torch.no_grad():
        for param in params:
            param += lr * param.grad
