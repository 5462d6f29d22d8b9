"""What it costs to import labutils, load the corpus and cut it into batches.

Run it with:  python benchmarks/loading.py
Each figure is the median of several runs.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch

from labutils import SeqDataLoader
from labutils.corpus import find_corpus
from labutils.text import clean_line, encode_lines

IMPORTS = """
import time
import matplotlib.pyplot
import torch
start = time.perf_counter()
import labutils, labutils.plots, labutils.results
print(time.perf_counter() - start)
"""


def median_ms(work: Callable[[], object], runs: int = 21) -> float:
    """Median milliseconds of `work`, after one run that does not count."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def import_ms(runs: int = 5) -> float:
    """Milliseconds for labutils in a process that has torch and pyplot."""
    times = [
        float(subprocess.check_output([sys.executable, "-c", IMPORTS]))
        for _ in range(runs)
    ]
    return 1000 * statistics.median(times)


def encoded(text: str) -> torch.Tensor:
    """The text as token indices, every character one."""
    lines = [clean_line(line) for line in text.splitlines()]
    return encode_lines(lines)[0]


def table(runs: int = 21, imports: int = 5) -> str:
    """A line for each thing that is timed."""
    text = find_corpus().text
    corpus = encoded(text)
    rows = [
        ("import labutils, beyond torch and matplotlib", import_ms(imports)),
        (
            "clean, tokenize and encode the text",
            median_ms(partial(encoded, text), runs),
        ),
    ]
    for name, use_random_iter in (("sequential", False), ("random", True)):
        loader = SeqDataLoader(corpus, 32, 35, use_random_iter)
        epoch_ms = median_ms(partial(list, loader), runs)
        rows.append((f"one {name} epoch, {len(corpus):,} tokens", epoch_ms))
    return "".join(f"{name:46s} {ms:8.2f} ms\n" for name, ms in rows)


def main() -> None:
    print(find_corpus())
    print(table(), end="")


if __name__ == "__main__":
    main()
