"""Recordings in MATLAB files, version 5 (``save -v6``, ``-v7``) and 7.3: our own layout, or one that is described.

Our own layout is a set of struct arrays (README.md).  Files of others are read with a `Layout` that says which variable
holds what.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.described import described_recording
from neurodyn.recording.guard import one_line
from neurodyn.recording.hdf5 import FORMAT, VERSION
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.layout import Layout
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.left_out import Choices, Repeated, build_items, chosen_intervals, chosen_units
from neurodyn.recording.matlab_file import cell_array, load_variables
from neurodyn.recording.names import file_name
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.values import cells as _cells
from neurodyn.recording.values import in_memory as _in_memory
from neurodyn.recording.values import matrix as _matrix
from neurodyn.recording.values import number as _number
from neurodyn.recording.values import support as _support
from neurodyn.recording.values import text as _text
from neurodyn.recording.values import texts as _texts
from neurodyn.recording.values import vector as _vector
from neurodyn.writing import replace_atomically

_Tree = Mapping[str, Any]


def read_matlab(
    path: str | os.PathLike[str],
    layout: Layout | None = None,
    *,
    skip: Iterable[str] = (),
    lazy: bool | None = None,
    repeated: Repeated | str | None = None,
    strict: bool = True,
) -> Recording:
    """Read a recording from a MATLAB file of version 5 or 7.3.

    Parameters
    ----------
    path
        The file.
    layout
        Which variables hold what; None for a file in our own layout.
    skip, lazy, repeated, strict
        What to leave out and how, see `left_out.Choices`; only of version 7.3 do fields stay in the file.

    Returns
    -------
    Recording
        Named after the file unless the file says its name.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another kind, has another layout than the one given, or an item that
        cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import scipy.io
    >>> from neurodyn.recording import Layout, SpikesLayout, read_matlab
    >>> layout = Layout(spikes=SpikesLayout("times", cluster="unit"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scipy.io.savemat(f"{folder}/session.mat", {"times": np.array([0.1, 0.4, 0.9]), "unit": np.array([1, 2, 1])})
    ...     read_matlab(f"{folder}/session.mat", layout).spike_trains().n_units
    2
    """
    path, choices = Path(path), Choices.of(skip, repeated, strict, lazy)
    variables = load_variables(path, lazy=lazy)
    if layout is not None:
        return described_recording(file_name(path), variables, layout, choices)
    if is_cell_explorer(variables):
        make = partial(_cell_explorer, variables, choices)
        items, unusable = build_items({"spikes": {"spikes": make}}, choices)
        return Recording(file_name(path), unusable=unusable, **items)
    if not is_ours(variables):
        raise needs_layout(path, variables)
    items, unusable = build_items(_our_parts(variables, path, choices), choices)
    return Recording(_text(variables["name"], "name"), unusable=unusable, **items)


def needs_layout(path: Path, variables: _Tree) -> InputError:
    """Error for variables that do not say what is what, with the ways to say it."""
    return InputError(
        f"'{path}' is a file with the variables {', '.join(sorted(variables)) or 'none'}: say which of them hold what"
        " with a layout (--layout FILE);  neurodyn inspect  shows what is in it and proposes one"
    )


def is_cell_explorer(variables: _Tree) -> bool:
    """Whether variables are those of CellExplorer's ``*.spikes.cellinfo.mat``: spike times and numbers of its units."""
    spikes = variables.get("spikes")
    return isinstance(spikes, Mapping) and {"times", "UID"} <= set(spikes)


def _cell_explorer(variables: _Tree, choices: Choices) -> SpikeTrains:
    """Units by their UID, in seconds, with every member that has one number or text per unit as an attribute."""
    spikes = variables["spikes"]
    times = [_vector(train, "spikes.times") for train in _cells(spikes["times"], "spikes.times")]
    units = tuple(f"{unit:g}" for unit in _vector(spikes["UID"], "spikes.UID").tolist())
    attributes = {}
    for name, value in spikes.items():
        value = _in_memory(value)
        if name in ("times", "UID") or not isinstance(value, np.ndarray) or value.size != len(times):
            continue
        if value.dtype.kind in "biuf" and min(value.shape) == 1:
            attributes[name] = value.ravel()
        elif value.dtype == object and all(isinstance(item, str) for item in value.ravel()):
            attributes[name] = np.array(value.ravel(order="F").tolist(), dtype=str)
    return chosen_units("spikes", times, units, attributes, choices)


def write_matlab(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """Write a recording as a MATLAB file of version 5 in our own layout; values in files are read whole.

    Raises
    ------
    InputError
        If it cannot be written: an array of 2 GiB or more, or a name that MATLAB cannot hold.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_matlab(session, f"{folder}/session.mat")
    ...     nd.recording.differences(session, nd.recording.read_matlab(path))
    []
    """
    from scipy.io import savemat

    path = Path(path)
    tables = {
        "spikes": [_spikes_row(item) for item in recording.spikes.values()],
        "fields": [_signal_row(item) for item in recording.fields.values()],
        "behaviour": [_signal_row(item) for item in recording.behaviour.values()],
        "intervals": [_intervals_row(item) for item in recording.intervals.values()],
    }
    if recording.counts:
        tables["counts"] = [_counts_row(item) for item in recording.counts.values()]
    variables = {"format": FORMAT, "version": float(VERSION), "name": recording.name}
    variables |= {kind: _struct_array(rows) for kind, rows in tables.items()}
    with replace_atomically(path) as temporary:
        try:
            with temporary.open("wb") as file:
                savemat(file, variables, do_compression=True, long_field_names=True, oned_as="column")
        except (ValueError, TypeError, UnicodeError, OverflowError) as error:
            raise InputError(
                f"recording '{recording.name}' cannot be written as MATLAB 5: {one_line(error)}"
            ) from error
    return path


# --- our own layout -------------------------------------------------------------------------------


def is_ours(variables: _Tree) -> bool:
    """Whether variables are those that `write_matlab` writes."""
    return isinstance(found := variables.get("format"), str) and found == FORMAT


def _our_parts(variables: _Tree, path: Path, choices: Choices) -> dict[str, dict[str, Any]]:
    version = _number(variables.get("version"), "version")
    if not 1 <= version <= VERSION:
        raise InputError(f"'{path}' has version {version:g} of the format, this neurodyn reads up to {VERSION}")
    if "name" not in variables:
        raise InputError(f"'{path}' has no variable 'name': it is damaged")
    makers = {"spikes": _spikes, "counts": _counts, "fields": _signal, "behaviour": _behaviour, "intervals": _intervals}
    parts: dict[str, dict[str, Any]] = {}
    for kind, make in makers.items():
        parts[kind] = {}
        # Counts came with version 2.
        for row in [] if kind == "counts" and kind not in variables else _rows(variables.get(kind), kind):
            name = _text(row.get("name"), f"{kind}.name")
            if name in parts[kind]:
                raise InputError(f"'{path}' has two {kind} called '{name}'")
            parts[kind][name] = partial(make, name, row, choices)
    return parts


def _rows(value: Any, what: str) -> list[_Tree]:
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        return value
    if isinstance(value, np.ndarray) and value.size == 0:
        return []
    raise InputError(f"'{what}' must be a struct array, got {type(value).__name__}: the file is damaged")


def _spikes(name: str, row: _Tree, choices: Choices) -> SpikeTrains:
    times = tuple(_vector(train, f"spikes '{name}'") for train in _cells(row.get("times"), f"times of '{name}'"))
    units = _texts(row.get("units"), f"units of '{name}'")
    attributes = _columns(row.get("attributes"), f"attributes of '{name}'")
    support = _support(row.get("support"), f"support of '{name}'")
    return chosen_units(name, times, units, attributes, choices, support)


def _columns(value: Any, what: str) -> dict[str, np.ndarray]:
    columns = {}
    for entry in _rows(value, what):
        key, values = _text(entry.get("name"), "attribute name"), entry.get("values")
        is_text = isinstance(values, np.ndarray) and values.dtype == object
        columns[key] = np.array(_texts(values, key), dtype=str) if is_text else _vector(values, key)
    return columns


def _counts(name: str, row: _Tree, choices: Choices) -> BinnedCounts:
    units = _texts(row.get("units"), f"units of '{name}'")
    values = _matrix(row.get("values"), f"values of '{name}'", columns=len(units))
    width, start = (_number(row.get(what), f"{what} of '{name}'") for what in ("width", "start"))
    return BinnedCounts(name, values, width, start, units, _columns(row.get("attributes"), f"attributes of '{name}'"))


def _signal(name: str, row: _Tree, choices: Choices) -> Signal:
    values = row.get("values")
    channels, unit = _texts(row.get("channels"), f"channels of '{name}'"), _text(row.get("unit"), f"unit of '{name}'")
    if not isinstance(values, LazyArray):
        values = _matrix(values, f"values of '{name}'", columns=len(channels))
    if "timestamps" in row and np.asarray(row.get("rate")).size == 0:
        values, times = choices.signal_times(name, values, _vector(row["timestamps"], f"timestamps of '{name}'"))
        return Signal(name, values, timestamps=times, channels=channels, unit=unit)
    rate, start = (_number(row.get(what), f"{what} of '{name}'") for what in ("rate", "start"))
    return Signal(name, values, rate=rate, start=start, channels=channels, unit=unit)


def _behaviour(name: str, row: _Tree, choices: Choices) -> Signal:
    return _signal(name, {**row, "values": _in_memory(row.get("values"))}, choices)


def _intervals(name: str, row: _Tree, choices: Choices) -> Intervals:
    starts, stops = (_vector(row.get(what), f"{what} of '{name}'") for what in ("starts", "stops"))
    labels = _texts(row.get("labels"), f"labels of '{name}'")
    # Columns came with version 2.
    columns = _columns(row["columns"], f"columns of '{name}'") if "columns" in row else {}
    return chosen_intervals(name, starts, stops, labels, columns, choices)


def _spikes_row(trains: SpikeTrains) -> dict[str, Any]:
    return {
        "name": trains.name,
        "times": cell_array([train[:, None] for train in trains.times], (trains.n_units, 1)),
        "units": _cellstr(trains.units),
        "support": _support_rows(trains),
        "attributes": _columns_rows(trains.attributes),
    }


def _columns_rows(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    rows = [
        {"name": name, "values": _cellstr(values.tolist()) if values.dtype.kind == "U" else values[:, None]}
        for name, values in columns.items()
    ]
    return _struct_array(rows, ("name", "values"))


def _counts_row(counts: BinnedCounts) -> dict[str, Any]:
    return {
        "name": counts.name,
        "values": counts.values,
        "width": counts.width,
        "start": counts.start,
        "units": _cellstr(counts.units),
        "attributes": _columns_rows(counts.attributes),
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
    return {"name": table.name, **bounds, "labels": _cellstr(table.labels), "columns": _columns_rows(table.columns)}


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
