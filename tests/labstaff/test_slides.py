"""The lecture's slides, without a browser: what is on them, what is not."""

import copy
import html
import re
import warnings
from functools import cache
from importlib import metadata
from pathlib import Path

import lesson
import nbformat
import pytest
from nbformat import v4
from support import names

from labkit import __main__ as cli
from labstaff.publish.release import STUB, student_notebook
from labstaff.slides import cells, decks
from labstaff.slides.cells import prepare
from labutils import settings

FOLDER = settings.home() / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.ipynb"))
STUBS = [NAMES[0], NAMES[3]]  # one has exercises in words as well
SHOWN = ("slide", "subslide", "fragment", "-")
# What waits for a key.
LATER = ("slide", "subslide", "fragment")
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def kind(cell: nbformat.NotebookNode) -> str:
    return cell.metadata.slideshow.slide_type


# ---- the metadata of the notebooks


@pytest.mark.parametrize("name", NAMES)
class TestMetadata:
    def test_every_cell_says_where_it_goes(self, name):
        for cell in read(name).cells:
            where = cell.metadata["slideshow"]
            assert where["slide_type"] in cells.VALUES["slide_type"], cell.id
            assert set(where) <= set(cells.VALUES), cell.id
            if cell.cell_type != "code":
                assert set(where) == {"slide_type"}, cell.id

    def test_a_section_begins_with_a_slide(self, name):
        for cell in read(name).cells:
            if cell.cell_type != "markdown" or kind(cell) not in SHOWN:
                continue
            if re.match("##? ", cell.source):
                assert kind(cell) == "slide", cell.source
            else:
                assert not re.search("^#", cell.source, re.MULTILINE)

    def test_a_prediction_comes_before_its_result(self, name):
        """A key has to be pressed between the two."""
        found = read(name).cells
        asked = [i for i, cell in enumerate(found)
                 if "**Predict.**" in cell.source]
        assert asked
        for place in asked:
            assert kind(found[place]) in LATER
            assert "**Predict.**" in found[place].source.split("\n\n")[-1] \
                or kind(found[place + 1]) != "-"
            shown = next(cell for cell in found[place + 1:]
                         if kind(cell) in SHOWN)
            assert kind(shown) in LATER, shown.source

    def test_a_lecture_has_results_and_no_chores(self, name):
        shown = [cell for cell in read(name).cells if kind(cell) in SHOWN]
        assert any(cell.get("outputs") for cell in shown)
        assert not [cell for cell in shown if "results.save_t" in cell.source]
        checks = [c for c in shown if c.source.startswith("checks.")]
        assert len(checks) <= 1

    def test_a_student_edition_keeps_it(self, name):
        source = read(name)
        pairs = zip(source.cells, student_notebook(source).cells, strict=True)
        for mine, theirs in pairs:
            assert mine.metadata.slideshow == theirs.metadata.slideshow


# ---- the pages


@cache
def deck(name: str, solutions: bool = True) -> decks.Deck:
    return decks.deck(FOLDER / f"{name}.ipynb", solutions)


def words(page: str) -> str:
    """What stands on the slides, without colours."""
    return html.unescape(re.sub("<[^>]+>", "", slides(page)))


def slides(page: str) -> str:
    """The page from the first slide to the last."""
    body = page[page.index("<body>"):]
    return body[:body.index("<script>")]


def regions(name: str, mark: str) -> list[str]:
    """The lines between the marks, in all cells."""
    pattern = rf"### BEGIN {mark}\n(.*?)### END {mark}"
    return [
        line.strip()
        for cell in read(name).cells
        for region in re.findall(pattern, cell.source, re.DOTALL)
        for line in region.splitlines() if len(line.strip()) > 20
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
class TestPage:
    def test_no_marks_of_nbgrader_are_there(self, name):
        for solutions in (True, False) if name in STUBS else (True,):
            assert "### " not in words(deck(name, solutions).page)

    def test_nothing_is_loaded(self, name):
        page = deck(name).page
        assert decks.fetched(page) == []
        assert page.count("<script") - page.count("<\\/script") == 1
        assert "reveal.js 5" in page

    def test_formulas_are_mathml(self, name):
        page = deck(name).page
        written = "".join(c.source for c in read(name).cells
                          if c.cell_type == "markdown" and kind(c) in SHOWN)
        inline = re.sub(r"\$\$.*?\$\$|`[^`]*`", "", written, flags=re.DOTALL)
        count = written.count("$$") // 2 + inline.count("$") // 2
        assert page.count("<math ") == count
        assert 'class="formula"' not in page and "$$" not in words(page)

    def test_it_is_of_a_reasonable_size(self, name):
        assert 15 <= deck(name).count <= 60
        assert len(deck(name).page) < 3_000_000

    def test_pictures_are_those_of_the_shown_cells(self, name):
        shown = [cell for cell in read(name).cells if kind(cell) in SHOWN]
        kinds = sorted(
            ["png" for cell in shown for output in cell.get("outputs", [])
             if "image/png" in output.get("data", {})]
            + ["svg+xml" for cell in shown if cell.cell_type == "markdown"
               for _ in re.findall(r"!\[.+?\]\(images/", cell.source)]
        )
        found = re.findall("<img .*?>", slides(deck(name).page))
        sources = [re.search('src="data:image/(.+?);base64,', image)
                   for image in found]
        assert sorted(source[1] for source in sources) == kinds
        for image in found:
            assert re.search('alt="[^"]{5,}"', image)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUBS)
