"""Pairs of submissions whose code is alike: a reason to look, not a proof.

Names, comments, docstrings and layout are taken away; what is left is cut
into short runs of tokens, of which winnowing keeps a part (S. Schleimer,
D. Wilkerson and A. Aiken, 2003, "Winnowing: local algorithms for document
fingerprinting"). A run that many of the class have, or that the stub has,
tells nothing and does not count.
"""

import ast
import hashlib
import io
import keyword
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from labstaff.grading.results import Graded

RUN = 6  # tokens
WINDOW = 4  # runs, of which the smallest fingerprint is kept
FEWEST = 15  # fingerprints: what has less has one natural solution
COMMON = 0.25  # of the class: a run that so many have is everybody's
MOST = 20_000  # characters of a cell that are looked at


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
    sources: dict[str, dict[str, str]] = defaultdict(dict)
    for one in graded:
        for exercise, source in one.sources.items():
            sources[exercise][one.student] = source
    found = []
    for exercise, of_students in sorted(sources.items()):
        stub = fingerprints(stubs.get(exercise, ""))
        marks = {s: fingerprints(t) - stub for s, t in of_students.items()}
        found += _alike(exercise, marks, least)
    return sorted(found, key=lambda p: (
        -p.likeness, p.exercise, p.one, p.other))


def _alike(
    exercise: str, marks: Mapping[str, set[str]], least: float
) -> list[Pair]:
    """Compare only students who share a rare run."""
    counts = Counter(mark for some in marks.values() for mark in some)
    most = max(2, int(COMMON * len(marks)))
    rare = {
        student: {m for m in some if counts[m] <= most}
        for student, some in marks.items()
    }
    holders: dict[str, list[str]] = defaultdict(list)
    for student, some in sorted(rare.items()):
        for mark in some:
            holders[mark].append(student)
    shared = Counter(
        pair for some in holders.values() for pair in combinations(some, 2))
    found = []
    for (one, other), common in shared.items():
        smaller = min(len(marks[one]), len(marks[other]))
        # All of their code counts, and only what is rare speaks for it.
        whole = len(marks[one] & marks[other])
        if smaller >= FEWEST and common >= 2 and whole / smaller >= least:
            found.append(Pair(exercise, one, other, round(whole / smaller, 2)))
    return found


def fingerprints(source: str) -> set[str]:
    """Those of a cell's code."""
    words = list(plain(source[:MOST]))
    marks = [
        hashlib.blake2b(" ".join(words[i:i + RUN]).encode("utf-8", "replace"),
                        digest_size=8).hexdigest()
        for i in range(max(0, len(words) - RUN + 1))
    ]
    if not marks:
        return set()
    return {
        min(marks[i:i + WINDOW])
        for i in range(max(1, len(marks) - WINDOW + 1))
    }


def plain(source: str) -> Iterable[str]:
    """A cell's tokens, the student's own names made equal."""
    own: Sequence[str] = ()
    try:
        tree = ast.parse(source)
        own = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name)
               and isinstance(n.ctx, ast.Store)]
        own += [n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)]
        source = ast.unparse(_WithoutWords().visit(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass  # the tokens as they stand
    names = set(own)
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE,
                              tokenize.ENDMARKER):
                continue
            mine = token.string in names and not keyword.iskeyword(
                token.string)
            yield "name" if mine else token.string.strip() or str(token.type)
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError):
        return


class _WithoutWords(ast.NodeTransformer):
    """Take docstrings away."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):
            return ast.copy_location(ast.Pass(), node)
        return node
