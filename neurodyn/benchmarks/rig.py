"""A rig in simulated time: a recording is replayed into a real session, and faults are put in between.

Minutes pass in seconds, and a run is the same every time: whatever sleeps lets the simulated clock go on instead.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from neurodyn.binning.modality import Modality
from neurodyn.realtime import EventLog, LiveEstimate, RealtimeDecoder
from neurodyn.realtime.clock import LiveClock
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.service import Service, ServiceOptions, SessionParts, Timing, make_service
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.streams import Chunk, Source
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.writers import SinkWriter
from neurodyn.recording import Recording

Fault = Callable[[list[Chunk], float], list[Chunk]]
"""Changes the chunks of a read, given the recorded time in seconds."""
ORIGIN = 1000.0
"""Where the simulated clock begins, seconds."""


class World:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = ORIGIN

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Collected:
    """A sink that keeps what it gets."""

    never_blocks = True

    def __init__(self) -> None:
        self.estimates: list[LiveEstimate] = []

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Keep."""
        assert isinstance(item, LiveEstimate)
        self.estimates.append(item)

    def close(self) -> None:
        """Do nothing."""


class Faulty:
    """A source with a fault put behind it."""

    def __init__(self, source: FileReplay, fault: Fault) -> None:
        self._source, self._fault = source, fault

    def read(self, timeout: float) -> list:
        """Read, and let the fault have it, which may make anything of it."""
        return self._fault(self._source.read(timeout), self._source.played)

    def close(self) -> None:
        """Close."""
        self._source.close()


class SimulatedSession:
    """A service on a replay in simulated time; ``run`` plays it to its end.

    Parameters
    ----------
    decoder
        Is reset.
    modalities
        Of the decoder.
    played
        Its spikes and fields are played, under the names of `stream_names`: modalities have to be called so.
    rates
        Samples per second of each modality that is not spikes.
    fault
        What is done to the chunks on their way; None for nothing.
    start, stop
        Part to play, seconds.
    chunk
        Seconds of data per chunk.
    sinks, parts, log, options
        Of the service, beside the sink that keeps the estimates.
    """

    def __init__(
        self,
        decoder: RealtimeDecoder,
        modalities: Sequence[Modality],
        played: Recording,
        *,
        rates: Mapping[str, float],
        fault: Fault | None = None,
        start: float | None = None,
        stop: float | None = None,
        chunk: float = 0.02,
        sinks: Iterable[SinkWriter] = (),
        parts: SessionParts | None = None,
        log: EventLog | None = None,
        options: ServiceOptions | None = None,
    ) -> None:
        decoder.reset()
        self.decoder, self.world, self.log = decoder, World(), EventLog() if log is None else log
        self.world.now += start or 0.0
        replay = ReplayOptions(chunk=chunk, start=start, stop=stop)
        self._replay = FileReplay(played, replay, clock=self.world, sleep=self.world.sleep)
        self.source: Source = self._replay if fault is None else Faulty(self._replay, fault)
        self.collected = Collected()
        self.monitor = Monitor([row.name for row in modalities], self.log)
        writers = [SinkWriter(self.collected, "kept", self.log, size=10**6), *sinks]
        patience = 1.5 * chunk
        policy = StampPolicy.within(patience)
        self.service: Service = make_service(
            decoder, modalities, lambda: self.source, writers, LiveClock(wall=self.world, policy=policy), self.monitor,
            rates=rates, patience=patience, parts=parts, timing=Timing(self.world, self.world.sleep),
            options=options or ServiceOptions(tolerance=3 * chunk),
        )  # fmt: skip

    def run(self) -> list[LiveEstimate]:
        """Estimates of the whole replay."""
        self.service.run()
        return self.collected.estimates


def between(name: str, start: float, stop: float, change: Callable[[Chunk], Chunk | None]) -> Fault:
    """Change the chunks of a stream ("" for all) in a part of the recording (seconds); None is lost."""

    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        changed = [change(c) if name in ("", c.name) and start < played <= stop else c for c in chunks]
        return [chunk for chunk in changed if chunk is not None]

    return fault
