"""Records a session into a file, from a thread: what comes, every step of the decoder, and what went wrong."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neurodyn.realtime.events import EventKind, EventLog
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.session_file import SessionFile, Step, Truth
from neurodyn.realtime.streams.protocol import Chunk

PERIOD = 0.5
"""Seconds between writings: what a kill costs at most."""
MOST_WAITING = 256 * 2**20
"""Bytes that wait for the disk before new ones are left out."""
OF_A_STEP = 2000
"""Bytes of an estimate and of Python's objects around it, roughly."""

_Item = Chunk | Step | Truth | dict[str, np.ndarray]


class _Waiting:
    """What waits for the disk, up to so many bytes; put in by one thread, and taken out by another."""

    def __init__(self) -> None:
        self._items: deque[tuple[_Item, int]] = deque()
        self._put = self._taken = 0  # bytes, each counted by one thread alone

    def put(self, item: _Item, size: int) -> bool:
        """Whether there was room for it."""
        if self._put - self._taken + size > MOST_WAITING:
            return False
        self._put += size
        self._items.append((item, size))
        return True

    def take(self) -> list[_Item]:
        """All that waits now."""
        items = []
        while self._items:
            item, size = self._items.popleft()
            items.append(item)
            self._taken += size
        return items


class SessionRecorder:
    """Takes what a session gives and never holds it up.

    A listener of the decoder (:meth:`neurodyn.realtime.RealtimeDecoder.listen`), so that nothing that moves its state
    is missed: when its state has changed in another way than by a step, the state is written before the next.

    Parameters
    ----------
    file
        To write to; closed together with this.
    log
        Events are read from it; told when the file cannot be written.
    period
        Seconds between writings.
    """

    def __init__(self, file: SessionFile, log: EventLog, *, period: float = PERIOD) -> None:
        self._file, self._log, self._period = file, log, period
        self._waiting = _Waiting()
        self._needs_state, self._left_out, self._told = True, 0, set[str]()
        self._position, self._latest = 0, 0.0  # of the events that are written, and time of the last bin
        self._failed = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def take(self, chunk: Chunk) -> None:
        """Keep what a stream has sent."""
        if len(chunk.times):
            self._keep(chunk, chunk.times.nbytes + chunk.values.nbytes)

    def before(self, snapshot: Callable[[], dict[str, np.ndarray]]) -> None:
        """Keep the state before a step, where it does not follow from the step before."""
        if self._needs_state:
            state = snapshot()
            self._needs_state = not self._keep(state, sum(array.nbytes for array in state.values()))

    def stepped(self, observations: Mapping[str, Any], estimate: LiveEstimate) -> None:
        """Keep a step, which is worth nothing without the state before it."""
        self._latest = estimate.time
        copied = {name: np.array(value) for name, value in observations.items() if value is not None}
        size = OF_A_STEP + sum(value.nbytes for value in copied.values())
        if self._needs_state or not self._keep(Step(copied, estimate), size):
            self._needs_state = True
            self._left_out += 1

    def observed(self, target: np.ndarray) -> None:
        """Keep the truth of the last step."""
        if not self._needs_state:
            self._keep(Truth(np.array(target, np.float64)), OF_A_STEP)

    def moved(self) -> None:
        """Have the state written before the next step."""
        self._needs_state = True

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, for at most so many seconds, and close the file."""
        self._closing.set()
        self._thread.join(timeout)

    def _keep(self, item: _Item, size: int) -> bool:
        """Have something written; False if too much waits already."""
        return not self._failed and self._waiting.put(item, size)

    def _run(self) -> None:
        while not self._closing.wait(self._period):
            self._write()
        self._write()
        with contextlib.suppress(Exception):  # the error of the disk has been logged
            self._file.close()

    def _write(self) -> None:
        """Write what waits now; a disk that does not take it ends the recording, and not the session."""
        if self._failed:
            return
        items = self._waiting.take()
        before = self._position
        events, self._position = self._log.since(before)
        if (lost := self._position - before - len(events)) > 0:
            self._say(EventKind.SINK_STALLED, "", f"{lost} events are not recorded: they came too fast")
        if not items and not events:
            return
        try:
            left_out = self._file.append([*items, *events])
        except Exception as error:  # HDF5 says in many ways that a disk takes no more
            self._failed = True
            self._waiting.take()
            why = f"cannot write {self._file.path}: {' '.join(str(error).split())}"
            self._say(EventKind.SINK_STALLED, "", f"the session is no longer recorded: {why}")
            return
        for name in set(left_out) - self._told:
            self._told.add(name)
            self._say(
                EventKind.LEFT_OUT, name, "is not recorded: values of another shape than before, or too many streams"
            )
        if self._left_out:
            bins, self._left_out = self._left_out, 0
            self._say(EventKind.SINK_STALLED, "", f"{bins} bins are not recorded: {self._file.path} is too slow")

    def _say(self, kind: EventKind, modality: str, detail: str) -> None:
        self._log.record(self._latest, kind, modality, detail)
