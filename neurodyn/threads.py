"""How many threads BLAS may use where its own would only wait for each other.

BLAS splits every product and every step of an eigendecomposition among its threads and lets them spin until the last
one is done. On a machine that does other work one of them is always waiting for a processor: a decomposition that takes
a second on one thread then takes a minute on two. Work that comes in independent parts is shared out here instead, one
thread of Python for each part, and these never wait for each other.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Hold:
    """How many callers hold BLAS to one thread now, what it was allowed before, and how that comes back."""

    callers: int = 0
    allowed: int = 1
    limit: Any = None


_HOLD, _LOCK = _Hold(), Lock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Context in which NumPy and SciPy use one BLAS thread; when the last one ends, what was set before holds again."""
    with _LOCK:
        if not _HOLD.callers:
            _HOLD.allowed = blas_threads()
            _HOLD.limit = _controller().limit(limits=1, user_api="blas")
        _HOLD.callers += 1
    try:
        yield
    finally:
        with _LOCK:
            _HOLD.callers -= 1
            if not _HOLD.callers:
                _HOLD.limit.restore_original_limits()


def blas_threads() -> int:
    """Threads that the user or the environment allows BLAS, at least 1, also where it is held to one here."""
    if _HOLD.callers:
        return _HOLD.allowed
    return max([1, *(row["num_threads"] for row in _controller().info() if row["user_api"] == "blas")])


def side_by_side(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Apply a function that spends its time in BLAS or LAPACK to every item, as many at a time as BLAS has threads.

    Parameters
    ----------
    function
        Called with one item; must not change what it shares with other calls.
    items
        As many as there are calls.

    Returns
    -------
    Results in the order of the items.

    Raises
    ------
    Exception
        The first one that a call raises.
    """
    items = list(items)
    workers = min(blas_threads(), len(items))
    with one_blas_thread():
        if workers < 2:
            return [function(item) for item in items]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(function, items))


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, the next one made in a thread of its own while one is worked on; meanwhile with one BLAS thread.

    Where BLAS has one thread only, nothing runs beside the caller.

    Parameters
    ----------
    items
        Made one after the other; an item must not change when the next one is made.
    """
    workers = blas_threads()
    with one_blas_thread():
        if workers < 2:
            yield from items
            return
        with ThreadPoolExecutor(1) as pool:
            maker, end = iter(items), object()
            coming = pool.submit(next, maker, end)
            while (item := coming.result()) is not end:
                coming = pool.submit(next, maker, end)
                yield item  # pyright: ignore[reportReturnType]  (not the end)


@cache
def _controller() -> ThreadpoolController:
    # SciPy brings a BLAS of its own; libraries are looked for once, because that takes milliseconds.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()
