"""Memory for large results is handed on, and never to two arrays at once."""

import gc
import os
import threading

import numpy as np
import pytest
from tinygrad_bn.backends.numba import memory

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.backend import get_backend

F4 = np.dtype(np.float32)
SHAPE = (512, 256)


@pytest.fixture(autouse=True)
def _empty_pool():
    memory.release()
    yield
    memory.release()


def test_small_arrays_are_numpys_own():
    array = memory.empty((10, 10), F4)
    assert array.base is None
    assert array.shape == (10, 10)
    assert array.dtype == F4


def test_an_array_that_died_leaves_its_memory_to_the_next_of_its_size():
    array = memory.empty(SHAPE, F4)
    place = array.ctypes.data
    assert place % memory.LINE == 0
    assert type(array) is np.ndarray
    assert memory.kept() == 0
    del array
    assert memory.kept() >= 4 * 512 * 256
    assert memory.empty((256, 512), F4).ctypes.data == place


def test_a_view_keeps_the_memory():
    array = memory.empty(SHAPE, F4)
    view = array[3:].reshape(-1)
    array[:] = 7
    del array
    other = memory.empty(SHAPE, F4)
    other[:] = 1
    assert (view == 7).all()


def test_arrays_alive_at_the_same_time_share_nothing():
    arrays = [memory.empty(SHAPE, F4) for _ in range(4)]
    for i, array in enumerate(arrays):
        array[:] = i
    assert [float(a[0, 0]) for a in arrays] == [float(a[-1, -1]) for a in arrays] == [0, 1, 2, 3]


def test_what_nobody_uses_is_bounded(monkeypatch):
    monkeypatch.setattr(memory._store, "limit", 1 << 20)
    arrays = [memory.empty((n, 256), F4) for n in (300, 400, 500, 600, 700)]
    del arrays
    assert memory.kept() <= 1 << 20
    assert memory.release() <= 1 << 20
    assert memory.kept() == 0


def test_ownership_as_the_engine_asks_for_it():
    backend = get_backend("numba")
    array = memory.empty(SHAPE, F4)
    assert backend.owns_memory(array)
    assert not backend.owns_memory(array[1:])
    assert not backend.owns_memory(array.reshape(-1))
    assert backend.storage(array[1:]) is backend.storage(array)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_copy_begins_at_a_line_and_keeps_its_layout(order):
    host = np.asarray(np.random.default_rng(0).standard_normal(SHAPE, np.float32), order=order)
    array = tg.Tensor(host, backend="numba")._data
    assert not np.shares_memory(array, host)
    assert array.flags.f_contiguous == host.flags.f_contiguous
    assert np.array_equal(array, host)
    assert order == "F" or array.ctypes.data % memory.LINE == 0


def test_several_threads():
    wrong = []

    def work(number):
        for _ in range(200):
            array = memory.empty(SHAPE, F4)
            array[0] = number
            if not (array[0] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: threads run
def test_a_forked_child_takes_its_own():
    array = memory.empty(SHAPE, F4)
    array[:] = 3
    child = os.fork()
    if child == 0:
        array[:] = 4
        os._exit(int(memory.empty(SHAPE, F4) is None))
    assert os.waitpid(child, 0)[1] == 0
    assert (array == 3).all()


def test_training_uses_as_much_as_a_step_needs():
    with tg.use_backend("numba"):
        layer = nn.BatchNorm(256)
        x = tg.Tensor(np.random.default_rng(0).random(SHAPE, np.float32), requires_grad=True)
        gc.disable()
        try:
            for _ in range(30):
                layer(x).backward(tg.Tensor(x.detach().numpy()))
                x.grad = None
        finally:
            gc.enable()
    assert memory.kept() <= 4 * 2 * 4 * 512 * 256


def test_results_of_normalization_lie_at_other_places_in_a_page_than_what_is_read_meanwhile():
    """Processors take a load for one of what was just stored where the last bits agree."""
    with tg.use_backend("numba"):
        first, second = nn.BatchNorm(256), nn.BatchNorm(256)
        x = tg.Tensor(np.random.default_rng(0).random(SHAPE, np.float32), requires_grad=True)
        y = first(x)
        z = second(y)
        z.backward(tg.Tensor(x.detach().numpy()))
    places = [a._data.ctypes.data % memory.PAGE for a in (x, y, z)]
    assert places[0] != places[1] != places[2]
    assert x.grad._data.ctypes.data % memory.PAGE not in places
