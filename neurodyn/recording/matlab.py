"""Recordings in MATLAB files, version 5 (``save -v6``, ``-v7``) and 7.3: our own layout, or one that is described.

Our own layout is a set of struct arrays (README.md).  Files of others are read with a `MatlabLayout` that says which
variable holds what.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.guard import one_line
from neurodyn.recording.hdf5 import FORMAT, KINDS, VERSION, leave_out, written_atomically
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.matlab_file import cell_array, load_variables
from neurodyn.recording.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.recording.support import TimeSupport

_Tree = Mapping[str, Any]


@dataclass(frozen=True)
class MatlabSignal:
    """Where a signal lies in a MATLAB file.

    Parameters
    ----------
    variable
        Numeric matrix, samples x channels (or the other way round: `channels_first`).
    name
        What to call the signal; the variable's name if empty.
    time
        Variable with the time of each sample in seconds; empty if there is a rate.
    rate
        Samples per second (Hz): a number, or the name of a variable; None if there are times.
    start
        Time of the first sample in seconds, with a rate.
    unit
        Of the values.
    channels
        Names of the channels, or the name of a variable with a cell array of them.
    channels_first
        Whether the matrix is channels x samples.
    """

    variable: str
    name: str = ""
    time: str = ""
    rate: float | str | None = None
    start: float = 0.0
    unit: str = ""
    channels: tuple[str, ...] | str = ()
    channels_first: bool = False


@dataclass(frozen=True)
class MatlabLayout:
    """Which variables of a MATLAB file hold what.

    Parameters
    ----------
    spikes
        Cell array of spike times in seconds: a vector per unit, or channels x units of each; empty for none.
    channels
        Variable with a cell array of channel names, one per row of `spikes`; rows are numbered without it.
    unsorted
        Whether the first column of a channels x units cell array (what sorting left over) is kept.
    fields, behaviour
        Signals.
    """

    spikes: str = ""
    channels: str = ""
    unsorted: bool = True
    fields: tuple[MatlabSignal, ...] = ()
    behaviour: tuple[MatlabSignal, ...] = field(default_factory=tuple)


def read_matlab(
    path: str | os.PathLike[str],
    layout: MatlabLayout | None = None,
    *,
    skip: Iterable[str] = (),
    lazy: bool | None = None,
) -> Recording:
    """Read a recording from a MATLAB file of version 5 or 7.3.

    Parameters
    ----------
    path
        The file.
    layout
        Which variables hold what; None for a file in our own layout.
    skip
        Names of items to leave out.
    lazy
        Whether the values of fields in a file of version 7.3 stay there until they are needed; None: if they have
        more than 1 GiB.

    Returns
    -------
    Recording
        Named after the file unless the file says its name.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another kind, has another layout than the one given, or an item that
        cannot be used.
    """
    path = Path(path)
    variables = load_variables(path, lazy=lazy)
    if layout is None and not _is_ours(variables):
        raise InputError(
            f"'{path}' is a MATLAB file with the variables {', '.join(sorted(variables)) or 'none'}: say which of them "
            "hold what with a layout (neurodyn convert --layout FILE)"
        )
    parts = _our_parts(variables, path) if layout is None else _parts(variables, layout)
    leave_out(skip, *parts.values())
    name = variables["name"] if layout is None else path.stem
    return Recording(_text(name, "name"), **{kind: {k: make() for k, make in parts[kind].items()} for kind in KINDS})


def write_matlab(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """Write a recording as a MATLAB file of version 5 in our own layout; values in files are read whole.

    Raises
    ------
    InputError
        If it cannot be written: an array of 2 GiB or more, or a name that MATLAB cannot hold.
    """
    from scipy.io import savemat

    path = Path(path)
    tables = {
        "spikes": [_spikes_row(item) for item in recording.spikes.values()],
        "fields": [_signal_row(item) for item in recording.fields.values()],
        "behaviour": [_signal_row(item) for item in recording.behaviour.values()],
        "intervals": [_intervals_row(item) for item in recording.intervals.values()],
    }
    variables = {"format": FORMAT, "version": float(VERSION), "name": recording.name}
    variables |= {kind: _struct_array(rows) for kind, rows in tables.items()}
    with written_atomically(path) as temporary:
        try:
            with temporary.open("wb") as file:
                savemat(file, variables, do_compression=True, long_field_names=True, oned_as="column")
        except (ValueError, TypeError, UnicodeError, OverflowError) as error:
            raise InputError(
                f"recording '{recording.name}' cannot be written as MATLAB 5: {one_line(error)}"
            ) from error
    return path


# --- our own layout -------------------------------------------------------------------------------


def _is_ours(variables: _Tree) -> bool:
    return isinstance(found := variables.get("format"), str) and found == FORMAT


def _our_parts(variables: _Tree, path: Path) -> dict[str, dict[str, Any]]:
    version = _number(variables.get("version"), "version")
    if not 1 <= version <= VERSION:
        raise InputError(f"'{path}' has version {version:g} of the format, this neurodyn reads up to {VERSION}")
    if "name" not in variables:
        raise InputError(f"'{path}' has no variable 'name': it is damaged")
    makers = {"spikes": _spikes, "fields": _signal, "behaviour": _behaviour, "intervals": _intervals}
    parts: dict[str, dict[str, Any]] = {}
    for kind, make in makers.items():
        parts[kind] = {}
        for row in _rows(variables.get(kind), kind):
            name = _text(row.get("name"), f"{kind}.name")
            if name in parts[kind]:
                raise InputError(f"'{path}' has two {kind} called '{name}'")
            parts[kind][name] = lambda make=make, name=name, row=row: make(name, row)
    return parts


def _rows(value: Any, what: str) -> list[_Tree]:
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        return value
    if isinstance(value, np.ndarray) and value.size == 0:
        return []
    raise InputError(f"'{what}' must be a struct array, got {type(value).__name__}: the file is damaged")


def _spikes(name: str, row: _Tree) -> SpikeTrains:
    times = tuple(_vector(train, f"spikes '{name}'") for train in _cells(row.get("times"), f"times of '{name}'"))
    attributes = {}
    for entry in _rows(row.get("attributes"), f"attributes of '{name}'"):
        key, values = _text(entry.get("name"), "attribute name"), entry.get("values")
        is_text = isinstance(values, np.ndarray) and values.dtype == object
        attributes[key] = np.array(_texts(values, key), dtype=str) if is_text else _vector(values, key)
    units = _texts(row.get("units"), f"units of '{name}'")
    return SpikeTrains(name, times, units, attributes, _support(row.get("support"), f"support of '{name}'"))


def _support(value: Any, what: str) -> TimeSupport | tuple[TimeSupport, ...] | None:
    """Starts and stops for all units, or a cell of them per unit; nothing where nothing is stated, as in version 1."""
    if value is None or (isinstance(value, np.ndarray) and value.size == 0):
        return None
    if isinstance(value, list) or value.dtype == object:
        cells = value if isinstance(value, list) else _cells(value, what)
        return tuple(TimeSupport.of(_matrix(cell, what, columns=2)) for cell in cells)
    return TimeSupport.of(_matrix(value, what))


def _signal(name: str, row: _Tree) -> Signal:
    values = row.get("values")
    channels, unit = _texts(row.get("channels"), f"channels of '{name}'"), _text(row.get("unit"), f"unit of '{name}'")
    if not isinstance(values, LazyArray):
        values = _matrix(values, f"values of '{name}'", columns=len(channels))
    if "timestamps" in row and np.asarray(row.get("rate")).size == 0:
        times = _vector(row["timestamps"], f"timestamps of '{name}'")
        return Signal(name, values, timestamps=times, channels=channels, unit=unit)
    rate, start = (_number(row.get(what), f"{what} of '{name}'") for what in ("rate", "start"))
    return Signal(name, values, rate=rate, start=start, channels=channels, unit=unit)


def _behaviour(name: str, row: _Tree) -> Signal:
    return _signal(name, {**row, "values": _in_memory(row.get("values"))})


def _intervals(name: str, row: _Tree) -> Intervals:
    starts, stops = (_vector(row.get(what), f"{what} of '{name}'") for what in ("starts", "stops"))
    return Intervals(name, starts, stops, _texts(row.get("labels"), f"labels of '{name}'"))


def _spikes_row(trains: SpikeTrains) -> dict[str, Any]:
    attributes = [
        {"name": name, "values": _cellstr(values.tolist()) if values.dtype.kind == "U" else values[:, None]}
        for name, values in trains.attributes.items()
    ]
    return {
        "name": trains.name,
        "times": cell_array([train[:, None] for train in trains.times], (trains.n_units, 1)),
        "units": _cellstr(trains.units),
        "support": _support_rows(trains),
        "attributes": _struct_array(attributes, ("name", "values")),
    }


def _support_rows(trains: SpikeTrains) -> np.ndarray:
    """A stretch without length stands for never: MATLAB's empty matrix is what is not stated."""
    rows = [one.rows if len(one) else np.zeros((1, 2)) for one in trains.unit_supports]
    if isinstance(trains.support, tuple):
        return cell_array(rows, (trains.n_units, 1))
    return np.zeros((0, 0)) if trains.support is None else rows[0]


