"""Cells of a submission are found whatever has become of them."""

import copy

import classroom
import lesson
import pytest
from nbformat import v4

from labkit import checks
from labkit.course import FOLDERS, notebook_paths, read_notebook
from labstaff.grading.matching import (
    borrowed,
    course,
    defined,
    match,
    needed,
    to_run,
)
from labstaff.publish.release import student_notebook

COURSE = course()
[BOOK] = [n for n in COURSE if n.stem == classroom.NOTEBOOK]
EDITIONS = classroom.Editions()


@pytest.fixture
def work():
    return EDITIONS.of(classroom.Student("20230001", whole=True))


@pytest.mark.parametrize("language", FOLDERS)
def test_in_an_untouched_notebook_nothing_is_written(language):
    for notebook in COURSE:
        [path] = notebook_paths([notebook.stem], language=language)
        released = student_notebook(read_notebook(path), language)
        assert not any(match(released, notebook).attempts.values())


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
    assert f"tokenize: written in cells {tokenize}, {tokenize + 3}" in notes
    assert "Vocab: Its cell is missing." in notes
    assert "another order" in notes
    # The first one stands at the check; what is below it is tried after that.
    assert found.places["tokenize"] == tokenize - 1
    assert found.judged["tokenize"] == [tokenize, tokenize + 3]


def test_hostile_metadata_is_met_calmly(work):
    for cell, value in zip(work.cells, ([], "x", 7, {"grade_id": []}, None),
                           strict=False):
        cell.metadata["nbgrader"] = value
    assert match(work, BOOK).notebook.cells


def test_what_a_cell_defines():
    assert defined("def rnn(x):\n    def inner(): pass\nclass V: pass") == {
        "rnn": True, "V": True}
    assert defined("%%time\n!pip list\nf = g = 1\nfrom a import b as c") == {
        "f": False, "g": False, "c": False}
    assert defined("def rnn(") == defined("(" * 100_000) == {}


# ---- which cell counts


STUB = BOOK.exercises[0].stub


def insert(work, index, source, **meta):
    cell = classroom.own(source, f"own-{index}")
    work.cells.insert(index, cell)
    cell.metadata.update(meta)


def counted(work):
    """Where tokenize stands and is judged, relative to its marked cell."""
    place_ = place(work, "tokenize")
    found = match(work, BOOK)
    return (found.places["tokenize"] - place_,
            [end - place_ for end in found.judged["tokenize"]], found)


def test_a_split_cell_with_an_empty_half(work):
    i = place(work, "tokenize")
    insert(work, i + 1, "", **copy.deepcopy(work.cells[i].metadata))
    found = match(work, BOOK)
    assert (found.places["tokenize"], found.judged["tokenize"]) == (
        i, [i + 1, i + 2])


@pytest.mark.parametrize("below", [1, 2], ids=["above", "below the check"])
def test_an_untouched_copy_of_the_stub_is_not_run(work, below):
    insert(work, place(work, "tokenize") + below, f"# mine\n{STUB}")
    at, _, found = counted(work)
    assert at == 0 and "untouched copy" in " ".join(found.notes)
    copied = found.notebook.cells[place(work, "tokenize") + below]
    assert defined(copied.source) == {}


def test_a_solution_in_a_new_cell_below_the_stub(work):
    i = place(work, "tokenize")
    insert(work, i + 1, work.cells[i].source)
    work.cells[i].source = STUB
    assert counted(work)[:2] == (1, [2])


def test_two_exercises_in_one_cell(work):
    i, j = place(work, "tokenize"), place(work, "Vocab")
    work.cells[i].source += f"\n\n{work.cells[j].source}"
    del work.cells[j]
    found = match(work, BOOK)
    assert found.places["tokenize"] == found.places["Vocab"] == i
    assert found.judged["Vocab"][-1] == place(work, "check_Vocab")


def test_a_helper_between_the_exercise_and_its_check(work):
    insert(work, place(work, "tokenize") + 1, "def helper(): pass")
    assert counted(work)[:2] == (0, [1, 2])


def test_a_right_one_below_a_check_that_has_failed(work):
    insert(work, place(work, "tokenize") + 2, "def tokenize(x): return [x]")
    assert counted(work)[:2] == (0, [1, 3])


def test_a_value_of_the_same_name_is_an_experiment(work):
    insert(work, place(work, "tokenize") + 2, "tokenize = 7")
    assert counted(work)[:2] == (0, [1])


def test_without_its_check_it_is_judged_before_the_courses_next_cell(work):
    i = place(work, "tokenize")
    del work.cells[i + 1]
    insert(work, i + 1, "def helper(): pass")
    assert counted(work)[:2] == (0, [2])


