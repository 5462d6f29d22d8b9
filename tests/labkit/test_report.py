"""The lab report: what it holds, what it misses, what it never lets in."""

import base64
import json
import os
import re
import shutil
import subprocess
import warnings
import zipfile

import nbformat
import papers
import pytest
import support
from bs4 import BeautifulSoup
from lab import open_window
from papers import edit

from labkit import __main__ as cli
from labkit.course import LESSONS, PARTS, read_notebook
from labkit.report import (
    TEMPLATES,
    browser,
    cells,
    gathering,
    words,
)
from labkit.report.gathering import gather
from labkit.report.missing import problems
from labkit.report.write import Student, file_stem, render
from labstaff.grading import intake, matching
from labstaff.publish import release
from labutils import recorded, settings
from labutils.files import LANGUAGES
from labutils.history import History

STUDENT = Student("20231234", "张三", 4, "计算机科学", "2026-11-25")
ASKED = ("report", "--id", STUDENT.id, "--name", STUDENT.name, "--lab", 4,
         "--major", STUDENT.major, "--date", STUDENT.date)
STEM = "20231234-张三-Lab-4"
NB1, NB2, NB3, NB4, NB5, NB6 = (lesson.stem for lesson in LESSONS)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A folder with all that a complete report needs; not to be changed."""
    folder = tmp_path_factory.mktemp("complete")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABUTILS_RESULTS_DIR", str(folder))
        patch.setenv("LABUTILS_EPOCHS", f"{papers.EPOCHS}")
        papers.make(folder)
    return folder


@pytest.fixture
def folder(complete, tmp_path):
    """A copy of it, to be spoilt."""
    return papers.copy(complete, tmp_path / "work")


@pytest.fixture
def main(monkeypatch, capsys):
    """Run a command in this process."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)

    def call(*arguments):
        code = cli.main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return call


def page(folder, language="en", student=STUDENT):
    gathered = gather(folder)
    return render(student, gathered, problems(gathered), language)


@pytest.fixture(scope="module")
def pages(complete):
    """The complete page, by its language."""
    return {language: page(complete, language) for language in LANGUAGES}


def text_of(html):
    """What of a page is text, with single spaces."""
    html = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# A complete one.


def test_nothing_is_missing_from_a_complete_set(complete):
    assert problems(gather(complete)) == []


def test_the_command_writes_all_that_is_asked_for(main, complete, tmp_path):
    out = tmp_path / "class"
    code, said, err = main(
        *ASKED, "--notebooks", complete, "--out", out, "--zip")
    assert (code, err) == (0, "")
    assert support.names(out) == [f"{STEM}.html", f"{STEM}.zip"]
    for lesson in LESSONS:  # which file was used
        assert f"{lesson.stem}: {complete / lesson.stem}.ipynb" in said
    assert f"wrote {out / STEM}.html" in said
    assert "Missing" not in said
    # The archive is what is handed in, and grading takes it.
    with zipfile.ZipFile(out / f"{STEM}.zip") as archive:
        assert archive.namelist() == [f"{STEM}.html"] + [
            f"notebooks/{lesson.stem}.ipynb" for lesson in LESSONS]
        # Says that its names are UTF-8; others would take another alphabet.
        assert archive.getinfo(f"{STEM}.html").flag_bits & 0x800
    [student], _ = intake.find(out, matching.course())
    assert student.key.startswith("20231234") and "张三" in student.name
    assert len(student.files) == 6 and not student.refused


