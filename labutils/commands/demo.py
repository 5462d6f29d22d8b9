"""labutils demo: a page for the lecture hall."""

import argparse
from typing import Any

from labutils.commands.arguments import count


def add(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="a page for the lecture hall: models that write",
        description="Open a page with the playground and the microscope over "
        "an RNN, an LSTM and a GRU. They are trained at the first start, one "
        "or two minutes, and kept in the results folder. No network needed.",
        epilog="example: labutils demo --port 8866",
    )
    demo.add_argument("--port", type=count, metavar="N",
                      help="default: 8866, or another one that is free")
    demo.add_argument("--no-browser", action="store_true",
                      help="only say the page's address")
    demo.add_argument("--train-only", action="store_true",
                      help="train and keep the models, open no page")
    demo.set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> int:
    from labutils import settings
    from labutils.corpus import find_corpus
    from labutils.teaching.demo import models, page

    settings.check()
    if not options.train_only:
        import voila  # noqa: F401  # missed now, not after the training

        port = page.free_port(options.port)
    # Found once here, not once again by each page's kernel.
    page.put_text(find_corpus())
    models.prepare()
    if not options.train_only:
        page.serve(port, not options.no_browser)
    return 0
