"""What an NWB file has and where: every container once, its type, and a name of its own."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.guard import one_line

NOTES = "neurodyn: "
"""Begins the comments of a series that we wrote and whose unit or channel names NWB has no place for; JSON follows."""


_Path = tuple[str, ...]


def items_of(file: Any) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Items of each kind by their names, and how many of which type the file has besides, that are not read."""
    items = list(_once(_walk(file)))
    kinds = {"spikes": _has_spikes, "counts": _is_counts, "fields": _is_field, "behaviour": _is_behaviour,
             "intervals": lambda item: is_type(item, "TimeIntervals")}  # fmt: skip
    found = {kind: _named([item for item in items if belongs(item[1])]) for kind, belongs in kinds.items()}
    read = {id(item) for group in found.values() for item in group.values()}
    others = [item for _, item in (*items, *_once(_elsewhere(file))) if id(item) not in read and _is_leaf(item)]
    return found, dict(sorted(Counter(type(item).__name__ for item in others).items()))


def _once(items: Iterator[tuple[_Path, Any]]) -> Iterator[tuple[_Path, Any]]:
    """Leave out what has come already: a link gives the same object, or the same numbers on the same clock, again."""
    seen: set[Any] = set()
    for path, item in items:
        marks = {id(item), *_addresses(item)}
        if not marks & seen:
            yield path, item
        seen |= marks


def _addresses(item: Any) -> set[tuple[Any, ...]]:
    """Where in the file a series has its values, with its clock; nothing if it is not a series in a file."""
    import h5py

    data, stamps = getattr(item, "data", None), getattr(item, "timestamps", None)
    if not isinstance(data, h5py.Dataset) or not is_type(item, "TimeSeries"):
        return set()
    clock = (item.rate, item.starting_time)
    if isinstance(stamps, h5py.Dataset):
        clock = (_address(stamps),)
    elif stamps is not None:
        return set()
    return {(type(item).__name__, _address(data), *clock)}


def _address(dataset: Any) -> int:
    """Where in the file a dataset lies."""
    from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]

    return h5o.get_info(dataset.id).addr


def _elsewhere(file: Any) -> Iterator[tuple[_Path, Any]]:
    """What is kept where nothing is read: stimuli, results of analyses, notes."""
    for group in (file.stimulus, file.stimulus_template, file.analysis, file.scratch):
        for item in (group or {}).values():
            yield from _descend((), item)


def _is_leaf(item: Any) -> bool:
    """Whether an item holds data itself, and is not only the container of others, which a link may leave empty."""
    if hasattr(type(item), "__clsconf__"):
        return False
    return is_type(item, "TimeSeries", "DynamicTable", "BehavioralEvents", "BehavioralEpochs") or not item.children


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
    if not is_type(item, "TimeSeries", "DynamicTable", "BehavioralEvents", "BehavioralEpochs"):
        for child in item.children:
            yield from _descend(path, child)


def is_type(item: Any, *names: str) -> bool:
    """Whether an object's class, or a class it extends, has one of these NWB names (extensions included)."""
    return any(base.__name__ in names for base in type(item).__mro__)


def _is_field(item: Any) -> bool:
    return is_type(item, "ElectricalSeries") and not is_type(item, "SpikeEventSeries") and _is_sampled(item)


def _is_behaviour(item: Any) -> bool:
    plain = _core_type(item) in ("TimeSeries", "SpatialSeries")
    return plain and _is_sampled(item) and "counts" not in notes_of(item)


def _is_counts(item: Any) -> bool:
    return _core_type(item) == "TimeSeries" and _is_sampled(item) and "counts" in notes_of(item)


def _core_type(item: Any) -> str:
    """Type of NWB itself that an item has, or that its extension extends."""
    return next((base.__name__ for base in type(item).__mro__ if base.__module__.split(".")[0] == "pynwb"), "")


def _is_sampled(series: Any) -> bool:
    if series.data is None or len(np.shape(series.data)) not in (1, 2):
        return False
    return np.asarray(series.data[:1]).dtype.kind in "biuf"


def _has_spikes(item: Any) -> bool:
    return is_type(item, "Units") and "spike_times" in item.colnames


def _named(items: Sequence[tuple[_Path, Any]]) -> dict[str, Any]:
    names = _short_names([path for path, _ in items])
    ours = [str(notes_of(item).get("name", name)) for name, (_, item) in zip(names, items, strict=True)]
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


def notes_of(series: Any) -> Mapping[str, Any]:
    """What `write_nwb` put into the comments because NWB has no place for it."""
    comments = str(getattr(series, "comments", ""))
    if not comments.startswith(NOTES):
        return {}
    try:
        notes = json.loads(comments.removeprefix(NOTES))
    except ValueError as error:
        raise InputError(f"the comments of series '{series.name}' are damaged: {one_line(error)}") from error
    return notes if isinstance(notes, dict) else {}
