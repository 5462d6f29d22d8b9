"""Text from a model: greedy, and drawn with temperature and top_k."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from labutils import (
    RNNModel,
    RNNModelScratch,
    Vocab,
    longest_copy,
    predict,
    scratch,
)
from labutils.generation import next_distribution

CPU = torch.device("cpu")
VOCAB = Vocab("the time traveller")
PREFIX = "the t"
# Scores of five tokens, <unk> among them, in no order.
SCORES = [0.3, -1.0, 1.5, 0.9, -0.2]
LETTERS = Vocab("abcd")


def models():
    torch.manual_seed(0)
    V = len(VOCAB)
    concise = RNNModel(nn.LSTM(V, 16, 2, dropout=0.5), V)
    from_scratch = RNNModelScratch(
        V, 16, CPU, scratch.get_rnn_params, scratch.init_rnn_state, scratch.rnn
    )
    for model in (concise, from_scratch):
        with torch.no_grad():
            for param in model.parameters():
                # So large that no text is one character over and over.
                param.copy_(4 * torch.randn(param.shape))
    return [concise, from_scratch]


both = pytest.mark.parametrize("model", models(), ids=["concise", "scratch"])


class Constant:
    """A model whose scores are the same whatever it reads."""

    def __init__(self, scores):
        self.scores = torch.tensor(scores, requires_grad=True)

    def __call__(self, X, state):
        return self.scores.expand(X.numel(), -1), state

    def begin_state(self, batch_size, device=None):
        return torch.zeros(batch_size, device=device)

    def parameters(self):
        return [self.scores]


def drawn(num_preds, seed=0, **options):
    """The tokens that the constant model writes."""
    generator = torch.Generator().manual_seed(seed)
    text = predict(
        "a", num_preds, Constant(SCORES), LETTERS, generator=generator,
        **options,
    )
    return text[1:].replace("<unk>", "?")


def chance(text, probabilities):
    """How often a text as far from these probabilities would be drawn.

    Pearson's test; for an even number n of degrees of freedom the chi-squared
    distribution's tail is exp(-x/2) * sum of (x/2)^k / k! for k below n/2.
    """
    counts = Counter(text)
    assert set(counts) <= set(probabilities)
    x = sum(
        (counts[token] - len(text) * p) ** 2 / (len(text) * p)
        for token, p in probabilities.items()
    )
    degrees = len(probabilities) - 1
    assert degrees % 2 == 0
    terms = ((x / 2) ** k / math.factorial(k) for k in range(degrees // 2))
    return math.exp(-x / 2) * sum(terms)


def softmax(temperature=1.0, top_k=5):
    weights = {
        token: math.exp(score / temperature)
        for token, score in zip("?abcd", SCORES, strict=True)
    }
    likeliest = sorted(weights, key=weights.__getitem__)[-top_k:]
    total = sum(weights[token] for token in likeliest)
    return {token: weights[token] / total for token in likeliest}


@both
def test_greedy_is_feeding_one_character_at_a_time(model):
    text = predict(PREFIX, 40, model, VOCAB)
    assert predict(PREFIX, 40, model, VOCAB) == text

    indices = VOCAB[list(PREFIX)]
    if isinstance(model, nn.Module):
        model.eval()
    with torch.no_grad():
        state = model.begin_state(1)
        for step in range(len(PREFIX) + 40 - 1):
            X = torch.tensor([[indices[step]]])
            logits, state = model(X, state)
            if step + 1 == len(indices):
                indices.append(int(logits[0].argmax()))
    if isinstance(model, nn.Module):
        model.train()
    added = "".join(VOCAB.to_tokens(indices[len(PREFIX):]))
    assert text == PREFIX + added
    assert len(set(added)) > 3


@both
def test_the_prefix_is_kept(model):
    assert predict("the", 0, model, VOCAB) == "the"
    for prefix in ("t", "the time traveller", "t" * 200):
        assert predict(prefix, 7, model, VOCAB).startswith(prefix)


def test_as_many_characters_as_asked_for():
    assert len(drawn(25, temperature=1.0)) == 25
    assert drawn(3) == "bbb"


@both
def test_unknown_characters_in_the_prefix_stay_and_count_as_unknown(model):
    text = predict("Zeit!", 10, model, VOCAB)
    assert text.startswith("Zeit!")
    # All that the model reads of them is that they are unknown.
    assert predict("?eit.", 10, model, VOCAB)[5:] == text[5:]


@both
def test_greedy_draws_no_random_numbers(model):
    before = torch.get_rng_state()
    predict(PREFIX, 10, model, VOCAB)
    assert torch.equal(torch.get_rng_state(), before)


@both
def test_top_1_is_greedy(model):
    greedy = predict(PREFIX, 40, model, VOCAB)
    assert predict(PREFIX, 40, model, VOCAB, top_k=1) == greedy
    hot = predict(PREFIX, 40, model, VOCAB, temperature=9.0, top_k=1)
    assert hot == greedy


@both
def test_a_low_temperature_is_nearly_greedy(model):
    greedy = predict(PREFIX, 40, model, VOCAB)
    assert predict(PREFIX, 40, model, VOCAB, temperature=1e-4) == greedy


@both
def test_a_generator_fixes_the_text(model):
    def text(seed):
        generator = torch.Generator().manual_seed(seed)
        return predict(
            PREFIX, 40, model, VOCAB, temperature=2.0, generator=generator
        )

    before = torch.get_rng_state()
    assert text(1) == text(1)
    assert text(1) != text(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_it_is_torchs_own():
    def text():
        return predict("a", 30, Constant(SCORES), LETTERS, temperature=1.0)

    torch.manual_seed(4)
    first = text()
    torch.manual_seed(4)
    assert text() == first
    assert text() != first


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_those_of_the_softmax(temperature):
    text = drawn(4000, temperature=temperature)
    assert chance(text, softmax(temperature)) > 1e-3
    # As many draws do tell a temperature from another.
    assert chance(text, softmax(2 * temperature)) < 1e-6


def test_top_k_draws_from_the_likeliest_as_they_are():
    text = drawn(4000, top_k=3)
    assert set(text) == set("bc?")
    assert chance(text, softmax(top_k=3)) > 1e-3
    cold = drawn(4000, temperature=0.5, top_k=3)
    assert chance(cold, softmax(0.5, top_k=3)) > 1e-3
    assert chance(cold, softmax(1.0, top_k=3)) < 1e-6


def test_more_than_all_is_all():
    assert drawn(50, top_k=100) == drawn(50, top_k=5) == drawn(
        50, temperature=1.0
    )


@both
def test_a_model_in_training_is_left_in_training(model):
    predict(PREFIX, 3, model, VOCAB)
    if isinstance(model, nn.Module):
        assert model.training
    assert all(param.grad is None for param in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("", 5), {}, "text '' has 0 characters: expected at least 1"),
        (("t", -1), {}, "num_preds is -1: expected .*0 or more"),
        (("t", 5), {"temperature": 0}, "temperature is 0: .*above 0"),
        (("t", 5), {"temperature": -1.0}, "temperature is -1.0: .*above 0"),
        (("t", 5), {"temperature": math.nan}, "temperature is nan: "),
        (("t", 5), {"top_k": 0}, "top_k is 0: expected .*, or None"),
        (("t", 5), {"top_k": -3}, "top_k is -3: expected .* or more"),
    ],
)
def test_bad_arguments(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        predict(*arguments, Constant(SCORES), LETTERS, **options)


# ---- longest_copy


def every_run(text):
    """The longest first, and of equally long ones the first."""
    for length in range(len(text), -1, -1):
        for start in range(len(text) - length + 1):
            yield text[start : start + length]


@given(st.text("ab ", max_size=25), st.text("ab ", max_size=25))
def test_the_longest_copy_is_the_longest_of_all_runs(text, source):
    expected = next(run for run in every_run(text) if run in source)
    assert longest_copy(text, source) == expected


@pytest.mark.parametrize(
    ("text", "source", "copy"),
    [
        ("time traveller said the", "the time traveller", "time traveller"),
        ("abc", "abc", "abc"),
        ("xabcx", "abc", "abc"),
        ("ab cd", "cd ab", "ab"),  # the first of two
        ("a b", "ab", "a"),
        ("xyz", "abc", ""),
        ("", "abc", ""),
        ("abc", "", ""),
        ("aaaa", "aa", "aa"),
    ],
)
def test_the_longest_copy(text, source, copy):
    assert longest_copy(text, source) == copy


# ---- models that cannot write


@pytest.mark.parametrize("temperature", [1e-30, 5e-324, 1e-6])
def test_near_temperature_zero_it_is_greedy(temperature):
    assert drawn(20, temperature=temperature) == "b" * 20
    chances = next_distribution(
        "a", Constant(SCORES), LETTERS, temperature=temperature
    )
    assert chances.tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_model_that_diverged_says_so(bad):
    broken = Constant([0.0, bad, 0.0, 1.0, 0.0])
    for options in ({}, {"temperature": 1.0}, {"top_k": 2}):
        with pytest.raises(ValueError, match="it diverged"):
            predict("a", 3, broken, LETTERS, **options)
    with pytest.raises(ValueError, match="it diverged"):
        next_distribution("a", broken, LETTERS)


def test_another_texts_vocabulary_is_refused():
    for model in models():
        with pytest.raises(ValueError, match="vocabulary of 11 tokens, and "
                           "this one has 5"):
            predict("a", 3, model, LETTERS)


@given(st.floats(0.01, 5), st.integers(1, 7))
def test_probabilities_are_those_of_the_definition(temperature, top_k):
    found = next_distribution(
        "a", Constant(SCORES), LETTERS, temperature=temperature, top_k=top_k
    )
    scores = [s / temperature for s in SCORES]
    kept = sorted(scores)[-top_k:]
    expected = [
        math.exp(s - kept[-1]) if s in kept else 0.0 for s in scores
    ]
    torch.testing.assert_close(
        found, torch.tensor(expected) / sum(expected), rtol=1e-4, atol=1e-6
    )
