"""The report as one HTML document that needs nothing else."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from labkit.course import PARTS
from labkit.pages import STYLE, markdown_to_html, short
from labkit.report import TEMPLATES, words
from labkit.report.cells import chosen, trains
from labkit.report.gathering import Gathered
from labkit.report.missing import Problem, state

LINES = 20  # of what a cell has printed; the summaries are shown whole
FORMATTER = HtmlFormatter(nowrap=True, style="default")


@dataclass(frozen=True)
class Student:
    """What stands in the title block."""

    id: str
    name: str
    lab: int
    major: str = ""
    date: str = ""


def render(
    student: Student, gathered: Sequence[Gathered],
    problems: Sequence[Problem], language: str,
) -> str:
    """The whole document, with the problems on its first page."""
    by_lesson = {one.lesson: one for one in gathered}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters |= {
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
        "code": lambda code: highlight(code, PythonLexer(), FORMATTER),
        "markdown": lambda text: markdown_to_html(text, headings=3),
        "passage": lambda cell: markdown_to_html(
            cell.source, cell.images, headings=3),
        "perplexity": lambda x: f"{x:.2f}" if math.isfinite(x) else "-",
        "short": lambda text: short(text, LINES), "wide": _is_wide}
    return environment.get_template("report.html").render(
        words=words(language), w=words(language)["labels"], student=student,
        styles=STYLE + "\n" + FORMATTER.get_style_defs(".code"),
        problems=[problem.in_words(language) for problem in problems],
        gathered=gathered, parts={
            key: [by_lesson[lesson] for lesson in lessons]
            for key, lessons in PARTS.items()},
        chosen=chosen, trains=trains, state=state)


def _is_wide(image: str) -> bool:
    """Whether a PNG in base64 is more than twice as wide as high."""
    # Its width and height follow its first sixteen bytes.
    head = base64.b64decode(image[:64])[16:24]
    width, height = (int.from_bytes(head[i:i + 4], "big") for i in (0, 4))
    return width > 2 * height
