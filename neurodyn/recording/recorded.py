"""What of a recording was recorded: supports of spike trains where the file says so and where it does not, and times
that the file calls invalid.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from neurodyn.errors import unknown_name
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.edges import cut, slack
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport, shared

INVALID_TIMES = "invalid_times"
"""Table of intervals that counts as not recorded, for every unit, field and behaviour: the name is NWB's."""
IMPLAUSIBLE = 20.0
"""Spikes expected in a silence that cannot be one: at a steady rate it has a probability of 2e-9."""
FEWEST_SPIKES = 100
"""Below this many spikes of a group, its rate says nothing about what to expect."""


def invalid_times(recording: Recording) -> TimeSupport:
    """Stretches in seconds that the recording's table ``invalid_times`` takes out of every source; empty if none.

    Examples
    --------
    >>> from neurodyn.recording import invalid_times, recording_from_arrays
    >>> session = recording_from_arrays("session", spikes=[[0.5, 2.0, 8.0]], intervals={"invalid_times": [[3.0, 5.0]]})
    >>> invalid_times(session).rows.tolist()
    [[3.0, 5.0]]
    """
    table = recording.intervals.get(INVALID_TIMES)
    return TimeSupport() if table is None else TimeSupport(table.starts, table.stops)


def recorded_span(recording: Recording) -> tuple[float, float]:
    """First and last time of all sources in seconds; NaN if there is nothing.

    Spikes, bins of counts, samples with the period they stand for, and stated supports.

    Examples
    --------
    >>> from neurodyn.recording import recorded_span, recording_from_arrays
    >>> recorded_span(recording_from_arrays("session", spikes=[[0.5, 2.0, 8.0], [1.0, 9.0]]))
    (0.5, 9.0)
    """
    bounds = [bound for signal in _signals(recording) if signal.n_samples for bound in _span(signal)]
    bounds += [bound for counts in recording.counts.values() if counts.n_bins for bound in (counts.start, counts.stop)]
    for trains in recording.spikes.values():
        bounds += [trains.start, trains.stop] if trains.n_spikes else []
        if trains.support is not None:
            stated = np.concatenate([one.rows.ravel() for one in set(trains.unit_supports)])
            bounds += stated[np.isfinite(stated)].tolist()
    return min(bounds, default=float("nan")), max(bounds, default=float("nan"))


def spike_supports(recording: Recording, trains: SpikeTrains, width: float = 0.0) -> tuple[TimeSupport, ...]:
    """When each unit was recorded: what its support says, without the invalid times.

    Units without a stated support, and stated supports with infinite bounds, reach as far as the recording does, from
    the first to the last time of all its sources: inside it silence is data.  At either end the group's own first or
    last spike is the bound instead if the silence from there to the end of the recording cannot be one, because more
    than 20 spikes would be expected in it (`IMPLAUSIBLE`, of groups with 100 spikes or more).  The bins of the first
    and of the last spike are whole.

    Parameters
    ----------
    recording
        Where the trains are from.
    trains
        The units, also a selection of them.
    width
        Width of a bin in seconds, that of the first and the last spike's.

    Returns
    -------
    tuple of TimeSupport
        One per unit, with finite bounds; equal ones are one object.

    Examples
    --------
    >>> from neurodyn.recording import recording_from_arrays, spike_supports
    >>> invalid = {"invalid_times": [[3.0, 5.0]]}
    >>> session = recording_from_arrays("session", spikes=[[0.5, 8.0], [1.0, 2.0]], intervals=invalid)
    >>> [support.rows.tolist() for support in spike_supports(session, session.spike_trains())]
    [[[0.5, 3.0], [5.0, 8.0]], [[0.5, 3.0], [5.0, 8.0]]]
    """
    start, stop = _default_span(recording, trains, width)
    invalid = invalid_times(recording)
    done: dict[TimeSupport, TimeSupport] = {}
    for one in trains.unit_supports:
        if one not in done:
            done[one] = one.bounded(start, stop).without(invalid)
    return shared(done[one] for one in trains.unit_supports)


def silent_ends(recording: Recording, trains: SpikeTrains) -> tuple[float, float]:
    """Start and stop (s) assumed for spike trains without a stated time support; infinite on a recorded side.

    See `spike_supports`: finite only where the silence from there to the end of the recording cannot be one.

    Examples
    --------
    >>> from neurodyn.recording import recording_from_arrays, silent_ends
    >>> session = recording_from_arrays("session", spikes=[[0.5, 2.0, 8.0]])
    >>> silent_ends(session, session.spike_trains())  # no end has been silent for so long that it cannot be silence
    (-inf, inf)
    """
    low, high = -np.inf, np.inf
    if trains.n_spikes < FEWEST_SPIKES or trains.stop == trains.start or _is_bounded(trains):
        return low, high
    start, stop = recorded_span(recording)
    rate = trains.n_spikes / (trains.stop - trains.start)
    low = trains.start if (trains.start - start) * rate > IMPLAUSIBLE else low
    high = trains.stop if (stop - trains.stop) * rate > IMPLAUSIBLE else high
    return low, high


