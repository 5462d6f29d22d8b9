"""What it costs to watch a training, and to be able to stop it.

Run it with:  make bench  or  python benchmarks/view.py [--quick]
Writes results/benchmarks/view.txt.

The trainings run in a real notebook kernel, told as a notebook tells it that
somebody is there, so that labutils shows its live picture. The same short
training runs watched and silent in turn; the ratio of their times is what
one would notice, but noise is in it. So the time spent in the view's own
functions is added up as well. One whole training of the notebooks, the
shortest, shows what is left of the first and the last picture's cost there.
"""

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jupyter_client.manager import run_kernel
from loading import median_ms
from variants import (
    BATCH_SIZE,
    NUM_STEPS,
    TRAININGS,
    kit_model,
    new_weights,
    trainable,
)

import labutils
from labutils import view
from labutils.checkpoint import Snapshot, save_checkpoint
from labutils.results import save_text

NAMES = {"rnn_scratch_sequential": 16, "rnn_concise": 48}  # epochs of a run
WHOLE = ("rnn_concise", 500)
# In a kernel with one of these, or capped, nobody would watch a training.
NOT_HERE = ("CI", "PYTEST_VERSION", "LABUTILS_EPOCHS")


# In the kernel


class Stopwatch:
    """Seconds of each call of the live view's functions."""

    def __init__(self) -> None:
        self.updates: list[float] = []
        self.finishes: list[float] = []
        view.Live.update = self.timed(  # type: ignore[method-assign]
            view.Live.update, self.updates
        )
        view.Live.finish = self.timed(  # type: ignore[method-assign]
            view.Live.finish, self.finishes
        )

    def timed(self, function, seconds: list[float]):
        """The function, its seconds noted."""

        def run(*arguments) -> None:
            start = time.perf_counter()
            function(*arguments)
            seconds.append(time.perf_counter() - start)

        return run

    def clear(self) -> None:
        """Begin again."""
        self.updates.clear()
        self.finishes.clear()


def one_run(
    stopwatch: Stopwatch, name: str, epochs: int, watched: bool
) -> dict[str, Any]:
    """Seconds of one training, and of the view's functions in it."""
    training = TRAININGS[name]
    loader, vocab = labutils.load_data_time_machine(BATCH_SIZE, NUM_STEPS)
    model = trainable(kit_model(training, new_weights(training)))
    stopwatch.clear()
    start = time.perf_counter()
    labutils.train(model, loader, vocab, 1.0, epochs, verbose=watched)
    return {
        "seconds": time.perf_counter() - start,
        "updates": list(stopwatch.updates),
        "finishes": list(stopwatch.finishes),
    }


def in_kernel(
    path: str, pairs: int, epochs: dict[str, int], whole: int
) -> None:
    """All the runs, into a JSON file; called in the notebook kernel.

    Raises:
        RuntimeError: the view is not the live one here.
    """
    if not isinstance(view.new_view(), view.Live):
        raise RuntimeError("labutils does not show its live view here.")
    run = partial(one_run, Stopwatch())
    found: dict[str, Any] = {}
    for name, number in epochs.items():
        run(name, 2, False)  # to warm up
        found[name] = [
            {watched: run(name, number, watched) for watched in (True, False)}
            for _ in range(pairs)
        ]
    found["whole"] = run(WHOLE[0], whole, True)
    Path(path).write_text(json.dumps(found))


# In the process that starts the kernel


def from_kernel(
    folder: Path, pairs: int, epochs: dict[str, int], whole: int
) -> Any:
    """What `in_kernel` finds in a new kernel with somebody before it."""
    environment = {
        name: value for name, value in os.environ.items()
        if name not in NOT_HERE
    }
    here, path = str(Path(__file__).parent), str(folder / "found.json")
    code = (
        f"import sys; sys.path.insert(0, {here!r}); import view\n"
        f"view.in_kernel({path!r}, {pairs}, {epochs}, {whole})"
    )
    client: Any
    with run_kernel(
        kernel_name="python3", env=environment,
        extra_arguments=["--log-level=CRITICAL"],  # its own log
    ) as client:
        reply = client.execute_interactive(
            code, allow_stdin=True, output_hook=lambda message: None,
            timeout=1800,
        )["content"]
    if reply["status"] != "ok":
        raise RuntimeError("\n".join(reply["traceback"]))
    return json.loads(Path(path).read_text())


