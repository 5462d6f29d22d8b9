"""Requests to the agent, and what comes back, in one process."""

import ast
import json
import time

import numpy
import pytest
import torch
from torch import nn

from labkit import checks
from labkit.checks.harness import CheckFailed
from labstaff.grading import agent, remote
from labstaff.grading.agent import Agent
from labstaff.grading.remote import Ended, Session, UnreadableError, judge
from labstaff.grading.results import Status


@pytest.fixture
def namespace():
    return {}


@pytest.fixture
def session(namespace):
    """A session with an agent that answers here."""
    return Session(asked(namespace))


def asked(namespace):
    """Requests to an agent for a namespace."""
    found = Agent(namespace)
    return lambda data, seconds: found.answer(data)


def given(value):
    """A session with a function `f` that returns this."""
    return Session(asked({"f": lambda: value}))


def call(session, *args, **options):
    return session.call(("f",), args, options)


# ---- values


@pytest.mark.parametrize("value", [
    None, True, "owl \ud800 ☃", -(10**300), 0.1, float("inf"), [], (1, [2.5]),
    {"a": (1, 2), 3: None}, {1, 2}, [[1], (2,), {"x": {"y": []}}],
], ids=repr)
def test_plain_values_come_back_as_they_are(value):
    found = call(given(value))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("dtype", agent.DTYPES)
def test_tensors_keep_dtype_shape_and_bits(dtype):
    for shape in ((), (0, 3), (2, 1, 3)):
        value = torch.full(shape, 1, dtype=dtype)
        found = call(given(value))
        assert found.dtype == dtype
        assert found.shape == value.shape
        assert torch.equal(found, value)


def test_a_tensor_without_numbers_keeps_its_device():
    value = torch.ones(2, 3, device="meta", requires_grad=True)
    found, other = call(given([value, torch.ones(1)]))
    assert (found.device.type, found.shape) == ("meta", value.shape)
    assert found.requires_grad
    assert other.device.type == "cpu"


def test_one_tensor_twice_is_one_tensor():
    value = torch.ones(3)
    first, second, other = call(given([value, value, torch.ones(3)]))
    assert first is second
    assert first is not other


def test_arguments_change_as_they_do_there(session, namespace):
    def f(matrix, items, learns):
        matrix.add_(1)
        items.append("new")
        learns.requires_grad_(False)
        return matrix, items

    namespace["f"] = f
    matrix, items = torch.zeros(2), ["old"]
    learns = torch.ones(2, requires_grad=True)
    found, again = call(session, matrix, items, learns=learns)
    assert found is matrix
    assert torch.equal(matrix, torch.ones(2))
    assert items == again == ["old", "new"]
    assert not learns.requires_grad


def test_gradients_travel_to_arguments(session, namespace):
    namespace["f"] = lambda x, y: [x * y, (x + y).sum()]
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.tensor([3.0, 4.0])
    product, total = call(session, x * 2, y)
    (product.sum() + total).backward()
    assert torch.equal(x.grad, 2 * y + 2)
    with torch.no_grad():
        assert not call(session, x, y)[0].requires_grad


def test_items_come_as_they_are_asked_for(session, namespace):
    read = []

    def f():
        for number in range(1000):
            read.append(number)
            yield number

    namespace["f"] = f
    items = call(session)
    assert not read
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    assert len(read) <= remote.CHUNK
    assert [*items][-1] == 999


def test_objects_are_asked_for_attributes(namespace, session):
    class Vocab:
        size = 3

        def __len__(self):
            return 4

        def __getitem__(self, key):
            return key * 2

        def double(self, x):
            return 2 * x

    namespace["f"] = Vocab
    found = call(session)
    assert type(found).__name__ == "Vocab"
    assert (found.size, len(found), found["a"], found.double(2)) == (
        3, 4, "aa", 4)
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        _ = found.missing


def test_modules_have_their_parameters_here(session, namespace):
    module = nn.Linear(2, 1)
    namespace["f"] = lambda: module
    found = call(session)
    assert isinstance(found, nn.Module)
    weight, _ = found.parameters()
    assert torch.equal(weight, module.weight)
    found(torch.tensor([[3.0, 5.0]])).sum().backward()
    assert torch.equal(weight.grad, torch.tensor([[3.0, 5.0]]))
    assert found.train(False).training is module.training is False


