"""What is seen inside a model, against sums done by hand."""

import math

import pytest
import torch
from small import CPU, TEXT, VOCAB, V, make_model
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from labkit.widgets.inspection import (
    gates,
    gradient_norms,
    hidden_states,
    surprises,
)
from labutils import (
    RNNModel,
    RNNModelScratch,
    SeqDataLoader,
    Vocab,
    evaluate_perplexity,
    predict,
    scratch,
)
from labutils.generation import next_distribution

H = 6


def over(layer, *arguments, seed=0, **options):
    torch.manual_seed(seed)
    return RNNModel(layer(V, H, *arguments, **options), V)


def from_scratch(name, seed=0, scale=30.0):
    """Weights large enough that something happens."""
    torch.manual_seed(seed)
    get_params = getattr(scratch, f"get_{name}_params")
    model = RNNModelScratch(
        V, H, CPU, get_params, getattr(scratch, f"init_{name}_state"),
        getattr(scratch, name),
    )
    with torch.no_grad():
        for param in model.params:
            param.mul_(scale)
            if param.dim() == 1:
                param.uniform_(-1, 1)
    return model


MODELS = {
    "RNN from scratch": lambda: from_scratch("rnn"),
    "LSTM from scratch": lambda: from_scratch("lstm"),
    "RNN": lambda: over(nn.RNN, 2),
    "relu": lambda: over(nn.RNN, nonlinearity="relu"),
    "GRU": lambda: over(nn.GRU),
    "deep GRU": lambda: over(nn.GRU, 3, dropout=0.5),
    "LSTM": lambda: over(nn.LSTM),
    "deep LSTM": lambda: over(nn.LSTM, 2, dropout=0.5),
    "no bias": lambda: over(nn.LSTM, 2, bias=False),
}
every_model = pytest.mark.parametrize("name", MODELS)
PREFIX = "time travel"


def logits_after(model, text):
    """The last scores, by the model's own way through the text."""
    training = getattr(model, "training", None)
    if training:
        model.eval()
    with torch.no_grad():
        logits, state = model(
            torch.tensor([VOCAB[list(text)]]), model.begin_state(1)
        )
    if training:
        model.train()
    return logits[-1], state


def tensors(state):
    return (state,) if torch.is_tensor(state) else state


# ---- the next character


@every_model
def test_the_distribution_is_the_softmax_of_the_scores(name):
    model = MODELS[name]()
    logits, _ = logits_after(model, PREFIX)
    found = next_distribution(PREFIX, model, VOCAB)
    assert found.shape == (V,)
    assert_close(found, logits.exp() / logits.exp().sum())
    cold = next_distribution(PREFIX, model, VOCAB, temperature=0.25)
    assert_close(cold, found**4 / (found**4).sum())


def test_top_k_leaves_k_characters_in_their_proportions():
    model = from_scratch("rnn")
    whole = next_distribution(PREFIX, model, VOCAB)
    for k in (1, 3, V, V + 5):
        found = next_distribution(PREFIX, model, VOCAB, top_k=k)
        kept = whole.argsort(descending=True)[:k]
        expected = torch.zeros(V)
        expected[kept] = whole[kept] / whole[kept].sum()
        assert_close(found, expected)


def test_temperature_0_takes_what_predict_takes():
    model = from_scratch("rnn")
    found = next_distribution(PREFIX, model, VOCAB, temperature=0, top_k=2)
    [chosen] = found.nonzero().flatten().tolist()
    assert found[chosen] == 1
    assert predict(PREFIX, 1, model, VOCAB)[-1] == VOCAB.to_tokens(chosen)


def test_predict_draws_as_the_distribution_says():
    model = from_scratch("rnn")
    options = {"temperature": 1.5, "top_k": 4}
    expected = next_distribution(PREFIX, model, VOCAB, **options)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.zeros(V)
    for _ in range(2000):
        text = predict(PREFIX, 1, model, VOCAB, generator=generator, **options)
        drawn[VOCAB[text[-1]]] += 1
    assert (expected > 0).sum() == 4
    # Four standard deviations are 0.045 at the most.
    assert_close(drawn / 2000, expected, atol=0.045, rtol=0)


# ---- surprise


@every_model
def test_surprise_is_minus_the_log_of_each_probability(name):
    model = MODELS[name]()
    expected = [
        -next_distribution(PREFIX[:i], model, VOCAB).log2()[VOCAB[PREFIX[i]]]
        for i in range(1, len(PREFIX))
    ]
    assert_close(surprises(PREFIX, model, VOCAB), torch.stack(expected))


