"""Markdown and formulas as HTML and MathML."""

import re
import unicodedata
from base64 import b64encode

import pytest
from bs4 import BeautifulSoup
from lab import open_window

from labkit.course import notebook_paths, read_notebook
from labkit.pages import STYLE, formula_to_mathml, markdown_to_html

FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL)


@pytest.fixture(scope="module")
def texts():
    """The Markdown of all the notebooks, a cell each."""
    return [
        cell.source for path in notebook_paths()
        for cell in read_notebook(path).cells if cell.cell_type == "markdown"
    ]


def test_every_formula_of_the_notebooks_becomes_mathml(texts):
    formulas = [f for text in texts for f in FORMULA.findall(text)]
    assert len(formulas) > 50
    page = "".join(map(markdown_to_html, texts))
    assert 'class="formula"' not in page  # none is left as its source
    assert page.count("<math") == len(formulas)


@pytest.mark.slow
def test_every_formula_of_the_notebooks_is_drawn_in_a_browser(texts):
    page = f"<style>{STYLE}</style>" + "".join(map(markdown_to_html, texts))
    with open_window() as window:
        window.set_content(page)
        drawn = window.eval_on_selector_all("math", """all => all.map(m => [
            m.getBoundingClientRect().width, m.textContent])""")
    assert len(drawn) == page.count("<math")
    for width, text in drawn:
        assert width > 5
        assert not re.search(r"[\\$&]", text), text


@pytest.mark.parametrize("formula, names", [
    (r"\mathbf{H}", ["MATHEMATICAL BOLD CAPITAL H"]),
    (r"\mathbf{x2}", ["MATHEMATICAL BOLD SMALL X",
                      "MATHEMATICAL BOLD DIGIT TWO"]),
    (r"\boldsymbol{\delta}", ["MATHEMATICAL BOLD ITALIC SMALL DELTA"]),
    (r"\mathcal{L}", ["SCRIPT CAPITAL L"]),
    (r"\mathbb{R}", ["DOUBLE-STRUCK CAPITAL R"]),
    (r"\mathfrak{C}", ["BLACK-LETTER CAPITAL C"]),
    (r"\mathbf{(}", ["LEFT PARENTHESIS"]),
])
def test_bold_letters_are_characters_that_every_browser_draws(formula, names):
    # Chromium and Safari ignore mathvariant="bold".
    made = formula_to_mathml(formula)
    text = re.sub("<[^>]+>", "", made)
    assert [unicodedata.name(c) for c in text] == names
    assert "mathvariant" not in made


def test_a_prime_is_not_raised_twice():
    made = formula_to_mathml(r"\mathbf{H}' = x^2")
    assert "<mo>\N{PRIME}</mo>" in made and made.count("<msup>") == 1


@pytest.mark.parametrize("environment", ["aligned", "align*", "align"])
def test_equations_below_each_other(environment):
    made = formula_to_mathml(
        rf"\begin{{{environment}}} a &= b \\ c &= d \end{{{environment}}}")
    assert made.count("<mtr>") == 2
    assert "&amp;" not in made


@pytest.mark.parametrize("formula", [
    r"\frac{a", r"}{", r"\begin{matrix} a", "x_", r"\left(", "a" * 3000,
    r"\newcommand{\a}{\b\b}\newcommand{\b}{\c\c}\a",
])
def test_what_is_no_formula_is_shown_as_it_was_written(formula):
    made = markdown_to_html(f"before ${formula}$ after")
    assert "before" in made and "after" in made
    if "<math" not in made:
        assert formula in made


HOSTILE = [
    "<script>window.hurt = 1</script>",
    "<img src=x onerror='window.hurt = 1'>",
    "text <b onmouseover='window.hurt = 1'>b</b>",
    r"$\text{<img src=x onerror=window.hurt=1>}$",
    r"$\text{&lt;script&gt;window.hurt = 1&lt;/script&gt;}$",
    r"$$\href{javascript:window.hurt=1}{x}$$",
    r"$\style{background:url(http://example.com/a.png)}{x}$",
    r"$\class{x}{y}$ $\mathbf{<script>window.hurt=1</script>}$",
    "[link](javascript:window.hurt=1)", "[link](JaVaScRiPt:window.hurt=1)",
    "[link](data:text/html,<script>window.hurt=1</script>)",
    "![a](http://example.com/a.png)", "![a](file:///etc/passwd)",
    '![a" onerror="window.hurt=1](attachment:known.png)',
    '[a](http://example.com/" onclick="window.hurt=1)',
    "```mermaid\n<script>window.hurt = 1</script>\n```",
    "```html\n<script>window.hurt = 1</script>\n```",
    "``` x\"onclick=\"window.hurt=1\n```",
    "<style>* { background: url(http://example.com/a.png) }</style>",
    "| a |\n|---|\n| <script>window.hurt=1</script> |",
]


def hostile_page():
    return "".join(
        markdown_to_html(text, {"attachment:known.png": '"><script>'})
        for text in HOSTILE)


def test_hostile_markdown_has_no_tag_of_its_own():
    found = BeautifulSoup(hostile_page(), "html.parser").find_all(True)
    assert len(found) > 30
    assert {"script", "style", "b"}.isdisjoint(x.name for x in found)
    for element in found:
        assert not [name for name in element.attrs if name.startswith("on")]
        assert element.get("href", "http:").startswith("http:")
        assert element.get("src", "data:image/").startswith("data:image/")


@pytest.mark.slow
def test_hostile_markdown_is_only_text():
    page = hostile_page()
    asked = []
    with open_window() as window:
        window.on("request", lambda request: asked.append(request.url))
        window.set_content(page)
        window.eval_on_selector_all("body *", """all => all.forEach(place => {
            place.addEventListener('click', e => e.preventDefault());
            for (const name of ['click', 'mouseover', 'error'])
                place.dispatchEvent(new Event(name, {cancelable: true}));
        })""")
        assert window.evaluate("window.hurt") is None
        assert window.query_selector("script, style, b") is None
        names = window.evaluate("""() => [...new Set(
            [...document.querySelectorAll('body *')]
            .flatMap(e => e.getAttributeNames()))]""")
        links = window.eval_on_selector_all("a", "all => all.map(a => a.href)")
    assert not [n for n in names if n.startswith("on") or n == "style"]
    assert all(link.startswith("http://example.com/") for link in links)
    assert not [url for url in asked if not url.startswith("data:")]


def test_a_picture_pasted_into_an_answer_is_in_the_page():
    made = markdown_to_html(
        "![curve](attachment:image.png)", {"attachment:image.png": "iVBORw0K"})
    assert 'src="data:image/png;base64,iVBORw0K"' in made
    assert 'alt="curve"' in made


def test_a_drawing_is_known_by_its_beginning():
    made = markdown_to_html("![cell](images/a.svg)", {
        "images/a.svg": b64encode(b"<svg xmlns=").decode()})
    assert 'src="data:image/svg+xml;base64,PHN2Zy' in made


def test_headings_can_be_lower():
    assert "<h3>A</h3>" in markdown_to_html("# A", headings=2)
    assert "<h6>A</h6>" in markdown_to_html("##### A", headings=4)
