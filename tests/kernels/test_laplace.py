"""The multiscale filter and smoother: exact with signals, at the mode of the posterior with counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
from oracles.multiscale_states import conditioned, filtered, mode, simulated

from neurodyn.kernels.kalman import Belief
from neurodyn.kernels.laplace import (
    PRECISION,
    LinearMultiscale,
    Observations,
    filter_states,
    smooth_states,
    update,
)

STATES = 3


def some_model(signals, counts, seed=0):
    random = np.random.default_rng(seed)
    process, start = random.normal(size=(2, STATES, STATES))
    return LinearMultiscale(
        transition=0.9 * np.linalg.qr(random.normal(size=(STATES, STATES)))[0],
        process_noise=0.1 * process @ process.T + 0.01 * np.eye(STATES),
        emission=random.normal(size=(signals, STATES)), offset=random.normal(size=signals),
        observation_noise=0.2 + random.random(signals),
        loadings=0.5 * random.normal(size=(counts, STATES)), baseline=random.normal(size=counts) - 0.5,
        initial_mean=random.normal(size=STATES), initial_covariance=start @ start.T + 0.1 * np.eye(STATES),
    )  # fmt: skip


def some_observations(signals, counts, shape, seed=0):
    random = np.random.default_rng(seed)
    values, observed = random.normal(size=(*shape, signals)), random.random((*shape, signals)) > 0.4
    spikes, counted = random.poisson(1.0, (*shape, counts)), random.random((*shape, counts)) > 0.3
    return Observations(values, observed, spikes.astype(float), counted)


def on_device(tree, dtype=None):
    def cast(array):
        return jnp.asarray(array, dtype if dtype is not None and array.dtype != bool else array.dtype)

    return jax.tree.map(cast, tree)


class TestSignals:
    """Exact: one dense Gaussian, channels missing."""

    model, data = some_model(5, 0), some_observations(5, 0, (2, 9))
    found = filter_states(on_device(model), on_device(data))

    def test_filtered(self):
        for trial in range(2):
            mean, covariance = filtered(self.model, self.data.values[trial], self.data.observed[trial])
            np.testing.assert_allclose(self.found.mean[trial], mean, rtol=1e-8, atol=1e-10)
            np.testing.assert_allclose(self.found.covariance[trial], covariance, rtol=1e-8, atol=1e-10)

    def test_smoothed_and_lagged(self):
        smoothed = smooth_states(on_device(self.model), self.found)
        for trial in range(2):
            mean, covariance, _ = conditioned(self.model, self.data.values[trial], self.data.observed[trial])
            bins = np.arange(9)
            np.testing.assert_allclose(smoothed.mean[trial], mean, rtol=1e-8, atol=1e-10)
            np.testing.assert_allclose(smoothed.covariance[trial], covariance[bins, :, bins], rtol=1e-8, atol=1e-10)
            lagged = covariance[bins[1:], :, bins[:-1]]
            np.testing.assert_allclose(smoothed.lagged[trial], lagged, rtol=1e-8, atol=1e-10)

    def test_log_likelihood(self):
        for trial in range(2):
            *_, expected = conditioned(self.model, self.data.values[trial], self.data.observed[trial])
            np.testing.assert_allclose(self.found.log_likelihood[trial].sum(), expected, rtol=1e-10)


class TestCounts:
    @pytest.mark.parametrize(("mean", "variance"), [(25.0, 1.0), (40.0, 100.0), (90.0, 100.0)])
    def test_far_fewer_than_expected(self, mean, variance):
        """One state that is its own log rate, and no count: the mode solves ``(m - mean) / variance = -exp(m)``."""
        one, none = np.ones(1), np.zeros((0, 1))
        model = LinearMultiscale(
            transition=np.eye(1), process_noise=np.eye(1), emission=none, offset=none[:, 0],
            observation_noise=none[:, 0], loadings=np.eye(1), baseline=0 * one, initial_mean=one,
            initial_covariance=np.eye(1),
        )  # fmt: skip
        belief = Belief(np.full((1, 1), mean), np.full((1, 1, 1), variance))
        nothing = Observations(np.zeros((1, 0)), np.zeros((1, 0), bool), np.zeros((1, 1)), np.ones((1, 1), bool))
        found, _ = update(on_device(model), on_device(belief), on_device(nothing))
        expected = scipy.optimize.brentq(lambda m: (m - mean) / variance + np.exp(m), -50, mean)
        np.testing.assert_allclose(found.mean[0, 0], expected, atol=1e-3)
        np.testing.assert_allclose(found.covariance[0, 0, 0], 1 / (1 / variance + np.exp(expected)), rtol=1e-2)

    @pytest.mark.parametrize("alone", [False, True])
    @pytest.mark.parametrize("surprise", [1.0, 40.0])
    def test_the_mode_and_its_curvature(self, alone, surprise):
        """Also of counts that are far from what was expected, where a full Newton step would overshoot."""
        model, data = some_model(4, 6), some_observations(4, 6, (2,), seed=1)
        data = data._replace(counts=np.round(surprise * data.counts), observed=data.observed & ~np.asarray(alone))
        random = np.random.default_rng(2)
        means, factors = random.normal(size=(2, STATES)), random.normal(size=(2, STATES, STATES))
        covariances = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(STATES)
        belief, _ = update(on_device(model), on_device(Belief(means, covariances)), on_device(data))
        for trial in range(2):
            bin_ = [array[trial] for array in data]
            place, covariance = mode(model, means[trial], covariances[trial], bin_)
            away = (belief.mean[trial] - place) / np.sqrt(np.diag(covariance))
            assert np.abs(away).max() < 2 * np.sqrt(2 * PRECISION)  # in posterior deviations, as promised
            np.testing.assert_allclose(belief.covariance[trial], covariance, rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("count", [0.0, 2.0, 9.0])
    def test_the_log_likelihood_is_nearly_the_integral(self, count):
        one, eye, none = np.ones(1), np.eye(1), np.zeros((0, 1))
        model = LinearMultiscale(eye, eye, none, none[:, 0], none[:, 0], 0.7 * eye, baseline=0.5 * one,
                                 initial_mean=0 * one, initial_covariance=eye)  # fmt: skip
        data = Observations(none.T, none.T > 0, np.array([[count]]), eye > 0)
        _, found = update(on_device(model), on_device(Belief(0 * eye, 0.5 * eye[None])), on_device(data))

        def density(x):
            return scipy.stats.poisson(np.exp(0.7 * x + 0.5)).pmf(count) * scipy.stats.norm(0, np.sqrt(0.5)).pdf(x)

        assert float(found[0]) == pytest.approx(np.log(scipy.integrate.quad(density, -8, 8)[0]), abs=0.01)

    def test_what_is_missing_is_not_read(self):
        model, data = some_model(4, 6), some_observations(4, 6, (2, 20))
        changed = Observations(
            np.where(data.observed, data.values, 1e6), data.observed, np.where(data.counted, data.counts, 900.0),
            data.counted,
        )  # fmt: skip
        before, after = (filter_states(on_device(model), on_device(each)) for each in (data, changed))
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_single_precision(self):
        """Over many bins, slow states among them, with covariances that stay positive-definite."""
        model = some_model(4, 6)._replace(
            transition=np.diag([0.9999, 0.99, 0.5]), process_noise=np.diag([1e-4, 1e-3, 0.5]),
            observation_noise=np.full(4, 0.01),
        )  # fmt: skip
        _, values, counts = simulated(model, (2, 1000), seed=0)
        data = some_observations(4, 6, (2, 1000))._replace(values=values, counts=counts)
        exact, single = (
            smooth_states(each, filter_states(each, on_device(data, dtype)))
            for dtype in (jnp.float64, jnp.float32)
            for each in [on_device(model, dtype)]
        )
        assert single.mean.dtype == jnp.float32
        scale = np.sqrt(np.diagonal(np.asarray(exact.covariance), axis1=-2, axis2=-1))
        np.testing.assert_array_less(np.abs(np.asarray(single.mean) - np.asarray(exact.mean)) / scale, 0.02)
        variances = np.linalg.eigvalsh(np.asarray(single.covariance))
        assert (variances > 0).all()
        np.testing.assert_allclose(variances, np.linalg.eigvalsh(np.asarray(exact.covariance)), rtol=0.02)
