"""Both ways to cut a sequence into batches.

Most tests sample from a sequence whose tokens are their own positions, so
that a batch shows where it was read.
"""

from itertools import pairwise

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

from labutils import (
    SeqDataLoader,
    load_corpus_time_machine,
    load_data_text,
    load_data_time_machine,
    seq_data_iter_random,
    seq_data_iter_sequential,
)
from labutils.evaluation import baselines

both = pytest.mark.parametrize(
    "sample", [seq_data_iter_random, seq_data_iter_sequential]
)
sizes = {
    "batch_size": st.integers(1, 5),
    "num_steps": st.integers(1, 7),
    "spare": st.integers(0, 60),
    "seed": st.integers(0, 2**32 - 1),
}


def generator(seed):
    return torch.Generator().manual_seed(seed)


def positions(batches):
    """The positions that the batches read as inputs, in their order."""
    return torch.cat([X.flatten() for X, _ in batches])


def storages(batches):
    return {t.untyped_storage().data_ptr() for XY in batches for t in XY}


@both
@hypothesis.given(**sizes, offset=st.none() | st.integers(0, 12))
def test_an_epoch(sample, batch_size, num_steps, spare, seed, offset):
    one_batch = batch_size * num_steps
    corpus = torch.arange((offset or 0) + one_batch + 1 + spare)
    batches = list(
        sample(corpus, batch_size, num_steps, offset, generator(seed))
    )
    assert batches
    for X, Y in batches:
        assert X.shape == Y.shape == (batch_size, num_steps)
        assert torch.equal(X, X[:, :1] + torch.arange(num_steps))
        assert torch.equal(Y, X + 1)
    read = positions(batches)
    assert len(read.unique()) == len(read)
    if sample is seq_data_iter_sequential:
        start = int(read[0])
        for (X, _), (following, _) in pairwise(batches):
            assert torch.equal(following[:, 0], X[:, -1] + 1)
    else:
        start = int(read.min()) % num_steps if offset is None else offset
        assert torch.all((read[::num_steps] - start) % num_steps == 0)
    if offset is None:
        assert 0 <= start < num_steps
    else:
        assert start == offset
        assert read.min() >= offset
    # Besides the offset at most one batch is lost: what does not fill a last
    # one, and the last token, which is a target only.
    left = len(corpus) - start
    assert len(batches) == (left - 1) // one_batch
    assert 1 <= left - len(read) <= one_batch


@both
@hypothesis.given(**sizes)
def test_a_batch_is_left_whatever_the_seed(
    sample, batch_size, num_steps, spare, seed
):
    # Just enough tokens, or a few more: fewer than an offset may skip.
    length = batch_size * num_steps + 1 + spare % num_steps
    batches = sample(
        range(length), batch_size, num_steps, generator=generator(seed)
    )
    assert len(list(batches)) == 1


@both
@pytest.mark.parametrize(
    ("batch_size", "num_steps"), [(1, 1), (1, 6), (6, 1), (2, 5)]
)
def test_the_shortest_corpus(sample, batch_size, num_steps):
    needed = batch_size * num_steps + 1
    [(X, Y)] = sample(range(needed), batch_size, num_steps)
    assert sorted(X.flatten().tolist()) == list(range(needed - 1))
    assert torch.equal(Y, X + 1)
    with pytest.raises(ValueError, match=f"at least {needed} "):
        sample(range(needed - 1), batch_size, num_steps)
    # An offset needs its tokens besides.
    with pytest.raises(ValueError, match=f"at least {needed + 3} .*offset 3"):
        sample(range(needed + 2), batch_size, num_steps, offset=3)
    assert len(list(sample(range(needed + 3), batch_size, num_steps, 3))) == 1


@both
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((range(35), 0, 5), "batch_size is 0: expected .*1 or more"),
        ((range(35), -2, 5), "batch_size is -2: expected .*1 or more"),
        ((range(35), 2, 0), "num_steps is 0: expected .*1 or more"),
        ((range(35), 2, -5), "num_steps is -5: expected .*1 or more"),
        ((range(35), 2, 5, -1), "offset is -1: expected .*0 or more"),
        ((torch.zeros(7, 5), 2, 5), r"shape \(7, 5\): expected one sequence"),
        ((torch.tensor(3), 2, 5), r"shape \(\): expected one sequence"),
        (([], 2, 5), "has 0 tokens: one batch needs at least 11"),
    ],
)
def test_bad_arguments(sample, arguments, words):
    # At the call, not at the first batch.
    with pytest.raises(ValueError, match=words):
        sample(*arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((range(35), 0, 5), "batch_size is 0"),
        ((range(35), 2, 0), "num_steps is 0"),
        ((range(10), 2, 5), "at least 11"),
        ((range(35), 2, 5, False, 0, -1), "offset is -1"),
    ],
)
def test_a_loader_refuses_bad_arguments_when_it_is_made(arguments, words):
    with pytest.raises(ValueError, match=words):
        SeqDataLoader(*arguments)


