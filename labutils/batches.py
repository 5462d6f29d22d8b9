"""Batches of subsequences, from indices or straight from a text.

Source: Dive into Deep Learning, 8.3.4.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from labutils import settings
from labutils.corpus import read_corpus
from labutils.files import say
from labutils.files import translated as _
from labutils.text import Vocab, clean_line, encode_lines, end_of

Tokens = Tensor | Sequence[int]
Batch = tuple[Tensor, Tensor]


def seq_data_iter_random(
    corpus: Tokens, batch_size: int, num_steps: int,
    offset: int | None = None, generator: torch.Generator | None = None,
) -> Iterator[Batch]:
    """Batches of subsequences in random order.

    The sequence, from its offset on, is cut into subsequences of `num_steps`
    tokens. Each is used at most once; those that do not fill a last batch are
    left out.

    Args:
        corpus: token indices, `(N,)`.
        offset: tokens skipped at the start; None draws it below `num_steps`.
        generator: source of the random numbers; None is torch's own.

    Returns:
        An iterator over pairs (inputs, targets), each `(batch_size,
        num_steps)`; the targets are the inputs' next tokens.

    Raises:
        ValueError: the sequence is too short for a single batch.
    """
    corpus = _from_offset(corpus, batch_size, num_steps, offset, generator)
    # One row a subsequence, with the token after it: a view, nothing copied.
    windows = corpus.unfold(0, num_steps + 1, num_steps)
    order = torch.randperm(len(windows), generator=generator, device="cpu")
    chosen = order.unfold(0, batch_size, batch_size)
    # Gathered batch by batch: so small a gather starts no threads, and inputs
    # and targets are two views of its result.
    batches = (windows[rows] for rows in chosen)
    return ((rows[:, :-1], rows[:, 1:]) for rows in batches)


def seq_data_iter_sequential(
    corpus: Tokens, batch_size: int, num_steps: int,
    offset: int | None = None, generator: torch.Generator | None = None,
) -> Iterator[Batch]:
    """Batches whose row i goes on where row i of the batch before stopped.

    The sequence, from its offset on, is laid out in `batch_size` rows of
    equal length, which are read from left to right, `num_steps` at a time;
    all else is as for `seq_data_iter_random`.
    """
    corpus = _from_offset(corpus, batch_size, num_steps, offset, generator)
    length = (len(corpus) - 1) // batch_size
    # Each with the token after it; again these are views.
    rows = corpus.unfold(0, length + 1, length)[:batch_size]
    batches = rows.unfold(1, num_steps + 1, num_steps).transpose(0, 1)
    return ((rows[:, :-1], rows[:, 1:]) for rows in batches)


def _check(corpus, batch_size, num_steps, offset) -> Tensor:
    """The corpus as a tensor that holds at least one batch."""
    settings.whole_number("batch_size", batch_size)
    settings.whole_number("num_steps", num_steps)
    offset = settings.whole_number("offset", offset or 0, least=0)
    # The CPU, whatever the default device: a model takes a batch at a time.
    corpus = torch.as_tensor(corpus, device="cpu")
    if corpus.dim() != 1:
        raise ValueError(_(
            f"The corpus has shape {tuple(corpus.shape)}: expected one "
            "sequence of token indices, (N,)."))
    needed = offset + batch_size * num_steps + 1
    if len(corpus) < needed:
        raise ValueError(_(
            f"The corpus has {len(corpus)} tokens: one batch needs at least "
            f"{needed} (batch_size {batch_size} x num_steps {num_steps}, one "
            f"more for the last target, offset {offset}). Use a longer "
            "text or a smaller batch_size or num_steps."))
    return corpus


def _from_offset(corpus, batch_size, num_steps, offset, generator) -> Tensor:
    """The rest from the offset on; one is drawn so that a batch is left."""
    corpus = _check(corpus, batch_size, num_steps, offset)
    if offset is None:
        below = min(num_steps, len(corpus) - batch_size * num_steps)
        offset = int(torch.randint(
            below, (1,), generator=generator, device="cpu"))
    return corpus[offset:]


class SeqDataLoader:
    """Batches from one sequence; each pass over it is one epoch.

    A loader has a generator of its own: two loaders with the same seed yield
    the same epochs, whatever else draws random numbers.

    Args:
        corpus, batch_size, num_steps: as for `seq_data_iter_random`.
        use_random_iter: random sampling, not sequential partitioning.
        seed: None takes it from the settings (LABUTILS_SEED).
        offset: None draws it anew for each epoch.

    Attributes:
        held_out: a loader over the validation text, which follows `corpus`
            and on which choices are made, or None.
        test: one over the test text after that, for final claims, or None.
        record: what a saved result says about the text, or None.
    """

    def __init__(
        self, corpus: Tokens, batch_size: int, num_steps: int,
        use_random_iter: bool = False, seed: int | None = None,
        offset: int | None = None,
    ) -> None:
        self.corpus = _check(corpus, batch_size, num_steps, offset)
        # Plain numbers, whatever library's: a saved history holds them.
        self.batch_size, self.num_steps = int(batch_size), int(num_steps)
        self.use_random_iter, self.offset = bool(use_random_iter), offset
        self.seed = settings.seed() if seed is None else int(seed)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.held_out: SeqDataLoader | None = None
        self.test: SeqDataLoader | None = None
        self.record: dict[str, object] | None = None

    def restart(self, epochs: int = 0) -> None:
        """Draw again what was drawn for the first so many epochs."""
        self.generator.manual_seed(self.seed)
        for _epoch in range(epochs):
            iter(self)  # what an epoch draws, it draws when it begins

    def __iter__(self) -> Iterator[Batch]:
        cut = (seq_data_iter_random if self.use_random_iter
               else seq_data_iter_sequential)
        return cut(self.corpus, self.batch_size, self.num_steps, self.offset,
                   self.generator)


def load_data_time_machine(
    batch_size: int, num_steps: int, use_random_iter: bool = False,
    max_tokens: int = 10_000, held_out_tokens: int = 5_000,
    seed: int | None = None, test_tokens: int = 5_000,
) -> tuple[SeqDataLoader, Vocab]:
    """Batches from the start of The Time Machine, and its whole vocabulary.

    Args:
        max_tokens: characters to train on; -1 for the whole text.
        held_out_tokens: those after them, for `SeqDataLoader.held_out`.
        test_tokens: those after these, for `SeqDataLoader.test`.
        others: as for `SeqDataLoader`.
    """
    corpus = read_corpus()
    cleaned = "".join(map(clean_line, corpus.text.splitlines()))
    return _load(
        cleaned, corpus.record(), max_tokens, held_out_tokens, test_tokens,
        (batch_size, num_steps, use_random_iter, seed))


def load_data_text(
    path: str | Path, batch_size: int, num_steps: int,
    use_random_iter: bool = False, max_tokens: int = 10_000,
    held_out_tokens: int = 5_000, seed: int | None = None,
    clean: Callable[[str], str] = clean_line, test_tokens: int = 5_000,
) -> tuple[SeqDataLoader, Vocab]:
    """Batches from the start of a text of your own, and its vocabulary.

    Args:
        path: a text file in UTF-8.
        clean: what to do with each line; the default keeps the letters a to
            z alone, `str.strip` keeps any script and the punctuation.
        others: as for `load_data_time_machine`.

    Raises:
        ValueError: the file is not UTF-8, or too short for one batch.
        OSError: the file cannot be read.
    """
    path = Path(path).expanduser()
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        rest = error.object  # without the encoding mark, if there was one
        line = rest.count(b"\n", 0, error.start) + 1
        raise ValueError(_(
            f"{path} is not UTF-8: byte 0x{rest[error.start]:02x} in line "
            f"{line}. Save the text as UTF-8 and load it again.")) from error
    cleaned = "".join(map(clean, text.splitlines()))
    words = _(
        f"{path.name}, {len(text):,} characters, {len(cleaned):,} of them "
        "left after cleaning.")
    letters, kept = (sum(map(str.isalpha, t)) for t in (text, cleaned))
    if kept < letters:
        words += _(
            f" {letters - kept:,} of {letters:,} letters were dropped, since "
            "only a to z are kept; clean=str.strip keeps every script.")
    record = {"name": path.name, "source": "a file of your own",
              "sha256": hashlib.sha256(data).hexdigest()}
    try:
        loader, vocab = _load(
            cleaned, record, max_tokens, held_out_tokens, test_tokens,
            (batch_size, num_steps, use_random_iter, seed))
    except ValueError as error:
        raise ValueError(f"{words} {error}") from error
    say(f"Corpus: {words}")
    if loader.held_out is None and held_out_tokens:
        say(f"Nothing is held out: after {len(loader.corpus):,} tokens to "
            "train on, too few are left for a batch. A smaller max_tokens "
            "leaves some.")
    return loader, vocab


def _load(
    cleaned: str, record: dict[str, str], max_tokens: int,
    held_out_tokens: int, test_tokens: int,
    sampling: tuple[int, int, bool, int | None],
) -> tuple[SeqDataLoader, Vocab]:
    corpus, vocab = encode_lines([cleaned])
    loader = SeqDataLoader(corpus[: end_of(max_tokens)], *sampling)
    rest = corpus[len(loader.corpus):]
    loader.held_out, loader.test = (
        # In order and from a fixed start: each measurement reads the same.
        SeqDataLoader(part, *sampling[:2], offset=0)
        if len(part) > loader.batch_size * loader.num_steps else None
        for part in (
            rest[:held_out_tokens], rest[held_out_tokens:][:test_tokens]))
    held_out = len(loader.held_out.corpus) if loader.held_out else 0
    loader.record = {
        **record, "tokens": len(loader.corpus), "held_out_tokens": held_out}
    return loader, vocab
