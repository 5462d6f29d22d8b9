"""Submissions as they really arrive, read and copied or refused."""

import hashlib
import io
import json
import multiprocessing
import os
import pickle
import random
import zipfile
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath

import classroom
import fuzz
import lesson
import nbformat
import pytest
from classroom import COURSE as ASKED
from hypothesis import HealthCheck, given
from hypothesis import settings as runs
from hypothesis import strategies as st

from labkit.course import NotebookError
from labstaff.grading import archives, intake, matching
from labstaff.grading.classroom import _told
from labstaff.grading.results import Graded, GradeError, Status

COURSE = [notebook.stem for notebook in ASKED]
NAME = classroom.NOTEBOOK
BOOK = nbformat.writes(classroom.Editions().released["en"]).encode("utf-8")


def found(folder, roster=None):
    return intake.find(folder, ASKED, roster)[0]


def one(folder):
    [student] = found(folder)
    return student


def zipped(*members, times=()):
    """A zip file of (name, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(members):
            when = times[number] if times else (2026, 1, 1, 0, 0, 0)
            info = zipfile.ZipInfo(name, when)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_folder_for_each_student(tmp_path):
    for name in ("20231234-李雷-Lab-4", "20231235-Ada Lovelace-Lab-4"):
        write(tmp_path / "in" / name / "deep" / f"{NAME}.ipynb", BOOK)
    students = found(tmp_path / "in")
    assert [(s.key, s.name) for s in students] == [
        ("20231234", "20231234 李雷"), ("20231235", "20231235 Ada Lovelace")]
    assert all(set(s.files) == {NAME} for s in students)


def test_a_zip_file_for_each_student(tmp_path):
    write(tmp_path / "in" / "20231234-李雷-Lab-4.zip",
          zipped((f"作业/{NAME}.ipynb", BOOK), ("notes.txt", b"x")))
    student = one(tmp_path / "in")
    assert (student.key, student.name) == ("20231234", "20231234 李雷")
    assert student.files[NAME].digest == hashlib.sha256(BOOK).hexdigest()


def test_names_in_gbk():
    def read(*names, encoding):
        infos = [zipfile.ZipInfo(name.encode(encoding).decode("cp437"))
                 for name in names]
        return archives.readable_names(infos)

    for names in (["李雷.ipynb"], ["李雷/毛毛.ipynb"], ["袁泉.zip"], [],
                  ["毛毛.zip", "a.zip", "李雷.zip"]):  # 毛毛 could be "ëë"
        for encoding in ("gbk", "utf-8"):
            assert read(*names, encoding=encoding) == names
    for name in ("René.zip", "Rene\u0301.zip"):
        assert read(name, encoding="utf-8") == [name]
    mixed = [*map(zipfile.ZipInfo, (
        "李雷.zip".encode("gbk").decode("cp437"),
        "韩梅梅.zip".encode().decode("cp437"), "é.zip"))]
    mixed[2].flag_bits = archives.UTF8_NAMES
    assert archives.readable_names(mixed) == [
        "李雷.zip", "韩梅梅.zip", "é.zip"]


def test_one_zip_file_of_all(tmp_path):
    inner = zipped((f"{NAME}.ipynb", BOOK))
    path = write(tmp_path / "class.zip", zipped(
        ("20230001-A/x.ipynb", BOOK), ("20230002-B.zip", inner)))
    assert [s.key for s in found(path)] == ["20230001", "20230002"]


def test_loose_notebooks_of_one_student_come_together(tmp_path):
    write(tmp_path / "in" / f"20230001-A-Lab-{NAME}.ipynb", BOOK)
    write(tmp_path / "in" / "20230001-A-Lab.zip", zipped(("y.ipynb", BOOK)))
    student = one(tmp_path / "in")
    assert "2 versions, all equal" in student.chosen[NAME]


def test_all_that_begins_with_a_number_is_one_students(tmp_path):
    other = COURSE[1]
    for name in (f"20230001_{NAME}.ipynb", f"20230001_{other}.ipynb",
                 f"20230001-A/{NAME}.ipynb"):
        write(tmp_path / "in" / name, BOOK)
    student = one(tmp_path / "in")
    assert (student.key, student.name) == ("20230001", "20230001 A")


def unmatched(function, *on):
    """As where a notebook takes too much to be matched."""
    if function is intake._written:
        raise MemoryError
    return function(*on)


@pytest.mark.parametrize("call", [lambda function, *on: function(*on),
                                  unmatched])
def test_the_newest_version_counts(tmp_path, call):
    new = BOOK.replace(b"checks.tokenize", b"checks.tokenize ")
    write(tmp_path / "in" / "20230001-A.zip", zipped(
        (f"copy/{NAME} (1).ipynb", BOOK), (f"{NAME}.ipynb", new),
        times=[(2026, 5, 1, 23, 1, 0), (2026, 5, 2, 1, 1, 0)]))
    [student], _ = intake.find(tmp_path / "in", ASKED, call=call)
    assert student.files[NAME].digest == hashlib.sha256(new).hexdigest()
    assert any(f"{NAME}.ipynb, the newest, counts" in n
               for n in student.notes)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_worked_in_counts_and_not_what_came_along(tmp_path, language):
    """Nothing was run, and dates say nothing, or the wrong thing."""
    books = classroom.Editions().released
    stubs = [(f"{name}/{NAME}.ipynb", nbformat.writes(book).encode())
             for name, book in books.items()]
    book = books[language]
    place = next(i for i, cell in enumerate(book.cells)
                 if lesson.meta(cell).get("grade_id") == "tokenize")
    book.cells.insert(place + 1, classroom.own(
        "def tokenize(lines):\n    return 7", "own"))
    work = nbformat.writes(book).encode()
    extra = "extra_backward_by_hand.ipynb", BOOK.replace(b"nb01", b"x")
    members = [*stubs, (f"mine/{NAME}.ipynb", work), extra]
    for days in (1, 1, 1, 1), (3, 2, 1, 1):
        write(tmp_path / "in" / "20231234.zip", zipped(
            *members, times=[(2026, 5, day, 0, 0, 0) for day in days]))
        [student], said = intake.find(tmp_path / "in", ASKED)
        assert student.files[NAME].path.endswith(f"mine/{NAME}.ipynb")
        assert not said and not student.notes
    # Two that differ are looked at only where they are graded, and untouched
    # ones nowhere.
    other = work.replace(b"return 7", b"return 8")
    for rest, asked, doubts in (
            ([("a.ipynb", other)], ASKED, 1), ([("a.ipynb", other)], [], 0)):
        write(tmp_path / "in" / "20231234.zip", zipped(*members, *rest))
        assert len(intake.find(tmp_path / "in", asked)[1]) == doubts
    write(tmp_path / "in" / "20231234.zip", zipped(*stubs))
    assert intake.find(tmp_path / "in", ASKED)[1] == []


def test_what_was_uploaded_late_and_saved_before_has_a_note(tmp_path):
    """By the platform's date, which only an archive of the class keeps."""
    inner = zipped((f"{NAME}.ipynb", BOOK), times=[(2026, 5, 1, 0, 0, 0)])
    whole = zipped(("20230001-A.zip", inner), ("20230002-B.zip", inner),
                   times=[(2026, 5, 3, 0, 0, 0), (2026, 5, 2, 0, 0, 0)])
    path = write(tmp_path / "in" / "all.zip", whole)
    students = found(path)
    [book] = [notebook for notebook in ASKED if notebook.stem == NAME]
    graded = [Graded.without_points(
        s.key, book, Status.NOT_ATTEMPTED, "", "graded") for s in students]
    late, early = _told(graded, students, datetime(2026, 5, 2, 12))
    assert not late.late and not early.late
    assert "by the platform's date" in " ".join(late.doubts)
    assert not early.notes
    late, _ = _told(graded, students, datetime(2026, 4, 30))
    assert late.late == "24.0 hours" and not late.notes
    # What lies on the disk has the date of the download, perhaps.
    write(tmp_path / "disk" / "20230001-A.zip", inner)
    assert not _told(graded[:1], found(tmp_path / "disk"),
                     datetime(2026, 5, 2, 12))[0].notes


