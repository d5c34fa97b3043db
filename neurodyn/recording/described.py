"""Make a recording of plain variables with a layout that says which of them hold what."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.described_bins import binned_counts, signal
from neurodyn.recording.described_spikes import spike_trains
from neurodyn.recording.described_trials import TRIALS, DescribedTrials
from neurodyn.recording.described_values import shown_path
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.layout import TIME_UNITS, IntervalsLayout, Layout, SignalLayout
from neurodyn.recording.left_out import Choices, build_items, chosen_intervals
from neurodyn.recording.paths import Many
from neurodyn.recording.recording import Recording
from neurodyn.recording.values import labels, number, vector


def described_recording(name: str, variables: Mapping[str, Any], layout: Layout, choices: Choices) -> Recording:
    """Recording of what a layout finds among variables.

    Parameters
    ----------
    name
        What to call it.
    variables
        By name, as `matlab_file.load_variables` gives them.
    layout
        Which of them hold what.
    choices
        What to leave out and how.

    Raises
    ------
    InputError
        If the layout does not fit the variables, or an item cannot be used.
    """
    items, unusable = build_items(_makers(DescribedTrials(variables, layout, choices)), choices, hint=False)
    return Recording(name, unusable=unusable, **items)


def _makers(described: DescribedTrials) -> dict[str, dict[str, Callable[[], Any]]]:
    """How to make each item, by kind and name."""
    layout = described.layout
    makers: dict[str, dict[str, Callable[[], Any]]] = {
        "spikes": {}, "counts": {}, "fields": {}, "behaviour": {}, "intervals": {}
    }  # fmt: skip
    if (spikes := layout.spike_times) is not None:
        makers["spikes"][spikes.name] = partial(spike_trains, described, spikes)
    if layout.counts is not None:
        makers["counts"][layout.counts.name] = partial(binned_counts, described, layout.counts)
    if set(makers["spikes"]) & set(makers["counts"]):
        raise InputError("the layout has spikes and counts of one name: give one of them another")
    for kind, rows in (("fields", layout.fields), ("behaviour", layout.behaviour)):
        for row in rows:
            name = _signal_name(row)
            if name in makers[kind]:
                raise InputError(f"the layout has two {kind} called '{name}'")
            makers[kind][name] = partial(signal, described, row, name, kind == "fields")
    for table in layout.intervals:
        makers["intervals"][table.name] = partial(_intervals, described, table)
    if TRIALS not in makers["intervals"] and (layout.trials or described.has_trials):
        makers["intervals"][TRIALS] = described.table
    return makers


def _intervals(described: DescribedTrials, row: IntervalsLayout) -> Intervals:
    per_second = TIME_UNITS[row.time_unit] or 1.0
    starts, stops = (_column(described.find(path), path) for path in (row.starts, row.stops))
    for path, values in ((row.starts, starts), (row.stops, stops)):
        if values.dtype.kind == "U":
            raise InputError(f"'{path}' must be a vector of times, it is text")
    names = labels(described.find(row.labels), row.labels) if row.labels else ()
    columns = {name: _column(described.find(path), path) for name, path in (row.columns or {}).items()}
    return chosen_intervals(row.name, starts / per_second, stops / per_second, names, columns, described.choices)


def _signal_name(row: SignalLayout) -> str:
    return row.name or shown_path(row.variable)


def _column(value: Any, what: str) -> np.ndarray:
    """Column of a table: numbers, or text."""
    if isinstance(value, Many):
        if all(isinstance(entry, str) for entry in value.values):
            return np.array(value.values, dtype=str)
        return np.array([number(entry, what) for entry in value.values])
    if isinstance(value, str | list) or (isinstance(value, np.ndarray) and value.dtype == object):
        return np.array(labels(value, what), dtype=str)
    return vector(value, what)
