"""Scores, criteria, the number of states and the match of states, against scipy and arithmetic by hand."""

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM, PoissonHMM
from oracles.small_hmm import random_hmm
from scipy import stats

from neurodyn.errors import InputError
from neurodyn.markov import (
    Categorical,
    EmConfig,
    GeneralHmm,
    HiddenMarkovModel,
    StateChoice,
    aic,
    align_states,
    bic,
    choose_states,
    linear_chain,
    match_states,
    overlap,
    parameter_count,
    sample,
    score,
    smooth_states,
    state_order,
)

STAY = [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]
THREE = GeneralHmm([0.4, 0.3, 0.3], STAY, "poisson", {"rate": [[1.0, 5.0], [6.0, 1.0], [12.0, 12.0]]})
QUICK = EmConfig(restarts=2, iterations=60, tolerance=1e-4)


def test_one_state_is_scored_by_its_density():
    hmm = GeneralHmm([1.0], [[1.0]], "gaussian", {"mean": [[1.0, 0.0]], "covariance": [[[2.0, 0.5], [0.5, 1.0]]]})
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(length, 2)) for length in (5, 8)]
    sequences[0][2] = np.nan
    seen = np.concatenate(sequences)
    seen = seen[~np.isnan(seen[:, 0])]
    total = stats.multivariate_normal([1.0, 0.0], [[2.0, 0.5], [0.5, 1.0]]).logpdf(seen).sum()
    assert score(hmm, sequences) == pytest.approx(total / 12, rel=1e-12)
    assert parameter_count(hmm) == 5
    assert aic(hmm, sequences) == pytest.approx(-2 * total + 10, rel=1e-12)
    assert bic(hmm, sequences) == pytest.approx(-2 * total + 5 * np.log(12), rel=1e-12)


def test_criteria_equal_those_of_hmmlearn():
    counts = sample(THREE, 1, 60, seed=0).observations[0]
    poisson = PoissonHMM(3)
    poisson.startprob_, poisson.transmat_ = THREE.initial, THREE.transitions
    poisson.lambdas_, poisson.n_features = THREE.parameters["rate"], 2
    assert aic(THREE, counts) == pytest.approx(poisson.aic(counts.astype(int)), rel=1e-10)
    assert bic(THREE, counts) == pytest.approx(poisson.bic(counts.astype(int)), rel=1e-10)
    covariance = np.array([np.eye(2), [[1.0, 0.3], [0.3, 2.0]]])
    parameters = {"mean": [[0.0, 1.0], [2.0, 2.0]], "covariance": covariance}
    hmm = GeneralHmm([0.5, 0.5], [[0.7, 0.3], [0.2, 0.8]], "gaussian", parameters)
    other = GaussianHMM(2, covariance_type="full")
    other.startprob_, other.transmat_, other.means_ = hmm.initial, hmm.transitions, hmm.parameters["mean"]
    other.n_features, other.covars_ = 2, covariance
    values = sample(hmm, 1, 60, seed=0).observations[0]
    assert bic(hmm, values) == pytest.approx(other.bic(values), rel=1e-10)
    # One number less per row of the transitions and of the emissions, and one less of the start.
    assert parameter_count(linear_chain(4)) == 3 + 4 * 3 + 4 * 2


@pytest.mark.parametrize("as_list", [True, False])
def test_three_states_are_chosen_of_counts_that_have_three(as_list):
    counts = sample(THREE, 12, 60, seed=1).observations
    given = [row[: 40 + 2 * number] for number, row in enumerate(counts)] if as_list else counts
    choice = choose_states(given, emission="poisson", candidates=(3, 1, 2, 4), folds=3, seed=0, config=QUICK)
    np.testing.assert_array_equal(choice.candidates, [1, 2, 3, 4])
    assert choice.scores.shape == (4, 3)
    assert choice.chosen == 3
    assert choice.mean[2] > choice.mean[1] + 3 * choice.below_best_error[1]


def test_held_out_scores_are_those_of_fits_without_the_fold():
    """One state: a fit is the mean of what is left, and each held-out part is scored by it with scipy."""
    rng = np.random.default_rng(0)
    sequences = [rng.poisson(3.0, length) for length in (4, 9, 6, 7, 5)]
    choice = choose_states(sequences, emission="poisson", candidates=(1,), folds=5, seed=3, config=QUICK)
    expected = []
    for held in range(5):
        kept = np.concatenate([row for other, row in enumerate(sequences) if other != held])
        strength = 0.1  # that of the prior, at the mean: it changes nothing here
        rate = (kept.sum() + strength * kept.mean()) / (len(kept) + strength)
        expected.append(stats.poisson(rate).logpmf(sequences[held]).mean())
    np.testing.assert_allclose(np.sort(choice.scores[0]), np.sort(expected), rtol=1e-9)