def test_sequential_by_hand():
    """34 inputs in two rows of 17, of which 15 fill three batches."""
    batches = list(seq_data_iter_sequential(range(35), 2, 5, offset=0))
    assert [X.tolist() for X, _ in batches] == [
        [[0, 1, 2, 3, 4], [17, 18, 19, 20, 21]],
        [[5, 6, 7, 8, 9], [22, 23, 24, 25, 26]],
        [[10, 11, 12, 13, 14], [27, 28, 29, 30, 31]],
    ]
    assert batches[2][1].tolist() == [
        [11, 12, 13, 14, 15], [28, 29, 30, 31, 32]
    ]


def test_random_by_hand():
    """Six subsequences of five, each of them once, in another order."""
    batches = list(
        seq_data_iter_random(range(35), 2, 5, 0, generator(seed=1))
    )
    starts = [start for X, _ in batches for start in X[:, 0].tolist()]
    assert len(batches) == 3
    assert sorted(starts) == [0, 5, 10, 15, 20, 25]
    assert starts != sorted(starts)


def test_sequential_batches_are_views_of_the_corpus():
    corpus = torch.arange(35)
    for offset in (None, 0, 3):
        batches = list(seq_data_iter_sequential(corpus, 2, 5, offset))
        assert storages(batches) == {corpus.untyped_storage().data_ptr()}


def test_inputs_and_targets_of_a_random_batch_are_views_of_one_copy():
    corpus = torch.arange(35)
    batches = list(seq_data_iter_random(corpus, 2, 5, 0))
    for batch in batches:
        assert len(storages([batch])) == 1
        # Two rows of five inputs and a last target, 8 bytes each.
        assert batch[0].untyped_storage().nbytes() == 2 * (5 + 1) * 8
    assert len(storages(batches)) == 3
    before = corpus.clone()
    batches[0][0].zero_()
    assert torch.equal(corpus, before)


@pytest.mark.parametrize("use_random_iter", [False, True])
def test_a_seed_fixes_the_epochs(use_random_iter):
    def epochs(seed):
        loader = SeqDataLoader(range(500), 4, 5, use_random_iter, seed)
        return [positions(loader).tolist() for _ in range(5)]

    first = epochs(seed=1)
    assert epochs(seed=1) == first
    assert epochs(seed=2) != first
    # Epochs differ from one another, too.
    assert len({tuple(epoch) for epoch in first}) > 1


def test_random_epochs_have_different_orders_at_the_same_offset():
    loader = SeqDataLoader(range(501), 4, 5, True, seed=0, offset=0)
    first, second = positions(loader), positions(loader)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)


def test_a_fixed_offset_repeats_the_sequential_epoch():
    loader = SeqDataLoader(range(500), 4, 5, seed=0, offset=2)
    assert torch.equal(positions(loader), positions(loader))


@both
@pytest.mark.parametrize(
    ("length", "expected"),
    # 500 tokens leave room for every offset below 5, 8 for three, 6 for one.
    [(500, {0, 1, 2, 3, 4}), (8, {0, 1, 2}), (6, {0})],
)
def test_every_offset_that_leaves_a_batch_occurs(sample, length, expected):
    source = generator(seed=0)
    starts = {
        int(positions(sample(range(length), 1, 5, None, source)).min())
        for _ in range(200)
    }
    assert starts == expected


@pytest.mark.parametrize("use_random_iter", [False, True])
def test_loaders_disturb_neither_each_other_nor_torch(use_random_iter):
    def loader(seed):
        return SeqDataLoader(range(500), 4, 5, use_random_iter, seed)

    alone = loader(1)
    expected = [positions(alone) for _ in range(3)]
    before = torch.get_rng_state()
    one, other = loader(1), loader(2)
    for epoch in expected:
        read = []
        for (X, _), _other in zip(one, other, strict=False):
            torch.rand(1, generator=other.generator)
            read.append(X.flatten())
        assert torch.equal(torch.cat(read), epoch[: len(torch.cat(read))])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_of_the_settings_is_the_default(monkeypatch):
    monkeypatch.setenv("LABUTILS_SEED", "7")
    default = SeqDataLoader(range(500), 4, 5, True)
    assert default.seed == 7
    seven = SeqDataLoader(range(500), 4, 5, True, seed=7)
    assert torch.equal(positions(default), positions(seven))