def test_the_mean_surprise_is_the_perplexity():
    model = from_scratch("lstm")
    indices = VOCAB[list(TEXT)]
    loader = SeqDataLoader(indices, 1, len(indices) - 1, offset=0)
    found = 2 ** surprises(TEXT, model, VOCAB).mean()
    assert float(found) == pytest.approx(
        evaluate_perplexity(model, loader), rel=1e-4
    )


# ---- hidden units


@every_model
def test_hidden_states_are_those_after_each_character(name):
    model = MODELS[name]()
    found = hidden_states(PREFIX, model, VOCAB)
    for t in range(len(PREFIX)):
        _, state = logits_after(model, PREFIX[: t + 1])
        expected = tensors(state)[0]
        assert_close(found[:, t], expected.flatten(0, -2))


def test_hidden_states_of_a_plain_network_by_hand():
    model = from_scratch("rnn")
    W_xh, W_hh, b_h, _, _ = model.params
    h = torch.zeros(H)
    found = hidden_states(PREFIX, model, VOCAB)
    assert found.shape == (1, len(PREFIX), H)
    for t, index in enumerate(VOCAB[list(PREFIX)]):
        h = torch.tanh(W_xh[index] + h @ W_hh + b_h)
        assert_close(found[0, t], h.detach())


# ---- gates


LSTMS = ["LSTM", "deep LSTM", "no bias"]


@pytest.mark.parametrize("name", LSTMS)
def test_the_gates_of_an_lstm_give_its_states(name):
    """With them and the candidate alone, C and H can be computed."""
    model = MODELS[name]()
    found = gates(PREFIX, model, VOCAB)
    assert list(found) == ["input", "forget", "output"]
    hiddens = hidden_states(PREFIX, model, VOCAB)
    below = F.one_hot(torch.tensor(VOCAB[list(PREFIX)]), V).float()
    for layer in range(model.rnn.num_layers):
        own = dict(model.rnn.named_parameters())
        C, before = torch.zeros(H), torch.zeros(H)
        for t in range(len(PREFIX)):
            c = slice(2 * H, 3 * H)  # i, f, g, o: the third block
            candidate = torch.tanh(
                own[f"weight_ih_l{layer}"][c] @ below[t]
                + own[f"weight_hh_l{layer}"][c] @ before
                + (own[f"bias_ih_l{layer}"] + own[f"bias_hh_l{layer}"])[c]
                if model.rnn.bias else
                own[f"weight_ih_l{layer}"][c] @ below[t]
                + own[f"weight_hh_l{layer}"][c] @ before
            )
            i, f, o = (found[gate][layer, t] for gate in found)
            C = f * C + i * candidate
            before = o * torch.tanh(C)
            assert_close(before.detach(), hiddens[layer, t])
        below = hiddens[layer]


