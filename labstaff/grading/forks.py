"""Where the processes that grade are forked from.

It has imported all that they need already: no notebook waits for that, and
none shares a process with another.
"""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

CHILD = f"{__package__}.child"


def context() -> BaseContext:
    """How processes are begun on this system."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([CHILD])
    return found


def warm() -> None:
    """Begin with those imports, while this process is busy with its own."""
    if context().get_start_method() == "forkserver":
        forkserver.ensure_running()
