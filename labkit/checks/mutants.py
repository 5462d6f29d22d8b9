"""The recurrences with a slip in them, to recognise a wrong result by.

With no keyword each of them is right. The tables give, for the sentence that
a student reads, the keyword that makes the slip. Shapes as in `networks`.
"""

from itertools import permutations
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import Slips, alike, named


def same(x: Any) -> Any:
    """What is left of a function that was forgotten."""
    return x


def _orders(gates: str, what: str) -> Slips:
    """Every wrong order, in which gate k reads the place order[k]."""
    orders = list(permutations(range(len(gates))))[1:]
    return {f"{slips.GATE_ORDER}: " + ", ".join(
        gates[order.index(k)] for k in range(len(gates))
    ) + f" where {what} come as " + ", ".join(gates): {"order": order}
        for order in orders}


def _bare(gates: str) -> Slips:
    """One gate alone with something else in place of its sigmoid."""
    return {f"no sigmoid around the gate {gate} (here {words})":
            {"bare": gate, "odd": odd} for gate in gates for words, odd in (
                ("it is taken as it is", same), ("a tanh", torch.tanh))}


def plain_step(
    X, state, params, *, turned=False,
    made=lambda x, h, b: torch.tanh(x + h + b), added=False,
) -> tuple[torch.Tensor, ...]:
    """A step of the plain network: what is `made` of its three summands."""
    (H,), (W_xh, W_hh, b_h) = state, params
    new = made(X @ W_xh, H @ (W_hh.T if turned else W_hh), b_h)
    return (new + added * H,)


_WHOLE = "the tanh goes around the whole sum, X W_xh + H W_hh + b_h"
_UNBIASED = {"made": lambda x, h, b: torch.tanh(x + h)}

RNN: Slips = {
    slips.NOT_CARRIED: {"carried": ""},
    slips.NOT_CARRIED + " (nor from the batch before)":
        {"carried": "", "fill": 0},
    slips.MISSING_BIAS + ": b_h": _UNBIASED,
    slips.MISSING_BIAS + ": b_h and b_q": {**_UNBIASED, "output_bias": False},
    "no tanh": {"made": lambda x, h, b: x + h + b},
    "a sigmoid in place of tanh":
        {"made": lambda x, h, b: (x + h + b).sigmoid()},
    "a ReLU in place of tanh": {"made": lambda x, h, b: (x + h + b).relu()},
    "W_hh is transposed": {"turned": True},
    _WHOLE: {"made": lambda x, h, b: x.tanh() + h + b},
    _WHOLE + " (the bias too)": {"made": lambda x, h, b: (x + h).tanh() + b},
    _WHOLE + " (once, around all of it)":
        {"made": lambda x, h, b: x.tanh() + h.tanh() + b},
    _WHOLE + " (and there is but one)":
        {"made": lambda x, h, b: ((x + b).tanh() + h.tanh()).tanh()},
    "the new state takes the place of the old one, it is not added to it":
        {"added": True},
}


def gated_step(
    X, state, params, *, bias=True, order=(0, 1, 2, 3),
    past=lambda H, C: C, shown=torch.tanh, candidate=torch.tanh,
    gate=torch.sigmoid, bare="", odd=same, old_shown=False, turned=False,
    added=True, kept=same,
) -> tuple[torch.Tensor, ...]:
    """A step of the LSTM, right or with one slip.

    `odd` is what the gate called `bare` takes in place of a sigmoid.
    """
    H, C = state
    pre = [X @ W_x + H @ (W_h.T if turned else W_h) + bias * b
           for W_x, W_h, b in (params[3 * k:3 * k + 3] for k in order)]
    I, F_, O = ((odd if name == bare else gate)(p)
                for name, p in zip("IFO", pre[:3], strict=True))
    after = F_ * past(H, C) + (I if added else 1 - F_) * candidate(pre[3])
    # What else may be shown comes third.
    return O * shown(C if old_shown else after), kept(after), after.tanh()


