"""A model whose every word follows from all that it has read."""

import torch

from labkit.checks.guard import generator


class Clockwork:
    """A model whose next token follows from all that it has read.

    Its state is one number; each token changes it by a known rule, so every
    slip leads to another text.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.vocab_size, self.num_hiddens = size, 1
        self.params = [torch.zeros(1, device=device, requires_grad=True)]
        self.rule = torch.randint(101, 499, (3,), generator=generator(5))

    def __call__(self, X: torch.Tensor, state):
        _fits(X, state, self.vocab_size)
        (number,), logits = state, []
        a, b, c = self.rule.tolist()
        others = self.vocab_size - 1  # all but <unk>
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

    def begin_state(self, batch_size: int, device=None):
        device = device or self.params[0].device
        return (torch.zeros(batch_size, 1, device=device),)

    def parameters(self) -> list[torch.Tensor]:
        return self.params


def _fits(X: torch.Tensor, state, size: int) -> None:
    """An error where a network would have one, in clearer words."""
    shape = tuple(X.shape)
    if len(shape) != 2 or shape[0] != 1 or not shape[1]:
        raise ValueError(f"X has the shape {shape}: expected (1, T)")
    if X.dtype != torch.int64:
        raise TypeError(f"indices of {X.dtype}: expected torch.int64")
    if int(X.max()) >= size:
        raise IndexError(f"the index {int(X.max())} of {size} tokens")
    if len(state[0]) != 1:
        raise ValueError(
            f"a state of {len(state[0])} rows: X has one, so expected 1")
