"""What is written: files whole or not at all, lines on any terminal."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that no reader ever sees half of it.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide it from a class
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def say(*words: object) -> None:
    """Print a line; no error of the terminal ends a training by it.

    What the terminal cannot show (it is not UTF-8 on an older Windows, or in
    a file) is shown as its escape; one that was closed shows nothing.
    """
    text = " ".join(map(str, words))
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)
