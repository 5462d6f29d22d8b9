"""The student edition: what is in it, and what must never be."""

import copy
import json
import os
import re
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import lesson
import nbformat
import pytest
from kernel import Kernel
from nbclient import NotebookClient
from support import names

from labkit import __main__ as cli
from labkit.course import NotebookError, notebook_paths
from labstaff.exercises import Exercises, exercises
from labstaff.publish import folder, release
from labstaff.publish.release import STUB, student_notebook
from labutils import settings

ROOT = settings.home()
REAL = [path.stem for path in notebook_paths(extras=True)]
QUICK = "02_long_sequence_sampling"  # executed here: it trains nothing
# Words of delimiters; none of them may reach a student.
DELIMITERS = ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "MARK SCHEME")


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def real(name: str) -> nbformat.NotebookNode:
    """A notebook of the course; skips where it has no exercises."""
    source = read(ROOT / "notebooks" / f"{name}.ipynb")
    if not lesson.exercises(source):
        pytest.skip("this notebook has no exercises")
    return source


def content(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    """The release of this course: its folder, and what was said of it."""
    place = tmp_path_factory.mktemp("release").resolve() / "students"
    return place, release.release(place)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with one small notebook."""
    root = lesson.course(tmp_path / "course", lesson.lesson())
    monkeypatch.setattr(settings, "home", lambda: root)
    return root


@pytest.fixture
def out(tmp_path):
    return tmp_path.resolve() / "students"


# ---- a notebook


def test_a_solution_becomes_a_stub():
    done = student_notebook(lesson.lesson())
    assert done.cells[2].source.splitlines() == [
        "def one_hot(X, V):",
        '    """Tokens (B, T) to vectors (T, B, V)."""',
        *("    " + line for line in STUB.splitlines()),
    ]
    assert done.cells[4].source.count("raise NotImplementedError()") == 2
    assert '    words = token == "word"\n' in done.cells[4].source
    assert done.cells[6].source == "YOUR ANSWER HERE"


def test_hidden_tests_go_and_the_check_stays():
    done = student_notebook(lesson.lesson())
    assert done.cells[3].source.strip() == "checks.one_hot(one_hot)"
    assert done.cells[5].source.strip() == "checks.tokenize(tokenize)"


def test_no_trace_of_a_run_stays():
    for cell in (done := student_notebook(lesson.lesson())).cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
        assert "execution" not in cell.metadata
    assert "widgets" not in done.metadata


def test_checks_are_locked_and_stubs_can_be_edited():
    cells = student_notebook(lesson.lesson()).cells
    assert [
        (c.metadata.get("deletable", True), c.metadata.get("editable", True))
        for c in cells
    ] == [
        (True, True), (True, True), (False, True), (False, False),
        (False, True), (False, False), (False, True),
    ]
    assert ["checksum" in lesson.meta(cell) for cell in cells] == [
        False, False, True, True, True, True, True
    ]


def test_the_source_stays_as_it_is():
    source = lesson.lesson()
    before = copy.deepcopy(source)
    student_notebook(source)
    assert source == before


def test_exercises_are_counted():
    assert exercises(lesson.lesson(), "x") == Exercises(2, 1, 6)


def break_it(notebook: nbformat.NotebookNode, number: int, **changes):
    """Change a cell's source (old and new text) or its metadata."""
    cell = notebook.cells[number]
    old, new = changes.pop("source", ("", ""))
    assert old in cell.source
    cell.source = cell.source.replace(old, new)
    for name, value in changes.items():
        cell.metadata.nbgrader[name] = value
    return notebook


TO_THE_END = ("    ### END SOLUTION", "")


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        (2, {"source": TO_THE_END}, "BEGIN SOLUTION without its other half"),
        (2, {"source": ("    ### BEGIN SOLUTION", "")},
         "END SOLUTION without its other half"),
        (4, {"source": ("### END SOLUTION\n    words", "words")},
         "BEGIN SOLUTION without its other half"),
        (3, {"source": ("### END HIDDEN TESTS", "")},
         "BEGIN HIDDEN TESTS without its other half"),
        (3, {"source": ("### END HIDDEN TESTS", "### END SOLUTION")},
         "BEGIN HIDDEN TESTS; END SOLUTION without"),
        (2, {"source": ("BEGIN SOLUTION", "BEGIN  SOLUTION")},
         "'### BEGIN  SOLUTION' is no delimiter"),
        (2, {"source": ("### BEGIN SOLUTION", "# begin solution")},
         "'# begin solution' is no delimiter"),
        (3, {"source": ("BEGIN HIDDEN TESTS", "BEGIN HIDDEN TEST")},
         "'### BEGIN HIDDEN TEST' is no delimiter"),
        (4, {"grade_id": "one_hot"}, "cell 3 has the same grade_id"),
        (3, {"grade_id": "check_two_hot"},
         "Expected a graded code cell 'check_one_hot'"),
        (2, {"solution": False}, "not marked as a solution"),
        (3, {"grade": False}, "not a check"),
        (2, {"schema_version": 1}, "nbgrader refuses its metadata"),
        (2, {"grade_id": "no blank"}, "nbgrader refuses its metadata"),
    ],
)
def test_what_cannot_be_released_is_named(
    course, out, number, changes, words
):
    source = break_it(lesson.lesson(), number, **changes)
    path = course / "notebooks" / "07_lesson.ipynb"
    nbformat.write(source, path)
    with pytest.raises(ValueError) as caught:
        release.release(out)
    message = str(caught.value)
    assert words in message and "\n" not in message
    cell = 3 if "check_one_hot" in words else number + 1
    assert message.startswith(f"07_lesson.ipynb, cell {cell} (grade_id ")
    assert not out.exists()


