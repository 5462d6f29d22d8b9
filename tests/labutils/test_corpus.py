import hashlib
import json
import os
import string
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import support
from support import STAND_IN, body, closed_address, names

from labutils import corpus
from labutils.corpus import (
    WAYS_TO_GET_IT,
    CorpusError,
    PracticeTextWarning,
    find_corpus,
    practice_text,
)
from labutils.text import clean_line


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def changed(data: bytes) -> bytes:
    """The same number of bytes, with one letter of the end replaced."""
    return data[:-3] + b"#" + data[-2:]


WEB_PAGE = b"\n<!DOCTYPE html>\n<html><title>Please log in</title></html>\n"
BAD = {
    "empty": (b"", "the file is empty"),
    "web page": (WEB_PAGE, "it is a web page"),
    "bare web page": (b"<html>\n404\n</html>\n", "it is a web page"),
    "XML": (b"<?xml version='1.0'?><Error/>", "it is a web page"),
    "cut short": (STAND_IN[:-1], "it was cut short"),
    "a packet": (STAND_IN[:1000], "it was cut short"),
    "one letter": (changed(STAND_IN), "it was changed"),
    "longer": (STAND_IN + b"More.\n", "it was changed"),
    "CRLF": (STAND_IN.replace(b"\n", b"\r\n"), "its line ends or its enc"),
    "BOM": (b"\xef\xbb\xbf" + STAND_IN, "its line ends or its encoding mark"),
    "BOM, CRLF": (
        b"\xef\xbb\xbf" + STAND_IN.replace(b"\n", b"\r\n"),
        "its line ends or its encoding mark",
    ),
    "UTF-16": (STAND_IN.decode().encode("utf-16"), "it was saved as UTF-16"),
    "UTF-16 BE": (
        b"\xfe\xff" + STAND_IN.decode().encode("utf-16-be"),
        "it was saved as UTF-16",
    ),
    "other text": (b"Call me Ishmael.\n", "it is some other text"),
}


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(corpus, "URLS", (closed_address(),))


@pytest.fixture
def network(monkeypatch, server):
    """The right text is on the network."""
    url = server.at("/timemachine.txt", body(STAND_IN))
    monkeypatch.setattr(corpus, "URLS", (url,))
    return server


def use(monkeypatch, path: Path | str) -> None:
    monkeypatch.setenv("LABUTILS_TEXT", str(path))


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


