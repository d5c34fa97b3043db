"""Values that are no measurements are missing for every baseline, as they are for the model, offline and live."""

import numpy as np
import pytest

from neurodyn.baselines import BoostedTrees, CausalRidge, VelocityKalman, WienerCascade, WienerFilter
from neurodyn.binning import MultimodalBatch

METHODS = [
    CausalRidge(),
    VelocityKalman(),
    WienerFilter(lags=(3,)),
    WienerCascade(lags=(3,)),
    BoostedTrees(lags=2, trees=20),
]


def made(bins=1500, seed=0):
    """A slow target seen by six channels; training part, test part, and the test part with five artefacts."""
    rng = np.random.default_rng(seed)
    target = np.sin(np.arange(bins) / 15.0)[:, None] + 0.2 * rng.normal(size=(bins, 1))
    field = target @ rng.normal(size=(1, 6)) + 0.5 * rng.normal(size=(bins, 6))
    spoilt = field.copy()
    spoilt[rng.choice(np.arange(1200, bins), 5, replace=False), rng.integers(0, 6, 5)] = 1e4

    def batch(values, part):
        return MultimodalBatch.from_arrays(
            {"field": values[None, part]}, width=0.05, likelihoods={"field": "gaussian"}, target=target[None, part]
        )

    train, test = slice(0, 1200), slice(1200, bins)
    return batch(field, train), batch(field, test), batch(spoilt, test), spoilt[test]


@pytest.mark.parametrize("method", METHODS, ids=lambda one: type(one).__name__)
def test_five_artefacts_cost_next_to_nothing(method):
    train, clean, spoilt, values = made()
    fitted = method.fit(train)
    whole, found = (fitted.score(batch).r2.mean() for batch in (clean, spoilt))
    assert whole > 0.5
    assert abs(found - whole) < 0.02
    hidden = MultimodalBatch.from_arrays(
        {"field": np.where(values > 1e3, np.nan, values)[None]}, width=0.05, likelihoods={"field": "gaussian"},
        target=spoilt.target[None],
    )  # fmt: skip
    np.testing.assert_array_equal(fitted.predict(hidden)["target"], fitted.predict(spoilt)["target"])


def test_many_spikes_in_a_bin_are_measurements():
    """Multi-unit counts of some hundred in 50 ms: limits are those of counts, whatever is done to them for a fit."""
    rng = np.random.default_rng(2)
    target = np.sin(np.arange(1500) / 15.0)[:, None]
    counts = rng.poisson(200.0 + 150.0 * target @ rng.uniform(0.5, 1.0, (1, 4))).astype(float)
    batch = MultimodalBatch.from_arrays(
        {"spikes": counts[None]}, width=0.05, likelihoods={"spikes": "poisson"}, target=target[None]
    )
    for method in (CausalRidge(), VelocityKalman(), WienerFilter(lags=(3,)), BoostedTrees(lags=2, trees=20)):
        fitted = method.fit(batch)
        np.testing.assert_array_equal(fitted._aligned(batch).observed["spikes"], batch.observed["spikes"])
        assert fitted.score(batch).r2[0] > 0.9


def test_live_as_offline():
    train, _, spoilt, values = made()
    fitted = WienerFilter(lags=(3,)).fit(train)
    live, decoded = fitted.realtime(), fitted.predict(spoilt)["target"].to_numpy()[0]
    for t, row in enumerate(values):
        np.testing.assert_allclose(live.step({"field": row}, 0.05 * t).target, decoded[t], atol=1e-6)
    assert np.isfinite(live.step({"field": np.asarray([1e300, 0, 0, 0, 0, 0])}, 99.0).target).all()


def test_trees_leave_out_what_is_never_there():
    """Slower sampling, whose samples come in other bins than the target: half of its lags have no value at all."""
    rng, bins = np.random.default_rng(1), 800
    target = np.sin(np.arange(bins) / 20.0)[:, None] + 0.1 * rng.normal(size=(bins, 1))
    fast, slow = target + 0.3 * rng.normal(size=(bins, 2)), target + 0.1 * rng.normal(size=(bins, 1))
    slow[np.arange(bins) % 2 == 1] = np.nan
    known = np.where(np.arange(bins)[:, None] % 2 == 1, target, np.nan)
    batch = MultimodalBatch.from_arrays(
        {"fast": fast[None], "slow": slow[None]}, width=0.05, target=known[None], sample_every={"slow": 2},
        likelihoods={"fast": "gaussian", "slow": "gaussian"},
    )  # fmt: skip
    assert BoostedTrees(lags=2, trees=30).fit(batch).score(batch).r2[0] > 0.8
