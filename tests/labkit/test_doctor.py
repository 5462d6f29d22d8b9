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
    TOO_LONG,
    WARN,
    Finding,
    examine,
    installation,
    machine,
    mends,
    probes,
)
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
    # What these find depends on the machine.
    for name in ("packages", "device", "trainings", "memory", "fonts",
                 "browser"):
        assert states.pop(name) in (OK, NOTE, WARN)
    assert states == {
        "course": OK, "Python": OK, "imports": OK, "kernel": OK,
        "widgets": OK, "text": WARN, "settings": OK, "a step": OK,
        "results": OK, "data": OK,
    }
    assert visit.code == 1
    assert "student edition" in visit["course"]["found"]
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
    [found] = installation.packages()
    assert found.state == OK and "in the versions tested" in found.found
    lists["one"] = "2.14.0.dev1+git"
    [found] = installation.packages()
    assert (found.state, found.found) == (
        WARN, "one is 2.14.0.dev1+git, tested was 2.13.0"
    )
    lists["one"] = "3.0"
    del lists["Two_2"]
    [found] = installation.packages()
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
    [found] = installation.packages()
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
        f"import torch finds 1.4.0 in {stub}, not the installed package"
    )
    visit = course.doctor(
        "imports", before=visit["imports"]["mend"], PYTHONPATH=stub.parent
    )
    assert visit["imports"]["state"] == OK


@pytest.mark.parametrize(
    ("facts", "words", "mend"),
    [
        ({"file": "/other/numpy/__init__.py", "error": "E: broken"},
         "finds /other/numpy, not the installed", "--no-deps"),
        ({"file": "", "error": "ImportError: broken"},
         "does not import: ImportError: broken", "--no-deps"),
        ({"file": "", "error": "E: No module named 'packaging'"},
         "No module named 'packaging'", '[lab]"'),
    ],
)
def test_a_module_that_is_not_as_installed(monkeypatch, facts, words, mend):
    monkeypatch.setattr(mends, "is_elsewhere", lambda: False)
    monkeypatch.setenv("CONDA_PREFIX", "/conda")
    [found] = installation.imports(answer(imports={
        "numpy": facts, "labutils": {"error": "follows from it"}
    }))
    assert found.state == BAD and words in found.found and mend in found.mend


