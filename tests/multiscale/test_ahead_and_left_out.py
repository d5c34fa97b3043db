"""Prediction ahead of time, and modalities that are left out, against batches in which samples are hidden."""

import numpy as np
import pytest

import neurodyn as nd
from neurodyn.errors import InputError


@pytest.fixture(scope="module")
def recurrent_decoder(lorenz_batch):
    from oracles.small_decoder import fit_small

    return fit_small(lorenz_batch[0], epochs=3, recurrent=True)


@pytest.mark.parametrize("ahead", [1, 4])
def test_ahead_is_what_the_filter_says_of_a_future_that_is_hidden(lorenz_batch, ahead):
    """At t for t + k: the estimate at t + k of data that end at t, where no fusion steps in between."""
    from oracles.small_decoder import fit_small

    train, test = (part.with_modalities("spikes") for part in lorenz_batch)
    decoder, test = fit_small(train, epochs=2, recurrent=True), test.with_trials([0, 3])
    found = decoder.predict(test, ahead=ahead)
    for bin_ in (0, 7, 30):
        blind = test
        for start in test.starts.tolist():
            blind = blind.hide("spikes", bins=slice(start + bin_ + 1, start + bin_ + 1 + ahead))
        later = decoder.predict(blind)
        for part in ("target", "deviation"):
            expected = later[part].to_numpy()[:, bin_ + ahead]
            np.testing.assert_allclose(found[part].to_numpy()[:, bin_], expected, rtol=1e-5, atol=1e-6)


def test_ahead_is_what_the_live_decoder_says(recurrent_decoder, lorenz_batch):
    test = lorenz_batch[1].with_trials([2])
    found = recurrent_decoder.predict(test, ahead=3)
    live = recurrent_decoder.realtime()
    for place, bin_ in enumerate(range(int(test.starts[0]), int(test.starts[0]) + 9)):
        seen = {name: test.observed[name][bin_] for name in test.names}
        live.step({n: np.where(seen[n], test.observations[n][bin_], np.nan) for n in test.names}, 0.0)
        coming = live.predict_ahead(3)
        np.testing.assert_allclose(found["target"].to_numpy()[0, place], coming.target, rtol=1e-9)
        half = 1.959963984540054 * found["deviation"].to_numpy()[0, place]
        np.testing.assert_allclose(coming.upper - coming.target, half, rtol=1e-6)


def test_no_bins_ahead_is_now(decoder, lorenz_batch):
    test = lorenz_batch[1].with_trials([1])
    now, none = decoder.predict(test), decoder.predict(test, ahead=0)
    np.testing.assert_array_equal(now["target"], none["target"])


@pytest.mark.parametrize("given", [{"ahead": -1}, {"ahead": 2, "smoothed": True}])
def test_what_cannot_be_looked_ahead(decoder, lorenz_batch, given):
    with pytest.raises(InputError, match="ahead is a number of bins that a filtered estimate looks ahead"):
        decoder.predict(lorenz_batch[1], **given)


@pytest.mark.parametrize("left", ["spikes", "field"])
def test_a_modality_left_out_is_hidden(recurrent_decoder, lorenz_batch, left):
    """In predict, transform and score; live it is the same decoder."""
    test = lorenz_batch[1]
    other = next(name for name in test.names if name != left)
    part, hidden = test.with_modalities(other), test.hide(left)
    for smoothed in (False, True):
        for found, expected in zip(
            (recurrent_decoder.predict(part, smoothed=smoothed), recurrent_decoder.transform(part, smoothed=smoothed)),
            (
                recurrent_decoder.predict(hidden, smoothed=smoothed),
                recurrent_decoder.transform(hidden, smoothed=smoothed),
            ),
            strict=True,
        ):
            for name in found:
                np.testing.assert_array_equal(found[name], expected[name])
    score = recurrent_decoder.score(part)
    np.testing.assert_array_equal(score["r2"], recurrent_decoder.score(hidden)["r2"])
    assert score["modality"].to_numpy().tolist() == [name for name in ("spikes",) if name != left]
    live = recurrent_decoder.realtime()
    for bin_ in range(*part.trial(0).indices(len(part.time))):
        seen = part.observed[other][bin_]
        estimate = live.step({other: np.where(seen, part.observations[other][bin_], np.nan)}, float(part.time[bin_]))
    np.testing.assert_allclose(recurrent_decoder.predict(part)["target"].to_numpy()[0, -1], estimate.target, atol=1e-5)


def test_the_baseline_takes_it_as_missing_too(lorenz_batch):
    train, test = lorenz_batch
    ridge = nd.CausalRidge().fit(train)
    found, expected = ridge.predict(test.with_modalities("spikes")), ridge.predict(test.hide("field"))
    np.testing.assert_array_equal(found["target"], expected["target"])


def test_score_against_share_lost_is_two_lines(decoder, lorenz_batch):
    test = lorenz_batch[1]
    scores = [float(decoder.score(test.hide("spikes", share=share))["r2"].mean()) for share in (0.0, 0.5, 1.0)]
    assert scores[0] > scores[-1]


def test_epochs_and_seed_where_one_looks_for_them():
    decoder = nd.MultiscaleDecoder(latent=8, epochs=3, seed=7)
    assert (decoder.latent, decoder.training.epochs, decoder.training.seed) == (8, 3, 7)
    assert nd.MultiscaleDecoder().training == nd.TrainingConfig()
    given = nd.TrainingConfig(epochs=9, batch=4)
    assert nd.MultiscaleDecoder(training=given, seed=2).training == nd.TrainingConfig(epochs=9, batch=4, seed=2)


def test_settings_of_the_training_can_be_replaced_after_that():
    from dataclasses import replace

    decoder = nd.MultiscaleDecoder(epochs=3, seed=7)
    assert replace(decoder, latent=4).training == decoder.training
    assert replace(decoder, training=nd.TrainingConfig(epochs=5)).training == nd.TrainingConfig(epochs=5)
    assert replace(decoder, epochs=6).training == nd.TrainingConfig(epochs=6, seed=7)


def test_one_function_loads_whatever_was_saved(decoder, lorenz_batch, tmp_path):
    test = lorenz_batch[1]
    decoder.save(tmp_path / "model")
    decoder.export(tmp_path / "model.npz")
    loaded, live = nd.load(tmp_path / "model"), nd.load(tmp_path / "model.npz")
    assert (type(loaded).__name__, type(live).__name__) == ("MultiscaleDecoder", "RealtimeDecoder")
    np.testing.assert_allclose(loaded.predict(test)["target"], decoder.predict(test)["target"], atol=1e-6)
    assert live.target_names == test.target_names
    with pytest.raises(InputError, match="there is no file or folder"):
        nd.load(tmp_path / "none")
    (tmp_path / "session.nwb").write_text("x")
    with pytest.raises(InputError, match="is not a model: a recording is read by"):
        nd.load(tmp_path / "session.nwb")


def test_it_loads_networks_that_emulate(tmp_path):
    from neurodyn.emulation import TrainingConfig
    from neurodyn.markov import linear_chain

    tiny = TrainingConfig(sequences=60, batch=8, epochs=1, validation=8, validate_every=1)
    emulator = nd.HmmEmulator(6, 3, training=tiny, epochs=2, seed=5, progress=False)
    fitted = emulator.fit(linear_chain(3, trial_steps=4), directory=tmp_path / "net")
    assert (len(fitted.history.loss), fitted.training.seed, fitted.epochs) == (2, 5, None)
    loaded = nd.load(tmp_path / "net")
    assert (loaded.hidden, loaded.training.epochs) == (6, 2)
