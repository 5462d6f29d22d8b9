"""Hand-ins spoilt at random, each in a way of its own: for a class of them."""

import copy
import gzip
import io
import json
import random
import tarfile
import zipfile
from typing import Any

import py7zr

JUNK: list[Any] = [
    None, True, -1, 10**30, 0.5, "", "x", "\ud800", "nb01-39", "a b", [], {},
    [[]], [1, None, "x"], {"": ""}, {"nbgrader": {"grade_id": []}}, "4",
    "=1+1", "\0", "<script>", {"image/png": 7}]
KEYS = ("id", "source", "metadata", "outputs", "cell_type", "attachments",
        "execution_count", "nbformat", "nbformat_minor", "cells", "tags",
        "name", "nbgrader", "worksheets", "output_type", "data", "text")


def mutated(book: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A notebook's JSON with up to eight parts changed, gone or added."""
    made = copy.deepcopy(book)
    for _ in range(dice.randint(1, 8)):
        place: Any = made
        while True:  # down to any depth
            keys = [*place] if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = dice.choice([*keys])
            if isinstance(place[key], dict | list) and dice.random() < 0.7:
                place = place[key]
                continue
            kind = dice.randrange(4)
            if kind == 0:
                del place[key]
            elif kind == 1 and isinstance(place, dict):
                place[dice.choice(KEYS)] = copy.deepcopy(dice.choice(JUNK))
            elif kind == 2 and isinstance(place, list):
                place.insert(key, copy.deepcopy(dice.choice(place)))
            else:
                place[key] = copy.deepcopy(dice.choice(JUNK))
            break
    return made


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Bytes that are cut off, flipped or repeated."""
    kind = dice.randrange(3)
    if kind == 0:
        return data[:dice.randrange(len(data))]
    if kind == 1:
        return data + data[dice.randrange(len(data)):]
    spoilt = bytearray(data)
    for _ in range(dice.randint(1, 30)):
        spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
    return bytes(spoilt)


def archive(name: str, content: bytes, kind: str) -> bytes:
    """One file in an archive."""
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(name, content)
    elif kind == "7z":
        with py7zr.SevenZipFile(buffer, "w", filters=[
                {"id": py7zr.FILTER_LZMA2, "preset": 1}]) as made:
            made.writestr(content, name)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return (gzip.compress(buffer.getvalue(), 1) if kind == "tar.gz"
            else buffer.getvalue())


def hand_in(
    book: dict[str, Any], name: str, dice: random.Random
) -> tuple[str, bytes, bool]:
    """The ending of a file's name, its bytes, and whether it can be read."""
    kind = dice.choice(["ipynb"] * 6 + ["zip", "7z", "tar", "tar.gz", "rar"])
    raw = mutated(book, dice)
    content = json.dumps(raw).encode()
    readable = isinstance(raw.get("cells"), list)
    if dice.random() < 0.2:
        content, readable = damaged(content, dice), False
    if kind == "ipynb":
        return kind, content, readable
    content = archive(name, content, "zip" if kind == "rar" else kind)
    if dice.random() < 0.4:
        content, readable = damaged(content, dice), False
    return kind, content, readable
