import io
import os
import sys
from pathlib import Path

import pytest
from support import names

from labutils import files
from labutils.files import say, write_atomically


def test_writes_the_bytes_as_they_are(tmp_path):
    path = tmp_path / "new" / "folder" / "text.txt"
    write_atomically(path, b"one\r\ntwo\n\xff")
    assert path.read_bytes() == b"one\r\ntwo\n\xff"
    assert names(path.parent) == ["text.txt"]


def test_replaces_the_old_file_whole(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"old and much longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["text.txt"]


def test_a_reader_never_sees_half_a_file(tmp_path, monkeypatch):
    """Until the last step the old file stands there, complete."""
    path = tmp_path / "text.txt"
    path.write_bytes(b"old")
    seen = []
    replace = Path.replace

    def look_then_replace(self, target):
        seen.append((path.read_bytes(), self.read_bytes(), self.parent))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look_then_replace)
    write_atomically(path, b"new")
    assert seen == [(b"old", b"new", tmp_path)]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_after_a_failure_only_the_old_file_is_there(
    tmp_path, monkeypatch, error, step
):
    path = tmp_path / "text.txt"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(type(error)):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["text.txt"]


def test_data_of_the_wrong_kind_leaves_the_old_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["text.txt"]


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "results").write_bytes(b"in the way")
    with pytest.raises(OSError, match="results"):
        write_atomically(tmp_path / "results" / "text.txt", b"new")
    assert names(tmp_path) == ["results"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_file_can_be_read_by_the_class(tmp_path):
    path = tmp_path / "text.txt"
    write_atomically(path, b"text")
    assert path.stat().st_mode & 0o777 == 0o644


# ---- lines on any terminal


class Terminal(io.StringIO):
    """A standard output of some encoding."""

    def __init__(self, encoding):
        super().__init__()
        self._encoding = encoding

    encoding = property(lambda self: self._encoding)

    def write(self, text):
        text.encode(self._encoding)  # as a real one does
        return super().write(text)


@pytest.mark.parametrize("encoding, shown", [
    ("utf-8", "perplexity é 中文 ∞"), ("gbk", "perplexity é 中文 ∞"),
    ("cp1252", r"perplexity é \u4e2d\u6587 \u221e"),
    ("ascii", r"perplexity \xe9 \u4e2d\u6587 \u221e"),
])
def test_a_line_can_be_shown_on_any_terminal(monkeypatch, encoding, shown):
    terminal = Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    say("perplexity é 中文 ∞")
    assert terminal.getvalue() == shown + "\n"


def test_a_terminal_that_was_closed_ends_nothing(monkeypatch):
    terminal = io.StringIO()
    terminal.close()
    monkeypatch.setattr(sys, "stdout", terminal)
    say("lost")
    monkeypatch.setattr(sys, "stdout", None)  # as under pythonw
    say("lost")


# ---- the reader's language


@pytest.mark.parametrize(("given", "place", "language"), [
    ({"LABUTILS_LANG": "zh", "LANG": "en_US.UTF-8"}, "", "zh"),
    ({"LABUTILS_LANG": "en", "LANG": "zh_CN.UTF-8"}, "notebooks/zh", "en"),
    ({"LANG": "en_US.UTF-8"}, "notebooks/zh", "zh"),
    ({"LANG": "zh_CN.UTF-8"}, "", "zh"),
    ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "", "en"),
    ({"JPY_SESSION_NAME": "/x/notebooks/zh/03.ipynb"}, "", "zh"),
    ({"JPY_SESSION_NAME": "/x/notebooks/03.ipynb", "LANG": "zh_CN.UTF-8"},
     "", "en"),
])
def test_the_language_is_asked_for_or_the_notebooks_or_the_systems(
    given, place, language, tmp_path, monkeypatch
):
    for name in ("LABUTILS_LANG", "JPY_SESSION_NAME", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / place)
    assert files.language() == language


@pytest.mark.parametrize(("text", "chinese"), [
    ("no error", "正常运行，不报错"),
    ("full run, 3 of 5 epochs", "完整运行，5 个迭代周期中的 3 个"),
    ("not used: W_xh", "没有用上：W_xh"),
    ("a missing bias; a gradient", "少了偏置；有梯度"),
    ("no error\na gradient", "正常运行，不报错\n有梯度"),
    ("ValueError: it is {0}\nand of no use", "ValueError: it is {0}\nand of "
     "no use"),
    ("the tokens '{1} of 中文 {}'", "词元 '{1} of 中文 {}'"),
    ("aro can stale of that is shas on il", "aro can stale of that is shas "
     "on il"),
])
def test_a_message_is_known_by_the_template_it_was_made_from(text, chinese):
    assert files.translated(text, "zh") == chinese
    assert files.translated(text, "en") == text


def test_nothing_that_was_filled_in_is_lost():
    for literals, translation in files._catalogue()[1]:
        values = [f"<{n}.{{x}}>值" for n in range(len(literals) - 1)]
        text = literals[0] + "".join(
            value + after
            for value, after in zip(values, literals[1:], strict=True))
        assert all(value in translation.format(*values) for value in values)
        made = files.translated(text, "zh")
        assert all(value in made for value in values), text


@pytest.mark.parametrize("part", [
    "x, as it stands before cell ", "the result = ", "cell ", "; ", "\n; ",
    "a, b; c: d. ", "in line 3 of your cell: ", "the {0} is "])
def test_a_text_that_is_no_message_ends_soon_and_as_it_is(part):
    """A student has written it; its parts are as many as it is long."""
    assert files.translated("owl " + part * 500, "zh").startswith("owl ")


def test_a_terminal_without_chinese_gets_escapes(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("LABUTILS_LANG", "zh")
    files.say("no error")
    assert stream.buffer.getvalue() == (
        b"\\u6b63\\u5e38\\u8fd0\\u884c\\uff0c\\u4e0d\\u62a5\\u9519\n")
