"""From samples and spikes that arrive when they like to bins, one after the other."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Num

from neurodyn.errors import InputError, unknown_name
from neurodyn.realtime.bins import Bin, LatePolicy
from neurodyn.realtime.buffers import FieldInput, Grid, SpikeInput, in_order
from neurodyn.realtime.events import Event, EventKind, EventLog
from neurodyn.realtime.field_buffer import FieldBuffer
from neurodyn.realtime.labels import Matcher, in_order_of, labels_in
from neurodyn.realtime.spike_buffer import SpikeBuffer
from neurodyn.realtime.stamps import FARTHEST, StampPolicy
from neurodyn.recording.edges import cut, first_edge

_Buffer = TypeVar("_Buffer", SpikeBuffer, FieldBuffer)

NOT_A_UNIT = -2
"""Number of a unit that nobody has; -1 stands for all units."""
KEPT = 1000
"""Events that wait for the next bin; more are in the log only."""


class StreamingBinner:
    """Bins ``[start + k width, start + (k + 1) width)`` filled as data come in; the same values as offline.

    A bin is handed out when every source has passed its end, or when it has waited for ``patience``. Memory is bounded:
    what waits for its bin, two seconds of the past to know repeated data by, and the events of the log.

    Parameters
    ----------
    inputs
        The modalities.
    width
        Of a bin, seconds.
    start
        Of the first bin, seconds; None for the first multiple of the width at or after the first data.
    patience
        Seconds that a bin waits after its end for sources that have not yet reached it.
    late
        What becomes of data later than that.
    max_jump
        A source whose times are further than this from the present (seconds) has a clock that jumped, and is moved onto
        the present; if the present itself jumps by more, the bins go on from there.
    log
        Where events go; a new one if None.

    Attributes
    ----------
    waited_for
        Per modality the spikes or samples that came after the end of their bin and were still counted in it.

    Raises
    ------
    InputError
        If there are no inputs, two of one name, or a duration does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.realtime import FieldInput, SpikeInput, StreamingBinner
    >>> inputs = [SpikeInput("spikes", units=2), FieldInput("lfp", channels=1, rate=100.0)]
    >>> binner = StreamingBinner(inputs, width=0.05, start=0.0)
    >>> binner.push_spikes("spikes", np.array([0.01, 0.06, 0.08]), np.array([0, 1, 1]))
    >>> binner.push_samples("lfp", np.arange(10.0)[:, None], np.arange(10) / 100.0)
    >>> for done in binner.ready(now=0.1):
    ...     print(done.index, done.observations["spikes"].tolist(), done.observations["lfp"].tolist())
    0 [1.0, 0.0] [2.0]
    1 [0.0, 2.0] [7.0]
    """

    def __init__(
        self,
        inputs: Sequence[SpikeInput | FieldInput],
        width: float,
        *,
        start: float | None = None,
        patience: float = 0.0,
        late: LatePolicy = LatePolicy.CARRY,
        max_jump: float = StampPolicy.max_jump,
        log: EventLog | None = None,
    ) -> None:
        _check(inputs, width, patience, max_jump)
        self.log = EventLog() if log is None else log
        self.patience, self.late, self.max_jump = patience, late, max_jump
        self._grid = Grid(np.nan if start is None else start, width)
        options: dict[str, Any] = {"carry": late is LatePolicy.CARRY, "max_jump": max_jump, "say": self._say}
        self._spikes: dict[str, SpikeBuffer] = {}
        self._fields: dict[str, FieldBuffer] = {}
        for one in inputs:
            if isinstance(one, SpikeInput):
                self._spikes[one.name] = SpikeBuffer(one, self._grid, **options)
            else:
                every = 1 if one.width is None else round(one.width / width)
                self._fields[one.name] = FieldBuffer(one, self._grid, every, **options)
        self._buffers: dict[str, SpikeBuffer | FieldBuffer] = {
            one.name: self._spikes.get(one.name) or self._fields[one.name] for one in inputs
        }
        self.waited_for = dict.fromkeys(self._buffers, 0)
        self._missing = dict.fromkeys(self._buffers, False)
        self._matchers = {one.name: Matcher(one.name, one.labels, self._say) for one in inputs}
        self._index = 0
        self._now: float | None = None
        self._fresh: list[Event] = []

    # Data in ----------------------------------------------------------------------------------------------------

    def push_spikes(
        self,
        name: str,
        times: Num[np.ndarray, "..."],
        units: Num[np.ndarray, "..."],
        *,
        until: float | None = None,
        labels: tuple[str, ...] | None = None,
        unrecorded: Sequence[tuple[int, float, float]] = (),
    ) -> None:
        """Take in spikes; bad ones are left out and in the log.

        Parameters
        ----------
        name
            Of the modality.
        times
            (n,), seconds, in any order.
        units
            (n,), number of each spike's unit.
        until
            Time up to which the source says it has sent everything, seconds; None for the time of the latest spike.
        labels
            Of the source's units, number by number: they are matched by label, and units that the model does not know
            are left out. None for a source that has no labels: its numbers are the model's, which is in the log.
        unrecorded
            Stretches in which a unit was not recorded: its number (-1 for all units), start and stop in seconds. A bin
            that touches one is NaN for that unit, and the modality is missing if it is for all.

        Raises
        ------
        InputError
            If there is no spiking modality of that name, or the labels lack one of the model's.
        """
        buffer = self._find(name, self._spikes)
        if times.ndim != 1 or times.shape != units.shape:
            why = f"spikes need one time and unit each, got {times.shape}, {units.shape}"
            return self._say(EventKind.BAD_INPUT, name, why)
        rows, came, lost = self._matchers[name].rows(labels_in(units) if labels is None else labels), times, 0
        if rows is not None:
            times, units, lost = in_order_of(rows, times, units)
            unrecorded = _in_order_of(rows, unrecorded)
            if lost:
                why = f"{lost} spikes dropped: their unit index is outside the {len(rows)} units of the stream"
                self._say(EventKind.BAD_INPUT, name, why)
        ordered = in_order(times) and units.dtype.kind in "iu"
        # A negative number is a large one without its sign: one comparison for both ends.
        if not ordered or np.count_nonzero(units.astype(np.int64).view(np.uint64) >= buffer.source.units):
            spikes = len(times)
            times, units = self._good_spikes(buffer.source, times, units)
            lost, ordered = lost + spikes - len(times), False
        until = float(until) if until is not None and abs(until) < FARTHEST else None
        self._count_late(name, times, ordered)
        buffer.push(times.astype(np.float64), units.astype(np.int64), until, self._now, ordered=ordered)
        if len(unrecorded):
            self._pause(buffer, unrecorded)
        if lost > len(times) and (finite := came[np.abs(came) < FARTHEST]).size:
            # Most spikes are of units that nobody knows: not a unit more, but another stream. That is not silence.
            buffer.pause([(-1, float(finite.min()), float(finite.max()))])
        self._begin()

    def _pause(self, buffer: SpikeBuffer, stretches: Sequence[tuple[int, float, float]]) -> None:
        """Tell a buffer of stretches that were not recorded; those that make no sense are in the log."""
        good = [
            (unit, start, stop)
            for unit, start, stop in stretches
            if -1 <= unit < buffer.source.units and -FARTHEST < start < stop < FARTHEST
        ]
        if len(good) < len(stretches):
            text = f"{len(stretches) - len(good)} stretches not recorded have no such unit, or no finite begin and end"
            self._say(EventKind.BAD_INPUT, buffer.source.name, text)
        buffer.pause(good)

    def _good_spikes(self, source: SpikeInput, times: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those that are spikes."""
        good = (np.abs(times) < FARTHEST) & (units >= 0) & (units < source.units)
        if not good.all():
            text = f"{(~good).sum()} spikes without a finite time and a unit below {source.units}"
            self._say(EventKind.BAD_INPUT, source.name, text)
        return times[good], units[good]

    def push_samples(
        self,
        name: str,
        values: Num[np.ndarray, "..."],
        times: Num[np.ndarray, "..."],
        *,
        labels: tuple[str, ...] | None = None,
    ) -> None:
        """Take in a chunk of samples of any size; bad ones are left out and in the log.

        Parameters
        ----------
        name
            Of the modality.
        values
            (n, channels); NaN is missing.
        times
            (n,), of each sample, seconds.
        labels
            Of the channels that come: as in `push_spikes`.

        Raises
        ------
        InputError
            If there is no sampled modality of that name, or the labels lack one of the model's.
        """
        buffer = self._find(name, self._fields)
        labels = labels_in(values) if labels is None else labels
        places = self._matchers[name].places(labels)
        if labels is not None and values.shape[1:] != (len(labels),):
            self._say(EventKind.BAD_INPUT, name, f"samples of {len(labels)} labelled channels came as {values.shape}")
            return
        if places is not None:
            values = values[:, places]
        if times.ndim != 1 or values.shape != (len(times), buffer.source.channels):
            text = f"samples need {buffer.source.channels} channels and a time each, got {values.shape}, {times.shape}"
            self._say(EventKind.BAD_INPUT, name, text)
            return
        ordered = in_order(times)
        infinite = np.isinf(values)
        if not ordered or np.count_nonzero(infinite):
            times, values = self._good_samples(name, times, values, infinite)
        if len(times):
            self._count_late(name, times, ordered)
            buffer.push(times.astype(np.float64), values.astype(np.float64), self._now, ordered=ordered)
        self._begin()

    def _good_samples(
        self, name: str, times: np.ndarray, values: np.ndarray, infinite: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Samples at finite times, their infinite values missing."""
        good = np.abs(times) < FARTHEST
        if infinite[good].any() or not good.all():
            text = f"{infinite[good].sum()} infinite values are missing, {(~good).sum()} samples have no finite time"
            self._say(EventKind.NOT_FINITE, name, text)
        return times[good], np.where(infinite, np.nan, values)[good]

    def _find(self, name: str, chosen: dict[str, _Buffer]) -> _Buffer:
        if name not in self._buffers:
            raise unknown_name("modality", name, self._buffers)
        if name not in chosen:
            raise InputError(f"modality '{name}' takes {'spikes' if name in self._spikes else 'samples'} only")
        return chosen[name]

    def _count_late(self, name: str, times: np.ndarray, ordered: bool) -> None:
        """Count what comes after the end of its bin and is still in time."""
        if self._now is None or np.isnan(self._grid.start):
            return
        start, width = self._grid.start, self._grid.width
        ended = cut(start + math.floor((self._now - start) / width) * width)
        if not (ordered and times[0] >= ended):
            begin = cut(self._grid.edge(self._index))
            self.waited_for[name] += int(((times >= begin) & (times < ended)).sum())

    def _begin(self) -> None:
        """The first data set the first bin, unless it was given."""
        if np.isnan(self._grid.start):
            first = min(buffer.first for buffer in self._buffers.values())
            if np.isfinite(first):
                self._grid.start = first_edge(first, self._grid.width)

    @property
    def end(self) -> float:
        """Of the bin that is being filled, seconds; NaN before the first data, unless the start was given."""
        return self._grid.edge(self._index + 1)

    # Bins out ---------------------------------------------------------------------------------------------------

    def tell_time(self, now: float) -> None:
        """Say what time it is (seconds) before data are pushed: what was stamped later is known to be wrong then."""
        self._grid.present = now if abs(now) < FARTHEST else math.inf

    def ready(self, now: float) -> list[Bin]:
        """Bins that are complete, or that have waited long enough, in order.

        Parameters
        ----------
        now
            The present on the clock of the data, seconds.
        """
        bins: list[Bin] = []
        if not abs(now) < FARTHEST:
            return bins
        self._now = now = float(now)
        if np.isnan(self._grid.start):
            return bins
        if now < self._grid.edge(self._index) - self.max_jump:
            self._jump(now)
        while self._due(now):
            if self._grid.edge(self._index + 1) < now - self.max_jump and not self._waiting(now - self.max_jump):
                self._jump(now)
            bins.append(self._close())
        return bins

    def _due(self, now: float) -> bool:
        stop = cut(self._grid.edge(self._index + 1))
        return now >= stop + self.patience or all(b.complete(stop) for b in self._buffers.values())

    def _waiting(self, before: float) -> bool:
        return any(buffer.first < before for buffer in self._buffers.values())

    def _jump(self, now: float) -> None:
        """Go on with the bin that ends now, or next, whatever the clock was before."""
        away = now - self._grid.edge(self._index + 1)
        self._grid.start += float(np.floor(away / self._grid.width)) * self._grid.width
        self._say(EventKind.CLOCK_JUMP, "", f"the present moved by {away:+.3f} s; bins go on from there")
        for buffer in self._buffers.values():
            buffer.rebase(self._index, now)

    def _close(self) -> Bin:
        observations = {name: self._closed(name, buffer) for name, buffer in self._buffers.items()}
        for name, value in observations.items():
            self._follow(name, value)
        events, self._fresh = tuple(self._fresh), []
        self._index += 1
        return Bin(self._index - 1, self._grid.edge(self._index), observations, events)

    def _closed(self, name: str, buffer: SpikeBuffer | FieldBuffer) -> np.ndarray | None:
        """What a buffer has for the bin; None, with an event, if it fails: the other modalities have their bin."""
        try:
            return buffer.close(self._index)
        except Exception as error:  # a feature may be anybody's code, and what it makes of odd data is not known here
            text = f"its bin is missing, and it begins anew: {type(error).__name__}: {error}"
            self._say(EventKind.BAD_INPUT, name, text)
            if isinstance(buffer, FieldBuffer):
                buffer.begin_anew(self._index)
            return None

    def _follow(self, name: str, value: np.ndarray | None) -> None:
        """Say when a modality goes missing and when it is back; one sampled more slowly is due at its own bins only."""
        if value is None and name in self._fields and (self._index + 1) % self._fields[name].sample_every:
            return
        missing = value is None
        if missing != self._missing[name]:
            self._missing[name] = missing
            self._say(EventKind.MISSING if missing else EventKind.RETURNED, name, f"in bin {self._index}")

    def _say(self, kind: EventKind, name: str, detail: str) -> None:
        now = self._now if self._now is not None else 0.0
        event = self.log.record(now, kind, name, detail)
        if len(self._fresh) < KEPT:
            self._fresh.append(event)


def _check(inputs: Sequence[SpikeInput | FieldInput], width: float, patience: float, max_jump: float) -> None:
    names = [one.name for one in inputs]
    if not names or len(set(names)) < len(names):
        raise InputError(f"a binner needs inputs of different names, got {', '.join(names) or 'none'}")
    if not (0 < width < np.inf and 0 <= patience < np.inf and max_jump > max(width, patience)):
        raise InputError(
            f"a binner needs width > 0, patience >= 0 and a max_jump above both, got {width}, {patience}, {max_jump} s"
        )
    for one in inputs:
        slower = None if isinstance(one, SpikeInput) else one.width
        if slower is not None and (
            slower < width * (1 - 1e-6) or abs(round(slower / width) * width - slower) > 1e-6 * width
        ):
            raise InputError(f"'{one.name}': its width of {slower:g} s must be a multiple of the bins' {width:g} s")


def _in_order_of(rows: np.ndarray, stretches: Sequence[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """Stretches with the model's numbers of their units; those of units that the model does not know are left out."""
    rows_of = (int(rows[u]) if 0 <= u < len(rows) else u if u == -1 else NOT_A_UNIT for u, _, _ in stretches)
    pairs = zip(rows_of, stretches, strict=True)
    return [(row, start, stop) for row, (unit, start, stop) in pairs if unit == -1 or row != -1]
