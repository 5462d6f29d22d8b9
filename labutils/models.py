"""Recurrent language models on top of torch.nn's layers."""

import torch
from torch import nn
from torch.nn import functional as F

from labutils.protocol import State


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
            raise ValueError(
                f"The recurrent layer has input_size {rnn_layer.input_size}: "
                f"expected the vocabulary's size, {vocab_size}, since its "
                "inputs are one-hot vectors."
            )
        if rnn_layer.batch_first:
            raise ValueError(
                "The recurrent layer was made with batch_first=True: expected "
                "False, since the model puts time first."
            )
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
