"""Memory that compilers and threads leave behind."""

import ctypes
import os
from functools import cache
from typing import Any

ARENAS = 2
"""Pools of memory that the C library (glibc) is to have."""
_ARENA_MAX = -8
"""Number of that setting for `mallopt` of glibc."""


def give_back_memory() -> None:
    """Return to the system what has been freed, where the C library can (glibc); elsewhere nothing happens.

    Compiling a program takes and frees some hundred megabytes in small pieces, which the C library keeps for itself. Of
    a process that compiles several programs one after the other they would be a third of its size.
    """
    if trim := _of_c_library("malloc_trim"):
        trim(0)


@cache
def share_memory() -> None:
    """Have all threads take memory from few pools, where the C library can (glibc); elsewhere nothing happens.

    It has a pool for nearly each thread otherwise, and :func:`give_back_memory` does not reach the unused end of any
    but the first: a fit on a thousand units kept half a gigabyte there. What the environment says (MALLOC_ARENA_MAX)
    goes first.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and (setting := _of_c_library("mallopt")):
        setting(_ARENA_MAX, ARENAS)


def compile_first(function: Any, *arguments: Any, **settings: Any) -> None:
    """Compile a function of ``jax.jit`` for some arguments before it is called with them.

    What compiling takes is returned to the system first, so that it does not add to what the program takes.
    """
    function.lower(*arguments, **settings).compile()  # JAX keeps it for the call
    give_back_memory()


@cache
def _of_c_library(name: str) -> Any:
    """A function of the C library, None where it has none of that name."""
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # Windows has no library of the process itself
        return None