HEADS = {
    "zh": ["一、实验名称", "二、实验目的", "三、实验要求", "四、实验内容",
           "五、实验代码和结果", "六、小结或讨论"],
    "en": ["1. Name of the experiment", "2. Purpose", "3. Requirements",
           "4. Content", "5. Code and results",
           "6. Summary and discussion"],
}
TITLE = {
    "zh": "实验报告 4 学号 20231234 专业 计算机科学 姓名 张三 实验日期 "
    "2026-11-25 教师签字 成绩 一、",
    "en": "Experiment report 4 Student ID 20231234 Major 计算机科学 Name 张三 "
    "Date 2026-11-25 Teacher's signature Grade 1.",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sections_stand_in_their_order(pages, language):
    made = pages[language]
    assert re.findall(r"<h2[^>]*>(.+?)</h2>", made) == HEADS[language]
    # Nothing between the title block and the first section.
    assert TITLE[language] in text_of(made).replace("&#39;", "'")
    parts = [*words(language)["content"].values()]
    assert re.findall(r"<h3>5\.[1-9] (.+?)</h3>", made) == parts
    assert f'<html lang="{words(language)["labels"]["html_lang"]}">' in made


def test_each_part_has_its_code_results_pictures_and_answers(complete, pages):
    made = pages["en"]
    for lesson in LESSONS:
        notebook = read_notebook(complete / f"{lesson.stem}.ipynb")
        for cell in cells.read(notebook):
            if cell.kind == "exercise":
                assert f"exercise {cell.name}<" in made
                assert f"check: {cell.name}: passed" in made
        for name in (*lesson.trainings, *lesson.texts):
            saved = (complete / lesson.stem / f"{name}.txt").read_text()
            assert saved.strip() in made.replace("&#39;", "'")
        for name in (*lesson.trainings, *lesson.pictures):
            data = (complete / lesson.stem / f"{name}.png").read_bytes()
            assert base64.b64encode(data).decode() in made
    for answer in ("Does it still train?", "With as many units",
                   "What comes next."):
        assert made.count(f"<strong>{answer}") == 1
    # The discussion is in the last section alone.
    assert made.index("What comes next.") > made.index("6. Summary")
    assert "BEGIN SOLUTION" not in made and "HIDDEN TESTS" not in made


def test_a_report_has_the_cells_that_matter_and_not_all(complete):
    shown, all_ = 0, 0
    for one in gather(complete):
        found = [cell for cell in one.cells if cell.is_code]
        chosen = cells.chosen(one.cells)
        shown, all_ = shown + len(chosen), all_ + len(found)
        known = {name for cell in chosen for name in cell.defines}
        for cell in chosen:  # what a shown cell uses is shown as well
            defined = {n for c in found if c.number < cell.number
                       for n in c.defines}
            assert cell.uses & defined <= known
    assert 40 < shown < 70 < all_


def table(made):
    """The lines of the table of trainings, by the training's name."""
    lines = re.findall(r"<tr>\n<td>.*?</tr>", made, flags=re.DOTALL)
    return {text_of(line).split()[1]: text_of(line) for line in lines}


def test_every_figure_of_the_table_is_a_histories(folder):
    path = folder / NB5 / "lstm_scratch.json"
    change_history(path, train_perplexity=[9.0, 7.654])
    change_history(folder / NB6 / "deep_lstm.json", diverged=True,
                   train_perplexity=[9.0, None], held_out_perplexity=[],
                   held_out_epochs=[])
    made = table(page(folder))
    assert [*made] == [run for lesson in LESSONS for run in lesson.runs]
    history = History.from_json(path.read_text())
    best, epoch = history.best_held_out
    assert made["lstm_scratch"] == (
        f"05 lstm_scratch The Time Machine 2/2 7.65 {history.held_out:.2f} "
        f"{best:.2f} ({epoch}) {history.seconds:.1f} full run")
    # Where there is no number a dash stands.
    assert made["deep_lstm"] == (
        "06 deep_lstm The Time Machine 2/2 - - - "
        f"{history.seconds:.1f} DIVERGED")


# What is missing.


def change_history(path, **changes):
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | changes))


def cell_with(notebook, grade_id):
    [found] = [c for c in notebook.cells
               if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id]
    return found


def first_code(notebook, place=0):
    return [c for c in notebook.cells if c.cell_type == "code"][place]


def clear(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def fail(notebook):
    first_code(notebook).outputs = [nbformat.v4.new_output(
        "error", ename="KeyError", evalue="'x'", traceback=["KeyError: 'x'"])]


def stub(notebook):
    cell = cell_with(notebook, "tokenize")
    cell.source = f"def tokenize(lines, token='word'):\n    {cells.STUB}"


def unsay(notebook):
    cell_with(notebook, "check_tokenize").outputs = []


def unmark(notebook):
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)


def practice(notebook):
    first_code(notebook, 2).outputs[0].text = (
        "Corpus: the practice text (not The Time Machine), from the package")


def _set(cell, **values):
    for name, value in values.items():
        cell[name] = value


