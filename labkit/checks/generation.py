"""The check of greedy writing: notebook 3."""

from functools import partial
from itertools import product
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import Slips, combined, named, require, short
from labkit.checks.harness import (
    CheckFailed,
    call,
    check,
    devices,
    generator,
    trying,
)
from labutils.scratch import RNNModelScratch, init_rnn_state, rnn
from labutils.text import Vocab


class Clockwork(RNNModelScratch):
    """A model whose next token follows from all that it has read.

    Its state is one number; each token changes it by a known rule, so every
    slip leads to another text.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        super().__init__(size, 1, device, lambda *_: [torch.zeros(
            1, device=device, requires_grad=True)], init_rnn_state, rnn)
        self.rule = torch.randint(101, 499, (3,), generator=generator(5))

    def __call__(self, X: torch.Tensor, state):
        # An error where a network would have one, in clearer words.
        shape, size = tuple(X.shape), self.vocab_size
        if len(shape) != 2 or shape[0] != 1 or not shape[1]:
            raise ValueError(f"X has the shape {shape}: expected (1, T)")
        if X.dtype != torch.int64:
            raise TypeError(f"indices of {X.dtype}: expected torch.int64")
        if int(X.max()) >= size:
            raise IndexError(f"the index {int(X.max())} of {size} tokens")
        if len(state[0]) != 1:
            raise ValueError(
                f"a state of {len(state[0])} rows: X has one, so expected 1")
        (number,), logits = state, []
        a, b, c = self.rule.tolist()
        others = size - 1  # all but <unk>
        tokens = torch.arange(others, device=X.device)
        for step, column in enumerate(X.T):  # time first
            number = (a * number + b * column[:, None] + c) % 997
            # Every token has a score of its own. They lie close together:
            # drawing at random would show. Later steps have higher ones.
            score = -0.1 * (5 * (tokens - number) % others)
            unknown = torch.full_like(score[:, :1], -1.05)
            logits.append(torch.cat([unknown, score], 1)
                          + 0.001 * step + 0 * self.params[0])
        return torch.cat(logits), (number,)


@check
def predict(function) -> str:
    """Greedy writing."""
    vocab = Vocab([list("abcdefghijk lmnopqrst")])
    for device in devices():
        model, cases = Clockwork(len(vocab), device), []
        write = partial(
            call, function, explain=partial(slips.matching, _ERRORS))
        for asked in product(("time machine", "i", "so long", "ob"),
                             (7, 1, 16), [model], [vocab]):
            tried = f"predict({asked[0]!r}, {asked[1]}, ...)"
            expected = _text(*asked)
            with trying(tried):
                got = write(*asked, device)
                require(got is not None, "None", short(expected),
                        slips.NOTHING)
            cases.append((asked, got, expected, tried))
        for asked, got, expected, tried in cases:
            if not _same(got, expected):
                again = write(*asked, device)
                raise CheckFailed(short(got), short(expected),
                                  _likely(cases, again == got), tried)
    return ("The prefix is read from its first character on, the state goes "
            "from step to step, and each likeliest character becomes the next "
            "input.")


def _likely(cases, repeatable: bool) -> str:
    """A slip is named only where it explains what came of every case."""
    forms = [(got, _forms(expected, *asked))
             for asked, got, expected, _ in cases]
    for form in forms[0][1]:
        if all(_same(got, made[form]) for got, made in forms):
            return form
    if not repeatable:
        return ("greedy takes the likeliest every time; this draws at random, "
                "or remembers the call before")
    short_ones_first = sorted(cases, key=lambda case: case[0][1])
    return named(combined(PICKS, READ, STATES, NEXT), lambda slips: all(
        _same(got, _text(*asked, *slips))
        for asked, got, *_ in short_ones_first))


def _same(got: Any, expected: Any) -> bool:
    return type(got) is type(expected) and got == expected


_ERRORS = (
    (r"X has the shape \((1, 0|0)", "nothing is left of a prefix of one "
     "character: is its first or its last character cut off?"),
    (r"X has the shape \(\d+, 1\)", slips.SWAPPED),
    (r"X has the shape", "a row more or less of brackets: "
     "torch.tensor([indices]) is one row"),
    (r"indices of torch.float", slips.FLOATS),
    (r"a state of \d+ rows", "one text is a batch of one: begin_state(1, "
     "device)"),
    (r"converted to Scalar|converted to an index|shape '\[1?\]' is invalid|"
     r"list index out of range|the index \d+ of|only one element|"
     r"only integer tensors|with \d+ elements",
     "one index is needed at each step: perhaps " + slips.ARGMAX_AXIS),
    (r"sequence item 0: expected str", "join puts characters together: "
     "vocab.to_tokens makes them from indices"),
)


def _forms(expected, prefix, num_preds, model, vocab) -> dict[str, object]:
    """The right characters in a wrong form."""
    pieces, rest = list(expected), (model, vocab)
    new, right = pieces[len(prefix):], vocab[pieces]
    return {
        "a list of characters: put them together with ''.join": pieces,
        "a list of characters, and the prefix is missing": new,
        "indices in place of characters: vocab.to_tokens": right,
        "spaces between the characters: ''.join puts them together":
            " ".join(pieces),
        "lines between the characters: ''.join puts them together":
            "\n".join(pieces),
        "the list as text: ''.join puts the characters together": str(pieces),
        "indices in place of characters: vocab.to_tokens, then ''.join":
            "".join(map(str, right)),
        "the prefix is missing in front": "".join(new),
        "nothing is written: only the prefix is there": prefix,
        "one character too few": expected[:-1],
        "one character too many": _text(prefix, num_preds + 1, *rest),
        "num_preds counts the new characters, without the prefix":
            expected[:max(num_preds, len(prefix))],
        "the prefix is there twice": prefix + expected,
        "the last character of the prefix is there twice":
            prefix + prefix[-1] + "".join(new),
        "the last character is there twice": expected + expected[-1],
        "the first character of the prefix is read twice, and written twice":
            _text(prefix[0] + prefix, num_preds, *rest),
        "the last character of the prefix is read twice, and written twice":
            _text(prefix + prefix[-1], num_preds, *rest),
        "predictions stand in the place of the prefix: read its characters, "
        "and keep them": _text(
            prefix[:1], len(prefix) - 1 + num_preds, *rest),
        "the prefix is followed by the last character alone":
            prefix + expected[-1],
    }


_FEED = "each prediction has to become the next input"
_INDEX = "the index of the score is the token's"

# What is taken from scores, (T, V).
PICKS: Slips = {
    "": lambda x: x[-1].argmax(),
    "the index of the largest score, not the score itself: argmax, not max":
        lambda x: x[-1].max(),
    slips.ARGMAX_AXIS + " (here over the steps)": lambda x: x.argmax(0)[-1],
    slips.ARGMAX_AXIS + " (here over the steps, in the first column)":
        lambda x: x.argmax(0)[0],
    slips.ARGMAX_AXIS + " (here in the row of the first step)":
        lambda x: x[0].argmax(),
    slips.ARGMAX_AXIS + " (here over all steps together)":
        lambda x: x.max(0).values.argmax(),
    "the likeliest character, not the least likely": lambda x: x[-1].argmin(),
    "the likeliest character, not the second": lambda x: x[-1].argsort()[-2],
    f"the prediction is off by one: {_INDEX}":
        lambda x: (x[-1].argmax() + 1) % x.shape[1],
    f"the token after <unk> is taken for the first: {_INDEX}":
        lambda x: (x[-1].argmax() - 1) % x.shape[1],
}
# What is read first, of the prefix's indices.
READ: Slips = {
    "": lambda p: p,
    "the prefix is not read in: it has to warm up the state, and that state "
    "goes on": lambda p: p[-1:],
    "only the first character of the prefix is read": lambda p: p[:1],
    "the first character of the prefix is not read": lambda p: p[1:] or p,
    "the last character of the prefix is not read": lambda p: p[:-1] or p,
    "the last character of the prefix is read twice": lambda p: [*p, p[-1]],
    "the first character of the prefix is read twice": lambda p: [p[0], *p],
    "each character of the prefix is read twice":
        lambda p: [c for c in p for _ in range(2)],
    "the prefix is read backwards": lambda p: p[::-1],
}
# Which state a step starts from.
STATES: Slips = {
    "": "last",
    slips.NOT_CARRIED: "first",
    slips.NOT_CARRIED + " (here it stays as the prefix has left it)": "stuck",
    slips.NOT_CARRIED + " (here it stays as it was before the prefix's last "
    "character)": "warm",
    slips.NOT_CARRIED + " (here it is lost when the prefix has been read)":
        "late",
}
# What is read next: of what was read last and of the text so far.
NEXT: Slips = {
    "": lambda seen, text: text[-1:],
    "the whole text is read again at every step, with the state carried on: "
    "one of the two": lambda seen, text: text,
    "each prediction is read twice: one call gives both, scores and state":
        lambda seen, text: text[-1:] * 2,
    _FEED: lambda seen, text: seen[-1:],
    f"{_FEED} (here it is always the first character)":
        lambda seen, text: text[:1],
    f"nothing is read after the prefix: {_FEED}": lambda seen, text: [],
    "each step reads the prefix: only what was just written has to be read":
        lambda seen, text: seen,
}


@torch.no_grad()
def _text(
    prefix, num_preds, model, vocab, pick=PICKS[""], read=READ[""],
    state=STATES[""], next_of=NEXT[""],
) -> str:
    """What greedy writing gives, right or with slips from the tables."""
    device = model.params[0].device
    text = vocab[list(prefix)]
    seen, before = read(text), model.begin_state(1, device)
    if state == "warm" and seen[1:]:
        _, before = model(torch.tensor([seen[:-1]], device=device), before)
        seen = seen[-1:]
    for step in range(num_preds):
        if seen:
            logits, after = model(torch.tensor([seen], device=device), before)
        if state == "last" or state == ("late" if step else "stuck"):
            before = after
        text = [*text, int(pick(logits))]
        seen = next_of(seen, text)
    return "".join(vocab.to_tokens(text))
