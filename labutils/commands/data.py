"""labutils data: show which text is used, or get The Time Machine."""

import argparse
from pathlib import Path
from typing import Any

from labutils import corpus, settings


def add(commands: Any) -> None:
    data = commands.add_parser(
        "data",
        help="show which text is used, or get The Time Machine",
        description="Show which text the notebooks use, or get the book's.",
        epilog="example: labutils data fetch --from ~/timemachine.txt",
    )
    data.add_argument("action", nargs="?", choices=("show", "fetch"),
                      default="show")
    data.add_argument("--from", dest="source", type=Path, metavar="FILE",
                      help="with fetch: take this copy, do not download")
    data.set_defaults(command=_data)


def _data(options: argparse.Namespace) -> int:
    if options.source and options.action != "fetch":
        raise ValueError("--from goes with fetch: labutils data fetch --from")
    if options.action == "show":
        return _show()
    path: Path | None
    if options.source:
        path = corpus.adopt(options.source)
    else:
        from labutils import download

        try:
            path = download.fetch(again=True).path
        except download.DownloadError as error:
            raise RuntimeError(f"{error} {corpus.WAYS_TO_GET_IT}") from error
    print(f"{corpus.TIME_MACHINE}: verified and stored as {path}")
    return 0


def _show() -> int:
    """Where a text is looked for, and what is there; downloads nothing."""
    cached = settings.data_dir() / corpus.FILE_NAME
    print(f"LABUTILS_TEXT: {settings.text() or 'not set'}")
    state = "there" if cached.exists() else "not there"
    print(f"data folder:   {cached} ({state})")
    found = corpus.find_corpus(download=False)
    print(found)
    return 0
