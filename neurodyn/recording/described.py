"""Make a recording of plain variables with a layout that says which of them hold what."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.guard import MAX_BYTES
from neurodyn.recording.hdf5 import chosen_intervals, chosen_units
from neurodyn.recording.layout import (
    STAMPS,
    TIME_UNITS,
    CountsLayout,
    IntervalsLayout,
    Layout,
    SignalLayout,
    SpikesLayout,
)
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.left_out import Choices, build_items
from neurodyn.recording.paths import Many, resolve, shape_of
from neurodyn.recording.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.recording.support import TimeSupport
from neurodyn.recording.values import in_memory, labels, matrix, number, support, vector

TRIALS = "trials"
"""Name of the table of trials that a layout gives rise to."""
_IRREGULAR = 0.01
"""Share of a bin by which the times of regular bins may be off."""


def described_recording(name: str, variables: Mapping[str, Any], layout: Layout, choices: Choices) -> Recording:
    """Recording of what a layout finds among variables.

    Parameters
    ----------
    name
        What to call it.
    variables
        By name, as `matlab_file.load_variables` gives them.
    layout
        Which of them hold what.
    choices
        What to leave out and how.

    Raises
    ------
    InputError
        If the layout does not fit the variables, or an item cannot be used.
    """
    items, unusable = build_items(_Described(variables, layout, choices).makers(), choices, hint=False)
    return Recording(name, unusable=unusable, **items)


@dataclass(frozen=True, eq=False)
class _Pieces:
    """A signal, or counts, in trials.

    Parameters
    ----------
    values
        (samples, channels) per trial.
    period
        Seconds per sample.
    times
        Of all samples in seconds where trials have times of one clock, else None: they are put one after the other.
    """

    values: tuple[np.ndarray, ...]
    period: float
    times: np.ndarray | None


@dataclass(frozen=True, eq=False)
class _Trials:
    """Where trials lie in time, in seconds: starts on a multiple of the longest period."""

    starts: np.ndarray
    durations: np.ndarray

    def joined(self, pieces: _Pieces, what: str) -> np.ndarray:
        """All trials on one regular clock from 0 s on, NaN between them."""
        firsts = np.round(self.starts / pieces.period).astype(np.int64)
        rows = int(max(first + len(piece) for first, piece in zip(firsts, pieces.values, strict=True)))
        values = _missing(rows, pieces.values[0].shape[1], what)
        for first, piece in zip(firsts, pieces.values, strict=True):
            values[first : first + len(piece)] = piece
        return values


class _Described:
    """One file and its layout."""

    def __init__(self, variables: Mapping[str, Any], layout: Layout, choices: Choices) -> None:
        self._variables, self._layout, self._choices = variables, layout, choices

    def makers(self) -> dict[str, dict[str, Callable[[], Any]]]:
        """How to make each item, by kind and name."""
        layout = self._layout
        makers: dict[str, dict[str, Callable[[], Any]]] = {
            "spikes": {}, "counts": {}, "fields": {}, "behaviour": {}, "intervals": {}
        }  # fmt: skip
        if (spikes := layout.spike_times) is not None:
            makers["spikes"][spikes.name] = partial(self._spikes, spikes)
        if layout.counts is not None:
            makers["counts"][layout.counts.name] = partial(self._counts, layout.counts)
        if set(makers["spikes"]) & set(makers["counts"]):
            raise InputError("the layout has spikes and counts of one name: give one of them another")
        for kind, rows in (("fields", layout.fields), ("behaviour", layout.behaviour)):
            for row in rows:
                name = _signal_name(row)
                if name in makers[kind]:
                    raise InputError(f"the layout has two {kind} called '{name}'")
                makers[kind][name] = partial(self._signal, row, name, kind == "fields")
        for table in layout.intervals:
            makers["intervals"][table.name] = partial(self._intervals, table)
        if TRIALS not in makers["intervals"] and (layout.trials or self._has_trials):
            makers["intervals"][TRIALS] = self._trial_table
        return makers

    # --- trials -----------------------------------------------------------------------------------

    @cached_property
    def _in_trials(self) -> list[_Pieces]:
        """Pieces of everything that comes in trials; what cannot be used is left to its own maker."""
        found = []
        rows = [*self._layout.fields, *self._layout.behaviour]
        makers = [partial(self._signal_pieces, row) for row in rows]
        if self._layout.counts is not None:
            makers.append(partial(self._counts_pieces, self._layout.counts))
        for make in makers:
            try:
                pieces = make()
            except InputError:
                continue
            if isinstance(pieces, _Pieces):
                found.append(pieces)
        return found

    @property
    def _has_trials(self) -> bool:
        return bool(self._in_trials)

    @cached_property
    def _placed(self) -> _Trials:
        """Trials one after the other, with a gap between them."""
        pieces = [piece for piece in self._in_trials if piece.times is None]
        if not pieces:
            raise InputError(
                "the layout has nothing that says how long trials are: describe a signal or counts in trials"
            )
        numbers = {len(piece.values) for piece in pieces}
        if len(numbers) != 1:
            raise InputError(
                f"the layout has items with {' and '.join(map(str, sorted(numbers)))} trials: they must agree"
            )
        grid = max(piece.period for piece in pieces)
        lengths = np.array([[len(values) * piece.period for values in piece.values] for piece in pieces])
        durations = lengths.max(axis=0)
        steps = np.ceil(durations / grid - 1e-6) + math.ceil(self._layout.gap / grid - 1e-6)
        return _Trials(np.concatenate([[0.0], np.cumsum(steps)[:-1]]) * grid, durations)

    def _trial_table(self) -> Intervals:
        timed = [piece for piece in self._in_trials if piece.times is not None]
        if self._layout.trials and not self._has_trials:
            raise InputError("the layout names trials, but nothing in it comes in trials")
        if timed:
            sizes = np.array([len(values) for values in timed[0].values])
            ends, times = np.cumsum(sizes), timed[0].times
            assert times is not None
            starts, stops = times[ends - sizes], times[ends - 1] + timed[0].period
        else:
            starts, stops = self._placed.starts, self._placed.starts + self._placed.durations
        names = [str(row + 1) for row in range(starts.size)]
        return chosen_intervals(TRIALS, starts, stops, names, self._trial_columns(starts.size), self._choices)

    def _trial_columns(self, trials: int) -> dict[str, np.ndarray]:
        """Members of the struct array of trials that are one number or one text each."""
        if not self._layout.trials:
            return {}
        rows = self._find(self._layout.trials)
        rows: Any = [rows] if isinstance(rows, Mapping) else rows
        if not (isinstance(rows, list) and len(rows) == trials and all(isinstance(row, Mapping) for row in rows)):
            raise InputError(f"'{self._layout.trials}' must be an array of {trials} structs, it is a {shape_of(rows)}")
        columns = {}
        for name in rows[0]:
            values: list[Any] = [row.get(name) for row in rows]
            if all(isinstance(value, str) for value in values):
                columns[name] = np.array(values, dtype=str)
            elif all(isinstance(v, np.ndarray) and v.size == 1 and v.dtype.kind in "biuf" for v in values):
                columns[name] = np.array([value.item() for value in values])
        return columns

    # --- spikes and counts ------------------------------------------------------------------------

    def _spikes(self, row: SpikesLayout) -> SpikeTrains:
        found = in_memory(self._find(row.variable))
        if self._layout.trials and row.variable.startswith(self._layout.trials + "."):
            times, units, attributes = self._trial_spikes(row, found)
        elif isinstance(found, Many):
            parts = zip(found.labels, found.values, strict=True)
            times = [_times_of(value, f"{row.variable} [{label}]") for label, value in parts]
            units, attributes = self._unit_names(row, found.labels), {}
        elif isinstance(found, np.ndarray) and found.dtype == object:
            times, units, attributes = self._cell_spikes(row, found)
        elif row.cluster:
            times, units = _by_cluster(vector(found, row.variable), self._find(row.cluster), row)
            attributes = {}
        else:
            times = [_times_of(found, row.variable)]
            units, attributes = self._unit_names(row, ("0",)), {}
        rate = self._number(row.rate, "rate") if row.time_unit == "samples" else None
        seconds = [_in_seconds(train, row.time_unit, rate, row.variable) for train in times]
        return chosen_units(row.name, seconds, units, attributes, self._choices, self._support(row))

    def _support(self, row: SpikesLayout) -> TimeSupport | tuple[TimeSupport, ...] | None:
        """When units were recorded: what the layout says, or the trials where spikes come in those."""
        if row.support:
            rate = self._number(row.rate, "rate") if row.time_unit == "samples" else None
            per_second = TIME_UNITS[row.time_unit] or rate or 1.0
            return support(self._find(row.support), row.support, per_second)
        if self._layout.trials and row.variable.startswith(self._layout.trials + "."):
            return TimeSupport(self._placed.starts, self._placed.starts + self._placed.durations)
        return None

    def _unit_names(self, row: SpikesLayout, given: Sequence[str]) -> tuple[str, ...]:
        names = labels(self._find(row.channels), row.channels) if row.channels else tuple(given)
        if len(names) != len(given):
            raise InputError(f"'{row.variable}' has {len(given)} units, '{row.channels}' {len(names)} names")
        return names

    def _cell_spikes(
        self, row: SpikesLayout, found: np.ndarray
    ) -> tuple[list[np.ndarray], tuple[str, ...], dict[str, np.ndarray]]:
        """A vector per unit, or channels x units of them; units without any spikes are left out."""
        if found.ndim != 2:
            raise InputError(f"variable '{row.variable}' must be a cell array of spike times of one or two axes")
        rows = found.T if found.shape[0] == 1 else found
        names = tuple(str(index) for index in range(len(rows)))
        if row.channels:
            names = labels(self._find(row.channels), row.channels)
        if len(names) != len(rows):
            raise InputError(f"'{row.variable}' has {len(rows)} rows, '{row.channels}' {len(names)} names")
        first = 0 if row.unsorted or rows.shape[1] == 1 else 1
        times, units, channels, is_sorted = [], [], [], []
        for index, (name, line) in enumerate(zip(names, rows, strict=True)):
            for unit in range(first, rows.shape[1]):
                place = f"{index + 1},{unit + 1}" if rows.shape[1] > 1 else str(index + 1)
                train = _times_of(line[unit], f"{row.variable}{{{place}}}")
                if train.size:
                    times.append(train)
                    units.append(name if rows.shape[1] == 1 else f"{name}/{unit}")
                    channels.append(name)
                    is_sorted.append(unit > 0 or rows.shape[1] == 1)
        attributes = {"channel": np.array(channels, dtype=str), "sorted": np.array(is_sorted, dtype=bool)}
        return times, tuple(units), attributes

    def _trial_spikes(
        self, row: SpikesLayout, found: Any
    ) -> tuple[list[np.ndarray], tuple[str, ...], dict[str, np.ndarray]]:
        """Times from the start of each trial, in a cell array of units per trial."""
        groups = list(found.values) if isinstance(found, Many) else [found]
        starts = self._placed.starts
        if len(groups) != starts.size or not all(isinstance(g, np.ndarray) and g.dtype == object for g in groups):
            raise InputError(f"'{row.variable}' must have a cell array of units for each of the {starts.size} trials")
        sizes = {group.size for group in groups}
        if len(sizes) != 1:
            raise InputError(
                f"'{row.variable}' has between {min(sizes)} and {max(sizes)} units per trial: they must agree"
            )
        rate = self._number(row.rate, "rate") if row.time_unit == "samples" else None
        per_second = TIME_UNITS[row.time_unit] or rate or 1.0
        parts: list[list[np.ndarray]] = [[] for _ in range(sizes.pop())]
        for trial, (group, start) in enumerate(zip(groups, starts, strict=True)):
            for unit, value in enumerate(group.ravel(order="F")):
                train = _times_of(value, f"{row.variable} [{trial + 1}] {{{unit + 1}}}")
                parts[unit].append(train + start * per_second)
        names = self._unit_names(row, tuple(str(unit) for unit in range(len(parts))))
        return [np.concatenate(part) for part in parts], names, {}

    def _counts_pieces(self, row: CountsLayout) -> _Pieces | np.ndarray:
        return self._pieces(row.variable, row.axes, row.time, row.time_unit, self._width(row))

    def _width(self, row: CountsLayout) -> float | None:
        return None if row.width is None else self._positive(row.width, "width", row.variable)

    def _counts(self, row: CountsLayout) -> BinnedCounts:
        found = self._counts_pieces(row)
        start, width, values = self._binned(found, row)
        values = np.asarray(values, np.float64) * (width if row.rates else 1.0)
        names = row.units
        names = labels(self._find(names), names) if isinstance(names, str) and names else tuple(names)
        counts = BinnedCounts(row.name, values, width, start, names)
        members = self._choices.members(row.name)
        return counts.select(unit for unit in counts.units if unit not in members) if members else counts

    def _binned(self, found: _Pieces | np.ndarray, row: CountsLayout) -> tuple[float, float, np.ndarray]:
        """Begin of the first bin, width, and counts or rates on a regular clock."""
        if isinstance(found, _Pieces):
            if found.times is None:
                return 0.0, found.period, self._placed.joined(found, _first(row.variable))
            values, times = np.concatenate(found.values), found.times
        else:
            values = np.asarray(found)
            if not row.time:
                width = self._width(row)
                if width is None:
                    raise InputError(
                        f"counts '{row.name}' ({_first(row.variable)}, {values.shape[0]} x {values.shape[1]}) need the "
                        "'width' of their bins in seconds, or the 'time' of each bin"
                    )
                return row.start - STAMPS.index(row.stamp) / 2 * width, width, values
            times = _in_seconds(vector(self._find(row.time), row.time), row.time_unit, None, row.time)
        first, width, index = regular_bins(times, row.time)
        if index.size != len(values):
            raise InputError(
                f"'{_first(row.variable)}' has {len(values)} bins and '{row.time}' {index.size} times: are its axes "
                "swapped? say  axes: channel time"
            )
        whole = _missing(int(index[-1]) + 1, values.shape[1], row.name)
        whole[index] = values
        return first - STAMPS.index(row.stamp) / 2 * width, width, whole

    # --- signals ----------------------------------------------------------------------------------

    def _signal_pieces(self, row: SignalLayout) -> _Pieces | np.ndarray | LazyArray:
        axes = row.axes or ("channel time" if row.channels_first else "")
        rate = None if row.rate is None else self._positive(row.rate, "rate", row.variable)
        period = None if rate is None else 1 / rate
        if row.binned and rate is None and not row.time:
            period = self._counts_width()
        unit = "s" if row.time_unit == "samples" else row.time_unit
        pieces = self._pieces(row.variable, axes, row.time, unit, period)
        if isinstance(pieces, _Pieces) and row.time_unit == "samples":
            raise InputError(f"'{_first(row.variable)}' comes in trials: its times must be in s, ms or us")
        return pieces

    def _counts_width(self) -> float:
        counts = self._layout.counts
        if counts is None:
            raise InputError("a binned signal needs a rate, a time, or counts whose clock it shares")
        if counts.width is not None:
            return self._positive(counts.width, "width", counts.variable)
        found = self._counts_pieces(counts)
        return found.period if isinstance(found, _Pieces) else self._binned(found, counts)[1]

    def _signal(self, row: SignalLayout, name: str, is_field: bool) -> Signal:
        found = self._signal_pieces(row)
        channels = row.channels
        if isinstance(channels, str):
            channels = labels(self._find(channels), channels)
        make = partial(Signal, name, channels=channels, unit=row.unit)
        if isinstance(found, _Pieces) and found.times is None:
            start = _moment(row, found.period, 0.0, is_field) if row.binned else 0.0
            return make(values=self._placed.joined(found, name), rate=1 / found.period, start=start)
        if row.binned:
            return self._binned_signal(row, found, make, is_field)
        if isinstance(found, _Pieces):
            values, times = np.concatenate(found.values), found.times
        elif row.time:
            values = found if is_field else in_memory(found)
            rate = self._number(row.rate, "rate") if row.time_unit == "samples" else None
            times = _in_seconds(vector(self._find(row.time), row.time), row.time_unit, rate, row.time)
        else:
            rate = None if row.rate is None else self._number(row.rate, "rate")
            return make(values=found if is_field else in_memory(found), rate=rate, start=row.start)
        assert times is not None
        values, times = self._choices.signal_times(name, values, times)
        return make(values=values, timestamps=times)

    def _binned_signal(
        self, row: SignalLayout, found: _Pieces | np.ndarray | LazyArray, make: Callable[..., Signal], is_field: bool
    ) -> Signal:
        values = np.concatenate(found.values) if isinstance(found, _Pieces) else np.asarray(found)
        counts = self._layout.counts
        width = None if row.rate is None else 1 / self._positive(row.rate, "rate", row.variable)
        clock = CountsLayout(
            variable=row.variable, name=row.name, width=width, time=row.time, time_unit=row.time_unit,
            start=row.start, stamp=row.stamp,
        )  # fmt: skip
        if row.rate is None and not row.time:
            assert counts is not None
            first, width, _ = self._binned(self._counts_pieces(counts), counts)
            if counts.time and len(values):
                times = _in_seconds(vector(self._find(counts.time), counts.time), counts.time_unit, None, counts.time)
                first, width, index = regular_bins(times, counts.time)
                first -= STAMPS.index(counts.stamp) / 2 * width
                if index.size != len(values):
                    raise InputError(f"'{_first(row.variable)}' has {len(values)} bins, the counts {index.size}")
                whole = _missing(int(index[-1]) + 1, values.shape[1], row.name)
                whole[index] = values
                values = whole
        else:
            first, width, values = self._binned(found if isinstance(found, _Pieces) else values, clock)
        return make(values=values, rate=1 / width, start=_moment(row, width, first, is_field))

    # --- intervals --------------------------------------------------------------------------------

    def _intervals(self, row: IntervalsLayout) -> Intervals:
        per_second = TIME_UNITS[row.time_unit] or 1.0
        starts, stops = (_column(self._find(path), path) for path in (row.starts, row.stops))
        for path, values in ((row.starts, starts), (row.stops, stops)):
            if values.dtype.kind == "U":
                raise InputError(f"'{path}' must be a vector of times, it is text")
        names = labels(self._find(row.labels), row.labels) if row.labels else ()
        columns = {name: _column(self._find(path), path) for name, path in (row.columns or {}).items()}
        return chosen_intervals(row.name, starts / per_second, stops / per_second, names, columns, self._choices)

    # --- values -----------------------------------------------------------------------------------

    def _find(self, path: str) -> Any:
        return resolve(self._variables, path)

    def _number(self, value: float | str | None, what: str) -> float:
        if value is None:
            raise InputError(f"times in samples need their '{what}' in Hz")
        if not isinstance(value, str):
            return float(value)
        found = self._find(value)
        if isinstance(found, Many):
            numbers = {number(entry, value) for entry in found.values}
            if len(numbers) != 1:
                raise InputError(f"'{value}' has {len(numbers)} different values, where one number is needed")
            return numbers.pop()
        return number(found, value)

    def _positive(self, value: float | str, what: str, variable: str | tuple[str, ...]) -> float:
        found = self._number(value, what)
        if not 1e-12 < found < 1e12:
            raise InputError(f"'{_first(variable)}' needs a {what} above 0, got {found:g}")
        return found

    def _pieces(
        self, variable: str | tuple[str, ...], axes: str, time: str, time_unit: str, period: float | None
    ) -> Any:
        """A matrix (samples x channels), or pieces where it comes in trials."""
        paths = (variable,) if isinstance(variable, str) else variable
        parts = [_split(self._find(path), axes, path) for path in paths]
        if not any(isinstance(part, list) for part in parts):
            return parts[0] if len(parts) == 1 else _side_by_side([in_memory(part) for part in parts], paths)
        if len({len(part) if isinstance(part, list) else 0 for part in parts}) != 1:
            raise InputError(f"{', '.join(paths)} do not have the same number of trials")
        joined = [_side_by_side(trial, paths) for trial in zip(*parts, strict=True)]
        widths = {piece.shape[1] for piece in joined}
        if len(widths) != 1:
            raise InputError(
                f"'{paths[0]}' has between {min(widths)} and {max(widths)} channels per trial: they must agree"
            )
        times = None
        if time:
            times, period = self._trial_times(joined, time, time_unit)
        if period is None:
            raise InputError(f"'{paths[0]}' comes in trials: say the 'rate', 'width' or 'time' of its samples")
        return _Pieces(tuple(joined), period, times)

    def _trial_times(self, joined: list[np.ndarray], time: str, unit: str) -> tuple[np.ndarray | None, float]:
        """Times of all samples, None if they begin anew in each trial, and seconds per sample."""
        found = self._find(time)
        vectors = [found] * len(joined)
        if isinstance(found, Many):
            vectors = list(found.values)
        elif isinstance(found, np.ndarray) and found.dtype == object:
            vectors = list(found.ravel(order="F"))
        clocks = [_in_seconds(vector(value, time), unit, None, time) for value in vectors]
        if [len(clock) for clock in clocks] != [len(piece) for piece in joined]:
            raise InputError(f"'{time}' does not have a time for each sample of each of the {len(joined)} trials")
        steps = np.concatenate([np.diff(clock) for clock in clocks])
        if not (steps > 0).any():
            raise InputError(f"'{time}' does not increase within trials")
        period = float(np.median(steps[steps > 0]))
        together = np.concatenate(clocks)
        return (together if (np.diff(together) > 0).all() else None), period


def regular_bins(times: np.ndarray, what: str) -> tuple[float, float, np.ndarray]:
    """Clock of bins from their times.

    Parameters
    ----------
    times
        (bins,) seconds, of which some may be left out.
    what
        Name of their variable.

    Returns
    -------
    first, width, index
        Time of the first bin and width in seconds; (bins,) place of each on the regular clock.

    Raises
    ------
    InputError
        If they are fewer than two, do not increase, or do not lie on a regular clock.
    """
    times = np.asarray(times, np.float64)
    if times.size < 2 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise InputError(f"the times of bins in '{what}' must be two or more, finite and increasing")
    width = float(np.median(np.diff(times)))
    index = np.round((times - times[0]) / width)
    width = float((times[-1] - times[0]) / index[-1])
    index = np.round((times - times[0]) / width)
    off = float(np.abs(times - times[0] - index * width).max())
    if off > _IRREGULAR * width or not (np.diff(index) >= 1).all():
        raise InputError(
            f"the times of bins in '{what}' are not regular: up to {off:.3g} s away from bins of {width:.6g} s"
        )
    # What rounding left over of a width such as 0.05.
    short = float(f"{width:.9g}")
    width = short if abs(short - width) * index[-1] < 1e-3 * width else width
    return float(times[0]), width, index.astype(np.int64)


def _moment(row: SignalLayout, width: float, first: float, is_field: bool) -> float:
    """Time in seconds that the value of the first bin is given: fields in its middle, behaviour at its end."""
    return first + (width / 2 if is_field else width)


def _signal_name(row: SignalLayout) -> str:
    return row.name or _first(row.variable)


def _first(variable: str | tuple[str, ...]) -> str:
    return variable if isinstance(variable, str) else ", ".join(variable)


def _missing(rows: int, columns: int, what: str) -> np.ndarray:
    if rows * columns * 8 > MAX_BYTES:
        raise InputError(f"'{what}' would have {rows:,} samples with its gaps, more than can be held: check its times")
    return np.full((rows, columns), np.nan)


def _split(value: Any, axes: str, what: str) -> Any:
    """A matrix (samples x channels), or a list of them, one per trial."""
    if isinstance(value, Many):
        return [
            _turned(part, axes, f"{what} [{label}]") for label, part in zip(value.labels, value.values, strict=True)
        ]
    if isinstance(value, np.ndarray) and value.dtype == object and value.size:
        return [_turned(part, axes, f"{what}{{{row + 1}}}") for row, part in enumerate(value.ravel(order="F"))]
    names = axes.split()
    if "trial" in names:
        return _trials_of(in_memory(value), names, what)
    if isinstance(value, LazyArray) and not axes:
        return value
    turned = _turned(value, axes, what)
    # A row vector without a word about its axes is one channel.
    return turned.T if not axes and turned.shape[0] == 1 < turned.shape[1] else turned


def _turned(value: Any, axes: str, what: str) -> np.ndarray:
    found = matrix(value, what)
    return found.T if axes.split()[:1] == ["channel"] else found


def _trials_of(value: Any, axes: list[str], what: str) -> list[np.ndarray]:
    """Trials of an array with an axis of them."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.ndim != len(axes):
        raise InputError(
            f"'{what}' must be an array of numbers with the axes {' x '.join(axes)}, it is a {shape_of(value)}"
        )
    order = [axes.index(name) for name in ("trial", "time", "channel") if name in axes]
    turned = value.transpose(order)
    return list(turned if turned.ndim == 3 else turned[:, :, None])


