"""Reports that show everything, run nothing and are the same each time."""

import ast
import csv
import io
import json
import random
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import labkit.__main__
from labstaff.grading import classroom, notebook, pool
from labstaff.grading.intake import Submission
from labstaff.grading.matching import CourseNotebook, Exercise, Matched
from labstaff.grading.pages import WRITTEN, enter, write_reports
from labstaff.grading.results import Graded, Job, Settings, Status, Verdict
from labstaff.grading.similarity import fingerprints, groups
from labutils.files import translated

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
COURSE = [
    CourseNotebook("01_words", {"en": "1. Words", "zh": "1. 词"}, (
        Exercise("tokenize", 2, False, "def tokenize(): pass"),
        Exercise("why", 4, True, "YOUR ANSWER HERE"))),
    CourseNotebook("02_rows", {"en": "2. Rows"}, (
        Exercise("rows", 3, False, ""),)),
]
WARNINGS = ["20230002: two names"]
NAMES = {"20230001": "20230001 李雷", "20230002": f"=1+1 {HOSTILE}",
         "20230003": "Nobody"}


def graded():
    """Three students: right, wrong and hostile, and one with nothing."""
    right = Verdict("tokenize", Status.PASSED, 2, 2, "Fine.", seed=5)
    words = Verdict("why", Status.WRITTEN, 0, 4, "To be read.")
    wrong = Verdict("tokenize", Status.FAILED, 0, 2, "Not right.", HOSTILE,
                    HOSTILE, "2", "the slip of the day", "line 3",
                    cell="cell 14, as it stands before cell 16")
    lost = Verdict("rows", Status.KERNEL_DIED, 0, 3, "The kernel died.")
    rows = Verdict("rows", Status.PASSED, 3, 3, "Fine.")
    none = Verdict("rows", Status.NOT_ATTEMPTED, 0, 3, "Not handed in.")
    return [
        Graded("20230001", "01_words", "d", "graded", [right, words], [], 3,
               "a box", {"tokenize": "def tokenize(): ...", "why": HOSTILE},
               file="a.zip/01.ipynb (the newest of 2 versions)"),
        Graded("20230001", "02_rows", "d", "graded", [rows], [], 4, "a box",
               late="3 hours"),
        Graded("20230002", "01_words", "d", "graded", [wrong, words],
               [HOSTILE], 9, "none", {"tokenize": HOSTILE, "why": "x"}),
        Graded("20230002", "02_rows", "d", "graded", [lost],
               ["The run ended early: the kernel died."], 60, "a box"),
        Graded("20230003", "01_words", "", "missing", []),
        Graded("20230003", "02_rows", "", "refused", [none]),
    ]


@pytest.fixture
def out(tmp_path):
    outputs = [
        nbformat.v4.new_output("display_data", {
            "text/html": HOSTILE, "text/plain": "plain " + HOSTILE,
            "application/javascript": "alert(3)"}),
        nbformat.v4.new_output("display_data", {
            "image/png": "aHR0cDovL2V2aWwK", "text/plain": "no picture"}),
        nbformat.v4.new_output("stream", text="line\n" * 500),
    ]
    cell = nbformat.v4.new_code_cell("x", outputs=outputs, metadata={
        "nbgrader": {"grade_id": "tokenize"}})
    path = tmp_path / "graded" / "20230002" / "01_words.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    write_reports(tmp_path, NAMES, graded(), COURSE, WARNINGS)
    return tmp_path


def read(path):
    return path.read_text(encoding="utf-8")