@both
def test_without_a_generator_it_is_torchs_own(sample):
    torch.manual_seed(3)
    first = positions(sample(range(500), 4, 5))
    torch.manual_seed(3)
    assert torch.equal(positions(sample(range(500), 4, 5)), first)
    drawn = generator(seed=3)
    assert torch.equal(positions(sample(range(500), 4, 5, None, drawn)), first)


@pytest.mark.parametrize("use_random_iter", [False, True])
def test_load_data_time_machine(use_random_iter):
    loader, vocab = load_data_time_machine(32, 35, use_random_iter)
    assert loader.use_random_iter is use_random_iter
    batches = list(loader)
    assert len(batches) == 8
    for X, Y in batches:
        assert X.shape == Y.shape == (32, 35)
        assert X.dtype == Y.dtype == torch.int64
        assert torch.equal(X[:, 1:], Y[:, :-1])
        assert 0 < X.min() <= X.max() < len(vocab)
    corpus, whole = load_corpus_time_machine()
    assert vocab.idx_to_token == whole.idx_to_token
    assert torch.equal(loader.corpus, corpus[:10_000])
    assert torch.equal(loader.held_out.corpus, corpus[10_000:15_000])
    assert loader.record["tokens"] == 10_000
    assert loader.record["held_out_tokens"] == 5_000
    assert len(loader.record["sha256"]) == 64


def test_the_held_out_text_begins_where_the_training_slice_ends():
    loader, _ = load_data_time_machine(
        4, 10, max_tokens=1_000, held_out_tokens=500
    )
    held_out = loader.held_out
    assert (len(loader.corpus), len(held_out.corpus)) == (1_000, 500)
    end = loader.corpus.data_ptr() + loader.corpus.nbytes
    assert held_out.corpus.data_ptr() == end


def test_the_held_out_batches_are_always_the_same():
    loader, _ = load_data_time_machine(4, 10, use_random_iter=True)
    held_out = loader.held_out
    assert not held_out.use_random_iter
    first = list(held_out)
    assert torch.equal(first[0][0][0], held_out.corpus[:10])
    for (X, Y), (X_again, Y_again) in zip(first, held_out, strict=True):
        assert torch.equal(X, X_again)
        assert torch.equal(Y, Y_again)


def test_the_whole_text_leaves_nothing_to_hold_out():
    loader, _ = load_data_time_machine(32, 35, max_tokens=-1)
    corpus, _ = load_corpus_time_machine()
    assert torch.equal(loader.corpus, corpus)
    assert loader.held_out is None
    assert loader.record["held_out_tokens"] == 0


def test_a_held_out_text_too_short_for_a_batch_is_not_recorded():
    loader, _ = load_data_time_machine(32, 35, held_out_tokens=1_120)
    assert loader.held_out is None
    assert loader.record["held_out_tokens"] == 0
    loader, _ = load_data_time_machine(32, 35, held_out_tokens=1_121)
    assert len(list(loader.held_out)) == 1
    assert loader.record["held_out_tokens"] == 1_121


def test_the_test_text_follows_what_is_held_out():
    corpus, _ = load_corpus_time_machine()
    loader, _ = load_data_time_machine(
        4, 10, max_tokens=1_000, held_out_tokens=500, test_tokens=200
    )
    assert torch.equal(loader.held_out.corpus, corpus[1_000:1_500])
    assert torch.equal(loader.test.corpus, corpus[1_500:1_700])
    first, again = ([X for X, _ in loader.test] for _ in range(2))
    assert all(map(torch.equal, first, again))
    whole, _ = load_data_time_machine(4, 10, max_tokens=-1)
    assert whole.test is None


@pytest.mark.parametrize("max_tokens", [0, -2, -5_000])
def test_a_bad_max_tokens_is_refused(max_tokens):
    with pytest.raises(ValueError, match=f"max_tokens is {max_tokens}: "):
        load_data_time_machine(4, 10, max_tokens=max_tokens)


