"""How a session is going, for a terminal or a page: counted in the loop, read from anywhere."""

import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurodyn.realtime.decoder import LiveEstimate
from neurodyn.realtime.events import Event, EventLog
from neurodyn.realtime.latency import LatencyBudget, Percentiles, percentiles_of

LATENCY_BARS = (10.0, 1e5, 10)
"""First and last edge of the bars of the latency, in microseconds, and bars per factor of ten."""
LATENCY_EDGES = np.geomspace(
    *LATENCY_BARS[:2], 1 + round(LATENCY_BARS[2] * math.log10(LATENCY_BARS[1] / LATENCY_BARS[0]))
)
"""All edges."""


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
        Those whose deadline was missed: they were handed over later than a session's tolerance after the end of their
        bin (:class:`neurodyn.realtime.service.ServiceOptions`; of ``neurodyn serve`` the patience and one bin).
    seen
        Per modality, in what share of the latest bins it was seen.
    silent
        Per modality, seconds since it was last seen; NaN if never.
    budget
        Percentiles of each part of the way to an estimate over the whole session (:mod:`neurodyn.realtime.latency`), of
        the latency from data in hand to hand-over, and of all from the end of the bin: ``age``, ``wait``, ``binning``,
        ``step``, ``hand-over``, ``latency``, ``in all``.
    histogram
        Of the latency: counts between `LATENCY_EDGES`, the outer ones with all beyond.
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
    budget: Mapping[str, Percentiles]
    histogram: np.ndarray
    dropped: int
    events: tuple[Event, ...]
    faults: int

    @property
    def latency(self) -> Percentiles:
        """Percentiles from data in hand to hand-over, microseconds."""
        return self.budget["latency"]


class Monitor:
    """Counts what happens in a session. Safe to read from other threads.

    Parameters
    ----------
    names
        Of the modalities.
    log
        Whose events are shown; the session's.
    window
        Bins over which the share of bins with data of each modality is reported.
    shown
        Events that are shown.
    """

    def __init__(self, names: Sequence[str], log: EventLog, *, window: int = 500, shown: int = 8) -> None:
        self.names, self.log = tuple(names), log
        self._lock = threading.Lock()
        self._position = 0
        self._events: deque[Event] = deque(maxlen=shown)
        self._budget = LatencyBudget()
        self._seen: deque[tuple[str, ...]] = deque(maxlen=window)
        self._last_seen: dict[str, float] = {}
        self._estimate: LiveEstimate | None = None
        self._bins = self._missed = 0
        self.dropped = 0

    def add_age(self, seconds: float) -> None:
        """Count how far a chunk lies behind the present when it is read, seconds; NaN if it tells no time."""
        if not math.isnan(seconds):
            with self._lock:
                self._budget.add_age(seconds)

    def add(
        self, estimate: LiveEstimate, *, wait: float, binning: float, step: float, hand_over: float, missed: bool
    ) -> None:
        """Count one estimate.

        Parameters
        ----------
        estimate
            As it was given to the sinks.
        wait, binning, step, hand_over
            Seconds of each part of its way (:meth:`neurodyn.realtime.latency.LatencyBudget.add_bin`).
        missed
            Whether its deadline was.
        """
        with self._lock:
            self._budget.add_bin(wait=wait, binning=binning, step=step, hand_over=hand_over)
            self._estimate = estimate
            self._bins += 1
            self._missed += missed
            self._seen.append(estimate.seen)
            for name in estimate.seen:
                self._last_seen[name] = estimate.time

    def status(self) -> Status:
        """Return how things are."""
        with self._lock:  # copied here and counted outside: the loop waits for this lock
            fresh, self._position = self.log.since(self._position)
            self._events.extend(fresh)
            events, faults = tuple(self._events), self._position
            estimate, bins, missed, histograms = self._estimate, self._bins, self._missed, self._budget.histograms()
            seen, last_seen = list(self._seen), dict(self._last_seen)
        now = np.nan if estimate is None else estimate.time
        return Status(
            estimate=estimate,
            bins=bins,
            missed=missed,
            seen={name: sum(name in one for one in seen) / max(len(seen), 1) for name in self.names},
            silent={name: float(now - last_seen.get(name, np.nan)) for name in self.names},
            budget=percentiles_of(histograms),
            histogram=np.array(histograms["latency"].bars(*LATENCY_BARS)),
            dropped=self.dropped,
            events=events,
            faults=faults,
        )