def test_a_signature(session, namespace):
    namespace["f"] = lambda a, b=1: None
    found = session.ask("signature", "f")
    assert found == {"found": True, "names": ["a", "b"],
                     "origin": f"{__name__}.{namespace['f'].__qualname__}"}
    assert not session.ask("signature", "g")["found"]


# ---- errors of the student's code


@pytest.mark.parametrize("error", [
    KeyError("w"), MemoryError("all"), FileNotFoundError("none"),
    StopIteration(), ExceptionGroup("two", [ValueError()]),
    RecursionError("deep"), UnicodeDecodeError("utf-8", b"", 0, 1, "bad"),
    type("Own", (ValueError,), {})("x"),
], ids=lambda error: type(error).__name__)
def test_errors_have_their_name_and_words(session, namespace, error):
    def f():
        raise error

    namespace["f"] = f
    with pytest.raises(Exception) as caught:
        call(session)
    assert type(caught.value).__name__ == type(error).__name__
    assert str(caught.value) == str(error)
    kinds = (KeyError, OSError, StopIteration, RuntimeError, ValueError)
    assert [isinstance(caught.value, kind) for kind in kinds] == [
        isinstance(error, kind) for kind in kinds]
    assert caught.value.place[0] == "f"


def test_a_call_that_does_not_fit_has_no_line(session, namespace):
    namespace["f"] = lambda: None
    with pytest.raises(TypeError) as caught:
        call(session, 1)
    assert caught.value.place == ("", "")


def test_who_ends_the_program_has_failed(session, namespace):
    namespace["f"] = exit
    with pytest.raises(CheckFailed, match="use return"):
        call(session)


# ---- limits of the agent


