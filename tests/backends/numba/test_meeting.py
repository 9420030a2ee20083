"""Threads that share a parallel loop claim the parts of its work, and wait for each other."""

import pytest

pytest.importorskip("numba", reason="numba is not installed: pip install 'tinygrad_bn[numba]'")

from tinygrad_bn.backends.numba.kernels import meeting, rows, rows_grad, slabs, slabs_grad

from tests.backends.numba import bits


@pytest.fixture
def order(request, monkeypatch):
    """The order in which a worker asks for parts, as a function of Python."""
    monkeypatch.setattr(meeting, "share", getattr(meeting.share, "py_func", meeting.share))
    kernel = getattr(meeting, request.param)
    asked = getattr(kernel, "py_func", kernel)
    return lambda parts, workers, w: [asked(parts, workers, w, i) for i in range(parts)]


@pytest.mark.parametrize("order", ["forth", "back"], indirect=True)
@pytest.mark.parametrize("workers", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("parts", [1, 2, 7, 16])
def test_a_worker_asks_for_every_part_and_first_for_his_own(order, parts, workers):
    for w in range(workers):
        first, last = meeting.share(parts, workers, w)
        asked = order(parts, workers, w)
        assert sorted(asked) == list(range(parts))
        assert sorted(asked[: last - first]) == list(range(first, last))


@pytest.mark.parametrize(
    ("order", "asked"),
    [("forth", ([0, 1, 3, 2], [2, 3, 1, 0])), ("back", ([1, 0, 2, 3], [3, 2, 0, 1]))],
    indirect=["order"],
)
def test_of_the_others_parts_he_takes_those_that_they_do_last(order, asked):
    assert (order(4, 2, 0), order(4, 2, 1)) == asked


@pytest.mark.parametrize(
    "driver",
    [
        *(rows.forward, rows.statistics, rows.write, rows_grad.backward),
        *(slabs.forward, slabs.statistics, slabs.write, slabs_grad.backward),
    ],
    ids=lambda driver: driver.title,
)
def test_one_thread_does_the_work_of_all(driver):
    """Workers that come one after another: the first finds nobody to wait for."""
    for number, given in enumerate(driver.example_arguments("float32")):
        alone = bits.outcome(driver.alone, bits.anew(driver, number, "float32", given))
        arguments = bits.anew(driver, number, "float32", given)
        assert bits.outcome(lambda *a: driver.serial(8, *a), arguments) == alone
