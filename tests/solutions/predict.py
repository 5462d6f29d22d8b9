"""Greedy writing: (prefix, num_preds, model, vocab, device) to a text."""

import random

import torch

from . import slip


def right_as_in_the_notebook(prefix, num_preds, model, vocab, device):
    indices = vocab[list(prefix)]
    with torch.no_grad():
        state = model.begin_state(1, device)
        X = torch.tensor([indices], device=device)
        for _ in range(num_preds):
            logits, state = model(X, state)
            indices.append(int(logits[-1].argmax()))
            X = torch.tensor([indices[-1:]], device=device)
    return "".join(vocab.to_tokens(indices))


def right_as_in_the_book(prefix, num_preds, net, vocab, device):
    state = net.begin_state(batch_size=1, device=device)
    outputs = [vocab[prefix[0]]]

    def get_input():
        return torch.tensor([outputs[-1]], device=device).reshape((1, 1))

    for y in prefix[1:]:
        _, state = net(get_input(), state)
        outputs.append(vocab[y])
    for _ in range(num_preds):
        y, state = net(get_input(), state)
        outputs.append(int(y.argmax(dim=1).reshape(1)))
    return "".join([vocab.idx_to_token[i] for i in outputs])


def right_from_the_start_each_time(prefix, num_preds, model, vocab, device):
    indices = [vocab[c] for c in prefix]
    for _ in range(num_preds):
        X = torch.tensor(indices, device=device).unsqueeze(0)
        logits, _ = model(X, model.begin_state(1, device))
        indices += [logits[-1, :].topk(1).indices.item()]
    return "".join(map(vocab.to_tokens, indices))


def right_text_that_grows(prefix, num_preds, model, vocab, device):
    text, state = prefix, model.begin_state(1, device)
    logits, state = model(
        torch.as_tensor(vocab[list(prefix)], device=device)[None], state)
    while len(text) < len(prefix) + num_preds:
        best = torch.softmax(logits[-1], dim=0).max(dim=0).indices.tolist()
        text += vocab.to_tokens(best)
        logits, state = model(torch.tensor([[best]], device=device), state)
    return text


def right_by_comparing(prefix, num_preds, model, vocab, device):
    H, = model.begin_state(1, device)
    for char in prefix:
        logits, (H,) = model(torch.tensor([[vocab[char]]]).to(device), (H,))
    out = []
    for _ in range(num_preds):
        row = logits.detach().cpu().reshape(-1).tolist()
        out.append(max(range(len(row)), key=row.__getitem__))
        logits, (H,) = model(torch.tensor([out[-1:]]).to(device), [H])
    return prefix + "".join(vocab.to_tokens(out))


@torch.inference_mode()
def right_tensors_put_together(prefix, num_preds, model, vocab, device):
    X = torch.tensor([vocab[list(prefix)]], device=device)
    written, state = X, model.begin_state(1, device)
    for _ in range(num_preds):
        logits, state = model(X, state)
        X = logits[-1:].argmax(-1, keepdim=True)
        written = torch.cat([written, X], 1)
    return "".join(vocab.to_tokens(written[0].tolist()))


def text(words, **slips):
    """The notebook's function with other steps, marked with its slip.

    Args:
        words: of the explanation.
        slips: functions that take the place of a step: `first` of the
            prefix's indices (what is read), `X` of indices, `pick` of the
            logits, `next` of all indices, `kept` of the old and new state,
            `times` of num_preds, `rows` of the prefix, `result` of indices,
            vocab and the length of the prefix.
    """
    step = {
        "first": lambda indices: indices,
        "X": lambda indices: torch.tensor([indices]),
        "pick": lambda logits: int(logits[-1].argmax()),
        "next": lambda indices: indices[-1:],
        "kept": lambda old, new: new,
        "times": lambda num_preds: num_preds,
        "rows": lambda prefix: 1,
        "result": lambda indices, vocab, n: "".join(
            vocab.to_tokens(indices)),
        **slips,
    }

    def solution(prefix, num_preds, model, vocab, device):
        indices = vocab[list(prefix)]
        state = model.begin_state(step["rows"](prefix), device)
        X = step["X"](step["first"](indices)).to(device)
        for _ in range(step["times"](num_preds)):
            logits, new = model(X, state)
            state = step["kept"](state, new)
            indices = [*indices, step["pick"](logits)]
            X = step["X"](step["next"](indices)).to(device)
        return step["result"](indices, vocab, len(prefix))

    return slip(words)(solution)


