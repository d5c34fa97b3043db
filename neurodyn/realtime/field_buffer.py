"""Samples of one source that wait for their bin, their causal features, and the windows these are averaged over.

push      stamps -> ticks (`ticks`), repeats left out, in order of ticks
complete  whether a bin has to wait: for what has not come, and for a hole that may still be filled
close     the samples of a bin through the filters, once each; windows that end with it
"""

import math
from itertools import pairwise

import numpy as np
from jaxtyping import Bool

from neurodyn.realtime.buffers import MAX_WAITING, FieldInput, Grid, Recent
from neurodyn.realtime.events import EventKind, LogEvent
from neurodyn.realtime.stamps import SourceClock, StampPolicy
from neurodyn.realtime.ticks import HORIZON, UNEVEN, Ticks
from neurodyn.realtime.windows import Windows
from neurodyn.recording.edges import cut

FORGET = 0.999
"""What a sample leaves of the largest jitter seen before it."""
MOST_EARLY = 0.5
"""Periods that a stamp may come before its tick: one that is further away stands for another tick."""
GONE_BACK = 0.5
"""Periods before the newest stamp from which on a sample is out of order: nearer ones are on the same tick."""


class FieldBuffer:
    """Samples of one source, by the ticks of its clock.

    Samples go through the filters in order of time, once each. One that has been lost, or comes after its successor
    has been filtered, is a gap, which the filters bridge as they do offline.

    Parameters
    ----------
    source, grid
        The source, and the bins.
    sample_every
        Bins from one feature to the next: those of a window.
    carry, max_jump, say
        As in :class:`neurodyn.realtime.spike_buffer.SpikeBuffer`; a late feature stands in for the next that is
        missing.
    """

    def __init__(
        self, source: FieldInput, grid: Grid, sample_every: int, *, carry: bool, max_jump: float, say: LogEvent
    ) -> None:
        self.source, self.sample_every = source, sample_every
        self._grid, self._carry, self._say = grid, carry, say
        self._clock = SourceClock(source.name, max_jump, say)
        self._ticks = Ticks(source.rate)
        self._waiting = _Samples.none(source.channels)
        self._past = Recent(
            grid.width, (np.float64, np.uint64, np.int64)
        )  # stamps, bytes and ticks of what went through the filters
        self._number, self._last = -1, -np.inf  # tick and time of the last sample that did
        self._windows = Windows(source, grid, sample_every)
        self._doubtful = _Samples.none(source.channels)  # late: after a gap, or held up, as what comes next tells
        self._early = 0.0  # by how much recent stamps came before or after their tick, seconds

    @property
    def first(self) -> float:
        """Earliest time that waits; infinite if none does."""
        return min((float(some.times[0]) for some in (self._waiting, self._doubtful) if len(some)), default=np.inf)

    def complete(self, stop: float) -> bool:
        """Whether nothing more can come before a time, seconds: no sample that is due, and none that fills a hole."""
        waiting = self._waiting
        if not len(waiting) or not math.isfinite(self._last):  # what comes first in time need not come first
            return self._next(self._last) >= stop
        before = self._number
        if int(waiting.numbers[-1]) - before == len(waiting):
            return self._next(float(waiting.times[-1])) >= stop
        hole = int(np.argmax(waiting.numbers - before != np.arange(1, len(waiting) + 1)))
        return self._next(float(waiting.times[hole - 1]) if hole else self._last) >= stop

    # What comes in ----------------------------------------------------------------------------------------------

    def push(self, times: np.ndarray, values: np.ndarray, now: float | None, *, ordered: bool = False) -> None:
        """Take in samples; ``ordered`` if their times are known to be `in_order`."""
        for piece in self._clock.pieces(times, ordered=ordered):
            part = times[piece]
            expected = self._ticks.expected if math.isfinite(self._ticks.stamp) else None
            first, last = (part[0], part[-1]) if ordered else (part.min(), part.max())
            shift = self._clock.shift(float(first), float(last), now, expected)
            if shift:
                part = part + shift
            if float(last) + shift <= self._grid.present + StampPolicy.ahead < self._ticks.stamp:
                self._set_back(self._grid.present)  # the source's clock has been set back
            if not (ordered and not self._ticks.jittering and self._follows(part)):
                self._take(part, values[piece])
            else:
                numbers = self._ticks.number + np.arange(1, len(part) + 1)
                self._ticks.append(len(part), float(part[-1]))
                self._waiting = self._waiting.followed_by(_Samples(numbers, part, part, values[piece]))
            self._bound()

    def _follows(self, times: np.ndarray) -> bool:
        """Whether samples come on the ticks after the newest one, none lost and none twice."""
        period, first = self._ticks.nominal, float(times[0]) - self._ticks.stamp
        shortest = longest = first if math.isfinite(first) else period
        if len(times) > 1:
            steps = times[1:] - times[:-1]
            shortest = min(shortest, float(np.minimum.reduce(steps)))
            longest = max(longest, float(np.maximum.reduce(steps)))
        if not (shortest > (1 - UNEVEN) * period and longest < (1 + UNEVEN) * period):
            return False
        self._learn(len(times), shortest, longest)
        return True

    def _learn(self, samples: int, *steps: float) -> None:
        """Follow how evenly stamps come: one that is early stands for a tick on the edge after it, as offline."""
        self._early *= FORGET**samples
        for step in steps:
            away = abs(step - self._ticks.nominal)
            if self._early < away <= MOST_EARLY * self._ticks.nominal:
                self._early = away

    def _next(self, time: float) -> float:
        """Time that the sample after one at this time cannot come before."""
        ticks = self._ticks
        return time + (ticks.period if ticks.jittering else ticks.nominal + self._early)

    def _take(self, stamps: np.ndarray, values: np.ndarray) -> None:
        """Samples in any order, some of which may have come before."""
        again = self._repeated(stamps, values)
        if again.any():
            self._say(EventKind.DUPLICATE, self.source.name, f"{again.sum()} samples came again and are left out")
            stamps, values = stamps[~again], values[~again]
        if not len(stamps):
            return
        order = np.argsort(stamps, kind="stable")
        if not self._ticks.jittering and self._ticks.is_irregular(stamps[order]):
            self._follow_line()
        if self._ticks.jittering:
            self._take_uneven(stamps, values)
            return
        back = GONE_BACK * self._ticks.nominal
        if (np.diff(stamps) < 0).any() or stamps[0] < self._ticks.stamp - back:
            self._say(EventKind.OUT_OF_ORDER, self.source.name, f"{len(stamps)} samples from {stamps.min():.3f} s")
        self._take_even(stamps[order], values[order])

    def _take_even(self, stamps: np.ndarray, values: np.ndarray) -> None:
        """Samples in order of their stamps, which are believed."""
        steps = np.diff(stamps, prepend=self._ticks.stamp)
        self._learn(len(stamps), *steps[np.isfinite(steps)].tolist())
        numbers = self._ticks.place(stamps)
        free = self._free(numbers) & (np.diff(numbers, prepend=-2) > 0)
        if not free.all():
            text = f"{(~free).sum()} samples dropped: their sampling tick is already occupied or already filtered"
            self._say(EventKind.DROPPED, self.source.name, text)
        if free.any():
            self._ticks.register(numbers[free], stamps[free])
            self._wait(_Samples(numbers[free], stamps[free], stamps[free], values[free]))

    def _take_uneven(self, stamps: np.ndarray, values: np.ndarray) -> None:
        """Samples in the order in which they came, whose stamps say only about when."""
        held = self._doubtful
        if len(held) and (stamps[0] < held.stamps[-1] or len(held) > HORIZON):
            self._settle()
        elif len(held):
            stamps, values = np.concatenate([held.stamps, stamps]), np.concatenate([held.values, values])
        sure = len(stamps) - self._ticks.doubtful(stamps)
        late = stamps[sure:]
        self._doubtful = _Samples(np.zeros(len(late), np.int64), late, late, values[sure:])
        if sure:
            self._count(stamps[:sure], values[:sure])

    def _settle(self) -> None:
        """Nothing that comes next will tell why samples are late, since a bin cannot wait for it."""
        held, self._doubtful = self._doubtful, _Samples.none(self.source.channels)
        if len(held):
            self._count(held.stamps, held.values, doubtful=True)

    def _count(self, stamps: np.ndarray, values: np.ndarray, *, doubtful: bool = False) -> None:
        newest = self._ticks.number
        numbers, times = self._ticks.count(stamps, doubtful=doubtful)
        back = numbers[0] <= newest
        # What fills a gap lies in it as a whole: on free ticks, and before the newest one.
        if back and (numbers[-1] > newest or not self._free(numbers).all()):
            numbers, times = self._ticks.count(stamps, backwards=False, doubtful=doubtful)
        elif back:
            self._say(EventKind.OUT_OF_ORDER, self.source.name, f"{len(stamps)} samples from {stamps.min():.3f} s")
        self._wait(_Samples(numbers, times, stamps, values))
        # Ticks of the line beside stamps that were still believed: in order of ticks is in order of time.
        np.maximum.accumulate(self._waiting.times, out=self._waiting.times)

    def _free(self, numbers: np.ndarray) -> Bool[np.ndarray, " n"]:
        """Ticks that no sample came of, and that the filters have not passed."""
        return (numbers > self._number) & ~np.isin(numbers, self._waiting.numbers)

    def _follow_line(self) -> None:
        past_stamps, _, past_numbers = self._past.columns()
        stamps = np.concatenate([past_stamps, self._waiting.stamps])
        self._ticks.follow_line(np.concatenate([past_numbers, self._waiting.numbers]), stamps)
        text = "its stamps are uneven; samples are counted, and times come from a line through the stamps"
        self._say(EventKind.JITTER, self.source.name, text)

    def _repeated(self, stamps: np.ndarray, values: np.ndarray) -> Bool[np.ndarray, " n"]:
        """Samples of which one with the same stamp and the same values has come before."""
        again = np.zeros(len(stamps), bool)
        held = self._doubtful
        old = stamps <= (float(held.stamps.max()) if len(held) else self._ticks.stamp)
        if old.any():
            past_stamps, past_bytes, _ = self._past.columns()
            known_stamps = np.concatenate([past_stamps, self._waiting.stamps, held.stamps])
            known_bytes = np.concatenate([past_bytes, _bytes(self._waiting.values), _bytes(held.values)])
            # One row per sample; NumPy compares rows that are one value of bytes.
            again[old] = np.isin(_rows(stamps[old], _bytes(values[old])), _rows(known_stamps, known_bytes))
        return again

    def _wait(self, fresh: "_Samples") -> None:
        self._waiting = self._waiting.followed_by(fresh)

    def _bound(self) -> None:
        excess = len(self._waiting) - MAX_WAITING // self.source.channels
        if excess > 0:
            self._waiting = self._waiting.split(excess)[1]
            self._say(EventKind.OVERFLOW, self.source.name, f"{excess} samples waited too long and are lost")

    # What goes out ----------------------------------------------------------------------------------------------

    def close(self, index: int) -> np.ndarray | None:
        """Features for a bin, NaN where a channel is missing; None if all are, or no window ends with it."""
        if len(self._doubtful) and self._doubtful.stamps[0] < self._grid.edge(index + 1):
            self._settle()
        self._filter(self._grid.edge(index + 1))
        due, late = self._windows.finished(index, self._reached())
        return self._late(due, late) if late else due

    def _reached(self) -> float:
        """Time that no sample can come before any more: that of the next one, if it waits already."""
        waiting = self._waiting
        if len(waiting) and waiting.numbers[0] == self._number + 1:
            return float(waiting.times[0])
        return self._next(self._last)

    def _filter(self, stop: float) -> None:
        """Run the samples before a time through the filters, and add them to their windows."""
        samples, self._waiting = self._waiting.split(int(self._waiting.times.searchsorted(cut(stop))))
        self._past.add(samples.stamps, _bytes(samples.values), samples.numbers)
        if not len(samples):
            return
        before = self._number
        if math.isfinite(self._last) and int(samples.numbers[-1]) - before == len(samples):
            self._windows.add(samples.times, samples.values, before + 1)
        else:
            self._filter_around_gaps(samples)
        self._number, self._last = int(samples.numbers[-1]), float(samples.times[-1])

    def _filter_around_gaps(self, samples: "_Samples") -> None:
        numbers, times = samples.numbers, samples.times
        steps = np.diff(numbers, prepend=self._number)
        late = np.flatnonzero((steps > 1) | (np.arange(len(steps)) == 0) & (not math.isfinite(self._last)))
        for place in late.tolist():
            self._gap(float(times[place - 1]) if place else self._last, float(times[place]), int(steps[place]) - 1)
        inside = np.flatnonzero(np.diff(numbers) > 1) + 1
        for a, b in pairwise([0, *inside.tolist(), len(times)]):
            self._windows.add(times[a:b], samples.values[a:b], int(numbers[a]))

    def _gap(self, before: float, after: float, lost: int) -> None:
        """Remember the ticks between two samples of which none came, and say so."""
        tick = (after - before) / (lost + 1) if math.isfinite(before) else self._ticks.nominal
        early = 0.0 if self._ticks.jittering else self._early
        self._windows.mark_missing(before + tick + early, after - tick + early)
        if math.isfinite(before):
            self._say(EventKind.GAP, self.source.name, f"{lost} samples before {after:.3f} s never came")

    def _late(self, due: np.ndarray | None, late: list[np.ndarray]) -> np.ndarray | None:
        """The newest late feature if it may stand in for one that is missing."""
        taken = int(self._carry and due is None)
        for kind, count in ((EventKind.CARRIED, taken), (EventKind.DROPPED, len(late) - taken)):
            if count:
                self._say(kind, self.source.name, f"{count} features after their bin was handed out")
        return late[-1] if taken else due

    def rebase(self, index: int, now: float) -> None:
        """The clock of the bins has jumped, and goes on with this bin; what waits for later than now is lost."""
        self._set_back(now)

    def begin_anew(self, index: int) -> None:
        """What is made of the samples has failed in a bin: what comes after it goes through new filters."""
        self._windows.begin_anew(self._grid.edge(index + 1))
        self._last = -np.inf

    def _set_back(self, now: float) -> None:
        """Begin the windows anew, and forget what waits for later than now."""
        self._settle()
        count = int(np.searchsorted(self._waiting.times, now, side="right"))
        if count < len(self._waiting):
            text = f"{len(self._waiting) - count} samples from before the clock was set back"
            self._say(EventKind.DROPPED, self.source.name, text)
        self._waiting = self._waiting.split(count)[0]
        self._windows.forget()
        self._past.clear()
        self._last = -np.inf
        self._ticks.restart(float(self._waiting.stamps[-1]) if len(self._waiting) else -np.inf)


