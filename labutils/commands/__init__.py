"""The commands of labutils, a module each.

A module has `add(commands)`, which describes its command to argparse; what a
command needs it imports when it runs, so that the others do without it.
"""

from labutils.commands import (
    bundle,
    data,
    demo,
    doctor,
    grade,
    record,
    release,
    report,
    reset,
    run,
    slides,
)

ALL = (
    data, doctor, run, reset, demo, slides, report, release, grade, record,
    bundle,
)
# What these need is not in the student edition.
INSTRUCTORS = (run, demo, slides, release, grade, record, bundle)
