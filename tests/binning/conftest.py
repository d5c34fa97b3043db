"""Small recordings and batches with known content."""

import numpy as np
import pytest

from neurodyn.binning import MultimodalBatch
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def recording(rng):
    """60 s: four units, a 500 Hz field of two channels, position at 50 Hz on a circle, head direction."""
    time = np.arange(3000) / 50
    circle = np.stack([np.cos(time), np.sin(time)], axis=1)
    trains = tuple(np.sort(rng.uniform(0, 60, 400)) for _ in range(4))
    return Recording(
        "made",
        spikes={"spikes": SpikeTrains("spikes", trains, ("a", "b", "c", "d"))},
        fields={"lfp": Signal("lfp", rng.normal(size=(30_000, 2)), rate=500.0, channels=("ca1", "mec"))},
        behaviour={
            "position": Signal("position", circle, rate=50.0, channels=("x", "y"), unit="m"),
            "head_angle": Signal("head_angle", np.rad2deg(time)[:, None] % 360, rate=50.0, unit="degrees"),
            "lick": Signal("lick", time[:, None], rate=50.0),
        },
        intervals={
            "trials": Intervals("trials", np.array([30.0, 5.0, 11.0]), np.array([37.0, 10.0, 20.005])),
            "epochs": Intervals("epochs", np.array([0.0, 20.0]), np.array([20.0, 50.0]), ("rest", "task")),
        },
    )


@pytest.fixture
def make_batch(rng):
    """Batch of random counts and field on a timeline cut into trials of the given lengths."""

    def make(lengths=(30, 50, 20), missing=0.2, width=0.1):
        longest, n = max(lengths), len(lengths)
        spikes = rng.poisson(2.0, (n, longest, 3)).astype(float)
        field = rng.normal(3.0, 2.0, (n, longest, 2))
        field[rng.random(field.shape) < missing] = np.nan
        target = rng.normal(1.0, 4.0, (n, longest, 2))
        target[rng.random((n, longest)) < missing] = np.nan
        return MultimodalBatch.from_arrays(
            {"spikes": spikes, "field": field},
            width=width,
            likelihoods={"spikes": "poisson", "field": "gaussian"},
            target=target,
            target_names=("x", "y"),
            lengths=lengths,
        )

    return make
