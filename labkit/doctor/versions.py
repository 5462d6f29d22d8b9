"""Versions of packages: what is installed, and what lies in a range."""

from __future__ import annotations

import re
from importlib import metadata


def installed(name: str) -> str | None:
    """The version of an installed package; None where there is none."""
    try:
        # None as well where its metadata is damaged.
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def within(version: str, versions: str) -> bool:
    """Whether a version lies in a range such as ">=2.13,<3".

    Not all of Python's rules: those that pyproject.toml makes use of.
    """
    mine = _numbers(version)
    for part in filter(None, (p.strip() for p in versions.split(","))):
        match = re.fullmatch(r"(~=|>=|<=|==|!=|<|>)\s*([\w.+]+)", part)
        if not match:
            continue  # a rule that is unknown here forbids nothing
        limit = _numbers(match[2])
        family = limit[:match[2].count(".")]
        if not {
            "~=": mine >= limit and mine[:len(family)] == family,
            ">=": mine >= limit, "<=": mine <= limit, "==": mine == limit,
            "!=": mine != limit, "<": mine < limit, ">": mine > limit,
        }[match[1]]:
            return False
    return True


def _numbers(version: str) -> list[int]:
    """[2, 13] of 2.13.0+cpu: zeros at the end mean nothing."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(x) for x in match[0].split(".")] if match else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
