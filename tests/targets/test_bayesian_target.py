"""The Bayesian read-out against integrals over a grid, and on data whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from neurodyn.errors import InputError
from neurodyn.sampler import Sampler
from neurodyn.targets import TargetPosterior, fit_bayesian_target
from neurodyn.targets.bayesian import MOST_BINS, USUAL


def on_a_grid(x, y, weight):
    """Mean and deviation of weight and intercept of one feature without sources: numerically, in standard units.

    For each scale of the weights and each log variance the two are normal, and their density is known in closed form.
    """
    design = np.column_stack([x, np.ones(len(x))])
    scales, constants = np.exp(np.linspace(-5.0, 3.0, 80)), np.linspace(-3.0, 1.5, 90)
    logs, means, seconds = [], [], []
    for scale in scales:
        for constant in constants:
            prior = np.diag([scale**-2, 1.0])
            precision = prior + weight * np.exp(-constant) * design.T @ design
            mean = np.linalg.solve(precision, weight * np.exp(-constant) * design.T @ y)
            squared = weight * np.exp(-constant) * (y @ y) - mean @ precision @ mean
            evidence = 0.5 * (np.linalg.slogdet(prior)[1] - np.linalg.slogdet(precision)[1] - squared)
            evidence -= 0.5 * weight * len(y) * constant
            logs.append(evidence + stats.norm(-1, 1).logpdf(np.log(scale)) + stats.norm(0, 2).logpdf(constant))
            means.append(mean)
            seconds.append(np.linalg.inv(precision) + np.outer(mean, mean))
    share = np.exp(np.asarray(logs) - max(logs))
    share /= share.sum()
    mean = np.einsum("g,gi->i", share, np.asarray(means))
    second = np.einsum("g,gij->ij", share, np.asarray(seconds))
    return mean, np.sqrt(np.diag(second) - mean**2)


@pytest.mark.parametrize("independent", [40.0, 8.0])
def test_weights_and_their_uncertainty_are_those_of_the_integral(independent):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1))
    y = 0.6 * x + 0.8 * rng.normal(size=(40, 1))
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    mean, deviation = on_a_grid(x[:, 0], y[:, 0], independent / 40)
    found = fit_bayesian_target(
        x, y, np.zeros((40, 0, 1)), np.array([independent]), seed=0, sampler=replace(USUAL, draws=4000)
    )
    assert found.r_hat < 1.01
    assert found.diverging.mean() < 0.01
    drawn = np.stack([found.weights[..., 0, 0], found.intercept[..., 0]])
    np.testing.assert_allclose(drawn.mean(axis=(1, 2)), mean, atol=0.06 * deviation.max())
    np.testing.assert_allclose(drawn.std(axis=(1, 2)), deviation, rtol=0.06)


NAMES = (("a", "b", "c", "still"), ("lost", "never lost"), ("x", "y"))


def simulated(bins, unit, seed=0):
    """Features, target, sources, weights: one feature and one source never vary."""
    rng = np.random.default_rng(seed)
    features = np.column_stack([rng.normal(size=(bins, 3)) @ MIXED + 5.0, np.full(bins, 7.0)])
    noisy = (rng.random(bins) < 0.3).astype(float)
    weights = np.array([[2.0, 0.0], [0.0, -1.0], [1.0, 1.0], [0.0, 0.0]]) * unit
    deviation = 0.5 * unit * np.exp(0.5 * np.log(9.0) * noisy)
    target = features @ weights + 3.0 * unit + deviation[:, None] * rng.normal(size=(bins, 2))
    sources = np.stack([noisy, np.zeros(bins)], axis=1)
    return features, target, np.repeat(sources[..., None], 2, axis=2), weights


UNIT = 1e-3
MIXED = np.array([[1.0, 0.5, 0.0], [0.3, -1.0, 0.4], [0.0, 0.2, 1.5]])


@pytest.fixture(scope="module")
def found():
    features, target, sources, _ = simulated(1500, UNIT)
    return fit_bayesian_target(
        features, target, sources, np.full(2, 1500.0), seed=1, names=NAMES, sampler=Sampler(300, 300)
    )


def test_truth_lies_within_what_the_posterior_allows(found):
    weights = simulated(1500, UNIT)[3]
    low, high = found.interval(0.999)[:, :3]
    assert ((low < weights[:3]) & (weights[:3] < high)).all()
    assert ((high - low) < 0.4 * UNIT).all()
    np.testing.assert_allclose(found.slopes[:, :, 0].mean(axis=(0, 1)), np.log(9.0), atol=0.3)
    np.testing.assert_allclose(np.exp(found.constant.mean(axis=(0, 1))), (0.5 * UNIT) ** 2, rtol=0.2)
    assert found.r_hat < 1.05
    assert not found.weights[:, :, 3].any()  # of what never varies nothing is known
    assert not found.slopes[:, :, 1].any()


def test_intervals_of_fresh_bins_hold_with_and_without_losses(found):
    features, target, sources, _ = simulated(6000, UNIT)
    features, target, sources = features[1500:], target[1500:], sources[1500:]
    mean, variance = found.predict(features, sources)
    inside = np.abs(target - mean) < 1.96 * np.sqrt(variance)
    for lost in (0.0, 1.0):
        assert abs(inside[sources[:, 0, 0] == lost].mean() - 0.95) < 0.02
    linear, model = found.mean()
    np.testing.assert_allclose(linear.predict(features), mean, rtol=1e-9)
    noise = np.exp(model.constant + np.einsum("bsd,sd->bd", sources, model.slopes))
    np.testing.assert_allclose(noise, variance, rtol=0.05)


def test_arviz_reads_the_draws(found):
    arviz = pytest.importorskip("arviz")
    read = found.to_arviz()
    assert read.posterior["weights"].sel(feature="b", dim="y").shape == (2, 300)
    assert read.posterior["slopes"].sel(source="lost").sizes["dim"] == 2
    summary = arviz.summary(read, var_names=["log_variance"])
    np.testing.assert_allclose(summary["mean"], found.constant.mean(axis=(0, 1)), atol=1e-2)


def test_of_many_bins_some_stand_for_all():
    """Twice as many bins as are sampled with: the intervals are those of all of them, by least squares."""
    bins = 2 * MOST_BINS
    rng = np.random.default_rng(0)
    x = rng.normal(size=(bins, 1))
    y = 2 * x + rng.normal(size=(bins, 1))
    found = fit_bayesian_target(
        x, y, np.zeros((bins, 0, 1)), np.array([1.0 * bins]), seed=0, sampler=Sampler(300, 1000)
    )
    assert found.weights.std() == pytest.approx(1 / np.sqrt(bins), rel=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((9, 2))}, r"got \(9, 2\), \(10, 1\) and \(10, 1, 1\)"),
        ({"sources": np.zeros((10, 1, 2))}, "sources"),
        ({"target": np.full((10, 1), np.nan)}, "finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    given = {"features": np.zeros((10, 2)), "target": np.zeros((10, 1)), "sources": np.zeros((10, 1, 1))} | change
    with pytest.raises(InputError, match=message):
        fit_bayesian_target(**given, independent=np.ones(1), seed=0)
    with pytest.raises(InputError, match="two bins"):
        fit_bayesian_target(np.zeros((1, 2)), np.zeros((1, 1)), np.zeros((1, 0, 1)), np.ones(1), seed=0)


def test_a_posterior_shows_itself():
    empty = np.zeros((2, 3, 1))
    posterior = TargetPosterior(
        np.zeros((2, 3, 4, 1)), empty, empty, np.zeros((2, 3, 0, 1)), np.zeros((2, 3), bool), ("a",) * 4, (), ("x",)
    )
    assert len(repr(posterior).splitlines()) <= 10
