"""How a training's steps are taken: as fast as this machine allows, now.

On a CUDA device the step is recorded once and replayed. A step of a small
recurrent network is hundreds of kernels of a few microseconds each, and
launching them one by one takes several times as long as they run; a CUDA
graph is launched as one. On the CPU the number of threads follows the pace:
threads wait for one another all the time, and beside a busy process, which
holds one of them up, several can be far slower than one.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs".
"""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from labutils import settings
from labutils.checkpoint import Snapshot
from labutils.files import say
from labutils.models import LanguageModel, State

# (model, X, y, state, optimizer, grad_clip) -> loss and new state, detached.
Step = Callable[..., tuple[Tensor, State]]


@contextmanager
def fastest(take_step: Step, device: torch.device, verbose: bool,
            taken: Mapping[str, int]) -> Iterator["OneByOne"]:
    """The same step as this device takes it best; its `taken` counts how, on
    top of a training's earlier parts."""
    threads = torch.get_num_threads()
    step = OneByOne(take_step)
    if device.type == "cuda":
        step = RecordedStep(take_step, verbose)
    elif device.type == "cpu":
        step = PacedStep(take_step, min(threads, settings.processors()))
    step.taken.update(taken)
    try:
        yield step
    finally:
        torch.set_num_threads(threads)


class OneByOne:
    """A step as it is written."""

    def __init__(self, take_step: Step) -> None:
        self.take_step = take_step
        self.taken: Counter[str] = Counter()  # what way, how many steps

    def __call__(self, *args: Any) -> tuple[Tensor, State]:
        self.taken["one by one"] += 1
        return self.take_step(*args)


class PacedStep(OneByOne):
    """A step on as many threads as are the fastest now, `most` at most.

    Only numbers of threads that lead to the very bits of one thread are used.
    Where no other does, a training and its later parts keep the most that are
    not held up at its start.
    """

    def __init__(self, take_step: Step, most: int) -> None:
        super().__init__(take_step)
        self.numbers = sorted({min(most, n) for n in (1, 2, 4, 8, 16)})
        self.pace: Generator[int, float, None] | None = None

    def __call__(self, *args: Any) -> tuple[Tensor, State]:
        if self.pace is None:
            several = len(self.numbers) > 1
            self.pace = fastest_number(
                self.usable(*args) if several else {1: 0.0})
            self.threads = next(self.pace)
        result, seconds = self.timed(self.threads, args)
        self.taken[f"threads: {self.threads}"] += 1
        self.threads = self.pace.send(seconds)
        return result

    def timed(self, threads: int, args: Sequence[Any]) -> tuple[Any, float]:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        return self.take_step(*args), time.perf_counter() - start

    def usable(self, *args: Any) -> dict[int, float]:
        """Seconds of a step, taken back, on each number that may be used."""
        model, *_, optimizer, _ = args
        snapshot = Snapshot.of(model, optimizer)
        ends, seconds = {}, {}
        for number in self.numbers:
            with torch.random.fork_rng([]):
                _, seconds[number] = self.timed(number, args)
            ends[number] = Snapshot.of(model, optimizer).fingerprint()
            snapshot.restore(model, optimizer)
        same = {n: seconds[n] for n in self.numbers if ends[n] == ends[1]}
        if len(same) > 1:
            return same
        kept = max(self.numbers, key=lambda n: (
            self.taken[f"threads: {n}"],
            seconds[n] < 2 * min(seconds.values()), n))
        return {kept: 0.0}


def fastest_number(known: Mapping[int, float]) -> Generator[int, float, None]:
    """The number of threads for each step; it is sent the step's seconds.

    Each is tried for two steps, for as long as more are faster; again when
    steps suddenly take twice as long, and when the last trials have lost but
    a fiftieth of the time: how else could it see a busy machine free again?
    `known`: seconds of a step just before, or 0, by ascending numbers.
    """
    numbers, known = [*known], dict(known)
    while True:
        pace, tried = dict[int, float](), list[float]()
        for number in numbers:
            times = [known.pop(number, 0) or (yield number)]
            # Several threads can take a hundred times as long as one.
            if times[0] <= 3 * min(pace.values(), default=times[0]):
                times.append((yield number))
            pace[number] = min(times)
            tried += times
            best = min(pace, key=pace.__getitem__)
            if best != number:
                break
        lost = max(sum(tried) - len(tried) * pace[best], pace[best])
        again, slow = time.perf_counter() + 50 * lost, 0
        while len(numbers) > 1 and slow < 3 and time.perf_counter() < again:
            slow = slow + 1 if (yield best) > 2 * pace[best] else 0


