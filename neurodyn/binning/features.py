"""Causal features of sampled signals: no sample at or after the end of a bin influences its value.

A bin that lacks samples, because they are NaN or were never taken, is missing; filters bridge short gaps with
the last value before them and start afresh after long ones, so that nothing missing poisons later bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy import signal as dsp

from neurodyn.errors import InputError
from neurodyn.recording import Signal

# Delta, theta (two, for rats run at its upper end), beta, low and high gamma; in Hz.
DEFAULT_BANDS = ((1.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 30.0), (30.0, 60.0), (60.0, 100.0))

_Values = Float64[np.ndarray, "samples channels"]
_Mask = Bool[np.ndarray, "samples channels"]
_Edges = Float[np.ndarray, " bins"]
_Binned = tuple[Float64[np.ndarray, "bins _"], Bool[np.ndarray, "bins _"]]


@dataclass(frozen=True)
class BandPower:
    """Logarithm of the causal power of a signal in frequency bands.

        feature[k] = log( mean over the samples of bin k of  EMA_smoothing( (causal band-pass of x)^2 ) )

    Parameters
    ----------
    bands
        (low, high) in Hz per band.
    smoothing
        Time constant in seconds of the exponential average of past power; 0 for none.
    order
        Of the Butterworth band-pass.
    bridge
        Longest gap in seconds over which the filters run on; after longer ones they start afresh.

    Raises
    ------
    InputError
        For bands that are not 0 < low < high, or negative durations.
    """

    bands: tuple[tuple[float, float], ...] = DEFAULT_BANDS
    smoothing: float = 0.1
    order: int = 2
    bridge: float = 0.1

    def __post_init__(self) -> None:
        if not self.bands:
            raise InputError("band powers need at least one band; for the signal itself give bands=None")
        for low, high in self.bands:
            if not 0 < low < high < np.inf:
                raise InputError(f"a band must be (low, high) in Hz with 0 < low < high, got ({low}, {high})")
        if self.order < 1:
            raise InputError(f"the filter order must be at least 1, got {self.order}")
        if not (0 <= self.smoothing < np.inf and 0 <= self.bridge < np.inf):
            raise InputError(f"smoothing and bridge must be seconds, 0 or more, got {self.smoothing}, {self.bridge}")

    def names(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Name of each feature, channel by channel: ``lfp0 8-12 Hz``."""
        return tuple(f"{channel} {low:g}-{high:g} Hz" for channel in channels for low, high in self.bands)


def bin_raw(signal: Signal, starts: _Edges, stops: _Edges) -> _Binned:
    """Mean of the samples of each bin.

    Parameters
    ----------
    signal
        Regular or not; NaN is missing.
    starts, stops
        Of each bin in seconds.

    Returns
    -------
    values, observed
        (bins, channels); missing values are 0.
    """
    values = signal.values.astype(np.float64)
    return _bin_means(values, ~np.isnan(values), signal, starts, stops)


def bin_band_power(signal: Signal, power: BandPower, starts: _Edges, stops: _Edges) -> _Binned:
    """Log band powers in each bin (see `BandPower`).

    The first period of a band's low edge after a start of the filters is missing: they have seen too little.

    Parameters
    ----------
    signal
        Sampled regularly, gaps allowed; NaN is missing.
    power
        Bands and smoothing.
    starts, stops
        Of each bin in seconds.

    Returns
    -------
    values, observed
        (bins, channels x bands), all bands of the first channel first; missing values are 0.

    Raises
    ------
    InputError
        When a band reaches the Nyquist frequency, or the sampling is too irregular for filters.
    """
    rate = signal.typical_rate
    _check_nyquist(signal, power)
    pieces = _regular_pieces(signal)
    values, observed = [], []
    for band in power.bands:
        level, known = _smoothed_power(signal.values.astype(np.float64), pieces, power, band, rate)
        mean, seen = _bin_means(level, known, signal, starts, stops)
        seen &= mean > 0
        values.append(np.log(np.where(seen, mean, 1.0)))
        observed.append(seen)
    bins = len(starts)
    return np.stack(values, axis=2).reshape(bins, -1), np.stack(observed, axis=2).reshape(bins, -1)


def _check_nyquist(signal: Signal, power: BandPower) -> None:
    """Bands lie below half the sampling rate."""
    for low, high in power.bands:
        if not high < signal.typical_rate / 2:
            raise InputError(
                f"band {low:g}-{high:g} Hz needs a sampling rate above {2 * high:g} Hz, field "
                f"'{signal.name}' has {signal.typical_rate:g} Hz: choose lower bands"
            )


