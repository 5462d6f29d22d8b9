"""Installations are broken, and the doctor's lines mend them."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import support
from clinic import FRONT_END, ROOT, confined, environment, new_course

from labkit.doctor import (
    extras,
    folders,
    imports,
    interpreter,
    jupyter,
    machine,
    mends,
    page,
    python,
    text,
    trainings,
    widgets,
)
from labkit.doctor.findings import BAD, NOTE, OK, WARN, Finding, Section
from labkit.doctor.versions import within
from labutils import recorded

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the lines are those of a POSIX shell"
)


@pytest.fixture
def course(tmp_path):
    return new_course(tmp_path)


def probe(trouble="", **facts):
    """A probe's answers."""
    return SimpleNamespace(facts=facts, trouble=trouble)


def files(folder):
    """Every file of a folder, with its size, but for Python's caches."""
    return {
        path: path.stat().st_size for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


# ---- nothing is broken


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
    assert "the practice text" in visit["text"]["found"]
    assert visit["text"]["mend"] == "unset LABUTILS_TEXT"
    for notebook in "3456":
        assert f"notebook {notebook}: " in visit["trainings"]["found"]
    assert files(course.folder) == before
    # Jupyter and IPython make folders for themselves.
    assert {path.parts[len(course.home.parts)] for path in files(course.home)
            } <= {".ipython", ".jupyter", ".local"}


def test_the_page_is_one_for_people(course):
    done = subprocess.run(
        [course.python, "-m", "labkit", "doctor", "--only", "text"],
        cwd=course.folder, capture_output=True, text=True, check=False,
        env=course.variables({"LABUTILS_EPOCHS": "many", "COLUMNS": "70"}),
    )
    assert done.returncode == 2 and not done.stderr
    assert done.stdout.isascii()
    lines = done.stdout.splitlines()
    assert lines[0] == "Text and settings"
    assert "                    > unset LABUTILS_EPOCHS" in lines
    assert " ".join(lines[-2:]) == (
        "Does not work: settings. Works, with a warning: text. Each line "
        "after a > mends the one above it."
    )


def test_the_real_text_is_verified(course):
    visit = course.doctor("text", LABUTILS_TEXT=support.real_text())
    assert visit.code == 0
    assert "verified (SHA-256 8424dbd9532a" in visit["text"]["found"]


# ---- Python


def test_a_python_that_is_too_old_is_named_and_the_right_one_found(course):
    # Pythons that a version manager keeps, and the system's.
    found = [
        *Path(sys.base_prefix).parent.glob("3.8.*/bin/python"),
        *Path(sys.base_prefix).parent.glob("3.9.*/bin/python"),
        *filter(None, map(shutil.which, ("python3.8", "python3.9"))),
    ]
    if not found:
        pytest.skip("needs a Python 3.8 or 3.9")
    done = subprocess.run(
        [found[0], "-m", "labkit", "doctor", "--json"], cwd=course.folder,
        capture_output=True, text=True, check=False, env=course.variables({}),
    )
    assert done.returncode == 2 and not done.stderr
    checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert checks["Python"]["state"] == BAD
    assert "too old, 3.11 or newer" in checks["Python"]["found"]
    assert checks["text"]["state"] == WARN and checks["results"]
    # The course has an environment, made with a newer one.
    assert checks["Python"]["mend"] == ".venv/bin/python -m labkit doctor"
    visit = course.doctor("python", before=(
        f"{checks['Python']['mend']} --only python"
    ))
    assert visit["Python"]["state"] == OK


def test_a_newer_python_is_looked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(interpreter, "oldest", lambda: sys.version_info[:2])
    monkeypatch.setattr(interpreter.mends, "own_environment", lambda: None)
    name = f"python3.{sys.version_info.minor}"
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    for folder, words in (
        (wrong, "#!/bin/sh\nexit 127\n"),  # as a version manager's may be
        (right, f"#!/bin/sh\nexec {sys.executable} \"$@\"\n"),
    ):
        folder.mkdir()
        (folder / name).write_text(words)
        (folder / name).chmod(0o755)
    make = str(Path(shutil.which("make") or "/usr/bin/make").parent)
    monkeypatch.setenv("PATH", f"{right}:{make}")
    assert f"PYTHON={right / name}" in interpreter._newer()
    monkeypatch.setenv("PATH", f"{wrong}")
    assert str(wrong) not in interpreter._newer()


# ---- packages


def test_a_missing_package_and_those_of_other_versions_are_named(course):
    course.remove("ipywidgets")
    course.put_metadata("pooch", "1.0.0")
    course.put_metadata("nbformat", "5.11.99")
    visit = course.doctor("python")
    assert visit["packages"]["state"] == BAD and visit.code == 2
    assert visit["packages"]["found"] == (
        "missing: ipywidgets; pooch is 1.0.0, needed is >=1.9,<2; nbformat is "
        f"5.11.99, tested was {python.constraints()['nbformat']}"
    )
    assert visit["packages"]["mend"] == (
        '.venv/bin/python -m pip install -c constraints.txt -e ".[lab]"'
    )


def test_a_version_in_range_that_was_not_tested_is_a_warning(course):
    course.put_metadata("nbformat", "5.11.99")
    visit = course.doctor("python")
    assert visit["packages"]["state"] == WARN and visit.code == 1


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


def test_what_was_installed_is_never_renamed(tmp_path):
    file = tmp_path / "numpy" / "__init__.py"
    found = imports._not_installed("numpy", "numpy", file)
    assert " pip install --force-reinstall --no-deps " in found.mend


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is small")
@pytest.mark.parametrize("gpu", [True, False])
def test_torch_comes_without_cuda_where_no_gpu_is(monkeypatch, gpu):
    monkeypatch.setattr(mends, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(mends, "own_environment", lambda: None)
    monkeypatch.setattr(mends, "in_environment", lambda: True)
    asked = f"--extra-index-url {mends.CPU_INDEX} "
    assert (asked in mends.reinstall("torch")) is not gpu
    assert asked not in mends.reinstall("numpy")
    assert asked not in mends.install()  # torch is there
    monkeypatch.setattr(mends, "installed", lambda name: None)
    assert (asked in mends.install()) is not gpu
    monkeypatch.setattr(mends.shutil, "which", lambda name: None)
    assert (asked in mends.make()) is not gpu


def test_a_page_is_given_where_almost_everything_is_broken(course):
    course.remove("torch", "matplotlib", "ipywidgets", "jupyter_core")
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


def test_a_file_that_hides_a_module_is_named_and_its_line_mends_it(course):
    file = course.folder / "notebooks" / "random.py"
    file.write_text("print('my random numbers')\n")
    (course.folder / "notebooks" / "mine.py").write_text("")
    visit = course.doctor("folders")
    assert visit["file names"]["state"] == BAD
    assert "random.py hides the module random" in visit["file names"]["found"]
    visit = course.doctor("folders", before=visit["file names"]["mend"])
    assert "file names" not in visit.states()
    assert file.with_name("my_random.py").exists()


@pytest.mark.parametrize(
    ("version", "versions", "inside"),
    [
        ("2.13.0+cpu", ">=2.13,<3", True), ("2.12.9", ">=2.13,<3", False),
        ("3.0.0", ">=2.13,<3", False), ("10.1", ">=9,<11", True),
        ("0.9.6", ">=0.9.6,<0.10", True), ("1.0", "==1.0.0", True),
        ("1.0", "!=1.0.0", False), ("3.0.18", "~=3.0.17", True),
        ("3.1.0", "~=3.0.17", False), ("3.9", "~=3.0", True), ("7", "", True),
    ],
)
def test_versions_in_ranges(version, versions, inside):
    assert within(version, versions) is inside


def test_requirements_of_an_installed_package(monkeypatch, tmp_path):
    lines = [
        "torch<3,>=2.13", 'ipykernel<8,>=7.4; extra == "lab"',
        "labutils[lab] ; extra == 'teach'",
    ]
    monkeypatch.setattr(python.settings, "home", lambda: tmp_path)
    monkeypatch.setattr(python.metadata, "requires", lambda _: lines)
    assert python.requirements() == [
        python.Requirement("torch", "<3,>=2.13", ""),
        python.Requirement("ipykernel", "<8,>=7.4", "lab"),
        python.Requirement("labutils", "", "teach"),
    ]


def test_without_the_course_the_line_asks_no_registry_for_labutils(
    monkeypatch, tmp_path
):
    lines = ["torch<3,>=2.13", 'ipykernel<8,>=7.4; extra == "lab"',
             "labutils[lab]; extra == 'teach'", "nbval; extra == 'test'"]
    monkeypatch.setattr(mends.settings, "home", lambda: tmp_path)
    monkeypatch.setattr(mends.metadata, "requires", lambda _: lines)
    assert mends.install().endswith(
        'pip install "torch<3,>=2.13" "ipykernel<8,>=7.4"'
    )


def test_the_course_itself_asks_for_what_pyproject_says():
    asked = python.requirements()
    assert python.Requirement("torch", ">=2.13,<3", "") in asked
    assert {one.extra for one in asked} >= {"", "lab", "test", "dev"}


# ---- the kernel


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
    assert "torch does not import (it is not installed there)" in (
        visit["kernel"]["found"]
    )
    visit = course.doctor(
        "notebooks", before=visit["kernel"]["mend"],
        JUPYTER_PREFER_ENV_PATH="0",
    )
    assert visit["kernel"]["state"] == OK


def test_a_kernel_that_imports_from_elsewhere_is_named_and_mended(
    course, tmp_path
):
    (tmp_path / "torch.py").write_text("raise ImportError('not today')\n")
    write_spec(
        course.folder / ".venv/share/jupyter/kernels/python3", course.python,
        env={"PYTHONPATH": str(tmp_path)},
    )
    visit = course.doctor("notebooks")
    assert visit["kernel"]["state"] == BAD
    assert "torch does not import (ImportError: not today)" in (
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


def test_a_kernel_that_cannot_start_is_named_and_mended(course):
    spec = course.folder / ".venv/share/jupyter/kernels/python3"
    write_spec(spec, "/an/environment/that/is/gone/bin/python")
    # Of this name nobody is surprised.
    write_spec(spec.with_name("mine"), sys.executable)
    visit = course.doctor("notebooks")
    assert visit["kernel"]["state"] == BAD
    assert "(/an/environment/that/is/gone/bin/python) does not start" in (
        visit["kernel"]["found"]
    )
    assert visit["kernels"]["state"] == NOTE
    assert f"mine ({sys.executable})" in visit["kernels"]["found"]
    visit = course.doctor("notebooks", before=visit["kernel"]["mend"])
    assert visit["kernel"]["state"] == OK


def test_a_kernel_found_through_jupyter_path_is_mended_there(monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/there:/elsewhere")
    found = jupyter.check(probe(
        labextensions=[], kernel_dirs=[], spec="/there/kernels/python3",
        kernel={"executable": "/other/bin/python", "prefix": "/other",
                "version": "3.11.1", "torch": "/t", "labutils": "/l"},
    ))
    assert found[0].state == WARN and "another environment" in found[0].found
    assert found[0].mend == "unset JUPYTER_PATH"


def test_a_kernel_with_another_labutils_is_named():
    [found, *_] = jupyter.check(probe(
        labextensions=[], kernel_dirs=[], spec="/s", env={},
        kernel={"executable": sys.executable, "prefix": sys.prefix,
                "version": "3.11.1", "torch": "/t/torch/__init__.py",
                "labutils": "/old/course/labutils/__init__.py"},
    ))
    assert found.state == WARN
    assert "its labutils is /old/course/labutils" in found.found


def test_another_environments_word_jupyter_is_noted(monkeypatch, tmp_path):
    for name in ("its", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jupyter").touch(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "mine" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "its"))
    [found] = jupyter._command()
    assert found.state == NOTE and str(tmp_path / "its") in found.found
    assert found.mend.startswith(f"{tmp_path / 'mine' / 'jupyter'} lab ")
    monkeypatch.setenv("PATH", str(tmp_path / "mine"))
    assert jupyter._command() == []


def test_a_kernel_that_is_slow_is_none_that_is_broken():
    [found, *_] = jupyter.check(probe(
        labextensions=[], kernel_dirs=[], spec="/s", argv=["python"],
        late=True,
    ))
    assert found.state == WARN and "in time" in found.found
    assert found.mend.endswith("--seconds 60")


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


def test_a_front_end_of_another_generation_is_named(tmp_path):
    for place, version in (("mine", "3.1.0"), ("its", "5.0.15")):
        folder = tmp_path / place / widgets.EXTENSION
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps({"version": version}))
    both = [str(tmp_path / "mine"), str(tmp_path / "its")]
    [found] = widgets.check(probe(labextensions=both, configs=[]))
    assert found.state == BAD and "front end 3.1.0" in found.found
    assert found.mend == f"rm -r {tmp_path / 'mine' / widgets.EXTENSION}"
    [found] = widgets.check(probe(labextensions=both[:1], configs=[]))
    assert found.mend.endswith("jupyterlab_widgets")
    [found] = widgets.check(probe(labextensions=both[1:], configs=[]))
    assert found.state == OK


# ---- the text and the settings


def test_a_damaged_text_is_named_and_its_line_mends_it(course):
    book = support.real_text().read_bytes()
    copy = course.folder / "data" / "timemachine.txt"
    copy.parent.mkdir()
    copy.write_bytes(book[:100_000])
    visit = course.doctor("text")
    assert visit["text"]["state"] == WARN and visit.code == 1
    assert "it was cut short" in visit["text"]["found"]
    assert copy.stat().st_size == 100_000  # looked at, not touched
    line = f"{visit['text']['mend']} --from {support.real_text()}"
    assert "add --from FILE" in visit["text"]["found"]
    visit = course.doctor("text", before=line)
    assert visit["text"]["state"] == OK and visit.code == 0, visit.err


def test_a_text_that_is_named_wrongly_does_not_work(course):
    visit = course.doctor("text", LABUTILS_TEXT="pyproject.toml")
    assert visit["text"]["state"] == BAD
    assert "some other text" in visit["text"]["found"]
    assert visit["text"]["mend"] == "unset LABUTILS_TEXT"


def test_bad_settings_are_named_and_their_lines_mend_them(course):
    bad = {"LABUTILS_EPOCHS": "many", "LABUTILS_SECONDS": "all",
           "LABUTILS_SEED": "-1", "LABUTILS_SEEDS": "1"}
    visit = course.doctor("text", **bad)
    found = [c for c in visit.checks if c["name"] == "settings"]
    assert [c["state"] for c in found] == [BAD, BAD, BAD, WARN]
    for check, name in zip(found, bad, strict=True):
        assert check["found"].startswith(name)
    assert "perhaps LABUTILS_SEED is meant" in found[-1]["found"]
    lines = "; ".join(check["mend"] for check in found)
    visit = course.doctor("text", before=lines, **bad)
    assert visit["settings"]["state"] == OK


def test_what_caps_a_training_is_noted(monkeypatch):
    for name in text._known():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABUTILS_SEED", "3")
    [found] = text.variables()
    assert (found.state, found.found) == (OK, "LABUTILS_SEED=3")
    monkeypatch.setenv("LABUTILS_SECONDS", "60")
    [found] = text.variables()
    assert found.state == NOTE and "trainings are capped" in found.found
    assert found.mend == "unset LABUTILS_SECONDS"
    monkeypatch.setenv("LABUTILS_EPOCHS", "2")
    [found] = text.variables()
    assert found.mend == "unset LABUTILS_EPOCHS LABUTILS_SECONDS"


def test_a_bad_device_is_named_and_a_cap_is_heeded(course):
    visit = course.doctor(
        "machine", LABUTILS_DEVICE="tpu", LABUTILS_EPOCHS="1"
    )
    assert visit["device"]["state"] == BAD
    assert "LABUTILS_DEVICE='tpu' cannot be used" in visit["device"]["found"]
    assert visit["device"]["mend"] == "unset LABUTILS_DEVICE"
    assert "with LABUTILS_EPOCHS=1" in visit["trainings"]["found"]


# ---- folders


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


def test_a_full_disk_is_named_and_its_line_mends_it(course):
    results = course.folder / "results"
    results.mkdir()
    around = confined("--size", "500000", "--tmpfs", str(results))
    visit = course.doctor("folders", around=around)
    assert visit["results"]["state"] == BAD
    assert "no room for a file (No space left" in visit["results"]["found"]
    visit = course.doctor(
        "folders", around=around, before=visit["results"]["mend"]
    )
    assert visit["results"]["state"] == OK


def test_ones_own_folder_is_made_writable(tmp_path):
    """By another user than root, whom no permission stops."""
    if os.geteuid():
        pytest.skip("needs root, to become somebody else")
    script = """
import os, subprocess, sys
from pathlib import Path
from labkit.doctor import folders
os.chdir("/")
os.setuid(65534)
folder = Path(sys.argv[1])
folder.mkdir()
folder.chmod(0o500)
found = folders._folder("results", "LABUTILS_RESULTS_DIR", folder, "BAD")
print(found.state, found.found)
subprocess.run(["sh", "-c", found.mend], check=True)
print(folders._folder("results", "LABUTILS_RESULTS_DIR", folder, "BAD").state)
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
    assert folders.try_to_write(tmp_path / "a" / "b") == ""
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    assert "cannot be written" in folders.try_to_write(tmp_path / "file" / "a")


# ---- the machine


def test_the_timed_models_are_those_of_the_recorded_runs():
    known = {run for runs in trainings.NOTEBOOKS.values() for run in runs}
    assert known == set(recorded.names()) - {"whole_book"}
    for name in trainings.TIMED:
        model = trainings.new_model(name, trainings.torch.device("cpu"))
        asked = recorded.load(name).settings
        count = sum(p.numel() for p in model.parameters())
        assert count == asked["num_parameters"]
        assert asked["batch_size"] == trainings.BATCH_SIZE
        assert asked["num_steps"] == trainings.NUM_STEPS


def test_estimates_follow_the_steps_that_were_timed(monkeypatch):
    monkeypatch.delenv("LABUTILS_EPOCHS", raising=False)
    same = {n: trainings.recorded_ms(n) for n in trainings.TIMED}
    at_home = trainings.estimates(same)
    assert at_home["ratio"] == pytest.approx(1)
    for notebook, runs in trainings.NOTEBOOKS.items():
        seconds = sum(recorded.load(run).seconds for run in runs)
        assert at_home["estimates"][notebook] == pytest.approx(seconds)
    slow = same | {"lstm_scratch": 3 * same["lstm_scratch"]}
    ratios = {
        notebook: seconds / at_home["estimates"][notebook]
        for notebook, seconds in trainings.estimates(slow)["estimates"].items()
    }
    assert ratios == pytest.approx({"3": 1, "4": 1, "5": 3, "6": 1})
    # Of models that no time was left for the others tell.
    few = trainings.estimates({"deep_gru": 2 * same["deep_gru"]})
    assert few["estimates"]["3"] == pytest.approx(
        2 * at_home["estimates"]["3"]
    )
    monkeypatch.setenv("LABUTILS_EPOCHS", "50")
    assert trainings.estimates(same)["estimates"]["5"] == pytest.approx(
        at_home["estimates"]["5"] / 10
    )


def test_a_machine_that_is_slow_gets_a_line(monkeypatch):
    monkeypatch.setattr(machine, "_busy", lambda: "")
    steps = {"deep_gru": 400.0}
    slow = probe(device="cpu", steps=steps, ratio=10.0,
                 estimates={"5": 3000.0, "6": 60.0})
    [step, found] = machine.trainings(slow)
    assert step.state == OK and found.state == WARN
    assert "notebook 5: 50 min, notebook 6: 60 s; 51 min in all" in found.found
    assert found.mend == "export LABUTILS_EPOCHS=100"
    [found] = machine.trainings(probe(device="cpu", trouble="too long"))
    assert found.state == WARN and found.mend.endswith("--seconds 60")


@pytest.mark.parametrize(
    ("free", "state"), [(8e9, OK), (1e9, WARN), (1e8, BAD)]
)
def test_memory(monkeypatch, free, state):
    monkeypatch.setattr(machine, "available", lambda: free)
    [found] = machine.memory(probe())
    assert found.state == state and f"{free / 1e9:.1f} GB" in found.found


def test_fonts_are_missed_more_where_the_language_is_chinese(monkeypatch):
    none = probe(chinese=[], font_cache="/cache")
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    [found] = extras.fonts(none)
    assert found.state == NOTE and found.mend
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert extras.fonts(none)[0].state == WARN


def test_an_import_that_takes_too_long_is_no_error():
    [found] = imports.check(
        probe("took too long, and was ended", importing="torch")
    )
    assert found.state == WARN and found.mend.endswith("--seconds 60")


# ---- the page


@pytest.mark.parametrize(
    ("states", "code", "verdict"),
    [
        ((OK, NOTE), 0, "All is well."),
        ((OK, WARN), 1, "Works, with a warning: 1."),
        ((BAD, WARN), 2, "Does not work: 0. Works, with a warning: 1."),
    ],
)
def test_verdicts(states, code, verdict):
    sections = [
        Section("Things", [
            Finding(str(number), state, "x" * 10, "mend it")
            for number, state in enumerate(states)
        ])
    ]
    assert page.exit_code(sections) == code
    assert verdict in " ".join(page.page(sections).split())
    assert json.loads(page.as_json(sections))["exit_code"] == code


def test_lines_end_where_the_terminal_does_and_mends_are_never_broken(
    monkeypatch
):
    monkeypatch.setenv("COLUMNS", "60")
    mend = "mend " * 40
    found = Finding("name", WARN, "word " * 40, mend)
    lines = page.page([Section("Things", [found])]).splitlines()
    assert f"{' ' * 20}> {mend}" in lines
    others = [line for line in lines[:-3] if ">" not in line]
    assert len(others) > 3 and max(map(len, others)) <= 60
    assert {len(x) - len(x.lstrip()) for x in others[2:]} == {20}