wrong_prefix_not_read = text(
    "the prefix is not read in", first=lambda indices: indices[-1:])
wrong_first_character_alone = text(
    "only the first character of the prefix is read",
    first=lambda indices: indices[:1])
wrong_last_character_not_read = text(
    "is its first or its last character cut off",
    first=lambda indices: indices[:-1])
wrong_last_character_not_read_of_several = text(
    "the last character of the prefix is not read",
    first=lambda indices: indices[:-1] or indices)
wrong_first_character_not_read = text(
    "the first character of the prefix is not read",
    first=lambda indices: indices[1:] or indices)
wrong_backwards = text(
    "the prefix is read backwards", first=lambda indices: indices[::-1])
wrong_state_not_carried = text(
    "state not carried from step to step", kept=lambda old, new: old)
wrong_whole_text_with_state = text(
    "the whole text is read again at every step, with the state carried on",
    next=lambda indices: indices)
wrong_argmax_over_time = text(
    "argmax over the wrong axis",
    pick=lambda logits: int(logits.argmax(dim=0)))
wrong_argmax_over_time_last = text(
    "argmax over the wrong axis",
    pick=lambda logits: int(logits.argmax(dim=0)[-1]))
wrong_argmax_over_everything = text(
    "argmax over the wrong axis", pick=lambda logits: int(logits.argmax()))
wrong_row_of_the_first_step = text(
    "argmax over the wrong axis",
    pick=lambda logits: int(logits[0].argmax()))
wrong_least_likely = text(
    "not the least likely", pick=lambda logits: int(logits[-1].argmin()))
wrong_value_for_index = text(
    "the index of the largest score",
    pick=lambda logits: int(logits[-1].max()))
wrong_drawn_at_random = text(
    "greedy takes the likeliest every time",
    pick=lambda logits: int(torch.multinomial(logits[-1].softmax(0), 1)))
wrong_one_too_many = text(
    "one character too many", times=lambda num_preds: num_preds + 1)
wrong_one_too_few = text(
    "one character too few", times=lambda num_preds: num_preds - 1)
wrong_one_row_a_character = text(
    "one text is a batch of one", rows=len)
wrong_time_first = text(
    "batch and time swapped", X=lambda indices: torch.tensor([indices]).T)
wrong_no_batch = text(
    "a row more or less of brackets", X=torch.tensor)
wrong_floats = text(
    "floats in place of indices", X=lambda indices: torch.Tensor([indices]))
wrong_without_prefix = text(
    "the prefix is missing in front",
    result=lambda indices, vocab, n: "".join(vocab.to_tokens(indices[n:])))
wrong_list = text(
    "''.join", result=lambda indices, vocab, n: vocab.to_tokens(indices))
wrong_indices = text(
    "vocab.to_tokens", result=lambda indices, vocab, n: indices)
wrong_joined_indices = text(
    "vocab.to_tokens", result=lambda indices, vocab, n: "".join(indices))
wrong_numbers_joined = text(
    "vocab.to_tokens",
    result=lambda indices, vocab, n: "".join(str(i) for i in indices))
wrong_spaces = text(
    "spaces between the characters",
    result=lambda indices, vocab, n: " ".join(vocab.to_tokens(indices)))
wrong_lines = text(
    "lines between the characters",
    result=lambda indices, vocab, n: "\n".join(vocab.to_tokens(indices)))
wrong_only_the_last_kept = text(
    "followed by the last character alone",
    result=lambda indices, vocab, n: "".join(
        vocab.to_tokens(indices[:n] + indices[-1:])))
wrong_printed = text(
    "no `return`",
    result=lambda indices, vocab, n: print("".join(vocab.to_tokens(indices))))
