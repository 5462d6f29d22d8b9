"""A probe judges a function in a real kernel as its check does here."""

from multiprocessing import Pipe

import pytest
from kernel import SECONDS, Kernel
from solutions import modules

from labstaff.grading.agent import MOST_BYTES
from labstaff.grading.remote import Session, judge, start_agent
from labstaff.grading.results import Status

pytestmark = pytest.mark.slow
SEED = 4_711
MODULES = modules()
PREPARE = """
import importlib
def use(name, label):
    solution = getattr(importlib.import_module(f'solutions.{name}'), label)
    solution.__name__ = name
    globals()[name] = solution
"""


@pytest.fixture(scope="module")
def agent():
    """Requests to an agent in a kernel, as grading makes them."""
    ours, theirs = Pipe()
    with Kernel(
        [theirs.fileno()], LABUTILS_DEVICE="cpu", OMP_NUM_THREADS="1",
    ) as kernel:
        kernel.run(PREPARE)
        kernel.begin(start_agent(theirs.fileno()))

        def request(data, seconds=SECONDS):
            ours.send_bytes(data)
            if not ours.poll(seconds):
                raise TimeoutError
            return ours.recv_bytes(MOST_BYTES)

        yield request


def judged(agent, name, label, seed=SEED):
    """The judgement on a solution, put under the exercise's name."""
    Session(agent).call(("use",), (name, label), {})
    return judge(name, agent, seed)


def labels(kind, *places):
    """Some solutions of each exercise: all of them are judged by test_checks.

    Args:
        kind: how they begin: "right" or "wrong".
        places: which of them.
    """
    return [
        pytest.param(name, found[place], id=f"{name}-{found[place]}")
        for name, module in MODULES.items()
        for found in [[n for n in vars(module) if n.startswith(kind)]]
        for place in places if found
    ]


@pytest.mark.parametrize(("name", "label"), labels("right", 0, 2))
def test_a_right_solution_gets_its_points(agent, name, label):
    found = judged(agent, name, label)
    assert found.status is Status.PASSED, found


@pytest.mark.parametrize(("name", "label"), [
    *labels("wrong", 0, 3, -1), *labels("wrong_device", -1)])
def test_a_wrong_solution_gets_none_and_its_slip(agent, name, label):
    found = judged(agent, name, label)
    assert found.status in (Status.FAILED, Status.ERROR), found
    slip = getattr(MODULES[name], label).slip
    words = " ".join(
        f"not right yet. tried: {found.tried} got: {found.got} "
        f"expected: {found.expected} likely: {found.likely}".split())
    assert slip in words
