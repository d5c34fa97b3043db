"""What training hides: one mask of bins for the whole batch, or one per trial."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.small_decoder import small_decoder

from neurodyn.binning.scaling import Scaling
from neurodyn.multiscale.config import ObjectiveConfig
from neurodyn.multiscale.fitting import draw_dropout
from neurodyn.multiscale.segments import gather, segments_of, timeline_of
from neurodyn.multiscale.settings import config_of


def drawn(batch, objective, seed=0):
    config = config_of(small_decoder(), batch)
    segments = segments_of(batch, 10.0)
    timeline = timeline_of(batch, Scaling.fit(batch))
    one = gather(timeline, jnp.asarray(segments.everything()), segments.bins, shared=True)
    key = jax.random.key(seed)
    return jax.tree.map(np.asarray, draw_dropout(key, one, replace(config, objective=objective)))


@pytest.mark.parametrize("per_trial", [False, True])
def test_bins_are_hidden_as_often_as_asked_for(lorenz_batch, per_trial):
    batch = lorenz_batch[0]
    dropout = drawn(batch, ObjectiveConfig(time_dropout=0.3, dropout=0.2, time_dropout_per_trial=per_trial))
    shape = (24, 50) if per_trial else (50,)
    for name in batch.names:
        assert dropout.hidden_bins[name].shape == shape
        assert abs(dropout.hidden_bins[name].mean() - 0.3) < 4 * np.sqrt(0.21 / dropout.hidden_bins[name].size)
        assert abs(dropout.hidden_channels[name].mean() - 0.2) < 0.05
    assert not np.array_equal(dropout.hidden_bins["spikes"], dropout.hidden_bins["field"])
    np.testing.assert_allclose(np.unique(dropout.fused_factor), [0, 1.25], rtol=1e-6)
    assert abs(dropout.fused_factor.mean() - 1) < 0.05


def test_trials_hide_their_own_bins(lorenz_batch):
    bins = drawn(lorenz_batch[0], ObjectiveConfig(time_dropout_per_trial=True)).hidden_bins["spikes"]
    assert len(np.unique(bins, axis=0)) == len(bins)


@pytest.mark.parametrize("per_trial", [False, True])
def test_either_kind_trains(lorenz_batch, per_trial):
    decoder = small_decoder(epochs=15)
    objective = replace(decoder.objective, time_dropout_per_trial=per_trial)
    fitted = replace(decoder, objective=objective).fit(lorenz_batch[0])
    assert fitted.fitted_.history.validation[-1] < fitted.fitted_.history.validation[0]
    assert float(fitted.score(lorenz_batch[1])["r2"].mean()) > 0.3