def test_a_renamed_notebook_is_known_by_its_cells(tmp_path):
    write(tmp_path / "in" / "20230001-A" / "final FINAL.ipynb", BOOK)
    student = one(tmp_path / "in")
    assert set(student.files) == {NAME}
    assert f"{NAME}: handed in as final FINAL.ipynb." in student.notes


def test_times_in_a_zip_file_and_in_a_folder_compare(tmp_path):
    folder = tmp_path / "in" / "20230001-A"
    path = write(folder / f"{NAME}.ipynb", BOOK)
    old, new = (datetime(year, 1, 2).timestamp() for year in (2020, 2030))
    for when, newest in ((old, "late.ipynb"), (new, path.name)):
        os.utime(path, (when, when))
        write(folder / "all.zip", zipped(
            ("late.ipynb", BOOK), times=[(2026, 1, 1, 0, 0, 0)]))
        assert PurePosixPath(
            one(tmp_path / "in").files[NAME].path).name == newest


def test_a_renamed_notebook_without_ids_is_known_by_its_title(tmp_path):
    book = json.loads(BOOK)  # where sources are lists of lines
    for cell in book["cells"]:
        del cell["id"]
    write(tmp_path / "in" / "20230001-A" / "final.ipynb",
          json.dumps(book).encode())
    assert set(one(tmp_path / "in").files) == {NAME}