def test_the_rule_of_one_standard_error():
    scores = np.array([[-2.0, -2.2, -2.1, -2.0], [-1.5, -1.9, -1.4, -1.7], [-1.48, -1.9, -1.42, -1.68]])
    choice = StateChoice(np.array([1, 2, 5]), scores)
    np.testing.assert_allclose(choice.standard_error, stats.sem(scores, axis=1))
    np.testing.assert_allclose(choice.below_best_error, stats.sem(scores - scores[2], axis=1))
    difference = scores[2] - scores[1]
    assert difference.mean() < stats.sem(difference) < 0.1 * stats.sem(scores[2])
    assert (choice.best, choice.chosen) == (5, 2)
    better = StateChoice(np.array([1, 2, 5]), scores + np.array([[0], [0], [0.1]]))
    assert (better.best, better.chosen) == (5, 5)
    lost = StateChoice(np.array([1, 2]), np.array([[-np.inf, -1.0], [-1.0, -1.0]]))
    assert (lost.best, lost.chosen) == (2, 2)


def test_a_symbol_that_a_training_part_lacks_needs_a_prior():
    symbols = [[0, 1, 0, 1], [0, 1, 1, 1], [0, 2, 1, 1]]
    options = {"candidates": (1,), "folds": 3, "seed": 0, "config": QUICK}
    with pytest.raises(InputError, match="concentration above 1"):
        choose_states(symbols, emission=Categorical(3), **options)
    assert np.isfinite(choose_states(symbols, emission=Categorical(3, 1.5), **options).scores).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 4}, "got 4 folds and 3 sequences in which something is seen: use fewer folds"),
        ({"folds": 1}, "2 folds or more"),
        ({"candidates": ()}, r"candidates must be numbers of states from 1, got \[\]"),
        ({"candidates": (0, 2)}, r"from 1, got \[0, 2\]"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        choose_states([[1, 2], [3, 4], [5], [np.nan]], emission="poisson", seed=0, **options)


def test_overlap_is_the_sum_of_products_of_posteriors():
    two = GeneralHmm([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], "poisson", {"rate": [[11.0, 12.0], [3.0, 3.0]]})
    counts = sample(THREE, 3, 20, seed=2).observations
    counts[0, 4] = np.nan
    one, other = smooth_states(two, counts), smooth_states(THREE, counts)
    expected = np.zeros((2, 3))
    for trial, step in np.argwhere(~np.isnan(counts[..., 0])):
        expected += np.outer(one[trial, step], other[trial, step]) / 59
    np.testing.assert_allclose(overlap(two, THREE, counts), expected, rtol=1e-12)
    matched = match_states(two, THREE, counts)
    assert matched[2] == 0
    assert sorted(matched) == [-1, 0, 1]
    back = match_states(THREE, two, counts)
    assert back[0] == 2
    assert matched[back[1]] == 1


def test_matching_undoes_a_renaming_and_takes_other_emissions():
    order = np.array([2, 0, 1])
    counts = sample(THREE, 5, 60, seed=3).observations
    found = match_states(THREE.reordered(order), THREE, counts)
    np.testing.assert_array_equal(order[found], [0, 1, 2])
    rate = THREE.parameters["rate"]
    normal = GeneralHmm(THREE.initial, STAY, "diagonal_gaussian", {"mean": rate, "variance": rate}).reordered(order)
    np.testing.assert_array_equal(order[match_states(normal, THREE, counts)], [0, 1, 2])


def test_models_of_symbols_with_more_and_fewer_states_are_put_in_order():
    reference = random_hmm(1, states=3, symbols=5)
    # Two states that nobody enters are added: the others look ahead as they did.
    transitions = np.zeros((5, 5))
    transitions[:3, :3] = reference.transitions
    transitions[3:] = 0.2
    emissions = np.concatenate([reference.emissions, np.full((2, 5), 0.2)])
    larger = HiddenMarkovModel([*reference.initial, 0, 0], transitions, emissions, "larger", 6)
    shuffle = np.array([3, 1, 4, 0, 2])
    shuffled = HiddenMarkovModel(
        larger.initial[shuffle], larger.transitions[np.ix_(shuffle, shuffle)], larger.emissions[shuffle], "larger", 6
    )
    aligned = align_states(shuffled, reference)
    np.testing.assert_array_equal(aligned.emissions[:3], reference.emissions)
    np.testing.assert_array_equal(shuffle[state_order(shuffled, reference)], [0, 1, 2, 3, 4])
    order = state_order(reference, shuffled)
    np.testing.assert_array_equal(order, [1, 0, 2])
