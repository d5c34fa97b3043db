"""Memory that compilers leave behind."""

import ctypes
from functools import cache
from typing import Any


def give_back_memory() -> None:
    """Return to the system what has been freed, where the C library can (glibc); elsewhere nothing happens.

    Compiling a program takes and frees some hundred megabytes in small pieces, which the C library keeps for itself. Of
    a process that compiles several programs one after the other they would be a third of its size.
    """
    if trim := _trim():
        trim(0)


@cache
def _trim() -> Any:
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # Windows has no library of the process itself
        return None
