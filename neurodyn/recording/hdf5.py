"""Recordings as HDF5: a documented, versioned schema, chunked, compressed and with checksums (README.md)."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.guard import check_dataset, check_is_dataset, numbers, one_line, open_hdf5
from neurodyn.recording.lazy import BLOCK_VALUES, LazyArray
from neurodyn.recording.left_out import KINDS, Choices, Repeated, build_items, kept_rows
from neurodyn.recording.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.recording.support import TimeSupport
from neurodyn.writing import replace_atomically

FORMAT = "neurodyn-recording"
VERSION = 2
"""1 had neither counts in bins nor columns of intervals nor supports."""
CHUNK_VALUES = 2**15
"""Values in a chunk: 256 KiB in double precision, what compresses well and is read fast in part."""
LAZY_BYTES = 2**30
"""Fields of more bytes than this stay in the file unless asked for otherwise."""


# --- writing --------------------------------------------------------------------------------------


def write_hdf5(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """Write a recording so that `read_hdf5` gives the same back: numbers, names, units and attributes.

    The file is written under another name and renamed, so that a kill or a full disk leaves what was there.  Values in
    files (`LazyArray`) are copied block by block.

    Parameters
    ----------
    recording
        In seconds.
    path
        File to write; one that is there is replaced.

    Returns
    -------
    Path of the file.

    Raises
    ------
    InputError
        If it cannot be written, or a name or attribute has no place in HDF5.
    """
    import h5py

    path = Path(path)
    with replace_atomically(path) as temporary:
        try:
            # The newest layout has checksums on everything, so that a flipped bit is an error and not another number.
            with h5py.File(temporary, "w", libver=("v110", "v110")) as file:
                _write_head(file, recording.name)
                for kind in KINDS:
                    group = file.create_group(kind, track_order=True)
                    for item in getattr(recording, kind).values():
                        _write_item(_child(group, item.name), item)
        except (ValueError, UnicodeError, TypeError) as error:
            raise InputError(f"recording '{recording.name}' cannot be written as HDF5: {one_line(error)}") from error
    return path


def _write_head(file: Any, name: str) -> None:
    _set_text(file, "format", FORMAT)
    file.attrs["version"] = VERSION
    _set_text(file, "name", name)


def _child(group: Any, name: str) -> Any:
    """Group of an item; the key only serves people who look into the file, the name is an attribute."""
    _encoded(name)
    child = group.create_group(_key(name), track_order=True)
    _set_text(child, "name", name)
    return child


def _key(name: str) -> str:
    for character, code in (("%", "%25"), ("/", "%2F"), (".", "%2E")):
        name = name.replace(character, code)
    return name or "%"


def _write_item(group: Any, item: Signal | SpikeTrains | Intervals | BinnedCounts) -> None:
    if isinstance(item, Signal):
        _write_signal(group, item)
    elif isinstance(item, SpikeTrains):
        _write_spikes(group, item)
    elif isinstance(item, BinnedCounts):
        group.attrs["width"], group.attrs["start"] = np.float64(item.width), np.float64(item.start)
        _write_array(group, "values", item.values)
        _write_texts(group, "units", item.units)
        _write_columns(group, "attributes", item.attributes, f"counts '{item.name}'")
    else:
        _write_array(group, "starts", item.starts)
        _write_array(group, "stops", item.stops)
        _write_texts(group, "labels", item.labels)
        _write_columns(group, "columns", item.columns, f"intervals '{item.name}'")


def _write_signal(group: Any, signal: Signal) -> None:
    _set_text(group, "unit", signal.unit)
    if signal.timestamps is None:
        group.attrs["rate"], group.attrs["start"] = np.float64(signal.rate), np.float64(signal.start)
    else:
        _write_array(group, "timestamps", signal.timestamps)
    _write_texts(group, "channels", signal.channels)
    shape, dtype = signal.values.shape, signal.values.dtype
    values = group.create_dataset("values", shape, dtype, **_layout(shape))
    rows = max(1, BLOCK_VALUES // max(1, signal.n_channels))
    for first in range(0, signal.n_samples, rows):
        values[first : first + rows] = signal.values[first : first + rows]


def _write_spikes(group: Any, trains: SpikeTrains) -> None:
    _write_array(group, "times", np.concatenate([np.zeros(0), *trains.times]))
    _write_array(group, "ends", np.cumsum([train.size for train in trains.times], dtype=np.int64))
    _write_texts(group, "units", trains.units)
    if trains.support is not None:
        _write_support(group.create_group("support"), trains)
    _write_columns(group, "attributes", trains.attributes, f"spikes '{trains.name}'")


def _write_columns(parent: Any, key: str, columns: Mapping[str, np.ndarray], owner: str) -> None:
    """Columns of numbers or text, one per name, in a group of their own."""
    group = parent.create_group(key, track_order=True)
    for name, values in columns.items():
        child = _child(group, name)
        if values.dtype.kind == "U":
            _write_texts(child, "values", values.tolist())
        elif values.dtype.kind in "biuf":
            _write_array(child, "values", values)
        else:
            raise InputError(f"attribute '{name}' of {owner} is neither numbers nor text: leave it out")


def _write_support(group: Any, trains: SpikeTrains) -> None:
    """Stretches of all units end to end, or once for all of them."""
    parts = [trains.support] if isinstance(trains.support, TimeSupport) else trains.unit_supports
    _write_array(group, "starts", np.concatenate([np.zeros(0), *(part.starts for part in parts)]))
    _write_array(group, "stops", np.concatenate([np.zeros(0), *(part.stops for part in parts)]))
    if isinstance(trains.support, tuple):
        _write_array(group, "ends", np.cumsum([len(part) for part in parts], dtype=np.int64))


def _write_array(group: Any, name: str, values: np.ndarray) -> None:
    group.create_dataset(name, data=values, **_layout(values.shape))


def _write_texts(group: Any, name: str, texts: Iterable[str]) -> None:
    encoded = [_encoded(text) for text in texts]
    width = max([1, *(len(text) for text in encoded)])
    # Of a fixed length: texts of any length lie in a part of the file that has no checksum.
    values = np.array(encoded, dtype=f"S{width}")
    dtype = _utf8(width)
    group.create_dataset(name, data=values.astype(dtype), dtype=dtype, **_layout(values.shape))


def _set_text(owner: Any, name: str, text: str) -> None:
    encoded = _encoded(text)
    owner.attrs.create(name, np.array(encoded, dtype=f"S{max(1, len(encoded))}"), dtype=_utf8(max(1, len(encoded))))


def _utf8(width: int) -> Any:
    import h5py

    return h5py.string_dtype("utf-8", width)


def _encoded(text: str) -> bytes:
    if "\0" in text:
        raise InputError(f"the name {text!r} holds a zero character, which has no place in HDF5: rename it")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"the name {text!r} is no valid text: rename it") from error


def _layout(shape: tuple[int, ...]) -> dict[str, Any]:
    """Chunks of whole rows, compressed, with a checksum each; an empty array has no chunks."""
    if 0 in shape:
        return {}
    row = int(np.prod(shape[1:]))
    rows = max(1, min(shape[0], CHUNK_VALUES // max(1, row)))
    columns = tuple(min(size, CHUNK_VALUES) for size in shape[1:])
    return {"chunks": (rows, *columns), "compression": "gzip", "compression_opts": 4, "shuffle": True,
            "fletcher32": True}  # fmt: skip


# --- reading --------------------------------------------------------------------------------------


def read_hdf5(
    path: str | os.PathLike[str],
    *,
    skip: Iterable[str] = (),
    lazy: bool | None = None,
    repeated: Repeated | str | None = None,
    strict: bool = True,
) -> Recording:
    """Read a recording that `write_hdf5` wrote.

    Parameters
    ----------
    path
        The file.
    skip, lazy, repeated, strict
        What to leave out and how, see `left_out.Choices`.

    Returns
    -------
    Recording
        All times in seconds.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another format or a later version, points to other files, declares more
        than it holds, or has an item that cannot be used.
    """
    path, choices = Path(path), Choices.of(skip, repeated, strict, lazy)
    with open_hdf5(path) as file:
        _check_head(file, path)
        # Counts came with version 2.
        kinds = [kind for kind in KINDS if kind != "counts" or kind in file]
        parts = {kind: _named_groups(_group(file, kind, path), path) for kind in kinds}
        makers = {
            kind: {name: partial(_READERS[kind], name, group, path, choices) for name, group in groups.items()}
            for kind, groups in parts.items()
        }
        items, unusable = build_items(makers, choices)
        return Recording(name=_text(file, "name", path), unusable=unusable, **items)


def is_recording(file: Any) -> bool:
    """Whether an open HDF5 file says that it has this format."""
    return _fixed_text(file, "format") == FORMAT.encode()


def _fixed_text(owner: Any, name: str) -> bytes | None:
    """Bytes of a text of fixed length; others are not even read, since they lie in a heap without a checksum."""
    if name not in owner.attrs or owner.attrs.get_id(name).dtype.kind != "S":
        return None
    value = owner.attrs[name]
    return value.item() if isinstance(value, np.generic) else value.encode() if isinstance(value, str) else None


def stays_in_file(samples: int, channels: int, lazy: bool | None) -> bool:
    """Whether a signal of this size is read when it is needed."""
    return samples * channels * 8 > LAZY_BYTES if lazy is None else lazy


def _check_head(file: Any, path: Path) -> None:
    if not is_recording(file):
        raise InputError(f"'{path}' is HDF5 but no recording of neurodyn: its attribute 'format' is not '{FORMAT}'")
    version = file.attrs.get("version")
    if not isinstance(version, int | np.integer):
        raise InputError(f"'{path}' does not say which version of the format it has: it is damaged")
    if not 1 <= version <= VERSION:
        raise InputError(
            f"'{path}' has version {version} of the format, this neurodyn reads up to {VERSION}: update it"
        )


def _group(parent: Any, name: str, path: Path) -> Any:
    import h5py

    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        raise InputError(f"'{path}' has no group '{name}' in '{parent.name}': it is damaged")
    return found


def _named_groups(group: Any, path: Path) -> dict[str, Any]:
    """Groups under the names they carry."""
    found: dict[str, Any] = {}
    for key in group:
        child = _group(group, key, path)
        name = _text(child, "name", path)
        if name in found:
            raise InputError(f"'{path}' has two items called '{name}' in '{group.name}'")
        found[name] = child
    return found


def _text(owner: Any, name: str, path: Path) -> str:
    value = _fixed_text(owner, name)
    if value is None:
        raise InputError(f"'{owner.name}' in '{path}' has no text '{name}': the file is damaged")
    return _decoded(value, path)


def _decoded(value: bytes, path: Path) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' holds a name that is no text: it is damaged") from error


def _texts(dataset: Any, path: Path) -> tuple[str, ...]:
    check_is_dataset(dataset, path)
    if dataset.dtype.kind != "S":
        raise InputError(f"'{dataset.name}' in '{path}' must hold text, it holds {dataset.dtype}")
    check_dataset(dataset, path)
    values = np.asarray(dataset[()])
    if values.ndim != 1:
        raise InputError(f"'{dataset.name}' in '{path}' must be a list of texts")
    return tuple(_decoded(bytes(value), path) for value in values)


def _member(group: Any, name: str, path: Path) -> Any:
    if name not in group:
        raise InputError(f"'{group.name}' in '{path}' has no '{name}': the file is damaged")
    return group[name]


def _read_field(name: str, group: Any, path: Path, choices: Choices) -> Signal:
    return _read_signal(name, group, path, choices, choices.lazy)


def _read_behaviour(name: str, group: Any, path: Path, choices: Choices) -> Signal:
    return _read_signal(name, group, path, choices, False)


def _read_signal(name: str, group: Any, path: Path, choices: Choices, lazy: bool | None) -> Signal:
    dataset = _member(group, "values", path)
    check_is_dataset(dataset, path)
    channels = _texts(_member(group, "channels", path), path)
    values = _values(dataset, path, lazy)
    clock: Mapping[str, Any]
    if "timestamps" in group:
        values, times = choices.signal_times(name, values, numbers(group["timestamps"], path))
        clock = {"timestamps": times}
    else:
        clock = {"rate": _number(group, "rate", path), "start": _number(group, "start", path)}
    unit = _text(group, "unit", path)
    return Signal(name, values, channels=channels, unit=unit, **clock)


def _values(dataset: Any, path: Path, lazy: bool | None) -> np.ndarray | LazyArray:
    shape = dataset.shape or ()
    if len(shape) == 2 and stays_in_file(shape[0], shape[1], lazy) and dataset.dtype.kind in "biuf":
        check_dataset(dataset, path, whole=False)
        return LazyArray(path.absolute(), dataset.name, shape[0], shape[1])
    return numbers(dataset, path)


def _number(group: Any, name: str, path: Path) -> float:
    value = group.attrs.get(name)
    if not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"'{group.name}' in '{path}' has no number '{name}': the file is damaged")
    return float(value)


def _read_spikes(name: str, group: Any, path: Path, choices: Choices) -> SpikeTrains:
    flat = numbers(_member(group, "times", path), path)
    ends = numbers(_member(group, "ends", path), path, kinds="iu")
    if not _divides(ends, flat):
        raise InputError(f"spikes '{name}' in '{path}': 'ends' does not divide the {flat.size} times among units")
    times = tuple(np.split(flat, ends[:-1])) if ends.size else ()
    units, support = _texts(_member(group, "units", path), path), _read_support(name, group, path)
    return chosen_units(name, times, units, _columns(group, path), choices, support)


def chosen_units(
    name: str,
    times: Sequence[np.ndarray],
    units: Sequence[str],
    attributes: Mapping[str, np.ndarray],
    choices: Choices,
    support: TimeSupport | Sequence[TimeSupport] | None = None,
) -> SpikeTrains:
    """Spike trains of the units that are not left out; the others may be such as no spike train can be."""
    members = choices.members(name)
    if not members or len(units) != len(times):
        return SpikeTrains(name, tuple(times), tuple(units), attributes, support)
    rows = kept_rows(name, units, members, "unit")
    kept = {key: values[rows] for key, values in attributes.items()}
    own = support if support is None or isinstance(support, TimeSupport) else tuple(support[row] for row in rows)
    return SpikeTrains(name, tuple(times[row] for row in rows), tuple(str(units[int(row)]) for row in rows), kept, own)


def chosen_intervals(
    name: str,
    starts: np.ndarray,
    stops: np.ndarray,
    labels: Sequence[str],
    columns: Mapping[str, np.ndarray],
    choices: Choices,
) -> Intervals:
    """Intervals of the rows, by their numbers, that are not left out; the others may be such as no interval can be."""
    members = choices.members(name)
    if not members or starts.shape != stops.shape or starts.ndim != 1:
        return Intervals(name, starts, stops, tuple(labels), columns)
    rows = kept_rows(name, [str(row) for row in range(starts.size)], members, "row")
    labels = labels or [str(row) for row in range(starts.size)]
    kept = {key: values[rows] for key, values in columns.items()}
    return Intervals(name, starts[rows], stops[rows], tuple(labels[int(row)] for row in rows), kept)


def _columns(group: Any, path: Path, key: str = "attributes") -> dict[str, np.ndarray]:
    found = _named_groups(_group(group, key, path), path)
    return {name: _attribute(_member(child, "values", path), path) for name, child in found.items()}


def _read_support(name: str, group: Any, path: Path) -> TimeSupport | tuple[TimeSupport, ...] | None:
    if "support" not in group:  # as in version 1
        return None
    group = _group(group, "support", path)
    starts, stops = (numbers(_member(group, bound, path), path) for bound in ("starts", "stops"))
    if "ends" not in group:
        return TimeSupport(starts, stops)
    ends = numbers(group["ends"], path, kinds="iu")
    if starts.shape != stops.shape or not _divides(ends, starts):
        raise InputError(
            f"spikes '{name}' in '{path}': the {starts.size} stretches of its support do not go with 'ends'"
        )
    return tuple(TimeSupport(starts[first:last], stops[first:last]) for first, last in pairwise([0, *ends.tolist()]))


def _divides(ends: np.ndarray, flat: np.ndarray) -> bool:
    """Whether a list of ends divides a list of numbers into parts."""
    if not ends.ndim == flat.ndim == 1 or (np.diff(ends, prepend=0) < 0).any():
        return False
    return not ends.size or int(ends[-1]) == flat.size


def _attribute(dataset: Any, path: Path) -> np.ndarray:
    check_is_dataset(dataset, path)
    return np.array(_texts(dataset, path), dtype=str) if dataset.dtype.kind == "S" else numbers(dataset, path)


def _read_counts(name: str, group: Any, path: Path, choices: Choices) -> BinnedCounts:
    width, start = (_number(group, what, path) for what in ("width", "start"))
    units = _texts(_member(group, "units", path), path)
    values = numbers(_member(group, "values", path), path)
    return BinnedCounts(name, values, width, start, units, _columns(group, path))


def _read_intervals(name: str, group: Any, path: Path, choices: Choices) -> Intervals:
    starts, stops = (numbers(_member(group, bound, path), path) for bound in ("starts", "stops"))
    labels = _texts(_member(group, "labels", path), path)
    # Columns came with version 2.
    columns = _columns(group, path, "columns") if "columns" in group else {}
    return chosen_intervals(name, starts, stops, labels, columns, choices)


_READERS = {
    "spikes": _read_spikes,
    "counts": _read_counts,
    "fields": _read_field,
    "behaviour": _read_behaviour,
    "intervals": _read_intervals,
}
