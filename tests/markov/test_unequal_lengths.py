"""Trials of different lengths: each as it would be alone."""

import numpy as np
import pytest
from oracles.small_hmm import random_hmm

from neurodyn.errors import InputError
from neurodyn.markov import (
    EmConfig,
    check_symbols,
    filter_states,
    fit_em,
    log_likelihood,
    pad_symbols,
    run_em,
    smooth_states,
    viterbi,
)

HMM = random_hmm(0)
LISTS = [np.random.default_rng(k).integers(0, HMM.symbols, n).tolist() for k, n in enumerate((7, 3, 12))]


@pytest.mark.parametrize("kind", [list, lambda rows: [np.array(row) for row in rows]])
def test_each_trial_is_as_it_is_alone(kind):
    rows = kind(LISTS)
    np.testing.assert_allclose(log_likelihood(HMM, rows), [log_likelihood(HMM, row)[0] for row in LISTS], rtol=1e-12)
    for function in (filter_states, smooth_states, viterbi):
        together = function(HMM, rows)
        for trial, row in enumerate(LISTS):
            np.testing.assert_allclose(together[trial, : len(row)], function(HMM, row)[0], rtol=1e-10, atol=1e-12)


def test_fits_take_them():
    config = EmConfig(restarts=1, iterations=3)
    one, two = (run_em(HMM, rows, config=config) for rows in (LISTS, pad_symbols(LISTS)))
    np.testing.assert_array_equal(one.hmm.transitions, two.hmm.transitions)
    assert fit_em(LISTS, 2, symbol_count=HMM.symbols, seed=0, config=config).hmm.states == 2


def test_what_is_added_is_missing():
    assert pad_symbols([[1, 2], [3], []]).tolist() == [[1, 2], [3, -1], [-1, -1]]
    assert check_symbols([[0, 1], [1]], 2).tolist() == [[0, 1], [1, -1]]


@pytest.mark.parametrize("rows", [[[0, 1], [0.5]], [[0, 1], ["a"]], [[[0], [1]], [1]]])
def test_what_is_no_list_of_sequences(rows):
    with pytest.raises(InputError, match=r"must be (a sequence of )?integers|must have the shape"):
        check_symbols(rows, 2)
