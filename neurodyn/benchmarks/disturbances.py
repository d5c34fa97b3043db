"""What can go wrong in a session: streams lost, repeated, in disorder, with stamps or values that cannot be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurodyn.benchmarks.rig import Fault, between
from neurodyn.binning.modality import Modality
from neurodyn.realtime import RealtimeDecoder
from neurodyn.realtime.clock import end_of, shift_times
from neurodyn.realtime.streams import Chunk


@dataclass(frozen=True)
class Sizes:
    """What is played, and where it is disturbed.

    Parameters
    ----------
    seconds
        Length of the replay, the last part of the recording.
    begin
        Of the disturbance, seconds after the begin of the replay.
    chunk
        Seconds of data per chunk.
    simulated
        Seconds of the simulated recording that a decoder is fitted to, where none is given.
    epochs
        Of that fit.
    seed
        Of everything random.
    """

    seconds: float = 40.0
    begin: float = 15.0
    chunk: float = 0.02
    simulated: float = 240.0
    epochs: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Disturbance:
    """One thing that goes wrong.

    Parameters
    ----------
    name, size
        What, and how much of it.
    fault
        Does it.
    seconds
        How long it lasts.
    moved
        Seconds that the stamps of all streams are ahead from then on.
    """

    name: str
    size: str
    fault: Fault
    seconds: float
    moved: float = 0.0


def disturbances(modalities: Sequence[Modality], decoder: RealtimeDecoder, sizes: Sizes) -> list[Disturbance]:
    """Everything that is tried on a decoder.

    Parameters
    ----------
    modalities, decoder
        Whose streams are disturbed.
    sizes
        When, and the seed.
    """
    rng = np.random.default_rng(sizes.seed)
    found: list[Disturbance] = []

    def add(name: str, size: str, seconds: float, fault: Fault, moved: float = 0.0) -> None:
        found.append(Disturbance(name, size, fault, seconds, moved))

    def during(name: str, seconds: float, change: Callable[[Chunk], Chunk | None]) -> Fault:
        return between(name, sizes.begin, sizes.begin + seconds, change)

    for seconds in (0.5, 2.0):
        for row in modalities:
            add(f"{row.name} lost", f"{seconds:g} s", seconds, during(row.name, seconds, lambda _: None))
        add("everything lost", f"{seconds:g} s", seconds, during("", seconds, lambda _: None))
        add("stall, then all at once", f"{seconds:g} s", seconds, _held_up(sizes.begin, seconds))
    add("every chunk twice", "2 s", 2.0, _repeated(sizes.begin, 2.0))
    add("chunks in disorder", "up to 20 ms", 2.0, _in_disorder(sizes.begin, 2.0, rng))
    for row in modalities:
        add(f"one stamp of {row.name} ahead", "20 s", sizes.chunk, _one_stamp(row.name, sizes.begin, 20.0))
        add(f"clock of {row.name} ahead", "5 s, for 2 s", 2.0, during(row.name, 2.0, lambda c: shift_times(c, 5.0)))
        add(f"clock of {row.name} behind", "5 s, for 2 s", 2.0, during(row.name, 2.0, lambda c: shift_times(c, -5.0)))
        add(f"clock of {row.name} slow", "10 ms/s, for 5 s", 5.0, _slow(row.name, sizes.begin, 5.0, 0.01))
        add(f"stamps of {row.name} not a number", "1 s", 1.0, during(row.name, 1.0, _without_stamps))
    add("all clocks jump", "10 s", 1.0, between("", sizes.begin, np.inf, lambda c: shift_times(c, 10.0)), moved=10.0)
    add("all clocks jump", "1 h", 1.0, between("", sizes.begin, np.inf, lambda c: shift_times(c, 3600.0)))
    for row in modalities:
        far = _far(row, decoder.limits)
        if row.counts:
            add(f"one unit of {row.name} bursts", "200 in a bin", 1.0, during(row.name, 1.0, _burst))
            add(f"units of {row.name} that are not there", "1 s", 1.0, during(row.name, 1.0, _of_strangers))
        else:
            add(f"{row.name} far beyond", f"{far:.3g}", 1.0, during(row.name, 1.0, lambda c, v=far: _filled(c, v)))
            add(f"{row.name} not a number", "1 s", 1.0, during(row.name, 1.0, lambda c: _filled(c, np.nan)))
            add(f"{row.name} with a channel too many", "1 s", 1.0, during(row.name, 1.0, _widened))
            add(f"one channel of {row.name} not a number", "2 s", 2.0, during(row.name, 2.0, _one_channel_lost))
            for share in (0.2, 0.5):
                uneven = during(row.name, 2.0, lambda c, share=share: _jittered(c, share, rng))
                add(f"stamps of {row.name} uneven", f"{share:g} periods", 2.0, uneven)
            add(f"samples of {row.name} stamped by packet", "2 s", 2.0, during(row.name, 2.0, _by_packet))
            add(f"sender of {row.name} held up", "20 ms, each 200", 2.0, _stamped_late(row.name, sizes.begin, 2.0))
    add("a stream nobody asked for", "2 s", 2.0, _stranger(sizes.begin, 2.0))
    add("the source fails", "0.5 s", 0.5, _failing(sizes.begin, 0.5))
    return found


def _held_up(begin: float, seconds: float) -> Fault:
    held: list[Chunk] = []

    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        if begin < played <= begin + seconds:
            held.extend(chunks)
            return []
        out, held[:] = [*held, *chunks], []
        return out

    return fault


def _repeated(begin: float, seconds: float) -> Fault:
    return lambda chunks, played: [*chunks, *chunks] if begin < played <= begin + seconds else chunks


def _in_disorder(begin: float, seconds: float, rng: np.random.Generator) -> Fault:
    """Each chunk at random with the one read after it, so late by one chunk at most."""
    held: list[Chunk] = []

    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        if not begin < played <= begin + seconds:
            out, held[:] = [*held, *chunks], []
            return out
        if not chunks:  # a look in between: what is held waits for the next chunks
            return []
        late = rng.random(len(chunks)) < 0.5
        out = [*(c for c, wait in zip(chunks, late, strict=True) if not wait), *held]
        held[:] = [c for c, wait in zip(chunks, late, strict=True) if wait]
        return out

    return fault


def _one_stamp(name: str, begin: float, ahead: float) -> Fault:
    done: list[bool] = []

    def change(chunk: Chunk) -> Chunk:
        if done or not len(chunk.times):
            return chunk
        done.append(True)
        times = chunk.times.copy()
        times[-1] += ahead
        until = None if chunk.until is None else chunk.until + ahead
        return replace(chunk, times=times, until=until)

    return between(name, begin, begin + 1.0, change)


def _burst(chunk: Chunk) -> Chunk:
    """Two hundred spikes of the first unit more, at the end of the chunk."""
    end = end_of(chunk)
    if not np.isfinite(end):
        return chunk
    times = np.concatenate([chunk.times, end - 1e-3 - 1e-6 * np.arange(200)])
    units = np.concatenate([chunk.values, np.zeros(200, chunk.values.dtype)])
    order = np.argsort(times)
    return replace(chunk, times=times[order], values=units[order])


def _far(row: Modality, limits: Mapping[str, np.ndarray]) -> float:
    """A value ten times as far from zero as the largest that is a measurement."""
    return 1e6 if row.name not in limits else 10.0 * float(np.max(np.abs(limits[row.name])))


def _filled(chunk: Chunk, value: float) -> Chunk:
    return replace(chunk, values=np.full(chunk.values.shape, value))


def _widened(chunk: Chunk) -> Chunk:
    values = np.concatenate([chunk.values, chunk.values[:, :1]], axis=1)
    return replace(chunk, values=values, labels=None)


def _without_stamps(chunk: Chunk) -> Chunk:
    return replace(chunk, times=np.full(chunk.times.shape, np.nan), until=None)


def _of_strangers(chunk: Chunk) -> Chunk:
    return replace(chunk, values=chunk.values + 10_000)


def _one_channel_lost(chunk: Chunk) -> Chunk:
    values = np.array(chunk.values, np.float64)
    values[:, 0] = np.nan
    return replace(chunk, values=values)


def _slow(name: str, begin: float, seconds: float, drift: float) -> Fault:
    """Stamps fall behind, by so many seconds a second."""

    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        if not begin < played <= begin + seconds:
            return chunks
        return [shift_times(c, -drift * (played - begin)) if c.name == name else c for c in chunks]

    return fault


def _jittered(chunk: Chunk, share: float, rng: np.random.Generator) -> Chunk:
    if len(chunk.times) < 2:
        return chunk
    period = float(np.median(np.diff(chunk.times)))
    return replace(chunk, times=np.sort(chunk.times + rng.normal(0, share * period, len(chunk.times))))


def _by_packet(chunk: Chunk) -> Chunk:
    """All samples of a chunk carry the stamp of the last."""
    return replace(chunk, times=np.full(chunk.times.shape, chunk.times.max(initial=-np.inf)))


def _stamped_late(name: str, begin: float, seconds: float) -> Fault:
    """Samples are stamped when they are sent, and one time in ten the sender is held up for a chunk."""
    held: list[Chunk] = []
    sent = [0]

    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        mine = [c for c in chunks if c.name == name and len(c.times)]
        if not mine or not begin < played <= begin + seconds:
            out, held[:] = [*held, *chunks], []
            return out
        sent[0] += len(mine)
        out = [c for c in chunks if c.name != name]
        held.extend(mine)
        if sent[0] % 10 == 0:
            return out
        last = held[-1].times[-1]
        for chunk in held:
            late = last + 2e-5 * np.arange(len(chunk.times))
            last = float(late[-1])
            out.append(replace(chunk, times=late))
        held.clear()
        return out

    return fault


def _stranger(begin: float, seconds: float) -> Fault:
    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        if not (chunks and begin < played <= begin + seconds):
            return chunks
        return [*chunks, Chunk("nobody", chunks[0].times[:1], np.ones((len(chunks[0].times[:1]), 3)))]

    return fault


def _failing(begin: float, seconds: float) -> Fault:
    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        if begin < played <= begin + seconds:
            raise OSError("the cable was pulled")
        return chunks

    return fault
