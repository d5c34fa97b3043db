"""The loop of a session: source -> binner -> decoder -> sinks. Nothing that comes in or fails outside ends it.

read       what the source has; if it is lost, open it again, and let time go on meanwhile (`connection`, `rehearsal`)
push       into the binner
decode     every bin that is ready
hand over  the estimate to sinks that never hold up the loop (`delivery`)
snapshot   every so often, so that a killed process goes on from there (`state_keeper`)
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
from neurodyn.realtime.connection import Connection
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.delivery import Delivery
from neurodyn.realtime.events import Kind as EventKind
from neurodyn.realtime.garbage import Sweeper
from neurodyn.realtime.inputs import as_spikes, binner_inputs
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.rehearsal import SHORTEST_SLEEP, Rehearsal
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.state_keeper import StateKeeper
from neurodyn.realtime.streams.protocol import Chunk, Kind, Source
from neurodyn.realtime.writers import SinkWriter, SnapshotFile

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
        options = options or ServiceOptions()
        self._decoder, self._make_binner, self._window = decoder, make_binner, window
        self._binner: StreamingBinner | None = None
        self._clock, self.log = clock, monitor.log
        self._spikes, self._poll, self._sleep = frozenset(spikes), options.poll, sleep
        self._connection = Connection(open_source, self._say, reopen_after=options.reopen_after, wall=wall)
        self._state = StateKeeper(
            decoder, snapshots, self._say, every=options.snapshot_every, catch_up=options.catch_up
        )
        self._rehearsal = Rehearsal(decoder, Sweeper(wall), poll=options.poll, before=options.rehearse)
        self._delivery = Delivery(sinks, monitor, self._say, tolerance=options.tolerance)
        self._first: list[Chunk] = []
        self._refused: dict[str, str] = {}  # why, of the streams whose last chunk was

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
            self._first = list(first)
            while not self._connection.ended and not (stop is not None and stop.is_set()):
                self.turn()
        finally:
            self.close()

    def turn(self) -> None:
        """Read once, and decode what is ready."""
        try:
            decoded = self.take(self._read())
        except Exception as error:  # what a source of somebody's own may give is not known here
            self._say(EventKind.BAD_INPUT, "", f"{type(error).__name__}: {error}")
            return
        if not decoded and not self._connection.ended:
            self._rehearsal.work_ahead()

    def take(self, chunks: Sequence[Chunk]) -> int:
        """Take in data and decode every bin that is ready now; returns how many were."""
        begin = time.perf_counter()
        chunks = self._clock.note(chunks)
        for kind, name, detail in self._clock.news():
            self._say(kind, name, detail)
        binner = self._binner or self._begin(chunks)
        if binner is None:
            return 0
        now = self._clock.now()
        binner.tell_time(now)
        for chunk in chunks:
            self._push(binner, chunk)
        bins = binner.ready(now)
        for one in bins:
            self._state.catch_up(one.time)
            self._delivery.hand_over(self._step(one), now - one.time, begin)
            self._state.keep(one.time)
        self._rehearsal.bins_decoded(len(bins))
        return len(bins)

    def close(self) -> None:
        """Keep a last snapshot, let the sinks write what they have, and close all."""
        self._state.keep(math.inf)
        self._connection.close()
        self._delivery.close()
        self._state.close()

    # ---------------------------------------------------------------------------------------------------- read

    def _read(self) -> list[Chunk]:
        if self._first:
            first, self._first = self._first, []
            return first
        if not self._connection.open():
            self._sleep(max(self._poll, SHORTEST_SLEEP))
            return []
        end = None if self._binner is None else self._binner.end
        return self._connection.read(self._rehearsal.patience(end, self._clock.now()))

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
                self._say(EventKind.BAD_INPUT, chunk.name, str(error))
            self._refused[chunk.name] = str(error)
        else:
            if self._refused:
                self._refused.pop(chunk.name, None)

    # -------------------------------------------------------------------------------------------------- decode

    def _step(self, one: Bin) -> LiveEstimate:
        """The estimate of a bin; of a bin that is refused, or ends in numbers that are not finite, without its data."""
        try:
            estimate = self._decoder.step(one.observations, one.time)
        except InputError as error:
            self._say(EventKind.BAD_INPUT, "", str(error))
            estimate = self._decoder.step({}, one.time)
        if np.isfinite(estimate.target).all() and np.isfinite(estimate.latent).all():
            return estimate
        self._state.heal()
        return self._decoder.step({}, one.time)

    def _say(self, kind: EventKind, modality: str, detail: str) -> None:
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
