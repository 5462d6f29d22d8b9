"""The systems that a bundle can be made for, as pip and packages name them."""

from dataclasses import dataclass
from typing import cast

from packaging.markers import Environment


@dataclass(frozen=True)
class System:
    """A kind of computer.

    Attributes:
        title: in words.
        tags: what the names of its wheels may end with, the best first.
        markers: what a package's requirements ask of a system.
    """

    title: str
    tags: tuple[str, ...]
    markers: dict[str, str]


def _linux(machine: str) -> System:
    # torch's wheels need glibc 2.28. Wheels for an older one work as well,
    # but pip counts none of them in unless it is told so.
    newer = [f"manylinux_2_{minor}_{machine}" for minor in range(28, 4, -1)]
    older = [f"manylinux{year}_{machine}" for year in (2014, 2010, 1)]
    return System(f"Linux, {machine}", (*newer, *older), {
        "os_name": "posix", "sys_platform": "linux",
        "platform_system": "Linux", "platform_machine": machine,
    })


# The 0 and the 99 of 3.11.0 and 3.11.99; there will not be so many.
RELEASES = range(100)

# By the names that stick/install.py finds for the computer it runs on.
SYSTEMS = {
    "linux": _linux("x86_64"),
    "linux-arm": _linux("aarch64"),
    # PyTorch has no wheels for Macs with an Intel processor.
    "macos": System("macOS 14 or newer, arm64", ("macosx_14_0_arm64",), {
        "os_name": "posix", "sys_platform": "darwin",
        "platform_system": "Darwin", "platform_machine": "arm64",
    }),
    "windows": System("Windows, x86_64", ("win_amd64",), {
        "os_name": "nt", "sys_platform": "win32",
        "platform_system": "Windows", "platform_machine": "AMD64",
    }),
}


@dataclass(frozen=True)
class Target:
    """What a set of wheels is for.

    Attributes:
        system: a key of SYSTEMS.
        python: version of Python, such as "3.11".
    """

    system: str
    python: str

    def __str__(self) -> str:
        return f"{SYSTEMS[self.system].title}, Python {self.python}"

    def pip_options(self) -> list[str]:
        tags = SYSTEMS[self.system].tags
        return [
            "--only-binary=:all:",
            f"--python-version={self.python}.{RELEASES[-1]}",
            *(f"--platform={tag}" for tag in tags),
        ]

    def environments(self) -> list[Environment]:
        """What markers are compared with: the first and the last release of
        this Python, since nobody knows which one a room has."""
        return [
            cast(Environment, SYSTEMS[self.system].markers | {
                "python_version": self.python,
                "python_full_version": f"{self.python}.{micro}",
                "implementation_version": f"{self.python}.{micro}",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                "platform_release": "", "platform_version": "",
            })
            for micro in (RELEASES[0], RELEASES[-1])
        ]
