"""The text to train on: find it, verify it, and say which one it is.

The Time Machine is looked for in the file named by LABUTILS_TEXT, in the data
folder and on the network; where none has it, the bundled practice text stands
in, with a warning.
"""

import hashlib
import os
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from labutils import settings
from labutils.files import say, write_atomically
from labutils.files import translated as _

TIME_MACHINE = "The Time Machine"
FILE_NAME = "timemachine.txt"
SIZE = 178_979
SHA256 = "8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516"
URLS = (
    # The address in the book.
    "http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
    # The book's repository at one commit.
    "https://raw.githubusercontent.com/d2l-ai/d2l-zh/"
    "592fbef84a684e752393edbf267c07dbc53e082b/data/timemachine.txt",
)
CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 5.0, 10.0, 60.0
# Why the last download of this process failed: a notebook loads its text
# several times, and should wait for a dead network only once.
_failed: str | None = None
_say_once = cache(say)

WAYS_TO_GET_IT = (
    "Three ways to get The Time Machine: "
    "(1) with a network connection, run `labutils data fetch`; "
    "(2) with a copy of the book's timemachine.txt, run "
    "`labutils data fetch --from FILE`; "
    "(3) set LABUTILS_TEXT to the path of such a copy.")


class CorpusError(RuntimeError):
    """A text cannot be used; the message says why and what to do."""


class DownloadError(CorpusError):
    """An address, or each of them, did not give The Time Machine."""


class PracticeTextWarning(UserWarning):
    """The practice text stands in for The Time Machine."""


@dataclass(frozen=True)
class Corpus:
    """A text that is fit for use."""

    name: str
    source: str  # where it was found, in words
    sha256: str  # of the file's bytes, in hexadecimal digits
    text: str = field(repr=False)
    path: Path | None = None  # None for the practice text

    def __str__(self) -> str:
        return f"Corpus: {self.name}, from {self.source}"

    def record(self) -> dict[str, str]:
        """What a saved result says of the corpus it was made with."""
        return {k: getattr(self, k) for k in ("name", "source", "sha256")}


def find_corpus(*, download: bool = True) -> Corpus:
    """The Time Machine, or the practice text where there is no way to get it.

    Raises:
        CorpusError: LABUTILS_TEXT names a file that is not The Time Machine.
    """
    asked = settings.text()
    if asked == settings.PRACTICE:
        return practice_text()
    if isinstance(asked, Path):
        return open_time_machine(asked, "the file named by LABUTILS_TEXT")
    cached = settings.data_dir() / FILE_NAME
    # os.access: a Path in a locked folder raises instead of answering.
    if os.access(cached, os.F_OK):
        try:
            return open_time_machine(cached, "the data folder")
        except CorpusError as error:
            warnings.warn(f"{error} {set_aside(cached)}", stacklevel=2)
    try:
        if download:
            return fetch()
        raise CorpusError(_(f"there is no copy in {cached.parent}."))
    except CorpusError as error:
        warnings.warn(_(
            "TRAINING ON THE PRACTICE TEXT, not on The Time Machine: "
            f"{error} {WAYS_TO_GET_IT}"), PracticeTextWarning, stacklevel=2)
        return practice_text()


def read_corpus() -> Corpus:
    """`find_corpus`, and say once which text it is."""
    corpus = find_corpus()
    _say_once(str(corpus))
    return corpus


def open_time_machine(path: Path, source: str) -> Corpus:
    """Read and verify a copy of The Time Machine, found in `source`."""
    try:
        text = _verified(path.read_bytes(), path)
        return Corpus(TIME_MACHINE, source, SHA256, text, path)
    except OSError as error:
        fault = _(f"Cannot read {path} ({source}): {error.strerror or error}. "
                  f"Expected a copy of {TIME_MACHINE}.")
    except CorpusError as error:
        fault = str(error)
    raise CorpusError(f"{fault} {_(WAYS_TO_GET_IT)}")


def _verified(data: bytes, origin: Path | str) -> str:
    """The Time Machine, once `data` is known to be just that."""
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise CorpusError(_(
            f"{origin} is not {TIME_MACHINE}: {_describe(data)}. "
            f"Expected SHA-256 {SHA256} ({SIZE:,} bytes), "
            f"found {found} ({len(data):,} bytes). It will not be used."))
    return data.decode("utf-8")


