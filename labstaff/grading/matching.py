"""What the course asks for, and where a submission answers it."""

import ast
import contextlib
import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from nbformat import NotebookNode, v4

from labkit import course as notebooks
from labkit.course import ANY, NO_PYTHON, grader, names_in, tree
from labstaff.exercises import exercises
from labstaff.publish.release import student_notebook

PACKAGES = {"labutils", "labkit", "labstaff"}
STUB = "# (the stub, not run: it is solved above or below)"

# ---- the course


@dataclass(frozen=True)
class Exercise:
    """Something that earns points."""

    name: str  # grade_id of the cell that a student fills in
    points: float  # that it can earn
    written: bool  # an answer in words
    stub: str  # what students find in the cell
    borrows: str = ""  # what the course's own solution takes of the package


@dataclass(frozen=True)
class CourseNotebook:
    """A notebook of the course as students get it."""

    stem: str  # of its file
    titles: dict[str, str]  # by language
    exercises: tuple[Exercise, ...]  # in order
    # For each check cell's grade_id its source, without hidden tests.
    checks: dict[str, str] = field(default_factory=dict)
    # For each cell's id its name: the grade_id or else the id.
    cells: dict[str, str] = field(default_factory=dict)
    # The same by a cell's text, where that occurs once.
    texts: dict[str, str] = field(default_factory=dict)
    # By name the code that the course gives: no exercise, and no check.
    given: dict[str, str] = field(default_factory=dict)


def course() -> list[CourseNotebook]:
    """Read the course's notebooks; errors as for `exercises`, and a
    NotebookError where one cannot be read."""
    found = []
    for path in notebooks.notebook_paths():
        sources = {
            language: notebooks.read_notebook(place)
            for language, folder in notebooks.FOLDERS.items()
            if (place := path.parent / folder / path.name).is_file()}
        exercises(sources["en"], path.name)
        found.append(_asked(path.stem, sources))
    return found


def _asked(stem: str, sources: dict[str, NotebookNode]) -> CourseNotebook:
    """What the student edition of a notebook asks for, in any language."""
    released = student_notebook(sources["en"])
    solutions = {cell.id: cell.source for cell in sources["en"].cells}
    code = [c.source for c in released.cells if c.cell_type == "code"]
    named = {meta["grade_id"]: (cell, meta) for cell in released.cells
             if (meta := grader(cell))}
    found = tuple(
        Exercise(name, float(meta["points"]), True, cell.source)
        if meta["grade"] else
        Exercise(name, float(named[f"check_{name}"][1]["points"]), False,
                 cell.source, borrowed(name, solutions[cell.id], code))
        for name, (cell, meta) in named.items() if meta["solution"])
    checks = {name: cell.source for name, (cell, meta) in named.items()
              if meta["grade"] and not meta["solution"]}
    cells = {cell.id: grader(cell).get("grade_id", cell.id)
             for cell in released.cells}
    texts = dict.fromkeys((_plain(cell.source), cell.id) for cell in (
        *released.cells, *(
            cell for source in sources.values() for cell in source.cells
            if cell.cell_type == "markdown" and not grader(cell))))
    times = Counter(text for text, _ in texts)
    titles = {name: notebooks.title(book) for name, book in sources.items()}
    return CourseNotebook(
        stem, titles, found, checks, cells,
        {text: cells[identity] for text, identity in texts
         if times[text] == 1
         and text not in ("", *notebooks.NO_ANSWER.values())},
        {cells[c.id]: c.source for c in released.cells if c.cell_type == "code"
         and cells[c.id] not in checks  # nor anything an exercise binds
         and not names_in(c.source)[1].keys() & {x.name for x in found}})


# ---- a submission


