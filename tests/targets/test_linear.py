"""Oracles: normal equations on the rows, every held-out block refitted from scratch."""

import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.targets import LinearTarget, Rows, cross_fit_ridge_stream, fit_ridge, linear, time_blocks


def make(seed=0, bins=400, features=7, dims=3, noise=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(bins, features)) @ rng.normal(size=(features, features)) * 3 + rng.normal(size=features) * 50
    w = rng.normal(size=(features, dims)) * np.array([1.0, 0.1, 0.0])[:dims]
    y = x @ w * 0.1 + rng.normal(size=(bins, dims)) * noise + 7.0
    return x, y


def refit(x, y, penalty, std=None):
    """Textbook: standardise the rows, add the penalty times the number of rows, solve."""
    mean, std = x.mean(0), x.std(0) if std is None else std
    u = (x - mean) / std
    w = np.linalg.solve(u.T @ u + penalty * len(u) * np.eye(u.shape[1]), u.T @ (y - y.mean(0))) / std[:, None]
    return w, y.mean(0) - mean @ w


def brute_force(x, y, groups, penalties):
    errors = np.zeros((len(penalties), y.shape[1]))
    for i, penalty in enumerate(penalties):
        for g in np.unique(groups):
            w, b = refit(x[groups != g], y[groups != g], penalty, x.std(0))
            errors[i] += np.sum((y[groups == g] - x[groups == g] @ w - b) ** 2, axis=0)
    chosen = np.asarray(penalties)[errors.argmin(0)]
    residuals = np.empty_like(y)
    for d, penalty in enumerate(chosen):
        for g in np.unique(groups):
            w, b = refit(x[groups != g], y[groups != g], penalty, x.std(0))
            residuals[groups == g, d] = (y[groups == g] - x[groups == g] @ w - b)[:, d]
    maps = [refit(x, y, penalty) for penalty in chosen]
    weights = np.stack([w[:, d] for d, (w, _) in enumerate(maps)], axis=1)
    intercept = np.array([b[d] for d, (_, b) in enumerate(maps)])
    return weights, intercept, chosen, residuals.T @ residuals / len(y)


@pytest.mark.parametrize("seed", range(4))
def test_equals_refitting_every_block(seed):
    x, y = make(seed, noise=3.0)
    groups = time_blocks(np.array([150, 30, 220]), 5)
    penalties = (1e-3, 1e-2, 0.1, 1.0, 10.0)
    fit = fit_ridge(x, y, groups, penalties=penalties)
    weights, intercept, chosen, covariance = brute_force(x, y, groups, penalties)
    np.testing.assert_array_equal(fit.penalty, chosen)
    np.testing.assert_allclose(fit.weights, weights, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fit.intercept, intercept, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fit.residual_covariance, covariance, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_fitted_without_a_block_has_not_seen_it(monkeypatch, exact):
    """Each equals the regression refitted to the rows of the other blocks."""
    monkeypatch.setattr(linear, "EXACT_FEATURES", 1000 if exact else 0)
    x, y = make(1, noise=3.0)
    groups = time_blocks(np.array([150, 250]), 4) + 3
    fit, without = cross_fit_ridge_stream(lambda: [Rows(x, y, groups)], penalties=(1e-2, 1.0))
    assert sorted(without) == [3, 4, 5, 6]
    for group, found in without.items():
        for dim, penalty in enumerate(fit.penalty):
            w, b = refit(x[groups != group], y[groups != group], penalty, x.std(0))
            expected = x[groups == group] @ w[:, dim] + b[dim]
            np.testing.assert_allclose(found.predict(x[groups == group])[:, dim], expected, rtol=1e-8, atol=1e-8)


def test_dimensions_choose_their_own_penalty():
    x, y = make(0, noise=3.0)
    fit = fit_ridge(x, y, time_blocks(np.array([400]), 5), penalties=(1e-4, 1e2))
    assert len(set(fit.penalty)) == 2


def test_a_tiny_penalty_is_least_squares():
    x, y = make()
    fit = fit_ridge(x, y, time_blocks(np.array([400]), 4), penalties=(1e-14,))
    exact, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y)
    np.testing.assert_allclose(fit.weights, exact[:-1], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fit.intercept, exact[-1], rtol=1e-8)


def test_a_huge_penalty_leaves_the_mean():
    x, y = make()
    fit = fit_ridge(x, y, time_blocks(np.array([400]), 4), penalties=(1e12,))
    np.testing.assert_allclose(fit.predict(x), np.broadcast_to(y.mean(0), y.shape), rtol=1e-9)


def test_units_of_features_and_target_do_not_matter():
    x, y = make()
    groups = time_blocks(np.array([400]), 4)
    scale, shift = np.array([1e-6, 1.0, 1e3, 5.0, 1e8, 0.1, 2.0]), np.arange(7) * 10.0
    plain, rescaled = fit_ridge(x, y, groups), fit_ridge(x * scale + shift, 1e-3 * y - 4, groups)
    np.testing.assert_allclose(rescaled.predict(x * scale + shift), 1e-3 * plain.predict(x) - 4, rtol=1e-8)
    np.testing.assert_allclose(rescaled.residual_covariance, 1e-6 * plain.residual_covariance, rtol=1e-8)


