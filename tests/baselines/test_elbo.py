"""The terms of the evidence lower bound against closed forms, SciPy and integrals on a grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from neurodyn.variational.elbo import (
    LOG_RATES,
    Gaussian,
    divergence,
    gaussian_log_likelihood,
    poisson_log_likelihood,
    product_of_experts,
)


def gaussians(seed, *shape):
    random = np.random.default_rng(seed)
    return Gaussian(jnp.asarray(random.normal(size=shape)), jnp.asarray(0.2 + random.random(shape)))


def test_a_product_of_experts_is_the_product_of_their_densities():
    """On a grid: multiply the densities of those that are there, normalise, take mean and variance."""
    prior, experts = gaussians(0, 5, 2), [gaussians(1, 5, 2), gaussians(2, 5, 2)]
    seen = np.random.default_rng(3).random((2, 5)) > 0.4
    assert 0 < seen.sum() < seen.size
    found = product_of_experts(prior, experts, [jnp.asarray(mask) for mask in seen])
    grid = np.linspace(-15, 15, 30_001)
    for position in np.ndindex(5, 2):
        density = np.ones_like(grid)
        for each, there in zip([prior, *experts], [True, *seen[:, position[0]]], strict=True):
            if there:
                density = density * scipy.stats.norm.pdf(grid, each.mean[position], each.variance[position] ** 0.5)
        density /= density.sum()
        mean = density @ grid
        np.testing.assert_allclose(found.mean[position], mean, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(found.variance[position], density @ (grid - mean) ** 2, rtol=1e-8)


def test_without_an_expert_the_prior_is_left():
    prior, expert, nobody = gaussians(0, 3, 2), gaussians(1, 3, 2), jnp.zeros(3, bool)
    found = product_of_experts(prior, [expert], [nobody])
    np.testing.assert_allclose(found.mean, prior.mean, rtol=1e-12)
    np.testing.assert_allclose(found.variance, prior.variance, rtol=1e-12)


def test_the_divergence_is_the_integral_that_defines_it():
    one, other = gaussians(4, 3, 2), gaussians(5, 3, 2)
    grid = np.linspace(-20, 20, 40_001)
    expected = np.zeros(3)
    for bin_, latent in np.ndindex(3, 2):
        p, q = (
            scipy.stats.norm(float(g.mean[bin_, latent]), float(g.variance[bin_, latent]) ** 0.5) for g in (one, other)
        )
        expected[bin_] += np.sum(p.pdf(grid) * (p.logpdf(grid) - q.logpdf(grid))) * (grid[1] - grid[0])
    np.testing.assert_allclose(divergence(one, other), expected, rtol=1e-7)


def a_bin(seed=6):
    random = np.random.default_rng(seed)
    return random, random.random((4, 3)) > 0.3, jnp.asarray(random.normal(size=(4, 3)))


def test_the_likelihood_of_signals_is_scipys_over_what_was_observed():
    random, observed, mean = a_bin()
    values, log_variance = random.normal(size=(4, 3)), random.normal(size=3)
    each = scipy.stats.norm.logpdf(values, np.asarray(mean), np.exp(log_variance / 2))
    found = gaussian_log_likelihood(jnp.asarray(values), jnp.asarray(observed), mean, jnp.asarray(log_variance))
    np.testing.assert_allclose(found, np.where(observed, each, 0).sum(axis=1), rtol=1e-12)


def test_the_likelihood_of_counts_is_scipys_over_what_was_observed():
    random, observed, log_rate = a_bin()
    counts = random.poisson(3.0, size=(4, 3)).astype(float)
    each = scipy.stats.poisson.logpmf(counts, np.exp(np.asarray(log_rate)))
    found = poisson_log_likelihood(jnp.asarray(counts), jnp.asarray(observed), log_rate)
    np.testing.assert_allclose(found, np.where(observed, each, 0).sum(axis=1), rtol=1e-10)
    beyond = poisson_log_likelihood(jnp.zeros((1, 1)), jnp.ones((1, 1), bool), jnp.full((1, 1), 40.0))
    np.testing.assert_allclose(beyond, -np.exp(LOG_RATES[1]), rtol=1e-12)


@pytest.mark.parametrize("kind", ["signals", "counts"])
def test_what_stands_where_nothing_was_observed_changes_nothing(kind):
    """Neither the likelihood nor its gradient, even where it is no number."""
    random, observed, output = a_bin()
    values = random.poisson(2.0, size=(4, 3)).astype(float)

    def total(output, values):
        if kind == "counts":
            return jnp.sum(poisson_log_likelihood(values, jnp.asarray(observed), output))
        return jnp.sum(gaussian_log_likelihood(values, jnp.asarray(observed), output, jnp.zeros(3)))

    usual = jax.value_and_grad(total)(output, jnp.asarray(values))
    other = jax.value_and_grad(total)(output, jnp.asarray(np.where(observed, values, np.nan)))
    np.testing.assert_array_equal(usual[0], other[0])
    np.testing.assert_array_equal(usual[1], other[1])
    assert (np.asarray(usual[1])[~observed] == 0).all()