def test_a_solution_needs_its_delimiters(course):
    source = lesson.lesson()
    source.cells[2].source = "def one_hot(X, V):\n    return X"
    with pytest.raises(ValueError, match=r"cell 3 \(grade_id 'one_hot'\)"):
        exercises(source, "x.ipynb")


def test_a_check_above_its_solution_is_none(course):
    source = lesson.lesson()
    cells = source.cells
    cells[2], cells[3] = cells[3], cells[2]
    with pytest.raises(ValueError, match=r"cell 4 .*below it"):
        exercises(source, "x.ipynb")


def test_a_region_in_an_ordinary_cell_is_named_by_its_first_line():
    source = lesson.lesson()
    source.cells[1].source += "\n### BEGIN SOLUTION\n### END SOLUTION"
    with pytest.raises(ValueError, match=r"x, cell 2 \('import torch'\)"):
        exercises(source, "x")


def test_a_broken_file_is_named(course, out):
    path = course / "notebooks" / "07_lesson.ipynb"
    path.write_text('{"cells": [', encoding="utf-8")
    with pytest.raises(NotebookError, match=r"^07_lesson\.ipynb cannot be"):
        release.release(out)


# ---- the whole edition


def test_what_is_in_it(edition):
    place, _ = edition
    assert names(place) == sorted([
        ".gitattributes", ".gitignore", ".release", "LICENSE", "Makefile",
        "README.md", "README.zh.md", "constraints.txt", "environment.yml",
        "labkit", "labutils", "notebooks", "pyproject.toml",
    ])
    drawn = names(ROOT / "notebooks/images")
    assert names(place / "notebooks/images") == drawn
    assert names(place / "notebooks") == [
        *(f"{name}.ipynb" for name in REAL), "images", "zh"]
    assert names(place / "notebooks/zh") == [f"{n}.ipynb" for n in REAL]
    for package, files in {
        "labutils": {"__init__.py", "practice.txt", "recorded/deep_gru.json"},
        "labkit": {"__main__.py", "checks/__init__.py", "checks/hints.toml",
                   "report/templates/report.css"},
    }.items():
        found = content(place / package)
        assert files <= set(found)
        assert found == {
            name: data for name, data in content(ROOT / package).items()
            if "__pycache__" not in name}


