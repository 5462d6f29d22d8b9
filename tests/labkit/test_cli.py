import inspect
import io
import json
import os
import pkgutil
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import nbformat
import pytest
import support
from nbformat import v4
from support import STAND_IN, body, closed_address, finish, names

from labkit import __main__ as cli
from labkit.doctor import mends
from labstaff import commands
from labutils import corpus, settings
from labutils.corpus import WAYS_TO_GET_IT

# labutils, with the stand-in text in the place of the book.
WITH_STAND_IN = """
import sys
import support
from labkit.__main__ import main

support.take_stand_in()
sys.exit(main())
"""


def labutils(*arguments, **environment) -> tuple[int, str, str]:
    """Run a command in a process of its own."""
    process = support.python("-m", "labkit", *arguments, **environment)
    return finish(process)


@pytest.fixture
def main(monkeypatch, capsys):
    """Run a command in this process, which is quicker."""
    # The command changes how warnings look.
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)

    def call(*arguments) -> tuple[int, str, str]:
        try:
            code = cli.main([*map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call


def one_line(err: str) -> str:
    """What an error message is: one line, with the program's name."""
    assert re.fullmatch(r"labutils: [^\n]+\n", err)
    return err


# Help.


@pytest.fixture(scope="module")
def helps():
    """Exit code, output and errors of --help: the program's, in a process of
    its own, and each command's, in this one, which is quicker."""
    program = labutils("--help", COLUMNS="200")  # no example is broken up
    found = {"": program}
    for command in re.findall(r"^    (\w+) ", program[1], re.MULTILINE):
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch, redirect_stdout(out),
            redirect_stderr(err), pytest.raises(SystemExit) as end,
        ):
            patch.setenv("COLUMNS", "200")
            cli.main([command, "--help"])
        found[command] = end.value.code or 0, out.getvalue(), err.getvalue()
    return found


def test_help_names_every_command(helps):
    assert {"data", "run"} <= set(helps)


def test_every_help_has_an_example_that_can_be_parsed(helps):
    for command, (code, out, err) in helps.items():
        assert (code, err) == (0, ""), command
        [example] = re.findall(r"^example: (.+?)(?: \(.*)?$", out, re.M)
        program, *arguments = shlex.split(example)
        assert program == "labutils"
        assert arguments[0] == command or not command
        assert cli._parser().parse_args(arguments).command


def test_what_a_command_calls_takes_its_options():
    for name, (run, _, _, example, *_) in commands.COMMANDS.items():
        if isinstance(run, str):
            options = vars(cli._parser().parse_args(shlex.split(example)))
            assert options.pop("name") == name and options.pop("command")
            called = pkgutil.resolve_name(f"labstaff.{run}")
            inspect.signature(called).bind(**options)


def test_the_installed_program_is_this_one():
    root = Path(cli.__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    scripts = project["project"]["scripts"]
    assert scripts == {"labutils": "labkit.__main__:main"}


# A package that is not there.

@pytest.mark.parametrize("module, extra", [
    ("jinja2", "lab"), ("requests", "lab"), ("myst_nb", "site"),
    ("sphinx_revealjs", "teach"), ("distributed", "cluster"),
])
def test_a_missing_package_is_answered_with_what_brings_it(
    monkeypatch, main, module, extra
):
    def needs_it():
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr(mends, "is_elsewhere", lambda: False)
    monkeypatch.setenv("CONDA_PREFIX", "/conda")
    monkeypatch.setattr(settings, "check", needs_it)
    code, out, err = main("site")
    assert (code, out) == (1, "")
    assert module.partition(".")[0] in one_line(err)
    assert re.search(rf' -m pip install .*\[{extra}\]"$', err)


# What cannot be parsed ends with 2.


def test_no_epochs_at_all_are_refused():
    code, out, err = labutils("run", "99_no_such", "--epochs", "0")
    assert (code, out) == (2, "")
    assert err.startswith("usage: labutils run")
    assert "--epochs: '0' is not a whole number from 1 up" in err


@pytest.mark.parametrize(
    "line",
    ["", "cook", "data steal", "data fetch --from", "run 99 --epochs -1",
     "run 99 --epochs 2.5", "run 99 --epochs many", "run 99 --slowly"],
)
def test_what_cannot_be_parsed_ends_with_2(main, line):
    code, out, err = main(*line.split())
    assert (code, out) == (2, "")
    assert err.startswith("usage: labutils")


# data


def test_show_with_nothing_at_hand(tmp_path):
    """It says what is missing and how to get it, and asks no network."""
    data = tmp_path / "data"
    with support.Server() as proxy:
        address = f"http://127.0.0.1:{proxy.server_port}"
        code, out, err = labutils(
            "data", "show", LABUTILS_TEXT=None, LABUTILS_DATA_DIR=data,
            http_proxy=address, https_proxy=address,
        )
    assert code == 0
    assert out.splitlines() == [
        "LABUTILS_TEXT: not set",
        f"data folder:   {data / 'timemachine.txt'} (not there)",
        str(corpus.practice_text()),
    ]
    assert f"there is no copy in {data}" in one_line(err)
    assert WAYS_TO_GET_IT in err
    assert proxy.asked == []
    assert not data.exists()


def test_show_is_what_data_does(main, cached):
    corpus.store(STAND_IN)
    expected = [
        "LABUTILS_TEXT: not set",
        f"data folder:   {cached} (there)",
        "Corpus: The Time Machine, from the data folder",
    ]
    for arguments in (["data"], ["data", "show"]):
        code, out, err = main(*arguments)
        assert (code, out.splitlines(), err) == (0, expected, "")


def test_show_of_a_bad_named_file(main, monkeypatch, cached, tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes(STAND_IN[:-1])
    monkeypatch.setenv("LABUTILS_TEXT", str(path))
    code, out, err = main("data")
    assert code == 1
    assert out.startswith(f"LABUTILS_TEXT: {path}\n")
    assert f"{path} is not The Time Machine: it was cut short" in one_line(err)


def test_fetch_from_the_books_file(tmp_path):
    text = support.real_text()
    data = tmp_path / "data"
    code, out, err = labutils(
        "data", "fetch", "--from", text, LABUTILS_DATA_DIR=data
    )
    stored = data / "timemachine.txt"
    assert (code, err) == (0, "")
    assert out == f"The Time Machine: verified and stored as {stored}\n"
    assert stored.read_bytes() == text.read_bytes()


def test_fetch_from_a_good_file(main, cached, good_copy):
    code, out, err = main("data", "fetch", "--from", good_copy)
    assert (code, err) == (0, "")
    assert out == f"The Time Machine: verified and stored as {cached}\n"
    assert cached.read_bytes() == STAND_IN


def test_fetch_from_a_bad_file(tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes(b"<html>Not found</html>")
    code, out, err = labutils(
        "data", "fetch", "--from", path, LABUTILS_DATA_DIR=tmp_path / "data"
    )
    assert (code, out) == (1, "")
    assert f"{path} is not The Time Machine: it is a web" in one_line(err)
    assert names(tmp_path) == ["book.txt"]


def test_fetch_from_a_file_that_is_not_there(main, cached, tmp_path):
    code, out, err = main("data", "fetch", "--from", tmp_path / "gone.txt")
    assert (code, out) == (1, "")
    assert "gone.txt" in one_line(err)


def test_from_goes_with_fetch_only(main, cached, good_copy):
    code, out, err = main("data", "show", "--from", good_copy)
    assert (code, out) == (1, "")
    assert "labutils data fetch --from" in one_line(err)
    assert not cached.exists()


def test_fetch_without_a_network(tmp_path):
    nobody = closed_address()
    code, out, err = labutils(
        "data", "fetch", LABUTILS_DATA_DIR=tmp_path / "data",
        http_proxy=nobody, https_proxy=nobody, no_proxy=None, NO_PROXY=None,
        HTTP_PROXY=nobody, HTTPS_PROXY=nobody,
    )
    assert (code, out) == (1, "")
    for url in corpus.URLS:
        assert f"{url}: no connection." in one_line(err)
    assert err.endswith(WAYS_TO_GET_IT + "\n")
    assert names(tmp_path) == []


def test_fetch_asks_again_after_a_failure(main, monkeypatch, cached, server):
    url = server.at("/timemachine.txt", body(b"", status=404))
    monkeypatch.setattr(corpus, "URLS", (url,))
    assert main("data", "fetch")[0] == 1
    server.at("/timemachine.txt", body(STAND_IN))
    code, out, err = main("data", "fetch")
    assert (code, err) == (0, "")
    assert out == f"The Time Machine: verified and stored as {cached}\n"


def test_a_bad_setting_is_one_line(main, monkeypatch, tmp_path):
    path = tmp_path / "a file"
    path.touch()
    monkeypatch.setenv("LABUTILS_DATA_DIR", str(path))
    code, out, err = main("data")
    assert (code, out) == (1, "")
    assert "LABUTILS_DATA_DIR=" in one_line(err)


# run


def notebook(path: Path, *cells: str) -> Path:
    """Write a notebook as it is committed: with the outputs of some run."""
    content = v4.new_notebook(
        cells=[
            v4.new_code_cell(
                source,
                execution_count=number,
                outputs=[v4.new_output("stream", text="of an old run\n")],
            )
            for number, source in enumerate(cells, start=1)
        ]
    )
    nbformat.write(content, path)
    return path


def outputs(path: Path) -> list[tuple[int | None, str]]:
    """The execution count of each cell, and what it says."""
    return [
        (
            cell.execution_count,
            "".join(o.get("text") or o.get("ename") for o in cell.outputs),
        )
        for cell in nbformat.read(path, as_version=4).cells
    ]


LOOK_AROUND = """
import os
names = ("LABUTILS_EPOCHS", "LABUTILS_RESULTS_DIR", "LABUTILS_TEXT",
         "OMP_NUM_THREADS", "GOMP_SPINCOUNT", "MKL_CBWR")
print(*[os.environ[name] for name in names], os.getcwd(), sep="\\n")
"""


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """A run of four notebooks of which only the last is good."""
    folder = tmp_path_factory.mktemp("batch").resolve()
    paths = [
        notebook(folder / "wrong.ipynb", "1 / 0", "print('not reached')"),
        notebook(folder / "dead.ipynb", "import os; os._exit(1)", "2"),
        folder / "broken.ipynb",
        notebook(folder / "good.ipynb", LOOK_AROUND, "print(6 * 7)"),
    ]
    paths[2].write_text('{"cells": [', encoding="utf-8")
    before = [path.read_bytes() for path in paths]
    code, out, err = labutils(
        "run", *paths, "--epochs", "3", "--out", folder / "out"
    )
    assert [path.read_bytes() for path in paths] == before
    return folder, code, out, err


@pytest.mark.slow
def test_a_failure_makes_the_exit_code_1(batch):
    _, code, _, err = batch
    assert (code, err) == (1, "")


@pytest.mark.slow
def test_each_notebook_says_in_a_line_how_it_went(batch):
    folder, _, out, _ = batch
    first, second, *lines, last = out.splitlines()
    assert (first, second) == (
        str(corpus.find_corpus()), f"Results: {folder / 'out'}")
    lines = [re.sub(r" \(\d+ s\)$", "", line) for line in lines]
    names = ["broken", "dead", "good", "wrong"]
    assert sorted(x for x in lines if x.endswith(" ...")) == [
        f"{name} ..." for name in names]
    broken, *others = sorted(x for x in lines if not x.endswith(" ..."))
    assert broken.startswith(
        "broken: broken.ipynb cannot be read as a notebook (it is no JSON: ")
    assert others == [
        "dead: Kernel died", "good: ok",
        "wrong: ZeroDivisionError: division by zero",
    ]
    assert re.fullmatch(r"total \d+ s", last)


@pytest.mark.slow
def test_the_rest_runs_after_a_failure(batch):
    folder = batch[0]
    text = str(corpus.find_corpus().path or "practice")
    half = max(1, settings.processors() // 2)
    threads = os.environ.get("OMP_NUM_THREADS", half)
    seen = "\n".join(
        ["3", str(folder / "out"), text, str(threads), "20000",
         "AUTO,STRICT", str(folder)])
    assert outputs(folder / "out" / "good.ipynb") == [
        (1, f"{seen}\n"), (2, "42\n")
    ]


@pytest.mark.slow
def test_the_copy_of_a_failure_holds_its_error_and_nothing_old(batch):
    out = batch[0] / "out"
    assert outputs(out / "wrong.ipynb") == [
        (1, "ZeroDivisionError"), (None, "")
    ]
    assert outputs(out / "dead.ipynb")[1] == (None, "")
    assert names(out) == ["dead.ipynb", "good.ipynb", "wrong.ipynb"]


def test_unknown_notebook(main, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = main("run", "99_no_such")
    assert (code, out) == (1, "")
    assert "No notebook '99_no_such'" in one_line(err)
    for path in (settings.home() / "notebooks").glob("[0-9]*.ipynb"):
        assert path.stem in err


@pytest.fixture
def full(monkeypatch, cached, good_copy):
    """The settings of a full run on the stand-in."""
    monkeypatch.setenv("LABUTILS_TEXT", str(good_copy))
    monkeypatch.delenv("LABUTILS_EPOCHS")
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "arguments", "words"),
    [
        ({"LABUTILS_EPOCHS": "2"}, ["--in-place"], "epochs are 2 capped"),
        ({}, ["--in-place", "--epochs", "4"], "epochs are 4 capped"),
        ({"LABUTILS_SECONDS": "9"}, ["--in-place"], "seconds 9"),
        ({"LABUTILS_TEXT": "practice"}, ["--in-place"], "practice text"),
        ({"LABUTILS_EPOCHS": "2"}, ["--out", "."], "epochs are 2 capped"),
    ],
    ids=["LABUTILS_EPOCHS", "--epochs", "LABUTILS_SECONDS", "practice",
         "--out at the sources"],
)
def test_only_a_full_run_may_replace_a_notebook(
    main, full, tmp_path, variables, arguments, words
):
    path = notebook(tmp_path / "lesson.ipynb", "print('new')")
    before = path.read_bytes()
    for name, value in variables.items():
        full.setenv(name, value)
    full.chdir(tmp_path)
    code, out, err = main("run", path, *arguments)
    assert (code, out) == (1, "")
    assert words in one_line(err)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_in_place_replaces_what_ran_to_its_end(full, tmp_path, cached):
    full.delenv("LABUTILS_TEXT")
    corpus.store(STAND_IN)
    which = "import os\nprint(os.environ['LABUTILS_TEXT'])"
    wrong = notebook(tmp_path / "wrong.ipynb", "print('new')", "1 / 0")
    right = notebook(tmp_path / "right.ipynb", "print('new')", which)
    before = wrong.read_bytes()
    process = support.python(
        "-c", WITH_STAND_IN, "run", wrong, right, "--in-place"
    )
    code, out, err = finish(process)
    assert (code, err) == (1, "")
    assert "wrong: ZeroDivisionError" in out
    assert wrong.read_bytes() == before
    # What was found for the run is what each notebook is told to use.
    assert outputs(right) == [(1, "new\n"), (2, f"{cached}\n")]


# Ctrl-C


@pytest.fixture
def ctrl_c():
    """A process that is started in the background ignores Ctrl-C, and so do
    those that it starts; these must not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_until(condition, seconds: float = 300.0):
    """What `condition` returns, once it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


SLEEP = """
import os, time
from pathlib import Path
Path("pid.part").write_text(str(os.getpid()))
Path("pid.part").rename("pid")
time.sleep(100)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_ctrl_c_ends_the_run_and_the_kernel(full, tmp_path, ctrl_c):
    long = notebook(tmp_path / "long.ipynb", "print('new')", SLEEP)
    after = notebook(tmp_path / "after.ipynb", "print('new')")
    before = long.read_bytes(), after.read_bytes()
    process = support.python(
        "-c", WITH_STAND_IN, "run", long, after, "--in-place"
    )
    pid = tmp_path / "pid"
    try:
        wait_until(lambda: pid.exists() or process.poll() is not None)
        kernel = int(pid.read_text())
        assert not gone(kernel)
        process.send_signal(signal.SIGINT)
        code, out, err = finish(process)
    finally:
        process.kill()
    assert (code, err) == (130, "labutils: interrupted\n")
    assert "after" not in out
    assert (long.read_bytes(), after.read_bytes()) == before
    wait_until(lambda: gone(kernel))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_two_run_at_a_time_and_ctrl_c_ends_both(tmp_path, ctrl_c):
    if settings.processors() < 2:
        pytest.skip("there is one processor")
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    paths = [notebook(folder / f"{folder.name}.ipynb", SLEEP)
             for folder in folders]
    process = support.python(
        "-m", "labkit", "run", *paths, "--out", tmp_path / "out")
    pids = [folder / "pid" for folder in folders]
    try:
        wait_until(lambda: (pids[1].exists() and pids[2].exists())
                   or process.poll() is not None)
        kernels = [int(pid.read_text()) for pid in pids[1:]]
        process.send_signal(signal.SIGINT)
        code, out, err = finish(process)
    finally:
        process.kill()
    assert (code, err) == (130, "labutils: interrupted\n")
    assert not pids[0].exists() and "ok" not in out
    wait_until(lambda: all(map(gone, kernels)))


# A terminal that does not know every character.


NAME = "王小明 é \N{GRINNING FACE}"  # none of the encodings has all of it


# Several commands in one process, which must all end well.
IN_A_ROW = """
import json, sys
from labkit.__main__ import main

sys.exit(any([main(command) for command in json.loads(sys.argv[1])]))
"""


def printed_as(encoding: str, *commands: list, **environment) -> str:
    """What commands print, as such a terminal shows it."""
    words = [[str(word) for word in command] for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_ROW, json.dumps(words)],
        env=os.environ | {k: str(v) for k, v in environment.items()}
        | {"PYTHONIOENCODING": encoding},
        stdin=subprocess.DEVNULL, capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode(encoding)


def shown_as(encoding: str, text: object) -> str:
    return str(text).encode(encoding, "backslashreplace").decode(encoding)


ENCODINGS = pytest.mark.parametrize("encoding", ["gbk", "cp1252"])


@ENCODINGS
def test_data_prints_what_the_terminal_cannot_show(encoding, tmp_path):
    data = tmp_path / NAME
    out = printed_as(encoding, ["data"], LABUTILS_TEXT="practice",
                     LABUTILS_DATA_DIR=data)
    assert shown_as(encoding, data) in out


@pytest.mark.slow
def test_so_do_the_other_commands(tmp_path):
    encoding = "cp1252"  # the one of the two that lacks the more
    place = tmp_path.resolve() / NAME
    path = place / "in" / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    commands = [
        ["run", notebook(path, f"print({NAME!r})"), "--out", place / "out"],
        ["release", "--out", place / "学生"],
        ["report", "--id", "1", "--name", NAME, "--lab", "1",
         "--allow-incomplete", "--notebooks", place / "学生" / "notebooks",
         "--out", place / "report"],
    ]
    if sys.platform == "linux" and shutil.which("bwrap"):
        work = place / "class" / NAME
        work.mkdir(parents=True)
        (work / "02_long_sequence_sampling.ipynb").write_text("{")
        commands.append(["grade", work.parent, "--out", place / "分"])
    out = printed_as(encoding, *commands)
    assert f"{shown_as(encoding, path.stem)}: ok" in out
    assert outputs(place / "out" / path.name) == [(1, f"{NAME}\n")]
    for name in ("学生", *(path for path in (place / "report").iterdir()),
                 *(["分"] if len(commands) > 3 else [])):
        assert shown_as(encoding, place / name) in out


@pytest.mark.slow
@ENCODINGS
def test_so_does_the_doctor(encoding, tmp_path):
    text = tmp_path / f"{NAME}.txt"
    text.write_bytes(b"no book")
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "doctor", "--only", "text"],
        env=os.environ | {"PYTHONIOENCODING": encoding,
                          "LABUTILS_TEXT": str(text)},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (2, b"")  # the text is bad
    page = "".join(done.stdout.decode(encoding).split())
    assert "".join(shown_as(encoding, NAME).split()) in page
