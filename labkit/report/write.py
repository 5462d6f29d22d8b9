"""Make the report: look, list what is missing, then write."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from labkit.report import browser, document, names
from labkit.report.document import Student
from labkit.report.gathering import Gathered, gather
from labkit.report.missing import Problem, problems
from labutils import settings
from labutils.files import write_atomically


class ReportError(RuntimeError):
    """There is no report; the message says why."""


def write_report(
    student: Student, language: str = "zh", *, notebooks: Path | None = None,
    out: Path | None = None, pdf: bool = False, archive: bool = False,
    allow_incomplete: bool = False,
) -> list[Path]:
    """Write the report, and say what it was made from.

    Args:
        language: "zh" or "en".
        notebooks: the only folder to take notebooks from.
        out: where to write; default: `report` in the results folder.
        pdf: write it as PDF as well.
        archive: write a zip file of what is handed in as well.
        allow_incomplete: write it although something is missing.

    Returns:
        The files.

    Raises:
        ReportError: something is missing, and that was not allowed.
        BrowserError: a PDF is asked for, and cannot be made.
    """
    stem = names.stem(student.id, student.name, student.lab)
    chromium = browser.find() if pdf else ""
    if notebooks and not notebooks.is_dir():
        raise ReportError(
            f"There is no folder {notebooks}. Name the one that holds the "
            "executed notebooks."
        )
    gathered = gather(notebooks)
    missing = problems(gathered)
    print("\n".join(_used(gathered)))
    _list(missing, allow_incomplete)
    page = document.render(student, gathered, missing, language)
    files = {f"{stem}.html": page.encode("utf-8", "replace")}
    if pdf:
        files[f"{stem}.pdf"] = browser.to_pdf(chromium, page)
    if archive:
        files[f"{stem}.zip"] = _zip(files, gathered)
    folder = settings.results_dir() / "report" if out is None else out
    for name, data in files.items():
        write_atomically(folder / name, data)
    return [folder / name for name in files]


def _used(gathered: Sequence[Gathered]) -> list[str]:
    """A line for each notebook: which file is used."""
    return [
        f"{one.lesson.stem}: {one.path or 'not found'}" for one in gathered]


def _list(missing: Sequence[Problem], allowed: bool) -> None:
    if not missing:
        return
    print("Missing, or not in order:")
    for problem in missing:
        print(f"  {problem.in_words('en')}")
    if not allowed:
        raise ReportError(
            "the report would be incomplete, for the reasons listed above; "
            "nothing was written. Mend them, or say --allow-incomplete: then "
            "they are listed on its first page."
        )


def _zip(files: dict[str, bytes], gathered: Sequence[Gathered]) -> bytes:
    """What is handed in; Python marks names that are not ASCII as UTF-8."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for one in gathered:
            if one.path:
                archive.write(one.path, f"notebooks/{one.path.name}")
    return buffer.getvalue()