@pytest.mark.parametrize("name", ["GRU", "deep GRU"])
def test_the_gates_of_a_gru_give_its_states(name):
    model = MODELS[name]()
    found = gates(PREFIX, model, VOCAB)
    assert list(found) == ["reset", "update"]
    hiddens = hidden_states(PREFIX, model, VOCAB)
    below = F.one_hot(torch.tensor(VOCAB[list(PREFIX)]), V).float()
    for layer in range(model.rnn.num_layers):
        own = dict(model.rnn.named_parameters())
        W_x, W_h, b_x, b_h = (
            own[f"{kind}_l{layer}"][2 * H :]
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        before = torch.zeros(H)
        for t in range(len(PREFIX)):
            r, z = (found[gate][layer, t] for gate in found)
            n = torch.tanh(W_x @ below[t] + b_x + r * (W_h @ before + b_h))
            before = ((1 - z) * n + z * before).detach()
            assert_close(before, hiddens[layer, t])
        below = hiddens[layer]


def test_the_gates_of_the_lstm_from_scratch_by_hand():
    model = from_scratch("lstm")
    found = gates(PREFIX, model, VOCAB)
    params = dict(zip(
        [kind + gate for gate in "ifoc" for kind in "xhb"] + ["hq", "bq"],
        model.params, strict=True,
    ))
    before = torch.zeros(H)
    hiddens = hidden_states(PREFIX, model, VOCAB)[0]
    for t, index in enumerate(VOCAB[list(PREFIX)]):
        for name in ("input", "forget", "output"):
            k = name[0]
            score = (
                params["x" + k][index] + before @ params["h" + k]
                + params["b" + k]
            )
            expected = 1 / (1 + (-score.detach()).exp())
            assert_close(found[name][0, t], expected)
        before = hiddens[t]


def test_plain_networks_have_no_gates():
    for name in ("RNN from scratch", "RNN", "relu"):
        with pytest.raises(ValueError, match="has no gates: expected an"):
            gates(PREFIX, MODELS[name](), VOCAB)


# ---- gradients


# One tensor of state, two, and two of different sizes; one layer and more.
# How the layers compute matters to none of it.
STATES = ["RNN", "deep GRU", "LSTM"]


def loss_from(model, state, rest):
    """Of the last character, when the others of `rest` were read."""
    X = torch.tensor([VOCAB[list(rest)]])
    logits, _ = model(X[:, :-1], state)
    return F.cross_entropy(logits[-1:], X[0, -1:])


@pytest.mark.parametrize("name", STATES)
@torch.no_grad()
def test_gradients_against_small_steps(name):
    model = MODELS[name]().double()
    found = gradient_norms(PREFIX, model, VOCAB)
    model.eval()
    step = 1e-6
    for t in range(len(PREFIX) - 2):
        _, state = logits_after(model, PREFIX[: t + 1])
        state = tuple(part.clone() for part in tensors(state))
        assert len(found) == len(state)
        for norms, part in zip(found.values(), state, strict=True):
            slopes = torch.zeros_like(part)
            for place in range(part.numel()):
                losses = []
                for change in (step, -2 * step, step):
                    part.flatten()[place] += change
                    whole = state if len(state) == 2 else state[0]
                    losses.append(loss_from(model, whole, PREFIX[t + 1 :]))
                slope = (losses[0] - losses[1]) / (2 * step)
                slopes.flatten()[place] = slope
            expected = slopes.flatten(0, -2).norm(dim=1)
            assert_close(norms[:, t], expected, rtol=1e-5, atol=1e-8)


def test_gradients_of_a_plain_network_by_the_chain_rule():
    model = from_scratch("rnn")
    _, W_hh, _, W_hq, b_q = (param.detach() for param in model.params)
    hiddens = hidden_states(PREFIX[:-1], model, VOCAB)[0]
    found = gradient_norms(PREFIX, model, VOCAB)
    assert list(found) == ["hidden state"]
    target = F.one_hot(torch.tensor(VOCAB[PREFIX[-1]]), V)
    d_h = W_hq @ (torch.softmax(hiddens[-1] @ W_hq + b_q, 0) - target)
    for t in reversed(range(len(PREFIX) - 2)):
        d_h = W_hh @ ((1 - hiddens[t + 1] ** 2) * d_h)
        assert_close(found["hidden state"][0, t], d_h.norm(),
                     rtol=1e-5, atol=0)


def test_gradients_of_the_two_lstms_agree():
    ours = from_scratch("lstm")
    theirs = over(nn.LSTM)
    gates_of = [list(ours.params[k:12:3]) for k in range(3)]
    order = (0, 1, 3, 2)  # i, f, o, c to torch's i, f, c, o
    with torch.no_grad():
        rnn = theirs.rnn
        for target, parts in zip(
            (rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0), gates_of,
            strict=True,
        ):
            target.copy_(torch.cat([parts[k].t() for k in order]))
        rnn.bias_hh_l0.zero_()
        theirs.linear.weight.copy_(ours.params[-2].t())
        theirs.linear.bias.copy_(ours.params[-1])
    for look in (gradient_norms, gates):
        assert_close(look(PREFIX, ours, VOCAB), look(PREFIX, theirs, VOCAB))


def test_gradients_where_a_notebook_has_set_the_layers_precision():
    model, layers = MODELS["deep GRU"](), torch.backends.cudnn.rnn
    expected, before = gradient_norms(PREFIX, model, VOCAB), (
        layers.fp32_precision, torch.backends.cudnn.enabled)
    try:
        layers.fp32_precision = "ieee"
        assert_close(gradient_norms(PREFIX, model, VOCAB), expected)
    finally:
        layers.fp32_precision = before[0]
    assert torch.backends.cudnn.enabled == before[1]


def test_frozen_parameters_have_gradients_by_state_too():
    for name in ("LSTM from scratch", "deep GRU"):
        model = MODELS[name]()
        expected = gradient_norms(PREFIX, model, VOCAB)
        for param in model.parameters():
            param.requires_grad_(False)
        assert_close(gradient_norms(PREFIX, model, VOCAB), expected)


# ---- all of them


LOOKS = {
    "next_distribution": (next_distribution, 1),
    "surprises": (surprises, 2),
    "hidden_states": (hidden_states, 1),
    "gates": (gates, 1),
    "gradient_norms": (gradient_norms, 3),
}
every_look = pytest.mark.parametrize(
    ("look", "least"), LOOKS.values(), ids=LOOKS
)


@every_look
@pytest.mark.parametrize("name", ["deep LSTM", "LSTM from scratch"])
def test_a_look_changes_nothing(look, least, name):
    model = MODELS[name]()
    before = [param.detach().clone() for param in model.parameters()]
    random = torch.get_rng_state()
    first = look(PREFIX, model, VOCAB)
    assert_close(look(PREFIX, model, VOCAB), first, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random)
    for param, old in zip(model.parameters(), before, strict=True):
        assert param.grad is None and torch.equal(param, old)
        assert param.requires_grad
    assert getattr(model, "training", True)
    for tensor in first.values() if isinstance(first, dict) else [first]:
        assert not tensor.requires_grad


@every_look
def test_the_shortest_text(look, least):
    model = MODELS["LSTM"]()
    look(PREFIX[:least], model, VOCAB)
    with pytest.raises(ValueError, match=f"expected at least {least}"):
        look(PREFIX[: least - 1], model, VOCAB)


@pytest.mark.parametrize("look", [hidden_states, gates, gradient_norms])
def test_two_directions_are_refused(look):
    model = over(nn.LSTM, bidirectional=True)
    with pytest.raises(ValueError, match="two directions: expected one"):
        look(PREFIX, model, VOCAB)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -0.1}, "temperature is -0.1: expected 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0: expected .*, or None"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        next_distribution(PREFIX, make_model("scratch"), VOCAB, **options)