def test_an_import_that_takes_too_long_is_no_error():
    [found] = installation.imports(
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
    for name in ("packages", "imports", "kernel", "device"):
        assert visit[name]["state"] == BAD and visit[name]["mend"]
    assert "missing: matplotlib, torch, ipywidgets" in (
        visit["packages"]["found"]
    )
    assert visit["imports"]["found"] == (
        "importing numpy: ended by signal 11"
    )
    assert "--force-reinstall --no-deps -c constraints.txt numpy" in (
        visit["imports"]["mend"]
    )
    assert "No module named 'jupyter_core'" in visit["kernel"]["found"]
    assert visit["text"] and visit["results"] and visit["memory"]


def test_a_file_that_hides_a_module_is_named_and_its_line_mends_it(home):
    file = home / "notebooks" / "random.py"
    file.parent.mkdir()
    file.write_text("print('my random numbers')\n")
    (home / "notebooks" / "mine.py").write_text("")
    [found] = installation.hidden()
    assert found.state == BAD
    assert "random.py hides the module random" in found.found
    subprocess.run(["sh", "-c", found.mend], check=True)
    assert not [*installation.hidden()]
    assert file.with_name("my_random.py").exists()


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


@pytest.mark.slow
def test_a_kernel_that_imports_from_elsewhere_is_named_and_mended(
    course, tmp_path
):
    (tmp_path / "torch.py").write_text("")
    write_spec(
        course.folder / ".venv/share/jupyter/kernels/python3", course.python,
        env={"PYTHONPATH": str(tmp_path)},
    )
    visit = course.doctor("notebooks")
    assert visit["kernel"]["state"] == BAD
    assert f"; its torch is {tmp_path}/torch.py, not in " in (
        visit["kernel"]["found"]
    )
    visit = course.doctor("notebooks", before=visit["kernel"]["mend"])
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
    assert "(/an/environment/that/is/gone/bin/python) does not start" in (
        visit["kernel"]["found"]
    )
    visit = course.doctor("notebooks", before=visit["kernel"]["mend"])
    assert visit["kernel"]["state"] == OK


def test_a_kernel_found_through_jupyter_path_is_mended_there(monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/there:/elsewhere")
    found = next(installation.kernels(answer(
        kernel_dirs=[], spec="/there/kernels/python3",
        kernel={"executable": "/other/bin/python", "prefix": "/other",
                "version": "3.11.1", "torch": "/t", "labutils": "/l"},
    )))
    assert found.state == WARN and "another environment" in found.found
    assert found.mend == "unset JUPYTER_PATH"


def test_a_kernel_with_another_labutils_is_named():
    found = next(installation.kernels(answer(
        kernel_dirs=[], spec="/s", env={},
        kernel={"executable": sys.executable, "prefix": sys.prefix,
                "version": "3.11.1", "torch": torch.__file__,
                "labutils": "/old/course/labutils/__init__.py"},
    )))
    assert found.state == WARN
    assert "its labutils is /old/course/labutils" in found.found
    assert "its torch" not in found.found


def test_a_kernel_without_torch_is_named():
    found = next(installation.kernels(answer(
        kernel_dirs=[], spec="/s", env={},
        kernel={"executable": sys.executable, "prefix": sys.prefix,
                "version": "3.11.1", "torch": None,
                "labutils": str(ROOT / "labutils" / "__init__.py")},
    )))
    assert found.state == BAD
    assert found.found.endswith("(3.11.1); torch is not installed there")


def test_where_no_kernel_is_one_is_installed():
    found = next(installation.kernels(answer(
        kernel_dirs=[], spec="", kernel_error="NoSuchKernel: no python3",
    )))
    assert found.state == BAD and "NoSuchKernel" in found.found
    assert found.mend.endswith("-m ipykernel install --sys-prefix")


def test_a_kernel_that_is_slow_is_none_that_is_broken():
    found = next(installation.kernels(answer(
        kernel_dirs=[], spec="/s", argv=["python"], late=True,
    )))
    assert found.state == WARN and "in time" in found.found
    assert found.mend.endswith("--seconds 60")


@pytest.mark.slow
def test_a_home_that_jupyter_cannot_write_is_named_and_mended(course):
    around = confined("--ro-bind", str(course.home), str(course.home))
    visit = course.doctor("notebooks", around=around)
    assert visit["jupyter"]["state"] == BAD
    assert str(course.home) in visit["jupyter"]["found"]
    visit = course.doctor(
        "notebooks", around=around, before=visit["jupyter"]["mend"]
    )
    assert "jupyter" not in visit.states()


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


@pytest.mark.slow
def test_a_disabled_front_end_is_named_and_its_line_mends_it(course):
    config = course.folder / ".venv/etc/jupyter/labconfig/page_config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({
        "disabledExtensions": {"@jupyter-widgets/jupyterlab-manager": True}
    }))
    visit = course.doctor("notebooks")
    assert visit["widgets"]["state"] == BAD
    assert "the extension is disabled" in visit["widgets"]["found"]
    visit = course.doctor("notebooks", before=visit["widgets"]["mend"])
    assert visit["widgets"]["state"] == OK, visit.err


def test_a_front_end_of_another_generation_is_named(tmp_path, monkeypatch):
    for place, version in (("mine", "3.1.0"), ("its", "5.0.15")):
        folder = tmp_path / place / probes.EXTENSION
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps(
            {"name": probes.EXTENSION, "version": version}))

    def look(*places):
        monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda _: [
            str(tmp_path / place) for place in places])
        [found] = installation.widgets(answer(front_end=probes.front_end()))
        return found

    found = look("mine", "its")
    assert found.state == BAD and "front end 3.1.0" in found.found
    assert found.mend == f"rm -r {tmp_path / 'mine' / probes.EXTENSION}"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "mine"))
    assert look("mine", "its").mend.endswith("jupyterlab_widgets")
    assert look("its").state == OK
    assert "no front end" in look().found


