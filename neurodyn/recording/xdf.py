"""Recordings of Lab Streaming Layer: XDF files with several streams, each with a clock of its own."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError, import_extra
from neurodyn.recording.checks import ImplausibleWarning
from neurodyn.recording.guard import one_line
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.layout import Layout
from neurodyn.recording.left_out import Choices, Repeated, build_items
from neurodyn.recording.names import file_name
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal

FIELD_TYPES = frozenset(("eeg", "ecog", "ieeg", "seeg", "lfp", "emg", "exg", "ephys", "meg"))
"""Types of streams, in lower case, that are fields; other streams of numbers are behaviour."""


def read_xdf(
    path: str | os.PathLike[str],
    layout: Layout | None = None,
    *,
    skip: tuple[str, ...] = (),
    lazy: bool | None = None,
    repeated: Repeated | str | None = None,
    strict: bool = True,
) -> Recording:
    """Read what Lab Streaming Layer's recorder wrote: streams on one clock, their offsets corrected.

    Streams of numbers are fields (EEG, ECoG, LFP, EMG and the like by their type) or behaviour; streams of text are
    intervals without length, labelled by the text.  Times are those of the recording computer's clock in seconds.

    Parameters
    ----------
    path
        The file.
    layout
        Not used: the streams say what they are.
    skip, lazy, repeated, strict
        What to leave out and how, see `left_out.Choices`.

    Returns
    -------
    Recording
        With an `ImplausibleWarning` where pyxdf left out a part that is damaged, or doubts a clock.

    Raises
    ------
    InputError
        If the file is damaged so that nothing can be read, or a stream cannot be used.
    MissingExtraError
        If pyxdf is not installed.
    """
    path, choices = Path(path), Choices.of(skip, repeated, strict, lazy)
    pyxdf = import_extra("pyxdf", "xdf")
    try:
        with _heard("pyxdf") as said:
            streams, _ = pyxdf.load_xdf(str(path))
    # The parser stumbles over a damaged file with whatever error the line at hand raises.
    except Exception as error:
        raise InputError(f"cannot read '{path}' as XDF, is it damaged? pyxdf says: {one_line(error)}") from error
    if not streams:
        raise InputError(f"'{path}' holds no stream: is it damaged, or was nothing selected when it was recorded?")
    if said:
        others = f" (and {len(said) - 1} more like this)" if len(said) > 1 else ""
        text = f"recording '{file_name(path)}': pyxdf says: {said[0]}{others}"
        warnings.warn(text, ImplausibleWarning, stacklevel=2)
    makers: dict[str, dict[str, Any]] = {"fields": {}, "behaviour": {}, "intervals": {}}
    for stream in streams:
        kind, name = _kind(stream), _first(stream["info"], "name") or "stream"
        taken, again = {key for group in makers.values() for key in group}, 1
        unique = name
        while unique in taken:
            again += 1
            unique = f"{name} {again}"
        makers[kind][unique] = lambda stream=stream, unique=unique, kind=kind: (
            _events(unique, stream) if kind == "intervals" else _signal(unique, stream, choices)
        )
    items, unusable = build_items(makers, choices)
    return Recording(file_name(path), unusable=unusable, **items)


class _Listener(logging.Handler):
    """Keeps what is said in a log."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


@contextmanager
def _heard(name: str) -> Iterator[list[str]]:
    """What a library says in its log, errors before warnings, in a line each; nothing of it is printed."""
    said: list[str] = []
    logger, listener = logging.getLogger(name), _Listener(logging.WARNING)
    before = logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.propagate = before
        logger.removeHandler(listener)
        records = sorted(listener.records, key=lambda record: -record.levelno)
        said += dict.fromkeys(" ".join(record.getMessage().split()) for record in records)


def _kind(stream: Mapping[str, Any]) -> str:
    if _first(stream["info"], "channel_format") == "string":
        return "intervals"
    return "fields" if _first(stream["info"], "type").lower() in FIELD_TYPES else "behaviour"


def _signal(name: str, stream: Mapping[str, Any], choices: Choices) -> Signal:
    values, times = np.asarray(stream["time_series"]), np.asarray(stream["time_stamps"], np.float64)
    values = (
        values.reshape(len(times), -1) if len(times) else np.zeros((0, int(_first(stream["info"], "channel_count"))))
    )
    described = _channels(stream["info"])
    names = tuple(_first(channel, "label") for channel in described)
    units = {_first(channel, "unit") for channel in described}
    names = names if len(set(names)) == values.shape[1] and all(names) else ()
    values, times = choices.signal_times(name, values, times)
    return Signal(name, values, timestamps=times, channels=names, unit=units.pop() if len(units) == 1 else "")


def _events(name: str, stream: Mapping[str, Any]) -> Intervals:
    times = np.asarray(stream["time_stamps"], np.float64)
    labels = tuple(
        ", ".join(map(str, row)) if isinstance(row, list | tuple) else str(row) for row in stream["time_series"]
    )
    return Intervals(name, times, times, labels)


def _channels(info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: Any = info
    for key in ("desc", "channels", "channel"):
        found = found.get(key) if isinstance(found, Mapping) else None
        if key != "channel":
            found = found[0] if isinstance(found, list) and found else None
    return [channel for channel in found if isinstance(channel, Mapping)] if isinstance(found, list) else []


def _first(table: Mapping[str, Any], key: str) -> str:
    found = table.get(key)
    found = found[0] if isinstance(found, list) and found else found
    return "" if found is None else str(found)
