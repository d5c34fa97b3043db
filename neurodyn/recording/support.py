"""When something was recorded: stretches of time, sorted and apart.  What lies outside is missing, never zero."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy.typing import ArrayLike

from neurodyn.errors import InputError
from neurodyn.recording.edges import cut, slack


@dataclass(frozen=True, eq=False)
class TimeSupport:
    """Stretches of time ``[start, stop)`` in which something was recorded.

    They are sorted, and those that overlap or touch are joined, when the support is made; stretches without length
    are left out.  A bound may be infinite: as far as the recording goes on that side (`bounded`).

    Parameters
    ----------
    starts, stops
        (stretches,) bounds in seconds, in any order; two empty arrays for what was never recorded.

    Raises
    ------
    InputError
        If there are not as many stops as starts, a bound is NaN, or a stretch ends before it starts.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import TimeSupport
    >>> support = TimeSupport.of([[0.0, 10.0], [15.0, 20.0]])
    >>> support.seconds, support.without(TimeSupport.of([[5.0, 6.0]])).rows.tolist()
    (15.0, [[0.0, 5.0], [6.0, 10.0], [15.0, 20.0]])
    >>> support.covers(np.array([8.0, 9.5]), np.array([9.0, 10.5])).tolist()
    [True, False]
    """

    starts: Float64[np.ndarray, " stretches"] = field(default_factory=lambda: np.zeros(0))
    stops: Float64[np.ndarray, " stretches"] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        starts, stops = np.asarray(self.starts, np.float64), np.asarray(self.stops, np.float64)
        if starts.ndim != 1 or starts.shape != stops.shape:
            raise InputError(
                f"a time support needs equal numbers of starts and stops, got shapes {starts.shape} and {stops.shape}"
            )
        wrong = np.flatnonzero(~(starts <= stops))  # true for NaN, too
        if wrong.size:
            row = wrong[0]
            raise InputError(
                f"stretch {row} of a time support is {starts[row]} to {stops[row]} s,"
                " expected numbers of seconds with start <= stop"
            )
        for name, bound in zip(("starts", "stops"), _joined(starts, stops), strict=True):
            bound.flags.writeable = False
            object.__setattr__(self, name, bound)

    @classmethod
    def of(cls, rows: ArrayLike) -> "TimeSupport":
        """Support from (stretches, 2) starts and stops in seconds.

        Raises
        ------
        InputError
            If the rows have another shape, and what the support itself refuses.
        """
        array = np.asarray(rows, np.float64)
        array = array.reshape(0, 2) if array.size == 0 else array
        if array.ndim != 2 or array.shape[1] != 2:
            raise InputError(f"a time support needs an array of (stretches, 2) starts and stops, got {array.shape}")
        return cls(array[:, 0], array[:, 1])

    @property
    def rows(self) -> Float64[np.ndarray, "stretches 2"]:
        """Starts and stops in seconds."""
        return np.stack([self.starts, self.stops], axis=1)

    @property
    def seconds(self) -> float:
        """Length of all stretches together in seconds."""
        return float((self.stops - self.starts).sum())

    def __len__(self) -> int:
        return self.starts.size

    def same_as(self, other: "TimeSupport") -> bool:
        """Whether both have the same bounds."""
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.stops, other.stops)

    def between(self, start: float, stop: float) -> "TimeSupport":
        """Return what lies between two times in seconds: stretches over the bounds are cut there."""
        inside = (self.starts < stop) & (self.stops > start)
        return TimeSupport(np.clip(self.starts[inside], start, stop), np.clip(self.stops[inside], start, stop))

    def bounded(self, start: float, stop: float) -> "TimeSupport":
        """Return the support with infinite bounds put at two times in seconds; finite bounds stay where they are."""
        starts = np.where(np.isneginf(self.starts), start, self.starts)
        stops = np.where(np.isposinf(self.stops), stop, self.stops)
        kept = starts < stops
        return TimeSupport(starts[kept], stops[kept])

    def without(self, other: "TimeSupport") -> "TimeSupport":
        """Return what lies in this support and not in the other."""
        return self.intersect(other.gaps())

    def intersect(self, other: "TimeSupport") -> "TimeSupport":
        """Return what lies in both."""
        # Of the stretches of the other, those that end after a stretch begins and begin before it ends.
        first = np.searchsorted(other.stops, self.starts, side="right")
        past = np.searchsorted(other.starts, self.stops, side="left")
        counts = np.maximum(past - first, 0)
        mine = np.repeat(np.arange(len(self)), counts)
        theirs = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        return TimeSupport(
            np.maximum(self.starts[mine], other.starts[theirs]), np.minimum(self.stops[mine], other.stops[theirs])
        )

    def gaps(self) -> "TimeSupport":
        """Return all the time that lies outside, to infinity on both sides."""
        starts, stops = np.append(-np.inf, self.stops), np.append(self.starts, np.inf)
        kept = starts < stops
        return TimeSupport(starts[kept], stops[kept])

    def covers(
        self, starts: Float[np.ndarray, " bins"], stops: Float[np.ndarray, " bins"]
    ) -> Bool[np.ndarray, " bins"]:
        """Whether a bin ``[start, stop)`` lies wholly inside one stretch; a bin that is partly covered does not.

        Bounds and edges that are equal up to rounding are equal (`neurodyn.recording.edges`).

        Parameters
        ----------
        starts, stops
            Of each bin in seconds.
        """
        if not len(self):
            return np.zeros(np.shape(starts), np.bool_)
        last = np.searchsorted(cut(self.starts), starts, side="right") - 1
        return (last >= 0) & (cut(stops) <= self.stops[np.maximum(last, 0)])

    def count(self, times: Float[np.ndarray, " _"]) -> int:
        """Number of sorted times (seconds) that lie inside."""
        return int((np.searchsorted(times, cut(self.stops)) - np.searchsorted(times, cut(self.starts))).sum())


def shared(supports: Iterable[TimeSupport]) -> tuple[TimeSupport, ...]:
    """The same supports, those with equal bounds as one object, so that work on them is done once (`is`)."""
    known: dict[tuple[bytes, bytes], TimeSupport] = {}
    return tuple(known.setdefault((one.starts.tobytes(), one.stops.tobytes()), one) for one in supports)


def _joined(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted stretches with a length, those that overlap or touch joined."""
    kept = starts < stops
    order = np.argsort(starts[kept], kind="stable")
    starts, stops = starts[kept][order], stops[kept][order]
    if not len(starts):
        return starts, stops
    reached = np.maximum.accumulate(stops)
    apart = starts[1:] > reached[:-1] + slack(reached[:-1])
    return starts[np.append(True, apart)], reached[np.append(apart, True)]


EVERYTHING = TimeSupport(np.array([-np.inf]), np.array([np.inf]))
"""As far as the recording goes."""