def without_invalid_times(recording: Recording) -> Recording:
    """Return the recording with its invalid times missing everywhere.

    Samples in them and bins of counts that touch them are NaN, and units are not recorded there; the same recording if
    there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import recording_from_arrays, without_invalid_times
    >>> lfp, invalid = {"lfp": np.zeros(100)}, {"invalid_times": [[0.2, 0.5]]}
    >>> session = recording_from_arrays("session", fields=lfp, rates={"lfp": 100.0}, intervals=invalid)
    >>> int(np.isnan(without_invalid_times(session).field("lfp").values).sum())
    30
    """
    invalid = invalid_times(recording)
    if not len(invalid):
        return recording
    return replace(
        recording,
        spikes={name: _outside(trains, invalid) for name, trains in recording.spikes.items()},
        counts={name: _uncounted(counts, invalid) for name, counts in recording.counts.items()},
        fields={name: _masked(signal, invalid) for name, signal in recording.fields.items()},
        behaviour={name: _masked(signal, invalid) for name, signal in recording.behaviour.items()},
    )


def with_support(recording: Recording, support: TimeSupport | ArrayLike | str, names: Iterable[str] = ()) -> Recording:
    """Return the recording with its units recorded in a support only, besides what they say themselves.

    Parameters
    ----------
    recording
        For example one in pieces, whose file does not say when it was paused.
    support
        Stretches in seconds, also as an array of (stretches, 2), or the name of a table of intervals or a label in
        one (`Recording.find_intervals`).
    names
        Groups of units; all of them by default.

    Raises
    ------
    InputError
        If there is no such table, label or group.

    Examples
    --------
    >>> from neurodyn.recording import recording_from_arrays, with_support
    >>> session = recording_from_arrays("session", spikes=[[0.5, 2.0, 8.0]])
    >>> with_support(session, [[0.0, 4.0]]).spike_trains().unit_supports[0].rows.tolist()
    [[0.0, 4.0]]
    """
    if isinstance(support, str):
        table = recording.find_intervals(support)
        support = TimeSupport(table.starts, table.stops)
    outside = (support if isinstance(support, TimeSupport) else TimeSupport.of(support)).gaps()
    chosen = tuple(names) or tuple(recording.spikes)
    for name in chosen:
        if name not in recording.spikes:
            raise unknown_name("spikes", name, recording.spikes)
    parts = {name: _outside(recording.spikes[name], outside) for name in chosen}
    return replace(recording, spikes={**recording.spikes, **parts})


def _default_span(recording: Recording, trains: SpikeTrains, width: float) -> tuple[float, float]:
    """Bounds of units that state none, in seconds."""
    if _is_bounded(trains):
        return -np.inf, np.inf
    group = recording.spikes.get(trains.name, trains)  # of a selection the whole group tells when it was recorded
    start, stop = recorded_span(recording)
    if not group.n_spikes:
        return start, stop
    low, high = silent_ends(recording, group)
    # A bin that ends with the first spike is not the bin of it; the others are whole however they lie around it.
    first, last = group.start - max(width - 4 * slack(group.start), 0.0), group.stop + width
    return (
        first if np.isfinite(low) else min(start, first),
        last if np.isfinite(high) else max(stop, last),
    )


def _is_bounded(trains: SpikeTrains) -> bool:
    """Whether all units state when they were recorded, from the first time to the last."""
    stated = set(trains.unit_supports)
    return all(np.isfinite([*one.starts[:1], *one.stops[-1:]]).all() for one in stated)


def _outside(trains: SpikeTrains, gone: TimeSupport) -> SpikeTrains:
    """Units that were not recorded in some stretches."""
    done = {one: one.without(gone) for one in set(trains.unit_supports)}
    return replace(trains, support=tuple(done[one] for one in trains.unit_supports))


def _uncounted(counts: BinnedCounts, invalid: TimeSupport) -> BinnedCounts:
    """Counts whose bins are missing if they touch some stretches."""
    edges = counts.start + counts.width * np.arange(counts.n_bins + 1)
    whole = invalid.gaps().covers(edges[:-1], edges[1:])
    return replace(counts, values=np.where(whole[:, None], counts.values, np.nan))


def _masked(signal: Signal, invalid: TimeSupport) -> Signal:
    """A signal whose samples in some stretches are missing."""
    if not signal.n_samples:
        return signal
    first, last = (signal.index_of(cut(bound)) for bound in (invalid.starts, invalid.stops))
    runs = [(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True) if a < b]
    if not runs:
        return signal
    if isinstance(signal.values, LazyArray):
        return replace(signal, values=signal.values.without(runs))
    values = signal.values.copy()
    for a, b in runs:
        values[a:b] = np.nan
    return replace(signal, values=values)


def _signals(recording: Recording) -> list[Signal]:
    return [*recording.fields.values(), *recording.behaviour.values()]


def _span(signal: Signal) -> tuple[float, float]:
    """First sample to the end of the last one's period, in seconds."""
    return signal.start, signal.stop + (1.0 / signal.typical_rate if signal.n_samples > 1 else 0.0)
