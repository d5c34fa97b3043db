"""Garbage is collected when the loop says so, and everything is as before afterwards."""

import gc
import weakref

import pytest

from neurodyn.realtime.garbage import EVERY, Sweeper, only_when_swept


class Knot:
    """Refers to itself: the collector alone gets rid of it."""

    def __init__(self):
        self.me = self


def untied():
    return weakref.ref(Knot())


def test_knots_last_until_they_are_swept():
    now = [0.0]
    sweeper = Sweeper(lambda: now[0])
    with only_when_swept():
        knot = untied()
        kept = [[number] for number in range(100_000)]  # a collector at work would have come by
        assert len(kept) == 100_000
        assert knot() is not None
        assert sweeper.sweep()
        assert knot() is None
        again = untied()
        now[0] = 0.9 * EVERY
        assert not sweeper.sweep()
        assert again() is not None
        now[0] = 1.1 * EVERY
        assert sweeper.sweep()
        assert again() is None


def test_a_collector_that_works_by_itself_is_left_alone():
    assert gc.isenabled()
    assert not Sweeper(lambda: 0.0).sweep()


def test_the_collector_is_as_before_even_after_an_error():
    frozen = gc.get_freeze_count()
    with only_when_swept():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > frozen
    with pytest.raises(OSError, match="end"):
        fail()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def fail():
    with only_when_swept():
        raise OSError("end")
