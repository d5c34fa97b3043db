"""Field potentials out of the broadband files of the same sessions: low-passed, causally, and sampled more slowly.

The files are NWB 1.0 (HDF5), which readers of NWB 2 refuse: ``/acquisition/timeseries/broadband`` has ``data``
(samples x channels, integer codes with the attribute ``conversion`` to volts), ``timestamps`` in seconds, on the clock
of the spike times, and often ``electrode_names``. A session is a few gigabytes: it is read in blocks.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.signal

from neurodyn.errors import InputError
from neurodyn.recording import Signal

GROUP = "acquisition/timeseries/broadband"
RATE = 1000.0
"""Samples per second of the field are as near to this as whole numbers of broadband samples allow."""
SPAN = 10
"""Length of the low-pass filter, in samples of the field."""
BLOCK = 2**22
"""Numbers that are read at once."""
UNEVEN = 0.01
"""By how much of a sample's time a broadband timestamp may be off a regular clock."""


def field_of(path: Path, *, channels: int | None = None) -> Signal:
    """The field potential of a broadband file.

    Parameters
    ----------
    path
        NWB 1.0 file of the archive.
    channels
        So many, evenly spread over the array; None for all.

    Returns
    -------
    Signal
        ``lfp`` in volts at about 1 kHz. Each sample is made of broadband samples up to its time, none later: it says
        what the electrode had half the filter's length (5 ms) before.

    Raises
    ------
    InputError
        If there is no broadband recording, its clock is uneven, or there are not so many channels.

    References
    ----------
    O'Doherty, Cardoso, Makin & Sabes (2017), Zenodo; the broadband files have records of their own beside it.
    """
    with _opened(path) as file:
        found = file.get(GROUP)
        if not isinstance(found, h5py.Group) or not {"data", "timestamps"} <= set(found):
            raise InputError(f"'{path}' has no {GROUP}/data with timestamps: is it a broadband file of this archive?")
        data: Any = found["data"]
        times = np.asarray(found["timestamps"], np.float64).ravel()
        columns = _columns(data, channels, path)
        fast = _rate(times, path)
        step = max(1, round(fast / RATE))
        taps = np.asarray(scipy.signal.firwin(SPAN * step, 0.4 * fast / step, fs=fast))
        values = _low_passed(data, columns, taps, step) * float(data.attrs.get("conversion", 1.0))
        names = _names(found, data.shape[1])
        return Signal(
            "lfp", values, rate=fast / step, start=float(times[len(taps) - 1]),
            channels=tuple(names[column] for column in columns), unit="volts",
        )  # fmt: skip


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"'{path}' cannot be read as HDF5: {error}") from error


def _columns(data: Any, channels: int | None, path: Path) -> list[int]:
    there = data.shape[1]
    if channels is None:
        return list(range(there))
    if not 1 <= channels <= there:
        raise InputError(f"'{path}' has {there} channels, {channels} were asked for")
    return [round(place) for place in np.linspace(0, there - 1, channels)]


def _rate(times: np.ndarray, path: Path) -> float:
    """Samples per second of a regular clock."""
    if len(times) < 2:
        raise InputError(f"'{path}' has {len(times)} broadband samples: too few for a clock")
    rate = (len(times) - 1) / (times[-1] - times[0])
    off = np.abs(times - times[0] - np.arange(len(times)) / rate).max() * rate
    if not off <= UNEVEN:
        raise InputError(
            f"the broadband clock of '{path}' is uneven, by {off:.2g} samples: cut the file at its gaps first"
        )
    return float(rate)


def _low_passed(data: Any, columns: list[int], taps: np.ndarray, step: int) -> np.ndarray:
    """Filtered samples, one in so many, each of the broadband samples up to its own."""
    count = max(0, (len(data) - len(taps)) // step + 1)
    if not count:
        raise InputError(f"a broadband recording of {len(data)} samples is shorter than the filter ({len(taps)})")
    found = np.empty((count, len(columns)))
    at_once = max(1, BLOCK // (step * data.shape[1]))
    for first in range(0, count, at_once):
        last = min(first + at_once, count)
        block = np.asarray(data[first * step : (last - 1) * step + len(taps)])[:, columns].astype(np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(block, len(taps), axis=0)[::step]
        found[first:last] = windows @ taps[::-1]
    return found


def _names(group: Any, count: int) -> list[str]:
    names = group.get("electrode_names")
    if names is None or len(names) != count:
        return [f"lfp_{channel}" for channel in range(count)]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in np.ravel(names)]