@contextmanager
def warned(*categories: type[Warning]) -> Iterator[list[str]]:
    """The messages of a block's warnings, which are of these kinds."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        yield messages
    messages += [str(warning.message) for warning in record]
    assert [warning.category for warning in record] == list(categories)


# The order of places.


def test_the_named_file_comes_first(monkeypatch, cached, good_copy, network):
    put(cached, STAND_IN)
    use(monkeypatch, good_copy)
    found = find_corpus()
    assert found.path == good_copy
    assert found.source == "the file named by LABUTILS_TEXT"
    assert network.asked == []


def test_then_the_data_folder(cached, network):
    put(cached, STAND_IN)
    found = find_corpus()
    assert found.path == cached
    assert found.source == "the data folder"
    assert network.asked == []


def test_then_the_network(cached, network):
    found = find_corpus()
    assert found.path == cached
    assert found.source == "a download into the data folder"
    assert cached.read_bytes() == STAND_IN
    assert find_corpus().source == "the data folder"
    assert network.asked == ["/timemachine.txt"]


def test_then_the_practice_text(cached, no_network):
    with pytest.warns(PracticeTextWarning):
        assert find_corpus() == practice_text()


def test_practice_is_asked_for_without_a_warning(
    monkeypatch, cached, network
):
    put(cached, STAND_IN)
    use(monkeypatch, "practice")
    assert find_corpus() == practice_text()
    assert network.asked == []


def test_the_network_is_not_asked_when_told_so(cached, network):
    with pytest.warns(PracticeTextWarning, match="there is no copy in"):
        assert find_corpus(download=False) == practice_text()
    assert network.asked == []


# A corpus says what it is.


def test_what_is_found_is_the_verified_text(cached):
    put(cached, STAND_IN)
    found = find_corpus()
    assert found.name == "The Time Machine"
    assert found.text == STAND_IN.decode()
    assert found.sha256 == sha256(STAND_IN)
    assert found.record() == {
        "name": "The Time Machine",
        "source": "the data folder",
        "sha256": sha256(STAND_IN),
    }


def test_reading_says_which_text_it_is(monkeypatch, cached, capsys):
    put(cached, STAND_IN)
    for _ in range(2):  # once is enough
        assert corpus.read_corpus() == find_corpus()
    expected = "Corpus: The Time Machine, from the data folder\n"
    assert capsys.readouterr().out == expected
    use(monkeypatch, "practice")
    assert corpus.read_corpus() == practice_text()
    assert "practice text (not The Time Machine)" in capsys.readouterr().out


def test_the_text_is_not_in_the_representation(cached):
    put(cached, STAND_IN)
    assert "stands in for" not in repr(find_corpus())


def test_the_real_text_is_the_books():
    path = support.real_text()
    data = path.read_bytes()
    assert len(data) == corpus.SIZE == 178_979
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    assert sha1 == "090b5e7e70c295757f55df93cb0a180b9691891a"
    found = find_corpus()
    assert found.sha256 == corpus.SHA256 == sha256(data)
    assert found.text.encode("utf-8") == data
    assert found.path == path


# Nothing wrong gets in: the file named by LABUTILS_TEXT.


@pytest.mark.parametrize("kind", BAD)
def test_bad_named_file_is_refused_and_left_alone(
    monkeypatch, cached, tmp_path, kind, network
):
    data, diagnosis = BAD[kind]
    put(cached, STAND_IN)  # not a way out: the user asked for the other
    path = put(tmp_path / "mine" / "book.txt", data)
    use(monkeypatch, path)
    with pytest.raises(CorpusError) as caught:
        find_corpus()
    message = str(caught.value)
    assert message.startswith(f"{path} is not The Time Machine: {diagnosis}")
    assert f"Expected SHA-256 {sha256(STAND_IN)}" in message
    assert f"({len(STAND_IN):,} bytes)" in message
    assert f"found {sha256(data)} ({len(data):,} bytes)" in message
    assert message.endswith(WAYS_TO_GET_IT)
    assert path.read_bytes() == data
    assert names(path.parent) == ["book.txt"]
    assert network.asked == []


def test_named_file_that_is_not_there(monkeypatch, cached, tmp_path, network):
    path = tmp_path / "nowhere" / "book.txt"
    use(monkeypatch, path)
    with pytest.raises(CorpusError, match="No such file") as caught:
        find_corpus()
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(WAYS_TO_GET_IT)
    assert network.asked == []


def test_named_folder_is_refused(monkeypatch, cached, tmp_path):
    folder = tmp_path / "a folder"
    put(folder / "timemachine.txt", STAND_IN)
    use(monkeypatch, folder)
    with pytest.raises(CorpusError, match=r"Cannot read .*a folder"):
        find_corpus()
    assert folder.is_dir()


def test_the_practice_text_is_not_taken_for_the_book(
    monkeypatch, cached, tmp_path
):
    data = practice_text().text.encode()
    use(monkeypatch, put(tmp_path / "book.txt", data))
    with pytest.raises(CorpusError, match="some other text"):
        find_corpus()


def test_each_use_verifies_again(monkeypatch, cached, good_copy):
    use(monkeypatch, good_copy)
    assert find_corpus().text == STAND_IN.decode()
    good_copy.write_bytes(changed(STAND_IN))
    with pytest.raises(CorpusError, match="it was changed"):
        find_corpus()
    good_copy.write_bytes(STAND_IN)
    assert find_corpus().text == STAND_IN.decode()


# Nothing wrong gets in: the data folder.


@pytest.mark.parametrize("kind", BAD)
def test_bad_cached_copy_is_kept_aside_and_replaced(cached, network, kind):
    data, diagnosis = BAD[kind]
    put(cached, data)
    with warned(UserWarning) as seen:
        found = find_corpus()
    assert found.text == STAND_IN.decode()
    assert found.source == "a download into the data folder"
    assert cached.read_bytes() == STAND_IN
    aside = cached.with_name("timemachine.txt.bad")
    assert aside.read_bytes() == data
    assert names(cached.parent) == ["timemachine.txt", "timemachine.txt.bad"]
    [message] = seen
    for words in (
        f"{cached} is not The Time Machine: {diagnosis}",
        f"Expected SHA-256 {sha256(STAND_IN)}",
        f"found {sha256(data)} ({len(data):,} bytes)",
        "It will not be used.",
        f"It is kept as {aside}.",
    ):
        assert words in message


def test_bad_cached_copy_without_a_network(cached, no_network):
    put(cached, WEB_PAGE)
    with warned(UserWarning, PracticeTextWarning) as seen:
        assert find_corpus() == practice_text()
    assert "it is a web page" in seen[0]
    assert "TRAINING ON THE PRACTICE TEXT" in seen[1]
    assert names(cached.parent) == ["timemachine.txt.bad"]
    with warned(PracticeTextWarning):  # told once, not once again
        assert find_corpus() == practice_text()


def test_cached_copy_that_goes_bad_between_two_uses(cached, no_network):
    put(cached, STAND_IN)
    assert find_corpus().path == cached
    put(cached, changed(STAND_IN))
    with warned(UserWarning, PracticeTextWarning):
        assert find_corpus() == practice_text()


def test_folder_in_the_place_of_the_cached_copy(cached, network):
    cached.mkdir(parents=True)
    with warned(UserWarning) as seen:
        assert find_corpus().text == STAND_IN.decode()
    assert f"Cannot read {cached}" in seen[0]
    assert cached.with_name("timemachine.txt.bad").is_dir()


def test_the_latest_bad_copy_is_kept(cached):
    for data in (b"first", b"second"):
        put(cached, data)
        sentence = corpus.set_aside(cached)
        aside = cached.with_name("timemachine.txt.bad")
        assert sentence == f"It is kept as {aside}."
        assert aside.read_bytes() == data
        assert not cached.exists()


def test_what_cannot_be_kept_aside_is_said(cached):
    cached.parent.mkdir()
    assert corpus.set_aside(cached).startswith("It could not be moved aside")


# Falling back is loud.


def test_the_warning_has_the_reason_and_the_three_ways(cached, no_network):
    with warned(PracticeTextWarning) as seen:
        find_corpus()
    [message] = seen
    assert message.startswith("TRAINING ON THE PRACTICE TEXT, not on The Time")
    assert f"{corpus.URLS[0]}: no connection." in message
    assert message.count(WAYS_TO_GET_IT) == 1
    assert "`labutils data fetch`" in WAYS_TO_GET_IT
    assert "`labutils data fetch --from FILE`" in WAYS_TO_GET_IT
    assert "LABUTILS_TEXT" in WAYS_TO_GET_IT


def test_the_warning_comes_each_time(cached, no_network):
    for _ in range(3):
        with warned(PracticeTextWarning):
            find_corpus()


def test_one_network_answer_that_is_bad_is_told_with_the_ways_once(
    monkeypatch, cached, server
):
    url = server.at("/page", body(WEB_PAGE))
    monkeypatch.setattr(corpus, "URLS", (url,))
    with warned(PracticeTextWarning) as seen:
        assert find_corpus() == practice_text()
    assert f"{url} is not The Time Machine: it is a web" in seen[0]
    assert seen[0].count(WAYS_TO_GET_IT) == 1


# The practice text.


def practice_lines() -> list[str]:
    return [clean_line(line) for line in practice_text().text.splitlines()]


def test_practice_text_says_that_it_is_not_the_book():
    found = practice_text()
    assert found.name == "the practice text (not The Time Machine)"
    assert found.source == "the labutils package"
    assert found.path is None
    assert found.sha256 == sha256(found.text.encode())
    assert found.sha256 != corpus.SHA256


def test_practice_text_is_plain_ascii():
    text = practice_text().text
    assert set(text) <= set(string.printable) - set("\t\r\v\f")
    assert text.endswith("\n")


def test_practice_text_is_long_enough_to_train_on():
    assert sum(map(len, practice_lines())) >= 18_000


def test_practice_text_is_about_a_time_traveller():
    lines = practice_lines()
    assert sum("time traveller" in line for line in lines) >= 60


def test_practice_text_has_every_letter():
    assert set(string.ascii_lowercase) <= set("".join(practice_lines()))


def test_practice_text_has_the_lines_of_a_book():
    assert max(map(len, practice_text().text.splitlines())) <= 72


# Taking a copy that the user has.


def test_adopt_takes_a_good_copy(cached, good_copy):
    assert corpus.adopt(good_copy) == cached
    assert cached.read_bytes() == good_copy.read_bytes() == STAND_IN
    assert names(cached.parent) == ["timemachine.txt"]
    assert find_corpus().source == "the data folder"


def test_adopt_takes_the_cached_copy_itself(cached):
    put(cached, STAND_IN)
    assert corpus.adopt(cached) == cached
    assert cached.read_bytes() == STAND_IN


@pytest.mark.parametrize("kind", BAD)
def test_adopt_refuses_a_bad_copy(cached, tmp_path, kind):
    data, diagnosis = BAD[kind]
    put(cached, STAND_IN)
    path = put(tmp_path / "mine" / "book.txt", data)
    with pytest.raises(CorpusError, match=diagnosis) as caught:
        corpus.adopt(path)
    assert str(caught.value).endswith(WAYS_TO_GET_IT)
    assert path.read_bytes() == data
    assert cached.read_bytes() == STAND_IN
    assert names(cached.parent) == ["timemachine.txt"]


def test_adopt_says_what_is_not_there(cached, tmp_path):
    with pytest.raises(CorpusError, match=r"Cannot read .*gone\.txt"):
        corpus.adopt(tmp_path / "gone.txt")
    assert not cached.parent.exists()


def test_adopt_says_where_it_cannot_write(monkeypatch, cached, good_copy):
    monkeypatch.setenv("LABUTILS_DATA_DIR", str(good_copy / "data"))
    with pytest.raises(CorpusError) as caught:
        corpus.adopt(good_copy)
    assert f"Cannot write {good_copy / 'data'}" in str(caught.value)
    assert "set LABUTILS_DATA_DIR to another one" in str(caught.value)


# A data folder that cannot be written. Root may write everywhere, so these
# run in a process that becomes nobody.

LOOK = """
import json, os, sys, warnings
import support
from labutils import corpus

