"""Spike times of a layout, in the forms in which files have them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.described_trials import DescribedTrials
from neurodyn.recording.described_values import in_seconds
from neurodyn.recording.layout import TIME_UNITS, SpikesLayout
from neurodyn.recording.left_out import chosen_units
from neurodyn.recording.paths import Many, shape_of
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport
from neurodyn.recording.values import in_memory, labels, support, vector


def spike_trains(described: DescribedTrials, row: SpikesLayout) -> SpikeTrains:
    """Spike times of a row of the layout, in seconds; units that are left out are not there."""
    found = in_memory(described.find(row.variable))
    if described.layout.trials and row.variable.startswith(described.layout.trials + "."):
        times, units, attributes = _trial_spikes(described, row, found)
    elif isinstance(found, Many):
        parts = zip(found.labels, found.values, strict=True)
        times = [_times_of(value, f"{row.variable} [{label}]") for label, value in parts]
        units, attributes = _unit_names(described, row, found.labels), {}
    elif isinstance(found, np.ndarray) and found.dtype == object:
        times, units, attributes = _cell_spikes(described, row, found)
    elif row.cluster:
        times, units = _by_cluster(vector(found, row.variable), described.find(row.cluster), row)
        attributes = {}
    else:
        times = [_times_of(found, row.variable)]
        units, attributes = _unit_names(described, row, ("0",)), {}
    rate = _rate(described, row)
    seconds = [in_seconds(train, row.time_unit, rate, row.variable) for train in times]
    return chosen_units(row.name, seconds, units, attributes, described.choices, _support(described, row))


def _support(described: DescribedTrials, row: SpikesLayout) -> TimeSupport | tuple[TimeSupport, ...] | None:
    """When units were recorded: what the layout says, or the trials where spikes come in those."""
    if row.support:
        return support(described.find(row.support), row.support, _per_second(described, row))
    if described.layout.trials and row.variable.startswith(described.layout.trials + "."):
        return TimeSupport(described.placed.starts, described.placed.starts + described.placed.durations)
    return None


def _rate(described: DescribedTrials, row: SpikesLayout) -> float | None:
    """Samples per second where times are in samples."""
    return described.number(row.rate, "rate") if row.time_unit == "samples" else None


def _per_second(described: DescribedTrials, row: SpikesLayout) -> float:
    """How many units of time a second has."""
    return TIME_UNITS[row.time_unit] or _rate(described, row) or 1.0


def _unit_names(described: DescribedTrials, row: SpikesLayout, given: Sequence[str]) -> tuple[str, ...]:
    names = labels(described.find(row.channels), row.channels) if row.channels else tuple(given)
    if len(names) != len(given):
        raise InputError(f"'{row.variable}' has {len(given)} units, '{row.channels}' {len(names)} names")
    return names


def _cell_spikes(
    described: DescribedTrials, row: SpikesLayout, found: np.ndarray
) -> tuple[list[np.ndarray], tuple[str, ...], dict[str, np.ndarray]]:
    """A vector per unit, or channels x units of them; units without any spikes are left out."""
    if found.ndim != 2:
        raise InputError(f"variable '{row.variable}' must be a cell array of spike times of one or two axes")
    rows = found.T if found.shape[0] == 1 else found
    names = tuple(str(index) for index in range(len(rows)))
    if row.channels:
        names = labels(described.find(row.channels), row.channels)
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
    described: DescribedTrials, row: SpikesLayout, found: Any
) -> tuple[list[np.ndarray], tuple[str, ...], dict[str, np.ndarray]]:
    """Times from the start of each trial, in a cell array of units per trial."""
    groups = list(found.values) if isinstance(found, Many) else [found]
    starts = described.placed.starts
    if len(groups) != starts.size or not all(isinstance(g, np.ndarray) and g.dtype == object for g in groups):
        raise InputError(f"'{row.variable}' must have a cell array of units for each of the {starts.size} trials")
    sizes = {group.size for group in groups}
    if len(sizes) != 1:
        raise InputError(f"'{row.variable}' has between {min(sizes)} and {max(sizes)} units per trial: they must agree")
    parts: list[list[np.ndarray]] = [[] for _ in range(sizes.pop())]
    starts_in_file = starts * _per_second(described, row)
    for trial, (group, start) in enumerate(zip(groups, starts_in_file, strict=True)):
        for unit, value in enumerate(group.ravel(order="F")):
            train = _times_of(value, f"{row.variable} [{trial + 1}] {{{unit + 1}}}")
            parts[unit].append(train + start)
    names = _unit_names(described, row, tuple(str(unit) for unit in range(len(parts))))
    return [np.concatenate(part) for part in parts], names, {}


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
