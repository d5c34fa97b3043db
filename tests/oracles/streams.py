"""Small chunks and estimates that the tests of streams share, and waiting with a limit."""

import time
from collections.abc import Callable

import numpy as np

from neurodyn.realtime import LiveEstimate
from neurodyn.realtime.streams import Chunk, ChunkKind, EndOfStream, Source

LIMIT = 10.0
"""Seconds after which a test gives up waiting."""


def samples(name: str = "field", start: float = 1.0, n: int = 5, channels: int = 3) -> Chunk:
    """Samples at 1 kHz that no other chunk has, one of them missing."""
    values = start + np.arange(n * channels, dtype=float).reshape(n, channels)
    values[0, -1] = np.nan
    return Chunk(name, start + np.arange(n) / 1000, values, labels=tuple("αbcdefgh"[:channels]))


def spikes(name: str = "spikes", start: float = 1.0, units: tuple[int, ...] = (2, 0, 2)) -> Chunk:
    """A spike per millisecond, and then nothing up to ten."""
    times = start + np.arange(len(units)) / 1000
    return Chunk(name, times, np.array(units, np.int32), ChunkKind.SPIKES, start + 0.01, ("3", "7", "15"))


def paused(name: str = "spikes", start: float = 1.0) -> Chunk:
    """Two spikes, a pause of all units and one of unit 1."""
    times, units = start + np.array([0.001, 0.009]), np.array([2, 0], np.int32)
    pauses = ((-1, start + 0.002, start + 0.004), (1, start + 0.003, start + 0.0085))
    return Chunk(name, times, units, ChunkKind.SPIKES, start + 0.01, unrecorded=pauses)


def markers(name: str = "trials") -> Chunk:
    """Three markers, two of one text, none of them plain ASCII."""
    return Chunk.of_markers(name, [(1.0, "début"), (1.5, "left ←"), (2.25, "début")])


def estimate(time: float = 0.5) -> LiveEstimate:
    """An estimate whose every number says where it stands."""
    template = dict.fromkeys(LiveEstimate._fields)
    known = {
        "time": time,
        "latent": np.arange(2.0),
        "covariance": np.array([[1.0, 0.5], [0.5, 2.0]]),
        "rates": {"spikes": np.arange(4.0)},
        "target": np.array([time, 1.0]),
        "lower": np.array([time - 1, 0.0]),
        "upper": np.array([time + 1, 2.0]),
        "seen": ("spikes",),
        "microseconds": 50.0,
        "stale": (),
        "unusual": (),
    }
    return LiveEstimate(**{**template, **known})


def drain(source: Source, enough: Callable[[list[Chunk]], bool]) -> list[Chunk]:
    """Read until there is enough, or the source ends, or the limit is reached."""
    chunks: list[Chunk] = []
    deadline = time.monotonic() + LIMIT
    while not enough(chunks) and time.monotonic() < deadline:
        try:
            chunks += source.read(0.05)
        except EndOfStream:
            break
    return chunks


def joined(chunks: list[Chunk], name: str) -> Chunk:
    """All of one stream in one chunk."""
    own = [chunk for chunk in chunks if chunk.name == name]
    assert own, f"nothing of '{name}' has come"
    times, values = (np.concatenate([getattr(chunk, part) for chunk in own]) for part in ("times", "values"))
    pauses = tuple(pause for chunk in own for pause in chunk.unrecorded)
    return Chunk(name, times, values, own[0].kind, own[-1].until, own[0].labels, unrecorded=pauses)


def count(name: str, n: int) -> Callable[[list[Chunk]], bool]:
    """Whether ``n`` samples or spikes of a stream have come."""
    return lambda chunks: sum(len(chunk.times) for chunk in chunks if chunk.name == name) >= n


def same(got: Chunk, sent: Chunk) -> None:
    """Assert that a chunk has arrived as it was sent."""
    assert (got.name, got.kind, got.until, got.labels) == (sent.name, sent.kind, sent.until, sent.labels)
    assert sorted(got.unrecorded) == sorted(sent.unrecorded)
    np.testing.assert_array_equal(got.times, sent.times)
    np.testing.assert_array_equal(got.values, sent.values)
