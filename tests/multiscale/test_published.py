"""The paper's own settings: each is what the paper says, and a fit does what they say."""

from dataclasses import replace

import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.multiscale import MultiscaleDecoder, ObjectiveConfig
from neurodyn.multiscale.config import DecoderConfig, ModalityConfig, ModelConfig, TrainingConfig
from neurodyn.recurrent import RecurrentConfig
from neurodyn.training import triangular


def small(**changes):
    """The published settings with small networks and two epochs."""
    decoder = MultiscaleDecoder.published(latent=4, epochs=2, simulation=True)
    return replace(decoder, encoder=(8,), decoder=(8,), fusion=(8,), progress=False, **changes)


@pytest.fixture(scope="module")
def fitted(lorenz_batch):
    return small().fit(lorenz_batch[0])


@pytest.mark.parametrize(
    ("arguments", "penalty", "spikes", "field", "dropout", "epochs", "latent"),
    [
        ({}, 1e-3, 250.0, 5.0, 0.1, 500, 64),
        ({"simulation": True}, 1e-3, 250.0, 10.0, 0.4, 200, 32),
        ({"modalities": 1}, 1e-4, 100.0, 250.0, 0.1, 500, 64),
        ({"modalities": 1, "simulation": True}, 1e-4, 100.0, 50.0, 0.4, 200, 32),
        ({"smoothness": {"poisson": 50.0}}, 1e-3, 50.0, 5.0, 0.1, 500, 64),
    ],
)
def test_settings_are_those_of_the_paper(arguments, penalty, spikes, field, dropout, epochs, latent):
    decoder = MultiscaleDecoder.published(**arguments)
    assert decoder.smoothness == {"poisson": spikes, "gaussian": field}
    assert (decoder.objective.weight_penalty, decoder.objective.dropout) == (penalty, dropout)
    assert (decoder.training.epochs, decoder.latent, decoder.training.batch) == (epochs, latent, 32)
    assert (decoder.training.validation, decoder.training.average, decoder.objective.target) == (0.0, 0.0, 0.0)


def test_all_trials_are_trained_on_and_the_last_epoch_is_kept(fitted):
    history = fitted.fitted_.history
    assert list(history.validation_epoch) == [2]
    assert fitted.fitted_.status == "finished"


def test_counts_enter_raw(fitted):
    model = fitted.fitted_.network.model()
    spikes, field = model.encoders
    np.testing.assert_array_equal(spikes.center[...], 0)
    np.testing.assert_array_equal(spikes.scale[...], 1)
    assert np.ptp(np.asarray(field.scale[...])) > 0


def test_the_target_is_read_out_by_least_squares_from_the_shared_state(fitted, lorenz_batch):
    train, test = lorenz_batch
    for smoothed in (False, True):
        states = fitted.transform(train, smoothed=smoothed)["latent"].to_numpy()
        stacked = train.stacked()
        scored = stacked.scored()
        inputs = np.concatenate([states[scored], np.ones((scored.sum(), 1))], axis=1)
        weights = np.linalg.lstsq(inputs, stacked.target[scored].astype(float))[0]
        latent = fitted.transform(test, smoothed=smoothed)["latent"].to_numpy()
        wanted = latent @ weights[:-1] + weights[-1]
        found = fitted.predict(test, smoothed=smoothed)["target"].to_numpy()
        valid = test.stacked().valid
        np.testing.assert_allclose(found[valid], wanted[valid], atol=2e-3 * stacked.target[scored].std())


def test_it_runs_live_and_comes_back_from_a_file(fitted, lorenz_batch, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = MultiscaleDecoder.load(tmp_path / "model")
    assert loaded.smoothness == {"spikes": 250.0, "field": 10.0}
    assert (loaded.start, loaded.readout, loaded.raw_counts, loaded.training) == (
        "paper", "backbone", True, fitted.training,
    )  # fmt: skip
    batch = lorenz_batch[1].with_trials([0])
    offline, live = loaded.predict(batch)["target"].to_numpy()[0], loaded.realtime()
    first = batch.trial(0).start
    for number, wanted in enumerate(offline):
        b = first + number
        seen = {n: np.where(batch.observed[n][b], batch.observations[n][b], np.nan) for n in batch.names}
        np.testing.assert_allclose(live.step(seen, t=0.0).target, wanted, atol=1e-4 * np.abs(offline).max())


def test_the_rate_moves_once_per_epoch_and_its_height_decays():
    schedule = triangular(1e-3, 1e-2, 10, 0.99, 7, stepwise=True)
    for epoch in (0, 1, 10, 15, 30):
        phase = epoch / 10 % 2
        wanted = 1e-3 + 9e-3 * 0.99**epoch * (1 - abs(phase - 1))
        found = [float(schedule(7 * epoch + step)) for step in (0, 3, 6)]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModalityConfig("field", 2, "gaussian", raw=True), "only counts can enter raw"),
        (lambda: ModalityConfig("field", 2, "gaussian", smoothness=-1.0), "smoothness of modality field"),
        (lambda: ModelConfig((ModalityConfig("s", 1, "poisson"),), start="papers"), "'modes' or 'paper'"),
        (lambda: ModelConfig((ModalityConfig("s", 1, "poisson"),), readout="x"), "'states' or 'backbone'"),
        (lambda: ModelConfig((ModalityConfig("s", 1, "poisson"),), readout="backbone", traces=(3.0,)), "traces"),
        (lambda: TrainingConfig(validation=-0.1), r"\[0, 0.9\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_read_out_from_the_backbone_alone_has_no_network_beside_it():
    model = ModelConfig((ModalityConfig("s", 1, "poisson"),), readout="backbone")
    with pytest.raises(InputError, match="recurrent=None"):
        DecoderConfig(model, ObjectiveConfig(), TrainingConfig(), RecurrentConfig())


def test_nothing_held_out_works_with_all_read_outs_too(lorenz_batch):
    training = TrainingConfig(epochs=1, validation=0.0)
    network = RecurrentConfig(hidden=8, members=1, steps=20, validate_every=10)
    decoder = MultiscaleDecoder(
        latent=4, encoder=(8,), decoder=(8,), fusion=(8,), training=training, recurrent=network, progress=False
    )
    found = decoder.fit(lorenz_batch[0]).predict(lorenz_batch[1])
    assert np.isfinite(found["target"].to_numpy()).all()