wrong_second_likeliest = text(
    "not the second", pick=lambda logits: int(logits[-1].topk(2).indices[1]))
wrong_index_plus_one = text(
    "off by one",
    pick=lambda logits: (int(logits[-1].argmax()) + 1) % logits.shape[1])
wrong_index_minus_one = text(
    "the token after <unk> is taken for the first",
    pick=lambda logits: (int(logits[-1].argmax()) - 1) % logits.shape[1])
wrong_argmax_over_time_first = text(
    "over the steps, in the first column",
    pick=lambda logits: int(logits.argmax(dim=0)[0]))
wrong_twice_state_and_axis = text(
    "Second: state not carried from step to step", kept=lambda old, new: old,
    pick=lambda logits: int(logits[0].argmax()))


@slip("the last character of the prefix is read twice")
def wrong_last_character_twice(prefix, num_preds, model, vocab, device):
    indices, state = vocab[list(prefix)], model.begin_state(1, device)
    for i in indices:
        _, state = model(torch.tensor([[i]]), state)
    for _ in range(num_preds):
        logits, state = model(torch.tensor([[indices[-1]]]), state)
        indices.append(int(logits.argmax()))
    return "".join(vocab.to_tokens(indices))


@slip("the prefix is not read in")
def wrong_warm_up_forgotten(prefix, num_preds, model, vocab, device):
    indices, state = vocab[list(prefix)], model.begin_state(1, device)
    for i in indices[:-1]:
        model(torch.tensor([[i]]), state)
    for _ in range(num_preds):
        logits, state = model(torch.tensor([[indices[-1]]]), state)
        indices.append(int(logits.argmax()))
    return "".join(vocab.to_tokens(indices))


@slip("it stays as the prefix has left it")
def wrong_state_stays_after_the_prefix(p, num_preds, model, vocab, device):
    indices = vocab[list(p)]
    logits, state = model(
        torch.tensor([indices]), model.begin_state(1, device))
    for _ in range(num_preds):
        indices.append(int(logits[-1].argmax()))
        logits, _ = model(torch.tensor([indices[-1:]]), state)
    return "".join(vocab.to_tokens(indices))


@slip("each prediction has to become the next input")
def wrong_same_input(prefix, num_preds, model, vocab, device):
    indices, state = vocab[list(prefix)], model.begin_state(1, device)
    X = torch.tensor([indices])
    for _ in range(num_preds):
        logits, state = model(X, state)
        indices.append(int(logits[-1].argmax()))
        X = X[:, -1:]
    return "".join(vocab.to_tokens(indices))


@slip("each step reads the prefix")
def wrong_prefix_as_every_input(prefix, num_preds, model, vocab, device):
    indices, state = vocab[list(prefix)], model.begin_state(1, device)
    X = torch.tensor([indices])
    for _ in range(num_preds):
        logits, state = model(X, state)
        indices.append(int(logits[-1].argmax()))
    return "".join(vocab.to_tokens(indices))


@slip("without the prefix")
def wrong_length_with_the_prefix(prefix, num_preds, model, vocab, device):
    more = max(0, num_preds - len(prefix))
    return right_as_in_the_book(prefix, more, model, vocab, device)


@slip("nothing is read after the prefix")
def wrong_model_asked_once(prefix, num_preds, model, vocab, device):
    text, state = prefix, model.begin_state(1, device)
    for char in prefix:
        logits, state = model(torch.tensor([[vocab[char]]]), state)
    for _ in range(num_preds):
        text += vocab.to_tokens(int(logits.argmax(1)))
    return text


@slip("predictions stand in the place of the prefix")
def wrong_prefix_overwritten(prefix, num_preds, model, vocab, device):
    outputs, state = [vocab[prefix[0]]], model.begin_state(1, device)
    for _ in range(len(prefix) - 1 + num_preds):
        y, state = model(torch.tensor([outputs[-1:]]), state)
        outputs.append(int(y.argmax(1)))
    return "".join(vocab.to_tokens(outputs))


