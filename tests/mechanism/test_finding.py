"""Verdicts follow from intervals and bounds, and the statistics behind them are the textbook's."""

import math

import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from scipy import stats

from neurodyn.mechanism.finding import Criterion, Estimate, Finding, Verdict
from neurodyn.mechanism.statistics import (
    bootstrap,
    difference_of_means,
    not_measured,
    phase_randomised,
    principal_cosines,
    share,
)

RNG = np.random.default_rng(0)


def finding(*criteria):
    number = Estimate("number", 0.5, 0.4, 0.6)
    return Finding(1, "name", "claim", number, number, criteria, xr.Dataset())


@pytest.mark.parametrize(
    ("low", "high", "least", "most", "holds"),
    [
        (0.4, 0.6, 0.3, math.inf, True),
        (0.4, 0.6, 0.5, math.inf, None),
        (0.4, 0.6, 0.7, math.inf, False),
        (0.4, 0.6, -math.inf, 0.3, False),
        (0.4, 0.6, 0.3, 0.7, True),
        (0.4, 0.6, 0.3, 0.5, None),
        (0.5, 0.5, 0.5, 0.5, True),
        (math.nan, math.nan, 0.0, 1.0, None),
    ],
)
def test_a_criterion_needs_the_whole_interval(low, high, least, most, holds):
    assert Criterion(Estimate("x", 0.5, low, high), least, most).holds is holds


def test_verdicts():
    good, bad = Criterion(Estimate("x", 1.0, 1.0, 1.0), least=0.0), Criterion(Estimate("y", 1.0, 1.0, 1.0), least=2.0)
    unclear = Criterion(not_measured("z"), least=0.0)
    assert finding(good, good).verdict is Verdict.SUPPORTED
    assert finding(good, unclear).verdict is Verdict.UNDECIDED
    assert finding(good, unclear, bad).verdict is Verdict.NOT_SUPPORTED
    assert finding().verdict is Verdict.UNDECIDED
    assert "x: at least 0" in finding(good, bad).rule
    assert "y: at least 2" in finding(good, bad).rule


def test_an_estimate_as_text():
    assert str(Estimate("x", 0.5, 0.4, 0.61, "steps")) == "0.5 [0.4, 0.61] steps"
    assert str(not_measured("x")) == "not measured"


def test_bootstrap_covers_the_mean_of_a_normal_sample():
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = bootstrap("mean", rng.normal(1.0, 2.0, size=80), np.mean, rng, resamples=200)
        covered += found.low <= 1.0 <= found.high
    assert 50 <= covered <= 60  # 95 % of 60 is 57


def test_difference():
    above, below = RNG.random(50), 2 + RNG.random(50)
    found = difference_of_means("d", above, below, RNG)
    assert found.value == pytest.approx(above.mean() - below.mean())
    assert found.low < found.value < found.high < 0
    assert math.isnan(difference_of_means("d", above, below[:1], RNG).value)


@pytest.mark.parametrize(("successes", "total"), [(0, 10), (3, 10), (10, 10)])
def test_share_is_clopper_and_pearson(successes, total):
    exact = stats.binomtest(successes, total).proportion_ci(0.95, method="exact")
    found = share("s", successes, total)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert math.isnan(share("s", 0, 0).value)


def test_principal_cosines_against_scipy():
    first, second = RNG.normal(size=(2, 7)), RNG.normal(size=(3, 7))
    angles = scipy.linalg.subspace_angles(first.T, second.T)
    np.testing.assert_allclose(principal_cosines(first, second), np.sort(np.cos(angles))[::-1], atol=1e-12)


def test_principal_cosines_drop_empty_directions():
    axes = np.array([[1.0, 0, 0], [-1.0, 0, 0]])
    np.testing.assert_allclose(principal_cosines(axes, np.eye(3)[:2]), [1.0], atol=1e-12)


@pytest.mark.parametrize("steps", [20, 21])
def test_phase_randomised_keeps_spectra_and_destroys_their_relation(steps):
    time = np.arange(steps)
    wave = np.stack([np.cos(2 * np.pi * time * 3 / steps), np.sin(2 * np.pi * time * 3 / steps)], axis=1)
    series = np.tile(wave, (400, 1, 1)) + 1.0
    drawn = phase_randomised(series, np.random.default_rng(1))
    np.testing.assert_allclose(np.abs(np.fft.rfft(drawn, axis=1)), np.abs(np.fft.rfft(series, axis=1)), atol=1e-9)
    turning = (drawn[:, :-1, 0] - 1) * (drawn[:, 1:, 1] - 1) - (drawn[:, :-1, 1] - 1) * (drawn[:, 1:, 0] - 1)
    assert abs(turning.mean()) < 0.1  # sin(2 pi 3 / 20) = 0.81 before
