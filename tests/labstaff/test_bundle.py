"""The bundle: made with a real pip, installed with the network really off."""

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import lesson
import pytest
from support import STAND_IN, names, take_stand_in
from test_layout import pinned
from test_release import content

from labkit import __main__ as cli
from labstaff import commands
from labstaff.publish import bundle, wheels
from labstaff.publish.stick import install
from labstaff.publish.wheels import SYSTEMS, Requirement, Target
from labutils import corpus, settings

RUNNING = "{}.{}".format(*sys.version_info)
WINDOWS = os.name == "nt"
# A package small enough for a test: Jupyter's kernel is all it needs.
SMALL = """
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"
[project]
name = "labutils"
version = "1"
dependencies = []
[project.optional-dependencies]
lab = ["ipykernel>=7.4,<8"]
[project.scripts]
labutils = "labkit.__main__:main"
[tool.hatch.build.targets.wheel]
packages = ["labutils", "labkit"]
"""
# Says which text a kernel started there would find.
MAIN = """
import hashlib, pathlib
def main():
    root = pathlib.Path(__file__).resolve().parents[1]
    text = root / "data" / "timemachine.txt"
    print(hashlib.sha256(text.read_bytes()).hexdigest())
if __name__ == "__main__":
    main()
"""
# Asks a kernel, as a notebook does, where its package is.
KERNEL = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
client.execute_interactive(
    "import labutils; print('kernel:', labutils.__file__)", timeout=60)
manager.shutdown_kernel()
"""


def small_course(place: Path, monkeypatch) -> Path:
    """A course with one small notebook, and the stand-in for the book."""
    root = lesson.course(place / "course", lesson.lesson())
    lesson.write(root / "pyproject.toml", SMALL)
    lesson.write(root / "labkit" / "__main__.py", MAIN)
    monkeypatch.setattr(settings, "home", lambda: root)
    take_stand_in(monkeypatch.setattr)
    lesson.write(place / "book.txt", STAND_IN.decode("utf-8"))
    monkeypatch.setenv("LABUTILS_TEXT", str(place / "book.txt"))
    return root


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course whose bundles have one empty wheel: pip is not asked."""
    def collect(wanted, target, pins, folder, torch_index=None):
        wheel(folder, "thing", "1")

    monkeypatch.setattr(wheels, "collect", collect)
    return small_course(tmp_path, monkeypatch)


@pytest.fixture
def out(tmp_path):
    return tmp_path.resolve() / "stick"


def wheel(folder: Path, name: str, version: str, *metadata: str) -> None:
    """Write a wheel with nothing in it but its metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    with zipfile.ZipFile(
        folder / f"{name}-{version}-py3-none-any.whl", "w"
    ) as file:
        for part, text in {
            "METADATA": "\n".join([*lines, *metadata, ""]),
            "WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
            "Root-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }.items():
            # A ZipInfo has no time of its own: equal wheels are equal bytes.
            file.writestr(zipfile.ZipInfo(f"{info}/{part}"), text)


# ---- made and installed


def needs_registry(place: Path) -> None:
    """Skip where pip reaches no packages, which a bundle is made of."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
         "--retries=0", f"--dest={place}", f"--constraint={PINS}", "comm"],
        capture_output=True, encoding="utf-8",
    )
    if done.returncode:
        pytest.skip(f"needs a package registry: {done.stderr[-200:]}")


PINS = settings.home() / "constraints.txt"


@pytest.fixture(scope="module")
def stick(tmp_path_factory):
    """A bundle of a small course on a stick, and what the command said."""
    place = tmp_path_factory.mktemp("bundle").resolve()
    needs_registry(place / "probe")
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_course(place, monkeypatch)
        said = bundle.bundle(place / "made")
    # Elsewhere, and where a path must be quoted.
    copy = place / "机房 stick" / "bundle"
    copy.parent.mkdir()
    (place / "made").rename(copy)
    return copy, said


def without_network() -> list[str]:
    """What goes before a command to run it with no network but loopback."""
    bwrap = shutil.which("bwrap") if sys.platform == "linux" else None
    if bwrap is None:
        return []
    return [bwrap, "--dev-bind", "/", "/", "--unshare-net", "--unshare-pid",
            "--proc", "/proc", "--die-with-parent"]


