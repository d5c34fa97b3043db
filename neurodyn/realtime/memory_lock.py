"""The memory of a session kept from being swapped out, so that no step waits for a disk."""

import ctypes
import math
import os
from collections.abc import Callable

from neurodyn.errors import InputError

NOW, LATER = 1, 2
"""Flags of ``mlockall`` on Linux: what there is, and what will be asked for."""
_ADVICE = "set LimitMEMLOCK=infinity in its unit, or memlock in /etc/security/limits.conf"


def lock_memory() -> None:
    """Lock all memory of this process, what it will ask for included, until it ends.

    Raises
    ------
    InputError
        If the system cannot, or its limits do not allow all of it: memory asked for later would be refused.
    """
    try:
        lock = ctypes.CDLL(None, use_errno=True).mlockall
    except (AttributeError, OSError, TypeError) as error:
        raise InputError("--lock-memory needs Linux: this system has no mlockall") from error
    _lock(lock, _limit(), privileged=hasattr(os, "geteuid") and os.geteuid() == 0)


def _lock(lock: Callable[[int], int], limit: float, *, privileged: bool) -> None:
    if math.isfinite(limit) and not privileged:
        raise InputError(f"--lock-memory: this process may lock {limit / 1e6:.3g} MB, not all of its memory; {_ADVICE}")
    if lock(NOW | LATER):
        raise InputError(f"--lock-memory: {os.strerror(ctypes.get_errno())}; {_ADVICE}")


def _limit() -> float:
    """Bytes that this process may lock."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return math.inf if soft == resource.RLIM_INFINITY else float(soft)
