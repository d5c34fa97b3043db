import numpy as np
import pytest

from neurodyn.binning import MultimodalBatch, Scaling, time_folds
from neurodyn.errors import InputError


def test_statistics_equal_numpy_over_observed_entries(make_batch):
    batch = make_batch()
    scaling = Scaling.fit(batch)
    for name in batch.names:
        values = np.where(batch.observed[name], batch.observations[name], np.nan).astype(float)
        np.testing.assert_allclose(scaling.mean[name], np.nanmean(values, axis=0), rtol=1e-6)
        np.testing.assert_allclose(scaling.scale[name], np.nanstd(values, axis=0), rtol=1e-6)
    seen = batch.target[batch.target_observed].astype(float)
    np.testing.assert_allclose(scaling.target_mean, seen.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaling.target_scale, seen.std(axis=0), rtol=1e-6)


def test_only_bins_of_the_trials_after_their_lead_count(make_batch):
    fold = time_folds(make_batch(lengths=(100,)), 4, gap=0.2)[1]
    poisoned = {
        name: np.where(fold.train.in_trials()[:, None], values, np.float32(999) * fold.train.observed[name])
        for name, values in fold.train.observations.items()
    }
    other = MultimodalBatch(**{**vars(fold.train), "observations": poisoned})
    first, second = Scaling.fit(fold.train), Scaling.fit(other)
    for name in fold.train.names:
        np.testing.assert_array_equal(first.mean[name], second.mean[name])
        np.testing.assert_array_equal(first.scale[name], second.scale[name])


def test_apply_scales_fields_leaves_counts_and_keeps_missing_at_zero(make_batch):
    batch = make_batch()
    scaled = Scaling.fit(batch).apply(batch)
    seen = batch.observed["field"]
    for channel in range(2):
        column = scaled.observations["field"][seen[:, channel], channel].astype(float)
        assert abs(column.mean()) < 1e-6
        assert abs(column.std() - 1) < 1e-6
    assert not scaled.observations["field"][~seen].any()
    assert not scaled.target[~scaled.target_observed].any()
    np.testing.assert_array_equal(scaled.observations["spikes"], batch.observations["spikes"])


def test_invert_undoes_apply(make_batch):
    batch = make_batch()
    scaling = Scaling.fit(batch)
    scaled = scaling.apply(batch)
    for name in batch.names:
        back, seen = scaling.invert_observation(name, scaled.observations[name]), batch.observed[name]
        np.testing.assert_allclose(back[seen], batch.observations[name][seen], atol=2e-6)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6])
def test_dead_channel_gets_scale_one(level):
    values = np.concatenate([np.full((1, 50, 1), level), np.random.default_rng(0).normal(size=(1, 50, 1))], axis=2)
    batch = MultimodalBatch.from_arrays({"f": values}, width=1.0, likelihoods={"f": "gaussian"})
    scaling = Scaling.fit(batch)
    assert scaling.scale["f"][0] == 1
    np.testing.assert_allclose(scaling.apply(batch).observations["f"][:, 0], 0)


def test_small_spread_on_a_large_level_survives():
    values = 1e4 + np.random.default_rng(0).normal(size=(1, 5000, 1))
    batch = MultimodalBatch.from_arrays({"f": values}, width=1.0, likelihoods={"f": "gaussian"})
    expected = batch.observations["f"].astype(float).std()
    np.testing.assert_allclose(Scaling.fit(batch).scale["f"], expected, rtol=1e-6)


def test_nothing_to_fit_and_unknown_names_are_refused(make_batch):
    batch = make_batch(lengths=(10,))
    with pytest.raises(InputError, match="context"):
        Scaling.fit(batch.with_runs([0], [10], [10]))
    with pytest.raises(InputError, match="did you mean 'field'"):
        Scaling.fit(batch).apply_observation("fields", np.zeros((1, 2)))