SPOILT = {
    "no notebook": (
        lambda f: (f / f"{NB2}.ipynb").unlink(), "no_notebook", NB2, ()),
    "no JSON": (lambda f: (f / f"{NB2}.ipynb").write_text("{"),
                "unreadable", NB2, ()),
    "not executed": (lambda f: edit(f / f"{NB2}.ipynb", clear),
                     "not_executed", NB2, ()),
    "one cell left": (
        lambda f: edit(f / f"{NB2}.ipynb", lambda n: _set(
            first_code(n, 1), execution_count=None)),
        "cells_left", NB2, ("4",)),
    "out of order": (
        lambda f: edit(f / f"{NB2}.ipynb", lambda n: _set(
            first_code(n, 1), execution_count=99)),
        "order", NB2, ("6",)),
    "an error": (lambda f: edit(f / f"{NB2}.ipynb", fail),
                 "error", NB2, ("2: KeyError",)),
    "a stub": (lambda f: edit(f / f"{NB1}.ipynb", stub),
               "exercise", NB1, ("tokenize",)),
    "a deleted exercise": (
        lambda f: edit(f / f"{NB1}.ipynb", lambda n: n.cells.remove(
            cell_with(n, "tokenize"))),
        "exercise", NB1, ("tokenize",)),
    "a deleted check": (
        lambda f: edit(f / f"{NB1}.ipynb", lambda n: n.cells.remove(
            cell_with(n, "check_tokenize"))),
        "check", NB1, ("tokenize",)),
    "no check and no marks": (
        lambda f: edit(f / f"{NB1}.ipynb", lambda n: (unsay(n), unmark(n))),
        "check", NB1, ("tokenize",)),
    "a deleted answer": (
        lambda f: edit(f / f"{NB4}.ipynb", lambda n: n.cells.remove(
            cell_with(n, "depth"))),
        "answer", NB4, ("depth",)),
    "no check": (lambda f: edit(f / f"{NB1}.ipynb", unsay),
                 "check", NB1, ("tokenize",)),
    "no answer": (
        lambda f: edit(f / f"{NB4}.ipynb", lambda n: _set(
            cell_with(n, "depth"), source=" \n")),
        "answer", NB4, ("4.6 The answer",)),
    "nbgrader's answer": (
        lambda f: edit(f / f"{NB6}.ipynb", lambda n: _set(
            cell_with(n, "lstm_or_gru"), source="YOUR ANSWER HERE")),
        "answer", NB6, ("6.4 Three seeds, and an answer",)),
    "no discussion": (
        lambda f: edit(f / f"{NB6}.ipynb", lambda n: _set(
            cell_with(n, "discussion"), source="在这里写下你的回答")),
        "discussion", "", ()),
    "a result": (lambda f: (f / NB4 / "rnn_concise.txt").unlink(),
                 "no_result", NB4, ("rnn_concise.txt",)),
    "a history": (lambda f: (f / NB6 / "deep_gru_adam.json").unlink(),
                  "no_result", NB6, ("deep_gru_adam.json",)),
    "half a history": (
        lambda f: (f / NB5 / "lstm_scratch.json").write_text("{}"),
        "damaged", NB5, ("lstm_scratch.json",)),
    "words for figures": (
        lambda f: change_history(f / NB5 / "lstm_scratch.json",
                                 train_perplexity=["<script>", "2"]),
        "damaged", NB5, ("lstm_scratch.json",)),
    "no picture": (lambda f: (f / NB5 / "lstm_scratch.png").write_text("GIF"),
                   "damaged", NB5, ("lstm_scratch.png",)),
    "a capped run": (
        lambda f: change_history(
            f / NB3 / "rnn_scratch_random.json", settings={
                **json.loads((f / NB3 / "rnn_scratch_random.json")
                             .read_text())["settings"], "num_epochs": 500}),
        "capped", NB3, ("rnn_scratch_random: 2/500",)),
    "an interrupted run": (
        lambda f: change_history(f / NB6 / "deep_lstm.json",
                                 interrupted=True),
        "interrupted", NB6, ("deep_lstm: 2/2",)),
    "a diverged run": (
        lambda f: change_history(f / NB6 / "deep_lstm.json", diverged=True),
        "diverged", NB6, ("deep_lstm: 2/2",)),
    "a replayed run": (
        lambda f: change_history(
            f / NB6 / "deep_gru_adam.json", train_seconds=list(
                recorded.load("deep_gru_adam").train_seconds)),
        "replayed", NB6, ("deep_gru_adam: 2/2",)),
    "the practice text, trained on": (
        lambda f: change_history(
            f / NB5 / "lstm_scratch.json",
            corpus={"name": "the practice text", "sha256": "0"}),
        "practice", NB5, ("the practice text",)),
    "the book's name for another text": (
        lambda f: change_history(
            f / NB5 / "lstm_scratch.json",
            corpus={"name": "The Time Machine", "sha256": "0"}),
        "practice", NB5, ("The Time Machine",)),
    "the practice text, read": (
        lambda f: edit(f / f"{NB2}.ipynb", lambda n: first_code(n).outputs
                       .append(nbformat.v4.new_output(
                           "stream", text="Corpus: the practice text (not "
                           "The Time Machine), from the package\n"))),
        "practice", NB2, ("the practice text (not The Time Machine)",)),
    "another run's summary": (
        lambda f: (f / NB5 / "lstm_scratch.txt").write_text("another run"),
        "older", NB5, ("lstm_scratch.txt",)),
    "another run's history": (
        lambda f: change_history(f / NB6 / "deep_gru_adam.json",
                                 held_out_perplexity=[987.0, 654.0]),
        "older", NB6, ("deep_gru_adam.json",)),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_missing_part_is_found(folder, spoil, monkeypatch):
    change, kind, where, what = SPOILT[spoil]
    change(folder)
    # The last one has the discussion, which is looked for in all of them.
    looked_at = [x for x in LESSONS if x.stem in (where, NB6)]
    monkeypatch.setattr(gathering, "LESSONS", looked_at)
    found = problems(gather(folder))
    assert (kind, where, what) in [(p.kind, p.where, p.what) for p in found]
    # A cell that is gone takes its output with it; nothing else may go wrong.
    assert {p.kind for p in found} <= {kind, "older"}
    for language in LANGUAGES:
        for problem in found:
            line = problem.in_words(language)
            assert all(part in line for part in what) and "\n" not in line


def test_a_magic_or_lost_marks_hide_no_exercise(folder):
    def change(notebook):
        cell = cell_with(notebook, "tokenize")
        cell.source = f"%%time\n!pip list\n{cell.source}"
        unmark(notebook)

    before = [c.name for c in cells.chosen(gather(folder)[0].cells)]
    edit(folder / f"{NB1}.ipynb", change)
    gathered = gather(folder)
    assert problems(gathered) == []
    assert [c.name for c in cells.chosen(gathered[0].cells)] == before


def test_an_error_writes_on_a_line_of_its_own(folder):
    def shout(notebook):
        fail(notebook)
        first_code(notebook).outputs[0].ename = "A\x1b[2J\nlabutils: ok" * 99

    edit(folder / f"{NB2}.ipynb", shout)
    [line] = [p.in_words("en") for p in problems(gather(folder))]
    assert line.isprintable() and len(line) <= 500 and "labutils: ok" in line


def test_every_word_is_used():
    """A word that no page needs would be translated for nothing."""
    template = (TEMPLATES / "report.html").read_text("utf-8")
    used = set(re.findall(r"\bw\.(\w+)", template))
    assert used == set(words("en")["labels"])


@pytest.fixture
def no_browser(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "PLACES", ())


def test_nothing_is_written_where_something_is_missing(
    main, folder, tmp_path, no_browser
):
    """What is missing is said before a browser is looked for."""
    (folder / f"{NB2}.ipynb").unlink()
    out = tmp_path / "out"
    asked = (*ASKED, "--notebooks", folder, "--out", out, "--pdf", "--zip")
    code, said, err = main(*asked)
    assert code == 1
    assert re.fullmatch(r"labutils: [^\n]+\n", err)
    assert "--allow-incomplete" in err
    assert f"{NB2}: there is no such notebook" in said
    assert not out.exists()


def test_what_is_missing_stands_on_the_first_page(main, folder, tmp_path):
    (folder / f"{NB2}.ipynb").unlink()
    code, said, err = main(
        *ASKED, "--notebooks", folder, "--out", tmp_path, "--lang", "zh",
        "--allow-incomplete")
    assert (code, err) == (0, "")
    # On the terminal before what is written.
    assert said.index("there is no such notebook") < said.index("wrote ")
    made = (tmp_path / f"{STEM}.html").read_text(encoding="utf-8")
    assert made.index(f"{NB2}：没有找到这个笔记本") < made.index("<h2")


def test_a_report_of_nothing_at_all(tmp_path):
    gathered = gather(tmp_path)
    kinds = [problem.kind for problem in problems(gathered)]
    assert kinds.count("no_notebook") == 6 and kinds[-1] == "discussion"
    for language in LANGUAGES:
        made = render(STUDENT, gathered, problems(gathered), language)
        assert re.findall(r"<h2[^>]*>(.+?)</h2>", made) == HEADS[language]


def test_released_notebooks_are_not_executed_and_not_written(complete):
    """The words in the place of solutions are known to the report."""
    source = read_notebook(complete / f"{NB6}.ipynb")
    student = cells.read(release.student_notebook(source))
    assert cells.STUB in release.STUB
    assert [c.name for c in student if cells.STUB in c.source] == [
        "gru_cell", "interval"]
    written = [c for c in student if c.kind in ("answer", "discussion")]
    assert len(written) == 2
    assert not any(cell.written for cell in written)


# Which notebook is used.


@pytest.fixture
def course(monkeypatch, folder, tmp_path):
    """notebooks/ and results/ of a course folder, with the same in both."""
    for name in ("notebooks", "results"):
        papers.copy(folder, tmp_path / name)
    monkeypatch.setattr(settings, "home", lambda: tmp_path)
    monkeypatch.delenv("LABUTILS_RESULTS_DIR")
    for lesson in LESSONS:  # one works there, and keeps no results there
        shutil.rmtree(tmp_path / "notebooks" / lesson.stem,
                      ignore_errors=True)
    return tmp_path / "notebooks", tmp_path / "results"


def used():
    [one] = [g for g in gather() if g.lesson.stem == NB1]
    return one.path.parent.name, one.newer


def age(path, seconds):
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))


