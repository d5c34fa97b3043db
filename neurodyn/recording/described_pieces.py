"""Counts and signals of a layout as their variables have them, and the clock of bins."""

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.described_values import Described, Pieces, in_seconds, missing, shown_path
from neurodyn.recording.layout import (
    STAMPS,
    CountsLayout,
    SignalLayout,
)
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.values import vector

_IRREGULAR = 0.01
"""Share of a bin by which the times of regular bins may be off."""


def counts_pieces(described: Described, row: CountsLayout) -> Pieces | np.ndarray:
    """Counts of a row of the layout as its variables have them, before they have a clock."""
    return described.pieces(row.variable, row.axes, row.time, row.time_unit, _width_of(described, row))


def signal_pieces(described: Described, row: SignalLayout) -> Pieces | np.ndarray | LazyArray:
    """Values of a row of the layout as its variables have them, before they have a clock."""
    axes = row.axes or ("channel time" if row.channels_first else "")
    rate = None if row.rate is None else described.positive(row.rate, "rate", row.variable)
    period = None if rate is None else 1 / rate
    if row.binned and rate is None and not row.time:
        period = _counts_width(described)
    unit = "s" if row.time_unit == "samples" else row.time_unit
    pieces = described.pieces(row.variable, axes, row.time, unit, period)
    if isinstance(pieces, Pieces) and row.time_unit == "samples":
        raise InputError(f"'{shown_path(row.variable)}' comes in trials: its times must be in s, ms or us")
    return pieces


def _counts_width(described: Described) -> float:
    counts = described.layout.counts
    if counts is None:
        raise InputError("a binned signal needs a rate, a time, or counts whose clock it shares")
    if counts.width is not None:
        return described.positive(counts.width, "width", counts.variable)
    found = counts_pieces(described, counts)
    return found.period if isinstance(found, Pieces) else on_clock(described, found, counts)[1]


def _width_of(described: Described, row: CountsLayout) -> float | None:
    return None if row.width is None else described.positive(row.width, "width", row.variable)


def on_clock(described: Described, found: Pieces | np.ndarray, row: CountsLayout) -> tuple[float, float, np.ndarray]:
    """Begin of the first bin, width, and counts or rates on a regular clock; trials have times of their own."""
    if isinstance(found, Pieces):
        values, times = np.concatenate(found.values), found.times
        assert times is not None
    else:
        values = np.asarray(found)
        if not row.time:
            width = _width_of(described, row)
            if width is None:
                raise InputError(
                    f"counts '{row.name}' ({shown_path(row.variable)}, {values.shape[0]} x {values.shape[1]}) need the "
                    "'width' of their bins in seconds, or the 'time' of each bin"
                )
            return row.start - STAMPS.index(row.stamp) / 2 * width, width, values
        times = in_seconds(vector(described.find(row.time), row.time), row.time_unit, None, row.time)
    first, width, index = regular_bins(times, row.time)
    if index.size != len(values):
        raise InputError(
            f"'{shown_path(row.variable)}' has {len(values)} bins and '{row.time}' {index.size} times: are its axes "
            "swapped? say  axes: channel time"
        )
    return first - STAMPS.index(row.stamp) / 2 * width, width, _spread(values, index, row.name)


def _spread(values: np.ndarray, index: np.ndarray, what: str) -> np.ndarray:
    """Rows at their places on a regular clock, NaN between them."""
    whole = missing(int(index[-1]) + 1, values.shape[1], what)
    whole[index] = values
    return whole


def regular_bins(times: np.ndarray, what: str) -> tuple[float, float, np.ndarray]:
    """Clock of bins from their times.

    Parameters
    ----------
    times
        (bins,) seconds, of which some may be left out.
    what
        Name of their variable.

    Returns
    -------
    first, width, index
        Time of the first bin and width in seconds; (bins,) place of each on the regular clock.

    Raises
    ------
    InputError
        If they are fewer than two, do not increase, or do not lie on a regular clock.
    """
    times = np.asarray(times, np.float64)
    if times.size < 2 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise InputError(f"the times of bins in '{what}' must be two or more, finite and increasing")
    width = float(np.median(np.diff(times)))
    index = np.round((times - times[0]) / width)
    width = float((times[-1] - times[0]) / index[-1])
    index = np.round((times - times[0]) / width)
    off = float(np.abs(times - times[0] - index * width).max())
    if off > _IRREGULAR * width or not (np.diff(index) >= 1).all():
        raise InputError(
            f"the times of bins in '{what}' are not regular: up to {off:.3g} s away from bins of {width:.6g} s"
        )
    # What rounding left over of a width such as 0.05.
    short = float(f"{width:.9g}")
    width = short if abs(short - width) * index[-1] < 1e-3 * width else width
    return float(times[0]), width, index.astype(np.int64)
