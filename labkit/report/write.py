"""The report as one HTML document that needs nothing else, and its files."""

import base64
import functools
import io
import math
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from labkit.course import PARTS
from labkit.pages import STYLE, markdown_to_html, short
from labkit.report import TEMPLATES, browser, words
from labkit.report.cells import chosen, trains
from labkit.report.gathering import Gathered, gather
from labkit.report.missing import Problem, problems, state
from labutils import settings
from labutils.files import language as readers_language
from labutils.files import say, write_atomically
from labutils.files import translated as _

LINES = 20  # of what a cell has printed; the summaries are shown whole
FORMATTER = HtmlFormatter(nowrap=True, style="default")
# Windows takes none of these in a file's name.
FORBIDDEN = set('<>:"/\\|?*')
LONGEST = 90  # bytes of each part of a name; a whole one has at most 255


@dataclass(frozen=True)
class Student:
    """What stands in the title block."""

    id: str
    name: str
    lab: int
    major: str = ""
    date: str = ""


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


def render(
    student: Student, gathered: Sequence[Gathered],
    missing: Sequence[Problem], language: str,
) -> str:
    """The whole document, with the problems on its first page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters |= {
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
        "code": lambda code: highlight(code, PythonLexer(), FORMATTER),
        "markdown": functools.partial(markdown_to_html, headings=3),
        "perplexity": lambda x: f"{x:.2f}" if math.isfinite(x) else "-",
        "short": lambda text: short(text, LINES), "wide": _is_wide}
    return environment.get_template("report.html").render(
        words=words(language), w=words(language)["labels"], student=student,
        styles=STYLE + "\n" + FORMATTER.get_style_defs(".code"),
        problems=[problem.in_words(language) for problem in missing],
        gathered=gathered, parts={
            key: [one for one in gathered if one.lesson in lessons]
            for key, lessons in PARTS.items()},
        chosen=chosen, trains=trains, state=state)


def _is_wide(image: str) -> bool:
    """Whether a PNG in base64 is more than twice as wide as high."""
    # Its width and height follow its first sixteen bytes.
    head = base64.b64decode(image[:64])[16:24]
    width, height = (int.from_bytes(head[i:i + 4], "big") for i in (0, 4))
    return width > 2 * height
