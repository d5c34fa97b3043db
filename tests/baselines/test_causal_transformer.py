"""The transformer among the baselines: attention against a loop, what an estimate depends on, and that it decodes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.baselines import CausalTransformer
from neurodyn.errors import InputError
from neurodyn.recurrent import Attention, Body, Gated, InputScaling, Network, RecurrentConfig, predict
from neurodyn.recurrent import prediction as prediction_module
from neurodyn.recurrent.attention import attend
from neurodyn.recurrent.network import draw_weights, hidden_states

SMALL = RecurrentConfig(hidden=16, members=1, window=50, batch=8, steps=100, validate_every=50, learning_rate=1e-2)
BODY = Attention(blocks=2, heads=2, reach=6)


def loop_over_bins(query, key, value, bias):
    """Attention written out for one bin, trial and head at a time."""
    bins, trials, heads, size = query.shape
    found = np.zeros_like(value)
    for t in range(bins):
        first = max(0, t - bias.shape[1] + 1)
        for trial in range(trials):
            for head in range(heads):
                scores = [
                    query[t, trial, head] @ key[s, trial, head] / np.sqrt(size) + bias[head, t - s]
                    for s in range(first, t + 1)
                ]
                shares = np.exp(scores) / np.sum(np.exp(scores))
                found[t, trial, head] = shares @ value[first : t + 1, trial, head]
    return found


@pytest.mark.parametrize("reach", [1, 7, 40])
def test_attention_is_the_loop_over_bins(reach):
    """In several chunks, with a last one that is not full, and with a reach beyond the first bin."""
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, 18, 2, 3, 5))
    bias = rng.normal(size=(3, reach))
    found = attend(jnp.asarray(query), jnp.asarray(key), jnp.asarray(value), jnp.asarray(bias))
    np.testing.assert_allclose(found, loop_over_bins(query, key, value, bias), atol=1e-5)


def norm(states, scale):
    return scale * (states - states.mean(-1, keepdims=True)) / np.sqrt(states.var(-1, keepdims=True) + 1e-5)


def test_the_network_is_its_equations():
    """Both blocks in NumPy, with weights that are none of their starting values."""
    rng = np.random.default_rng(1)
    config = RecurrentConfig(hidden=8, members=1)
    drawn = BODY.draw(jax.random.split(jax.random.key(0), 2), 5, config)
    own = {name: np.asarray(rng.normal(size=array.shape) / 3) for name, array in drawn.items()}
    inputs = rng.normal(size=(15, 3, 5))
    states = inputs @ own["embed"].T + own["embed_bias"]
    for b in range(2):
        parts = (norm(states, own["scales"][b, 0]) @ own["attention"][b].T).reshape(15, 3, 3, 2, 4)
        found = loop_over_bins(parts[:, :, 0], parts[:, :, 1], parts[:, :, 2], own["distance"][b])
        states = states + found.reshape(15, 3, 8) @ own["joined"][b].T
        wide = norm(states, own["scales"][b, 1]) @ own["widened"][b].T + own["widened_bias"][b]
        bent = 0.5 * wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
        states = states + bent @ own["narrowed"][b].T + own["narrowed_bias"][b]
    weights = jax.tree.map(jnp.asarray, own)
    found, kept = BODY.states(weights, BODY.start(weights, 3, 5), jnp.asarray(inputs))
    np.testing.assert_allclose(found, norm(states, own["last_scale"]), atol=1e-5)
    np.testing.assert_array_equal(kept, inputs[-10:])


def test_dropout_is_in_training_only():
    config = RecurrentConfig(hidden=8, members=1)
    weights = BODY.draw(jax.random.split(jax.random.key(0), 2), 5, config)
    inputs = jax.random.normal(jax.random.key(1), (15, 3, 5))
    known = BODY.start(weights, 3, 5)
    plain = BODY.states(weights, known, inputs)[0]
    thin = [BODY.states(weights, known, inputs, jax.random.key(seed))[0] for seed in (0, 1)]
    assert min(jnp.abs(plain - thin[0]).max(), jnp.abs(thin[0] - thin[1]).max()) > 1e-3
    without = replace(BODY, dropout=0.0).states(weights, known, inputs, jax.random.key(0))[0]
    np.testing.assert_array_equal(without, plain)


def test_stretches_equal_the_whole(lorenz_batch, monkeypatch):
    """Trials of any length: the bins that a stretch depends on come along, here over more than one stretch."""
    batch, body = lorenz_batch[1].with_trials([0, 1]), replace(BODY, reach=4)
    scaling = InputScaling.fit(batch)
    weights = draw_weights(jax.random.key(0), scaling.n_inputs, 3, RecurrentConfig(hidden=4, members=2), body)
    network = Network(jax.tree.map(np.asarray, weights), scaling, body)
    whole = predict(network, batch)
    monkeypatch.setattr(prediction_module, "STRETCH", 4)
    pieces = predict(network, batch)
    np.testing.assert_allclose(pieces.mean, whole.mean, atol=1e-12)
    np.testing.assert_allclose(pieces.variance, whole.variance, atol=1e-12)


@pytest.fixture(scope="module")
def fitted(lorenz_batch):
    return CausalTransformer(SMALL, progress=False, heads=2, reach=8).fit(lorenz_batch[0])


def decoded(fitted, batch):
    return fitted.predict(batch)["target"].to_numpy()


def changed(batch, offset):
    """The batch with other values in one bin of each trial; no sample comes or goes."""
    observations = {name: values.copy() for name, values in batch.observations.items()}
    for name, values in observations.items():
        values[batch.starts + offset] += 2 * batch.observed[name][batch.starts + offset]
    return replace(batch, observations=observations)


def test_an_estimate_depends_on_its_window_alone(fitted, lorenz_batch):
    """Two blocks of 8 bins: a bin and the 14 before it, no later one, and no earlier one."""
    batch = lorenz_batch[1]
    batch = replace(batch, observed={name: np.ones_like(mask) for name, mask in batch.observed.items()})
    difference = np.abs(decoded(fitted, changed(batch, 20)) - decoded(fitted, batch)).max(axis=(0, 2))
    assert difference[:20].max() == 0
    assert difference[20:35].min() > 1e-6
    assert difference[35:].max() < 1e-12


def test_it_decodes_what_it_was_not_fitted_on(fitted, lorenz_batch):
    """R² of 0 is that of the mean."""
    test = lorenz_batch[1]
    score = fitted.score(test)
    assert score.dims == test.target_names
    assert score.r2.min() > 0.4
    found, stacked = fitted.predict(test), test.stacked()
    error = np.abs(found["target"].to_numpy() - stacked.target)[stacked.scored()]
    inside = error <= 1.96 * found["deviation"].to_numpy()[stacked.scored()]
    assert 0.8 < inside.mean() < 1.0


def test_missing_samples_are_zeros_with_a_mask(fitted, lorenz_batch):
    """Blind to shares and ages, the network takes a lost bin for one of means; with them it does not."""
    batch, found = lorenz_batch[1], fitted.fitted_
    there, gone, means = (
        {name: array.copy() for name, array in arrays.items()}
        for arrays in (batch.observed, batch.observed, batch.observations)
    )
    for modality, centre in zip(batch.modalities, found.network.scaling.centre, strict=True):
        there[modality.name][batch.starts + 20], gone[modality.name][batch.starts + 20] = True, False
        means[modality.name][batch.starts + 20] = centre**2 if modality.counts else centre
    zeros = {name: np.where(gone[name], values, np.float32(0)) for name, values in means.items()}
    lost, usual = (replace(batch, observed=o, observations=v) for o, v in ((gone, zeros), (there, means)))
    weights = dict(found.network.weights)
    weights["embed"] = weights["embed"].copy()
    weights["embed"][..., -2 * len(batch.modalities) :] = 0
    blind = replace(fitted, fitted_=replace(found, network=found.network._replace(weights=weights)))
    np.testing.assert_allclose(decoded(blind, lost), decoded(blind, usual), atol=1e-4)
    assert np.abs(decoded(fitted, lost) - decoded(fitted, usual))[:, 20].max() > 1e-2


def test_the_gated_network_is_one_of_two_bodies():
    """The course of training asks a body; the gated unit answers as its equations have it."""
    assert isinstance(BODY, Body)
    config = RecurrentConfig(hidden=4, members=1)
    keys = jax.random.split(jax.random.key(0), 2)
    weights = Gated().draw(keys, 3, config)
    inputs = jax.random.normal(jax.random.key(1), (7, 2, 3))
    states, last = Gated().states(weights, Gated().start(weights, 2, 3), inputs)
    np.testing.assert_array_equal(states, hidden_states(weights, inputs, jnp.zeros((2, 4))))
    np.testing.assert_array_equal(last, states[-1])


def test_settings_beside_a_model_and_those_that_cannot_be_used(lorenz_batch):
    beside = CausalTransformer.beside(RecurrentConfig(hidden=200, members=3, steps=7, validate_every=7, seed=4))
    assert (beside.config.hidden, beside.config.members, beside.config.steps, beside.config.seed) == (64, 1, 7, 4)
    with pytest.raises(InputError, match="heads: 16 units cannot be shared by 3 heads"):
        CausalTransformer(SMALL, progress=False, heads=3).fit(lorenz_batch[0])
    with pytest.raises(InputError, match="reach: expected a whole number"):
        CausalTransformer(SMALL, progress=False, reach=0).fit(lorenz_batch[0])
    with pytest.raises(InputError, match="no smoothed estimate"):
        CausalTransformer(fitted_=None).predict(lorenz_batch[1], smoothed=True)
    assert "2 blocks of 4 heads, each over 50 bins" in repr(CausalTransformer())