# ---- the text and the settings


def test_the_text_is_the_one_that_a_notebook_would_take(home, monkeypatch):
    [found] = machine.text()
    assert found.state == WARN and "until there is a copy" in found.found
    assert found.mend.endswith("-m labkit data fetch")
    copy = home / "data" / "timemachine.txt"
    copy.parent.mkdir()
    copy.write_text("The Time Machine, by H. G. Wells [1898]\n\n")
    [found] = machine.text()
    assert found.state == WARN and "it was cut short" in found.found
    assert "add --from FILE" in found.found
    assert corpus.WAYS_TO_GET_IT not in found.found
    monkeypatch.setenv("LABUTILS_TEXT", str(copy))
    [found] = machine.text()
    assert (found.state, found.mend) == (BAD, "unset LABUTILS_TEXT")
    monkeypatch.setenv("LABUTILS_TEXT", "practice")
    [found] = machine.text()
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


def test_bad_settings_are_named_with_their_lines(home, monkeypatch):
    bad = {"LABUTILS_EPOCHS": "many", "LABUTILS_SECONDS": "all",
           "LABUTILS_SEED": "-1", "LABUTILS_SEEDS": "1"}
    for name, value in bad.items():
        monkeypatch.setenv(name, value)
    found = [*machine.variables()]
    assert [one.state for one in found] == [BAD, BAD, BAD, WARN]
    for one, name in zip(found, bad, strict=True):
        assert one.found.startswith(name) and one.mend == f"unset {name}"
    assert "perhaps LABUTILS_SEED is meant" in found[-1].found


def test_what_caps_a_training_is_noted(home, monkeypatch):
    [found] = machine.variables()
    assert found.state == OK and "no LABUTILS_* variable" in found.found
    monkeypatch.setenv("LABUTILS_SEED", "3")
    [found] = machine.variables()
    assert (found.state, found.found) == (OK, "LABUTILS_SEED=3")
    monkeypatch.setenv("LABUTILS_SECONDS", "60")
    [found] = machine.variables()
    assert found.state == NOTE and "trainings are capped" in found.found
    assert found.mend == "unset LABUTILS_SECONDS"
    monkeypatch.setenv("LABUTILS_EPOCHS", "2")
    [found] = machine.variables()
    assert found.mend == "unset LABUTILS_EPOCHS LABUTILS_SECONDS"


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
    assert "no room for a file (No space left" in visit["results"]["found"]


@pytest.mark.parametrize(("free", "state"), [(100, WARN), (10, BAD)])
def test_room_gets_scarce(home, monkeypatch, free, state):
    room = shutil._ntuple_diskusage(10**9, 0, free * 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    results, data = machine.check()
    assert results.state == state and f"only {free} MB" in results.found
    assert data.state == WARN  # without a text one can train
    assert results.mend.startswith("export LABUTILS_RESULTS_DIR=")


@pytest.mark.slow
def test_ones_own_folder_is_made_writable():
    """By another user than root, whom no permission stops."""
    if os.geteuid():
        pytest.skip("needs root, to become somebody else")
    script = """
import os, subprocess, sys
from pathlib import Path
from labkit.doctor import machine
os.chdir("/")
os.setuid(65534)
folder = Path(sys.argv[1])
folder.mkdir()
folder.chmod(0o500)
found = machine.folder("results", "LABUTILS_RESULTS_DIR", folder, "BAD")
print(found.state, found.found)
subprocess.run(["sh", "-c", found.mend], check=True)
print(machine.folder("results", "LABUTILS_RESULTS_DIR", folder, "BAD").state)
"""
    # pytest's own folders are closed to others.
    place = Path("/tmp") / f"doctor-{os.getpid()}"
    place.mkdir()
    try:
        place.chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", script, str(place / "results")],
            capture_output=True, text=True, check=True, cwd=ROOT,
        )
    finally:
        shutil.rmtree(place)
    assert done.stdout.splitlines() == [
        f"BAD {place / 'results'}: cannot be written (Permission denied)", OK,
    ]


