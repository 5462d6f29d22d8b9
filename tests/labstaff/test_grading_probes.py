"""A probe judges a function in a real kernel as its check does here."""

import pytest
from kernel import SECONDS, Kernel
from solutions import modules

from labstaff.grading.channel import Line, expression
from labstaff.grading.judge import judge
from labstaff.grading.results import Status
from labstaff.grading.values import UnreadableError

pytestmark = pytest.mark.slow
SEED = 4_711
MODULES = modules()


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """Runs expressions in a kernel, in the way that grading does."""
    line = Line(tmp_path_factory.mktemp("line") / "line")
    with Kernel(LABUTILS_DEVICE="cpu", OMP_NUM_THREADS="1") as kernel:
        kernel.run("import solutions, importlib")
        kernel.begin(expression(line.path))  # ends with the line
        assert line.connected(SECONDS)

        def evaluate(code, seconds=SECONDS):
            line.send(code)
            reply = line.receive(seconds)
            if reply is None:
                raise TimeoutError
            if not reply[0]:
                raise UnreadableError(reply[1])
            return reply[1]

        yield evaluate
        line.close()


def judged(evaluate, name, label, seed=SEED):
    """The judgement on a solution, put under the exercise's name."""
    code = (
        f"{name} = importlib.import_module('solutions.{name}').{label}\n"
        f"{name}.__name__ = {name!r}"
    )
    evaluate(f"exec({code!r}, get_ipython().user_ns)")
    return judge(name, evaluate, seed)


def labels(kind, *places):
    """Some solutions of each exercise: all of them are judged by test_checks.

    Args:
        kind: "right" or "wrong".
        places: which of them.
    """
    return [
        pytest.param(name, found[place], id=f"{name}-{found[place]}")
        for name, module in MODULES.items()
        for found in [[n for n in vars(module) if n.startswith(kind)]]
        for place in places
    ]


@pytest.mark.parametrize(("name", "label"), labels("right", 0, 2))
def test_a_right_solution_gets_its_points(evaluate, name, label):
    found = judged(evaluate, name, label)
    assert found.status is Status.PASSED, found


@pytest.mark.parametrize(("name", "label"), labels("wrong", 0, 3, -1))
def test_a_wrong_solution_gets_none_and_its_slip(evaluate, name, label):
    found = judged(evaluate, name, label)
    assert found.status in (Status.FAILED, Status.ERROR), found
    slip = getattr(MODULES[name], label).slip
    words = " ".join(
        f"not right yet. tried: {found.tried} got: {found.got} "
        f"expected: {found.expected} likely: {found.likely}".split())
    assert slip in words
