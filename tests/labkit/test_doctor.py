"""Installations are broken, and the doctor's lines mend them."""

import ast
import json
import os
import runpy
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import jupyter_core.paths
import pytest
import support
import torch
from clinic import FRONT_END, ROOT, confined, environment, new_course

from labkit import __main__ as cli
from labkit import doctor
from labkit.doctor import (
    BAD,
    NOTE,
    OK,
    PARTS,
    WARN,
    Finding,
    examine,
    mends,
    probes,
)
from labkit.doctor.examine import TOO_LONG
from labutils import corpus, recorded, settings

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the lines are those of a POSIX shell"
)


@pytest.fixture
def course(tmp_path):
    """A real installation; what needs one is slow."""
    return new_course(tmp_path)


@pytest.fixture
def home(monkeypatch, tmp_path):
    """The course's folder, with nothing in it and no variable set."""
    for name in [name for name in os.environ if name.startswith("LABUTILS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "home", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(trouble="", **facts):
    return {"trouble": trouble, **facts}


def files(folder):
    """Every file of a folder, with its size, but for Python's caches."""
    return {
        path: path.stat().st_size for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


# ---- nothing is broken


@pytest.mark.slow
def test_all_is_well_without_a_network_and_nothing_is_changed(course):
    network = confined("--unshare-net")
    before = files(course.folder)
    visit = course.doctor(around=network, LABUTILS_TEXT="practice")
    states = visit.states()
    # What these find depends on the examine.
    for name in ("packages", "device", "trainings", "memory", "fonts",
                 "browser"):
        assert states.pop(name) in (OK, NOTE, WARN)
    assert states == {
        "Python": OK, "imports": OK, "kernel": OK, "widgets": OK,
        "text": WARN, "settings": OK, "results": OK, "data": OK,
    }
    assert visit.code == 1
    assert f"for the course in {course.folder}" in visit["Python"]["found"]
    assert str(course.python) in visit["kernel"]["found"]
    for notebook in "3456":
        assert f"notebook {notebook}: " in visit["trainings"]["found"]
    assert files(course.folder) == before
    # Jupyter and IPython make folders for themselves.
    assert {path.parts[len(course.home.parts)] for path in files(course.home)
            } <= {".ipython", ".jupyter", ".local"}


def test_without_a_probe_only_packaging_is_imported_besides(tmp_path):
    script = (
        "import sys; from labkit.doctor.examine import examine; "
        "examine(5, ['python', 'text', 'folders']); "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, text=True,
        capture_output=True, env={**os.environ, "HOME": str(tmp_path)},
    )
    assert {
        name for name in done.stdout.split()
        if name not in sys.stdlib_module_names
        # What site-packages' .pth files import, before anything else.
        and not name.startswith(("_", "sitecustomize", "distutils"))
    } == {"labkit", "labutils", "packaging"}


# ---- Python


def test_an_older_python_gets_one_line(monkeypatch, capsys):
    path = ROOT / "labkit" / "__init__.py"
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = tomllib.loads(text)["project"]["requires-python"]
    number = int(oldest.removeprefix(">=3."))
    monkeypatch.setattr(sys, "version_info", (3, number, 0))
    runpy.run_path(str(path))
    monkeypatch.setattr(sys, "version_info", (3, number - 1, 12))
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(path))
    [line] = capsys.readouterr().err.splitlines()
    assert f"Python 3.{number} or newer is needed" in line


@pytest.mark.slow
@pytest.mark.parametrize("minor", [6, 8])
def test_a_real_python_that_is_older_gets_that_line(minor):
    # Pythons that a version manager keeps, and the system's.
    found = [
        *Path(sys.base_prefix).parent.glob(f"3.{minor}.*/bin/python"),
        *filter(None, [shutil.which(f"python3.{minor}")]),
    ]
    if not found:
        pytest.skip(f"needs a Python 3.{minor}")
    done = subprocess.run(
        [found[0], "-m", "labkit", "doctor"], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )
    assert done.returncode == 2 and not done.stdout
    [line] = done.stderr.splitlines()
    assert f"newer is needed; {found[0]} is 3.{minor}." in line
    assert "make lab PYTHON=python3.11" in line


# ---- packages


@pytest.mark.slow
def test_missing_packages_and_those_of_other_versions_are_named(course):
    course.remove("ipywidgets")
    course.put_metadata("requests", "1.0.0")
    course.put_metadata("ipykernel", "7.99.0")
    visit = course.doctor("python")
    assert visit["packages"]["state"] == BAD and visit.code == 2
    tested = mends.constraints()["ipykernel"].specifier
    assert visit["packages"]["found"] == (
        "missing: ipywidgets; requests is 1.0.0, needed is <3,>=2.34; "
        f"ipykernel is 7.99.0, tested was {str(tested).removeprefix('==')}"
    )
    assert visit["packages"]["mend"] == (
        '.venv/bin/python -m pip install -c constraints.txt -e ".[lab]"'
    )


@pytest.fixture
def lists(home, monkeypatch):
    """Lists of packages, and the versions that are installed."""
    (home / "pyproject.toml").write_text(
        '[project]\ndependencies = ["one>=2,<3"]\n'
        "[project.optional-dependencies]\n"
        'lab = ["Two_2>=1", "five; sys_platform == \'no such\'"]\n'
        'teach = ["labutils[lab]", "three"]\n'
    )
    (home / "constraints.txt").write_text(
        "# tested\none==2.13.0\ntwo-2==1.5\n"
    )
    there = {"one": "2.13.0+cpu", "Two_2": "1.5.0", "two-2": "1.5.0"}

    def version(name):
        if name not in there:
            raise metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(mends.metadata, "version", version)
    return there


def test_versions_are_compared_with_both_lists(lists):
    [found] = examine.packages()
    assert found.state == OK and "in the versions tested" in found.found
    lists["one"] = "2.14.0.dev1+git"
    [found] = examine.packages()
    assert (found.state, found.found) == (
        WARN, "one is 2.14.0.dev1+git, tested was 2.13.0"
    )
    lists["one"] = "3.0"
    del lists["Two_2"]
    [found] = examine.packages()
    assert (found.state, found.found) == (
        BAD, "missing: Two_2; one is 3.0, needed is <3,>=2"
    )


def test_a_package_belongs_to_an_extra(lists):
    assert mends.extra_of("one") == mends.extra_of("two.2") == "lab"
    assert mends.extra_of("three") == "teach"
    assert mends.extra_of("four") is None


# setuptools' hook sees pip come in after distutils, which no doctor does.
@pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils")
def test_pip_has_a_copy_of_packaging(lists, monkeypatch):
    for name in ("packaging.requirements", "packaging.utils"):
        monkeypatch.setitem(sys.modules, name, None)
    [found] = examine.packages()
    assert found.state == OK


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is small")
@pytest.mark.parametrize("gpu", [True, False])
def test_torch_comes_without_cuda_where_no_gpu_is(monkeypatch, gpu):
    monkeypatch.setattr(mends, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(mends, "is_elsewhere", lambda: False)
    monkeypatch.setenv("CONDA_PREFIX", "/conda")
    asked = f"--extra-index-url {mends.CPU_INDEX} "
    assert (asked in mends.reinstall("torch")) is not gpu
    assert asked not in mends.reinstall("numpy")
    assert asked not in mends.install()  # torch is there
    monkeypatch.setattr(mends, "installed", lambda name: None)
    assert (asked in mends.install()) is not gpu
    monkeypatch.delenv("CONDA_PREFIX")
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert (asked in mends.install()) is not gpu
    assert " -m venv " in mends.install()


# ---- imports


@pytest.mark.slow
def test_another_torch_is_named_and_its_line_mends_it(course, tmp_path):
    stub = tmp_path / "elsewhere" / "torch"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("__version__ = '1.4.0'\n")
    visit = course.doctor("imports", PYTHONPATH=stub.parent)
    assert visit["imports"]["state"] == BAD
    assert visit["imports"]["found"] == (
        f"import torch finds {stub / '__init__.py'}, not the installed package"
    )
    visit = course.doctor(
        "imports", before=visit["imports"]["mend"], PYTHONPATH=stub.parent
    )
    assert visit["imports"]["state"] == OK


@pytest.mark.parametrize(
    ("trouble", "mend"),
    [("ImportError: broken", "--no-deps"),
     ("E: No module named 'packaging'", '[lab]"')],
)
def test_a_module_that_does_not_import(monkeypatch, trouble, mend):
    monkeypatch.setattr(mends, "is_elsewhere", lambda: False)
    monkeypatch.setenv("CONDA_PREFIX", "/conda")
    [found] = examine.imports(answer(trouble, importing="numpy"))
    assert found.state == BAD and mend in found.mend
    assert found.found == f"numpy does not import: {trouble}"


def test_a_module_that_is_not_the_installed_one():
    [found] = examine.imports(answer(importing="", found={
        "numpy": "/other/numpy/__init__.py", "torch": torch.__file__,
        "labutils": str(ROOT / "labutils" / "__init__.py"),
    }))
    assert found.state == BAD and "--no-deps" in found.mend
    assert "finds /other/numpy/__init__.py, not the inst" in found.found


def test_an_import_that_takes_too_long_is_no_error():
    [found] = examine.imports(
        answer("took too long, and was ended", importing="torch")
    )
    assert found.state == WARN and found.mend.endswith("--seconds 60")


@pytest.mark.slow
def test_a_page_is_given_where_almost_everything_is_broken(course):
    course.remove(
        "torch", "matplotlib", "ipywidgets", "jupyter_core", "packaging"
    )
    (course.links / "numpy").unlink()
    broken = course.site / "numpy"
    broken.mkdir()
    (broken / "__init__.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    visit = course.doctor()
    assert visit.code == 2
    shadow, crash = [x for x in visit.checks if x["name"] == "imports"]
    for name in ("packages", "kernel", "device"):
        assert visit[name]["state"] == BAD and visit[name]["mend"]
    assert "missing: matplotlib, torch, ipywidgets" in (
        visit["packages"]["found"]
    )
    assert f"finds {broken / '__init__.py'}, not" in shadow["found"]
    assert crash["found"] == "numpy does not import: ended by signal 11"
    assert "--force-reinstall --no-deps -c constraints.txt numpy" in (
        crash["mend"]
    )
    assert "No module named 'jupyter_core'" in visit["kernel"]["found"]
    assert visit["text"] and visit["results"] and visit["memory"]


# ---- the kernel


@pytest.mark.slow
def test_a_kernel_of_another_environment_is_named_and_mended(course, tmp_path):
    other = environment(tmp_path / "other", without="torch labutils")
    spec = course.home / ".local/share/jupyter/kernels/python3"
    write_spec(spec, other)
    visit = course.doctor("notebooks", JUPYTER_PREFER_ENV_PATH="0")
    assert visit["kernel"]["state"] == BAD
    assert f"python3 runs {other} (" in visit["kernel"]["found"]
    assert f"another environment (kernel in {spec})" in (
        visit["kernel"]["found"]
    )
    assert "; torch is not installed there" in visit["kernel"]["found"]
    visit = course.doctor(
        "notebooks", before=visit["kernel"]["mend"],
        JUPYTER_PREFER_ENV_PATH="0",
    )
    assert visit["kernel"]["state"] == OK


def write_spec(folder, program, **more):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps({
        **more,
        "argv": [str(program), "-m", "ipykernel_launcher", "-f",
                 "{connection_file}"],
        "display_name": "Python 3", "language": "python",
    }))


@pytest.mark.slow
def test_a_kernel_that_cannot_start_is_named_and_mended(course):
    spec = course.folder / ".venv/share/jupyter/kernels/python3"
    write_spec(spec, "/an/environment/that/is/gone/bin/python")
    visit = course.doctor("notebooks")
    assert visit["kernel"]["state"] == BAD
    assert "does not start" in visit["kernel"]["found"]
    assert "/an/environment/that/is/gone/bin/python" in (
        visit["kernel"]["found"]
    )
    visit = course.doctor("notebooks", before=visit["kernel"]["mend"])
    assert visit["kernel"]["state"] == OK


def test_a_kernel_with_another_labutils_is_named():
    found = next(examine.kernels(answer(
        spec="/s",
        kernel={"executable": sys.executable, "prefix": sys.prefix,
                "version": "3.11.1", "torch": torch.__file__,
                "labutils": "/old/course/labutils/__init__.py"},
    )))
    assert found.state == BAD
    assert "its labutils is /old/course/labutils" in found.found
    assert "its torch" not in found.found


def test_a_kernel_without_torch_is_named():
    found = next(examine.kernels(answer(
        spec="/s",
        kernel={"executable": sys.executable, "prefix": sys.prefix,
                "version": "3.11.1", "torch": None,
                "labutils": str(ROOT / "labutils" / "__init__.py")},
    )))
    assert found.state == BAD
    assert found.found.endswith("(3.11.1); torch is not installed there")


def test_where_no_kernel_is_one_is_installed():
    found = next(examine.kernels(answer(
        spec="", kernel_error="NoSuchKernel: no python3",
    )))
    assert found.state == BAD and "NoSuchKernel" in found.found
    assert found.mend.endswith("-m ipykernel install --sys-prefix")


def test_a_kernel_that_is_slow_is_none_that_is_broken():
    found = next(examine.kernels(answer(
        spec="/s", late=True,
    )))
    assert found.state == WARN and "in time" in found.found
    assert found.mend.endswith("--seconds 60")


# ---- widgets


@pytest.mark.slow
def test_a_missing_front_end_is_named_and_its_line_mends_it(course, tmp_path):
    shutil.rmtree(course.folder / ".venv" / FRONT_END)
    visit = course.doctor("notebooks")
    assert visit["widgets"]["state"] == BAD
    assert "has no front end" in visit["widgets"]["found"]
    wheels = tmp_path / "wheels"
    wheel_of("jupyterlab_widgets", wheels)
    visit = course.doctor(
        "notebooks", before=visit["widgets"]["mend"],
        # In the place of a package registry.
        PIP_NO_INDEX=1, PIP_FIND_LINKS=wheels,
    )
    assert visit["widgets"]["state"] == OK, visit.err


def wheel_of(name, folder):
    """The wheel from which a package was installed, made again."""
    package = metadata.distribution(name)
    folder.mkdir()
    stem = f"{name}-{package.version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path in package.files or []:
            inside = path.as_posix()
            if "__pycache__" in inside or inside.endswith(
                ("INSTALLER", "REQUESTED", "direct_url.json")
            ):
                continue
            inside = inside.replace("../../../", f"{stem}.data/data/")
            wheel.write(path.locate(), inside)


def test_a_front_end_of_another_generation_is_named(tmp_path, monkeypatch):
    for place, version in (("mine", "3.1.0"), ("its", "5.0.15")):
        folder = tmp_path / place / probes.EXTENSION
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps(
            {"name": probes.EXTENSION, "version": version}))

    def look(*places):
        monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda _: [
            str(tmp_path / place) for place in places])
        [found] = examine.widgets(answer(front_end=probes.front_end()))
        return found

    found = look("mine", "its")
    assert found.state == BAD and "front end 3.1.0" in found.found
    assert found.mend == f"rm -r {tmp_path / 'mine' / probes.EXTENSION}"
    assert look("its").state == OK
    assert "no front end" in look().found


# ---- the text and the settings


def test_the_text_is_the_one_that_a_notebook_would_take(home, monkeypatch):
    [found] = examine.text()
    assert found.state == WARN and "until there is a copy" in found.found
    assert found.mend.endswith("-m labkit data fetch")
    copy = home / "data" / "timemachine.txt"
    copy.parent.mkdir()
    copy.write_text("The Time Machine, by H. G. Wells [1898]\n\n")
    [found] = examine.text()
    assert found.state == WARN and "it was cut short" in found.found
    assert corpus.WAYS_TO_GET_IT in found.found
    monkeypatch.setenv("LABUTILS_TEXT", str(copy))
    [found] = examine.text()
    assert (found.state, found.mend) == (BAD, "unset LABUTILS_TEXT")
    monkeypatch.setenv("LABUTILS_TEXT", "practice")
    [found] = examine.text()
    assert (found.state, found.mend) == (WARN, "unset LABUTILS_TEXT")


@pytest.mark.slow
def test_a_damaged_text_is_kept_and_its_line_mends_it(course):
    book = support.real_text().read_bytes()
    copy = course.folder / "data" / "timemachine.txt"
    copy.parent.mkdir()
    copy.write_bytes(book[:100_000])
    visit = course.doctor("text")
    assert visit["text"]["state"] == WARN and visit.code == 1
    assert copy.stat().st_size == 100_000  # looked at, not touched
    line = f"{visit['text']['mend']} --from {support.real_text()}"
    visit = course.doctor("text", before=line)
    assert visit["text"]["state"] == OK and visit.code == 0, visit.err
    assert "verified (SHA-256 8424dbd9532a" in visit["text"]["found"]


@pytest.mark.parametrize("name", [
    "LABUTILS_EPOCHS", "LABUTILS_SECONDS", "LABUTILS_SEED",
])
def test_a_bad_setting_is_named_with_its_line(home, monkeypatch, name):
    monkeypatch.setenv(name, "many")
    [found] = examine.careful("settings", examine.variables)
    assert (found.state, found.mend) == (BAD, f"unset {name}")
    assert found.found.startswith(f"{name}='many' cannot be used")


def test_the_settings_are_listed(home, monkeypatch):
    [found] = examine.variables()
    assert found.state == OK and "no LABUTILS_* variable" in found.found
    monkeypatch.setenv("LABUTILS_SEED", "3")
    [found] = examine.variables()
    assert (found.state, found.found) == (OK, "LABUTILS_SEED=3")


# ---- folders


@pytest.mark.slow
def test_a_read_only_folder_is_named_and_its_line_mends_it(course):
    results = course.folder / "results"
    results.mkdir()
    around = confined("--ro-bind", str(results), str(results))
    visit = course.doctor("folders", around=around)
    assert visit["results"]["state"] == BAD and visit.code == 2
    assert "cannot be written (Read-only file system)" in (
        visit["results"]["found"]
    )
    assert visit["data"]["state"] == OK
    visit = course.doctor(
        "folders", around=around, before=visit["results"]["mend"]
    )
    assert visit["results"]["state"] == OK
    assert str(course.home / "labutils-results") in visit["results"]["found"]


@pytest.mark.slow
def test_a_full_disk_is_named(course):
    results = course.folder / "results"
    results.mkdir()
    around = confined("--size", "500000", "--tmpfs", str(results))
    visit = course.doctor("folders", around=around)
    assert visit["results"]["state"] == BAD and visit["results"]["mend"]
    assert "cannot be written (No space left" in visit["results"]["found"]


def test_room_gets_scarce(home, monkeypatch):
    room = shutil._ntuple_diskusage(10**9, 0, 10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    results, data = examine.folders()
    assert results.state == data.state == WARN
    assert "only 0.1 GB" in results.found
    assert results.mend.startswith("export LABUTILS_RESULTS_DIR=")


def test_what_is_made_to_try_is_gone_afterwards(tmp_path):
    assert examine.try_to_write(tmp_path / "a" / "b") == ""
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    assert "cannot be written" in examine.try_to_write(tmp_path / "file" / "a")


# ---- the machine


@pytest.mark.slow
def test_a_bad_device_is_named(course):
    visit = course.doctor("machine", LABUTILS_DEVICE="tpu")
    assert visit["device"]["state"] == BAD
    assert "LABUTILS_DEVICE='tpu' cannot be used" in visit["device"]["found"]
    assert visit["device"]["mend"] == "unset LABUTILS_DEVICE"


def test_the_timed_model_is_that_of_the_recorded_run(capsys, monkeypatch):
    model = probes.new_model(torch.device("cpu"))
    asked = recorded.load(probes.TIMED).settings
    assert asked["batch_size"] == probes.BATCH_SIZE
    assert asked["num_steps"] == probes.NUM_STEPS
    assert asked["num_parameters"] == sum(
        p.numel() for p in model.parameters()
    )
    monkeypatch.setattr(probes, "ROUNDS", 1)
    probes.time_steps(model, torch.device("cpu"), time.monotonic() + 60)
    facts = json.loads(capsys.readouterr().out)
    assert facts["step"] > 0 and facts["estimates"]["3"] > 0


def test_estimates_follow_the_step_that_was_timed(monkeypatch):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)
    runs = {name: recorded.load(name) for name in recorded.names()}
    steps = probes.BATCH_SIZE * probes.NUM_STEPS
    timed = runs[probes.TIMED]
    same = 1000 * timed.seconds * steps / timed.tokens
    at_home = probes.estimates(same)
    assert sum(at_home.values()) == pytest.approx(
        sum(run.seconds for name, run in runs.items()
            if not name.startswith(("seeds", "whole_book")))
    )
    assert probes.estimates(3 * same) == pytest.approx(
        {name: 3 * value for name, value in at_home.items()}
    )
    monkeypatch.setenv("LABUTILS_EPOCHS", "50")
    assert probes.estimates(same)["5"] == pytest.approx(at_home["5"] / 10)


def test_a_machine_that_is_slow_gets_a_line():
    slow = answer(step=400.0, estimates={"5": 3000.0, "6": 60.0})
    [found] = examine.trainings(slow)
    assert found.state == WARN and "takes 400 milliseconds" in found.found
    assert "notebook 5: 50 min, notebook 6: 60 s; 51 min in all" in found.found
    assert found.mend == "export LABUTILS_EPOCHS=100"


@pytest.mark.parametrize(
    ("free", "state"), [(8e9, OK), (1e9, WARN)]
)
def test_memory(free, state):
    [found] = examine.memory(answer(memory=free))
    assert found.state == state and f"{free / 1e9:.1f} GB" in found.found


# ---- all together


def test_the_command_line_has_the_parts_that_there_are():
    assert [*dict.fromkeys(part for part, *_ in examine.CHECKS)] == [*PARTS]


def test_an_error_within_a_check_becomes_a_line():
    def check():
        yield Finding("first", OK, "fine")
        raise OSError("no such thing")

    assert examine.careful("second", check) == [
        Finding("first", OK, "fine"),
        Finding("second", WARN,
                "could not be looked at (OSError: no such thing)"),
    ]


@pytest.mark.parametrize(("name", "facts", "state", "words", "mend"), [
    ("device", answer(TOO_LONG), WARN, "took too long", "--seconds 60"),
    ("training", answer(), WARN, "no time was left", "--seconds 60"),
    ("device", answer("E: broken"), BAD, "E: broken", "pip install"),
])
def test_what_a_probe_did_not_say_becomes_a_line(
    name, facts, state, words, mend
):
    [found] = examine.careful(name, examine.device, facts, "fact")
    assert found.state == state and f"({words}" in found.found
    assert mend in found.mend


def test_what_a_probe_printed_counts_and_a_librarys_words_do_not():
    said = '{"a": 1}\nWARNING: slow\n[1]\n5\n{"a": 2, "b": {}}\n\ufffd\n{"c":'
    assert examine.facts(said) == {"a": 2, "b": {}}


def test_the_page_is_one_for_people(home, monkeypatch, capsys):
    monkeypatch.setenv("LABUTILS_EPOCHS", "many")
    monkeypatch.setenv("COLUMNS", "70")
    assert cli.main(["doctor", "--only", "text"]) == 2
    out, err = capsys.readouterr()
    assert out.isascii() and not err
    lines = out.splitlines()
    assert lines[0] == "Text and settings"
    assert "                    > unset LABUTILS_EPOCHS" in lines
    assert " ".join(lines[-2:]) == (
        "Does not work: settings. Works, with a warning: text. Each line "
        "after a > mends the one above it."
    )


@pytest.mark.parametrize(
    ("states", "code", "verdict"),
    [
        ((OK, NOTE), 0, "All is well."),
        ((OK, WARN), 1, "Works, with a warning: 1."),
        ((BAD, WARN), 2, "Does not work: 0. Works, with a warning: 1."),
    ],
)
def test_verdicts(states, code, verdict):
    sections = {"Title": [
        Finding(str(number), state, "x" * 10, "mend it")
        for number, state in enumerate(states)
    ]}
    assert doctor.exit_code(sections) == code
    assert verdict in " ".join(doctor.page(sections).split())
    assert json.loads(doctor.as_json(sections))["exit_code"] == code


def test_lines_end_where_the_terminal_does_and_mends_are_never_broken(
    monkeypatch
):
    monkeypatch.setenv("COLUMNS", "60")
    mend = "mend " * 40
    found = Finding("name", WARN, "word " * 40, mend)
    lines = doctor.page({"Title": [found]}).splitlines()
    assert f"{' ' * 20}> {mend}" in lines
    others = [line for line in lines[:-3] if ">" not in line]
    assert len(others) > 3 and max(map(len, others)) <= 60
    assert {len(x) - len(x.lstrip()) for x in others[2:]} == {20}
