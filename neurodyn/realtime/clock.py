"""What time it is on the clock of the data, and which of their stamps are believed."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

from neurodyn.realtime.events import EventKind
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.streams.protocol import Chunk

WINDOW = 0.5
"""Seconds for which the latest time in the data defines the present, if no later one comes."""
LAG_EVERY = 1.0
"""Seconds between looks at how far each stream is behind the present."""
LAG_TOLD_AFTER = 2
"""Looks in a row that have to find the same lag before it is logged."""
SAME_LAG = 0.5
"""Share of a lag up to which another one counts as the same: lags of delayed chunks vary by less."""
ALIVE = 1.0
"""Seconds since its last chunk in which a stream has a say in what time it is."""
FOLLOWED = 0.1
"""Share of a lag by which an aligned stream is moved at each look: drift is slow, and delays of chunks vary."""
LEARNED = 0.0025
"""Share of a lag by which the drift of an aligned stream is corrected: a steady drift then leaves no lag."""
MOST_DRIFT = 2e-3
"""Seconds per second that a clock drifts at most; what seems more is a delay. Crystals drift by 1e-4."""


class ClockEvent(NamedTuple):
    """Event about a stream's clock (jump, offset, bad stamp) for the event log."""

    kind: EventKind
    name: str
    detail: str


