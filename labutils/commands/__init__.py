"""The commands of labutils, a module each.

A module has `add(commands)`, which describes its command to argparse; what a
command needs it imports when it runs, so that the others do without it.
"""

from labutils.commands import data, demo, grade, record, release, reset, run

ALL = (data, run, reset, demo, release, grade, record)
