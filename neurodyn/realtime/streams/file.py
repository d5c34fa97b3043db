"""A recording as a live source, at real or other speed."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from neurodyn.errors import InputError, unknown_name
from neurodyn.realtime.labels import labelled
from neurodyn.realtime.streams.address import Address, Scheme
from neurodyn.realtime.streams.hello import Hello, StreamInfo
from neurodyn.realtime.streams.json_lines import JsonLinesSink
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind, EndOfStream
from neurodyn.recording import (
    BinnedCounts,
    Intervals,
    Recording,
    SpikeTrains,
    TimeSupport,
    read_recording,
    silent_ends,
    without_invalid_times,
)
from neurodyn.recording.edges import cut
from neurodyn.recording.support import shared


@dataclass(frozen=True)
class ReplayOptions:
    """How a recording is played.

    Parameters
    ----------
    speed
        Recorded seconds per second; ``inf`` for as fast as they are read.
    chunk
        Recorded seconds per chunk.
    start, stop
        Part to play in recorded seconds; None for all.
    names
        Name of the stream for each item played; None for `stream_names`.

    Raises
    ------
    InputError
        If the speed or the chunk is not more than 0, or the part to play is empty.
    """

    speed: float = 1.0
    chunk: float = 0.005
    start: float | None = None
    stop: float | None = None
    names: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise InputError(f"the speed of a replay must be more than 0, got {self.speed:g}")
        if not 0 < self.chunk < math.inf:
            raise InputError(f"the chunks of a replay must be more than 0 seconds long, got {self.chunk:g}")
        for name, moment in (("start", self.start), ("stop", self.stop)):
            if moment is not None and not math.isfinite(moment):
                raise InputError(f"the {name} of a replay must be a time in seconds, got {moment:g}")
        if self.start is not None and self.stop is not None and self.start >= self.stop:
            raise InputError(f"a replay must start before it stops, got {self.start:g} s and {self.stop:g} s")


@dataclass(frozen=True, eq=False)
class _Track:
    """One item of a recording, in order of time.

    Parameters
    ----------
    name, kind, times, values, labels
        As of a `Chunk`.
    pauses
        Of spikes, when units were not recorded.
    silent
        Of spikes, bounds outside of which nobody knows whether there were none; seconds.
    unit, rate
        Of samples, "" and None where they are not known; hertz.
    """

    name: str
    kind: ChunkKind
    times: Float64[np.ndarray, " samples"]
    values: Shaped[np.ndarray, "samples *channels"]
    labels: tuple[str, ...]
    pauses: "_Pauses | None" = None
    silent: tuple[float, float] = (-math.inf, math.inf)
    unit: str = ""
    rate: float | None = None

    def between(self, start: float, stop: float, offset: float) -> Chunk:
        """What lies in ``start <= time < stop``; spikes are complete up to the end where that is known."""
        first, last = np.searchsorted(self.times, [cut(start), cut(stop)])
        known = self.kind is ChunkKind.SPIKES and self.silent[0] < stop <= self.silent[1]
        return Chunk(
            self.name,
            self.times[first:last] + offset,
            self.values[first:last],
            self.kind,
            stop + offset if known else None,
            self.labels,
            unrecorded=() if self.pauses is None else self.pauses.between(start, stop, offset),
        )


class _Pauses:
    """When the units of a recording were not recorded, to be looked up part by part.

    Parameters
    ----------
    supports
        When each unit was recorded; what is not stated is not a pause.
    """

    def __init__(self, supports: Sequence[TimeSupport]) -> None:
        alike = len(set(supports)) == 1
        rows = [(-1, supports[0].gaps())] if alike else [(row, one.gaps()) for row, one in enumerate(supports)]
        units = np.repeat([row for row, _ in rows], [len(gaps) for _, gaps in rows])
        starts = np.concatenate([gaps.starts for _, gaps in rows])
        order = np.argsort(starts, kind="stable")
        self._units, self._starts = units[order], starts[order]
        self._stops = np.concatenate([gaps.stops for _, gaps in rows])[order]
        self._reached = np.maximum.accumulate(self._stops)

    def between(self, start: float, stop: float, offset: float) -> tuple[tuple[int, float, float], ...]:
        """Row of the unit (-1 for all), begin and end of what lies in a part; seconds, the offset added."""
        part = slice(self._reached.searchsorted(start, side="right"), self._starts.searchsorted(stop))
        begins, ends = np.maximum(self._starts[part], start), np.minimum(self._stops[part], stop)
        rows = zip(self._units[part].tolist(), (begins + offset).tolist(), (ends + offset).tolist(), strict=True)
        return tuple((unit, begin, end) for unit, begin, end in rows if begin < end)


class FileReplay:
    """Play a recording: every chunk comes when its last sample would have been taken.

    What was not recorded is not played as silence: spikes say in which stretches units were not recorded
    (``Chunk.unrecorded``), and samples in the recording's invalid times are NaN.

    Parameters
    ----------
    recording
        Its units and fields are played.
    options
        Speed, part and names.
    live
        Stamp the data with the time they are played at, on the clock below, and not with the recorded time.
    clock, sleep
        Seconds that pass; given by tests.

    Raises
    ------
    InputError
        If there is nothing to play, or an unknown item is named.
    """

    def __init__(
        self,
        recording: Recording,
        options: ReplayOptions | None = None,
        *,
        live: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options or ReplayOptions()
        names = stream_names(recording) if self._options.names is None else self._options.names
        self._tracks = _tracks(without_invalid_times(recording), names)
        self._clock, self._sleep = clock, sleep
        start, stop = self._options.start, self._options.stop
        self._start = float(min(track.times[0] for track in self._tracks) if start is None else start)
        self._stop = float(max(track.times[-1] for track in self._tracks) if stop is None else stop)
        self._position = 0
        self._begun: float | None = None
        self._live = live

    @property
    def start(self) -> float:
        """Recorded time at which the replay begins, seconds."""
        return self._start

    @property
    def seconds(self) -> float:
        """Recorded seconds that are played."""
        return self._stop - self._start

    @property
    def played(self) -> float:
        """Recorded seconds played so far."""
        return min(self._position * self._options.chunk, self.seconds)

    def first_chunks(self) -> list[Chunk]:
        """One empty chunk per stream: what will come, before it does."""
        return [
            Chunk(track.name, track.times[:0], track.values[:0], track.kind, labels=track.labels)
            for track in self._tracks
        ]

    def hello(self) -> Hello:
        """What there is to say of the streams before they begin: names, kinds, labels, units, rates."""
        return Hello(
            tuple(
                StreamInfo(one.name, one.kind, () if one.kind is ChunkKind.MARKERS else one.labels, one.unit, one.rate)
                for one in self._tracks
            )
        )

    def read(self, timeout: float) -> list[Chunk]:
        """Return what is due by now; the first read starts the clock.

        Raises
        ------
        EndOfStream
            After the last sample.
        """
        if self._begun is None:
            self._begun = self._clock()
        first, chunk = self._position, self._options.chunk
        if self._over(self._start + first * chunk):
            raise EndOfStream
        due = self._due(timeout)
        if due <= first:
            return []
        self._position = due
        start, stop = self._start + first * chunk, self._start + due * chunk
        if self._options.stop is not None:
            stop = min(stop, self._stop)
        offset = self._begun - self._start if self._live else 0.0
        chunks = [track.between(start, stop, offset) for track in self._tracks]
        return [chunk for chunk in chunks if len(chunk.times) or chunk.until is not None]

    def _over(self, moment: float) -> bool:
        """Whether nothing is left to play: the last sample is played, one on a stop that was asked for is not."""
        return cut(moment) > self._stop if self._options.stop is None else moment >= cut(self._stop)

    def close(self) -> None:
        """Do nothing: the file has been read."""

    def _due(self, timeout: float) -> int:
        """Index of the chunk that is being recorded, after waiting for the next to be whole."""
        assert self._begun is not None
        if math.isinf(self._options.speed):
            return self._position + 1
        per_chunk = self._options.chunk / self._options.speed
        wait = self._begun + (self._position + 1) * per_chunk - self._clock()
        if wait > 0:
            self._sleep(min(wait, timeout))
        # A hair of slack: a sleep may end a rounding error early.
        return math.floor((self._clock() - self._begun) / per_chunk + 1e-6)


def stream_names(recording: Recording) -> dict[str, str]:
    """Name of the stream of each group of units and each field.

    As ``neurodyn decode`` calls modalities: 'spikes' or 'field' for the only one of its kind, else the item's own name.
    """
    names = {}
    for kind, items in (("spikes", {**recording.spikes, **recording.counts}), ("field", recording.fields)):
        names |= {item: kind if len(items) == 1 else item for item in items}
    return names


def _tracks(recording: Recording, names: Mapping[str, str]) -> list[_Track]:
    tracks = []
    for item, name in names.items():
        if item in recording.spikes:
            tracks.append(_spike_track(name, recording, recording.spikes[item]))
        elif item in recording.counts:
            tracks.append(_counts_track(name, recording.counts[item]))
        elif item in recording.fields:
            signal = recording.fields[item]
            times, values = np.asarray(signal.times, np.float64), np.asarray(signal.values)
            rate = signal.typical_rate
            known = {"unit": signal.unit, "rate": rate if math.isfinite(rate) else None}
            values = labelled(values, signal.channels)
            tracks.append(_Track(name, ChunkKind.SAMPLES, times, values, signal.channels, **known))
        elif item in recording.intervals:
            tracks.append(_marker_track(name, recording.intervals[item]))
        else:
            recording.check_usable(item)
            kinds = (recording.spikes, recording.counts, recording.fields, recording.intervals)
            raise unknown_name("units, field or intervals", item, {name for kind in kinds for name in kind})
    tracks = [track for track in tracks if len(track.times)]
    if not tracks:
        raise InputError(f"recording '{recording.name}' has no spikes and no field to play")
    return tracks


def _spike_track(name: str, recording: Recording, trains: SpikeTrains) -> _Track:
    times = np.concatenate([np.zeros(0), *trains.times])
    units = np.repeat(np.arange(trains.n_units, dtype=np.int32), [train.size for train in trains.times])
    order = np.argsort(times, kind="stable")
    pauses = None if trains.support is None else _Pauses(trains.unit_supports)
    return _Track(
        name,
        ChunkKind.SPIKES,
        times[order],
        labelled(units[order], trains.units),
        trains.units,
        pauses=pauses,
        silent=silent_ends(recording, trains),
    )


def _marker_track(name: str, table: Intervals) -> _Track:
    """A marker at the begin of each interval: its label."""
    order = np.argsort(table.starts, kind="stable").tolist()
    chunk = Chunk.of_markers(name, [(float(table.starts[row]), table.labels[row]) for row in order])
    return _Track(name, ChunkKind.MARKERS, chunk.times, chunk.values, chunk.labels or ())


def _counts_track(name: str, counts: BinnedCounts) -> _Track:
    """Counts as spikes in the middle of their bins, so that bins of their width count them again."""
    missing = np.isnan(counts.values)
    number = np.where(missing, 0, counts.values).astype(np.int64)
    begins = counts.start + counts.width * np.arange(counts.n_bins + 1)
    times = np.repeat(begins[:-1] + 0.5 * counts.width, number.sum(axis=1))
    units = np.repeat(np.tile(np.arange(counts.n_units, dtype=np.int32), counts.n_bins), number.ravel())
    known = [TimeSupport(begins[:-1][~column], begins[1:][~column]) for column in missing.T]
    pauses = _Pauses(shared(known)) if missing.any() else None
    return _Track(name, ChunkKind.SPIKES, times, labelled(units, counts.units), counts.units, pauses)


def _replay(address: Address) -> FileReplay:
    numbers = {name: _number(name, text) for name, text in address.options.items() if name != "new"}
    options = ReplayOptions(speed=numbers.get("speed", 1.0), start=numbers.get("start"), stop=numbers.get("stop"))
    return FileReplay(read_recording(Path(address.name)), options)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"expected a number for '{name}' of file://, got '{text}'") from None


SCHEME = Scheme(
    "file",
    "file://session.nwb?speed=2",
    source=_replay,
    sink=lambda address: JsonLinesSink(address.name, fresh="new" in address.options),
    options=frozenset(("speed", "start", "stop", "new")),
    live=False,
)
