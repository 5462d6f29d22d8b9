"""labutils doctor: what works on this machine, and what mends the rest.

Its words stand in labutils.doctor, which `labutils/__init__.py` runs before
anything that may be missing.
"""

from labutils.doctor.command import add

__all__ = ["add"]