def test_the_newest_executed_notebook_is_used(course):
    for older, newer in (course, reversed(course)):
        age(older / f"{NB1}.ipynb", 1000)
        (newer / f"{NB1}.ipynb").touch()
        assert used() == (newer.name, [])
    # The results belong to the results folder, wherever the notebook is.
    assert problems(gather()) == []


def test_an_older_executed_notebook_beats_one_without_outputs(course):
    work, results = course
    age(results / f"{NB1}.ipynb", 1000)
    edit(work / f"{NB1}.ipynb", clear)
    assert used() == ("results", [])


def test_one_who_works_in_chinese_is_found(course):
    work, results = course
    age(results / f"{NB1}.ipynb", 1000)
    chinese = read_notebook(work / f"{NB1}.ipynb")
    for cell in chinese.cells:
        if cell.cell_type == "markdown":
            cell.source = "\u8bcd\u5143" * 9
    (work / "zh").mkdir()
    nbformat.write(chinese, work / "zh" / f"{NB1}.ipynb")
    edit(work / f"{NB1}.ipynb", clear)  # as it was released, and newer
    assert used() == ("zh", [])


def test_cells_that_were_changed_after_the_run_are_noticed(course):
    work, results = course
    age(results / f"{NB1}.ipynb", 1000)
    edit(work / f"{NB1}.ipynb", clear)
    edit(work / f"{NB1}.ipynb", stub)
    assert used() == ("results", [work / f"{NB1}.ipynb"])
    assert [(p.kind, p.what) for p in problems(gather())] == [
        ("changed", (f"notebooks/{NB1}.ipynb",))]


