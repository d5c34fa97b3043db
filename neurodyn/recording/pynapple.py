"""Recordings from pynapple objects, known by what they offer: pynapple itself is not needed.

A Tsd has times ``t`` and values ``d``, a TsdFrame ``columns`` besides, a TsGroup a table of units that are indexed by
``index``, an IntervalSet ``start`` and ``end``.  All times are in seconds.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.checks import warn_of_doubts
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport


def recording_from_pynapple(
    name: str, objects: Mapping[str, Any], *, fields: Iterable[str] = (), units: Mapping[str, str] | None = None
) -> Recording:
    """Recording from pynapple objects by name, as a session's dictionary or NWB file of pynapple gives them.

    Parameters
    ----------
    name
        What to call the recording.
    objects
        TsGroup: units, with their metadata as attributes and with its time support; Tsd and TsdFrame: signals;
        IntervalSet: intervals.
    fields
        Names of the signals that are field potentials; the others are behaviour.
    units
        Unit of the values by the signal's name.

    Returns
    -------
    Recording
        Times stay the timestamps they are.

    Raises
    ------
    InputError
        For an object of another kind (Ts alone, TsdTensor), a name in `fields` or `units` that is not a signal, and
        what the containers refuse.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> from neurodyn.recording import recording_from_pynapple
    >>> speed = SimpleNamespace(t=np.arange(0.0, 1.0, 0.01), d=np.zeros(100))  # pynapple's Tsd has both
    >>> recording_from_pynapple("session", {"speed": speed}, units={"speed": "m/s"}).behaviour_signal("speed").unit
    'm/s'
    """
    known = {key for key, item in objects.items() if _is_signal(item)}
    for key in (*fields, *(units or {})):
        if key not in known:
            raise unknown_name("signal", key, known)
    parts: dict[str, dict[str, Any]] = {"spikes": {}, "fields": {}, "behaviour": {}, "intervals": {}}
    for key, item in objects.items():
        kind = _kind(key, item, frozenset(fields))
        parts[kind][key] = _MAKERS[kind](key, item, (units or {}).get(key, ""))
    spikes, fields_, behaviour, intervals = (parts[kind] for kind in ("spikes", "fields", "behaviour", "intervals"))
    return warn_of_doubts(Recording(name, spikes, fields_, behaviour, intervals))


def _kind(name: str, item: Any, fields: frozenset[str]) -> str:
    if _is_signal(item):
        return "fields" if name in fields else "behaviour"
    if not hasattr(item, "t"):
        if hasattr(item, "start") and hasattr(item, "end"):
            return "intervals"
        if hasattr(item, "index") and hasattr(item, "__getitem__"):
            return "spikes"
    raise InputError(
        f"'{name}' is a {type(item).__name__}: a recording is made from TsGroup, Tsd, TsdFrame and IntervalSet"
    )


def _is_signal(item: Any) -> bool:
    return hasattr(item, "t") and hasattr(item, "d") and np.ndim(item.d) in (1, 2)


def _spikes(name: str, group: Any, _: str) -> SpikeTrains:
    keys = list(group.index)
    times = tuple(np.asarray(group[key].t, np.float64) for key in keys)
    columns = [column for column in getattr(group, "metadata_columns", ()) if column != "rate"]
    attributes = {str(column): _column(group[column]) for column in columns}
    kept = {column: values for column, values in attributes.items() if values.dtype.kind in "biufU"}
    return SpikeTrains(name, times, tuple(str(key) for key in keys), kept, _support(group, times))


def _support(group: Any, times: tuple[np.ndarray, ...]) -> TimeSupport | None:
    """The group's time support; None for what pynapple makes up when it is given none: from first to last spike."""
    stated = getattr(group, "time_support", None)
    if stated is None:
        return None
    support = TimeSupport(np.asarray(stated.start, np.float64), np.asarray(stated.end, np.float64))
    fired = [train for train in times if train.size]
    made_up = TimeSupport(np.array([train[0] for train in fired]), np.array([train[-1] for train in fired]))
    return None if support.same_as(made_up) else support


def _signal(name: str, item: Any, unit: str) -> Signal:
    values = np.asarray(item.d)
    columns = tuple(str(column) for column in item.columns) if hasattr(item, "columns") else ()
    values = values[:, None] if values.ndim == 1 else values
    return Signal(name, values, timestamps=np.asarray(item.t, np.float64), channels=columns, unit=unit)


def _intervals(name: str, item: Any, _: str) -> Intervals:
    starts, stops = (np.asarray(bound, np.float64) for bound in (item.start, item.end))
    columns = list(getattr(item, "metadata_columns", ()))
    labels = tuple(str(label) for label in _column(item[columns[0]])) if len(columns) == 1 else ()
    return Intervals(name, starts, stops, labels)


def _column(values: Any) -> np.ndarray:
    array = np.asarray(values)
    texts = array.dtype.kind == "O" and all(isinstance(value, str) for value in array.ravel())
    return array.astype(str) if texts else array


_MAKERS = {"spikes": _spikes, "fields": _signal, "behaviour": _signal, "intervals": _intervals}
