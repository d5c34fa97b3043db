"""Layouts: which variables of a file hold what, for files whose format says nothing about it (README.md)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from neurodyn.errors import InputError, unknown_name
from neurodyn.given import read_yaml

TIME_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "samples": None}
"""How many of each unit make a second; samples need a rate."""
AXES = ("trial", "time", "channel")
STAMPS = ("start", "middle", "end")
"""Moments of a bin that its time can be."""
DEFAULT_GAP = 2.0
"""Seconds between trials that have no times of their own: longer than targets are smoothed and gaps are bridged."""


@dataclass(frozen=True)
class SignalLayout:
    """Where a signal lies in a file.

    Parameters
    ----------
    variable
        Path of a numeric matrix, samples x channels unless `axes` says otherwise; several paths are put side by side.
    name
        What to call the signal; the variable's name if empty.
    time
        Path of the time of each sample; empty if there is a rate.
    time_unit
        Of these times: s, ms, us, or samples of `rate`.
    rate
        Samples per second (Hz): a number, or the path of one; None if there are times.
    start
        Time of the first sample in seconds, with a rate.
    unit
        Of the values.
    channels
        Names of the channels, or the path of a list of them.
    channels_first
        Whether the matrix is channels x samples: short for ``axes: channel time``.
    axes
        Names of the axes in order, of trial, time and channel.
    binned
        Whether there is one value per bin of the counts.  Fields then belong to the middle of their bin and behaviour
        to its end, so that what is decoded in a bin is the behaviour of its own row.  Without a clock of its own, such
        a signal has that of the counts.
    stamp
        Which moment of a bin its time is: start, middle or end.
    """

    variable: str | tuple[str, ...]
    name: str = ""
    time: str = ""
    rate: float | str | None = None
    start: float = 0.0
    unit: str = ""
    channels: tuple[str, ...] | str = ()
    channels_first: bool = False
    axes: str = ""
    binned: bool = False
    stamp: str = "start"
    time_unit: str = "s"


@dataclass(frozen=True)
class SpikesLayout:
    """Where spike times lie in a file.

    Parameters
    ----------
    variable
        Path of a cell array with a vector of times per unit, or channels x units of them; of one vector, which is one
        unit or, with `cluster`, all of them; or of many vectors, like ``spikes{1}{:}.data(:,1)``.
    name
        What to call the group of units.
    cluster
        Path of a vector with the unit of each spike.
    time_unit
        Of the times: s, ms, us, or samples of `rate`.
    rate
        Samples per second (Hz): a number, or the path of one.
    channels
        Path of a list of channel names, one per row of a cell array, or of unit names; rows are numbered without it.
    unsorted
        Whether the first column of a channels x units cell array (what sorting left over) is kept.
    support
        Path of the time in which units were recorded, in the unit of the times: a matrix of starts and stops (n x 2)
        for all units, or a cell array of one per unit with spikes.  Spikes in trials were recorded in the trials
        without it.
    """

    variable: str
    name: str = "spikes"
    cluster: str = ""
    time_unit: str = "s"
    rate: float | str | None = None
    channels: str = ""
    unsorted: bool = True
    support: str = ""


@dataclass(frozen=True)
class CountsLayout:
    """Where counts of spikes in bins lie in a file.

    Parameters
    ----------
    variable
        Path of a matrix, bins x units unless `axes` says otherwise; NaN where a bin was not recorded.
    name
        What to call the group of units.
    width
        Of a bin in seconds: a number, or the path of one; None if there are times.
    time
        Path of the time of each bin; it has to be regular, but bins may be left out.
    time_unit
        Of these times: s, ms or us.
    start
        Begin of the first bin in seconds, with a width.
    stamp
        Which moment of a bin its time is: start, middle or end.
    rates
        Whether the values are counts divided by the width (Hz).
    units
        Names of the units, or the path of a list of them.
    axes
        Names of the axes in order, of trial, time and channel (the units); ``time channel`` if empty.
    """

    variable: str | tuple[str, ...]
    name: str = "spikes"
    width: float | str | None = None
    time: str = ""
    time_unit: str = "s"
    start: float = 0.0
    stamp: str = "start"
    rates: bool = False
    units: tuple[str, ...] | str = ()
    axes: str = ""


@dataclass(frozen=True)
class IntervalsLayout:
    """Where a table of intervals lies in a file.

    Parameters
    ----------
    name
        What to call it.
    starts, stops
        Paths of vectors of times, like ``trialtable(:,1)``.
    labels
        Path of a list of labels; empty for none.
    columns
        Paths of columns to keep, by the name to give them.
    time_unit
        Of the times: s, ms or us.
    """

    name: str
    starts: str
    stops: str
    labels: str = ""
    columns: Mapping[str, str] | None = None
    time_unit: str = "s"


@dataclass(frozen=True)
class Layout:
    """Which variables of a file hold what.

    Variables are named by paths as MATLAB writes them, counted from 1: ``data.lfp`` is a member of a struct,
    ``cells{2}`` an element of a cell array, ``cells{:}`` each of them, ``M(:,1)`` a column of a matrix.  A member of a
    struct array is one value per struct: they are taken as trials, one after the other.

    Parameters
    ----------
    spikes
        Spike times, or the path of their variable; empty for none.
    channels, unsorted
        Of `SpikesLayout`, for spikes that are only a path.
    fields, behaviour
        Signals.
    counts
        Counts of spikes in bins.
    intervals
        Epochs, trials.
    trials
        Path of a struct array with one element per trial whose members of one number or text become columns of the
        table of trials.
    gap
        Seconds left out between trials that have no times of their own.

    Raises
    ------
    InputError
        If the gap is less than 0.

    Examples
    --------
    >>> from neurodyn.recording import Layout, SpikesLayout
    >>> layout = Layout(spikes=SpikesLayout("times", cluster="unit", time_unit="ms"))
    >>> layout.spike_times.cluster, layout.gap
    ('unit', 2.0)
    """

    spikes: str | SpikesLayout = ""
    channels: str = ""
    unsorted: bool = True
    fields: tuple[SignalLayout, ...] = ()
    behaviour: tuple[SignalLayout, ...] = ()
    counts: CountsLayout | None = None
    intervals: tuple[IntervalsLayout, ...] = ()
    trials: str = ""
    gap: float = DEFAULT_GAP

    def __post_init__(self) -> None:
        if not 0 <= self.gap < 1e9:
            raise InputError(f"the gap between trials must be 0 seconds or more, got {self.gap}")

    @property
    def spike_times(self) -> SpikesLayout | None:
        """Where spike times lie, however that was said."""
        if isinstance(self.spikes, str):
            return SpikesLayout(self.spikes, channels=self.channels, unsorted=self.unsorted) if self.spikes else None
        return self.spikes


def read_layout(path: Path) -> Layout:
    """Layout from a YAML file, its keys those of `Layout` and of what is in it.

    Raises
    ------
    InputError
        If the file cannot be read, or has an unknown key or a value of the wrong kind.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "layout.yaml")
    ...     _ = path.write_text("spikes: data.spikes")
    ...     read_layout(path).spikes
    'data.spikes'
    """
    return layout_of(read_yaml(path, "layout"), f"'{path}'")


def layout_of(loaded: Any, where: str = "the layout") -> Layout:
    """Layout from plain mappings and lists.

    Parameters
    ----------
    loaded
        As YAML gives it.
    where
        What to call it in messages.

    Raises
    ------
    InputError
        If it has an unknown key, or a value of the wrong kind.
    """
    table = dict(_mapping(loaded, where, Layout))
    for key, kind in (("fields", SignalLayout), ("behaviour", SignalLayout), ("intervals", IntervalsLayout)):
        rows = table.get(key, [])
        if not isinstance(rows, list):
            raise InputError(f"'{key}' in {where} must be a list of {'signals' if kind is SignalLayout else 'tables'}")
        table[key] = tuple(_made(kind, row, where) for row in rows)
    if isinstance(table.get("spikes"), Mapping):
        table["spikes"] = _made(SpikesLayout, table["spikes"], where)
    if table.get("counts") is not None:
        counts = table["counts"]
        table["counts"] = _made(CountsLayout, {"variable": counts} if isinstance(counts, str) else counts, where)
    for key, check in _CHECKS[Layout].items():
        if key in table:
            _check(key, table[key], check, where)
    return Layout(**table)


def layout_text(layout: Layout) -> str:
    """YAML of a layout, for `read_layout`; what is as usual is left out.

    Examples
    --------
    >>> from neurodyn.recording import Layout, SpikesLayout, layout_text
    >>> print(layout_text(Layout(spikes=SpikesLayout("times", cluster="unit"))).strip())
    spikes: {variable: times, cluster: unit}
    """
    return yaml.safe_dump(_plain(layout), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _plain(item: Any) -> Any:
    if isinstance(item, tuple):
        return [_plain(part) for part in item]
    if not hasattr(item, "__dataclass_fields__"):
        return dict(item) if isinstance(item, Mapping) else item
    return {
        field.name: _plain(getattr(item, field.name))
        for field in fields(item)
        if getattr(item, field.name) != field.default and getattr(item, field.name) not in ((), None)
    }


def _made(kind: type, row: Any, where: str) -> Any:
    values = dict(_mapping(row, where, kind))
    for key in (field.name for field in fields(kind) if field.name in _NEEDED[kind]):
        if key not in values:
            what = {SignalLayout: "signal", IntervalsLayout: "table of intervals"}.get(kind, "group of units")
            raise InputError(f"a {what} in {where} has no '{key}': say which variable holds its {_NEEDED[kind][key]}")
    for key, value in values.items():
        _check(key, value, _CHECKS[kind][key], where)
        if isinstance(value, list):
            values[key] = tuple(map(str, value))
    return kind(**values)


def _mapping(value: Any, where: str, kind: type) -> Mapping[str, Any]:
    known = [field.name for field in fields(kind)]
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must hold 'key: value' lines with the keys {', '.join(known)}")
    for key in value:
        if key not in known:
            raise unknown_name(f"key in {where}", str(key), known)
    return value


def _check(key: str, value: Any, check: tuple[Callable[[Any], bool], str], where: str) -> None:
    fits, expected = check
    if not fits(value):
        raise InputError(f"'{key}' in {where} must be {expected}, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(*known: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in known, f"one of {', '.join(known)}"


_TEXT = (lambda value: isinstance(value, str), "text")
_TRUTH = (lambda value: isinstance(value, bool), "true or false")
_NUMBER = (_is_number, "a number")
_RATE = (lambda value: value is None or isinstance(value, str) or _is_number(value), "a number, or a variable's name")
_NAMES = (lambda value: isinstance(value, str | list), "a list of names, or a variable's name")
_PATHS = (
    lambda value: (
        isinstance(value, str) or (isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value))
    ),
    "text, or a list of variables",
)
_AXES = (
    lambda value: isinstance(value, str) and (not value or _good_axes(value.split())),
    "names of axes in order, like 'trial time channel' or 'channel time'",
)
_TABLE = (
    lambda value: value is None or (isinstance(value, dict) and all(isinstance(v, str) for v in value.values())),
    "'name: variable' lines",
)


def _good_axes(axes: list[str]) -> bool:
    return len(set(axes)) == len(axes) and set(axes) <= set(AXES) and "time" in axes and len(axes) > 1


_CHECKS: dict[type, dict[str, tuple[Callable[[Any], bool], str]]] = {
    SignalLayout: {
        "variable": _PATHS, "name": _TEXT, "time": _TEXT, "time_unit": _one_of(*TIME_UNITS), "rate": _RATE,
        "start": _NUMBER, "unit": _TEXT, "channels": _NAMES, "channels_first": _TRUTH, "axes": _AXES,
        "binned": _TRUTH, "stamp": _one_of(*STAMPS),
    },
    SpikesLayout: {
        "variable": _TEXT, "name": _TEXT, "cluster": _TEXT, "time_unit": _one_of(*TIME_UNITS), "rate": _RATE,
        "channels": _TEXT, "unsorted": _TRUTH, "support": _TEXT,
    },
    CountsLayout: {
        "variable": _PATHS, "name": _TEXT, "width": _RATE, "time": _TEXT, "time_unit": _one_of("s", "ms", "us"),
        "start": _NUMBER, "stamp": _one_of(*STAMPS), "rates": _TRUTH, "units": _NAMES, "axes": _AXES,
    },
    IntervalsLayout: {
        "name": _TEXT, "starts": _TEXT, "stops": _TEXT, "labels": _TEXT, "columns": _TABLE,
        "time_unit": _one_of("s", "ms", "us"),
    },
    Layout: {
        "spikes": (lambda value: isinstance(value, str | SpikesLayout), "text, or the keys of SpikesLayout"),
        "channels": _TEXT, "unsorted": _TRUTH, "trials": _TEXT, "gap": _NUMBER,
    },
}  # fmt: skip
_NEEDED: dict[type, dict[str, str]] = {
    SignalLayout: {"variable": "values"},
    SpikesLayout: {"variable": "times"},
    CountsLayout: {"variable": "counts"},
    IntervalsLayout: {"name": "name", "starts": "starts", "stops": "stops"},
}
