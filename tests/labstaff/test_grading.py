"""A whole class, graded: attacks contained, every other score right."""

from pathlib import Path

import classroom
import nbformat
import pytest
from classroom import SETTINGS, rows

from labstaff.grading import sandbox
from labstaff.grading.classroom import grade_class
from labstaff.grading.results import Graded

CLASS = [*classroom.honest(), *classroom.hostile()]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    bool(sandbox.fault()),
    reason="hostile code is not run without bubblewrap")]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """All of them, graded once."""
    folder = tmp_path_factory.mktemp("class")
    submissions = classroom.hand_in(folder / "submissions", CLASS)
    said = []
    with pytest.MonkeyPatch.context() as patch:
        # In the kernels there is none, whatever the grader is told.
        patch.setenv("LABUTILS_DEVICE", "cuda")
        grade_class(submissions, folder / "out", SETTINGS, processes=2,
                    say=said.append)
    assert any(line.startswith(f"{len(CLASS)}/{len(CLASS)}  ")
               for line in said)
    return folder / "out"


def test_everybody_has_a_row(out):
    assert set(rows(out)) == {s.name[:8] for s in CLASS}


@pytest.mark.parametrize("student", CLASS, ids=lambda s: s.name[9:-4])
def test_the_score_is_right(out, student):
    path = out / "graded" / student.name[:8] / f"{classroom.NOTEBOOK}.json"
    points = {v.exercise: v.points for v in Graded.load(path).verdicts}
    assert points == student.points


def errors(out: Path, kind: str) -> dict[str, str]:
    """The errors of a student's own cells, by the cells' sources."""
    [student] = [s for s in CLASS if f"-{kind}-" in s.name]
    path = out / "graded" / student.name[:8] / f"{classroom.NOTEBOOK}.ipynb"
    return {
        cell.source: output.ename
        for cell in nbformat.read(path, as_version=4).cells
        if cell.id.startswith("after")
        for output in cell.outputs if output.output_type == "error"
    }


def test_what_reaches_out_is_refused_one_by_one(out):
    found = errors(out, "reaching")
    assert found.keys() == set(classroom.REACHING.values())
    # Nobody listens there, or nothing can be written to.
    assert set(found.values()) <= {
        "ConnectionRefusedError", "OSError", "PermissionError"}
    assert list(errors(out, "weighing").values()) == [
        "MemoryError", "KeyboardInterrupt"]


def test_nobody_has_seen_another_submission_or_a_solution(out):
    [own] = [s.name[:8] for s in CLASS if "owl" in "".join(s.before)]
    texts = {
        path: path.read_text(encoding="utf-8", errors="replace")
        for path in out.rglob("*") if path.is_file() and own not in path.parts
    }
    assert not [
        path for path, text in texts.items() if f"'{classroom.SECRET}" in text]
    [reader] = (path for path, text in texts.items()
                if "[] notebooks of the course: 0" in text)
    assert reader.parent.name == "20230200"


def test_the_table_opens_in_a_spreadsheet(out):
    data = (out / "grades.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    table = rows(out)
    assert "李雷" in table["20230001"]["name"]
    for row in table.values():
        assert not [v for v in row.values() if v[:1] in "=+-@\t" and v]


def test_everybody_is_answered_in_their_own_language(out):
    for student in CLASS:
        page = (out / "feedback" / student.name[:8]
                / f"{classroom.NOTEBOOK}.html").read_text(encoding="utf-8")
        assert ('<html lang="zh-CN">' in page) == student.chinese
        assert ("计分的是：第" in page) == student.chinese
        assert not student.chinese or "What counted" not in page


def test_a_second_run_does_nothing_again(out):
    before = {p: p.stat().st_mtime_ns for p in out.glob("graded/*/*.json")}
    table = (out / "grades.csv").read_bytes()
    said = []
    grade_class(out.parent / "submissions", out, SETTINGS, say=said.append)
    count = len(CLASS)
    # Above it stands that the text is missing, where it is.
    assert [line for line in said if not line.startswith("LOOK")] == [
        f"{count} of {count} notebooks are graded already."]
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert (out / "grades.csv").read_bytes() == table
