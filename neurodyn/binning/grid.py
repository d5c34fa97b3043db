"""One clock for all: bins of equal width, and spikes counted in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from neurodyn.errors import InputError


@dataclass(frozen=True)
class TimeGrid:
    """Bins of equal width: bin k covers ``[start + k width, start + (k + 1) width)``.

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
        For a width that is not positive or no bins.
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
        # A last bin that is short by rounding only is whole.
        bins = math.floor((stop - start) / width + 1e-6)
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

    def coarser(self, clock: int) -> tuple[Float[np.ndarray, " windows"], Float[np.ndarray, " windows"]]:
        """Begin and end of the windows of `clock` bins that fit, the first beginning with the first bin."""
        edges = self.edges[: self.bins // clock * clock + 1 : clock]
        return edges[:-1], edges[1:]


def count_spikes(
    times: Sequence[Float[np.ndarray, " _"]],
    starts: Float[np.ndarray, " bins"],
    stops: Float[np.ndarray, " bins"],
) -> Float32[np.ndarray, "bins units"]:
    """Spikes of each unit in each bin ``[start, stop)``.

    Parameters
    ----------
    times
        Sorted spike times per unit, in seconds.
    starts, stops
        Of each bin, in seconds; the bins need not touch.
    """
    counts = [np.searchsorted(train, stops) - np.searchsorted(train, starts) for train in times]
    return np.stack(counts, axis=1).astype(np.float32)
