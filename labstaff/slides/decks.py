"""The lecture's slides: nbconvert's, each deck with all that it needs in one
file, and a page of links.

That includes the fonts, so that a page looks alike on every machine. Words
are in the font of reveal.js's themes, formulas in STIX Two Math: a formula is
set right only in a font with tables for it, and many a lecture hall's
computer has none.
"""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fontTools import subset
from fontTools.ttLib import TTFont
from jinja2 import pass_context
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from traitlets.config import Config

from labkit.course import language_of, notebook_paths, read_notebook, title
from labkit.pages import STYLE, markdown_to_html
from labstaff.slides import cells
from labutils import settings
from labutils.files import write_atomically

HERE = Path(__file__).parent
# Of reveal.js, in the order in which a page needs them, and our script.
STYLES = ("dist/reset.css", "dist/reveal.css")
SCRIPTS = ("dist/reveal.js", "plugin/notes/notes.js", HERE / "deck/deck.js")
FONTS = "dist/theme/fonts/source-sans-pro/source-sans-pro"
FACES = {
    "regular": ("normal", 400), "italic": ("italic", 400),
    "semibold": ("normal", 600), "semibolditalic": ("italic", 600),
}
# What a browser draws though it stands in no formula: a root, a minus for a
# hyphen, and italics, which are characters of their own, for single letters.
DRAWN = "\N{SQUARE ROOT}\N{MINUS SIGN}\N{PLANCK CONSTANT}" + "".join(
    map(chr, (*range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)))
)
TITLE = re.compile("<title>(.*?)</title>")
FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)
# "> **Predict.** ..." and its like: the word becomes the class of the box.
BOXES = {"Predict": "predict", "猜一猜": "predict",
         "Write": "write", "动手写": "write"}