@runtime_checkable
class DataClock(Protocol):
    """Tells the present from the data that have come."""

    def note(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Register new chunks; return those whose time stamps are trusted, on the session clock."""
        ...

    def now(self) -> float:
        """Present in seconds; NaN before any data."""
        ...

    def pop_events(self) -> list[ClockEvent]:
        """Events about clocks since the last call."""
        ...


class _Held(NamedTuple):
    """A chunk that is held back, with the present and the wall clock when it came, and whether all of it is."""

    chunk: Chunk
    present: float
    wall: float
    whole: bool


@dataclass
class _Stream:
    """What a clock knows of one stream.

    Attributes
    ----------
    shift
        Seconds added to its stamps.
    held
        Chunks that were too far from the present, in a row.
    believed
        Seconds by which it may be ahead without an event: the log has that offset already.
    heard
        Wall clock when it last agreed with the present.
    end
        Time up to which its data have come, seconds.
    unheard
        Whether whole chunks that came since then have been left out.
    least
        Least distance behind the present since the last look, seconds.
    lag, looks, told
        Lag found in the last look, in how many looks in a row about that, and the one that the log has; seconds.
    kept
        Lag that it is kept at as its clock drifts, since it was moved onto the present; NaN until it is known, None
        for a stream that was not moved.
    drift
        By how much its clock falls behind from look to look, as far as that has been learned; seconds.
    """

    shift: float = 0.0
    held: list[_Held] = field(default_factory=list)
    believed: float = 0.0
    heard: float = -math.inf
    end: float = math.nan
    unheard: bool = False
    least: float = math.inf
    lag: float = 0.0
    looks: int = 0
    told: float = 0.0
    kept: float | None = None
    drift: float = 0.0


class LiveClock:
    """The latest time in the data that is believed, and what has passed since it came.

        now = latest + (wall - wall when the latest came)

    It goes on when every source falls silent. A time in the future is believed when several chunks agree on it and no
    other stream contradicts them (:class:`neurodyn.realtime.stamps.StampPolicy`): until then its chunks are held back.
    A stream that is contradicted has a clock of its own, which is logged, and corrected if asked.

    Parameters
    ----------
    wall
        Seconds that pass steadily, from any origin.
    max_jump
        Seconds that the data may be away from the present. A stream that is further away has a clock that jumped: it is
        moved onto the present, as the binner does, and followed from there. None for that of the policy.
    policy
        Which stamps are believed.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.monotonic,
        max_jump: float | None = None,
        policy: StampPolicy | None = None,
    ) -> None:
        policy = StampPolicy() if policy is None else policy
        self._wall, self._policy = wall, policy if max_jump is None else replace(policy, max_jump=max_jump)
        # Latest times and when they came, ever earlier and ever younger: the first is the latest of the last WINDOW.
        self._ends: deque[tuple[float, float]] = deque()
        self._streams: dict[str, _Stream] = {}
        self._events: list[ClockEvent] = []
        self._next_look = -math.inf

    def note(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Register new chunks; return those whose time stamps are trusted, on the session clock."""
        wall = self._wall()
        believed = [one for chunk in chunks for one in self._admit(chunk, wall)]
        if wall >= self._next_look and self._streams:
            self._look(wall)
        return believed

    def now(self) -> float:
        """Present in seconds; NaN before any data."""
        return self._now(self._wall())

    def pop_events(self) -> list[ClockEvent]:
        """Events about clocks since the last call."""
        events, self._events = self._events, []
        return events

    def _now(self, wall: float) -> float:
        if not self._ends:
            return math.nan
        latest, came = self._ends[0]
        return latest + (wall - came)

    def _admit(self, chunk: Chunk, wall: float) -> list[Chunk]:
        """The chunk, or nothing while it is held back, or it and those that were."""
        stream = self._streams.setdefault(chunk.name, _Stream())
        if stream.shift:
            chunk = shift_times(chunk, stream.shift)
        end, now = end_of(chunk), self._now(wall)
        if not math.isfinite(end):
            return [chunk]
        away, limit = end - now, self._limit(chunk.name, wall)
        # A stream whose clock is ahead, and that comes at the present, is late or has been set right.
        right = stream.believed > WINDOW and abs(away) <= limit
        if not (math.isnan(now) or (-self._policy.max_jump <= away <= limit + stream.believed and not right)):
            return self._hold(stream, chunk, now, wall)
        earlier = self._settle(chunk.name, stream, now, wall) if stream.held else []
        if stream.unheard:
            (chunk,) = self._after_a_hole(stream, [chunk])
        stream.heard, stream.end = wall, end
        stream.least = min(stream.least, -away)
        if not stream.believed:
            self._advance(end, wall)
        return [*earlier, chunk]

    def _limit(self, name: str, wall: float) -> float:
        """Seconds that a stream may be ahead of the present without being held back."""
        others = any(wall - other.heard <= ALIVE for key, other in self._streams.items() if key != name)
        return self._policy.ahead if others else self._policy.ahead_alone

    def _advance(self, end: float, wall: float) -> None:
        ends = self._ends
        while ends and ends[-1][0] <= end:
            ends.pop()
        ends.append((end, wall))
        while len(ends) > 1 and ends[0][1] < wall - WINDOW:
            ends.popleft()

    # Stamps far from the present --------------------------------------------------------------------------------

    def _hold(self, stream: _Stream, chunk: Chunk, now: float, wall: float) -> list[Chunk]:
        """Hold back a chunk that is too far from the present, until enough of them agree; return what is believed."""
        # A stream whose clock is another comes to the present when that is set right, and is held back as well.
        near, chunk = ([], chunk) if stream.believed else self._split(chunk, now, wall)
        first = stream.held[0] if stream.held else None
        if first is not None and abs(_offset(chunk, wall) - _offset(first.chunk, first.wall)) > WINDOW:
            self._leave_out(chunk.name, stream)
        stream.held.append(_Held(chunk, now, wall, not near))
        began = stream.held[0].wall
        if len(stream.held) < self._policy.confirmations or wall - began < self._policy.confirmed_after:
            return near
        held, stream.held = [one.chunk for one in stream.held], []
        return near + self._believe(stream, held, end_of(held[0]) - (now - (wall - began)), began, wall)

    def _split(self, chunk: Chunk, now: float, wall: float) -> tuple[list[Chunk], Chunk]:
        """What is believed since a part of a chunk lies near the present, and the rest of the chunk.

        The part is a chunk like any other at the present: what was held back before it is settled, and if whole chunks
        have been left out, it says that nothing was recorded since the one before them.
        """
        limit = self._limit(chunk.name, wall)
        near = (chunk.times >= now - self._policy.max_jump) & (chunk.times <= now + limit)
        if not near.any():
            return [], chunk
        times = chunk.times[near]
        kept = replace(chunk, times=times, values=chunk.values[near], until=None)
        far = replace(chunk, times=chunk.times[~near], values=chunk.values[~near], unrecorded=())
        stream = self._streams[chunk.name]
        earlier = self._settle(chunk.name, stream, now, wall) if stream.held else []
        if stream.unheard:
            (kept,) = self._after_a_hole(stream, [kept])
        stream.heard, stream.end = wall, float(times.max())
        self._advance(stream.end, wall)
        return [*earlier, kept], far

    def _believe(self, stream: _Stream, held: list[Chunk], away: float, began: float, wall: float) -> list[Chunk]:
        """Several chunks agree that their stream is so many seconds from the present."""
        name = held[0].name
        others = any(other.heard >= began for other in self._streams.values() if other is not stream)
        if abs(away) > self._policy.max_jump or (others and self._policy.align):
            stream.shift -= away
            stream.kept, stream.believed = math.nan, 0.0
            self._tell(EventKind.CLOCK_JUMP, name, f"{away:+.3f} s from the present; moved onto it")
            held = [shift_times(one, -away) for one in held]
        elif others:
            stream.believed = away if away > self._policy.ahead else 0.0
            if abs(away) <= self._policy.ahead:
                self._tell(EventKind.CLOCK_OFFSET, name, "the stream's clock agrees with the other streams again")
            else:
                self._tell_offset(name, away)
            return self._after_a_hole(stream, held)
        else:
            self._ends.clear()
            stream.believed = 0.0
            text = f"session time moved by {away:+.3f} s: no other active stream disagrees"
            self._tell(EventKind.CLOCK_JUMP, name, text)
        for one in held:
            self._advance(end_of(one), wall)
        stream.heard = wall
        return self._after_a_hole(stream, held)

    def _after_a_hole(self, stream: _Stream, chunks: list[Chunk]) -> list[Chunk]:
        """Chunks of a stream, of which the first says that nothing was recorded since the one before.

        A stream whose times leap ahead has not been silent meanwhile: nobody knows. Samples have a gap there anyway,
        but counts may come as samples.
        """
        first, last, shortest = chunks[0], stream.end, 0.0 if stream.unheard else self._policy.ahead
        stream.end, stream.unheard = end_of(chunks[-1]), False
        if not start_of(first) - last > shortest:
            return chunks
        hole = (-1, last, start_of(first))
        return [replace(first, unrecorded=(*first.unrecorded, hole)), *chunks[1:]]

    def _settle(self, name: str, stream: _Stream, now: float, wall: float) -> list[Chunk]:
        """What was held back and fits the present after all, since that has moved meanwhile; the rest is left out."""
        most = self._limit(name, wall) + stream.believed
        least = -self._policy.max_jump if stream.believed else -most
        if all(least <= _offset(one.chunk, one.wall) - (now - wall) <= most for one in stream.held):
            held, stream.held = [one.chunk for one in stream.held], []
            return self._after_a_hole(stream, held)
        self._leave_out(name, stream)
        return []

    def _leave_out(self, name: str, stream: _Stream) -> None:
        """Discard the held chunks, whose time stamps were not confirmed, and log it."""
        samples = sum(max(len(one.chunk.times), 1) for one in stream.held)
        first = stream.held[0]
        stream.unheard |= any(one.whole for one in stream.held)
        stream.held = []
        away = end_of(first.chunk) - first.present
        text = f"{samples} stamps {away:+.3f} s from the present, which nothing confirms, are left out"
        self._tell(EventKind.BAD_STAMP, name, text)

    # Clocks that are constantly behind --------------------------------------------------------------------------

    def _look(self, wall: float) -> None:
        """Find streams whose chunks are all behind the present by about the same time."""
        self._next_look = wall + LAG_EVERY
        for name, stream in self._streams.items():
            lag, stream.least = stream.least, math.inf
            if stream.kept is not None:
                self._follow(stream, lag)
                continue
            same = math.isfinite(lag) and lag > self._policy.lag and abs(lag - stream.lag) < SAME_LAG * self._usual(lag)
            stream.lag, stream.looks = lag, stream.looks + 1 if same else 0
            if stream.looks >= LAG_TOLD_AFTER and abs(lag - stream.told) > SAME_LAG * self._usual(stream.told):
                self._lags(name, stream, lag)

    def _usual(self, lag: float) -> float:
        """What differences of a lag are compared with: the lag itself, or the least that is logged."""
        return max(self._policy.lag, abs(lag))

    def _follow(self, stream: _Stream, lag: float) -> None:
        """Keep a stream that was moved onto the present where it was put, though its clock drifts."""
        assert stream.kept is not None
        if math.isfinite(lag):
            stream.kept = lag if math.isnan(stream.kept) else stream.kept
            away, most = lag - stream.kept, MOST_DRIFT * LAG_EVERY
            stream.drift = min(max(stream.drift + LEARNED * away, -most), most)
            stream.shift += stream.drift + FOLLOWED * away

    def _lags(self, name: str, stream: _Stream, lag: float) -> None:
        if self._policy.align:
            stream.shift += lag
            stream.kept = math.nan
            self._tell(EventKind.CLOCK_JUMP, name, f"{-lag:+.3f} s from the present; moved onto it")
            return
        stream.told, stream.believed = lag, 0.0
        self._tell_offset(name, -lag)

    def _tell_offset(self, name: str, away: float) -> None:
        side = "ahead of" if away > 0 else "behind"
        text = f"its times are {abs(away):.3f} s {side} those of the others: its clock differs, or its data are delayed"
        self._tell(EventKind.CLOCK_OFFSET, name, text)

    def _tell(self, kind: EventKind, name: str, detail: str) -> None:
        self._events.append(ClockEvent(kind, name, detail))


class ReplayClock:
    """The latest time in the data and nothing else: for files, which may be read at any speed."""

    def __init__(self, *, max_jump: float = math.inf) -> None:
        self._max_jump = max_jump
        self._latest = math.nan

    def note(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Take in what has just been read; a file's stamps are all believed."""
        chunks = list(chunks)
        for chunk in chunks:
            end = end_of(chunk)
            if math.isnan(self._latest) or 0 < end - self._latest <= self._max_jump:
                self._latest = end
        return chunks

    def now(self) -> float:
        """Present in seconds; NaN before any data."""
        return self._latest

    def pop_events(self) -> list[ClockEvent]:
        """No events: a file has one clock."""
        return []


def end_of(chunk: Chunk) -> float:
    """Seconds up to which a chunk tells what happened; NaN if it does not."""
    if chunk.until is not None:
        return float(chunk.until)
    return float(chunk.times[-1]) if len(chunk.times) else math.nan


def start_of(chunk: Chunk) -> float:
    """Seconds from which on a chunk tells what happened; NaN if it does not."""
    return float(chunk.times[0]) if len(chunk.times) else end_of(chunk)


def shift_times(chunk: Chunk, seconds: float) -> Chunk:
    """The chunk with all its times shifted by so many seconds."""
    until = None if chunk.until is None else chunk.until + seconds
    pauses = tuple((unit, start + seconds, stop + seconds) for unit, start, stop in chunk.unrecorded)
    return replace(chunk, times=chunk.times + seconds, until=until, unrecorded=pauses)


def _offset(chunk: Chunk, wall: float) -> float:
    """Seconds from the wall clock to the end of a chunk."""
    return end_of(chunk) - wall
