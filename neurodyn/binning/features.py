"""Causal features of sampled signals: no sample at or after the end of a bin influences its value.

A bin that lacks samples, because they are NaN or were never taken, is missing; filters bridge short gaps with
the last value before them and start afresh after long ones, so that nothing missing poisons later bins. A gap in the
timestamps is as many NaN as the clock ticked in it: both give the same numbers and masks.
Signals are gone through in blocks, with the state of the filters carried from one to the next: a signal that lies
in a file need not fit into memory, and the features do not depend on where a block ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy
from jaxtyping import Bool, Float, Float64, Int

from neurodyn.errors import InputError
from neurodyn.recording import Signal
from neurodyn.recording.edges import cut
from neurodyn.recording.lazy import BLOCK_VALUES

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
    means, observed = [], []
    for part in _parts(signal, _gaps(signal), starts, stops):
        values = signal.read(part.first, part.last)
        mean, seen = _bin_means(values, ~np.isnan(values), part)
        means.append(mean)
        observed.append(seen)
    return np.concatenate(means), np.concatenate(observed)


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
    _check_nyquist(signal, power)
    _check_even(signal)
    gaps = _gaps(signal)
    filters = [PowerFilter(power, band, signal.typical_rate, signal.n_channels) for band in power.bands]
    rows, values, observed = _rows_at_once(signal), [], []
    done = 0
    for part in _parts(signal, gaps, starts, stops):
        # What lies before the bins is filtered too, if only to bring the filters into their state.
        for begin in range(done, part.first, rows):
            _push(filters, signal, gaps, begin, min(begin + rows, part.first))
        filtered = _push(filters, signal, gaps, part.first, part.last)
        done = part.last
        means, seen = zip(*(_bin_means(level, known, part) for level, known in filtered), strict=True)
        mean, whole = np.stack(means, axis=2), np.stack(seen, axis=2)
        whole &= mean > 0
        values.append(np.log(np.where(whole, mean, 1.0)).reshape(len(mean), -1))
        observed.append(whole.reshape(len(mean), -1))
    return np.concatenate(values), np.concatenate(observed)


def _check_nyquist(signal: Signal, power: BandPower) -> None:
    """Bands lie below half the sampling rate."""
    for low, high in power.bands:
        if not high < signal.typical_rate / 2:
            raise InputError(
                f"band {low:g}-{high:g} Hz needs a sampling rate above {2 * high:g} Hz, field "
                f"'{signal.name}' has {signal.typical_rate:g} Hz: choose lower bands"
            )


def _check_even(signal: Signal) -> None:
    """Refuse a signal that filters would see wrong frequencies of.

    Raises
    ------
    InputError
        When one step in a hundred is off by more than a fifth, and not only because the stamps were rounded.
    """
    clock = signal.clock
    if signal.timestamps is None or clock.regular:
        return
    step = np.diff(signal.timestamps)
    off = float((np.abs(step[step <= clock.longest] * clock.rate - 1) > 0.2).mean())
    if off > 0.01 or not clock.even:
        raise InputError(
            f"field '{signal.name}' is sampled too irregularly for band powers: of its steps between samples {off:.0%} "
            f"are further than a fifth from the mean {clock.period:.3g} s: resample it to a fixed rate"
        )


@dataclass(frozen=True)
class _Gaps:
    """Gaps of a signal's clock: samples that it ticked for and that were never stored.

    Parameters
    ----------
    after
        Number of the stored sample that follows each gap.
    lost
        Samples lost up to the end of each gap, in all.
    first, last
        Time of the first and the last sample lost in each, seconds. What was not recorded before the first sample
        and after the last is a gap without begin, and one without end.
    """

    after: Int[np.ndarray, " gaps"]
    lost: Int[np.ndarray, " gaps"]
    first: Float64[np.ndarray, " gaps_and_two"]
    last: Float64[np.ndarray, " gaps_and_two"]

    def number(self, sample: int) -> int:
        """Number of a stored sample on a clock without gaps."""
        before = int(np.searchsorted(self.after, sample, side="right"))
        return sample + (int(self.lost[before - 1]) if before else 0)


def _gaps(signal: Signal) -> _Gaps:
    """Gaps in the timestamps of a signal; NaN are in its values, and found there."""
    clock = signal.clock
    early = min(clock.jitter, 0.5 * clock.period)
    ends = signal.start - clock.period + early, signal.stop + clock.period + early
    after, lost = np.zeros(0, np.int64), np.zeros(0, np.int64)
    first = last = np.zeros(0)
    if signal.timestamps is not None:
        step = np.diff(signal.timestamps)
        after = np.flatnonzero(step > clock.longest) + 1
        step = step[after - 1]
        lost = ticks(step, clock.rate) - 1
        tick = step / (lost + 1)
        # A stamp that came early by its jitter stands for a tick on the edge after it.
        first = signal.timestamps[after - 1] + tick + early
        last = signal.timestamps[after] - tick + early
    return _Gaps(
        after,
        np.cumsum(lost),
        np.concatenate([[-np.inf], first, [ends[1]]]),
        np.concatenate([[ends[0]], last, [np.inf]]),
    )


def whole_after(signal: Signal) -> float:
    """Seconds from which on a bin lacks no sample that was taken before the first one of a signal.

    A bin that begins a whole period before the first sample lacks one, hence the thousandth of a period.
    """
    return float(_gaps(signal).last[0]) + 1e-3 * signal.clock.period


def ticks(steps: Float[np.ndarray, " steps"], rate: float) -> Int[np.ndarray, " steps"]:
    """Ticks of a clock from each sample to the next, 1 where nothing was lost between them.

    Parameters
    ----------
    steps
        Seconds.
    rate
        Of the clock, Hz.
    """
    return np.maximum(np.rint(steps * rate), 1).astype(np.int64)


@dataclass(frozen=True)
class _Part:
    """Bins that are made at once, and the samples they are made from.

    Parameters
    ----------
    first, last
        Samples of the signal to read.
    starts, stops
        Samples of each bin, counted from `first`.
    whole
        Bins without a gap in the clock.
    """

    first: int
    last: int
    starts: Int[np.ndarray, " bins"]
    stops: Int[np.ndarray, " bins"]
    whole: Bool[np.ndarray, " bins"]


def _parts(signal: Signal, gaps: _Gaps, starts: _Edges, stops: _Edges) -> list[_Part]:
    """Bins in parts that need few enough samples to be held in memory."""
    first, past = signal.index_of(cut(starts)), signal.index_of(cut(stops))
    whole = (past > first) & ~_in_gap(gaps, starts, stops)
    rows, parts, begin = _rows_at_once(signal), [], 0
    in_order = not (first[1:] < past[:-1]).any()
    while begin < len(first):
        end = int(np.searchsorted(past, first[begin] + rows, side="right")) if in_order else len(first)
        chosen = slice(begin, max(end, begin + 1))
        low, high = int(first[chosen].min()), int(past[chosen].max())
        parts.append(_Part(low, high, first[chosen] - low, past[chosen] - low, whole[chosen]))
        begin = chosen.stop
    return parts


def _rows_at_once(signal: Signal) -> int:
    """Samples read at once."""
    return max(1, BLOCK_VALUES // max(1, signal.n_channels))


def _push(
    filters: "list[PowerFilter]", signal: Signal, gaps: _Gaps, first: int, last: int
) -> list[tuple[_Values, _Mask]]:
    """Read samples and run them through the filter of every band."""
    values = signal.read(first, last)
    inside = gaps.after[slice(*np.searchsorted(gaps.after, [first, last]))] - first
    edges = [0, *inside.tolist(), last - first]
    pieces = [(slice(a, b), gaps.number(first + a)) for a, b in pairwise(edges) if b > a]
    return [one.push(values, pieces) for one in filters]


class PowerFilter:
    """Power of one band, sample by sample: a causal filter whose state lasts from one block of samples to the next.

    Parameters
    ----------
    power, band, rate, channels
        What to filter, the rate in Hz.
    """

    def __init__(self, power: BandPower, band: tuple[float, float], rate: float, channels: int) -> None:
        self._sos = np.asarray(scipy.signal.butter(power.order, band, "bandpass", fs=rate, output="sos"))
        self._warm, self._longest, self._constant = (
            round(rate / band[0]),
            round(power.bridge * rate),
            (power.smoothing * rate),
        )
        self._last_seen = np.full(channels, -1)  # sample of the signal; -1: the filter has not been started
        self._last_value = np.zeros(channels)
        self._age = np.zeros(channels, np.int64)  # samples since the filter was started
        self._filter = np.zeros((len(self._sos), 2, channels))
        self._total, self._weight = np.zeros((1, channels)), np.zeros((1, channels))

    def push(self, values: _Values, pieces: Sequence[tuple[slice, int]]) -> tuple[_Values, _Mask]:
        """Power of every sample of a block, and where it is known.

        Parameters
        ----------
        values
            Samples x channels, following those of the last call.
        pieces
            Stretches of the block without a gap in the clock, and the number of the first sample of each: it counts
            all ticks of the clock, those that no sample came of included.
        """
        level, known = np.zeros(values.shape), np.zeros(values.shape, np.bool_)
        missing = np.isnan(values)
        for piece, number in pieces:
            for columns in self._alike(missing[piece]):
                gaps = missing[piece, columns[0]]
                for run in _stretches(gaps, self._longest):
                    power, seen = self._run(values[piece][run][:, columns], gaps[run], columns, number + run.start)
                    rows = slice(piece.start + run.start, piece.start + run.stop)
                    level[rows, columns], known[rows, columns] = power, seen
        return level, known

    def _alike(self, missing: _Mask) -> list[np.ndarray]:
        """Channels in groups of one history that miss the same samples, so that each group is filtered at once."""
        groups: dict[tuple, list[int]] = {}
        for channel in range(missing.shape[1]):
            history = int(self._last_seen[channel]), int(self._age[channel])
            groups.setdefault((*history, missing[:, channel].tobytes()), []).append(channel)
        return [np.asarray(columns) for columns in groups.values()]

    def _run(
        self, values: _Values, gaps: Bool[np.ndarray, " samples"], columns: np.ndarray, first: int
    ) -> tuple[_Values, _Mask]:
        """One stretch that begins with an observed sample: go on from the last one, or start afresh."""
        bridged = _bridged(values, gaps)
        before = int(self._last_seen[columns[0]])
        hold = first - before - 1
        if before < 0 or hold > self._longest:
            self._start(columns, bridged[0])
            hold = 0
        held = np.broadcast_to(self._last_value[columns], (hold, len(columns)))
        part = np.concatenate([held, bridged])
        seen = np.concatenate([np.zeros(hold, np.bool_), ~gaps])
        seen[: max(0, self._warm - int(self._age[columns[0]]))] = False
        filtered, self._filter[:, :, columns] = scipy.signal.sosfilt(
            self._sos, part, axis=0, zi=self._filter[:, :, columns]
        )
        level, known = self._averaged(np.asarray(filtered) ** 2, seen, columns)
        self._last_seen[columns], self._last_value[columns] = first + len(gaps) - 1, bridged[-1]
        self._age[columns] += len(part)
        return level[hold:], known[hold:] & ~gaps[:, None]

    def _start(self, columns: np.ndarray, value: Float64[np.ndarray, " channels"]) -> None:
        """Start as if the first value had been there for ever: an offset makes no step."""
        self._filter[:, :, columns] = scipy.signal.sosfilt_zi(self._sos)[:, :, None] * value
        self._total[:, columns] = self._weight[:, columns] = 0
        self._age[columns] = 0

    def _averaged(
        self, squared: _Values, seen: Bool[np.ndarray, " samples"], columns: np.ndarray
    ) -> tuple[_Values, _Mask]:
        """Exponential average over the past samples that were seen, its weights summing to 1 from the start."""
        counted = np.repeat(seen[:, None], len(columns), axis=1)
        if self._constant == 0:
            return squared, counted
        decay = [1.0, -np.exp(-1.0 / self._constant)]
        power = np.where(counted, squared, 0.0)
        total, self._total[:, columns] = scipy.signal.lfilter([1.0], decay, power, axis=0, zi=self._total[:, columns])
        weight, self._weight[:, columns] = scipy.signal.lfilter(
            [1.0], decay, counted.astype(np.float64), axis=0, zi=self._weight[:, columns]
        )
        known = weight > 0
        return total / np.where(known, weight, 1.0), known


def _stretches(gaps: Bool[np.ndarray, " samples"], longest: int) -> list[slice]:
    """Parts between gaps longer than `longest` samples, each beginning and ending with an observed sample."""
    here = np.flatnonzero(~gaps)
    if not len(here):
        return []
    breaks = np.flatnonzero(np.diff(here) - 1 > longest)
    first = here[np.concatenate([[0], breaks + 1])]
    last = here[np.concatenate([breaks, [len(here) - 1]])]
    return [slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def _bridged(values: _Values, gaps: Bool[np.ndarray, " samples"]) -> _Values:
    """The last value before a gap holds through it; a line to the value after it would look ahead."""
    return values[np.maximum.accumulate(np.where(gaps, 0, np.arange(len(gaps))))]


def _bin_means(values: _Values, known: _Mask, part: _Part) -> _Binned:
    """Mean of the samples of each bin; observed if the bin has samples and lacks none."""
    lacking = _bin_sums((~known).astype(np.float64), part.starts, part.stops)
    total = _bin_sums(np.where(known, values, 0.0), part.starts, part.stops)
    observed = part.whole[:, None] & (lacking == 0)
    count = np.maximum(part.stops - part.starts, 1)
    return np.where(observed, total / count[:, None], 0.0), observed


def _bin_sums(values: _Values, first: np.ndarray, past: np.ndarray) -> Float64[np.ndarray, "bins channels"]:
    """Sum of ``values[first:past]`` per bin, each on its own (a running sum would lose digits)."""
    # The row of zeros gives bins past the last sample an index that exists.
    padded = np.concatenate([values, np.zeros((1, values.shape[1]))])
    sums = np.add.reduceat(padded, np.stack([first, past], axis=1).ravel(), axis=0)[::2]
    return np.where((past > first)[:, None], sums, 0.0)


def _in_gap(gaps: _Gaps, starts: _Edges, stops: _Edges) -> Bool[np.ndarray, " bins"]:
    """Bins in which a sample was lost, or that lie before the first or after the last."""
    follows = np.searchsorted(gaps.last, cut(starts))
    return gaps.first[follows] < cut(stops)
