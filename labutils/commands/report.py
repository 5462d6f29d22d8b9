"""labutils report: the executed notebooks as one lab report."""

import argparse
import datetime
import sys
from pathlib import Path
from typing import Any

from labutils.commands.arguments import count


def add(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="write the lab report from the executed notebooks",
        description="Write one document from the executed notebooks and "
        "their results: <id>-<name>-Lab-<n>.html. What is missing is listed "
        "first; then nothing is written, unless it is allowed.",
        epilog='example: labutils report --id 20231234 --name "Name" --lab 4 '
        "--pdf --zip",
    )
    report.add_argument("--id", required=True, metavar="NUMBER",
                        help="your student number")
    report.add_argument("--name", required=True, help="your name")
    report.add_argument("--lab", required=True, type=count, metavar="N",
                        help="the report's number")
    report.add_argument("--major", default="", help="your major")
    report.add_argument("--date", help="of the experiment; default: today")
    report.add_argument("--lang", choices=("zh", "en"), default="zh",
                        help="language of titles and labels; default: zh")
    report.add_argument("--pdf", action="store_true",
                        help="also as PDF, through Chromium, Chrome or Edge")
    report.add_argument("--zip", action="store_true",
                        help="also a zip file of report and notebooks, to "
                        "hand in")
    report.add_argument("--out", type=Path, metavar="DIR",
                        help="where to write; default: report/ in the "
                        "results folder")
    report.add_argument("--notebooks", type=Path, metavar="DIR",
                        help="take the notebooks from here alone; default: "
                        "notebooks/ or the results folder, whichever was "
                        "executed last")
    report.add_argument("--allow-incomplete", action="store_true",
                        help="write it although something is missing, with "
                        "a list of it on the first page")
    report.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    from labutils.report.document import Student
    from labutils.report.write import write_report

    # Names may be Chinese, and an old console may know no Chinese.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    date = options.date or datetime.date.today().isoformat()
    for path in write_report(
        Student(options.id, options.name, options.lab, options.major, date),
        options.lang, notebooks=options.notebooks, out=options.out,
        pdf=options.pdf, archive=options.zip,
        allow_incomplete=options.allow_incomplete,
    ):
        print(f"wrote {path}")
    return 0