# Nothing from outside, and nothing that does anything.


@pytest.fixture(scope="module")
def window():
    with open_window() as window:
        yield window


def look(window, made, path):
    """Open a page with the network off; what it has asked for, and lost."""
    path.write_text(made, encoding="utf-8")
    asked, errors = [], []
    window.context.set_offline(True)
    window.on("request", lambda request: asked.append(request.url))
    window.on("pageerror", lambda error: errors.append(str(error)))
    window.goto(path.as_uri())
    own = [path.as_uri()]
    return [u for u in asked if not u.startswith("data:") and u not in own], (
        errors)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_it_opens_with_the_network_off(
    pages, window, tmp_path, language, screenshots
):
    made = pages[language]
    assert "default-src 'none'; img-src data:; style-src" in made
    assert look(window, made, tmp_path / "report.html") == ([], [])
    drawn = window.eval_on_selector_all(
        "img", "all => all.map(i => i.complete && i.naturalWidth > 50)")
    assert len(drawn) > 20 and all(drawn)
    window.screenshot(path=screenshots / f"report-{language}.png")


@pytest.mark.slow
def test_no_line_of_code_is_clipped(folder, window, tmp_path):
    long = "x = '" + "longer_" * 60 + "end'"

    def write_it(notebook):
        cell_with(notebook, "tokenize").source += f"\n{long}"
        first_code(notebook).outputs = [nbformat.v4.new_output(
            "stream", text="wide" * 200)]

    edit(folder / f"{NB1}.ipynb", write_it)
    look(window, page(folder), tmp_path / "report.html")
    window.emulate_media(media="print")
    try:
        wide = window.evaluate("""() => [...document.querySelectorAll(
            'body *:not(math *)')].filter(e => e.scrollWidth >
            e.clientWidth + 1 && e.clientWidth > 0
            && getComputedStyle(e).display !== 'inline')
            .map(e => e.outerHTML.slice(0, 200))""")
    finally:
        window.emulate_media(media="screen")
    assert wide == []


