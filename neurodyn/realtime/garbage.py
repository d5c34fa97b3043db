"""Python's garbage collector at work between two bins, and not in the middle of one."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator

EVERY = 1.0
"""Seconds between collections."""


@contextlib.contextmanager
def only_when_swept() -> Iterator[None]:
    """Keep the collector from starting by itself, and from looking again and again at what exists by now.

    For the process of a session: the collector is one for all its threads. As it was before, afterwards.
    """
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


class Sweeper:
    """Collects at a moment that suits, if the collector does not work by itself.

    Parameters
    ----------
    wall
        Seconds that pass.
    """

    def __init__(self, wall: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._next = wall, 0.0

    def sweep(self) -> bool:
        """Collect, if the last time is a second ago; whether it did."""
        if gc.isenabled() or self._wall() < self._next:
            return False
        self._next = self._wall() + EVERY
        gc.collect()
        return True
