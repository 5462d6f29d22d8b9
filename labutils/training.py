"""Training, one way for every model: a step, an epoch, a training."""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from labutils import settings
from labutils.batches import SeqDataLoader
from labutils.checkpoint import (
    Interrupts,
    Snapshot,
    resume_from,
    save_checkpoint,
)
from labutils.evaluation import baselines, evaluate_perplexity, perplexity
from labutils.files import say
from labutils.files import translated as _
from labutils.generation import predict
from labutils.history import History, versions
from labutils.models import (
    Batches,
    LanguageModel,
    State,
    as_targets,
    detach,
    device_of,
    next_state,
)
from labutils.steps import Step, fastest
from labutils.text import Vocab
from labutils.view import new_view

SAMPLE_LENGTH = 50
SAMPLES = 20  # in a whole training


def grad_clipping(model: LanguageModel, theta: float) -> Tensor:
    """Scale the gradients so that their common norm is at most `theta`.

    Returns:
        The norm before clipping, a tensor without dimensions.

    Source: Dive into Deep Learning, 8.5.
    """
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads)
    # No `if norm > theta`: a GPU would have to wait for the answer; nor a
    # loop, which would give it as many kernels as there are gradients.
    torch._foreach_mul_(grads, (theta / norm).clamp(max=1.0))
    return norm


def train_step(
    model: LanguageModel, X: Tensor, y: Tensor, state: State,
    optimizer: Optimizer, grad_clip: float,
) -> tuple[Tensor, State]:
    """Train on one batch: inputs `(B, T)` and their targets `(T*B,)`.

    Returns:
        The mean loss (nats) before the update, and the next state, detached.
    """
    logits, state = model(X, state)
    loss = F.cross_entropy(logits, y)
    optimizer.zero_grad()
    loss.backward()
    grad_clipping(model, grad_clip)
    optimizer.step()
    return loss.detach(), detach(state)


def train_epoch(
    model: LanguageModel, train_iter: Batches, optimizer: Optimizer,
    grad_clip: float = 1.0, take_step: Step = train_step,
) -> tuple[float, int]:
    """Train on every batch once.

    Args:
        train_iter: sequential batches carry the state on, random ones start
            anew.
        take_step: trains on a batch, as `train_step` does.

    Returns:
        Perplexity over the epoch, while it trained, and the tokens read.

    Source: Dive into Deep Learning, 8.5.
    """
    if isinstance(model, torch.nn.Module):
        model.train()
    device = device_of(model)
    nats, tokens, state = torch.zeros((), device=device), 0, None
    for X, Y in train_iter:
        # Nothing here waits for a GPU, which would wait for the next step.
        X = X.to(device, non_blocking=True)
        y = as_targets(Y).to(device, non_blocking=True)
        state = next_state(model, state, len(X), train_iter)
        loss, state = take_step(model, X, y, state, optimizer, grad_clip)
        nats += loss * y.numel()
        tokens += y.numel()
    return perplexity(float(nats) / tokens), tokens


