"""A target that no linear decoder can read, and small networks for it."""

import jax
import numpy as np

from neurodyn.binning import MultimodalBatch
from neurodyn.recurrent import InputScaling, Network, RecurrentConfig
from neurodyn.recurrent.network import draw_weights

SMALL = RecurrentConfig(hidden=12, members=2, window=40, batch=8, steps=300, validate_every=50, learning_rate=1e-2)


def delayed_product(seed: int = 0, trials: int = 30, bins: int = 60) -> MultimodalBatch:
    """Target: product of a field's two channels one bin ago, which no linear map of the field is."""
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(trials, bins, 2))
    target = np.zeros((trials, bins, 1))
    target[:, 1:, 0] = np.sign(field[:, :-1, 0]) * np.sign(field[:, :-1, 1])
    counts = rng.poisson(1.0, (trials, bins, 3)).astype(float)
    return MultimodalBatch.from_arrays(
        {"spikes": counts, "field": field},
        width=0.01,
        likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=target,
    )


def untrained(batch: MultimodalBatch, config: RecurrentConfig = SMALL) -> Network:
    scaling = InputScaling.fit(batch)
    weights = draw_weights(jax.random.key(0), scaling.n_inputs, batch.n_dims, config)
    return Network(jax.tree.map(np.asarray, weights), scaling)
