"""What a decoder makes of a rig that fails: a session in simulated time, disturbed in every way, next to itself.

Each disturbance begins at the same moment of a replay and lasts a second or two. The session is the real one: replay,
binner, decoder, sinks; only time is simulated. Per disturbance the table says by how much the target differs from that
of the session in which nothing happened, in the disturbed estimate's own standard deviations: in bins that carry a flag
(a modality is overdue, unusual, or not seen where it was to be), in bins that carry none, and until when.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurodyn.benchmarks.rig import Fault, SimulatedSession, between
from neurodyn.benchmarks.sizes import add_sizes, chosen
from neurodyn.benchmarks.timing import Measurement, Report, machine
from neurodyn.binning.batch import Modality
from neurodyn.errors import InputError
from neurodyn.realtime import EventLog, LiveEstimate, RealtimeDecoder
from neurodyn.realtime.clock import end_of, moved
from neurodyn.realtime.inputs import modalities_of, sampled
from neurodyn.realtime.runner import NORMAL_95
from neurodyn.realtime.streams import Chunk
from neurodyn.realtime.streams.file import stream_names
from neurodyn.recording import Recording

MOST_UNFLAGGED = 3.0
"""Standard deviations that the target may differ by in a bin without a flag."""
RECOVERED = 1.0
"""Standard deviations below which a session has recovered."""
MOST_SECONDS = 1.0
"""In which it has to."""
COLUMNS = ("flagged", "unflagged", "recovery_s", "lost", "told")


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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add one option per setting, and the decoder and recording to use instead of simulated ones."""
    texts = {
        "seconds": "of the replay", "begin": "of the disturbance in it", "chunk": "seconds of data per chunk",
        "simulated": "seconds of recording to fit to", "epochs": "of the fit", "seed": "of everything random",
    }  # fmt: skip
    add_sizes(parser, Sizes, texts)
    parser.add_argument("--model", type=Path, metavar="FILE", help="exported decoder to disturb (one is fitted)")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="recording to replay to it (simulated)")


def run(arguments: argparse.Namespace) -> Report:
    """Play the undisturbed session, then one per disturbance."""
    sizes = chosen(arguments, Sizes)
    if (arguments.model is None) != (arguments.recording is None):
        raise InputError("give both --model and --recording, or neither: a decoder hears the streams it was fitted to")
    if arguments.model is None:
        decoder, recording = simulated(sizes)
    else:
        from neurodyn.recording import read_recording

        decoder, recording = RealtimeDecoder.load(arguments.model), read_recording(arguments.recording)
    return measure(decoder, recording, sizes)


def simulated(sizes: Sizes) -> tuple[RealtimeDecoder, Recording]:
    """A small decoder of position, fitted to the first part of a simulated foraging session, and that session."""
    from neurodyn.binning import Field, Spikes, to_bins
    from neurodyn.multiscale import MultiscaleDecoder, TrainingConfig
    from neurodyn.recurrent import RecurrentConfig
    from neurodyn.simulation import ForagingSettings, simulate_foraging

    recording = simulate_foraging(ForagingSettings(seconds=sizes.simulated + sizes.seconds), seed=sizes.seed)
    modalities = [Spikes(), Field("field", "lfp", bands=None, width=0.1)]
    batch = to_bins(recording, width=0.02, modalities=modalities, target="position", interval=(0.0, sizes.simulated))
    model = MultiscaleDecoder(
        latent=8, own=8, encoder=(32,), decoder=(16,), fusion=(32,), recurrent=RecurrentConfig(hidden=32, steps=300),
        training=TrainingConfig(epochs=sizes.epochs, seed=sizes.seed), progress=False,
    )  # fmt: skip
    return model.fit(batch).realtime(), recording


def measure(decoder: RealtimeDecoder, recording: Recording, sizes: Sizes) -> Report:
    """Every disturbance of a decoder that hears a recording.

    Parameters
    ----------
    decoder
        With a target.
    recording
        Its last part is replayed.
    sizes
        How long, and where it is disturbed.

    Raises
    ------
    InputError
        If the decoder has no target, or the recording is too short.
    """
    if not decoder.target_names:
        raise InputError("the decoder has no target, whose difference could be measured: fit one with a target")
    rig = _Rig(decoder, recording, sizes, recording.stop - sizes.seconds)
    if rig.start < recording.start:
        raise InputError(
            f"the recording lasts {recording.stop - recording.start:g} s, {sizes.seconds:g} s are to be played: give"
            " fewer --seconds"
        )
    whole, seconds, _ = rig.play(None)
    if silent := [row.name for row in modalities_of(decoder) if not any(row.name in one.seen for one in whole)]:
        raise InputError(f"nothing of {', '.join(silent)} comes in the last {sizes.seconds:g} s of the recording")
    after = [estimate for estimate in whole if estimate.time > rig.start + sizes.begin]
    if len(after) < 5.0 / decoder.width:
        raise InputError(
            f"the replay has {len(after) * decoder.width:g} s after the disturbance begins, at least 5 s are needed: "
            "give more --seconds, or an earlier --begin"
        )
    rows = [Measurement("nothing", {"bins": len(whole)}, seconds)]
    for one in disturbances(modalities_of(decoder), decoder, sizes):
        found, took, log = rig.play(one.fault)
        notes = compare(whole, found, one, rig.start + sizes.begin)
        told = {str(event.kind) for event in log}
        rows.append(
            Measurement(
                one.name, {"size": one.size}, took, baseline="nothing", ratio=seconds / took,
                notes=notes | {"told": ", ".join(sorted(told)) or "nothing"},
            )
        )  # fmt: skip
    return Report("faults", tuple(rows), machine(), _targets(rows[1:]), columns=COLUMNS)


