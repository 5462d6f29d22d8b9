"""The table of trainings.py on a CUDA device, with TF32 off and on.

Run it with:  make bench  or  python benchmarks/on_cuda.py [--rounds N]
Writes results/benchmarks/cuda.txt; without a CUDA device it says so and
writes nothing.

A step of a scratch model is hundreds of small kernels, and launching them
takes longer than running them. In the rows "captured" the whole step was
recorded once as a CUDA graph, which is launched as one.
"""

import argparse
from collections.abc import Callable
from typing import Any

import loading
import torch
from torch.nn import functional as F
from trainings import Timings, alternate, measured_rate, table
from variants import (
    BATCH_SIZE,
    GRAD_CLIP,
    NUM_STEPS,
    TOKENS,
    TRAININGS,
    VARIANTS,
    Training,
    check,
    epoch_of,
    floating_point_operations,
    kit_model,
    new_loader,
    new_weights,
    trainable,
)

import labutils
from labutils import settings
from labutils.corpus import find_corpus
from labutils.models import as_targets
from labutils.results import save_text

SIZE = 4096  # of the square matrices whose product is timed


def event_ms(work: Callable[[], object]) -> float:
    """How long the device takes for `work`, by its own clock."""
    start = torch.cuda.Event(enable_timing=True)
    end = torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def kit_on(training: Training, device: torch.device) -> Any:
    """The kit's model on the device, always with the same weights."""
    weights = [weight.to(device) for weight in new_weights(training)]
    return trainable(kit_model(training, weights))


class Captured:
    """The kit's training step of a scratch model, recorded and replayed.

    A graph reads and writes the same memory each time: the batch is copied
    to where it reads, and the last state to where it finds the first one.

    Source: PyTorch's notes on CUDA semantics, "CUDA Graphs".
    """

    def __init__(self, training: Training, device: torch.device) -> None:
        self.training = training
        self.model = kit_on(training, device)
        self.optimizer = torch.optim.SGD(self.model.params, training.lr)
        shape = (BATCH_SIZE, NUM_STEPS)
        self.X = torch.zeros(shape, dtype=torch.int64, device=device)
        self.Y = torch.zeros_like(self.X)
        self.state = self.model.begin_state(BATCH_SIZE)
        self.graph = self.capture()

    def step(self) -> None:
        """One training step on the batch and the state that are there."""
        logits, state = self.model(self.X, self.state)
        F.cross_entropy(logits, as_targets(self.Y)).backward()
        labutils.grad_clipping(self.model, GRAD_CLIP)
        self.optimizer.step()
        if not self.training.use_random_iter:  # there it stays zero
            self.carry_on(state)

    @torch.no_grad()
    def carry_on(self, state: tuple[torch.Tensor, ...]) -> None:
        """Put a state where the next step looks for it."""
        for place, tensor in zip(self.state, state, strict=True):
            place.copy_(tensor)

    def capture(self) -> torch.cuda.CUDAGraph:
        """Warm up on a side stream, as capturing requires; then record."""
        before = [param.detach().clone() for param in self.model.params]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.optimizer.zero_grad()
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        # Without gradients the recorded backward allocates them itself, and
        # each replay writes them anew: nothing needs to be set to zero.
        self.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        with torch.no_grad():
            for param, value in zip(self.model.params, before, strict=True):
                param.copy_(value)
        return graph

    def train_epoch(self, loader: labutils.SeqDataLoader) -> None:
        """Replay the step for each batch."""
        self.carry_on(self.model.begin_state(BATCH_SIZE))
        for X, Y in loader:
            self.X.copy_(X)
            self.Y.copy_(Y)
            self.graph.replay()


def check_captured(
    training: Training, corpus: torch.Tensor, device: torch.device
) -> None:
    """An epoch replayed must leave the weights of an epoch of the kit's.

    Raises:
        AssertionError: it does not.
    """
    captured = Captured(training, device)
    captured.train_epoch(new_loader(training, corpus))
    model = kit_on(training, device)
    labutils.train_epoch(
        model, new_loader(training, corpus),
        torch.optim.SGD(model.params, training.lr), GRAD_CLIP,
    )
    torch.testing.assert_close(
        captured.model.params, model.params, rtol=1e-3, atol=1e-4
    )


def peak_mb(epoch: Callable[[], object]) -> float:
    """Megabytes allocated on the device beyond what was before."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    epoch()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def measure(
    training: Training, corpus: torch.Tensor, device: torch.device, rounds: int
) -> Timings:
    """The timings of one training on the device."""
    def loader():
        return new_loader(training, corpus)

    epochs = {
        variant: epoch_of(training, variant, loader(), device)
        for variant in VARIANTS
    }
    mb = {variant: peak_mb(epoch) for variant, epoch in epochs.items()}
    if training.from_tensors:
        captured, batches = Captured(training, device), loader()
        epochs["captured"] = lambda: captured.train_epoch(batches)
    A, B = torch.randn(2, SIZE, SIZE, device=device)
    timings = alternate(
        floating_point_operations(training), epochs, len([*loader()]),
        lambda: A @ B, 2 * SIZE**3, rounds, event_ms,
    )
    timings.mb = mb
    return timings


def tables(corpus: torch.Tensor, device: torch.device, rounds: int) -> str:
    """Both tables, with what stands above them."""
    parts = [
        f"One step of training: a batch of {BATCH_SIZE} x {NUM_STEPS} "
        f"characters\n{torch.cuda.get_device_name(device)}, PyTorch "
        f"{torch.__version__}, CUDA {torch.version.cuda}, float32\n"
        f"ms/step: by CUDA events, median of {rounds} alternating rounds, "
        "one epoch each\nof matmul: as in trainings.txt, of A @ B with the "
        "same TF32 setting\npeak MB: allocated on the device during an "
        "epoch, beyond the weights\n"
    ]
    for tf32 in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        if not tf32:  # which rounds products to ten bits
            for training in TRAININGS.values():
                check(training, corpus, device)
                if training.from_tensors:
                    check_captured(training, corpus, device)
        found = {
            name: measure(training, corpus, device, rounds)
            for name, training in TRAININGS.items()
        }
        parts.append(
            f"TF32 {'on' if tf32 else 'off'}; {SIZE} x {SIZE} matrices: "
            f"{measured_rate(found)}\n\n{table(found)}"
        )
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="The trainings with CUDA.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    device = settings.device()
    if device.type != "cuda":
        print(f"Nothing is measured with CUDA: the device here is {device}.")
        return
    corpus = loading.encoded(find_corpus().text)[:TOKENS]
    with torch.cuda.device(device):
        text = tables(corpus, device, rounds)
    print(text)
    print(save_text("benchmarks", "cuda.txt", text))


if __name__ == "__main__":
    main()
