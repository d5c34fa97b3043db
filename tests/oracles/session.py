"""A session in simulated time: a real recording, replayed; a real decoder; and faults put in between."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from neurodyn.realtime import Event, EventLog, Kind, LiveEstimate, RealtimeDecoder
from neurodyn.realtime.clock import LiveClock
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.service import Service, ServiceOptions, make_service
from neurodyn.realtime.streams import Chunk, Source
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.writers import SinkWriter, SnapshotFile
from neurodyn.recording import Recording, Signal, SpikeTrains

Fault = Callable[[list[Chunk], float], list[Chunk]]
"""What becomes of the chunks of a read, given the recorded time."""

FIELD_RATE = 200.0
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

    def read(self, timeout: float) -> list[Chunk]:
        """Read, and let the fault have it."""
        return self._fault(self._source.read(timeout), self._source.played)

    def close(self) -> None:
        """Close."""
        self._source.close()


def recording(seconds: float, seed: int = 0) -> Recording:
    """Four units and three field channels from the first to the last moment, on a clock that begins at 0.

    They are called as the small decoder's: a session finds them by their labels.
    """
    random = np.random.default_rng(seed)
    spikes = tuple(np.sort(random.uniform(0, seconds, random.poisson(30 * seconds))) for _ in range(4))
    steps = random.normal(size=(round(seconds * FIELD_RATE), 3))
    channels, units = (tuple(f"{name}{i}" for i in range(n)) for name, n in (("field", 3), ("spikes", 4)))
    field = Signal("lfp", np.cumsum(steps, 0) * 0.1 % 3 - 1.5, rate=FIELD_RATE, channels=channels)
    return Recording("made", {"spikes": SpikeTrains("spikes", spikes, units)}, {"lfp": field})


class Session:
    """A service on a replay; ``run`` plays it to its end."""

    def __init__(
        self,
        decoder: RealtimeDecoder,
        modalities: tuple,
        played: Recording,
        *,
        fault: Fault | None = None,
        start: float | None = None,
        stop: float | None = None,
        chunk: float = 0.02,
        sinks: Iterable[SinkWriter] = (),
        snapshots: SnapshotFile | None = None,
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
        self.service: Service = make_service(
            decoder, modalities, lambda: self.source, writers, LiveClock(wall=self.world), self.monitor,
            rates={"field": FIELD_RATE}, patience=1.5 * chunk, snapshots=snapshots,
            wall=self.world, sleep=self.world.sleep,
            options=options or ServiceOptions(tolerance=3 * chunk),
        )  # fmt: skip

    def run(self) -> list[LiveEstimate]:
        """Estimates of the whole replay."""
        self.service.run()
        return self.collected.estimates

    def events(self, kind: Kind, modality: str | None = None) -> list[Event]:
        """What happened, of one kind."""
        return [event for event in self.log if event.kind is kind and modality in (None, event.modality)]


def between(name: str, start: float, stop: float, change: Callable[[Chunk], Chunk | None]) -> Fault:
    """Change the chunks of a stream in a part of the recording; None is lost."""

    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        changed = [change(c) if c.name == name and start < played <= stop else c for c in chunks]
        return [chunk for chunk in changed if chunk is not None]

    return fault


def shifted(chunk: Chunk, seconds: float) -> Chunk:
    """The same at another time."""
    until = None if chunk.until is None else chunk.until + seconds
    return replace(chunk, times=chunk.times + seconds, until=until)


def at(estimates: list[LiveEstimate], time: float) -> LiveEstimate:
    """Estimate of the bin that ends at a time."""
    return min(estimates, key=lambda estimate: abs(estimate.time - time))


def targets(estimates: list[LiveEstimate], start: float = -math.inf, stop: float = math.inf) -> dict[int, np.ndarray]:
    """Decoded target by time in milliseconds."""
    return {round(1e3 * e.time): e.target for e in estimates if start <= e.time <= stop}


def largest_difference(one: list[LiveEstimate], two: list[LiveEstimate], start: float, stop: float) -> float:
    """Between two runs' targets, over the bins of a part that both must have, in standard errors of the second."""
    first, second = targets(one, start, stop), targets(two, start, stop)
    assert first.keys() == second.keys()
    assert len(first) > 10
    errors = {round(1e3 * e.time): (e.upper - e.lower) / 3.92 for e in two}
    return max(float((np.abs(first[key] - second[key]) / errors[key]).max()) for key in first)


def spread(estimate: LiveEstimate) -> float:
    """Width of the interval, all dimensions together."""
    return float(np.sum(estimate.upper - estimate.lower))
