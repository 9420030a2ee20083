"""How many threads kernels use, on every threading layer, from several threads, after a fork."""

import os

import pytest
from tinygrad_bn.backends import numba as backend
from tinygrad_bn.backends.numba import compiler, threads

from tinygrad_bn.backend import BackendUnavailableError, get_backend

LAYERS = pytest.mark.parametrize("layer", ["tbb", "omp", "workqueue"])


@pytest.fixture
def _restored():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


# ------------------------------------------------------------------------------ how many threads


@pytest.mark.usefixtures("_restored")
def test_users_can_set_the_number():
    get_backend("numba")
    backend.set_num_threads(1)
    assert backend.get_num_threads() == 1
    assert not threads.enter(1 << 30)


@pytest.mark.parametrize("count", [0, -3])
def test_counts_below_one(count):
    with pytest.raises(ValueError, match=f"set_num_threads: count must be at least 1, got {count}"):
        backend.set_num_threads(count)


@pytest.mark.parametrize("count", [1.0, "2", None, True])
def test_counts_that_are_no_ints(count):
    with pytest.raises(TypeError, match=f"set_num_threads: count must be an int, got {count!r}"):
        backend.set_num_threads(count)


def test_more_threads_than_are_running():
    threads.start()
    running = threads.pool.NUM_THREADS
    message = (
        f"set_num_threads: count must be at most {running}, the number of threads that are "
        f"running, got {running + 1}; set TINYGRAD_BN_NUM_THREADS={running + 1} before the process"
    )
    with pytest.raises(ValueError, match=message):
        backend.set_num_threads(running + 1)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "2 3"])
def test_a_bad_number_in_the_environment(monkeypatch, text):
    monkeypatch.setenv(threads.VARIABLE, text)
    message = f"TINYGRAD_BN_NUM_THREADS must be a whole number of at least 1, got '{text}'"
    with pytest.raises(BackendUnavailableError, match=message):
        threads.configure()


@pytest.mark.parametrize(("text", "count"), [(" 3 ", "3"), ("1", "1")])
def test_the_environment(workshop, text, count):
    code = """
        import tinygrad_bn as tg
        tg.set_default_backend("numba")
        from tinygrad_bn.backends.numba import get_num_threads, set_num_threads
        print(get_num_threads())
        set_num_threads(5)  # nothing runs yet: it may be raised
        print(get_num_threads())
    """
    assert workshop.run(code, TINYGRAD_BN_NUM_THREADS=text).split() == [count, "5"]


def test_without_a_choice_it_is_all_processors(workshop):
    code = """
        from tinygrad_bn.backend import get_backend
        get_backend("numba")
        from tinygrad_bn.backends import numba
        print(numba.get_num_threads())
    """
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    assert workshop.run(code, TINYGRAD_BN_NUM_THREADS="") == str(processors)


def test_a_layer_that_does_not_exist(workshop):
    code = """
        import tinygrad_bn as tg
        try:
            tg.set_default_backend("numba")
        except ImportError as error:
            print(error)
    """
    assert workshop.run(code, NUMBA_THREADING_LAYER="looms") == (
        "backend 'numba' (set by set_default_backend): Numba's threading layer 'looms' "
        "(NUMBA_THREADING_LAYER) cannot be used: The threading layer requested 'looms' is unknown "
        "to Numba."
    )


# ------------------------------------------------------------------------------ serial or parallel