class _Rig:
    """Plays one session after another to a decoder."""

    def __init__(self, decoder: RealtimeDecoder, recording: Recording, sizes: Sizes, start: float) -> None:
        self.start, self._decoder, self._recording, self._sizes = start, decoder, recording, sizes
        self._modalities = modalities_of(decoder)
        names = {stream: item for item, stream in stream_names(recording).items()}
        if lacking := [row.name for row in self._modalities if row.name not in names]:
            heard = ", ".join(row.name for row in self._modalities)
            raise InputError(
                f"the decoder hears {heard}; a replay of '{recording.name}' has "
                f"{', '.join(names)}, and no {lacking[0]}: give the recording that it was fitted to, or one like it"
            )
        fields = {name: recording.fields[names[name]] for name in sampled(self._modalities)}
        trained = {row.name: row.rate for row in self._modalities}
        self._rates = {name: trained[name] or field.typical_rate for name, field in fields.items()}

    def play(self, fault: Fault | None) -> tuple[list[LiveEstimate], float, EventLog]:
        """Estimates of a session, how many seconds it took, and its log."""
        session = SimulatedSession(
            self._decoder, self._modalities, self._recording, rates=self._rates, fault=fault, start=self.start,
            stop=self.start + self._sizes.seconds, chunk=self._sizes.chunk,
        )  # fmt: skip
        begin = time.perf_counter()
        return session.run(), time.perf_counter() - begin, session.log


def compare(
    whole: Sequence[LiveEstimate], found: Sequence[LiveEstimate], one: Disturbance, begin: float
) -> dict[str, float | str]:
    """How a disturbed session differs from the undisturbed one.

    Parameters
    ----------
    whole, found
        Estimates of both.
    one
        What disturbed it.
    begin
        When it did, seconds.

    Returns
    -------
    dict
        Largest difference of the target in bins with a flag (``flagged``) and without (``unflagged``), in standard
        deviations of the disturbed estimate; seconds after the disturbance until the last bin that differs by more than
        one (``recovery_s``); bins that were not handed out (``lost``).
    """
    by_time = {_key(estimate.time): estimate for estimate in found}
    end = begin + one.seconds
    largest = {True: 0.0, False: 0.0}
    recovery, lost = 0.0, 0
    for expected in (estimate for estimate in whole if estimate.time > begin):
        got = by_time.get(_key(expected.time + one.moved), by_time.get(_key(expected.time)))
        if got is None:
            lost += 1
            continue
        away = float(np.max(np.abs(got.target - expected.target) / np.maximum(got.upper - got.target, 1e-12)))
        away *= NORMAL_95
        flagged = bool(got.stale or got.unusual or set(expected.seen) - set(got.seen))
        largest[flagged] = max(largest[flagged], away)
        if away > RECOVERED and expected.time > end:
            recovery = expected.time - end
    return {"flagged": largest[True], "unflagged": largest[False], "recovery_s": recovery, "lost": float(lost)}


def _key(seconds: float) -> int:
    return round(1e3 * seconds)


def _targets(rows: Sequence[Measurement]) -> dict[str, str]:
    loud = [f"{row.name}, {row.sizes['size']}" for row in rows if float(row.notes["unflagged"]) > MOST_UNFLAGGED]
    slow = [f"{row.name}, {row.sizes['size']}" for row in rows if float(row.notes["recovery_s"]) > MOST_SECONDS]
    return {
        f"no bin without a flag differs by more than {MOST_UNFLAGGED:g} deviations": _verdict(loud),
        f"recovered to {RECOVERED:g} deviation within {MOST_SECONDS:g} s": _verdict(slow),
    }


def _verdict(missed: Sequence[str]) -> str:
    return f"missed: {'; '.join(missed)}" if missed else "reached"


# What goes wrong ----------------------------------------------------------------------------------------------


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
        add(f"clock of {row.name} ahead", "5 s, for 2 s", 2.0, during(row.name, 2.0, lambda c: moved(c, 5.0)))
    add("all clocks jump", "10 s", 1.0, between("", sizes.begin, np.inf, lambda c: moved(c, 10.0)), moved=10.0)
    add("all clocks jump", "1 h", 1.0, between("", sizes.begin, np.inf, lambda c: moved(c, 3600.0)))
    for row in modalities:
        far = _far(row, decoder.limits)
        if row.counts:
            add(f"one unit of {row.name} bursts", "200 in a bin", 1.0, during(row.name, 1.0, _burst))
        else:
            add(f"{row.name} far beyond", f"{far:.3g}", 1.0, during(row.name, 1.0, lambda c, v=far: _filled(c, v)))
            add(f"{row.name} not a number", "1 s", 1.0, during(row.name, 1.0, lambda c: _filled(c, np.nan)))
            add(f"{row.name} with a channel too many", "1 s", 1.0, during(row.name, 1.0, _widened))
            uneven = during(row.name, 2.0, lambda c: _jittered(c, rng))
            add(f"stamps of {row.name} uneven", "0.2 periods", 2.0, uneven)
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


def _jittered(chunk: Chunk, rng: np.random.Generator) -> Chunk:
    if len(chunk.times) < 2:
        return chunk
    period = float(np.median(np.diff(chunk.times)))
    return replace(chunk, times=np.sort(chunk.times + rng.normal(0, 0.2 * period, len(chunk.times))))


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
