"""Settings of a test run: text, epochs, where results and pictures go."""

import os
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import pytest

from labutils import settings
from labutils.corpus import CorpusError, find_corpus

RESULTS = pytest.StashKey[Path]()
# Copies of `labutils reset`; translations, whose code is that of their source.
collect_ignore_glob = ["notebooks/*-kept-*", "notebooks/zh/*"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", metavar="DIR",
        help="keep the browser tests' screenshots in this folder; a relative "
        "path starts at the folder of pyproject.toml",
    )


@pytest.fixture(scope="session")
def screenshots(pytestconfig: pytest.Config) -> Path:
    """Folder of the browser tests' screenshots, among the test run's results
    (which do not outlive it) unless --screenshots names one."""
    asked = pytestconfig.getoption("--screenshots")
    folder = settings.results_dir() / "browser"
    if asked:
        folder = pytestconfig.rootpath / asked
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """Settle the environment once; kernels and xdist's workers inherit it."""
    if hasattr(config, "workerinput"):
        return
    os.environ.setdefault("LABUTILS_EPOCHS", "1")
    # Where it would stop depends on the machine.
    os.environ.pop("LABUTILS_SECONDS", None)
    # Messages are compared in English, whatever this machine speaks.
    os.environ["LC_ALL"] = "C.UTF-8"
    # The committed outputs were computed on a CPU.
    os.environ.setdefault("LABUTILS_DEVICE", "cpu")
    # Two workers on two cores: with more threads each they only wait for each
    # other, which makes a training many times slower. (PyTorch reads it when
    # it is imported, which nothing has done so far.)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A test run must not replace the results of somebody's full run.
    results = Path(tempfile.mkdtemp(prefix="labutils-test-"))
    config.stash[RESULTS] = results
    os.environ["LABUTILS_RESULTS_DIR"] = str(results)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the header says it
            settings.check()
            corpus = find_corpus()
    except (CorpusError, settings.SettingsError) as error:
        raise pytest.UsageError(str(error)) from error
    os.environ["LABUTILS_TEXT"] = str(corpus.path or settings.PRACTICE)


def pytest_unconfigure(config: pytest.Config) -> None:
    if results := config.stash.get(RESULTS, None):
        shutil.rmtree(results, ignore_errors=True)


def _outputs_compared() -> bool:
    """The committed outputs are those of The Time Machine on a CPU."""
    on_cpu = os.environ["LABUTILS_DEVICE"] == "cpu"
    return on_cpu and settings.text() != settings.PRACTICE


def pytest_report_header() -> list[str]:
    lines = [
        f"labutils: LABUTILS_EPOCHS={os.environ['LABUTILS_EPOCHS']}, "
        f"LABUTILS_DEVICE={os.environ['LABUTILS_DEVICE']}"
    ]
    if _outputs_compared():
        lines.append("labutils: The Time Machine; notebook outputs compared")
    elif settings.text() != settings.PRACTICE:
        lines.append(
            f"labutils: on {os.environ['LABUTILS_DEVICE']} the notebooks run, "
            "their outputs, a CPU's, are NOT compared"
        )
    else:
        lines.append(
            "labutils: PRACTICE TEXT, The Time Machine is not at hand; the "
            "notebooks run, their outputs are NOT compared"
        )
    return lines


def pytest_terminal_summary(terminalreporter) -> None:
    # The header scrolls away; this stands right above the closing line.
    for line in pytest_report_header()[1:]:
        terminalreporter.write_line(line)
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    for reason, count in sorted(reasons.items()):
        if reason.startswith("needs "):
            terminalreporter.write_line(
                f"labutils: NOT run, {reason} ({count})"
            )


# What takes longest comes first, so that at the end no worker is left alone
# with it: the notebooks, of the slow tests those of minutes, of the quick ones
# those that train.
FIRST = (
    "06_deep_lstm_vs_gru.ipynb", "03_rnn_from_scratch.ipynb",
    "04_rnn_concise.ipynb", "05_lstm_from_scratch.ipynb",
    "01_text_preprocessing.ipynb", "02_long_sequence_sampling.ipynb",
    "test_grading.py", "test_browser.py", "test_browser_notebooks.py",
    "test_grading_restarts.py", "test_browser_slides.py",
    "test_grading_kernel.py", "test_browser_site.py", "test_benchmarks.py",
    "test_nbgrader.py", "test_browser_course.py", "test_doctor.py",
    "test_bundle.py", "test_checks.py", "test_interrupts.py", "test_cli.py",
    "test_checkpoint.py", "test_view.py", "test_report.py", "test_training.py",
    "test_steps.py", "test_widgets.py", "test_grading_probes.py",
    "test_grading_remote.py", "test_release.py",
)


def _rank(item: pytest.Item) -> int:
    name = item.path.name
    return FIRST.index(name) if name in FIRST else len(FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker("device")
            if not _outputs_compared():
                item.options["check"] = False  # type: ignore[attr-defined]
