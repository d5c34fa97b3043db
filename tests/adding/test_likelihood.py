"""A likelihood is added as one file, an import and a line of its page, and then works everywhere: batch to live."""

import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from adding.plug_in import add
from oracles.small_decoder import fit_small
from scipy import stats

from neurodyn.binning import Field, Spikes, to_bins
from neurodyn.binning.likelihoods import LIKELIHOODS
from neurodyn.errors import InputError
from neurodyn.multiscale import MultiscaleDecoder
from neurodyn.realtime.runner import Frozen, Runner, load_arrays
from neurodyn.simulation import ForagingSettings, simulate_foraging

CONCENTRATION = 3.0


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    return add("likelihood", tmp_path, LIKELIHOODS, {}, monkeypatch)


def overdispersed(batch):
    """The batch with the new likelihood for its counts, and counts drawn from it."""
    rng = np.random.default_rng(0)
    noise = rng.gamma(CONCENTRATION, 1 / CONCENTRATION, batch.observations["spikes"].shape)
    counts = np.float32(rng.poisson(noise * (0.2 + batch.observations["spikes"]))) * batch.observed["spikes"]
    rows = tuple(replace(m, likelihood="negative_binomial") if m.counts else m for m in batch.modalities)
    return replace(batch, modalities=rows, observations={**batch.observations, "spikes": counts})


@pytest.fixture
def batches(lorenz_batch):
    return tuple(overdispersed(batch) for batch in lorenz_batch)


def test_it_is_the_distribution_it_claims_to_be(added):
    """The page's class, before it is trusted below: scipy's log-probabilities, and the divergence as a sum."""
    output, counts = np.log([0.5, 2.0, 7.0]), np.array([0, 3, 5])
    new = LIKELIHOODS["negative_binomial"]
    assert added.CONCENTRATION == CONCENTRATION
    chance = CONCENTRATION / (CONCENTRATION + np.exp(output))
    expected = stats.nbinom.logpmf(counts, CONCENTRATION, chance)
    np.testing.assert_allclose(new.distribution(jnp.asarray(output)).log_prob(jnp.asarray(counts)), expected, rtol=1e-9)
    k = np.arange(3000)
    log_p, log_q = (stats.nbinom.logpmf(k, CONCENTRATION, chance[i]) for i in (0, 1))
    divergence = new.divergence(jnp.asarray(output[0]), jnp.asarray(output[1]))
    np.testing.assert_allclose(divergence, np.sum(np.exp(log_p) * (log_p - log_q)), rtol=1e-9)


def test_a_model_trains_with_it_and_is_the_same_from_a_file_and_live(batches, tmp_path):
    train, test = batches
    decoder = fit_small(train, epochs=20)
    losses = decoder.fitted_.history.loss
    assert losses[-1] < losses[0]
    found, decoded = decoder.transform(test), decoder.predict(test)
    rates = found["spikes"].to_numpy()
    # Better than each channel's mean count, under scipy's negative binomial.
    stacked = test.stacked()
    seen, counts = stacked.observed["spikes"], stacked.observations["spikes"]
    mean = np.broadcast_to(decoder.fitted_.scaling.mean["spikes"], counts.shape)
    ours, constant = (
        np.mean(stats.nbinom.logpmf(counts, CONCENTRATION, CONCENTRATION / (CONCENTRATION + m))[seen])
        for m in (rates, mean)
    )
    assert ours > constant
    decoder.save(tmp_path / "model")
    loaded = MultiscaleDecoder.load(tmp_path / "model")
    assert [m.likelihood for m in loaded.fitted_.modalities] == ["negative_binomial", "gaussian"]
    np.testing.assert_array_equal(loaded.predict(test)["target"], decoded["target"])
    live = decoder.realtime()
    first = int(test.starts[0])
    for t in range(int(test.lengths[0])):
        given = {n: np.where(test.observed[n], test.observations[n], np.nan)[first + t] for n in test.names}
        estimate = live.step(given, 0.0)
        np.testing.assert_allclose(estimate.target, decoded["target"][0, t], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(estimate.rates["spikes"] * test.width, rates[0, t], rtol=1e-5)


def test_an_exported_decoder_says_what_the_runner_does_not_know(batches, lorenz_batch, tmp_path, monkeypatch):
    """A rig has the runner alone: the file says that the new likelihood is of counts, and older runners refuse it."""
    new, usual = tmp_path / "new.npz", tmp_path / "usual.npz"
    decoder = fit_small(batches[0], epochs=1)
    decoder.export(new)
    fit_small(lorenz_batch[0], epochs=1).export(usual)
    said = json.loads(load_arrays(new)["settings"].tobytes())
    assert said["modalities"][0]["counts"] is True
    assert said["version"] >= 3  # the first whose runners look for it
    assert "counts" not in Frozen.load(usual).settings["modalities"][0]
    given = {"spikes": np.array([1.0, 0.0, 2.0, 1.0])}
    live = decoder.realtime().step(given, 0.0)
    monkeypatch.delitem(LIKELIHOODS, "negative_binomial")
    alone = Runner(Frozen.load(new)).step(given)
    np.testing.assert_array_equal(alone.target, live.target)
    np.testing.assert_array_equal(alone.rates["spikes"], live.rates["spikes"])
    assert (alone.rates["spikes"] > 0).all()


def test_counts_of_any_likelihood_are_not_negative(batches):
    batch = batches[0]
    negative = {**batch.observations, "spikes": batch.observations["spikes"] - np.float32(1) * batch.observed["spikes"]}
    with pytest.raises(InputError, match="no negative_binomial likelihood allows"):
        replace(batch, observations=negative)


def test_a_recording_is_binned_with_it():
    recording = simulate_foraging(ForagingSettings(seconds=20.0, units=3), seed=0)
    batch = to_bins(recording, width=0.1, modalities=[Spikes(likelihood="negative_binomial")], target=())
    assert [row.likelihood for row in batch.modalities] == ["negative_binomial"]
    with pytest.raises(InputError, match="unknown likelihood 'negative_binomal': did you mean 'negative_binomial'"):
        Spikes(likelihood="negative_binomal")
    with pytest.raises(InputError, match="has real values, and the likelihood negative_binomial is of counts"):
        Field(likelihood="negative_binomial")