def test_the_table(out):
    data = (out / "grades.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and b"\r\n" in data
    table = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert table == [
        ["key", "name", "01 tokenize (2)", "01 why (4)", "02 rows (3)",
         "total", "possible", "state", "files that count", "Notes"],
        ["20230001", "李雷", "2", "", "3", "5", "9",
         "late: 02 (3 hours); to be read: 1",
         "01: a.zip/01.ipynb (the newest of 2 versions)", ""],
        ["20230002", f"'=1+1 {HOSTILE}", "0", "", "0", "0", "9",
         "kernel died: 02; to be read: 1", "",
         f"{HOSTILE}; The run ended early: the kernel died"],
        ["20230003", "Nobody", "", "", "0", "0", "9",
         "missing: 01; refused: 02", "", ""],
    ]


def test_the_table_is_in_the_graders_language(tmp_path, monkeypatch):
    monkeypatch.setenv("LABUTILS_LANG", "zh")
    results = graded()
    results[2].doubts.append("=1: the number is 李雷's on the roster; taken "
                             "for Nobody's, by the name.")
    names = {"20230003": "20230003 Nobody", "20230002-李": "20230002 李",
             "20230001": "20230001"}
    results = [replace(one, student=key) for one, key in zip(
        results, [key for key in reversed(names) for _ in "12"], strict=True)]
    write_reports(tmp_path, names, results, COURSE, WARNINGS)
    head, *lines = csv.reader((tmp_path / "grades.csv").read_text(
        "utf-8-sig").splitlines())
    assert [*head[:2], *head[5:]] == [
        "学号", "姓名", "总分", "满分", "状态", "计分的文件", "备注"]
    assert [line[0] for line in lines] == [*names]
    assert [line[1] for line in lines] == ["Nobody", "李", ""]
    assert lines[0][7] == "缺少：01; 拒收：02"
    assert lines[1][9].startswith("'=1：名单上这个学号是 李雷 的")
    assert lines[2][7] == "迟交：02（3 小时）; 待批改：1"
    [first, *_] = json.loads(read(tmp_path / "grades.json"))
    assert first["state"] == "missing: 01; refused: 02"


def test_the_same_as_json(out):
    [first, *_] = json.loads(read(out / "grades.json"))
    assert (first["name"], first["total"]) == ("李雷", 5)
    assert first["notebooks"][0]["verdicts"][0]["seed"] == 5


def test_the_order_of_the_results_does_not_matter(out, tmp_path):
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    results = graded()
    random.Random(1).shuffle(results)
    write_reports(out, NAMES, results, COURSE, WARNINGS)
    assert before == {p: p.read_bytes() for p in before}


def test_nothing_of_a_students_is_run_or_loaded(out):
    pages = [*out.glob("*.html"), *out.glob("feedback/*/*.html")]
    assert len(pages) == 7
    for path in pages:
        page = read(path)
        own = re.sub(r'<script nonce="sort">.*?</script>', "", page,
                     flags=re.DOTALL)
        assert "<script" not in own and "<img src=x" not in own
        assert not re.search(r"(src|href)\s*=\s*\"?(https?:|//|javascript)",
                             own)
        assert "default-src 'none'" in page
    assert "aHR0cDovL2V2aWwK" not in read(
        out / "feedback" / "20230002" / "01_words.html")


def test_a_feedback_page(out):
    page = read(out / "feedback" / "20230002" / "01_words.html")
    for words in ("the slip of the day", "cell 14, as it", "line 3",
                  "Cells are counted from 1", "What the cell and its check",
                  "0 of 6 points", "failed",
                  "plain &lt;script", "no picture", "(cut here)",
                  "1 written answer is yet"):
        assert words in page, words


def test_a_page_speaks_the_language_of_the_notebook(tmp_path, monkeypatch):
    results = [replace(one, language="zh") if one.student == "20230002"
               and one.state == "graded" else one for one in graded()]
    write_reports(tmp_path, NAMES, results, COURSE, WARNINGS)
    feedback = tmp_path / "feedback"
    page = read(feedback / "20230002" / "01_words.html")
    for words in ('lang="zh-CN"', "1. 词</h1>", "未通过",
                  "得 0 分，满分 6 分", "不对。",
                  "第 14 个单元格（取第 16 个单元格之前的样子）"):
        assert words in page, words
    assert "points" not in page and "What counted" not in page
    assert "运行提前结束：内核崩溃了。" in read(
        feedback / "20230002" / "02_rows.html")
    for other in ("20230001/01_words", "20230003/02_rows"):
        assert 'lang="en"' in read(feedback / f"{other}.html")
    assert "3 students" in read(tmp_path / "index.html")
    # A notebook that was not handed in has the language of the others.
    results[4] = replace(results[4], language="zh")
    monkeypatch.setenv("LABUTILS_LANG", "zh")
    write_reports(tmp_path, NAMES, results, COURSE, WARNINGS)
    assert 'lang="zh-CN"' in read(feedback / "20230003" / "02_rows.html")
    grader = read(tmp_path / "index.html")
    assert "3 名学生" in grader and "to be read" not in grader


def test_what_is_suspected_is_for_the_grader_alone(tmp_path):
    alone = ("20230003.zip: the number is 韩梅梅's on the roster; taken for "
             "李雷's")
    taken = "tokenize: LOOK AT IT, it is made of labutils.tokenize"
    one = replace(graded()[0], notes=["An old format.", taken])
    student = Submission("20230001", "20230001 李雷", [], [alone], {},
                         {"01_words": "a.zip"}, ["handed in as a.ipynb"])
    told = classroom._told([one], [student], None)
    write_reports(tmp_path, {"20230001": "20230001 李雷"}, told, COURSE[:1],
                  [alone])
    page = read(tmp_path / "feedback" / "20230001" / "01_words.html")
    assert "An old format." in page and "handed in as a.ipynb" in page
    assert "韩梅梅" not in page and "LOOK" not in page
    for name in ("grades.csv", "grades.json"):
        assert alone in read(tmp_path / name)
        assert taken in read(tmp_path / name)
    assert "韩梅梅" in read(tmp_path / "index.html")


@pytest.fixture
def graded_class(tmp_path, monkeypatch):
    """Two who hand in, in a class of three, are graded by nobody."""
    def nobody(job):
        right = Verdict("tokenize", Status.PASSED, 2, 2, "Fine.")
        return Graded(job.student, stem, job.digest, "graded", [right], [
            "tokenize: LOOK AT IT, it is made of labutils.tokenize, which the "
            "course's package holds."]), b""

    stem = "01_text_preprocessing"
    course = CourseNotebook(stem, {"en": "1. Words"}, COURSE[0].exercises[:1])
    for name in ("20230001-李雷", "20230009-韩梅梅"):
        path = tmp_path / "submissions" / name / f"{stem}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(nbformat.v4.new_notebook(), path)
    roster = tmp_path / "roster.csv"
    roster.write_text("20230002,Nobody\n20230001,李雷\n", encoding="utf-8")
    monkeypatch.setattr(classroom, "course", lambda: [course])
    monkeypatch.setattr(classroom, "limited", lambda _, read, *on: read(*on))
    monkeypatch.setattr(pool, "in_process", nobody)

    @contextmanager
    def workers(*_):
        with ThreadPoolExecutor(1) as executor:
            yield executor, 1

    monkeypatch.setattr(pool, "workers", workers)

    def grade(**options):
        said = []
        classroom.grade_class(
            tmp_path / "submissions", tmp_path / "out", Settings(
                sandbox=False), roster=roster, say=said.append, **options)
        return tmp_path / "out", said

    return grade


def test_a_borrowed_solution_is_to_be_looked_at_first(graded_class):
    out, said = graded_class()
    with (out / "grades.csv").open(encoding="utf-8-sig") as file:
        assert [line["key"] for line in csv.DictReader(file)] == [
            "20230002", "20230001", "20230009"]  # as on the roster
    taken = ("20230001 李雷: tokenize: LOOK AT IT, it is made of labutils."
             "tokenize, which the course's package holds.")
    assert f"LOOK: {taken}" in said
    first = read(out / "index.html").partition("<table")[0]
    assert taken.replace("'", "&#39;") in first


# Whatever the course and its grader say, with every kind of word filled in.
SAID = (
    "a.zip: the number is nobody's on the roster; taken for 李雷's, by the "
    "name.", "not quite in the format, mended (its version)",
    "not quite in the format, mended (ids of cells that occur twice)",
    "Cell 27: the cell was stopped after 60 s.", "not on the roster.",
    "The run ended early: more memory than allowed.",
    "01_words: 2 versions; a.zip, the newest, counts.",
    "tokenize: Its cell is missing.", "tokenize: written in cells 3, 4.",
    "Its process has ended (RuntimeError: exit code 1).",
    "rows: LOOK AT IT, it is made of labutils.rows, which the course's "
    "package holds.",
)
KEPT = re.compile(
    r"tokenize|rows|why|RuntimeError|labutils|(written|grades)\.\w+|\bid\b|"
    r"bubblewrap|01_words|02_rows|Words|Rows|a\.zip")


def test_who_reads_chinese_reads_no_english(tmp_path, monkeypatch):
    monkeypatch.setenv("LABUTILS_LANG", "zh")
    verdicts = [
        Verdict("tokenize", status, 0, 2, reason, where=where, cell=cell)
        for status, reason, where, cell in zip(Status, (
            "Not right.", "Its cell is missing.", "Nothing was written.",
            "Not judged: the kernel died.", "It was not handed in.",
            "Its cell was stopped after 60 s.", "The function ends with an "
            "error.", "An answer in words, to be read.", "Read by a person.",
        ), ("cell 7, line 2", "cell 7", *[""] * 7), (
            "cell 34, cell 35", "cell 34, cell 35, cell 36", "cell 14, as it "
            "stands before cell 16", *["cell 7"] * 6), strict=True)]
    results = [
        Graded("2023", "01_words", "d", state, verdicts, [*SAID],
               language="zh", late=late, file="a.zip (the newest of 2 "
               "versions, 2026-11-30 23:59)", sandbox="bubblewrap: no network,"
               " no files but the course's")
        for state in ("graded", "missing", "refused", "interrupted")
        for late in ("0.1 hours", "6.5 days")]
    for number, one in enumerate(results):
        out = tmp_path / str(number)
        rest = replace(one, notebook="02_rows", verdicts=[])
        write_reports(out, {"2023": "2023 李雷"}, [one, rest], COURSE, SAID)
        for path in out.rglob("*.*"):
            page = re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^>]*>",
                          " ", read(path))
            left = re.findall("[A-Za-z]{2,}", KEPT.sub(" ", page))
            assert path.suffix == ".json" or not left, (path, left)