def test_what_is_made_to_try_is_gone_afterwards(tmp_path):
    assert machine.try_to_write(tmp_path / "a" / "b") == ""
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    assert "cannot be written" in machine.try_to_write(tmp_path / "file" / "a")


# ---- the machine


@pytest.mark.slow
def test_a_bad_device_is_named_and_a_cap_is_heeded(course):
    visit = course.doctor(
        "machine", LABUTILS_DEVICE="tpu", LABUTILS_EPOCHS="1"
    )
    assert visit["device"]["state"] == BAD
    assert "LABUTILS_DEVICE='tpu' cannot be used" in visit["device"]["found"]
    assert visit["device"]["mend"] == "unset LABUTILS_DEVICE"
    assert "with LABUTILS_EPOCHS=1" in visit["trainings"]["found"]


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
    assert facts["step"] > 0 and facts["ratio"] > 0


def test_estimates_follow_the_step_that_was_timed(monkeypatch):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)
    runs = {name: recorded.load(name) for name in recorded.names()}
    steps = probes.BATCH_SIZE * probes.NUM_STEPS
    timed = runs[probes.TIMED]
    same = 1000 * timed.seconds * steps / timed.tokens
    at_home = probes.estimates(same)
    assert at_home["ratio"] == pytest.approx(1)
    assert sum(at_home["estimates"].values()) == pytest.approx(
        sum(run.seconds for name, run in runs.items()
            if not name.startswith(("seeds", "whole_book")))
    )
    slow = probes.estimates(3 * same)
    assert slow["ratio"] == pytest.approx(3)
    assert slow["estimates"] == pytest.approx(
        {name: 3 * value for name, value in at_home["estimates"].items()}
    )
    monkeypatch.setenv("LABUTILS_EPOCHS", "50")
    assert probes.estimates(same)["estimates"]["5"] == pytest.approx(
        at_home["estimates"]["5"] / 10
    )


def test_a_machine_that_is_slow_gets_a_line(home, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (0, 0, 0))
    slow = answer(device="cpu", step=400.0, ratio=10.0,
                  estimates={"5": 3000.0, "6": 60.0})
    [step, found] = machine.trainings(slow)
    assert step.state == OK and found.state == WARN
    assert "notebook 5: 50 min, notebook 6: 60 s; 51 min in all" in found.found
    assert found.mend == "export LABUTILS_EPOCHS=100"
    monkeypatch.setattr(os, "getloadavg", lambda: (99, 0, 0))
    [step, found] = machine.trainings(slow)
    assert found.state == OK and "load 99.0" in found.found


@pytest.mark.parametrize(
    ("free", "state"), [(8e9, OK), (1e9, WARN), (1e8, BAD)]
)
def test_memory(free, state):
    [found] = machine.memory(answer(memory=free))
    assert found.state == state and f"{free / 1e9:.1f} GB" in found.found


def test_fonts_are_missed_more_where_the_language_is_chinese(monkeypatch):
    none = answer(font=None, font_cache="/cache")
    monkeypatch.setenv("LABUTILS_LANG", "en")
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    [found] = machine.fonts(none)
    assert found.state == NOTE and found.mend
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert next(machine.fonts(none)).state == WARN


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
    ("fonts", answer(TOO_LONG), NOTE, "took too long", "--seconds 60"),
    ("memory", answer(no_fact="broken"), NOTE, "broken", "pip install"),
])
def test_what_a_probe_did_not_say_becomes_a_line(
    name, facts, state, words, mend
):
    [found] = examine.careful(name, machine.device, facts, "fact")
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
