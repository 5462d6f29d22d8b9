"""How much memory one training takes, in a process of its own.

Run by trainings.py:  python benchmarks/memory.py TRAINING VARIANT
Prints megabytes: how far the largest resident set grew while it trained for
four steps, beyond the largest up to then (imports, text, weights, and what
PyTorch loads at its first step); or nan where the system does not say
(Windows).
"""

import argparse
import math
import subprocess
import sys
from pathlib import Path

import torch
from loading import encoded
from variants import TRAININGS, epoch_of, first_batches, new_loader

from labutils.corpus import find_corpus


def peak_bytes() -> float:
    """The largest resident set of this process up to now."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its maximum begins with that of the process
        # that started this one.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * float(line.split()[1])
    if sys.platform == "win32":
        return math.nan
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


def how() -> str:
    """In words, how `peak_bytes` came by its answer."""
    if sys.platform == "win32":
        return "not measured on Windows"
    source = "VmHWM" if Path("/proc/self/status").exists() else "getrusage"
    return (
        "growth of the largest resident set over four steps in a fresh "
        f"process ({source})"
    )


def measured_mb(training: str, variant: str) -> float:
    """What this script prints, from a new process."""
    command = [sys.executable, __file__, training, variant]
    return float(subprocess.check_output(command))


def first_step() -> None:
    """Have PyTorch load what it loads when it is first used."""
    x = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([x], 1.0)
    x.sum().backward()
    optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("training")
    parser.add_argument("variant")
    arguments = parser.parse_args()
    training = TRAININGS[arguments.training]
    corpus = first_batches(encoded(find_corpus().text), 4)
    loader = new_loader(training, corpus)
    epoch = epoch_of(training, arguments.variant, loader)
    first_step()
    before = peak_bytes()
    epoch()
    print((peak_bytes() - before) / 2**20)


if __name__ == "__main__":
    main()
