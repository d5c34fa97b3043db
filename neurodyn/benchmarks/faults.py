"""What a decoder makes of a rig that fails: a session in simulated time, disturbed in every way, next to itself.

Each disturbance begins at the same moment of a replay and lasts a second or two. The session is the real one: replay,
binner, decoder, sinks; only time is simulated. Per disturbance the table says by how much the target differs from that
of the session in which nothing happened, in the disturbed estimate's own standard deviations: in bins that carry a flag
(a modality is overdue, unusual, or not seen where it was to be), in bins that carry none, and until when.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurodyn.benchmarks.disturbances import Disturbance, Sizes, disturbances
from neurodyn.benchmarks.random_faults import at_random, compare_sessions, in_turn
from neurodyn.benchmarks.rig import Fault, SimulatedSession
from neurodyn.benchmarks.sizes import add_sizes, chosen
from neurodyn.benchmarks.timing import Measurement, Report, machine, outcome
from neurodyn.errors import InputError
from neurodyn.realtime import EventLog, LiveEstimate, RealtimeDecoder
from neurodyn.realtime.inputs import modalities_of, sampled
from neurodyn.realtime.runner import NORMAL_95
from neurodyn.realtime.streams.file import stream_names
from neurodyn.recording import Recording

MOST_UNFLAGGED = 3.0
"""Standard deviations that the target may differ by in a bin without a flag."""
RECOVERED = 1.0
"""Standard deviations below which a session has recovered."""
MOST_SECONDS = 1.0
"""In which it has to."""
RANDOM_COLUMNS = ("unflagged", "beyond", "worst", "recovery_s", "slowest", "lost", "silent")
COLUMNS = ("flagged", "unflagged", "recovery_s", "lost", "told")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add one option per setting, and the decoder and recording to use instead of simulated ones."""
    texts = {
        "seconds": "of the replay", "begin": "of the disturbance in it", "chunk": "seconds of data per chunk",
        "simulated": "seconds of recording to fit to", "epochs": "of the fit", "seed": "of everything random",
    }  # fmt: skip
    add_sizes(parser, Sizes, texts)
    parser.add_argument(
        "--random", action="store_true", help="all of them, one after another at random, in one session of --seconds"
    )
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
    return (measure_random if arguments.random else measure)(decoder, recording, sizes)


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
        latent=8, modality_state=8, encoder=(32,), decoder=(16,), fusion=(32,),
        recurrent=RecurrentConfig(hidden=32, steps=300),
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
    rig = _rig_of(decoder, recording, sizes)
    whole, seconds = _undisturbed(rig, decoder, sizes)
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


def measure_random(decoder: RealtimeDecoder, recording: Recording, sizes: Sizes) -> Report:
    """One session in which everything goes wrong, one after another at random, next to the undisturbed one.

    Parameters
    ----------
    decoder, recording
        As of `measure`.
    sizes
        How long it lasts, and the seed.

    Raises
    ------
    InputError
        As `measure`, or if nothing could happen in so short a session.
    """
    rig, rows = _rig_of(decoder, recording, sizes), modalities_of(decoder)
    course = at_random(rows, decoder, sizes)
    if not course:
        raise InputError(f"in {sizes.seconds:g} s there is no time for a disturbance: give more --seconds")
    whole, seconds = _undisturbed(rig, decoder, sizes)
    found, took, log = rig.play(in_turn(course))
    notes = compare_sessions(whole, found, course, tuple(log), rig.start)
    measured = (
        Measurement("nothing", {"bins": len(whole)}, seconds),
        Measurement(
            "everything, at random", {"bins": len(found)}, took, baseline="nothing", ratio=seconds / took, notes=notes
        ),
    )
    told = {
        "every bin is handed out": "reached" if not notes["lost"] else f"missed: {notes['lost']:.0f} were not",
        "what was lost is told": "reached" if not notes["silent"] else f"missed: {notes['silent']:.0f} bins are not",
    }
    return Report("faults", measured, machine(), _targets(measured[1:]) | told, columns=RANDOM_COLUMNS)


def _rig_of(decoder: RealtimeDecoder, recording: Recording, sizes: Sizes) -> "_Rig":
    """A rig that plays the last part of a recording."""
    if not decoder.target_names:
        raise InputError("the decoder has no target, whose difference could be measured: fit one with a target")
    rig = _Rig(decoder, recording, sizes, recording.stop - sizes.seconds)
    if rig.start < recording.start:
        raise InputError(
            f"the recording lasts {recording.stop - recording.start:g} s, {sizes.seconds:g} s are to be played: give"
            " fewer --seconds"
        )
    return rig


def _undisturbed(rig: "_Rig", decoder: RealtimeDecoder, sizes: Sizes) -> tuple[list[LiveEstimate], float]:
    """Estimates of the session in which nothing happens, and how many seconds it took."""
    whole, seconds, _ = rig.play(None)
    if silent := [row.name for row in modalities_of(decoder) if not any(row.name in one.seen for one in whole)]:
        raise InputError(f"nothing of {', '.join(silent)} comes in the last {sizes.seconds:g} s of the recording")
    return whole, seconds


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
    loud = [_title(row) for row in rows if float(row.notes["unflagged"]) > MOST_UNFLAGGED]
    slow = [_title(row) for row in rows if float(row.notes["recovery_s"]) > MOST_SECONDS]
    return {
        f"no bin without a flag differs by more than {MOST_UNFLAGGED:g} deviations": outcome(not loud, "; ".join(loud)),
        f"recovered to {RECOVERED:g} deviation within {MOST_SECONDS:g} s": outcome(not slow, "; ".join(slow)),
    }


def _title(row: Measurement) -> str:
    return ", ".join(str(part) for part in (row.name, row.sizes.get("size")) if part)
