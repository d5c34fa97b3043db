"""Read recordings in HDF5: a documented, versioned schema (README.md)."""

import os
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.guard import check_dataset, check_is_dataset, check_version, fixed_text, numbers, open_hdf5
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.lazy import LazyArray, stays_in_file
from neurodyn.recording.left_out import KINDS, Choices, Repeated, build_items, chosen_intervals, chosen_units
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport

FORMAT = "neurodyn-recording"
VERSION = 2
"""1 had neither counts in bins nor columns of intervals nor supports."""


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

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_hdf5(session, f"{folder}/session.h5")
    ...     nd.recording.read_hdf5(path, skip=["epochs"]).intervals
    {}
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
    return fixed_text(file, "format") == FORMAT.encode()


def _check_head(file: Any, path: Path) -> None:
    if not is_recording(file):
        raise InputError(f"'{path}' is HDF5 but no recording of neurodyn: its attribute 'format' is not '{FORMAT}'")
    check_version(file, path, VERSION)


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
    value = fixed_text(owner, name)
    if value is None:
        raise InputError(f"'{owner.name}' in '{path}' has no text '{name}': the file is damaged")
    return _decoded(value, path)


def _decoded(value: bytes, path: Path) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' holds a name that is not a text: it is damaged") from error


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
