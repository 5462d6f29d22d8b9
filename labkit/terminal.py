"""Lines of a terminal, in which a Chinese character takes two columns."""

import re
import textwrap
from typing import Any

WIDE = re.compile("[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff"
                  "\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u201c\u201d]")
# A line may end after each of them, but before no closing mark and after no
# opening one.
BREAKS = re.compile("( +)|(?<=[^\u201c\uff08\u300a]\0)"
                    "(?![\u201d\uff0c\u3002\u3001\uff1b\uff1a\uff1f\uff01"
                    "\uff09\u300b])")


def columns(text: str) -> int:
    """How many columns a text takes."""
    return len(text) + len(WIDE.findall(text))


def wrapped(
    text: str, width: int = 75, first: str = "", rest: str = "",
    **options: Any,
) -> list[str]:
    """A text in lines of so many columns, behind margins, as by textwrap."""
    # A second character for the second column, until all is in its line.
    lines = _Wrapper(width, WIDE.sub("\\g<0>\0", first), rest, **options).wrap(
        WIDE.sub("\\g<0>\0", text))
    return [line.replace("\0", "") for line in lines]


class _Wrapper(textwrap.TextWrapper):
    def _split(self, text: str) -> list[str]:
        if "\0" not in text:
            return super()._split(text)
        return list(filter(None, BREAKS.split(text)))
