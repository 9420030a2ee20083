"""Recording on and off: nested, decorated, per thread."""

import threading

import pytest

import tinygrad_bn as tg
from tinygrad_bn.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinygrad_bn.autograd.state import watch


def leaf():
    return tg.Tensor([1.0, 2.0], requires_grad=True)


@pytest.fixture(autouse=True)
def _balanced():
    """Every test leaves recording on, and the engine's counters as they were."""
    before = watch.paused, watch.anomaly
    yield
    assert is_grad_enabled()
    assert (watch.paused, watch.anomaly) == before


def test_no_grad():
    x = leaf()
    with no_grad():
        assert not is_grad_enabled()
        y = x * 2.0
    assert not y.requires_grad
    assert y.is_leaf
    assert (x * 2.0).requires_grad


def test_nesting():
    x = leaf()
    with no_grad():
        with enable_grad():
            assert (x * x).requires_grad
            with no_grad():
                assert not (x * x).requires_grad
            assert (x * x).requires_grad
        assert not (x * x).requires_grad


@pytest.mark.parametrize("flag", [True, False])
def test_set_grad_enabled(flag):
    with set_grad_enabled(flag):
        assert is_grad_enabled() is flag
        assert (leaf() * 2.0).requires_grad is flag


def test_one_instance_used_twice_and_nested_in_itself():
    off = no_grad()
    for _ in range(2):
        with off, off:
            assert not is_grad_enabled()
        assert is_grad_enabled()


def test_exceptions_restore_the_mode():
    with pytest.raises(ZeroDivisionError), no_grad():
        1 / 0  # noqa: B018


def test_as_decorators():
    x = leaf()

    @no_grad()
    def off():
        """Documented."""
        return x * 2.0

    @enable_grad()
    def on():
        return x * 2.0

    @set_grad_enabled(False)
    def flagged():
        return x * 2.0

    assert not off().requires_grad
    assert not flagged().requires_grad
    assert (off.__name__, off.__doc__) == ("off", "Documented.")
    with no_grad():
        assert on().requires_grad
        assert not off().requires_grad
        assert not is_grad_enabled()


def test_a_decorated_function_may_recurse():
    x = leaf()

    @no_grad()
    def countdown(n):
        assert not is_grad_enabled()
        return x if n == 0 else countdown(n - 1) * 2.0

    assert not countdown(5).requires_grad


def in_threads(function, n=4):
    """Run `function(i)` in n threads at once; raise what any of them raised."""
    errors = []
    barrier = threading.Barrier(n)

    def run(i):
        try:
            barrier.wait()
            function(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def test_modes_are_per_thread():
    x = leaf()
    with no_grad():
        in_threads(lambda i: check_recording(x, True))
        check_recording(x, False)

    def run(i):
        for _ in range(200):
            with set_grad_enabled(i % 2 == 0):
                check_recording(x, i % 2 == 0)

    in_threads(run)


def check_recording(x, flag):
    assert is_grad_enabled() is flag
    assert (x * 2.0).requires_grad is flag


def test_a_decorated_function_in_several_threads():
    x = leaf()

    @no_grad()
    def off(depth):
        return off(depth - 1) if depth else x * 2.0

    def run(i):
        for _ in range(100):
            assert not off(3).requires_grad
            assert is_grad_enabled()

    in_threads(run)


def test_backward_in_several_threads_at_once():
    def run(i):
        for _ in range(50):
            x = leaf()
            y = x
            for _ in range(10):
                y = y * x
            tg.sum(y).backward()
            assert x.grad.tolist() == [11.0, 11.0 * 2.0**10]

    in_threads(run)


def test_threads_that_share_a_leaf():
    """No gradient is lost."""
    x = leaf()

    def run(i):
        for _ in range(200):
            tg.sum(x * 1.0).backward()

    in_threads(run)
    assert x.grad.tolist() == [800.0, 800.0]
