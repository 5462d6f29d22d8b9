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
from dataclasses import dataclass
from itertools import combinations

from labstaff.grading.results import Graded

RUN = 6  # tokens
WINDOW = 4  # runs, of which the smallest fingerprint is kept
FEWEST = 15  # fingerprints: what has less has one natural solution
COMMON = 0.25  # of the class: a run that so many have is everybody's
MOST = 100_000  # characters of a cell that are looked at
TOKEN = re.compile(r"\w+|\n *|[^\w\s]")


@dataclass(frozen=True)
class Pair:
    """Two students and how much of the rarer code of one the other has."""

    exercise: str
    one: str
    other: str
    likeness: float


def pairs(
    graded: Iterable[Graded], stubs: Mapping[str, str], least: float = 0.8
) -> list[Pair]:
    """The pairs that are alike, the most alike first.

    Args:
        graded: of the class.
        stubs: for each exercise what students found in the cell.
        least: likeness from which a pair is reported, from 0 to 1.
    """
    prints: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for one in graded:
        for exercise, source in one.sources.items():
            prints[exercise][one.student] = fingerprints(
                source) - fingerprints(stubs.get(exercise, ""))
    found = [
        pair for exercise, of_students in prints.items()
        for pair in _alike(exercise, of_students, least)
    ]
    return sorted(found, key=lambda p: (
        -p.likeness, p.exercise, p.one, p.other))


def _alike(
    exercise: str, prints: Mapping[str, set[str]], least: float
) -> Iterable[Pair]:
    """Compare only students who share a rare run."""
    holders: dict[str, list[str]] = defaultdict(list)
    for student in sorted(prints):
        for one in prints[student]:
            holders[one].append(student)
    most = max(2, int(COMMON * len(prints)))
    shared = Counter(
        pair for some in holders.values() if len(some) <= most
        for pair in combinations(some, 2))
    for (one, other), common in shared.items():
        smaller = min(len(prints[one]), len(prints[other]))
        # All of their code counts, and only what is rare speaks for it.
        whole = len(prints[one] & prints[other])
        if smaller >= FEWEST and common >= 2 and whole / smaller >= least:
            yield Pair(exercise, one, other, round(whole / smaller, 2))


def fingerprints(source: str) -> set[str]:
    """Those of a cell's code; none of what is no Python."""
    try:
        tree = ast.parse(source[:MOST])
        words = TOKEN.findall(ast.unparse(_Plain(tree).visit(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    runs = [
        hashlib.blake2b(" ".join(words[i:i + RUN]).encode("utf-8", "replace"),
                        digest_size=8).hexdigest()
        for i in range(len(words) - RUN + 1)
    ]
    return {min(runs[i:i + WINDOW])
            for i in range(max(1, len(runs) - WINDOW + 1)) if runs}


class _Plain(ast.NodeTransformer):
    """Make a student's own names equal, and take docstrings away."""

    def __init__(self, tree: ast.AST) -> None:
        nodes = list(ast.walk(tree))
        self.own = {
            n.id for n in nodes
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        } | {n.arg for n in nodes if isinstance(n, ast.arg)}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.own:
            node.id = "name"
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        self.generic_visit(node)
        node.arg = "name"
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)
