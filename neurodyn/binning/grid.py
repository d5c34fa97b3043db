"""One clock for all: bins of equal width, and spikes counted in them.

Which bin a recorded time lies in is decided by `neurodyn.recording.edges`, here and everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from neurodyn.errors import InputError
from neurodyn.recording.edges import cut, slack, whole_bins


@dataclass(frozen=True)
class TimeGrid:
    """Bins of equal width: bin k covers ``[start + k width, start + (k + 1) width)``.

    A recorded time on an edge, up to rounding, belongs to the bin that begins there (`neurodyn.recording.edges`).

    Parameters
    ----------
    start
        Begin of the first bin in seconds.
    width
        Width of a bin in seconds.
    bins
        Number of bins, at least 1.

    Raises
    ------
    InputError
        For a width that is not positive, no bins, or bins so narrow that their edges are the same up to rounding.

    Examples
    --------
    >>> from neurodyn import TimeGrid
    >>> grid = TimeGrid.covering(start=10.0, stop=11.13, width=0.25)
    >>> grid.bins, grid.edges.tolist(), grid.ends[0].item()
    (4, [10.0, 10.25, 10.5, 10.75, 11.0], 10.25)
    """

    start: float
    width: float
    bins: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width) and self.width > 0):
            raise InputError(f"the bin width must be positive seconds, got {self.width}")
        if not math.isfinite(self.start):
            raise InputError(f"a time grid must start at a finite time, got {self.start}")
        if self.bins < 1:
            raise InputError(f"a time grid needs at least one bin, got {self.bins}")
        blur = slack(max(abs(self.start), abs(self.stop)))
        if self.width < 4 * blur:
            raise InputError(
                f"bins of {self.width:g} s cannot be told apart at {self.stop:g} s, where times are compared to "
                f"{blur:.1g} s: use wider bins, or shift all times towards 0"
            )

    @classmethod
    def covering(cls, start: float, stop: float, width: float) -> "TimeGrid":
        """All whole bins that fit between two times (seconds), the first beginning at `start`.

        Raises
        ------
        InputError
            When not even one bin fits.
        """
        if not (math.isfinite(width) and width > 0):
            raise InputError(f"the bin width must be positive seconds, got {width}")
        bins = whole_bins(start, stop, width)
        if bins < 1:
            raise InputError(
                f"the bin width of {width:g} s is longer than the {max(stop - start, 0):g} s between "
                f"{start:g} and {stop:g} s: use narrower bins or a longer interval"
            )
        return cls(float(start), float(width), bins)

    @property
    def edges(self) -> Float[np.ndarray, " bins_and_one"]:
        """Begin of each bin and end of the last, in seconds."""
        return self.start + self.width * np.arange(self.bins + 1)

    @property
    def ends(self) -> Float[np.ndarray, " bins"]:
        """End of each bin in seconds: when its value is known to a causal decoder."""
        return self.edges[1:]

    @property
    def stop(self) -> float:
        """End of the last bin in seconds."""
        return float(self.edges[-1])

    def coarser(self, sample_every: int) -> tuple[Float[np.ndarray, " windows"], Float[np.ndarray, " windows"]]:
        """Begin and end of the windows of `sample_every` bins that fit, the first beginning with the first bin."""
        edges = self.edges[: self.bins // sample_every * sample_every + 1 : sample_every]
        return edges[:-1], edges[1:]


def count_spikes(
    times: Sequence[Float[np.ndarray, " _"]],
    starts: Float[np.ndarray, " bins"],
    stops: Float[np.ndarray, " bins"],
) -> Float32[np.ndarray, "bins units"]:
    """Spikes of each unit in each bin ``[start, stop)``, a spike on an edge in the bin that begins there.

    Parameters
    ----------
    times
        Sorted spike times per unit, in seconds.
    starts, stops
        Of each bin, in seconds; the bins need not touch.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.binning import TimeGrid, count_spikes
    >>> edges = TimeGrid(start=0.0, width=0.1, bins=3).edges
    >>> count_spikes([np.array([0.01, 0.05, 0.1]), np.array([0.25])], edges[:-1], edges[1:]).tolist()
    [[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """
    low, high = cut(np.asarray(starts, np.float64)), cut(np.asarray(stops, np.float64))
    counts = np.zeros((len(low), len(times)), np.float32)
    in_order = len(low) > 0 and bool((low[1:] >= high[:-1]).all() and (high > low).all())
    per_bin = _bins_per_second(low, high) if in_order else None
    for unit, train in enumerate(times):
        train = train.astype(np.float64, copy=False)
        if in_order and len(train) < FEW * len(low):
            _add_spikes(counts[:, unit], _bins_of_spikes(train, low, high, per_bin))
        else:
            counts[:, unit] = np.searchsorted(train, high) - np.searchsorted(train, low)
    return counts


FEW = 4
"""Up to this many spikes per bin it is faster to look for the bin of each spike than for the spikes of each bin."""
_NEAR = 1e-6
"""Distance to an edge, in bins, at which a quotient in double precision does not tell the bin."""


def _bins_per_second(low: Float64[np.ndarray, " bins"], high: Float64[np.ndarray, " bins"]) -> float | None:
    """Bins per second of bins that touch and have one width, None of others."""
    width = (high[-1] - low[0]) / len(low)
    even = low[0] + width * np.arange(len(low) + 1)
    away = max(float(np.abs(low - even[:-1]).max()), float(np.abs(high - even[1:]).max()))
    return float(1.0 / width) if away < 0.5 * _NEAR * width else None


def _bins_of_spikes(
    train: Float64[np.ndarray, " spikes"],
    low: Float64[np.ndarray, " bins"],
    high: Float64[np.ndarray, " bins"],
    per_second: float | None,
) -> Int64[np.ndarray, " inside"]:
    """Bin of each spike that lies in one, in order."""
    inside = train[slice(*train.searchsorted([low[0], high[-1]]))]
    if per_second is None:
        number = low.searchsorted(inside, side="right") - 1
        return number[inside < high[number]]
    place = (inside - low[0]) * per_second
    number = place.astype(np.int64)
    # Where the quotient lies next to a whole number, the edges themselves decide; that is rare, and looked for cheaply.
    place -= number
    place -= 0.5
    near = np.flatnonzero(np.abs(place, out=place) > 0.5 - _NEAR)
    if len(near):
        first, time = np.minimum(number[near], len(low) - 1), inside[near]
        first -= time < low[first]
        number[near] = first + (time >= high[first])
    return number


def _add_spikes(counts: Float32[np.ndarray, " bins"], numbers: Int64[np.ndarray, " spikes"]) -> None:
    """Count spikes in order of their bins: a run of equal numbers is a count."""
    first = np.concatenate([[True], numbers[1:] != numbers[:-1]])[: len(numbers)].nonzero()[0]
    counts[numbers[first]] = np.diff(first, append=len(numbers))
