"""The table of trainings.py on a CUDA device, with TF32 off and on.

Run it with:  make bench  or  python benchmarks/on_cuda.py [--rounds N]
Writes results/benchmarks/cuda.txt; without a CUDA device it says so and
writes nothing.

In the rows "graph" the kit's step is recorded once and replayed, as `train`
does it; in the rows "kit" it is not. Then whole trainings of 500 epochs, by
the wall clock, from the call of `train` to its end, against a bare loop.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import loading
import torch
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
from labutils.results import save_text
from labutils.steps import RecordedStep
from labutils.training import train_step

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


def graph_epoch(
    training: Training, loader: labutils.SeqDataLoader, device: torch.device
) -> tuple[Any, Callable[[], object]]:
    """A model, and what trains it for an epoch of recorded steps."""
    model = kit_on(training, device)
    optimizer = torch.optim.SGD(model.parameters(), training.lr)
    step = RecordedStep(train_step, verbose=True)
    return model, lambda: labutils.train_epoch(
        model, loader, optimizer, GRAD_CLIP, step
    )


def check_graph(
    training: Training, corpus: torch.Tensor, device: torch.device
) -> None:
    """An epoch replayed must leave the weights of an epoch of the kit's.

    Raises:
        AssertionError: it does not.
    """
    recorded, epoch = graph_epoch(
        training, new_loader(training, corpus), device
    )
    epoch()
    model = kit_on(training, device)
    labutils.train_epoch(
        model, new_loader(training, corpus),
        torch.optim.SGD(model.parameters(), training.lr), GRAD_CLIP,
    )
    torch.testing.assert_close(
        list(recorded.parameters()), list(model.parameters()),
        rtol=1e-3, atol=1e-4,
    )


def clock() -> float:
    """Seconds, once the device has done all that it was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


def whole_trainings(device: torch.device, epochs: int) -> str:
    """`train` from its call to its end, and a bare loop of such a model."""
    lines = [f"{epochs} epochs: `train`, then the same layer in a bare loop: "
             "the kit's where it is from scratch, else torch.nn's; seconds"]
    for name, training in TRAININGS.items():
        loader, vocab = labutils.load_data_time_machine(
            BATCH_SIZE, NUM_STEPS, training.use_random_iter)
        variant = "kit" if training.from_tensors else "torch.nn"
        bare = epoch_of(training, variant, loader, device)
        model = kit_on(training, device)
        start = clock()
        labutils.train(model, loader, vocab, training.lr, epochs,
                       verbose=False)
        own, start = clock() - start, clock()
        for _ in range(epochs):
            bare()
        other = clock() - start
        lines.append(f"{name:22s}  {own:6.1f}  {other:6.1f}  "
                     f"{other / own:5.1f} times as fast")
    return "\n".join(lines) + "\n"


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
    epochs["graph"] = graph_epoch(training, loader(), device)[1]
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
                check_graph(training, corpus, device)
        found = {
            name: measure(training, corpus, device, rounds)
            for name, training in TRAININGS.items()
        }
        parts.append(
            f"TF32 {'on' if tf32 else 'off'}; {SIZE} x {SIZE} matrices: "
            f"{measured_rate(found)}\n\n{table(found)}"
        )
    # As PyTorch sets it: what comes after this is trained as in a notebook.
    torch.backends.cuda.matmul.allow_tf32 = False
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="The trainings with CUDA.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=500)
    arguments = parser.parse_args()
    rounds = arguments.rounds
    device = settings.device()
    if device.type != "cuda":
        print(f"Nothing is measured with CUDA: the device here is {device}.")
        return
    corpus = loading.encoded(find_corpus().text)[:TOKENS]
    with torch.cuda.device(device):
        text = f"{tables(corpus, device, rounds)}\n" + whole_trainings(
            device, arguments.epochs)
    print(text)
    print(save_text("benchmarks", "cuda.txt", text))


if __name__ == "__main__":
    main()
