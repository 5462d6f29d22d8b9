"""Training and evaluation, one way for every model."""

import math
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F

from labutils import settings
from labutils.evaluation import evaluate_perplexity, perplexity
from labutils.generation import predict
from labutils.history import History, versions
from labutils.protocol import (
    Batches,
    LanguageModel,
    as_targets,
    device_of,
    next_state,
    training_mode,
)
from labutils.sampling import SeqDataLoader
from labutils.text import Vocab

SAMPLE_LENGTH = 50


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


def train(
    model: LanguageModel,
    train_iter: SeqDataLoader,
    vocab: Vocab,
    lr: float,
    num_epochs: int,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    grad_clip: float = 1.0,
    eval_every: int = 10,
    prefix: str = "time traveller",
    verbose: bool = True,
) -> History:
    """Train a model and keep the record.

    Interrupt it (the stop button, Ctrl-C) and it returns what there is: the
    model stays as trained so far, the history says `interrupted`.

    Args:
        model: from scratch or on `torch.nn`; trained in place.
        train_iter: the batches; its `held_out` text is only ever read.
        vocab: to write the samples.
        lr: learning rate of the stochastic gradient descent.
        num_epochs: epochs to train; LABUTILS_EPOCHS caps them.
        optimizer: another one, over the model's parameters, in place of
            stochastic gradient descent (`lr` is then its own affair).
        grad_clip: largest norm of the gradients; math.inf clips nothing.
        eval_every: epochs from one held-out measurement to the next.
        prefix: what the samples begin with.
        verbose: print about ten lines of progress.

    Returns:
        The history of this training.

    Source: Dive into Deep Learning, 8.5.
    """
    if num_epochs < 1 or eval_every < 1:
        raise ValueError(
            f"num_epochs is {num_epochs} and eval_every {eval_every}: "
            "expected 1 or more of each."
        )
    if not grad_clip > 0:
        raise ValueError(
            f"grad_clip is {grad_clip}: expected a number above 0; with "
            "math.inf nothing is clipped."
        )
    predict(prefix, 0, model, vocab)  # a bad prefix is refused now
    if optimizer is None:
        optimizer = torch.optim.SGD(model.parameters(), lr)
    cap = settings.epochs_cap()
    epochs = num_epochs if cap is None else min(num_epochs, cap)
    report_every = max(1, epochs // 10)
    log = _Log(epochs, verbose)
    stopped = {}
    try:
        for epoch in range(1, epochs + 1):
            log.train(model, train_iter, optimizer, grad_clip)
            if not math.isfinite(log.train_perplexity[-1]):
                stopped = {"diverged": True}
                break
            if epoch in (1, epochs) or epoch % eval_every == 0:
                log.evaluate(model, train_iter.held_out)
            if epoch == epochs or epoch % report_every == 0:
                log.report(predict(prefix, SAMPLE_LENGTH, model, vocab))
    except KeyboardInterrupt:
        stopped = {"interrupted": True}
    asked = {
        "num_epochs": num_epochs,
        "epochs_cap": cap,
        "optimizer": type(optimizer).__name__,
        "lr": optimizer.param_groups[0]["lr"],
        "grad_clip": grad_clip if math.isfinite(grad_clip) else None,
        "batch_size": train_iter.batch_size,
        "num_steps": train_iter.num_steps,
        "use_random_iter": train_iter.use_random_iter,
        "seed": train_iter.seed,
        "device": str(device_of(model)),
        "num_parameters": sum(p.numel() for p in model.parameters()),
    }
    history = log.history(asked, train_iter.record or {}, stopped)
    if not history.full:
        print(history.status)
    if history.diverged:
        warnings.warn(
            "The perplexity is no finite number any more, so the training "
            "stopped. Make a new model and use a smaller learning rate or "
            "a smaller grad_clip.",
            stacklevel=2,
        )
    return history


@dataclass
class _Log:
    """What a training writes down while it runs."""

    epochs: int
    verbose: bool
    train_perplexity: list[float] = field(default_factory=list)
    train_seconds: list[float] = field(default_factory=list)
    held_out_perplexity: list[float] = field(default_factory=list)
    held_out_epochs: list[int] = field(default_factory=list)
    samples: list[tuple[int, str]] = field(default_factory=list)
    tokens: int = 0

    @property
    def epoch(self) -> int:
        return len(self.train_perplexity)

    def train(self, model, train_iter, optimizer, grad_clip) -> None:
        start = time.perf_counter()
        value, tokens = train_epoch(model, train_iter, optimizer, grad_clip)
        so_far = self.train_seconds[-1] if self.train_seconds else 0.0
        self.train_seconds.append(so_far + time.perf_counter() - start)
        self.train_perplexity.append(value)
        self.tokens += tokens

    def evaluate(self, model, held_out) -> None:
        if held_out is not None:
            value = evaluate_perplexity(model, held_out)
            self.held_out_perplexity.append(value)
            self.held_out_epochs.append(self.epoch)

    def report(self, sample: str) -> None:
        self.samples.append((self.epoch, sample))
        if not self.verbose:
            return
        line = f"epoch {self.epoch:4d}/{self.epochs}"
        line += f"  perplexity {self.train_perplexity[-1]:6.2f}"
        if self.held_out_epochs:
            line += f"  held out {self.held_out_perplexity[-1]:7.2f}"
        print(line, f" {self.tokens / self.train_seconds[-1]:,.0f} tokens/s")
        print(f"  {sample}", flush=True)

    def history(
        self,
        asked: dict[str, Any],
        corpus: dict[str, Any],
        stopped: dict[str, bool],
    ) -> History:
        return History(
            tuple(self.train_perplexity),
            # An interrupt may fall between two entries that go together.
            tuple(self.train_seconds[: self.epoch]),
            tuple(self.held_out_perplexity[: len(self.held_out_epochs)]),
            tuple(self.held_out_epochs),
            tuple(self.samples),
            self.tokens,
            asked,
            corpus,
            versions(),
            **stopped,
        )
