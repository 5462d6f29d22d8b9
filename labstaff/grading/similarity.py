"""Pairs of submissions whose code is alike: a reason to look, not a proof.

Names, comments, docstrings and layout are taken away; what is left is cut
into short runs of tokens, of which winnowing keeps a part (S. Schleimer,
D. Wilkerson and A. Aiken, 2003, "Winnowing: local algorithms for document
fingerprinting"). A run that many of the class have, or that the stub has,
tells nothing and does not count.
"""

import ast
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from itertools import combinations

from labkit.course import python
from labstaff.grading.results import Graded

RUN = 6  # tokens
WINDOW = 4  # runs, of which the smallest fingerprint is kept
FEWEST = 15  # fingerprints: what has less has one natural solution
COMMON = 0.25  # of the class: a run that so many have is everybody's
LEAST = 0.8  # likeness from which a pair is reported
MOST = 100_000  # characters of a cell that are looked at
TOKEN = re.compile(r"\w+|\n *|[^\w\s]")


@dataclass(frozen=True)
class Pair:
    """Two students and how much of the rarer code of one the other has."""

    exercise: str
    one: str
    other: str
    likeness: float


def pairs(graded: Iterable[Graded], stubs: Mapping[str, str]) -> list[Pair]:
    """The pairs that are alike beyond the stubs, the most alike first."""
    prints: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for one in graded:
        for exercise, source in one.sources.items():
            prints[exercise][one.student] = fingerprints(
                source) - fingerprints(stubs.get(exercise, ""))
    found = []
    for exercise, own in prints.items():
        holders: dict[str, list[str]] = defaultdict(list)
        for student in sorted(own):
            for run in own[student]:
                holders[run].append(student)
        most = max(2, int(COMMON * len(own)))
        # Only students who share a rare run are compared.
        shared = Counter(
            pair for some in holders.values() if len(some) <= most
            for pair in combinations(some, 2))
        for (first, second), common in shared.items():
            smaller = min(len(own[first]), len(own[second]))
            # All of their code counts, and only what is rare speaks for it.
            alike = len(own[first] & own[second]) / smaller
            if smaller >= FEWEST and common >= 2 and alike >= LEAST:
                found.append(Pair(exercise, first, second, round(alike, 2)))
    return sorted(found, key=lambda p: (-p.likeness, *astuple(p)))


def fingerprints(source: str) -> set[str]:
    """Those of a cell's code, for which all of a student's names are equal.

    What is no Python has none.
    """
    try:
        nodes = list(ast.walk(ast.parse(python(source[:MOST]))))
        own = {n.arg for n in nodes if isinstance(n, ast.arg)} | {
            n.id for n in nodes
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for node in nodes:
            if isinstance(node, ast.Name) and node.id in own:
                node.id = "name"
            elif isinstance(node, ast.arg):
                node.arg = "name"
            elif isinstance(node, ast.Expr) and isinstance(
                    node.value, ast.Constant):  # a docstring
                node.value = ast.Constant(None)
        words = TOKEN.findall(ast.unparse(nodes[0]))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    runs = [" ".join(words[i:i + RUN]).encode("utf-8", "replace")
            for i in range(len(words) - RUN + 1)]
    prints = [hashlib.blake2b(r, digest_size=8).hexdigest() for r in runs]
    return {min(prints[i:i + WINDOW])
            for i in range(max(1, len(prints) - WINDOW + 1)) if prints}
