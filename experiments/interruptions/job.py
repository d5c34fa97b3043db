"""One training that is to be interrupted, in a process of its own; started again with the same words until done."""

import os
import resource
import sys
from multiprocessing.synchronize import Event
from pathlib import Path

from neurodyn.multiscale import MultiscaleDecoder, ObjectiveConfig, TrainingConfig
from neurodyn.simulation import LorenzSettings, simulate_lorenz

INTERRUPTED = 130
LOG = "log.txt"
"""What the process had to say, tracebacks of interruptions included."""
FILE_LIMIT = 4096
"""Bytes that a file may have on the disk that is full; a checkpoint has many more."""


def train(folder: Path, epochs: int, sabotage: tuple[str, int], saving: Event) -> None:
    """Train from the checkpoint in `folder`, or from the start, and write the model once it is done.

    Parameters
    ----------
    folder
        For ``run.h5``, the checkpoint, and ``model``.
    epochs
        Of the training; each ends with a checkpoint.
    sabotage
        ``("crash", n)`` ends the process in the middle of the n-th write of a checkpoint, ``("full disk", n)`` lets no
        file grow after it; any other word does nothing.
    saving
        Set when the first checkpoint is being written.
    """
    os.dup2(os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno())
    _watch_saves(sabotage, saving)
    batch = simulate_lorenz(LorenzSettings(n_trials=16, seconds=0.4, spike_channels=4, field_channels=3), seed=1)
    decoder = MultiscaleDecoder(
        latent=4, encoder=(8,), decoder=(8,), fusion=(8,), memory=(0.02, 0.5),
        objective=ObjectiveConfig(horizons=(0, 1), latent_smoothness=1.0),
        training=TrainingConfig(epochs=epochs, batch=8, half_cycle=5, validate_every=1, patience=10 * epochs),
        progress=False,
    )  # fmt: skip
    fitted = decoder.fit(batch, checkpoint=folder / "run.h5")
    assert fitted.fitted_ is not None
    if fitted.fitted_.status == "interrupted":
        sys.exit(INTERRUPTED)
    fitted.save(folder / "model")


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
