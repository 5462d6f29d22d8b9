"""Cells of a submission are found whatever has become of them."""

import contextlib
import copy

import classroom
import lesson
import nbformat
import pytest
from classroom import COURSE
from nbformat import v4

from labkit import checks
from labkit.course import (
    FOLDERS,
    names_in,
    notebook_paths,
    read_notebook,
    tree,
)
from labstaff.grading import notebook as grading
from labstaff.grading.agent import Agent
from labstaff.grading.matching import (
    borrowed,
    continues,
    match,
    needed,
    to_run,
)
from labstaff.grading.results import Job, Settings, Status
from labstaff.publish.release import student_notebook

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
    assert found.attempts == {
        name: [place(work, name)] for name in classroom.EXERCISES}
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
    attempts = match(work, BOOK).attempts
    for cell in work.cells:
        cell.metadata.pop("nbgrader", None)
    assert match(work, BOOK).attempts == attempts
    for cell in work.cells:  # and ids too: by what a cell defines
        cell.id = f"x{cell.id}"
    found = match(work, BOOK)
    assert set(found.attempts) == set(classroom.EXERCISES)
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
    assert found.attempts["tokenize"] == [tokenize - 1, tokenize + 2]
    assert found.judged["tokenize"] == [tokenize, tokenize + 3]


def test_hostile_metadata_is_met_calmly(work):
    for cell, value in zip(work.cells, ([], "x", 7, {"grade_id": []}, None),
                           strict=False):
        cell.metadata["nbgrader"] = value
    assert match(work, BOOK).notebook.cells


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
    return (*([index - place_ for index in some["tokenize"]]
              for some in (found.attempts, found.judged)), found)


def test_a_split_cell_with_an_empty_half(work):
    i = place(work, "tokenize")
    insert(work, i + 1, "", **copy.deepcopy(work.cells[i].metadata))
    found = match(work, BOOK)
    assert (found.attempts["tokenize"], found.judged["tokenize"]) == (
        [i], [i + 1, i + 2])


@pytest.mark.parametrize("below", [1, 2], ids=["above", "below the check"])
def test_an_untouched_copy_of_the_stub_is_not_run(work, below):
    insert(work, place(work, "tokenize") + below, f"# mine\n{STUB}")
    at, _, found = counted(work)
    assert at == [0] and "untouched copy" in " ".join(found.notes)
    copied = found.notebook.cells[place(work, "tokenize") + below]
    assert names_in(copied.source)[1] == {}


def test_a_solution_in_a_new_cell_below_the_stub(work):
    i = place(work, "tokenize")
    insert(work, i + 1, work.cells[i].source)
    work.cells[i].source = STUB
    assert counted(work)[:2] == ([1], [2])


def test_two_exercises_in_one_cell(work):
    i, j = place(work, "tokenize"), place(work, "Vocab")
    work.cells[i].source += f"\n\n{work.cells[j].source}"
    del work.cells[j]
    found = match(work, BOOK)
    assert found.attempts["tokenize"] == found.attempts["Vocab"] == [i]
    assert found.judged["Vocab"][-1] == place(work, "check_Vocab")


def test_a_helper_between_the_exercise_and_its_check(work):
    insert(work, place(work, "tokenize") + 1, "def helper(): pass")
    assert counted(work)[:2] == ([0], [1, 2])


def test_a_right_one_below_a_check_that_has_failed(work):
    insert(work, place(work, "tokenize") + 2, "def tokenize(x): return [x]")
    assert counted(work)[:2] == ([0, 2], [1, 3])


def test_a_value_of_the_same_name_is_an_experiment(work):
    insert(work, place(work, "tokenize") + 2, "tokenize = 7")
    assert counted(work)[:2] == ([0], [1])


def test_without_its_check_it_is_judged_before_the_courses_next_cell(work):
    i = place(work, "tokenize")
    del work.cells[i + 1]
    insert(work, i + 1, "def helper(): pass")
    assert counted(work)[:2] == ([0], [2])


def test_code_that_has_become_text_is_named(work):
    i = place(work, "tokenize")
    work.cells[i].cell_type = "markdown"
    found = match(work, BOOK)
    assert "tokenize" not in found.attempts
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
    (["x = 1", "x ==", "x"], {1, 2}, {0, 1, 2}),
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


# ---- run, with a kernel that is none


class Here:
    """Runs cells in this process; `STOP` in one stands for its time limit."""

    def __init__(self, *_):
        self.agent = Agent({})
        self.request = lambda data, seconds: self.agent.answer(data)

    def running(self):
        return contextlib.nullcontext()

    probing = running

    def run(self, cell, _):
        try:
            exec(compile(tree(cell.source), "cell", "exec"),
                 self.agent.namespace)
        except Exception as error:
            trace = ["Cell In[3], line 1", "in \x1b[36mpredict\x1b[39m(x)",
                     "Cell In[2], line 6, in \x1b[36mpredict\x1b[39m(x)",
                     "Cell In[1], line 3, in \x1b[36mrnn\x1b[39m(y)",
                     "File torch.py, line 1, in walk(y)"]
            cell.outputs = [v4.new_output(
                "error", ename=type(error).__name__, evalue=str(error),
                traceback=trace)]
            if "STOP" in cell.source:
                raise TimeoutError("the cell was stopped after 4 s") from None


