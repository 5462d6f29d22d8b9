"""What a step of each training costs, written in three ways.

Run it with:  make bench  or  python benchmarks/trainings.py [--rounds N]
Writes results/benchmarks/trainings.txt and trainings.png. The three ways and
the check that they compute the same are in variants.py.

A step is one batch: forward, loss, backward, clipping, the optimizer. All
runs in one process on the CPU, an epoch of the one way, of the next and of
the third, round after round, so that whatever else the machine does meets
all three alike. A ratio is the median of the rounds' ratios.
"""

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import loading
import torch
from matplotlib.figure import Figure
from memory import how, measured_mb
from variants import (
    BATCH_SIZE,
    NUM_STEPS,
    TOKENS,
    TRAININGS,
    VARIANTS,
    check,
    epoch_of,
    first_batches,
    floating_point_operations,
    new_loader,
)

from labutils import plots
from labutils.corpus import find_corpus
from labutils.results import save_figure, save_text

SIZE = 1024  # of the square matrices whose product is timed
HATCHES = ("", "///", "...")


@dataclass
class Timings:
    """What was measured for one training.

    Attributes:
        operations: floating-point operations of a step's matrix products.
        ms: for each variant the milliseconds of a step, round by round.
        rates: operations a millisecond in a large matrix product, likewise.
        mb: for each variant the peak memory.
    """

    operations: int
    ms: dict[str, list[float]] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    mb: dict[str, float] = field(default_factory=dict)

    def step_ms(self, variant: str) -> float:
        return statistics.median(self.ms[variant])

    def ratio(self, variant: str) -> float:
        """To torch.nn: more than 1 is slower."""
        pairs = zip(self.ms[variant], self.ms["torch.nn"], strict=False)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def share(self, variant: str) -> float:
        """Of the rate that the large matrix product reaches."""
        rate = self.operations / self.step_ms(variant)
        return rate / statistics.median(self.rates)


def milliseconds(work: Callable[[], object]) -> float:
    """How long `work` takes on the CPU."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def alternate(
    operations: int,
    epochs: Mapping[str, Callable[[], object]],
    num_batches: int,
    product: Callable[[], object],
    product_operations: int,
    rounds: int,
    timer: Callable[[Callable[[], object]], float] = milliseconds,
) -> Timings:
    """Time the variants' epochs and the matrix product in turn.

    The first round warms up and does not count.
    """
    timings = Timings(operations, {name: [] for name in epochs})
    for number in range(rounds + 1):
        for name, epoch in epochs.items():
            ms = timer(epoch) / num_batches
            if number:
                timings.ms[name].append(ms)
        ms = timer(product)
        if number:
            timings.rates.append(product_operations / ms)
    return timings


def measure(name: str, corpus: torch.Tensor, rounds: int) -> Timings:
    """The timings of one training."""
    training = TRAININGS[name]
    epochs = {
        variant: epoch_of(training, variant, new_loader(training, corpus))
        for variant in VARIANTS
    }
    A, B = torch.randn(2, SIZE, SIZE)
    return alternate(
        floating_point_operations(training), epochs,
        len([*new_loader(training, corpus)]),
        lambda: A @ B, 2 * SIZE**3, rounds,
    )


def table(found: Mapping[str, Timings]) -> str:
    """A line for each training and variant."""
    lines = [
        f"{'training':22s}  {'variant':10s}  {'ms/step':>7s}  "
        f"{'fastest..slowest':>16s}  {'x torch.nn':>10s}  "
        f"{'of matmul':>9s}  {'peak MB':>7s}"
    ]
    for name, timings in found.items():
        for variant, ms in timings.ms.items():
            mb = timings.mb.get(variant, math.nan)
            lines.append(
                f"{name:22s}  {variant:10s}  {statistics.median(ms):7.2f}  "
                f"{f'{min(ms):.2f}..{max(ms):.2f}':>16s}  "
                f"{timings.ratio(variant):10.2f}  "
                f"{timings.share(variant):9.1%}  "
                f"{'-' if math.isnan(mb) else f'{mb:.0f}':>7s}"
            )
    return "\n".join(lines) + "\n"


def measured_rate(found: Mapping[str, Timings]) -> str:
    """The matrix product's rate, in words."""
    rates = [rate for timings in found.values() for rate in timings.rates]
    return (
        f"{statistics.median(rates) / 1e6:,.0f} GFLOP/s "
        f"({min(rates) / 1e6:,.0f} to {max(rates) / 1e6:,.0f})"
    )


def header(found: Mapping[str, Timings], rounds: int) -> str:
    """What stands above the table."""
    return f"""\
One step of training: a batch of {BATCH_SIZE} x {NUM_STEPS} characters
Machine: {os.cpu_count()} processors ({platform.machine()}, \
{platform.system()}), {torch.get_num_threads()} threads
PyTorch {torch.__version__}, Python {platform.python_version()}, CPU, float32
{find_corpus()}
Equality: loss and gradients agree between the variants in every training
ms/step: median of {rounds} alternating rounds, one epoch each
of matmul: operations of the step's matrix products (forward, and twice as
  many backward) a second, as a share of the rate measured in between for
  {SIZE} x {SIZE} matrices: {measured_rate(found)}. More than
  100 % is possible: where nn.LSTM runs in oneDNN, as on most x86
  processors, its products may be faster than those behind A @ B.
"""


def draw(found: Mapping[str, Timings]) -> Figure:
    """Milliseconds a step: a group of bars for each training."""
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    ax = figure.add_subplot()
    for number, variant in enumerate(VARIANTS):
        places = [place + 0.27 * (number - 1) for place in range(len(found))]
        bars = ax.barh(
            places, [timings.step_ms(variant) for timings in found.values()],
            0.27, label=variant, color=plots.COLOURS[number],
            hatch=HATCHES[number], edgecolor="white",
        )
        ax.bar_label(bars, fmt="%.1f", padding=2, fontsize="x-small")
    ax.set_yticks(range(len(found)), list(found))
    ax.invert_yaxis()
    ax.margins(x=0.1)
    ax.set_xlabel("milliseconds per step (less is faster)")
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the seven trainings.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true",
        help="one round of two batches, no peak memory: to test this script",
    )
    arguments = parser.parse_args()
    quick, rounds = arguments.quick, arguments.rounds
    corpus = loading.encoded(find_corpus().text)[:TOKENS]
    if quick:
        rounds, corpus = 1, first_batches(corpus, 2)
    for training in TRAININGS.values():
        check(training, corpus)
    found = {}
    for name in TRAININGS:
        print(f"timing {name}", flush=True)
        found[name] = measure(name, corpus, rounds)
        if not quick:
            found[name].mb = {v: measured_mb(name, v) for v in VARIANTS}
    text = "\n".join([
        header(found, rounds)
        + f"peak MB: {'not measured (--quick)' if quick else how()}\n",
        table(found),
        loading.table(1, 1) if quick else loading.table(),
    ])
    print("", text, sep="\n", end="")
    save_text("benchmarks", "trainings.txt", text)
    print(save_figure("benchmarks", "trainings.png", draw(found)))


if __name__ == "__main__":
    main()
