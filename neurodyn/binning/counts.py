"""Counts that were recorded in bins, put on the bins of a batch: as they are, or several added up."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32

from neurodyn.binning.grid import TimeGrid
from neurodyn.errors import InputError
from neurodyn.recording import BinnedCounts
from neurodyn.recording.edges import whole_bins

_HAIR = 1e-6
"""Share of a bin by which widths and edges may differ through rounding."""


def bins_per_bin(counts: BinnedCounts, width: float) -> int:
    """How many recorded bins make one bin of `width` seconds.

    Raises
    ------
    InputError
        If not a whole number of them does: nobody knows when in its bin a spike was.
    """
    ratio = width / counts.width
    times = round(ratio)
    if times < 1 or abs(ratio - times) > _HAIR * ratio:
        raise InputError(
            f"'{counts.name}' was recorded as counts in bins of {counts.width:g} s: the bin width of {width:g} s has "
            f"to be that or a multiple of it (--width {max(1, times) * counts.width:g})"
        )
    return times


def from_recorded_edges(
    spans: Sequence[tuple[float, float]], counts: BinnedCounts, width: float
) -> list[tuple[float, float]]:
    """Stretches of seconds that begin where a recorded bin begins, up to one recorded bin later than they did.

    Raises
    ------
    InputError
        When not even one bin of `width` seconds of any of them is left.
    """
    bins_per_bin(counts, width)
    moved = []
    for start, stop in spans:
        first = math.ceil((start - counts.start) / counts.width - _HAIR)
        moved.append((counts.start + first * counts.width, stop))
    kept = [(start, stop) for start, stop in moved if whole_bins(start, stop, width) >= 1]
    if not kept:
        raise InputError(
            f"no interval holds a whole bin of {width:g} s of '{counts.name}', whose bins begin at"
            f" {counts.start:g} s and every {counts.width:g} s from there"
        )
    return kept


def rebin_counts(
    counts: BinnedCounts, grids: Sequence[TimeGrid]
) -> tuple[Float32[np.ndarray, "bins units"], Bool[np.ndarray, "bins units"]]:
    """Counts in the bins of all grids, and where they are known.

    A bin is known where all recorded bins in it are; bins before the first or after the last are not.

    Parameters
    ----------
    counts
        As recorded.
    grids
        Whose bins begin on edges of recorded bins.

    Returns
    -------
    values, observed
        (bins, units) with 0 where missing; True where known.

    Raises
    ------
    InputError
        If a grid begins inside a recorded bin, or its width is no multiple of theirs.
    """
    values, observed = [], []
    for grid in grids:
        times = bins_per_bin(counts, grid.width)
        place = (grid.start - counts.start) / counts.width
        first = round(place)
        if abs(place - first) > 1e-3:
            raise InputError(
                f"bins from {grid.start:g} s on do not begin where the recorded bins of '{counts.name}' do"
                f" ({counts.start:g} s and every {counts.width:g} s): two groups of counts need the same edges"
            )
        rows = np.full((grid.bins * times, counts.n_units), np.nan)
        begin, end = max(0, first), min(counts.n_bins, first + len(rows))
        if end > begin:
            rows[begin - first : end - first] = counts.values[begin:end]
        sums = rows.reshape(grid.bins, times, counts.n_units).sum(axis=1)
        observed.append(~np.isnan(sums))
        values.append(np.where(np.isnan(sums), 0.0, sums))
    return np.concatenate(values).astype(np.float32), np.concatenate(observed)
