"""What counting achieves, against the formula worked out token by token."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import V, make_data

from labutils import SeqDataLoader, bits_per_character
from labutils.evaluation import baselines, ngram_perplexity

V_MAX = 7
token_lists = st.lists(st.integers(0, V_MAX - 1), min_size=1, max_size=40)
sizes = st.integers(V_MAX, 30)


def perplexity(corpus, held_out, n, vocab_size):
    return ngram_perplexity(
        torch.tensor(corpus), torch.tensor(held_out), n, vocab_size
    )


def probability(token, context, corpus, vocab_size):
    """P(w | h) = (c(hw) + t(h) P(w | h')) / (c(h) + t(h))."""
    shorter = (
        probability(token, context[1:], corpus, vocab_size) if context
        else 1 / vocab_size
    )
    followers = Counter(
        corpus[i + len(context)] for i in range(len(corpus) - len(context))
        if corpus[i : i + len(context)] == context
    )
    if not followers:
        return shorter
    return (followers[token] + len(followers) * shorter) / (
        followers.total() + len(followers)
    )


def by_the_formula(corpus, held_out, n, vocab_size):
    text, nats = corpus + held_out, 0.0
    for place in range(len(corpus), len(text)):
        context = text[max(0, place - n + 1) : place]
        nats -= math.log(
            probability(text[place], context, corpus, vocab_size)
        )
    return math.exp(nats / len(held_out))


@given(token_lists, token_lists, st.integers(1, 5), sizes)
def test_it_is_what_the_formula_says(corpus, held_out, n, vocab_size):
    example = corpus, held_out, n, vocab_size
    assert perplexity(*example) == pytest.approx(by_the_formula(*example))


@given(token_lists, st.integers(1, 5), sizes)
def test_the_probabilities_add_up_to_one(corpus, n, vocab_size):
    chances = [
        1 / perplexity(corpus, [token], n, vocab_size)
        for token in range(vocab_size)
    ]
    assert min(chances) > 0
    assert sum(chances) == pytest.approx(1)


def test_figures_worked_out_by_hand():
    """The text a a b, then a and a token that was never seen; V is 3."""
    corpus, held_out = [1, 1, 2], [1, 0]
    # 3 tokens of 2 kinds: P(a) = (2 + 2/3) / 5, P(unknown) = (0 + 2/3) / 5.
    unigram = (8 / 15) * (2 / 15)
    assert perplexity(corpus, held_out, 1, 3) == pytest.approx(
        unigram ** (-1 / 2)
    )
    assert unigram ** (-1 / 2) == pytest.approx(3.75)
    # Nothing has followed b, so P(a | b) = P(a). After a came a and b:
    # P(unknown | a) = (0 + 2 * 2/15) / (2 + 2) = 1/15.
    bigram = (8 / 15) * (1 / 15)
    assert perplexity(corpus, held_out, 2, 3) == pytest.approx(
        bigram ** (-1 / 2)
    )
    # After a b came nothing, after b a came nothing.
    assert perplexity(corpus, held_out, 3, 3) == pytest.approx(
        bigram ** (-1 / 2)
    )


def test_a_context_that_was_never_seen_leaves_the_estimate_alone():
    corpus, held_out = [1, 2, 1, 2, 3], [3, 3, 3]
    # Each held-out token stands after 3 or 3 3, which nothing has followed.
    unigram = perplexity(corpus, held_out, 1, 4)
    for n in (2, 3, 4):
        assert perplexity(corpus, held_out, n, 4) == pytest.approx(unigram)


def test_the_first_held_out_token_has_the_end_of_the_corpus_for_context():
    corpus = [1, 2, 3, 4] * 10
    assert perplexity(corpus, [1], 2, 5) < 1.2
    assert perplexity(corpus, [2], 2, 5) > 10


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_a_corpus_shorter_than_the_n_grams(n):
    value = perplexity([1], [2, 1, 2, 1], n, 4)
    assert value == pytest.approx(perplexity([1], [2, 1, 2, 1], 1, 4))


def test_no_token_was_ever_seen():
    assert perplexity([1], [0], 1, 4) == pytest.approx(8)
    assert perplexity([1, 1, 1], [0], 1, 10**6) == pytest.approx(4 * 10**6)


def test_a_large_vocabulary():
    """Of words: the numbers of the n-grams must not overflow."""
    size = 200_000
    corpus = [size - 1, size - 2, size - 3] * 5
    for held_out in (corpus[:3], [size - 2], [0, 1, size - 1]):
        for n in (1, 2, 3):
            example = corpus, held_out, n, size
            assert perplexity(*example) == pytest.approx(
                by_the_formula(*example)
            )


def test_a_text_at_random_is_no_better_than_a_guess():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, (20_000,), generator=generator)
    for n in (1, 2, 3):
        value = ngram_perplexity(tokens[:15_000], tokens[15_000:], n, 5)
        assert value == pytest.approx(5, rel=0.02)


def test_those_of_a_loader():
    data = make_data()
    found = baselines(data, V)
    corpus, held_out = data.corpus, data.held_out.corpus
    values = [ngram_perplexity(corpus, held_out, n, V) for n in range(1, 7)]
    best = f"{values.index(min(values)) + 1}-gram"
    assert best in ("4-gram", "5-gram", "6-gram")  # a sentence again and again
    assert list(found) == ["unigram", "bigram", "trigram", best]
    assert list(found.values()) == [*values[:3], min(values)]
    assert V > found["unigram"] > found["bigram"] > found["trigram"] > 1


def test_a_longer_one_is_named_where_it_is_better():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, (2_000,), generator=generator)
    data = SeqDataLoader(tokens[:1_500], 1, 1)
    data.held_out = SeqDataLoader(tokens[1_500:], 1, 1)
    assert list(baselines(data, 5)) == ["unigram", "bigram", "trigram"]


def test_without_held_out_text_there_are_none():
    data = make_data()
    data.held_out = None
    assert baselines(data, V) == {}


def test_a_loader_of_two_tokens():
    data = SeqDataLoader([1, 2], 1, 1)
    data.held_out = SeqDataLoader([1, 2], 1, 1)
    assert all(value > 1 for value in baselines(data, 3).values())


# ---- bits


@pytest.mark.parametrize(
    ("value", "bits"), [(1, 0), (2, 1), (8, 3), (math.e, 1 / math.log(2))]
)
def test_bits_per_character(value, bits):
    assert bits_per_character(value) == pytest.approx(bits)


def test_bits_of_what_is_no_number():
    assert bits_per_character(math.inf) == math.inf
    assert math.isnan(bits_per_character(math.nan))


def test_bits_are_the_length_of_the_packed_text():
    """Half of the characters cost 1 bit, a quarter 2, an eighth 3 each."""
    chances = [1 / 2, 1 / 4, 1 / 8, 1 / 8]
    nats = -sum(p * math.log(p) for p in chances)
    assert bits_per_character(math.exp(nats)) == pytest.approx(1.75)
