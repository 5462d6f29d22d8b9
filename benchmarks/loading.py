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


def main() -> None:
    text = find_corpus()
    print(text)

    def load():
        lines = [clean_line(line) for line in text.text.splitlines()]
        return encode_lines(lines)[0]

    corpus = load()
    rows = [
        ("import labutils, beyond torch and matplotlib", import_ms()),
        ("clean, tokenize and encode the text", median_ms(load)),
    ]
    for name, use_random_iter in (("sequential", False), ("random", True)):
        loader = SeqDataLoader(corpus, 32, 35, use_random_iter)
        epoch_ms = median_ms(partial(list, loader))
        rows.append((f"one {name} epoch, {len(corpus):,} tokens", epoch_ms))
    for name, ms in rows:
        print(f"{name:46s} {ms:8.2f} ms")


if __name__ == "__main__":
    main()
