"""Run the notebooks from start to end without a browser."""

import asyncio
import base64
import os
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from labkit.course import NotebookError, notebook_paths, read_notebook
from labutils import settings
from labutils.corpus import Corpus, find_corpus
from labutils.files import write_atomically
from labutils.view import quantize


def run(
    names: Sequence[str] = (), epochs: int | None = None,
    out: Path | None = None, in_place: bool = False,
) -> bool:
    """Execute notebooks, two at a time; a failure does not stop the rest.

    Small networks gain less from a second processor than a second notebook
    does. What is committed has the machine to itself, one after the other.
    Returns whether every notebook ran to its end.

    Args:
        names: which, as for `notebook_paths`; none means all.
        epochs: cap on every training's epochs.
        out: folder for executed copies and results; None takes the settings'.
        in_place: write full runs on The Time Machine back, for committing.

    Raises:
        NotebookError: there is no such notebook.
        RuntimeError: `in_place` is not allowed.
        SettingsError: an environment variable cannot be used.
    """
    paths = notebook_paths(names, extras=True)
    out = (settings.results_dir() if out is None else out).resolve()
    # For the kernels, and put back afterwards.
    variables = {"LABUTILS_RESULTS_DIR": str(out)}
    if epochs is not None:
        variables["LABUTILS_EPOCHS"] = str(epochs)
    with patch.dict(os.environ, variables):
        settings.check()
        corpus = find_corpus()
        targets = [p if in_place else out / p.name for p in paths]
        # --out can lead to the sources as well.
        if set(targets) & set(paths):
            _check_in_place(corpus)
        # Found once here, not once again in each kernel.
        os.environ["LABUTILS_TEXT"] = str(corpus.path or settings.PRACTICE)
        print(corpus, f"Results: {out}", sep="\n")
        start = time.monotonic()
        processors = settings.processors()
        at_once = 1 if in_place else min(2, processors, len(paths))
        os.environ.setdefault("OMP_NUM_THREADS", str(processors // at_once))
        # As in the Makefile.
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
        os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
        # With zmq, Windows' usual loop would warn.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            problems = runner.run(_execute_all(paths, targets, at_once))
        print(f"total {time.monotonic() - start:.0f} s")
    return not any(problems)


async def _execute_all(
    paths: Sequence[Path], targets: Sequence[Path], at_once: int,
) -> list[str | None]:
    """Execute them, so many at a time, and say of each how it went."""
    free = asyncio.Semaphore(at_once)

    async def execute(path: Path, target: Path) -> str | None:
        async with free:
            print(f"{path.stem} ...", flush=True)
            since = time.monotonic()
            problem = await _execute(path, target)
            seconds = time.monotonic() - since
            print(f"{path.stem}: {problem or 'ok'} ({seconds:.0f} s)",
                  flush=True)
            return problem

    pairs = [*zip(paths, targets, strict=True)]
    if at_once > 1:
        pairs.reverse()  # the last are the longest, and begin first
    return await asyncio.gather(*(execute(*pair) for pair in pairs))


def _check_in_place(corpus: Corpus) -> None:
    epochs, seconds = settings.epochs_cap(), settings.seconds_cap()
    if epochs is not None or seconds is not None or not corpus.path:
        raise RuntimeError(
            "Notebooks are committed after full runs on The Time Machine: "
            f"this run has {corpus.name}, its epochs are {epochs or 'not'} "
            f"capped and its seconds {seconds or 'not'}. Unset LABUTILS_EPOCHS"
            " and LABUTILS_SECONDS and get the text (`labutils data` tells "
            "how).")


async def _execute(path: Path, target: Path) -> str | None:
    """Execute one notebook and write it; in one line what went wrong."""
    try:
        notebook = read_notebook(path)
    except NotebookError as error:
        return str(error)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # no output of an earlier run may stay
            cell.outputs, cell.execution_count = [], None
    problem: str | None = "interrupted"
    try:
        await _run_cells(notebook, path.parent)
        problem = None
    except CellExecutionError as error:
        problem = f"{error.ename}: {error.evalue}".splitlines()[0]
    except DeadKernelError as error:
        problem = str(error)
    finally:
        # A run that fails or is interrupted never replaces the source.
        if target != path or problem is None:
            _shrink(notebook)
            text = nbformat.writes(notebook) + "\n"
            write_atomically(target, text.encode("utf-8"))
    return problem


def _shrink(notebook: NotebookNode) -> None:
    """Give every picture 256 colours: the notebook is kept in Git."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                png = quantize(base64.b64decode(data["image/png"]))
                data["image/png"] = base64.b64encode(png).decode()


async def _run_cells(notebook: NotebookNode, folder: Path) -> None:
    """Run all the cells in a kernel of their own, whose end is waited for.

    client.execute() takes Ctrl-C for itself, and leaves behind what complains;
    here Ctrl-C cancels this coroutine, and nothing is left.
    """
    manager = AsyncKernelManager(kernel_name="python3")
    client = NotebookClient(notebook, km=manager, timeout=None,
                            record_timing=False, coalesce_streams=True)
    client.reset_execution_trackers()
    finished = False
    try:
        # The kernel's own log goes; what a cell writes is the cell's output.
        await manager.start_kernel(cwd=str(folder), extra_arguments=[
            "--log-level=CRITICAL", "--HistoryManager.hist_file=:memory:"])
        await client.async_start_new_kernel_client()
        for index, cell in enumerate(notebook.cells):
            await client.async_execute_cell(cell, index)
        client.set_widgets_metadata()
        finished = True
    except DeadKernelError:
        # nbclient takes its being cancelled for the kernel's death.
        task = asyncio.current_task()
        if task and task.cancelling():
            raise asyncio.CancelledError from None
        raise
    finally:
        if manager.has_kernel:
            await manager.shutdown_kernel(now=not finished)
        if client.kc:
            client.kc.stop_channels()
