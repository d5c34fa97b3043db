"""Spikes of one source that wait for their bin, and the counts of each bin as it is closed."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from neurodyn.realtime.buffers import MAX_WAITING, Grid, Recent, SpikeInput
from neurodyn.realtime.events import EventKind, LogEvent
from neurodyn.realtime.stamps import SourceClock, StampPolicy
from neurodyn.recording.edges import bin_of, cut

MAX_PAUSES = 2**17
"""Most stretches not recorded that are kept; older ones are forgotten."""
CARRIED_BINS = 10
"""Bins after which a spike says nothing about the present any more: it is dropped, and not carried."""
DISORDER = 10.0
"""Seconds without disorder after which a source is taken to send in order again: bins then stop waiting for it."""
TOLD_EVERY = 1.0
"""Seconds of data between two events about disorder: senders that interleave are in disorder with every chunk."""


class SpikeBuffer:
    """Spikes of one source.

    A source that says how far it has sent (``until``) is missing in a bin that it has told nothing of; one that is in
    the middle of a bin when the bin is handed out is counted, and what it sends of that bin later is carried to the
    next. At most the spikes of one bin are carried: a stall must not become a burst.

    Parameters
    ----------
    source, grid
        The source, and the bins.
    carry
        Whether spikes that come after their bin was handed out are counted in the next.
    max_jump
        See :class:`neurodyn.realtime.stamps.StampPolicy`.
    say
        Takes events.
    """

    def __init__(self, source: SpikeInput, grid: Grid, *, carry: bool, max_jump: float, say: LogEvent) -> None:
        self.source, self.reached = source, -np.inf
        self._grid, self._carry, self._say = grid, carry, say
        self._clock = SourceClock(source.name, max_jump, say)
        self._latest = -np.inf
        self._times, self._units = np.zeros(0), np.zeros(0, np.int64)  # waiting
        self._sorted = True  # whether what waits is in order of time
        self._past = Recent(grid.width, (np.float64, np.int64))  # times and units that were handed out
        self._late = _LateSpikes(source, grid, carry=carry, say=say)
        self._pauses: list[tuple[int, float, float]] = []  # stretches that were not recorded
        self._closed = -np.inf
        self._tells = False  # whether the source says how far it has sent
        self._disorder_at = self._told_at = -np.inf
        self._disordered = 0
        self._disordered = 0  # spikes out of order that have not been logged yet

    @property
    def first(self) -> float:
        """Earliest time that waits; infinite if none does."""
        return float(self._times.min()) if len(self._times) else np.inf

    def complete(self, stop: float) -> bool:
        """Whether nothing more can come before a time, seconds; a source that sends in disorder never knows."""
        return self.reached >= stop and stop - self._disorder_at > DISORDER

    # What comes in ----------------------------------------------------------------------------------------------

    def push(
        self, times: np.ndarray, units: np.ndarray, until: float | None, now: float | None, *, ordered: bool = False
    ) -> None:
        """Take in spikes; ``ordered`` if their times are known to be `in_order`."""
        self._tells |= until is not None
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
        if last + shift <= self._grid.present + StampPolicy.ahead < self.reached:
            self._set_back(self._grid.present)
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
            self._late.take(times[late], units[late])
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
        old = times <= self._latest
        if np.count_nonzero(old):
            again = old.copy()
            again[old] = self._known(times[old], units[old])
            if repeated := np.count_nonzero(again):
                self._say(EventKind.DUPLICATE, self.source.name, f"{repeated} spikes came again and are left out")
                times, units, old = times[~again], units[~again], old[~again]
        behind = np.count_nonzero(times < self._latest) > 0
        if behind:
            self._disorder_at = max(self._disorder_at, self._latest)
        unsorted = np.count_nonzero(times[1:] < times[:-1]) > 0
        self._latest = max(self._latest, float(times.max(initial=-np.inf)))
        if behind or unsorted:
            self._tell_disorder(max(int(np.count_nonzero(old)), 1))
        return times, units

    def _tell_disorder(self, spikes: int) -> None:
        """Say at most once in `TOLD_EVERY` seconds how many spikes have come in disorder since the last time."""
        self._disordered += spikes
        self._tell_if_due(self._latest)

    def _tell_if_due(self, now: float) -> None:
        if self._disordered and now - self._told_at >= TOLD_EVERY:
            self._say(EventKind.OUT_OF_ORDER, self.source.name, f"{self._disordered} spikes")
            self._told_at, self._disordered = now, 0

    def _known(self, times: np.ndarray, units: np.ndarray) -> Bool[np.ndarray, " n"]:
        """Which spikes, of a time and a unit, wait already or were handed out a short while ago."""
        first = float(times.min())
        waiting = self._times >= first
        past_times, past_units = self._past.since(first)
        known_times = np.concatenate([self._times[waiting], past_times])
        known = _among(times, known_times)
        # Senders that interleave hardly ever share a time: the units are compared where they do.
        if np.count_nonzero(known):
            known_units = np.concatenate([self._units[waiting], past_units])
            known[known] = np.isin(_pairs(times[known], units[known]), _pairs(known_times, known_units))
        return known

    def _bound(self) -> None:
        excess = len(self._times) - MAX_WAITING
        if excess > 0:
            self._times, self._units = self._times[excess:], self._units[excess:]
            self._say(EventKind.OVERFLOW, self.source.name, f"{excess} spikes waited too long and are lost")

    # What goes out ----------------------------------------------------------------------------------------------

    def close(self, index: int) -> np.ndarray | None:
        """Counts of a bin, or None if the source is missing."""
        start, stop = cut(self._grid.edge(index)), cut(self._grid.edge(index + 1))
        times, units = self._before(stop)
        self._past.add(times, units)
        self._closed = stop
        self._tell_if_due(stop)
        unrecorded = self._unrecorded(index) if self._pauses else None
        known = self._heard_of(index, stop) and (unrecorded is None or not unrecorded.all())
        self._late.handed_out(index, counted=known)
        if not known:
            return None
        counts = self._late.carried() + np.bincount(units[times >= start], minlength=self.source.units)
        if unrecorded is not None:
            counts[unrecorded] = np.nan
        return counts.astype(np.float32)

    def _heard_of(self, index: int, stop: float) -> bool:
        """Whether enough of a bin is known for it to be counted.

        Neurons may be silent: without a word from a source that does not say how far it has sent, a bin is zeros for
        ``silence`` seconds. One that does say so is known to lack a bin that it has not begun, and a bin that it has
        not finished if the rest cannot be carried.
        """
        if self._tells:
            # What was sent up to the edge of a bin tells nothing of the bin.
            return cut(self.reached) >= self._grid.edge(index) if self._carry else self.reached >= stop
        return stop - self.reached <= self.source.silence

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
        self._set_back(now)
        self._closed = cut(self._grid.edge(index))
        self._pauses.clear()
        self._late.forget()

    def _set_back(self, now: float) -> None:
        """Forget what waits for later than now: the clock that stamped it has been set back, or its source's has."""
        future = self._times > now
        if future.any():
            self._say(EventKind.DROPPED, self.source.name, f"{future.sum()} spikes from before the clock was set back")
        self._times, self._units = self._times[~future], self._units[~future]
        self.reached, self._latest = min(self.reached, now), min(self._latest, now)
        self._disorder_at = self._told_at = -np.inf
        self._pauses = [(unit, start, min(stop, now)) for unit, start, stop in self._pauses if start < now]


