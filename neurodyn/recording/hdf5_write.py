"""Write a recording as HDF5: chunked, compressed and with checksums (README.md)."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.guard import one_line
from neurodyn.recording.hdf5 import FORMAT, VERSION
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.lazy import BLOCK_VALUES
from neurodyn.recording.left_out import KINDS
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport
from neurodyn.writing import replace_atomically

CHUNK_VALUES = 2**15
"""Values in a chunk: 256 KiB in double precision, what compresses well and is read fast in part."""


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

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_hdf5(session, f"{folder}/session.h5")
    ...     path.name, nd.recording.differences(session, nd.recording.read_hdf5(path))
    ('session.h5', [])
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
        raise InputError(f"the name {text!r} is not a valid text: rename it") from error


def _layout(shape: tuple[int, ...]) -> dict[str, Any]:
    """Chunks of whole rows, compressed, with a checksum each; an empty array has no chunks."""
    if 0 in shape:
        return {}
    row = int(np.prod(shape[1:]))
    rows = max(1, min(shape[0], CHUNK_VALUES // max(1, row)))
    columns = tuple(min(size, CHUNK_VALUES) for size in shape[1:])
    return {"chunks": (rows, *columns), "compression": "gzip", "compression_opts": 4, "shuffle": True,
            "fletcher32": True}  # fmt: skip
