"""Exact inference against the enumeration of all paths and hmmlearn, and what a missing symbol must mean."""

import jax.numpy as jnp
import numpy as np
import pytest
from hmmlearn.hmm import CategoricalHMM
from oracles import enumerate_paths
from oracles.small_hmm import arrays, random_hmm, some_symbols

from neurodyn.errors import InputError
from neurodyn.kernels import discrete
from neurodyn.markov import (
    HiddenMarkovModel,
    cycle,
    filter_states,
    linear_chain,
    log_likelihood,
    sample,
    smooth_states,
    viterbi,
)
from neurodyn.markov.inference import log_chain

seeds = pytest.mark.parametrize("seed", range(3))


def close(actual, expected, tolerance=1e-11):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def path_log_probability(hmm, path, symbols):
    return np.log(enumerate_paths.path_probability(*arrays(hmm), path, symbols))


@seeds
def test_likelihood_filter_and_smoother_equal_the_sum_over_all_paths(seed):
    hmm, symbols = random_hmm(seed), some_symbols(seed)
    close(log_likelihood(hmm, symbols), [np.log(enumerate_paths.likelihood(*arrays(hmm), row)) for row in symbols])
    close(filter_states(hmm, symbols), [enumerate_paths.filtered(*arrays(hmm), row) for row in symbols])
    close(smooth_states(hmm, symbols), [enumerate_paths.smoothed(*arrays(hmm), row) for row in symbols])


@seeds
def test_viterbi_finds_a_path_as_probable_as_the_best(seed):
    hmm, symbols = random_hmm(seed), some_symbols(seed)
    for path, row in zip(viterbi(hmm, symbols), symbols, strict=True):
        close(path_log_probability(hmm, path, row), np.log(enumerate_paths.best_probability(*arrays(hmm), row)))


def test_a_model_with_zeros_equals_the_sum_over_all_paths():
    """A chain cannot jump and its ends cannot emit every symbol: minus infinities all over the log probabilities."""
    hmm = linear_chain(3)
    symbols = sample(hmm, 5, 6, seed=1).symbols
    close(log_likelihood(hmm, symbols), [np.log(enumerate_paths.likelihood(*arrays(hmm), row)) for row in symbols])
    close(smooth_states(hmm, symbols), [enumerate_paths.smoothed(*arrays(hmm), row) for row in symbols])


def hmmlearn_of(hmm):
    other = CategoricalHMM(hmm.states, n_features=hmm.symbols)
    other.startprob_, other.transmat_, other.emissionprob_ = arrays(hmm)
    return other


@seeds
def test_equals_hmmlearn_on_long_sequences(seed):
    hmm = random_hmm(seed, states=5, symbols=6)
    symbols = sample(hmm, 3, 200, seed=seed).symbols
    other = hmmlearn_of(hmm)
    close(log_likelihood(hmm, symbols), [other.score(row[:, None]) for row in symbols], 1e-10)
    close(smooth_states(hmm, symbols), [other.predict_proba(row[:, None]) for row in symbols], 1e-9)
    np.testing.assert_array_equal(viterbi(hmm, symbols), [other.predict(row[:, None]) for row in symbols])


@seeds
def test_missing_at_the_end_is_a_shorter_trial(seed):
    hmm, symbols = random_hmm(seed), some_symbols(seed, missing=0.0)[:-1]
    padded = np.concatenate([symbols, np.full((len(symbols), 3), -1, np.int32)], axis=1)
    close(log_likelihood(hmm, padded), log_likelihood(hmm, symbols))
    close(smooth_states(hmm, padded)[:, : symbols.shape[1]], smooth_states(hmm, symbols))


@seeds
def test_a_missing_symbol_is_the_sum_over_all_symbols(seed):
    hmm, symbols = random_hmm(seed), some_symbols(seed, missing=0.0)[:1]
    lost = symbols.copy()
    lost[0, 2] = -1
    every = np.repeat(symbols, hmm.symbols, axis=0)
    every[:, 2] = np.arange(hmm.symbols)
    close(log_likelihood(hmm, lost)[0], np.log(np.exp(log_likelihood(hmm, every)).sum()))


def test_nothing_seen_says_nothing():
    hmm = random_hmm(0)
    nothing = np.full((2, 4), -1)
    close(log_likelihood(hmm, nothing), 0.0)
    marginal = np.stack([hmm.initial @ np.linalg.matrix_power(hmm.transitions, t) for t in range(4)])
    close(smooth_states(hmm, nothing), [marginal, marginal])


