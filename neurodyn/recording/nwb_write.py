"""Write a recording as NWB 2, so that `read_nwb` gives the same back."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError, import_extra
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.guard import one_line
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.nwb_items import NOTES
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import EVERYTHING, TimeSupport
from neurodyn.writing import replace_atomically

VOLTS = {"V": 1.0, "volts": 1.0, "volt": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6, "nV": 1e-9}
"""Volts in one of each unit: the only unit that NWB lets an electrical series have is the volt."""
_AXES = ("x", "y", "z")
_UNKNOWN = "not known"


def write_nwb(recording: Recording, path: str | os.PathLike[str], *, description: str = "") -> Path:
    """Write a recording as NWB 2: numbers, names, units and attributes come back with `read_nwb`.

    Units become units tables, fields electrical series inside LFP containers, behaviour spatial or plain time series,
    intervals tables of epochs, trials or their own name.  What a recording does not know (subject, probe, date) is
    filled with words that say so.  The file is written under another name and renamed.

    Parameters
    ----------
    recording
        In seconds.
    path
        File to write; one that is there is replaced.
    description
        Of the session.

    Returns
    -------
    Path of the file.

    Raises
    ------
    InputError
        If a name or attribute has no place in NWB, or the file cannot be written.
    MissingExtraError
        If pynwb is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_nwb(session, f"{folder}/session.nwb", description="A simulated session.")
    ...     nd.recording.differences(session, nd.read_nwb(path))
    []
    """
    path, pynwb = Path(path), import_extra("pynwb", "nwb")
    file = pynwb.NWBFile(
        session_description=description or f"recording {recording.name}",
        identifier=recording.name or _UNKNOWN,
        session_start_time=datetime(2020, 1, 1, tzinfo=UTC),
    )
    with replace_atomically(path) as temporary:
        try:
            for trains in recording.spikes.values():
                _add_units(file, trains)
            _add_fields(file, list(recording.fields.values()))
            for signal in recording.behaviour.values():
                _add_behaviour(file, signal)
            for counts in recording.counts.values():
                _add_counts(file, counts)
            for table in recording.intervals.values():
                _add_intervals(file, table)
            with pynwb.NWBHDF5IO(temporary, "w") as io:
                io.write(file)
        except (ValueError, TypeError, KeyError, UnicodeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"recording '{recording.name}' cannot be written as NWB: {one_line(error)}") from error
    return path


# --- units ----------------------------------------------------------------------------------------


def _add_units(file: Any, trains: SpikeTrains) -> None:
    misc = import_extra("pynwb.misc", "nwb")
    main = trains.name == "spikes"
    table = misc.Units(name="units" if main else trains.name, description="sorted units")
    numbered = all(unit.isascii() and unit.isdecimal() and unit == str(int(unit)) for unit in trains.units)
    for index, (times, support) in enumerate(zip(trains.times, trains.unit_supports, strict=True)):
        observed = {} if trains.support is None else {"obs_intervals": _obs_intervals(support)}
        table.add_unit(spike_times=times, id=int(trains.units[index]) if numbered else index, **observed)
    if not numbered:
        table.add_column(name="unit_name", description="name of the unit", data=list(trains.units))
    _add_columns(table, trains.attributes, f"spikes '{trains.name}'")
    if main:
        file.units = table
    else:
        _module(file, "ecephys").add(table)


def _obs_intervals(support: TimeSupport) -> np.ndarray:
    """Rows for a unit: none where nothing is stated, one without length where it was never recorded."""
    if support.same_as(EVERYTHING):
        return np.zeros((0, 2))
    return support.rows if len(support) else np.zeros((1, 2))


def _add_columns(table: Any, columns: Mapping[str, np.ndarray], owner: str) -> None:
    for name, values in columns.items():
        if values.dtype.kind not in "biufU":
            raise InputError(f"attribute '{name}' of {owner} is neither numbers nor text: leave it out")
        data = [str(value) for value in values] if values.dtype.kind == "U" else values
        table.add_column(name=name, description=name, data=data)


def _add_counts(file: Any, counts: BinnedCounts) -> None:
    """Counts as a plain time series, with what NWB has no place for in its comments."""
    pynwb, module = import_extra("pynwb", "nwb"), _module(file, "ecephys")
    allowed = counts.name.replace("/", "_").replace(":", "_") or "_"
    while allowed in module.data_interfaces:
        allowed += "_"
    notes = {
        "units": counts.units,
        "width": counts.width,
        "start": counts.start,
        "attributes": {name: values.tolist() for name, values in counts.attributes.items()},
    }
    comments = _comments(name=None if allowed == counts.name else counts.name, counts=notes)
    module.add(
        pynwb.TimeSeries(
            name=allowed, data=counts.values, unit="spikes per bin", rate=1 / counts.width,
            starting_time=counts.start, comments=comments,
        )
    )  # fmt: skip


# --- signals --------------------------------------------------------------------------------------


def _add_fields(file: Any, signals: Sequence[Signal]) -> None:
    if not signals:
        return
    ecephys = import_extra("pynwb.ecephys", "nwb")
    group = file.create_electrode_group(
        name="probe", description=_UNKNOWN, location=_UNKNOWN, device=file.create_device(name=_UNKNOWN)
    )
    file.add_electrode_column(name="label", description="name of the channel")
    row = 0
    for signal in signals:
        container, name = _place(file, signal.name, "ecephys", "LFP", ecephys.LFP)
        for label in signal.channels:
            file.add_electrode(group=group, location=_UNKNOWN, label=label)
        rows = list(range(row, row + signal.n_channels))
        row += signal.n_channels
        region = file.create_electrode_table_region(region=rows, description=f"channels of {signal.name}")
        volts = {"conversion": VOLTS[signal.unit]} if signal.unit in VOLTS else {}
        comments = _comments(
            name=None if name == signal.name else signal.name,
            unit=None if signal.unit == "volts" else signal.unit,
            channels=list(signal.channels),
        )
        container.add_electrical_series(
            ecephys.ElectricalSeries(
                name=name, data=_data(signal), electrodes=region, comments=comments,
                **volts, **_clock(signal),
            )
        )  # fmt: skip


def _add_behaviour(file: Any, signal: Signal) -> None:
    behavior, pynwb = import_extra("pynwb.behavior", "nwb"), import_extra("pynwb", "nwb")
    common = {"data": _data(signal), "unit": signal.unit, **_clock(signal)}
    if signal.channels == _AXES[: signal.n_channels]:
        container, name = _place(file, signal.name, "behavior", "Position", behavior.Position)
        comments = _comments(name=None if name == signal.name else signal.name)
        container.add_spatial_series(
            behavior.SpatialSeries(name=name, reference_frame=_UNKNOWN, comments=comments, **common)
        )
        return
    container, name = _place(file, signal.name, "behavior", "BehavioralTimeSeries", behavior.BehavioralTimeSeries)
    comments = _comments(name=None if name == signal.name else signal.name, channels=list(signal.channels))
    container.add_timeseries(pynwb.TimeSeries(name=name, comments=comments, **common))


def _place(file: Any, name: str, module: str, container: str, kind: type) -> tuple[Any, str]:
    """Container for a series, made if it is not there, and a name of its own in it that NWB allows."""
    target = _module(file, module)
    if container not in target.data_interfaces:
        target.add(kind(name=container))
    holder = target[container]
    allowed = name.replace("/", "_").replace(":", "_") or "_"
    while allowed in {child.name for child in holder.children}:
        allowed += "_"
    return holder, allowed


def _module(file: Any, name: str) -> Any:
    if name in file.processing:
        return file.processing[name]
    return file.create_processing_module(name=name, description=name)


def _comments(**notes: Any) -> str:
    """What NWB has no place for, to be found by the reader; empty notes are left out."""
    kept = {name: value for name, value in notes.items() if value is not None}
    return NOTES + json.dumps(kept, ensure_ascii=False) if kept else "no comments"


def _data(signal: Signal) -> Any:
    """Values for the file, compressed; those that lie in a file go over in blocks."""
    h5 = import_extra("hdmf.backends.hdf5", "nwb")
    if isinstance(signal.values, LazyArray):
        blocks = import_extra("hdmf.data_utils", "nwb").GenericDataChunkIterator
        return h5.H5DataIO(_iterator(blocks)(signal), compression="gzip")
    if not signal.values.size:
        return signal.values
    return h5.H5DataIO(signal.values, compression="gzip", shuffle=True, chunks=True)


def _iterator(base: type) -> type:
    """Class that hands a signal to hdmf part by part; made here because hdmf is loaded only when a file is written."""

    class Blocks(base):
        def __init__(self, signal: Signal) -> None:
            self._signal = signal
            super().__init__(buffer_gb=0.05)

        def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
            rows, columns = selection
            return self._signal.read(rows.start, rows.stop)[:, columns]

        def _get_maxshape(self) -> tuple[int, int]:
            return self._signal.values.shape

        def _get_dtype(self) -> np.dtype:
            return self._signal.values.dtype

    return Blocks


def _clock(signal: Signal) -> dict[str, Any]:
    if signal.timestamps is not None:
        return {"timestamps": signal.timestamps}
    return {"rate": signal.rate, "starting_time": signal.start}


# --- intervals ------------------------------------------------------------------------------------


def _add_intervals(file: Any, table: Intervals) -> None:
    rows = list(zip(table.starts.tolist(), table.stops.tolist(), table.labels, strict=True))
    if table.name == "epochs" and rows:
        for start, stop, label in rows:
            file.add_epoch(start_time=start, stop_time=stop, tags=[label])
        _add_columns(file.epochs, table.columns, f"intervals '{table.name}'")
        return
    epoch = import_extra("pynwb.epoch", "nwb")
    made = epoch.TimeIntervals(name=table.name, description=f"intervals '{table.name}'")
    made.add_column(name="label", description="name of the interval")
    for start, stop, label in rows:
        made.add_interval(start_time=start, stop_time=stop, label=label)
    _add_columns(made, table.columns, f"intervals '{table.name}'")
    if table.name in ("trials", "invalid_times"):
        setattr(file, table.name, made)
    else:
        file.add_time_intervals(made)
