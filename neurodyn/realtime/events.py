"""The event log of a session: every fault and every decision about one, with its time, in bounded memory."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from neurodyn.plain import strict_json


@runtime_checkable
class LogFile(Protocol):
    """What an `EventLog` writes to: an open text file, or a `neurodyn.realtime.logs.RotatedFile`."""

    def write(self, text: str, /) -> object:
        """Append text."""
        ...

    def flush(self) -> None:
        """Hand it to the system."""
        ...


DEFAULT_KEPT = 10_000
"""Events an :class:`EventLog` keeps by default; counts go on beyond."""


class EventKind(StrEnum):
    """What an event is about.

    Examples
    --------
    >>> from neurodyn.realtime import EventKind
    >>> EventKind.GAP.value, EventKind("clock jump").name
    ('gap', 'CLOCK_JUMP')
    """

    CARRIED = "carried"  # came after its bin was handed out: counted in the next
    DROPPED = "dropped"  # came after its bin was handed out: not counted
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out of order"
    GAP = "gap"  # samples that never came
    MISSING = "missing"  # a modality went missing
    RETURNED = "returned"  # a missing modality is back
    CLOCK_JUMP = "clock jump"
    CLOCK_OFFSET = "clock offset"  # a stream whose clock is constantly ahead or behind
    BAD_STAMP = "bad stamp"  # a time in the future that nothing confirms: left out
    JITTER = (
        "jitter"  # stamps come too unevenly to be believed one by one: the stream's clock is estimated from all of them
    )
    RATE = "rate"  # samples come faster or slower than the model was trained on
    UNUSUAL = "unusual"  # values far beyond those of the training data: missing
    OVERFLOW = "overflow"  # more waiting than memory allows
    BY_POSITION = "by position"  # a stream without labels: its units or channels are taken in the order they come in
    LEFT_OUT = "left out"  # units or channels that the model does not know
    BAD_INPUT = "bad input"  # wrong shape, unknown unit or modality
    NOT_FINITE = "not finite"
    MISSED_DEADLINE = "missed deadline"  # the first of several in a row
    MARKER = "marker"  # came with the data
    DRIFT = "drift"  # channels whose mean, spread or rate is no longer that of the training data, or is again
    CONTROL = "control"  # a marker that was done: reset, paused, resumed, another model
    LATE_COMMAND = "late command"  # came after a later one had been done: not done
    RESTORED = "restored"
    SOURCE_LOST = "source lost"
    SOURCE_RESTARTED = "source restarted"
    SINK_STALLED = "sink stalled"
    SINK_RESUMED = "sink resumed"  # takes everything again
    LOG_LOST = "log lost"  # its file cannot be written any more


LogEvent = Callable[[EventKind, str, str], None]
"""Takes the kind of an event, the modality, and what happened."""


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes
    ----------
    time
        Seconds, on the clock of the bins.
    kind
        See `EventKind`.
    modality
        Which one it concerns; empty if none in particular.
    detail
        In words, with the numbers.

    Examples
    --------
    >>> from neurodyn.realtime import Event, EventKind
    >>> event = Event(12.5, EventKind.GAP, "lfp", "3 samples are missing")
    >>> event.kind.value, event.modality
    ('gap', 'lfp')
    """

    time: float
    kind: EventKind
    modality: str = ""
    detail: str = ""


class EventLog:
    """The latest events, and how many there were of each kind. Safe to add to from several threads.

    Parameters
    ----------
    kept
        Events kept in memory; older ones are forgotten but stay counted.
    file
        Open text file that gets one line of JSON per event; None for none.

    Examples
    --------
    >>> from neurodyn.realtime import EventKind, EventLog
    >>> log = EventLog()
    >>> _ = log.record(12.5, EventKind.GAP, "lfp", "3 samples are missing")
    >>> _ = log.record(13.0, EventKind.CARRIED, "spikes", "2 spikes are late")
    >>> log.counts("lfp")[EventKind.GAP], [event.detail for event in log.since(0)[0]]
    (1, ['3 samples are missing', '2 spikes are late'])
    """

    def __init__(self, kept: int = DEFAULT_KEPT, file: LogFile | None = None) -> None:
        self._events: deque[Event] = deque(maxlen=kept)
        self._counts: Counter[tuple[EventKind, str]] = Counter()
        self._added = 0
        self._file = file
        self._lock = threading.Lock()

    def add(self, event: Event) -> None:
        """Append an event."""
        with self._lock:
            self._keep(event)
            if self._file is not None:
                self._write(event, self._file)

    def _keep(self, event: Event) -> None:
        self._events.append(event)
        self._counts[event.kind, event.modality] += 1
        self._added += 1

    def _write(self, event: Event, file: LogFile) -> None:
        """One line in the file; a full disk must not end a session, so that the log goes on in memory and says so."""
        try:
            file.write(strict_json(asdict(event)) + "\n")
            file.flush()
        except OSError as error:
            self._file = None
            self._keep(Event(event.time, EventKind.LOG_LOST, "", f"no longer written to its file: {error}"))

    def record(self, time: float, kind: EventKind, modality: str = "", detail: str = "") -> Event:
        """Make an event, append it and return it."""
        event = Event(time, kind, modality, detail)
        self.add(event)
        return event

    def since(self, position: int) -> tuple[tuple[Event, ...], int]:
        """Events added after a position (as far as they are kept), and the position to ask from next time."""
        with self._lock:
            fresh = min(self._added - position, len(self._events))
            return tuple(self._events)[len(self._events) - fresh :] if fresh > 0 else (), self._added

    def counts(self, modality: str | None = None) -> dict[EventKind, int]:
        """How many events of each kind, of one modality or of all."""
        with self._lock:
            total: Counter[EventKind] = Counter()
            for (kind, name), count in self._counts.items():
                if modality is None or name == modality:
                    total[kind] += count
            return dict(total)

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        with self._lock:
            return iter(tuple(self._events))