def test_solutions_are_there_unless_told_otherwise(name):
    solved, stubs = (words(deck(name, s).page) for s in (True, False))
    lines = regions(name, "SOLUTION")
    assert len([line for line in lines if line in solved]) > 3
    todo = STUB.splitlines()[-1]
    assert todo in stubs and todo not in solved
    assert "YOUR ANSWER HERE" not in stubs


@pytest.mark.slow
def test_two_pages_of_a_notebook_are_equal():
    again = decks.deck(FOLDER / f"{NAMES[0]}.ipynb")
    assert again == deck(NAMES[0])


@pytest.mark.parametrize("part, address", [
    ('<img alt="a" src="http://example.org/a.png">', "http://example.org/a.png"),
    ("<img src=a.png>", "a.png"),
    ('<script src="https://example.org/r.js"></script>',
     "https://example.org/r.js"),
    ('<link rel="stylesheet" href="a.css">', "a.css"),
    ("<style>p { background: url(a.png) }</style>", "a.png"),
    ("<style>@import 'a.css';</style>", "'a.css'"),
])
def test_what_would_be_loaded_is_found(part, address):
    kept = '<a href="http://example.org">b</a><img src="data:image/png;b">'
    assert decks.fetched(kept) == []
    assert decks.fetched(kept + part) == [address]


# ---- cells


def slide(cell: nbformat.NotebookNode, **where: str) -> nbformat.NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": "slide"} | where
    return cell


def code(source: str, *outputs, **where) -> nbformat.NotebookNode:
    return slide(v4.new_code_cell(source, outputs=[*outputs]), **where)


def printed(text: str) -> nbformat.NotebookNode:
    return v4.new_output("stream", text=text)


def shown(*of: nbformat.NotebookNode, solutions=True) -> list:
    notebook = v4.new_notebook(cells=[*of])
    before = copy.deepcopy(notebook)
    done = prepare(notebook, solutions).cells
    assert notebook == before
    return done


def test_of_a_widget_there_is_its_picture():
    view = {"model_id": "a", "version_major": 2, "version_minor": 0}
    live = "application/vnd.jupyter.widget-view+json"
    [cell] = shown(code(
        "play()", printed("epoch 1/2\n"),
        v4.new_output("display_data", {live: view, "text/plain": "VBox()"}),
        v4.new_output("display_data", {
            live: view, "image/png": PIXEL, "text/html": "<b>",
            "text/plain": "<a curve>",
        }),
        v4.new_output("display_data", {"text/html": "<p>a table</p>"}),
    ))
    assert [dict(o.data) for o in cell.outputs] == [
        {"image/png": PIXEL, "text/plain": "<a curve>"},
        {"text/html": "<p>a table</p>"}]
    page = decks.export(v4.new_notebook(cells=[cell]), "t")
    assert 'alt="a curve"' in page and "a table" in words(page)


def test_lines_without_a_picture_stay():
    [cell] = shown(code("print(1)", printed("1\n")))
    assert cell.outputs[0].text == "1\n"


def test_a_cell_can_show_its_output_alone():
    [cell] = shown(code("print(1)", printed("1\n"), code="skip"))
    page = decks.export(v4.new_notebook(cells=[cell]), "t")
    assert "print" not in words(page) and "1" in words(page)


@pytest.mark.parametrize("place", ["subslide", "fragment"])
def test_a_cell_can_show_its_output_later(place):
    first, second = shown(code("print(1)", printed("one\n"), output=place))
    assert (first.source, first.outputs) == ("print(1)", [])
    assert kind(second) == place
    both = v4.new_notebook(cells=[first, second])
    assert cells.count(both) == (2 if place == "subslide" else 1)
    said = words(decks.export(both, "t"))
    assert said.count("print") == said.count("one") == 1


