"""What somebody's notebook holds, made fit and harmless for a page.

Markdown becomes HTML and its LaTeX formulas MathML, which browsers draw by
themselves: a page made with this needs no script and no network. The notebook
may come from anybody: HTML in its Markdown is shown, not obeyed, and of its
outputs only text and PNG images are kept, for HTML, scripts and SVG could do
something to whoever opens the page.
"""

import base64
import contextlib
import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, tostring

from latex2mathml.converter import convert_to_element
from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LONGEST_FORMULA = 2000  # characters; nobody writes a longer one
LONGEST_OUTPUT = 20_000  # characters
LINES = 200  # of an output
LARGEST_IMAGE = 2_000_000  # characters in base64
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PNG = b"\x89PNG\r\n"
SVG = "PHN2Zy"  # the beginning of "<svg ", in base64
# A macro can blow a short formula up to one without end.
MACROS = re.compile(r"\\(?:def|let|(?:re)?new(?:command|environment))\b")
# Environments that the parser has under another name.
RENAMED = re.compile(r"\\(begin|end)\{(?:aligned|gathered|eqnarray\*?)\}")
# So many parts has each of these; a formula that breaks off leaves some out.
PARTS = {
    "mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2,
    "msubsup": 3, "munderover": 3,
}
TAGS = frozenset({
    *PARTS, "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "msqrt",
    "mmultiscripts", "mprescripts", "none", "mtable", "mtr", "mtd", "mstyle",
    "mpadded", "mphantom", "menclose",
})
ATTRIBUTES = frozenset({
    "xmlns", "display", "displaystyle", "scriptlevel", "stretchy", "fence",
    "form", "minsize", "maxsize", "movablelimits", "largeop", "accent",
    "accentunder", "linethickness", "lspace", "rspace", "width", "height",
    "depth", "voffset", "mathvariant", "mathsize", "mathcolor", "notation",
    "columnalign", "columnspacing", "columnlines", "rowspacing", "rowlines",
    "separator", "symmetric",
})
# What a page with formulas needs in its style; a browser's own rules leave
# these out.
STYLE = """
math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math",
  "DejaVu Math TeX Gyre", math }
math[display="block"] { margin: .6em 0; overflow-x: auto; overflow-y: hidden }
mtd[columnalign="right"] { text-align: -moz-right; text-align: -webkit-right;
  padding-right: 0 }
mtd[columnalign="left"] { text-align: -moz-left; text-align: -webkit-left;
  padding-left: 0 }
""".strip()


@dataclass(frozen=True)
class Shown:
    """One output: a PNG image in base64, or else a text."""

    image: str = ""
    text: str = ""


def shown(output: Any) -> Shown | None:
    """An output as text or as a PNG; None for any other."""
    data = output.get("data", {})
    image = "".join(str(data.get("image/png", "")).split())
    if image and len(image) <= LARGEST_IMAGE and is_png(image):
        return Shown(image=image)
    text = (
        "\n".join(map(str, output.get("traceback", [])))
        or output.get("text") or data.get("text/plain") or "")
    text = short(COLOURS.sub("", str(text)))
    return Shown(text=text) if text else None


def is_png(image: str) -> bool:
    """Whether a text is a PNG in base64, as far as its beginning tells."""
    try:
        return base64.b64decode(image, validate=True).startswith(PNG)
    except ValueError:
        return False


def short(text: str, lines: int = LINES) -> str:
    """A text, cut where it is too long for a page."""
    cut = "\n".join(text.split("\n")[:lines])[:LONGEST_OUTPUT]
    return cut if cut == text else f"{cut}\n(cut here)"


def markdown_to_html(
    text: str, images: Mapping[str, str] | None = None, headings: int = 0,
) -> str:
    """Markdown with LaTeX formulas as HTML with MathML.

    Args:
        images: PNG or SVG images in base64, by the address that the text has
            for them (such as "attachment:image.png"). Other images are not
            loaded; their description stands in their place.
        headings: so many levels lower than written; with 2, # becomes h3.
    """
    return MarkdownWithMath(_Renderer(images or {}, headings)).render(text)


def formula_to_mathml(latex: str, display: bool = False) -> str:
    """A formula, without the dollar signs, as MathML; as its own source where
    it cannot be read. With `display` it stands on a line of its own."""
    try:
        if len(latex) > LONGEST_FORMULA or MACROS.search(latex):
            raise ValueError("not a formula that anybody would write")
        tree = convert_to_element(
            RENAMED.sub(r"\\\1{align*}", latex.strip()),
            display="block" if display else "inline")
        for element in tree.iter():
            _clean(element)
        return tostring(tree, encoding="unicode")
    except Exception:  # its parser fails in many ways, some of them its own
        return f'<code class="formula">{html.escape(latex)}</code>'


def _clean(element: Element) -> None:
    """Let pass what MathML has; names of characters become characters."""
    if element.tag not in TAGS:
        raise ValueError(f"{element.tag} is no element of MathML")
    if PARTS.get(element.tag, len(element)) != len(element):
        raise ValueError(f"{element.tag} with {len(element)} parts")
    for name in set(element.attrib) - ATTRIBUTES:
        del element.attrib[name]
    if element.tag == "msup" and (
        set(html.unescape(element[1].text or "")) == {"\N{PRIME}"}
    ):  # the character stands high already: raised again it would vanish
        element.tag, element[1].tag = "mrow", "mo"
    if element.text:
        variant = element.attrib.pop("mathvariant", "")
        text = html.unescape(element.text)
        if variant and variant != "italic":
            text = "".join(_letter(character, variant) for character in text)
        element.text = text
        # A single letter is drawn in italics unless told otherwise.
        if element.tag == "mi" and variant == "normal":
            element.set("mathvariant", "normal")


def _letter(character: str, variant: str) -> str:
    """The character in an alphabet of its own, such as the bold one: Unicode
    has most, and Chromium and Safari know no mathvariant="bold"."""
    name = re.sub("^(LATIN|GREEK) ", "", unicodedata.name(character, ""))
    alphabet = re.sub("(?<=BOLD)-", " ", variant.upper())
    name = f"{alphabet} {name.replace('LETTER ', '')}"
    # Some stood in Unicode before the alphabets, under names of their own.
    for full in (f"MATHEMATICAL {name}", name,
                 name.replace("FRAKTUR", "BLACK-LETTER")):
        with contextlib.suppress(KeyError):
            return unicodedata.lookup(full)
    return character


class _Renderer(HTMLRenderer):
    """What becomes of each piece of the Markdown."""

    def __init__(self, images: Mapping[str, str], headings: int) -> None:
        super().__init__(escape=True, allow_harmful_protocols=False)
        self.images, self.headings = images, headings

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        return super().heading(text, min(6, level + self.headings), **attrs)

    def block_math(self, body: str) -> str:
        return formula_to_mathml(body, display=True)

    def inline_math(self, body: str) -> str:
        return formula_to_mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        return formula_to_mathml(
            rf"\begin{{{name}}}{body}\end{{{name}}}", display=True)

    def block_code(self, code: str, info: str | None = None) -> str:
        try:
            lexer = get_lexer_by_name((info or "").split()[0])
        except (ClassNotFound, IndexError):
            return super().block_code(code)
        return highlight(code, lexer, HtmlFormatter())

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if not url.lower().startswith(("https://", "http://", "#")):
            return text
        return super().link(text, url, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if url not in self.images:
            return f"[{text}]"
        source = html.escape(self.images[url])
        kind = "svg+xml" if source.startswith(SVG) else "png"
        return f'<img alt="{text}" src="data:image/{kind};base64,{source}">'