class _LateSpikes:
    """Spikes whose bin has been handed out: those of one bin are carried to the next one, the others are dropped.

    Parameters
    ----------
    source, grid, carry, say
        As of :class:`SpikeBuffer`.
    """

    def __init__(self, source: SpikeInput, grid: Grid, *, carry: bool, say: LogEvent) -> None:
        self._source, self._grid, self._carry, self._say = source, grid, carry, say
        self._counted: deque[tuple[int, bool]] = deque(maxlen=CARRIED_BINS)  # the latest bins, and whether counted
        self._bin = -1  # whose spikes are carried
        self._carried = np.zeros(source.units, np.float32)

    def handed_out(self, index: int, *, counted: bool) -> None:
        """Remember a bin, and whether it was counted or missing: what comes of a missing one is not made up for."""
        self._counted.append((index, counted))

    def take(self, times: np.ndarray, units: np.ndarray) -> None:
        """Carry the spikes of the newest bin that was counted without them, and drop the others."""
        bins = bin_of(times, self._grid.start, self._grid.width)
        open_bins = dict(self._counted) if self._carry else {}
        fitting = [number for number in np.unique(bins).tolist() if open_bins.get(number) and number >= self._bin]
        taken = np.zeros(len(bins), bool)
        dropped = 0.0
        if fitting:
            if fitting[-1] > self._bin:
                dropped = float(self._carried.sum())
                self._carried[:], self._bin = 0, fitting[-1]
            taken = bins == self._bin
            self._carried += np.bincount(units[taken], minlength=self._source.units).astype(np.float32)
        self._tell(times, bins, taken, int(dropped))

    def _tell(self, times: np.ndarray, bins: np.ndarray, taken: np.ndarray, displaced: int) -> None:
        """Say how many were carried and how many dropped, of which bins, and how many of those were counted."""
        name, lost = self._source.name, times[~taken]
        if taken.any():
            self._say(EventKind.CARRIED, name, f"{taken.sum()} spikes after their bin was handed out")
        if displaced:
            self._say(
                EventKind.DROPPED, name, f"{displaced} spikes that were to be carried: a newer bin's came late too"
            )
        if len(lost):
            numbers = set(bins[~taken].tolist())
            counted = sum(counted for number, counted in self._counted if number in numbers)
            since = f"{lost.min():.3f} to {lost.max():.3f} s"
            text = f"{len(lost)} spikes of {len(numbers)} bins, {since}, after these were handed out"
            self._say(EventKind.DROPPED, name, f"{text}, {counted} of the latest as if complete" if counted else text)

    def carried(self) -> np.ndarray:
        """Counts to add to the bin that is handed out now; they are carried no further."""
        carried, self._bin = self._carried.copy(), -1
        self._carried[:] = 0
        return carried

    def forget(self) -> None:
        """The bins have begun anew: numbers of those handed out say nothing any more."""
        self._counted.clear()
        self._carried[:], self._bin = 0, -1


def _among(times: np.ndarray, known: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Which times are, to the last bit, one of those that are known."""
    if not len(known):
        return np.zeros(len(times), bool)
    known = np.sort(known)
    return known[np.minimum(known.searchsorted(times), len(known) - 1)] == times


def _pairs(times: np.ndarray, units: np.ndarray) -> np.ndarray:
    """One complex number per spike: its time and its unit, both exactly."""
    return times + 1j * units
