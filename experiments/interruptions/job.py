"""Work that is to be interrupted, in a process of its own; started again with the same words until it is done.

Each kind of work is a function of a folder and a number of rounds. It goes on from what it finds in the folder, and
returns what it found once it is done, or None if it was asked to stop.
"""

import hashlib
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np

# Imported here and not where they are used: the process that forks the others has them then.
from neurodyn import emulation, multiscale
from neurodyn.benchmarks.realtime import Session, untrained
from neurodyn.markov import linear_chain
from neurodyn.realtime import EventLog, RealtimeDecoder
from neurodyn.realtime.clock import ReplayClock
from neurodyn.realtime.events import EventKind
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.service import ServiceOptions, SessionParts, make_service
from neurodyn.realtime.streams import Chunk, ChunkKind, EndOfStream
from neurodyn.realtime.writers import SnapshotFile
from neurodyn.simulation import LorenzSettings, simulate_lorenz
from neurodyn.writing import write_text

INTERRUPTED, DISK_WAS_FULL = 130, 28
LOG = "log.txt"
"""What the process had to say, tracebacks of interruptions included."""
RESULT = "result.json"
FILE_LIMIT = 4096
"""Bytes that a file may have on the disk that is full; a checkpoint has many more."""
SEEDS = (0, 1, 2)
"""Of the networks of a sweep."""
BINS_PER_ROUND = 12
PAUSE = 0.002
"""Seconds between bins of a decoder that serves, so that there is a moment to be interrupted at."""


def work(name: str, folder: Path, rounds: int, sabotage: tuple[str, int], saving: Event) -> None:
    """Do one kind of work, and write what it found once it is done.

    Parameters
    ----------
    name
        One of `WORKS`.
    folder
        For all its files.
    rounds
        Epochs, or stretches of bins.
    sabotage
        ``("crash", n)`` ends the process in the middle of the n-th write of a checkpoint, ``("full disk", n)`` lets no
        file grow after it; any other word does nothing.
    saving
        Set when the first checkpoint is being written.
    """
    os.dup2(os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno())
    # A shell that starts this in the background has Ctrl-C ignored, here too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _watch_saves(sabotage, saving)
    found = WORKS[name](folder, rounds)
    if found is None:
        sys.exit(INTERRUPTED)
    write_text(folder / RESULT, json.dumps(found))


def train(folder: Path, epochs: int) -> dict[str, Any] | None:
    """Train a small decoder with a checkpoint per epoch."""
    batch = simulate_lorenz(LorenzSettings(n_trials=16, seconds=0.4, spike_channels=4, field_channels=3), seed=1)
    decoder = multiscale.MultiscaleDecoder(
        latent=4, encoder=(8,), decoder=(8,), fusion=(8,), memory=(0.02, 0.5), recurrent=None,
        objective=multiscale.ObjectiveConfig(horizons=(0, 1), latent_smoothness=1.0),
        training=multiscale.TrainingConfig(
            epochs=epochs, batch=8, half_cycle=5, validate_every=1, patience=10 * epochs
        ),
        progress=False,
    )  # fmt: skip
    fitted = decoder.fit(batch, checkpoint=folder / "run.h5")
    assert fitted.fitted_ is not None
    if fitted.fitted_.status == "interrupted":
        return None
    fitted.save(folder / "model")
    settings = json.loads((folder / "model" / "model.json").read_text())
    return {key: settings[key] for key in ("sha256", "history", "status")}


def sweep(folder: Path, epochs: int) -> dict[str, Any] | None:
    """Train small networks that emulate a hidden Markov model, one seed after the other, each in its folder."""
    found = {}
    for seed in SEEDS:
        training = emulation.TrainingConfig(
            objective=emulation.Objective.ENERGY, sequences=192, batch=32, epochs=epochs // len(SEEDS), validation=32,
            validate_every=1, snapshot_every=10, seed=seed,
        )  # fmt: skip
        emulator = emulation.HmmEmulator(hidden=24, inputs=6, training=training, progress=False)
        fitted = emulator.fit(linear_chain(2), directory=folder / f"seed{seed}").fitted_
        assert fitted is not None
        if fitted.status == "interrupted":
            return None
        found[str(seed)] = {"sha256": _checksum(fitted.parameters), "loss": fitted.history.loss}
    return found


def serve(folder: Path, rounds: int) -> dict[str, Any] | None:
    """Decode data as `neurodyn serve --snapshot` does, from the bin after the last snapshot on."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    export = folder / "decoder.npz"
    if not export.exists():
        untrained(Session(spikes=6, field=4, latent=16)).save(export)
    decoder = RealtimeDecoder.load(export)
    rows, log = modalities_of(decoder), EventLog()
    monitor = Monitor([row.name for row in rows], log)
    snapshots = SnapshotFile(folder / "state.npz", log)
    kept = snapshots.load()
    begin = 0 if kept is None else round(float(kept["time"]) / decoder.width)
    source = _Bins(begin, BINS_PER_ROUND * rounds, decoder.width)
    service = make_service(
        decoder, rows, lambda: source, [], ReplayClock(), monitor, rates={"field": _Bins.RATE},
        parts=SessionParts(snapshots=snapshots), options=ServiceOptions(snapshot_every=5 * decoder.width),
    )  # fmt: skip
    service.run(stop)
    if EventKind.SINK_STALLED in log.counts():
        sys.exit(DISK_WAS_FULL)
    return None if stop.is_set() else {"state": decoder.predict_ahead(1).target.tolist()}


class _Bins:
    """A source of spikes and field samples, the same in every run, a bin at a time from one of them on."""

    RATE = 1000.0

    def __init__(self, begin: int, end: int, width: float) -> None:
        self._index, self._end, self._width = begin, end, width

    def read(self, timeout: float) -> list[Any]:
        """Return the next bin."""
        if self._index >= self._end:
            raise EndOfStream
        time.sleep(PAUSE)
        rng, start = np.random.default_rng(self._index), self._index * self._width
        self._index += 1
        times = start + self._width * np.sort(rng.random(5))
        samples = round(self.RATE * self._width)
        field = Chunk("field", start + np.arange(samples) / self.RATE, rng.normal(size=(samples, 4)))
        units = rng.integers(6, size=5).astype(np.int32)
        return [field, Chunk("spikes", times, units, ChunkKind.SPIKES, until=self._index * self._width)]

    def close(self) -> None:
        """Nothing to let go of."""


WORKS: Mapping[str, Callable[[Path, int], dict[str, Any] | None]] = {"training": train, "sweep": sweep, "serve": serve}


def _checksum(parameters: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(parameters):
        digest.update(np.asarray(parameters[name]).tobytes())
    return digest.hexdigest()


def _watch_saves(sabotage: tuple[str, int], saving: Event) -> None:
    """Count the checkpoints as they are flushed to the disk, and do harm at the one that was asked for."""
    kind, when = sabotage
    flush, count = os.fsync, 0

    def watched(handle: int) -> None:
        nonlocal count
        count += 1
        saving.set()
        if kind == "crash" and count == when:
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os._exit(1)
        if kind == "full disk" and count == when:
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
        flush(handle)

    os.fsync = watched
