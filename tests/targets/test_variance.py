"""The variance of the target: against a general optimiser, known answers, and what it must never do."""

import numpy as np
import pytest
import scipy

from neurodyn.targets import LinearVariance, VarianceSources, fit_log_linear_variance
from neurodyn.targets.variance import LEAST_SQUARE, PRIOR_SLOPE


def sources(bins=20_000, dims=1, seed=0):
    rng = np.random.default_rng(seed)
    excess, recurrent_variance = rng.exponential(size=(bins, dims)), rng.lognormal(size=(bins, dims))
    return VarianceSources(excess, recurrent_variance, rng.random((bins, 3)))


def by_hand(found, slopes):
    """The formula of the module, term by term."""
    return slopes[0] * np.log(found.recurrent_variance) + found.memory @ slopes[1:4] + found.memory**0.5 @ slopes[4:]


def test_the_coefficients_are_found():
    given = sources(60_000, dims=2)
    slopes = np.asarray([[0.8, 1.0, 0, 0.5, 0, 2.0, 0], [1.0, 0.0, 1.0, 0, 0, 0.0, 0.5]]).T
    variance = np.exp(-1 + by_hand(given, slopes))
    rng = np.random.default_rng(1)
    model = fit_log_linear_variance(variance * rng.chisquare(1, variance.shape), given, np.full(2, 60_000.0))
    ratio = model.variance(given) / variance
    assert np.all(np.abs(np.log(ratio)) < 0.2)
    np.testing.assert_allclose(np.log(ratio).std(axis=0), 0, atol=0.04)


@pytest.mark.parametrize("unit", [1e-12, 1e-9, 1e9])
def test_the_unit_of_the_target_is_free(unit):
    """Metres or volts: a target of another unit has the same variance in that unit."""
    given, rng = sources(3_000), np.random.default_rng(8)
    squares = given.recurrent_variance * np.exp(given.memory[:, :1]) * rng.chisquare(1, (3_000, 1))
    model = fit_log_linear_variance(squares, given, np.asarray([300.0]))
    other = given._replace(recurrent_variance=unit**2 * given.recurrent_variance)
    scaled = fit_log_linear_variance(unit**2 * squares, other, np.asarray([300.0]))
    np.testing.assert_allclose(scaled.variance(other), unit**2 * model.variance(given), rtol=1e-6)


def test_from_a_few_bins_intervals_are_wide_and_not_absurd():
    rng, ratios = np.random.default_rng(9), []
    for _ in range(20):
        given = sources(500, seed=int(rng.integers(1_000_000)))
        squares = np.repeat(rng.chisquare(1, (5, 1)), 100, axis=0)
        model = fit_log_linear_variance(squares, given, np.asarray([5.0]))
        ratios.append(np.sqrt(model.variance(given).mean()))
    assert 1.0 < np.median(ratios) < 1.8


def test_the_optimum_is_that_of_a_general_optimiser():
    given, rng = sources(3_000), np.random.default_rng(2)
    squares = given.recurrent_variance * np.exp(2 * given.memory[:, :1]) * rng.chisquare(1, (3_000, 1))
    independent = 300.0
    model = fit_log_linear_variance(squares, given, np.asarray([independent]))
    features = given.logarithmic(1)[:, :, 0]
    scale = features.std(axis=0)

    def loss(values):
        log_variance = values[0] + features @ values[1:]
        terms = log_variance + (squares[:, 0] + LEAST_SQUARE * squares.mean()) * np.exp(-log_variance)
        prior = np.sum((scale * values[1:] / PRIOR_SLOPE) ** 2)
        return 0.5 * independent * terms.mean() + 0.5 * prior

    start = np.zeros(1 + features.shape[1])
    best = scipy.optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(model.slopes[:, 0], best.x[1:], atol=2e-3)
    design = np.c_[np.ones(3_000), features]
    information = 0.5 * independent / 3_000 * design.T @ design + np.diag(np.r_[0, (scale / PRIOR_SLOPE) ** 2])
    uncertain = np.einsum("nf,fg,ng->n", design, np.linalg.inv(information), design)
    np.testing.assert_allclose(model.constant[0], best.x[0] + uncertain.mean() / 2, atol=2e-3)


def test_a_larger_variance_of_the_recurrent_network_never_narrows():
    """Where errors fall with the recurrent network's variance, it has no say."""
    given, rng = sources(5_000), np.random.default_rng(3)
    squares = rng.chisquare(1, (5_000, 1)) / given.recurrent_variance
    model = fit_log_linear_variance(squares, given, np.asarray([5_000.0]))
    assert model.slopes[0, 0] == 0


def test_without_a_recurrent_network_and_where_nothing_varies():
    given = VarianceSources(np.zeros((1000, 1)), None, np.zeros((1000, 4)))
    squares = 3 * np.random.default_rng(4).chisquare(1, (1000, 1))
    model = fit_log_linear_variance(squares, given, np.asarray([1000.0]))
    assert not model.slopes.any()
    # A mean of a thousand squares is known up to a log variance of two thousandths.
    np.testing.assert_allclose(model.variance(given), squares.mean() * np.exp(0.001), rtol=1e-5)


def test_a_perfect_decoder_has_a_finite_variance():
    given = sources(1000)
    model = fit_log_linear_variance(np.zeros((1000, 1)), given, np.asarray([1000.0]))
    variance = model.variance(given)
    assert np.all(np.isfinite(variance))
    assert np.all(variance < 1e-6)


@pytest.mark.parametrize("share", [1e-4, 0.02])
def test_few_bins_are_not_believed(share):
    """The evidence is that of the independent bins, however many there are."""
    given, rng = sources(4_000), np.random.default_rng(5)
    squares = np.repeat(rng.chisquare(1, (40, 1)), 100, axis=0)
    model = fit_log_linear_variance(squares, given, np.asarray([4_000 * share]))
    features = given.logarithmic(1)[:, :, 0]
    assert np.all(np.abs(model.slopes[:, 0] * features.std(axis=0)) < (0.02 if share < 0.01 else 0.6))


def test_the_sum_of_earlier_models():
    given = sources(10, dims=2)
    slopes = np.arange(10.0).reshape(5, 2)
    expected = 1.0 + slopes[0] * given.excess + slopes[1] * given.recurrent_variance + given.memory @ slopes[2:]
    np.testing.assert_allclose(LinearVariance(np.ones(2), slopes).variance(given), expected)
    single = LinearVariance(np.ones(2), slopes[:1])
    np.testing.assert_allclose(single.variance(given._replace(recurrent_variance=None)), 1.0 + slopes[0] * given.excess)
