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
from functools import cache
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


@cache
def imports_of(path):
    """The modules that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by dots"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                found.add(inside if inside in NAMED else node.module)
    return found


def own(name):
    """The package of a module."""
    return name.partition(".")[0]


NAMED = {module_name(path): path for path in MODULES}


@pytest.mark.parametrize("name", NAMED)
def test_imports_go_down_only(name):
    floor = FLOORS.index(own(name))
    assert {own(found) for found in imports_of(NAMED[name])}.isdisjoint(
        FLOORS[floor + 1:])


def test_no_circle_of_imports():
    graph = TopologicalSorter({
        name: NAMED.keys() & imports_of(path)
        for name, path in NAMED.items()
    })
    graph.prepare()  # raises CycleError


def lines_of(*floors):
    return sum(
        len(path.read_text(encoding="utf-8").splitlines())
        for name, path in NAMED.items() if own(name) in floors
    )


def test_what_a_lesson_imports_can_be_read_in_an_afternoon():
    assert sum(own(name) == "labutils" for name in NAMED) <= 18
    # 3,200, and what makes a training right and quick on any machine, and
    # what it says in another language.
    assert lines_of("labutils") <= 3_310


def test_what_stands_around_a_lesson_stays_readable_too():
    assert lines_of("labkit", "labstaff") <= 13_000


@pytest.mark.parametrize("modules", [
    "labutils", "labkit.doctor.examine",
    pytest.param(
        "labutils.plots, labutils.results, labutils.training, labkit.checks, "
        "labkit.widgets", marks=pytest.mark.slow,
    ),
])
def test_an_import_pulls_in_nothing_that_it_can_do_without(modules, tmp_path):
    found = imported_by(modules, tmp_path)
    assert not [name for name in found if name.startswith("labstaff")]
    kept_out = {
        "nbclient", "nbformat", "nbconvert", "nbval", "jupyter_client",
        "jupyter_core", "jupyterlab", "ipykernel", "nbgrader",
        "requests", "pytest",
    }
    if modules in ("labutils", "labkit.doctor.examine"):
        kept_out |= {"torch", "numpy", "matplotlib"}
    assert kept_out.isdisjoint(map(own, found))


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


def test_to_read_a_notebook_makes_no_grammar():
    """What nbformat imports: from 4.25 on it makes a parser each time, which
    takes every command, every kernel's client and JupyterLab two seconds."""
    assert pinned()["jsonschema"] < Version("4.25")


# ---- what an extra brings


@cache
def brought_by(extra):
    """Each distribution that pip installs for an extra, as installed here."""
    found, waiting = set(), [f"{PROJECT['name']}[{extra}]"]
    while waiting:
        wanted = Requirement(waiting.pop())
        name = canonicalize_name(wanted.name)
        for part in ("", *wanted.extras):
            if (name, part) in found:
                continue
            found.add((name, part))
            waiting += [
                line for line in needs_of(name)
                if (marker := Requirement(line).marker) is None
                or marker.evaluate({"extra": part})
            ]
    return {name for name, _ in found}


def needs_of(name):
    if name != PROJECT["name"]:
        return metadata.requires(name) or []
    # What stands in pyproject.toml, not what was installed some day.
    return PROJECT["dependencies"] + [
        f"{line}; extra == '{extra}'"
        for extra, lines in EXTRAS.items() for line in lines
    ]


@pytest.mark.parametrize(("extra", "without"), [
    ("lab", {"nbgrader", "notebook", "myst-nb", "sphinx", "pytest", "nbval",
             "hypothesis", "dask", "distributed", "playwright", "mypy"}),
    ("teach", {"myst-nb", "pytest", "dask", "playwright", "mypy"}),
    ("site", {"pytest", "dask", "playwright", "mypy"}),
    ("test", {"dask", "playwright", "mypy"}),
])
def test_an_extra_brings_no_more_than_it_is_for(extra, without):
    try:
        brought = brought_by(extra)
    except metadata.PackageNotFoundError as error:
        pytest.skip(f"needs {error.name}, of the extra {extra}")
    assert "jupyterlab" in brought
    assert brought.isdisjoint(without)


# Imported where it is there, and done without where it is not.
TRIED = {"pip"}


