"""The Wiener filter against least squares written out, on filters that are known, and through its interface."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from neurodyn.baselines import WienerCascade, WienerFilter
from neurodyn.baselines.lagged import LaggedInputs, numbers_of_bins
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.evaluation import cross_val_score
from neurodyn.evaluation.streaming import steps
from neurodyn.simulation import LorenzSettings, simulate_lorenz

TINY = (1e-12,)
"""Penalties so small that ridge regression is least squares."""


def decoded(fitted, batch):
    """Predicted target, (trial, time, dim)."""
    return fitted.predict(batch)["target"].to_numpy()


def a_batch(field, target, **more):
    """Trials (trial, time, channel) of one modality of real values."""
    return MultimodalBatch.from_arrays(
        {"field": field}, width=0.05, likelihoods={"field": "gaussian"}, target=target, **more
    )


def shifted(values, lags):
    """Columns of this bin and those before it, by a loop over bins; 0 before the first."""
    columns = np.zeros((len(values), lags, values.shape[1]))
    for t in range(len(values)):
        for lag in range(min(t + 1, lags)):
            columns[t, lag] = values[t - lag]
    return columns.reshape(len(values), -1)


@pytest.fixture(scope="module")
def noise():
    """Two trials of white noise of three channels, and a target that two of them make four and one bins later."""
    random = np.random.default_rng(0)
    field = random.normal(np.array([3.0, 0.0, -1.0]), size=(2, 300, 3))
    target = 2.0 + 0.1 * random.normal(size=(2, 300, 1))
    target[:, 4:, 0] += 1.5 * field[:, :-4, 0]
    target[:, 1:, 0] -= 0.5 * field[:, :-1, 2]
    return a_batch(field, target)


def test_is_least_squares_on_shifted_columns(noise):
    fitted = WienerFilter((6,), penalties=TINY, blocks=4).fit(noise)
    stacked = noise.stacked()
    field, target = (a.astype(np.float64) for a in (stacked.observations["field"], stacked.target))
    # The mean stands for what is before the first bin of a trial.
    columns = np.concatenate([shifted(trial - field.mean((0, 1)), 6) for trial in field])
    columns = np.column_stack([columns, np.ones(len(columns))])
    weights = np.linalg.lstsq(columns, target.reshape(-1, 1), rcond=None)[0]
    np.testing.assert_allclose(decoded(fitted, noise).reshape(-1, 1), columns @ weights, atol=1e-5)


def test_the_filter_is_found_where_it_is(noise):
    """Weights of each channel and lag, in the unit of the target per unit of the channel."""
    fitted = WienerFilter((6,)).fit(noise)
    scale = fitted.fitted_.inputs.scaling.scale["field"]
    weights = fitted.fitted_.linear.weights.reshape(6, 3) / scale
    expected = np.zeros((6, 3))
    expected[4, 0], expected[1, 2] = 1.5, -0.5
    np.testing.assert_allclose(weights, expected, atol=0.05)


@pytest.mark.parametrize(("candidates", "chosen"), [((2, 3, 6), 6), ((2, 5, 40), 5), ((1, 3), 3)])
def test_as_many_lags_as_are_needed(noise, candidates, chosen):
    """The effect is four bins long: fewer miss it, and many more only bring noise."""
    assert WienerFilter(candidates).fit(noise).lags_ == chosen


def test_the_deviation_is_the_error_on_new_data(noise):
    fitted = WienerFilter((6,)).fit(noise.with_trials([0]))
    found = fitted.predict(noise.with_trials([1]))
    error = decoded(fitted, noise.with_trials([1]))[0] - noise.stacked().target[1]
    np.testing.assert_allclose(found["deviation"][0, 5, 0], np.sqrt(np.mean(error**2)), rtol=0.15)


def test_what_comes_later_changes_nothing(noise):
    fitted = WienerFilter((6,)).fit(noise)
    field = noise.observations["field"].copy()
    first = int(noise.starts[1])
    field[first + 100 :] = 50.0
    before, after = decoded(fitted, noise), decoded(fitted, replace(noise, observations={"field": field}))
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1, :100], after[1, :100])
    assert np.abs(before - after)[1, 101:].max() > 1.0


def test_trials_shorter_than_the_lags_are_decoded(noise):
    """Also where the training data had longer ones, and the other way round."""
    fitted = WienerFilter((6,)).fit(noise)
    short = noise.with_runs(noise.starts, np.array([3, 2]), noise.lead)
    np.testing.assert_allclose(decoded(fitted, short)[0], decoded(fitted, noise)[0, :3], atol=1e-12)
    assert np.isnan(decoded(fitted, short)[1, 2:]).all()
    pieces = noise.segments(0.2)
    assert decoded(WienerFilter((6,)).fit(pieces), noise).shape == (2, 300, 1)


class TestLosses:
    """A modality that is missing in a third of the bins, at random, beside one that never is."""

    random = np.random.default_rng(1)
    signal = random.normal(size=(1, 3000))
    gone = random.random((1, 3000)) < 1 / 3
    target = np.where(gone, 4.0, signal)[..., None]
    """Seen exactly where the first modality is there, and 4 where it is lost."""
    other = random.normal(size=(1, 3000, 2))
    batch = MultimodalBatch.from_arrays(
        {"field": np.where(gone, np.nan, signal)[..., None], "other": other}, width=0.05,
        likelihoods={"field": "gaussian", "other": "gaussian"}, target=target,
    )  # fmt: skip

    def test_a_loss_is_an_input_of_its_own(self):
        fitted = WienerFilter((3,)).fit(self.batch)
        assert fitted.fitted_.inputs.masked == ("field",)
        np.testing.assert_allclose(decoded(fitted, self.batch), self.target, atol=0.02)

    def test_it_is_one_for_each_lag(self):
        """The target of two bins ago: so is the mask that tells it."""
        moved = replace(self.batch, target=np.roll(self.batch.target, 2, axis=0))
        found = decoded(WienerFilter((3,)).fit(moved), moved)
        np.testing.assert_allclose(found[0, 2:], self.target[0, :-2], atol=0.05)

    def test_before_a_trial_nothing_is_lost(self):
        inputs = LaggedInputs.fit(self.batch, 3, root_counts=True)
        first = next(iter(inputs.features(self.batch)))[1][0]
        expected = np.zeros((10, 3))
        for t in range(10):
            for k in range(min(t + 1, 3)):
                expected[t, k] = self.gone[0, t - k]
        np.testing.assert_array_equal(first[:10, -3:], expected)

    @pytest.mark.parametrize(("share", "masked"), [(0.0, ()), (0.02, ()), (0.1, ("field",)), (0.98, ())])
    def test_only_of_what_is_lost_often(self, share, masked):
        """What a few bins teach of a loss is not applied to all losses to come."""
        lost = np.random.default_rng(2).random((1, 3000)) < share
        batch = MultimodalBatch.from_arrays(
            {"field": np.where(lost, np.nan, self.signal)[..., None], "other": self.other}, width=0.05,
            likelihoods={"field": "gaussian", "other": "gaussian"}, target=self.signal[..., None],
        )  # fmt: skip
        assert WienerFilter((2,)).fit(batch).fitted_.inputs.masked == masked

    def test_what_is_never_lost_in_training_counts_as_the_mean(self):
        whole = MultimodalBatch.from_arrays(
            {"field": self.signal[..., None] + 7.0}, width=0.05, likelihoods={"field": "gaussian"},
            target=self.signal[..., None] + 1.0,
        )  # fmt: skip
        fitted = WienerFilter((3,)).fit(whole)
        hidden = whole.hide("field", bins=slice(100, 200))
        np.testing.assert_allclose(decoded(fitted, hidden)[0, 103:200], 1.0 + self.signal.mean(), atol=0.01)
        np.testing.assert_array_equal(decoded(fitted, hidden)[0, 203:], decoded(fitted, whole)[0, 203:])


@pytest.mark.parametrize("decoder", [WienerFilter((3, 7)), WienerCascade((4,))], ids=lambda d: type(d).__name__)
def test_online_is_offline(decoder):
    """Bin by bin in NumPy, with counts, channels and whole modalities missing, trial after trial."""
    batch = simulate_lorenz(LorenzSettings(n_trials=8, seconds=0.5, missing=0.2), seed=0)
    field = batch.observed["field"].copy()
    field[::7, 1] = False
    values = np.where(field, batch.observations["field"], np.float32(0))
    batch = replace(
        batch, observed={**batch.observed, "field": field}, observations={**batch.observations, "field": values}
    )
    fitted = decoder.fit(batch.with_trials(range(6)))
    assert fitted.fitted_.inputs.masked
    live = pickle.loads(pickle.dumps(fitted)).realtime()
    test = batch.with_trials([6, 7])
    found, expected = list(steps(live, test)), fitted.predict(test)
    np.testing.assert_allclose([one.target for one in found], expected["target"].to_numpy().reshape(-1, 3), atol=1e-9)
    margin = 1.959964 * expected["deviation"].to_numpy().reshape(-1, 3)
    np.testing.assert_allclose([one.upper - one.target for one in found], margin, rtol=1e-6)
    np.testing.assert_allclose([one.target - one.lower for one in found], margin, rtol=1e-6)
    np.testing.assert_array_equal(
        [[name in one.seen for name in test.names] for one in found],
        np.stack([test.observed[n][test.in_trials()].any(1) for n in test.names], axis=1),
    )


def test_a_live_filter_takes_no_wrong_bin(noise):
    batch = simulate_lorenz(LorenzSettings(n_trials=6, seconds=0.3), seed=0)
    live = WienerFilter((2,), blocks=3).fit(batch).realtime()
    counts = np.zeros(10)
    before = live.step({"spikes": counts}, 0.01)
    for wrong, words in (
        ({"spike": counts}, "unknown modality 'spike'"),
        ({"spikes": counts[:3]}, r"expected 10 channels of 'spikes', got shape \(3,\)"),
        ({"spikes": ["many"] * 10}, "expected 10 numbers for 'spikes'"),
        ({"spikes": counts - 1}, "counts of 'spikes' must be 0 or more, got -1"),
    ):
        with pytest.raises(InputError, match=words):
            live.step(wrong, 0.02)
    live.reset()
    assert live.step({"spikes": counts - np.inf}, 0.01).seen == ()
    live.reset()
    np.testing.assert_array_equal(live.step({"spikes": counts, "field": None}, 0.01).target, before.target)
    assert before.seen == ("spikes",)


def test_channels_and_targets_go_by_label():
    batch = simulate_lorenz(LorenzSettings(n_trials=8, seconds=0.5), seed=0)
    random, moved = np.random.default_rng(0), {}
    for row in batch.modalities:
        order = random.permutation(row.n_channels)
        names = tuple(row.channels[i] for i in order)
        moved[row.name] = (batch.observations[row.name][:, order], batch.observed[row.name][:, order], names)
    other = replace(
        batch,
        observations={name: values for name, (values, _, _) in moved.items()},
        observed={name: mask for name, (_, mask, _) in moved.items()},
        modalities=tuple(replace(row, channels=moved[row.name][2]) for row in reversed(batch.modalities)),
        target=batch.target[:, [2, 0, 1]],
        target_names=tuple(batch.target_names[i] for i in (2, 0, 1)),
    )
    fitted = WienerFilter((3,)).fit(batch)
    xr.testing.assert_identical(fitted.predict(other), fitted.predict(batch))
    np.testing.assert_array_equal(fitted.score(other).r2, fitted.score(batch).r2)
    assert np.isfinite(decoded(fitted, batch.with_modalities(("spikes",)))).all()


def test_it_goes_through_cross_validation(noise):
    assert cross_val_score(WienerFilter((6,)), noise, 2).min() > 0.85


def test_context_is_seen_and_not_fitted(noise):
    late = noise.with_runs(noise.starts, noise.lengths, np.array([50, 50]))
    target = noise.target.copy()
    for start in noise.starts:
        target[start : start + 50] = 1e3
    fits = [WienerFilter((6,)).fit(batch).fitted_.linear.weights for batch in (late, replace(late, target=target))]
    np.testing.assert_array_equal(*fits)


def test_what_it_cannot_do_is_refused(noise):
    fitted = WienerFilter((2,)).fit(noise)
    for unfitted in (WienerFilter().predict, lambda _: WienerFilter().realtime()):
        with pytest.raises(InputError, match="not fitted"):
            unfitted(noise)
    with pytest.raises(InputError, match="no smoothed estimate"):
        fitted.predict(noise, smoothed=True)
    with pytest.raises(InputError, match=r"fitted on 0.05 s bins, the batch has 0.1 s bins"):
        fitted.predict(replace(noise, width=0.1))
    with pytest.raises(InputError, match=r"'field' was fitted on 3 channels .*the batch has 2"):
        fitted.predict(a_batch(np.zeros((1, 5, 2)), np.arange(5.0)[None, :, None]))
    with pytest.raises(InputError, match="no target"):
        fitted.fit(replace(noise, target=noise.target[:, :0], target_names=()))
    with pytest.raises(InputError, match="constant"):
        fitted.fit(replace(noise, target=np.ones_like(noise.target)))
    for lags in ((0,), (), (-1, 2)):
        with pytest.raises(InputError, match="numbers of bins, 1 or more"):
            WienerFilter(lags).fit(noise)
    for lags in ((2.5,), 3, ("a",)):
        with pytest.raises(InputError, match="numbers of bins, 1 or more"):
            numbers_of_bins(lags)
    assert numbers_of_bins((1, 2.0, np.int64(3))) == (1, 2, 3)
    with pytest.raises(InputError, match="penalties must be positive"):
        WienerFilter((2,), penalties=(0.0,)).fit(noise)
    with pytest.raises(InputError, match="into 1 blocks"):
        WienerFilter((2,), blocks=1).fit(noise)
