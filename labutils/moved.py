"""Where things were in earlier releases: notebooks handed out then still run.

`from labutils import checks` or `from labutils.widgets import playground`
gets what it asks for, and a line that says where it is now. No module is left
behind: these places are looked at once Python has found nothing.
"""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "labutils.baselines": "labutils.evaluation",
    "labutils.checks": "labkit.checks",
    "labutils.inspection": "labkit.widgets.inspection",
    "labutils.loading": "labutils.batches",
    "labutils.protocol": "labutils.models",
    "labutils.sampling": "labutils.batches",
    "labutils.widgets": "labkit.widgets",
}


class _Forward(MetaPathFinder, Loader):
    def find_spec(self, fullname, path=None, target=None):
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Nothing of its own: a module as usual, replaced below."""

    def exec_module(self, module: ModuleType) -> None:
        old, now = module.__name__, MOVED[module.__name__]
        print(f"{old} is {now} now.")
        # What stands here in the end is what the import gives back.
        sys.modules[old] = import_module(now)


def forward() -> None:
    """Let the old places be found; called once, by the package."""
    sys.meta_path.append(_Forward())
