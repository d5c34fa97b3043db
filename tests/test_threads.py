"""BLAS gets one thread where it is asked to, its own number afterwards, and items come in order."""

import threading

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (its BLAS is there before any number of threads is set)
from threadpoolctl import threadpool_info, threadpool_limits

from neurodyn.threads import blas_threads, one_ahead, one_blas_thread, side_by_side


def numbers():
    return [row["num_threads"] for row in threadpool_info() if row["user_api"] == "blas"]


@pytest.fixture(params=[1, 2])
def threads(request):
    """BLAS as a user set it."""
    with threadpool_limits(request.param, user_api="blas"):
        if max(numbers()) != request.param:
            pytest.skip("this BLAS has one thread only")
        yield request.param


def test_one_thread_inside_and_the_old_number_outside(threads):
    assert blas_threads() == threads
    with one_blas_thread():
        assert set(numbers()) == {1}
        assert blas_threads() == threads  # what the user allows
        with one_blas_thread():
            assert set(numbers()) == {1}
        assert set(numbers()) == {1}
    assert max(numbers()) == threads
    assert blas_threads() == threads


def test_side_by_side_keeps_the_order_and_uses_the_threads_allowed(threads):
    used = set()

    def square(number):
        used.add(threading.get_ident())
        assert set(numbers()) == {1}
        return number * number

    assert side_by_side(square, range(20)) == [i * i for i in range(20)]
    assert side_by_side(square, []) == []
    assert len(used) <= threads
    assert (threading.get_ident() in used) == (threads == 1)
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda number: 1 / number, [1, 0])
    assert blas_threads() == threads


def test_items_made_ahead_are_the_items(threads):
    made = []

    def maker():
        for index in range(5):
            made.append((index, threading.get_ident()))
            yield np.full(3, index)

    for index, item in enumerate(one_ahead(maker())):
        assert set(numbers()) == {1}
        assert item.tolist() == [index] * 3
    assert index == 4
    assert [i for i, _ in made] == list(range(5))
    assert all((thread == threading.get_ident()) == (threads == 1) for _, thread in made)
    assert blas_threads() == threads


def test_what_a_maker_raises_arrives(threads):
    def maker():
        yield 1
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        list(one_ahead(maker()))
    assert blas_threads() == threads


def test_two_threads_that_hold_blas_in_turn_leave_it_as_it_was():
    """The second one enters before the first one leaves: the number before both comes back."""
    before, inside = numbers(), []
    entered, left = threading.Event(), threading.Event()

    def first():
        with one_blas_thread():
            entered.set()
            left.wait(30)

    def second():
        entered.wait(30)
        with one_blas_thread():
            left.set()
            one.join(30)
            inside.extend(numbers())

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    two.start()
    one.join(60)
    two.join(60)
    assert set(inside) == {1}
    assert numbers() == before
