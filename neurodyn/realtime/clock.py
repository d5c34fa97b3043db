"""What time it is on the clock of the data."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from neurodyn.realtime.streams.protocol import Chunk

MAX_JUMP = 30.0
"""Seconds; data further than this from the present come from a clock that jumped."""


@runtime_checkable
class DataClock(Protocol):
    """Tells the present from the data that have come."""

    def note(self, chunks: Iterable[Chunk]) -> None:
        """Take in what has just been read."""
        ...

    def now(self) -> float:
        """Present in seconds; NaN before any data."""
        ...


class LiveClock:
    """The latest time in the data, and what has passed since it came: goes on when every source falls silent.

        now = latest + (wall - wall when the latest came)

    Parameters
    ----------
    wall
        Seconds that pass steadily, from any origin.
    max_jump
        Seconds that the data may be away from the present. A stream that is further away has a clock that jumped: it is
        moved onto the present, as the binner does, and followed from there.
    """

    def __init__(self, *, wall: Callable[[], float] = time.monotonic, max_jump: float = MAX_JUMP) -> None:
        self._wall, self._max_jump = wall, max_jump
        self._latest, self._came = math.nan, math.nan
        self._shift: dict[str, float] = {}

    def note(self, chunks: Iterable[Chunk]) -> None:
        """Take in what has just been read."""
        now = self.now()
        for chunk in chunks:
            end = end_of(chunk) + self._shift.get(chunk.name, 0.0)
            if not math.isfinite(end):
                continue
            if abs(end - now) > self._max_jump:
                self._shift[chunk.name] = self._shift.get(chunk.name, 0.0) + now - end
            elif math.isnan(self._latest) or end > self._latest:
                self._latest, self._came = end, self._wall()

    def now(self) -> float:
        """Present in seconds; NaN before any data."""
        return self._latest + (self._wall() - self._came)


class ReplayClock:
    """The latest time in the data and nothing else: for files, which may be read at any speed."""

    def __init__(self, *, max_jump: float = math.inf) -> None:
        self._max_jump = max_jump
        self._latest = math.nan

    def note(self, chunks: Iterable[Chunk]) -> None:
        """Take in what has just been read."""
        for chunk in chunks:
            end = end_of(chunk)
            if math.isnan(self._latest) or 0 < end - self._latest <= self._max_jump:
                self._latest = end

    def now(self) -> float:
        """Present in seconds; NaN before any data."""
        return self._latest


def end_of(chunk: Chunk) -> float:
    """Seconds up to which a chunk tells what happened; NaN if it does not."""
    if chunk.until is not None:
        return float(chunk.until)
    return float(chunk.times[-1]) if len(chunk.times) else math.nan


def start_of(chunk: Chunk) -> float:
    """Seconds from which on a chunk tells what happened; NaN if it does not."""
    return float(chunk.times[0]) if len(chunk.times) else end_of(chunk)
