"""Write a simulated recording as an NWB file: so that examples and tests begin where a user begins."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neurodyn.errors import import_extra
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains


def write_nwb(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """Write a recording as NWB 2, so that ``read_nwb`` gives the same numbers back.

    Units become the units table, fields electrical series inside an LFP container, behaviour a spatial series inside a
    Position container; every row of a table of intervals is an epoch with its label as a tag.  What a recording does
    not know (subject, probe, date) is filled with words that say so.

    Parameters
    ----------
    recording
        With one group of units at most.
    path
        File to write; one that is there is replaced.

    Returns
    -------
    Path of the file.

    Raises
    ------
    MissingExtraError
        If pynwb is not installed.
    """
    path, pynwb = Path(path), import_extra("pynwb", "nwb")
    file = pynwb.NWBFile(
        session_description=f"simulated: {recording.name}",
        identifier=recording.name,
        session_start_time=datetime(2020, 1, 1, tzinfo=UTC),
    )
    for trains in recording.spikes.values():
        _add_units(file, trains)
    _add_fields(file, list(recording.fields.values()))
    _add_behaviour(file, list(recording.behaviour.values()))
    for table in recording.intervals.values():
        _add_epochs(file, table)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def _add_units(file: Any, trains: SpikeTrains) -> None:
    for times in trains.times:
        file.add_unit(spike_times=times)


def _add_fields(file: Any, signals: list[Signal]) -> None:
    if not signals:
        return
    ecephys = import_extra("pynwb.ecephys", "nwb")
    group = file.create_electrode_group(
        name="probe", description="simulated", location="simulated", device=file.create_device(name="none")
    )
    # In the file first: pynwb warns of a series whose electrodes are in no file yet.
    container = ecephys.LFP()
    file.create_processing_module(name="ecephys", description="field potentials").add(container)
    file.add_electrode_column(name="label", description="name of the channel")
    row = 0
    for signal in signals:
        for label in signal.channels:
            file.add_electrode(group=group, location="simulated", label=label)
        region = file.create_electrode_table_region(
            region=list(range(row, row + signal.n_channels)), description=signal.name
        )
        row += signal.n_channels
        container.add_electrical_series(
            ecephys.ElectricalSeries(name=signal.name, data=signal.values, electrodes=region, **_clock(signal))
        )


def _add_behaviour(file: Any, signals: list[Signal]) -> None:
    if not signals:
        return
    behavior = import_extra("pynwb.behavior", "nwb")
    container = behavior.Position()
    file.create_processing_module(name="behavior", description="behaviour").add(container)
    for signal in signals:
        container.add_spatial_series(
            behavior.SpatialSeries(
                name=signal.name, data=signal.values, reference_frame="corner of the box", unit=signal.unit,
                **_clock(signal),
            )
        )  # fmt: skip


def _add_epochs(file: Any, table: Intervals) -> None:
    for start, stop, label in zip(table.starts.tolist(), table.stops.tolist(), table.labels, strict=True):
        file.add_epoch(start_time=start, stop_time=stop, tags=[label])


def _clock(signal: Signal) -> dict[str, Any]:
    if signal.timestamps is not None:
        return {"timestamps": signal.timestamps}
    return {"rate": signal.rate, "starting_time": signal.start}