def _describe(data: bytes) -> str:
    """The likeliest reason why `data` is not The Time Machine."""
    if not data:
        return "the file is empty"
    start = data[:1000].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, perhaps an error or login page"
    unix = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    if hashlib.sha256(unix).hexdigest() == SHA256:
        return "its line ends or its encoding mark were changed"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it was saved as UTF-16, not UTF-8"
    if start.startswith(b"the time machine, by h. g. wells [1898]"):
        return "it was cut short" if len(data) < SIZE else "it was changed"
    return "it is some other text"


def set_aside(path: Path) -> str:
    """Rename a bad file, so that it is kept but never used, and say where."""
    bad = path.with_name(f"{path.name}.bad")
    try:
        path.replace(bad)
    except OSError as error:
        return _(f"It could not be moved aside ({error.strerror}).")
    return _(f"It is kept as {bad}.")


def adopt(source: Path) -> Path:
    """Verify a copy of The Time Machine and put it into the data folder."""
    return store(open_time_machine(source, "the file given").text.encode())


def store(data: bytes, name: str = FILE_NAME) -> Path:
    """Write bytes into the data folder, whole or not at all."""
    path = settings.data_dir() / name
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CorpusError(_(
            f"Cannot write {path}: {error.strerror or error}. Make the folder "
            "writable or set LABUTILS_DATA_DIR to another one.")) from error
    return path


def fetch(*, again: bool = False) -> Corpus:
    """Download The Time Machine into the data folder.

    Args:
        again: try even where this process has tried before and failed.

    Raises:
        DownloadError: no address gave the text; says why for each.
    """
    global _failed
    if _failed and not again:
        raise DownloadError(_failed)
    reasons = []
    for url in URLS:
        try:
            data = _download(url)
            text = _verified(data, url)
        except DownloadError as error:
            reasons.append(f"{url}: {error}.")
        except CorpusError as error:
            reasons.append(f"{error} {_keep(data)}")
        else:
            _failed = None
            return Corpus(  # as it came: another process may be writing there
                TIME_MACHINE, "a download into the data folder", SHA256, text,
                store(data))
    _failed = _(f"{TIME_MACHINE} could not be downloaded. {' '.join(reasons)}")
    raise DownloadError(_failed)


def _download(url: str) -> bytes:
    """The bytes at `url`, within TOTAL_SECONDS and ten times the text's size.

    requests counts its timeout from one packet to the next, and a server that
    drips would hold a notebook for hours: look at the time after each.
    """
    # They take a while to import: only a download needs them.
    import requests
    from urllib3 import exceptions

    end, data = time.monotonic() + TOTAL_SECONDS, b""
    timeout = CONNECT_SECONDS, READ_SECONDS
    try:
        with requests.get(url, stream=True, timeout=timeout) as answer:
            answer.raise_for_status()
            while packet := answer.raw.read1(2**16, decode_content=True):
                data += packet
                if time.monotonic() > end:
                    raise requests.Timeout(
                        f"not complete after {TOTAL_SECONDS:.0f} s")
                if len(data) > 10 * SIZE:
                    raise DownloadError(_("it sends far more than the text"))
        return data
    except requests.HTTPError as error:
        fault = f"the server answered {error.response.status_code}"
    except (requests.Timeout, exceptions.TimeoutError) as error:
        fault = f"too slow ({error})"
    except requests.ConnectionError:
        fault = "no connection"
    except exceptions.ProtocolError:
        fault = "the connection broke off in the middle of the text"
    except (requests.RequestException, exceptions.HTTPError) as error:
        fault = str(error)
    raise DownloadError(_(fault))


def _keep(data: bytes) -> str:
    """Keep what came in place of the text, for someone to look at."""
    with suppress(CorpusError):
        return set_aside(store(data, f"{FILE_NAME}.part"))
    return ""


def practice_text() -> Corpus:
    """The bundled practice text."""
    data = Path(__file__).with_name("practice.txt").read_bytes()
    return Corpus(
        "the practice text (not The Time Machine)", "the labutils package",
        hashlib.sha256(data).hexdigest(), data.decode("ascii"),
    )
