"""Notebooks brought back to the last commit, and nothing lost by it."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from support import names

from labkit import reset as resets
from labkit.__main__ import main
from labkit.course import NotebookError, notebook_paths
from labkit.reset import reset
from labstaff.publish import release
from labutils import settings

GIT = shutil.which("git")
pytestmark = pytest.mark.skipif(GIT is None, reason="needs git")
THREE = ("01_one.ipynb", "02_two.ipynb", "03_three.ipynb")
KEPT = r"-kept-\d{4}-\d\d-\d\d-\d{6}"


def git(folder, *arguments):
    subprocess.run(
        [GIT, "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@b",
         *arguments], check=True, capture_output=True,
    )


def commit(folder):
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "The course")


@pytest.fixture
def course(monkeypatch, tmp_path):
    """A course of three notebooks, committed."""
    # A repository of whoever runs the tests is none of our business.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    folder = tmp_path / "course" / "notebooks"
    folder.mkdir(parents=True)
    for name in THREE:
        (folder / name).write_text(f"{name} as committed\n", encoding="utf-8")
    commit(folder.parent)
    monkeypatch.setattr(settings, "home", lambda: folder.parent)
    return folder


def text(path):
    return path.read_text(encoding="utf-8")


def committed(folder, name):
    return text(folder / name) == f"{name} as committed\n"


def kept(folder, stem):
    """What was kept of a notebook."""
    return [
        path for path in sorted(folder.iterdir())
        if re.fullmatch(rf"{stem}{KEPT}(-\d+)?\.ipynb", path.name)
    ]


def test_a_changed_notebook_comes_back_and_is_kept(course):
    path = course / THREE[2]
    path.write_bytes(b"my work\r\n\xff")
    [line] = reset(["03"])
    assert committed(course, THREE[2])
    [copy] = kept(course, "03_three")
    assert copy.read_bytes() == b"my work\r\n\xff"
    assert line == (
        f"03_three.ipynb: as committed again; what was there is in {copy.name}"
    )
    assert len(names(course)) == 4


def test_an_unchanged_notebook_is_left_alone(course):
    path = course / THREE[0]
    os.utime(path, (1, 1))
    assert reset(["01"]) == ["01_one.ipynb: unchanged, nothing to do"]
    assert path.stat().st_mtime == 1
    assert names(course) == list(THREE)


def test_a_notebook_that_is_gone_comes_back(course):
    (course / THREE[1]).unlink()
    assert reset(["02"]) == [
        "02_two.ipynb: was not there, now as committed"
    ]
    assert committed(course, THREE[1])
    assert names(course) == list(THREE)


def test_other_files_are_never_touched(course):
    others = {
        "03_three-Copy1.ipynb": "a student's copy", "notes.txt": "notes",
        "03_three.py": "a script", "04_own.ipynb": "an own notebook",
    }
    for name, words in others.items():
        (course / name).write_text(words, encoding="utf-8")
    for name in THREE:
        (course / name).write_text("changed", encoding="utf-8")
    reset()
    assert all(text(course / name) == x for name, x in others.items())
    assert all(committed(course, name) for name in THREE)
    assert len(names(course)) == 3 + 4 + 3


def test_only_the_named_are_reset(course):
    for name in THREE:
        (course / name).write_text("changed", encoding="utf-8")
    lines = reset(["01", "notebooks/03_three.ipynb"])
    assert [line.partition(":")[0] for line in lines] == [THREE[0], THREE[2]]
    assert text(course / THREE[1]) == "changed"
    assert not kept(course, "02_two")


def test_a_name_is_that_of_all_languages_and_a_path_of_one(course):
    chinese = course / "zh"
    chinese.mkdir()
    for name in THREE:
        shutil.copy(course / name, chinese)
    git(course, "add", ".")
    git(course, "commit", "-qm", "In Chinese")
    for folder in (course, chinese):
        (folder / THREE[1]).write_text("mine", encoding="utf-8")
    reset(["zh/02"])
    assert text(course / THREE[1]) == "mine"
    assert committed(chinese, THREE[1]) and kept(chinese, "02_two")
    (chinese / THREE[1]).write_text("mine again", encoding="utf-8")
    assert len(reset(["02"])) == 2 and len(reset()) == 6
    assert committed(course, THREE[1]) and committed(chinese, THREE[1])


def test_a_copy_that_a_student_has_committed_is_still_a_copy(course):
    copy = course / "03_three-Copy1.ipynb"
    copy.write_text("first", encoding="utf-8")
    commit(course.parent)
    copy.write_text("second", encoding="utf-8")
    assert len(reset(["03"])) == 1
    assert len(reset()) == 3
    assert text(copy) == "second"


def test_every_reset_keeps_what_it_found(course, monkeypatch):
    """Two in the same second as well."""
    times = iter([0, 0, 1, 1, 1, 2])
    monkeypatch.setattr(
        resets.time, "strftime", lambda form: f"2026-11-25-12000{next(times)}"
    )
    for words in ("one", "two", "three"):
        (course / THREE[0]).write_text(words, encoding="utf-8")
        reset(["01"])
    found = kept(course, "01_one")
    assert sorted(map(text, found)) == ["one", "three", "two"]


def test_what_cannot_be_kept_is_not_replaced(course, monkeypatch):
    path = course / THREE[0]
    path.write_text("my work", encoding="utf-8")

    def full(target, data):
        raise OSError("disk full")

    monkeypatch.setattr(resets, "write_atomically", full)
    with pytest.raises(OSError, match="disk full"):
        reset(["01"])
    assert text(path) == "my work"


def test_what_is_staged_or_committed_later(course):
    """HEAD counts, not what is staged; and a later commit does."""
    path = course / THREE[0]
    path.write_text("staged", encoding="utf-8")
    git(course, "add", ".")
    reset(["01"])
    assert committed(course, THREE[0])
    path.write_text("newer", encoding="utf-8")
    git(course, "commit", "-qam", "Newer")
    path.write_text("changed", encoding="utf-8")
    reset(["01"])
    assert text(path) == "newer"


def test_a_course_in_a_folder_of_a_larger_repository(course):
    shutil.rmtree(course.parent / ".git")
    commit(course.parents[1])
    (course / THREE[0]).write_text("changed", encoding="utf-8")
    reset(["01"])
    assert committed(course, THREE[0])


def refused(call, *words):
    with pytest.raises(NotebookError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in words:
        assert part in message


def test_a_notebook_that_is_not_committed(course):
    path = course / "04_own.ipynb"
    path.write_text("an own notebook", encoding="utf-8")
    (course / THREE[0]).write_text("changed", encoding="utf-8")
    refused(
        lambda: reset(["01", "04"]), "'04'", "01_one, 02_two, 03_three."
    )
    # Nothing at all was done.
    assert text(course / THREE[0]) == "changed"
    refused(lambda: reset([""]), "No notebook ''")


def test_without_a_repository(course):
    shutil.rmtree(course.parent / ".git")
    refused(lambda: reset(["01"]), "not a git repository", "git clone")


def test_without_a_commit(course):
    shutil.rmtree(course.parent / ".git")
    git(course.parent, "init", "-q")
    refused(lambda: reset(["01"]), "finds no commit", "git clone")


def test_without_git(course, monkeypatch):
    monkeypatch.setattr(resets.shutil, "which", lambda name: None)
    refused(lambda: reset(["01"]), "git is not installed", "Install git")


def test_without_the_courses_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "home", lambda: tmp_path)
    refused(lambda: reset(["01"]), f"no {tmp_path / 'notebooks'}")


# ---- the command


@pytest.mark.parametrize("arguments", [[], ["01", "--all"]])
def test_either_names_or_all(course, capsys, arguments):
    assert main(["reset", *arguments]) == 1
    assert capsys.readouterr().err == (
        "labutils: name the notebooks to reset, such as 03, or say --all, "
        "and not both.\n"
    )


def test_the_command_says_what_it_did(course, capsys):
    assert main(["reset", "--all"]) == 0
    assert "Reload" not in capsys.readouterr().out
    (course / THREE[0]).write_text("changed", encoding="utf-8")
    assert main(["reset", "--all"]) == 0
    first, second, third, hint = capsys.readouterr().out.splitlines()
    assert "01_one" in first and "kept" in first
    assert second.endswith("nothing to do") and third.endswith("nothing to do")
    assert "Reload Notebook from Disk" in hint


@pytest.mark.slow
def test_in_a_students_clone(tmp_path):
    """The real student edition, cloned, in a process of its own."""
    released, clone = tmp_path / "released", tmp_path / "clone"
    release.release(released)
    commit(released)
    git(tmp_path, "clone", "-q", str(released), str(clone))
    path = clone / "notebooks" / "03_rnn_from_scratch.ipynb"
    before = path.read_bytes()
    path.write_text("broken", encoding="utf-8")
    # From the clone, where -m finds its package.
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "reset", "03"], cwd=clone,
        env=os.environ | {"PYTHONPATH": str(clone)}, capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes() == before
    [copy] = kept(path.parent, path.stem)
    assert text(copy) == "broken" and copy.name in done.stdout
    # Nor will it be committed by mistake.
    status = subprocess.run(
        [GIT, "-C", str(clone), "status", "--porcelain"], check=True,
        capture_output=True, text=True,
    )
    assert status.stdout == ""


# ---- what counts as one of the course's notebooks


def test_what_was_kept_is_not_run_and_not_released(course):
    (course / THREE[0]).write_text("changed", encoding="utf-8")
    reset()
    assert [path.name for path in notebook_paths()] == list(THREE)
    assert notebook_paths(["01"]) == [course / THREE[0]]