# ---- models that cannot be looked at

# Those that are defined here; `next_distribution` is of labutils.
inside = pytest.mark.parametrize(
    "look", [surprises, hidden_states, gates, gradient_norms]
)


@inside
@pytest.mark.parametrize("name", ["LSTM from scratch", "deep GRU"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_has_diverged(look, name, value):
    model = MODELS[name]()
    with torch.no_grad():
        list(model.parameters())[-1][0] = value
    with pytest.raises(ValueError, match=r"no finite numbers: it div"):
        look(PREFIX, model, VOCAB)


def test_a_character_that_cannot_come_next_is_no_divergence():
    model = from_scratch("rnn")
    with torch.no_grad():
        model.params[-1][VOCAB["t"]] = -math.inf
    assert surprises(PREFIX, model, VOCAB)[4] == math.inf  # time_T
    assert hidden_states(PREFIX, model, VOCAB).isfinite().all()


@inside
@pytest.mark.parametrize("text", ["time", TEXT + "xyz"])
def test_another_texts_vocabulary(look, text):
    vocab = Vocab(text)
    for name in ("RNN from scratch", "GRU"):
        with pytest.raises(ValueError, match=(
            f"The model was made for a vocabulary of {V} tokens, and this "
            f"one has {len(vocab)}. Pass the vocabulary of the text that"
        )):
            look("time", MODELS[name](), vocab)


class Nested:
    """Two networks, one after the other, each with its own state."""

    def __init__(self):
        self.first = from_scratch("rnn")
        self.second = nn.GRU(V, H)
        self.linear = nn.Linear(H, V)

    def __call__(self, X, state):
        logits, first = self.first(X, state[0])
        outputs, second = self.second(
            logits.reshape(*X.T.shape, V), state[1][0]
        )
        return self.linear(outputs.flatten(0, 1)), (first, (second,))

    def begin_state(self, batch_size, device=None):
        return (
            self.first.begin_state(batch_size),
            (torch.zeros(1, batch_size, H),),
        )

    def parameters(self):
        return [*self.first.parameters(), *self.second.parameters()]


@pytest.mark.parametrize("look", [hidden_states, gates, gradient_norms])
def test_a_state_of_states_is_refused(look):
    with pytest.raises(ValueError, match="state holds more than tensors: exp"):
        look(PREFIX, Nested(), VOCAB)


def test_surprise_asks_nothing_of_the_state():
    assert surprises(PREFIX, Nested(), VOCAB).isfinite().all()