def test_code_that_has_become_text_is_named(work):
    i = place(work, "tokenize")
    work.cells[i].cell_type = "markdown"
    found = match(work, BOOK)
    assert "tokenize" not in found.places
    assert found.lost["tokenize"] == (
        f"Its cell, {i + 1}, is a markdown cell and not code; it was not run.")


@pytest.mark.parametrize("kind", ["new", "split", "unmarked", "elsewhere"])
def test_an_answer_is_found_where_it_was_written(kind):
    [notebook] = [n for n in COURSE if n.stem.startswith("04")]
    path = next(p for p in notebook_paths() if p.stem == notebook.stem)
    released = student_notebook(read_notebook(path))
    i = place(released, "depth")
    cell, words = released.cells[i], "Three layers are worse."
    new = v4.new_markdown_cell(words)
    if kind == "new":
        released.cells.insert(i + 1, new)
    elif kind == "elsewhere":
        released.cells.append(new)
    else:
        cell.source = "Two are" if kind == "split" else words
        new.source = "better."
        released.cells.insert(i + 1, new)
        if kind == "unmarked":
            released.cells[i] = v4.new_markdown_cell(words)
            for one in released.cells:
                one.metadata.pop("nbgrader", None)
                one.id = f"x{one.id}"
    found = match(released, notebook)
    assert found.attempts["depth"]
    assert found.sources["depth"] == {
        "split": "Two are\n\nbetter.", "unmarked": f"{words}\n\nbetter.",
    }.get(kind, words)
    if kind == "new":
        released.cells.remove(new)
        assert match(released, notebook).attempts["depth"] == []


@pytest.mark.parametrize(("source", "others", "taken"), [
    ("from labutils.text import tokenize", (), "labutils.text.tokenize"),
    ("tokenize = u.tokenize", ("import labutils as u",), "u.tokenize"),
    ("def tokenize(x):\n    return old_tokenize(x)",
     ("from labutils import tokenize as old_tokenize",), "old_tokenize"),
    ("def tokenize(x):\n    return x.split()", ("import labutils",), ""),
    ("def tokenize(", (), ""),
])
def test_a_solution_that_the_package_holds(source, others, taken):
    assert borrowed("tokenize", source, others) == taken


def test_what_the_courses_own_solutions_borrow_is_known():
    assert {x.name: x.borrows for n in COURSE for x in n.exercises
            if x.borrows} == {"deep_rnn": "labutils.RNNModel"}


@pytest.mark.parametrize(("cells", "own", "kept"), [
    (["import torch", "x = 1", "def f():\n    return torch"], {2}, {0, 2}),
    # What a function names is looked up when it is called.
    (["def f():\n    return y", "y = 1", "print(y)"], {0}, {0, 1, 2}),
    (["def f(y):\n    z = y\n    return z", "y = 1", "z = 2"], {0}, {0}),
    # Whatever uses a value may change it; a module stays what it is.
    (["a = []", "a.append(1)", "import b", "b.c()", "f(a, b)"], {4},
     {0, 1, 2, 4}),
    (["def g(): pass", "g()", "g(1)"], {2}, {0, 2}),
    (["g = len", "g.x = 1", "g(1)"], {2}, {0, 1, 2}),
    # Bound before it is used, and so of no other cell.
    (["n = 1", "n = 2\nm = n", "m"], {2}, {1, 2}),
    (["n = 1", "n += 2", "n"], {2}, {0, 1, 2}),
    (["n = 1", "def f():\n    global n\n    n = 2", "n"], {2}, {0, 1, 2}),
    (["x = 1", "y = 2", "eval('x')"], {2}, {0, 1, 2}),
    (["x = 1", "%timeit x", "y = 2", "x"], {1}, {0, 1, 2, 3}),
    (["x = 1", "x ==", "x"], {2}, {0, 1, 2}),
    (["x = 1", "[y for y in range(3)]", "y = 2", "f'{x}'"], {3}, {0, 3}),
])
def test_what_a_cell_needs(cells, own, kept):
    assert needed([*map(v4.new_code_cell, cells)], own) == kept


@pytest.mark.parametrize("notebook", COURSE, ids=lambda n: n.stem)
def test_trainings_that_no_exercise_needs_are_not_run(notebook):
    [path] = notebook_paths([notebook.stem])
    released = student_notebook(read_notebook(path))
    end = len(released.cells)
    found = match(released, notebook)
    assert to_run(found, notebook, end) <= {
        i for i in range(end) if not released.cells[i].source.strip()}
    released.cells.append(v4.new_code_cell("print(globals())"))
    found = match(released, notebook)
    assert to_run(found, notebook, end + 1) == {
        i for i, c in enumerate(released.cells) if c.cell_type == "code"}
