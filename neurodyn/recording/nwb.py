"""Read NWB 2 files: units, electrical series, behaviour and intervals become one recording in seconds."""

import json
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from neurodyn.errors import InputError, import_extra
from neurodyn.recording.guard import check_dataset, one_line, open_hdf5
from neurodyn.recording.hdf5 import leave_out, stays_in_file
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.recording.support import EVERYTHING, TimeSupport, shared

# Columns in which labs write the names of electrodes and of intervals, in order of preference.
_ELECTRODE_NAMES = ("channel_name", "label", "electrode_name", "name")
_INTERVAL_LABELS = ("tags", "label", "name")
_UNIT_NAMES = ("unit_name",)
NOTES = "neurodyn: "
"""Begins the comments of a series that we wrote and whose unit or channel names NWB has no place for; JSON follows."""
_AXES = ("x", "y", "z")

_Path = tuple[str, ...]


def read_nwb(path: str | Path, *, skip: Collection[str] = (), lazy: bool | None = None) -> Recording:
    """Read an NWB 2 file; the file is closed again when this returns.

    The units table becomes ``spikes["spikes"]``; electrical series, also inside LFP or FilteredEphys, are
    fields; spatial series and plain time series are behaviour; epochs, trials and other tables of intervals
    are intervals.  The units' ``obs_intervals`` are their time support; a table ``invalid_times`` is kept among the
    intervals and taken out of everything where the recording is used (`neurodyn.recording.without_invalid_times`).
    Values are ``data * conversion * channel_conversion + offset``.  A series goes by its
    own name; where two share one, the names of their containers stand before it (``probe/lfp``).

    Parameters
    ----------
    path
        The file.
    skip
        Names of items to leave out, for example a damaged one that is not needed.
    lazy
        Whether the values of fields stay in the file until they are needed; None: if they have more than 1 GiB.

    Returns
    -------
    Recording
        Named after the file, all times in seconds from the file's reference time.

    Raises
    ------
    InputError
        If the file is missing, is not NWB 2, cannot be read, points to other files, declares more than it holds, or
        holds an item that cannot be used: spike times unsorted or negative, timestamps that do not increase; or if
        there is no item of a name to skip.
    MissingExtraError
        If pynwb is not installed.
    """
    path = Path(path)
    pynwb = import_extra("pynwb", "nwb")
    _check_is_nwb(path)
    try:
        with _expected_warnings(), pynwb.NWBHDF5IO(path, mode="r") as io:
            return _read_file(io.read(), path, tuple(skip), lazy)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read '{path}', is it damaged? HDF5 says: {one_line(error)}") from error
    # pynwb stumbles over a damaged file with whatever error the line at hand raises.
    except Exception as error:
        raise InputError(f"cannot read '{path}' as NWB, is it damaged? pynwb says: {one_line(error)}") from error


@contextmanager
def _expected_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        # Written by another pynwb than the one installed: true of most files, and harmless.
        warnings.filterwarnings("ignore", message="Ignoring .*cached namespace", category=UserWarning)
        # Signal raises an error that says the same.
        warnings.filterwarnings("ignore", message=".*Length of data does not match", category=UserWarning)
        yield


def _check_is_nwb(path: Path) -> None:
    """What must hold before pynwb is given the file, which would follow its links and trust its sizes."""
    import h5py

    if path.is_file() and not h5py.is_hdf5(path):
        raise InputError(f"'{path}' is not an NWB file: it is not HDF5, or not readable")
    with open_hdf5(path) as file:
        if "nwb_version" not in file.attrs:
            raise InputError(f"'{path}' is HDF5 but not NWB 2: it has no nwb_version")

        found: list[Any] = []
        file.visititems(lambda _, item: found.append(item))
        for item in found:
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                check_dataset(item, path, whole=False)


def _read_file(file: Any, path: Path, skip: tuple[str, ...], lazy: bool | None) -> Recording:
    items = list(_walk(file))
    fields = _named([item for item in items if _is_field(item[1])])
    behaviour = _named([item for item in items if _is_behaviour(item[1])])
    tables = _named([item for item in items if _is_type(item[1], "TimeIntervals")])
    units = _named([item for item in items if _has_spikes(item[1])])
    leave_out(skip, units, fields, behaviour, tables)
    return Recording(
        name=path.stem,
        spikes={key: _read_units(key, table) for key, table in units.items()},
        fields={key: _read_signal(key, series, _electrode_names(series), lazy) for key, series in fields.items()},
        behaviour={
            key: _read_signal(key, series, _axis_names(key, series), False) for key, series in behaviour.items()
        },
        intervals={key: _read_intervals(key, table) for key, table in tables.items()},
    )


