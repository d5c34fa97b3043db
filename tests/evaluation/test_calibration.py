"""Intervals and proper scores, against SciPy and an integral."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from neurodyn.errors import InputError
from neurodyn.evaluation import calibrate


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(1)
    predicted = rng.normal(size=(4000, 2)) * [1.0, 10.0]
    deviation = rng.uniform(0.5, 2.0, size=(4000, 2)) * [1.0, 10.0]
    return predicted + deviation * rng.normal(size=(4000, 2)), predicted, deviation


def test_right_intervals_hold_what_they_promise(predictions):
    found = calibrate(*predictions, levels=(0.3, 0.5, 0.95))
    # Three standard errors of a share of 4,000 bins.
    np.testing.assert_allclose(found.coverage, [[0.3] * 2, [0.5] * 2, [0.95] * 2], atol=0.024)
    np.testing.assert_allclose(found.width, 2 * norm.ppf(0.975) * predictions[2].mean(axis=0))


def test_half_the_deviation_holds_less(predictions):
    true, predicted, deviation = predictions
    found = calibrate(true, predicted, deviation / 2)
    np.testing.assert_allclose(found.coverage[-1], 2 * norm.cdf(norm.ppf(0.975) / 2) - 1, atol=0.024)
    assert (found.crps > calibrate(*predictions).crps).all()
    assert (found.log_score < calibrate(*predictions).log_score).all()


def test_scores_equal_their_definitions(predictions):
    true, predicted, deviation = (values[:20] for values in predictions)
    found = calibrate(true, predicted, deviation)
    np.testing.assert_allclose(found.log_score, norm.logpdf(true, predicted, deviation).mean(axis=0))

    def crps(y, mean, spread):
        below = quad(lambda x: norm.cdf(x, mean, spread) ** 2, mean - 12 * spread, y)[0]
        return below + quad(lambda x: norm.sf(x, mean, spread) ** 2, y, mean + 12 * spread)[0]

    wanted = np.mean(np.vectorize(crps)(true, predicted, deviation), axis=0)
    np.testing.assert_allclose(found.crps, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, p, d: (t[:0], p[:0], d[:0]), "one shape"),
        (lambda t, p, d: (t * np.nan, p, d), "true values must be finite"),
        (lambda t, p, d: (t, p, d * 0), "deviations must be positive"),
    ],
)
def test_what_cannot_be_judged_is_refused(predictions, change, message):
    with pytest.raises(InputError, match=message):
        calibrate(*change(*predictions))


@pytest.mark.parametrize("levels", [(), (0.9, 0.5), (0.5, 1.0)])
def test_levels_have_to_be_shares_in_order(predictions, levels):
    with pytest.raises(InputError, match="levels"):
        calibrate(*predictions, levels=levels)