def _signal_row(signal: Signal) -> dict[str, Any]:
    regular = signal.timestamps is None
    return {
        "name": signal.name,
        "values": np.asarray(signal.values),
        "timestamps": np.zeros((0, 0)) if regular else np.asarray(signal.timestamps)[:, None],
        "rate": signal.rate if regular else np.zeros((0, 0)),
        "start": signal.start,
        "channels": _cellstr(signal.channels),
        "unit": signal.unit,
    }


def _intervals_row(table: Intervals) -> dict[str, Any]:
    bounds = {"starts": table.starts[:, None], "stops": table.stops[:, None]}
    return {"name": table.name, **bounds, "labels": _cellstr(table.labels)}


def _cellstr(texts: Iterable[str]) -> np.ndarray:
    texts = list(texts)
    return cell_array(texts, (len(texts), 1))


def _struct_array(rows: Sequence[_Tree], names: Sequence[str] = ()) -> np.ndarray:
    names = list(rows[0]) if rows else list(names) or ["name"]
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for index, row in enumerate(rows):
        for name in names:
            array[name][0, index] = row[name]
    return array


# --- a described layout ---------------------------------------------------------------------------


def _parts(variables: _Tree, layout: MatlabLayout) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    if layout.spikes:
        parts["spikes"]["spikes"] = lambda: _described_spikes(variables, layout)
    for kind, rows in (("fields", layout.fields), ("behaviour", layout.behaviour)):
        for row in rows:
            name = row.name or row.variable
            if name in parts[kind]:
                raise InputError(f"the layout has two {kind} called '{name}'")
            parts[kind][name] = lambda row=row, name=name, kind=kind: _described(variables, row, name, kind)
    return parts


