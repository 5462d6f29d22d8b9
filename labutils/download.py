"""The Time Machine from the network, verified before it is stored."""

import io
import threading
from contextlib import ExitStack

import pooch
import requests

from labutils import settings
from labutils.corpus import (
    FILE_NAME,
    SIZE,
    TIME_MACHINE,
    Corpus,
    CorpusError,
    set_aside,
    store,
    verify,
)
from labutils.files import write_atomically

URLS = (
    # The address in the book.
    "http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
    # The book's repository at one commit.
    "https://raw.githubusercontent.com/d2l-ai/d2l-zh/"
    "592fbef84a684e752393edbf267c07dbc53e082b/data/timemachine.txt",
)
CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 5.0, 10.0, 60.0

# Why the last download of this process failed. A notebook loads its text
# several times; without a network it should wait for that only once.
_failed: str | None = None


class DownloadError(CorpusError):
    """No address gave The Time Machine."""


def fetch(*, again: bool = False) -> Corpus:
    """Download The Time Machine into the data folder.

    Args:
        again: try even where this process has tried before and failed.

    Returns:
        The text, which is stored at `Corpus.path`.

    Raises:
        DownloadError: no address gave the text; says why for each.
        CorpusError: the data folder cannot be written.
    """
    global _failed
    if _failed and not again:
        raise DownloadError(_failed)
    reasons = []
    for url in URLS:
        try:
            data = _get(url)
            sha256 = verify(data, url)
        except requests.RequestException as error:
            reasons.append(f"{url}: {_explain(error)}.")
        except CorpusError as error:
            reasons.append(f"{error} {_keep(data)}")
        else:
            _failed = None
            # Not read again: another process may be busy in this folder.
            source = "a download into the data folder"
            text = data.decode("utf-8")
            return Corpus(TIME_MACHINE, source, sha256, text, store(data))
    _failed = f"{TIME_MACHINE} could not be downloaded. " + " ".join(reasons)
    raise DownloadError(_failed)


class _TooLong(requests.RequestException):
    """A server sends far more than the text."""


class _Buffer(io.BytesIO):
    """Memory for one text; a server that sends far more is cut off."""

    def write(self, data, /) -> int:
        if self.tell() + len(data) > 10 * SIZE:
            raise _TooLong("it sends far more than the text")
        return super().write(data)


def _get(url: str) -> bytes:
    """The bytes at `url`, within TOTAL_SECONDS.

    The timeouts of requests count from one packet to the next; a server that
    drips would hold the notebook for hours. So the download runs in a thread
    that is left behind when its time is over.
    """
    buffer = _Buffer()
    errors: list[BaseException] = []
    # pooch leaves the connection of a failed download open: close it here.
    answers = ExitStack()

    def close_later(answer: requests.Response, **_) -> None:
        answers.callback(answer.close)

    downloader = pooch.HTTPDownloader(
        timeout=(CONNECT_SECONDS, READ_SECONDS),
        hooks={"response": close_later},
    )

    def work() -> None:
        with answers:
            try:
                downloader(url, buffer, None)
            except BaseException as error:  # handed to the caller's thread
                errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(TOTAL_SECONDS)
    if thread.is_alive():
        buffer.close()  # its next write fails, which ends it
        raise requests.Timeout(f"not complete after {TOTAL_SECONDS:.0f} s")
    if errors:
        raise errors[0]
    return buffer.getvalue()


def _explain(error: requests.RequestException) -> str:
    """A short reason in place of a chain of nested library errors."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    # requests calls a pause in the middle of a text a ConnectionError.
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"too slow ({error})"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off in the middle of the text"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)


def _keep(data: bytes) -> str:
    """Keep what came in place of the text, for someone to look at."""
    path = settings.data_dir() / f"{FILE_NAME}.part"
    try:
        write_atomically(path, data)
    except OSError:
        return ""
    return set_aside(path)
