"""Counts of sequences against loops over symbols, and their expectation against the sum over all sequences."""

from itertools import groupby, product

import numpy as np
import pytest
from oracles import enumerate_paths
from oracles.small_hmm import arrays, random_hmm

from neurodyn.errors import InputError
from neurodyn.markov import cycle, linear_chain, sample
from neurodyn.markov.statistics import (
    Counting,
    count_trials,
    dwell_distance,
    expect_counts,
    ngram_probabilities,
    rates_of,
    total,
)


def counted_by_hand(row, symbols, lags, longest):
    frequency, pairs = np.zeros(symbols), np.zeros((symbols, symbols))
    agreements, dwells = np.zeros(lags), np.zeros((symbols, longest))
    for t, symbol in enumerate(row):
        frequency[symbol] += 1
        if t + 1 < len(row):
            pairs[symbol, row[t + 1]] += 1
        for lag in range(1, lags + 1):
            if t + lag < len(row):
                agreements[lag - 1] += symbol == row[t + lag]
    for symbol, run in groupby(row):
        dwells[symbol, min(len(list(run)), longest) - 1] += 1
    return frequency, pairs, agreements, dwells


@pytest.mark.parametrize(("lags", "longest"), [(3, 4), (9, 10), (1, 1)])
def test_counts_equal_those_by_hand(lags, longest):
    symbols = sample(random_hmm(1), 6, 10, seed=0).symbols
    counts = count_trials(symbols, Counting(4, lags, longest))
    expected = zip(*(counted_by_hand(row, 4, lags, longest) for row in symbols.tolist()), strict=True)
    for mine, theirs in zip(counts, expected, strict=True):
        np.testing.assert_array_equal(mine, np.array(theirs))


@pytest.mark.parametrize("hmm", [random_hmm(2, states=2, symbols=3), cycle()], ids=lambda hmm: hmm.name)
@pytest.mark.parametrize("longest", [3, 8])
def test_expected_counts_equal_the_sum_over_all_sequences(hmm, longest):
    steps, lags = 4, 3
    expected = [0.0] * 4
    for row in product(range(hmm.symbols), repeat=steps):
        probability = enumerate_paths.likelihood(*arrays(hmm), row)
        parts = counted_by_hand(row, hmm.symbols, lags, longest)
        expected = [sum_ + probability * part for sum_, part in zip(expected, parts, strict=True)]
    for mine, theirs in zip(expect_counts(hmm, steps, Counting(hmm.symbols, lags, longest)), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-13)


@pytest.mark.parametrize("hmm", [random_hmm(2, states=2, symbols=3), cycle()], ids=lambda hmm: hmm.name)
@pytest.mark.parametrize("length", [1, 2, 4])
def test_frequencies_of_stretches_equal_the_sum_over_all_sequences(hmm, length):
    steps = 4
    expected = np.zeros((hmm.symbols,) * length)
    for row in product(range(hmm.symbols), repeat=steps):
        for start in range(steps - length + 1):
            expected[row[start : start + length]] += enumerate_paths.likelihood(*arrays(hmm), row)
    found = ngram_probabilities(hmm, steps, length)
    np.testing.assert_allclose(found, expected.ravel() / (steps - length + 1), atol=1e-13)


def test_rates_of_many_samples_come_close_to_the_expected_ones():
    hmm, counting, trials, steps = linear_chain(3), Counting(3, 10, 12), 4000, 30
    counts = count_trials(sample(hmm, trials, steps, seed=0).symbols, counting)
    found = rates_of(total(counts, np.ones(trials)), trials, steps)
    true = rates_of(expect_counts(hmm, steps, counting), 1, steps)
    np.testing.assert_allclose(found.frequencies, true.frequencies, atol=0.01)
    np.testing.assert_allclose(found.transitions[[0, 2]], true.transitions[[0, 2]], atol=0.01)
    np.testing.assert_allclose(found.autocorrelation, true.autocorrelation, atol=0.02)
    assert found.changes == pytest.approx(true.changes, rel=0.01)
    assert (dwell_distance(found.dwells, true.dwells) < [0.02, 0.02, 0.02]).all()


def test_weights_repeat_trials():
    symbols = sample(cycle(), 3, 12, seed=1).symbols
    counting = Counting(3, 4, 6)
    weighted = total(count_trials(symbols, counting), np.array([[2.0, 0.0, 1.0]]))
    repeated = count_trials(symbols[[0, 0, 2]], counting)
    for mine, theirs in zip(weighted, repeated, strict=True):
        np.testing.assert_array_equal(mine[0], theirs.sum(axis=0))


def test_autocorrelation_is_that_of_indicator_vectors():
    hmm = random_hmm(0)
    symbols = sample(hmm, 5, 4000, seed=3).symbols
    found = rates_of(total(count_trials(symbols, Counting(4, 3, 5)), np.ones(5)), 5, 4000).autocorrelation
    vectors = np.eye(4)[symbols] - np.eye(4)[symbols].mean(axis=(0, 1))
    power = (vectors**2).sum(axis=-1).mean()
    for lag in (1, 2, 3):
        direct = (vectors[:, :-lag] * vectors[:, lag:]).sum(axis=-1).mean() / power
        assert found[lag - 1] == pytest.approx(direct, abs=1e-3)  # they differ in the trials' ends alone


def test_one_symbol_throughout_has_no_autocorrelation():
    counts = count_trials(np.zeros((2, 5), int), Counting(2, 2, 5))
    rates = rates_of(total(counts, np.ones(2)), 2, 5)
    assert rates.changes == 0
    assert np.isnan(rates.autocorrelation).all()
    assert np.isnan(rates.transitions[1]).all()


def test_what_cannot_be_counted_is_refused():
    counting = Counting(3, 2, 5)
    with pytest.raises(InputError, match="from 0 to 2, got 0 to 3"):
        count_trials(np.array([[0, 3]]), counting)
    with pytest.raises(InputError, match="without missing ones"):
        count_trials(np.array([[-1, 1]]), counting)
    with pytest.raises(InputError, match="at least 2 steps"):
        count_trials(np.array([[1], [0]]), counting)
    with pytest.raises(InputError, match="lags must be at least 1, got 0"):
        Counting(3, 0, 5)