def share(run: dict[str, Any]) -> float:
    """Of the run's time, what the view took."""
    return sum(run["updates"] + run["finishes"]) / run["seconds"]


def spread(values: list[float], form: str) -> str:
    """Median, smallest and largest."""
    low, middle, high = (
        format(value, form)
        for value in (min(values), statistics.median(values), max(values))
    )
    return f"{middle} ({low}..{high})"


def watching(found: dict[str, Any], epochs: dict[str, int]) -> str:
    """What the view costs, in a few lines for each training."""
    lines = []
    for name, number in epochs.items():
        pairs = found[name]
        watched = [pair["true"] for pair in pairs]
        times = [pair["false"]["seconds"] for pair in pairs]
        ratios = [
            pair["true"]["seconds"] / pair["false"]["seconds"]
            for pair in pairs
        ]
        first = [1000 * run["updates"][0] for run in watched]
        last = [1000 * run["finishes"][0] for run in watched]
        lines += [
            f"{name}, {number} epochs, {len(pairs)} pairs of runs",
            f"  seconds without the view   {spread(times, '.2f')}",
            f"  time watched / silent      {spread(ratios, '.3f')}",
            "  share spent in the view    "
            + spread([share(run) for run in watched], ".1%"),
            f"  first picture, ms          {spread(first, '.0f')}",
            f"  last picture, ms           {spread(last, '.0f')}",
        ]
    return "\n".join(lines) + "\n"


def watching_whole(run: dict[str, Any], epochs: int) -> str:
    """What the view costs in a whole training."""
    # Most updates draw nothing and return at once.
    pictures = [1000 * s for s in run["updates"][1:] if s > 0.001]
    between = spread(pictures, ".0f") if pictures else "none"
    return (
        f"{WHOLE[0]}, {epochs} epochs, one watched run\n"
        f"  seconds                    {run['seconds']:.2f}\n"
        f"  share spent in the view    {share(run):.1%}\n"
        f"  pictures between the first and the last: {len(pictures)}, "
        f"ms: {between}\n"
    )


def stopping(name: str, folder: Path, runs: int) -> str:
    """What a snapshot (after each epoch) and a saved checkpoint cost."""
    training = TRAININGS[name]
    model = trainable(kit_model(training, new_weights(training)))
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    loader, vocab = labutils.load_data_time_machine(BATCH_SIZE, NUM_STEPS)
    history = labutils.train(
        model, loader, vocab, None, 1, optimizer=optimizer, verbose=False
    )
    history = dataclasses.replace(  # as long as that of a whole training
        history, train_perplexity=history.train_perplexity * 500,
        train_seconds=history.train_seconds * 500,
    )
    snapshot = Snapshot.of(model, optimizer)

    def save() -> None:
        snapshot.fingerprint()  # train takes one whenever it saves
        save_checkpoint(folder / "checkpoint", snapshot, history)

    snapshot_ms = median_ms(partial(Snapshot.of, model, optimizer), runs)
    epoch_ms = 1000 * history.train_seconds[0]
    return (
        f"{name}\n"
        f"  snapshot after an epoch    {snapshot_ms:.2f} ms\n"
        f"  checkpoint saved           {median_ms(save, runs):.2f} ms\n"
        f"  an epoch, the first, takes {epoch_ms:.0f} ms\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the live view.")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument(
        "--quick", action="store_true",
        help="two epochs of each training: to test this script",
    )
    arguments = parser.parse_args()
    pairs, epochs, whole, runs = arguments.pairs, NAMES, WHOLE[1], 21
    if arguments.quick:
        pairs, epochs, whole, runs = 1, dict.fromkeys(NAMES, 2), 3, 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = from_kernel(folder, pairs, epochs, whole)
        stops = [stopping(name, folder, runs) for name in NAMES]
    text = "\n".join([
        "The live view in a notebook kernel; median (smallest..largest)\n"
        "Short runs: their first and last picture weigh more than in a "
        "whole training.\n",
        watching(found, epochs), watching_whole(found["whole"], whole),
        "Stopping and going on; medians\n", *stops,
    ])
    print("", text, sep="\n", end="")
    print(save_text("benchmarks", "view.txt", text))


if __name__ == "__main__":
    main()