LSTM: Slips = {
    slips.CELL_LOST: {"past": lambda H, C: 0 * C},
    slips.CELL_LOST + " (each step starts from the first C)":
        {"carried": "H"},
    slips.CELL_LOST + " (H stands where C should)":
        {"past": lambda H, C: H},
    "C itself is carried on, not tanh(C)": {"kept": torch.tanh},
    slips.NOT_CARRIED: {"carried": "C"},
    slips.NOT_CARRIED + " (neither H nor C)": {"carried": ""},
    slips.MISSING_BIAS + " in the gates": {"bias": False},
    slips.MISSING_BIAS + " in the gates, and b_q":
        {"bias": False, "output_bias": False},
    "no tanh where the cell is shown: H = O * tanh(C)": {"shown": same},
    "a sigmoid where the cell is shown: H = O * tanh(C)":
        {"shown": torch.sigmoid},
    "the candidate takes a tanh, the gates a sigmoid":
        {"candidate": torch.sigmoid},
    "the gates take a sigmoid, the candidate alone a tanh":
        {"gate": torch.tanh},
    "no sigmoid around the gates": {"gate": same},
    "no tanh around the candidate": {"candidate": same},
    "the input gate is not used: C = F * C + I * candidate": {"added": False},
    "the input gate is not used: it says how much of the candidate comes in":
        {"bare": "I", "odd": torch.ones_like},
    "the forget gate is not used: it says how much of the old cell stays":
        {"bare": "F", "odd": torch.ones_like},
    "the output gate is not used: it says how much of the cell is shown":
        {"bare": "O", "odd": torch.ones_like},
    "the old cell is shown: C has to be computed anew before H":
        {"old_shown": True},
    "the scores are read off the cell C; they come from H": {"read": 1},
    "the scores are read off tanh(C); they come from H = O * tanh(C)":
        {"read": 2},
    "H and C are swapped where the state is taken apart: it is (H, C)":
        {"swapped": True},
    **_bare("IFO"),
    "the W_h are transposed": {"turned": True},
    **_orders("ifoc", "the parameters"),
}

# What goes wrong around a step, whichever it is.
AROUND: Slips = {
    slips.START_IGNORED: {"fill": 0},
    slips.START_IGNORED + " (nor from ones)": {"fill": 1},
    slips.MISSING_BIAS + ": b_q": {"output_bias": False},
    "the scores are read off the old state, before it is computed anew":
        {"late": True},
    "the scores are H W_hq + b_q as they are, with no tanh around them":
        {"scores": torch.tanh},
}


@torch.no_grad()
def logits(
    step, inputs, state, params, *, fill=None, carried="HC", output_bias=True,
    late=False, read=0, scores=same, swapped=False, **slip: Any,
) -> torch.Tensor:
    """Scores of every step, right or with one slip, here or in `step`."""
    *blocks, W_hq, b_q = params
    first = state if fill is None else [
        torch.full_like(s, fill) for s in state]
    state = first = first[::-1] if swapped else first
    made = []
    for X in inputs:
        old = [now if name in carried else begin for name, now, begin in zip(
            "HC", state, first, strict=False)]
        state = step(X, old, blocks, **slip)
        shown = (old if late else state)[read]
        made.append(scores(shown @ W_hq + output_bias * b_q))
    return torch.cat(made)


def of_logits(got, network: str, inputs, start, params, shape) -> str:
    """The slip of an "RNN" or "LSTM" that leads to these scores, or ""."""
    T, B, V, H = shape
    step, table = {
        "RNN": (plain_step, RNN), "LSTM": (gated_step, LSTM)}[network]
    whole = logits(step, inputs, start, params)
    by_step = whole.reshape(T, B, V)
    eye = torch.eye(H, device=inputs.device)
    forms = {
        slips.SWAPPED: lambda: by_step.transpose(0, 1).reshape(-1, V),
        slips.SWAPPED + " (the loop has to run over the steps)":
            lambda: logits(step, inputs.transpose(0, 1), start, params),
        "the logits need the shape (T*B, V): torch.cat, not torch.stack":
            lambda: by_step,
        "the logits need the shape (T*B, V): torch.cat along the first axis":
            lambda: torch.cat([*by_step], 1),
        "only the last step's scores are returned; every step has some":
            lambda: by_step[-1],
        "only the first step's scores are returned: a `return` inside the "
        "loop ends it": lambda: by_step[0],
        "the last step is left out": lambda: whole[:-B],
        "the first step is left out":
            lambda: logits(step, inputs[1:], start, params),
        "the hidden states are returned; the scores are H W_hq + b_q":
            lambda: logits(
                step, inputs, start, [*params[:-2], eye, 0 * eye[0]]),
        "the steps are read backwards":
            lambda: logits(step, inputs.flip(0), start, params),
        "the steps are read backwards, the scores put back in order":
            lambda: logits(step, inputs.flip(0), start, params).reshape(
                T, B, V).flip(0).flatten(0, 1),
        "tokens are returned where their scores are asked for: no argmax "
        "here": lambda: whole.argmax(-1),
        slips.SOFTMAX: lambda: whole.softmax(-1),
        slips.SOFTMAX + " (log_softmax too)": lambda: whole.log_softmax(-1),
    }
    return named(forms, lambda form: alike(got, form())) or named(
        {**table, **AROUND},
        lambda slip: alike(got, logits(step, inputs, start, params, **slip)))