def test_a_text_of_your_own(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("Hello, World!\n" * 50, encoding="utf-8")
    loader, vocab = load_data_text(
        path, 2, 5, max_tokens=400, held_out_tokens=100, seed=5
    )
    text = "".join(vocab.to_tokens(loader.corpus))
    assert text == ("hello world" * 50)[:400]
    held_out = "".join(vocab.to_tokens(loader.held_out.corpus))
    assert held_out == ("hello world" * 50)[400:500]
    assert loader.seed == 5
    assert loader.record["name"] == "own.txt"
    assert loader.record["source"] == "a file of your own"
    assert next(iter(loader))[0].shape == (2, 5)


def test_an_encoding_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "bom.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"abc def\n" * 20)
    loader, vocab = load_data_text(str(path), 2, 5, clean=str.strip)
    assert vocab.to_tokens(loader.corpus[:3]) == ["a", "b", "c"]
    assert "\ufeff" not in vocab.token_to_idx


def test_a_chinese_text(tmp_path):
    path = tmp_path / "chinese.txt"
    path.write_text("  时间旅行者,你好。\n" * 20, encoding="utf-8")
    loader, vocab = load_data_text(path, 2, 5, clean=str.strip)
    assert "".join(vocab.to_tokens(loader.corpus)) == "时间旅行者,你好。" * 20
    assert len(vocab) == 10
    # The default keeps Latin letters alone, and says how many those are.
    with pytest.raises(ValueError, match="0 of them left after cleaning"):
        load_data_text(path, 2, 5)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_text_in_another_encoding_is_refused(tmp_path, mark):
    path = tmp_path / "gbk.txt"
    path.write_bytes(mark + b"one\ntwo\n" + "这\n".encode("gbk"))
    with pytest.raises(ValueError, match=r"gbk.txt is not UTF-8") as caught:
        load_data_text(path, 2, 5, clean=str.strip)
    assert "byte 0xd5 in line 3" in str(caught.value)
    assert "Save the text as UTF-8" in str(caught.value)


def test_a_text_too_short_is_refused(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("a1b2c3\n", encoding="utf-8")
    words = r"short.txt, 7 characters, 5 of them left.*at least 11 "
    with pytest.raises(ValueError, match=words):
        load_data_text(path, 2, 5)


def test_a_missing_text(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        load_data_text(tmp_path / "missing.txt", 2, 5)


# ---- what cleaning drops, and what is not held out


def test_letters_that_cleaning_drops_are_counted(tmp_path, capsys):
    path = tmp_path / "mixed.txt"
    path.write_text("a tale 从前有座山\n" * 20, encoding="utf-8")
    loader, _ = load_data_text(path, 2, 5, max_tokens=60)
    said = capsys.readouterr().out
    assert "Corpus: mixed.txt, 260 characters, 120 of them left" in said
    assert "100 of 200 letters were dropped" in said
    assert "clean=str.strip keeps every script" in said
    assert loader.held_out is not None and "Nothing is held" not in said
    load_data_text(path, 2, 5, max_tokens=60, clean=str.strip)
    assert "dropped" not in capsys.readouterr().out


def test_a_text_of_which_nothing_is_left_says_why(tmp_path):
    path = tmp_path / "chinese.txt"
    path.write_text("从前有座山\n" * 90, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        load_data_text(path, 2, 5)
    message = str(caught.value)
    assert "450 of 450 letters were dropped" in message
    assert "clean=str.strip" in message and "0 tokens" in message


def test_that_nothing_is_held_out_is_said(tmp_path, capsys):
    path = tmp_path / "short.txt"
    path.write_text("abcdefghij" * 9, encoding="utf-8")
    assert load_data_text(path, 2, 5)[0].held_out is None
    assert "Nothing is held out: after 90 tokens" in capsys.readouterr().out
    load_data_text(path, 2, 5, held_out_tokens=0)
    assert "Nothing" not in capsys.readouterr().out


@pytest.mark.parametrize("data", ["tensor", "list"])
def test_the_default_device_and_dtype_do_not_count(data):
    """What is drawn and what is read stay on the CPU."""
    corpus = torch.arange(40) % 5
    corpus = corpus if data == "tensor" else corpus.tolist()

    def epoch(random):
        return positions(SeqDataLoader(corpus, 2, 4, random, seed=3)).tolist()

    expected = [epoch(False), epoch(True)]
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            assert [epoch(False), epoch(True)] == expected
            loader, vocab = load_data_time_machine(2, 4)
            figures = baselines(loader, len(vocab))
    finally:
        torch.set_default_dtype(torch.float32)
    loader, vocab = load_data_time_machine(2, 4)
    assert figures == baselines(loader, len(vocab))