def test_a_cell_can_show_its_code_alone():
    [cell] = shown(code("print(1)", printed("1\n"), output="skip"))
    assert (cell.source, cell.outputs) == ("print(1)", [])


def test_what_stands_between_the_marks():
    source = lesson.lesson()
    for cell in source.cells:
        slide(cell)
    solved = [cell.source for cell in prepare(source).cells]
    stubs = [cell.source for cell in prepare(source, False).cells]
    assert any("by_time = X.T" in text for text in solved)
    assert not any("by_time = X.T" in text for text in stubs)
    for text in solved + stubs:
        assert "###" not in text and "hidden test" not in text
    written = [
        kind(cell) for cell in prepare(source, False).cells
        if cell.cell_type == "markdown" and lesson.meta(cell).get("solution")
    ]
    assert written == ["skip"]


@pytest.mark.parametrize("where", [
    {"slide_type": "slides"}, {"code": "skp"}, {"output": "slide"},
])
def test_a_word_that_nobody_knows_is_refused(where):
    with pytest.raises(ValueError, match=r"cell 2: \w+ is '\w+'; it takes "):
        shown(code("1"), code("2", **where))


def test_a_notebook_without_a_slide_is_refused():
    with pytest.raises(ValueError, match="no cell is a slide"):
        shown(code("1", slide_type="skip"), code("2", slide_type="notes"))


def write(path: Path, *of: nbformat.NotebookNode) -> Path:
    nbformat.write(v4.new_notebook(cells=[*of]), path)
    return path


def test_a_cell_without_a_place_is_left_out_and_named(tmp_path):
    new = v4.new_markdown_cell("A thought of yesterday.", id="yesterday")
    path = write(tmp_path / "a.ipynb", code("1"), new)
    [line, _] = decks.write([str(path)], tmp_path)
    assert line.startswith("a: 1 slides, ") and line.endswith(": yesterday")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "yesterday" not in words(page)


def test_an_attached_picture_is_in_the_page():
    cell = slide(v4.new_markdown_cell("![curve](attachment:a.png)"))
    cell["attachments"] = {"a.png": {"image/png": PIXEL}}
    page = decks.export(v4.new_notebook(cells=shown(cell)), "t")
    assert f'src="data:image/png;base64,{PIXEL}"' in page


def test_a_page_that_would_load_something_is_refused():
    table = v4.new_output("display_data", {"text/html": "<img src='a.png'>"})
    with pytest.raises(RuntimeError, match=r"would load a\.png"):
        decks.export(v4.new_notebook(cells=shown(code("1", table))), "t")


# ---- the command


@pytest.fixture
def command(monkeypatch, capsys):
    """labutils slides, in this process."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)

    def call(*arguments) -> tuple[int, str, str]:
        code = cli.main(["slides", *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


def test_the_command_writes_pages_and_links(command, tmp_path):
    code, out, err = command("02", "--out", tmp_path, "--no-solutions")
    assert (code, err) == (0, "")
    assert re.match(r"02_\w+: \d+ slides, [\d.]+ MB\n", out)
    assert names(tmp_path) == ["02_long_sequence_sampling.html", "index.html"]
    said = words((tmp_path / f"{NAMES[1]}.html").read_text(encoding="utf-8"))
    assert STUB.splitlines()[-1] in said
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    links = re.findall('<a href="([^"]+)">([^<]+)</a>', index)
    assert links == [("02_long_sequence_sampling.html",
                      "2. Cutting a long sequence into batches")]


@pytest.mark.parametrize("argument", ["77", "damaged"])
def test_what_is_no_notebook_is_refused(command, tmp_path, argument):
    if argument == "damaged":
        argument = str(tmp_path / "a.ipynb")
        Path(argument).write_text("{", encoding="utf-8")
    code, out, err = command(argument, "--out", tmp_path / "out")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"labutils: [^\n]+\n", err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", [
    "sphinx-revealjs", pytest.param("ziamath", marks=pytest.mark.slow)])
def test_without_a_package_it_says_how_to_install_it(
    command, tmp_path, monkeypatch, package
):
    installed = metadata.distribution

    def found(name):
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(decks.metadata, "distribution", found)
    code, out, err = command("03", "--out", tmp_path)
    assert (code, out) == (1, "")
    assert re.fullmatch(
        rf"labutils: this command needs {package}, [^\n]+ install [^\n]+\n",
        err,
    )
    assert names(tmp_path) == []