@seeds
def test_renaming_states_renames_their_probabilities(seed):
    hmm, symbols = random_hmm(seed), some_symbols(seed)
    order = np.array([2, 0, 1])
    renamed = HiddenMarkovModel(
        hmm.initial[order], hmm.transitions[order][:, order], hmm.emissions[order], "renamed", hmm.trial_steps
    )
    close(log_likelihood(renamed, symbols), log_likelihood(hmm, symbols))
    close(smooth_states(renamed, symbols), smooth_states(hmm, symbols)[..., order])


def test_a_loop_of_single_steps_is_the_filter():
    hmm, symbols = cycle(), sample(cycle(), 1, 12, seed=3).symbols
    chain = log_chain(hmm)
    predicted, rows = chain.initial, []
    for symbol in symbols[0]:
        evidence = discrete.symbol_evidence(chain.emissions, jnp.asarray(symbol))
        filtered, _ = discrete.update(predicted, evidence)
        predicted = discrete.predict(filtered, chain.transitions)
        rows.append(np.exp(filtered))
    close(filter_states(hmm, symbols)[0], rows)


def test_impossible_symbols_have_no_likelihood_and_no_states():
    hmm = HiddenMarkovModel([1.0, 0.0], np.eye(2), np.eye(2), "two traps", 5)
    symbols = np.array([[0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(log_likelihood(hmm, symbols), [0.0, -np.inf])
    for function in (filter_states, smooth_states, viterbi):
        with pytest.raises(InputError, match=r"cannot emit trial 1: at step 1 .* \(1 of 2 trials"):
            function(hmm, symbols)


def test_single_precision_is_close_over_a_thousand_steps(float32):
    hmm = linear_chain(3)
    symbols = sample(hmm, 4, 1000, seed=5).symbols
    single = log_likelihood(hmm, symbols)
    assert filter_states(hmm, symbols).dtype == np.float32
    assert single.dtype == np.float64  # sums of many steps
    reference = [hmmlearn_of(hmm).score(row[:, None]) for row in symbols]
    np.testing.assert_allclose(single, reference, rtol=2e-6)
    smoothed = [hmmlearn_of(hmm).predict_proba(row[:, None]) for row in symbols]
    np.testing.assert_allclose(smooth_states(hmm, symbols), smoothed, atol=1e-5)


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        (np.array([[0, 3]]), "from 0 to 2, -1 where missing; trial 0 has 3 at step 1"),
        (np.array([[0, 1], [0, -2]]), "trial 1 has -2 at step 1"),
        (np.array([[0.0, 1.0]]), "must be integers"),
        (np.zeros((2, 2, 2), int), r"shape \(trials, time\), got \(2, 2, 2\)"),
        (np.zeros((0, 3), int), r"got \(0, 3\)"),
    ],
)
def test_bad_symbols_are_refused(symbols, message):
    with pytest.raises(InputError, match=message):
        log_likelihood(linear_chain(3), symbols)


def test_one_sequence_is_one_trial():
    row = sample(linear_chain(2), 1, 9, seed=0).symbols
    close(log_likelihood(linear_chain(2), row[0]), log_likelihood(linear_chain(2), row))


def test_the_best_path_of_a_long_sequence_in_single_precision(float32):
    """Every step costs seven nats and tells the states apart by a tenth of one, which a float32 of 10^6 cannot hold."""
    count = 1000
    tilt = np.where(np.arange(count) % 2 == 0, 1.05, 0.95) / count
    hmm = HiddenMarkovModel([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], np.stack([tilt, tilt[::-1]]), "tilted", 100)
    symbols = sample(hmm, 1, 150_000, seed=1).symbols
    log_transitions, log_emissions = np.log(hmm.transitions), np.log(hmm.emissions)
    best, came_from = np.log(hmm.initial) + log_emissions[:, symbols[0, 0]], []
    for symbol in symbols[0, 1:]:
        paths = best[:, None] + log_transitions
        came_from.append(paths.argmax(axis=0))
        best = paths.max(axis=0) + log_emissions[:, symbol]
    path = [int(best.argmax())]
    for before in reversed(came_from):
        path.append(int(before[path[-1]]))
    assert (viterbi(hmm, symbols)[0] != path[::-1]).mean() < 1e-3
