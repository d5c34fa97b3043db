"""The verdict on emulators whose quality is known: the model itself, other models, and degenerate ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
from oracles.small_hmm import Emulates, Repeats

from neurodyn.emulation.match import match
from neurodyn.emulation.match_result import MatchConfig
from neurodyn.emulation.verdict import Limits, Statistic, TwoSampleTest, Verdict, verdict_on_match
from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel, Sequences, cycle, fully_connected, linear_chain, sample

QUICK = MatchConfig(resamples=100, matched_trials=1200, block=300, tested_trials=500, permutations=400)
WIDE = Limits(*[10.0] * 9)


def run(emulator, hmm, trials=12_000, config=QUICK, seed=1, steps=None):
    return match(emulator, hmm, trials=trials, seed=seed, config=config, steps=steps)


@pytest.fixture(scope="module")
def itself():
    return run(Emulates(fully_connected()), fully_connected())


def test_a_model_emulates_itself(itself):
    assert itself.verdict is Verdict.INDISTINGUISHABLE
    assert itself.verdict.passed
    assert all(s.met and s.decidable for s in itself.statistics)
    assert (itself.trials, itself.steps, itself.model) == (12_000, 30, "fully_connected3")


def test_values_are_what_their_names_say(itself):
    """Written out from the symbols themselves, which the same seeds draw again."""
    seeds = [int(s) for s in np.random.default_rng(1).integers(2**31, size=3)]
    hmm = fully_connected()
    symbols = [sample(hmm, 12_000, 30, seed=s).symbols for s in seeds]
    for found, row in (("value", symbols[0]), ("floor", symbols[2])):
        get = {s.name: getattr(s, found) for s in itself.statistics}
        frequencies = np.bincount(row.ravel(), minlength=3) / row.size
        assert get["frequency_error_max"] == pytest.approx(np.abs(frequencies - 1 / 3).max())
        # Symbols of a symmetric model: P(next = same) = sum_s P(s, s).
        stay = 0.95 * (0.98**2 + 2 * 0.01**2) + 0.05 * (2 * 0.98 * 0.01 + 0.01**2)
        changes = (row[:, 1:] != row[:, :-1]).sum(axis=1).mean()
        assert get["volatility_ratio"] == pytest.approx(changes / (29 * (1 - stay)))
        pairs = np.zeros((3, 3))
        np.add.at(pairs, (row[:, :-1], row[:, 1:]), 1)
        exact = np.where(np.eye(3) == 1, stay, (1 - stay) / 2)
        error = np.abs(pairs / pairs.sum(axis=1, keepdims=True) - exact).max()
        assert get["transition_error_max"] == pytest.approx(error)


def test_intervals_are_as_wide_as_theory_says(itself):
    """The mean of independent trials: the interval of a ratio to an exact number is 2 x 1.96 standard errors wide."""
    ratio = itself["volatility_ratio"]
    error = itself.emulator.changes.std() / np.sqrt(12_000) / itself.expected.changes
    assert ratio.high - ratio.low == pytest.approx(2 * 1.96 * error, rel=0.25)
    assert ratio.low < ratio.value < ratio.high


CHAIN = linear_chain(3)
SHIFT = np.array([[0.03, 0, -0.03]]) * (CHAIN.emissions[:, 2:] > 0.1)
WRONG = {
    "volatility_ratio": linear_chain(3, crossing=0.1),
    "frequency_error_max": HiddenMarkovModel(CHAIN.initial, CHAIN.transitions, CHAIN.emissions + SHIFT, "shifted", 30),
    "transition_error_max": HiddenMarkovModel([1], [[1]], [[0.495, 0.01, 0.495]], "no memory", 30),
}


@pytest.mark.parametrize("caught", WRONG)
def test_other_models_fail_and_the_reason_names_how(caught):
    found = run(Emulates(WRONG[caught]), CHAIN)
    assert found.verdict is Verdict.FAILS
    assert not found.verdict.passed
    assert not found[caught].met
    assert any(found[caught].label in reason for reason in found.reasons)
    assert found["log_likelihood_gap"].value < 0


def test_within_wide_limits_a_wrong_model_passes_but_is_told_apart():
    found = run(Emulates(cycle(stay=0.85)), cycle(), config=replace(QUICK, limits=WIDE))
    assert found.verdict is Verdict.PASSES
    assert found.verdict.passed
    assert {t.name for t in found.tests if t.p_value < 0.0025} >= {"volatility", "log_likelihood", "dwell_times"}
    assert all(t.floor_p_value > 0.0025 for t in found.tests)


def test_few_trials_decide_nothing():
    found = run(Emulates(linear_chain(3)), linear_chain(3), trials=60)
    assert found.verdict is Verdict.UNDECIDED
    assert any("use more trials" in reason for reason in found.reasons)


def test_a_network_stuck_on_one_symbol_fails_with_finite_numbers():
    found = run(Repeats([0]), linear_chain(3), trials=500)
    assert found.verdict is Verdict.FAILS
    assert found["transition_error_max"].value == 1.0
    assert found["volatility_ratio"].value == 0.0
    assert found["autocorrelation_error_max"].value == 1.0
    assert found["frequency_error_max"].value > 0.5 - 0.01
    assert found["dwell_distance_max"].value > 0.9
    json.dumps([found.to_dict(), found.summary()], allow_nan=False)


def test_models_without_any_chance_emulate_themselves():
    """Nothing varies here: every interval is a point, and no division fails."""
    clock = HiddenMarkovModel([1, 0, 0], np.roll(np.eye(3), 1, axis=1), np.eye(3), "clock", 9)
    constant = HiddenMarkovModel([1], [[1]], [[1, 0]], "constant", 9)
    for hmm in (clock, constant):
        found = run(Emulates(hmm), hmm, trials=300)
        assert found["volatility_ratio"].value == 1.0
        assert found["transition_error_max"].value == 0.0
        assert found["log_likelihood_gap"].value == 0.0
        assert found["matched_distance"].value == 0.0
        assert found.verdict is Verdict.INDISTINGUISHABLE


def test_sequences_that_the_model_cannot_emit_are_counted():
    clock = HiddenMarkovModel([1 / 3] * 3, np.roll(np.eye(3), 1, axis=1), np.eye(3), "clock", 9)
    found = run(Repeats([0, 2, 1]), clock, trials=300)
    assert found["impossible_share"].value == 1.0
    assert found.verdict is Verdict.FAILS
    assert np.isneginf(found.emulator.log_likelihood).all()
    json.dumps(found.to_dict(), allow_nan=False)


def statistic(value, floor, limit=1.0):
    return Statistic("s", "it", value, value, value, floor, floor, floor, -np.inf, limit)


@pytest.mark.parametrize(
    ("value", "floor", "p_value", "verdict"),
    [
        (2.0, 0.5, 0.5, Verdict.FAILS),
        (2.0, 1.5, 0.5, Verdict.FAILS),
        (1.5, 1.5, 0.5, Verdict.UNDECIDED),
        (0.5, 1.5, 0.5, Verdict.UNDECIDED),
        (0.5, 0.5, 0.004, Verdict.PASSES),
        (0.5, 0.5, 0.006, Verdict.INDISTINGUISHABLE),  # of two tests at 0.01 together, each has 0.005
    ],
)
def test_the_rule(value, floor, p_value, verdict):
    tests = (TwoSampleTest("t", "a test", p_value, 0.5), TwoSampleTest("u", "another", 0.9, 0.5))
    found, reasons = verdict_on_match((statistic(value, floor), statistic(0.0, 0.0)), tests, 0.01)
    assert found is verdict
    assert reasons


def test_a_failure_counts_even_where_something_else_is_undecided():
    assert (
        verdict_on_match((statistic(2.0, 0.5), statistic(0.5, 2.0)), (TwoSampleTest("t", "a test", 0.5, 0.5),), 0.01)[0]
        is Verdict.FAILS
    )


def test_one_seed_is_one_result():
    one, again, other = (run(Emulates(CHAIN), CHAIN, trials=50, seed=seed) for seed in (3, 3, 4))
    assert again.summary() == one.summary()
    assert other["volatility_ratio"].value != one["volatility_ratio"].value


def test_summary_and_dictionary_fit_in_json(itself):
    summary = json.loads(json.dumps(itself.summary(), allow_nan=False))
    assert {"transition_error_max", "frequency_error_max", "volatility_ratio", "verdict"} <= set(summary)
    assert summary["transition_error_max_floor"] == itself["transition_error_max"].floor
    whole = json.loads(json.dumps(itself.to_dict(), allow_nan=False))
    np.testing.assert_allclose(whole["expected"]["frequencies"], 1 / 3)
    assert whole["config"]["limits"]["transition_error_max"] == 0.02


def test_labelled_result_holds_the_same_numbers(itself, tmp_path):
    data = itself.to_xarray()
    assert float(data["value"].sel(statistic="volatility_ratio")) == itself["volatility_ratio"].value
    np.testing.assert_array_equal(
        data["transitions"].sel(source="emulator", bound="low"), itself.emulator.low.transitions
    )
    np.testing.assert_array_equal(data["dwells"].sel(source="expected", bound="value"), itself.expected.dwells)
    np.testing.assert_array_equal(data["changes_of_trial"].sel(set="hmm"), itself.hmm.changes)
    assert data["autocorrelation"].sizes["lag"] == 20
    assert data.attrs["verdict"] == "indistinguishable"


class Wrong:
    def __init__(self, symbols):
        self.symbols = symbols

    def generate(self, trials, steps, *, seed):
        return Sequences(self.symbols, self.symbols)


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        (np.zeros((5, 30), np.int32), r"asked for \(20, 30\) symbols and made \(5, 30\)"),
        (np.full((20, 30), 3, np.int32), "from 0 to 2"),
        (np.full((20, 30), -1, np.int32), "without missing ones"),
    ],
)
def test_an_emulator_that_makes_something_else_is_refused(symbols, message):
    with pytest.raises(InputError, match=message):
        run(Wrong(symbols), linear_chain(3), trials=20)


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(InputError, match="at least 10 trials of 2 steps, got 4 of 30"):
        run(Emulates(linear_chain(3)), linear_chain(3), trials=4)
    with pytest.raises(InputError, match="at least 10 trials of 2 steps, got 40 of 1"):
        run(Emulates(linear_chain(3)), linear_chain(3), trials=40, steps=1)
    with pytest.raises(InputError, match="limit volatility_ratio must be positive, got 0"):
        Limits(volatility_ratio=0.0)
    with pytest.raises(InputError, match="resamples must be at least 1"):
        MatchConfig(resamples=0)
    with pytest.raises(InputError, match=r"399 permutations cannot give a p value below 0.01 / 4: use 400"):
        MatchConfig(permutations=399)


def test_the_floor_is_inside_its_interval():
    """Of 8 models against themselves, with 7 statistics that have noise, hardly one is outside 99 in 100."""
    inside = []
    for seed in range(8):
        found = run(Emulates(CHAIN), CHAIN, trials=200, seed=seed)
        inside += [s.floor_low <= s.floor <= s.floor_high for s in found.statistics]
        inside += [not s.beyond_floor for s in found.statistics]
    assert np.mean(inside) > 0.97
