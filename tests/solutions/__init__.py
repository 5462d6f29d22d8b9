"""Right and wrong solutions of the exercises, a module for each.

Every function or class whose name begins with `right` has to pass its check;
every one whose name begins with `wrong` is marked with the slip that the
check has to name.
"""

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

Solution = TypeVar("Solution", bound=Callable)


def slip(words: str) -> Callable[[Solution], Solution]:
    """Mark a wrong solution with words that its explanation must hold."""

    def mark(solution: Solution) -> Solution:
        solution.slip = words  # type: ignore[attr-defined]
        return solution

    return mark


def modules() -> dict[str, ModuleType]:
    """Every exercise's module, by the exercise's name."""
    return {
        module.name: importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    }
