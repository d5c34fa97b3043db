"""Tests that tell sets of sequences apart: against brute force, scikit-learn, and their own false alarms."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.linear_model import LogisticRegression

from neurodyn.emulation import two_sample
from neurodyn.emulation.two_sample import classify, dwell_permutation_test, matched_distances
from neurodyn.kernels.ngrams import count_ngrams
from neurodyn.markov import linear_chain, sample
from neurodyn.markov.statistics import Counting, count_trials

HMM = linear_chain(3)


def sets(seed, trials, steps=12, other=HMM):
    return (sample(hmm, trials, steps, seed=2 * seed + k).symbols for k, hmm in enumerate((HMM, other)))


def test_matching_is_the_best_of_all_matchings():
    one, other = sets(0, 6)
    found = matched_distances(one, other, symbols=3, block=6)
    every = [np.mean([(one[i] != other[j]).mean() for i, j in enumerate(order)]) for order in permutations(range(6))]
    assert found.mean() == pytest.approx(min(every))


def test_matching_in_blocks_is_matching_each_block():
    one, other = sets(1, 7)
    blocks = [
        matched_distances(one[part], other[part], symbols=3, block=7) for part in (slice(3), slice(3, 6), slice(6, 7))
    ]
    np.testing.assert_array_equal(matched_distances(one, other, symbols=3, block=3), np.concatenate(blocks))


def test_the_order_of_trials_does_not_matter_to_a_matching():
    one, _ = sets(2, 20)
    shuffled = np.random.default_rng(0).permutation(one)
    np.testing.assert_array_equal(matched_distances(one, shuffled, symbols=3, block=20), 0)


def test_ngrams_are_counted_as_by_hand():
    (row,) = sample(HMM, 1, 15, seed=3).symbols.tolist()
    expected = []
    for length in (1, 2, 3):
        windows = [tuple(row[t : t + length]) for t in range(len(row) - length + 1)]
        expected += [windows.count(gram) for gram in product(range(3), repeat=length)]
    np.testing.assert_array_equal(count_ngrams(np.array([row]), symbols=3, longest=3)[0], expected)


def test_the_classifier_is_logistic_regression():
    one, other = sets(4, 60, other=linear_chain(3, crossing=0.2))
    features = np.concatenate([count_ngrams(part, symbols=3, longest=2) for part in (one, other)])
    second = np.arange(120) >= 60
    train, test = np.arange(120) % 2 == 0, np.arange(120) % 2 == 1
    mean, spread = features[train].mean(axis=0), features[train].std(axis=0)
    scaled = (features - mean) / np.where(spread > 0, spread, 1)
    oracle = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(scaled[train], second[train])
    found = two_sample._predict(features[train], second[train], features[test])
    np.testing.assert_array_equal(found, oracle.predict(scaled[test]))


def told(one, other, seed=0):
    return classify(one, other, symbols=3, ngram=3, folds=5, level=0.95, rng=np.random.default_rng(seed))


def test_the_classifier_tells_models_apart_that_differ():
    result = told(*sets(5, 300, steps=40, other=linear_chain(3, crossing=0.2)))
    assert result.accuracy > 0.7
    assert result.low < result.accuracy < result.high
    assert result.p_value < 1e-6


def test_the_classifier_seldom_raises_a_false_alarm():
    results = [told(*sets(seed, 60), seed=seed) for seed in range(40)]
    covered = sum(r.low <= 0.5 <= r.high for r in results)
    assert covered >= 34  # 38 expected of 40; folds that share training data widen the spread a little
    assert np.mean([r.accuracy for r in results]) == pytest.approx(0.5, abs=0.03)


def dwells(symbols):
    return count_trials(symbols, Counting(3, 1, 12)).dwells


def permuted(one, other, seed):
    return dwell_permutation_test(dwells(one), dwells(other), permutations=99, rng=np.random.default_rng(seed))


def test_the_permutation_test_is_uniform_where_nothing_differs():
    p_values = [permuted(*sets(seed, 25), seed) for seed in range(80)]
    assert kstest(p_values, "uniform").pvalue > 1e-3


def test_the_permutation_test_finds_dwells_that_differ():
    assert permuted(*sets(6, 150, steps=40, other=linear_chain(3, crossing=0.2)), 0) == 0.01


def test_a_symbol_that_only_one_set_has_makes_dwells_differ():
    one, _ = sets(7, 40)
    assert permuted(one, np.where(one == 1, 0, one), 0) <= permuted(one, one, 0) == 1.0
