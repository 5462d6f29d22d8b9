"""Cells of a submission are found whatever has become of them."""

import copy

import classroom
import lesson
import pytest

from labkit import checks
from labstaff.grading.matching import course, defined, match

COURSE = course()
[BOOK] = [n for n in COURSE if n.stem == classroom.NOTEBOOK]
EDITIONS = classroom.Editions()


@pytest.fixture
def work():
    return EDITIONS.of(classroom.Student("20230001", whole=True))


def place(notebook, name):
    [index] = [i for i, cell in enumerate(notebook.cells)
               if lesson.meta(cell).get("grade_id") == name]
    return index


def test_the_course_knows_its_exercises():
    assert {x.name: x.points for x in BOOK.exercises} == classroom.POINTS
    assert set(BOOK.checks) == {f"check_{n}" for n in classroom.EXERCISES}
    assert not [c for c in BOOK.checks.values() if "HIDDEN" in c]
    everything = [x for n in COURSE for x in n.exercises]
    assert {x.name for x in everything if not x.written} == set(
        checks.__all__) - {"CheckFailed"}
    assert {x.name for x in everything if x.written} == {
        "depth", "discussion", "lstm_or_gru"}


def test_a_notebook_as_it_should_be(work):
    found = match(work, BOOK)
    assert found.notes == []
    assert found.places == {
        name: place(work, name) for name in classroom.EXERCISES}
    assert all(not cell.get("outputs") for cell in found.notebook.cells)


def test_a_changed_check_is_the_courses_again(work):
    cell = work.cells[place(work, "check_tokenize")]
    cell.source = "print('tokenize: passed.')"
    found = match(work, BOOK)
    index = place(work, "check_tokenize")
    assert found.notebook.cells[index].source.startswith("checks.tokenize")
    assert found.notes == [
        "Changed checks, replaced by the course's: check_tokenize."]
    assert cell.source.startswith("print")  # the submission stays as it was


def test_marks_that_are_lost(work):
    places = match(work, BOOK).places
    for cell in work.cells:
        cell.metadata.pop("nbgrader", None)
    assert match(work, BOOK).places == places
    for cell in work.cells:  # and ids too: by what a cell defines
        cell.id = f"x{cell.id}"
    found = match(work, BOOK)
    assert set(found.places) == set(classroom.EXERCISES)
    assert any("lost its mark" in note for note in found.notes)


def test_missing_doubled_and_moved(work):
    tokenize = place(work, "tokenize")
    twin = copy.deepcopy(work.cells[tokenize])
    twin.id = "twin"
    work.cells.insert(tokenize + 3, twin)
    del work.cells[place(work, "Vocab")]
    work.cells.append(work.cells.pop(0))
    found = match(work, BOOK)
    notes = " ".join(found.notes)
    assert "tokenize: 2 cells have this name; the last one counts" in notes
    assert "Vocab: its cell is missing." in notes
    assert "another order" in notes
    assert found.notebook.cells[found.places["tokenize"]].id == "twin"


def test_hostile_metadata_is_met_calmly(work):
    for cell, value in zip(work.cells, ([], "x", 7, {"grade_id": []}, None),
                           strict=False):
        cell.metadata["nbgrader"] = value
    assert match(work, BOOK).notebook.cells


def test_what_a_cell_defines():
    assert defined("def rnn(x):\n    def inner(): pass\nclass V: pass") == {
        "rnn", "V"}
    assert defined("def rnn(") == set()
    assert defined("(" * 100_000) == set()
