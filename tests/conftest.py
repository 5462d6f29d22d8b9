"""Fixtures of several test files."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from support import STAND_IN, Server, take_stand_in

from labutils import corpus

# A busy machine makes no test fail.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server on this machine, not reached through any proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with Server() as running:
        yield running


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the cached text will be: in an empty data folder of the test's
    own, with LABUTILS_TEXT unset, the stand-in text for the book, no text
    announced, and no failed download behind it."""
    monkeypatch.delenv("LABUTILS_TEXT", raising=False)
    monkeypatch.setenv("LABUTILS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(corpus, "_failed", None)
    corpus._say_once.cache_clear()
    take_stand_in(monkeypatch.setattr)
    return tmp_path / "data" / "timemachine.txt"


@pytest.fixture
def good_copy(tmp_path: Path) -> Path:
    """A copy of the stand-in text, somewhere."""
    path = tmp_path / "copy.txt"
    path.write_bytes(STAND_IN)
    return path
