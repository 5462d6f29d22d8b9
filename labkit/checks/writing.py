"""The check of greedy writing: notebook 3."""

import re
from collections.abc import Iterator
from functools import partial

import torch

from labkit.checks import slips
from labkit.checks.clockwork import Clockwork
from labkit.checks.comparing import require, short
from labkit.checks.harness import CheckFailed, call, check, devices
from labutils.text import Vocab


@check
def predict(function) -> str:
    """Greedy writing."""
    vocab = Vocab([list("abcdefghijk lmnopqrst")])
    for device in devices():
        model = Clockwork(len(vocab), device)
        _judge([
            _Case(function, prefix, num_preds, model, vocab, device)
            for prefix in ("time machine", "i", "so long", "ob")
            for num_preds in (7, 1, 16)])
    return (
        "The prefix is read from its first character on, the state goes from "
        "step to step, and each likeliest character becomes the next input."
    )


class _Case:
    """What a solution has written."""

    def __init__(
        self, function, prefix: str, num_preds: int, model: Clockwork,
        vocab: Vocab, device: torch.device,
    ) -> None:
        self.asked = prefix, num_preds, model, vocab
        self.tried = f"predict({prefix!r}, {num_preds}, ...)"
        self.write = partial(
            call, function, *self.asked, device, tried=self.tried)
        try:
            self.got = self.write()
        except CheckFailed as failed:
            failed.likely = _of_error(failed.got) or failed.likely
            raise
        self.expected = _text(*self.asked)
        require(self.got is not None, "None", short(self.expected),
                slips.NOTHING, self.tried)

    @property
    def right(self) -> bool:
        return isinstance(self.got, str) and self.got == self.expected

    def comes_of(self, slip: dict) -> bool:
        """Whether a slip leads to what was got."""
        try:
            return self.got == _text(*self.asked, **slip)
        except (RuntimeError, ValueError, IndexError):
            return False  # it would be an error


def _judge(cases: list[_Case]) -> None:
    """A slip is named only where it explains what came of every case."""
    wrong = [case for case in cases if not case.right]
    if not wrong:
        return
    forms = [_forms(case) for case in cases]
    likely = next((
        name for name in forms[0]
        if all(type(case.got) is type(form[name]) and case.got == form[name]
               for case, form in zip(cases, forms, strict=True))), "")
    likely = likely or next((
        name for name, slip in [*_SLIPS.items(), *_two_slips()]
        if all(case.comes_of(slip) for case in cases)), "")
    first = wrong[0]
    if not likely and first.write() != first.got:
        likely = (
            "greedy takes the likeliest every time; this draws at random, or "
            "remembers the call before")
    raise CheckFailed(
        short(first.got), short(first.expected), likely, first.tried)


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


def _of_error(text: str) -> str:
    """What an error means here and nowhere else."""
    return next(
        (likely for found, likely in _ERRORS if re.search(found, text)), "")


def _forms(case: _Case) -> dict[str, object]:
    """The right characters in a wrong form."""
    (prefix, num_preds, _, vocab), expected = case.asked, case.expected
    pieces = _pieces(*case.asked)
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
        "one character too few": "".join(pieces[:-1]),
        "num_preds counts the new characters, without the prefix":
            "".join(pieces[:max(num_preds, len(prefix))]),
        "the prefix is there twice": prefix + expected,
        "the last character of the prefix is there twice":
            prefix + prefix[-1] + "".join(new),
        "the last character is there twice": expected + "".join(new[-1:]),
        "predictions stand in the place of the prefix: read its characters, "
        "and keep them": _text(
            prefix[:1], len(prefix) - 1 + num_preds, *case.asked[2:]),
        "the prefix is followed by the last character alone":
            prefix + "".join(new[-1:]),
    }