SCRIPT = "</pre></style></title><script>window.hurt = 1</script>"
TAG = "<img src='http://example.com/a.png' onerror='window.hurt = 1'>"


def hostile(notebook):
    new, bad = nbformat.v4.new_output, SCRIPT + TAG
    cell = cell_with(notebook, "deep_rnn")
    cell.source += f"\n# {bad}\n'''{bad}'''"
    first_code(notebook).outputs = [
        new("stream", text=bad),
        new("display_data", data={"text/html": bad, "text/plain": bad}),
        new("display_data", data={"image/svg+xml": f"<svg>{SCRIPT}</svg>"}),
        new("display_data", data={"application/javascript": "hurt = 1"}),
        new("display_data", data={"image/png": f'"{TAG}'}),
        new("display_data", data={"image/png": base64.b64encode(
            bad.encode()).decode()}),
    ]
    cell_with(notebook, "check_deep_rnn").outputs = [new("stream", text=bad)]
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(f"## {bad}"))
    answer = cell_with(notebook, "depth")
    answer.source = f"{bad}\n\n[a](javascript:hurt=1) $\\text{{{bad}}}$ {bad}"
    answer.metadata.tags = ["discussion", "x"]
    answer.attachments = {"a.png": {"image/png": f'"{TAG}'}}
    answer.source += "\n![b](attachment:a.png) ![c](http://example.com/c.png)"


@pytest.fixture
def hostile_page(folder):
    """A page, in a language, of a notebook that means harm."""
    edit(folder / f"{NB4}.ipynb", hostile)
    (folder / NB4 / "rnn_concise.txt").write_text(SCRIPT + TAG)
    change_history(folder / NB4 / "rnn_concise.json",
                   corpus={"name": SCRIPT + TAG, "sha256": "0"})
    student = Student(SCRIPT, TAG, 4, SCRIPT, TAG)
    return lambda language: page(folder, language, student)


def test_what_a_notebook_holds_is_shown_as_text(hostile_page):
    made = hostile_page("en")
    assert made.count("hurt = 1") > 10
    made = re.sub(r'<span class="\w+">', "", made)  # the many of code
    elements = BeautifulSoup(made, "html.parser").find_all(True)
    assert {"script", "b", "svg"}.isdisjoint(x.name for x in elements)
    for element in elements:
        assert not [name for name in element.attrs if name.startswith("on")]
        assert element.get("src", "data:").startswith("data:")


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_notebook_holds_does_nothing(
    hostile_page, window, tmp_path, language
):
    made = hostile_page(language)
    assert look(window, made, tmp_path / "report.html") == ([], [])
    assert window.evaluate("window.hurt") is None
    assert window.query_selector(
        "script, iframe, object, svg, link, form, base") is None
    names = set(window.evaluate("""() => [...document.querySelectorAll(
        'body *')].flatMap(e => e.getAttributeNames())"""))
    assert not [n for n in names if n.startswith("on")]
    shown = window.eval_on_selector_all(
        "img", "all => all.map(i => i.src)")
    assert all(s.startswith("data:image/png;base64,iVBOR") for s in shown)


# PDF and zip.


needs_poppler = pytest.mark.skipif(
    not shutil.which("pdftotext"), reason="needs pdftotext")


