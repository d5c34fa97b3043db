"""Read NWB 2 files: units, electrical series, behaviour and intervals become one recording in seconds."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from neurodyn.errors import InputError, import_extra
from neurodyn.given import argument_named, file_path
from neurodyn.recording.checks import ImplausibleWarning
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.guard import check_dataset, one_line, open_hdf5
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.lazy import LazyArray, stays_in_file
from neurodyn.recording.left_out import Choices, Repeated, build_items, chosen_intervals, chosen_units
from neurodyn.recording.names import file_name
from neurodyn.recording.nwb_items import is_type, items_of, notes_of
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import EVERYTHING, TimeSupport, shared

# Columns in which labs write the names of electrodes and of intervals, in order of preference.
_ELECTRODE_NAMES = ("channel_name", "label", "electrode_name", "name")
_INTERVAL_LABELS = ("tags", "label", "name")
_UNIT_NAMES = ("unit_name",)
_AXES = ("x", "y", "z")
_LONGEST_CAUSE = 300


def read_nwb(
    path: str | Path,
    *,
    skip: Iterable[str] = (),
    lazy: bool | None = None,
    repeated: Repeated | str | None = None,
    strict: bool = True,
) -> Recording:
    """Read an NWB 2 file; the file is closed again when this returns.

    The units table becomes ``spikes["spikes"]``; electrical series, also inside LFP or FilteredEphys, are
    fields; spatial series and plain time series are behaviour; epochs, trials and other tables of intervals
    are intervals, with their columns.  The units' ``obs_intervals`` are their time support; a table ``invalid_times``
    is kept among the intervals and taken out of everything where the recording is used
    (`neurodyn.recording.without_invalid_times`).  A series of an extension is read as the type it extends.  What a file
    links to twice counts once.  Values are ``data * conversion * channel_conversion + offset``.  A series goes by its
    own name; where two share one, the names of their containers stand before it (``probe/lfp``).

    Parameters
    ----------
    path
        The file.
    skip, lazy, repeated, strict
        What to leave out and how, see `left_out.Choices`.

    Returns
    -------
    Recording
        Named after the file, all times in seconds from the file's reference time.  `unread` counts what is in the file
        besides.  With an `ImplausibleWarning` for a series whose rows are as many as its electrodes.

    Raises
    ------
    InputError
        If the file is missing, is not NWB 2, cannot be read, points to other files, declares more than it holds, or
        holds an item that cannot be used: spike times unsorted or negative, timestamps that do not increase; or if
        there is no item of a name to skip.
    MissingExtraError
        If pynwb is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_nwb(session, f"{folder}/session.nwb")
    ...     read = nd.read_nwb(path)
    >>> list(read.spikes), list(read.fields), list(read.behaviour), list(read.intervals)
    (['spikes'], ['lfp'], ['position'], ['epochs'])
    """
    path, choices = argument_named("path", file_path, path), Choices.of(skip, repeated, strict, lazy)
    pynwb = import_extra("pynwb", "nwb")
    _check_is_nwb(path)
    try:
        with _no_warnings(), pynwb.NWBHDF5IO(path, mode="r") as io:
            recording, doubts = _read_file(io.read(), path, choices)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read '{path}', is it damaged? HDF5 says: {one_line(error)}") from error
    # pynwb stumbles over a damaged file with whatever error the line at hand raises.
    except Exception as error:
        raise InputError(
            f"cannot read '{path}' as NWB, is it damaged, or written with another version of an extension?"
            f" pynwb says: {_cause(error)}"
        ) from error
    for doubt in doubts:
        warnings.warn(f"recording '{recording.name}': {doubt}", ImplausibleWarning, stacklevel=2)
    return recording


def _cause(error: Exception) -> str:
    """Cause of an error of pynwb without the dump of the file that comes before it."""
    told = error.args[-1] if error.args and isinstance(error.args[-1], str) else one_line(error)
    place = str(getattr(error.args[0], "path", "")) if len(error.args) > 1 else ""
    words = " ".join(told.split())
    words = words if len(words) <= _LONGEST_CAUSE else f"... {words[-_LONGEST_CAUSE:]}"
    return f"{words} (at '{place[:100]}')" if place else words


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Nothing that pynwb warns of reaches the user.

    That the file was written by another pynwb is true of most files; that lengths do not match, `Signal` refuses; and
    swapped axes are doubted here in words of our own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_is_nwb(path: Path) -> None:
    """What must hold before pynwb is given the file, which would follow its links and trust its sizes."""
    import h5py

    if path.is_file() and not h5py.is_hdf5(path):
        raise InputError(f"'{path}' is not an NWB file: it is not HDF5, or not readable")
    with open_hdf5(path) as file:
        if is_nwb_1(file):
            raise InputError(
                f"'{path}' is NWB of version 1, which has another structure: bring it to NWB 2 first (its lab may have"
                " published it in that form on DANDI), or export it as MATLAB and describe that with a layout"
            )
        if "nwb_version" not in file.attrs:
            raise InputError(f"'{path}' is HDF5 but not NWB 2: it has no nwb_version")

        found: list[Any] = []
        file.visititems(lambda _, item: found.append(item))
        for item in found:
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                check_dataset(item, path, whole=False)


def is_nwb_1(file: Any) -> bool:
    """Whether an open HDF5 file is NWB of version 1: the version is a dataset there, and begins with NWB-1 or 1."""
    import h5py

    found = file.get("nwb_version") if "nwb_version" in file else file.attrs.get("nwb_version", "")
    if isinstance(found, h5py.Dataset):
        found = found[()] if found.shape == () and found.dtype.kind in "OS" else ""
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    return text.upper().removeprefix("NWB-").removeprefix("NWB").startswith("1.")


def _read_file(file: Any, path: Path, choices: Choices) -> tuple[Recording, list[str]]:
    found, unread = items_of(file)
    makers = {
        kind: {name: partial(_READERS[kind], name, item, choices) for name, item in group.items()}
        for kind, group in found.items()
    }
    parts, unusable = build_items(makers, choices)
    recording = Recording(file_name(path), unusable=unusable, unread=unread, **parts)
    doubts = [_axes_doubt(name, found["fields"][name]) for name in parts["fields"]]
    return recording, [doubt for doubt in doubts if doubt]


def _axes_doubt(name: str, series: Any) -> str:
    rows, columns = (*np.shape(series.data), 1)[:2]
    electrodes = len(series.electrodes.data)
    if columns == electrodes or rows != electrodes:
        return ""
    return (
        f"signal '{name}' has {rows} samples of {columns} channels, and {electrodes} electrodes:"
        " are its axes swapped (samples x channels)?"
    )


# --- sampled signals ------------------------------------------------------------------------------


def _read_field(name: str, series: Any, choices: Choices) -> Signal:
    return _read_signal(name, series, _electrode_names(series), choices, choices.lazy)


def _read_behaviour(name: str, series: Any, choices: Choices) -> Signal:
    return _read_signal(name, series, _axis_names(name, series), choices, False)


def _read_counts(name: str, series: Any, choices: Choices) -> BinnedCounts:
    """What `write_nwb` wrote: NWB has no type of its own for counts in bins."""
    notes = notes_of(series)["counts"]
    try:
        attributes = {str(key): np.asarray(values) for key, values in dict(notes["attributes"]).items()}
        units, width, start = tuple(notes["units"]), notes["width"], notes["start"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the comments of series '{series.name}' are damaged: {one_line(error)}") from error
    _check_size(series.data)
    return BinnedCounts(name, np.asarray(series.data[:], np.float64), width, start, units, attributes)


def _read_signal(name: str, series: Any, channels: tuple[str, ...], choices: Choices, lazy: bool | None) -> Signal:
    notes = notes_of(series)
    values = _values(series, notes, lazy)
    channels = tuple(notes.get("channels", channels))
    matching = channels if len(channels) == values.shape[1] else ()
    unit = str(notes.get("unit", series.unit or ""))
    if series.rate is None:
        if series.timestamps is None:
            raise InputError(f"series '{series.name}' has neither a rate nor timestamps")
        values, timestamps = choices.signal_times(name, values, np.asarray(series.timestamps[:], dtype=np.float64))
        return Signal(name, values, timestamps=timestamps, channels=matching, unit=unit)
    start = float(series.starting_time or 0.0)
    return Signal(name, values, rate=float(series.rate), start=start, channels=matching, unit=unit)


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
    in_position = is_type(series, "SpatialSeries") and is_type(series.parent, "Position")
    if in_position or (is_type(series, "SpatialSeries") and n_channels > 1):
        return _AXES[:n_channels]
    return (name,) if n_channels == 1 else ()


# --- units and intervals --------------------------------------------------------------------------


def _read_units(name: str, table: Any, choices: Choices) -> SpikeTrains:
    # One slice of the flat data is far faster than a read per unit.
    flat = np.asarray(table["spike_times"].target.data[:], dtype=np.float64)
    stops = np.asarray(table["spike_times"].data[:], dtype=np.int64)
    times = tuple(np.split(flat, stops[:-1])) if stops.size else ()
    attributes = dict(_attributes(table))
    return chosen_units(name, times, _unit_names(table, attributes), attributes, choices, _obs_intervals(table))


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


def _read_intervals(name: str, table: Any, choices: Choices) -> Intervals:
    starts = np.asarray(table["start_time"][:], dtype=np.float64)
    stops = np.asarray(table["stop_time"][:], dtype=np.float64)
    column, labels = _interval_labels(table)
    columns = {
        key: values for key, values in _attributes(table).items() if key not in ("start_time", "stop_time", column)
    }
    return chosen_intervals(name, starts, stops, labels, columns, choices)


def _interval_labels(table: Any) -> tuple[str, tuple[str, ...]]:
    """Column that labels the intervals, and the labels; nothing where there is none."""
    for column in _INTERVAL_LABELS:
        if column in table.colnames:
            labels = tuple(_label(value) for value in table[column][:])
            if any(labels):
                return column, tuple(label or str(row) for row, label in enumerate(labels))
    return "", ()


def _label(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(str(tag) for tag in np.atleast_1d(value))


_READERS = {
    "spikes": _read_units,
    "counts": _read_counts,
    "fields": _read_field,
    "behaviour": _read_behaviour,
    "intervals": _read_intervals,
}
