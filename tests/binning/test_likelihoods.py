"""Likelihoods against scipy, divergences against sums and integrals."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from neurodyn.binning.likelihoods import likelihood
from neurodyn.errors import InputError


def test_poisson_log_prob_is_scipys():
    output = np.linspace(-4, 4, 9)
    counts = np.array([0, 1, 3, 2, 0, 7, 1, 20, 60])
    found = likelihood("poisson").distribution(jnp.asarray(output)).log_prob(jnp.asarray(counts))
    np.testing.assert_allclose(found, stats.poisson.logpmf(counts, np.exp(output)), rtol=1e-10, atol=1e-12)


def test_poisson_log_rate_is_bounded():
    mean = likelihood("poisson").distribution(jnp.asarray([-100.0, -5.0, 5.0, 100.0])).mean
    np.testing.assert_allclose(mean, np.exp([-5, -5, 5, 5]))


def test_gaussian_log_prob_is_scipys():
    output, values = np.linspace(-3, 3, 7), np.linspace(2, -2, 7)
    found = likelihood("gaussian").distribution(jnp.asarray(output)).log_prob(jnp.asarray(values))
    np.testing.assert_allclose(found, stats.norm.logpdf(values, output, 1.0), rtol=1e-12)


@pytest.mark.parametrize(("one", "other"), [(0.0, 0.5), (2.0, -1.0), (-3.0, 1.5)])
def test_poisson_divergence_is_the_sum(one, other):
    k = np.arange(300)
    log_p, log_q = stats.poisson.logpmf(k, np.exp(one)), stats.poisson.logpmf(k, np.exp(other))
    expected = np.sum(np.exp(log_p) * (log_p - log_q))
    found = likelihood("poisson").divergence(jnp.asarray(one), jnp.asarray(other))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(("one", "other"), [(0.0, 0.5), (2.0, -1.0)])
def test_gaussian_divergence_is_the_integral(one, other):
    def density(y):
        return stats.norm.pdf(y, one) * (stats.norm.logpdf(y, one) - stats.norm.logpdf(y, other))

    expected = integrate.quad(density, one - 12, one + 12)[0]
    found = likelihood("gaussian").divergence(jnp.asarray(one), jnp.asarray(other))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["poisson", "gaussian"])
def test_divergence_of_a_distribution_from_itself_is_zero(name):
    output = jnp.linspace(-9, 9, 7)
    np.testing.assert_array_equal(likelihood(name).divergence(output, output), np.zeros(7))


def test_an_unknown_likelihood_names_the_nearest():
    with pytest.raises(InputError, match="unknown likelihood 'poison': did you mean 'poisson'"):
        likelihood("poison")
