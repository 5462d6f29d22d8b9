"""Write the student edition: the course without solutions."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import nbgrader.preprocessors as steps
from nbformat import NotebookNode

from labkit import course
from labstaff.exercises import Exercises, exercises
from labstaff.publish import folder
from labutils import settings

# What stands in the place of a solution. A check that meets the error says
# that this line is to be replaced.
STUBS = {
    "en": "# Your code here, in place of the next line; then run the check.\n"
    "raise NotImplementedError()",
    "zh": "# 把下一行换成你的代码，再运行检查。\nraise NotImplementedError()",
}
STUB = STUBS["en"]
GUIDES = {"en": "README.md", "zh": "README.zh.md"}
LAB = "labkit/jupyterlab.json"  # what is set in JupyterLab
LOCALES = {"zh": "zh_CN"}  # as JupyterLab names its language packs
# Of the course, as they are.
FILES = (
    ".gitattributes", ".gitignore", "LICENSE", "constraints.txt", "labkit",
    "environment.yml", "labutils", "notebooks/images", "pyproject.toml",
)
TEMPLATES = Path(__file__).parent / "student"


def release(out: Path, languages: Sequence[str] = ()) -> str:
    """Write the student edition into a folder, whole or not at all; two of the
    same course are equal, byte for byte. Returns what was written, in lines.

    Raises:
        RuntimeError: `out` holds something else than an earlier release, or is
            part of the course.
        ValueError, NotebookError: as for `edition`.
    """
    out = folder.check(out)
    files, counts = edition(languages)
    notes = folder.replace(out, lambda new: folder.write(new, files))
    total = Exercises(*map(sum, zip(*counts.values(), strict=True)))
    width = max(map(len, counts))
    return "\n".join([
        f"Student edition: {out}",
        f"{'notebook':{width}}  in code  written  points",
        *(f"{name:{width}}  {count.code:7}  {count.written:7}  "
          f"{count.points:6g}"
          for name, count in {**counts, "total": total}.items()),
        *notes])


def edition(
    languages: Sequence[str] = (),
) -> tuple[dict[str, bytes], dict[str, Exercises]]:
    """The student edition: notebooks without solutions, labutils and labkit.

    Its README.md is in the first of `languages` ("en", "zh"; none means all
    that there are), and JupyterLab as well, where that is not the one that it
    speaks by itself.

    Returns:
        The content of each file, by its path in the edition; the exercises
        of each notebook.

    Raises:
        ValueError: a language is asked for that the course does not have, or
            a notebook's exercises do not fit together.
        NotebookError: a notebook cannot be read.
    """
    counts: dict[str, Exercises] = {}
    files, there = files_of(*FILES), languages_there()
    for language in set(languages).difference(there):
        raise ValueError(
            f"There are no notebooks in {language!r}: expected one of "
            f"{', '.join(there) or 'none at all'}.")
    for number, language in enumerate(languages or there):
        rows = []
        for path in course.notebook_paths(extras=True, language=language):
            source = course.read_notebook(path)
            inside = path.relative_to(settings.home()).as_posix()
            count = counts[path.stem] = exercises(source, path.name)
            # A bar would end a cell of the guide's table.
            shown = course.title(source).replace("|", "/") or path.stem
            rows.append(f"| [{shown}]({inside}) | {count.code + count.written}"
                        f" | {count.points:g} |")
            text = nbformat.writes(student_notebook(source, language)) + "\n"
            files[inside] = text.encode("utf-8")
        guide = _text(TEMPLATES / GUIDES[language])
        files[GUIDES[language] if number else "README.md"] = guide.replace(
            b"{rows}", "\n".join(rows).encode("utf-8"))
    files["Makefile"] = _text(TEMPLATES / "Makefile")
    if locale := LOCALES.get((languages or there)[0]):
        shown = json.loads(files.get(LAB, b"{}")) | {
            "@jupyterlab/translation-extension:plugin": {"locale": locale}}
        files[LAB] = (json.dumps(shown, indent=2) + "\n").encode("utf-8")
    return files, counts


def files_of(*names: str) -> dict[str, bytes]:
    """What is in files and folders of the course, by its path there, with the
    line ends that it has in git, on every system."""
    root, found = settings.home(), {}
    for name in names:
        for path in (root / name, *(root / name).rglob("*")):
            inside = path.relative_to(root)
            left_behind = [part for part in inside.parts[1:]  # by programs
                           if part.startswith((".", "__pycache__"))]
            if path.is_file() and not left_behind:
                found[inside.as_posix()] = _text(path)
    return found


def languages_there() -> list[str]:
    """Those that the course has notebooks in."""
    folder = settings.home() / "notebooks"
    return [language for language, place in course.FOLDERS.items()
            if any((folder / place).glob("[0-9]*.ipynb"))]


def student_notebook(source: NotebookNode, language: str = "en"
                     ) -> NotebookNode:
    """A notebook without solutions, hidden tests and outputs.

    The steps and their order are those of nbgrader's generate_assignment,
    except for what needs its gradebook, a mark scheme (the course has none)
    or the course's header and footer. The source stays as it is.
    """
    notebook, resources = copy.deepcopy(source), dict[str, Any]()
    fields = {"collapsed", "scrolled", "execution"}  # when a cell ran
    for step in (
        steps.LockCells(),
        steps.ClearSolutions(code_stub={"python": STUBS[language]},
                             text_stub=course.NO_ANSWER[language]),
        steps.ClearOutput(remove_metadata_fields=fields),
        steps.ClearHiddenTests(),
        # After the cells have their final text, which these are about.
        steps.ComputeChecksums(), steps.CheckCellMetadata(),
    ):
        notebook, resources = step.preprocess(notebook, resources)
    notebook.metadata.pop("widgets", None)  # nbgrader leaves what they showed
    return notebook


def _text(path: Path) -> bytes:
    data = path.read_bytes()  # by a NUL git, too, knows what is no text
    return data if b"\0" in data else data.replace(b"\r\n", b"\n")