@pytest.mark.parametrize(("floors", "extra"), [
    (("labutils", "labkit"), "lab"), (FLOORS, "cluster"),
])
def test_what_a_package_imports_its_extra_brings(floors, extra):
    try:
        brought = brought_by(extra)
    except metadata.PackageNotFoundError as error:
        pytest.skip(f"needs {error.name}, of the extra {extra}")
    comes_from = metadata.packages_distributions()
    for name, path in NAMED.items():
        if own(name) not in floors:
            continue
        for package in set(map(own, imports_of(path))) - set(FLOORS):
            if package not in sys.stdlib_module_names | TRIED:
                assert brought & set(
                    map(canonicalize_name, comes_from[package])
                ), f"{name} imports {package}"


def test_jupyterlab_is_told_about_news_by_a_file_of_the_student_edition():
    shared = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"][
        "shared-data"]
    [(ours, theirs)] = shared.items()
    assert own(ours.replace("/", ".")) == "labkit"
    assert theirs.startswith("share/jupyter/lab/settings/overrides.d/")
    [(plugin, settings)] = json.loads(text(ours)).items()
    package, _, schema = plugin.partition(":")
    path = Path(
        sys.prefix, "share/jupyter/lab/schemas", package, f"{schema}.json")
    allowed = json.loads(path.read_text("utf-8"))["properties"]
    for name, value in settings.items():
        assert value in [one["const"] for one in allowed[name]["oneOf"]]


# ---- environment.yml, .devcontainer, make


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
    assert package == "-e .[lab]"  # for Binder and students
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


@pytest.mark.slow
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


def make(folder, *words, **environment):
    """What make would do where nothing is installed yet, in lines."""
    if not shutil.which("make"):
        pytest.skip("needs make")
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    done = subprocess.run(
        # The tests may be run by make itself, which leaves its options.
        ["make", *words, "--dry-run", "--no-print-directory"], cwd=folder,
        capture_output=True, text=True,
        env=os.environ | {"MAKEFLAGS": "", "MAKELEVEL": ""} | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_container_installs_as_make_does_with_torch_for_the_cpu(tmp_path):
    program, target = container()["postCreateCommand"].split()
    assert program == "make"
    lines = make(tmp_path, target, **container()["containerEnv"])
    index = pip_section()[0].split()[1]
    [torch] = [line for line in lines if line.endswith(" torch")]
    assert f"--index-url {index} " in torch
    assert any(line.endswith("-c constraints.txt -e '.[lab]'")
               for line in lines)


@pytest.mark.parametrize("variable", ["GOMP_SPINCOUNT", "MKL_CBWR"])
def test_threads_are_set_up_alike_whatever_starts_the_kernel(variable):
    found = {
        name: re.findall(variable + r"\W+([A-Z,\d]+)", text(name))
        for name in ("Makefile", "labstaff/publish/student/Makefile",
                     "environment.yml", ".devcontainer/devcontainer.json",
                     "docs/jupyterhub.md",
                     "labstaff/execute.py")
    }
    ours = found["Makefile"]
    assert len(ours) == 1
    assert found == dict.fromkeys(found, ours)


@pytest.mark.parametrize(("target", "extra"), [
    ("lab", "lab"), ("run", "teach"), ("slides", "teach"), ("demo", "teach"),
    ("site", "site"),
    ("bundle", "teach"), ("test", "test"), ("check", "dev"),
])
def test_make_installs_what_a_target_needs(tmp_path, target, extra):
    lines = make(tmp_path, target, TORCH="")
    [install] = [line for line in lines if " pip install " in line
                 and "pip==" not in line]
    assert install.endswith(f" -c constraints.txt -e '.[{extra}]'")


def test_continuous_integration_runs_each_test_once(tmp_path):
    targets = re.findall(r"^make (test.*)$", text(".ci/run"), re.MULTILINE)
    assert targets == ["test-all"]
    [line] = [line for line in make(tmp_path, *targets) if "pytest" in line]
    assert "-m pytest --dist loadfile" in line and "slow" not in line
    [quick] = [line for line in make(tmp_path, "test") if "pytest" in line]
    assert quick.endswith(' -m "not slow"')


def test_what_goes_first_is_there(pytestconfig):
    names = {path.name for path in ROOT.glob("[nt]*s/**/*")}
    assert set(conftest_of(pytestconfig).FIRST) <= names


def conftest_of(config):
    """The module of the root's conftest.py."""
    return config.pluginmanager.get_plugin(str(ROOT / "conftest.py"))


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