def test_the_command_speaks_chinese(graded_class, monkeypatch, capsys):
    monkeypatch.setenv("LABUTILS_LANG", "zh")
    out, said = graded_class()
    monkeypatch.setattr(classroom, "Settings", lambda *_: Settings(
        sandbox=False))
    shutil.rmtree(out / "graded")
    assert labkit.__main__.main([
        "grade", str(out.parent / "submissions"), "--out", str(out),
        "--roster", str(out.parent / "roster.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("3 名学生。请打开 ")
    assert len(lines) == len(said) + 1
    for line in lines:
        line = line.replace(str(out), "")
        assert not re.search(r"[a-z]+ [a-z]+|LOOK", line), line


def test_no_word_that_is_filled_in_is_left_in_english():
    for path in Path(classroom.__file__).parent.rglob("*.py"):
        for slot in ast.walk(ast.parse(read(path))):
            if isinstance(slot, ast.FormattedValue):
                words = [w.value for n in ast.walk(slot.value)
                         if isinstance(n, (ast.BoolOp, ast.IfExp))
                         for w in ast.walk(n) if isinstance(w, ast.Constant)]
                assert not [
                    w for w in words if re.search("[a-z]{2}", str(w))
                    and translated(w, "zh") == w], (path, words)


def test_what_was_refused_is_said_once_on_both_pages(graded_class):
    out, _ = graded_class()
    folder = out.parent / "submissions" / "20230009-韩梅梅"
    path = folder / "01_text_preprocessing.ipynb"
    path.write_text('{"cells": [', encoding="utf-8")
    other = folder.with_name("20230001-李雷") / path.name
    other.rename(other.with_suffix(".py"))
    graded_class()
    for key, name, why in (
            ("20230009", "20230009-韩梅梅", "it is no JSON"),
            ("20230001", "20230001-李雷", "no notebook, but a .py file")):
        page = read(out / "feedback" / key / "01_text_preprocessing.html")
        assert page.count(why) == 1 and f"File: {name}" in page
        assert why in read(out / "index.html")
        with (out / "grades.csv").open(encoding="utf-8-sig") as file:
            [line] = [x for x in csv.DictReader(file) if x["key"] == key]
        assert why in line["Notes"] and name in line["files that count"]


def test_a_cell_that_is_no_python_has_a_line_and_no_file(monkeypatch):
    said = "invalid character '：' (U+FF1A) (3168364368.py, line 7)"
    error = nbformat.v4.new_output("error", ename="SyntaxError", evalue=said)
    cell = nbformat.v4.new_code_cell("", outputs=[error])
    found = Matched(nbformat.v4.new_notebook(cells=[cell]), [],
                    attempts={"rows": [0]})
    monkeypatch.setattr(notebook, "judge", lambda name, *rest: Verdict(
        name, Status.NOT_ATTEMPTED, 0, 3, "There is no rows to call."))
    kernel = SimpleNamespace(probing=nullcontext, request=None)
    job = Job("1", COURSE[1], found.notebook, "digest")
    verdict = notebook._judged(
        job, kernel, COURSE[1].exercises[0], found, 1, set())
    assert verdict.got == "SyntaxError: invalid character '：' (U+FF1A)"
    assert verdict.where == "cell 1, line 7"


def test_who_has_written_nothing_is_told(tmp_path):
    none = Verdict("rows", Status.NOT_ATTEMPTED, 0, 3, "Nothing was written.")
    results = [Graded("1", "02_rows", "d", "graded", [none])]
    write_reports(tmp_path, {"1": "Li"}, results, COURSE[1:])
    [line] = json.loads(read(tmp_path / "grades.json"))
    assert line["state"] == "nothing written: 02"


def test_nobody_is_asked_to_read_what_is_not_asked(tmp_path):
    results = [one for one in graded() if one.notebook == "02_rows"]
    write_reports(tmp_path, NAMES, results, COURSE[1:])
    page = read(tmp_path / "index.html")
    assert "ask for none" in page and "written.csv" not in page


def test_the_graders_page(out):
    page = read(out / "index.html")
    for words in ("3 students", "20230002: two names", "newest of 2",
                  "1 notebook ran without a sandbox",
                  "李雷", "feedback/20230001/01_words.html",
                  "1 / 2", "1 failed", "the slip of the day",
                  "The run ended early", "aria-sort"):
        assert words in page, words
    # Answers are gathered, escaped.
    assert page.count("&lt;script&gt;alert(1)") >= 2


# ---- points that a person enters


def test_points_for_answers_are_kept(tmp_path):
    found, problems = enter(tmp_path, NAMES, graded())
    assert found == graded() and not problems
    path = tmp_path / WRITTEN
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and b"'=1+1" in data
    text = data.decode("utf-8-sig")
    first, _ = [line for line in text.splitlines() if "/why/" in line]
    assert first.endswith(f",4,,,{HOSTILE}")
    # As a spreadsheet in China saves it, with a comma and points.
    entered = text.replace(first, first.replace(",4,,,", ",4,3.5,好,")
                           ).replace("4,,", "4,9,")
    path.write_bytes(entered.encode("gbk"))
    for _ in range(2):
        found, [problem] = enter(tmp_path, NAMES, graded())
        assert found[0].points == 5.5 and found[2].points == 0
        [verdict] = [v for v in found[0].verdicts if v.exercise == "why"]
        assert (verdict.status, verdict.reason) == (Status.READ, "好")
        assert "20230002/why/" in problem and "'9' are no points" in problem
    # Another answer is read anew; the points of the old one stay.
    other = [replace(one, sources={"why": "new"}) for one in graded()]
    assert enter(tmp_path, NAMES, other)[0] == other
    assert len(path.read_text("utf-8-sig").splitlines()) == 5


# ---- alike

LONG = '''
def evaluate(model, batches):
    """Words of my own."""
    total, count = 0.0, 0
    for X, Y in batches:  # go on
        state = model.begin_state(len(X), None)
        logits, _ = model(X, state)
        loss = torch.logsumexp(logits, 1) - logits.gather(1, Y[:, None])[:, 0]
        total += float(loss.square().sqrt().sum())
        count += Y.numel() // 1
    return math.exp(total / count)
'''
RENAMED = re.sub(r"\btotal\b", "s", LONG).replace("count", "n").replace(
    "batches", "data").replace("Words of my own.", "Others.").replace(
    "# go on", "# nothing")
OTHER = '''
def evaluate(model, batches):
    losses = []
    with torch.no_grad():
        state = None
        while batches:
            X, Y = batches.pop(0)
            scores, state = model(X, state)
            losses.extend(F.cross_entropy(scores, Y, reduction="none"))
    return torch.stack(losses).mean().exp().item()
'''


def students(*sources):
    return [
        Graded(f"s{i}", "n", "d", "graded", [], sources={"evaluate": source})
        for i, source in enumerate(sources)]


def test_renamed_and_commented_code_is_alike():
    [group] = groups(students(LONG, RENAMED, OTHER), {})
    assert group == (("s0", "s1"), ("evaluate",))
    assert fingerprints(f"%%time\n!ls\n{LONG}") >= fingerprints(LONG)


def test_what_the_class_or_the_stub_has_does_not_count():
    assert groups(students(*[LONG] * 9), {}) == []
    given = {"evaluate": f"{RENAMED}\n{OTHER}"}
    assert groups(students(LONG, LONG, OTHER, OTHER), given) == []
    short = "def one_hot(X, V):\n    return F.one_hot(X.T, V).float()\n"
    assert groups(students(short, short), {}) == []


def test_who_shares_the_most_comes_first_in_one_line(tmp_path):
    rest = [f"{OTHER}    {name}\n" * 3 for name in ("a.b(c)", "e[3] @ f.g[h]",
            "del i.j, k.l[2:]", "assert (m % n) ** o.p", "q = {r: ~s}")]
    three, two = students(LONG, RENAMED, LONG, *[OTHER] * 9), students(
        OTHER.replace("0", "9") + LONG, OTHER.replace("0", "9") + LONG, *rest)
    for one in two:
        one.sources["other"] = one.sources.pop("evaluate")
    found = groups([*three, *two], {})
    assert found == [(("s0", "s1"), ("evaluate", "other")),
                     (("s0", "s1", "s2"), ("evaluate",))]
    names = {f"s{i}": f"Student {i}" for i in range(12)}
    course = CourseNotebook("n", {"en": "n"}, tuple(
        Exercise(name, 1, False, "") for name in ("evaluate", "other")))
    sources = {one.student: one.sources for one in three}
    for one in two:
        sources[one.student] |= one.sources
    write_reports(tmp_path, names, [
        replace(one, sources=sources[one.student]) for one in three], [course])
    lines = re.findall("<li>.*?</li>", read(tmp_path / "index.html"))
    shown = [re.sub("<.*?>", "", line) for line in lines]
    assert "Student 0, Student 1: 2 / 2: evaluate, other" in shown


@pytest.mark.parametrize("source", [
    "", "def (", "(" * 20_000, "x" * 100_000, "\ud800 = 1", "'''", "\0",
    "if 1:\n  x\n y", HOSTILE])
def test_any_source_has_fingerprints(source):
    assert isinstance(fingerprints(source), set)