class _Samples:
    """Samples in order of their ticks.

    Parameters
    ----------
    numbers, times, stamps, values
        Tick of each, its time in seconds, the stamp it came with (on the clock of the bins), and its channels.
    """

    __slots__ = ("numbers", "stamps", "times", "values")

    def __init__(self, numbers: np.ndarray, times: np.ndarray, stamps: np.ndarray, values: np.ndarray) -> None:
        self.numbers, self.times, self.stamps, self.values = numbers, times, stamps, values

    @classmethod
    def none(cls, channels: int) -> "_Samples":
        """No samples."""
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros((0, channels)))

    def __len__(self) -> int:
        return len(self.numbers)

    def followed_by(self, other: "_Samples") -> "_Samples":
        """Both, in order of their ticks."""
        if not len(self):
            return other
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("numbers", "times", "stamps", "values"))
        columns = [np.concatenate(pair) for pair in pairs]
        if other.numbers[0] < self.numbers[-1]:
            order = np.argsort(columns[0], kind="stable")
            columns = [column[order] for column in columns]
        return _Samples(*columns)

    def split(self, count: int) -> "tuple[_Samples, _Samples]":
        """The first so many, and the others."""
        columns = (self.numbers, self.times, self.stamps, self.values)
        return _Samples(*(column[:count] for column in columns)), _Samples(*(column[count:] for column in columns))


def _bytes(values: np.ndarray) -> np.ndarray:
    """One whole number per sample that depends on the bytes of every channel: samples that differ rarely share it."""
    return np.add.reduce(np.ascontiguousarray(values).view(np.uint64), axis=1)


def _rows(stamps: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """Stamp and content of each sample as one value of bytes."""
    both = np.stack([np.asarray(stamps, np.float64).view(np.uint64), contents], axis=1)
    return np.ascontiguousarray(both).view("V16").ravel()
