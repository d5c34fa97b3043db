"""One rule for every comparison of a recorded time with a computed edge.

    t lies before the edge e   if and only if   t < cut(e) = e - max(10 ns, |e| 2^-50)

A recorded time is a tick of some clock and an edge is a multiple of some width; both are rounded to double precision
on different ways, so that a spike ON an edge can come out a hair before it. A time as near as this is taken to lie on
the edge, and belongs to what begins there. Ten nanoseconds are 3,000 times less than a tick at 30 kHz and 80 times more
than the rounding of times of a million seconds; later than a few months the rounding itself (4 to 8 steps of double
precision) takes over. Spikes, samples, intervals, folds and targets, offline and live, are all compared through this
module: two things that carry one time land in one bin.
"""

import math
from typing import overload

import numpy as np
from jaxtyping import Float64, Int64

NEAR = 1e-8
"""Seconds before an edge from which on a recorded time is taken to lie on it."""
_ROUNDING = 2.0**-50


@overload
def slack(edges: float) -> float: ...
@overload
def slack(edges: np.ndarray) -> np.ndarray: ...
def slack(edges: float | np.ndarray) -> float | np.ndarray:
    """Seconds around each edge in which a recorded time lies on it; edges in seconds, of any shape."""
    if isinstance(edges, np.ndarray):
        return np.maximum(NEAR, np.abs(np.where(np.isfinite(edges), edges, 0.0).astype(np.float64)) * _ROUNDING)
    near = abs(edges) * _ROUNDING
    return near if NEAR < near < math.inf else NEAR


@overload
def cut(edges: float) -> float: ...
@overload
def cut(edges: np.ndarray) -> np.ndarray: ...
def cut(edges: float | np.ndarray) -> float | np.ndarray:
    """Times that split what lies before each edge from what lies on or after it.

    Parameters
    ----------
    edges
        Seconds, a number or an array of any shape.

    Returns
    -------
    float or np.ndarray
        Seconds: compare recorded times with these, ``time < cut(edge)`` and ``time >= cut(edge)``.
    """
    if isinstance(edges, np.ndarray):
        return edges - slack(edges)
    near = abs(edges) * _ROUNDING  # written out: this is called several times for every bin of a live session
    return edges - (near if NEAR < near < math.inf else NEAR)


def bin_of(times: Float64[np.ndarray, " times"], start: float, width: float) -> Int64[np.ndarray, " times"]:
    """Number of the bin that each time lies in; bin k is ``[start + k width, start + (k + 1) width)``, k of any sign.

    Parameters
    ----------
    times
        Seconds, finite.
    start, width
        Of bin 0, seconds.
    """
    number = np.floor((times - start) / width)
    # The quotient is off by one at most, near an edge: the rule has the last word.
    number -= times < cut(start + width * number)
    number += times >= cut(start + width * (number + 1))
    return number.astype(np.int64)


def number_of(time: float, start: float, width: float) -> int:
    """The same for one time, without arrays."""
    number = math.floor((time - start) / width)
    if time < cut(start + width * number):
        return number - 1
    return number + (time >= cut(start + width * (number + 1)))


def whole_bins(start: float, stop: float, width: float) -> int:
    """Bins of a width that fit between two times, all in seconds; one that is short by rounding only is whole."""
    # The time at the end of the last bin may lie a hair before its edge, as any recorded time.
    return math.floor((stop - start + slack(max(abs(start), abs(stop)))) / width)


def first_edge(time: float, width: float) -> float:
    """First multiple of the width at or after a time, in seconds."""
    number = number_of(time, 0.0, width)
    return (number if time < number * width + slack(number * width) else number + 1) * width
