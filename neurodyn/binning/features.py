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
from jaxtyping import Bool, Float, Float64, Int

from neurodyn.binning.band_power import BandPower
from neurodyn.binning.field_feature import FieldFeature, Known, Levels, LevelsKnown, SampleFilter, Values
from neurodyn.binning.signal_mean import SignalMean
from neurodyn.errors import InputError
from neurodyn.recording import Signal
from neurodyn.recording.edges import cut
from neurodyn.recording.lazy import BLOCK_VALUES

_Edges = Float[np.ndarray, " bins"]
_Binned = tuple[Float64[np.ndarray, "bins _"], Bool[np.ndarray, "bins _"]]

FEATURES: dict[str, type[FieldFeature]] = {"band_power": BandPower, "raw": SignalMean}
"""By the name that ``neurodyn decode --feature`` gives; to add one, see ADDING_A_FEATURE.md."""


def feature_of(names: Sequence[str]) -> tuple[tuple[str, ...], FieldFeature]:
    """Channels of the signal and what was made of them, from the names of a model's channels.

    Examples
    --------
    >>> feature_of(["lfp0 4-8 Hz", "lfp1 4-8 Hz"])[0]
    ('lfp0', 'lfp1')
    """
    others = [feature for feature in FEATURES.values() if feature is not SignalMean]
    found = (feature.of_names(names) for feature in others)
    return next((each for each in found if each is not None), SignalMean.of_names(names))


def bin_feature(signal: Signal, feature: FieldFeature, starts: _Edges, stops: _Edges) -> _Binned:
    """A feature of a signal in each bin.

    Parameters
    ----------
    signal
        Sampled regularly, gaps allowed, where the feature needs it; NaN is missing.
    feature
        What to make of it.
    starts, stops
        Of each bin in seconds.

    Returns
    -------
    values, observed
        (bins, channels x values per channel), all values of the first channel first; missing values are 0.

    Raises
    ------
    InputError
        When the sampling rate is too low for the feature, or the sampling too irregular for its filters.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> edges = nd.TimeGrid(start=2.0, width=0.1, bins=50).edges
    >>> theta = nd.binning.BandPower(bands=((6.0, 10.0),))
    >>> values, observed = nd.binning.bin_feature(session.field("lfp"), theta, edges[:-1], edges[1:])
    >>> values.shape, bool(observed.all())
    ((50, 2), True)
    """
    feature.check_rate(signal.typical_rate, f"field '{signal.name}'")
    if feature.even:
        _check_even(signal, feature)
    gaps, per_channel = _gaps(signal), len(feature.names(("",)))
    made_by = feature.filter(signal.typical_rate, signal.n_channels)
    # The values of all filters are there at once, each as large as the samples.
    rows, values, observed = max(1, _rows_at_once(signal) // per_channel), [], []
    done = 0
    for part in _parts(signal, gaps, starts, stops, rows):
        # What lies before the bins is filtered too, if only to bring the filter into its state.
        for begin in range(done, part.first, rows) if made_by is not None else ():
            _push(made_by, signal, gaps, begin, min(begin + rows, part.first))
        level, known = _push(made_by, signal, gaps, part.first, part.last)
        done = part.last
        means, seen = zip(*(_bin_means(level[:, :, k], known[:, :, k], part) for k in range(per_channel)), strict=True)
        whole = np.stack(seen, axis=2)
        made = feature.of_mean(np.where(whole, np.stack(means, axis=2), np.nan))
        whole = whole & ~np.isnan(made)
        values.append(np.where(whole, made, 0.0).reshape(len(made), -1))
        observed.append(whole.reshape(len(made), -1))
    return np.concatenate(values), np.concatenate(observed)


def _check_even(signal: Signal, feature: FieldFeature) -> None:
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
            f"field '{signal.name}' is sampled too irregularly for {feature.label}: of its steps between samples "
            f"{off:.0%} are further than a fifth from the mean {clock.period:.3g} s: resample it to a fixed rate"
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


def _parts(signal: Signal, gaps: _Gaps, starts: _Edges, stops: _Edges, rows: int) -> list[_Part]:
    """Bins in parts that need so many samples at most, or one bin's: few enough to be held in memory."""
    first, past = signal.index_of(cut(starts)), signal.index_of(cut(stops))
    whole = (past > first) & ~_in_gap(gaps, starts, stops)
    parts, begin = [], 0
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
    made_by: SampleFilter | None, signal: Signal, gaps: _Gaps, first: int, last: int
) -> tuple[Levels, LevelsKnown]:
    """Read samples and run them through the filter; without one they are what they are."""
    values = signal.read(first, last)
    if made_by is None:
        return values[:, :, None], ~np.isnan(values)[:, :, None]
    inside = gaps.after[slice(*np.searchsorted(gaps.after, [first, last]))] - first
    edges = [0, *inside.tolist(), last - first]
    pieces = [(slice(a, b), gaps.number(first + a)) for a, b in pairwise(edges) if b > a]
    return made_by.push(values, pieces)


def _bin_means(values: Values, known: Known, part: _Part) -> _Binned:
    """Mean of the samples of each bin; observed if the bin has samples and lacks none."""
    lacking = _bin_sums((~known).astype(np.float64), part.starts, part.stops)
    total = _bin_sums(np.where(known, values, 0.0), part.starts, part.stops)
    observed = part.whole[:, None] & (lacking == 0)
    count = np.maximum(part.stops - part.starts, 1)
    return np.where(observed, total / count[:, None], 0.0), observed


def _bin_sums(values: Values, first: np.ndarray, past: np.ndarray) -> Float64[np.ndarray, "bins channels"]:
    """Sum of ``values[first:past]`` per bin, each on its own (a running sum would lose digits)."""
    # The row of zeros gives bins past the last sample an index that exists.
    padded = np.concatenate([values, np.zeros((1, values.shape[1]))])
    sums = np.add.reduceat(padded, np.stack([first, past], axis=1).ravel(), axis=0)[::2]
    return np.where((past > first)[:, None], sums, 0.0)


def _in_gap(gaps: _Gaps, starts: _Edges, stops: _Edges) -> Bool[np.ndarray, " bins"]:
    """Bins in which a sample was lost, or that lie before the first or after the last."""
    follows = np.searchsorted(gaps.last, cut(starts))
    return gaps.first[follows] < cut(stops)