PROMPT = re.compile(r"<blockquote>(?=\s*<p><strong>(\w+))")
# What a browser would fetch: in a tag, or in a style.
FETCHED = re.compile(
    r"""<(?:img|script|link|iframe|source|video|audio)\b[^>]*?\s
    (?:src|href)\s*=\s*(?!["']?data:)["']?([^"'\s>]+) | @import\s+([^;]+)
    | url\(\s*(?!["']?(?:data:|\#))["']?([^"')]+)""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Deck:
    """The slides of one notebook."""

    page: str  # all of them, as HTML
    count: int
    left_out: list[str]  # ids of the cells that say nothing about slides


def write(
    names: Sequence[str] = (), out: Path | None = None,
    solutions: bool = True, language: str = "en",
) -> list[str]:
    """Write the slides of the notebooks, of all unless some are named as for
    `notebook_paths`, into `out`, or None for slides/ among the results.
    Returns a line about each file.

    Raises:
        NotebookError: there is no such notebook, or it cannot be read.
        ValueError: a notebook cannot be made into slides.
    """
    out = settings.results_dir() / "slides" if out is None else out
    lines = []
    for path in notebook_paths(names, language=language):
        made = deck(path, solutions)
        data = made.page.encode("utf-8")
        write_atomically(out / f"{path.stem}.html", data)
        line = f"{path.stem}: {made.count} slides, {len(data) / 2**20:.1f} MB"
        if made.left_out:
            more = " ..." * (len(made.left_out) > 3)
            line += ("; cells without a slide type, left out: "
                     f"{', '.join(made.left_out[:3])}{more}")
        lines.append(line)
    index = out / "index.html"
    links = [f'<li><a href="{quote(path.name)}">{found[1]}</a>'
             for path in sorted(out.glob("*.html"))  # of earlier runs as well
             if (found := TITLE.search(path.read_text(encoding="utf-8")))
             and path != index]
    page = (HERE / "deck/contents.html").read_text(encoding="utf-8")
    page = page.replace("{links}", "\n".join(links))
    write_atomically(index, page.encode("utf-8"))
    return [*lines, f"Open {index}"]


def deck(path: Path, solutions: bool = True) -> Deck:
    """The slides of one notebook; errors as for `write`."""
    notebook = read_notebook(path)
    try:
        shown = cells.prepare(notebook, solutions)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    return Deck(
        export(shown, title(notebook) or path.stem), cells.count(shown),
        [c.id for c in notebook.cells if "slideshow" not in c.metadata])


def export(notebook: NotebookNode, title: str) -> str:
    """The page of a notebook whose cells are prepared, with its title.

    Raises:
        ModuleNotFoundError: reveal.js or the formulas' font is not installed.
        RuntimeError: the page would fetch something.
    """
    reveal: Any = metadata.distribution("sphinx-revealjs").locate_file(
        "sphinx_revealjs/_static/revealjs")
    styles = [(reveal / name).read_text("utf-8") for name in STYLES]
    styles += [
        _font("Source Sans Pro",
              (reveal / f"{FONTS}-{file}.woff").read_bytes(), *face)
        for file, face in FACES.items()]
    styles += [STYLE, (HERE / "deck/deck.css").read_text("utf-8")]
    scripts = [(reveal / name).read_text("utf-8") for name in SCRIPTS]
    spoken = {"en": "en", "zh": "zh-CN"}[language_of(notebook)]
    html, _ = SlidesExporter(
        extra_template_basedirs=[str(HERE)], template_name="deck",
        config=Config({"CSSHTMLHeaderPreprocessor": {"style": "default"}}),
        filters={"markdown2html": _markdown},
    ).from_notebook_node(notebook, {
        "metadata": {"name": title, "language": spoken},
        "deck": {
            "css": "\n".join(styles),
            # The speaker's window is a page within a string.
            "js": "\n".join(scripts).replace("</script", r"<\/script"),
        },
    })
    font = formula_font(html)
    html = html.replace("</head>", f"<style>\n{font}\n</style>\n</head>", 1)
    if found := fetched(html):
        raise RuntimeError(
            f"the slides of {title!r} would load {found[0]}, and have to open "
            "without a network. Attach the image to its cell, or leave it "
            "out.")
    return html


@pass_context
def _markdown(context: Any, source: str) -> str:
    """A cell's text, its formulas drawn by the browser, its images inside."""
    attached = {
        f"attachment:{name}": data["image/png"]
        for name, data in context["cell"].get("attachments", {}).items()
        if "image/png" in data
    } | {
        f"images/{path.name}": base64.b64encode(path.read_bytes()).decode()
        for path in (settings.home() / "notebooks/images").glob("*.svg")
    }
    html = markdown_to_html(source, attached)
    return PROMPT.sub(
        lambda m: f'<blockquote class="{BOXES.get(m[1], m[1])}">', html)


def fetched(html: str) -> list[str]:
    """The addresses that a browser would fetch to show the page."""
    # What stands in a script is no tag.
    bare = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", html,
                  flags=re.DOTALL)
    return ["".join(filter(None, m.groups())) for m in FETCHED.finditer(bare)]


def formula_font(html: str) -> str:
    """The style that names a font with the characters of a page's formulas;
    where it has none, it needs no font."""
    formulas = " ".join(FORMULA.findall(html))
    if not formulas:
        return ""
    file = metadata.distribution("ziamath").locate_file(
        "ziamath/fonts/STIXTwoMath-Regular.ttf")
    # The date of the change would make every page a new one.
    with TTFont(file, recalcTimestamp=False) as font:
        part = subset.Subsetter()  # a twentieth of the font, say
        part.populate(text=formulas + DRAWN)
        part.subset(font)
        font.flavor = "woff"
        stream = io.BytesIO()
        font.save(stream)
    return _font("STIX Two Math", stream.getvalue(), "normal", 400)


def _font(family: str, font: bytes, style: str, weight: int) -> str:
    data = base64.b64encode(font).decode("ascii")
    return (
        f"@font-face {{ font-family: '{family}'; font-style: {style}; "
        f"font-weight: {weight}; "
        f"src: url('data:font/woff;base64,{data}') format('woff'); }}")
