"""A recording in seconds: spike times, sampled signals, behaviour and intervals on one clock.

Every container is frozen and checked when it is made, so code further on never asks again whether spike times
are sorted or names are unique.  NaN in a signal's values means missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped
from numpy.typing import ArrayLike

from neurodyn.display import Shown, counted, listed
from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.clocks import Clock, fit_clock
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.edges import cut
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.left_out import Unusable
from neurodyn.recording.names import texts as _texts
from neurodyn.recording.names import unique_names as _unique_names
from neurodyn.recording.support import EVERYTHING, TimeSupport, shared
from neurodyn.recording.where import rows_where

_Item = TypeVar("_Item")


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
        return f"Signal '{self.name}': {self._in_short()}"

    def _in_short(self) -> str:
        """Sizes and rate; of timestamps the mean rate, for the one between gaps would have to be worked out."""
        rate = self.rate or (self.n_samples - 1) / (self.duration or np.inf)
        about = "at" if self.timestamps is None else "with timestamps, on average at"
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.n_samples:,} samples x {counted(self.n_channels, 'channel')} {about} {rate:.5g} Hz{unit}"

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
        position = {channel: index for index, channel in enumerate(self.channels)}
        chosen = tuple(channels)
        for channel in chosen:
            if channel not in position:
                raise unknown_name(f"channel of signal '{self.name}'", channel, self.channels)
        columns = tuple(position[channel] for channel in chosen)
        whole = self.values
        values = whole.select(columns) if isinstance(whole, LazyArray) else whole[:, list(columns)]
        return replace(self, values=values, channels=chosen)

    def between(self, start: float, stop: float) -> "Signal":
        """Return the samples with ``start <= time < stop`` (seconds), on the same clock.

        A sample on a bound, up to rounding, belongs to what begins there (`neurodyn.recording.edges`).
        """
        _check_span(start, stop)
        first, last = (int(index) for index in self.index_of(cut(np.array([start, stop], np.float64))))
        kept = self.values.rows(first, last) if isinstance(self.values, LazyArray) else self.values[first:last]
        if self.timestamps is not None:
            return replace(self, values=kept, timestamps=self.timestamps[first:last])
        assert self.rate is not None
        return replace(self, values=kept, start=float(self.start + first / self.rate))


@dataclass(frozen=True, eq=False, repr=False)
class SpikeTrains(Shown):
    """Spike times of sorted units.

    Parameters
    ----------
    name
        What the group of units is called in its recording.
    times
        One array of spike times in seconds per unit, in order of time.
    units
        One unique label per unit.
    attributes
        What else is known of each unit (``quality``, ``location``...): one array over units per name.
    support
        When the units were recorded: one support for all, or one per unit; None if that is not known, then they were
        as far as the recording goes (`neurodyn.recording.spike_supports`).  Outside of it spikes are missing, not
        absent; spikes that lie there all the same are kept and not counted.

    Raises
    ------
    InputError
        If a unit's spike times are not finite, non-negative and sorted, or lengths and labels do not match.
    """

    name: str
    times: tuple[Float[np.ndarray, " _"], ...]
    units: tuple[str, ...]
    attributes: Mapping[str, Shaped[np.ndarray, " units"]] = field(default_factory=dict)
    support: TimeSupport | Sequence[TimeSupport] | None = None

    def __post_init__(self) -> None:
        units = _unique_names(self.units, len(self.times), f"spikes '{self.name}'", "unit")
        owners = [f"unit '{unit}' of '{self.name}'" for unit in units]
        times = tuple(_seconds(train, owner) for train, owner in zip(self.times, owners, strict=True))
        for train, owner in zip(times, owners, strict=True):
            _check_spike_times(train, owner)
        attributes = {name: np.asarray(values) for name, values in self.attributes.items()}
        for attribute, values in attributes.items():
            if values.shape != (len(times),):
                raise InputError(
                    f"attribute '{attribute}' of spikes '{self.name}' has {values.size} values"
                    f" for {len(times)} units: give one per unit"
                )
        support = _common_support(self.support, len(times), self.name)
        parts = (("times", times), ("units", units), ("attributes", attributes), ("support", support))
        for field_name, value in parts:
            object.__setattr__(self, field_name, value)

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.units)

    @property
    def n_spikes(self) -> int:
        """Number of spikes of all units together."""
        return sum(train.size for train in self.times)

    @property
    def start(self) -> float:
        """Time of the first spike in seconds (NaN if there is none)."""
        return float(min((train[0] for train in self.times if train.size), default=np.nan))

    @property
    def stop(self) -> float:
        """Time of the last spike in seconds (NaN if there is none)."""
        return float(max((train[-1] for train in self.times if train.size), default=np.nan))

    def _title(self) -> str:
        return f"SpikeTrains '{self.name}': {self._in_short()}"

    def _in_short(self) -> str:
        return f"{counted(self.n_units, 'unit')}, {counted(self.n_spikes, 'spike')}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "time", f"{self.start:.2f} to {self.stop:.2f} s"
        yield "units", listed(self.units)
        if self.attributes:
            yield "attributes", listed(self.attributes)

    @property
    def unit_supports(self) -> tuple[TimeSupport, ...]:
        """When each unit was recorded, as far as that is stated: without bounds where it is not."""
        if isinstance(self.support, tuple):
            return self.support
        return (self.support if isinstance(self.support, TimeSupport) else EVERYTHING,) * self.n_units

    def select(self, units: Iterable[str]) -> "SpikeTrains":
        """Return the named units, in the order given.

        Raises
        ------
        InputError
            If a unit is not there.
        """
        position = {unit: index for index, unit in enumerate(self.units)}
        chosen = tuple(units)
        for unit in chosen:
            if unit not in position:
                raise unknown_name("unit", unit, self.units)
        rows = np.array([position[unit] for unit in chosen], dtype=int)
        attributes = {name: values[rows] for name, values in self.attributes.items()}
        support = tuple(self.unit_supports[row] for row in rows)
        return SpikeTrains(self.name, tuple(self.times[row] for row in rows), chosen, attributes, support)

    def between(self, start: float, stop: float) -> "SpikeTrains":
        """Return the spikes with ``start <= time < stop`` (seconds); units without any stay, empty.

        A spike on a bound, up to rounding, belongs to what begins there (`neurodyn.recording.edges`).  A
        stated support is cut at the two times.
        """
        _check_span(start, stop)
        bounds = [np.searchsorted(train, cut(np.array([start, stop], np.float64))) for train in self.times]
        kept = tuple(train[first:last] for train, (first, last) in zip(self.times, bounds, strict=True))
        if self.support is None:
            return replace(self, times=kept)
        parts = {one: one.between(start, stop) for one in set(self.unit_supports)}
        return replace(self, times=kept, support=tuple(parts[one] for one in self.unit_supports))


@dataclass(frozen=True, eq=False, repr=False)
class Intervals(Shown):
    """Labelled stretches of time: epochs, trials.  They may overlap and labels may repeat.

    Parameters
    ----------
    name
        What the table is called in its recording.
    starts, stops
        Bounds in seconds, one per interval, ``start <= stop``.
    labels
        One label per interval; left out, they are the row numbers ``0, 1, ...``.
    columns
        What else is known of each interval (``response``, ``contrast``...): one array over intervals per name.

    Raises
    ------
    InputError
        If lengths do not match, a bound is not finite, or an interval ends before it starts.
    """

    name: str
    starts: Float[np.ndarray, " intervals"]
    stops: Float[np.ndarray, " intervals"]
    labels: tuple[str, ...] = ()
    columns: Mapping[str, Shaped[np.ndarray, " intervals"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        starts, stops = (_seconds(bound, f"intervals '{self.name}'") for bound in (self.starts, self.stops))
        labels = _texts(self.labels, f"intervals '{self.name}'", "label") or tuple(
            str(row) for row in range(starts.size)
        )
        if starts.ndim != 1 or starts.shape != stops.shape or len(labels) != starts.size:
            raise InputError(
                f"intervals '{self.name}' need equal numbers of starts, stops and labels,"
                f" got {starts.size}, {stops.size} and {len(labels)}"
            )
        wrong = np.flatnonzero(~(np.isfinite(starts) & np.isfinite(stops) & (starts <= stops)))
        if wrong.size:
            row = wrong[0]
            raise InputError(
                f"interval {row} ('{labels[row]}') of '{self.name}' is {starts[row]} to {stops[row]} s,"
                " expected finite bounds with start <= stop"
                f" ({wrong.size} of {starts.size} {'are' if wrong.size > 1 else 'is'} not):"
                f" leave rows out by their number:  --skip '{self.name}[{row}]'"
            )
        columns = {name: np.asarray(values) for name, values in self.columns.items()}
        for name, values in columns.items():
            if values.shape != starts.shape:
                raise InputError(
                    f"column '{name}' of intervals '{self.name}' has {values.size} values for {starts.size}"
                )
        for attribute, value in (("starts", starts), ("stops", stops), ("labels", labels), ("columns", columns)):
            object.__setattr__(self, attribute, value)

    def __len__(self) -> int:
        return self.starts.size

    def _title(self) -> str:
        return f"Intervals '{self.name}': {self._in_short()}"

    def _in_short(self) -> str:
        return counted(len(self), "interval")

    def _facts(self) -> Iterable[tuple[str, str]]:
        if len(self):
            yield "time", f"{self.starts.min():.2f} to {self.stops.max():.2f} s"
        yield "labels", listed(dict.fromkeys(self.labels))
        if self.columns:
            yield "columns", listed(self.columns)

    def labelled(self, label: str) -> "Intervals":
        """Return the intervals that carry a label.

        Raises
        ------
        InputError
            If none does.
        """
        rows = np.array([row for row, own in enumerate(self.labels) if own == label], dtype=int)
        if rows.size == 0:
            raise unknown_name("interval", label, set(self.labels))
        return self.rows(rows)

    def rows(self, rows: Int[np.ndarray, " chosen"]) -> "Intervals":
        """Return the intervals at the given positions, in that order."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Intervals(
            self.name, self.starts[rows], self.stops[rows], tuple(self.labels[row] for row in rows), columns
        )

    def where(self, expression: str) -> "Intervals":
        """Return the intervals for which a condition holds, such as ``is_good and response == 'hit'``.

        Parameters
        ----------
        expression
            Comparisons of columns with values, joined by ``and``, ``or`` and ``not``; ``in ('a', 'b')``.  Every
            interval has the columns ``label``, ``start`` and ``stop`` (seconds) besides its own.

        Raises
        ------
        InputError
            If it cannot be understood, names a column that is not there, or holds for no interval.
        """
        own = {"label": np.array(self.labels, dtype=str), "start": self.starts, "stop": self.stops}
        chosen = np.flatnonzero(rows_where(expression, {**own, **self.columns}, len(self)))
        if not chosen.size:
            raise InputError(
                f"the condition '{expression}' holds for none of the {len(self)} intervals of '{self.name}'"
            )
        return self.rows(chosen)

    def between(self, start: float, stop: float) -> "Intervals":
        """Return what lies between two times in seconds: intervals over the bounds are cut there.

        An interval without duration, an event, is inside if ``start <= time < stop``; one that only touches a bound, up
        to rounding (`neurodyn.recording.edges`), is not.
        """
        _check_span(start, stop)
        event = self.starts == self.stops
        after = np.where(event, self.starts >= cut(float(start)), cut(self.stops) > start)
        inside = self.rows(np.flatnonzero((self.starts < cut(float(stop))) & after))
        return replace(inside, starts=np.clip(inside.starts, start, stop), stops=np.clip(inside.stops, start, stop))


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Shown):
    """All that was recorded together, on one clock in seconds.

    Parameters
    ----------
    name
        What to call it in tables and messages (the file's name, for one that was read).
    spikes
        Groups of sorted units; the units table of a file is ``"spikes"``.
    fields
        Field potentials and other electrical signals.
    behaviour
        Position, speed, head direction and other signals to decode.
    intervals
        Epochs, trials.
    counts
        Groups of units of which only counts in bins are known.
    unusable
        Items of the file that cannot be used, and why; asking for one of them is an error that says so.
    unread
        How many items of which type the file has besides, that are not read.

    Raises
    ------
    InputError
        If an item is filed under a name that is not its own.
    """

    name: str
    spikes: Mapping[str, SpikeTrains] = field(default_factory=dict)
    fields: Mapping[str, Signal] = field(default_factory=dict)
    behaviour: Mapping[str, Signal] = field(default_factory=dict)
    intervals: Mapping[str, Intervals] = field(default_factory=dict)
    counts: Mapping[str, BinnedCounts] = field(default_factory=dict)
    unusable: tuple[Unusable, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in (self.spikes, self.fields, self.behaviour, self.intervals, self.counts):
            for key, item in kind.items():
                if key != item.name:
                    raise InputError(f"'{item.name}' is filed under '{key}' in recording '{self.name}'")

    @property
    def start(self) -> float:
        """Earliest spike or sample in seconds (NaN if there is none)."""
        return min((item.start for item in self._timed()), default=float("nan"))

    @property
    def stop(self) -> float:
        """Latest spike or sample in seconds (NaN if there is none)."""
        return max((item.stop for item in self._timed()), default=float("nan"))

    def spike_trains(self, name: str = "spikes") -> SpikeTrains:
        """Return a group of units by name.

        Raises
        ------
        InputError
            If the recording has no units, or none under that name.
        """
        self.check_usable(name, "spikes")
        if not self.spikes:
            raise InputError(
                f"recording '{self.name}' has no units table, so there are no spikes to decode from:"
                " leave spikes out, or choose another recording"
            )
        return _pick(self.spikes, "spikes", name, self.name)

    def check_usable(self, name: str | None, *kinds: str) -> None:
        """Refuse an item of the file that cannot be used, with the reason.

        Parameters
        ----------
        name
            Of the item; None for the only one of its kind.
        kinds
            Of items, as in `left_out.KINDS`; none given: any.

        Raises
        ------
        InputError
            If it is one of those.
        """
        there = {key for kind in kinds for key in getattr(self, kind)}
        for item in self.unusable:
            asked = item.name == name or (name is None and not there)
            if asked and (not kinds or item.kind in kinds):
                raise InputError(f"'{item.name}' of recording '{self.name}' cannot be used: {item.reason}")

    def field(self, name: str | None = None) -> Signal:
        """Return a field potential by name, or the only one.

        Raises
        ------
        InputError
            If there is none, none under that name, or several and no name was given.
        """
        self.check_usable(name, "fields")
        return _pick(self.fields, "field", name, self.name)

    def behaviour_signal(self, name: str | None = None) -> Signal:
        """Return a behavioural signal by name, or the only one.

        Raises
        ------
        InputError
            If there is none, none under that name, or several and no name was given.
        """
        self.check_usable(name, "behaviour")
        return _pick(self.behaviour, "behaviour", name, self.name)

    def find_intervals(self, name: str) -> Intervals:
        """Return a whole table of intervals by its name (``trials``), or the ones with a label (``task``).

        Raises
        ------
        InputError
            If neither a table nor a label has that name, or the label stands in more than one table.
        """
        if name in self.intervals:
            return self.intervals[name]
        self.check_usable(name, "intervals")
        holders = [table for table in self.intervals.values() if name in table.labels]
        if len(holders) > 1:
            tables = ", ".join(table.name for table in holders)
            raise InputError(f"interval '{name}' stands in more than one table ({tables}): give start and stop")
        if not holders:
            labels = {label for table in self.intervals.values() for label in table.labels}
            raise unknown_name("interval", name, labels.union(self.intervals))
        return holders[0].labelled(name)

    def between(self, start: float, stop: float) -> "Recording":
        """Return what was recorded with ``start <= time < stop`` (seconds); the clock stays as it is."""
        return Recording(
            name=self.name,
            spikes={name: item.between(start, stop) for name, item in self.spikes.items()},
            fields={name: item.between(start, stop) for name, item in self.fields.items()},
            behaviour={name: item.between(start, stop) for name, item in self.behaviour.items()},
            intervals={name: item.between(start, stop) for name, item in self.intervals.items()},
            counts={name: item.between(start, stop) for name, item in self.counts.items()},
            unusable=self.unusable,
            unread=self.unread,
        )

    def _title(self) -> str:
        return f"Recording '{self.name}': {self.start:.2f} to {self.stop:.2f} s"

    def _facts(self) -> Iterable[tuple[str, str]]:
        kinds = {"spikes": self.spikes, "counts": self.counts, "field": self.fields, "behaviour": self.behaviour}
        for kind, items in {**kinds, "intervals": self.intervals}.items():
            yield from ((name, f"{kind}: {item._in_short()}") for name, item in items.items())
        if self.unusable:
            yield "unusable", listed(item.name for item in self.unusable)
        if self.unread:
            yield "not read", listed(f"{number} {kind}" for kind, number in self.unread.items())

    def _timed(self) -> list[Signal | SpikeTrains | BinnedCounts]:
        signals = [*self.fields.values(), *self.behaviour.values()]
        return [
            *(trains for trains in self.spikes.values() if trains.n_spikes),
            *(signal for signal in signals if signal.n_samples),
            *(counts for counts in self.counts.values() if counts.n_bins),
        ]


def _pick(items: Mapping[str, _Item], kind: str, name: str | None, recording: str) -> _Item:
    if name is None and len(items) == 1:
        return next(iter(items.values()))
    if not items:
        raise InputError(f"recording '{recording}' has no {kind}: run  neurodyn inspect  on it to see what it has")
    if name is None:
        raise InputError(f"recording '{recording}' has more than one {kind} ({', '.join(items)}): name one")
    if name not in items:
        raise unknown_name(kind, name, items)
    return items[name]


def _seconds(values: ArrayLike, owner: str) -> np.ndarray:
    """Times as an array in double precision; text, complex numbers and ragged lists are refused."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.asarray("ragged")
    # An empty list of nothing is an empty list of times.
    if array.dtype.kind not in "iuf" and array.size:
        raise InputError(f"{owner} needs numbers of seconds as times, got {array.dtype}")
    return array.astype(np.float64, copy=False) if array.size else np.zeros(array.shape)


def _common_support(
    support: TimeSupport | Sequence[TimeSupport] | None, units: int, owner: str
) -> TimeSupport | tuple[TimeSupport, ...] | None:
    """One support if all units have the same, None if it has no bounds at all."""
    if isinstance(support, TimeSupport):
        support = (support,) * units
    stated = tuple(support or ())
    if stated and (len(stated) != units or not all(isinstance(one, TimeSupport) for one in stated)):
        raise InputError(
            f"spikes '{owner}' need one TimeSupport for all units or one for each of {units}, got {len(stated)}:"
            " make them with TimeSupport.of(rows)"
        )
    stated = shared(stated)
    if not stated or all(one.same_as(EVERYTHING) for one in stated):
        return None
    return stated[0] if len(set(stated)) == 1 else stated


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
    channels = _unique_names(channels, values.shape[1], f"signal '{signal.name}'", "channel")
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
    timestamps = _seconds(signal.timestamps, f"signal '{signal.name}'")
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


def _check_spike_times(times: np.ndarray, owner: str) -> None:
    if times.ndim != 1:
        raise InputError(f"{owner} needs a one-dimensional array of spike times, got shape {times.shape}")
    if not np.isfinite(times).all():
        raise InputError(f"{owner} has spike times that are not finite: remove them")
    if times.size and times.min() < 0:
        raise InputError(f"{owner} has a negative spike time, {times.min()} s: shift all times to start at 0 or later")
    wrong = np.flatnonzero(np.diff(times) < 0)
    if wrong.size:
        row = wrong[0]
        raise InputError(
            f"spike times of {owner} are not sorted: {times[row + 1]} s follows {times[row]} s"
            f" (spike {row + 1}); sort them, or check that the file is what you think it is"
        )


def _check_span(start: float, stop: float) -> None:
    if not start <= stop:
        raise InputError(f"expected start <= stop in seconds, got {start} and {stop}")