def test_what_nobody_meant_is_left_out(tmp_path):
    base = tmp_path / "in" / "20230001-A"
    write(base / f"{NAME}.ipynb", BOOK)
    for name in (".ipynb_checkpoints/x.ipynb", "__MACOSX/x.ipynb",
                 "._x.ipynb", f"results/{NAME}.ipynb", "plot.png"):
        write(base / name, BOOK if "results" in name else b"nothing")
    student = one(tmp_path / "in")
    assert (student.notes, student.refused) == ([], {})


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "the file is empty"),
    (BOOK[:5000], "no JSON: cut off"),
    (b"\xff\xfe\x00", "not in UTF-8"),
    (b"[1, 2]", "it is JSON, and no notebook"),
    (b'{"nbformat": 4, "cells": 7, "metadata": {}}', "it has no cells"),
    (b"[" * 100_000, "no JSON"),
    (b" " * (50 * 2**20), "it has more than 20 MB"),
], ids=range(7))
def test_what_is_no_notebook_is_refused(tmp_path, content, reason):
    path = tmp_path / "in" / "20230001-A" / f"{NAME}.ipynb"
    write(path, content)
    write(tmp_path / "in" / "20230002-B" / f"{NAME}.ipynb", BOOK)
    bad, good = found(tmp_path / "in")
    assert reason in " ".join(bad.refused.values())
    assert not bad.files
    assert set(good.files) == {NAME}


def test_an_older_format(tmp_path):
    old = nbformat.convert(nbformat.reads(BOOK.decode(), as_version=4), 3)
    write(tmp_path / "in" / "20230002-B" / f"{NAME}.ipynb",
          json.dumps(old).encode())
    student = one(tmp_path / "in")
    assert set(student.files) == {NAME}
    assert "converted to nbformat 4" in " ".join(student.files[NAME].notes)


@pytest.mark.parametrize(("members", "reason"), [
    ([("../../out.ipynb", BOOK)], "climbs out"),
    ([("/etc/out.ipynb", BOOK)], "climbs out"),
    ([("C:\\out.ipynb", BOOK)], "climbs out"),
    ([("..\\out.ipynb", BOOK)], "climbs out"),
    ([("big.ipynb", b" " * (30 * 2**20))], "it has more than 20 MB"),
    ([("a.zip", zipped(("b.zip", zipped(("c.ipynb", BOOK)))))],
     "an archive in an archive in an archive"),
], ids=range(6))
def test_a_hostile_zip_file(tmp_path, members, reason):
    write(tmp_path / "in" / "20230001-A.zip", zipped(*members))
    student = one(tmp_path / "in")
    assert reason in " ".join(student.refused.values())
    assert not student.files
    assert not list(tmp_path.rglob("out.ipynb"))


@pytest.mark.parametrize(("limit", "most", "members"), [
    ("MOST_FILES", 8, [(f"{i}.txt", b"x") for i in range(9)]),
    ("MOST_BYTES", 10**6, [
        (f"{i}.zip", zipped(("x.ipynb", b" " * 6 * 10**5)))
        for i in range(2)]),
])
def test_a_zip_bomb(tmp_path, monkeypatch, limit, most, members):
    monkeypatch.setattr(archives, limit, most)
    write(tmp_path / "in" / "20230001-A.zip", zipped(*members))
    student = one(tmp_path / "in")
    assert "zip bomb" in " ".join(student.refused.values())


