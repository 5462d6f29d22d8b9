"""What holds the package and its three lists of requirements together."""

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from labutils.corpus import SHA256, SIZE

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "labutils").rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]


# ---- the package


def imported_by(module, folder):
    """The modules that a fresh process has after importing one."""
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True,
        text=True, check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    "modules",
    ["labutils", "labutils.plots, labutils.results, labutils.training",
     "labutils.checks, labutils.widgets"],
)
def test_an_import_pulls_in_nothing_that_only_teachers_need(modules, tmp_path):
    found = imported_by(modules, tmp_path)
    assert "labutils.text" in found
    assert not [
        name for name in found
        if name.startswith(("labutils.teaching", "labutils.doctor"))
    ]
    kept_out = {
        "nbclient", "nbformat", "nbconvert", "nbval", "jupyter_client",
        "jupyter_core", "jupyterlab", "ipykernel", "nbgrader", "pooch",
        "requests", "pytest",
    }
    assert kept_out.isdisjoint(name.split(".")[0] for name in found)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_can_be_read_in_class(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    # About 250, of which a third and more is documentation.
    assert len(lines) <= 275


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
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
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["dependencies"]


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
    [pip] = [e["pip"] for e in environment() if isinstance(e, dict)]
    constraints, package = sorted(pip)
    assert constraints == "-c constraints.txt"
    match = re.fullmatch(r"-e \.\[([\w,-]+)\]", package)
    assert match and set(match[1].split(",")) <= set(EXTRAS)


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
