"""What is known of the course: its notebooks, and how one is read."""

import pytest
from nbformat import v4, writes

from labkit.course import (
    LESSONS,
    NotebookError,
    notebook_paths,
    read_notebook,
    title,
    without_copies,
)
from labutils import recorded, settings


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The notebooks of a course of three, with what a student adds."""
    monkeypatch.setattr(settings, "home", lambda: tmp_path)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("02_b", "01_a", "01_a-Copy1", "10_c", "extra", "own"):
        (folder / f"{name}.ipynb").write_text("", encoding="utf-8")
    return folder


def test_the_notebooks_in_order_without_copies(folder):
    assert [path.name for path in notebook_paths()] == [
        "01_a.ipynb", "02_b.ipynb", "10_c.ipynb"]


def test_named_by_a_beginning_or_a_path(folder):
    own = folder / "own.ipynb"
    assert notebook_paths(["10", str(own), "01"]) == [
        folder / "10_c.ipynb", own, folder / "01_a.ipynb"]


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
    assert [lesson.number for lesson in LESSONS] == list("123456")
    runs = {run for lesson in LESSONS for run in lesson.runs}
    optional = {name for lesson in LESSONS for name in lesson.optional}
    assert runs == set(recorded.names()) - optional
