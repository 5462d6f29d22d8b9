"""What holds the package and its three lists of requirements together."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from labkit.doctor import mends
from labutils.corpus import SHA256, SIZE

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("labutils", "labkit", "labstaff")  # from the ground up
MODULES = sorted(
    path for floor in FLOORS
    for path in (ROOT / floor).rglob("*.py")
)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]


# ---- the packages


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imported_by(module, folder):
    """The modules that a fresh process has after importing one."""
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True,
        text=True, check=True,
    )
    return done.stdout.split()




def imports_of(path):
    """The modules that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by dots"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in NAMED else node.module


NAMED = {module_name(path): path for path in MODULES}


@pytest.mark.parametrize("name", NAMED)
def test_imports_go_down_only(name):
    floor = FLOORS.index(name.partition(".")[0])
    assert {
        found.partition(".")[0] for found in imports_of(NAMED[name])
    }.isdisjoint(FLOORS[floor + 1:])


def test_no_circle_of_imports():
    graph = TopologicalSorter({
        name: NAMED.keys() & set(imports_of(path))
        for name, path in NAMED.items()
    })
    graph.prepare()  # raises CycleError


@pytest.mark.parametrize("modules", [
    "labutils", "labutils.plots, labutils.results, labutils.training",
    "labkit.checks, labkit.widgets", "labkit.doctor.examine",
])
def test_an_import_pulls_in_nothing_that_it_can_do_without(modules, tmp_path):
    found = imported_by(modules, tmp_path)
    assert not [name for name in found if name.startswith("labstaff")]
    kept_out = {
        "nbclient", "nbformat", "nbconvert", "nbval", "jupyter_client",
        "jupyter_core", "jupyterlab", "ipykernel", "nbgrader", "pooch",
        "requests", "pytest",
    }
    if modules in ("labutils", "labkit.doctor.examine"):
        kept_out |= {"torch", "numpy", "matplotlib"}
    assert kept_out.isdisjoint(name.split(".")[0] for name in found)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_says_what_it_is_for(path):
    assert path.read_text(encoding="utf-8").startswith('"""')


# ---- pyproject.toml, constraints.txt, environment.yml


def pinned():
    """The exact version of each distribution of constraints.txt."""
    versions = {}
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, equal, version = line.partition("==")
        assert equal, f"{line!r} is no exact version"
        name = canonicalize_name(name)
        assert name not in versions, f"{name} stands there twice"
        versions[name] = Version(version)
    return versions


def requirements():
    """Every requirement of the project, with the extra that has it."""
    return [
        pytest.param(Requirement(line), id=f"{extra}: {line}")
        for extra, lines in {"": PROJECT["dependencies"], **EXTRAS}.items()
        for line in lines
    ]


@pytest.mark.parametrize("requirement", requirements())
def test_a_requirement_has_an_exact_version_in_its_range(requirement):
    if requirement.name == PROJECT["name"]:
        assert requirement.extras <= set(EXTRAS)
        return
    versions = pinned()
    name = canonicalize_name(requirement.name)
    assert name in versions
    assert versions[name] in requirement.specifier
    # A range that takes any version at all is none.
    assert Version("0.0.0") not in requirement.specifier
    assert Version("9999") not in requirement.specifier


def environment():
    return yaml.safe_load(text("environment.yml"))["dependencies"]


def pip_section():
    [pip] = [e["pip"] for e in environment() if isinstance(e, dict)]
    return pip


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_conda_environment_has_a_python_that_will_do():
    plain = [entry for entry in environment() if isinstance(entry, str)]
    [version] = [
        match[1] for entry in plain
        if (match := re.fullmatch(r"python=+([\d.]+)(\.\*)?", entry))
    ]
    assert Version(version) in SpecifierSet(PROJECT["requires-python"])
    # Whatever else conda installs escapes the constraints.
    assert {re.split("[=<>]", entry)[0] for entry in plain} == {
        "python", "pip"
    }


def test_the_conda_environment_installs_through_the_constraints():
    index, constraints, package = pip_section()
    assert constraints == "-c constraints.txt"
    match = re.fullmatch(r"-e \.\[([\w,-]+)\]", package)
    assert match and set(match[1].split(",")) <= set(EXTRAS)
    # One place of CPU builds.
    [address] = re.findall(
        r"^TORCH_CPU_INDEX \?= (\S+)$", text("Makefile"), re.MULTILINE)
    assert index == f"--extra-index-url {address}"
    assert address == mends.CPU_INDEX


