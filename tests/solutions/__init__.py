"""Right and wrong solutions of the exercises, a module for each.

Every function or class whose name begins with `right` has to pass its check;
every one whose name begins with `wrong` is marked with the slip that the
check has to name.
"""

from collections.abc import Callable
from typing import TypeVar

Solution = TypeVar("Solution", bound=Callable)


def slip(words: str) -> Callable[[Solution], Solution]:
    """Mark a wrong solution with words that its explanation must hold."""

    def mark(solution: Solution) -> Solution:
        solution.slip = words  # type: ignore[attr-defined]
        return solution

    return mark
