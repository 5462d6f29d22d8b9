"""The recurrences with a slip in them, to recognise a wrong result by.

With no keyword each of them is right. The tables give, for the sentence that
a student reads, the keyword that makes the slip. Shapes as in `recurrence`.
"""

from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import Any

import torch

from labkit.checks import slips
from labkit.checks.comparing import Slips

GATES = "ifoc"


def same(x: Any) -> Any:
    """What is left of a function that was forgotten."""
    return x


def _read_as(gates: str, order: tuple[int, ...]) -> str:
    """What each place was taken for, if gate k reads place order[k]."""
    return ", ".join(gates[order.index(k)] for k in range(len(order)))


def plain(
    inputs, state, params, *, carried=True, start=True, bias=True,
    output_bias=True, activation=torch.tanh, late=False, turned=False,
    inner="all", added=False, scores=same, backwards=False, ones=False,
) -> torch.Tensor:
    """Logits of the plain recurrence, right or with one slip."""
    W_xh, W_hh, b_h, W_hq, b_q = params
    first = state[0] if start else torch.zeros_like(state[0]) + ones
    H, logits = first, []
    for X in inputs.flip(0) if backwards else inputs:
        old = H if carried else first
        past = old @ (W_hh.T if turned else W_hh)
        here, bias_h = X @ W_xh, bias * b_h
        H = {
            "all": lambda a, b, c: activation(a + b + c),
            "inputs": lambda a, b, c: activation(a) + b + c,
            "no bias": lambda a, b, c: activation(a + b) + c,
            "each": lambda a, b, c: activation(a) + activation(b) + c,
        }[inner](here, past, bias_h) + (old if added else 0)
        logits.append(scores((old if late else H) @ W_hq
                             + output_bias * b_q))
    return torch.cat(logits[::-1] if backwards else logits)


_WHOLE = "the tanh goes around the whole sum, X W_xh + H W_hh + b_h"

RNN: dict[str, dict[str, Any]] = {
    slips.NOT_CARRIED: {"carried": False},
    slips.NOT_CARRIED + " (nor from the batch before)":
        {"carried": False, "start": False},
    slips.START_IGNORED: {"start": False},
    slips.START_IGNORED + " (nor from ones)": {"start": False, "ones": True},
    slips.MISSING_BIAS + ": b_h": {"bias": False},
    slips.MISSING_BIAS + ": b_q": {"output_bias": False},
    slips.MISSING_BIAS + ": b_h and b_q":
        {"bias": False, "output_bias": False},
    "no tanh": {"activation": same},
    "a sigmoid in place of tanh": {"activation": torch.sigmoid},
    "a ReLU in place of tanh": {"activation": torch.relu},
    "the scores are read off the old state, before it is computed anew":
        {"late": True},
    "W_hh is transposed": {"turned": True},
    _WHOLE: {"inner": "inputs"},
    _WHOLE + " (the bias too)": {"inner": "no bias"},
    _WHOLE + " (once, around all of it)": {"inner": "each"},
    "the new state takes the place of the old one, it is not added to it":
        {"added": True},
    "the scores are H W_hq + b_q as they are, with no tanh around them":
        {"scores": torch.tanh},
    "the steps are read backwards, the scores put back in order":
        {"backwards": True},
}


def gated(
    inputs, state, params, *, order=(0, 1, 2, 3), cell="C", carried=True,
    start=True, bias=True, output_bias=True, shown=torch.tanh,
    candidate=torch.tanh, gate=torch.sigmoid, open_gate="", late="",
    turned=False, added=True, kept=same,
) -> torch.Tensor:
    """Logits of the LSTM, right or with one slip."""
    *blocks, W_hq, b_q = params
    gates = [blocks[3 * k:3 * k + 3] for k in order]
    H, C = state if start else [torch.zeros_like(s) for s in state]
    first, empty, logits = H, C, []
    for X in inputs:
        old, old_C = H if carried else first, C
        pre = [
            X @ W_x + old @ (W_h.T if turned else W_h) + bias * b
            for W_x, W_h, b in gates]
        I, F_, O = (
            1 if name == open_gate else gate(p)
            for name, p in zip("IFO", pre[:3], strict=True))
        past = {"C": C, "H": old, "lost": empty,
                "none": torch.zeros_like(C)}[cell]
        new = candidate(pre[3])
        C = F_ * past + (I * new if added else (1 - F_) * new)
        H = O * shown(old_C if late == "C" else C)
        C = kept(C)
        logits.append((old if late == "H" else H) @ W_hq + output_bias * b_q)
    return torch.cat(logits)


LSTM: dict[str, dict[str, Any]] = {
    slips.CELL_LOST: {"cell": "none"},
    slips.CELL_LOST + " (each step starts from the first C)":
        {"cell": "lost"},
    slips.CELL_LOST + " (H stands where C should)": {"cell": "H"},
    "C itself is carried on, not tanh(C)": {"kept": torch.tanh},
    slips.NOT_CARRIED: {"carried": False},
    slips.NOT_CARRIED + " (neither H nor C)":
        {"carried": False, "cell": "lost"},
    slips.START_IGNORED: {"start": False},
    slips.MISSING_BIAS + " in the gates": {"bias": False},
    slips.MISSING_BIAS + ": b_q": {"output_bias": False},
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
    "the input gate is not used: C = F * C + I * candidate":
        {"added": False},
    "the input gate is not used: it says how much of the candidate comes in":
        {"open_gate": "I"},
    "the forget gate is not used: it says how much of the old cell stays":
        {"open_gate": "F"},
    "the output gate is not used: it says how much of the cell is shown":
        {"open_gate": "O"},
    "the old cell is shown: C has to be computed anew before H":
        {"late": "C"},
    "the scores are read off the old state, before it is computed anew":
        {"late": "H"},
    "the W_h are transposed": {"turned": True},
    **{
        f"{slips.GATE_ORDER}: {_read_as(GATES, order)} where the "
        "parameters come as i, f, o, c": {"order": order}
        for order in permutations(range(4)) if order != (0, 1, 2, 3)
    },
}


