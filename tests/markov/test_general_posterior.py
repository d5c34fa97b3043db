"""The posterior of models with any emission: its density against scipy, its draws against closed forms."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density
from oracles import enumerate_any_hmm as paths
from scipy import stats

from neurodyn.markov import (
    BayesConfig,
    Categorical,
    DiagonalGaussian,
    EmConfig,
    Gaussian,
    GeneralHmm,
    Poisson,
    fit_posterior,
    log_likelihood,
    posterior,
    sample,
)
from neurodyn.markov.inference import on_device

INITIAL, TRANSITIONS = np.array([0.6, 0.4]), np.array([[0.9, 0.1], [0.2, 0.8]])
RATE = np.array([[1.0, 4.0], [6.0, 2.0]])


def density(emission, sequences, config, **sites):
    """Log of prior times likelihood that NumPyro's model has at these values."""
    prepared = emission.to_arrays(sequences)
    arguments = (on_device(prepared), 2, emission, emission.prior(prepared), config, jnp.zeros(prepared.seen.shape))
    values = {"path_initial": INITIAL, "path_transitions": TRANSITIONS, **sites}
    with jax.numpy_dtype_promotion("standard"):
        return float(log_density(posterior._model, arguments, {}, {k: jnp.asarray(v) for k, v in values.items()})[0])


def of_path(config):
    total = stats.dirichlet.logpdf(INITIAL, np.full(2, config.initial))
    rows = np.full((2, 2), config.transitions) + config.stickiness * np.eye(2)
    return total + sum(stats.dirichlet.logpdf(row, one) for row, one in zip(TRANSITIONS, rows, strict=True))


def likelihood(kind, parameters, sequences):
    tables = (paths.densities(kind, parameters, row) for row in sequences)
    return sum(np.log(paths.likelihood(INITIAL, TRANSITIONS, table)) for table in tables)


def test_log_posterior_of_counts_is_the_prior_times_the_sum_over_all_paths():
    counts = [np.array([[1.0, 3.0], [5.0, np.nan], [np.nan, np.nan], [7.0, 2.0]]), np.array([[0.0, 4.0]])]
    config = BayesConfig(initial=1.5, transitions=2.0, stickiness=3.0)
    mean = np.nanmean(np.concatenate(counts), axis=0)
    expected = of_path(config) + likelihood("poisson", {"rate": RATE}, counts)
    expected += stats.gamma(1 + 0.4 * mean, scale=1 / 0.4).logpdf(RATE).sum()
    assert density(Poisson(strength=0.4), counts, config, rate=RATE) == pytest.approx(expected, rel=1e-10)


def test_log_posterior_of_real_values():
    values = [np.array([[0.1, 1.0], [2.0, -1.0], [1.5, np.nan], [0.3, 0.2]])]
    seen = values[0][:, 0], values[0][~np.isnan(values[0][:, 1]), 1]
    mean, scale = (np.array([f(one) for one in seen]) for f in (np.mean, np.std))
    location, deviation = np.array([[0.0, 1.0], [1.0, -1.0]]), np.array([[0.5, 1.0], [1.5, 0.7]])
    config = BayesConfig()
    prior = of_path(config) + stats.norm(mean, 3 * scale).logpdf(location).sum()
    prior += stats.lognorm(1.0, scale=scale / 2).logpdf(deviation).sum()
    sites = {"mean": location, "deviation": deviation}
    of_data = likelihood("diagonal_gaussian", {"mean": location, "variance": deviation**2}, values)
    assert density(DiagonalGaussian(), values, config, **sites) == pytest.approx(prior + of_data, rel=1e-10)
    # Two channels have one correlation, which the prior of LKJ with concentration 1 makes uniform in (-1, 1).
    r = np.array([0.3, -0.5])
    factor = np.array([[[1.0, 0.0], [one, np.sqrt(1 - one**2)]] for one in r])
    covariance = np.array(
        [[[a * a, a * b * one], [a * b * one, b * b]] for (a, b), one in zip(deviation, r, strict=True)]
    )
    of_data = likelihood("gaussian", {"mean": location, "covariance": covariance}, values)
    found = density(Gaussian(), values, config, correlation=factor, **sites)
    # The density of the factor's entries is that of the correlation times d r / d L[1, 0] = 1.
    assert found == pytest.approx(prior + of_data + 2 * np.log(0.5), rel=1e-9)


def test_one_state_of_counts_has_a_gamma_posterior():
    counts = np.random.default_rng(0).poisson(3.0, 40)
    config = BayesConfig(warmup=100, draws=300, chains=2, em=EmConfig(restarts=1))
    found = fit_posterior(counts, 1, emission=Poisson(strength=0.5), seed=0, config=config)
    exact = stats.gamma(1 + 0.5 * counts.mean() + counts.sum(), scale=1 / 40.5)
    draws = found.parameters["rate"].ravel()
    # Draws are correlated: five standard errors of a tenth as many independent ones.
    assert draws.mean() == pytest.approx(exact.mean(), abs=5 * exact.std() / np.sqrt(60))
    assert draws.std() == pytest.approx(exact.std(), rel=0.3)
    assert found.r_hat < 1.1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gaussian", "autoregressive", "categorical"])
def test_draws_are_models_in_the_order_of_the_start(kind):
    start = GeneralHmm(INITIAL, TRANSITIONS, "gaussian", {"mean": [[0.0], [4.0]], "covariance": [[[1.0]], [[0.5]]]})
    values = sample(start, 4, 20, seed=1).observations
    values[0, 3] = np.nan
    emission = kind
    if kind == "categorical":
        emission, values = Categorical(2), [(row[:, 0] > 2).astype(int) for row in values]
    config = BayesConfig(warmup=40, draws=20, chains=2, stickiness=1.0, em=EmConfig(restarts=1, iterations=30))
    found = fit_posterior(values, 2, emission=emission, seed=0, config=config)
    assert found.log_likelihood.shape == (2, 20)
    for place in ((0, 3), (1, 19)):
        total = log_likelihood(found.hmm(*place), values).sum()
        assert total == pytest.approx(found.log_likelihood[place], abs=1e-6)
    of_state = {"gaussian": "mean", "autoregressive": "intercept", "categorical": "probabilities"}[kind]
    first = found.parameters[of_state][..., -1]
    larger = np.argmax(found.start.parameters[of_state][:, -1])
    assert (first.argmax(axis=-1) == larger).mean() > 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ announces its next version on import
        assert found.to_arviz().posterior[of_state].shape[:2] == (2, 20)
