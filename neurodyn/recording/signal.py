"""Sampled channels: field potentials, position, anything that has a value at every tick of a clock."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64, Int

from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError
from neurodyn.recording.clocks import Clock, fit_clock
from neurodyn.recording.edges import cut
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.names import places_of, unique_names
from neurodyn.recording.times import check_span, seconds


@dataclass(frozen=True, eq=False, repr=False)
class Signal(Shown):
    """Sampled channels on a regular clock (``rate``) or with a time for every sample (``timestamps``).

    Parameters
    ----------
    name
        What the signal is called in its recording.
    values
        Samples x channels, in ``unit``; NaN where a sample is missing.  Integers are converted to float64.  A
        `LazyArray` stays in its file; ``read`` gives parts of either kind.
    timestamps
        Time of each sample in seconds, strictly increasing; None if the clock is regular.
    rate
        Samples per second (Hz) of a regular clock; None if there are timestamps.
    start
        Time of the first sample in seconds; with timestamps it is always the first of them.
    channels
        One unique name per channel; left out, they are ``name_0, name_1, ...``.
    unit
        Unit of the values, for display.

    Raises
    ------
    InputError
        If both or neither of timestamps and rate are given, shapes or names do not match, time does not
        increase, or a value is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import Signal
    >>> lfp = Signal("lfp", np.zeros((2000, 2)), rate=1000.0, channels=("CA1", "CA3"), unit="V")
    >>> lfp.duration, lfp.between(0.5, 1.0).n_samples, lfp.select(["CA3"]).n_channels
    (1.999, 500, 1)
    """

    name: str
    values: Float[np.ndarray, "samples channels"] | LazyArray
    timestamps: Float[np.ndarray, " samples"] | None = None
    rate: float | None = None
    start: float = 0.0
    channels: tuple[str, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        _normalise_values(self)
        if self.timestamps is not None and self.rate is None:
            _normalise_timestamps(self)
        elif self.timestamps is not None or self.rate is None:
            raise InputError(f"signal '{self.name}' needs either timestamps or a rate, exactly one of the two")
        else:
            _normalise_clock(self)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.values.shape[0]

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.values.shape[1]

    @property
    def times(self) -> Float[np.ndarray, " samples"]:
        """Time of each sample in seconds."""
        if self.timestamps is not None:
            return self.timestamps
        assert self.rate is not None
        return self.start + np.arange(self.n_samples) / self.rate

    def _title(self) -> str:
        return f"Signal '{self.name}': {self.in_short()}"

    def in_short(self) -> str:
        """Sizes and rate; of timestamps the mean rate, for the one between gaps would have to be worked out."""
        rate = self.rate or (self.n_samples - 1) / (self.duration or np.inf)
        about = "at" if self.timestamps is None else "with timestamps, on average at"
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.n_samples:,} samples x {pluralised(self.n_channels, 'channel')} {about} {rate:.5g} Hz{unit}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "time", f"{self.start:.2f} to {self.stop:.2f} s"
        yield "channels", listed(self.channels)

    @property
    def stop(self) -> float:
        """Time of the last sample in seconds (``start`` if there is none)."""
        if self.n_samples == 0:
            return self.start
        if self.timestamps is not None:
            return float(self.timestamps[-1])
        assert self.rate is not None
        return self.start + (self.n_samples - 1) / self.rate

    @property
    def duration(self) -> float:
        """Seconds from the first sample to the last."""
        return self.stop - self.start

    @property
    def typical_rate(self) -> float:
        """Samples per second: the rate, or what fits the timestamps between gaps best (NaN below two samples)."""
        return self.clock.rate

    @cached_property
    def clock(self) -> Clock:
        """Rate, gaps and evenness of the sampling (see `neurodyn.recording.clocks`)."""
        if self.timestamps is not None:
            return fit_clock(self.timestamps)
        assert self.rate is not None
        return Clock(self.rate, True, True, 0, 1.5 / self.rate, 0.0)

    def index_of(self, times: Float[np.ndarray, " times"]) -> Int[np.ndarray, " times"]:
        """Index of the first sample at or after each time (seconds), as ``np.searchsorted(self.times, times)``."""
        if self.timestamps is not None:
            return np.searchsorted(self.timestamps, times)
        assert self.rate is not None
        # Where the quotient was rounded the wrong way, the neighbour is right; times of all samples are never needed.
        index = np.clip(np.ceil((times - self.start) * self.rate), 0, self.n_samples).astype(np.int64)
        index -= (index > 0) & (self.start + (index - 1) / self.rate >= times)
        index += (index < self.n_samples) & (self.start + index / self.rate < times)
        return index

    def read(self, first: int, last: int) -> Float64[np.ndarray, "samples channels"]:
        """Samples ``first`` to ``last`` (not included) in double precision, from memory or from the file."""
        return np.asarray(self.values[first:last], np.float64)

    def select(self, channels: Iterable[str]) -> "Signal":
        """Return the named channels, in the order given.

        Raises
        ------
        InputError
            If a channel is not there.
        """
        chosen, columns = places_of(channels, self.channels, f"channel of signal '{self.name}'")
        whole = self.values
        values = whole.select(tuple(columns)) if isinstance(whole, LazyArray) else whole[:, columns]
        return replace(self, values=values, channels=chosen)

    def between(self, start: float, stop: float) -> "Signal":
        """Return the samples with ``start <= time < stop`` (seconds), on the same clock.

        A sample on a bound, up to rounding, belongs to what begins there (`neurodyn.recording.edges`).
        """
        check_span(start, stop)
        first, last = (int(index) for index in self.index_of(cut(np.array([start, stop], np.float64))))
        kept = self.values.rows(first, last) if isinstance(self.values, LazyArray) else self.values[first:last]
        if self.timestamps is not None:
            return replace(self, values=kept, timestamps=self.timestamps[first:last])
        assert self.rate is not None
        return replace(self, values=kept, start=float(self.start + first / self.rate))


def _normalise_clock(signal: Signal) -> None:
    for what, value in (("rate above 0 Hz", signal.rate), ("finite start in seconds", signal.start)):
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
            raise InputError(f"signal '{signal.name}' needs a {what}, got {value!r}")
    assert signal.rate is not None
    rate, start = float(signal.rate), float(signal.start)
    if not (np.isfinite(rate) and rate > 0):
        raise InputError(f"signal '{signal.name}' needs a rate above 0 Hz, got {rate}")
    if not np.isfinite(start):
        raise InputError(f"signal '{signal.name}' needs a finite start in seconds, got {start}")
    object.__setattr__(signal, "rate", rate)
    object.__setattr__(signal, "start", start)
    period = np.float64(1.0) / rate
    last = start + max(0, signal.n_samples - 1) * period
    if signal.n_samples > 1 and not (np.isfinite(last) and period > 4 * np.spacing(max(abs(start), abs(last)))):
        raise InputError(
            f"signal '{signal.name}' starts at {start} s and has {rate} Hz: neighbouring samples cannot be told apart"
        )


def _normalise_values(signal: Signal) -> None:
    # Of values in a file only the shape is known; each part is checked when it is read.
    values = signal.values if isinstance(signal.values, LazyArray) else _in_memory(signal)
    channels = signal.channels or tuple(f"{signal.name}_{index}" for index in range(values.shape[1]))
    channels = unique_names(channels, values.shape[1], f"signal '{signal.name}'", "channel")
    object.__setattr__(signal, "values", values)
    object.__setattr__(signal, "channels", channels)


def _in_memory(signal: Signal) -> np.ndarray:
    values = np.asarray(signal.values)
    if values.ndim != 2:
        raise InputError(
            f"signal '{signal.name}' needs values of shape (samples, channels), got {values.shape}:"
            " write values[:, None] for a single channel"
        )
    if values.dtype.kind not in "biuf":
        raise InputError(f"signal '{signal.name}' needs real numbers as values, got {values.dtype}")
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if np.isinf(values).any():
        raise InputError(f"signal '{signal.name}' holds infinite values: mark missing samples with NaN")
    return values


def _normalise_timestamps(signal: Signal) -> None:
    assert signal.timestamps is not None
    timestamps = seconds(signal.timestamps, f"signal '{signal.name}'")
    if timestamps.shape != (signal.n_samples,):
        swapped = timestamps.shape == (signal.n_channels,)
        hint = "values look like (channels, samples), transpose them" if swapped else "give one timestamp per sample"
        raise InputError(
            f"signal '{signal.name}' has {signal.n_samples} samples and timestamps of shape {timestamps.shape}: {hint}"
        )
    if not np.isfinite(timestamps).all():
        raise InputError(f"signal '{signal.name}' has timestamps that are not finite")
    steps = np.diff(timestamps)
    wrong = np.flatnonzero(steps <= 0)
    if wrong.size:
        row, repeats = wrong[0], int((steps == 0).sum())
        back = wrong.size - repeats
        found = [f"{repeats:,} repeat the time before"] * (repeats > 0) + [f"{back:,} go back in time"] * (back > 0)
        raise InputError(
            f"timestamps of signal '{signal.name}' must increase strictly:"
            f" sample {row + 1} at {timestamps[row + 1]} s follows {timestamps[row]} s"
            f" (of {timestamps.size:,} samples {' and '.join(found)})"
            + ("" if back else ": take them with  --repeated mean, first or drop")
        )
    object.__setattr__(signal, "timestamps", timestamps)
    if timestamps.size:
        object.__setattr__(signal, "start", float(timestamps[0]))