@dataclass
class Matched:
    """A submission, ready to be run."""

    # The student's cells in the student's order, with the course's checks.
    notebook: NotebookNode
    notes: list[str]  # what was missing, doubled, moved or changed, in words
    # Before which cells an exercise in code is judged until it has passed:
    # after its own, at its check, and after what was written below that.
    judged: dict[str, list[int]] = field(default_factory=dict)
    # For each exercise that is not lost the cells in which it was written,
    # by index, and all that stands there.
    attempts: dict[str, list[int]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    # Why an exercise has no cell that counts.
    lost: dict[str, str] = field(default_factory=dict)
    # The course's cells that are changed, no code any more or missing, in
    # order: where each is due, and whether the cell above it is its own.
    lent: dict[str, tuple[int, bool]] = field(default_factory=dict)


def match(submitted: NotebookNode, course: CourseNotebook) -> Matched:
    """Find the exercises and put the official checks in, in a copy.

    A cell is known by its grade_id, or else by its cell id, or else by its
    text; an exercise in code also by the function that a cell defines, a
    written one by the place where its answer belongs.
    """
    notebook = copy.deepcopy(submitted)
    cells = notebook.cells
    names = [_name(cell, course) for cell in cells]
    found = Matched(notebook, [])
    for exercise in course.exercises:
        name = exercise.name
        marked = [i for i, own in enumerate(names) if own == name]
        find = _find_answer if exercise.written else _find_code
        counted, written = find(exercise, course, names, marked, found)
        if counted:
            attempts = [i for i in counted if i in written]
            if len(attempts) > 1:
                places = ", ".join(str(i + 1) for i in attempts)
                found.notes.append(f"{name}: written in cells {places}.")
            found.attempts[name] = attempts
        else:
            found.lost[name] = (
                f"Its cell, {marked[0] + 1}, is a "
                f"{cells[marked[0]].cell_type} cell and not code; it was not "
                "run." if marked else "Its cell is missing.")
            found.notes.append(f"{name}: {found.lost[name]}")
        if shown := written or counted or marked:
            found.sources[name] = "\n\n".join(cells[i].source for i in shown)
    changed = []
    for i, name in enumerate(names):
        if source := course.checks.get(name):
            if (cells[i].cell_type, cells[i].source) != ("code", source):
                changed.append(name)
            cells[i] = v4.new_code_cell(
                source, id=cells[i].id, metadata=cells[i].metadata)
    missing = [name for name in course.checks if name not in names]
    found.notes += [
        words.format(", ".join(some)) for words, some in (
            ("Changed checks, replaced by the course's: {}.", changed),
            ("Checks that are missing: {}.", missing)) if some]
    for name, source in course.given.items():
        own = [i for i, n in enumerate(names) if n == name]
        if _plain(source) not in [_plain(cells[i].source) for i in own
                                  if cells[i].cell_type == "code"]:
            last = own[-1] if own else _last_before(name, names, course)
            found.lent[source] = last + 1, bool(own)
    order = [n for n in dict.fromkeys(names) if n]
    if order != [n for n in course.cells.values() if n in order]:
        found.notes.append("The course's cells stand in another order; they "
                           "were run in the student's.")
    return found


def _find_code(
    exercise: Exercise, course: CourseNotebook, names: list[str],
    marked: list[int], found: Matched) -> tuple[list[int], list[int]]:
    """The cells that count, and those in which something is written; notes
    where it is judged."""
    cells, name = found.notebook.cells, exercise.name
    code = [i for i in marked if cells[i].cell_type == "code"]
    own = {i: made[name] == "function" for i, cell in enumerate(cells)
           if cell.cell_type == "code" and names[i] not in course.checks
           and course.texts.get(_plain(cell.source)) in (None, name)
           and name in (made := names_in(cell.source)[1])}
    # A value of that name may be an experiment.
    solved = any(is_function and _is_written(cells[i], exercise)
                 for i, is_function in own.items())
    defining = [i for i, is_function in own.items()
                if is_function or not solved]
    both = sorted({*code, *defining})
    attempts = [i for i in both if _is_written(cells[i], exercise)]
    # A half of a split cell may define nothing; it never counts alone.
    counted = [i for i in attempts if i in defining] or attempts or both
    if counted and not code:
        found.notes.append(
            f"{name}: its cell has lost its mark; found by what it defines.")
    for i in both if attempts else ():
        if i not in attempts and cells[i].source.strip():
            # It would take the place of the solution.
            cells[i].source = STUB
            found.notes.append(f"{name}: cell {i + 1} is an untouched copy of "
                               "the stub and was not run.")
    checks = [i for i, own in enumerate(names) if own == f"check_{name}"]
    above = [i for i in counted if checks and i < checks[-1]]
    ends = sorted({above[-1] + 1, checks[-1]}) if above else []
    if above != counted:
        # With the helpers below it, up to the course's next cell.
        end = counted[-1] + 1
        while end < len(cells) and not names[end]:
            end += 1
        ends.append(end)
    found.judged[name] = ends
    return counted, attempts


def _find_answer(
    exercise: Exercise, course: CourseNotebook, names: list[str],
    marked: list[int], found: Matched) -> tuple[list[int], list[int]]:
    """All that was written where an answer belongs, or else anywhere."""
    cells, name = found.notebook.cells, exercise.name
    own = [i for i, cell in enumerate(cells)
           if not names[i] and cell.cell_type != "code"]
    start = marked[0] if marked else _last_before(name, names, course)
    end = next((i for i in range(start + 1, len(cells))
                if names[i] not in ("", name)), len(cells))
    near = sorted({*marked, *(i for i in own if start <= i < end)})
    written, elsewhere = (
        [i for i in some if _is_written(cells[i], exercise)]
        for some in (near, own))
    if elsewhere and not written:
        written = elsewhere
        found.notes.append(
            f"{name}: nothing stands at its place; all the student's own "
            "text cells are shown.")
    return written or marked, written


def _last_before(name: str, names: list[str], course: CourseNotebook) -> int:
    """Index of the last cell that stands above another in the course."""
    order = list(course.cells.values())
    before = {*order[:order.index(name)]}
    return max((i for i, n in enumerate(names) if n in before), default=-1)


def _is_written(cell: NotebookNode, exercise: Exercise) -> bool:
    """Whether there is more in it than the stub, however that is laid out."""
    if _plain(cell.source) in ("", _plain(exercise.stub),
                               *notebooks.NO_ANSWER.values()):
        return False
    with contextlib.suppress(*NO_PYTHON):
        return ast.dump(tree(cell.source)) != ast.dump(tree(exercise.stub))
    return True


def _name(cell: NotebookNode, course: CourseNotebook) -> str:
    """The course's name of a cell; empty for one of the student's own."""
    name = grader(cell).get("grade_id")
    if isinstance(name, str) and name in course.cells.values():
        return name
    return course.cells.get(cell.id) or course.texts.get(
        _plain(cell.source), "")


def _plain(source: str) -> str:
    return " ".join(source.split())


def to_run(found: Matched, course: CourseNotebook, end: int) -> set[int]:
    """Which code cells before some place can change a verdict: the student's
    own, those that were changed, and what they need of the course's."""
    cells = found.notebook.cells[:end]
    given = {*course.texts, *map(_plain, course.checks.values())}
    own = {i for i, c in enumerate(cells) if _plain(c.source) not in given}
    lent = [v4.new_code_cell(source)
            for source, (place, _) in found.lent.items() if place <= end]
    return {i for i in needed([*cells, *lent], own) if i < end}


def to_lend(found: Matched, end: int, wanted: set[str], known: set[str]
            ) -> list[tuple[str, set[str]]]:
    """What of the course's has to be run before a cell, and why: it binds
    names that are `wanted`, to which its own are added, and not `known`."""
    chosen = []
    for source, (place, _) in reversed(found.lent.items()):
        used, bound = names_in(source)
        if place <= end and (names := bound.keys() & wanted - known):
            wanted |= used - bound.keys()
            chosen.append((source, names))
    return chosen[::-1]


def continues(cells: Sequence[NotebookNode], index: int) -> bool:
    """Whether the next code fits below a cell's as if it were one cell: its
    first line is indented."""
    code = [c.source for c in cells[index:] if c.cell_type == "code"][:2]
    first = next((line for source in code[1:] for line in source.splitlines()
                  if line.partition("#")[0].strip()), "")
    return first[:1].isspace() and bool(names_in("\n".join(code))[1])


def needed(cells: Sequence[NotebookNode], own: set[int]) -> set[int]:
    """Which code cells have to run, by index, so that their `own` do what they
    do: of the others, trainings and drawings, those that bind a name which a
    needed cell uses, or may change what is bound to such a name."""
    names = {i: names_in(cell.source) for i, cell in enumerate(cells)
             if cell.cell_type == "code"}
    found = own & names.keys()
    wanted = {n for i in found for n in names[i][0]}
    if wanted & ANY:
        return {*names}
    # What is a module, a function or a class alone is not changed by its use.
    changing = {name for _, bound in names.values()
                for name, kind in bound.items() if kind == "value"}
    while more := {i for i, (used, bound) in names.items() if i not in found
                   and (bound.keys() | used & changing) & wanted}:
        found |= more
        wanted |= {n for i in more for n in names[i][0]}
    return found


def borrowed(name: str, source: str, others: Iterable[str]) -> str:
    """The part of the package that a solution is made of, or empty; it may be
    imported in `others`, the sources of the student's cells."""
    taken = {n for text in (*others, source) for n in _imported(text)}
    return max((used for used in names_in(source)[0]
                if used.split(".")[0] in taken
                and ("." in used or name.lower() in used.lower())), default="")


@lru_cache(1000)
def _imported(source: str) -> set[str]:
    """Names of the course's packages, and of what is in them."""
    with contextlib.suppress(*NO_PYTHON):
        return {(alias.asname or alias.name).split(".")[0]
                for node in ast.walk(tree(source))
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
                if (getattr(node, "module", None) or alias.name
                    ).split(".")[0] in PACKAGES}
    return set()