def _regular_pieces(signal: Signal) -> list[slice]:
    """Stretches of samples without a gap in their timestamps.

    Raises
    ------
    InputError
        When one step in a hundred is off by more than a fifth: a filter would see wrong frequencies.
    """
    if signal.timestamps is None:
        return [slice(0, signal.n_samples)]
    step = np.diff(signal.times) * signal.typical_rate
    gap = step > 1.5
    if (np.abs(step[~gap] - 1) > 0.2).mean() > 0.01:
        raise InputError(
            f"field '{signal.name}' is sampled too irregularly for band powers: resample it to a fixed rate"
        )
    edges = [0, *(np.flatnonzero(gap) + 1), signal.n_samples]
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def _smoothed_power(
    values: _Values, pieces: list[slice], power: BandPower, band: tuple[float, float], rate: float
) -> tuple[_Values, _Mask]:
    """Power of every sample in one band, and where it is known."""
    level, known = np.zeros(values.shape), np.zeros(values.shape, np.bool_)
    missing = np.isnan(values)
    sos = np.asarray(dsp.butter(power.order, band, "bandpass", fs=rate, output="sos"))
    for columns in _same_gaps(missing):
        gaps = missing[:, columns[0]]
        for piece in pieces:
            for run in _stretches(gaps, piece, round(power.bridge * rate)):
                part = _bridged(values[run][:, columns], gaps[run])
                seen = ~gaps[run]
                seen[: round(rate / band[0])] = False
                squared = _band_passed(part, sos) ** 2
                level[run, columns], seen = _averaged(squared, seen, power.smoothing * rate)
                known[run, columns] = (seen & ~gaps[run])[:, None]
    return level, known


def _same_gaps(missing: _Mask) -> list[np.ndarray]:
    """Channels in groups that miss the same samples, so that each group is filtered at once."""
    groups: dict[bytes, list[int]] = {}
    for channel in range(missing.shape[1]):
        groups.setdefault(missing[:, channel].tobytes(), []).append(channel)
    return [np.asarray(columns) for columns in groups.values()]


def _stretches(gaps: Bool[np.ndarray, " samples"], piece: slice, longest: int) -> list[slice]:
    """Parts of a piece between gaps longer than `longest` samples, each beginning with an observed sample."""
    here = np.flatnonzero(~gaps[piece]) + piece.start
    if not len(here):
        return []
    breaks = np.flatnonzero(np.diff(here) - 1 > longest)
    first = here[np.concatenate([[0], breaks + 1])]
    last = here[np.concatenate([breaks, [len(here) - 1]])]
    return [slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def _bridged(values: _Values, gaps: Bool[np.ndarray, " samples"]) -> _Values:
    """The last value before a gap holds through it; a line to the value after it would look ahead."""
    return values[np.maximum.accumulate(np.where(gaps, 0, np.arange(len(gaps))))]


def _band_passed(values: _Values, sos: np.ndarray) -> _Values:
    """Causal filter, started as if the first value had been there for ever: an offset makes no step."""
    state = dsp.sosfilt_zi(sos)[:, :, None] * values[0]
    return np.asarray(dsp.sosfilt(sos, values, axis=0, zi=state)[0])


def _averaged(
    squared: _Values, seen: Bool[np.ndarray, " samples"], constant: float
) -> tuple[_Values, Bool[np.ndarray, " samples"]]:
    """Exponential average over the past samples that were seen, its weights summing to 1 from the start."""
    if constant == 0:
        return squared, seen
    decay = [1.0, -np.exp(-1.0 / constant)]
    total = np.asarray(dsp.lfilter([1.0], decay, np.where(seen[:, None], squared, 0.0), axis=0))
    weight = np.asarray(dsp.lfilter([1.0], decay, seen.astype(np.float64)))
    known = weight > 0
    return total / np.where(known, weight, 1.0)[:, None], known


def _bin_means(values: _Values, known: _Mask, signal: Signal, starts: _Edges, stops: _Edges) -> _Binned:
    """Mean of the samples of each bin; observed if the bin has samples and lacks none."""
    times = signal.times
    # A sample on an edge belongs to the bin that begins there, however the two were rounded.
    slack = 1e-6 / signal.typical_rate
    first, past = np.searchsorted(times, starts - slack), np.searchsorted(times, stops - slack)
    count = past - first
    lacking = _bin_sums((~known).astype(np.float64), first, past)
    total = _bin_sums(np.where(known, values, 0.0), first, past)
    whole = (count > 0) & ~_in_gap(times, signal.typical_rate, starts, stops)
    observed = whole[:, None] & (lacking == 0)
    return np.where(observed, total / np.maximum(count, 1)[:, None], 0.0), observed


def _bin_sums(values: _Values, first: np.ndarray, past: np.ndarray) -> Float64[np.ndarray, "bins channels"]:
    """Sum of ``values[first:past]`` per bin, each on its own (a running sum would lose digits)."""
    # The row of zeros gives bins past the last sample an index that exists.
    padded = np.concatenate([values, np.zeros((1, values.shape[1]))])
    sums = np.add.reduceat(padded, np.stack([first, past], axis=1).ravel(), axis=0)[::2]
    return np.where((past > first)[:, None], sums, 0.0)


def _in_gap(times: np.ndarray, rate: float, starts: _Edges, stops: _Edges) -> Bool[np.ndarray, " bins"]:
    """Bins that reach into a gap of the timestamps, or beyond the first or last sample."""
    period = 1.0 / rate
    jump = np.flatnonzero(np.diff(times) > 1.5 * period)
    gap_starts = np.concatenate([[-np.inf], times[jump] + period, [times[-1] + period]])
    gap_stops = np.concatenate([[times[0]], times[jump + 1], [np.inf]])
    # Half a period of tolerance: a clock that jitters, or is out of phase with the bins, lacks nothing.
    follows = np.searchsorted(gap_stops, starts + 0.5 * period, side="right")
    return gap_starts[follows] < stops - 0.5 * period
