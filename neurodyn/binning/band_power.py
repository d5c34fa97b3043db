"""Log power of a field potential in frequency bands, made sample by sample by causal filters.

Filters bridge short gaps with the last value before them and start afresh after long ones, so that nothing missing
poisons later bins.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool, Float, Float64

from neurodyn.binning.field_feature import FieldFeature, Known, Levels, LevelsKnown, Values
from neurodyn.errors import InputError

# Delta, theta (two, for rats run at its upper end), beta, low and high gamma; in Hz.
DEFAULT_BANDS = ((1.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 30.0), (30.0, 60.0), (60.0, 100.0))

_Rows = Float64[np.ndarray, "channels samples"]
_Columns = np.ndarray | slice

_NAME = re.compile(r"^(?P<channel>.*) (?P<low>[\d.e+-]+)-(?P<high>[\d.e+-]+) Hz$")


@dataclass(frozen=True)
class BandPower(FieldFeature):
    """Logarithm of the causal power of a signal in frequency bands.

        feature[k] = log( mean over the samples of bin k of  EMA_smoothing( (causal band-pass of x)^2 ) )

    The first period of a band's low edge after a start of the filters is missing: they have seen too little.

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

    Examples
    --------
    >>> import neurodyn as nd
    >>> power = nd.binning.BandPower(bands=((4.0, 8.0), (70.0, 110.0)), smoothing=0.2)
    >>> power.names(["lfp0"]), power.unit("mV")
    (('lfp0 4-8 Hz', 'lfp0 70-110 Hz'), 'log mV²')
    """

    label = "band powers"

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

    def filter(self, rate: float, channels: int) -> "PowerFilters":
        """All bands at once."""
        return PowerFilters(self, rate, channels)

    def of_mean(self, mean: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Log of the mean power; NaN where there is no power."""
        return np.log(np.where(mean > 0, mean, np.nan))

    def unit(self, unit: str) -> str:
        """``log mV²`` for millivolts."""
        return f"log {unit}²" if unit else "log power"

    def check_rate(self, rate: float, owner: str) -> None:
        """Bands lie below half the sampling rate."""
        for low, high in self.bands:
            if not high < rate / 2:
                raise InputError(
                    f"band {low:g}-{high:g} Hz needs a sampling rate above {2 * high:g} Hz, {owner} has {rate:g} Hz: "
                    "choose lower bands"
                )

    def names(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Name of each feature, channel by channel: ``lfp0 8-12 Hz``."""
        return tuple(f"{channel} {low:g}-{high:g} Hz" for channel in channels for low, high in self.bands)

    @classmethod
    def of_names(cls, names: Sequence[str]) -> "tuple[tuple[str, ...], BandPower] | None":
        """Channels and band powers, with the usual smoothing, order and bridging, which names do not tell.

        Examples
        --------
        >>> channels, power = BandPower.of_names(["lfp0 4-8 Hz", "lfp0 8-12 Hz"])
        >>> channels, power.bands
        (('lfp0',), ((4.0, 8.0), (8.0, 12.0)))
        """
        found = [match for match in map(_NAME.match, names) if match is not None]
        if len(found) < len(names) or not found:
            return None
        bands = [(float(m["low"]), float(m["high"])) for m in found if m["channel"] == found[0]["channel"]]
        channels, power = tuple(dict.fromkeys(m["channel"] for m in found)), cls(tuple(bands))
        return (channels, power) if power.names(channels) == tuple(names) else None


class PowerFilters:
    """Power in every band, sample by sample: causal filters whose state lasts from one block of samples to the next.

    Parameters
    ----------
    power, rate, channels
        What to filter, the rate in Hz.
    """

    def __init__(self, power: BandPower, rate: float, channels: int) -> None:
        bands = len(power.bands)
        self._sos = [
            np.asarray(scipy.signal.butter(power.order, band, "bandpass", fs=rate, output="sos"))
            for band in power.bands
        ]
        self._settled = np.stack([scipy.signal.sosfilt_zi(sos) for sos in self._sos])
        self._warm = np.array([round(rate / low) for low, _ in power.bands])
        self._longest, self._constant = round(power.bridge * rate), power.smoothing * rate
        self._last_seen = np.full(channels, -1)  # sample of the signal; -1: the filters have not been started
        self._last_value = np.zeros(channels)
        self._age = np.zeros(channels, np.int64)  # samples since the filters were started
        # Time is the last axis here, where SciPy filters without turning arrays around.
        self._filter = np.zeros((*self._settled.shape[:2], channels, 2))
        self._total, self._weight = np.zeros((bands, channels)), np.zeros((bands, channels))

    def push(self, values: Values, pieces: Sequence[tuple[slice, int]]) -> tuple[Levels, LevelsKnown]:
        """Power of every sample of a block in every band, and where it is known.

        Parameters
        ----------
        values
            Samples x channels, following those of the last call.
        pieces
            Stretches of the block without a gap in the clock, and the number of the first sample of each: it counts
            all ticks of the clock, those that no sample came of included.
        """
        shape = (len(self._sos), values.shape[1], len(values))
        level, known = np.zeros(shape), np.zeros(shape, np.bool_)
        missing = np.isnan(values)
        for piece, number in pieces:
            for columns, gaps in self._alike(missing[piece]):
                for run in _stretches(gaps, self._longest):
                    power, seen = self._run(values[piece][run][:, columns].T, gaps[run], columns, number + run.start)
                    rows = slice(piece.start + run.start, piece.start + run.stop)
                    level[:, columns, rows], known[:, columns, rows] = power, seen
        return level.transpose(2, 1, 0), known.transpose(2, 1, 0)

    def _alike(self, missing: Known) -> list[tuple[_Columns, Bool[np.ndarray, " samples"]]]:
        """Channels in groups of one history that miss the same samples, which are filtered at once; what they miss.

        Most signals lack nothing or all channels at once: one look at the whole saves one at each channel.
        """
        seen, age, gaps = self._last_seen, self._age, missing[:, 0]
        if (seen == seen[0]).all() and (age == age[0]).all() and (missing == gaps[:, None]).all():
            return [(slice(None), gaps)]
        groups: dict[tuple, list[int]] = {}
        for channel in range(missing.shape[1]):
            history = int(seen[channel]), int(age[channel])
            groups.setdefault((*history, missing[:, channel].tobytes()), []).append(channel)
        return [(np.asarray(columns), missing[:, columns[0]]) for columns in groups.values()]

    def _run(
        self, values: _Rows, gaps: Bool[np.ndarray, " samples"], columns: _Columns, first: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """One stretch that begins with an observed sample: go on from the last one, or start afresh.

        Values are channels x samples; powers and where they are known come as bands x channels x samples.
        """
        bridged = _bridged(values, gaps)
        before = int(self._last_seen[columns][0])
        hold = first - before - 1
        if before < 0 or hold > self._longest:
            self._start(columns, bridged[:, 0])
            hold = 0
        held = np.broadcast_to(self._last_value[columns][:, None], (len(bridged), hold))
        part = np.concatenate([held, bridged], axis=1)
        age = int(self._age[columns][0])
        # The first period of a band after a start is not counted, nor are samples that were bridged.
        seen = np.arange(age, age + part.shape[1]) >= self._warm[:, None]
        seen[:, :hold] = False
        seen[:, hold:] &= ~gaps
        filtered = self._filtered(part, columns)
        level, known = self._averaged(np.square(filtered, out=filtered), seen, columns)
        self._last_seen[columns], self._last_value[columns] = first + len(gaps) - 1, bridged[:, -1]
        self._age[columns] += part.shape[1]
        return level[:, :, hold:], known[:, :, hold:] & ~gaps

    def _filtered(self, part: np.ndarray, columns: _Columns) -> np.ndarray:
        """Samples (channels x samples) through the band-pass of each band, which goes on: bands first."""
        filtered = np.empty((len(self._sos), *part.shape))
        for band, sos in enumerate(self._sos):
            state = self._filter[band][:, columns]
            filtered[band], self._filter[band][:, columns] = scipy.signal.sosfilt(sos, part, axis=-1, zi=state)
        return filtered

    def _start(self, columns: _Columns, value: Float64[np.ndarray, " channels"]) -> None:
        """Start as if the first value had been there for ever: an offset makes no step."""
        self._filter[:, :, columns] = self._settled[:, :, None] * value[:, None]
        self._total[:, columns] = self._weight[:, columns] = 0
        self._age[columns] = 0

    def _averaged(
        self, squared: np.ndarray, seen: Bool[np.ndarray, "bands samples"], columns: _Columns
    ) -> tuple[np.ndarray, np.ndarray]:
        """Exponential average over the past samples that were seen, its weights summing to 1 from the start.

        The channels of a group see the same: one weight stands for all of them, unless a sample that one of them missed
        before still counts.
        """
        counted = seen[:, None]
        if self._constant == 0:
            return squared, counted
        decay = [1.0, -np.exp(-1.0 / self._constant)]
        if not seen.all():
            np.copyto(squared, 0.0, where=~counted)
        total, state = scipy.signal.lfilter([1.0], decay, squared, axis=-1, zi=self._total[:, columns, None])
        self._total[:, columns] = state[..., 0]
        before = self._weight[:, columns]
        if (before == before[:, :1]).all():
            before = before[:, :1]
        counts = np.broadcast_to(counted, (*before.shape, seen.shape[1])).astype(np.float64)
        weight, state = scipy.signal.lfilter([1.0], decay, counts, axis=-1, zi=before[..., None])
        self._weight[:, columns] = state[..., 0]
        known = weight > 0
        total /= np.where(known, weight, 1.0)
        return total, known


def _stretches(gaps: Bool[np.ndarray, " samples"], longest: int) -> list[slice]:
    """Parts between gaps longer than `longest` samples, each beginning and ending with an observed sample."""
    here = np.flatnonzero(~gaps)
    if not len(here):
        return []
    breaks = np.flatnonzero(np.diff(here) - 1 > longest)
    first = here[np.concatenate([[0], breaks + 1])]
    last = here[np.concatenate([breaks, [len(here) - 1]])]
    return [slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def _bridged(values: _Rows, gaps: Bool[np.ndarray, " samples"]) -> _Rows:
    """The last value before a gap holds through it; a line to the value after it would look ahead. Samples last."""
    if not gaps.any():
        return values
    return values[:, np.maximum.accumulate(np.where(gaps, 0, np.arange(len(gaps))))]
