"""The decoder's state in a session: kept every so often, gone on from after a kill, gone back to after bad numbers."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from neurodyn.errors import InputError
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.drift import ChannelDrift
from neurodyn.realtime.events import EventKind, LogEvent
from neurodyn.realtime.runner import Runner
from neurodyn.realtime.writers import SnapshotFile


def check_model(file: SnapshotFile, decoder: RealtimeDecoder, models: Iterable[Runner] = ()) -> None:
    """Refuse a snapshot of another model, before a session opens anything else: nothing of the snapshot is taken.

    A damaged one is not refused: it is logged when the session begins, and replaced.

    Parameters
    ----------
    file
        That may hold one.
    decoder, models
        Of the session, and others that the decoder may have been changed to when the snapshot was taken.

    Raises
    ------
    InputError
        If it is of none of them.
    """
    try:
        found = file.load(("model",))
    except InputError:
        return
    if found is not None:
        _model_of(found, decoder, models, file)


def _model_of(
    found: Mapping[str, np.ndarray], decoder: RealtimeDecoder, models: Iterable[Runner], file: SnapshotFile
) -> Runner | None:
    """Which of the other models a snapshot is of; None if it is of the decoder's, or does not say."""
    if not decoder.is_from_other_model(found):
        return None
    for one in models:
        if np.array_equal(found.get("model", ()), one.frozen.fingerprint):
            return one
    raise InputError(
        f"{file.path} is a snapshot of another model, and is not overwritten: give the model that it was taken with, "
        "or another file"
    )


class StateKeeper:
    """Snapshots of a decoder while it runs.

    Parameters
    ----------
    decoder
        Whose state it is. If the file holds a snapshot of it, it is in that state afterwards.
    file
        To go on from and to write to; None keeps the state in memory only.
    say
        Records an event.
    every
        Seconds of data between snapshots.
    catch_up
        Longest gap, seconds, between a snapshot and the present that the decoder predicts through; after a longer one
        it begins anew.
    models
        Others that the decoder may have been changed to when the snapshot was taken.
    drift
        What follows the channels of the session, kept with the state; None if drift is not followed.

    Raises
    ------
    InputError
        If the file holds a snapshot of another model.
    """

    def __init__(
        self,
        decoder: RealtimeDecoder,
        file: SnapshotFile | None,
        say: LogEvent,
        *,
        every: float,
        catch_up: float,
        models: Iterable[Runner] = (),
        drift: ChannelDrift | None = None,
    ) -> None:
        self._decoder, self._file, self._say, self._drift = decoder, file, say, drift
        self._every, self._most = every, catch_up
        self._models = tuple(models)
        self._latest: dict[str, np.ndarray] | None = None
        self._latest_time = -math.inf
        self._resumed = None if file is None else self._resume(file)

    def _resume(self, file: SnapshotFile) -> float | None:
        """Time of the snapshot that the decoder goes on from, seconds; None if there is none that can be used."""
        drift_names = () if self._drift is None else self._drift.names
        try:
            found = file.load((*self._decoder.snapshot(), *drift_names))
        except InputError as error:  # a session must start, whatever is left of the last
            self._say(EventKind.BAD_INPUT, "", str(error))
            return None
        if found is None:
            return None
        try:
            same = _model_of(found, self._decoder, self._models, file)
        except InputError:
            file.close()
            raise
        if same is not None:
            self._decoder.swap(same)
            self._decoder.reset()
        try:
            time = self._decoder.restore(found)
        except InputError as error:  # of this model, and damaged
            self._say(EventKind.BAD_INPUT, "", str(error))
            return None
        if self._drift is not None:
            self._drift.restore(found)
        return time

    def catch_up(self, first: float) -> None:
        """Predict from the snapshot through the time without decoding, to the bin that ends at a time (seconds)."""
        if self._resumed is None:
            return
        gap, resumed = first - self._resumed, self._resumed
        self._resumed = None
        # Channels stay as they are for longer than a state does, and not for ever.
        if self._drift is not None and not 0 <= gap <= max(self._most, self._drift.policy.memory):
            self._drift.forget()
        if not 0 <= gap <= self._most:
            self._decoder.reset()
            self._say(EventKind.RESTORED, "", f"the snapshot is {gap:g} s away from {first:g} s: begun anew")
            return
        missing = round(gap / self._decoder.width) - 1
        for index in range(missing):
            self._decoder.step({}, resumed + (index + 1) * self._decoder.width)
        self._say(
            EventKind.RESTORED, "", f"from a snapshot of {resumed:g} s; {missing} bins without data are predicted"
        )

    def keep(self, time: float) -> None:
        """Take a snapshot if the last one is old enough at a time, seconds."""
        if abs(time - self._latest_time) < self._every:  # bins may go back, after a jump
            return
        snapshot = self._decoder.snapshot()
        if not np.isfinite(snapshot["time"]):
            return
        self._latest, self._latest_time = snapshot, float(snapshot["time"])
        if self._file is not None:
            self._file.offer(snapshot if self._drift is None else snapshot | self._drift.snapshot())

    def heal(self) -> None:
        """Go back to the last good state, or begin anew: numbers that are not finite stay in a filter for ever."""
        since = "the start"
        try:
            if self._latest is not None:
                self._decoder.restore(self._latest)
                since = f"{self._latest_time:g} s"
        except InputError:
            self._latest = None
        if self._latest is None:
            self._decoder.reset()
        self._say(EventKind.NOT_FINITE, "", f"the decoder's state became non-finite; restored the state of {since}")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
