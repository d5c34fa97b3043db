"""Oracles: scipy.stats and formulas written out in loops."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from neurodyn.errors import InputError
from neurodyn.evaluation import Score, angle_error, bits_per_spike, correlation, r2, score, summarise


def pair(seed=0, bins=200, dims=3):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(bins, dims)) * [1, 10, 0.1][:dims] + [0, 100, -5][:dims]
    return true, true + rng.normal(size=(bins, dims)) * 0.5


def test_correlation_is_pearsons():
    true, predicted = pair()
    expected = [stats.pearsonr(true[:, d], predicted[:, d]).statistic for d in range(3)]
    np.testing.assert_allclose(correlation(true, predicted), expected, rtol=1e-12)


def test_correlation_ignores_scale_and_offset_but_not_sign():
    true, predicted = pair()
    c = correlation(true, predicted)
    np.testing.assert_allclose(correlation(true, 3 * predicted + 9), c, rtol=1e-12)
    np.testing.assert_allclose(correlation(true, -predicted), -c, rtol=1e-12)


def test_r2_is_the_explained_share():
    true, predicted = pair()
    for d, value in enumerate(r2(true, predicted)):
        mean = sum(true[:, d]) / 200
        left = sum((t - p) ** 2 for t, p in zip(true[:, d], predicted[:, d], strict=True))
        assert value == pytest.approx(1 - left / sum((t - mean) ** 2 for t in true[:, d]), rel=1e-10)


def test_r2_of_the_truth_the_mean_and_worse():
    true, _ = pair()
    np.testing.assert_allclose(r2(true, true), 1.0)
    np.testing.assert_allclose(r2(true, np.tile(true.mean(0), (200, 1))), 0.0, atol=1e-12)
    assert np.all(r2(true, true + 10 * true.std(0)) < -50)


def test_angle_error_is_the_shorter_way_round():
    rng = np.random.default_rng(0)
    true, off = rng.uniform(-720, 720, 200), rng.uniform(-179.9, 179.9, 200)
    vectors = [np.stack([np.cos(np.radians(a)), np.sin(np.radians(a))], axis=1) for a in (true, true + off)]
    found = angle_error(vectors[0], rng.uniform(0.1, 3, (200, 1)) * vectors[1])
    np.testing.assert_allclose(found, np.abs(off), atol=1e-9)
    with pytest.raises(InputError, match="cosine and sine, got 3 columns"):
        angle_error(np.ones((4, 3)), np.ones((4, 3)))


def test_metrics_accept_float32():
    true, predicted = pair()
    narrow = correlation(true.astype(np.float32), predicted.astype(np.float32))
    np.testing.assert_allclose(narrow, correlation(true, predicted), rtol=1e-4)


@pytest.mark.parametrize("metric", [correlation, r2])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, p: (t, p[:-1]), "one shape"),
        (lambda t, p: (t[:, 0], p[:, 0]), "one shape"),
        (lambda t, p: (t[:1], p[:1]), "at least 2"),
        (lambda t, p: (np.where(t == t[3, 1], np.nan, t), p), "true values must be finite"),
        (lambda t, p: (t, np.where(p == p[3, 1], np.inf, p)), "predicted values must be finite"),
        (lambda t, p: (t * [1, 0, 1], p), "true values of dimension 1 are constant"),
    ],
)
def test_bad_input_is_named(metric, change, message):
    with pytest.raises(InputError, match=message):
        metric(*change(*pair()))


def test_a_constant_prediction_has_an_r2_but_no_correlation():
    true, predicted = pair()
    flat = predicted * [0.0, 1, 1]
    assert r2(true, flat)[0] <= 0
    with pytest.raises(InputError, match="predicted values of dimension 0"):
        correlation(true, flat)


def poisson_case(seed=0):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 0.3, size=(5, 40, 4))
    counts = rng.poisson(rates).astype(np.float64)
    return rates, counts, rng.random(rates.shape) > 0.2


def test_bits_per_spike_is_the_loglikelihood_ratio():
    rates, counts, observed = poisson_case()
    gain, spikes = 0.0, 0.0
    for c in range(4):
        seen = observed[..., c]
        n, r = counts[..., c][seen], rates[..., c][seen]
        gain += stats.poisson.logpmf(n, r).sum() - stats.poisson.logpmf(n, n.mean()).sum()
        spikes += n.sum()
    assert bits_per_spike(rates, counts, observed) == pytest.approx(gain / spikes / math.log(2), rel=1e-10)


def test_mean_rates_give_zero_bits_and_true_rates_more():
    rates, counts, _ = poisson_case()
    every = np.ones(counts.shape, bool)
    mean = np.broadcast_to(counts.mean((0, 1)), counts.shape)
    assert bits_per_spike(mean, counts, every) == pytest.approx(0, abs=1e-12)
    assert bits_per_spike(rates, counts, every) > 0.05


def test_missing_entries_do_not_count():
    rates, counts, observed = poisson_case()
    wild = bits_per_spike(np.where(observed, rates, np.nan), np.where(observed, counts, -99.0), observed)
    assert wild == bits_per_spike(rates, counts, observed)


def test_a_silent_channel_adds_only_its_expected_spikes():
    rates, counts, observed = poisson_case()
    silent = counts * [1.0, 1, 1, 0]
    zero_rate = bits_per_spike(rates * [1.0, 1, 1, 0], silent, observed)
    cost = rates[..., 3][observed[..., 3]].sum() / silent[observed].sum() / math.log(2)
    assert bits_per_spike(rates, silent, observed) == pytest.approx(zero_rate - cost, rel=1e-10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, n, o: (r[:-1], n, o), "one shape"),
        (lambda r, n, o: (-r, n, o), "rates must be finite and not negative"),
        (lambda r, n, o: (r, -n, o), "counts must be finite and not negative"),
        (lambda r, n, o: (0 * r, n, o), "zero where spikes"),
        (lambda r, n, o: (r, 0 * n, o), "at least one observed spike"),
    ],
)
def test_bad_counts_are_named(change, message):
    with pytest.raises(InputError, match=message):
        bits_per_spike(*change(*poisson_case()))


def test_score_holds_both_metrics():
    true, predicted = pair()
    s = score(true, predicted, ["x", "y", "speed"])
    assert (s.dims, s.n_bins) == (("x", "y", "speed"), 200)
    np.testing.assert_array_equal(s.correlation, correlation(true, predicted))
    np.testing.assert_array_equal(s.r2, r2(true, predicted))


def test_score_needs_a_name_per_dimension():
    with pytest.raises(InputError, match="one name per target dimension, got 2 for 3"):
        score(*pair(), ("x", "y"))


def test_summary_of_folds():
    folds = [
        Score(("x", "y"), np.array([0.2, 0.4]), np.array([0.1, -0.3]), 10),
        Score(("x", "y"), np.array([0.6, 0.8]), np.array([0.3, 0.5]), 10),
    ]
    summary = summarise(folds)
    assert json.loads(json.dumps(summary)) == summary
    assert summary["correlation"]["mean"] == pytest.approx(0.5)
    assert summary["correlation"]["per_dimension"] == pytest.approx({"x": 0.4, "y": 0.6})
    assert summary["correlation"]["per_fold"] == pytest.approx([0.3, 0.7])
    assert summary["r2"]["mean"] == pytest.approx(0.15)
    assert summary["r2"]["per_fold"] == pytest.approx([-0.1, 0.4])


def test_summary_refuses_nothing_and_mixtures():
    one = Score(("x",), np.ones(1), np.ones(1), 3)
    with pytest.raises(InputError, match="at least one score"):
        summarise([])
    with pytest.raises(InputError, match="different dimensions"):
        summarise([one, Score(("y",), np.ones(1), np.ones(1), 3)])


def test_a_score_is_consistent():
    with pytest.raises(InputError, match="one correlation and one R2"):
        Score(("x", "y"), np.ones(1), np.ones(1), 3)
