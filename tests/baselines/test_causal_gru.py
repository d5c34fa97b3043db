"""The recurrent baseline behind the interface of the others."""

from dataclasses import replace

import numpy as np
import pytest

from neurodyn.baselines import CausalGru
from neurodyn.errors import InputError
from neurodyn.evaluation.methods import Decoder
from neurodyn.realtime import RealtimeDecoder
from neurodyn.recurrent import RecurrentConfig

SMALL = RecurrentConfig(hidden=16, members=1, window=50, batch=8, steps=200, validate_every=50, learning_rate=1e-2)


@pytest.fixture(scope="module")
def fitted(lorenz_batch):
    return CausalGru(SMALL, progress=False).fit(lorenz_batch[0])


def test_it_decodes_what_it_was_not_fitted_on(fitted, lorenz_batch):
    score = fitted.score(lorenz_batch[1])
    assert score.dims == lorenz_batch[0].target_names
    assert score.correlation.mean() > 0.6


def test_it_says_how_far_off_it_is(fitted, lorenz_batch):
    test = lorenz_batch[1]
    found, stacked = fitted.predict(test), test.stacked()
    scored = stacked.scored()
    error = np.abs(found["target"].to_numpy() - stacked.target)[scored]
    inside = error <= 1.96 * found["deviation"].to_numpy()[scored]
    assert 0.8 < inside.mean() <= 1.0


def test_a_fit_is_a_copy(fitted, lorenz_batch):
    blank = CausalGru(SMALL, progress=False)
    assert isinstance(blank, Decoder)
    with pytest.raises(InputError, match="not fitted"):
        blank.predict(lorenz_batch[1])
    assert fitted is not blank


def test_what_it_cannot_do_is_refused(fitted, lorenz_batch):
    with pytest.raises(InputError, match="no smoothed estimate"):
        fitted.predict(lorenz_batch[1], smoothed=True)
    renamed = lorenz_batch[1].with_modalities(["spikes"])
    renamed = replace(
        renamed, modalities=(replace(renamed.modality("spikes"), name="units"),),
        observations={"units": renamed.observations["spikes"]}, observed={"units": renamed.observed["spikes"]},
    )  # fmt: skip
    with pytest.raises(InputError, match="the batch has units, the model was fitted on field, spikes"):
        fitted.predict(renamed)


def with_losses(batch, seed):
    """The batch with bins, whole modalities for a while and single channels gone."""
    rng = np.random.default_rng(seed)
    observed, observations = {}, {}
    for name, mask in batch.observed.items():
        kept = mask & (rng.random((len(mask), 1)) > 0.3) & (rng.random(mask.shape) > 0.2)
        kept[10:40] = False
        observed[name], observations[name] = kept, np.where(kept, batch.observations[name], np.float32(0))
    return replace(batch, observed=observed, observations=observations)


def test_live_equals_offline_with_samples_missing(fitted, lorenz_batch, tmp_path):
    batch = with_losses(lorenz_batch[1], seed=3)
    offline = fitted.predict(batch)
    fitted.export(tmp_path / "gru.npz")
    live = RealtimeDecoder.load(tmp_path / "gru.npz")
    scale = fitted.fitted_.scaling.target_scale.max()
    for trial in range(3):
        live.reset()
        bins = batch.trial(trial)
        found = [
            live.step({n: np.where(batch.observed[n][b], batch.observations[n][b], np.nan) for n in batch.names}, t=0.0)
            for b in range(bins.start, bins.stop)
        ]
        target, deviation = (offline[name].to_numpy()[trial, : len(found)] for name in ("target", "deviation"))
        np.testing.assert_allclose([one.target for one in found], target, atol=1e-5 * scale, rtol=0)
        half = [(one.upper - one.lower) / 2 for one in found]
        np.testing.assert_allclose(half, 1.959964 * deviation, atol=1e-5 * scale, rtol=0)


def test_a_stream_of_another_rate_is_told(lorenz_batch):
    """A rig compares the rate of what comes with that of the training data, which is in the file."""
    batch = lorenz_batch[0]
    rows = tuple(replace(m, rate=1000.0) if m.name == "field" else m for m in batch.modalities)
    batch = replace(batch, modalities=rows)
    fitted = CausalGru(SMALL, steps=2, progress=False).fit(batch)
    assert fitted.realtime().runner.frozen.settings["rates"] == {"field": 1000.0}


def test_live_rates_are_those_of_the_training_data(fitted, lorenz_batch):
    batch = lorenz_batch[0]
    rates = fitted.realtime().step({}, t=0.0).rates
    inside = batch.in_trials()
    for name, unit in (("spikes", batch.width), ("field", 1.0)):
        values = np.where(batch.observed[name], batch.observations[name], np.nan)[inside]
        np.testing.assert_allclose(rates[name], np.nanmean(values, axis=0) / unit, rtol=1e-3, atol=1e-4)


def test_a_network_that_is_not_fitted_cannot_run_live():
    with pytest.raises(InputError, match="not fitted"):
        CausalGru(SMALL).realtime()


def test_it_shows_the_steps_and_the_seed_that_were_given():
    assert "up to 5 steps, seed 9" in repr(CausalGru(SMALL, steps=5, seed=9))
    assert "one member, steps 5" in repr(CausalGru(steps=5))
