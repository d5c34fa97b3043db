"""What a hidden Markov model refuses, the three families number by number, and sampling against the probabilities."""

import json

import numpy as np
import pytest
from oracles.small_hmm import random_hmm

from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel, cycle, fully_connected, linear_chain, sample

GOOD = {
    "initial": [0.5, 0.5],
    "transitions": [[0.9, 0.1], [0.2, 0.8]],
    "emissions": [[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]],
    "name": "good",
    "trial_steps": 10,
}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("initial", [0.5, 0.6], "initial adds up to 1.1,"),
        ("initial", [[0.5, 0.5]], r"initial must have the shape \(states,\), got \(1, 2\)"),
        ("transitions", [[0.9, 0.1], [1.2, -0.2]], "row 1 of transitions has a negative probability at column 1: -0.2"),
        ("transitions", [[0.9, 0.1], [0.2, 0.7]], "row 1 of transitions adds up to 0.9,"),
        ("transitions", [[0.9, 0.1], [0.2]], "transitions must be an array of numbers with rows of equal length"),
        ("transitions", np.eye(3), r"transitions must have the shape \(2, 2\) .* got \(3, 3\)"),
        ("emissions", [[0.7, 0.2, 0.1]], r"one row for each of the 2 states .* got \(1, 3\)"),
        ("emissions", [[np.nan, 0.5, 0.5], [0, 0, 1]], "row 0 of emissions has a value that is not a probability"),
        ("emissions", np.zeros((2, 0)), r"emissions must have the shape \(states, symbols\), got \(2, 0\)"),
        ("trial_steps", 0, "trial_steps must be at least 1, got 0"),
    ],
)
def test_what_is_no_model_is_refused_with_its_row(field, value, message):
    with pytest.raises(InputError, match=message):
        HiddenMarkovModel(**{**GOOD, field: value})


def test_a_model_goes_through_json_and_back():
    hmm = random_hmm(0)
    again = HiddenMarkovModel.from_dict(json.loads(json.dumps(hmm.to_dict())))
    for field in ("initial", "transitions", "emissions"):
        np.testing.assert_array_equal(getattr(again, field), getattr(hmm, field))
    assert (again.name, again.trial_steps) == (hmm.name, hmm.trial_steps)
    with pytest.raises(InputError, match="missing: emissions"):
        HiddenMarkovModel.from_dict({key: value for key, value in GOOD.items() if key != "emissions"})


def test_a_model_keeps_its_own_numbers():
    given = np.array(GOOD["transitions"])
    hmm = HiddenMarkovModel(**{**GOOD, "transitions": given})
    given[0] = 0
    np.testing.assert_array_equal(hmm.transitions, GOOD["transitions"])
    with pytest.raises(ValueError, match="read-only"):
        hmm.transitions[0, 0] = 1


def test_single_precision_is_no_reason_to_refuse():
    rows = np.random.default_rng(0).dirichlet(np.ones(50), 50).astype(np.float32)
    HiddenMarkovModel(rows[0], rows, rows, "fifty", 10)


@pytest.mark.parametrize(
    ("states", "move", "steps"), [(2, 0.05, 100), (3, 0.2236068, 30), (4, 0.3684031, 30), (5, 0.4728708, 40)]
)
def test_chain_is_the_papers(states, move, steps):
    hmm = linear_chain(states)
    assert hmm.trial_steps == steps
    expected = np.zeros((states, states))
    for i in range(states):
        for j in (i - 1, i + 1):
            if 0 <= j < states:
                expected[i, j] = move
        expected[i, i] = 1 - expected[i].sum()
    np.testing.assert_allclose(hmm.transitions, expected, atol=1e-7)
    np.testing.assert_allclose(hmm.initial, 1 / states)
    np.testing.assert_allclose(hmm.emissions[[0, -1]], [[0.99, 0.01, 0], [0, 0.01, 0.99]], atol=1e-15)
    assert np.prod(np.diag(hmm.transitions, 1)) == pytest.approx(0.05)