def offline(*command: str | Path, home: Path, **variables: str | Path):
    """Run a command as in a room without network, at a new computer."""
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP")
    environment = {k: os.environ[k] for k in kept if k in os.environ}
    environment |= {
        "HOME": str(home), "USERPROFILE": str(home), "PYTHONUTF8": "1",
        "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1",
        **{name: str(value) for name, value in variables.items()},
    }
    return subprocess.run(
        [*without_network(), *map(str, command)], env=environment, cwd=home,
        capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def room(stick, tmp_path_factory):
    """A computer on which the script of the bundle was run: the course's
    folder, its python, the home folder, and what the script said."""
    home = tmp_path_factory.mktemp("home").resolve()
    before = content(stick[0])
    if WINDOWS:
        done = offline("cmd", "/c", stick[0] / "install.bat", home=home)
    else:
        done = offline("sh", stick[0] / "install.sh", home=home,
                       PYTHON=sys.executable)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert content(stick[0]) == before  # a stick may be read-only
    place = home / "rnn-course"
    python = place / ".venv" / (
        "Scripts/python.exe" if WINDOWS else "bin/python")
    return place, python, home, done.stdout


@pytest.mark.slow
def test_the_network_is_off(tmp_path):
    if not without_network():
        pytest.skip("needs bubblewrap; without it nothing is proven here")
    script = (
        "import socket\n"
        "for address in ('192.0.2.1', '198.51.100.1'):\n"
        "    try: socket.create_connection((address, 53), 2)\n"
        "    except OSError as error: print(error.errno)\n"
        "print(sorted(name for _, name in socket.if_nameindex()))"
    )
    done = offline(sys.executable, "-c", script, home=tmp_path)
    unreachable = str(errno.ENETUNREACH)
    assert done.stdout.splitlines() == [unreachable, unreachable, "['lo']"]


@pytest.mark.slow
def test_what_is_in_a_bundle(stick):
    place, said = stick
    assert names(place) == [
        "README.md", "SHA256SUMS", "bundle.json", "course", "install.bat",
        "install.py", "install.sh", "wheels",
    ]
    text = place / "course" / "data" / "timemachine.txt"
    assert text.read_bytes() == STAND_IN
    assert (place / "course" / "notebooks" / "07_lesson.ipynb").exists()
    assert f"Bundle: {place.parents[1] / 'made'}" in said
    assert "Text: The Time Machine" in said


@pytest.mark.slow
def test_wheels_have_the_versions_of_the_constraints(stick):
    found = wheels.by_name(stick[0] / "wheels")
    assert {"ipykernel", "hatchling", "pip", "pyzmq"} <= set(found)
    versions = pinned()
    for name, path in found.items():
        if name != "pip":  # whichever is newest
            version = wheels.parse_wheel_filename(path.name)[1]
            assert version == versions[name], path.name


@pytest.mark.slow
def test_every_file_is_listed(stick):
    place, _ = stick
    lines = (place / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert lines == [
        f"{hashlib.sha256(data).hexdigest()}  {name}"
        for name, data in sorted(content(place).items())
        if name != "SHA256SUMS"
    ]


@pytest.mark.slow
def test_it_installs_with_no_network(room):
    place, python, home, said = room
    done = offline(python, "-c", KERNEL, home=home)
    assert done.returncode == 0, done.stderr
    assert f"kernel: {place / 'labutils' / '__init__.py'}" in done.stdout
    done = offline(python, "-m", "pip", "check", home=home)
    assert done.returncode == 0, done.stdout
    assert "1 of 3" in said and "3 of 3" in said
    assert f"    cd {place}" in said.replace('"', "").replace("'", "")
    assert "jupyter lab" in said


@pytest.mark.slow
def test_the_text_is_found_there(room):
    place, _, home, said = room
    sha256 = hashlib.sha256(STAND_IN).hexdigest()
    assert sha256 in said
    # The script that pip made, in a shell that knows no environment.
    program = place / ".venv" / ("Scripts" if WINDOWS else "bin") / "labutils"
    assert offline(program, home=home).stdout.strip() == sha256


@pytest.mark.slow
def test_make_has_nothing_left_to_install(room):
    if WINDOWS or not shutil.which("make"):
        pytest.skip("needs make")
    done = subprocess.run(["make", "-n", "lab"], cwd=room[0],
                          capture_output=True, encoding="utf-8")
    assert "jupyter lab" in done.stdout and "pip" not in done.stdout


# ---- a stick that is not as it was


def script(stick: Path, *arguments: str | Path):
    """Run the installer alone: exit code, output and error."""
    done = subprocess.run(
        [sys.executable, "-B", str(stick / "install.py"),
         *map(str, arguments)],
        capture_output=True, encoding="utf-8",
    )
    return done.returncode, done.stdout, done.stderr


def test_a_whole_copy_passes_its_check(course, out):
    bundle.bundle(out)
    code, said, error = script(out, "--check")
    assert (code, error) == (0, "")
    assert said.endswith(" files ...\nThis copy is whole.\n")


def test_a_damaged_copy_is_found(course, out, tmp_path):
    bundle.bundle(out)
    [path] = (out / "wheels").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (out / "course" / "LICENSE").unlink()
    code, _, error = script(out, tmp_path / "here")
    assert code == 1 and error.count("\n") == 1
    assert f"wheels/{path.name} is damaged" in error
    assert "course/LICENSE is missing" in error
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("key", "value"), [("python", "3.99"), ("system", "amiga")])
def test_another_python_or_system_is_told(course, out, key, value):
    bundle.bundle(out)
    about = json.loads((out / "bundle.json").read_text(encoding="utf-8"))
    about["targets"][0][key] = value
    lesson.write(out / "bundle.json", json.dumps(about))
    code, said, error = script(out)
    assert (code, said) == (1, "")
    assert f"this is Python {RUNNING}." in error
    assert about["targets"][0]["title"] in error
    # A copy is checked wherever it was made.
    assert "bundle.json is damaged" in script(out, "--check")[2]


def fake_python(place: Path, name: str, version: str) -> Path:
    path = place / name
    lesson.write(path, f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(WINDOWS, reason="a script for sh")
def test_the_script_looks_for_a_python_that_fits(course, out, tmp_path):
    bundle.bundle(out)
    path = tmp_path / "bin"
    for tool in ("dirname", "sh"):
        path.mkdir(exist_ok=True)
        (path / tool).symlink_to(shutil.which(tool))
    variables = {"PATH": str(path), "HOME": str(tmp_path)}

    def run(*arguments, **more):
        done = subprocess.run(
            ["sh", str(out / "install.sh"), *arguments],
            env=variables | more, capture_output=True, encoding="utf-8")
        return done.returncode, done.stdout, done.stderr

    code, _, error = run()
    assert code == 1 and "no Python at all" in error
    old = fake_python(path, "python3", "3.6")
    code, _, error = run()
    assert code == 1 and "python3 is 3.6" in error
    assert f"needs Python {RUNNING}" in error
    right = path / f"python{RUNNING}"
    lesson.write(right, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    right.chmod(0o755)
    assert run("--check")[0] == 0
    # Who names one means that one.
    assert "is 3.6" in run("--check", PYTHON=str(old))[2]


def test_the_script_for_windows_holds_together(course, out):
    bundle.bundle(out, pythons=["3.11", "3.12"])
    data = (out / "install.bat").read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n")
    text = data.decode("ascii")
    assert "in (3.11 3.12)" in text and "{" not in text
    labels = set(re.findall(r"^:(\w+)", text, re.MULTILINE))
    assert set(re.findall(r"goto (\w+)", text)) == labels


# ---- where it is installed


def test_notebooks_that_are_there_stay(tmp_path):
    source, there = tmp_path / "course", tmp_path / "there"
    for name in ("notebooks/1.ipynb", "notebooks/2.ipynb", "labutils/a.py"):
        lesson.write(source / name, "new")
    lesson.write(there / "notebooks/1.ipynb", "a student's work")
    lesson.write(there / "labutils/a.py", "old")
    assert install.copy_course(source, there) == 1
    assert (there / "notebooks/1.ipynb").read_text() == "a student's work"
    assert (there / "notebooks/2.ipynb").read_text() == "new"
    assert (there / "labutils/a.py").read_text() == "new"


def test_a_folder_with_something_else_is_no_place(course, out, tmp_path):
    bundle.bundle(out)
    lesson.write(tmp_path / "here" / "thesis.tex", "years of work")
    code, _, error = script(out, tmp_path / "here")
    assert code == 1 and "holds something else" in error
    assert names(tmp_path / "here") == ["thesis.tex"]


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)._replace(free=10**8)
    monkeypatch.setattr(install.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RuntimeError, match=r"1\.5 GB .* 0\.1 GB"):
        install.install(
            tmp_path / "a" / "b", {"unpacked": 15 * 10**8})
    assert names(tmp_path) == []


# ---- the folder


def test_two_bundles_are_equal(course, out):
    bundle.bundle(out)
    first = content(out)
    said = bundle.bundle(out)
    assert content(out) == first
    assert "kept" not in said
    assert names(out.parent) == ["book.txt", "course", "stick"]


def test_a_bundle_that_was_changed_is_kept(course, out):
    bundle.bundle(out)
    lesson.write(out / "notes.txt", "room 12 next")
    said = bundle.bundle(out)
    kept = out.with_name("stick.before1")
    assert f"kept as {kept}." in said
    assert (kept / "notes.txt").exists()
    assert not (out / "notes.txt").exists()


@pytest.mark.parametrize("name", ["thesis.tex", "SHA256SUMS", ".release"])
def test_another_folder_is_refused(course, out, name):
    lesson.write(out / name, "years of work")
    with pytest.raises(RuntimeError, match="Name a new folder"):
        bundle.bundle(out)
    assert names(out) == [name]


def test_the_courses_own_folders_are_refused(course):
    with pytest.raises(RuntimeError, match="part of the course"):
        bundle.bundle(course / "notebooks" / "stick")


def test_a_failure_leaves_the_earlier_bundle(course, out, monkeypatch):
    bundle.bundle(out)
    before = content(out)

    def fails(*_, **__):
        raise RuntimeError("the network is gone")

    monkeypatch.setattr(wheels, "collect", fails)
    with pytest.raises(RuntimeError, match="the network is gone"):
        bundle.bundle(out)
    assert content(out) == before
    assert names(out.parent) == ["book.txt", "course", "stick"]


# ---- the text


def test_the_practice_text_is_told_loudly(course, out, monkeypatch, capsys):
    monkeypatch.setenv("LABUTILS_TEXT", "practice")
    said = bundle.bundle(out)
    loud = "NO COPY OF THE TIME MACHINE IS IN THE BUNDLE"
    assert loud in capsys.readouterr().err and loud in said
    assert not (out / "course" / "data").exists()
    assert "practice text" in (out / "README.md").read_text(encoding="utf-8")


def test_a_damaged_text_makes_no_bundle(course, out, tmp_path):
    lesson.write(tmp_path / "book.txt", "something else")
    with pytest.raises(corpus.CorpusError):
        bundle.bundle(out)
    assert not out.exists()


# ---- which wheels


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder of wheels that pip takes everything from."""
    place = tmp_path / "registry"
    place.mkdir()
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    lesson.write(tmp_path / "pins.txt", "base==1.5\n")
    return place


def collected(tmp_path, wanted, system="linux", python="3.11", **options):
    place = tmp_path / f"wheels-{system}-{python}"
    wheels.collect([Requirement(line) for line in wanted],
                   Target(system, python), tmp_path / "pins.txt", place,
                   **options)
    return sorted(path.name.split("-py3")[0] for path in place.iterdir())


TOP = (
    "Requires-Dist: base>=1",
    "Requires-Dist: only_windows; sys_platform == 'win32'",
    "Requires-Dist: only_macos; platform_system == 'Darwin'",
    "Requires-Dist: only_arm; platform_machine == 'aarch64'",
    "Requires-Dist: old_python; python_version < '3.12'",
    "Requires-Dist: early; python_full_version < '3.11.4'",
    "Provides-Extra: more",
    "Requires-Dist: more_of_it; extra == 'more'",
)


@pytest.mark.parametrize(("system", "python", "own"), [
    ("linux", "3.11", ["early", "old_python"]),
    ("linux-arm", "3.11", ["early", "old_python", "only_arm"]),
    ("macos", "3.11", ["early", "old_python", "only_macos"]),
    ("windows", "3.11", ["early", "old_python", "only_windows"]),
    ("linux", "3.13", []),
])
def test_requirements_are_those_of_the_system_it_is_for(
    tmp_path, system, python, own
):
    wheel(tmp_path, "top", "1", *TOP)
    [path] = tmp_path.iterdir()
    needs = wheels._needs(path, "", Target(system, python))
    assert sorted(need.name for need in needs) == ["base", *own]


@pytest.mark.slow
def test_wheels_for_another_system_have_the_pinned_versions(
    registry, tmp_path
):
    wheel(registry, "top", "1", *TOP)
    for version in ("1.5", "1.6"):
        wheel(registry, "base", version)
    wheel(registry, "only_windows", "2")
    assert collected(tmp_path, ["top"], "windows", "3.13") == [
        "base-1.5", "only_windows-2", "top-1"]


@pytest.mark.slow
def test_an_extra_that_is_asked_for_later_counts(registry, tmp_path):
    wheel(registry, "top", "1", *TOP[6:])
    wheel(registry, "more_of_it", "2")
    wheel(registry, "base", "1.5", "Requires-Dist: top[more]")
    found = collected(tmp_path, ["top", "base"])
    assert found == ["base-1.5", "more_of_it-2", "top-1"]


def test_what_no_wheel_is_there_for_is_named(registry, tmp_path):
    wheel(registry, "base", "1.6")
    with pytest.raises(RuntimeError) as caught:
        collected(tmp_path, ["base"])
    message = str(caught.value)
    assert "\n" not in message and "base" in message
    assert "Linux, x86_64, Python 3.11" in message


@pytest.mark.slow
def test_requirements_that_do_not_fit_are_named(registry, tmp_path):
    wheel(registry, "base", "1.5")
    wheel(registry, "top", "1", "Requires-Dist: base>=2")
    with pytest.raises(RuntimeError, match=r"base-1\.5.* needs base>=2"):
        collected(tmp_path, ["top", "base"])


def index(place: Path, path: Path) -> str:
    """A package index of one wheel, as a folder; its address."""
    page = place / path.name.split("-")[0] / "index.html"
    lesson.write(page, f'<a href="{path.as_uri()}">{path.name}</a>')
    return place.as_uri()


@pytest.mark.slow
def test_torch_for_linux_comes_from_the_index_that_is_named(
    registry, tmp_path, monkeypatch
):
    wheel(registry, "torch", "2.13.0", "Requires-Dist: gigabytes")
    wheel(registry, "gigabytes", "1")
    cpu = tmp_path / "cpu"
    wheel(cpu, "torch", "2.13.0+cpu")
    address = index(tmp_path / "index",
                    cpu / "torch-2.13.0+cpu-py3-none-any.whl")
    lesson.write(tmp_path / "pins.txt", "torch==2.13.0\n")
    monkeypatch.delenv("PIP_NO_INDEX")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "empty").as_uri())
    assert collected(tmp_path, ["torch"], torch_index=address) == [
        "torch-2.13.0+cpu"]
    assert collected(
        tmp_path, ["torch"], "windows", torch_index=address
    ) == ["gigabytes-1", "torch-2.13.0"]


def test_what_an_extra_of_the_course_needs():
    project = settings.home() / "pyproject.toml"
    lab, test = (
        {need.name for need in wheels.course_requirements(project, extra)}
        for extra in ("lab", "test")
    )
    assert {"torch", "jupyterlab", "hatchling", "pip"} <= lab < test
    assert {"nbgrader", "pytest"} <= test - lab
    assert "labutils" not in test


# ---- the command


def test_the_command_knows_what_there_is():
    assert set(commands.SYSTEMS) == set(SYSTEMS)
    assert install.system() in {*SYSTEMS, install.sysconfig.get_platform()}


def test_the_command_passes_on_what_it_is_told(course, out, capsys):
    assert cli.main([
        "bundle", "--out", str(out), "--for", "windows", "--for", "macos",
        "--python", "3.11", "--python", "3.13",
    ]) == 0
    about = json.loads((out / "bundle.json").read_text(encoding="utf-8"))
    assert [(x["system"], x["python"]) for x in about["targets"]] == [
        ("windows", "3.11"), ("windows", "3.13"),
        ("macos", "3.11"), ("macos", "3.13"),
    ]
    said = capsys.readouterr().out
    assert "course: " in said and "wheels: 1 files" in said
    guide = (out / "README.md").read_text(encoding="utf-8")
    assert "* Windows, x86_64, Python 3.13\n" in guide
    assert "{" not in guide


@pytest.mark.parametrize("version", ["3", "3.10", "2.7", "3.11.2", "three"])
def test_a_python_that_cannot_be_is_refused(version, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["bundle", "--out", "x", "--python", version])
    assert caught.value.code == 2
    assert "such as 3.11" in capsys.readouterr().err
