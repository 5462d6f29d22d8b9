"""What is known of the course: its notebooks, and how one is read."""

import ast
import json

import pytest
from nbformat import v4, validate, writes

from labkit.course import (
    ANY,
    LESSONS,
    NotebookError,
    grader,
    names_in,
    notebook_paths,
    parse_notebook,
    read_notebook,
    title,
    tree,
    without_copies,
)
from labutils import recorded, settings


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The notebooks of a course of three, with what a student adds."""
    monkeypatch.setattr(settings, "home", lambda: tmp_path)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("02_b", "01_a", "01_a-Copy1", "10_c", "extra_d", "own"):
        (folder / f"{name}.ipynb").write_text("", encoding="utf-8")
    return folder


def test_the_notebooks_in_order_without_copies(folder):
    assert [path.name for path in notebook_paths()] == [
        "01_a.ipynb", "02_b.ipynb", "10_c.ipynb"]
    assert notebook_paths(extras=True) == [
        *notebook_paths(), folder / "extra_d.ipynb"]


def test_named_by_a_beginning_or_a_path(folder):
    own = folder / "own.ipynb"
    assert notebook_paths(["10", str(own), "extra", "01"]) == [
        folder / "10_c.ipynb", own, folder / "extra_d.ipynb",
        folder / "01_a.ipynb"]


def test_no_such_notebook_and_none_at_all(folder):
    for name in ("7", ""):
        with pytest.raises(
            NotebookError, match=rf"'{name}': .* 01_a, 02_b, 10_c"
        ):
            notebook_paths([name])
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(NotebookError, match=r"No notebooks in .*notebooks"):
        notebook_paths()


def test_copies_are_known_by_their_names():
    found = without_copies([
        "03_rnn-Copy1.ipynb", "03_rnn.ipynb", "04_rnn_concise.ipynb",
        "03_rnn-kept-2026-11-25-120000.ipynb", "04_rnn.ipynb",
        "05_alone-Copy1.ipynb",
    ])
    assert found == [
        "03_rnn.ipynb", "04_rnn.ipynb", "04_rnn_concise.ipynb",
        "05_alone-Copy1.ipynb",
    ]


@pytest.mark.parametrize("content", [
    "", "not JSON", "[]", '{"nbformat": 4, "metadata": {}}',
    '{"nbformat": 4, "nbformat_minor": 5, "cells": 7, "metadata": {}}',
])
def test_what_is_no_notebook_is_named(tmp_path, content, caplog, capfd):
    path = tmp_path / "03_x.ipynb"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(NotebookError) as caught:
        read_notebook(path)
    message = str(caught.value)
    assert message.startswith("03_x.ipynb cannot be read as a notebook (")
    assert message.endswith("last commit (`labutils reset`).")
    assert "\n" not in message
    assert not caplog.records and not capfd.readouterr().err


def test_a_notebook_that_is_not_there(tmp_path):
    with pytest.raises(NotebookError, match=r"There is no notebook .*03_x"):
        read_notebook(tmp_path / "03_x.ipynb")


def test_the_title_is_the_first_heading_of_the_first_level(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text(writes(v4.new_notebook(cells=[
        v4.new_code_cell("# a comment"), v4.new_markdown_cell("## a section"),
        v4.new_markdown_cell("words\n# The title | of it \n# another"),
    ])), encoding="utf-8")
    assert title(read_notebook(path)) == "The title | of it"
    assert title(v4.new_notebook()) == ""


def test_the_lessons_are_the_notebooks_and_their_runs_are_recorded():
    assert [lesson.stem for lesson in LESSONS] == [
        path.stem for path in notebook_paths()]
    runs = {run for lesson in LESSONS for run in lesson.runs}
    optional = {name for lesson in LESSONS for name in lesson.optional}
    assert runs == set(recorded.names()) - optional


def test_the_lessons_know_all_the_exercises():
    for lesson, path in zip(LESSONS, notebook_paths(), strict=True):
        found = {"code": [], "markdown": []}
        for cell in read_notebook(path).cells:
            if grader(cell).get("solution"):
                found[cell.cell_type].append(grader(cell)["grade_id"])
        assert lesson.exercises == tuple(found["code"])
        # The discussion is known by its tag.
        assert [*lesson.answers] == [
            name for name in found["markdown"] if name != "discussion"]


# ---- what the format forbids


def book(**changes):
    """The JSON of a small notebook with changes, for its one code cell."""
    cell = {"id": "a", "cell_type": "code", "metadata": {}, "source": "x = 1",
            "outputs": [], "execution_count": 1} | changes
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
        {name: v for name, v in cell.items() if v != "gone"}]}


@pytest.mark.parametrize("raw", [
    book(), book(execution_count="gone"), book(outputs="gone"),
    book(metadata="gone"), book(id="gone"), book(attachments={}),
    book(id=" a b "), book(id=7), book(source=["x =", " 1"]),
    book(metadata={"tags": 7}), book(outputs=[{"output_type": "what"}, 7]),
    book(cell_type="gone"), book() | {"nbformat": "4"},
    book() | {"nbformat_minor": "x"}, book() | {"metadata": 7},
    book() | {"metadata": {"kernelspec": 7, "title": "t"}}, book() | {"x": 1},
    {"cells": [*book()["cells"], "text", None]},
    {"nbformat": 3, "worksheets": [{"cells": [
        {"cell_type": "code", "input": "x = 1"}]}]},
], ids=range(19))
def test_harmless_faults_are_mended_always_alike(raw):
    data = json.dumps(raw).encode()
    made, notes = parse_notebook(data)
    validate(made)
    [cell] = made.cells
    assert (cell.cell_type, cell.source) == ("code", "x = 1")
    assert parse_notebook(data)[0] == made
    assert parse_notebook(writes(made).encode())[1] == []
    assert bool(notes) == (raw not in (
        book(), book(source=["x =", " 1"])))


def test_ids_that_occur_twice_become_two_and_the_first_stays():
    raw = book() | {"cells": 3 * book()["cells"]}
    made, _ = parse_notebook(json.dumps(raw).encode())
    assert [cell.id for cell in made.cells] == ["a", "a-1", "a-2"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_what_an_editor_has_saved_in_its_own_way(encoding):
    text = json.dumps(book(source="李雷"), ensure_ascii=False)
    made, _ = parse_notebook(text.encode(encoding))
    assert made.cells[0].source == "李雷"


@pytest.mark.parametrize(("source", "code"), [
    ("x = 1", "x = 1"), ("%%time\nx = 1", "x = 1"),
    ("\n%%capture out\n%%time\nx", "x"),
    ("%matplotlib inline",
     "get_ipython().run_line_magic('matplotlib', 'inline')"),
])
def test_ipythons_own_words_become_python(source, code):
    assert ast.unparse(tree(source)) == code


@pytest.mark.parametrize("source", [
    "def f(", "(" * 100_000, "\0", "!ls\n" * 200])  # it would take seconds
def test_what_is_no_python_binds_nothing_and_may_use_any_name(source):
    assert names_in(source) == (ANY, {})


def test_what_a_cell_defines():
    _, bound = names_in("def rnn(x):\n    def inner(): pass\nclass V: pass")
    assert bound == {"rnn": "function", "V": "function"}
    _, bound = names_in("%%time\n!pip list\nf = g = 1\nfrom a import b as c")
    assert bound == {"f": "value", "g": "value", "c": "import"}


def test_what_a_cell_takes_of_others():
    assert names_in("x = a.b.c(y).d\n'e'.f(x)")[0] == {
        "a", "a.b", "a.b.c", "y"}