[RNN] = [n for n in COURSE if n.stem.startswith("03")]
ONE_HOT = "def one_hot(X, size):\n    return F.one_hot(X.T, size).float()"


@pytest.fixture
def third(monkeypatch):
    """Notebook 3 with `one_hot` solved, and what its grading makes of it."""
    monkeypatch.setattr(grading, "StudentKernel", Here)
    [path] = notebook_paths([RNN.stem])
    work = student_notebook(read_notebook(path))
    work.cells[place(work, "one_hot")].source = ONE_HOT

    def grade():
        job = Job("s", RNN, work, "digest", Settings(sandbox=False))
        graded, executed = grading.grade(job, None)
        return graded, nbformat.reads(executed.decode(), 4).cells

    return work, grade


def verdict(graded, name="one_hot"):
    return next(v for v in graded.verdicts if v.exercise == name)


FAILS = "import d2l_of_nobody\n"
LACKS = "import torch\nfrom labkit import checks\n"


@pytest.mark.parametrize(("source", "note"), [
    (FAILS, "Cell 2 ended with ModuleNotFoundError: No module named "
     "'d2l_of_nobody'; the course's own cell was run after it."),
    (LACKS, "Cell 2 does not define F; the course's own cell was run after "
     "it."),
    ("", "Cell 2 does not define F; the course's own cell was run after it."),
    (None, "The course's cell for F is missing; it was run."),
], ids=["fails", "lacks", "markdown", "deleted"])
def test_what_the_course_gives_is_there(third, source, note):
    work, grade = third
    cell = work.cells[1]
    if source is None:
        work.cells.remove(cell)
    elif source:
        cell.source = source + cell.source if source == FAILS else source
    else:
        work.cells[1] = v4.new_markdown_cell(cell.source, id=cell.id)
    before = len(work.cells)
    graded, executed = grade()
    assert verdict(graded).status is Status.PASSED, verdict(graded)
    assert graded.notes == [note]
    assert [c.source for c in executed[before:]] == [RNN.given["nb03-02"]]


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_student_has_in_its_place_will_do(third, fails):
    work, grade = third
    source = "from torch.nn import functional as F"
    work.cells[1] = classroom.own(FAILS * fails + source, "own")
    graded, executed = grade()
    assert verdict(graded).status is Status.PASSED
    assert (len(executed) > len(work.cells)) == fails


def test_no_course_cell_is_lent_over_an_exercise(third):
    work, _ = third
    [given] = [name for name in RNN.given if name == "nb03-02"]
    found = match(work, RNN)
    assert RNN.given[given] not in found.lent
    assert not {x.name for x in RNN.exercises} & {
        name for source in RNN.given.values() for name in names_in(source)[1]}


SPLIT = ("def one_hot(X, size):\n    made = X.T",
         "    # (T, B)\n    made = F.one_hot(made, size)\n"
         "    return made.float()")


@pytest.mark.parametrize("first", [SPLIT[0], SPLIT[0].split("\n")[0]])
def test_a_function_that_is_cut_in_two_is_told_so(third, first):
    work, grade = third
    index = place(work, "one_hot")
    work.cells[index].source = first
    work.cells.insert(index + 1, classroom.own(SPLIT[1], "half"))
    found = verdict(grade()[0])
    assert (found.points, found.likely) == (0, "")
    assert found.reason == ("The next cell continues the function: a function "
                            "must stand in one cell.")


@pytest.mark.parametrize(("cells", "whole"), [
    (SPLIT, False), (("x = 1", "    y = 2"), True), ((ONE_HOT, "y = 2"), True),
    (("    x = 1",), True), ((ONE_HOT, "y ==="), True)])
def test_what_continues(cells, whole):
    assert continues([*map(v4.new_code_cell, cells)], 0) != whole


@pytest.mark.parametrize("source", [
    "from labutils import train_epoch as one_hot",
    "import labutils\none_hot = getattr(labutils, 'train_epoch')",
    "from labutils.scratch import rnn as some\none_hot = some",
    "from labutils.scratch import *\none_hot = rnn"])
def test_what_is_the_package_s_is_marked_whatever_its_verdict(third, source):
    work, grade = third
    work.cells[place(work, "one_hot")].source = source
    graded, _ = grade()
    assert verdict(graded).points == 0
    assert "it is the course's own labutils." in verdict(graded).likely
    assert any(note.startswith("one_hot: LOOK AT IT, it is made of labutils.")
               for note in graded.notes)


def test_where_a_cell_was_stopped(third):
    work, grade = third
    work.cells.insert(2, classroom.own("1 / 0  # STOP", "own"))
    assert grade()[0].notes == [
        "Cell 3: the cell was stopped after 4 s, within predict, rnn."]
