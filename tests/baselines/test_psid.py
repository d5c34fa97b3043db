"""PSID's model against the Kalman filter of the system that made the data."""

import importlib.util
import sys

import numpy as np
import pytest

from neurodyn.baselines import PreferentialSubspace
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError, MissingExtraError

installed = pytest.mark.skipif(
    importlib.util.find_spec("PSID") is None, reason="PSID, of the extra bench, is not installed"
)
TRANSITION = np.array([[0.8, -0.5, 0.0], [0.5, 0.8, 0.0], [0.0, 0.0, 0.5]])
EMISSION = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, -2.0], [1.0, 1.0, 1.0], [0.5, -1.0, 1.0]])
READOUT = np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.0]])
NOISE = 0.7
"""A rotation drives the target; a third state, which is not in the target, drives the observations most."""


def simulate(seed, trials=6, bins=600):
    """Observations, target, and the states behind them: unit state noise, white observation noise."""
    rng = np.random.default_rng(seed)
    states = np.zeros((trials, bins, 3))
    for t in range(1, bins):
        states[:, t] = states[:, t - 1] @ TRANSITION.T + rng.normal(size=(trials, 3))
    observed = states @ EMISSION.T + NOISE * rng.normal(size=(trials, bins, 4))
    return observed, states @ READOUT.T + 0.1 * rng.normal(size=(trials, bins, 2))


def kalman(observed):
    """Target by the textbook filter with the true matrices: knowing a bin, and knowing the bins before it alone."""
    known, before = np.zeros((2, *observed.shape[:2], 2))
    for trial, values in enumerate(observed):
        mean, covariance = np.zeros(3), np.zeros((3, 3))
        for t, value in enumerate(values):
            before[trial, t] = READOUT @ mean
            innovation = EMISSION @ covariance @ EMISSION.T + NOISE**2 * np.eye(4)
            gain = covariance @ EMISSION.T @ np.linalg.inv(innovation)
            mean, covariance = mean + gain @ (value - EMISSION @ mean), covariance - gain @ EMISSION @ covariance
            known[trial, t] = READOUT @ mean
            mean, covariance = TRANSITION @ mean, TRANSITION @ covariance @ TRANSITION.T + np.eye(3)
    return known, before


def a_batch(observed, target):
    return MultimodalBatch.from_arrays(
        {"field": observed}, width=0.05, likelihoods={"field": "gaussian"}, target=target
    )


@pytest.fixture(scope="module")
def fitted():
    return PreferentialSubspace((3,), horizon=5).fit(a_batch(*simulate(0)))


def spread(values):
    return np.sqrt(np.mean(values**2))


@installed
def test_it_is_the_true_kalman_filter_that_knows_the_bin_itself(fitted):
    """What it is off by is a tenth at most of what the present bin tells: a prediction of the bin is refuted."""
    observed, target = simulate(1)
    known, before = kalman(observed)
    found = fitted.predict(a_batch(observed, target))["target"].to_numpy()
    assert spread(found - known) < 0.1 * spread(before - known)
    np.testing.assert_allclose(spread(found - target), spread(known - target), rtol=0.05)


@installed
def test_one_state_by_the_target_is_worth_more_than_one_of_the_observations():
    """What the observations vary with most is the state that the target does not depend on."""
    batch, test = a_batch(*simulate(0)), a_batch(*simulate(1))
    found = PreferentialSubspace((2,), horizon=5).fit(batch)
    assert found.states_ == (2, 2)
    known = kalman(simulate(1)[0])[0]
    best = 1 - np.mean((known - simulate(1)[1]) ** 2) / simulate(1)[1].var()
    assert found.score(test).r2.mean() > 0.75 * best


@installed
def test_numbers_of_states_are_chosen(fitted):
    found = PreferentialSubspace((1, 3), horizon=5).fit(a_batch(*simulate(0)))
    assert found.states_.total == 3
    assert fitted.states_.total == 3
    assert "3, " in repr(found)


@installed
def test_the_deviation_is_about_the_error_on_new_data(fitted):
    observed, target = simulate(1)
    found = fitted.predict(a_batch(observed, target))
    error = np.sqrt(np.mean((found["target"].to_numpy() - target) ** 2, axis=(0, 1)))
    np.testing.assert_allclose(found["deviation"][0, 0], error, rtol=0.15)


@installed
def test_what_comes_later_changes_nothing_and_missing_samples_are_means(fitted):
    observed, target = simulate(1, trials=1, bins=60)
    other, lost, filled = observed.copy(), observed.copy(), observed.copy()
    other[0, 30:] *= -1
    lost[0, 10:20] = np.nan
    filled[0, 10:20] = fitted.fitted_.scaling.mean["field"]
    plain, later, gone, means = (
        fitted.predict(a_batch(values, target))["target"].to_numpy() for values in (observed, other, lost, filled)
    )
    np.testing.assert_array_equal(plain[0, :30], later[0, :30])
    assert np.abs(plain[0, 30] - later[0, 30]).max() > 0.1
    np.testing.assert_allclose(gone, means, atol=1e-5)
    assert np.abs(gone - plain).max() > 0.1


@installed
def test_bins_without_a_target_are_left_out():
    """A target that is absurd where it is not observed, and stretches that are too short for the horizon."""
    observed, target = simulate(0)
    holed = target.copy()
    holed[:, 200:220] = np.nan
    holed[:, 225:240] = np.nan
    holed[0, 5:] = np.nan
    found = PreferentialSubspace((3,), horizon=5).fit(a_batch(observed, holed))
    observed, target = simulate(1)
    known = kalman(observed)[0]
    off = spread(found.predict(a_batch(observed, target))["target"].to_numpy() - target)
    np.testing.assert_allclose(off, spread(known - target), rtol=0.05)


@installed
def test_what_it_cannot_do_is_refused(fitted):
    batch = a_batch(*simulate(0, trials=4, bins=15))
    with pytest.raises(InputError, match=r"no stretch of training bins with a target has the 21 bins"):
        PreferentialSubspace((2,)).fit(batch)
    with pytest.raises(InputError, match=r"horizon: bins of past and of future, 2 or more, got 1"):
        PreferentialSubspace((2,), horizon=1).fit(batch)
    with pytest.raises(InputError, match=r"latents are a list of numbers of states"):
        PreferentialSubspace((0,)).fit(batch)
    with pytest.raises(InputError, match="no smoothed estimate"):
        fitted.predict(batch, smoothed=True)


def test_without_psid_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "PSID", None)
    with pytest.raises(MissingExtraError, match=r"the package 'PSID': .* pip install '.\[bench\]'"):
        PreferentialSubspace().fit(a_batch(*simulate(0, trials=2, bins=60)))
