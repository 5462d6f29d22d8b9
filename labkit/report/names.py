"""File names from what people are called."""

import unicodedata

# Windows takes none of these in a file's name.
FORBIDDEN = set('<>:"/\\|?*')
LONGEST = 90  # bytes of each part; a whole name has at most 255


def stem(student_id: str, name: str, lab: int) -> str:
    """The report's name without its ending, such as 20231234-Name-Lab-4.

    Raises:
        ValueError: nothing of the number or the name can stand in a file's
            name.
    """
    parts = {"--id": _part(student_id), "--name": _part(name)}
    for option, part in parts.items():
        if not part:
            raise ValueError(
                f"{option} holds nothing that can stand in a file's name. "
                "Expected letters or digits, such as 20231234."
            )
    return f"{parts['--id']}-{parts['--name']}-Lab-{lab}"


def _part(text: str) -> str:
    """The text with what a file system refuses left out."""
    kept = "".join(
        character for character in unicodedata.normalize("NFC", text)
        # C: control characters and others that nobody sees.
        if character not in FORBIDDEN
        and unicodedata.category(character)[0] != "C"
    )
    cut = " ".join(kept.split()).encode("utf-8")[:LONGEST]
    return cut.decode("utf-8", "ignore").strip(" .")
