"""What a :class:`neurodyn.realtime.StreamingBinner` keeps of one source: data that wait for their bin.

A buffer is told of data by ``push`` and of the end of each bin by ``close``; it never raises on what a source sends.
Times are seconds on the clock of the bins; a source whose own clock jumped is moved back onto it.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Num

from neurodyn.binning import BandPower, features
from neurodyn.errors import InputError
from neurodyn.realtime.events import Kind
from neurodyn.recording.edges import bin_of, cut, number_of

Say = Callable[[Kind, str, str], None]
"""Takes the kind of an event, the modality, and what happened."""

MEMORY = 2.0
"""Seconds of past data that repeated data are recognised by."""
MAX_PAUSES = 2**17
"""Most stretches not recorded that are kept; older ones are forgotten."""
MAX_WAITING = 2**24
"""Most numbers that wait in a buffer: 128 MB."""
FORGET = 0.999
"""What a sample leaves of the largest jitter seen before it."""
FARTHEST = 1e11
"""Seconds from 0, 3,000 years: times beyond are no times, and the bins could not be told apart in double precision."""


@dataclass(frozen=True)
class SpikeInput:
    """A source of spikes.

    Attributes
    ----------
    name
        Of the modality.
    units
        How many there are; spikes come with unit numbers 0 to units - 1.
    silence
        Seconds without a word after which the source counts as missing; before, no spikes are zero counts.
    labels
        One per unit, which a source with labels is matched by; () if they are not known.

    Raises
    ------
    InputError
        If there are no units, not one label each, or the silence is negative.
    """

    name: str
    units: int
    silence: float = 1.0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_labels(self.name, self.labels, self.units)
        if self.units < 1 or not self.silence >= 0:
            raise InputError(f"'{self.name}' needs units >= 1 and silence >= 0 s, got {self.units}, {self.silence}")


@dataclass(frozen=True)
class FieldInput:
    """A source of samples at a fixed rate.

    Attributes
    ----------
    name
        Of the modality.
    channels
        Of the raw samples; with band powers the modality has channels x bands features.
    rate
        Samples per second.
    power
        Band powers; None for the mean of the samples.
    width
        Seconds per feature if that is slower than the bins (a multiple of their width): it then comes in the last bin
        of its window. None for one per bin.
    labels
        One per channel of the raw samples, which a source with labels is matched by; () if they are not known.

    Raises
    ------
    InputError
        If there are no channels, not one label each, the rate is not positive, or a band reaches the Nyquist frequency.
    """

    name: str
    channels: int
    rate: float
    power: BandPower | None = None
    width: float | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_labels(self.name, self.labels, self.channels)
        if self.channels < 1 or not 0 < self.rate < np.inf:
            raise InputError(f"'{self.name}' needs channels >= 1 and a rate > 0 Hz, got {self.channels}, {self.rate}")
        for low, high in () if self.power is None else self.power.bands:
            if not high < self.rate / 2:
                raise InputError(f"band {low:g}-{high:g} Hz of '{self.name}' needs more than its {self.rate:g} Hz")

    @property
    def features(self) -> int:
        """Channels of the modality."""
        return self.channels * (1 if self.power is None else len(self.power.bands))


@dataclass
class Grid:
    """Bins without end: bin k covers ``[start + k width, start + (k + 1) width)``, as in `neurodyn.binning.TimeGrid`.

    Attributes
    ----------
    start, width
        Seconds; the start moves when the clock of the bins jumps, so that the bins go on with the next number.
    """

    start: float
    width: float

    def edge(self, index: int) -> float:
        """Begin of a bin, seconds."""
        return self.start + self.width * index


def _check_labels(name: str, labels: tuple[str, ...], count: int) -> None:
    if labels and len(labels) != count:
        raise InputError(f"'{name}' needs a label for each of its {count} channels, or none, got {len(labels)}")


def in_order(times: Num[np.ndarray, " n"]) -> bool:
    """Whether there are times (seconds), all of them finite, none before the one in front of it.

    Data come like that as a rule: one look here saves the many that data in disorder need.
    """
    n = len(times)
    # The comparison is false for NaN. A count takes a third of the time of .all().
    if n == 0 or np.count_nonzero(times[1:] >= times[:-1]) < n - 1:
        return False
    return bool(times[0] > -FARTHEST and times[-1] < FARTHEST)


class Recent:
    """What was handed out in the last ``MEMORY`` seconds: one piece per bin, whatever the clock does meanwhile.

    Parameters
    ----------
    width
        Of a bin, seconds.
    """

    def __init__(self, width: float) -> None:
        self._pieces: deque[tuple[np.ndarray, ...]] = deque(maxlen=math.ceil(MEMORY / width))

    def add(self, *columns: np.ndarray) -> None:
        """Remember one bin's data, arrays of one length, and forget the oldest bin's."""
        # Copies: a part of an array would keep the whole of it in memory.
        self._pieces.append(tuple(column.copy() for column in columns))

    def column(self, number: int) -> np.ndarray:
        """All that is remembered of one array, oldest first."""
        return np.concatenate([np.zeros(0), *(piece[number] for piece in self._pieces)])

    def clear(self) -> None:
        """Forget all."""
        self._pieces.clear()

    def __len__(self) -> int:
        return sum(len(piece[0]) for piece in self._pieces)


class SourceClock:
    """Moves a source's times onto the clock of the bins when its own clock has jumped.

    Parameters
    ----------
    name
        Of the modality.
    max_jump
        Largest distance from the present, seconds, that is no jump.
    say
        Takes events.
    """

    def __init__(self, name: str, max_jump: float, say: Say) -> None:
        self._name, self._max_jump, self._say = name, max_jump, say
        self._offset = 0.0

    @property
    def offset(self) -> float:
        """What is added to the times that come, seconds."""
        return self._offset

    def pieces(self, times: Float[np.ndarray, " n"], *, ordered: bool = False) -> list[slice]:
        """Stretches of a chunk between jumps inside it; ``ordered`` if the times are known to be `in_order`."""
        if ordered and times[-1] - times[0] <= self._max_jump:
            return [slice(0, len(times))]
        jumps = np.flatnonzero(np.abs(np.diff(times)) > self._max_jump) + 1
        return [slice(a, b) for a, b in pairwise([0, *jumps.tolist(), len(times)]) if b > a]

    def shift(self, first: float, last: float, now: float | None, expected: float | None) -> float:
        """What to add to times from ``first`` to ``last``.

        Parameters
        ----------
        first, last
            Of a stretch, seconds on the source's clock.
        now
            The present; None if unknown: nothing is then taken for a jump.
        expected
            Where ``first`` belongs if nothing was lost; None if that is not known.
        """
        away = 0.0 if now is None else last + self._offset - now
        if now is not None and abs(away) > self._max_jump:
            recent = expected is not None and abs(expected - now) <= MEMORY
            self._offset = expected - first if recent and expected is not None else now - last
            self._say(Kind.CLOCK_JUMP, self._name, f"{away:+.3f} s from the present; moved onto it")
        return self._offset


class SpikeBuffer:
    """Spikes of one source.

    Parameters
    ----------
    source, grid
        The source, and the bins.
    carry
        Whether spikes that come after their bin was handed out are counted in the next.
    max_jump
        See :class:`SourceClock`.
    say
        Takes events.
    """

    def __init__(self, source: SpikeInput, grid: Grid, *, carry: bool, max_jump: float, say: Say) -> None:
        self.source, self.reached = source, -np.inf
        self._grid, self._carry, self._say = grid, carry, say
        self._clock = SourceClock(source.name, max_jump, say)
        self._latest = -np.inf
        self._times, self._units = np.zeros(0), np.zeros(0, np.int64)  # waiting
        self._sorted = True  # whether what waits is in order of time
        self._past = Recent(grid.width)  # times and units that were handed out
        self._carried = np.zeros(source.units, np.float32)
        self._pauses: list[tuple[int, float, float]] = []  # stretches that were not recorded
        self._closed = -np.inf

    @property
    def first(self) -> float:
        """Earliest time that waits; infinite if none does."""
        return float(self._times.min()) if len(self._times) else np.inf

    def push(
        self, times: np.ndarray, units: np.ndarray, until: float | None, now: float | None, *, ordered: bool = False
    ) -> None:
        """Take in spikes; ``ordered`` if their times are known to be `in_order`."""
        for piece in self._clock.pieces(times, ordered=ordered) or [slice(0, 0)]:
            told = until if piece.stop == len(times) else None
            self._take(times[piece], units[piece], told, now, ordered)

    def pause(self, stretches: Sequence[tuple[int, float, float]]) -> None:
        """Take in stretches in which units were not recorded: number of the unit, -1 for all, start and stop."""
        shift = self._clock.offset
        self._pauses += [(unit, start + shift, stop + shift) for unit, start, stop in stretches]
        del self._pauses[:-MAX_PAUSES]

    def _take(
        self, times: np.ndarray, units: np.ndarray, until: float | None, now: float | None, ordered: bool
    ) -> None:
        ends = [*([times[0], times[-1]] if ordered else times.tolist()), *([] if until is None else [until])]
        if not ends:
            return
        first, last = float(min(ends)), float(max(ends))
        shift = self._clock.shift(first, last, now, None)
        if shift:
            times = times + shift
        self.reached = max(self.reached, last + shift)
        if ordered and times[0] > self._latest and times[0] >= self._closed:
            self._latest = float(times[-1])
        else:
            times, units = self._in_time(*self._new(times, units))
        self._wait(times, units)

    def _in_time(self, times: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spikes whose bin has not been handed out; the others are late. Nothing is known of their order."""
        late = times < self._closed
        if late.any():
            self._late(units[late])
        self._sorted &= len(times) == 0
        return times[~late], units[~late]

    def _wait(self, times: np.ndarray, units: np.ndarray) -> None:
        if len(self._times):
            times, units = np.concatenate([self._times, times]), np.concatenate([self._units, units])
        self._times, self._units = times, units
        self._bound()

    def _new(self, times: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spikes that have not come before; those of an ordinary chunk are all later than what is known."""
        if len(times) == 0:
            return times, units
        name = self.source.name
        old = times <= self._latest
        if old.any():
            known = set(zip(self._times.tolist(), self._units.tolist(), strict=True))
            known.update(zip(self._past.column(0).tolist(), self._past.column(1).tolist(), strict=True))
            again = np.array([pair in known for pair in zip(times.tolist(), units.tolist(), strict=True)])
            if again.any():
                self._say(Kind.DUPLICATE, name, f"{again.sum()} spikes came again and are left out")
            times, units, old = times[~again], units[~again], old[~again]
        if (times < self._latest).any() or (np.diff(times) < 0).any():
            self._say(Kind.OUT_OF_ORDER, name, f"{max(old.sum(), 1)} spikes")
        self._latest = max(self._latest, times.max(initial=-np.inf))
        return times, units

    def _late(self, units: np.ndarray) -> None:
        kind = Kind.CARRIED if self._carry else Kind.DROPPED
        if self._carry:
            self._carried += np.bincount(units, minlength=self.source.units).astype(np.float32)
        self._say(kind, self.source.name, f"{len(units)} spikes after their bin was handed out")

    def _bound(self) -> None:
        excess = len(self._times) - MAX_WAITING
        if excess > 0:
            self._times, self._units = self._times[excess:], self._units[excess:]
            self._say(Kind.OVERFLOW, self.source.name, f"{excess} spikes waited too long and are lost")

    def close(self, index: int) -> np.ndarray | None:
        """Counts of a bin, or None if the source is missing."""
        start, stop = cut(self._grid.edge(index)), cut(self._grid.edge(index + 1))
        times, units = self._before(stop)
        self._past.add(times, units)
        self._closed = stop
        unrecorded = self._unrecorded(index) if self._pauses else None
        if stop - self.reached > self.source.silence or (unrecorded is not None and unrecorded.all()):
            return None
        counts = self._carried + np.bincount(units[times >= start], minlength=self.source.units)
        self._carried[:] = 0
        if unrecorded is not None:
            counts[unrecorded] = np.nan
        return counts.astype(np.float32)

    def _unrecorded(self, index: int) -> Bool[np.ndarray, " units"]:
        """Units that were not recorded in the whole of a bin: the same that are missing offline."""
        start, stop = self._grid.edge(index), self._grid.edge(index + 1)
        units = [unit for unit, begin, end in self._pauses if begin < cut(stop) and cut(end) > start]
        self._pauses = [pause for pause in self._pauses if cut(pause[2]) > stop]
        found = np.full(self.source.units, -1 in units)
        found[[unit for unit in units if unit >= 0]] = True
        return found

    def _before(self, stop: float) -> tuple[np.ndarray, np.ndarray]:
        """Take out the spikes before a time, seconds."""
        times, units = self._times, self._units
        if self._sorted:
            count = int(times.searchsorted(stop))
            self._times, self._units = times[count:], units[count:]
            return times[:count], units[:count]
        inside = times < stop
        self._times, self._units = times[~inside], units[~inside]
        self._sorted = len(self._times) == 0
        return times[inside], units[inside]

    def rebase(self, index: int, now: float) -> None:
        """The clock of the bins has jumped, and goes on with this bin; what waits for later than now is lost."""
        future = self._times > now
        if future.any():
            self._say(Kind.DROPPED, self.source.name, f"{future.sum()} spikes from before the clock was set back")
        self._times, self._units = self._times[~future], self._units[~future]
        self.reached, self._latest = min(self.reached, now), min(self._latest, now)
        self._closed = cut(self._grid.edge(index))
        self._pauses.clear()


class FieldBuffer:
    """Samples of one source, their causal features, and the windows these are averaged over.

    Samples go through the filters in order of time, once each. One that has been lost, or comes after its successor
    has been filtered, is a gap, which the filters bridge as they do offline.

    Parameters
    ----------
    source, grid
        The source, and the bins.
    clock
        Bins per window.
    carry, max_jump, say
        As in :class:`SpikeBuffer`; a late feature stands in for the next that is missing.
    """

    def __init__(self, source: FieldInput, grid: Grid, clock: int, *, carry: bool, max_jump: float, say: Say) -> None:
        self.source, self.reached = source, -np.inf
        self._grid, self.every, self._carry, self._say = grid, clock, carry, say
        self._period = 1.0 / source.rate
        self._clock = SourceClock(source.name, max_jump, say)
        self._times, self._values = np.zeros(0), np.zeros((0, source.channels))  # waiting, in order of time
        self._past = Recent(grid.width)  # times that went through the filters
        self._number, self._last = 0, -np.inf  # of the last sample that did
        power = source.power
        self._filters = (
            []
            if power is None
            else [features.PowerFilter(power, band, source.rate, source.channels) for band in power.bands]
        )
        self._gaps: list[tuple[float, float]] = []  # first and last tick without a sample
        self._early = 0.0  # by how much stamps have come before or after their tick of late, seconds
        self._open: dict[int, tuple[np.ndarray, int]] = {}

    @property
    def first(self) -> float:
        """Earliest time that waits; infinite if none does."""
        return float(self._times[0]) if len(self._times) else np.inf

    # What comes in ----------------------------------------------------------------------------------------------

    def push(self, times: np.ndarray, values: np.ndarray, now: float | None, *, ordered: bool = False) -> None:
        """Take in samples; ``ordered`` if their times are known to be `in_order`."""
        for piece in self._clock.pieces(times, ordered=ordered):
            part = times[piece]
            before = float(self._times[-1]) if len(self._times) else self._last
            expected = before + self._period if math.isfinite(before) else None
            first, last = (part[0], part[-1]) if ordered else (part.min(), part.max())
            shift = self._clock.shift(float(first), float(last), now, expected)
            if shift:
                part = part + shift
            if ordered and self._follows(part, before):
                self._wait(part, values[piece])
            else:
                self._take(part, values[piece])
            self._bound()
            if len(self._times):
                self.reached = max(self.reached, self._next(float(self._times[-1])))

    def _next(self, time: float) -> float:
        """Time that the sample after one at this time cannot come before."""
        return time + self._period + self._early

    def _learn(self, samples: int, *steps: float) -> None:
        """Follow how evenly stamps come: one that is early stands for a tick on the edge after it, as offline."""
        self._early *= FORGET**samples
        for step in steps:
            away = abs(step - self._period)
            if self._early < away <= 0.5 * self._period:
                self._early = away

    def _follows(self, times: np.ndarray, before: float) -> bool:
        """Whether samples in order come after a time and one after the other, none of them twice."""
        half, first = 0.5 * self._period, float(times[0]) - before
        # Stricter than the limit for samples that come again: what is near it is looked at more closely.
        if not first > 1.5 * half:
            return False
        if len(times) == 1:
            self._learn(1, first)
            return True
        steps = times[1:] - times[:-1]
        shortest = float(np.minimum.reduce(steps))
        if shortest > half:
            self._learn(len(times), first, shortest, float(np.maximum.reduce(steps)))
        return shortest > half

    def _wait(self, times: np.ndarray, values: np.ndarray) -> None:
        if len(self._times):
            times, values = np.concatenate([self._times, times]), np.concatenate([self._values, values])
        self._times, self._values = times, values

    def _take(self, times: np.ndarray, values: np.ndarray) -> None:
        """Samples in any order, some of which may have come before."""
        name = self.source.name
        if (np.diff(times) < 0).any() or (len(self._times) and times[0] < self._times[-1] - 0.5 * self._period):
            self._say(Kind.OUT_OF_ORDER, name, f"{len(times)} samples from {times.min():.3f} s")
        gone = times <= self._last + 0.5 * self._period
        if gone.any():
            self._gone(times[gone])
        times = np.concatenate([self._times, times[~gone]])
        order = np.argsort(times, kind="stable")
        values = np.concatenate([self._values, values[~gone]])[order]
        times = times[order]
        fresh = np.diff(times, prepend=-np.inf) > 0.5 * self._period
        if not fresh.all():
            self._say(Kind.DUPLICATE, name, f"{(~fresh).sum()} samples came again and are left out")
        self._times, self._values = times[fresh], values[fresh]

    def _gone(self, times: np.ndarray) -> None:
        """Samples whose place in the filters has passed: they have been there before, or come too late."""
        past = self._past.column(0)
        near = np.searchsorted(past, times - 0.5 * self._period)
        again = np.append(past, np.inf)[near] <= times + 0.5 * self._period
        if again.any():
            self._say(Kind.DUPLICATE, self.source.name, f"{again.sum()} samples came again and are left out")
        if not again.all():
            text = f"{(~again).sum()} samples after those that follow them were filtered"
            self._say(Kind.DROPPED, self.source.name, text)

    def _bound(self) -> None:
        excess = len(self._times) - MAX_WAITING // self.source.channels
        if excess > 0:
            self._times, self._values = self._times[excess:], self._values[excess:]
            self._say(Kind.OVERFLOW, self.source.name, f"{excess} samples waited too long and are lost")

    # What goes out ----------------------------------------------------------------------------------------------

    def close(self, index: int) -> np.ndarray | None:
        """Features for a bin, NaN where a channel is missing; None if all are, or no window ends with it."""
        self._filter(self._grid.edge(index + 1))
        last, inside = divmod(index + 1, self.every)
        own, late = None, []
        for number in sorted(self._open):
            if number >= last or self._next(self._last) < cut(self._edge(number + 1)):
                continue
            feature = self._feature(number)
            if number == last - 1 and inside == 0:
                own = feature
            elif feature is not None:
                late.append(feature)
        return self._late(own, late) if late else own

    def _filter(self, stop: float) -> None:
        """Run the samples before a time through the filters, and add them to their windows."""
        count = int(self._times.searchsorted(cut(stop)))
        times, values = self._times[:count], self._values[:count]
        self._times, self._values = self._times[count:], self._values[count:]
        self._past.add(times)
        if not count:
            return
        if self._regular(times):
            self._number += count
            self._add(times, self._level(values, self._number - count + 1))
        else:
            self._filter_around_gaps(times, values)
        self._last = float(times[-1])

    def _regular(self, times: np.ndarray) -> bool:
        """Whether nothing is lost among the samples, nor between the last that was filtered and them."""
        most = 1.4 * self._period
        steady = np.count_nonzero(times[1:] - times[:-1] < most) == len(times) - 1
        return bool(steady and times[0] - self._last < most)

    def _filter_around_gaps(self, times: np.ndarray, values: np.ndarray) -> None:
        steps = np.diff(times, prepend=self._last)
        counts = features.ticks(np.where(np.isfinite(steps), steps, self._period), self.source.rate)
        for late in np.flatnonzero((counts > 1) | ~np.isfinite(steps)).tolist():
            self._gap(float(times[late - 1]) if late else self._last, float(times[late]), int(counts[late]) - 1)
        numbers = self._number + np.cumsum(counts)
        for a, b in pairwise([0, *(np.flatnonzero(np.diff(numbers) > 1) + 1).tolist(), len(times)]):
            self._add(times[a:b], self._level(values[a:b], int(numbers[a])))
        self._number = int(numbers[-1])

    def _gap(self, before: float, after: float, lost: int) -> None:
        """Remember the ticks between two samples of which none came, and say so."""
        tick = (after - before) / (lost + 1) if math.isfinite(before) else self._period
        self._gaps = [gap for gap in self._gaps if gap[1] > before - MEMORY][-1000:]
        self._gaps.append((before + tick + self._early, after - tick + self._early))
        if math.isfinite(before):
            self._say(Kind.GAP, self.source.name, f"{lost} samples before {after:.3f} s never came")

    def _level(self, values: np.ndarray, first: int) -> Float[np.ndarray, "n features"]:
        """The samples, or their power in each band (channel by channel); NaN where unknown."""
        if not self._filters:
            return values
        whole = [(slice(0, len(values)), first)]
        parts = [one.push(values, whole) for one in self._filters]
        levels = [np.where(known, level, np.nan) for level, known in parts]
        return np.stack(levels, axis=2).reshape(len(values), -1)

    def _add(self, times: np.ndarray, level: np.ndarray) -> None:
        """Add samples to the sums of their windows."""
        start, width = self._grid.start, self._grid.width
        first = number_of(float(times[0]), start, width) // self.every
        if times[-1] < cut(self._edge(first + 1)):
            self._sum(first, level)
            return
        numbers = bin_of(times, start, width) // self.every
        for number in np.unique(numbers).tolist():
            self._sum(number, level[numbers == number])

    def _sum(self, number: int, level: np.ndarray) -> None:
        """Add samples to one window; those before the first bin belong to none."""
        if number >= 0:
            total, count = np.add.reduce(level, axis=0), len(level)
            if number in self._open:
                before, earlier = self._open[number]
                total, count = before + total, earlier + count
            self._open[number] = total, count

    def _feature(self, number: int) -> np.ndarray | None:
        """Finish a window: mean of its samples, NaN where one is lacking; None if nothing is left of it."""
        total, count = self._open.pop(number)
        start, stop = cut(self._edge(number)), cut(self._edge(number + 1))
        if any(start <= last and first < stop for first, last in self._gaps):
            return None
        mean = total / count
        if self._filters:
            mean = np.log(np.where(mean > 0, mean, np.nan))
        return mean.astype(np.float32) if np.isfinite(mean).any() else None

    def _late(self, own: np.ndarray | None, late: list[np.ndarray]) -> np.ndarray | None:
        """The newest late feature if it may stand in for one that is missing."""
        taken = int(self._carry and own is None)
        for kind, count in ((Kind.CARRIED, taken), (Kind.DROPPED, len(late) - taken)):
            if count:
                self._say(kind, self.source.name, f"{count} features after their bin was handed out")
        return late[-1] if taken else own

    def _edge(self, number: int) -> float:
        """Begin of a window, seconds."""
        return self._grid.edge(number * self.every)

    def rebase(self, index: int, now: float) -> None:
        """The clock of the bins has jumped: windows begin anew, and what waits for later than now is lost."""
        future = self._times > now
        if future.any():
            self._say(Kind.DROPPED, self.source.name, f"{future.sum()} samples from before the clock was set back")
        self._times, self._values = self._times[~future], self._values[~future]
        self._open, self._gaps = {}, []
        self._past.clear()
        self.reached, self._last = min(self.reached, now), -np.inf
