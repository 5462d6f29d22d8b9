"""A whole class, graded: attacks contained, every other score right."""

from pathlib import Path

import classroom
import pytest
from classroom import SETTINGS, rows

from labstaff.grading import sandbox
from labstaff.grading.classroom import grade_class
from labstaff.grading.results import Graded

# A line of the first hidden test; nbgrader's own examples lie about.
HIDDEN = "labutils.tokenize(lines, kind)"
pytestmark = pytest.mark.skipif(
    sandbox.bubblewrap() is None,
    reason="hostile code is not run without bubblewrap")


def points(out: Path, student: str) -> dict[str, float]:
    [path] = (out / "graded").glob(f"{student}*/{classroom.NOTEBOOK}.json")
    return {v.exercise: v.points for v in Graded.load(path).verdicts}


def test_the_hidden_tests_are_still_so_worded():
    assert HIDDEN in "".join(c.source for c in classroom.source().cells)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Forty students, graded once."""
    folder = tmp_path_factory.mktemp("class")
    students = [*classroom.honest(), *classroom.hostile()]
    submissions = classroom.hand_in(folder / "submissions", students)
    said = []
    grade_class(submissions, folder / "out", SETTINGS, processes=2,
                say=said.append)
    return students, folder / "out", said


def test_everybody_has_a_row(whole):
    students, out, said = whole
    assert len(students) == 40
    assert set(rows(out)) == {s.name[:8] for s in students}
    assert any(line.startswith("40/40  ") for line in said)


@pytest.mark.parametrize(
    "student", [*classroom.honest(), *classroom.hostile()],
    ids=lambda student: student.name[9:-4])
def test_the_score_is_right(whole, student):
    assert points(whole[1], student.name[:8]) == student.points


def test_nobody_has_seen_another_submission(whole):
    students, out, _ = whole
    [own] = [s.name[:8] for s in students if classroom.SECRET in s.before]
    for path in out.rglob("*"):
        if path.is_file() and own not in path.parts:
            text = path.read_text(encoding="utf-8", errors="replace")
            assert f"'{classroom.SECRET}" not in text, path
            assert HIDDEN not in text, path


def test_the_table_opens_in_a_spreadsheet(whole):
    data = (whole[1] / "grades.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    table = rows(whole[1])
    assert "李雷" in table["20230001"]["name"]
    for row in table.values():
        assert not [v for v in row.values() if v[:1] in "=+-@\t" and v]


def test_a_second_run_does_nothing_again(whole):
    _, out, _ = whole
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.json")
              if p.parent.parent.name == "graded"}
    table = (out / "grades.csv").read_bytes()
    said = []
    grade_class(out.parent / "submissions", out, SETTINGS, say=said.append)
    assert said[0] == "40 of 40 notebooks are graded already."
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert (out / "grades.csv").read_bytes() == table
