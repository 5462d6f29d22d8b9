"""Every notebook in JupyterLab, in a real browser.

Three are opened as they are committed; one, with tables and a training in its
live view, is run in its Chinese edition, saved and read again; the first one
is worked through as a student does. (Widgets are moved in
labkit/test_browser.py.)
"""

import shutil
from pathlib import Path

import lesson
import nbformat
import pytest
from lab import Lab
from page import wait_for

from labkit.course import LESSONS, notebook_paths
from labstaff.publish.release import edition

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = [path.stem for path in notebook_paths()]
RUN = 4  # the fifth
# The fewest outputs, a picture for each question, the longest.
OPENED = (NAMES[0], NAMES[2], NAMES[5])
STUDENT = "student.ipynb"  # the first of the student edition
# A slip that a beginner makes, in place of the solution.
SLIP = '''def tokenize(lines, token="word"):
    if token == "char":
        return [line.split("") for line in lines]
    return [line.split() for line in lines]
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The course, at one epoch; nobody can tell it from a student's."""
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder, LABUTILS_EPOCHS="1") as lab:
        files, _ = edition()
        path = lab.notebooks / STUDENT
        path.write_bytes(files[f"notebooks/{NAMES[0]}.ipynb"])
        yield lab


def copy_without_outputs(name, folder):
    """What a run leaves is then the run's own."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    (folder / name).parent.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def outputs(cells):
    return [output for cell in cells for output in cell.outputs]


def pictures(cells):
    """The stored images, as the page addresses them."""
    return [
        f"data:image/png;base64,{''.join(output.data['image/png'].split())}"
        for output in outputs(cells)
        if "image/png" in output.get("data", {})
    ]


def check_page(page, cells):
    """The page shows these cells' outputs, once it has drawn them."""
    found = page.window.locator(".jp-OutputArea-child")
    wait_for(lambda: found.count() == len(outputs(cells)), "outputs")
    assert page.images() == pictures(cells)
    wait_for(page.images_are_drawn, "drawn images")


def test_they_are_opened_as_they_are_committed(lab, screenshots):
    for name in OPENED:
        shutil.copy(FOLDER / f"{name}.ipynb", lab.notebooks)
        with lab.open(f"{name}.ipynb") as page:
            cells = page.cells()
            counts = [cell.execution_count for cell in cells]
            assert counts == list(range(1, len(cells) + 1))
            check_page(page, cells)
            page.photograph(screenshots / f"{name}_committed.png")


def test_a_notebook_is_run_saved_and_read(lab, screenshots):
    name = f"zh/{NAMES[RUN]}"
    file = copy_without_outputs(name, lab.notebooks)
    with lab.open(f"{name}.ipynb") as page:
        assert not outputs(page.cells())
        page.run()
        cells = page.cells()
        errors = [o for o in outputs(cells) if o.output_type == "error"]
        assert not errors
        counts = [cell.execution_count for cell in cells]
        assert counts == list(range(1, len(cells) + 1))
        check_page(page, cells)
        said = [str(o.get("text", "")) + str(o.get("data", ""))
                for o in outputs(cells)]
        assert sum("：通过。" in text for text in said) == len(
            LESSONS[RUN].exercises)
        assert any("困惑度" in text for text in said)
        assert not [text for text in said if "passed" in text
                    or "tokens/s" in text]
        page.photograph(screenshots / f"{NAMES[RUN]}_zh.png")
        page.save()

        stored = nbformat.read(file, as_version=4).cells
        stored = [cell for cell in stored if cell.cell_type == "code"]
        assert [cell.execution_count for cell in stored] == counts
        assert pictures(stored) == pictures(cells)
        page.load()
        assert page.cells() == cells
        check_page(page, cells)


# The student edition, worked through as a student does.


@pytest.fixture(scope="module")
def source():
    return nbformat.read(FOLDER / f"{NAMES[0]}.ipynb", as_version=4)


def by_name(page, name):
    """A code cell of the page, by its grade_id."""
    [cell] = [
        cell for cell in page.cells()
        if lesson.meta(cell).get("grade_id") == name
    ]
    return cell


def errors(cells):
    return [
        "\n".join(output.traceback) for cell in cells
        for output in cell.outputs if output.output_type == "error"
    ]


def run_check(page, name):
    """What the check of an exercise says, when it is run."""
    before = by_name(page, f"check_{name}").execution_count
    page.select(f"check_{name}")
    page.window.keyboard.press("Control+Enter")
    cell = wait_for(
        lambda: (cell := by_name(page, f"check_{name}")).outputs
        and cell.execution_count not in (None, before) and cell,
        "answer of the check",
    )
    said = [output.get("text", "") for output in cell.outputs]
    return "\n".join([*said, *errors([cell])])


def write(page, name, text):
    """Type a solution in place of what stands in the exercise's cell."""
    page.select(name)
    page.window.keyboard.press("Enter")
    page.window.keyboard.press("ControlOrMeta+a")
    page.window.keyboard.insert_text(text)
    assert by_name(page, name).source == text
    page.window.keyboard.press("Control+Enter")


def test_a_student_works_through_a_notebook(lab, screenshots, source):
    keys = {lesson.meta(c).get("grade_id"): c.source for c in source.cells}
    with lab.open(STUDENT) as page:
        # As handed out it runs to the first check and stops there kindly.
        page.run()
        [first] = errors(page.cells())
        assert "tokenize is not written yet" in first
        assert "Traceback" not in first

        write(page, "tokenize", SLIP)
        assert "not right yet" in run_check(page, "tokenize")
        assert "likely:" in run_check(page, "tokenize")
        page.photograph_cell(screenshots / "check.png")

        names = lesson.exercises(source)
        for name in names:
            write(page, name, keys[name])
            page.run()
        assert not errors(page.cells())
        for name in names:
            assert f"{name}: passed" in run_check(page, name)
        page.save()
    done = nbformat.read(lab.notebooks / STUDENT, as_version=4)
    for cell in done.cells:
        if (name := lesson.meta(cell).get("grade_id")) in names:
            assert cell.source == keys[name]


def test_a_check_cannot_be_edited_or_deleted(lab):
    with lab.open(STUDENT) as page:
        text = by_name(page, "check_tokenize").source
        page.select("check_tokenize")
        page.window.keyboard.press("Enter")
        page.window.keyboard.insert_text("pass")
        page.window.keyboard.press("Escape")
        page.window.keyboard.press("d")
        page.window.keyboard.press("d")
        assert by_name(page, "check_tokenize").source == text
