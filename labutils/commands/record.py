"""labutils record: keep the histories of full runs as recorded runs."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    record = commands.add_parser(
        "record",
        help="keep the histories of full runs as recorded runs",
        description="Write labutils/recorded from the results of full runs.",
        epilog="example: labutils record results results-of-seed-1",
    )
    record.add_argument("folders", nargs="*", type=Path, metavar="FOLDER",
                        help="results of full runs, one for each seed; the "
                        "first one's can be replayed; default: results")
    record.set_defaults(command=_record)


def _record(options: argparse.Namespace) -> int:
    from labutils.teaching.record import record

    for path in record(options.folders):
        print(f"{path.name} ({path.stat().st_size:,} bytes)")
    return 0