def _described_spikes(variables: _Tree, layout: MatlabLayout) -> SpikeTrains:
    cells = _variable(variables, layout.spikes)
    if not (isinstance(cells, np.ndarray) and cells.dtype == object and cells.ndim == 2):
        raise InputError(f"variable '{layout.spikes}' must be a cell array of spike times")
    rows = cells.T if cells.shape[0] == 1 else cells
    names = tuple(str(row) for row in range(len(rows)))
    if layout.channels:
        names = _texts(_variable(variables, layout.channels), layout.channels)
    if len(names) != len(rows):
        raise InputError(f"'{layout.spikes}' has {len(rows)} rows, '{layout.channels}' {len(names)} names")
    first = 0 if layout.unsorted or rows.shape[1] == 1 else 1
    times, units, channels, sorted_units = [], [], [], []
    for name, row in zip(names, rows, strict=True):
        for unit in range(first, rows.shape[1]):
            train = _vector(row[unit], f"'{layout.spikes}', {name}, unit {unit}")
            if train.size:
                times.append(train)
                units.append(name if rows.shape[1] == 1 else f"{name}/{unit}")
                channels.append(name)
                sorted_units.append(unit > 0 or rows.shape[1] == 1)
    attributes = {"channel": np.array(channels, dtype=str), "sorted": np.array(sorted_units, dtype=bool)}
    return SpikeTrains("spikes", tuple(times), tuple(units), attributes)


def _described(variables: _Tree, row: MatlabSignal, name: str, kind: str) -> Signal:
    values = _variable(variables, row.variable)
    values = _in_memory(values) if kind == "behaviour" or row.channels_first else values
    if not isinstance(values, LazyArray):
        values = _matrix(values.T if row.channels_first and isinstance(values, np.ndarray) else values, row.variable)
    channels = row.channels
    if isinstance(channels, str):
        channels = _texts(_variable(variables, channels), channels)
    if row.time:
        times = _vector(_variable(variables, row.time), row.time)
        return Signal(name, values, timestamps=times, channels=channels, unit=row.unit)
    rate = row.rate
    if isinstance(rate, str):
        rate = _number(_variable(variables, rate), rate)
    return Signal(name, values, rate=rate, start=row.start, channels=channels, unit=row.unit)


def _variable(variables: _Tree, name: str) -> Any:
    """A variable by its name, or by a path of struct members with dots between."""
    found: Any = variables
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise unknown_name("variable", name, variables)
        found = found[part]
    return found


# --- values ---------------------------------------------------------------------------------------


def _in_memory(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, LazyArray) else value


def _matrix(value: Any, what: str, columns: int | None = None) -> np.ndarray:
    value = _in_memory(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.ndim != 2:
        raise InputError(f"'{what}' must be a matrix of real numbers, samples x channels")
    # MATLAB keeps no axes of an empty matrix that it was given as [].
    return value.reshape(0, columns or 0) if value.size == 0 and value.shape[0] == 0 else value


def _vector(value: Any, what: str) -> np.ndarray:
    value = _in_memory(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.size != prod(value.shape[-2:]):
        raise InputError(f"'{what}' must be a vector of real numbers")
    if value.size and min(value.shape) != 1:
        raise InputError(f"'{what}' must be a vector, got a matrix of shape {value.shape}")
    return value.ravel() if value.size else np.zeros(0)


def _number(value: Any, what: str) -> float:
    value = _in_memory(value)
    if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.kind not in "iuf":
        raise InputError(f"'{what}' must be a number: the file is damaged, or of another layout")
    return float(value.item())


def _text(value: Any, what: str) -> str:
    if isinstance(value, np.ndarray) and value.size == 0:
        return ""
    if not isinstance(value, str):
        raise InputError(f"'{what}' must be text: the file is damaged, or of another layout")
    return value


def _cells(value: Any, what: str) -> list[Any]:
    if isinstance(value, np.ndarray) and (value.dtype == object or value.size == 0):
        return list(value.ravel(order="F"))
    raise InputError(f"'{what}' must be a cell array")


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    items = value if isinstance(value, list) else _cells(value, what)
    return tuple(_text(item, what) for item in items)
