import io
import os
import sys
from pathlib import Path

import pytest
from support import names

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
    say("perplexity", "é 中文 ∞")
    assert terminal.getvalue() == shown + "\n"


def test_a_terminal_that_was_closed_ends_nothing(monkeypatch):
    terminal = io.StringIO()
    terminal.close()
    monkeypatch.setattr(sys, "stdout", terminal)
    say("lost")
    monkeypatch.setattr(sys, "stdout", None)  # as under pythonw
    say("lost")
