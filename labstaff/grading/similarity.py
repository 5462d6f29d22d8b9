"""Students whose code is alike: a reason to look, not a proof.

Names, comments, docstrings and layout are taken away; what is left is cut
into short runs of tokens, of which winnowing keeps a part (S. Schleimer,
D. Wilkerson and A. Aiken, 2003, "Winnowing: local algorithms for document
fingerprinting"). What many of the class have, or the stub, or the course's
own solution, tells nothing and does not count.
"""

import ast
import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
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
class Group:
    """Students who share code, and in which exercises, all of them the same;
    how much of the one's code another has at least."""

    students: tuple[str, ...]
    exercises: tuple[str, ...]
    likeness: float


def groups(graded: Iterable[Graded], stubs: Mapping[str, str],
           solutions: Mapping[str, str]) -> list[Group]:
    """Those that are alike beyond stubs and solutions. First come who share
    many exercises, and what few others have written like that."""
    prints: dict[str, dict[str, frozenset[str]]] = defaultdict(dict)
    for one in graded:
        for exercise, source in one.sources.items():
            own = fingerprints(source) - fingerprints(stubs.get(exercise, ""))
            given = own & fingerprints(solutions.get(exercise, ""))
            prints[exercise][one.student] = (
                own if len(given) < LEAST * len(own) else frozenset())
    alike: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    # How much a pair's likeness surprises: by the logarithms of how many have
    # written so, had they done it each alone.
    surprise: dict[tuple[str, str], float] = Counter()
    for exercise, own in sorted(prints.items()):
        holders: dict[str, list[str]] = defaultdict(list)
        for student in sorted(own):
            for run in own[student]:
                holders[run].append(student)
        most = max(2, int(COMMON * len(own)))
        # Only students who share a rare run are compared.
        shared = Counter(
            pair for some in holders.values() if len(some) <= most
            for pair in combinations(some, 2))
        found = {}
        for (first, second), common in shared.items():
            smaller = min(len(own[first]), len(own[second]))
            # All of their code counts, and only what is rare speaks for it.
            both = len(own[first] & own[second])
            if smaller >= FEWEST and common >= 2 and both >= LEAST * smaller:
                found[first, second] = round(both / smaller, 2)
        partners = Counter(student for pair in found for student in pair)
        for pair, likeness in found.items():
            others = max(partners[student] for student in pair) - 1
            if others + 2 <= most:
                alike[pair][exercise] = likeness
                surprise[pair] += math.log(len(own) / (others + 0.5))
    return [group for _, group in sorted(
        _together(alike, surprise), key=lambda x: (
            -x[0], -x[1].likeness, x[1].exercises, x[1].students))]


def _together(alike: Mapping[tuple[str, str], Mapping[str, float]],
              surprise: Mapping[tuple[str, str], float],
              ) -> Iterator[tuple[float, Group]]:
    """Pairs that share the same exercises, as groups; how much each tells."""
    same: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for pair, found in alike.items():
        same[(*found,)].append(pair)
    for exercises, some in same.items():
        teams: list[set[str]] = []
        for pair in some:
            met = [team for team in teams if not team.isdisjoint(pair)]
            teams = [team for team in teams if team.isdisjoint(pair)]
            teams.append({*pair}.union(*met))
        for team in teams:
            own = [pair for pair in some if pair[0] in team]
            yield max(surprise[pair] for pair in own), Group(
                (*sorted(team),), exercises,
                min(min(alike[pair].values()) for pair in own))


@lru_cache(1000)
def fingerprints(source: str) -> frozenset[str]:
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
        return frozenset()
    runs = [" ".join(words[i:i + RUN]).encode("utf-8", "replace")
            for i in range(len(words) - RUN + 1)]
    prints = [hashlib.blake2b(r, digest_size=8).hexdigest() for r in runs]
    return frozenset(
        min(prints[i:i + WINDOW])
        for i in range(max(1, len(prints) - WINDOW + 1)) if prints)
