"""Make the report: look, list what is missing, then write."""

import io
import unicodedata
import zipfile
from pathlib import Path

from labkit.report import browser
from labkit.report.document import Student, render
from labkit.report.gathering import gather
from labkit.report.missing import problems
from labutils import settings
from labutils.files import language as readers_language
from labutils.files import say, write_atomically
from labutils.files import translated as _

# Windows takes none of these in a file's name.
FORBIDDEN = set('<>:"/\\|?*')
LONGEST = 90  # bytes of each part of a name; a whole one has at most 255


def write_report(
    student: Student, language: str, notebooks: Path | None,
    out: Path | None, *, pdf: bool, archive: bool, allow_incomplete: bool,
) -> list[Path]:
    """Write the report into `out`, or None for `report` in the results folder,
    and say what it was made from: `notebooks`, or None for all places.

    Returns:
        The files: HTML, with `pdf` a PDF, with `archive` all to hand in.

    Raises:
        RuntimeError: something is missing, and that was not allowed, or a PDF
            is asked for, and cannot be made.
    """
    stem = file_stem(student.id, student.name, student.lab)
    if notebooks and not notebooks.is_dir():
        raise RuntimeError(f"There is no folder {notebooks}. Name the one "
                           "that holds the executed notebooks.")
    gathered = gather(notebooks)
    missing = problems(gathered)
    for one in gathered:  # which file is used
        say(f"{one.lesson.stem}: {one.path or _('not found')}")
    if missing:
        say("Missing, or not in order:")
    for problem in missing:
        say(f"  {problem.in_words(readers_language())}")
    if missing and not allow_incomplete:
        raise RuntimeError(
            "the report would be incomplete, for the reasons listed above; "
            "nothing was written. Mend them, or say --allow-incomplete: then "
            "they are listed on its first page.")
    chromium = browser.find() if pdf else ""
    page = render(student, gathered, missing, language)
    files = {f"{stem}.html": page.encode("utf-8", "replace")}
    if pdf:
        files[f"{stem}.pdf"] = browser.to_pdf(chromium, page)
    if archive:
        buffer = io.BytesIO()
        # Python marks names that are not ASCII as UTF-8.
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as handed_in:
            for name, data in files.items():
                handed_in.writestr(name, data)
            for path in [one.path for one in gathered if one.path]:
                handed_in.write(path, f"notebooks/{path.name}")
        files[f"{stem}.zip"] = buffer.getvalue()
    folder = out or settings.results_dir() / "report"
    for name, data in files.items():
        write_atomically(folder / name, data)
    return [folder / name for name in files]


def file_stem(student_id: str, name: str, lab: int) -> str:
    """The report's name without its ending, such as 20231234-Name-Lab-4."""
    parts = []
    for option, text in (("--id", student_id), ("--name", name)):
        # What a file system refuses is left out.
        kept = "".join(
            c for c in unicodedata.normalize("NFC", text)
            # C: control characters and others that nobody sees.
            if c not in FORBIDDEN and unicodedata.category(c)[0] != "C")
        cut = " ".join(kept.split()).encode("utf-8")[:LONGEST]
        if not (part := cut.decode("utf-8", "ignore").strip(" .")):
            raise ValueError(
                f"{option} holds nothing that can stand in a file's name. "
                "Expected letters or digits, such as 20231234.")
        parts.append(part)
    return f"{'-'.join(parts)}-Lab-{lab}"
