"""Small NWB files with known contents, written with pynwb; every option is a way a real file differs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
from pynwb.behavior import Position, SpatialSeries
from pynwb.ecephys import LFP, ElectricalSeries

UNSORTED = (np.array([0.5, 1.0]), np.array([0.5, 2.0, 1.5]))
NEGATIVE = (np.array([0.5, 1.0]), np.array([-0.25, 2.0]))
NOT_FINITE = (np.array([0.5, np.nan]),)


def path_in_arena(times: np.ndarray) -> np.ndarray:
    """Position (times x 2) in metres on a closed curve in a 1 m arena."""
    return 0.5 + 0.4 * np.stack([np.sin(2 * np.pi * times / 7), np.cos(2 * np.pi * times / 5)], axis=1)


def place_spikes(n_units: int, seconds: float, seed: int) -> tuple[np.ndarray, ...]:
    """Spike times of Poisson units, each with a field of 0.25 m somewhere on the path."""
    random = np.random.default_rng(seed)
    times = np.arange(0, seconds, 0.001)
    place = path_in_arena(times)
    centres = place[random.integers(len(times), size=n_units)]
    rates = [0.5 + 30 * np.exp(-((place - centre) ** 2).sum(1) / (2 * 0.25**2)) for centre in centres]
    return tuple(times[random.random(len(times)) < 0.001 * rate] for rate in rates)


def write_nwb(
    path: Path,
    *,
    seconds: float = 20.0,
    units: int | Sequence[np.ndarray] = 4,
    quality: bool = True,
    lfp_rate: float | None = 250.0,
    lfp_channels: int = 2,
    lfp_conversion: float = 1e-6,
    lfp_offset: float = 0.0,
    channel_conversion: Sequence[float] | None = None,
    electrode_names: Sequence[str] | None = None,
    lfp_in_acquisition: bool = False,
    position_rate: float | None = 50.0,
    position_timestamps: np.ndarray | None = None,
    position_missing: slice | None = None,
    epochs: Sequence[tuple[float, float, str]] = (),
    trials: int = 0,
    extra: Callable[[pynwb.NWBFile], Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write a recording of place cells, noise as field potential (int16) and a path in an arena.

    ``units`` is how many to simulate, or their spike times (``UNSORTED`` breaks the file; ``()`` leaves the
    units table out).  ``lfp_rate=None`` and ``position_rate=None`` leave the signal out; timestamps win over
    the rate.  ``extra`` receives the file before it is written.
    """
    file = pynwb.NWBFile(
        session_description="made by a test",
        identifier=path.stem,
        session_start_time=datetime(2020, 1, 1, tzinfo=UTC),
    )
    _add_units(file, place_spikes(units, seconds, seed) if isinstance(units, int) else units, quality)
    if lfp_rate is not None:
        count = round(seconds * lfp_rate)
        data = np.random.default_rng(seed + 1).integers(-1000, 1000, (count, lfp_channels)).astype(np.int16)
        scales = None if channel_conversion is None else list(channel_conversion)
        region = _electrodes(file, lfp_channels, electrode_names)
        series = ElectricalSeries(
            name="lfp", data=data, electrodes=region, rate=lfp_rate, starting_time=0.0,
            conversion=lfp_conversion, offset=lfp_offset, channel_conversion=scales,
        )  # fmt: skip
        _add_lfp(file, series, lfp_in_acquisition)
    if position_rate is not None or position_timestamps is not None:
        _add_position(file, seconds, position_rate, position_timestamps, position_missing)
    for start, stop, tag in epochs:
        file.add_epoch(start_time=start, stop_time=stop, tags=[tag])
    for start in np.arange(trials) * (seconds / max(trials, 1)):
        file.add_trial(start_time=float(start), stop_time=float(start + seconds / trials))
    if extra is not None:
        extra(file)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def _add_units(file: pynwb.NWBFile, times: Sequence[np.ndarray], quality: bool) -> None:
    if quality and len(times):
        file.add_unit_column(name="quality", description="sorting quality")
    for index, train in enumerate(times):
        columns = {"quality": "poor" if index % 3 == 2 else "good"} if quality else {}
        file.add_unit(spike_times=train, **columns)


def _electrodes(file: pynwb.NWBFile, count: int, names: Sequence[str] | None) -> Any:
    group = file.create_electrode_group(
        name="probe", description="a probe", location="somewhere", device=file.create_device(name="device")
    )
    if names is not None:
        file.add_electrode_column(name="label", description="name of the electrode")
    for index in range(count):
        labels = {} if names is None else {"label": names[index]}
        file.add_electrode(group=group, location="somewhere", **labels)
    return file.create_electrode_table_region(region=list(range(count)), description="all")


def _module(file: pynwb.NWBFile, name: str) -> Any:
    return (
        file.processing[name] if name in file.processing else file.create_processing_module(name=name, description=name)
    )


def _add_lfp(file: pynwb.NWBFile, series: ElectricalSeries, in_acquisition: bool) -> None:
    if in_acquisition:
        file.add_acquisition(series)
    else:
        container = LFP()  # in the file first: pynwb warns of a series whose electrodes are in no file yet
        _module(file, "ecephys").add(container)
        container.add_electrical_series(series)


def _add_position(
    file: pynwb.NWBFile,
    seconds: float,
    rate: float | None,
    timestamps: np.ndarray | None,
    missing: slice | None,
) -> None:
    regular = timestamps is None
    times = np.arange(round(seconds * (rate or 0))) / (rate or 1) if timestamps is None else timestamps
    data = path_in_arena(times)
    if missing is not None:
        data[missing] = np.nan
    clock = {"rate": rate, "starting_time": 0.0} if regular else {"timestamps": timestamps}
    series = SpatialSeries(name="position", data=data, reference_frame="corner", unit="m", **clock)
    _module(file, "behavior").add(Position(spatial_series=series))
