"""What `train`, `predict` and `evaluate_perplexity` expect of a model.

Both kinds of model, from scratch and built on `torch.nn`, keep to it, so none
of the three asks which kind it has. Shapes: B batch, T steps, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labutils import settings
from labutils.files import translated as _

# A tensor (RNN, GRU) or a tuple of tensors (LSTM and models from scratch).
State = Any


class LanguageModel(Protocol):
    """A recurrent language model."""

    def __call__(self, X: Tensor, state: State) -> tuple[Tensor, State]:
        """From indices `(B, T)` int64, and the state before, to the scores of
        the next tokens, `(T*B, V)` with time first, and the state after."""

    def begin_state(
        self, batch_size: int, device: torch.device | None = None
    ) -> State:
        """The state at the beginning of a text."""

    def parameters(self) -> Iterable[Tensor]:
        """The tensors to train."""


class Batches(Protocol):
    """Pairs of inputs and targets, `(B, T)` each; a pass is one epoch."""

    use_random_iter: bool

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...


def device_of(model: LanguageModel) -> torch.device:
    """The device that holds the model's parameters."""
    return next(iter(model.parameters())).device


def copy_parameters(
    parameters: Sequence[Tensor], model: LanguageModel, source: str
) -> None:
    """Put parameters, saved in `source`, into a model, if all of them fit."""
    found = [tuple(p.shape) for p in parameters]
    expected = [tuple(p.shape) for p in model.parameters()]
    if found != expected:
        raise ValueError(_(
            f"{source} does not fit this model: it holds parameters of the "
            f"shapes {found}, the model has {expected}. Make the model with "
            "the same layers and sizes as the saved one."))
    with torch.no_grad():
        for own, saved in zip(model.parameters(), parameters, strict=True):
            own.copy_(saved)


def detach(state: State) -> State:
    """The same numbers, cut off from the steps that computed them."""
    if torch.is_tensor(state):
        return state.detach()
    return tuple(detach(part) for part in state)


def next_state(
    model: LanguageModel, state: State, batch_size: int, data_iter: Batches
) -> State:
    """The state for the next batch.

    In sequential batches each row goes on where it stopped, and so does the
    state. A row of a random batch, or of the first one (None), starts anew.
    """
    if state is None or data_iter.use_random_iter:
        return model.begin_state(batch_size, device_of(model))
    return detach(state)


@contextmanager
def evaluation_mode(model: LanguageModel) -> Iterator[None]:
    """No gradients, no dropout, and one thread: so little work at a time is
    not worth the waiting of several."""
    training = getattr(model, "training", False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if training:
        cast(nn.Module, model).eval()
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        if training:
            cast(nn.Module, model).train()


def as_targets(Y: Tensor) -> Tensor:
    """Targets `(B, T)` in the order of the logits, `(T*B,)`: time first."""
    return Y.T.reshape(-1)


class RNNModel(nn.Module):
    """A recurrent layer and a linear layer that scores the next token.

    Args:
        rnn_layer: `nn.RNN`, `nn.GRU` or `nn.LSTM` with `input_size` equal to
            `vocab_size`; any number of layers, one or two directions.
        vocab_size: V, the size of the vocabulary.

    A layer with two directions reads the tokens that the model is to predict,
    so its perplexity says nothing about how well it would write a text.

    Source: Dive into Deep Learning, 8.6.
    """

    def __init__(self, rnn_layer: nn.RNNBase, vocab_size: int) -> None:
        super().__init__()
        if rnn_layer.input_size != vocab_size:
            raise ValueError(_(
                f"The recurrent layer has input_size {rnn_layer.input_size}: "
                f"expected the vocabulary's size, {vocab_size}, since its "
                "inputs are one-hot vectors."))
        if rnn_layer.batch_first:
            raise ValueError(_(
                "The recurrent layer was made with batch_first=True: expected "
                "False, since the model puts time first."))
        self.rnn = rnn_layer
        self.vocab_size = vocab_size
        self.num_directions = 2 if rnn_layer.bidirectional else 1
        self.linear = nn.Linear(
            self.num_directions * rnn_layer.hidden_size, vocab_size)

    def forward(self, X: Tensor, state: State) -> tuple[Tensor, State]:
        """Scores of the next token: `(B, T)` to `(T*B, V)`, and the state."""
        inputs = F.one_hot(X.T, self.vocab_size)  # (T, B, V)
        outputs, state = self.rnn(inputs.to(self.linear.weight.dtype), state)
        return self.linear(outputs.flatten(0, 1)), state  # (T*B, V)

    def begin_state(
        self, batch_size: int, device: torch.device | None = None
    ) -> State:
        """Zeros: `(L*D, B, H)` for L layers and D directions; two for LSTM."""
        # The book has the device first.
        settings.whole_number("begin_state's batch_size", batch_size)
        layers = self.num_directions * self.rnn.num_layers
        shape = layers, batch_size, self.rnn.hidden_size
        zeros = self.linear.weight.new_zeros(shape, device=device)
        if isinstance(self.rnn, nn.LSTM):
            return zeros, zeros.clone()
        return zeros
