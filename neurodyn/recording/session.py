"""Read what a live session recorded: its streams as a recording, and what was decoded as behaviour.

The file is HDF5, written by ``neurodyn serve --record`` (`neurodyn.realtime.session_file` has the layout). It is whole
up to its last flush when the process that wrote it was killed.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from neurodyn.errors import InputError
from neurodyn.recording.guard import check_version, fixed_text, numbers, one_line, open_hdf5
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.left_out import Choices, Repeated
from neurodyn.recording.names import file_name
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport

FORMAT = "neurodyn-session"
VERSION = 1
MARKER = "marker"
"""Kind of the events that came with the data."""
DECODED = "decoded"
"""Name of the behaviour series that is what the session decoded."""


def is_session(file: Any) -> bool:
    """Whether an open HDF5 file says that it was recorded by a live session."""
    return fixed_text(file, "format") == FORMAT.encode()


@contextmanager
def open_session(path: Path) -> Iterator[Any]:
    """Session file opened for reading, also while it is written or after its writer was killed.

    Raises
    ------
    InputError
        If it is not such a file, damaged, or of a later version.
    """
    with open_hdf5(path) as file:
        if not is_session(file):
            raise InputError(f"'{path}' was not recorded by a session: its attribute 'format' is not '{FORMAT}'")
        check_version(file, path, VERSION)
        yield file


def session_array(file: Any, name: str, path: Path) -> Shaped[np.ndarray, "..."]:
    """One array of numbers of a session file.

    Raises
    ------
    InputError
        If it is not there, or is refused by `neurodyn.recording.guard`.
    """
    if name not in file:
        raise InputError(f"'{path}' has no '{name}': it is damaged")
    return numbers(file[name], path)


def session_text(file: Any, name: str, path: Path) -> Any:
    """What a dataset of bytes of a session file says, from JSON.

    Raises
    ------
    InputError
        If it is not there, or no JSON.
    """
    try:
        return json.loads(session_array(file, name, path).astype(np.uint8).tobytes())
    except ValueError as error:
        raise InputError(f"'{name}' in '{path}' is damaged: {one_line(error)}") from error


def read_session(
    path: str | os.PathLike[str],
    *,
    skip: Iterable[str] = (),
    lazy: bool | None = None,
    repeated: Repeated | str | None = None,
    strict: bool = True,
) -> Recording:
    """Read what came in a live session, and what it decoded.

    Parameters
    ----------
    path
        What ``neurodyn serve --record`` wrote.
    skip, lazy, repeated, strict
        What to leave out and how, see `left_out.Choices`. Of samples that came twice the last counts, whatever
        ``repeated`` says; nothing is lazy.

    Returns
    -------
    Recording
        Streams of spikes and of samples, in order of their times; the decoded target as the behaviour ``decoded``; of
        each stream of markers the intervals from one to the next. Units were recorded in the bins in which the decoder
        saw them, and only spikes of these are read. What came without a finite time, or of units that do not exist, is
        left out.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another format or a later version.
    """
    path, choices = Path(path), Choices.of(skip, repeated, strict, lazy)
    with open_session(path) as file:
        head = session_text(file, "head", path)
        times = session_array(file, "bins/time", path)
        spikes, fields, behaviour = {}, {}, {}
        for key in sorted(file["streams"], key=int):
            told = session_text(file, f"streams/{key}/head", path)
            name, labels = _name(told, path), tuple(map(str, told["labels"]))
            if name in choices.skip:
                continue
            values = session_array(file, f"streams/{key}/values", path)
            given = _whole_rows(session_array(file, f"streams/{key}/times", path), values, path)
            if told["kind"] == "spikes":
                name = _free(name, spikes)
                spikes[name] = _spikes(name, *given, labels)
            else:
                name = _free(name, fields)
                fields[name] = _signal(name, *given, labels)
        for number, row in enumerate(head["modalities"]):
            if (trains := spikes.get(row["name"])) is not None:
                seen = np.isfinite(session_array(file, f"bins/observations/{number}", path))
                support = _supports(times, seen, float(head["width_seconds"]), row["channels"], trains.units)
                times_in = tuple(_inside(train, one) for train, one in zip(trains.times, support, strict=True))
                spikes[row["name"]] = replace(trains, times=times_in, support=support)
        dims = tuple(map(str, head["target_names"]))
        if dims and DECODED not in choices.skip:
            given = _whole_rows(times, session_array(file, "bins/target", path), path)
            behaviour[DECODED] = _signal(DECODED, *given, dims)
        events = events_of(session_array(file, "events", path))
    fields = {name: signal for name, signal in fields.items() if signal.n_samples}
    behaviour = {name: signal for name, signal in behaviour.items() if signal.n_samples}
    intervals = _markers(events, float(times.max(initial=-np.inf)), choices)
    return Recording(file_name(path), spikes=spikes, fields=fields, behaviour=behaviour, intervals=intervals)


def events_of(events: Shaped[np.ndarray, " bytes"]) -> list[dict[str, Any]]:
    """Events from the bytes of their lines; a line that is not JSON, or was not written to its end, is left out."""
    found = []
    for line in events.astype(np.uint8).tobytes().split(b"\n"):
        with contextlib.suppress(ValueError):
            if line and isinstance(event := json.loads(line), dict):
                found.append(event)
    return found


def _markers(events: list[dict[str, Any]], end: float, choices: Choices) -> dict[str, Intervals]:
    """Intervals between the markers of each stream; the last ends with the session."""
    found: dict[str, list[tuple[float, str]]] = {}
    for event in events:
        name, time = str(event.get("modality")), event.get("time")
        if event.get("kind") == MARKER and isinstance(time, int | float) and name not in choices.skip:
            found.setdefault(name, []).append((float(time), str(event.get("detail"))))
    tables = {}
    for name, markers in found.items():
        times, texts = zip(*sorted(markers), strict=True)
        stops = np.append(times[1:], max(end, times[-1]))
        tables[name] = Intervals(name, np.asarray(times), stops, texts)
    return tables


def _name(head: Any, path: Path) -> str:
    if not (isinstance(head, dict) and {"name", "kind", "labels"} <= set(head)):
        raise InputError(f"a stream in '{path}' does not say its name, kind and labels: the file is damaged")
    return str(head["name"])


def _free(name: str, taken: Iterable[str]) -> str:
    """A name of its own: a stream that came back with other labels in the same file is another one."""
    number, found = 2, name
    while found in taken:
        found, number = f"{name} {number}", number + 1
    return found


def _spikes(name: str, times: np.ndarray, units: np.ndarray, labels: tuple[str, ...]) -> SpikeTrains:
    """Spikes by unit; units of a stream that has no labels are called by their rows."""
    labels = labels or tuple(str(row) for row in range(int(units.max(initial=-1)) + 1))
    kept = (units >= 0) & (units < len(labels)) & (times >= 0)
    times, units = times[kept], units[kept]
    order = np.argsort(times, kind="stable")
    times, units = times[order], units[order]
    return SpikeTrains(name, tuple(times[units == row] for row in range(len(labels))), labels)


def _supports(
    times: np.ndarray, seen: np.ndarray, width: float, channels: list[str], units: tuple[str, ...]
) -> tuple[TimeSupport, ...]:
    """When each unit was recorded: in the bins in which the decoder saw it; a unit unknown to it, as any other."""
    length = min(len(times), len(seen))
    times, seen = times[:length], seen[:length]
    begins = times - width
    touching = np.abs(begins[1:] - times[:-1]) < 1e-3 * width
    begins[1:][touching] = times[:-1][touching]
    columns = {str(label): seen[:, place] for place, label in enumerate(channels) if place < seen.shape[1]}
    others = seen.any(axis=1)
    masks = [columns.get(unit, others) for unit in units]
    return tuple(TimeSupport(begins[mask], times[mask]) for mask in masks)


def _inside(times: np.ndarray, support: TimeSupport) -> np.ndarray:
    """Spikes in the support: others were too late for their bin, or came while nothing was decoded."""
    place = np.searchsorted(support.starts, times, side="right") - 1
    return times[(place >= 0) & (times < np.append(support.stops, -np.inf)[place])]


def _signal(name: str, times: np.ndarray, values: np.ndarray, labels: tuple[str, ...]) -> Signal:
    """Samples in order; of several at one time the last counts, and what is not finite is missing."""
    times, last = np.unique(times[::-1], return_index=True)
    values = values[::-1][last].astype(np.float64)
    return Signal(name, np.where(np.isfinite(values), values, np.nan), timestamps=times, channels=labels)


def _whole_rows(times: np.ndarray, values: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Samples that have both time and value, since a kill may come between the two; those without a time left out."""
    if times.ndim != 1 or values.ndim not in (1, 2):
        raise InputError(f"times and values in '{path}' have other axes than expected: the file is damaged")
    length = min(len(times), len(values))
    known = np.isfinite(times[:length])
    return times[:length][known], values[:length][known]