@pytest.mark.slow
def test_the_command_writes_the_same_byte_for_byte(edition, tmp_path):
    """As an instructor gives it, and leaving nothing anywhere else."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    variables = {"HOME": home, "USERPROFILE": home,
                 "MPLCONFIGDIR": tmp_path / "fonts"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "labkit", "release",
         "--out", "../students"],
        cwd=here, capture_output=True, encoding="utf-8",
        env=os.environ | {k: str(path) for k, path in variables.items()},
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert said[1:] == edition[1].splitlines()[1:]
    assert said[0] == f"Student edition: {tmp_path.resolve() / 'students'}"
    # Neither a gradebook nor a log nor a setting of nbgrader.
    assert not content(home) and not content(here)
    first, second = content(edition[0]), content(tmp_path / "students")
    assert list(first) and first == second
    assert not [name for name in first
                if b"\r" in first[name] and not name.endswith(".mo")]


def test_two_releases_are_equal_byte_for_byte(course, out):
    release.release(out)
    before = content(out)
    release.release(out.with_name("again"))
    assert content(out.with_name("again")) == before


def test_line_ends_are_those_of_git(course, out):
    path = course / "labutils" / "__init__.py"
    path.write_bytes(b'"""From Windows."""\r\n')
    release.release(out)
    found = (out / "labutils" / "__init__.py").read_bytes()
    assert found == b'"""From Windows."""\n'


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_class_can_read_it(course, out):
    release.release(out)
    assert out.stat().st_mode & 0o777 == 0o755


def test_it_says_what_it_wrote(edition):
    place, printed = edition
    first, head, *rows, total = printed.splitlines()
    assert first == f"Student edition: {place}"
    assert head.split() == ["notebook", "in", "code", "written", "points"]
    assert [row.split()[0] for row in rows] == REAL
    assert total.split()[0] == "total"


def test_the_table_and_the_guide_count_alike(course, out):
    printed = release.release(out)
    assert printed.splitlines()[2].split() == ["07_lesson", "2", "1", "6"]
    guide = (out / "README.md").read_text(encoding="utf-8")
    row = "| [7. A lesson / for tests](notebooks/07_lesson.ipynb) | 3 | 6 |"
    assert row in guide.splitlines()
    assert "{" not in guide


@pytest.mark.parametrize("name", REAL)
class TestReal:
    def test_there_is_no_output(self, edition, name):
        for cell in read(edition[0] / "notebooks" / f"{name}.ipynb").cells:
            if cell.cell_type == "code":
                assert (cell.outputs, cell.execution_count) == ([], None)

    def test_there_is_no_delimiter(self, edition, name):
        path = edition[0] / "notebooks" / f"{name}.ipynb"
        text = path.read_text(encoding="utf-8")
        assert not [words for words in DELIMITERS if words in text]

    def test_there_is_no_line_of_a_solution(self, edition, name):
        source = real(name)
        done = read(edition[0] / "notebooks" / f"{name}.ipynb")
        for cell, stub in zip(source.cells, done.cells, strict=True):
            if not lesson.meta(cell).get("solution"):
                continue
            assert stub.id == cell.id
            if cell.cell_type == "markdown":
                assert stub.source == "YOUR ANSWER HERE"
                continue
            told = lesson.REGION.sub("", cell.source + "\n").splitlines()
            secret = [x for r in lesson.regions(cell) for x in r.splitlines()]
            assert secret
            lines = set(stub.source.splitlines())
            assert not (set(secret) - {""}) - set(told) & lines
            assert "raise NotImplementedError()" in stub.source

    def test_the_rest_is_as_it_was(self, edition, name):
        source = read(ROOT / "notebooks" / f"{name}.ipynb")
        done = read(edition[0] / "notebooks" / f"{name}.ipynb")
        for cell, after in zip(source.cells, done.cells, strict=True):
            if not lesson.meta(cell):
                assert after.source == cell.source


def test_the_conda_environment_is_for_the_lab(edition):
    ours = (ROOT / "environment.yml").read_text(encoding="utf-8")
    theirs = (edition[0] / "environment.yml").read_text(encoding="utf-8")
    assert "-e .[lab]\n" in theirs
    assert theirs == ours


def test_their_makefile_does_as_ours_does(edition):
    ours = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    theirs = (edition[0] / "Makefile").read_text(encoding="utf-8")
    for line in theirs.splitlines():
        if not line.startswith(("#", ".PHONY", "\trm ")):
            assert line in ours, line
    assert re.findall(r"^(\w+):", theirs, re.MULTILINE) == ["lab", "clean"]


def test_the_guide_names_what_is_there(edition):
    place, _ = edition
    guide = (place / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", guide)
    assert links == [f"notebooks/{name}.ipynb" for name in REAL]
    # The example is the stub that students will see.
    shown = [line.strip() for line in guide.splitlines()]
    assert all(line in shown for line in STUB.splitlines())


# ---- the package of the edition


# As it is where nobody has the instructors' package; here somebody does.
WITHOUT_STAFF = """
import sys
sys.modules["labstaff"] = None
from labkit.__main__ import main
sys.exit(main())
"""


def labutils(place: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a command of the student edition."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_STAFF, *arguments], cwd=place,
        capture_output=True, encoding="utf-8",
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["run", "01"], ["release", "--out", "there"]],
    ids=lambda arguments: arguments[0],
)
def test_a_command_of_the_instructors_says_so(edition, arguments):
    code, out, err = labutils(edition[0], *arguments)
    assert (code, out) == (1, "")
    assert re.fullmatch(
        rf"labutils: {arguments[0]} belongs to the instructors' edition [^\n]+"
        r"\n", err
    )
    assert ("Run All Cells" in err) is (arguments[0] == "run")


def test_its_help_names_the_commands_that_it_has(edition):
    code, out, err = labutils(edition[0], "--help")
    assert (code, err) == (0, "")
    found = re.findall(r"^    (\w+) ", out, re.MULTILINE)
    assert found == ["data", "doctor", "report", "reset"]


def test_other_commands_work_there(edition):
    code, out, err = labutils(edition[0], "data")
    assert (code, err) == (0, "")
    assert "LABUTILS_TEXT" in out


def execute(place, notebook, allow_errors=False):
    """Execute a notebook of the edition with the edition's package."""
    probe = nbformat.v4.new_code_cell("import labutils; labutils.__file__")
    notebook.cells.append(probe)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3",
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(place / "notebooks")}},
    )
    variables = {"PYTHONPATH": str(place), "LABUTILS_EPOCHS": "1"}
    client.execute(env=os.environ | variables)
    assert str(place / "labutils") in probe.outputs[0].data["text/plain"]
    return notebook.cells[:-1]


