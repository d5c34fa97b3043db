"""Memory that is kept from being swapped out: all of it, or a refusal before anything is decoded."""

import ctypes
import errno
import math

import pytest

from neurodyn.errors import InputError
from neurodyn.realtime import memory_lock


@pytest.mark.parametrize(("limit", "privileged"), [(math.inf, False), (8e6, True)])
def test_all_memory_is_locked_that_of_later_too(limit, privileged):
    asked = []
    memory_lock._lock(lambda flags: asked.append(flags) or 0, limit, privileged=privileged)
    assert asked == [1 | 2]  # MCL_CURRENT, MCL_FUTURE


def test_a_finite_limit_is_refused_before_anything_is_locked():
    def lock(_):
        raise AssertionError("nothing is to be locked")

    with pytest.raises(InputError, match=r"may lock 8 MB, not all.*LimitMEMLOCK=infinity"):
        memory_lock._lock(lock, 8e6, privileged=False)


def test_what_the_system_says_is_told():
    def lock(_):
        ctypes.set_errno(errno.EPERM)
        return -1

    with pytest.raises(InputError, match="Operation not permitted"):
        memory_lock._lock(lock, math.inf, privileged=False)


def test_a_system_without_it_is_told(monkeypatch):
    monkeypatch.setattr(memory_lock.ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(InputError, match="no mlockall"):
        memory_lock.lock_memory()
