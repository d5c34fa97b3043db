"""An emission is added as one file, an import and a line of its page, and then works everywhere in the room."""

import numpy as np
import pytest
from adding.plug_in import add
from oracles import enumerate_any_hmm as paths
from scipy import stats

from neurodyn import markov
from neurodyn.errors import InputError

INITIAL, TRANSITIONS = np.array([0.7, 0.3]), np.array([[0.9, 0.1], [0.2, 0.8]])
MEAN = np.array([[0.4, 1.0], [3.0, 0.5]])
CONFIG = markov.EmConfig(restarts=2, iterations=60, tolerance=1e-5)


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    return add("emission", tmp_path, markov.EMISSIONS, {}, monkeypatch)


@pytest.fixture
def hmm():
    return markov.GeneralHmm(INITIAL, TRANSITIONS, "exponential", {"mean": MEAN})


def test_inference_is_the_sum_over_all_paths_of_scipys_densities(hmm):
    durations = [row[: 5 + n] for n, row in enumerate(markov.sample(hmm, 3, 7, seed=0).observations)]
    durations[0][2, 1], durations[1][3] = np.nan, np.nan
    for trial, row in enumerate(durations):
        log_density = stats.expon(scale=MEAN).logpdf(row[:, None, :])
        table = (INITIAL, TRANSITIONS, np.exp(np.nansum(log_density, axis=-1)))
        assert markov.log_likelihood(hmm, durations)[trial] == pytest.approx(np.log(paths.likelihood(*table)))
        found = markov.smooth_states(hmm, durations)[trial, : len(row)]
        np.testing.assert_allclose(found, paths.smoothed(*table), atol=1e-10)


def test_it_is_fitted_chosen_matched_and_saved(hmm):
    drawn = markov.sample(hmm, 20, 60, seed=1)
    fit = markov.fit_hmm(drawn.observations, 2, emission="exponential", seed=0, config=CONFIG)
    assert (np.diff(fit.runs[0].log_posterior) > -1e-8).all()
    assert fit.log_likelihood > markov.log_likelihood(hmm, drawn.observations).sum() - 1.0
    order = markov.match_states(fit.hmm, hmm, drawn.observations)
    visits = np.bincount(drawn.states.ravel())[:, None]
    error = np.abs(fit.hmm.parameters["mean"][order] / MEAN - 1)
    assert (error < 4 * 2 / np.sqrt(visits)).all()  # standard errors of a mean, doubled since states are hidden
    choice = markov.choose_states(
        drawn.observations, emission="exponential", candidates=(1, 2), folds=2, seed=0, config=CONFIG
    )
    assert choice.chosen == 2
    again = markov.GeneralHmm.from_dict(fit.hmm.to_dict())
    assert markov.bic(again, drawn.observations) == markov.bic(fit.hmm, drawn.observations)


@pytest.mark.slow
def test_one_state_has_the_mean_of_the_data_and_its_posterior_around_it(hmm):
    durations = markov.sample(hmm, 3, 30, seed=2).observations
    config = markov.BayesConfig(warmup=100, draws=200, chains=1, em=markov.EmConfig(restarts=1))
    posterior = markov.fit_posterior(durations, 1, emission="exponential", seed=0, config=config)
    mean = durations.mean(axis=(0, 1))
    np.testing.assert_allclose(posterior.start.parameters["mean"][0], mean, rtol=1e-9)
    np.testing.assert_allclose(posterior.parameters["mean"][0, :, 0].mean(axis=0), mean, rtol=4 / np.sqrt(90))


def test_what_is_no_duration_is_refused():
    with pytest.raises(InputError, match="durations must not be negative, got -1"):
        markov.fit_hmm([[1.0, -1.0]], 1, emission="exponential", seed=0)
    with pytest.raises(InputError, match="mean must be positive"):
        markov.GeneralHmm([1.0], [[1.0]], "exponential", {"mean": [[0.0]]})
    with pytest.raises(InputError, match="unknown emission 'exponental': did you mean 'exponential'"):
        markov.make_emission("exponental")
