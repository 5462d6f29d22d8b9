"""labutils bundle: write a folder that installs a room offline."""

import argparse
import re
from pathlib import Path
from typing import Any

# Keys of labutils.teaching.systems.SYSTEMS and .bundle.EXTRAS, which only an
# instructors' edition has.
SYSTEMS = ("linux", "linux-arm", "macos", "windows")
EDITIONS = ("student", "full")


def add(commands: Any) -> None:
    bundle = commands.add_parser(
        "bundle",
        help="write a folder that installs a room without a network",
        description="Write the course, the text and the wheels of every "
        "package into a folder, for a USB stick. DIR is new, empty or an "
        "earlier bundle, which is replaced.",
        epilog="example: labutils bundle --out bundle --for linux --for "
        "windows --python 3.11 --python 3.12",
    )
    bundle.add_argument("--out", type=Path, metavar="DIR", required=True,
                        help="folder of the bundle")
    bundle.add_argument("--edition", choices=EDITIONS, default="student",
                        help="default: student")
    bundle.add_argument("--for", dest="systems", choices=SYSTEMS,
                        action="append", default=[],
                        help="system of the room's computers; can be "
                        "repeated; default: this computer's")
    bundle.add_argument("--python", dest="pythons", type=_version,
                        metavar="VERSION", action="append", default=[],
                        help="the room's Python, such as 3.11; can be "
                        "repeated; default: the running one's")
    bundle.add_argument("--torch-index", metavar="ADDRESS",
                        help="package index that torch for Linux is taken "
                        "from (make bundle TORCH=cpu names PyTorch's own)")
    bundle.set_defaults(command=_bundle)


def _version(text: str) -> str:
    if not re.fullmatch(r"3\.(1[1-9]|[2-9]\d)", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a version such as 3.11, from 3.11 up"
        )
    return text


def _bundle(options: argparse.Namespace) -> int:
    from labutils.teaching.bundle import Options, bundle

    print(bundle(options.out, Options(
        options.edition, options.systems, options.pythons,
        options.torch_index,
    )))
    return 0
