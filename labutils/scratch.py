"""Recurrent networks from tensors alone: what notebooks 3 and 5 build.

Shapes: B batch, T steps, V vocabulary, H hidden units.
Source: Dive into Deep Learning, 8.5 (the RNN) and 9.2 (the LSTM).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from labutils import settings

Params = list[Tensor]
State = tuple[Tensor, ...]


class RNNModelScratch:
    """A recurrent language model from three functions.

    Args:
        vocab_size: V.
        num_hiddens: H.
        device: where the parameters live; None takes it from the settings.
        get_params: `(vocab_size, num_hiddens, device)` to the parameters.
        init_state: `(batch_size, num_hiddens, device)` to the first state.
        forward_fn: `(inputs, state, params)` with one-hot inputs `(T, B, V)`
            to the logits `(T*B, V)` and the last state.
    """

    def __init__(
        self, vocab_size: int, num_hiddens: int, device: torch.device | None,
        get_params: Callable[[int, int, torch.device], Sequence[Tensor]],
        init_state: Callable[[int, int, torch.device], State],
        forward_fn: Callable[
            [Tensor, State, Params], tuple[Tensor, State]],
    ) -> None:
        device = settings.device() if device is None else device
        self.vocab_size, self.num_hiddens = vocab_size, num_hiddens
        self.params = list(get_params(vocab_size, num_hiddens, device))
        self.init_state, self.forward_fn = init_state, forward_fn

    def __call__(self, X: Tensor, state: State) -> tuple[Tensor, State]:
        """Scores of the next token: `(B, T)` to `(T*B, V)`, and the state."""
        inputs = F.one_hot(X.T, self.vocab_size)  # (T, B, V)
        inputs = inputs.to(self.params[0].dtype)
        return self.forward_fn(inputs, state, self.params)

    def begin_state(
        self, batch_size: int, device: torch.device | None = None
    ) -> State:
        """The state at the beginning of a text."""
        settings.whole_number("begin_state's batch_size", batch_size)
        device = self.params[0].device if device is None else device
        state = self.init_state(batch_size, self.num_hiddens, device)
        # The default dtype may be another one than when the model was made.
        return tuple(part.to(self.params[0].dtype) for part in state)

    def parameters(self) -> list[Tensor]:
        """The tensors to train, in the order of `get_params`."""
        return list(self.params)


def _params(gates: int, V: int, H: int, device: torch.device) -> Params:
    """Weights of standard deviation 0.01 (two dimensions), biases of zero."""
    shapes = gates * [(V, H), (H, H), (H,)] + [(H, V), (V,)]
    params = [
        torch.randn(shape, device=device) * 0.01 if len(shape) == 2
        else torch.zeros(shape, device=device) for shape in shapes]
    return [param.requires_grad_() for param in params]


def get_rnn_params(
    vocab_size: int, num_hiddens: int, device: torch.device
) -> Params:
    """`W_xh (V, H), W_hh (H, H), b_h (H,), W_hq (H, V), b_q (V,)`."""
    return _params(1, vocab_size, num_hiddens, device)


def init_rnn_state(
    batch_size: int, num_hiddens: int, device: torch.device
) -> State:
    """Zeros: `(H,)` with `H` of shape `(B, H)`."""
    return (torch.zeros(batch_size, num_hiddens, device=device),)


def rnn(
    inputs: Tensor, state: State, params: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """The recurrence H_t = tanh(X_t W_xh + H_{t-1} W_hh + b_h).

    Args:
        inputs: one-hot tokens, `(T, B, V)`.
        state: `(H,)`.
        params: as from `get_rnn_params`.

    Returns:
        Logits H_t W_hq + b_q, `(T*B, V)`, and the last state.
    """
    W_xh, W_hh, b_h, W_hq, b_q = params
    (H,) = state
    hiddens = []
    for X in inputs:  # (B, V)
        H = torch.tanh(X @ W_xh + H @ W_hh + b_h)  # (B, H)
        hiddens.append(H)
    # The scores feed nothing back, so one product serves all the steps.
    return torch.cat(hiddens) @ W_hq + b_q, (H,)


def get_lstm_params(
    vocab_size: int, num_hiddens: int, device: torch.device
) -> Params:
    """`W_x* (V, H), W_h* (H, H), b_* (H,)` for each of the gates i, f, o and
    the candidate c, then `W_hq (H, V), b_q (V,)`."""
    return _params(4, vocab_size, num_hiddens, device)


def init_lstm_state(
    batch_size: int, num_hiddens: int, device: torch.device
) -> State:
    """Zeros: `(H, C)`, both of shape `(B, H)`."""
    zeros = torch.zeros(batch_size, num_hiddens, device=device)
    return zeros, zeros.clone()


def lstm(
    inputs: Tensor, state: State, params: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """The LSTM: three gates and a memory cell.

    I, F, O = sigmoid(X_t W_x* + H_{t-1} W_h* + b_*), and the candidate with
    tanh; then C_t = F * C_{t-1} + I * candidate and H_t = O * tanh(C_t).

    The state is `(H, C)`; all else is as for `rnn`.
    """
    *gates, W_hq, b_q = params
    # The four products side by side are one larger, faster product.
    W_x, W_h, b = (torch.cat(list(gates[k::3]), dim=-1) for k in range(3))
    H, C = state
    hiddens = []
    for X in inputs:  # (B, V)
        I, F_, O, candidate = (X @ W_x + H @ W_h + b).chunk(4, dim=1)
        C = torch.sigmoid(F_) * C + torch.sigmoid(I) * torch.tanh(candidate)
        H = torch.sigmoid(O) * torch.tanh(C)  # (B, H)
        hiddens.append(H)
    return torch.cat(hiddens) @ W_hq + b_q, (H, C)