class RecordedStep(OneByOne):
    """A step that is recorded as a CUDA graph and replayed.

    A graph reads and writes the same memory each time: the batch and the
    state are copied to where it reads, and the loss and the new state are
    found where it wrote them. A batch of another shape is taken as ever, and
    so are all where there is an obstacle; then a line says which.
    """

    def __init__(self, take_step: Step, verbose: bool) -> None:
        super().__init__(take_step)
        self.verbose = verbose
        self.graph: torch.cuda.CUDAGraph | None = None
        self.rates: list[float] = []
        self.obstacle = ""

    def __call__(self, *args: Any) -> tuple[Tensor, State]:
        model, X, y, state, optimizer, _ = args
        rates = [group["lr"] for group in optimizer.param_groups]
        if rates != self.rates:  # a graph has them for constants
            self.rates, self.graph = rates, None
        # An optimizer makes its memory in its very first step.
        if not self.graph and not self.obstacle and _has_memory(optimizer):
            with _capturable(optimizer):
                self.obstacle = (
                    obstacle(model, optimizer) or self.record(*args))
            if self.obstacle and self.verbose:
                say(f"No CUDA graph, so it takes longer: {self.obstacle}.")
        if self.graph and X.shape == self.X.shape:
            _copy((self.X, self.y, self.state), (X, y, state))
            self.graph.replay()
            self.taken["CUDA graph"] += 1
            return self.loss, self.state
        with _capturable(optimizer):
            return super().__call__(*args)

    def record(self, *args: Any) -> str:
        """Record a step; all is left as it was. What it fails on, or ""."""
        model, X, y, state, optimizer, grad_clip = args
        self.X, self.y, self.state = _clone((X, y, state))
        args = model, self.X, self.y, self.state, optimizer, grad_clip
        parameters = list(model.parameters())
        changed = [p.detach() for p in parameters] + [
            value for memory in optimizer.state.values()
            for value in memory.values() if torch.is_tensor(value)]
        before = _clone(changed)
        random = torch.cuda.get_rng_state(X.device)
        waiting = torch.cuda.get_sync_debug_mode()
        for parameter in parameters:
            _new_leaf(parameter)
        stream, graph = torch.cuda.Stream(X.device), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream(X.device))
        try:
            # What waits for the device, as `.item()` does, is found here: it
            # would spoil the recording.
            with warnings.catch_warnings(action="ignore"):  # a prototype
                torch.cuda.set_sync_debug_mode("error")
            # Around the recording, too: one that fails may not leave it.
            with torch.cuda.stream(stream):
                for _ in range(3):  # libraries set themselves up
                    self.take_step(*args)
                torch.cuda.set_sync_debug_mode(waiting)
                # Without gradients it makes them itself, each replay anew.
                optimizer.zero_grad()
                with torch.cuda.graph(graph, stream=stream):
                    self.loss, new = self.take_step(*args)
                    _copy(self.state, new)
        except RuntimeError as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            # One that a recording has failed with believes that it goes on.
            own = torch.cuda.default_generators[X.device.index or 0]
            own.graphsafe_set_state(own.clone_state())
            return str(error).partition("\n")[0].rstrip(".")
        finally:
            torch.cuda.set_sync_debug_mode(waiting)
            torch.cuda.current_stream(X.device).wait_stream(stream)
            torch.cuda.set_rng_state(random, X.device)
            with torch.no_grad():
                _copy(changed, before)
        self.graph = graph
        return ""


def obstacle(model: LanguageModel, optimizer: Optimizer) -> str:
    """Why a step must not be recorded, or "".

    What Python does beside the computation would be done once, not each time.
    """
    kind = type(optimizer)
    if kind is not SGD and "capturable" not in optimizer.defaults:
        return f"{kind.__name__} is not made for it"
    modules = [*model.modules()] if isinstance(model, torch.nn.Module) else []
    if any(isinstance(m, torch.nn.RNNBase) and m.dropout for m in modules):
        return "cuDNN draws its dropout from a state of its own"
    hooks = [
        optimizer._optimizer_step_pre_hooks,
        optimizer._optimizer_step_post_hooks,
        *(getattr(module, f"_{kind}_hooks") for module in modules
          for kind in ("forward_pre", "forward", "backward_pre", "backward")),
        *(p._backward_hooks for p in model.parameters()),
        *(p._post_accumulate_grad_hooks for p in model.parameters()),
    ]
    return "there are hooks that run at each step" if any(hooks) else ""


def _has_memory(optimizer: Optimizer) -> bool:
    """Whether it has all the tensors that its steps will ever change."""
    return bool(optimizer.state) or (type(optimizer) is SGD and not any(
        group["momentum"] for group in optimizer.param_groups))


@contextmanager
def _capturable(optimizer: Optimizer) -> Iterator[None]:
    """Let it count its steps on the device, for the time of a step: a state
    that was saved so would be refused on a CPU."""
    groups = [g for g in optimizer.param_groups if "capturable" in g]
    before = [group["capturable"] for group in groups]
    for parameter, memory in optimizer.state.items():
        if groups and "step" in memory:
            memory["step"] = memory["step"].to(parameter.device)
    try:
        for group in groups:
            group["capturable"] = True
        yield
    finally:
        for group, value in zip(groups, before, strict=True):
            group["capturable"] = value


def _new_leaf(parameter: Tensor) -> None:
    """Part a parameter from results that are still around, in a notebook say.

    They tie its gradient to the stream in which they were computed, and a
    recording must not touch that one. Data of another type parts them.
    """
    data = parameter.data
    other = torch.float32 if data.dtype == torch.float64 else torch.float64
    parameter.data = data.new_empty(0, dtype=other)
    parameter.data = data


def _clone(tensors: State) -> State:
    """Each with memory of its own, even where H and C share theirs."""
    if torch.is_tensor(tensors):
        return tensors.detach().clone()
    return tuple(_clone(part) for part in tensors)


def _copy(into: State, tensors: State) -> None:
    """Copy numbers, tensor by tensor, unless they are there already."""
    if not torch.is_tensor(into):
        for a, b in zip(into, tensors, strict=True):
            _copy(a, b)
    elif into.data_ptr() != tensors.data_ptr():
        into.copy_(tensors)