# --- what is where --------------------------------------------------------------------------------


def _walk(file: Any) -> Iterator[tuple[_Path, Any]]:
    """Every container that may hold data, with the names that lead to it."""
    if file.units is not None:
        yield ("spikes",), file.units
    # Whether epochs and trials also stand among the intervals depends on the version of pynwb.
    tables = (file.epochs, file.trials, file.invalid_times, *(file.intervals or {}).values())
    for name, table in {table.name: table for table in tables if table is not None}.items():
        yield (name,), table
    for item in file.acquisition.values():
        yield from _descend((), item)
    for module in file.processing.values():
        for item in module.data_interfaces.values():
            yield from _descend((module.name,), item)


def _descend(path: _Path, item: Any) -> Iterator[tuple[_Path, Any]]:
    path = (*path, item.name)
    yield path, item
    # Events are not sampled signals, and the columns of a table are not items of their own.
    if not _is_type(item, "TimeSeries", "DynamicTable", "BehavioralEvents", "BehavioralEpochs"):
        for child in item.children:
            yield from _descend(path, child)


def _is_type(item: Any, *names: str) -> bool:
    """Whether an object's class, or a class it extends, has one of these NWB names (extensions included)."""
    return any(base.__name__ in names for base in type(item).__mro__)


def _is_field(item: Any) -> bool:
    return _is_type(item, "ElectricalSeries") and not _is_type(item, "SpikeEventSeries") and _is_sampled(item)


def _is_behaviour(item: Any) -> bool:
    plain = type(item).__name__ == "TimeSeries"
    return (plain or _is_type(item, "SpatialSeries")) and _is_sampled(item)


def _is_sampled(series: Any) -> bool:
    if series.data is None or len(np.shape(series.data)) not in (1, 2):
        return False
    return np.asarray(series.data[:1]).dtype.kind in "biuf"


def _has_spikes(item: Any) -> bool:
    return _is_type(item, "Units") and "spike_times" in item.colnames


def _named(items: Sequence[tuple[_Path, Any]]) -> dict[str, Any]:
    names = _short_names([path for path, _ in items])
    ours = [str(_notes(item).get("name", name)) for name, (_, item) in zip(names, items, strict=True)]
    names = ours if len(set(ours)) == len(ours) else names
    return {name: item for name, (_, item) in zip(names, items, strict=True)}


def _short_names(paths: Sequence[_Path]) -> list[str]:
    """Join as few last parts of each path as no other path ends with."""

    def shortest(path: _Path) -> str:
        for length in range(1, len(path)):
            if sum(other[-length:] == path[-length:] for other in paths) == 1:
                return "/".join(path[-length:])
        return "/".join(path)

    return [shortest(path) for path in paths]


# --- sampled signals ------------------------------------------------------------------------------


def _read_signal(name: str, series: Any, channels: tuple[str, ...], lazy: bool | None) -> Signal:
    notes = _notes(series)
    values = _values(series, notes, lazy)
    channels = tuple(notes.get("channels", channels))
    matching = channels if len(channels) == values.shape[1] else ()
    unit = str(notes.get("unit", series.unit or ""))
    if series.rate is None:
        timestamps = np.asarray(series.timestamps[:], dtype=np.float64)
        return Signal(name, values, timestamps=timestamps, channels=matching, unit=unit)
    start = float(series.starting_time or 0.0)
    return Signal(name, values, rate=float(series.rate), start=start, channels=matching, unit=unit)


def _notes(series: Any) -> Mapping[str, Any]:
    """What `write_nwb` put into the comments because NWB has no place for it."""
    comments = str(getattr(series, "comments", ""))
    if not comments.startswith(NOTES):
        return {}
    try:
        notes = json.loads(comments.removeprefix(NOTES))
    except ValueError as error:
        raise InputError(f"the comments of series '{series.name}' are damaged: {one_line(error)}") from error
    return notes if isinstance(notes, dict) else {}


