"""BLAS's threads: one while small networks are trained, unless the user has chosen."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tinygrad_bn import blas


def threads():
    """How many each BLAS library uses."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def many(monkeypatch):
    """A BLAS that has two threads, and a user who said nothing about them."""
    for name in blas.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with threadpool_limits(limits=2, user_api="blas"):
        if not threads() or set(threads()) != {2}:
            pytest.skip("NumPy's BLAS has no threads that can be set")
        yield


def test_one_thread_inside_and_as_before_outside(many):
    with blas.one_thread():
        assert set(threads()) == {1}
    assert set(threads()) == {2}


def test_as_before_after_an_error(many):
    with pytest.raises(KeyError), blas.one_thread():
        raise KeyError
    assert set(threads()) == {2}


@pytest.mark.parametrize("name", blas.VARIABLES)
def test_the_users_choice_holds(many, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    with blas.one_thread():
        assert set(threads()) == {2}
