"""What looks wrong in a recording although it can be used: units of time, swapped axes, clocks that do not meet."""

import warnings
from collections.abc import Iterator

import numpy as np

from neurodyn.recording.recorded import invalid_times
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport

LOW_HZ, HIGH_HZ = 0.01, 500.0
"""A group of sorted units whose median rate lies outside was most likely not recorded in seconds."""
FEWEST_SPIKES = 20
"""Below this many spikes in all, a rate says nothing."""
MOST_APART = 20.0
"""Spikes over a time this many times longer, or shorter, than any signal have another unit of time."""
PAUSE_SECONDS, PAUSE_SPIKES = 10.0, 1000
"""A silence of all units of so many seconds, in which so many spikes were to be expected, is most likely a pause."""
MOST_OUTSIDE = 0.01
"""Share of the spikes that may lie outside of the time in which units were recorded."""
MOST_GROUPED = 5.0
"""Samples whose usual step is this many times shorter than the mean one were stamped in groups."""
MOST_CHANNELS = 10
"""Channels per sample from which on axes were most likely swapped."""


class ImplausibleWarning(UserWarning):
    """A recording can be read but is most likely not what it says it is.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from neurodyn.recording import ImplausibleWarning, recording_from_arrays
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ImplausibleWarning)  # refuses what only looks wrong
    ...     recording_from_arrays("session", spikes=[np.arange(0.0, 10.0, 0.1)]).spike_trains().n_spikes
    100
    """


def doubts(recording: Recording) -> list[str]:
    """Say in one line each what is implausible; rates in Hz, times in seconds.

    Parameters
    ----------
    recording
        What to look at.

    Returns
    -------
    list of str
        Empty if nothing is.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import Recording, SpikeTrains, doubts
    >>> milliseconds = SpikeTrains("spikes", (np.arange(0.0, 9e6, 2e3),), units=("a",))
    >>> doubts(Recording("session", spikes={"spikes": milliseconds}))[0][:44]
    "units of 'spikes' fire at 0.0005 Hz (median)"
    """
    signals = [*recording.fields.values(), *recording.behaviour.values()]
    found = [_rate_doubt(trains) for trains in recording.spikes.values()]
    found += [_span_doubt(trains, signals) for trains in recording.spikes.values()]
    found += [_support_doubt(trains) for trains in recording.spikes.values()]
    found += [_pause_doubt(trains, invalid_times(recording)) for trains in recording.spikes.values()]
    found += [_axes_doubt(signal) for signal in signals]
    found += [_stamps_doubt(signal) for signal in signals]
    return [doubt for doubt in found if doubt]


def warn_of_doubts(recording: Recording) -> Recording:
    """Warn of each doubt (`ImplausibleWarning`) and return the recording."""
    for doubt in doubts(recording):
        warnings.warn(f"recording '{recording.name}': {doubt}", ImplausibleWarning, stacklevel=3)
    return recording


def _rate_doubt(trains: SpikeTrains) -> str:
    span = trains.stop - trains.start
    if trains.n_spikes < FEWEST_SPIKES or not span > 0:
        return ""
    rate = float(np.median([train.size for train in trains.times if train.size])) / span
    if LOW_HZ <= rate <= HIGH_HZ:
        return ""
    likely = "milliseconds or samples" if rate < LOW_HZ else "kiloseconds, or rates were taken for times"
    return f"units of '{trains.name}' fire at {rate:.3g} Hz (median): are their times in seconds, not {likely}?"


def _span_doubt(trains: SpikeTrains, signals: list[Signal]) -> str:
    spans = [signal.stop - signal.start for signal in signals if signal.n_samples > 1]
    spiking = trains.stop - trains.start
    if trains.n_spikes < FEWEST_SPIKES or not spans or not spiking > 0:
        return ""
    longest = max(spans)
    if 1 / MOST_APART <= spiking / longest <= MOST_APART:
        return ""
    return f"spikes of '{trains.name}' cover {spiking:.4g} s, the longest signal {longest:.4g} s: one is not in seconds"


def _support_doubt(trains: SpikeTrains) -> str:
    if trains.support is None or trains.n_spikes < FEWEST_SPIKES:
        return ""
    inside = sum(support.count(train) for support, train in zip(trains.unit_supports, trains.times, strict=True))
    outside = trains.n_spikes - inside
    if outside <= MOST_OUTSIDE * trains.n_spikes:
        return ""
    return (
        f"{outside} of {trains.n_spikes} spikes of '{trains.name}' lie outside of the time support and are not counted:"
        " are its times in seconds?"
    )


def _stamps_doubt(signal: Signal) -> str:
    if signal.timestamps is None or signal.clock.even:
        return ""
    usual = float(np.median(np.diff(signal.timestamps)))
    if usual * MOST_GROUPED > signal.clock.period:
        return ""
    return (
        f"samples of '{signal.name}' are stamped in groups (most steps are {usual:.2g} s or less, the mean is "
        f"{signal.clock.period:.2g} s): are these the times of arrival? They are taken for samples at "
        f"{signal.typical_rate:.4g} Hz; give a rate if the clock was even"
    )


def _pause_doubt(trains: SpikeTrains, invalid: TimeSupport) -> str:
    """The first silence of all units together that can hardly be one, where nothing says that it was a pause."""
    spikes, span = trains.n_spikes, trains.stop - trains.start
    if trains.support is not None or spikes < PAUSE_SPIKES or not span > 0:
        return ""
    longest = max(PAUSE_SECONDS, PAUSE_SPIKES * span / spikes)
    for start, stop in _silences(trains, longest):
        if TimeSupport.of([[start, stop]]).without(invalid).seconds > longest:
            expected = spikes * (stop - start) / span
            return (
                f"no unit of '{trains.name}' fires from {start:.6g} to {stop:.6g} s, where {expected:,.0f} spikes were"
                " to be expected: if nothing was recorded there, say so with a time support (with_support, --support)"
            )
    return ""


def _silences(trains: SpikeTrains, longest: float) -> Iterator[tuple[float, float]]:
    """Last spike before and first spike after each silence of all units that is longer than so many seconds."""
    cell = 0.5 * longest  # a longer silence leaves a whole cell empty
    fired = np.zeros(int((trains.stop - trains.start) / cell) + 1, np.bool_)
    for train in trains.times:
        fired[((train - trains.start) / cell).astype(np.int64)] = True
    empty = np.flatnonzero(~fired)
    for first in empty[np.diff(empty, prepend=-2) > 1]:
        moment = trains.start + (first + 0.5) * cell
        place = [(train, int(np.searchsorted(train, moment))) for train in trains.times]
        before = max(train[index - 1] for train, index in place if index)
        after = min(train[index] for train, index in place if index < train.size)
        if after - before > longest:
            yield float(before), float(after)


def _axes_doubt(signal: Signal) -> str:
    if signal.n_samples == 0 or signal.n_channels <= MOST_CHANNELS * signal.n_samples or signal.n_channels < 100:
        return ""
    return (
        f"signal '{signal.name}' has {signal.n_samples} samples of {signal.n_channels} channels: "
        "are its axes swapped (samples x channels)?"
    )