support.take_stand_in()
url, *folders = sys.argv[1:]

def look(folder):
    os.environ["LABUTILS_DATA_DIR"] = folder
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = corpus.find_corpus()
    return {
        "name": found.name,
        "source": found.source,
        "warnings": [str(warning.message) for warning in seen],
        "files": sorted(os.listdir(folder)) if os.access(folder, 4) else None,
    }

# What is imported on first use is imported now: nobody may not read it.
corpus.URLS = (support.closed_address(),)
look(folders.pop(0))
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
corpus.URLS, corpus._failed = (url,), None
print(json.dumps([look(folder) for folder in folders]))
"""


@pytest.fixture(scope="module")
def read_only():
    """What is found in folders that may be read but not written."""
    if os.name == "nt":
        pytest.skip("Windows has no such modes")
    # pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory() as temp, support.Server() as server:
        root = Path(temp)
        root.chmod(0o755)
        folders = [
            root / name for name in ("first", "good", "empty", "bad", "shut")
        ]
        for folder in folders:
            folder.mkdir()
        (root / "good" / "timemachine.txt").write_bytes(STAND_IN)
        (root / "shut" / "timemachine.txt").write_bytes(STAND_IN)
        (root / "bad" / "timemachine.txt").write_bytes(WEB_PAGE)
        for folder in folders[1:]:
            folder.chmod(0o000 if folder.name == "shut" else 0o555)
        child = support.python(
            "-c", LOOK, server.at("/", body(STAND_IN)), *folders,
            LABUTILS_TEXT=None, no_proxy="127.0.0.1", NO_PROXY="127.0.0.1",
        )
        code, out, err = support.finish(child)
        for folder in folders:
            folder.chmod(0o755)
        assert (code, err) == (0, "")
        names = [folder.name for folder in folders[1:]]
        yield root, dict(zip(names, json.loads(out), strict=True))


@pytest.mark.slow
def test_read_only_folder_with_a_good_copy(read_only):
    _, found = read_only
    assert found["good"] == {
        "name": "The Time Machine",
        "source": "the data folder",
        "warnings": [],
        "files": ["timemachine.txt"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["empty", "shut"])
def test_folder_that_cannot_hold_a_download(read_only, folder):
    root, found = read_only
    assert found[folder]["name"] == practice_text().name
    [message] = found[folder]["warnings"]
    assert message.startswith("TRAINING ON THE PRACTICE TEXT")
    assert f"Cannot write {root / folder}" in message
    assert "set LABUTILS_DATA_DIR to another one" in message
    assert WAYS_TO_GET_IT in message
    assert found[folder]["files"] == ([] if folder == "empty" else None)


@pytest.mark.slow
def test_read_only_folder_with_a_bad_copy(read_only):
    root, found = read_only
    assert found["bad"]["name"] == practice_text().name
    bad, fallback = found["bad"]["warnings"]
    assert "it is a web page" in bad
    assert "It could not be moved aside" in bad
    assert f"Cannot write {root / 'bad'}" in fallback
    assert found["bad"]["files"] == ["timemachine.txt"]