# Of _text: the arguments that make each slip.
_SLIPS: dict[str, dict] = {
    "one character too many": {"extra": 1},
    "the prefix is not read in: it has to warm up the state, and that state "
    "goes on": {"warm": "last"},
    "only the first character of the prefix is read": {"warm": "first"},
    "the first character of the prefix is not read": {"warm": "late"},
    "the last character of the prefix is not read": {"warm": "short"},
    "the last character of the prefix is read twice": {"warm": "twice"},
    "the prefix is read backwards": {"warm": "back"},
    slips.NOT_CARRIED: {"carried": "never"},
    slips.NOT_CARRIED + " (here it stays as the prefix has left it)":
        {"carried": "stuck"},
    "the whole text is read again at every step, with the state carried on: "
    "one of the two": {"again": True},
    "each prediction has to become the next input": {"feed": False},
    "nothing is read after the prefix: each prediction has to become the next "
    "input": {"frozen": True},
    "each step reads the prefix: only what was just written has to be read":
        {"prefix_again": True},
    "the index of the largest score, not the score itself: argmax, not max":
        {"axis": "score"},
    slips.ARGMAX_AXIS + " (here over the steps)": {"axis": "steps"},
    slips.ARGMAX_AXIS + " (here over the steps, in the first column)":
        {"axis": "first step"},
    slips.ARGMAX_AXIS + " (here in the row of the first step)":
        {"axis": "first"},
    slips.ARGMAX_AXIS + " (here in the row of the step before the last)":
        {"axis": "before"},
    slips.ARGMAX_AXIS + " (here over all steps together)": {"axis": "all"},
    "the likeliest character, not the least likely": {"axis": "argmin"},
    "the likeliest character, not the second": {"axis": "second"},
    "the prediction is off by one: the index of the score is the token's":
        {"axis": "next"},
    "the token after <unk> is taken for the first: the index of the score is "
    "the token's": {"axis": "less"},
}



def _two_slips() -> Iterator[tuple[str, dict]]:
    """A wrong axis together with another slip."""
    for first, axis in _SLIPS.items():
        for second, slip in _SLIPS.items():
            if "axis" in axis and "axis" not in slip:
                yield (f"two slips. First: {first}. Second: {second}",
                       {**axis, **slip})


_PICKS = {
    "last": lambda x: x[-1].argmax(),
    "first": lambda x: x[0].argmax(),
    "before": lambda x: x[-2:][0].argmax(),
    "steps": lambda x: x.argmax(0)[-1],
    "first step": lambda x: x.argmax(0)[0],
    "all": lambda x: x.max(0).values.argmax(),
    "argmin": lambda x: x[-1].argmin(),
    "second": lambda x: x[-1].argsort()[-2],
    "score": lambda x: x[-1].max(),
    "next": lambda x: (x[-1].argmax() + 1) % x.shape[1],
    "less": lambda x: (x[-1].argmax() - 1) % x.shape[1],
}


def _text(prefix, num_preds, model, vocab, **slip) -> str:
    """What greedy writing gives, right or with one slip."""
    return "".join(_pieces(prefix, num_preds, model, vocab, **slip))


@torch.no_grad()
def _pieces(
    prefix, num_preds, model, vocab, *, warm="all", carried="always",
    again=False, feed=True, prefix_again=False, frozen=False,
    axis="last", extra=0,
) -> list[str]:
    device = model.params[0].device
    indices = vocab[list(prefix)]
    read = {"all": indices, "last": indices[-1:], "first": indices[:1],
            "twice": [*indices, indices[-1]], "late": indices[1:] or indices,
            "short": indices[:-1] or indices, "back": indices[::-1]}[warm]
    state = model.begin_state(1, device)
    for step in range(num_preds + extra):
        if step == 0 or not frozen:
            logits, after = model(torch.tensor([read], device=device), state)
        if carried == "always" or (carried == "stuck" and step == 0):
            state = after
        indices = [*indices, int(_PICKS[axis](logits))]
        if prefix_again:
            continue
        read = indices if again else indices[-1:] if feed else read[-1:]
    return vocab.to_tokens(indices)
