"""An epoch of training: (model, train_iter, lr, device, use_random_iter).

Returns the perplexity over all tokens; clips with `grad_clipping` (to 1),
updates with `sgd`.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from . import grad_clipping as clips
from . import sgd as steps
from . import slip

grad_clipping = clips.right_as_in_the_notebook
sgd = steps.right_as_in_the_notebook


def right_as_in_the_notebook(model, train_iter, lr, device, use_random_iter):
    state, nats, tokens = None, 0.0, 0
    for X, Y in train_iter:
        X, y = X.to(device), Y.T.reshape(-1).to(device)
        if state is None or use_random_iter:
            state = model.begin_state(X.shape[0], device)
        else:
            state = tuple(s.detach() for s in state)
        logits, state = model(X, state)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        grad_clipping(model, 1)
        sgd(model.parameters(), lr)
        nats += float(loss.detach()) * y.numel()
        tokens += y.numel()
    return math.exp(nats / tokens)


def right_as_in_the_book(net, train_iter, lr, device, use_random_iter):
    loss, total, state = nn.CrossEntropyLoss(), [0.0, 0], None
    for X, Y in train_iter:
        if state is None or use_random_iter:
            state = net.begin_state(batch_size=X.shape[0], device=device)
        else:
            for s in state:
                s.detach_()
        X, y = X.to(device), Y.T.reshape(-1).to(device)
        y_hat, state = net(X, state)
        value = loss(y_hat, y.long()).mean()
        value.backward()
        grad_clipping(net, 1)
        sgd(net.params, lr)
        total = [total[0] + value * y.numel(), total[1] + y.numel()]
    return math.exp(total[0] / total[1])


def right_of_torch(model, train_iter, lr, device, use_random_iter):
    optimizer = torch.optim.SGD(model.parameters(), lr)
    losses, state = [], None
    for X, Y in train_iter:
        if use_random_iter or state is None:
            state = model.begin_state(len(X), device)
        scores, state = model(X.to(device), state)
        state = [s.detach() for s in state]
        log_p = F.log_softmax(scores.reshape(X.shape[1], len(X), -1), -1)
        picked = log_p.gather(2, Y.T.to(device)[:, :, None])
        optimizer.zero_grad()
        (-picked.mean()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(-picked.detach().flatten())
    return torch.cat(losses).mean().exp()


def right_gradients_by_hand(model, train_iter, lr, device, use_random_iter):
    total, count, state, params = 0, 0, None, list(model.parameters())
    for X, Y in train_iter:
        B, T = X.shape
        if state is None or use_random_iter:
            state = model.begin_state(B, device)
        logits, state = model(X.to(device), state)
        V = logits.shape[1]
        rows = logits.reshape(T, B, V).permute(1, 0, 2).reshape(B * T, V)
        loss = F.cross_entropy(
            rows, Y.flatten().to(device), reduction="sum") / (B * T)
        grads = torch.autograd.grad(loss, params)
        norm = sum(float(g.norm()) ** 2 for g in grads) ** 0.5
        with torch.no_grad():
            for p, g in zip(params, grads, strict=True):
                p -= lr * min(1, 1 / norm) * g
        state = tuple(s.detach() for s in state)
        total, count = total + loss.item() * B * T, count + B * T
    return torch.tensor(total / count).exp().item()


def right_state_from_the_loader(model, loader, lr, device, use_random_iter):
    state = model.begin_state(loader.batch_size, device)
    nats, tokens = 0, 0
    for X, Y in loader:
        if use_random_iter:
            state = model.begin_state(loader.batch_size, device)
        logits, state = model(X.to(device), tuple(map(torch.detach, state)))
        loss = -torch.log_softmax(logits, 1)[
            torch.arange(Y.numel()), Y.t().flatten()]
        loss.mean().backward()
        grad_clipping(model, 1)
        sgd(model.parameters(), lr)
        nats, tokens = nats + loss.detach().double().sum(), tokens + len(loss)
    return (nats / tokens).exp()


def epoch(words, **slips):
    """The notebook's function with other steps, marked with its slip.

    Args:
        words: of the explanation.
        slips: functions that take the place of a step: `fresh` of state
            (None at first) and use_random_iter, `kept` of the state, `y` of
            X and Y, `loss` of logits and y, `learn` of loss, model and lr,
            `sum` of loss, y, X and Y, `result` of the sums and batches.
    """
    step = {
        "fresh": lambda state, use_random_iter:
            state is None or use_random_iter,
        "kept": lambda state: tuple(s.detach() for s in state),
        "y": lambda X, Y: Y.T.reshape(-1),
        "loss": F.cross_entropy,
        "learn": learn,
        "sum": lambda loss, y, X, Y: (loss * y.numel(), y.numel()),
        "result": lambda nats, tokens, n: math.exp(nats / tokens),
        **slips,
    }

    def solution(model, train_iter, lr, device, use_random_iter):
        state, nats, tokens, n = None, 0.0, 0, 0
        for X, Y in train_iter:
            X, Y = X.to(device), Y.to(device)
            if step["fresh"](state, use_random_iter):
                state = model.begin_state(X.shape[0], device)
            else:
                state = step["kept"](state)
            logits, state = model(X, state)
            y = step["y"](X, Y)
            loss = step["loss"](logits, y)
            step["learn"](loss, model, lr)
            more = step["sum"](float(loss.detach()), y, X, Y)
            nats, tokens, n = nats + more[0], tokens + more[1], n + 1
        return step["result"](nats, tokens, n)

    return slip(words)(solution)


def learn(loss, model, lr, clip=grad_clipping, update=sgd, back=1):
    (loss * back).backward()
    clip(model, 1)
    update(model.parameters(), lr)


def after(model, *rest):
    """Clip only when the step is done."""
    sgd(*rest)
    grad_clipping(model, 1)


wrong_never_carried = epoch(
    "state not carried from batch to batch", fresh=lambda *_: True)
wrong_carried_between_random_batches = epoch(
    "state carried between random batches",
    fresh=lambda state, _: state is None)
wrong_flag_the_wrong_way_round = epoch(
    "state not carried from batch to batch",
    fresh=lambda state, use_random_iter: state is None or not use_random_iter)
wrong_not_detached = epoch(
    "state not detached between batches", kept=lambda state: state)
wrong_graph_retained = epoch(
    "state not detached between batches", kept=lambda state: state,
    learn=lambda loss, model, lr: (
        loss.backward(retain_graph=True), grad_clipping(model, 1),
        [(p.data.sub_(lr * p.grad), p.grad.zero_())
         for p in model.parameters()]))
wrong_targets_not_transposed = epoch(
    "batch and time swapped", y=lambda X, Y: Y.reshape(-1))
wrong_targets_are_inputs = epoch(
    "off-by-one targets", y=lambda X, Y: X.T.reshape(-1))
wrong_targets_shifted_again = epoch(
    "off-by-one targets", y=lambda X, Y: Y.T.roll(-1, 0).reshape(-1))
wrong_targets_cut_again = epoch(
    "off-by-one targets",
    y=lambda X, Y: Y.T[1:].reshape(-1),
    loss=lambda logits, y: F.cross_entropy(logits[:len(y)], y))
wrong_targets_from_inputs = epoch(
    "off-by-one targets",
    y=lambda X, Y: X.T[1:].reshape(-1),
    loss=lambda logits, y: F.cross_entropy(logits[:len(y)], y))
wrong_last_step_alone = epoch(
    "only the last step counts",
    y=lambda X, Y: Y[:, -1],
    loss=lambda logits, y: F.cross_entropy(logits[-len(y):], y))
wrong_twice_state_and_targets = epoch(
    "batch and time swapped", fresh=lambda *_: True,
    y=lambda X, Y: Y.reshape(-1))
wrong_softmax = epoch(
    "softmax before the cross-entropy",
    loss=lambda logits, y: F.cross_entropy(F.softmax(logits, dim=1), y))
wrong_sum_trained_and_counted = epoch(
    "the loss is divided by the wrong count",
    loss=lambda logits, y: F.cross_entropy(logits, y, reduction="sum"),
    sum=lambda loss, y, X, Y: (loss, y.numel()))
wrong_not_clipped = epoch(
    "no clipping",
    learn=lambda *rest: learn(*rest, clip=lambda model, theta: None))
wrong_clipped_after_the_step = epoch(
    "no clipping, or only after the step",
    learn=lambda loss, model, lr: (
        loss.backward(), after(model, model.parameters(), lr)))
wrong_each_clipped = epoch(
    "clipping each parameter by itself",
    learn=lambda *rest: learn(*rest, clip=clips.wrong_each))
wrong_clipped_by_value = epoch(
    "clipping by value",
    learn=lambda *rest: learn(*rest, clip=clips.wrong_value))
wrong_gradients_not_zeroed = epoch(
    "gradients not zeroed",
    learn=lambda *rest: learn(*rest, update=steps.wrong_not_zeroed))
wrong_no_update = epoch(
    "no step was made", learn=lambda loss, model, lr: loss.backward())
wrong_update_before_backward = epoch(
    "a gradient before backward()",
    learn=lambda loss, model, lr: (
        grad_clipping(model, 1), sgd(model.parameters(), lr),
        loss.backward()))
wrong_lr_of_the_notebook = epoch(
    "lr is not used", learn=lambda loss, model, lr: learn(loss, model, 0.7))
wrong_step_twice_as_long = epoch(
    "the step is twice as long",
    learn=lambda loss, model, lr: learn(loss, model, 2 * lr))
wrong_over_batches = epoch(
    "perplexity averaged over batches instead of tokens",
    sum=lambda loss, *_: (loss, 1))
wrong_mean_of_perplexities = epoch(
    "perplexity averaged over batches instead of tokens",
    sum=lambda loss, *_: (math.exp(loss), 1),
    result=lambda total, tokens, n: total / n)
wrong_no_exp = epoch(
    "exp is missing", result=lambda nats, tokens, n: nats / tokens)
wrong_means_over_tokens = epoch(
    "divided by the wrong count", sum=lambda loss, y, *_: (loss, y.numel()))

@slip("only the last batch is measured")
def wrong_last_batch_measured(
    model, train_iter, lr, device, use_random_iter
):
    state = None
    for X, Y in train_iter:
        if state is None or use_random_iter:
            state = model.begin_state(X.shape[0], device)
        logits, state = model(X, tuple(s.detach() for s in state))
        loss = F.cross_entropy(logits, Y.T.reshape(-1))
        learn(loss, model, lr)
    return math.exp(loss.item())


@slip("a `return` inside the loop")
def wrong_returned_in_the_loop(model, train_iter, lr, device, random):
    for batch in train_iter:
        return right_as_in_the_notebook(model, [batch], lr, device, random)


@slip("one step for the whole epoch")
def wrong_one_step(model, train_iter, lr, device, use_random_iter):
    kept = epoch("", learn=lambda loss, *_: loss.backward())(
        model, train_iter, lr, device, use_random_iter)
    grad_clipping(model, 1)
    sgd(model.parameters(), lr)
    return kept


@slip("measured after the step")
def wrong_measured_afterwards(model, train_iter, lr, device, random):
    state, nats, tokens = None, 0.0, 0
    for X, Y in train_iter:
        if state is None or random:
            state = model.begin_state(X.shape[0], device)
        before, y = tuple(s.detach() for s in state), Y.T.reshape(-1)
        logits, state = model(X, before)
        learn(F.cross_entropy(logits, y), model, lr)
        loss = F.cross_entropy(model(X, before)[0], y)
        nats, tokens = nats + loss.item() * len(y), tokens + len(y)
    return math.exp(nats / tokens)


@slip("no `return`")
def wrong_printed(model, train_iter, lr, device, use_random_iter):
    print(right_as_in_the_notebook(
        model, train_iter, lr, device, use_random_iter))


@slip("the graph is cut")
def wrong_without_gradients(model, train_iter, lr, device, use_random_iter):
    with torch.no_grad():
        return right_as_in_the_notebook(
            model, train_iter, lr, device, use_random_iter)


wrong_threshold = epoch(
    "clipping to the norm 5", learn=lambda loss, model, lr: (
        loss.backward(), clips.right_as_in_the_notebook(model, 5),
        sgd(model.parameters(), lr)))
wrong_threshold_out_of_reach = epoch(
    "or to another norm", learn=lambda loss, model, lr: (
        loss.backward(), clips.right_as_in_the_notebook(model, 1000),
        sgd(model.parameters(), lr)))
wrong_small_threshold = epoch(
    "clipping to the norm 0.5", learn=lambda loss, model, lr: (
        loss.backward(), clips.right_as_in_the_notebook(model, 0.5),
        sgd(model.parameters(), lr)))
wrong_base_two = epoch(
    "2 to the power of nats",
    result=lambda nats, tokens, n: 2 ** (nats / tokens))
wrong_base_ten = epoch(
    "10 to the power of nats",
    result=lambda nats, tokens, n: 10 ** (nats / tokens))
