"""Oracles: the sums written out in loops; the future changed at will."""

import itertools

import numpy as np
import pytest

from neurodyn.baselines import ExponentialFilters, Lags
from neurodyn.errors import InputError
from neurodyn.history import SampleLags
from neurodyn.history.filters import hold

WIDTH = 0.05


def case(seed=0, trials=3, time=40, channels=2, share=0.3):
    rng = np.random.default_rng(seed)
    observed = rng.random((trials, time, channels)) > share
    return np.where(observed, rng.normal(size=observed.shape), 0.0), observed


def test_filters_are_the_weighted_means_written_out():
    values, observed = case()
    filters = ExponentialFilters((0.1, 3.0), strength=0.2)
    features = filters.history(values, observed, WIDTH)
    assert features.shape == (3, 40, 6)
    for f, seconds in enumerate(filters.seconds):
        decay = np.exp(-WIDTH / seconds)
        for t in range(40):
            weights = decay ** np.arange(t, -1, -1.0)[:, None]
            total = np.sum(weights * values[:, : t + 1] * observed[:, : t + 1], axis=1)
            weight = np.sum(weights * observed[:, : t + 1], axis=1) + 0.2 * np.sum(decay ** np.arange(10000.0))
            np.testing.assert_allclose(features[:, t, 2 + 2 * f : 4 + 2 * f], total / weight, rtol=1e-10)


def test_newest_sample_is_held_and_is_zero_before_the_first():
    values, observed = case(share=0.7)
    held = hold(values, observed)
    for i in range(3):
        for c in range(2):
            last = 0.0
            for t in range(40):
                last = values[i, t, c] if observed[i, t, c] else last
                assert held[i, t, c] == last


def test_without_a_prior_a_constant_is_found_whatever_is_missing():
    _, observed = case(share=0.6)
    filters = ExponentialFilters((0.2, 5.0), strength=0.0)
    features = filters.history(np.where(observed, 3.5, 0.0), observed, WIDTH)
    seen = np.maximum.accumulate(observed, axis=1)
    assert np.all(features[~np.tile(seen, 3)] == 0)
    np.testing.assert_allclose(features[np.tile(seen, 3)], 3.5, rtol=1e-10)


def test_a_channel_never_observed_gives_zeros_even_without_a_prior():
    values, observed = np.zeros((1, 3000, 1)), np.zeros((1, 3000, 1), bool)
    observed[0, 0], values[0, 0] = True, 2.0
    for seen in (observed, np.zeros_like(observed)):
        features = ExponentialFilters((0.001,), strength=0.0).history(values * seen, seen, WIDTH)
        assert np.isfinite(features).all()
        assert np.all(features[0, 100:, 1] == 0)


def test_lags_are_shifted_held_samples():
    values, observed = case()
    features = Lags(4).history(values, observed, WIDTH).reshape(3, 40, 4, 2)
    held = hold(values, observed)
    for k in range(4):
        np.testing.assert_array_equal(features[:, k:, k], held[:, : 40 - k])
        assert np.all(features[:, :k, k] == 0)


@pytest.mark.parametrize("missing", [0.0, np.nan])
@pytest.mark.parametrize("time", [40, 3])
def test_lags_of_samples_hold_nothing(missing, time):
    """As many features however long the trial is; what was not observed, or not recorded, is marked."""
    values, observed = case(time=time)
    features = SampleLags(4, missing).history(values, observed, WIDTH).reshape(3, time, 4, 2)
    marked = np.where(observed, values, missing)
    for k in range(4):
        np.testing.assert_array_equal(features[:, k:, k], marked[:, : max(time - k, 0)])
        np.testing.assert_array_equal(features[:, :k, k], np.full_like(features[:, :k, k], missing))


def test_more_lags_than_bins_give_as_many_as_there_are():
    values, observed = case(time=5)
    assert Lags(20).history(values, observed, WIDTH).shape == (3, 5, 10)


@pytest.mark.parametrize("features", [ExponentialFilters(), Lags(7), SampleLags(7)])
def test_no_future_sample_matters(features):
    values, observed = case()
    other, mask = case(seed=9)
    mixed = np.concatenate([values[:, :25], other[:, 25:]], axis=1)
    seen = np.concatenate([observed[:, :25], mask[:, 25:]], axis=1)
    a, b = features.history(values, observed, WIDTH), features.history(mixed, seen, WIDTH)
    np.testing.assert_array_equal(a[:, :25], b[:, :25])
    assert not np.allclose(a[:, 25:], b[:, 25:])


def test_what_a_missing_entry_holds_does_not_matter():
    values, observed = case()
    wild = np.where(observed, values, 1e6)
    for features in (ExponentialFilters(), Lags(7), SampleLags(7), SampleLags(7, np.nan)):
        np.testing.assert_array_equal(
            features.history(values, observed, WIDTH), features.history(wild, observed, WIDTH)
        )


def test_settings_are_checked():
    for bad in ((), (0.0,), (-1.0,), (float("inf"),)):
        with pytest.raises(InputError, match="time constants"):
            ExponentialFilters(bad)
    with pytest.raises(InputError, match="prior"):
        ExponentialFilters(strength=-0.1)
    for lags in (Lags, SampleLags):
        with pytest.raises(InputError, match="lag"):
            lags(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("missing", ["nothing", "whole bins", "anything"])
@pytest.mark.parametrize("channels", [3, 90])  # SciPy filters few series, NumPy steps many
@pytest.mark.parametrize("features", [ExponentialFilters(), Lags(7), SampleLags(7)])
def test_stretches_of_time_give_the_features_of_the_whole(features, channels, missing, dtype):
    """To the last bit, wherever the cuts are, also where a mask starts to differ between channels."""
    values, observed = case(trials=2, time=60, channels=channels)
    if missing == "nothing":
        observed = np.ones_like(observed)
    if missing == "whole bins":
        observed = np.broadcast_to(observed[:, :, :1], observed.shape).copy()
        observed[:, 45, 1] = ~observed[:, 45, 1]
    values = np.where(observed, values, 0).astype(dtype)
    whole = features.history(values, observed, WIDTH)
    assert whole.dtype == dtype
    edges = [0, 1, 2, 30, 31, 50, 60]
    state, parts = features.start(2, channels, 60), []
    for a, b in itertools.pairwise(edges):
        kept = [part.copy() for part in state if isinstance(part, np.ndarray)]
        later, part = features.advance(state, values[:, a:b], observed[:, a:b], WIDTH)
        for before, now in zip(kept, [part for part in state if isinstance(part, np.ndarray)], strict=True):
            np.testing.assert_array_equal(before, now)
        parts.append(part)
        state = later
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_many_channels_are_filtered_as_few_are():
    """Either way of summing gives the same bits."""
    values, observed = case(trials=1, time=50, channels=100)
    together = ExponentialFilters().history(values, observed, WIDTH).reshape(1, 50, 6, 100)
    for c in (0, 57, 99):
        alone = ExponentialFilters().history(values[:, :, [c]], observed[:, :, [c]], WIDTH)
        np.testing.assert_array_equal(together[..., c], alone)