def test_a_dead_feature_gets_no_weight_and_changes_nothing():
    x, y = make()
    groups = time_blocks(np.array([400]), 4)
    dead = np.column_stack([x, np.full(len(x), 0.1)])
    fit = fit_ridge(dead, y, groups)
    assert np.all(fit.weights[-1] == 0)
    np.testing.assert_allclose(fit.predict(dead), fit_ridge(x, y, groups).predict(x), rtol=1e-9)


def test_a_unit_that_only_fires_in_one_block_does_no_harm():
    """Its filtered counts leave a faint tail in the next block, which must not be scaled up to a feature."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    y = x @ np.ones((2, 1)) + rng.normal(size=(400, 1))
    burst = np.zeros(400)
    burst[295:300] = 1.0
    burst[300:] = 1e-4 * 0.9 ** np.arange(100.0)
    groups = time_blocks(np.array([400]), 4)
    with_burst = fit_ridge(np.column_stack([x, burst]), y, groups)
    alone = fit_ridge(x, y, groups)
    assert with_burst.residual_covariance[0, 0] < 1.05 * alone.residual_covariance[0, 0]


def test_collinear_features_stay_finite_and_decode():
    x, y = make(noise=0.1)
    doubled = np.concatenate([x, x, x[:, :1] + x[:, 1:2]], axis=1)
    fit = fit_ridge(doubled, y, time_blocks(np.array([400]), 4))
    residual = y[:, 0] - fit.predict(doubled)[:, 0]
    assert residual.std() < 0.11


def test_residual_covariance_is_of_held_out_errors():
    """Pure noise and half as many features as rows: training residuals would halve the variance."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 100)), rng.normal(size=(200, 1))
    groups = time_blocks(np.array([200]), 10)
    fit = fit_ridge(x, y, groups, penalties=(1e-6,))
    train = np.mean((y - fit.predict(x)) ** 2)
    assert train < 0.7 < 1.2 < fit.residual_covariance[0, 0]


def test_float32_rows_are_computed_in_float64():
    x, y = (a.astype(np.float32) for a in make())
    groups = time_blocks(np.array([400]), 4)
    fit = fit_ridge(x, y, groups)
    exact = fit_ridge(x.astype(np.float64), y.astype(np.float64), groups)
    assert fit.weights.dtype == np.float64
    np.testing.assert_array_equal(fit.weights, exact.weights)


def test_predict_takes_any_leading_axes():
    x, y = make()
    fit = fit_ridge(x, y, time_blocks(np.array([400]), 4))
    np.testing.assert_allclose(fit.predict(x.reshape(4, 100, 7)), fit.predict(x).reshape(4, 100, 3), rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y, g: (x[:-1], y, g), "one row per bin"),
        (lambda x, y, g: (x, y[:, 0], g), "shapes"),
        (lambda x, y, g: (np.where(x > x.max() - 1e-9, np.nan, x), y, g), "finite"),
        (lambda x, y, g: (x, y, np.zeros_like(g)), "two groups"),
        (lambda x, y, g: (x, y * [1, 0, 1], g), "dimension 1 is constant"),
    ],
)
def test_bad_input_is_named(change, message):
    x, y = make()
    with pytest.raises(InputError, match=message):
        fit_ridge(*change(x, y, time_blocks(np.array([400]), 4)))


@pytest.mark.parametrize("penalties", [(), (0.0,), (-1.0, 1.0), (float("nan"),)])
def test_bad_penalties_are_refused(penalties):
    x, y = make()
    with pytest.raises(InputError, match="penalties"):
        fit_ridge(x, y, time_blocks(np.array([400]), 4), penalties=penalties)


def test_predict_refuses_other_features():
    fit = LinearTarget(np.ones((3, 1)), np.zeros(1), np.ones(1), np.eye(1))
    with pytest.raises(InputError, match="expected 3 features, got 2"):
        fit.predict(np.ones((5, 2)))


@pytest.mark.parametrize("lengths", [[100], [37, 63], [10] * 10, [1] * 100, [5, 80, 15]])
@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_blocks_are_contiguous_and_all_in_use(lengths, n):
    groups = time_blocks(np.array(lengths), n)
    sizes = np.bincount(groups)
    assert len(groups) == 100
    assert np.all(np.diff(groups) >= 0)
    assert len(sizes) == n
    assert sizes.min() >= 0.4 * 100 / n
    assert sizes.max() <= 1.6 * 100 / n


def test_short_trials_stay_whole():
    lengths = np.full(33, 10)
    groups = time_blocks(lengths, 5).reshape(33, 10)
    assert np.all(groups == groups[:, :1])


@pytest.mark.parametrize(("lengths", "n"), [([10], 1), ([3], 4), ([5, 0], 2), ([5, -1], 2)])
def test_impossible_blocks_are_refused(lengths, n):
    with pytest.raises(InputError):
        time_blocks(np.array(lengths), n)
