"""The report as one HTML document that needs nothing else."""

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from labkit.course import PARTS
from labkit.outputs import is_png, short
from labkit.pages import STYLE, markdown_to_html
from labkit.report import cells
from labkit.report.gathering import Gathered
from labkit.report.missing import Problem
from labkit.report.table import rows
from labkit.report.words import CONTENT, PURPOSE, REQUIREMENTS, WORDS

LINES = 20  # of what a cell has printed; the summaries are shown whole
WHOLE = 35  # lines of code that stay together on a page
FORMATTER = HtmlFormatter(nowrap=True, style="default")
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
    lstrip_blocks=True, keep_trailing_newline=True,
)


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
    """The whole document.

    Args:
        gathered: the notebooks with their results, in order.
        problems: what is listed on the first page.
        language: "zh" or "en".
    """
    by_lesson = {one.lesson: one for one in gathered}
    return TEMPLATES.get_template("report.html").render(
        w=WORDS[language], student=student,
        styles=STYLE + "\n" + FORMATTER.get_style_defs(".code"),
        problems=[problem.in_words(language) for problem in problems],
        purpose=PURPOSE[language], requirements=REQUIREMENTS[language],
        rows=rows(gathered, language),
        parts=[
            {"title": CONTENT[language][key],
             "notebooks": [_notebook(by_lesson[lesson]) for lesson in lessons]}
            for key, lessons in PARTS.items()
        ],
        discussions=[
            _markdown(one, cell) for one in gathered if one.notebook
            for cell in cells.discussions(one.notebook)
            if cells.is_written(cell)
        ],
    )


def _notebook(one: Gathered) -> dict[str, Any]:
    """All that the document shows of a notebook."""
    found: dict[str, Any] = {
        "stem": one.lesson.stem, "source": "", "saved": "",
        "summaries": one.results.texts, "code": [], "answers": [],
        "pictures": _saved_pictures(one),
    }
    if one.path is None or one.notebook is None:
        return found
    all_, said = cells.code(one.notebook), cells.checks(one.notebook)
    saved = datetime.datetime.fromtimestamp(one.path.stat().st_mtime)
    return found | {
        # Not the whole path: it says more of the machine than of the work.
        "source": f"{one.path.parent.name}/{one.path.name}",
        "saved": f"{saved:%Y-%m-%d %H:%M}",
        "code": [{
            "number": cell.number, "exercise": cell.exercise,
            "whole": cell.source.count("\n") < WHOLE,
            "html": highlight(cell.source, PythonLexer(), FORMATTER),
            "check": said.get(cell.exercise, "") if cell.exercise else "",
            # What a training prints is in the table and in the summaries.
            "outputs": [] if cells.trains(cell, all_) else _texts(cell),
        } for cell in cells.chosen(all_)],
        "pictures": found["pictures"] + [
            _picture("", f"{cell.heading} [{cell.number}]", shown.image)
            for cell in all_ if not cells.trains(cell, all_)
            and "results.save_figure" not in cell.uses
            for shown in cell.outputs if shown.image
        ],
        "answers": [_answer(one, cell, all_)
                    for cell in cells.answers(one.notebook)],
    }


def _answer(
    one: Gathered, answer: cells.Cell, all_: Sequence[cells.Cell]
) -> dict[str, Any]:
    """A written answer, its question, and what its section has printed."""
    return {
        "heading": answer.heading,
        "prompt": markdown_to_html(answer.prompt, headings=3),
        "printed": [
            shown.text for cell in all_ if cell.heading == answer.heading
            for shown in cell.outputs if shown.text
        ],
        "answer": _markdown(one, answer) if cells.is_written(answer) else "",
    }


def _markdown(one: Gathered, cell: cells.Cell) -> str:
    assert one.notebook is not None
    pasted = cells.images(one.notebook).get(cell.number, {})
    harmless = {n: image for n, image in pasted.items() if is_png(image)}
    return markdown_to_html(cell.source, harmless, headings=3)


def _texts(cell: cells.Cell) -> list[str]:
    return [short(one.text, LINES) for one in cell.outputs if one.text]


def _saved_pictures(one: Gathered) -> list[dict[str, Any]]:
    return [
        _picture(
            "training_curve" if name.removesuffix(".png")
            in one.lesson.trainings else "result_picture",
            name.removesuffix(".png"), base64.b64encode(data).decode("ascii"))
        for name, data in one.results.pictures.items()
    ]


def _picture(kind: str, caption: str, image: str) -> dict[str, Any]:
    # A PNG's width and height follow its first sixteen bytes.
    head = base64.b64decode(image[:64])[16:24]
    width, height = (int.from_bytes(head[i:i + 4], "big") for i in (0, 4))
    return {"kind": kind, "caption": caption, "image": image,
            "wide": width > 2 * height}