def _values(series: Any, notes: Mapping[str, Any], lazy: bool | None) -> np.ndarray | LazyArray:
    data, offset = series.data, 0.0
    scale: float | np.ndarray = 1.0
    if "unit" not in notes:  # else the numbers in the file are in the unit that was written down
        per_channel = getattr(series, "channel_conversion", None)
        scale = float(series.conversion) * (1.0 if per_channel is None else np.asarray(per_channel[:], np.float64))
        offset = float(series.offset or 0.0)
    samples, channels = (*data.shape, 1)[:2]
    if hasattr(data, "file") and stays_in_file(samples, channels, lazy):
        factors = tuple(np.asarray(scale).tolist()) if np.ndim(scale) else float(scale)
        return LazyArray(Path(data.file.filename).absolute(), data.name, samples, channels, factors, offset)
    _check_size(data)
    values = np.array(data[:], dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    values *= scale
    values += offset
    return values


def _check_size(data: Any) -> None:
    """Refuse to read at once what is too large for that."""
    if hasattr(data, "file"):
        check_dataset(data, Path(data.file.filename))


def _electrode_names(series: Any) -> tuple[str, ...]:
    """Names of a series' electrodes from the first column that gives each its own, or none."""
    table = series.electrodes.table
    rows = np.asarray(series.electrodes.data[:], dtype=int)
    for column in _ELECTRODE_NAMES:
        if column in table.colnames:
            names = tuple(str(name) for name in np.asarray(table[column][:])[rows])
            if all(names) and len(set(names)) == len(names):
                return names
    return ()


def _axis_names(name: str, series: Any) -> tuple[str, ...]:
    shape = np.shape(series.data)
    n_channels = shape[1] if len(shape) == 2 else 1
    in_position = _is_type(series, "SpatialSeries") and _is_type(series.parent, "Position")
    if in_position or (_is_type(series, "SpatialSeries") and n_channels > 1):
        return _AXES[:n_channels]
    return (name,) if n_channels == 1 else ()


# --- units and intervals --------------------------------------------------------------------------


def _read_units(name: str, table: Any) -> SpikeTrains:
    # One slice of the flat data is far faster than a read per unit.
    flat = np.asarray(table["spike_times"].target.data[:], dtype=np.float64)
    stops = np.asarray(table["spike_times"].data[:], dtype=np.int64)
    times = tuple(np.split(flat, stops[:-1])) if stops.size else ()
    attributes = dict(_attributes(table))
    return SpikeTrains(name, times, _unit_names(table, attributes), attributes, _obs_intervals(table))


def _obs_intervals(table: Any) -> tuple[TimeSupport, ...] | None:
    """When each unit was observed; without bounds where its row is empty, None where the file does not say."""
    if "obs_intervals" not in table.colnames:
        return None
    column = table["obs_intervals"]
    rows = np.asarray(column.target.data[:], dtype=np.float64).reshape(-1, 2)
    stops = np.asarray(column.data[:], dtype=np.int64)
    parts = np.split(rows, stops[:-1]) if stops.size else []
    return shared(TimeSupport.of(part) if len(part) else EVERYTHING for part in parts)


def _unit_names(table: Any, attributes: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Names from a column that gives each unit its own (it is then no attribute), the table's ids, or row numbers."""
    for column in _UNIT_NAMES:
        names = tuple(str(name) for name in attributes.get(column, ()))
        if all(names) and names and len(set(names)) == len(names):
            del attributes[column]
            return names
    labels = tuple(str(label) for label in table.id[:])
    return labels if len(set(labels)) == len(labels) else tuple(str(row) for row in range(len(labels)))


def _attributes(table: Any) -> Mapping[str, Shaped[np.ndarray, " units"]]:
    """Columns with one number or text per unit; ragged columns and references to other tables stay out."""
    columns = {column.name: column for column in table.columns if type(column).__name__ == "VectorData"}
    indexed = {column.target.name for column in table.columns if type(column).__name__ == "VectorIndex"}
    arrays = {name: _column(column) for name, column in columns.items() if name not in indexed}
    return {name: values for name, values in arrays.items() if values.ndim == 1 and values.dtype.kind in "biufU"}


def _column(column: Any) -> np.ndarray:
    values = np.asarray(column.data[:])
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat):
        return values.astype(str)
    return values


def _read_intervals(name: str, table: Any) -> Intervals:
    starts = np.asarray(table["start_time"][:], dtype=np.float64)
    stops = np.asarray(table["stop_time"][:], dtype=np.float64)
    return Intervals(name, starts, stops, _interval_labels(table))


def _interval_labels(table: Any) -> tuple[str, ...]:
    for column in _INTERVAL_LABELS:
        if column in table.colnames:
            labels = tuple(_label(value) for value in table[column][:])
            if any(labels):
                return tuple(label or str(row) for row, label in enumerate(labels))
    return ()


def _label(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(str(tag) for tag in np.atleast_1d(value))
