"""What the number of threads costs, on a quiet machine and on a busy one.

Run it with:  make bench  or  python benchmarks/threads.py [--busy N]
Writes results/benchmarks/threads.txt.

A step on one thread, on all that the machine allows, and as `train` takes it,
trials included; first alone, then beside processes that do nothing but keep a
processor busy. How long threads wait for one another before they sleep is
fixed when PyTorch is loaded: GOMP_SPINCOUNT=20000, which `make lab` sets, or
OMP_WAIT_POLICY=PASSIVE before the command shows what that changes. Without
MKL_CBWR=AUTO,STRICT, which it sets as well, `train` has no choice on some
processors: what they compute depends on the number of threads.
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import loading
import torch
from variants import (
    GRAD_CLIP,
    TOKENS,
    TRAININGS,
    Training,
    first_batches,
    kit_model,
    new_loader,
    new_weights,
    trainable,
)

from labutils import settings
from labutils.corpus import find_corpus
from labutils.models import as_targets
from labutils.results import save_text
from labutils.steps import OneByOne, PacedStep
from labutils.training import train_step

VARIABLES = (
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MKL_CBWR")


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many other processes that never wait."""
    running = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(processes)
    ]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def step_ms(
    training: Training, corpus: torch.Tensor, threads: int | None, steps: int
) -> float:
    """Milliseconds of a step; on so many threads, None: as `train` does."""
    model = trainable(kit_model(training, new_weights(training)))
    optimizer = torch.optim.SGD(model.parameters(), training.lr)
    take_step: OneByOne = OneByOne(train_step)
    if threads is None:
        take_step = PacedStep(train_step, settings.processors())
    else:
        torch.set_num_threads(threads)
    batches = itertools.cycle(new_loader(training, corpus))
    times = []
    for X, Y in itertools.islice(batches, steps + 1):
        state = model.begin_state(len(X))
        start = time.perf_counter()
        take_step(model, X, as_targets(Y), state, optimizer, GRAD_CLIP)
        times.append(time.perf_counter() - start)
    # A training's own first step counts: with it the trials begin.
    counted = times if threads is None else times[1:]
    return 1000 * sum(counted) / len(counted)


def table(corpus: torch.Tensor, names: list[str], steps: int, others: int
          ) -> str:
    """A line for each training."""
    most = settings.processors()
    lines = [
        f"{'':22s}  {'quiet, ms a step':>24s}  "
        f"{f'beside {others} busy processes':>24s}  {'busy':>5s}",
        f"{'training':22s}" + f"  {'one':>6s} {'all':>8s} {'train':>8s}" * 2
        + "  / quiet",
    ]
    for name in names:
        found = []
        for processes in (0, others):
            with busy(processes):
                found += [
                    step_ms(TRAININGS[name], corpus, threads, count)
                    for threads, count in (
                        (1, steps), (most, max(2, steps // 4)),
                        (None, 10 * steps))
                ]
        lines.append(f"{name:22s}" + "".join(
            f"  {one:6.1f} {every:8.1f} {paced:8.1f}"
            for one, every, paced in (found[:3], found[3:])
        ) + f"  {found[5] / found[2]:7.1f}")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Threads, quiet and busy.")
    parser.add_argument("--busy", type=int, default=4)
    parser.add_argument(
        "--quick", action="store_true",
        help="two steps of one training: to test this script",
    )
    arguments = parser.parse_args()
    corpus = loading.encoded(find_corpus().text)[:TOKENS]
    names, steps = [*TRAININGS], 12
    if arguments.quick:
        corpus = first_batches(corpus, 2)
        names, steps = names[2:3], 2
    said = ", ".join(f"{v}={os.environ[v]}" for v in VARIABLES
                     if v in os.environ) or "none of " + ", ".join(VARIABLES)
    text = (f"{settings.processors()} processors, PyTorch "
            f"{torch.__version__}; {said}\n\n"
            + table(corpus, names, steps, arguments.busy))
    print(text)
    print(save_text("benchmarks", "threads.txt", text))


if __name__ == "__main__":
    main()
