"""Translated notebooks follow their source and lose nothing."""

import ast

import lesson
import nbformat
import polib
import pytest
from nbformat import v4

from labkit import __main__ as cli
from labstaff import translate
from labutils import settings

TEXTS = {
    "lesson-0": "# 7. 测试用的一课",
    "lesson-6": "为什么？因为时间在前。",
    "more": "看图 ![](images/rnn.svg)：$h_t$ 有 256 个数，见 `rnn`。",
}
MORE = "Look, ![](images/rnn.svg): $h_t$ has 256 numbers, see `rnn`."


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The path of a small lesson in English."""
    notebook = lesson.lesson()
    notebook.cells.append(v4.new_markdown_cell(MORE, id="more"))
    root = lesson.course(tmp_path / "course", notebook)
    monkeypatch.setattr(settings, "home", lambda: root)
    return root / "notebooks" / "07_lesson.ipynb"


@pytest.fixture
def translated(source):
    """The same, when a translator has done all the work."""
    translate.translate()
    fill(po(source), TEXTS)
    assert translate.translate() == []
    return source


def po(source):
    return source.parent / "zh" / "07_lesson.po"


def fill(path, texts):
    entries = polib.pofile(str(path))
    for entry in entries:
        if entry.msgctxt in texts:
            entry.msgstr = texts[entry.msgctxt]
            entry.flags = []
    entries.save()


def drift():
    """What a translator has to do, and the files that are not as they should
    be."""
    found = []
    for files, faults in translate.made("zh"):
        found += faults + [path.name for path, content in files.items()
                           if path.read_bytes() != content]
    return found


def test_notebooks_and_messages_follow_their_source():
    """Where not, run `labutils translate`."""
    assert drift() == []


def edit(path, change):
    notebook = nbformat.read(path, as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, path)


def test_what_is_new_waits_for_a_translator(source):
    left = translate.translate()
    assert left == [f"07_lesson, cell {i}: not translated" for i in TEXTS]
    assert (source.parent / "zh" / source.name).exists()
    assert drift() == left


def test_only_text_cells_differ(translated):
    ours = nbformat.read(translated, as_version=4)
    theirs = nbformat.read(
        translated.parent / "zh" / translated.name, as_version=4)
    assert ours.metadata == theirs.metadata
    for cell, other in zip(ours.cells, theirs.cells, strict=True):
        if cell.cell_type == "markdown":
            expected = TEXTS[cell.id].replace("(images", "(../images")
            assert other.pop("source") == expected
            cell.pop("source")
        assert cell == other
    assert drift() == []


def test_made_twice_the_bytes_are_the_same(translated):
    folder = translated.parent / "zh"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert translate.translate() == []
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_changed_cell_is_named_and_keeps_its_translation(translated):
    edit(translated, lambda cells: cells[-1].update(source=MORE + " So."))
    assert drift() == ["07_lesson, cell more: the English text has changed",
                       "07_lesson.po"]
    assert len(translate.translate()) == 1
    entry = polib.pofile(str(po(translated))).find("more", by="msgctxt")
    assert entry.fuzzy and entry.previous_msgid == MORE
    assert entry.msgstr == TEXTS["more"]


def test_nothing_that_was_translated_is_lost(translated):
    gone = []
    edit(translated, lambda cells: gone.append(cells.pop()))
    assert translate.translate() == []
    [old] = polib.pofile(str(po(translated))).obsolete_entries()
    assert old.msgstr == TEXTS["more"]
    edit(translated, lambda cells: cells.append(gone[0]))
    assert translate.translate() == []


def test_swapped_code_is_found(translated):
    def swap(cells):
        cells[2], cells[4] = cells[4], cells[2]

    edit(translated.parent / "zh" / translated.name, swap)
    assert drift() == ["07_lesson.ipynb"]


@pytest.mark.parametrize(("lost", "kind"), [
    ("$h_t$", "formula"), ("256", "number"), ("`rnn`", "code"),
    ("(images/rnn.svg)", "link"),
])
def test_what_a_translation_lost_is_named(translated, lost, kind):
    fill(po(translated), {"more": TEXTS["more"].replace(lost, "")})
    [fault] = translate.translate()
    assert fault.startswith(f"07_lesson, cell more: the {kind} ")


def test_the_command_says_what_is_left(source, capsys):
    assert cli.main(["translate"]) == 1
    assert "3 left" in capsys.readouterr().out
    fill(po(source), TEXTS)
    assert cli.main(["translate"]) == 0


# ---- messages


def test_messages_are_texts_with_gaps():
    tree = ast.parse('''
def f(x):
    "A docstring has words."
    say(f"{len(x):,} of {{{x}}}" + " so " + (y if x else "no more"))
    require(x, "zeros", "it" if x else "they", {"key": "other"})
    return "a {} b".format(x)
''')
    assert [*translate.messages(tree)] == [
        "{0} of {{{1}}} so {2}", "no more", "zeros", "it", "they", "a {0} b"]


def test_a_changed_message_keeps_its_translation(tmp_path, monkeypatch):
    lesson.course(tmp_path, lesson.lesson())
    monkeypatch.setattr(settings, "home", lambda: tmp_path)
    module = tmp_path / "labutils" / "a.py"
    module.parent.joinpath("locale").mkdir(parents=True)
    module.write_text('say("A message of some words")')
    translate.translate()
    path = translate.catalogue("zh")
    entries = polib.pofile(str(path))
    entries.find("A message of some words").msgstr = "一句话"
    entries.save()
    module.write_text('say("A message of some more words")')
    assert any("has changed" in fault for fault in translate.translate())
    entries = polib.pofile(str(path))
    assert entries.find("A message of some more words").fuzzy
    [old] = entries.obsolete_entries()
    assert old.msgstr == "一句话"