def _side_by_side(parts: Sequence[np.ndarray], paths: Sequence[str]) -> np.ndarray:
    if len({len(part) for part in parts}) != 1:
        raise InputError(f"{', '.join(paths)} do not have the same number of samples")
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def _times_of(value: Any, what: str) -> np.ndarray:
    """Vector of spike times, or an error that says what was found and where times may be."""
    value = in_memory(value)
    if isinstance(value, np.ndarray) and value.dtype != object and value.size == 0:
        return np.zeros(0)
    if isinstance(value, Mapping) or (isinstance(value, list) and value and isinstance(value[0], Mapping)):
        members = value if isinstance(value, Mapping) else value[0]
        example = next((name for name in members if "time" in name.lower()), next(iter(members), "times"))
        raise InputError(
            f"'{what}' is a {shape_of(value)}: name the member that holds spike times, like  {what}.{example}(:,1)"
        )
    if isinstance(value, np.ndarray) and value.dtype == object:
        raise InputError(
            f"'{what}' is a {shape_of(value)}, where spike times are expected: name a path into it, like  {what}{{1}}"
            f"  or  {what}{{:}}  for all of it (neurodyn inspect shows the whole tree)"
        )
    if isinstance(value, np.ndarray) and value.size and min(value.shape) != 1 and value.dtype.kind in "biuf":
        raise InputError(
            f"'{what}' is a {shape_of(value)}, where a vector of spike times is expected: if it holds counts or rates "
            f"in bins, describe it under  counts:  as  {{variable: {what}, width: SECONDS}}  with the length of a bin; "
            f"if a column of it holds the times, say  {what}(:,1)"
        )
    return vector(value, what).astype(np.float64)


