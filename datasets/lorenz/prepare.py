"""Stochastic Lorenz attractor seen through spikes and a slower field: simulated, so nothing is downloaded.

python -m datasets.lorenz.prepare --out data --seed 0
"""

import argparse
import sys

import numpy as np

from datasets.command import run
from neurodyn.binning import MultimodalBatch
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.simulation import LorenzSettings, simulate_lorenz


def convert(batch: MultimodalBatch) -> Recording:
    """Recording in seconds that bins back into this batch's counts, field samples and target.

    Parameters
    ----------
    batch
        As `simulate_lorenz` makes it: trials end to end.

    Returns
    -------
    Recording
        Spikes evenly inside the bin that counts them, a sample of the field in the middle of its window, the state at
        the end of each bin, and the trials. Missing counts have no spikes: that a unit was not seen is lost, as it
        would be in a file of spike times.
    """
    begin = batch.time - batch.width
    names = {row.name: row for row in batch.modalities}
    trains = tuple(_spikes(column, begin, batch.width) for column in batch.observations["spikes"].T)
    sample_every = names["field"].sample_every
    step = np.arange(len(batch.time)) - np.repeat(batch.starts, batch.lengths)
    sampled = step % sample_every == sample_every - 1
    middle = (batch.time - sample_every * batch.width / 2)[sampled]
    values = np.where(batch.observed["field"], batch.observations["field"], np.nan)[sampled]
    field = Signal("field", values, timestamps=middle, channels=names["field"].channels)
    target = np.where(batch.target_observed[:, None], batch.target, np.nan)
    ends = begin[batch.starts + batch.lengths - 1] + batch.width
    return Recording(
        "lorenz",
        spikes={"spikes": SpikeTrains("spikes", trains, names["spikes"].channels)},
        fields={"field": field},
        behaviour={
            "state": Signal(
                "state", target, rate=1.0 / batch.width, start=float(batch.time[0]), channels=batch.target_names
            )
        },
        intervals={"trials": Intervals("trials", begin[batch.starts], ends)},
    )


def _spikes(counts: np.ndarray, begin: np.ndarray, width: float) -> np.ndarray:
    """Times of so many spikes in each bin, evenly inside it."""
    counts = counts.astype(int)
    bins = np.repeat(np.arange(len(counts)), counts)
    order = np.arange(len(bins)) - np.repeat(np.cumsum(counts) - counts, counts)
    return begin[bins] + width * (order + 1) / (counts[bins] + 1)


def prepare(given: argparse.Namespace) -> list[tuple[str, Recording]]:
    """Simulate and convert."""
    batch = simulate_lorenz(LorenzSettings(n_trials=given.trials), seed=given.seed)
    return [(f"lorenz_seed{given.seed}", convert(batch))]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this data set."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=LorenzSettings.n_trials)


if __name__ == "__main__":
    sys.exit(run(__doc__, prepare, add_options))
