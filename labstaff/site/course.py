"""The course as a website: pages made by Sphinx that open from the disk.

The English pages stand at the top, the Chinese ones in zh/, each beside the
page of the same name in the other language.
"""

import io
import logging
import re
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from docutils.nodes import SkipNode
from sphinx.application import Sphinx
from sphinx.search.zh import SearchChinese
from sphinx.util.docutils import docutils_namespace, patch_docutils

from labkit.course import notebook_paths, read_notebook
from labkit.pages import COLOURS, STYLE, formula_to_mathml
from labstaff.publish import folder
from labstaff.publish.release import languages_there
from labstaff.site import explorer
from labstaff.slides import cells, decks
from labutils import settings

HERE = Path(__file__).parent / "pages"
MANIFEST = ".site"  # by which an earlier site is known
# Of each language: its folder, its name for Sphinx; of the other one, its
# name, its folder from here, and its name for readers.
LANGUAGES = {"en": (".", "en", "zh", "zh/", "中文"),
             "zh": ("zh", "zh_CN", "en", "../", "English")}


def write(out: Path, kept: Mapping[str, Any], solutions: bool = True) -> Path:
    """Write the site, with what `explorer.networks` returns in it, in place of
    an earlier one, and return its first page.

    Raises:
        RuntimeError: a page has a fault, such as a link to nowhere, or `out`
            holds something else.
    """
    folder.check(out, [MANIFEST])
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    there = languages_there() or ["en"]

    def fill(new: Path) -> None:
        for language in there:
            place = new / LANGUAGES[language][0]
            _build(language, place, solutions, len(there) > 1)
            decks.write((), place / "slides", solutions, language)
        explorer.write(new / "explorer", kept)
        # For a host that would leave out folders such as _static.
        (new / ".nojekyll").touch()

    folder.replace(out, fill, MANIFEST)
    return out / "index.html"


def _build(language: str, out: Path, solutions: bool, both: bool) -> None:
    """Sphinx's pages of one language."""
    with tempfile.TemporaryDirectory(prefix="labutils-site-") as made:
        source = shutil.copytree(HERE / language, Path(made, "source"))
        shutil.copytree(settings.home() / "notebooks/images",
                        source / "images")
        for path in notebook_paths(language=language):
            shown = cells.for_reading(read_notebook(path), solutions)
            nbformat.write(shown, source / path.name)
        index = (source / "index.md").read_text(encoding="utf-8")
        name = index.partition("\n")[0].removeprefix("# ")
        config = tomllib.loads((HERE / "sphinx.toml").read_text("utf-8")) | {
            "html_static_path": [str(HERE / "static")], "html_title": name,
            "language": LANGUAGES[language][1], "both_languages": both}
        faults = io.StringIO()
        with patch_docutils(), docutils_namespace():
            Sphinx(source, None, out, Path(made, "doctrees"), "html", config,
                   status=None, warning=faults, freshenv=True).build()
    if found := COLOURS.sub("", faults.getvalue()).strip():
        raise RuntimeError(f"the site has faults:\n{found}")
    # Formulas get the font for them, with the characters that they have.
    pages = "".join(p.read_text(encoding="utf-8") for p in out.glob("*.html"))
    (out / "_static/formulas.css").write_text(
        f"{STYLE}\n{decks.formula_font(pages)}\n", encoding="utf-8")


# ---- what Sphinx has not


class Search(SearchChinese):
    """Finds Chinese words without a dictionary of them.

    A page compares a word of three characters or more with parts of indexed
    ones, a shorter one with whole ones: so it has each run and each pair.
    """

    language_name = "English"  # whose stemmer it has, and its script names

    def split(self, input: str) -> list[str]:
        runs = re.findall(r"[\u4e00-\u9fff]+", input)
        pairs = [run[k : k + 2] for run in runs for k in range(len(run) - 1)]
        return [*runs, *pairs, *super().split(input)]


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls of an extension."""
    app.add_config_value("both_languages", False, "html")
    app.add_search_language(Search)
    app.add_html_math_renderer("mathml", (_visit, None), (_visit, None))
    app.connect("html-page-context", _add_language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _visit(visitor: Any, node: Any) -> None:
    display = node.tagname == "math_block"
    visitor.body.append(formula_to_mathml(node.astext(), display))
    raise SkipNode


def _add_language(
    app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any
) -> None:
    """A link to the same page in the other language."""
    # What a finger can scroll the arrow keys have to, too.
    body = re.sub(r'(<pre|<math[^>]*display="block")>', r'\1 tabindex="0">',
                  context.get("body", ""))
    if body and app.config.both_languages:
        *_, other, place, words = LANGUAGES[(app.config.language or "en")[:2]]
        body = (f'<p class="language"><a lang="{other}" '
                f'href="{place}{page}.html">{words}</a></p>{body}')
    context["body"] = body
