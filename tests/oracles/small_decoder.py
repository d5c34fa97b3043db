"""The smallest fits and batches that the tests of the estimator, the command line and real time can share."""

import numpy as np

from neurodyn.binning import MultimodalBatch
from neurodyn.multiscale import MultiscaleDecoder, ObjectiveConfig, TrainingConfig
from neurodyn.recurrent import RecurrentConfig
from neurodyn.simulation import LorenzSettings, simulate_lorenz

SMALL_NETWORK = RecurrentConfig(hidden=6, members=2, window=25, batch=8, validate_every=20, steps=40)


def small_decoder(*, epochs: int = 2, seed: int = 0, recurrent: bool = False, **training) -> MultiscaleDecoder:
    """Decoder of four latents that trains in seconds; with a recurrent read-out where a test is about that."""
    settings = {"batch": 8, "half_cycle": 5, "validate_every": 1, "patience": 1000, "clip": 1.0} | training
    return MultiscaleDecoder(
        latent=4,
        encoder=(8,),
        decoder=(8,),
        fusion=(8,),
        memory=(0.02, 0.5),
        recurrent=SMALL_NETWORK if recurrent else None,
        objective=ObjectiveConfig(horizons=(0, 1), latent_smoothness=1.0),
        training=TrainingConfig(epochs=epochs, seed=seed, **settings),
        progress=False,
    )


def fit_small(batch: MultimodalBatch, **settings) -> MultiscaleDecoder:
    """Fitted :func:`small_decoder`."""
    return small_decoder(**settings).fit(batch)


def lorenz() -> tuple[MultimodalBatch, MultimodalBatch]:
    """24 training and 8 test trials of 50 bins: 4 spike channels, 3 field channels sampled five times more slowly."""
    settings = LorenzSettings(n_trials=32, seconds=0.5, spike_channels=4, field_channels=3)
    batch = simulate_lorenz(settings, seed=1)
    return batch.with_trials(np.arange(24)), batch.with_trials(np.arange(24, 32))
