"""The loop of a session: source -> binner -> decoder -> sinks. Nothing that comes in or fails outside ends it.

read       what the source has; if it is lost, open it again, and let time go on meanwhile
push       into the binner
decode     every bin that is ready
hand over  the estimate to sinks that never hold up the loop
snapshot   every so often, so that a killed process goes on from there
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurodyn.binning.batch import Modality
from neurodyn.errors import InputError
from neurodyn.realtime.binner import Bin, LatePolicy, StreamingBinner
from neurodyn.realtime.clock import DataClock, start_of
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.events import Kind as EventKind
from neurodyn.realtime.garbage import Sweeper
from neurodyn.realtime.inputs import as_spikes, binner_inputs
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.streams.protocol import Chunk, EndOfStream, Kind, Source
from neurodyn.realtime.writers import SinkWriter, SnapshotFile

SHORTEST_SLEEP = 0.001
"""Seconds; sources count them in milliseconds."""
REHEARSE = 0.0005
"""Seconds: longer than a process takes to wake up and to go through a step once, a tenth of a short bin."""


@dataclass(frozen=True)
class ServiceOptions:
    """How patient a service is.

    Parameters
    ----------
    poll
        Longest wait for data per turn, seconds: how late an empty bin can be. 0 sleeps for a millisecond after an
        estimate only, and wants a core of its own.
    rehearse
        Seconds before the end of a bin at which the loop goes through a step in rehearsal: the data find its weights
        in the processor's cache. 0 for never; for live data only.
    tolerance
        Seconds after the end of its bin from which an estimate counts as missed.
    snapshot_every
        Seconds of data between snapshots.
    reopen_after
        Seconds between attempts to open a lost source.
    catch_up
        Longest gap, seconds, between a snapshot and the present that the decoder predicts through; after a longer one
        it begins anew.
    """

    poll: float = 0.005
    rehearse: float = 0.0
    tolerance: float = 0.05
    snapshot_every: float = 5.0
    reopen_after: float = 0.5
    catch_up: float = 60.0


class Service:
    """One session.

    Parameters
    ----------
    decoder
        Warmed up; used by this service alone.
    make_binner
        Binner for the decoder's modalities whose first bin begins at a time (seconds); called with the first data.
    window
        Longest window of a feature, seconds: bins begin at a multiple of it, so that a session that is started again
        has the windows of the one before.
    open_source
        Connects to the data; called again when the source is lost.
    sinks
        Get every estimate.
    clock
        Tells the present from the data.
    spikes
        Names of the modalities that are spikes: counts that arrive for them are taken apart.
    monitor
        Counts what happens.
    snapshots
        File to go on from and to write to; None for none.
    options
        How patient it is.
    wall, sleep
        Seconds that pass; given by tests.

    Raises
    ------
    InputError
        If the snapshot is of another model.
    """

    def __init__(
        self,
        decoder: RealtimeDecoder,
        make_binner: Callable[[float], StreamingBinner],
        window: float,
        open_source: Callable[[], Source],
        sinks: Sequence[SinkWriter],
        clock: DataClock,
        monitor: Monitor,
        *,
        spikes: Sequence[str] = (),
        snapshots: SnapshotFile | None = None,
        options: ServiceOptions | None = None,
        wall: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._decoder, self._make_binner, self._window = decoder, make_binner, window
        self._binner: StreamingBinner | None = None
        self._open, self._sinks, self._clock, self._monitor = open_source, tuple(sinks), clock, monitor
        self._spikes = frozenset(spikes)
        self._snapshots, self._options, self._wall = snapshots, options or ServiceOptions(), wall
        self._sleep = sleep
        self._sweeper = Sweeper(wall)
        self.log = monitor.log
        self._source: Source | None = None
        self._waiting: list[Chunk] = []
        self._refused: dict[str, str] = {}  # why, of the streams whose last chunk was
        self._next_attempt = -math.inf
        self._lost = ""
        self._ended = False
        self._behind = False  # whether the next bin has still to be prepared
        self._rehearsed = math.nan  # end of the bin that has been rehearsed
        self._latest: dict[str, np.ndarray] | None = None  # snapshot that a failing decoder goes back to
        self._latest_time = -math.inf
        self._late = False  # whether the last estimate was
        self._unusual: tuple[str, ...] = ()  # modalities of which it left values out
        self._resumed: float | None = None
        self._resume()

    def run(self, stop: threading.Event | None = None, *, first: Sequence[Chunk] = ()) -> None:
        """Decode until the source ends or ``stop`` is set, then close everything.

        Parameters
        ----------
        stop
            Set from a signal or another thread.
        first
            Data that have been read already.
        """
        try:
            self._waiting = list(first)
            while not self._ended and not (stop is not None and stop.is_set()):
                self.turn()
        finally:
            self.close()

    def turn(self) -> None:
        """Read once, and decode what is ready."""
        try:
            decoded = self.take(self._read())
        except Exception as error:  # what a source of somebody's own may give is not known here
            self._record(EventKind.BAD_INPUT, f"{type(error).__name__}: {error}")
            return
        if self._behind and not decoded and not self._ended:
            self._work_ahead()

    def take(self, chunks: Sequence[Chunk]) -> int:
        """Take in data and decode every bin that is ready now; returns how many were."""
        begin = time.perf_counter()
        chunks = self._clock.note(chunks)
        for kind, name, detail in self._clock.news():
            self._record(kind, detail, name)
        binner = self._binner or self._begin(chunks)
        if binner is None:
            return 0
        for chunk in chunks:
            self._push(binner, chunk)
        now = self._clock.now()
        bins = binner.ready(now)
        for one in bins:
            self._decode(one, now, begin)
            self._keep_snapshot(one.time)
        self._behind |= bool(bins)
        return len(bins)

    def close(self) -> None:
        """Keep a last snapshot, let the sinks write what they have, and close all."""
        self._keep_snapshot(math.inf)
        if self._source is not None:
            self._close_source()
        for sink in self._sinks:
            sink.close()
        if self._snapshots is not None:
            self._snapshots.close()

    # ---------------------------------------------------------------------------------------------------- read

    def _read(self) -> list[Chunk]:
        if self._waiting:
            first, self._waiting = self._waiting, []
            return first
        source = self._source or self._reopen()
        if source is None:
            self._sleep(max(self._options.poll, 0.001))
            return []
        try:
            return source.read(self._patience())
        except EndOfStream:
            self._ended = True
        except InputError as error:
            self._record(EventKind.BAD_INPUT, str(error))
        except Exception as error:  # a source may be anybody's code, and the session outlives it
            self._lose(error)
        return []

    def _patience(self) -> float:
        """How long to wait for data now, seconds; shortly before they are expected, rehearse.

        It sleeps after that, too. A loop that waits awake for so short a time gains nothing where cores are few: the
        threads that bring the data are put on its core, and wait for it.
        """
        poll, rehearse = self._options.poll, self._options.rehearse
        if self._behind:
            return SHORTEST_SLEEP
        if not rehearse or self._binner is None or self._rehearsed == self._binner.end:
            return poll
        left = self._binner.end - self._clock.now()
        if left - rehearse >= SHORTEST_SLEEP:
            return min(poll, left - rehearse)
        if left > 0:
            self._rehearsed = self._binner.end
            self._decoder.prepare()
        return poll

    def _work_ahead(self) -> None:
        """Prepare for the next bin, while there is nothing to read.

        Not straight after an estimate was handed over: work at once would take the core from the threads that send it,
        and cost more time there than it saves here.
        """
        self._behind = False
        self._decoder.prepare()
        self._sweeper.sweep()

    def _reopen(self) -> Source | None:
        if self._wall() < self._next_attempt:
            return None
        try:
            self._source = self._open()
        except Exception as error:  # as above; the next attempt comes
            self._lose(error)
            return None
        if self._lost:
            self._record(EventKind.SOURCE_RESTARTED, "opened again")
            self._lost = ""
        return self._source

    def _lose(self, error: Exception) -> None:
        """Close a source that fails, and say so once, however often it cannot be opened."""
        self._next_attempt = self._wall() + self._options.reopen_after
        self._close_source()
        if not self._lost:
            self._lost = f"{type(error).__name__}: {error}"
            self._record(EventKind.SOURCE_LOST, self._lost)

    def _close_source(self) -> None:
        source, self._source = self._source, None
        try:
            if source is not None:
                source.close()
        except Exception as error:  # it is lost in any case
            self._record(EventKind.SOURCE_LOST, f"while closing: {error}")

    def _begin(self, chunks: Sequence[Chunk]) -> StreamingBinner | None:
        """Make the binner when the first data come."""
        first = min((start for start in map(start_of, chunks) if math.isfinite(start)), default=math.nan)
        if not math.isnan(first):
            self._binner = self._make_binner(math.ceil(first / self._window - 1e-6) * self._window)
        return self._binner

    def _push(self, binner: StreamingBinner, chunk: Chunk) -> None:
        try:
            if chunk.kind is Kind.SAMPLES and chunk.name in self._spikes:
                chunk = as_spikes(chunk)
            if chunk.kind is Kind.SPIKES:
                binner.push_spikes(
                    chunk.name,
                    chunk.times,
                    chunk.values,
                    until=chunk.until,
                    labels=chunk.labels,
                    unrecorded=chunk.unrecorded,
                )
            else:
                binner.push_samples(chunk.name, chunk.values, chunk.times, labels=chunk.labels)
        except InputError as error:
            # Chunk after chunk of a stream is refused for one reason: saying so once is enough.
            if self._refused.get(chunk.name) != str(error):
                self._record(EventKind.BAD_INPUT, str(error), chunk.name)
            self._refused[chunk.name] = str(error)
        else:
            if self._refused:
                self._refused.pop(chunk.name, None)

    # -------------------------------------------------------------------------------------------------- decode

    def _decode(self, one: Bin, now: float, begin: float) -> None:
        if self._resumed is not None:
            self._catch_up(one.time)
        estimate = self._step(one)
        for sink in self._sinks:
            sink.put(estimate)
        missed = now - one.time > self._options.tolerance
        if missed and not self._late:
            self._record(
                EventKind.MISSED_DEADLINE, f"the bin of {one.time:g} s was decoded {now - one.time:.3g} s late"
            )
        self._late = missed
        if estimate.unusual != self._unusual:
            self._tell_unusual(estimate)
        self._monitor.dropped = sum(sink.dropped for sink in self._sinks)
        self._monitor.add(estimate, 1e6 * (time.perf_counter() - begin), missed=missed)

    def _tell_unusual(self, estimate: LiveEstimate) -> None:
        """Say it for the first of several bins in a row."""
        for name in set(estimate.unusual) - set(self._unusual):
            text = f"values far beyond those of the training data are missing, from the bin of {estimate.time:g} s on"
            self._record(EventKind.UNUSUAL, text, name)
        self._unusual = estimate.unusual

    def _step(self, one: Bin) -> LiveEstimate:
        try:
            estimate = self._decoder.step(one.observations, one.time)
        except InputError as error:
            self._record(EventKind.BAD_INPUT, str(error))
            estimate = self._decoder.step({}, one.time)
        if np.isfinite(estimate.target).all() and np.isfinite(estimate.latent).all():
            return estimate
        return self._heal(one)

    def _heal(self, one: Bin) -> LiveEstimate:
        """Go back to the last good state, or begin anew: numbers that are not finite stay in a filter for ever."""
        since = "the start"
        try:
            if self._latest is not None:
                self._decoder.restore(self._latest)
                since = f"{self._latest_time:g} s"
        except InputError:
            self._latest = None
        if self._latest is None:
            self._decoder.reset()
        self._record(EventKind.NOT_FINITE, f"the decoder left the finite numbers and is back at {since}")
        return self._decoder.step({}, one.time)

    # ------------------------------------------------------------------------------------------------ snapshots

    def _keep_snapshot(self, time: float) -> None:
        if abs(time - self._latest_time) < self._options.snapshot_every:  # bins may go back, after a jump
            return
        snapshot = self._decoder.snapshot()
        if not np.isfinite(snapshot["time"]):
            return
        self._latest, self._latest_time = snapshot, float(snapshot["time"])
        if self._snapshots is not None:
            self._snapshots.offer(snapshot)

    def _resume(self) -> None:
        if self._snapshots is None:
            return
        try:
            found = self._snapshots.load()
        except InputError as error:  # a session must start, whatever is left of the last
            self._record(EventKind.BAD_INPUT, str(error))
            return
        if found is None:
            return
        if self._decoder.is_of_another(found):
            self._snapshots.close()
            raise InputError(
                f"{self._snapshots.path} is a snapshot of another model, and is not overwritten: give the model that "
                "it was taken with, or another file"
            )
        try:
            self._resumed = self._decoder.restore(found)
        except InputError as error:  # of this model, and damaged
            self._record(EventKind.BAD_INPUT, str(error))

    def _catch_up(self, first: float) -> None:
        """Predict from the snapshot through the time that nobody decoded, to the first bin."""
        assert self._resumed is not None
        gap, resumed = first - self._resumed, self._resumed
        self._resumed = None
        missing = round(gap / self._decoder.width) - 1
        if not 0 <= gap <= self._options.catch_up:
            self._decoder.reset()
            self._record(EventKind.RESTORED, f"the snapshot is {gap:g} s away from {first:g} s: begun anew")
            return
        for index in range(missing):
            self._decoder.step({}, resumed + (index + 1) * self._decoder.width)
        self._record(EventKind.RESTORED, f"from a snapshot of {resumed:g} s; {missing} bins nobody saw are predicted")

    def _record(self, kind: EventKind, detail: str, modality: str = "") -> None:
        now = self._clock.now()
        self.log.record(0.0 if math.isnan(now) else now, kind, modality, detail)


def make_service(
    decoder: RealtimeDecoder,
    modalities: Sequence[Modality],
    open_source: Callable[[], Source],
    sinks: Sequence[SinkWriter],
    clock: DataClock,
    monitor: Monitor,
    *,
    rates: Mapping[str, float],
    patience: float = 0.0,
    late: LatePolicy = LatePolicy.CARRY,
    max_jump: float = StampPolicy.max_jump,
    snapshots: SnapshotFile | None = None,
    options: ServiceOptions | None = None,
    wall: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Service:
    """Put a session together for a model.

    Parameters
    ----------
    decoder, open_source, sinks, clock, monitor, snapshots, options, wall, sleep
        See `Service`.
    modalities
        Of the model.
    rates
        Samples per second of each modality that is no spikes.
    patience
        Seconds that a bin waits for data that are on their way.
    late, max_jump
        As of the `StreamingBinner`.

    Raises
    ------
    InputError
        If a rate is missing.
    """
    inputs = binner_inputs(modalities, decoder.width, rates)

    def make_binner(start: float) -> StreamingBinner:
        return StreamingBinner(
            inputs, decoder.width, start=start, patience=patience, late=late, max_jump=max_jump, log=monitor.log
        )

    window = decoder.width * max(row.clock for row in modalities)
    spikes = [row.name for row in modalities if row.counts]
    return Service(
        decoder, make_binner, window, open_source, sinks, clock, monitor=monitor,
        spikes=spikes, snapshots=snapshots, options=options, wall=wall, sleep=sleep,
    )  # fmt: skip
