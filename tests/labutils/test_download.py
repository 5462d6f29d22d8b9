import gzip
import threading

import pytest
import support
from support import STAND_IN, Handler, body, closed_address, names

from labutils import corpus
from labutils.corpus import (
    CorpusError,
    DownloadError,
    PracticeTextWarning,
    find_corpus,
)

WEB_PAGE = b"<!DOCTYPE html>\n<html><title>Please log in</title></html>\n"
SAME_LENGTH = STAND_IN[:-1] + b"#"


@pytest.fixture
def only(monkeypatch, server):
    """Make this answer the only one that a download can get."""

    def serve(answer) -> str:
        url = server.at("/timemachine.txt", answer)
        monkeypatch.setattr(corpus, "URLS", (url,))
        return url

    return serve


def never(handler: Handler) -> None:
    """Take the question and say nothing until the test is over."""
    handler.server.over.wait(30)


def stall(handler: Handler) -> None:
    """Stop in the middle of the text."""
    body(STAND_IN[:1000], length=len(STAND_IN))(handler)
    never(handler)


def drip(handler: Handler) -> None:
    """Send a byte now and then, and break off after six seconds."""
    body(b"", length=len(STAND_IN))(handler)
    for byte in STAND_IN[:300]:
        handler.wfile.write(bytes([byte]))
        if handler.server.over.wait(0.02):
            break


def endless(handler: Handler) -> None:
    """Send until the other side hangs up."""
    body(b"")(handler)
    while not handler.server.over.is_set():
        handler.wfile.write(STAND_IN)


def hang_up(handler: Handler) -> None:
    """Close the connection without a word."""


def refuse(*reasons: str) -> str:
    """A download fails for these reasons; returns the message."""
    with pytest.raises(DownloadError) as caught:
        corpus.fetch()
    message = str(caught.value)
    assert message.startswith("The Time Machine could not be downloaded. ")
    for reason in reasons:
        assert reason in message
    assert "\n" not in message
    return message


# What is right is stored.


@pytest.mark.parametrize("length", [None, len(STAND_IN)])
def test_good_text_is_stored_as_it_is(cached, only, length):
    only(body(STAND_IN, length=length))
    assert corpus.fetch().path == cached
    assert cached.read_bytes() == STAND_IN
    assert names(cached.parent) == ["timemachine.txt"]


def test_text_that_the_server_compressed(cached, only):
    def compressed(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(gzip.compress(STAND_IN))

    only(compressed)
    assert corpus.fetch().text.encode() == STAND_IN


def test_redirect_is_followed(cached, only, server):
    def moved(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere.txt")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    only(moved)
    server.at("/elsewhere.txt", body(STAND_IN))
    assert corpus.fetch().text.encode() == STAND_IN
    assert server.asked == ["/timemachine.txt", "/elsewhere.txt"]


def test_good_text_replaces_what_is_cached(cached, only):
    cached.parent.mkdir()
    cached.write_bytes(WEB_PAGE)
    only(body(STAND_IN))
    assert corpus.fetch().text.encode() == STAND_IN


def test_the_addresses_are_the_books_and_one_of_a_fixed_commit():
    book, mirror = corpus.URLS
    assert book == (
        "http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt"
    )
    assert mirror == (
        "https://raw.githubusercontent.com/d2l-ai/d2l-zh/"
        "592fbef84a684e752393edbf267c07dbc53e082b/data/timemachine.txt"
    )


# What brings no text leaves nothing behind.


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (body(b"no such file", status=404), "the server answered 404."),
        (body(b"out of order", status=500), "the server answered 500."),
        (body(STAND_IN, status=503), "the server answered 503."),
        (hang_up, "no connection."),
        (body(STAND_IN[:-1], length=len(STAND_IN)), "broke off in the middle"),
        (never, "too slow"),
        (stall, "too slow"),
        (endless, "it sends far more than the text."),
    ],
    ids=["404", "500", "503", "hang up", "cut short", "never", "stall",
         "endless"],
)
def test_failure_leaves_nothing(monkeypatch, cached, only, answer, reason):
    if reason == "too slow":
        monkeypatch.setattr(corpus, "READ_SECONDS", 0.3)
    url = only(answer)
    refuse(f"{url}: ", reason)
    assert not cached.parent.exists()


def test_connection_refused(monkeypatch, cached):
    url = closed_address()
    monkeypatch.setattr(corpus, "URLS", (url,))
    refuse(f"{url}: no connection.")
    assert not cached.parent.exists()


def test_the_total_time_counts_when_a_server_drips(monkeypatch, cached, only):
    monkeypatch.setattr(corpus, "TOTAL_SECONDS", 1.0)
    only(drip)
    refuse("too slow (not complete after 1 s)")
    assert not cached.parent.exists()


def test_a_redirect_in_a_circle_ends(cached, only, server):
    def moved(handler: Handler) -> None:
        handler.send_response(301)
        handler.send_header("Location", "/timemachine.txt")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    only(moved)
    refuse("Exceeded 30 redirects.")
    assert len(server.asked) == 31


# What is not the text is kept aside, under a name that nobody reads.


