"""The doctor: a page that says what works on this machine.

It runs where the course does not: nothing in this folder imports more than
the standard library, except for the scripts in `probes`, which run in
processes of their own, and for `trainings`, which one of them imports.
"""

PARTS = (
    "python", "imports", "notebooks", "text", "machine", "folders", "extras"
)
