"""How a session is going, for a terminal or a page: counted in the loop, read from anywhere."""

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurodyn.realtime.decoder import LiveEstimate
from neurodyn.realtime.events import Event, EventLog

LATENCY_EDGES = np.geomspace(10.0, 1e5, 33)
"""Edges of the latency histogram in microseconds: eight bars per factor of ten."""
_EDGES = LATENCY_EDGES.tolist()


@dataclass(frozen=True)
class Status:
    """A moment of a session.

    Attributes
    ----------
    estimate
        The latest; None before the first.
    bins
        Estimates so far.
    missed
        Those that came more than one bin late.
    seen
        Per modality, in what share of the latest bins it was seen.
    silent
        Per modality, seconds since it was last seen; NaN if never.
    p50, p99, worst
        Microseconds from data in hand to estimate, over the latest bins.
    histogram
        Of the same over all bins: counts between `LATENCY_EDGES`, the outer ones with all beyond.
    dropped
        Estimates that sinks did not take.
    events
        The latest, in order of time.
    faults
        How many events there have been.
    """

    estimate: LiveEstimate | None
    bins: int
    missed: int
    seen: dict[str, float]
    silent: dict[str, float]
    p50: float
    p99: float
    worst: float
    histogram: np.ndarray
    dropped: int
    events: tuple[Event, ...]
    faults: int


class Monitor:
    """Counts what happens in a session. Safe to read from other threads.

    Parameters
    ----------
    names
        Of the modalities.
    log
        Whose events are shown; the session's.
    window
        Bins that count as the latest.
    shown
        Events that are shown.
    """

    def __init__(self, names: Sequence[str], log: EventLog, *, window: int = 500, shown: int = 8) -> None:
        self.names, self.log = tuple(names), log
        self._lock = threading.Lock()
        self._position = 0
        self._events: deque[Event] = deque(maxlen=shown)
        self._latency: deque[float] = deque(maxlen=window)
        self._seen: deque[tuple[str, ...]] = deque(maxlen=window)
        self._last_seen: dict[str, float] = {}
        self._estimate: LiveEstimate | None = None
        self._histogram = np.zeros(len(LATENCY_EDGES) - 1, np.int64)
        self._bins = self._missed = 0
        self.dropped = 0

    def add(self, estimate: LiveEstimate, microseconds: float, *, missed: bool) -> None:
        """Count one estimate.

        Parameters
        ----------
        estimate
            As it was given to the sinks.
        microseconds
            From data in hand to there.
        missed
            Whether it came too late.
        """
        place = min(max(bisect_left(_EDGES, microseconds) - 1, 0), len(self._histogram) - 1)
        with self._lock:
            self._estimate = estimate
            self._bins += 1
            self._missed += missed
            self._histogram[place] += 1
            self._latency.append(microseconds)
            self._seen.append(estimate.seen)
            for name in estimate.seen:
                self._last_seen[name] = estimate.time

    def status(self) -> Status:
        """Return how things are."""
        with self._lock:  # copied here and counted outside: the loop waits for this lock
            fresh, self._position = self.log.since(self._position)
            self._events.extend(fresh)
            events, faults = tuple(self._events), self._position
            estimate, bins, missed, histogram = self._estimate, self._bins, self._missed, self._histogram.copy()
            latency, seen, last_seen = list(self._latency), list(self._seen), dict(self._last_seen)
        p50, p99, worst = (float(value) for value in np.percentile(latency or [np.nan], [50, 99, 100]))
        now = np.nan if estimate is None else estimate.time
        return Status(
            estimate=estimate,
            bins=bins,
            missed=missed,
            seen={name: sum(name in one for one in seen) / max(len(seen), 1) for name in self.names},
            silent={name: float(now - last_seen.get(name, np.nan)) for name in self.names},
            p50=p50,
            p99=p99,
            worst=worst,
            histogram=histogram,
            dropped=self.dropped,
            events=events,
            faults=faults,
        )
