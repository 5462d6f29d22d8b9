"""A probe judges a function in a real kernel as its check does here."""

import pytest
from kernel import Kernel
from test_checks import MODULES

from labutils.teaching.grading.judge import judge
from labutils.teaching.grading.results import Status

SEED = 4_711


@pytest.fixture(scope="module")
def kernel():
    with Kernel(LABUTILS_DEVICE="cpu", OMP_NUM_THREADS="1") as kernel:
        kernel.run("import solutions, importlib")
        yield kernel


def define(kernel, name, label):
    """Give the student's namespace a solution under the exercise's name."""
    kernel.run(
        f"{name} = importlib.import_module('solutions.{name}').{label}\n"
        f"{name}.__name__ = {name!r}"
    )


def judged(kernel, name, label, seed=SEED):
    define(kernel, name, label)
    return judge(name, kernel.evaluate, seed)


def labels(kind):
    return [
        pytest.param(name, label, id=f"{name}-{label}")
        for name, module in MODULES.items() for label in vars(module)
        if label.startswith(kind)
    ]


@pytest.mark.parametrize(("name", "label"), labels("right"))
def test_a_right_solution_gets_its_points(kernel, name, label):
    found = judged(kernel, name, label)
    assert found.status is Status.PASSED, found


@pytest.mark.parametrize(("name", "label"), labels("wrong"))
def test_a_wrong_solution_gets_none_and_its_slip(kernel, name, label):
    found = judged(kernel, name, label)
    assert found.status in (Status.FAILED, Status.ERROR), found
    slip = getattr(MODULES[name], label).slip
    words = " ".join(
        f"not right yet. tried: {found.tried} got: {found.got} "
        f"expected: {found.expected} likely: {found.likely}".split())
    assert slip in words
