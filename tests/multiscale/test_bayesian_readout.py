"""The Bayesian read-out of a decoder's states: what it reads, its intervals, and the decoder with its means."""

from dataclasses import replace

import numpy as np
import pytest
from oracles.small_decoder import fit_small
from realtime.test_realtime_decoder import check_online_equals_offline

from neurodyn.errors import InputError
from neurodyn.evaluation.metrics import r2
from neurodyn.multiscale import MultiscaleDecoder, fit_bayesian_readout
from neurodyn.sampler import Sampler
from neurodyn.targets import VarianceSources, loss_memory


@pytest.fixture(scope="module")
def readout(decoder, lorenz_batch):
    return fit_bayesian_readout(decoder, lorenz_batch[0], seed=0, sampler=Sampler(100, 100))


def test_it_is_the_posterior_of_the_states(readout, decoder, lorenz_batch):
    test, posterior = lorenz_batch[1], readout.posterior
    estimates = decoder.fitted_.estimate(test, smooth=False)
    states = np.asarray(estimates.states, np.float64)
    seen = [test.stacked().observed[name].mean(axis=2) for name in test.names]
    memory = loss_memory(seen, [row.sample_every for row in test.modalities])
    sources = VarianceSources(None, None, memory).logarithmic(3)
    assert posterior.features[:5] == ("x0", "x1", "x2", "x3", "spikes 0")
    assert len(posterior.features) == states.shape[-1]
    assert len(posterior.sources) == sources.shape[2]
    mean, variance = posterior.predict(states.reshape(-1, states.shape[-1]), sources.reshape(-1, *sources.shape[2:]))
    found = readout.predict(test)
    bounded = np.clip(mean, *decoder.fitted_.bounds)
    np.testing.assert_allclose(found["target"].to_numpy().reshape(mean.shape), bounded, atol=1e-9)
    np.testing.assert_allclose(found["deviation"].to_numpy().reshape(mean.shape) ** 2, variance, rtol=1e-9)
    assert posterior.r_hat < 1.3  # of a hundred draws


def test_it_decodes_as_well_as_ridge_on_the_states_and_its_intervals_hold(readout, decoder, lorenz_batch):
    test = lorenz_batch[1]
    evidence = decoder.fitted_.evidence(test, smooth=False)
    ridge = decoder.fitted_.filtered.predictions(evidence)[:, :, 0] + decoder.fitted_.filtered.centre
    scored = test.stacked().scored()
    theirs = r2(test.stacked().target[scored], ridge[scored])
    score = readout.score(test)
    assert (np.asarray(score.r2) > theirs - 0.03).all()
    truth, found = test.stacked().target, readout.predict(test)
    inside = np.abs(truth - found["target"].to_numpy()) < 1.96 * found["deviation"].to_numpy()
    assert 0.88 < inside[scored].mean() <= 1


def test_a_gap_widens_its_intervals(readout, lorenz_batch):
    test = lorenz_batch[1]
    late = np.concatenate([np.arange(start + 20, start + 50) for start in test.starts])
    observed = {name: mask.copy() for name, mask in test.observed.items()}
    values = {name: array.copy() for name, array in test.observations.items()}
    for name in test.names:
        observed[name][late], values[name][late] = False, 0
    gone = replace(test, observed=observed, observations=values)
    wide, usual = (readout.predict(batch)["deviation"].to_numpy()[:, 45].mean() for batch in (gone, test))
    assert wide > 1.5 * usual


def test_the_decoder_with_its_means_decodes_the_same_live_and_after_loading(readout, lorenz_batch, tmp_path):
    test, decoder = lorenz_batch[1], readout.decoder
    whole, means = readout.predict(test), decoder.predict(test)
    np.testing.assert_allclose(means["target"], whole["target"], atol=1e-9)
    ratio = means["deviation"].to_numpy() / whole["deviation"].to_numpy()
    assert abs(np.log(ratio)).mean() < 0.1
    check_online_equals_offline(decoder, 1e-9)
    decoder.save(tmp_path / "bayes")
    loaded = MultiscaleDecoder.load(tmp_path / "bayes").predict(test)
    for name in ("target", "deviation"):
        np.testing.assert_array_equal(loaded[name], means[name])


def test_it_stands_in_for_three_experts_and_reads_smoothed_states(lorenz_batch, tmp_path):
    train, test = lorenz_batch
    decoder = fit_small(train, epochs=2, recurrent=True)
    readout = fit_bayesian_readout(decoder, train, seed=0, smoothed=True, sampler=Sampler(20, 20))
    found, means = readout.predict(test), readout.decoder.predict(test, smoothed=True)
    np.testing.assert_allclose(means["target"], found["target"], atol=1e-9)
    assert readout.decoder.fitted_.recurrent is None
    readout.decoder.save(tmp_path / "smoothed")
    loaded = MultiscaleDecoder.load(tmp_path / "smoothed")
    np.testing.assert_array_equal(loaded.predict(test, smoothed=True)["target"], means["target"])
    check_online_equals_offline(loaded, 1e-9)


def test_what_has_no_target_is_refused(decoder, lorenz_batch):
    test = lorenz_batch[1]
    nothing = np.zeros_like(test.target_observed)
    blind = replace(test, target=np.zeros_like(test.target), target_observed=nothing)
    with pytest.raises(InputError, match="two bins with a target"):
        fit_bayesian_readout(decoder, blind, seed=0)
    with pytest.raises(InputError, match="not been fitted"):
        fit_bayesian_readout(MultiscaleDecoder(), test, seed=0)