@pytest.mark.skipif(not compiler.COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT")
def test_small_work_is_done_serially(monkeypatch):
    calls = []

    def function(x):
        return x

    driver = compiler.Driver(function)
    monkeypatch.setattr(driver, "alone", lambda x: calls.append("serial"))
    monkeypatch.setattr(driver, "parallel", lambda x: calls.append("parallel"), raising=False)
    monkeypatch.setattr(threads, "_count", max(2, threads.pool.NUM_THREADS))
    monkeypatch.setattr(threads, "_told", 0)
    monkeypatch.setattr(threads, "start", lambda: None)
    monkeypatch.setattr(threads.pool, "_set_num_threads", lambda n: None, raising=False)
    driver(compiler.SERIAL_BELOW - 1, 0)
    driver(compiler.SERIAL_BELOW, 0)
    with threads._busy:  # somebody else is in a parallel kernel
        driver(compiler.SERIAL_BELOW, 0)
    monkeypatch.setattr(threads, "_forked", True)
    driver(compiler.SERIAL_BELOW, 0)
    assert calls == ["serial", "parallel", "serial", "serial"]
    assert not threads._busy.locked()


TRAIN = """
import os, sys, threading
import numpy as np
import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.backends.numba import compiler, threads
compiler.SERIAL_BELOW = 0  # everything that can runs in parallel

def train(steps=12):
    "The bytes of the weights of a small network after some steps."
    with tg.use_backend("numba"):
        data = np.random.default_rng(0)
        draw = lambda *shape: tg.Tensor(data.standard_normal(shape).astype("float32"))
        net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm(16), nn.ReLU(), nn.Linear(16, 3))
        for p in net.parameters():
            p.assign(draw(*p.shape))
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(steps):
            loss = tg.cross_entropy(net(draw(40, 8)), tg.asarray(np.arange(40) % 3))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return b"".join(p.detach().numpy().tobytes() for p in net.parameters())

expected = train()
assert threads.start() == sys.argv[1], threads.start()
"""


def train(workshop, layer, code):
    """Run code after `expected` was trained in the main thread, its layer and threads running."""
    return workshop.finish(
        workshop.start(
            TRAIN.replace("sys.argv[1]", repr(layer)) + code,
            TINYGRAD_BN_NUM_THREADS="3",
            TINYGRAD_BN_CACHE=workshop.users_cache,
            NUMBA_THREADING_LAYER=layer,
        )
    )


@LAYERS
def test_several_threads_train_at_once(workshop, layer):
    code = """
results = []
pool = [threading.Thread(target=lambda: results.append(train(60))) for _ in range(4)]
for thread in pool: thread.start()
for thread in pool: thread.join()
assert results == [train(60)] * 4
"""
    assert train(workshop, layer, code) == ("", "")


@LAYERS
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_children_of_a_process_with_threads_can_train(workshop, layer):
    """os.fork, its children's forks, and multiprocessing's workers, while the parent goes on."""
    code = """
import multiprocessing

def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if train() == expected and (len(sys.argv) > 1 or grandchild() == 0) else 1)
    return pid

def grandchild():
    sys.argv.append("one generation is enough")
    return os.waitpid(child(), 0)[1]

pids = [child() for _ in range(3)]
assert train() == expected
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
with multiprocessing.get_context("fork").Pool(2) as workers:
    assert workers.map(train, [12] * 4) == [expected] * 4
assert train() == expected
"""
    assert train(workshop, layer, code) == ("", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_while_another_thread_compiles(workshop):
    """The child would wait for the compiler's lock, whose holder it does not have."""
    code = """
        import os, threading, time
        import numpy as np
        from tinygrad_bn.backends.numba import compiler, threads
        threads.configure()
        import sample
        from numba.core import event
        compiling = threading.Event()
        class Listener(event.Listener):
            def on_start(self, event):
                compiling.set()
            def on_end(self, event):
                pass
        event.register("numba:compile", Listener())
        rows, y = np.arange(12.0).reshape(4, 3), np.zeros(4)
        thread = threading.Thread(target=sample.sums.serial, args=(rows, y))
        thread.start()
        compiling.wait()
        pid = os.fork()
        if pid == 0:
            x, z = np.arange(40.0), np.zeros(40)
            sample.outer(0, x, z)
            os._exit(0 if (z == 2 * x + 1).all() else 1)
        assert os.waitpid(pid, 0)[1] == 0
        thread.join()
    """
    assert workshop.run(code) == ""