def gru_step(
    X, H, params, *, order=(0, 1, 2), reset=lambda x, h, R, b: x + R * h,
    book=False, input_bias=True, state_bias=True, candidate=torch.tanh,
    gate=torch.sigmoid, bare="", odd=same,
    update=lambda Z, N, H: (1 - Z) * N + Z * H, rows=False, ends=False,
) -> torch.Tensor:
    """The GRU's next state, right or with one slip.

    `odd` and `bare` are as in `gated_step`. In the `book` the reset gate comes
    before the product; here h holds H W_hn + b_hn, and b is b_hn.
    """
    W_x, W_h, b_x, b_h = params
    if rows:  # taken apart as if the blocks stood one below the other
        W_x, W_h = (torch.cat([*W.reshape(3, -1, H.shape[1])], 1)
                    for W in (W_x, W_h))
    if ends:  # every third column
        W_x, W_h, b_x, b_h = (
            torch.cat([p[..., k::3] for k in range(3)], -1) for p in params)
    b_x, b_h = input_bias * b_x, state_bias * b_h
    x, h = (X @ W_x + b_x).chunk(3, 1), (H @ W_h + b_h).chunk(3, 1)
    r, z, n = order
    R, Z = ((odd if name == bare else gate)(x[k] + h[k])
            for name, k in (("R", r), ("Z", z)))
    b_n = b_h.chunk(3)[n]
    inner = (x[n] + (R * H) @ W_h.chunk(3, 1)[n] + b_n if book
             else reset(x[n], h[n], R, b_n))
    return update(Z, candidate(inner), H).detach()


_RESET = "the reset gate multiplies the state's part, H W_hn + b_hn"

GRU: Slips = {
    "reset before the product, as in the book: PyTorch's equation resets "
    "after it, R * (H W_hn + b_hn)": {"book": True},
    "Z and 1 - Z are swapped: Z = 1 keeps the old state":
        {"update": lambda Z, N, H: Z * N + (1 - Z) * H},
    "the reset gate is not used": {"reset": lambda x, h, R, b: x + h},
    _RESET + ", and not the input's":
        {"reset": lambda x, h, R, b: R * (x + h)},
    _RESET + ", in place of the input's":
        {"reset": lambda x, h, R, b: R * x + h},
    _RESET + ", the bias b_hn as well":
        {"reset": lambda x, h, R, b: x + R * (h - b) + b},
    _RESET + ", and not 1 - R":
        {"reset": lambda x, h, R, b: x + (1 - R) * h},
    "the update gate is not used": {"update": lambda Z, N, H: N},
    "the new state is a mean, (1 - Z) N + Z H: the weights add up to 1":
        {"update": lambda Z, N, H: N + Z * H},
    slips.MISSING_BIAS + ": b_x": {"input_bias": False},
    slips.MISSING_BIAS + ": b_h": {"state_bias": False},
    slips.MISSING_BIAS + ": b_x and b_h":
        {"input_bias": False, "state_bias": False},
    "no tanh around the candidate": {"candidate": same},
    "a sigmoid in place of tanh around the candidate":
        {"candidate": torch.sigmoid},
    "a ReLU in place of tanh around the candidate": {"candidate": torch.relu},
    "no sigmoid around the gates": {"gate": same},
    "the gates take a sigmoid, the candidate alone a tanh":
        {"gate": torch.tanh},
    **_bare("RZ"),
    "the blocks stand side by side, H columns each: a reshape mixes them":
        {"rows": True},
    "the blocks stand side by side, H columns each: no column between":
        {"ends": True},
    **_orders("rzn", "the blocks"),
}
