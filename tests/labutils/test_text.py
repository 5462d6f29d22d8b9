"""Tokens, vocabularies, and the figures of The Time Machine."""

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

import labutils
from labutils import (
    Vocab,
    clean_line,
    count_corpus,
    load_corpus_time_machine,
    read_time_machine,
    settings,
    tokenize,
)
from labutils.text import encode_lines

needs_time_machine = pytest.mark.skipif(
    settings.text() == settings.PRACTICE,
    reason="The Time Machine is not at hand",
)


@pytest.mark.parametrize(
    ("line", "cleaned"),
    [
        ("The Time Machine, by H. G. Wells [1898]\n",
         "the time machine by h g wells"),
        ("  --I don't--  ", "i don t"),
        ("42", ""),
        ("", ""),
        ("naïve café", "na ve caf"),
        ("tab\there\r\n", "tab here"),
    ],
)
def test_clean_line(line, cleaned):
    assert clean_line(line) == cleaned


def test_tokenize():
    lines = ["the time  machine", "", "by h"]
    assert tokenize(lines) == [["the", "time", "machine"], [], ["by", "h"]]
    assert tokenize(lines, "word") == tokenize(lines)
    assert tokenize(["ab c", ""], "char") == [["a", "b", " ", "c"], []]


def test_tokenize_refuses_another_kind_of_token():
    with pytest.raises(ValueError, match=r"'letter'.*'word' or 'char'"):
        tokenize(["a"], "letter")


def test_count_corpus_takes_tokens_or_lines_of_tokens():
    flat = ["b", "a", "b"]
    assert count_corpus(flat) == {"b": 2, "a": 1}
    assert count_corpus([["b", "a"], [], ["b"]]) == count_corpus(flat)
    assert count_corpus([]) == {}


def test_vocab_puts_the_most_frequent_first():
    vocab = Vocab([["b", "c"], ["c", "a", "c", "b"]])
    assert vocab.to_tokens(range(4)) == ["<unk>", "c", "b", "a"]
    assert vocab.token_freqs == [("c", 3), ("b", 2), ("a", 1)]
    assert len(vocab) == 4


def test_vocab_keeps_ties_in_order_of_first_appearance():
    vocab = Vocab(list("zmamza"))
    assert vocab.to_tokens([1, 2, 3]) == ["z", "m", "a"]


def test_vocab_min_freq():
    vocab = Vocab(list("aaabbc"), min_freq=2)
    assert vocab.to_tokens(range(len(vocab))) == ["<unk>", "a", "b"]
    assert vocab["c"] == 0
    # The counts are those of the text, whatever was left out.
    assert vocab.token_freqs == [("a", 3), ("b", 2), ("c", 1)]


def test_vocab_reserved_tokens_come_after_the_unknown_one():
    vocab = Vocab(list("aab"), min_freq=2, reserved_tokens=["<pad>", "<bos>"])
    assert vocab.to_tokens(range(4)) == ["<unk>", "<pad>", "<bos>", "a"]
    assert vocab["<bos>"] == 2


@pytest.mark.parametrize(
    "reserved",
    [["<pad>", "<pad>"], ["<unk>", "<pad>"], ["<pad>", "<unk>", "<pad>"]],
)
def test_vocab_has_each_token_once(reserved):
    vocab = Vocab(["b", "<pad>", "b", "<unk>"], reserved_tokens=reserved)
    assert vocab.idx_to_token == ["<unk>", "<pad>", "b"]
    assert vocab["<pad>"] == 1


def test_an_empty_vocab_knows_nothing():
    for vocab in (Vocab(), Vocab([]), Vocab([[], []])):
        assert len(vocab) == 1
        assert vocab["a"] == vocab.unk == 0
        assert vocab.to_tokens(0) == "<unk>"
        assert vocab.token_freqs == []


def test_vocab_encodes_and_decodes_what_it_is_given():
    vocab = Vocab(list("aaabbc"))
    assert vocab["a"] == 1
    assert vocab[["c", "?", "a"]] == [3, 0, 1]
    assert vocab[[["a"], ["b", "c"]]] == [[1], [2, 3]]
    assert vocab[[]] == []
    assert vocab.to_tokens(2) == "b"
    assert vocab.to_tokens((3, 0)) == ["c", "<unk>"]
    assert vocab.to_tokens(torch.tensor(3)) == "c"
    assert vocab.to_tokens(torch.tensor([[1, 2]])) == [["a", "b"]]