def test_middle_of_a_chain_emits_both_ends():
    np.testing.assert_allclose(linear_chain(3).emissions[1], [0.495, 0.01, 0.495])


@pytest.mark.parametrize("states", [6, 7])
def test_a_chain_with_a_negative_diagonal_is_refused(states):
    with pytest.raises(InputError, match=f"a chain of {states} states at crossing 0.05 .* would stay with -0"):
        linear_chain(states)


def test_a_longer_chain_with_a_rarer_crossing():
    assert linear_chain(6, crossing=0.01, trial_steps=50).transitions.min() == 0
    with pytest.raises(InputError, match="give trial_steps for a chain of 6"):
        linear_chain(6, crossing=0.01)
    with pytest.raises(InputError, match="at least 2 states, got 1"):
        linear_chain(1)


def test_fully_connected_and_cycle_are_the_papers():
    full, ring = fully_connected(), cycle()
    np.testing.assert_allclose(full.transitions, np.full((3, 3), 0.025) + 0.925 * np.eye(3))
    np.testing.assert_allclose(full.emissions, np.full((3, 3), 0.01) + 0.97 * np.eye(3))
    near, no = 0.025, 0
    expected = [[0.95, near, no, near], [near, 0.95, near, no], [no, near, 0.95, near], [near, no, near, 0.95]]
    np.testing.assert_allclose(ring.transitions, expected)
    np.testing.assert_allclose(ring.emissions, [[0.9, 0.1, 0], [0.1, 0.9, 0], [0, 0.1, 0.9], [0, 0.9, 0.1]])
    assert (full.trial_steps, ring.trial_steps) == (30, 40)


@pytest.mark.parametrize("states", [3, 5, 2])
def test_a_cycle_needs_an_even_number_of_states(states):
    with pytest.raises(InputError, match=f"even number of states from 4, got {states}"):
        cycle(states)


def five_sigma(count: np.ndarray, total: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Whether binomial counts are within five standard deviations of what is expected."""
    return np.abs(count - total * probability) <= 5 * np.sqrt(total * probability * (1 - probability)) + 1e-9


@pytest.mark.parametrize("hmm", [linear_chain(4), cycle(), random_hmm(1)], ids=lambda hmm: hmm.name)
def test_samples_follow_the_probabilities(hmm):
    drawn = sample(hmm, 4000, 25, seed=7)
    starts = np.bincount(drawn.states[:, 0], minlength=hmm.states)
    assert five_sigma(starts, np.array(4000), hmm.initial).all()
    moves = np.zeros((hmm.states, hmm.states))
    np.add.at(moves, (drawn.states[:, :-1], drawn.states[:, 1:]), 1)
    assert five_sigma(moves, moves.sum(axis=1, keepdims=True), hmm.transitions).all()
    emitted = np.zeros((hmm.states, hmm.symbols))
    np.add.at(emitted, (drawn.states, drawn.symbols), 1)
    assert five_sigma(emitted, emitted.sum(axis=1, keepdims=True), hmm.emissions).all()


def test_what_has_no_probability_never_happens():
    hmm = HiddenMarkovModel([0, 1, 0], np.roll(np.eye(3), 1, axis=1), [[0, 1, 0], [1, 0, 0], [0, 0, 1]], "clock", 5)
    drawn = sample(hmm, 50, 40, seed=0)
    np.testing.assert_array_equal(drawn.states, np.tile((1 + np.arange(40)) % 3, (50, 1)))
    np.testing.assert_array_equal(drawn.symbols, np.array([1, 0, 2])[drawn.states])


def test_one_seed_is_one_data_set():
    hmm = linear_chain(3)
    first, again, other = (sample(hmm, 5, 30, seed=seed).symbols for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.dtype == np.int32
    with pytest.raises(InputError, match="got 0 trials of 5 steps"):
        sample(hmm, 0, 5, seed=0)
