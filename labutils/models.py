"""What `train`, `predict` and `evaluate_perplexity` expect of a model.

Both kinds of model, from scratch and built on `torch.nn`, keep to it, so none
of the three asks which kind it has. Shapes: B batch, T steps, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.nn import functional as F

from labutils import settings
from labutils.files import translated as _

# A tensor (RNN, GRU) or a tuple of tensors (LSTM and models from scratch).
State = Any


class LanguageModel(Protocol):
    """A recurrent language model."""

    def __call__(
        self, X: torch.Tensor, state: State
    ) -> tuple[torch.Tensor, State]:
        """Scores of the next token, and the state after the last one.

        Args:
            X: token indices, `(B, T)` int64; the logits are `(T*B, V)` with
                time first.
            state: from `begin_state` or from the call before.
        """

    def begin_state(
        self, batch_size: int, device: torch.device | None = None
    ) -> State:
        """The state at the beginning of a text."""

    def parameters(self) -> Iterable[torch.Tensor]:
        """The tensors to train."""


class Batches(Protocol):
    """Pairs of inputs and targets, `(B, T)` each; a pass is one epoch."""

    use_random_iter: bool

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]: ...


def device_of(model: LanguageModel) -> torch.device:
    """The device that holds the model's parameters."""
    return next(iter(model.parameters())).device


def check_fit(
    parameters: Sequence[torch.Tensor], model: LanguageModel, source: str
) -> None:
    """Refuse parameters, saved in `source`, of other shapes than the model's.

    Raises:
        ValueError: they do not fit.
    """
    found = [tuple(p.shape) for p in parameters]
    expected = [tuple(p.shape) for p in model.parameters()]
    if found != expected:
        raise ValueError(_(
            f"{source} does not fit this model: it holds parameters of the "
            f"shapes {found}, the model has {expected}. Make the model with "
            "the same layers and sizes as the saved one."
        ))


def copy_parameters(
    parameters: Sequence[torch.Tensor], model: LanguageModel
) -> None:
    """Put parameters into a model that they fit."""
    with torch.no_grad():
        for parameter, saved in zip(
            model.parameters(), parameters, strict=True
        ):
            parameter.copy_(saved)


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


def training_mode(model: LanguageModel) -> None:
    """Dropout on, in a model that has it."""
    if not getattr(model, "training", True):
        cast(torch.nn.Module, model).train()


@contextmanager
def evaluation_mode(model: LanguageModel) -> Iterator[None]:
    """No gradients, no dropout in a model that has it, and one thread.

    So little work at a time is not worth the waiting of several.
    """
    training = getattr(model, "training", False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if training:
        cast(torch.nn.Module, model).eval()
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        if training:
            cast(torch.nn.Module, model).train()


def as_targets(Y: torch.Tensor) -> torch.Tensor:
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
                "inputs are one-hot vectors."
            ))
        if rnn_layer.batch_first:
            raise ValueError(_(
                "The recurrent layer was made with batch_first=True: expected "
                "False, since the model puts time first."
            ))
        self.rnn = rnn_layer
        self.vocab_size = vocab_size
        self.num_directions = 2 if rnn_layer.bidirectional else 1
        # An LSTM with proj_size hands on smaller hidden states.
        self.output_size = rnn_layer.proj_size or rnn_layer.hidden_size
        self.linear = nn.Linear(
            self.num_directions * self.output_size, vocab_size
        )

    def forward(
        self, X: torch.Tensor, state: State
    ) -> tuple[torch.Tensor, State]:
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
        weight = self.linear.weight
        device = weight.device if device is None else device

        def zeros(size: int) -> torch.Tensor:
            return torch.zeros(
                layers, batch_size, size, device=device, dtype=weight.dtype
            )

        if isinstance(self.rnn, nn.LSTM):
            return zeros(self.output_size), zeros(self.rnn.hidden_size)
        return zeros(self.rnn.hidden_size)