@pytest.mark.slow
def test_solutions_put_back_run_without_an_error(edition):
    source = read(ROOT / "notebooks" / f"{QUICK}.ipynb")
    stubs = read(edition[0] / "notebooks" / f"{QUICK}.ipynb")
    done = lesson.solved(stubs, source, lesson.exercises(source))
    execute(edition[0], done)  # an error would be raised


def said(cell: nbformat.NotebookNode) -> str:
    """Traceback of the error that a cell ended with."""
    [error] = [o for o in cell.outputs if o.output_type == "error"]
    return "\n".join(error.traceback)


@pytest.mark.slow
def test_a_check_of_a_stub_says_that_nothing_is_written_yet(edition):
    stubs = read(edition[0] / "notebooks" / f"{QUICK}.ipynb")
    done = execute(edition[0], stubs, allow_errors=True)
    tested = 0
    for cell in done:
        info = lesson.meta(cell)
        if info.get("grade") and not info["solution"]:
            assert "is not written yet" in said(cell), info["grade_id"]
            assert "Traceback" not in said(cell)
            tested += 1
    assert tested == len(lesson.exercises(stubs))


@pytest.mark.slow
def test_a_stub_and_its_check_in_a_kernel():
    cells = student_notebook(lesson.lesson()).cells
    with Kernel(LABUTILS_EPOCHS="1") as kernel:
        kernel.run(cells[1].source)
        kernel.run(cells[2].source)
        cell = kernel.begin(cells[3].source)
        cell.read()
    assert "one_hot is not written yet" in cell.error
    assert "Traceback" not in cell.error