@slip("draws at random")
def wrong_random_characters(prefix, num_preds, model, vocab, device):
    return prefix + "".join(
        random.choice("abcdefgh") for _ in range(num_preds))


@slip("only the prefix is there")
def wrong_prefix_alone(prefix, num_preds, model, vocab, device):
    text = prefix
    right_as_in_the_book(prefix, num_preds, model, vocab, device)
    return text


@slip("the first character of the prefix is read twice, and written twice")
def wrong_first_character_twice(prefix, num_preds, model, vocab, device):
    outputs, state = [vocab[prefix[0]]], model.begin_state(1, device)
    for char in prefix:
        _, state = model(torch.tensor([outputs[-1:]]), state)
        outputs.append(vocab[char])
    for _ in range(num_preds):
        logits, state = model(torch.tensor([outputs[-1:]]), state)
        outputs.append(int(logits.argmax(1)))
    return "".join(vocab.to_tokens(outputs))


@slip("each character of the prefix is read twice")
def wrong_prefix_read_twice(prefix, num_preds, model, vocab, device):
    text, state = prefix, model.begin_state(1, device)
    for char in prefix:
        _, state = model(torch.tensor([[vocab[char]]]), state)
        logits, state = model(torch.tensor([[vocab[char]]]), state)
    for _ in range(num_preds):
        text += vocab.to_tokens(int(logits.argmax(1)))
        logits, state = model(torch.tensor([[vocab[text[-1]]]]), state)
    return text


@slip("each prediction is read twice")
def wrong_predictions_read_twice(prefix, num_preds, model, vocab, device):
    text, state = prefix, model.begin_state(1, device)
    for char in prefix:
        logits, state = model(torch.tensor([[vocab[char]]]), state)
    for _ in range(num_preds):
        text += vocab.to_tokens(int(logits.argmax(1)))
        X = torch.tensor([[vocab[text[-1]]]])
        _, state = model(X, state)
        logits, state = model(X, state)
    return text


@slip("state not carried from step to step")
def wrong_state_lost_in_both_loops(prefix, num_preds, model, vocab, device):
    text, state = prefix, model.begin_state(1, device)
    for char in prefix:
        logits, _ = model(torch.tensor([[vocab[char]]]), state)
    for _ in range(num_preds):
        text += vocab.to_tokens(int(logits.argmax(1)))
        logits, _ = model(torch.tensor([[vocab[text[-1]]]]), state)
    return text


@slip("the prefix is not read in")
def wrong_state_lost_in_the_first_loop(p, num_preds, model, vocab, device):
    text, state = p, model.begin_state(1, device)
    for char in p:
        logits, _ = model(torch.tensor([[vocab[char]]]), state)
    for _ in range(num_preds):
        text += vocab.to_tokens(int(logits.argmax(1)))
        logits, state = model(torch.tensor([[vocab[text[-1]]]]), state)
    return text


@slip("it is lost when the prefix has been read")
def wrong_state_lost_between_the_loops(p, num_preds, model, vocab, device):
    text, state = p, model.begin_state(1, device)
    for char in p:
        logits, state = model(torch.tensor([[vocab[char]]]), state)
    state = model.begin_state(1, device)
    for _ in range(num_preds):
        text += vocab.to_tokens(int(logits.argmax(1)))
        logits, state = model(torch.tensor([[vocab[text[-1]]]]), state)
    return text


@slip("state not carried from step to step")
def wrong_state_anew_at_each_step(prefix, num_preds, model, vocab, device):
    text, state = prefix, model.begin_state(1, device)
    for char in prefix:
        logits, state = model(torch.tensor([[vocab[char]]]), state)
    for _ in range(num_preds):
        text += vocab.to_tokens(int(logits.argmax(1)))
        logits, _ = model(torch.tensor([[vocab[text[-1]]]]),
                          model.begin_state(1, device))
    return text


@slip(".detach() comes before it, or torch.no_grad()")
def wrong_numpy(prefix, num_preds, model, vocab, device):
    logits, _ = model(torch.tensor([vocab[list(prefix)]]),
                      model.begin_state(1, device))
    return logits.numpy()
