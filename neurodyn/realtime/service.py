"""The loop of a session: source -> binner -> decoder -> sinks. Nothing that comes in or fails outside ends it.

read       what the source has; if it is lost, open it again, and let time go on meanwhile (`connection`, `idle_work`)
push       into the binner
decode     every bin that is ready
hand over  the estimate to sinks that never hold up the loop (`estimate_dispatch`)
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
from neurodyn.realtime.binner import StreamingBinner
from neurodyn.realtime.bins import Bin, LatePolicy
from neurodyn.realtime.chunk_router import ChunkRouter
from neurodyn.realtime.clock import DataClock, end_of, start_of
from neurodyn.realtime.connection import Connection
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.drift import ChannelDrift, DriftPolicy
from neurodyn.realtime.estimate_dispatch import EstimateDispatch
from neurodyn.realtime.events import EventKind
from neurodyn.realtime.garbage import Sweeper
from neurodyn.realtime.idle_work import SHORTEST_SLEEP, IdleWork
from neurodyn.realtime.inputs import binner_inputs
from neurodyn.realtime.markers import Markers
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.recorder import SessionRecorder
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.state_keeper import StateKeeper
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind, Source
from neurodyn.realtime.truth_stream import TruthStream
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
        Seconds after the end of its bin that an estimate has to be handed over in: its deadline, which is missed if it
        is handed over later.
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


@dataclass(frozen=True)
class SessionParts:
    """Parts that a session may have or not.

    Attributes
    ----------
    recorder
        Records what comes and what is decoded; None for no record.
    markers
        Does what markers say; None: those on the stream "control" are commands.
    truth
        Gives the decoder the true target of each bin; None if there is none.
    drift
        When a channel counts as drifted, and whether its values are put back; None for the usual policy.
    snapshots
        File to go on from and to write to; None for none.
    """

    recorder: SessionRecorder | None = None
    markers: Markers | None = None
    truth: TruthStream | None = None
    drift: DriftPolicy | None = None
    snapshots: SnapshotFile | None = None


@dataclass(frozen=True)
class Timing:
    """How time passes for a session; a simulated session has its own.

    Attributes
    ----------
    wall
        Returns seconds that pass steadily, from any origin.
    sleep
        Waits for so many seconds.
    """

    wall: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


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
    parts
        Recorder, markers, true target, drift and snapshots; None for a session without them.
    options
        How patient it is.
    timing
        How time passes; None for the system's clock.

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
        parts: SessionParts | None = None,
        options: ServiceOptions | None = None,
        timing: Timing | None = None,
    ) -> None:
        options, timing = options or ServiceOptions(), timing or Timing()
        self._parts = parts = parts or SessionParts()
        self._decoder, self._make_binner, self._window = decoder, make_binner, window
        self._binner: StreamingBinner | None = None
        self._clock, self._monitor, self.log = clock, monitor, monitor.log
        self._poll, self._sleep = options.poll, timing.sleep
        self._connection = Connection(open_source, self._say, reopen_after=options.reopen_after, wall=timing.wall)
        self._markers = parts.markers or Markers(decoder, self.log.record)
        self._drift = ChannelDrift(decoder, self._say, parts.drift)
        self._state = StateKeeper(
            decoder, parts.snapshots, self._say, every=options.snapshot_every, catch_up=options.catch_up,
            models=self._markers.models, drift=self._drift,
        )  # fmt: skip
        self._idle = IdleWork(decoder, Sweeper(timing.wall), poll=options.poll, before=options.rehearse)
        self._dispatch = EstimateDispatch(
            sinks, monitor, self._say, tolerance=options.tolerance, runner=lambda: decoder.runner
        )
        if parts.recorder is not None:
            decoder.listen(parts.recorder)
        self._router = ChunkRouter(spikes, parts.recorder, parts.truth, self._say)
        self._first: list[Chunk] = []

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
            self._dispatch.greet()
            while not self._connection.ended and not (stop is not None and stop.is_set()):
                self.run_once()
        finally:
            self.close()

    def run_once(self) -> None:
        """Read the sources once and decode every complete bin."""
        try:
            decoded = self.take(self._read())
        except Exception as error:  # what a source of somebody's own may give is not known here
            self._say(EventKind.BAD_INPUT, "", f"{type(error).__name__}: {error}")
            return
        if not decoded and not self._connection.ended:
            self._idle.work_ahead()

    def take(self, chunks: Sequence[Chunk]) -> int:
        """Take in data and decode every bin that is ready now; returns how many were."""
        begin = time.perf_counter()
        for chunk in chunks:
            if chunk.kind is ChunkKind.MARKERS:
                self._markers.take(chunk, self._clock.now())
        chunks = self._clock.note([chunk for chunk in chunks if chunk.kind is not ChunkKind.MARKERS])
        for kind, name, detail in self._clock.pop_events():
            self._say(kind, name, detail)
        binner = self._binner or self._begin(chunks)
        if binner is None:
            return 0
        now = self._clock.now()
        binner.tell_time(now)
        for chunk in chunks:
            self._monitor.add_age(now - end_of(chunk))
            self._router.take(binner, chunk)
        bins = binner.ready(now)
        self.take_bins(bins, now, begin)
        self._idle.bins_decoded(len(bins))
        return len(bins)

    def take_bins(self, bins: Sequence[Bin], now: float = math.nan, begin: float | None = None) -> None:
        """Decode bins, in hand since ``now`` on the clock of the data and ``begin`` of ``perf_counter``, if known."""
        for one in bins:
            self._state.catch_up(one.time)
            self._markers.run_commands_until(one.time - self._decoder.width)
            if self._markers.paused:
                continue
            binned = time.perf_counter()
            wait = 0.0 if math.isnan(now) else now - one.time
            estimate = self._step(one)
            in_hand = binned if begin is None else begin
            self._dispatch.hand_over(estimate, self._clock.now, wait=wait, in_hand=in_hand, binned=binned)
            if self._parts.truth is not None:
                self._decoder.observe(self._parts.truth.of(one.time - self._decoder.width, one.time))
            self._drift.learn(one.observations)
            self._state.keep(one.time)

    def close(self) -> None:
        """Keep a last snapshot, let the sinks write what they have, and close all."""
        self._state.keep(math.inf)
        self._connection.close()
        self._dispatch.close()
        self._state.close()
        if self._parts.recorder is not None:
            self._decoder.listen(None)
            self._parts.recorder.close()

    # ---------------------------------------------------------------------------------------------------- read

    def _read(self) -> list[Chunk]:
        if self._first:
            first, self._first = self._first, []
            return first
        if not self._connection.open():
            self._sleep(max(self._poll, SHORTEST_SLEEP))
            return []
        end = None if self._binner is None else self._binner.end
        return self._connection.read(self._idle.wait_time(end, self._clock.now()))

    def _begin(self, chunks: Sequence[Chunk]) -> StreamingBinner | None:
        """Make the binner when the first data come."""
        first = min((start for start in map(start_of, chunks) if math.isfinite(start)), default=math.nan)
        if not math.isnan(first):
            self._binner = self._make_binner(math.ceil(first / self._window - 1e-6) * self._window)
        return self._binner

    # -------------------------------------------------------------------------------------------------- decode

    def _step(self, one: Bin) -> LiveEstimate:
        """The estimate of a bin; of a bin that is refused, or ends in numbers that are not finite, without its data."""
        try:
            estimate = self._decoder.step(self._drift.adapted(one.observations), one.time)
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
    parts: SessionParts | None = None,
    options: ServiceOptions | None = None,
    timing: Timing | None = None,
) -> Service:
    """Put a session together for a model.

    Parameters
    ----------
    decoder, open_source, sinks, clock, monitor, parts, options, timing
        See `Service`.
    modalities
        Of the model.
    rates
        Samples per second of each modality that is not spikes.
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

    window = decoder.width * max(row.sample_every for row in modalities)
    spikes = [row.name for row in modalities if row.counts]
    return Service(
        decoder, make_binner, window, open_source, sinks, clock, monitor=monitor,
        spikes=spikes, parts=parts, options=options, timing=timing,
    )  # fmt: skip