# ---- languages


@pytest.fixture
def bilingual(course, monkeypatch):
    """The same course with its notebook in Chinese as well."""
    notebook = lesson.lesson()
    notebook.cells[0].source = "# 7. 一课"
    lesson.write(course / "notebooks" / "zh" / "07_lesson.ipynb",
                 nbformat.writes(notebook))
    return course


def test_all_languages_are_released_side_by_side(bilingual, out):
    release.release(out)
    assert read(out / "notebooks" / "07_lesson.ipynb").cells[0].source != (
        "# 7. 一课")
    cells = read(out / "notebooks" / "zh" / "07_lesson.ipynb").cells
    assert cells[0].source == "# 7. 一课"
    assert release.STUBS["zh"].splitlines()[0] in cells[2].source
    assert cells[6].source == "在这里写下你的回答"
    guides = [(out / name).read_text(encoding="utf-8")
              for name in ("README.md", "README.zh.md")]
    assert ["(notebooks/zh/07_lesson.ipynb)" in guide for guide in guides] == [
        False, True]


def test_one_language_is_released_alone(bilingual, out):
    assert cli.main(["release", "--out", str(out), "--lang", "zh"]) == 0
    assert names(out / "notebooks") == ["zh"]
    assert "notebooks/zh/" in (out / "README.md").read_text(encoding="utf-8")
    assert not (out / "README.zh.md").exists()


def test_a_language_that_is_not_there_is_refused(course, out):
    with pytest.raises(ValueError, match="'zh': expected one of en"):
        release.release(out, ["zh"])
    assert not out.exists()


# ---- the folder


def test_an_earlier_release_is_replaced(course, out):
    path = course / "notebooks" / "08_old.ipynb"
    nbformat.write(lesson.lesson(), path)
    release.release(out)
    assert (out / "notebooks" / path.name).exists()
    path.unlink()
    (out / "labutils" / "__pycache__").mkdir()
    printed = release.release(out)
    assert "kept" not in printed
    assert names(out / "notebooks") == ["07_lesson.ipynb"]
    assert names(out.parent) == ["course", "students"]


@pytest.mark.parametrize("name", ["notes.md", "notebooks/07_lesson.ipynb"])
def test_a_release_that_was_changed_is_kept(course, out, name):
    release.release(out)
    for number, text in enumerate(("mine", "mine as well"), start=1):
        (out / name).write_text(text, encoding="utf-8")
        printed = release.release(out)
        kept = out.with_name(f"students.before{number}")
        assert printed.endswith(f"kept as {kept}.")
        assert (kept / name).read_text(encoding="utf-8") == text
        assert not folder.changed(out)


def test_a_repository_in_it_stays(course, out):
    (out / ".git").mkdir(parents=True)
    (out / ".git" / "HEAD").write_text("ref", encoding="utf-8")
    for _ in range(2):
        assert "kept" not in release.release(out)
        assert names(out / ".git") == ["HEAD"]
        assert (out / "README.md").exists()
    assert names(out.parent) == ["course", "students"]


