"""labutils grade: grade a class of notebooks."""

import argparse
from pathlib import Path
from typing import Any

from labutils.commands.arguments import count


def add(commands: Any) -> None:
    grade = commands.add_parser(
        "grade",
        help="grade a class of notebooks",
        description="Grade what a class has handed in: each notebook in a "
        "sandbox of its own, several at once. DIR is new, or that of an "
        "earlier run, which goes on where it was.",
        epilog="example: labutils grade submissions/ --out graded/",
    )
    grade.add_argument("submissions", type=Path, metavar="SUBMISSIONS",
                       help="folder, or zip file, of folders, zip files or "
                       "notebooks, one for each student")
    grade.add_argument("--out", type=Path, metavar="DIR", required=True,
                       help="folder of the results")
    grade.add_argument("--epochs", type=count, metavar="N", default=1,
                       help="cap on every training's epochs; default: 1")
    grade.add_argument("--jobs", type=count, metavar="N",
                       help="notebooks at the same time; default: as many as "
                       "there are cores")
    grade.add_argument("--again", action="append", default=[],
                       metavar="STUDENT", help="number or key of a student, "
                       "or the name as the table shows it, to grade once "
                       "more; can be repeated")
    grade.add_argument("--seed", type=int, metavar="N", default=0,
                       help="from which the inputs of all probes follow; "
                       "default: 0")
    grade.add_argument("--cell-seconds", type=count, metavar="N",
                       default=60, help="for a cell; default: 60")
    grade.add_argument("--notebook-seconds", type=count, metavar="N",
                       default=600, help="for a notebook; default: 600")
    grade.add_argument("--memory", type=count, metavar="GIB", default=3,
                       help="for a notebook; default: 3 GiB")
    grade.add_argument("--scheduler", metavar="ADDRESS",
                       help="of a Dask cluster, such as tcp://10.0.0.1:8786 "
                       "(needs the extra `cluster`)")
    grade.set_defaults(command=_grade)


def _grade(options: argparse.Namespace) -> int:
    from labutils.teaching.grading import forks

    if options.scheduler is None:
        forks.warm()
    from labutils.teaching.grading.classroom import Settings, grade_class
    from labutils.teaching.grading.sandbox import Limits

    graded = grade_class(
        options.submissions, options.out,
        Settings(options.epochs, options.seed, Limits(
            options.cell_seconds, options.notebook_seconds,
            options.memory * 2**30)),
        processes=options.jobs, scheduler=options.scheduler,
        again=options.again,
    )
    students = {one.student for one in graded}
    print(f"{len(students)} students. Open {options.out / 'index.html'}")
    return 0