@pytest.mark.parametrize(
    ("data", "diagnosis"),
    [
        (b"", "the file is empty"),
        (WEB_PAGE, "it is a web page"),
        (STAND_IN[:-1], "it was cut short"),
        (SAME_LENGTH, "it was changed"),
        (STAND_IN.replace(b"\n", b"\r\n"), "its line ends"),
        (STAND_IN * 2, "it was changed"),
    ],
    ids=["empty", "page", "cut short", "same length", "CRLF", "twice"],
)
def test_wrong_text_is_kept_aside_and_never_used(
    cached, only, data, diagnosis
):
    url = only(body(data))
    aside = cached.with_name("timemachine.txt.part.bad")
    refuse(
        f"{url} is not The Time Machine: {diagnosis}",
        f"found {corpus.hashlib.sha256(data).hexdigest()}",
        f"It is kept as {aside}.",
    )
    assert names(cached.parent) == [aside.name]
    assert aside.read_bytes() == data
    with pytest.warns(PracticeTextWarning, match=diagnosis):
        assert find_corpus() == corpus.practice_text()


def test_wrong_text_never_replaces_a_good_one(cached, only):
    corpus.store(STAND_IN)
    only(body(SAME_LENGTH))
    refuse("it was changed")
    assert cached.read_bytes() == STAND_IN


def test_wrong_text_where_it_cannot_be_kept(
    monkeypatch, cached, only, good_copy
):
    monkeypatch.setenv("LABUTILS_DATA_DIR", str(good_copy / "data"))
    only(body(WEB_PAGE))
    assert "It is kept" not in refuse("it is a web page")


def test_good_text_that_cannot_be_stored(monkeypatch, cached, only, good_copy):
    monkeypatch.setenv("LABUTILS_DATA_DIR", str(good_copy / "data"))
    only(body(STAND_IN))
    with pytest.raises(CorpusError, match="set LABUTILS_DATA_DIR") as caught:
        corpus.fetch()
    assert not isinstance(caught.value, DownloadError)


# Two addresses.


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (body(b"", status=404), []),
        (body(WEB_PAGE), ["timemachine.txt.part.bad"]),
        (never, []),
    ],
    ids=["404", "page", "never"],
)
def test_the_second_address_serves_where_the_first_does_not(
    monkeypatch, cached, server, answer, left
):
    urls = server.at("/first", answer), server.at("/second", body(STAND_IN))
    monkeypatch.setattr(corpus, "URLS", urls)
    monkeypatch.setattr(corpus, "READ_SECONDS", 1.0)
    assert corpus.fetch().text.encode() == STAND_IN
    assert server.asked == ["/first", "/second"]
    assert names(cached.parent) == ["timemachine.txt", *left]


def test_the_second_address_is_not_asked_without_need(
    monkeypatch, cached, server
):
    urls = server.at("/first", body(STAND_IN)), server.at("/second", never)
    monkeypatch.setattr(corpus, "URLS", urls)
    corpus.fetch()
    assert server.asked == ["/first"]


def test_the_error_names_each_address_with_its_reason(
    monkeypatch, cached, server
):
    urls = (
        closed_address(),
        server.at("/page", body(WEB_PAGE)),
        server.at("/gone", body(b"", status=410)),
    )
    monkeypatch.setattr(corpus, "URLS", urls)
    message = refuse(
        f"{urls[0]}: no connection.",
        f"{urls[1]} is not The Time Machine: it is a web page",
        f"{urls[2]}: the server answered 410.",
    )
    places = [message.index(url) for url in urls]
    assert places == sorted(places)


# A process waits for a dead network only once.


def test_a_failure_is_remembered(cached, only, server):
    only(body(b"", status=404))
    first = refuse("404")
    assert refuse("404") == first
    with pytest.warns(PracticeTextWarning, match="404"):
        find_corpus()
    assert server.asked == ["/timemachine.txt"]


def test_again_tries_again(cached, only, server):
    only(body(b"", status=404))
    refuse("404")
    with pytest.raises(DownloadError, match="404"):
        corpus.fetch(again=True)
    assert len(server.asked) == 2
    only(body(STAND_IN))
    assert corpus.fetch(again=True).path == cached
    assert len(server.asked) == 3


def test_a_success_is_the_end_of_a_failure(cached, only):
    only(body(b"", status=404))
    refuse("404")
    only(body(STAND_IN))
    corpus.fetch(again=True)
    cached.unlink()
    assert find_corpus().path == cached


# Several notebooks at once. The processes split off from one that has all its
# imports behind it: six imports of torch would take longer than all the rest.

SIX = """
import multiprocessing, os, sys
import support

context = multiprocessing.get_context("fork" if os.name != "nt" else "spawn")
processes = [
    context.Process(target=support.use_corpus, args=(sys.argv[1],))
    for _ in range(6)
]
for process in processes:
    process.start()
for process in processes:
    process.join()
print([process.exitcode for process in processes])
"""


@pytest.mark.slow
def test_six_processes_at_once_on_an_empty_cache(cached, server):
    together = threading.Barrier(6)

    def when_all_have_asked(handler: Handler) -> None:
        together.wait(30)
        body(STAND_IN, length=len(STAND_IN))(handler)

    url = server.at("/timemachine.txt", when_all_have_asked)
    code, out, err = support.finish(support.python("-c", SIX, url))
    assert (code, out, err) == (0, "[0, 0, 0, 0, 0, 0]\n", "")
    assert len(server.asked) == 6
    assert cached.read_bytes() == STAND_IN
    assert names(cached.parent) == ["timemachine.txt"]
