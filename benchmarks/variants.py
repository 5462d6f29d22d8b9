"""The seven trainings of the notebooks, each written in three ways.

kit:      what the notebooks train with: labutils' models and its epoch.
plain:    the equations as one first writes them down: a loop over time and
          layers, one product for each gate, the scores within the loop.
torch.nn: a bare recurrent layer and nn.Linear with PyTorch's own clipping.

`check` proves that the three compute the same thing from the same weights.
Shapes: B batch, T steps, V vocabulary, H hidden units, L layers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import labutils
from labutils import scratch
from labutils.models import as_targets, detach

BATCH_SIZE, NUM_STEPS, VOCAB_SIZE = 32, 35, 28
TOKENS = 10_000  # at the beginning of the text
GRAD_CLIP = 1.0
VARIANTS = ("kit", "plain", "torch.nn")

Params = list[torch.Tensor]


@dataclass(frozen=True)
class Training:
    """One of the notebooks' trainings.

    Attributes:
        layer: nn.RNN, nn.LSTM or nn.GRU.
        from_tensors: the kit trains a model from scratch.
    """

    layer: Callable[..., nn.RNNBase]
    num_hiddens: int = 256
    num_layers: int = 1
    lr: float = 1.0
    use_random_iter: bool = False
    from_tensors: bool = False


TRAININGS = {
    "rnn_scratch_sequential": Training(nn.RNN, 512, from_tensors=True),
    "rnn_scratch_random": Training(
        nn.RNN, 512, use_random_iter=True, from_tensors=True
    ),
    "rnn_concise": Training(nn.RNN),
    "rnn_concise_2_layers": Training(nn.RNN, num_layers=2),
    "lstm_scratch": Training(nn.LSTM, from_tensors=True),
    "deep_lstm": Training(nn.LSTM, num_layers=2, lr=2.0),
    "deep_gru": Training(nn.GRU, num_layers=2, lr=2.0),
}

# Where PyTorch keeps each gate that an equation names in this order: h;
# i, f, o and the candidate (PyTorch has i, f, g, o); r, z, n.
GATES: dict[Callable, tuple[int, ...]] = {
    nn.RNN: (0,), nn.LSTM: (0, 1, 3, 2), nn.GRU: (0, 1, 2)
}


def floating_point_operations(training: Training) -> int:
    """Additions and multiplications of one step's matrix products.

    Every product counts alike, those with one-hot inputs too: forward two
    operations for each weight and token, and backward twice as many (the
    gradient of the weights and that of the inputs). All that is not a matrix
    product counts nothing.
    """
    H, L = training.num_hiddens, training.num_layers
    gates = len(GATES[training.layer])
    inputs = VOCAB_SIZE + (L - 1) * H
    weights = gates * (inputs * H + L * H * H) + H * VOCAB_SIZE
    return 3 * 2 * BATCH_SIZE * NUM_STEPS * weights


def new_weights(training: Training, seed: int = 0) -> Params:
    """Random weights in PyTorch's order: four of each layer, two of the
    linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        parameters = list(TorchModel(training).parameters())
    return [parameter.detach() for parameter in parameters]


def by_gate(training: Training, weights: Params) -> list[Params]:
    """The same weights as the equations have them, `X @ W`.

    Returns:
        A list for each layer, W_x, W_h and b for one gate after the other,
        and then one with W_hq and b_q. The last gate of the GRU has two
        biases, since the reset gate stands between them.
    """
    order = GATES[training.layer]
    layers = []
    for layer in range(training.num_layers):
        params: Params = []
        pieces = [w.chunk(len(order)) for w in weights[4 * layer :][:4]]
        for gate in order:
            W_x, W_h, b_x, b_h = (piece[gate] for piece in pieces)
            two = training.layer is nn.GRU and gate == order[-1]
            params += [W_x.T, W_h.T, *([b_x, b_h] if two else [b_x + b_h])]
        layers.append(params)
    W_q, b_q = weights[-2:]
    layers.append([W_q.T, b_q])
    # Laid out in memory as if they had been made in these shapes.
    layout = torch.contiguous_format
    return [[p.clone(memory_format=layout) for p in ps] for ps in layers]


# The kit's way


def kit_model(training: Training, weights: Params) -> Any:
    """The model that the notebooks train, with these weights."""
    H, device = training.num_hiddens, weights[0].device
    if not training.from_tensors:
        layer = training.layer(VOCAB_SIZE, H, training.num_layers)
        model = labutils.RNNModel(layer, VOCAB_SIZE).to(device)
        return with_weights(model, weights)
    if training.layer is nn.LSTM:
        init_state, forward = scratch.init_lstm_state, scratch.lstm
    else:
        init_state, forward = scratch.init_rnn_state, scratch.rnn
    params = [p for layer in by_gate(training, weights) for p in layer]
    return labutils.RNNModelScratch(
        VOCAB_SIZE, H, device, lambda *_: params, init_state, forward
    )