def gru_step(
    X, H, params, *, order=(0, 1, 2), reset="after", flipped=False,
    input_bias=True, state_bias=True, candidate=torch.tanh,
    gate=torch.sigmoid, update=True, rows=False, ends=False,
) -> torch.Tensor:
    """The GRU's next state, right or with one slip."""
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
    R, Z = gate(x[r] + h[r]), gate(x[z] + h[z])
    W_n, b_n = W_h.chunk(3, 1)[n], b_h.chunk(3)[n]
    sums = {
        "after": lambda: x[n] + R * h[n],
        "before": lambda: x[n] + (R * H) @ W_n + b_n,
        "none": lambda: x[n] + h[n],
        "all": lambda: R * (x[n] + h[n]),
        "inputs": lambda: R * x[n] + h[n],
        "no bias": lambda: x[n] + R * (H @ W_n) + b_n,
    }
    N = candidate(sums[reset]())
    Z = 1 - Z if flipped else Z
    return ((1 - Z) * N + Z * H if update else N).detach()


_RESET = "the reset gate multiplies the state's part, H W_hn + b_hn"

GRU: dict[str, dict[str, Any]] = {
    "reset before the product, as in the book: PyTorch's equation resets "
    "after it, R * (H W_hn + b_hn)": {"reset": "before"},
    "Z and 1 - Z are swapped: Z = 1 keeps the old state": {"flipped": True},
    "the reset gate is not used": {"reset": "none"},
    _RESET + ", and not the input's": {"reset": "all"},
    _RESET + ", in place of the input's": {"reset": "inputs"},
    _RESET + ", the bias b_hn as well": {"reset": "no bias"},
    "the update gate is not used": {"update": False},
    slips.MISSING_BIAS + ": b_x": {"input_bias": False},
    slips.MISSING_BIAS + ": b_h": {"state_bias": False},
    slips.MISSING_BIAS + ": b_x and b_h":
        {"input_bias": False, "state_bias": False},
    "no tanh around the candidate": {"candidate": same},
    "a sigmoid in place of tanh around the candidate":
        {"candidate": torch.sigmoid},
    "a ReLU in place of tanh around the candidate":
        {"candidate": torch.relu},
    "no sigmoid around the gates": {"gate": same},
    "the gates take a sigmoid, the candidate alone a tanh":
        {"gate": torch.tanh},
    "the blocks stand side by side, H columns each: a reshape mixes them":
        {"rows": True},
    "the blocks stand side by side, H columns each: no column between":
        {"ends": True},
    **{
        f"{slips.GATE_ORDER}: {_read_as('rzn', order)} where the blocks "
        "come as r, z, n": {"order": order}
        for order in permutations(range(3)) if order != (0, 1, 2)
    },
}


def slipped(model, slips_of, inputs, start, params, shape) -> Slips:
    """What each slip would make of the logits.

    Args:
        model: `plain` or `gated`.
        slips_of: RNN or LSTM.
        inputs, start, params: as a solution gets them.
        shape: (T, B, V, H).
    """
    T, B, V, H = shape

    def made(inputs=inputs, params=params, **slip: Any) -> torch.Tensor:
        with torch.no_grad():
            return model(inputs, start, params, **slip)

    def by_step() -> torch.Tensor:
        return made().reshape(T, B, V)

    def hiddens() -> torch.Tensor:
        eye = torch.eye(H, device=inputs.device)
        return made(params=[*params[:-2], eye, torch.zeros_like(eye[0])])

    result: dict[str, Callable[[], Any]] = {
        slips.SWAPPED: lambda: by_step().transpose(0, 1).reshape(-1, V),
        slips.SWAPPED + " (the loop has to run over the steps)":
            lambda: made(inputs.transpose(0, 1)),
        "the logits need the shape (T*B, V): torch.cat, not torch.stack":
            by_step,
        "the logits need the shape (T*B, V): torch.cat along the first axis":
            lambda: torch.cat([*by_step()], 1),
        "only the last step's scores are returned; every step has some":
            lambda: by_step()[-1],
        "only the first step's scores are returned: a `return` inside the "
        "loop ends it": lambda: by_step()[0],
        "the last step is left out": lambda: made(inputs[:-1]),
        "the first step is left out": lambda: made(inputs[1:]),
        "the hidden states are returned; the scores are H W_hq + b_q":
            hiddens,
        "the steps are read backwards": lambda: made(inputs.flip(0)),
        "tokens are returned where their scores are asked for: no argmax "
        "here": lambda: made().argmax(-1),
        slips.SOFTMAX: lambda: made().softmax(-1),
        slips.SOFTMAX + " (log_softmax too)":
            lambda: made().log_softmax(-1),
    }
    for name, slip in slips_of.items():
        result[name] = partial(made, **slip)
    return result
