"""Recordings from plain arrays and from xarray, and signals as xarray."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.checks import warn_of_doubts
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import EVERYTHING, TimeSupport


def recording_from_arrays(
    name: str,
    *,
    spikes: Mapping[str, ArrayLike] | Sequence[ArrayLike] = (),
    fields: Mapping[str, ArrayLike] | None = None,
    behaviour: Mapping[str, ArrayLike] | None = None,
    rates: Mapping[str, float] | None = None,
    timestamps: Mapping[str, ArrayLike] | None = None,
    units: Mapping[str, str] | None = None,
    intervals: Mapping[str, ArrayLike] | None = None,
    support: ArrayLike | Mapping[str, ArrayLike] | None = None,
) -> Recording:
    """Recording from arrays; NaN is missing.

    Parameters
    ----------
    name
        What to call it.
    spikes
        Sorted times in seconds per unit, by label or in a list (units are then called 0, 1, ...).
    fields, behaviour
        (samples,) or (samples, channels) by name.
    rates, timestamps
        Clock of each signal by its name: samples per second from 0 s on, or a time per sample in seconds.
    units
        Unit of the values by the signal's name.
    intervals
        (rows, 2) starts and stops in seconds by name; those of ``invalid_times`` were not recorded.
    support
        (stretches, 2) starts and stops in seconds of the time in which the units were recorded, for all of them or by
        label; a unit that is left out was recorded as far as the recording goes.

    Returns
    -------
    Recording
        With a warning where something is implausible (`doubts`).

    Raises
    ------
    InputError
        For a signal without a clock, or with two; a clock without a signal; and what the containers refuse.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import recording_from_arrays
    >>> spikes = {"a": np.arange(0.0, 10.0, 0.2), "b": np.arange(0.0, 10.0, 0.5)}
    >>> lfp = {"lfp": np.zeros((2500, 4))}
    >>> session = recording_from_arrays("session", spikes=spikes, fields=lfp, rates={"lfp": 250.0})
    >>> session.spike_trains().units, session.field().n_channels
    (('a', 'b'), 4)
    """
    fields, behaviour, clocks = fields or {}, behaviour or {}, {**(rates or {}), **(timestamps or {})}
    for clock in (*clocks, *(units or {})):
        if clock not in {*fields, *behaviour}:
            raise unknown_name("signal with a clock or unit", clock, {*fields, *behaviour})

    def signal(key: str, values: ArrayLike) -> Signal:
        rate, times = (rates or {}).get(key), (timestamps or {}).get(key)
        array = np.asarray(values)
        array = array[:, None] if array.ndim == 1 else array
        at = None if times is None else np.asarray(times)
        return Signal(key, array, timestamps=at, rate=rate, unit=(units or {}).get(key, ""))

    trains = _trains(spikes)
    trains = replace(trains, support=_support(support, trains.units))
    return warn_of_doubts(
        Recording(
            name,
            spikes={"spikes": trains} if trains.units else {},
            fields={key: signal(key, values) for key, values in fields.items()},
            behaviour={key: signal(key, values) for key, values in behaviour.items()},
            intervals={key: _rows(key, values) for key, values in (intervals or {}).items()},
        )
    )


def signal_from_xarray(array: Any, *, name: str | None = None, time: str = "time") -> Signal:
    """Signal from a labelled array with a time axis and at most one other, in either order.

    Times are the coordinate of the axis `time` in seconds, or ``attrs["rate"]`` (Hz) and ``attrs["start"]``; the other
    axis' coordinate gives the names of the channels; ``attrs["units"]`` or ``attrs["unit"]`` the unit.

    Parameters
    ----------
    array
        DataArray of real numbers; NaN is missing.
    name
        Of the signal; the array's own if None.
    time
        Name of the time axis.

    Raises
    ------
    InputError
        If there is no such axis, too many others, no clock or no name.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from neurodyn.recording import signal_from_xarray
    >>> array = xr.DataArray(np.zeros((4, 2)), dims=("time", "channel"), attrs={"rate": 100.0, "units": "mV"})
    >>> signal_from_xarray(array.assign_coords(channel=["CA1", "CA3"]), name="lfp").channels
    ('CA1', 'CA3')
    """
    name = name or (None if array.name is None else str(array.name))
    if not name:
        raise InputError("the array has no name: give the signal one with name=...")
    dims = [str(dim) for dim in array.dims]
    if time not in dims or len(dims) > 2:
        raise InputError(f"array '{name}' has the axes {', '.join(dims) or 'none'}: it needs '{time}' and one other")
    others = [dim for dim in dims if dim != time]
    values = np.asarray(array.transpose(time, *others).to_numpy())
    values = values if others else values[:, None]
    unit = str(array.attrs.get("units", array.attrs.get("unit", "")))
    channels = _labels(array, others[0]) if others else ()
    if time in array.coords:
        return Signal(name, values, timestamps=array.coords[time].to_numpy(), channels=channels, unit=unit)
    if "rate" not in array.attrs:
        raise InputError(f"array '{name}' has no coordinate '{time}' in seconds and no attribute 'rate' in Hz")
    start = array.attrs.get("start", 0.0)
    return Signal(name, values, rate=array.attrs["rate"], start=start, channels=channels, unit=unit)


def signal_to_xarray(signal: Signal) -> Any:
    """Signal as a labelled array (time, channel) with times in seconds; `signal_from_xarray` gives it back.

    A signal on a regular clock has no coordinate of times but the attributes ``rate`` and ``start``.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import Signal, signal_to_xarray
    >>> array = signal_to_xarray(Signal("lfp", np.zeros((4, 2)), rate=100.0, unit="mV"))
    >>> dict(array.sizes), array.attrs["rate"]
    ({'time': 4, 'channel': 2}, 100.0)
    """
    import xarray as xr

    regular = signal.timestamps is None
    coords: dict[str, Any] = {"channel": list(signal.channels)}
    if not regular:
        coords["time"] = signal.timestamps
    clock = {"rate": signal.rate, "start": signal.start} if regular else {}
    return xr.DataArray(
        np.asarray(signal.values),
        dims=("time", "channel"),
        coords=coords,
        name=signal.name,
        attrs={"units": signal.unit, **clock},
    )


def intervals_to_pandas(intervals: Intervals) -> Any:
    """Intervals as a data frame with the columns start, stop (seconds) and label, and the table's own columns.

    Raises
    ------
    InputError
        If a column of the table has one of these three names.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import Intervals, intervals_to_pandas
    >>> hit = {"hit": np.array([True, False])}
    >>> list(intervals_to_pandas(Intervals("trials", np.array([0.0, 2.0]), np.array([1.5, 3.5]), columns=hit)))
    ['start', 'stop', 'label', 'hit']
    """
    import pandas as pd

    fixed_columns = {"start": intervals.starts, "stop": intervals.stops, "label": list(intervals.labels)}
    if twice := set(fixed_columns) & set(intervals.columns):
        raise InputError(f"intervals '{intervals.name}' have columns called {', '.join(sorted(twice))}: rename them")
    frame = pd.DataFrame({**fixed_columns, **{name: values.tolist() for name, values in intervals.columns.items()}})
    frame.attrs["name"] = intervals.name
    return frame


def intervals_from_pandas(
    frame: Any, *, name: str | None = None, start: str = "start", stop: str = "stop"
) -> Intervals:
    """Intervals from a data frame; `intervals_to_pandas` gives it back.

    Parameters
    ----------
    frame
        With a column of starts and one of stops in seconds.  The column ``label`` gives the labels; every other column
        of numbers, truth values or text is kept.
    name
        What to call the table; ``frame.attrs["name"]`` if None, or else ``intervals``.
    start, stop
        Names of the columns of bounds.

    Raises
    ------
    InputError
        If there is no such column, or a bound is not finite.

    Examples
    --------
    >>> import pandas as pd
    >>> from neurodyn.recording import intervals_from_pandas
    >>> frame = pd.DataFrame({"start": [0.0, 2.0], "stop": [1.5, 3.5], "hit": [True, False]})
    >>> intervals_from_pandas(frame, name="trials").where("hit").stops.tolist()
    [1.5]
    """
    known = {str(column): frame[column] for column in frame.columns}
    for column in (start, stop):
        if column not in known:
            raise unknown_name("column of starts or stops", column, known)
    labels = tuple(str(label) for label in known["label"]) if "label" in known else ()
    columns = {}
    for column, values in known.items():
        array = np.asarray(values)
        if array.dtype.kind not in "biuf" and all(isinstance(value, str) for value in values):
            array = np.array([str(value) for value in values], dtype=str)
        if column not in (start, stop, "label") and array.dtype.kind in "biufU":
            columns[column] = array
    starts, stops = (np.asarray(known[column], np.float64) for column in (start, stop))
    return Intervals(name or str(frame.attrs.get("name", "intervals")), starts, stops, labels, columns)


def _labels(array: Any, dim: str) -> tuple[str, ...]:
    return tuple(str(label) for label in array.coords[dim].to_numpy()) if dim in array.coords else ()


def _trains(spikes: Mapping[str, ArrayLike] | Sequence[ArrayLike]) -> SpikeTrains:
    table = dict(spikes) if isinstance(spikes, Mapping) else {str(i): train for i, train in enumerate(spikes)}
    return SpikeTrains("spikes", tuple(np.asarray(train) for train in table.values()), tuple(table))


def _support(
    support: ArrayLike | Mapping[str, ArrayLike] | None, units: Sequence[str]
) -> TimeSupport | list[TimeSupport] | None:
    if support is None or not isinstance(support, Mapping):
        return None if support is None else TimeSupport.of(support)
    for unit in support:
        if unit not in units:
            raise unknown_name("unit with a support", unit, units)
    return [TimeSupport.of(support[unit]) if unit in support else EVERYTHING for unit in units]


def _rows(name: str, values: ArrayLike) -> Intervals:
    rows = np.asarray(values)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise InputError(f"intervals '{name}' need an array of (rows, 2) starts and stops, got shape {rows.shape}")
    return Intervals(name, rows[:, 0], rows[:, 1])
