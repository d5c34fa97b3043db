"""What a recording holds, as data: one row per item."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from neurodyn.display import listed
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.lazy import BLOCK_VALUES
from neurodyn.recording.recorded import invalid_times, spike_supports
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport

_MOST_NAMES = 6


class ItemKind(Enum):
    """What an item of a recording is.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> [item.name for item in nd.recording.describe(session) if item.kind is nd.recording.ItemKind.FIELD]
    ['lfp']
    """

    SPIKES = "spikes"
    FIELD = "field"
    BEHAVIOUR = "behaviour"
    INTERVALS = "intervals"
    COUNTS = "counts"


@dataclass(frozen=True)
class ItemSummary:
    """One item of a recording.

    Parameters
    ----------
    name, kind
        What it is called and what it is.
    members
        Number of units, channels or intervals.
    samples
        Number of spikes of all units, of samples per channel or of bins; None for intervals.
    start, stop
        First and last time in seconds; NaN if the item is empty.
    rate
        Sampling rate in Hz, of timestamps the one that fits best, or bins per second; None for spikes and intervals.
    regular
        Whether samples come at a fixed rate without a gap, as far as their stamps are precise; None for spikes and
        intervals.
    firing_rates
        Lowest, median and highest mean rate of a unit in Hz, over the time in which it was recorded
        (`neurodyn.recording.spike_supports`); None for signals and intervals, and if no unit was recorded.
    missing
        Fraction of values that are NaN; None for spikes and intervals.
    unit
        Unit of the values, empty if there is none.
    notes
        Names of the channels, labels of the intervals, or what is known of the units, shortened; of units first for
        how long they were recorded, if the file states that.
    gaps
        Number of gaps in timestamps that come at a fixed rate otherwise; None for others.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> field = nd.recording.describe(session)[1]
    >>> field.name, field.members, field.rate, field.regular, field.unit
    ('lfp', 2, 250.0, True, 'volts')
    """

    name: str
    kind: ItemKind
    members: int
    samples: int | None
    start: float
    stop: float
    rate: float | None = None
    regular: bool | None = None
    firing_rates: tuple[float, float, float] | None = None
    missing: float | None = None
    unit: str = ""
    notes: str = ""
    gaps: int | None = None


def describe(recording: Recording) -> list[ItemSummary]:
    """Summarise each item of a recording: spikes, counts in bins, fields, behaviour, then intervals.

    Parameters
    ----------
    recording
        What to look at.

    Returns
    -------
    list of ItemSummary
        One per item, in the recording's order.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> [(item.name, item.kind.value, item.members) for item in nd.recording.describe(session)]
    [('spikes', 'spikes', 16), ('lfp', 'field', 2), ('position', 'behaviour', 2), ('epochs', 'intervals', 2)]
    """
    return [
        *(_spikes(item, recording) for item in recording.spikes.values()),
        *(_counts(item) for item in recording.counts.values()),
        *(_signal(item, ItemKind.FIELD) for item in recording.fields.values()),
        *(_signal(item, ItemKind.BEHAVIOUR) for item in recording.behaviour.values()),
        *(_intervals(item) for item in recording.intervals.values()),
    ]


def _spikes(trains: SpikeTrains, recording: Recording) -> ItemSummary:
    supports = spike_supports(recording, trains)
    notes = [_attribute_notes(name, values) for name, values in trains.attributes.items()]
    if stated := trains.support is not None or len(invalid_times(recording)) > 0:
        notes.insert(0, _recorded(supports))
    return ItemSummary(
        name=trains.name,
        kind=ItemKind.SPIKES,
        members=trains.n_units,
        samples=trains.n_spikes,
        start=trains.start,
        stop=trains.stop,
        firing_rates=_firing_rates(trains, supports, stated),
        notes="; ".join(notes),
    )


def _counts(counts: BinnedCounts) -> ItemSummary:
    missing = float(np.isnan(counts.values).mean()) if counts.values.size else None
    return ItemSummary(
        name=counts.name,
        kind=ItemKind.COUNTS,
        members=counts.n_units,
        samples=counts.n_bins,
        start=counts.start,
        stop=counts.stop,
        rate=1 / counts.width,
        regular=True,
        missing=missing,
        unit="spikes per bin",
        notes=listed(counts.units),
    )


def _recorded(supports: Sequence[TimeSupport]) -> str:
    seconds = [one.seconds for one in supports]
    low, high = min(seconds, default=0.0), max(seconds, default=0.0)
    return f"recorded {low:.6g} s" if low == high else f"recorded {low:.6g} to {high:.6g} s"


def _firing_rates(
    trains: SpikeTrains, supports: Sequence[TimeSupport], stated: bool
) -> tuple[float, float, float] | None:
    """Of the units that were recorded; spikes that lie outside of what is stated are not counted."""
    pairs = [(train, one) for train, one in zip(trains.times, supports, strict=True) if one.seconds > 0]
    if not pairs or not trains.n_spikes:
        return None
    rates = np.array([(one.count(train) if stated else train.size) / one.seconds for train, one in pairs])
    return float(rates.min()), float(np.median(rates)), float(rates.max())


def _attribute_notes(name: str, values: np.ndarray) -> str:
    """How often each value occurs, where that says something; otherwise only the name."""
    kinds, counts = np.unique(values, return_counts=True)
    if kinds.size > _MOST_NAMES or kinds.dtype.kind == "f":
        return name
    return f"{name}: " + ", ".join(f"{kind} (n={count})" for kind, count in zip(kinds, counts, strict=True))


def _signal(signal: Signal, kind: ItemKind) -> ItemSummary:
    return ItemSummary(
        name=signal.name,
        kind=kind,
        members=signal.n_channels,
        samples=signal.n_samples,
        start=signal.start if signal.n_samples else float("nan"),
        stop=signal.stop if signal.n_samples else float("nan"),
        rate=signal.typical_rate,
        regular=signal.clock.regular and not signal.clock.gaps,
        gaps=signal.clock.gaps if signal.clock.regular else None,
        missing=_missing(signal),
        unit=signal.unit,
        notes=listed(signal.channels),
    )


def _missing(signal: Signal) -> float | None:
    """Share of the values that are NaN, counted block by block."""
    if not signal.values.size:
        return None
    rows = max(1, BLOCK_VALUES // signal.n_channels)
    blocks = (signal.read(first, min(first + rows, signal.n_samples)) for first in range(0, signal.n_samples, rows))
    return sum(int(np.isnan(block).sum()) for block in blocks) / signal.values.size


def _intervals(intervals: Intervals) -> ItemSummary:
    return ItemSummary(
        name=intervals.name,
        kind=ItemKind.INTERVALS,
        members=len(intervals),
        samples=None,
        start=float(intervals.starts.min(initial=np.inf)) if len(intervals) else float("nan"),
        stop=float(intervals.stops.max(initial=-np.inf)) if len(intervals) else float("nan"),
        notes="; ".join(
            part
            for part in (
                listed(tuple(dict.fromkeys(intervals.labels))),
                *(_attribute_notes(name, values) for name, values in intervals.columns.items()),
            )
            if part
        ),
    )
