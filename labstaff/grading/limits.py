"""Limits of one sandboxed process, set from inside before it begins.

Runs as a script of its own, `python -I limits.py '{"RLIMIT_AS": 1000}' 64001
program ...`, and imports nothing of the package: the sandbox starts it before
anything else.
"""

import json
import os
import resource
import sys


def main() -> None:
    """Set the limits, become the user, run the program."""
    limits, user, *program = sys.argv[1:]
    for name, value in json.loads(limits).items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if int(user):
        os.setgroups([])
        os.setresgid(int(user), int(user), int(user))
        os.setresuid(int(user), int(user), int(user))
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
