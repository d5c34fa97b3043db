"""Many features, solved in a growing subspace. Oracles: the dense normal equations of every round, written out."""

import itertools

import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.targets import Rows, fit_ridge, fit_ridge_stream, linear, subspace, time_blocks

PENALTIES = (1e-2, 0.1, 1.0, 10.0)


def recording(bins=1200, channels=40, dims=2, seed=0):
    """Slow averages at three time constants of noisy channels that see four common signals, and two targets."""
    rng = np.random.default_rng(seed)
    signals = np.cumsum(rng.normal(size=(bins, 4)), axis=0)
    signals = signals / signals.std(0)
    seen = signals @ rng.normal(size=(4, channels)) + 3 * rng.normal(size=(bins, channels))
    averages, features = np.zeros((3, channels)), []
    for row in seen:
        averages += (row - averages) * np.array([[1.0], [0.2], [0.05]])
        features.append(averages.ravel().copy())
    target = np.tanh(signals[:, :dims]) + 0.3 * rng.normal(size=(bins, dims)) + [5.0, -2.0][:dims]
    return np.array(features) * rng.uniform(0.1, 10, 3 * channels) + rng.normal(size=3 * channels), target


def solved(x, y, rows, penalty):
    """Ridge on some rows, features scaled by all of them: weights and intercept in user units."""
    scale, mean = x.std(0), x[rows].mean(0)
    u = (x[rows] - mean) / scale
    n = len(u)
    w = np.linalg.solve(u.T @ u / n + penalty * np.eye(x.shape[1]), u.T @ (y[rows] - y[rows].mean(0)) / n)
    w = w / scale[:, None]
    return w, y[rows].mean(0) - mean @ w


def held_out_errors(x, y, groups, penalties):
    """Mean squared held-out error (penalties, dims)."""
    result = np.zeros((len(penalties), y.shape[1]))
    for (i, penalty), g in itertools.product(enumerate(penalties), np.unique(groups)):
        w, b = solved(x, y, groups != g, penalty)
        result[i] += np.sum((y[groups == g] - x[groups == g] @ w - b) ** 2, axis=0) / len(y)
    return result


@pytest.fixture
def iterative(monkeypatch):
    """Every regression takes the way of many features, few directions at a time."""
    monkeypatch.setattr(linear, "EXACT_FEATURES", 0)
    monkeypatch.setattr(subspace, "DIRECTIONS", 12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(3))
def test_many_features_give_the_solution_of_the_dense_equations(iterative, seed, dtype):
    x, y = recording(seed=seed)
    x = x.astype(dtype)
    groups = time_blocks(np.array([700, 500]), 4)
    fit = fit_ridge(x, y, groups, penalties=PENALTIES)
    x = x.astype(np.float64)
    errors = held_out_errors(x, y, groups, PENALTIES)
    np.testing.assert_array_equal(fit.penalty, np.asarray(PENALTIES)[errors.argmin(0)])
    # The bound is on squared errors, so predictions agree to its root, a hundredth of the held-out error.
    np.testing.assert_allclose(np.diag(fit.residual_covariance), errors.min(0), rtol=3e-3)
    for d, penalty in enumerate(fit.penalty):
        w, b = solved(x, y, np.full(len(x), True), penalty)
        off = fit.predict(x)[:, d] - (x @ w + b)[:, d]
        assert np.sqrt(np.mean(off**2)) < np.sqrt(subspace.TOLERANCE * errors.min(0)[d])


def test_the_bound_holds_and_is_what_ends_the_search(iterative, monkeypatch):
    """A tighter tolerance brings the solution closer, as close as it says."""
    x, y = recording()
    groups = time_blocks(np.array([1200]), 4)
    w, b = solved(x, y, np.full(len(x), True), 0.1)
    error = held_out_errors(x, y, groups, (0.1,))[0]
    off = {}
    for tolerance in (1e-1, 1e-3, 1e-8):
        monkeypatch.setattr(subspace, "TOLERANCE", tolerance)
        fit = fit_ridge(x, y, groups, penalties=(0.1,))
        gap, apart = fit.predict(x) - x @ w - b, (fit.weights - w) * x.std(0)[:, None]
        off[tolerance] = float(np.max((np.mean(gap**2, axis=0) + 0.1 * np.sum(apart**2, axis=0)) / error))
        assert off[tolerance] <= tolerance
    assert off[1e-8] < off[1e-1]