@pytest.fixture(scope="module")
def chromium():
    try:
        return browser.find()
    except browser.BrowserError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@needs_poppler
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_can_be_read_page_by_page(
    main, complete, chromium, tmp_path, language
):
    code, _, err = main(*ASKED, "--notebooks", complete, "--out", tmp_path,
                        "--pdf", "--lang", language)
    assert (code, err) == (0, "")
    path = tmp_path / f"{STEM}.pdf"
    text = subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], capture_output=True,
        check=True).stdout.decode("utf-8")
    for head in HEADS[language]:
        assert head in text
    assert "张三" in text and "计算机科学" in text
    *pages, rest = text.split("\f")
    assert not rest.strip()
    for number, one in enumerate(pages, start=1):
        lines = [line for line in one.split("\n") if line.strip()]
        assert lines.pop().strip() == f"{number} / {len(pages)}"
        assert lines  # no page is empty
    info = subprocess.run(["pdfinfo", str(path)], capture_output=True,
                          check=True, text=True).stdout
    assert "A4" in info


def test_without_a_browser_nothing_is_written(
    main, complete, tmp_path, no_browser
):
    out = tmp_path / "out"
    code, said, err = main(
        *ASKED, "--notebooks", complete, "--out", out, "--pdf")
    assert code == 1 and "Missing" not in said and "wrote" not in said
    assert re.fullmatch(r"labutils: --pdf needs Chromium[^\n]+\n", err)
    assert not out.exists()


def test_a_browser_that_makes_no_pdf(tmp_path):
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    broken.chmod(0o755)
    words = r"made no PDF \(no display\)"
    with pytest.raises(browser.BrowserError, match=words):
        browser.to_pdf(str(broken), "<p>")


# Names, words, lessons.


@pytest.mark.parametrize("id_, name, expected", [
    ("20231234", "Name", "20231234-Name-Lab-4"),
    ("20231234", "张三", "20231234-张三-Lab-4"),
    (" 2023/1234 ", "../../etc", "20231234-etc-Lab-4"),
    ("1", 'a<b>c:d"e|f?g*h\\i', "1-abcdefghi-Lab-4"),
    ("1", "O'Neil  Jr.", "1-O'Neil Jr-Lab-4"),
    ("1", "tab\tnew\nline\x00\u202e", "1-tabnewline-Lab-4"),
    ("1", "e\u0301", "1-\xe9-Lab-4"),
    ("1", "x" * 500, f"1-{'x' * 90}-Lab-4"),
    ("1", "x" + "张" * 500, f"1-x{'张' * 29}-Lab-4"),
])
def test_a_files_name(id_, name, expected):
    assert file_stem(id_, name, 4) == expected


@pytest.mark.parametrize("id_, name, option", [
    ("///", "Name", "--id"), ("1", " .. ", "--name"), ("1", "", "--name"),
])
def test_a_name_of_nothing_is_refused(id_, name, option):
    with pytest.raises(ValueError, match=f"{option} holds nothing"):
        file_stem(id_, name, 4)


def shape(value):
    """Keys, numbers of lines and fields: all that translations share."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return len(value)
    return sorted(re.findall(r"\{\w+\}", value))


def test_all_languages_say_the_same_things():
    assert {language: shape(words(language)) for language in LANGUAGES} == (
        dict.fromkeys(LANGUAGES, shape(words("en"))))
    assert set(words("en")["content"]) == set(PARTS)


# In the students' edition.


@pytest.mark.slow
def test_students_have_the_command(complete, tmp_path):
    edition = tmp_path / "edition"
    release.release(edition)
    assert not (edition / "labstaff").exists()
    arguments = [*map(str, ASKED), "--notebooks", str(complete), "--out",
                 str(tmp_path / "out")]
    process = support.python(
        "-c", "import sys; sys.path.insert(0, sys.argv[1]); import labutils;"
        "assert labutils.__file__.startswith(sys.argv[1]);"
        "from labkit.__main__ import main; sys.exit(main(sys.argv[2:]))",
        edition, *arguments, PYTHONPATH=None)
    code, said, err = support.finish(process)
    assert (code, err) == (0, ""), said
    assert support.names(tmp_path / "out") == [f"{STEM}.html"]
    guide = (edition / "README.md").read_text(encoding="utf-8")
    assert "labutils report" in guide.partition("## Hand in")[2]