def with_weights(model: nn.Module, weights: Params) -> nn.Module:
    """The module with copies of these weights."""
    with torch.no_grad():
        for param, weight in zip(model.parameters(), weights, strict=True):
            param.copy_(weight)
    return model


# The plain way


def rnn_step(X, state, params):
    """One step of the simple recurrent network."""
    W_xh, W_hh, b_h = params
    (H,) = state
    return (torch.tanh(X @ W_xh + H @ W_hh + b_h),)


def lstm_step(X, state, params):
    """One step of the LSTM."""
    (
        W_xi, W_hi, b_i, W_xf, W_hf, b_f,
        W_xo, W_ho, b_o, W_xc, W_hc, b_c,
    ) = params
    H, C = state
    I = torch.sigmoid(X @ W_xi + H @ W_hi + b_i)
    F_ = torch.sigmoid(X @ W_xf + H @ W_hf + b_f)
    O = torch.sigmoid(X @ W_xo + H @ W_ho + b_o)
    candidate = torch.tanh(X @ W_xc + H @ W_hc + b_c)
    C = F_ * C + I * candidate
    return O * torch.tanh(C), C


def gru_step(X, state, params):
    """One step of the GRU, with PyTorch's place of the reset gate."""
    W_xr, W_hr, b_r, W_xz, W_hz, b_z, W_xn, W_hn, b_xn, b_hn = params
    (H,) = state
    R = torch.sigmoid(X @ W_xr + H @ W_hr + b_r)
    Z = torch.sigmoid(X @ W_xz + H @ W_hz + b_z)
    N = torch.tanh(X @ W_xn + b_xn + R * (H @ W_hn + b_hn))
    return ((1 - Z) * N + Z * H,)


STEPS: dict[Callable, Callable] = {
    nn.RNN: rnn_step, nn.LSTM: lstm_step, nn.GRU: gru_step
}


class PlainModel:
    """One step after the other, one layer after the other."""

    def __init__(self, training: Training, params: list[Params]) -> None:
        *self.layers, (self.W_hq, self.b_q) = params
        self.step = STEPS[training.layer]
        self.num_hiddens = training.num_hiddens
        self.tensors = 2 if training.layer is nn.LSTM else 1

    def parameters(self) -> Params:
        """The tensors to train."""
        layers = [p for params in self.layers for p in params]
        return [*layers, self.W_hq, self.b_q]

    def begin_state(self, batch_size: int) -> list:
        """For each layer its H, and the LSTM's C."""
        zeros = self.b_q.new_zeros(batch_size, self.num_hiddens)
        return [(zeros,) * self.tensors for _ in self.layers]

    def __call__(self, X: torch.Tensor, states: list | None):
        states = list(states or self.begin_state(len(X)))
        outputs = []
        for inputs in F.one_hot(X.T, VOCAB_SIZE).float():  # (B, V)
            for layer, params in enumerate(self.layers):
                states[layer] = self.step(inputs, states[layer], params)
                inputs = states[layer][0]  # (B, H)
            outputs.append(inputs @ self.W_hq + self.b_q)
        return torch.cat(outputs), states  # (T*B, V)


def clip_plainly(params: Params, theta: float) -> None:
    """Scale the gradients so that their common norm is at most `theta`."""
    grads = gradients(params)
    norm = sum(float((grad**2).sum()) for grad in grads) ** 0.5
    if norm > theta:
        for grad in grads:
            grad *= theta / norm


def gradients(params: Iterable[torch.Tensor]) -> Params:
    """What `backward` left at each of them."""
    return [param.grad for param in params if param.grad is not None]


def train_plainly(
    model: PlainModel, loader, lr: float, theta: float = GRAD_CLIP
) -> None:
    """One epoch with everything written out."""
    params, device = model.parameters(), model.b_q.device
    states = None
    for X, Y in loader:
        X, y = X.to(device), as_targets(Y).to(device)
        if loader.use_random_iter:
            states = None
        elif states is not None:
            states = [detach(state) for state in states]
        logits, states = model(X, states)
        loss = F.cross_entropy(logits, y)
        for param in params:
            param.grad = None
        loss.backward()
        clip_plainly(params, theta)
        with torch.no_grad():
            for param, grad in zip(params, gradients(params), strict=True):
                param -= lr * grad


