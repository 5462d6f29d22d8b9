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
from collections.abc import Iterable, Mapping
from itertools import combinations

from labkit.course import NO_PYTHON, tree
from labstaff.grading.results import Graded

RUN = 6  # tokens
WINDOW = 4  # runs, of which the smallest fingerprint is kept
FEWEST = 15  # fingerprints: what has less has one natural solution
COMMON = 0.25  # of the class: a run that so many have is everybody's
LEAST = 0.8  # likeness from which a pair is reported
MOST = 100_000  # characters of a cell that are looked at
TOKEN = re.compile(r"\w+|\n *|[^\w\s]")


def groups(graded: Iterable[Graded], given: Mapping[str, str]
           ) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Students who share code beyond what is given, and in which exercises,
    all of them the same. First come those who share many, and what few have
    written like that."""
    prints: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for one in graded:
        for exercise, source in one.sources.items():
            prints[exercise][one.student] = fingerprints(
                source) - fingerprints(given.get(exercise, ""))
    # For pairs and exercises how unlikely it is, of two alone, in logarithms.
    alike: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for exercise, every in sorted(prints.items()):
        holders: dict[str, list[str]] = defaultdict(list)
        for student in sorted(every):
            for run in every[student]:
                holders[run].append(student)
        most = max(2, int(COMMON * len(every)))
        # Only students who share a rare run are compared.
        shared = Counter(
            pair for some in holders.values() if len(some) <= most
            for pair in combinations(some, 2))
        # All of their code counts, and only what is rare speaks for it.
        found = [(one, two) for (one, two), common in shared.items() if (
            smaller := min(len(every[one]), len(every[two]))) >= FEWEST
            and common >= 2
            and len(every[one] & every[two]) >= LEAST * smaller]
        partners = Counter(student for pair in found for student in pair)
        for pair in found:
            others = max(partners[student] for student in pair) - 0.5
            alike[pair][exercise] = math.log(len(every) / others)
    teams: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for pair in sorted(alike, key=lambda pair: (
            -sum(alike[pair].values()), pair)):
        places = [(student, (*alike[pair],)) for student in pair]
        team = next((teams[p] for p in places if p in teams), set())
        team.update(pair)
        teams |= dict.fromkeys(places, team)
    return [*dict.fromkeys(((*sorted(team),), exercises)
                           for (_, exercises), team in teams.items())]


def fingerprints(source: str) -> set[str]:
    """Those of a cell's code, for which all of a student's names are equal.

    What is no Python has none.
    """
    try:
        nodes = list(ast.walk(tree(source[:MOST])))
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
    except NO_PYTHON:
        return set()
    runs = [" ".join(words[i:i + RUN]).encode("utf-8", "replace")
            for i in range(len(words) - RUN + 1)]
    prints = [hashlib.blake2b(r, digest_size=8).hexdigest() for r in runs]
    return {min(prints[i:i + WINDOW])
            for i in range(max(1, len(prints) - WINDOW + 1)) if prints}