def test_what_it_was_made_with_is_listed(course, out):
    release.release(out)
    lines = (out / ".release").read_text(encoding="utf-8").splitlines()
    listed = [line.split("  ")[1] for line in lines]
    assert listed == sorted(set(content(out)) - {".release"})


def refused(out: Path, error: type[Exception]) -> str:
    before = content(out) if out.is_dir() else out
    with pytest.raises(error) as caught:
        release.release(out)
    assert (content(out) if out.is_dir() else out) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_with_something_else_is_refused(course, out):
    for name in ("thesis.tex", "b", "c", "d"):
        lesson.write(out / name, "years of work")
    message = refused(out, RuntimeError)
    assert "holds b, c, d and more. Name a new folder" in message
    assert names(out.parent) == ["course", "students"]


def test_a_file_is_refused(course, out):
    out.touch()
    assert "is a file" in refused(out, RuntimeError)


@pytest.mark.parametrize("name", ["notebooks", "labutils"])
def test_the_courses_own_folders_are_refused(course, name):
    message = refused(course / name / "students", RuntimeError)
    assert "part of the course" in message
    assert "part of the course" in refused(course / name, RuntimeError)


def test_the_course_itself_is_refused(course):
    assert "no earlier release" in refused(course, RuntimeError)
    assert "no earlier release" in refused(course.parent, RuntimeError)


def test_an_empty_or_a_deep_folder_is_fine(course, out):
    out.mkdir()
    release.release(out)
    release.release(out / "a" / "b")
    assert content(out / "a" / "b").keys() <= content(out).keys()


def test_a_release_that_fails_leaves_the_earlier_one(course, out):
    release.release(out)
    before = content(out)
    source = break_it(lesson.lesson(), 2, source=TO_THE_END)
    nbformat.write(source, course / "notebooks" / "07_lesson.ipynb")
    assert "cell 3" in refused(out, ValueError)
    assert content(out) == before
    assert names(out.parent) == ["course", "students"]


@pytest.mark.parametrize("which", [1, 2, 3])
def test_a_swap_that_fails_leaves_the_earlier_one(
    course, out, monkeypatch, which
):
    (out / ".git").mkdir(parents=True)
    (out / ".git" / "HEAD").write_text("ref", encoding="utf-8")
    release.release(out)
    (course / "LICENSE").write_text("another\n", encoding="utf-8")
    rename, calls = Path.rename, []

    def fails(self, target):
        calls.append(target)
        if len(calls) == which:
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    assert "disk is gone" in refused(out, OSError)
    assert len(calls) >= which
    assert names(out.parent) == ["course", "students"]


def test_without_nbgrader_it_says_how_to_install_it(
    out, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "nbgrader.preprocessors", None)
    monkeypatch.delitem(sys.modules, "labstaff.publish.release")
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    assert cli.main(["release", "--out", str(out)]) == 1
    assert re.fullmatch(
        r"labutils: this command needs nbgrader, [^\n]+ Type: [^\n]+\n",
        capsys.readouterr().err,
    )
    assert not out.exists()


@pytest.mark.parametrize(("languages", "locale"), [
    (["zh"], "zh_CN"), (["zh", "en"], "zh_CN"), (["en"], None), ([], None)])
def test_jupyterlab_speaks_the_first_language(languages, locale):
    files, _ = release.edition(languages)
    plugin = "@jupyterlab/translation-extension:plugin"
    found = json.loads(files["labkit/jupyterlab.json"])
    assert found.get(plugin, {}).get("locale") == locale
    assert "@jupyterlab/apputils-extension:notification" in found
    # The names are JupyterLab's own, and its language pack is installed.
    schema = Path(sys.prefix, "share/jupyter/lab/schemas",
                  plugin.replace(":", "/") + ".json")
    assert "locale" in json.loads(schema.read_text("utf-8"))["properties"]
    assert metadata.entry_points(group="jupyterlab.languagepack")["zh_CN"]
