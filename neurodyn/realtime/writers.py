"""What a loop hands over and never waits for: estimates to sinks, snapshots to a file."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from neurodyn.errors import InputError
from neurodyn.realtime.events import EventKind, EventLog
from neurodyn.realtime.locks import lock_beside
from neurodyn.realtime.runner import LiveEstimate, load_arrays, save_arrays
from neurodyn.realtime.streams.hello import Hello
from neurodyn.realtime.streams.protocol import Sink

QUEUE = 256
"""Estimates that wait for a sink before the oldest is dropped."""


class SinkWriter:
    """Writes to a sink from a thread of its own: a sink that stalls loses its oldest estimates and delays nothing.

    A sink that says ``never_blocks = True`` is written to at once: a thread would only make it later.

    Parameters
    ----------
    sink
        Closed together with this.
    name
        For the log.
    log
        Gets one event when the sink begins to stall or fail, and one when it has caught up again.
    size
        Estimates that may wait.
    """

    def __init__(self, sink: Sink, name: str, log: EventLog, *, size: int = QUEUE) -> None:
        self._sink, self.name, self._log = sink, name, log
        self._queue: deque[LiveEstimate | Hello] = deque()
        self._size = size
        self._wake = threading.Condition()
        self._closing = False
        self._failing, self._failed_at = "", 0.0  # how, and from which time on
        self.dropped = self._told = 0
        self._thread: threading.Thread | None = None
        if not getattr(sink, "never_blocks", False):
            self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
            self._thread.start()

    def put(self, estimate: LiveEstimate) -> None:
        """Hand an estimate over; never waits for the sink."""
        if self._thread is None:
            self._write(estimate)
            return
        with self._wake:
            full = len(self._queue) >= self._size
            if full:
                self._drop_oldest()
            self._queue.append(estimate)
            self._wake.notify()
        if full:
            self._fails("stalls: its oldest estimates are dropped", estimate.time)

    def greet(self, hello: Hello) -> None:
        """Have the sink say what the estimates after this are of; a sink without a ``greet`` says nothing."""
        if self._thread is None:
            self._write(hello)
            return
        with self._wake:
            self._queue.append(hello)
            self._wake.notify()

    def close(self, timeout: float = 1.0) -> None:
        """Write what is queued, for at most ``timeout`` seconds, and close the sink."""
        if self._thread is None:
            self._close_sink()
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._write(item)
        self._close_sink()

    def _drop_oldest(self) -> None:
        """Make room; what estimates are of still stands before those that are left."""
        oldest = self._queue.popleft()
        if isinstance(oldest, Hello):
            dropped = self._queue.popleft()
            self._queue.appendleft(dropped if isinstance(dropped, Hello) else oldest)
            self.dropped += not isinstance(dropped, Hello)
        else:
            self.dropped += 1

    def _write(self, item: LiveEstimate | Hello) -> None:
        try:
            if isinstance(item, Hello):
                getattr(self._sink, "greet", _nothing)(item)
                return
            self._sink.write(item)
        except Exception as error:  # a sink may be anybody's code, and the loop outlives it
            self.dropped += not isinstance(item, Hello)
            self._fails(f"fails: {_words(error)}", self._failed_at if isinstance(item, Hello) else item.time)
            return
        if self._failing and not self._queue:
            self._resumes(item.time)

    def _close_sink(self) -> None:
        with contextlib.suppress(Exception):
            self._sink.close()

    def _next(self) -> LiveEstimate | Hello | None:
        with self._wake:
            while not self._queue and not self._closing:
                self._wake.wait()
            return self._queue.popleft() if self._queue else None

    def _fails(self, how: str, time: float) -> None:
        if how != self._failing:
            if not self._failing:
                self._failed_at = time
            self._failing = how
            self._log.record(time, EventKind.SINK_STALLED, "", f"sink {self.name} {how}")

    def _resumes(self, time: float) -> None:
        """The sink has taken the latest estimate there is, and nothing waits for it any more."""
        lost, self._told, self._failing = self.dropped - self._told, self.dropped, ""
        detail = f"sink {self.name} takes estimates again after {time - self._failed_at:.3f} s, {lost} were dropped"
        self._log.record(time, EventKind.SINK_RESUMED, "", detail)


class SnapshotFile:
    """The latest snapshot in a file that is either wholly there or not at all, written from a thread.

    Parameters
    ----------
    path
        Of the file (NumPy's npz: arrays only, nothing in it is executed).
    log
        Told when the file cannot be written, and when it can again.

    Raises
    ------
    InputError
        If another process has the file.
    """

    def __init__(self, path: str | os.PathLike[str], log: EventLog) -> None:
        self._path, self._log = Path(path), log
        self._lock = lock_beside(self._path)
        self._waiting: dict[str, np.ndarray] | None = None
        self._wake = threading.Condition()
        self._closing = self._failing = False
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._path

    def load(self, wanted: Iterable[str] | None = None) -> dict[str, np.ndarray] | None:
        """Return what the file holds, None if there is no file.

        Parameters
        ----------
        wanted
            Names of the arrays to read, those that are there; None for all. Whatever else is in the file costs nothing.

        Raises
        ------
        InputError
            If it is not such a file.
        """
        if not self._path.exists():
            return None
        try:
            return load_arrays(self._path, wanted)
        except ValueError as error:
            raise InputError(f"{self._path} is not a snapshot of a decoder, or it is damaged") from error

    def offer(self, snapshot: dict[str, np.ndarray]) -> None:
        """Have it written soon; one that still waits is replaced."""
        with self._wake:
            self._waiting = snapshot
            self._wake.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)
        if self._lock is not None:
            self._lock.close()

    def _run(self) -> None:
        while (snapshot := self._next()) is not None:
            try:
                save_arrays(self._path, snapshot)
                if self._failing:
                    self._log.record(
                        float(snapshot["time"]), EventKind.SINK_RESUMED, "", f"{self._path} is written again"
                    )
                self._failing = False
            except OSError as error:  # a full disk must not end the session
                if not self._failing:
                    detail = f"cannot write {self._path}: {error.strerror or error}"
                    self._log.record(float(snapshot["time"]), EventKind.SINK_STALLED, "", detail)
                self._failing = True

    def _next(self) -> dict[str, np.ndarray] | None:
        with self._wake:
            while self._waiting is None and not self._closing:
                self._wake.wait()
            snapshot, self._waiting = self._waiting, None
            return snapshot


def _nothing(hello: Hello) -> None:
    """What a sink says that has no hello."""


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
