"""nbconvert's slides, with all that they need inside one file."""

import re
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from traitlets.config import Config

from labkit.pages import STYLE, markdown_to_html
from labstaff.slides import fonts

HERE = Path(__file__).parent
# Of reveal.js, in the order in which a page needs them.
STYLES = ("dist/reset.css", "dist/reveal.css")
SCRIPTS = ("dist/reveal.js", "plugin/notes/notes.js")
# "> **Predict.** ..." and its like: the word becomes the class of the box.
PROMPT = re.compile(r"<blockquote>(?=\s*<p><strong>(\w+))")
# What a browser would fetch: in a tag, or in a style.
FETCHED = re.compile(
    r"""<(?:img|script|link|iframe|source|video|audio)\b[^>]*?\s
    (?:src|href)\s*=\s*(?!["']?data:)["']?([^"'\s>]+) | @import\s+([^;]+)
    | url\(\s*(?!["']?(?:data:|\#))["']?([^"')]+)""",
    re.VERBOSE | re.IGNORECASE,
)


class DeckExporter(SlidesExporter):
    """Reveal.js slides in one file, formulas drawn by the browser."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            extra_template_basedirs=[str(HERE)], template_name="deck",
            config=Config({"CSSHTMLHeaderPreprocessor": {"style": "default"}}),
            **options,
        )

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        html = markdown_to_html(source, _attached(context["cell"]))
        return PROMPT.sub(
            lambda m: f'<blockquote class="{m[1].lower()}">', html
        )

    def _init_resources(self, resources: Any) -> Any:
        resources = super()._init_resources(resources)
        resources["deck"] = {"css": _styles(), "js": _scripts()}
        return resources


def _attached(cell: NotebookNode) -> dict[str, str]:
    """The PNG images that a cell brings along."""
    return {
        f"attachment:{name}": data["image/png"]
        for name, data in cell.get("attachments", {}).items()
        if "image/png" in data
    }


def export(notebook: NotebookNode, title: str) -> str:
    """The page of a notebook whose cells are prepared.

    Args:
        notebook: as `cells.prepare` returns it.
        title: of the page.

    Raises:
        ModuleNotFoundError: reveal.js or the font of the formulas is not
            installed.
        RuntimeError: the page would fetch something.
    """
    resources = {"metadata": {"name": title}}
    html, _ = DeckExporter().from_notebook_node(notebook, resources)
    font = fonts.for_formulas(html)
    html = html.replace("</head>", f"<style>\n{font}\n</style>\n</head>", 1)
    if found := fetched(html):
        raise RuntimeError(
            f"the slides of {title!r} would load {found[0]}, and have to "
            "open without a network. Attach the image to its cell, or leave "
            "it out."
        )
    return html


def fetched(html: str) -> list[str]:
    """The addresses that a browser would fetch to show the page."""
    # What stands in a script is no tag.
    bare = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", html,
                  flags=re.DOTALL)
    return ["".join(filter(None, m.groups())) for m in FETCHED.finditer(bare)]


def _styles() -> str:
    parts = [(fonts.reveal() / name).read_text("utf-8") for name in STYLES]
    parts += [fonts.for_words(), STYLE]
    return "\n".join([*parts, (HERE / "deck/deck.css").read_text("utf-8")])


def _scripts() -> str:
    parts = [(fonts.reveal() / name).read_text("utf-8") for name in SCRIPTS]
    parts.append((HERE / "deck/deck.js").read_text("utf-8"))
    # The speaker's window is a page within a string.
    return "\n".join(parts).replace("</script", r"<\/script")
