"""How many threads BLAS may use where its own would only wait for each other.

BLAS splits every product and every step of an eigendecomposition among its threads and lets them spin until the last
one is done. On a machine that does other work one of them is always waiting for a processor: a decomposition that takes
a second on one thread then takes a minute on two. Work that comes in independent parts is shared out here instead, one
thread of Python for each part, and these never wait for each other.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_blas_thread() -> AbstractContextManager[Any]:
    """Context in which NumPy and SciPy use one BLAS thread; what was set before holds again afterwards."""
    return _controller().limit(limits=1, user_api="blas")


def blas_threads() -> int:
    """Threads that BLAS would use now, at least 1: what the user or the environment allows."""
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