def train(
    model: LanguageModel, train_iter: SeqDataLoader, vocab: Vocab,
    lr: float | None, num_epochs: int, *, optimizer: Optimizer | None = None,
    schedule: Callable[[int], float] | None = None, grad_clip: float = 1.0,
    eval_every: int = 10, prefix: str = "time traveller",
    resume: History | str | Path | None = None,
    checkpoint: str | Path | None = None, save_every: int = 50,
    max_seconds: float | None = None, verbose: bool = True,
) -> History:
    """Train a model and keep the record.

    An interrupt (the stop button, Ctrl-C) leaves the model as it was after
    the last whole epoch, and a history that says `interrupted`. With `resume`
    it goes on from there, on a CPU to the last bit as in one part.

    Args:
        model: from scratch or on `torch.nn`; trained in place.
        train_iter: the batches; its `held_out` text is only ever read.
        vocab: to write the samples.
        lr: of stochastic gradient descent; None beside an `optimizer`.
        num_epochs: epochs in all; LABUTILS_EPOCHS caps them.
        optimizer: another one, over the model's parameters.
        schedule: from the epoch's number, from 1 on, to what the learning
            rate is multiplied by in it.
        grad_clip: largest norm of the gradients; math.inf clips nothing.
        eval_every: epochs from one held-out measurement to the next.
        prefix: what the samples begin with.
        resume: the history of this very model, and of the same optimizer
            where there is one, or a checkpoint's path.
        checkpoint: a file to keep the state in; replaces what is there.
        save_every: epochs from one save to the next, beside that at the end.
        max_seconds: stop before an epoch that would not end within so many
            seconds from now, but after one; LABUTILS_SECONDS caps them.
        verbose: show the progress, and say how long the rest will take.

    Returns:
        The history of this training, of all its parts together.

    Raises:
        ValueError: an argument is out of its range, or what is to be resumed
            does not fit; nothing was trained.

    Source: Dive into Deep Learning, 8.5.
    """
    num_epochs = settings.whole_number("num_epochs", num_epochs)
    eval_every = settings.whole_number("eval_every", eval_every)
    save_every = settings.whole_number("save_every", save_every)
    grad_clip = settings.above_zero(
        "grad_clip", grad_clip, "; with math.inf nothing is clipped")
    predict(prefix, 0, model, vocab)  # a bad prefix is refused now
    optimizer = _optimizer(optimizer, lr, model)
    history = History(
        settings=_settings(model, train_iter, optimizer, schedule, num_epochs,
                           grad_clip, max_seconds),
        corpus=train_iter.record or {}, versions=versions(),
        baselines=baselines(train_iter, len(vocab)),
    )
    if resume is not None:
        history = resume_from(resume, model, optimizer, history)
    rates = history.settings.get("schedule", ())
    train_iter.restart(history.num_epochs)
    first, last = history.num_epochs + 1, history.last_epoch
    sample_every = max(1, last // SAMPLES)
    view = new_view(verbose)
    snapshot = Snapshot.of(model, optimizer)
    now = time.monotonic()
    deadline = now + history.time_limit[0]
    steps = fastest(train_step, device_of(model), verbose, history.steps)
    with Interrupts() as interrupts, steps as take_step:
        for epoch in range(first, last + 1):
            for group in optimizer.param_groups if rates else ():
                group["lr"] = group["initial_lr"] * rates[epoch - 1]
            try:
                # An interrupt can hit the optimizer with its gradients off.
                with (
                    _seeded(model, train_iter.seed, epoch - 1),
                    torch.enable_grad(), interrupts.at_once(),
                ):
                    start = time.perf_counter()
                    value, tokens = train_epoch(
                        model, train_iter, optimizer, grad_clip, take_step)
                    seconds = time.perf_counter() - start
            except KeyboardInterrupt:
                snapshot.restore(model, optimizer)
                history = replace(history, interrupted=True)
                break
            # What happens after an epoch:
            snapshot = Snapshot.of(model, optimizer)
            history = history.with_epoch(
                value, seconds, tokens, take_step.taken)
            if history.diverged:
                break
            before, now = now, time.monotonic()
            # The next epoch may take as long as this one.
            if now + (now - before) > deadline and epoch < last:
                history = replace(history, out_of_time=True)
            at_end = epoch == last or history.out_of_time
            if train_iter.held_out is not None and (
                at_end or epoch == 1 or epoch % eval_every == 0
            ):
                value = evaluate_perplexity(model, train_iter.held_out)
                history = history.with_held_out(value)
            if at_end or epoch % sample_every == 0:
                text = predict(prefix, SAMPLE_LENGTH, model, vocab)
                history = history.with_sample(text)
            if verbose and epoch == first and not at_end:
                say(history.time_needed())
            view.tell(history)
            if at_end:
                break
            if checkpoint and epoch % save_every == 0:
                _save(checkpoint, snapshot, history)
        history = replace(history, fingerprint=snapshot.fingerprint())
        if checkpoint and not history.diverged:
            _save(checkpoint, snapshot, history)
        view.tell(history, "" if history.full else history.status)
        if not history.full:
            say(history.status)
    if history.diverged:
        warnings.warn(_(
            "The perplexity is no finite number any more, so the training "
            "stopped. Make a new model and use a smaller learning rate or "
            "a smaller grad_clip."), stacklevel=2)
    return history


@contextmanager
def _seeded(model: LanguageModel, seed: int, epoch: int) -> Iterator[None]:
    """Dropout that follows from the seed and the epoch's number alone, and
    the random numbers of the rest of the notebook left as they are."""
    device = device_of(model)
    forked, set_seed = [device.index or 0], torch.manual_seed
    if device.type == "cpu":  # a GPU's generator is none of our business
        forked, set_seed = [], torch.default_generator.manual_seed
    with torch.random.fork_rng(forked, device_type=device.type):
        set_seed((seed + 1_000_003 * epoch) % 2**63)
        yield


def _save(path: str | Path, snapshot: Snapshot, history: History) -> None:
    """Keep the state in a file; a full disk must not end a training."""
    history = replace(history, fingerprint=snapshot.fingerprint())
    try:
        save_checkpoint(path, snapshot, history)
    except OSError as error:
        warnings.warn(_(
            f"The state after epoch {history.num_epochs} was not saved "
            f"({error}). The training goes on; the file before it, if there "
            "was one, is unharmed."), stacklevel=3)


def _optimizer(
    optimizer: Optimizer | None, lr: float | None, model: LanguageModel
) -> Optimizer:
    """The one that was given, if it is this model's, or plain SGD."""
    parameters = list(model.parameters())
    if optimizer is None:
        if lr is None:
            raise ValueError(_(
                "lr is None and there is no optimizer: expected one of them."))
        return torch.optim.SGD(parameters, settings.above_zero("lr", lr))
    trained = {p for group in optimizer.param_groups for p in group["params"]}
    if foreign := len(trained.difference(parameters)):
        raise ValueError(_(
            f"{foreign} of the optimizer's {len(trained)} parameters are not "
            "this model's, and training would leave the model as it is. Make "
            "the optimizer anew from model.parameters()."))
    used = optimizer.param_groups[0]["lr"]
    if lr is not None and float(lr) != float(used):
        warnings.warn(_(
            f"lr={float(lr):g} is not used: the optimizer has its own "
            f"learning rate, {float(used):g}. Pass None in its place."),
            stacklevel=3)
    return optimizer


def _settings(
    model: LanguageModel, train_iter: SeqDataLoader, optimizer: Optimizer,
    schedule: Callable[[int], float] | None, num_epochs: int,
    grad_clip: float, max_seconds: float | None,
) -> dict[str, Any]:
    """All that a training was asked to do, for its history."""
    first, rates = optimizer.param_groups[0], []
    if schedule is not None:
        for group in optimizer.param_groups:
            # Under torch's own name, which is kept where a training goes on.
            group.setdefault("initial_lr", group["lr"])
        rates = [settings.above_zero(f"schedule({epoch})", schedule(epoch))
                 for epoch in range(1, num_epochs + 1)]
    if max_seconds is not None:
        max_seconds = settings.above_zero(
            "max_seconds", max_seconds, ", or None for no limit")
    return {
        "num_epochs": num_epochs,
        "epochs_cap": settings.epochs_cap(),
        "max_seconds": None if max_seconds == math.inf else max_seconds,
        "seconds_cap": settings.seconds_cap(),
        "optimizer": type(optimizer).__name__,
        "lr": float(first.get("initial_lr", first["lr"])),
        **({"schedule": rates} if rates else {}),
        "grad_clip": grad_clip if math.isfinite(grad_clip) else None,
        "batch_size": train_iter.batch_size,
        "num_steps": train_iter.num_steps,
        "use_random_iter": train_iter.use_random_iter,
        "seed": train_iter.seed,
        "device": str(device_of(model)),
        "num_parameters": sum(p.numel() for p in model.parameters()),
    }
