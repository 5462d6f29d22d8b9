"""One epoch of training: gradients, clipping, the step."""

import torch
from torch.nn import functional as F

from labutils.evaluation import perplexity
from labutils.models import (
    Batches,
    LanguageModel,
    as_targets,
    device_of,
    next_state,
    training_mode,
)


def grad_clipping(model: LanguageModel, theta: float) -> torch.Tensor:
    """Scale the gradients so that their common norm is at most `theta`.

    Args:
        model: its parameters' gradients are changed in place.
        theta: the largest norm, over all parameters together.

    Returns:
        The norm before clipping, a tensor without dimensions.

    Source: Dive into Deep Learning, 8.5.
    """
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in grads]))
    # No `if norm > theta`: a GPU would have to wait for the answer.
    scale = (theta / norm).clamp(max=1.0)
    for grad in grads:
        grad.mul_(scale)
    return norm


def train_epoch(
    model: LanguageModel,
    train_iter: Batches,
    optimizer: torch.optim.Optimizer,
    grad_clip: float = 1.0,
) -> tuple[float, int]:
    """Train on every batch once.

    Args:
        model: its parameters are trained in place.
        train_iter: sequential batches carry the state on, random ones start
            anew.
        optimizer: over the model's parameters.
        grad_clip: largest norm of the gradients.

    Returns:
        Perplexity over the epoch, while it trained, and the tokens read.

    Source: Dive into Deep Learning, 8.5.
    """
    training_mode(model)
    device = device_of(model)
    nats = torch.zeros((), device=device)
    tokens = 0
    state = None
    for X, Y in train_iter:
        X, y = X.to(device), as_targets(Y).to(device)
        state = next_state(model, state, len(X), train_iter)
        logits, state = model(X, state)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        grad_clipping(model, grad_clip)
        optimizer.step()
        nats += loss.detach() * y.numel()
        tokens += y.numel()
    return perplexity(float(nats) / tokens), tokens
