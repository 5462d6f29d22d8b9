"""What `train`, `predict` and `evaluate_perplexity` expect of a model.

Both kinds of model, from scratch and built on `torch.nn`, keep to it, so none
of the three asks which kind it has. Shapes: B batch, T steps, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch

# A tensor (RNN, GRU) or a tuple of tensors (LSTM and models from scratch).
State = Any


class LanguageModel(Protocol):
    """A recurrent language model."""

    def __call__(
        self, X: torch.Tensor, state: State
    ) -> tuple[torch.Tensor, State]:
        """Scores of the next token.

        Args:
            X: token indices, `(B, T)` int64.
            state: from `begin_state` or from the call before.

        Returns:
            Logits, `(T*B, V)` with time first, and the state after them.
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
    model: LanguageModel, parameters: Sequence[torch.Tensor], source: str
) -> None:
    """Refuse saved parameters of other shapes than the model's.

    Args:
        model: only looked at.
        parameters: the saved ones, in the model's order.
        source: what they come from, for the error message.

    Raises:
        ValueError: they do not fit.
    """
    found = [tuple(p.shape) for p in parameters]
    expected = [tuple(p.shape) for p in model.parameters()]
    if found != expected:
        raise ValueError(
            f"{source} does not fit this model: it holds parameters of the "
            f"shapes {found}, the model has {expected}. Make the model with "
            "the same layers and sizes as the saved one."
        )


def detach(state: State) -> State:
    """The same numbers, cut off from the steps that computed them."""
    if torch.is_tensor(state):
        return state.detach()
    return tuple(tensor.detach() for tensor in state)


def next_state(
    model: LanguageModel, state: State, batch_size: int, data_iter: Batches
) -> State:
    """The state for the next batch.

    In sequential batches each row goes on where it stopped, so the state is
    carried on. A row of a random batch, and of the first one (state None),
    starts anew.
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
    """No gradients and, in a model that has it, no dropout."""
    training = getattr(model, "training", False)
    if training:
        cast(torch.nn.Module, model).eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if training:
            cast(torch.nn.Module, model).train()


def as_targets(Y: torch.Tensor) -> torch.Tensor:
    """Targets `(B, T)` in the order of the logits, `(T*B,)`: time first."""
    return Y.T.reshape(-1)
