"""The decoder from a batch to a score and back from a file."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
import xarray as xr
from oracles.small_decoder import fit_small, small_decoder

from neurodyn.binning import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.evaluation import check_online
from neurodyn.evaluation.metrics import correlation, r2
from neurodyn.multiscale import MultiscaleDecoder, TrainingConfig, fitting, inference
from neurodyn.training import engine, save_checkpoint


def ragged(batch, lengths=(20, 35, 50)):
    """The first trials of a batch, cut to these lengths, the second with context at its start."""
    return batch.with_runs(batch.starts[: len(lengths)], lengths, [0, 6, 0])


def three_modalities(trials=10, bins=30):
    """Counts, a field and a slower field, all driven by one oscillation; no sample is lost."""
    rng = np.random.default_rng(5)
    phase = np.arange(bins) / 5 + rng.uniform(0, 6, (trials, 1))
    target = np.stack([np.cos(phase), np.sin(phase)], -1)
    tuning = rng.normal(size=(2, 3))
    slow = np.where((np.arange(bins) % 3 == 2)[:, None], target @ tuning[:, :2], np.nan)
    return MultimodalBatch.from_arrays(
        {"spikes": rng.poisson(np.exp(target @ tuning)), "field": target @ tuning + 0.3, "slow": slow},
        width=0.02,
        likelihoods={"spikes": "poisson", "field": "gaussian", "slow": "gaussian"},
        sample_every={"slow": 3},
        target=target,
        target_names=("cos", "sin"),
        channels={"spikes": ("a", "b", "c")},
    )


def assert_same(one: xr.Dataset, other: xr.Dataset):
    xr.testing.assert_identical(one, other)


# Learning -----------------------------------------------------------------------------------------------------


def test_training_learns_to_decode(decoder, lorenz_batch):
    history = decoder.fitted_.history
    assert len(history.loss) == 30
    assert history.loss[-1] < history.loss[0] - 1
    score = decoder.score(lorenz_batch[1])
    # Predicting the mean has R2 0 and correlation 0.
    assert float(score["r2"].mean()) > 0.3
    assert float(score["correlation"].mean()) > 0.55
    assert float(decoder.score(lorenz_batch[1], smoothed=True)["r2"].mean()) > float(score["r2"].mean()) - 0.05


def test_score_is_that_of_the_predictions(decoder, lorenz_batch):
    batch = lorenz_batch[1]
    predicted = decoder.predict(batch)["target"].to_numpy().reshape(-1, 3)
    true = np.concatenate([batch.target[batch.trial(i)] for i in range(batch.n_trials)]).astype(float)
    score = decoder.score(batch)
    np.testing.assert_allclose(score["correlation"], correlation(true, predicted), rtol=1e-9)
    np.testing.assert_allclose(score["r2"], r2(true, predicted), rtol=1e-9)
    centred = true - true.mean(0)
    by_hand = 1 - ((true - predicted) ** 2).sum(0) / (centred**2).sum(0)
    np.testing.assert_allclose(score["r2"], by_hand, rtol=1e-6)
    deviation = decoder.predict(batch)["deviation"].to_numpy().reshape(-1, 3)
    held = np.mean(np.abs(true - predicted) <= 1.2815515655446004 * deviation, axis=0)  # of a normal distribution: 80 %
    np.testing.assert_allclose(score["coverage"].sel(level=0.8), held)
    np.testing.assert_allclose(score["width"], 2 * 1.959963984540054 * deviation.mean(axis=0), rtol=1e-6)


def test_the_same_seed_gives_the_same_result_and_another_seed_another(lorenz_batch):
    train, test = lorenz_batch
    first, again = fit_small(train), fit_small(train)
    assert first.fitted_.history == again.fitted_.history
    assert_same(first.predict(test), again.predict(test))
    assert fit_small(train, seed=1).fitted_.history != first.fitted_.history


def test_fitting_leaves_the_unfitted_decoder_alone(lorenz_batch):
    unfitted = small_decoder()
    fitted = unfitted.fit(lorenz_batch[0])
    assert unfitted.fitted_ is None
    assert fitted.fitted_.status == "finished"


# Resuming -----------------------------------------------------------------------------------------------------


class Interrupt:
    """Progress that presses Ctrl-C after some epochs."""

    def __init__(self, after):
        self.after = after

    def update(self, epoch, epochs, loss, best):
        if epoch == self.after:
            raise KeyboardInterrupt

    def finish(self, status):
        self.status = status


def test_a_resumed_fit_equals_an_uninterrupted_one_bit_for_bit(lorenz_batch, tmp_path, monkeypatch):
    train, test = lorenz_batch
    whole = fit_small(train, epochs=5, validate_every=2)
    path = tmp_path / "run.h5"
    with monkeypatch.context() as patch:
        patch.setattr("neurodyn.multiscale.estimator.ProgressBar", lambda _: Interrupt(after=3))
        stopped = replace(small_decoder(epochs=5, validate_every=2), progress=True).fit(train, checkpoint=path)
    assert stopped.fitted_.status == "interrupted"
    assert len(stopped.fitted_.history.loss) == 3
    assert stopped.score(test)["r2"].shape == (3,)
    resumed = small_decoder(epochs=5, validate_every=2).fit(train, checkpoint=path)
    assert resumed.fitted_.history == whole.fitted_.history
    jax.tree.map(np.testing.assert_array_equal, resumed.fitted_.network.parameters, whole.fitted_.network.parameters)
    assert_same(resumed.predict(test), whole.predict(test))


def test_the_checkpoint_of_other_data_or_settings_is_refused(lorenz_batch, tmp_path):
    train, _ = lorenz_batch
    path = tmp_path / "run.h5"
    small_decoder(epochs=1).fit(train, checkpoint=path)
    with pytest.raises(InputError, match="belongs to a run with other settings"):
        small_decoder(epochs=1, seed=3).fit(train, checkpoint=path)
    other_fold = train.with_trials(np.arange(23, -1, -1))
    with pytest.raises(InputError, match="belongs to a run with other"):
        small_decoder(epochs=1).fit(other_fold, checkpoint=path)


# Results ------------------------------------------------------------------------------------------------------


def test_results_are_labelled(decoder, lorenz_batch):
    batch = lorenz_batch[1]
    latents, decoded, score = decoder.transform(batch), decoder.predict(batch), decoder.score(batch)
    assert dict(latents.sizes) == {
        "trial": 8, "time": 50, "component": 4, "spikes_channel": 4, "field_channel": 3
    }  # fmt: skip
    assert latents["latent"].dims == ("trial", "time", "component")
    assert list(latents["component"].to_numpy()) == ["x0", "x1", "x2", "x3"]
    assert latents["spikes"].dims == ("trial", "time", "spikes_channel")
    assert tuple(latents["spikes_channel"].to_numpy()) == batch.modality("spikes").channels
    assert tuple(decoded["dim"].to_numpy()) == ("x", "y", "z")
    assert decoded["target"].dims == decoded["deviation"].dims == ("trial", "time", "dim")
    assert latents.attrs["bin_width_seconds"] == batch.width
    np.testing.assert_allclose(latents["seconds"][2], batch.time[batch.trial(2)])
    assert not latents["context"].to_numpy().any()
    assert (decoded["deviation"].to_numpy() > 0).all()
    assert score["correlation"].dims == score["r2"].dims == ("dim",)


def test_expected_observations_are_in_the_units_of_the_recording(lorenz_batch):
    """The same field in other units: expectations follow, latents and predictions stay."""
    train, test = lorenz_batch

    def in_microvolts(batch):
        values = {**batch.observations}
        values["field"] = np.where(batch.observed["field"], 1000 * values["field"] + 500, 0).astype(np.float32)
        return replace(batch, observations=values)

    one = fit_small(train, epochs=1).transform(test)
    other = fit_small(in_microvolts(train), epochs=1).transform(in_microvolts(test))
    np.testing.assert_allclose(one["latent"], other["latent"], atol=1e-3)
    np.testing.assert_allclose(1000 * one["field"] + 500, other["field"], atol=3)
    np.testing.assert_allclose(one["spikes"], other["spikes"], rtol=1e-3)
    counts = test.observations["spikes"][test.observed["spikes"]]
    assert counts.min() <= float(one["spikes"].mean()) <= counts.max()


def test_short_trials_are_nan_beyond_their_end_and_equal_to_themselves_alone(decoder, lorenz_batch):
    batch = ragged(lorenz_batch[1])
    for smoothed in (False, True):
        together = decoder.predict(batch, smoothed=smoothed)
        latents = decoder.transform(batch, smoothed=smoothed)
        for i, length in enumerate((20, 35, 50)):
            assert np.isnan(together["target"][i, length:]).all()
            assert np.isnan(latents["latent"][i, length:]).all()
        alone = decoder.predict(batch.with_trials([1]), smoothed=smoothed)
        for name in ("target", "deviation"):
            np.testing.assert_allclose(together[name][1, :35], alone[name][0], rtol=1e-8, atol=1e-10)


def test_context_is_decoded_but_not_scored(decoder, lorenz_batch):
    batch = ragged(lorenz_batch[1])
    decoded = decoder.predict(batch)["target"].to_numpy()
    assert np.isfinite(decoded[1, :6]).all()
    kept = batch.stacked().scored()
    assert kept.sum() == 20 + 29 + 50
    true = batch.stacked().target[kept].astype(float)
    np.testing.assert_allclose(decoder.score(batch)["r2"], r2(true, decoded[kept]), rtol=1e-9)


def test_filtered_estimates_do_not_know_the_future(decoder, lorenz_batch):
    batch = lorenz_batch[1].with_trials([0])
    shorter = batch.with_runs(batch.starts, [30], [0])
    for ahead in (0, 2):
        whole = decoder.transform(batch, ahead=ahead)
        cut = decoder.transform(shorter, ahead=ahead)
        for name in ("latent", "spikes", "field"):
            np.testing.assert_allclose(whole[name][0, :30], cut[name][0], rtol=1e-9, atol=1e-12)
    smoothed = decoder.transform(batch, smoothed=True)["latent"][0, :30]
    assert not np.allclose(smoothed, decoder.transform(shorter, smoothed=True)["latent"][0])


def test_the_last_bin_is_smoothed_as_it_is_filtered(decoder, lorenz_batch):
    filtered = decoder.transform(lorenz_batch[1])["latent"].to_numpy()
    smoothed = decoder.transform(lorenz_batch[1], smoothed=True)["latent"].to_numpy()
    np.testing.assert_allclose(filtered[:, -1], smoothed[:, -1], rtol=1e-10)


def test_predicting_ahead_is_the_transition_applied(decoder, lorenz_batch):
    transition = np.asarray(decoder.fitted_.network.model().backbone.stable_transition())
    now, later = (decoder.transform(lorenz_batch[1], ahead=k)["latent"].to_numpy() for k in (0, 3))
    np.testing.assert_allclose(later, now @ np.linalg.matrix_power(transition, 3).T, rtol=1e-9, atol=1e-12)


def test_the_order_of_trials_does_not_matter(decoder, lorenz_batch):
    order = np.array([3, 1, 0])
    all_trials = decoder.predict(lorenz_batch[1])["target"].to_numpy()[order]
    np.testing.assert_allclose(decoder.predict(lorenz_batch[1].with_trials(order))["target"], all_trials, rtol=1e-9)


# Any number of modalities -------------------------------------------------------------------------------------


def test_three_modalities():
    batch = three_modalities()
    fitted = fit_small(batch, epochs=15)
    assert set(fitted.transform(batch).data_vars) == {"latent", "spikes", "field", "slow"}
    assert float(fitted.score(batch)["r2"].mean()) > 0.3
    assert list(fitted.transform(batch)["spikes_channel"].to_numpy()) == ["a", "b", "c"]


def test_a_single_modality(spikes_decoder, lorenz_batch):
    test = lorenz_batch[1].with_modalities(["spikes"])
    model = spikes_decoder.fitted_.network.model()
    assert model.fusion is None
    assert model.encoders[0].dynamics is None
    assert spikes_decoder.score(test)["r2"].shape == (3,)
    # Other modalities in the batch are ignored.
    assert_same(spikes_decoder.predict(test), spikes_decoder.predict(lorenz_batch[1]))


def test_a_field_alone_without_a_target_in_trials_of_all_lengths(lorenz_batch, tmp_path):
    train = replace(lorenz_batch[0], target=lorenz_batch[0].target[:, :0], target_names=()).with_modalities(["field"])
    lengths = np.random.default_rng(0).integers(5, 51, train.n_trials)
    train = train.with_runs(train.starts, lengths, np.zeros_like(lengths))
    fitted = fit_small(train)
    assert np.isfinite(fitted.fitted_.history.loss).all()
    latents = fitted.transform(train)["latent"].to_numpy()
    assert latents.shape == (24, lengths.max(), 4)
    assert np.isfinite(latents).all(axis=(1, 2)).tolist() == (lengths == lengths.max()).tolist()
    assert not fitted.score(train).to_xarray().data_vars
    with pytest.raises(InputError, match="fitted without a target"):
        fitted.predict(train)
    estimate = fitted.realtime().step({"field": [1, 2, 3]}, 0.0)
    assert estimate.target.shape == estimate.lower.shape == (0,)
    fitted.save(tmp_path / "model.h5")
    assert_same(MultiscaleDecoder.load(tmp_path / "model.h5").transform(train), fitted.transform(train))


# Files --------------------------------------------------------------------------------------------------------


def test_a_saved_model_predicts_the_same(decoder, lorenz_batch, tmp_path):
    decoder.save(tmp_path / "model.h5")
    loaded = MultiscaleDecoder.load(tmp_path / "model.h5")
    batch = ragged(lorenz_batch[1])
    for smoothed in (False, True):
        assert_same(loaded.predict(batch, smoothed=smoothed), decoder.predict(batch, smoothed=smoothed))
        assert_same(loaded.transform(batch, smoothed=smoothed), decoder.transform(batch, smoothed=smoothed))
        scores = [each.score(batch, smoothed=smoothed).to_xarray() for each in (loaded, decoder)]
        assert_same(*scores)
    for name in ("config", "modalities", "target_names", "width", "history", "status", "provenance"):
        assert getattr(loaded.fitted_, name) == getattr(decoder.fitted_, name)
    assert (loaded.latent, loaded.encoder, loaded.training) == (decoder.latent, decoder.encoder, decoder.training)


def test_files_that_are_no_model_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        MultiscaleDecoder.load(tmp_path / "absent.h5")
    save_checkpoint(tmp_path / "run.h5", {"x": np.zeros(2)}, {"identity": {}, "history": {}})
    with pytest.raises(InputError, match=r"run\.h5 holds no multiscale model"):
        MultiscaleDecoder.load(tmp_path / "run.h5")


def test_a_model_says_what_it_was_made_with(decoder, tmp_path):
    decoder.save(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "model.json").read_text())
    assert settings["provenance"]["versions"]["jax"] == jax.__version__
    assert settings["provenance"]["training_trials"] == 24


# Compiling ----------------------------------------------------------------------------------------------------


def test_more_fits_and_transforms_of_the_same_shapes_compile_nothing(lorenz_batch):
    """Nor does another seed or number of epochs."""
    train, test = lorenz_batch

    def sizes():
        jitted = (
            engine.run_epoch,
            fitting.validation_terms,
            inference._filter,
            inference._smooth,
            inference.decode_means,
        )
        return [function._cache_size() for function in jitted]

    fit_small(train).transform(test)
    before = sizes()
    fit_small(train).transform(test)
    fit_small(train, seed=5, epochs=3, validate_every=3).transform(test)
    assert sizes() == before


# Errors -------------------------------------------------------------------------------------------------------


def test_an_unfitted_decoder_says_so(lorenz_batch):
    for use in (
        lambda d: d.transform(lorenz_batch[1]),
        lambda d: d.predict(lorenz_batch[1]),
        lambda d: d.score(lorenz_batch[1]),
        lambda d: d.save("nowhere.h5"),
        lambda d: d.realtime(),
    ):
        with pytest.raises(InputError, match="has not been fitted"):
            use(small_decoder())


def test_other_channels_modalities_or_bins_are_refused(decoder, lorenz_batch):
    batch = lorenz_batch[1]
    fewer = replace(
        batch,
        observations={**batch.observations, "spikes": batch.observations["spikes"][:, :3]},
        observed={**batch.observed, "spikes": batch.observed["spikes"][:, :3]},
        modalities=(replace(batch.modalities[0], channels=batch.modalities[0].channels[:3]), batch.modalities[1]),
    )
    with pytest.raises(InputError, match=r"'spikes' was fitted on 4 channels .*the batch has 3"):
        decoder.predict(fewer)
    row = replace(batch.modality("field"), name="lfp")
    renamed = replace(
        batch.with_modalities(["field"]), modalities=(row,),
        observations={"lfp": batch.observations["field"]}, observed={"lfp": batch.observed["field"]},
    )  # fmt: skip
    with pytest.raises(InputError, match="the batch has lfp, the model was fitted on field, spikes"):
        decoder.transform(renamed)
    with pytest.raises(InputError, match=r"fitted on 0.01 s bins, the batch has 0.05 s bins"):
        decoder.score(replace(batch, width=0.05, time=5 * batch.time))


def test_channels_modalities_and_target_go_by_label(decoder, lorenz_batch):
    """Other orders, and channels the model was not fitted on in between: every result is that of the fitted order."""
    batch, random = lorenz_batch[1], np.random.default_rng(0)
    observations, observed, rows = {}, {}, []
    for row in reversed(batch.modalities):
        extra = random.poisson(1.0, (len(batch.time), 2)).astype(np.float32)
        order = random.permutation(row.n_channels + 2)
        observations[row.name] = np.concatenate([batch.observations[row.name], extra], axis=1)[:, order]
        seen = np.concatenate([batch.observed[row.name], np.ones(extra.shape, bool)], axis=1)
        observed[row.name] = seen[:, order]
        rows.append(replace(row, channels=tuple(np.array([*row.channels, "new 1", "new 2"])[order].tolist())))
    dims = [2, 0, 1]
    moved = replace(
        batch, observations=observations, observed=observed, modalities=tuple(rows), target=batch.target[:, dims],
        target_names=tuple(batch.target_names[i] for i in dims),
    )  # fmt: skip
    for smoothed in (False, True):
        xr.testing.assert_identical(
            decoder.transform(moved, smoothed=smoothed), decoder.transform(batch, smoothed=smoothed)
        )
        xr.testing.assert_identical(
            decoder.predict(moved, smoothed=smoothed), decoder.predict(batch, smoothed=smoothed)
        )
        xr.testing.assert_identical(*(decoder.score(b, smoothed=smoothed).to_xarray() for b in (moved, batch)))
    one, other = (check_online(decoder, b, max_bins=60) for b in (moved, batch))
    assert (one.latent_difference, one.target_difference) == (other.latent_difference, other.target_difference)
    assert one.latent_difference < 1e-10
    with pytest.raises(InputError, match=r"the target was fitted on 3 dimensions \(.*\), the batch has 3 \(.*other"):
        decoder.score(replace(batch, target_names=(*batch.target_names[:2], "other")))


def test_smoothing_the_future_is_refused(decoder, lorenz_batch):
    with pytest.raises(InputError, match="predict ahead from the filtered"):
        decoder.transform(lorenz_batch[1], smoothed=True, ahead=2)


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 0}, {"learning_rate": (1e-2, 1e-3)}, {"validation": -0.1}, {"average": 1.0}, {"segment": -1.0}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        TrainingConfig(**settings)
