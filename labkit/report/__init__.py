"""The lab report: one document from the executed notebooks.

Its words stand in templates/, a file for each language.
"""

import functools
import tomllib
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def words(language: str) -> dict[str, Any]:
    """All that the report says by itself, in "zh" or "en"."""
    return tomllib.loads((TEMPLATES / f"{language}.toml").read_text("utf-8"))
