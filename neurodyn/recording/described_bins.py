"""Counts in bins, and signals, that a layout names."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.described_pieces import counts_pieces, on_clock, signal_pieces
from neurodyn.recording.described_trials import DescribedTrials
from neurodyn.recording.described_values import Pieces, in_seconds, shown_path
from neurodyn.recording.layout import CountsLayout, SignalLayout
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.signal import Signal
from neurodyn.recording.values import in_memory, labels, vector


def binned_counts(described: DescribedTrials, row: CountsLayout) -> BinnedCounts:
    """Counts of a row of the layout, without the units that are left out."""
    found = counts_pieces(described, row)
    start, width, values = _binned(described, found, row)
    values = np.asarray(values, np.float64) * (width if row.rates else 1.0)
    names = row.units
    names = labels(described.find(names), names) if isinstance(names, str) and names else tuple(names)
    counts = BinnedCounts(row.name, values, width, start, names)
    members = described.choices.members(row.name)
    return counts.select(unit for unit in counts.units if unit not in members) if members else counts


def _binned(
    described: DescribedTrials, found: Pieces | np.ndarray, row: CountsLayout
) -> tuple[float, float, np.ndarray]:
    """Begin of the first bin, width, and counts or rates on a regular clock."""
    if isinstance(found, Pieces) and found.times is None:
        return 0.0, found.period, described.placed.joined(found, shown_path(row.variable))
    return on_clock(described, found, row)


def signal(described: DescribedTrials, row: SignalLayout, name: str, is_field: bool) -> Signal:
    """Signal of a row of the layout; a field stays in its file where it can."""
    found = signal_pieces(described, row)
    channels = row.channels
    if isinstance(channels, str):
        channels = labels(described.find(channels), channels)
    make = partial(Signal, name, channels=channels, unit=row.unit)
    if isinstance(found, Pieces) and found.times is None:
        start = _moment(row, found.period, 0.0, is_field) if row.binned else 0.0
        return make(values=described.placed.joined(found, name), rate=1 / found.period, start=start)
    if row.binned:
        return _binned_signal(described, row, found, make, is_field)
    if isinstance(found, Pieces):
        values, times = np.concatenate(found.values), found.times
    elif row.time:
        values = found if is_field else in_memory(found)
        rate = described.number(row.rate, "rate") if row.time_unit == "samples" else None
        times = in_seconds(vector(described.find(row.time), row.time), row.time_unit, rate, row.time)
    else:
        rate = None if row.rate is None else described.number(row.rate, "rate")
        return make(values=found if is_field else in_memory(found), rate=rate, start=row.start)
    assert times is not None
    values, times = described.choices.signal_times(name, values, times)
    return make(values=values, timestamps=times)


def _binned_signal(
    described: DescribedTrials,
    row: SignalLayout,
    found: Pieces | np.ndarray | LazyArray,
    make: Callable[..., Signal],
    is_field: bool,
) -> Signal:
    values = np.concatenate(found.values) if isinstance(found, Pieces) else np.asarray(found)
    counts = described.layout.counts
    width = None if row.rate is None else 1 / described.positive(row.rate, "rate", row.variable)
    clock = CountsLayout(
        variable=row.variable, name=row.name, width=width, time=row.time, time_unit=row.time_unit,
        start=row.start, stamp=row.stamp,
    )  # fmt: skip
    if row.rate is None and not row.time:
        assert counts is not None
        if counts.time and len(values):
            first, width, values = on_clock(described, values, replace(counts, variable=row.variable, name=row.name))
        else:
            first, width, _ = _binned(described, counts_pieces(described, counts), counts)
    else:
        first, width, values = _binned(described, found if isinstance(found, Pieces) else values, clock)
    return make(values=values, rate=1 / width, start=_moment(row, width, first, is_field))


def _moment(row: SignalLayout, width: float, first: float, is_field: bool) -> float:
    """Time in seconds that the value of the first bin is given: fields in its middle, behaviour at its end."""
    return first + (width / 2 if is_field else width)
