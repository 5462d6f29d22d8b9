"""The student edition, worked through in a real browser as a student does."""

import lesson
import nbformat
import pytest
from lab import Lab
from page import wait_for

from labstaff.publish.release import edition
from labutils import settings

pytestmark = pytest.mark.slow

NAME = "01_text_preprocessing.ipynb"
# A slip that a beginner makes, in place of the solution.
SLIP = '''def tokenize(lines, token="word"):
    if token == "char":
        return [line.split("") for line in lines]
    return [line.split() for line in lines]
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab"), LABUTILS_EPOCHS="2") as lab:
        files, _ = edition()
        path = lab.notebooks / NAME
        path.write_bytes(files[f"notebooks/{NAME}"])
        yield lab


@pytest.fixture(scope="module")
def source():
    return nbformat.read(settings.home() / "notebooks" / NAME, as_version=4)


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
    with lab.open(NAME) as page:
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
    done = nbformat.read(lab.notebooks / NAME, as_version=4)
    for cell in done.cells:
        if (name := lesson.meta(cell).get("grade_id")) in names:
            assert cell.source == keys[name]


def test_a_check_cannot_be_edited_or_deleted(lab):
    with lab.open(NAME) as page:
        text = by_name(page, "check_tokenize").source
        page.select("check_tokenize")
        page.window.keyboard.press("Enter")
        page.window.keyboard.insert_text("pass")
        page.window.keyboard.press("Escape")
        page.window.keyboard.press("d")
        page.window.keyboard.press("d")
        assert by_name(page, "check_tokenize").source == text