def test_all_directions_give_the_exact_solution(iterative, monkeypatch):
    """With as many directions as features nothing is left out, however small the penalties are."""
    monkeypatch.setattr(subspace, "TOLERANCE", 0.0)
    x, y = recording(bins=500, channels=10)
    groups = time_blocks(np.array([500]), 5)
    found = fit_ridge(x, y, groups, penalties=(1e-8, 1e-4))
    monkeypatch.undo()
    exact = fit_ridge(x, y, groups, penalties=(1e-8, 1e-4))
    np.testing.assert_array_equal(found.penalty, exact.penalty)
    np.testing.assert_allclose(found.predict(x), exact.predict(x), rtol=1e-6)
    np.testing.assert_allclose(found.residual_covariance, exact.residual_covariance, rtol=1e-6, atol=1e-9)


def test_too_few_directions_are_said(iterative, monkeypatch):
    monkeypatch.setattr(subspace, "MOST_DIRECTIONS", 24)
    x, y = recording()
    with pytest.warns(UserWarning, match="120 features stopped at 24 directions"):
        fit_ridge(x, y, time_blocks(np.array([1200]), 4), penalties=(1e-6,))


@pytest.mark.parametrize("exact", [True, False])
def test_how_the_rows_are_cut_does_not_matter(monkeypatch, exact):
    """Blocks of any length, with several groups in one, bring what all rows at once bring."""
    monkeypatch.setattr(linear, "EXACT_FEATURES", 1000 if exact else 0)
    x, y = recording(bins=600, channels=10)
    groups = np.random.default_rng(0).integers(3, 7, 600)
    edges = [0, 1, 60, 61, 350, 350, 600]

    def cut():
        for a, b in itertools.pairwise(edges):
            yield Rows(x[a:b], y[a:b], groups[a:b])

    whole, pieces = fit_ridge(x, y, groups), fit_ridge_stream(cut)
    np.testing.assert_array_equal(whole.penalty, pieces.penalty)
    tolerance = 1e-9 if exact else 1e-6
    np.testing.assert_allclose(pieces.predict(x), whole.predict(x), atol=tolerance)
    np.testing.assert_allclose(pieces.residual_covariance, whole.residual_covariance, rtol=tolerance)


def test_dead_and_shifted_features_do_no_harm(iterative):
    """A constant feature and levels far from zero, in single precision."""
    x, y = recording(bins=600, channels=10)
    groups = time_blocks(np.array([600]), 4)
    plain = fit_ridge(x, y, groups)
    shifted = np.concatenate([x + 100, np.full((600, 2), [3.0, 0.0])], axis=1).astype(np.float32)
    fit = fit_ridge(shifted, y, groups)
    np.testing.assert_allclose(fit.predict(shifted), plain.predict(x), atol=1e-2)
    assert np.all(fit.weights[-2:] == 0)


def test_refusals_of_a_stream():
    x, y = recording(bins=60, channels=3)
    groups = np.arange(60) // 30

    def stream(*blocks):
        return lambda: iter([Rows(*block) for block in blocks])

    with pytest.raises(InputError, match="same features, got 9, then 8"):
        fit_ridge_stream(stream((x, y, groups), (x[:, :8], y, groups)))
    with pytest.raises(InputError, match="one row per bin"):
        fit_ridge_stream(stream((x, y[:50], groups)))
    with pytest.raises(InputError, match="finite"):
        fit_ridge_stream(stream((x, y, groups), (np.where(x > x.mean(), np.nan, x), y, groups)))
    with pytest.raises(InputError, match="two groups"):
        fit_ridge_stream(stream((x, y, 0 * groups)))
    with pytest.raises(InputError, match="no rows"):
        fit_ridge_stream(stream())
    with pytest.raises(InputError, match="dimension 1 is constant"):
        fit_ridge_stream(stream((x, np.stack([y[:, 0], 0 * y[:, 0]], 1), groups)))
    with pytest.raises(InputError, match="penalties"):
        fit_ridge_stream(stream((x, y, groups)), penalties=(0.0,))
