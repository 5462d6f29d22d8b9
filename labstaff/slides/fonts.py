"""The fonts inside a page, so that it looks alike on every machine.

Words are in the font of reveal.js's themes, formulas in STIX Two Math: a
formula is set right only in a font with tables for it, and many a lecture
hall's computer has none.
"""

import base64
import io
import re
from importlib.util import find_spec
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

WORDS = "dist/theme/fonts/source-sans-pro/source-sans-pro"  # of reveal.js
FACES = (
    ("regular", "normal", 400), ("italic", "italic", 400),
    ("semibold", "normal", 600), ("semibolditalic", "italic", 600),
)
# What a browser draws though it stands in no formula: a root, a minus for a
# hyphen, and italics, which are characters of their own, for single letters.
DRAWN = "\N{SQUARE ROOT}\N{MINUS SIGN}\N{PLANCK CONSTANT}" + "".join(
    map(chr, (*range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)))
)
FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)


def folder(module: str, package: str) -> Path:
    """Where an installed package has its files; it is not imported.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no {package}", name=package)
    return Path(spec.submodule_search_locations[0])


def reveal() -> Path:
    """The folder of reveal.js, which sphinx-revealjs brings along."""
    package = folder("sphinx_revealjs", "sphinx-revealjs")
    return package / "_static" / "revealjs"


def for_words() -> str:
    """The style that names the font of the words."""
    return "\n".join(
        _rule("Source Sans Pro",
              (reveal() / f"{WORDS}-{file}.woff").read_bytes(), style, weight)
        for file, style, weight in FACES
    )


def for_formulas(html: str) -> str:
    """The style that names a font with the characters of the formulas.

    Args:
        html: the page; where it has no formula, it needs no font.
    """
    formulas = " ".join(FORMULA.findall(html))
    if not formulas:
        return ""
    file = folder("ziamath", "ziamath") / "fonts/STIXTwoMath-Regular.ttf"
    return _rule("STIX Two Math", _part(file, formulas + DRAWN), "normal", 400)


def _part(file: Path, text: str) -> bytes:
    """The font with what the text needs of it: a twentieth, say."""
    # The date of the change would make every page a new one.
    with TTFont(file, recalcTimestamp=False) as font:
        part = subset.Subsetter()
        part.populate(text=text)
        part.subset(font)
        font.flavor = "woff"
        stream = io.BytesIO()
        font.save(stream)
    return stream.getvalue()


def _rule(family: str, font: bytes, style: str, weight: int) -> str:
    data = base64.b64encode(font).decode("ascii")
    return (
        f"@font-face {{ font-family: '{family}'; font-style: {style}; "
        f"font-weight: {weight}; "
        f"src: url('data:font/woff;base64,{data}') format('woff'); }}"
    )