def fake_torch(folder, version):
    """A wheel of torch with nothing in it, for pip to choose from."""
    info = f"torch-{version}.dist-info"
    with zipfile.ZipFile(
        folder / f"torch-{version}-py3-none-any.whl", "w"
    ) as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\n"
                       f"Name: torch\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_pip_prefers_the_cpu_build_of_the_same_version(tmp_path):
    # What the index in environment.yml rests on: both builds are there, and
    # the constraints, which name neither, let both pass.
    version = str(pinned()["torch"])
    for build in (version, f"{version}+cpu", "9999"):
        fake_torch(tmp_path, build)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--isolated", "--no-deps",
         "--no-index", f"--find-links={tmp_path}", "-c",
         str(ROOT / "constraints.txt"), f"--dest={tmp_path / 'chosen'}",
         "torch"],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    chosen = [path.name for path in (tmp_path / "chosen").iterdir()]
    assert chosen == [f"torch-{version}+cpu-py3-none-any.whl"]


@pytest.mark.parametrize("name", sorted(pinned()))
def test_an_exact_version_takes_every_python_that_we_do(name):
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        pytest.skip("is not installed here")
    if Version(found.version).public != str(pinned()[name]):
        pytest.skip(f"another version is installed here: {found.version}")
    asked = SpecifierSet(found.metadata.get("Requires-Python") or "")
    # Debian's Python is 3.11.2; "3.11.5 or newer" would leave it out.
    [first] = SpecifierSet(PROJECT["requires-python"])
    assert asked.contains(f"{first.version}.0")


# ---- .devcontainer


def container():
    return json.loads(text(".devcontainer/devcontainer.json"))


def test_the_container_has_the_python_of_the_conda_environment():
    [version] = [
        entry.partition("=")[2].strip("=") for entry in environment()
        if isinstance(entry, str) and entry.startswith("python=")
    ]
    dockerfile = text(".devcontainer/Dockerfile")
    [image] = re.findall(r"^FROM (\S+)$", dockerfile, re.MULTILINE)
    assert image.startswith(f"python:{version}-")
    assert container()["build"] == {"dockerfile": "Dockerfile"}


def test_the_container_installs_as_make_does_with_torch_for_the_cpu(tmp_path):
    if not shutil.which("make"):
        pytest.skip("needs make")
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)  # where nothing is installed yet
    done = subprocess.run(
        [*container()["postCreateCommand"].split(), "--dry-run"],
        cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | container()["containerEnv"],
    )
    assert done.returncode == 0, done.stderr
    index = pip_section()[0].split()[1]
    [torch] = [x for x in done.stdout.splitlines() if x.endswith(" torch")]
    assert f"--index-url {index} " in torch
    assert "-c constraints.txt -e '.[test]'" in done.stdout


def test_the_container_is_for_somebody_who_is_there():
    user = container()["remoteUser"]
    assert re.search(rf"^RUN useradd .*\b{user}$",
                     text(".devcontainer/Dockerfile"), re.MULTILINE)


def test_the_container_opens_on_the_lab():
    assert container()["forwardPorts"] == [8888]
    code = container()["customizations"]["vscode"]
    assert {"ms-python.python", "ms-toolsai.jupyter"} <= set(
        code["extensions"])
    folder, _, program = code["settings"][
        "python.defaultInterpreterPath"].partition("/.venv/")
    assert folder == "${containerWorkspaceFolder}"
    assert program == "bin/python"


# ---- what must never be committed


def committed():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this copy is no git checkout")
    done = subprocess.run(
        [git, "-C", str(ROOT), "ls-files", "-z"], capture_output=True,
        check=True,
    )
    names = done.stdout.decode("utf-8").split("\0")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_the_time_machine_is_not_in_git():
    files = committed()
    assert ROOT / "pyproject.toml" in files
    for path in files:
        data = path.read_bytes()
        assert len(data) != SIZE, path
        # Nor with the line ends of another system.
        unix = data.replace(b"\r\n", b"\n")
        assert hashlib.sha256(unix).hexdigest() != SHA256, path