def _in_seconds(times: np.ndarray, unit: str, rate: float | None, what: str) -> np.ndarray:
    per_second = TIME_UNITS[unit]
    if per_second is None:
        if rate is None or not rate > 0:
            raise InputError(f"times in samples ('{what}') need their 'rate' in Hz, above 0")
        per_second = rate
    times = np.asarray(times, np.float64)
    return times if per_second == 1 else times / per_second


def _by_cluster(times: np.ndarray, ids: Any, row: SpikesLayout) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Times of each unit from all of them and the unit of each; units in the order of their numbers."""
    names = np.array(labels(ids, row.cluster)) if isinstance(ids, list) else vector(ids, row.cluster)
    if names.size != times.size:
        raise InputError(f"'{row.variable}' has {times.size:,} times, '{row.cluster}' {names.size:,} units: one each")
    known, owner = np.unique(names, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=known.size))
    trains = np.split(times[order].astype(np.float64), ends[:-1]) if known.size else []
    return trains, tuple(str(name) if names.dtype.kind == "U" else f"{name:g}" for name in known)


def _column(value: Any, what: str) -> np.ndarray:
    """Column of a table: numbers, or text."""
    if isinstance(value, Many):
        if all(isinstance(entry, str) for entry in value.values):
            return np.array(value.values, dtype=str)
        return np.array([number(entry, what) for entry in value.values])
    if isinstance(value, str | list) or (isinstance(value, np.ndarray) and value.dtype == object):
        return np.array(labels(value, what), dtype=str)
    return vector(value, what)
