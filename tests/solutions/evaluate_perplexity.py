"""Perplexity over a whole text: (model, data_iter) to a number.

`data_iter` yields (X, Y) and has `use_random_iter`; the device is the
notebook's.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from labutils import settings

from . import slip

device = settings.device()


@torch.no_grad()
def right_as_in_the_notebook(model, data_iter):
    nats, tokens, state = 0.0, 0, None
    for X, Y in data_iter:
        X, y = X.to(device), Y.T.reshape(-1).to(device)
        if state is None or data_iter.use_random_iter:
            state = model.begin_state(X.shape[0], device)
        logits, state = model(X, state)
        loss = F.cross_entropy(logits, y, reduction="sum")
        nats += float(loss)
        tokens += y.numel()
    return math.exp(nats / tokens)


def right_without_no_grad(model, data_iter):
    criterion, total, count, state = nn.CrossEntropyLoss(), 0, 0, None
    for X, Y in data_iter:
        if data_iter.use_random_iter or state is None:
            state = model.begin_state(batch_size=len(X), device=device)
        logits, state = model(X.to(device), state)
        state = [s.detach() for s in state]
        total += criterion(logits, Y.T.flatten().to(device)) * Y.numel()
        count += Y.numel()
    return torch.exp(total / count)


def right_all_tokens_at_the_end(model, data_iter):
    state, found = None, []
    with torch.inference_mode():
        for X, Y in data_iter:
            B, T = X.shape
            if state is None or data_iter.use_random_iter:
                H, C = model.begin_state(B, device)
            else:
                H, C = state
            logits, state = model(X.to(device), (H, C))
            log_p = logits.log_softmax(1).reshape(T, B, -1).transpose(0, 1)
            found.append(log_p.gather(2, Y[:, :, None].to(device)).flatten())
        return torch.cat(found).neg().mean().exp().item()


def right_bits(model, data_iter):
    bits, tokens, state = 0.0, 0, None
    with torch.no_grad():
        for X, Y in data_iter:
            if state is None or data_iter.use_random_iter:
                state = model.begin_state(X.size(0), device)
            logits, state = model(X.to(device), state)
            p = torch.softmax(logits.double(), dim=-1)
            for row, target in zip(p, Y.t().reshape(-1), strict=True):
                bits -= math.log2(row[target].item())
                tokens += 1
    return 2 ** (bits / tokens)


def right_step_by_step(model, data_iter):
    loss, tokens, state = 0.0, 0, None
    for X, Y in data_iter:
        if state is None or data_iter.use_random_iter:
            state = model.begin_state(X.shape[0], device)
        for t in range(X.shape[1]):
            logits, state = model(X[:, t:t + 1].to(device), state)
            one_hot = F.one_hot(Y[:, t].to(device), logits.shape[1])
            loss -= torch.einsum(
                "bv,bv->", logits.detach().log_softmax(1), one_hot.float())
            tokens += X.shape[0]
    return float(torch.exp(loss / tokens))


def measured(words, **slips):
    """The notebook's function with other steps, marked with its slip.

    Args:
        words: of the explanation.
        slips: functions that take the place of a step: `fresh` of state
            (None at first) and use_random_iter, `rows` of X, `kept` of the
            state, `loss` of logits, X and Y (a mean), `sum` of loss, X and
            Y, `result` of the sums and the number of batches.
    """
    step = {
        "fresh": lambda state, use_random_iter:
            state is None or use_random_iter,
        "rows": len,
        "kept": lambda state: state,
        "loss": lambda logits, X, Y: F.cross_entropy(
            logits, Y.T.reshape(-1)),
        "sum": lambda loss, X, Y: (loss * Y.numel(), Y.numel()),
        "result": lambda nats, tokens, n: math.exp(nats / tokens),
        **slips,
    }

    @torch.no_grad()
    def solution(model, data_iter):
        state, nats, tokens, n = None, 0.0, 0, 0
        for X, Y in data_iter:
            X, Y = X.to(device), Y.to(device)
            if step["fresh"](state, data_iter.use_random_iter):
                state = model.begin_state(step["rows"](X), device)
            logits, state = model(X, state)
            state = step["kept"](state)
            loss = step["loss"](logits, X, Y)
            more = step["sum"](float(loss), X, Y)
            nats, tokens, n = nats + more[0], tokens + more[1], n + 1
        return step["result"](nats, tokens, n)

    return slip(words)(solution)


wrong_over_batches = measured(
    "perplexity averaged over batches instead of tokens",
    sum=lambda loss, X, Y: (loss, 1))
wrong_mean_of_perplexities = measured(
    "perplexity averaged over batches instead of tokens",
    sum=lambda loss, X, Y: (math.exp(loss), 1),
    result=lambda total, _, n: total / n)
wrong_weighted_perplexities = measured(
    "exp comes last",
    sum=lambda loss, X, Y: (math.exp(loss) * Y.numel(), Y.numel()),
    result=lambda total, tokens, n: total / tokens)
wrong_perplexities_of_tokens = measured(
    "exp comes last",
    loss=lambda logits, X, Y: F.cross_entropy(
        logits, Y.T.reshape(-1), reduction="none").exp().mean(),
    result=lambda total, tokens, n: total / tokens)
wrong_no_exp = measured(
    "exp is missing", result=lambda nats, tokens, n: nats / tokens)
wrong_powers_of_two = measured(
    "2 to the power of nats",
    result=lambda nats, tokens, n: 2 ** (nats / tokens))
wrong_bits = measured(
    "bits, not a perplexity",
    result=lambda nats, tokens, n: nats / tokens / math.log(2))
wrong_sign = measured(
    "upside down", result=lambda nats, tokens, n: math.exp(-nats / tokens))
wrong_sums_over_batches = measured(
    "the loss is divided by the wrong count",
    result=lambda nats, tokens, n: math.exp(nats / n))
wrong_count_of_rows = measured(
    "the loss is divided by the wrong count",
    sum=lambda loss, X, Y: (loss * Y.numel(), X.shape[0]))
wrong_count_of_steps = measured(
    "the loss is divided by the wrong count",
    sum=lambda loss, X, Y: (loss * Y.numel(), X.shape[1]))
wrong_means_over_tokens = measured(
    "the loss is divided by the wrong count",
    sum=lambda loss, X, Y: (loss, Y.numel()))
wrong_rows_times_mean = measured(
    "the loss is divided by the wrong count",
    sum=lambda loss, X, Y: (loss * len(X), Y.numel()))
wrong_full_batches_assumed = measured(
    "the loss is divided by the wrong count",
    sum=lambda loss, X, Y: (loss * Y.numel(), 3 * 4))
wrong_exp_of_the_sum = measured(
    "divide by the number of tokens before exp",
    result=lambda nats, tokens, n: math.exp(nats) / tokens)
wrong_exp_of_the_sum_in_torch = measured(
    "the loss is divided by the wrong count",
    result=lambda nats, tokens, n: torch.tensor(nats).exp())
wrong_never_carried = measured(
    "state not carried from batch to batch", fresh=lambda *_: True)
wrong_carried_between_random_batches = measured(
    "state carried between random batches",
    fresh=lambda state, use_random_iter: state is None)
wrong_flag_the_wrong_way_round = measured(
    "state not carried from batch to batch",
    fresh=lambda state, use_random_iter: state is None or not use_random_iter)
wrong_cell_lost = measured(
    "the LSTM's cell state is lost",
    kept=lambda state: (state[0], torch.zeros_like(state[1])))
wrong_hidden_state_lost = measured(
    "the LSTM's hidden state is lost",
    kept=lambda state: (torch.zeros_like(state[0]), state[1]))
wrong_state_of_one_part = measured(
    "a tuple of another length", kept=lambda state: (state[0],))
wrong_always_three_rows = measured(
    "the last batch has fewer rows", rows=lambda X: 3)
wrong_steps_for_rows = measured(
    "batch and time swapped", rows=lambda X: X.shape[1])
wrong_targets_not_transposed = measured(
    "batch and time swapped",
    loss=lambda logits, X, Y: F.cross_entropy(logits, Y.reshape(-1)))
wrong_targets_are_inputs = measured(
    "off-by-one targets",
    loss=lambda logits, X, Y: F.cross_entropy(logits, X.T.reshape(-1)))
wrong_targets_shifted_again = measured(
    "off-by-one targets",
    loss=lambda logits, X, Y: F.cross_entropy(
        logits, Y.T.roll(-1, 0).reshape(-1)))
wrong_last_step_alone = measured(
    "only the last step counts",
    loss=lambda logits, X, Y: F.cross_entropy(logits[-len(X):], Y[:, -1]),
    sum=lambda loss, X, Y: (loss * len(X), len(X)))
wrong_softmax = measured(
    "softmax before the cross-entropy",
    loss=lambda logits, X, Y: F.cross_entropy(
        logits.softmax(1), Y.T.reshape(-1)))
wrong_no_log_softmax = measured(
    "F.nll_loss wants", loss=lambda logits, X, Y: F.nll_loss(
        logits, Y.T.reshape(-1)))
wrong_twice_softmax_and_batches = measured(
    "softmax before the cross-entropy",
    loss=lambda logits, X, Y: F.cross_entropy(
        logits.softmax(1), Y.T.reshape(-1)),
    sum=lambda loss, X, Y: (loss, 1))
wrong_share_of_right_guesses = measured(
    "never below 1",
    loss=lambda logits, X, Y:
        (logits.argmax(1) == Y.T.flatten()).float().mean(),
    result=lambda right, tokens, n: right / tokens)
wrong_text = measured(
    "one number, the perplexity",
    result=lambda nats, tokens, n: str(math.exp(nats / tokens)))
wrong_tuple = measured(
    "one number, the perplexity",
    result=lambda nats, tokens, n: (math.exp(nats / tokens), tokens))


@slip("a number out of range")
def wrong_product_of_probabilities(model, data_iter):
    product, tokens, state = 1.0, 0, None
    for X, Y in data_iter:
        if state is None or data_iter.use_random_iter:
            state = model.begin_state(len(X), device)
        with torch.no_grad():
            logits, state = model(X.to(device), state)
        p = logits.softmax(1)[torch.arange(Y.numel()), Y.T.reshape(-1)]
        product, tokens = product * p.double().prod(), tokens + Y.numel()
    return (1 / product) ** (1 / tokens)


@slip("only the first batch is measured")
def wrong_returned_in_the_loop(model, data_iter):
    for X, Y in data_iter:
        logits, _ = model(
            X.to(device), model.begin_state(len(X), device))
        return F.cross_entropy(logits, Y.T.reshape(-1).to(device)).exp()


@slip("measuring must not train")
def wrong_trains(model, data_iter):
    for X, Y in data_iter:
        logits, _ = model(
            X.to(device), model.begin_state(len(X), device))
        F.cross_entropy(logits, Y.T.reshape(-1).to(device)).backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
            p.grad = None
    return right_as_in_the_notebook(model, data_iter)


@slip("no backward() while measuring")
def wrong_backward(model, data_iter):
    for X, Y in data_iter:
        logits, _ = model(
            X.to(device), model.begin_state(len(X), device))
        F.cross_entropy(logits, Y.T.reshape(-1).to(device)).backward()
    return right_as_in_the_notebook(model, data_iter)


@slip("ends with its block")
def wrong_gradients_switched_off(model, data_iter):
    torch.set_grad_enabled(False)
    return right_as_in_the_notebook.__wrapped__(model, data_iter)


@slip("torch.no_grad() is enough")
def wrong_parameters_frozen(model, data_iter):
    for p in model.parameters():
        p.requires_grad_(False)
    return right_as_in_the_notebook(model, data_iter)


@slip("no `return`")
def wrong_printed(model, data_iter):
    print(right_as_in_the_notebook(model, data_iter))


wrong_base_two = measured(
    "2 to the power of nats", result=lambda nats, tokens, n: 2 ** (
        nats / tokens))
wrong_base_ten = measured(
    "10 to the power of nats", result=lambda nats, tokens, n: 10 ** (
        nats / tokens))
wrong_base_two_of_batches = measured(
    "2 to the power of nats in place of exp, and",
    result=lambda nats, tokens, n: 2 ** (nats / n),
    sum=lambda loss, X, Y: (loss, 1))


@slip("no backward() while measuring")
@torch.no_grad()
def wrong_backward_without_gradients(model, data_iter):
    for X, Y in data_iter:
        logits, _ = model(
            X.to(device), model.begin_state(len(X), device))
        F.cross_entropy(logits, Y.T.reshape(-1).to(device)).backward()
