"""Loss and filter of both generative models, written again in NumPy, bin by bin."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from neurodyn.variational.model import Window
from neurodyn.variational.mvae import MvaeModel
from neurodyn.variational.plrnn import BOUND, PULL, PlrnnModel

COUNTS, CHANNELS, LATENT, HIDDEN, LAGS = (True, False), (3, 2), 3, 4, 4
BINS, TRIALS = 9, 2
MODELS = {
    "mvae": MvaeModel(COUNTS, CHANNELS, LATENT, HIDDEN, LAGS),
    "plrnn": PlrnnModel(COUNTS, CHANNELS, LATENT, HIDDEN),
}


def a_window(seed=0):
    """Bins with single samples and whole modalities missing, the first of them context."""
    random = np.random.default_rng(seed)
    values = (random.poisson(1.0, (BINS, TRIALS, 3)).astype(float), random.normal(size=(BINS, TRIALS, 2)))
    observed = [(random.random((BINS, TRIALS, 1)) > 0.4) & (random.random(v.shape) > 0.2) for v in values]
    shares = np.stack([mask.mean(axis=-1) for mask in observed], axis=-1)
    inputs = [np.where(mask, value, 0.0) for value, mask in zip(values, observed, strict=True)]
    counted = np.ones((BINS, TRIALS), bool)
    counted[:2] = False
    return Window(
        jnp.asarray(np.concatenate([*inputs, shares, random.random((BINS, TRIALS, 2))], axis=-1)),
        tuple(jnp.asarray(value) for value in values),
        tuple(jnp.asarray(mask & counted[..., None]) for mask in observed), jnp.asarray(counted),
    )  # fmt: skip


def parameters_of(model, seed=0):
    """Drawn as before training, and moved off the zeros that some of them begin with."""
    drawn = model.draw(jax.random.key(seed), [jnp.log(jnp.array([0.5, 1.0, 2.0])), jnp.zeros(2)])
    leaves, tree = jax.tree.flatten(drawn)
    random = np.random.default_rng(seed)
    return tree.unflatten([leaf + 0.1 * random.normal(size=leaf.shape) for leaf in leaves])


def encoder_inputs(window, modality):
    """Values of a modality, the share that is seen and the age of the last sample."""
    columns = [[0, 1, 2, 5, 7], [3, 4, 6, 8]][modality]
    return np.asarray(window.inputs)[..., columns]


def likelihood(modality, decoder, output, values):
    """Of each entry."""
    if COUNTS[modality]:
        return scipy.stats.poisson.logpmf(values, np.exp(output))
    return scipy.stats.norm.logpdf(values, output, np.exp(np.asarray(decoder["log_noise"]) / 2))


def affine(layer, name, values):
    return values @ np.asarray(layer[name]).T + np.asarray(layer[f"{name}_bias"])


def gru_states(weights, inputs):
    """Of the equations in kernels/recurrence.py."""
    w = {name: np.asarray(array) for name, array in weights.items()}

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    state, states = np.zeros((TRIALS, HIDDEN)), []
    for now in inputs:
        drive = np.split(now @ w["embed"].T @ w["input"].T + w["bias"], 3, axis=-1)
        back = np.split(state @ w["recurrent"].T, 3, axis=-1)
        reset, update = (sigmoid(d + b) for d, b in zip(drive[:2], back[:2], strict=True))
        new = np.tanh(drive[2] + reset * (back[2] + w["gated_bias"]))
        state = (1 - update) * new + update * state
        states.append(state)
    return np.stack(states)


def experts_of_vae(parameters, window):
    """Mean, precision and whether it takes part, of each modality in each bin."""
    found = []
    for modality, weights in enumerate(parameters["encoders"]):
        states = gru_states(weights, encoder_inputs(window, modality))
        mean, log_variance = affine(weights, "mean", states), affine(weights, "spread", states)
        share = np.asarray(window.inputs)[..., 5 + modality]
        found.append((mean, np.exp(-log_variance), np.cumsum(share > 0, axis=0) > 0))
    return found


def of_subset(experts, subset):
    precision = 1 + sum(experts[i][2][..., None] * experts[i][1] for i in subset)
    mean = sum(experts[i][2][..., None] * experts[i][1] * experts[i][0] for i in subset) / precision
    return mean, 1 / precision


def test_the_loss_of_the_vae_is_the_sum_of_the_bounds_of_its_subsets():
    """All modalities together, then each alone; every bin is the end of a datum where lags are fewer than ten."""
    model, window, key = MODELS["mvae"], a_window(), jax.random.key(7)
    parameters = parameters_of(model)
    experts, total, subsets = experts_of_vae(parameters, window), np.zeros((BINS, TRIALS)), [(0, 1), (0,), (1,)]
    for subset, one in zip(subsets, jax.random.split(key, 3), strict=True):
        mean, variance = of_subset(experts, subset)
        total += 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(axis=-1)
        latents = mean + np.sqrt(variance) * np.asarray(jax.random.normal(one, mean.shape))
        for modality in subset:
            decoder = parameters["decoders"][modality]
            output = affine(decoder, "output", np.maximum(affine(decoder, "layer", latents), 0))
            values, observed = (np.asarray(part[modality]) for part in (window.values, window.observed))
            for now, lag in np.ndindex(BINS, LAGS):
                if now >= lag:
                    lags = slice(lag * CHANNELS[modality], (lag + 1) * CHANNELS[modality])
                    noise = {"log_noise": np.asarray(decoder["log_noise"])[lags]}
                    each = likelihood(modality, noise, output[now, :, lags], values[now - lag])
                    total[now] -= np.where(observed[now - lag], each, 0).sum(axis=-1)
    np.testing.assert_allclose(jax.jit(model.loss)(parameters, window, key), total[2:].mean(), rtol=1e-9)


def test_longer_data_end_in_some_bins_only():
    """Of ten lags in every second bin, so that each bin is part of five: of nine bins, the last is part of none."""
    model, window = replace(MODELS["mvae"], lags=10), a_window()
    parameters, loss = parameters_of(model), jax.jit(model.loss)

    def changed(now):
        values = tuple(jnp.where(mask, value, 0).at[now].add(1.0) for value, mask in zip(*window[1:3], strict=True))
        return float(loss(parameters, window._replace(values=values), jax.random.key(0)))

    usual = float(loss(parameters, window, jax.random.key(0)))
    assert changed(BINS - 1) == usual
    assert changed(BINS - 2) != usual
    assert changed(3) != usual


def dynamics(parameters):
    decay, coupling = np.tanh(np.asarray(parameters["decay"])), np.array(parameters["coupling"])
    np.fill_diagonal(coupling, 0)
    return np.diag(decay), coupling, np.asarray(parameters["drift"])


def experts_of_network(parameters, window, now):
    """Means and precisions of the modalities observed in a bin, for each trial."""
    precision = weighted = np.zeros((TRIALS, LATENT))
    for modality, encoder in enumerate(parameters["encoders"]):
        layer = np.maximum(affine(encoder, "layer", encoder_inputs(window, modality)[now]), 0)
        mean, log_variance = np.split(affine(encoder, "output", layer), 2, axis=-1)
        there = (np.asarray(window.inputs)[now, :, 5 + modality] > 0)[:, None]
        precision, weighted = precision + there / np.exp(log_variance), weighted + there * mean / np.exp(log_variance)
    return precision, weighted


def walk(parameters, window, noise):
    """States, and what the recognition model and the dynamics say of each: means and variances."""
    decay, coupling, drift = dynamics(parameters)
    mean, variance = np.asarray(parameters["first_mean"]), np.exp(np.asarray(parameters["first_log_variance"]))
    found = []
    for now in range(BINS):
        precision, weighted = experts_of_network(parameters, window, now)
        after = 1 / (1 / variance + precision)
        posterior = after * (mean / variance + weighted)
        state = posterior + np.sqrt(after) * noise[now]
        found.append((state, posterior, after, np.broadcast_to(mean, state.shape), variance))
        mean = state @ decay.T + np.maximum(state, 0) @ coupling.T + drift
        variance = np.exp(np.asarray(parameters["log_process"]))
    return found


def test_the_loss_of_the_network_is_the_bound_along_one_path():
    model, window, key = MODELS["plrnn"], a_window(), jax.random.key(7)
    parameters, total = parameters_of(model), np.zeros((BINS, TRIALS))
    noise = np.asarray(jax.random.normal(key, (BINS, TRIALS, LATENT)))
    for now, (state, mean, variance, prior, width) in enumerate(walk(parameters, window, noise)):
        total[now] = 0.5 * ((variance + (mean - prior) ** 2) / width - 1 + np.log(width / variance)).sum(axis=-1)
        for modality, decoder in enumerate(parameters["decoders"]):
            values, observed = (np.asarray(part[modality])[now] for part in (window.values, window.observed))
            each = likelihood(modality, decoder, affine(decoder, "output", state), values)
            total[now] -= np.where(observed, each, 0).sum(axis=-1)
    decay, coupling, drift = dynamics(parameters)
    attractor = PULL * ((1 - decay[0, 0]) ** 2 + (coupling[0] ** 2).sum() + drift[0] ** 2)
    np.testing.assert_allclose(jax.jit(model.loss)(parameters, window, key), total[2:].mean() + attractor, rtol=1e-9)


def filtered(model, parameters, window):
    return jax.jit(model.filtered)(parameters, window.inputs, model.start(parameters, TRIALS))[1]


def test_the_filtered_latents_of_the_vae_are_the_product_of_all_its_experts():
    model, window = MODELS["mvae"], a_window()
    parameters = parameters_of(model)
    mean, variance = of_subset(experts_of_vae(parameters, window), (0, 1))
    found = filtered(model, parameters, window)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.covariance, variance[..., None] * np.eye(LATENT), rtol=1e-9)


def test_the_filtered_mean_of_the_network_is_its_path_without_noise():
    model, window = MODELS["plrnn"], a_window()
    parameters = parameters_of(model)
    expected = np.stack([mean for _, mean, *_ in walk(parameters, window, np.zeros((BINS, TRIALS, LATENT)))])
    np.testing.assert_allclose(filtered(model, parameters, window).mean, expected, rtol=1e-9, atol=1e-12)


def test_without_coupling_its_covariance_is_that_of_many_paths():
    """Dynamics are linear then, and nothing is an approximation: 40,000 paths of the recognition model."""
    model, window = MODELS["plrnn"], a_window()
    parameters = parameters_of(model)
    parameters = {**parameters, "coupling": jnp.zeros((LATENT, LATENT))}
    random = np.random.default_rng(0)
    noise = random.normal(size=(BINS, 40_000, 1, LATENT))
    paths = np.stack([state for state, *_ in walk(parameters, window, noise)])  # time, path, trial, latent
    found = filtered(model, parameters, window)
    for now, trial in np.ndindex(BINS, TRIALS):
        np.testing.assert_allclose(found.covariance[now, trial], np.cov(paths[now, :, trial].T), atol=0.05)
        np.testing.assert_allclose(found.mean[now, trial], paths[now, :, trial].mean(axis=0), atol=0.03)


def test_dynamics_that_would_diverge_are_held():
    model, window = MODELS["plrnn"], a_window()
    parameters = {**parameters_of(model), "coupling": jnp.full((LATENT, LATENT), 50.0)}
    blind = window._replace(inputs=jnp.zeros_like(window.inputs))
    found = filtered(model, {**parameters, "first_mean": jnp.ones(LATENT)}, blind)
    assert np.isfinite(found.covariance).all()
    assert np.abs(found.mean).max() == pytest.approx(BOUND)


@pytest.mark.parametrize("name", MODELS)
def test_stretches_are_the_whole(name):
    model, window = MODELS[name], a_window()
    parameters = parameters_of(model)
    whole, before, parts = filtered(model, parameters, window), model.start(parameters, TRIALS), []
    for cut in (slice(0, 4), slice(4, BINS)):
        before, belief = model.filtered(parameters, window.inputs[cut], before)
        parts.append(belief)
    for field in ("mean", "covariance"):
        joined = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_allclose(joined, getattr(whole, field), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_values_that_were_not_observed_are_never_read(name):
    """A loss with NaN in their place, and its gradient."""
    model, window, key = MODELS[name], a_window(), jax.random.key(1)
    holes = [jnp.where(mask, value, jnp.nan) for value, mask in zip(window.values, window.observed, strict=True)]
    assert any(np.isnan(one).any() for one in holes)
    parameters = parameters_of(model)
    loss = jax.jit(jax.value_and_grad(model.loss))
    usual, other = (loss(parameters, window._replace(values=values), key) for values in (window.values, tuple(holes)))
    for one, same in zip(jax.tree.leaves(usual), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(one, same)