@pytest.mark.parametrize("value", [
    [0] * 1001, "x" * 10_000, torch.zeros(10_000 // 8 + 1),
    [[[[[[[[[[0]]]]]]]]]],
], ids=["items", "text", "tensor", "deep"])
def test_what_is_too_large_is_said_to_be(monkeypatch, value):
    monkeypatch.setattr(agent, "MOST_ITEMS", 1000)
    monkeypatch.setattr(agent, "MOST_BYTES", 10_000)
    with pytest.raises(ValueError, match=agent.LARGE):
        call(given(value))


def test_without_words_it_is_still_an_error(session, namespace):
    class Mute(Exception):  # noqa: N818
        def __str__(self):
            raise ValueError

    def f():
        raise Mute

    namespace["f"] = f
    with pytest.raises(Exception, match="without words"):
        call(session)


def test_between_calls_nothing_is_interrupted(namespace):
    found = Agent(namespace)
    found.interrupt()
    with pytest.raises(KeyboardInterrupt):
        found.calling = True
        found.interrupt()


def test_the_agent_needs_no_other_module_of_the_grader():
    names = set()
    for node in ast.walk(ast.parse(remote.SOURCE)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(node.module)
    assert "labkit.checks" in names
    assert not [name for name in names if name.startswith("labstaff")]


# ---- answers that no agent gives

EMPTY = {"dtype": "float32", "shape": [0], "data": ""}
ONE = {"dtype": "float32", "shape": [1], "data": "AAAAAA=="}
REPLY = {"value": None, "roots": [], "recording": True,
         "arguments": [[None, None, False]], "lists": []}
MODULE = {"type": "module", "handle": 1, "name": "Net", "training": True,
          "recurrent": False, "layers": [], "parameters": []}
FORGED_VALUES = {
    "no type": {}, "a list": [1], "unknown": {"type": "__import__"},
    "no items": {"type": "list"}, "number of items": {
        "type": "list", "items": 3},
    "items of a dictionary": {"type": "dict", "items": [[1], [2]]},
    "a set of lists": {
        "type": "set", "items": [{"type": "list", "items": []}]},
    "no such argument": {"type": "argument", "place": 7},
    "an argument of that name": {"type": "argument", "place": "__class__"},
    "no such root": {"type": "root", "place": 0},
    "a name": {"type": "class", "name": "a\0b"},
    "no handle": {"type": "object", "name": "Vocab"},
    "a handle": {"type": "iterator", "handle": "__globals__"},
    "half a tensor": {"type": "tensor"},
    "more than was sent": {
        "type": "tensor", "memory": 0, "learns": False, **EMPTY,
        "shape": [1000]},
    "less than was sent": {
        "type": "tensor", "memory": 0, "learns": False, **ONE, "shape": [0]},
    "negative": {
        "type": "tensor", "memory": 0, "learns": False, **ONE, "shape": [-5]},
    "part of a number": {
        "type": "tensor", "memory": 0, "learns": False, **ONE,
        "data": "AAAA"},
    "no base 64": {
        "type": "tensor", "memory": 0, "learns": False, **ONE,
        "data": "%AAAAAA=="},
    "no dtype": {
        "type": "tensor", "memory": 0, "learns": False, **ONE,
        "dtype": "load"},
    "layers": {**MODULE, "layers": [["tanh", "many"]]},
    "parameters": {**MODULE, "parameters": [["w", {"type": "tensor"}]]},
}
FORGED_REPLIES = {
    "more": ("arguments", [[ONE, None, False]] * 2), "none": ("arguments", []),
    "changed": ("arguments", [[5, None, False]]),
    "grads": ("arguments", [[None, {"data": 3}, False]]),
    "learns": ("arguments", 5), "lists": ("lists", [[0, 1]]),
    "roots": ("roots", [{**EMPTY, "shape": [1000]}]),
}


def forged(answer):
    return Session(lambda data, seconds: answer)


@pytest.mark.parametrize("value", FORGED_VALUES.values(), ids=FORGED_VALUES)
def test_a_value_that_is_none_ends_the_probe(value):
    session = forged(json.dumps(REPLY | {"value": value}).encode())
    with pytest.raises(Ended) as ended:
        call(session, torch.ones(1))
    assert isinstance(ended.value.reason, UnreadableError)
    with pytest.raises(Ended):
        session.attribute(1, "size")


@pytest.mark.parametrize(
    ("part", "content"), FORGED_REPLIES.values(), ids=FORGED_REPLIES)
def test_a_reply_that_is_none_ends_the_probe(part, content):
    for reply in (REPLY | {part: content}, REPLY.keys() - {part}):
        whole = reply if isinstance(reply, dict) else {
            name: REPLY[name] for name in reply}
        with pytest.raises(Ended) as ended:
            call(forged(json.dumps(whole).encode()), torch.ones(1))
        assert isinstance(ended.value.reason, UnreadableError)


@pytest.mark.parametrize("answer", [
    b"", b"\xff", b"[]", b"3", b"[" * 10**6, b'{"a":' * 10**5, b"{}",
    b'{"found": true}', b'{"error": 3}', b'{"error": {}}',
    b'{"error": {"name": "E", "kinds": 3, "text": "", "function": "",'
    b' "where": ""}}',
    b'{"error": {"name": "a\\u0000b", "kinds": [], "text": "",'
    b' "function": "", "where": ""}}', b"9" * 10_000,
], ids=lambda answer: answer[:20])
def test_an_answer_that_is_none_costs_the_exercise_alone(answer):
    found = judge("one_hot", lambda data, seconds: answer, 1)
    assert found.status in (Status.FAILED, Status.NOT_ATTEMPTED)
    assert found.points == 0


def test_gradients_that_are_none_end_the_probe():
    replies = [
        REPLY | {"value": {"type": "root", "place": 0}, "roots": [ONE],
                 "handle": 1, "arguments": [[None, None, True]]},
        {"grads": [{"data": 3}]}]
    session = Session(
        lambda data, seconds: json.dumps(replies.pop(0)).encode())
    result = call(session, torch.ones(1, requires_grad=True))
    with pytest.raises(Ended):
        result.backward()


def test_a_handle_goes_back_and_nowhere_else():
    reply = REPLY | {
        "value": {"type": "object", "handle": 1, "name": "Session"}}
    found = call(forged(json.dumps(reply).encode()), torch.ones(1))
    assert isinstance(found, remote.Object)
    assert not isinstance(found, Session)
    with pytest.raises(AttributeError):
        _ = found._secret


# ---- verdicts


def test_the_verdicts():
    def judged(function, seconds=None):
        def request(data, left):
            if seconds and b"call" in data:
                raise seconds
            return asked({"one_hot": function})(data, left)
        return judge("one_hot", request, 7, 3.0)

    def right(X, size):
        return torch.nn.functional.one_hot(X, size).float()

    def stub(X, size):
        raise NotImplementedError

    def broken(X, size):
        return X[1000]

    def hungry(X, size):
        raise MemoryError

    found = judged(lambda X, size: right(X.T, size))
    assert (found.status, found.points, found.possible, found.seed) == (
        Status.PASSED, 3.0, 3.0, 7), found
    for function, status in (
        (None, Status.NOT_ATTEMPTED), (stub, Status.NOT_ATTEMPTED),
        (right, Status.FAILED), (broken, Status.ERROR),
        (hungry, Status.OUT_OF_MEMORY), (lambda X: X, Status.ERROR),
    ):
        found = judged(function)
        assert (found.status, found.points) == (status, 0), found
    assert judged(right, TimeoutError()).status is Status.TIMED_OUT
    with pytest.raises(OSError, match="gone"):
        judged(right, OSError("gone"))


def test_a_check_that_fails_is_the_exercise_s_loss():
    replies = [{"found": True}, {"error": {
        "name": "X", "kinds": ["KeyError"], "text": "no", "function": "",
        "where": ""}}]
    found = judge("Vocab", lambda *_: json.dumps(
        replies.pop(0) if len(replies) > 1 else replies[0]).encode(), 1)
    assert found.status is Status.FAILED
    assert found.got == "X: no"


def test_a_probe_has_its_time():
    given_seconds = []
    session = Session(lambda data, seconds: given_seconds.append(seconds))
    session._end = time.monotonic() - 1
    with pytest.raises(Ended) as ended:
        session.ask("signature", "f")
    assert isinstance(ended.value.reason, TimeoutError)
    assert not given_seconds


class Odd(nn.Module):
    """Nothing about it is what it seems to be."""

    def named_parameters(self, *_, **__):
        return [("w", 3)]

    def __len__(self):
        return -1

    def __eq__(self, other):
        raise OSError

    __hash__ = None


def broken():
    yield 1
    raise LookupError


def in_circles():
    found = {}
    found["x"] = [found]
    return found


ODD = [
    lambda: None, lambda: float("nan"), lambda: 10**5000, lambda: 1j,
    lambda: torch.ones(2, 3), lambda: [torch.ones(2)], lambda: (), dict, Odd,
    lambda: {"a": torch.ones(2)}, broken, in_circles, lambda: len,
    lambda: numpy.ones((2, 3)), lambda: numpy.array(object()),
    lambda: torch.ones(2, 2).to_sparse(), lambda: torch.ones(2, device="meta"),
    lambda: torch.ones(1).expand(10**12), lambda: nn.LSTM(2, 3),
    lambda: nn.Parameter(torch.ones(2)), lambda: Odd, lambda: exit(),
    lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    lambda: (torch.ones(3, 4, requires_grad=True) * 2, (None,)),
    lambda: type("S", (str,), {})("x"), lambda: torch.tensor([2**62]),
    lambda: next(iter(())), lambda: (_ for _ in ()).throw(GeneratorExit),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "exercise", [n for n in checks.__all__ if n != "CheckFailed"])
def test_whatever_a_function_gives_back_costs_its_exercise_alone(exercise):
    for value in ODD:
        namespace = {exercise: lambda *_, value=value, **__: value()}
        found = judge(exercise, asked(namespace), 7)
        assert found.points == 0
        assert found.status in (
            Status.FAILED, Status.ERROR, Status.NOT_ATTEMPTED), found


@pytest.mark.parametrize("part, times", [
    (b"[],", 7_000_000), (b" ", 17 * agent.MOST_BYTES),
], ids=["parts", "bytes"])
def test_an_answer_is_measured_before_it_is_read(part, times, monkeypatch):
    answer = b"[" + part * times + b"[]]"
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("it is read"))
    with pytest.raises(Ended) as ended:
        call(forged(answer))
    assert str(ended.value.reason) == agent.LARGE
