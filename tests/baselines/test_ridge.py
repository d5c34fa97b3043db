"""CausalRidge against regressions written out, and against what its interface promises."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from neurodyn.baselines import CausalRidge, ExponentialFilters, Lags
from neurodyn.binning import Field, Spikes, to_bins
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.folds import time_folds, trial_folds
from neurodyn.errors import InputError
from neurodyn.evaluation import Method, correlation, cross_validate, r2
from neurodyn.simulation import LorenzSettings, simulate_lorenz


def decoded(ridge, batch, *, smoothed=False):
    """Predicted target, (trial, time, dim)."""
    return ridge.predict(batch, smoothed=smoothed)["target"].to_numpy()


@pytest.fixture(scope="module")
def batch():
    return simulate_lorenz(LorenzSettings(n_trials=40, seconds=0.5), seed=0)


@pytest.fixture(scope="module")
def recording():
    """One continuous run of 60 s: a slow target, its derivative seen by the field, its sign by spikes."""
    rng = np.random.default_rng(0)
    time = 0.05 * np.arange(1200)
    slow = np.sin(time / 1.7) + np.sin(time / 0.9 + 1)
    field = np.stack([slow, np.gradient(slow, time)], axis=1) + rng.normal(size=(1200, 2))
    spikes = rng.poisson(np.exp(0.5 * slow - 0.5))[:, None].astype(float)
    field[300:340] = np.nan
    return MultimodalBatch.from_arrays(
        {"spikes": spikes[None], "field": field[None]},
        width=0.05,
        likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=slow[None, :, None],
        target_names=("slow",),
    )


def test_counts_can_be_left_as_they_are(batch):
    spikes = batch.with_modalities(("spikes",))
    rooted = replace(spikes, observations={"spikes": np.sqrt(spikes.observations["spikes"])})
    plain = CausalRidge(root_counts=False, smoothed=False)
    default = decoded(CausalRidge(smoothed=False).fit(spikes), spikes)
    np.testing.assert_array_equal(decoded(plain.fit(rooted), rooted), default)
    assert not np.allclose(decoded(plain.fit(spikes), spikes), default)


def test_is_the_regression_written_out():
    """No missing samples, lags, one penalty: plain ridge on shifted columns of square-rooted counts."""
    data = simulate_lorenz(LorenzSettings(n_trials=30, seconds=0.5, missing=0.0, field_channels=0), seed=1)
    ridge = CausalRidge(Lags(3), penalties=(0.01,), smoothed=False).fit(data)
    counts = np.sqrt(data.stacked().observations["spikes"].astype(np.float64))
    centred = counts - counts.mean((0, 1))
    shifted = [np.pad(centred, ((0, 0), (k, 0), (0, 0)))[:, : counts.shape[1]] for k in range(3)]
    x = np.concatenate(shifted, axis=2).reshape(-1, 30)
    y = data.target.astype(np.float64)
    u = (x - x.mean(0)) / x.std(0)
    w = np.linalg.solve(u.T @ u + 0.01 * len(u) * np.eye(30), u.T @ (y - y.mean(0)))
    expected = (u @ w + y.mean(0)).reshape(30, 50, 3)
    # Features are kept in float32.
    np.testing.assert_allclose(decoded(ridge, data), expected, atol=1e-5)


def test_both_modalities_beat_each_and_none_is_perfect():
    data = simulate_lorenz(seed=0)
    fold = trial_folds(data, 5, seed=0)[0]
    ridge = CausalRidge(ExponentialFilters((0.02, 0.05, 0.1, 0.2, 0.5)))
    filtered, smoothed = {}, {}
    for names in (("spikes",), ("field",), ("spikes", "field")):
        train, test = fold.train.with_modalities(names), fold.test.with_modalities(names)
        ridge = ridge.fit(train)
        filtered[names] = ridge.score(test).correlation.mean()
        smoothed[names] = ridge.score(test, smoothed=True).correlation.mean()
    assert 0.84 < filtered[("spikes",)] < 0.93
    assert 0.84 < filtered[("field",)] < 0.93
    assert max(filtered[("spikes",)], filtered[("field",)]) + 0.02 < filtered[("spikes", "field")] < 0.96
    assert all(smoothed[names] > filtered[names] for names in filtered)


def test_filtered_predictions_do_not_see_the_future(batch):
    ridge = CausalRidge().fit(batch)
    cut = batch.with_runs(batch.starts, np.full(batch.n_trials, 30), batch.lead)
    np.testing.assert_allclose(decoded(ridge, batch)[:, :30], decoded(ridge, cut), atol=1e-12)
    assert not np.allclose(decoded(ridge, batch, smoothed=True)[:, :30], decoded(ridge, cut, smoothed=True))


def test_trials_are_predicted_one_by_one_and_padding_is_nan(batch):
    ridge = CausalRidge().fit(batch)
    lengths = np.where(np.arange(batch.n_trials) % 2, 50, 35)
    ragged = batch.with_runs(batch.starts, lengths, batch.lead)
    for smoothed in (False, True):
        together = decoded(ridge, ragged, smoothed=smoothed)
        assert np.isnan(together[0, 35:]).all()
        for i in (0, 1):
            alone = decoded(ridge, ragged.with_trials([i]), smoothed=smoothed)[0]
            np.testing.assert_allclose(together[i, : lengths[i]], alone, rtol=1e-10)


def test_smoothing_a_reversed_recording_mirrors_the_result(recording):
    """Past and future features swap places: predictions come out reversed."""
    mirrored = MultimodalBatch.from_arrays(
        {n: np.where(recording.observed[n], a, np.nan)[None, ::-1] for n, a in recording.observations.items()},
        width=recording.width,
        likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=recording.target[None, ::-1],
        target_names=("slow",),
    )
    plain, swapped = CausalRidge().fit(recording), CausalRidge().fit(mirrored)
    a, b = decoded(plain, recording, smoothed=True), decoded(swapped, mirrored, smoothed=True)
    np.testing.assert_allclose(a, b[:, ::-1], atol=1e-4)


def test_lead_in_is_seen_but_not_scored(recording):
    ridge = CausalRidge()
    for warm, cold in zip(
        time_folds(recording, 3, gap=2.0, lead_in=10.0), time_folds(recording, 3, gap=2.0), strict=True
    ):
        ridge = ridge.fit(warm.train)
        first = decoded(ridge, warm.test)[0, warm.test.lead[0] :]
        assert ridge.score(warm.test).n_bins == ridge.score(cold.test).n_bins == 400
        if warm.test.lead[0]:
            assert not np.allclose(first, decoded(ridge, cold.test)[0])


def test_lead_bins_are_not_fitted(recording):
    """Spoiling the target of the context changes nothing."""
    late = recording.with_runs(recording.starts, recording.lengths, np.array([200]))
    target = recording.target.copy()
    target[:200] = 1e3
    np.testing.assert_array_equal(
        CausalRidge().fit(late).filtered_.weights,
        CausalRidge().fit(replace(late, target=target)).filtered_.weights,
    )


def test_missing_target_is_not_fitted(recording):
    seen = np.arange(1200) % 7 != 0
    target = np.where(seen[:, None], recording.target, np.float32(0))
    gappy = replace(recording, target=target, target_observed=seen)
    ridge = CausalRidge().fit(gappy)
    assert ridge.score(gappy).n_bins == seen.sum()
    assert ridge.score(recording).r2[0] > 0.5


def test_score_is_the_metric_over_scored_bins(recording):
    fold = time_folds(recording, 3, gap=2.0, lead_in=5.0)[1]
    ridge = CausalRidge().fit(fold.train)
    result = ridge.score(fold.test, smoothed=True)
    scored = fold.test.scored()
    true, predicted = fold.test.stacked().target[scored], decoded(ridge, fold.test, smoothed=True)[scored]
    np.testing.assert_array_equal(result.correlation, correlation(true, predicted))
    np.testing.assert_array_equal(result.r2, r2(true, predicted))
    assert result.dims == ("slow",)


def test_residual_covariance_matches_the_held_out_error(recording):
    fold = time_folds(recording, 4, gap=2.0, lead_in=5.0)[1]
    ridge = CausalRidge().fit(fold.train)
    scored = fold.test.scored()
    error = (fold.test.stacked().target - decoded(ridge, fold.test))[scored]
    assert ridge.filtered_.residual_covariance[0, 0] == pytest.approx(np.mean(error**2), rel=0.5)


def test_predictions_are_labelled(batch):
    ridge = CausalRidge().fit(batch)
    result = ridge.predict(batch, smoothed=True)
    assert result["target"].dims == result["deviation"].dims == ("trial", "time", "dim")
    assert result["dim"].to_numpy().tolist() == ["x", "y", "z"]
    np.testing.assert_array_equal(result["seconds"], batch.stacked().time)
    assert ridge.smoothed_ is not None
    spread = np.sqrt(np.diag(ridge.smoothed_.residual_covariance))
    np.testing.assert_allclose(result["deviation"].to_numpy()[3, 7], spread)


def test_refusals(batch):
    ridge = CausalRidge(smoothed=False)
    with pytest.raises(InputError, match="not fitted"):
        ridge.predict(batch)
    ridge = ridge.fit(batch)
    assert ridge.smoothed_ is None
    with pytest.raises(InputError, match=r"made with CausalRidge\(smoothed=False\)"):
        ridge.predict(batch, smoothed=True)
    assert np.isfinite(ridge.predict(batch.with_modalities(("spikes",)))["target"]).all()
    fewer = simulate_lorenz(LorenzSettings(n_trials=5, seconds=0.5, spike_channels=3), seed=0)
    with pytest.raises(InputError, match=r"'spikes' was fitted on 10 channels .*the batch has 3"):
        ridge.predict(fewer)


def test_without_a_smoothed_read_out_it_is_cross_validated_all_the_same(batch):
    found = cross_validate([Method("ridge", CausalRidge(smoothed=False), batch.names)], trial_folds(batch, 2, seed=0))
    assert np.isfinite(found.results[0].filtered.r2).all()
    assert found.results[0].smoothed is None


def test_a_batch_without_target_is_refused(batch):
    bare = replace(batch, target=batch.target[:, :0], target_names=())
    with pytest.raises(InputError, match="no target"):
        CausalRidge().fit(bare)
    fitted = CausalRidge().fit(batch)
    assert fitted.predict(bare)["dim"].to_numpy().tolist() == list(batch.target_names)  # decoding needs none
    with pytest.raises(InputError, match="the target was fitted on"):
        fitted.score(bare)


def test_channels_and_target_go_by_label(batch):
    random = np.random.default_rng(0)
    moved = {}
    for row in batch.modalities:
        order = random.permutation(row.n_channels)
        names = tuple(row.channels[i] for i in order)
        moved[row.name] = (batch.observations[row.name][:, order], batch.observed[row.name][:, order], names)
    dims = random.permutation(batch.n_dims)
    other = replace(
        batch,
        observations={name: values for name, (values, _, _) in moved.items()},
        observed={name: mask for name, (_, mask, _) in moved.items()},
        modalities=tuple(replace(row, channels=moved[row.name][2]) for row in reversed(batch.modalities)),
        target=batch.target[:, dims],
        target_names=tuple(batch.target_names[i] for i in dims),
    )
    ridge = CausalRidge().fit(batch)
    for smoothed in (False, True):
        xr.testing.assert_identical(ridge.predict(other, smoothed=smoothed), ridge.predict(batch, smoothed=smoothed))
    np.testing.assert_array_equal(ridge.score(other).r2, ridge.score(batch).r2)


def held_out_r2(batch, names):
    """Filtered R2 (folds, dims), five time-ordered folds with gaps of 2 s and a lead-in of 10 s."""
    folds = time_folds(batch.with_modalities(names), 5, gap=2.0, lead_in=10.0)
    ridge = CausalRidge(smoothed=False)
    return np.stack([ridge.fit(fold.train).score(fold.test).r2 for fold in folds])


def test_baseline_on_a_foraging_rat(real_data):
    """Each modality carries what the other lacks; the baseline must not get weaker."""
    pytest.importorskip("pynwb")
    from neurodyn.recording import read_nwb

    recording = read_nwb(real_data / "r1838_hpc_mec_openfield.nwb")
    batch = to_bins(recording, width=0.05, modalities=[Spikes(), Field()], target=("position", "log_speed"))
    spikes, field, both = (held_out_r2(batch, n) for n in (("spikes",), ("field",), ("spikes", "field")))
    assert np.all(spikes.mean(0)[:2] > [0.12, 0.26])
    assert field.mean(0)[2] > 0.45
    assert np.all(both.mean(0) > [0.17, 0.30, 0.45])
    assert np.all(both.mean(1) > np.maximum(spikes.mean(1), field.mean(1)))


@pytest.mark.slow
def test_baseline_on_a_maze(real_data):
    pytest.importorskip("pynwb")
    from neurodyn.recording import read_nwb

    recording = read_nwb(real_data / "r050_ca1_tmaze.nwb")
    batch = to_bins(recording, width=0.1, modalities=[Spikes()], target="position", interval="task")
    assert np.all(held_out_r2(batch, ("spikes",)).mean(0) > [0.65, 0.68])


def test_bins_of_another_width_are_refused():
    """Counts per bin and lags of bins mean something else there."""
    batch = simulate_lorenz(LorenzSettings(n_trials=8, seconds=0.5), seed=0)
    fitted = CausalRidge(smoothed=False).fit(batch)
    with pytest.raises(InputError, match=r"fitted on 0.01 s bins, the batch has 0.02 s bins"):
        fitted.predict(replace(batch, width=0.02))