@pytest.mark.parametrize("index", [-1, 4, 100, [0, 4], torch.tensor([-1])])
def test_vocab_refuses_an_index_it_does_not_have(index):
    with pytest.raises(IndexError, match="expected 0 to 3"):
        Vocab(list("abc")).to_tokens(index)


@hypothesis.given(
    st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3), max_size=4),
    st.integers(0, 4),
)
def test_vocab_of_any_tokens(tokens, reserved, min_freq):
    vocab = Vocab(tokens, min_freq, reserved)
    everything = vocab.to_tokens(range(len(vocab)))
    assert everything == vocab.idx_to_token
    assert len(set(everything)) == len(everything)
    assert vocab[everything] == list(range(len(vocab)))
    assert vocab.token_to_idx == {t: i for i, t in enumerate(everything)}
    for token in tokens:
        kept = tokens.count(token) >= min_freq or token in reserved
        decoded = vocab.to_tokens(vocab[token])
        assert decoded == (token if kept else "<unk>")


def test_encode_lines_puts_nothing_between_lines():
    corpus, vocab = encode_lines(["ab", "", "ba b"], token="char")
    assert vocab.to_tokens(corpus) == list("abba b")
    assert corpus.dtype == torch.int64


@pytest.mark.parametrize("max_tokens", [0, -2])
def test_a_bad_length_is_refused(max_tokens):
    with pytest.raises(ValueError, match=rf"{max_tokens}: expected.*or -1"):
        load_corpus_time_machine(max_tokens)


def test_the_corpus_is_that_of_the_cleaned_lines():
    lines = read_time_machine()
    corpus, vocab = load_corpus_time_machine()
    assert "".join(vocab.to_tokens(corpus)) == "".join(lines)
    shorter, same_vocab = load_corpus_time_machine(max_tokens=100)
    assert torch.equal(shorter, corpus[:100])
    assert same_vocab.idx_to_token == vocab.idx_to_token


@needs_time_machine
def test_the_lines_of_the_time_machine():
    lines = read_time_machine()
    assert len(lines) == 3221
    assert lines[0] == "the time machine by h g wells"
    assert lines[10] == (
        "twinkled and his usually pale face was flushed and animated the"
    )


@needs_time_machine
def test_the_characters_of_the_time_machine():
    corpus, vocab = load_corpus_time_machine()
    assert len(corpus) == 170_580
    assert len(vocab) == 28
    assert corpus[:10].tolist() == [3, 9, 2, 1, 3, 5, 13, 2, 1, 13]
    assert vocab.token_freqs[:10] == [
        (" ", 29927), ("e", 17838), ("t", 13515), ("a", 11704), ("i", 10138),
        ("n", 9917), ("o", 9758), ("s", 8486), ("h", 8257), ("r", 7674),
    ]


@needs_time_machine
def test_the_words_of_the_time_machine():
    _, vocab = load_corpus_time_machine(token="word")
    assert vocab.to_tokens(range(10)) == [
        "<unk>", "the", "i", "and", "of", "a", "to", "was", "in", "that",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [("train_ch8", "train"), ("train_epoch_ch8", "train_epoch"),
     ("predict_ch8", "predict"), ("try_gpu", "device")],
)
def test_a_name_of_the_book_gives_the_new_one(old, new):
    with pytest.raises(ImportError, match=rf"{old}.*labutils\.{new} here"):
        getattr(labutils, old)
    with pytest.raises(ImportError, match=rf"{old}.*labutils\.{new} here"):
        exec(f"from labutils import {old}")
    assert callable(getattr(labutils, new))


def test_a_name_that_nobody_has_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        labutils.no_such_name  # noqa: B018
    with pytest.raises(ImportError, match="no_such_name"):
        exec("from labutils import no_such_name")


def test_every_name_of_the_package_is_there():
    for name in labutils.__all__:
        assert hasattr(labutils, name), name