def test_links_and_pipes(tmp_path):
    folder = tmp_path / "in" / "20230001-A"
    folder.mkdir(parents=True)
    secret = write(tmp_path / "secret.ipynb", BOOK)
    (folder / "link.ipynb").symlink_to(secret)
    (tmp_path / "in" / "20230002-B").symlink_to(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.ipynb")
    for student in found(tmp_path / "in"):
        assert not student.files
        assert student.refused


def test_nothing_there(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(GradeError, match="holds no folder"):
        found(tmp_path / "in")
    with pytest.raises(GradeError, match="There is no"):
        found(tmp_path / "nowhere")
    path = write(tmp_path / "x.zip", b"no zip")
    with pytest.raises(GradeError, match="no zip file that can be read"):
        found(path)


@given(st.binary(max_size=300), st.sampled_from(["ipynb", "zip"]))
@runs(max_examples=60,
      suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, suffix):
    tmp_path = tmp_path_factory.mktemp("bytes")
    start = b"PK\x03\x04" if suffix == "zip" else b'{"nbformat": 4,'
    write(tmp_path / "in" / f"20230001-A.{suffix}", start + data)
    assert not one(tmp_path / "in").files


@given(st.text('a1李é -_./\\:*?"<>|\0\n\u0301\u202e', min_size=1, max_size=80))
@runs(max_examples=100)
def test_a_key_is_safe_as_a_folder(name):
    key, _ = intake._student(name)
    assert key and not set(key) & set('/\\:*?"<>|\0\n')
    assert key not in (".", "..") and len(key) <= 70


def test_two_names_that_look_alike_stay_two():
    assert intake._student("a b")[0] != intake._student("a/b")[0]


# ---- whose it is


@pytest.mark.parametrize(("name", "key", "shown"), [
    ("20231006周八Lab4", "20231006", "20231006 周八"),
    ("张三-20230001-作业.zip", "20230001", "20230001 张三"),
    ("U202312345_李雷.7z", "U202312345", "U202312345 李雷"),
    ("Lab4-20230001-Ada.zip", "20230001", "20230001 Ada"),
    ("张三_123456_assignsubmission_file_", "123456", "123456 张三"),
    ("作业_20230001_attempt_2026-11-05-12-30-45_a.zip", "20230001",
     "20230001"),
    ("20261105-20240001-王五", "20240001", "20240001 20261105 王五"),
    ("赵子轩_20231201_第1次提交.zip", "20231201", "20231201 赵子轩"),
    ("20231217+秦可欣+第三次作业.zip", "20231217", "20231217 秦可欣"),
    ("卫一鸣-20231211-RNN从零实现-2026-11-19.zip", "20231211",
     "20231211 卫一鸣"),
    ("韩雪(20231214)附件 (1).zip", "20231214", "20231214 韩雪"),
    ("陈晨的期末大作业.zip", "陈晨", "陈晨"),
    ("第五伦_20261118203011.zip", "第五伦", "第五伦"),
    ("次第一.zip", "次第一", "次第一"),
    ("２０２３０００１李雷", "20230001", "20230001 李雷"),
    (f"20230001_{NAME}.ipynb", "20230001", "20230001"),
])
def test_the_number_stands_anywhere_in_a_name(name, key, shown):
    assert intake._student(name) == (key, shown)


def layout(tmp_path, *names):
    for name in names:
        content = BOOK
        if name.endswith(".zip"):
            content = zipped((f"{NAME}.ipynb", BOOK))
        write(tmp_path / "in" / name, content)
    return tmp_path / "in"


@pytest.mark.parametrize("enclosed", [
    ("Lab4/20230001-A.zip", "Lab4/20230002-B.zip"),
    ("20261105-class/20230001-A/x.ipynb", "20261105-class/20230002-B/x.ipynb"),
    ("class 1/20230001-A.zip", "class 1/20230003-C.zip",
     "class 2/20230002-B.zip", "class 2/20230004-D.zip"),
    ("Lab4/张三/x.ipynb", "Lab4/李四/y.ipynb"),
])
def test_folders_of_a_class_are_looked_into(tmp_path, enclosed):
    place = layout(tmp_path, *enclosed)
    students = found(place)
    assert len(students) == len(enclosed)
    assert all(set(s.files) == {NAME} for s in students)
    # And the same as a zip file with a root folder, also in a folder.
    inside = [(path.relative_to(place).as_posix(), path.read_bytes())
              for path in place.rglob("*.*")]
    whole = write(tmp_path / "one" / "class.zip", zipped(*inside))
    for form in (whole, whole.parent):
        assert [(s.key, set(s.files)) for s in found(form)] == [
            (s.key, {NAME}) for s in students]


def test_a_student_alone_is_no_class(tmp_path):
    place = layout(tmp_path, f"张三/notebooks/{NAME}.ipynb",
                   "张三/results/x.ipynb")
    assert [s.name for s in found(place)] == ["张三"]


def test_papers_with_dates_in_their_names_make_no_class(tmp_path):
    place = layout(tmp_path, f"张三/{NAME}.ipynb", "张三/截图_20261118.png",
                   "张三/截图_20261119.png", "李四.zip")
    assert [s.name for s in found(place)] == ["张三", "李四"]


def test_two_students_with_one_number_stay_two(tmp_path):
    place = layout(tmp_path, "20230001-李雷.zip", "20230001-李雷 (1).zip",
                   "20230001-韩梅梅.zip", "20230002-Li Lei.zip",
                   "20230002-李雷.zip")
    students = found(place)
    assert [s.name for s in students] == [
        "20230001 李雷", "20230001 韩梅梅", "20230002 李雷"]
    assert all(s.files for s in students)
    assert "another name has the number" in students[1].doubts[0]
    roster = write(place / "roster.csv",
                   "学号,姓名\n20230001,李雷\n20230003,韩梅梅\n"
                   "20230009,王五\n".encode("gbk"))
    students, said = intake.find(place, ASKED, roster)
    assert not any("roster.csv" in line for line in said)
    assert [(s.name, len(s.files)) for s in students] == [
        ("20230001 李雷", 1), ("20230003 韩梅梅", 1), ("20230009 王五", 0),
        ("20230002 Li Lei", 1)]
    assert "by the name" in students[1].doubts[0]
    assert "not on the roster" in students[3].doubts[0]


def test_a_roster_that_holds_nothing(tmp_path):
    with pytest.raises(GradeError, match="no line with a number and a name"):
        intake.read_roster(write(tmp_path / "r.csv", b"name\nA\n"))
    with pytest.raises(GradeError, match="cannot be read"):
        intake.read_roster(tmp_path / "none.csv")


@pytest.mark.skipif(os.name != "posix", reason="names there are Unicode")
def test_a_name_in_gbk_on_the_disk(tmp_path):
    name = os.fsdecode("20230001-李雷".encode("gbk"))
    try:
        write(tmp_path / "in" / name / f"{NAME}.ipynb", BOOK)
    except OSError:
        pytest.skip("this file system has Unicode names alone")
    student = one(tmp_path / "in")
    assert student.name == "20230001 李雷" and set(student.files) == {NAME}
    assert student.chosen[NAME].startswith("20230001-李雷/")


def test_the_file_that_was_handed_in_last_counts(tmp_path):
    """Whatever its shown name, and whether it is loose or in an archive."""
    new = BOOK.replace(b"checks.tokenize", b"checks.tokenize ")
    old, last = (datetime(2026, 5, day).timestamp() for day in (1, 2))
    for later, loose in ((True, False), (False, True)):
        zip_ = write(tmp_path / "in" / "20230001-A.zip", zipped(
            (f"{NAME}.ipynb", new if later else BOOK)))
        file = write(tmp_path / "in" / "20230001-Z.ipynb",
                     new if loose else BOOK)
        file = file.rename(file.with_name("20230001-A-final.ipynb"))
        os.utime(zip_, (last, last) if later else (old, old))
        os.utime(file, (last, last) if loose else (old, old))
        student = one(tmp_path / "in")
        assert student.files[NAME].digest == hashlib.sha256(new).hexdigest()
        assert "the newest of 2 versions, 2026-05-02" in student.chosen[NAME]
        assert not student.doubts
        os.utime(zip_, (old, old))
        os.utime(file, (old, old))


# ---- nothing vanishes


@pytest.mark.parametrize("kind", ["7z", "tar", "tar.gz", "rar"])
def test_other_archives_are_opened(tmp_path, kind):
    content = fuzz.archive(f"{NAME}.ipynb", BOOK,
                           "zip" if kind == "rar" else kind)
    write(tmp_path / "in" / f"20230001-A.{kind}", content)
    assert set(one(tmp_path / "in").files) == {NAME}


def test_what_the_platform_puts_beside_the_hand_ins_is_no_student(tmp_path):
    names = ("list.csv", "成绩单_20261121.xlsx", "readme.txt")
    place = layout(tmp_path, "张三.zip", "李四.py", "王五.html", "赵六.rar",
                   "钱七.ipynb.txt", "20230001-孙八.docx", *names)
    students, said = intake.find(place, ASKED)
    assert sorted(s.name for s in students) == sorted([
        "张三", "李四.py", "王五.html", "赵六", "钱七", "20230001 孙八.docx"])
    assert all(s.files or s.why_not(NAME) for s in students)
    assert said == ["list.csv, readme.txt, 成绩单_20261121.xlsx: left out, as "
                    "no student's. If one is, put the number into its name."]
    # The roster knows one; and beside a list stands the archive of a class.
    place = tmp_path / "other"
    write(place / "李四.pdf", b"x")
    for name in names:
        write(place / name, b"x")
    write(place / "all.zip", zipped(*(
        (f"{name}/x.ipynb", BOOK) for name in ("张三", "王五"))))
    roster = write(tmp_path / "r.csv", b"20230004,\xc0\xee\xcb\xc4\n")
    assert [s.name for s in found(place, roster)] == [
        "20230004 李四", "张三", "王五"]


@pytest.mark.parametrize(("members", "held"), [
    ([], "it holds no file"),
    ([("__MACOSX/._x.ipynb", b"x"), (".DS_Store", b"x")],
     "it holds ._x.ipynb, .DS_Store"),
    ([(".ipynb_checkpoints/x.ipynb", BOOK)], "it holds x.ipynb"),
    ([("a.zip", zipped())], "a.zip: no notebook is in it; it holds no file"),
])
def test_an_archive_without_a_notebook_is_refused(tmp_path, members, held):
    write(tmp_path / "in" / "20230001-A.zip", zipped(*members))
    whole = zipped(("20230001-A.zip", zipped(*members)),
                   ("20230002-B.zip", zipped()))
    for place in (tmp_path / "in", write(tmp_path / "all.zip", whole)):
        student = found(place)[0]
        assert held in student.why_not(NAME)


@pytest.mark.parametrize(("name", "content", "reason"), [
    ("A.rar", b"Rar!\x1a\x07", "RAR archive"),
    ("A.py", b"x = 1", "no notebook, but a .py file"),
    ("A.html", b"<p>", "no notebook, but a .html file"),
    ("A.ipynb", b'{"nbformat": 4, "cells": []}', "not recognised"),
    ("A/essay.docx", b"x", "no notebook, but a .docx file"),
    ("A.zip", b"PK\x03\x04 no zip", "no archive that can be read"),
    ("A/deep.zip", b"", "no archive that can be read"),
])
def test_what_cannot_be_taken_is_refused_and_named(
    tmp_path, name, content, reason
):
    write(tmp_path / "in" / f"20230001-{name}", content)
    student = one(tmp_path / "in")
    for stem in COURSE:
        assert reason in student.why_not(stem), student
        assert PurePosixPath(name).name in student.why_not(stem)


def test_nothing_at_all_is_missing_and_not_refused(tmp_path):
    (tmp_path / "in" / "20230001-A").mkdir(parents=True)
    assert not one(tmp_path / "in").why_not(NAME)


@pytest.mark.slow
def test_what_takes_too_much_is_refused_alone(monkeypatch):
    monkeypatch.setattr(archives, "SECONDS", 2)
    reader = partial(archives.limited, multiprocessing.get_context("spawn"))
    with pytest.raises(NotebookError, match="more than 2 s"):
        reader(exec, "while True:\n    pass")
    with pytest.raises(MemoryError):
        reader(bytearray, 2 * archives.MEMORY)
    assert reader(len, "abc") == 3


# ---- many spoilt ones

# FUZZ=2000 pytest ... tries more of them, and SEED others.
NUMBER = int(os.environ.get("FUZZ", "200"))
SEED = int(os.environ.get("SEED", "1"))


def test_no_spoilt_file_costs_anybody_else_anything(tmp_path):
    dice, readable = random.Random(SEED), set()
    book = json.loads(BOOK)
    del book["cells"][15:]  # of all it would take three times as long
    write(tmp_path / "in" / f"10000000-{NAME}.ipynb", BOOK)
    for number in range(10_000_001, 10_000_001 + NUMBER):
        ending, content, good = fuzz.hand_in(book, f"{NAME}.ipynb", dice)
        write(tmp_path / "in" / f"{number}-{NAME}.{ending}", content)
        readable |= {f"{number}"} if good else set()
    students = found(tmp_path / "in")
    assert len(students) == NUMBER + 1 and not students[0].notes
    assert not readable - {s.key for s in students if s.files}
    course = {notebook.stem: notebook for notebook in ASKED}
    for student in students:
        assert student.files or student.refused
        for stem, file in student.files.items():
            nbformat.validate(file.notebook)
            matched = matching.match(file.notebook, course[stem])
            nbformat.writes(matched.notebook).encode()
            assert {*matched.attempts, *matched.lost} == {
                x.name for x in course[stem].exercises}
            pickle.loads(pickle.dumps(file))