# PyTorch's way


class TorchModel(nn.Module):
    """A recurrent layer and a linear layer, nothing more."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        H, L = training.num_hiddens, training.num_layers
        self.layer = training.layer(VOCAB_SIZE, H, L)
        self.linear = nn.Linear(H, VOCAB_SIZE)

    def forward(self, X: torch.Tensor, state: Any):
        inputs = F.one_hot(X.T, VOCAB_SIZE).float()  # (T, B, V)
        outputs, state = self.layer(inputs, state)
        return self.linear(outputs.flatten(0, 1)), state


def train_with_torch(
    model: nn.Module, loader, optimizer: torch.optim.Optimizer
) -> None:
    """One epoch as PyTorch's tutorials have it."""
    device = next(model.parameters()).device
    state = None
    for X, Y in loader:
        X, y = X.to(device), as_targets(Y).to(device)
        if loader.use_random_iter:
            state = None
        elif state is not None:
            state = detach(state)
        logits, state = model(X, state)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()


# All three


def new_model(training: Training, variant: str, weights: Params) -> Any:
    """A model of this variant with these weights."""
    if variant == "kit":
        return kit_model(training, weights)
    if variant == "plain":
        return PlainModel(training, by_gate(training, weights))
    model = TorchModel(training).to(weights[0].device)
    return with_weights(model, weights)


def trainable(model: Any) -> Any:
    """The model, its parameters set to gather gradients."""
    for param in model.parameters():
        param.requires_grad_(True)
    return model


def new_loader(
    training: Training, corpus: torch.Tensor
) -> labutils.SeqDataLoader:
    """The batches of this training, the same ones for each variant."""
    return labutils.SeqDataLoader(
        corpus, BATCH_SIZE, NUM_STEPS, training.use_random_iter, seed=0
    )


def first_batches(corpus: torch.Tensor, number: int) -> torch.Tensor:
    """As much of the text as an epoch of so many batches needs."""
    # Up to num_steps tokens are skipped, and the last one is only a target.
    return corpus[: (number * BATCH_SIZE + 1) * NUM_STEPS + 1]


def epoch_of(
    training: Training,
    variant: str,
    loader: Iterable,
    device: torch.device | str = "cpu",
) -> Callable[[], object]:
    """A function that trains for one epoch, from new weights on."""
    weights = [weight.to(device) for weight in new_weights(training)]
    model = trainable(new_model(training, variant, weights))
    if isinstance(model, PlainModel):
        return lambda: train_plainly(model, loader, training.lr)
    optimizer = torch.optim.SGD(model.parameters(), training.lr)
    if variant == "kit":
        return lambda: labutils.train_epoch(
            model, loader, optimizer, GRAD_CLIP  # type: ignore[arg-type]
        )
    return lambda: train_with_torch(model, loader, optimizer)


def loss_and_gradients(
    training: Training, variant: str, weights: Params, batches: list
) -> Params:
    """The loss over some batches, the state carried on, and its gradients.

    The gradients are those of `weights`, in PyTorch's order, whatever the
    variant: autograd goes back through `by_gate`.
    """
    leaves = [weight.clone().requires_grad_() for weight in weights]
    model = new_model(training, variant, leaves)
    device = weights[0].device
    state = model.begin_state(BATCH_SIZE) if variant == "kit" else None
    loss = torch.zeros((), device=device)
    for X, Y in batches:
        logits, state = model(X.to(device), state)
        loss = loss + F.cross_entropy(logits, as_targets(Y).to(device))
    loss.backward()
    inputs = leaves if gradients(leaves) else model.parameters()
    return [loss.detach(), *(
        torch.zeros_like(x) if x.grad is None else x.grad for x in inputs
    )]


def _differs(training: Training, variant: str, text: str) -> str:
    return (
        f"{training}: {variant} computes something else than torch.nn from "
        f"the same weights. {text}"
    )


def check(
    training: Training,
    corpus: torch.Tensor,
    device: torch.device | str = "cpu",
) -> None:
    """Two batches through each variant: loss and gradients must be the same.

    Raises:
        AssertionError: they are not.
    """
    weights = [weight.to(device) for weight in new_weights(training)]
    batches = [*new_loader(training, corpus)][:2]
    expected = loss_and_gradients(training, "torch.nn", weights, batches)
    for variant in ("kit", "plain"):
        found = loss_and_gradients(training, variant, weights, batches)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(
                ours, theirs, rtol=1e-3,
                # Sums in another order differ by a share of the largest.
                atol=1e-4 * float(theirs.abs().max()),
                msg=partial(_differs, training, variant),
            )
