"""Both kinds of model: against torch.nn, and by the protocol they share."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from labutils import RNNModel, RNNModelScratch, scratch

CPU = torch.device("cpu")
V, H, B, T = 7, 5, 3, 6
MAKERS = {
    "rnn": (scratch.get_rnn_params, scratch.init_rnn_state, scratch.rnn),
    "lstm": (scratch.get_lstm_params, scratch.init_lstm_state, scratch.lstm),
}
every_kind = pytest.mark.parametrize("kind", MAKERS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_layer = pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def large(params, dtype):
    """Weights of about 0.5: the initial ones hardly reach a nonlinearity."""
    return [
        (0.5 * torch.randn(p.shape, dtype=dtype)).requires_grad_()
        for p in params
    ]


def scratch_model(kind, dtype=torch.float32):
    model = RNNModelScratch(V, H, CPU, *MAKERS[kind])
    model.params = large(model.params, dtype)
    return model


def random_state(kind, dtype=torch.float32):
    return tuple(
        torch.randn(B, H, dtype=dtype) for _ in range(1 + (kind == "lstm"))
    )


def torch_twin(kind, model):
    """The model of torch.nn with the same weights, and where they went.

    Returns:
        The layer, the linear layer, and pairs of a parameter of torch.nn and
        the function from the scratch parameters (or gradients) to its values.
    """
    dtype = model.params[0].dtype
    rnn = {"rnn": nn.RNN, "lstm": nn.LSTM}[kind](V, H).to(dtype)
    linear = nn.Linear(H, V).to(dtype)
    # torch.nn stacks the gates in the order i, f, g, o; here it is i, f, o, c.
    gates = [0] if kind == "rnn" else [0, 1, 3, 2]

    def stack(which):
        return lambda p: torch.cat([p[3 * g + which].T for g in gates])

    pairs = [
        (rnn.weight_ih_l0, stack(0)),
        (rnn.weight_hh_l0, stack(1)),
        (rnn.bias_ih_l0, lambda p: torch.cat([p[3 * g + 2] for g in gates])),
        (linear.weight, lambda p: p[-2].T),
        (linear.bias, lambda p: p[-1]),
    ]
    with torch.no_grad():
        for param, values in pairs:
            param.copy_(values(model.params))
        rnn.bias_hh_l0.zero_()  # torch.nn has two biases where one will do
    return rnn, linear, pairs


@every_dtype
@every_kind
def test_scratch_agrees_with_torch_nn(kind, dtype):
    model = scratch_model(kind, dtype)
    rnn, linear, pairs = torch_twin(kind, model)
    X, y = torch.randint(V, (B, T)), torch.randint(V, (T * B,))
    state = random_state(kind, dtype)

    logits, last = model(X, state)
    inputs = F.one_hot(X.T, V).to(dtype)
    first = tuple(tensor[None] for tensor in state)
    outputs, expected_last = rnn(inputs, first if kind == "lstm" else first[0])
    expected = linear(outputs).reshape(T * B, V)

    assert logits.dtype == dtype
    assert_close(logits, expected)
    if kind == "rnn":
        expected_last = (expected_last,)
    assert len(last) == len(expected_last)
    for tensor, other in zip(last, expected_last, strict=True):
        assert_close(tensor, other[0])

    F.cross_entropy(logits, y).backward()
    F.cross_entropy(expected, y).backward()
    grads = [p.grad for p in model.parameters()]
    for param, values in pairs:
        assert param.grad.abs().max() > 1e-3  # there is something to compare
        assert_close(values(grads), param.grad)


@every_kind
def test_gradients_are_those_of_finite_differences(kind):
    get_params, init_state, forward = MAKERS[kind]
    params = large(get_params(3, 2, CPU), torch.float64)
    state = [
        torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
        for _ in init_state(2, 2, CPU)
    ]
    inputs = F.one_hot(torch.tensor([[0, 2], [1, 1], [2, 0]]), 3).double()

    def outputs(*tensors):
        first, rest = tensors[: len(state)], tensors[len(state):]
        logits, last = forward(inputs, first, rest)
        return logits, *last

    assert torch.autograd.gradcheck(outputs, (*state, *params))


@every_kind
def test_scratch_parameters(kind):
    model = RNNModelScratch(V, 400, CPU, *MAKERS[kind])
    gates = 1 if kind == "rnn" else 4
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes == [(V, 400), (400, 400), (400,)] * gates + [(400, V), (V,)]
    for param in model.parameters():
        assert param.requires_grad and param.is_leaf
        if param.dim() == 1:
            assert not param.any()
        elif param.numel() > 100_000:
            assert abs(float(param.detach().std()) - 0.01) < 1e-4
    # Each call gives the same tensors, anew: an iterator must not run dry.
    assert len(list(model.parameters())) == len(shapes)


@every_kind
def test_scratch_begin_state(kind):
    model = RNNModelScratch(V, H, CPU, *MAKERS[kind])
    state = model.begin_state(B)
    assert isinstance(state, tuple)
    assert len(state) == (2 if kind == "lstm" else 1)
    for tensor in state:
        assert tensor.shape == (B, H) and not tensor.any()
    # Changing one part in place must not change the other.
    assert len({tensor.data_ptr() for tensor in state}) == len(state)


def test_scratch_takes_its_device_from_the_settings(monkeypatch):
    monkeypatch.setenv("LABUTILS_DEVICE", "cpu")
    model = RNNModelScratch(V, H, None, *MAKERS["rnn"])
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    monkeypatch.setenv("LABUTILS_DEVICE", "abacus")
    with pytest.raises(ValueError, match="LABUTILS_DEVICE='abacus'"):
        RNNModelScratch(V, H, None, *MAKERS["rnn"])


@every_kind
def test_scratch_state_carried_on_is_one_long_call(kind):
    model = scratch_model(kind, torch.float64)
    X, state = torch.randint(V, (B, T)), random_state(kind, torch.float64)
    whole, last = model(X, state)
    start, between = model(X[:, :2], state)
    rest, last_in_parts = model(X[:, 2:], between)
    assert_close(torch.cat([start, rest]), whole)
    assert_close(last_in_parts, last)


@every_kind
@pytest.mark.parametrize(
    ("batch_size", "num_steps", "vocab_size"),
    [(1, T, V), (B, 1, V), (B, T, 2), (1, 1, 2)],
)
def test_scratch_smallest_sizes(kind, batch_size, num_steps, vocab_size):
    model = RNNModelScratch(vocab_size, H, CPU, *MAKERS[kind])
    X = torch.randint(vocab_size, (batch_size, num_steps))
    logits, state = model(X, model.begin_state(batch_size))
    assert logits.shape == (num_steps * batch_size, vocab_size)
    assert all(tensor.shape == (batch_size, H) for tensor in state)


def check_shapes(model, layers, parts):
    """`parts`: 2 with a cell beside the hidden state."""
    state = model.begin_state(B)
    tensors = state if isinstance(state, tuple) else (state,)
    shapes = [tuple(tensor.shape) for tensor in tensors]
    assert shapes == [(layers, B, H)] * parts
    # Changing one part in place must not change the other.
    assert len({tensor.data_ptr() for tensor in tensors}) == parts
    assert not any(tensor.any() for tensor in tensors)
    logits, last = model(torch.randint(V, (B, T)), state)
    assert logits.shape == (T * B, V)
    assert isinstance(last, tuple) == isinstance(state, tuple)
    lasts = last if isinstance(last, tuple) else (last,)
    assert [tuple(tensor.shape) for tensor in lasts] == shapes


@every_layer
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_concise_shapes(layer, num_layers, bidirectional):
    model = RNNModel(
        layer(V, H, num_layers, bidirectional=bidirectional), V
    )
    directions = 2 if bidirectional else 1
    parts = 2 if layer is nn.LSTM else 1
    check_shapes(model, directions * num_layers, parts)
    assert model.linear.in_features == directions * H


@every_layer
@every_dtype
def test_concise_state_carried_on_is_one_long_call(layer, dtype):
    model = RNNModel(layer(V, H, 2), V).to(dtype)
    X, state = torch.randint(V, (B, T)), model.begin_state(B)
    whole, last = model(X, state)
    assert whole.dtype == dtype
    start, between = model(X[:, :2], state)
    rest, last_in_parts = model(X[:, 2:], between)
    assert_close(torch.cat([start, rest]), whole)
    assert_close(last_in_parts, last)
    # The state matters: from zeros the rest comes out otherwise.
    anew, _ = model(X[:, 2:], model.begin_state(B))
    assert not torch.allclose(anew, rest)


@every_layer
def test_concise_scores_come_with_time_first(layer):
    """Row t*B + b belongs to step t of sequence b."""
    model = RNNModel(layer(V, H), V).double()
    X = torch.randint(V, (B, T))
    logits, _ = model(X, model.begin_state(B))
    for b in range(B):
        alone, _ = model(X[b : b + 1], model.begin_state(1))
        assert_close(logits[b::B], alone)


@every_kind
def test_scratch_scores_come_with_time_first(kind):
    model = scratch_model(kind)
    X = torch.randint(V, (B, T))
    logits, _ = model(X, model.begin_state(B))
    for b in range(B):
        alone, _ = model(X[b : b + 1], model.begin_state(1))
        assert_close(logits[b::B], alone)


@every_layer
@pytest.mark.parametrize(
    ("batch_size", "num_steps", "vocab_size"),
    [(1, T, V), (B, 1, V), (B, T, 2), (1, 1, 2)],
)
def test_concise_smallest_sizes(layer, batch_size, num_steps, vocab_size):
    model = RNNModel(layer(vocab_size, H), vocab_size)
    X = torch.randint(vocab_size, (batch_size, num_steps))
    logits, _ = model(X, model.begin_state(batch_size))
    assert logits.shape == (num_steps * batch_size, vocab_size)


def test_concise_refuses_a_layer_of_another_vocabulary():
    words = f"input_size 9: expected the vocabulary's size, {V}"
    with pytest.raises(ValueError, match=words):
        RNNModel(nn.GRU(9, H), V)


def test_concise_refuses_a_layer_that_puts_the_batch_first():
    with pytest.raises(ValueError, match="batch_first=True: expected False"):
        RNNModel(nn.GRU(V, H, batch_first=True), V)


@pytest.mark.parametrize("model", [
    RNNModelScratch(V, H, CPU, *MAKERS["rnn"]), RNNModel(nn.RNN(V, H), V),
], ids=["scratch", "concise"])
def test_the_books_order_of_begin_states_arguments_is_explained(model):
    for arguments in ((CPU, 2), ("cpu",), (0,), (2.0,)):
        with pytest.raises(ValueError, match="begin_state's batch_size is "):
            model.begin_state(*arguments)
