"""From a text straight to batches: the loaders that the trainings use."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from labutils.corpus import read_corpus
from labutils.sampling import SeqDataLoader
from labutils.text import Vocab, check_max_tokens, clean_line, encode_lines


def load_data_time_machine(
    batch_size: int,
    num_steps: int,
    use_random_iter: bool = False,
    max_tokens: int = 10_000,
    held_out_tokens: int = 5_000,
    seed: int | None = None,
) -> tuple[SeqDataLoader, Vocab]:
    """Batches from the start of The Time Machine, by characters.

    Args:
        batch_size: subsequences in a batch.
        num_steps: tokens in a subsequence.
        use_random_iter: random sampling, not sequential partitioning.
        max_tokens: tokens to train on; -1 for the whole text.
        held_out_tokens: tokens after those, for `SeqDataLoader.held_out`.
        seed: None takes it from the settings (LABUTILS_SEED).

    Returns:
        The loader and the vocabulary of the whole text.

    Source: Dive into Deep Learning, 8.3.4.
    """
    corpus = read_corpus()
    lines = [clean_line(line) for line in corpus.text.splitlines()]
    return _load(
        lines, corpus.record(), batch_size, num_steps, use_random_iter,
        max_tokens, held_out_tokens, seed,
    )


def load_data_text(
    path: str | Path,
    batch_size: int,
    num_steps: int,
    use_random_iter: bool = False,
    max_tokens: int = 10_000,
    held_out_tokens: int = 5_000,
    seed: int | None = None,
    clean: Callable[[str], str] = clean_line,
) -> tuple[SeqDataLoader, Vocab]:
    """Batches from the start of a text of your own, by characters.

    Args:
        path: a text file in UTF-8.
        clean: what to do with each line; the default keeps the letters a to
            z alone, `str.strip` keeps any script and the punctuation.

    The other arguments and the result are those of `load_data_time_machine`.

    Raises:
        ValueError: the file is not UTF-8, or too short for one batch.
        OSError: the file cannot be read.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        rest = error.object  # without the encoding mark, if there was one
        line = rest.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{rest[error.start]:02x} in line "
            f"{line}. Save the text as UTF-8 and load it again."
        ) from error
    lines = [clean(line) for line in text.splitlines()]
    record: dict[str, object] = {
        "name": path.name,
        "source": "a file of your own",
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    try:
        return _load(
            lines, record, batch_size, num_steps, use_random_iter,
            max_tokens, held_out_tokens, seed,
        )
    except ValueError as error:
        raise ValueError(
            f"{path}, {len(text)} characters and {sum(map(len, lines))} of "
            f"them left after cleaning: {error}"
        ) from error


def _load(
    lines, record, batch_size, num_steps, use_random_iter, max_tokens,
    held_out_tokens, seed,
) -> tuple[SeqDataLoader, Vocab]:
    check_max_tokens(max_tokens)
    corpus, vocab = encode_lines(lines)
    if max_tokens == -1:
        max_tokens = len(corpus)
    loader = SeqDataLoader(
        corpus[:max_tokens], batch_size, num_steps, use_random_iter, seed
    )
    held_out = corpus[max_tokens : max_tokens + held_out_tokens]
    if len(held_out) <= batch_size * num_steps:
        held_out = held_out[:0]  # too short for a batch: nothing is measured
    else:
        # In order and from a fixed start: each measurement reads the same.
        loader.held_out = SeqDataLoader(
            held_out, batch_size, num_steps, offset=0
        )
    loader.record = {
        **record,
        "tokens": len(loader.corpus),
        "held_out_tokens": len(held_out),
    }
    return loader, vocab
