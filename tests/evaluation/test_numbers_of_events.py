"""Scores of decoded numbers of events against scikit-learn's, and events decoded from units that follow their rate."""

import numpy as np
import pytest
from scipy.stats import poisson
from sklearn.metrics import d2_tweedie_score

from neurodyn.baselines import CausalRidge
from neurodyn.binning import time_folds, to_bins
from neurodyn.errors import InputError
from neurodyn.evaluation import Method, count_dimensions, count_score, cross_validate
from neurodyn.recording import BinnedCounts, Intervals, Recording, SpikeTrains
from neurodyn.report.summary import finding, summary_of


def test_deviance_is_scikit_learns_and_probabilities_are_scipys():
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(-1, 1, 500))
    true, decoded = rng.poisson(rate), rate * np.exp(rng.normal(0, 0.3, 500))
    score = count_score(true, decoded)
    np.testing.assert_allclose(score.deviance_explained, d2_tweedie_score(true, np.maximum(decoded, 1e-3), power=1))
    np.testing.assert_allclose(score.log_loss, -poisson.logpmf(true, np.maximum(decoded, 1e-3)).mean())
    np.testing.assert_allclose(score.mean_log_loss, -poisson.logpmf(true, true.mean()).mean())
    assert count_score(true, np.full(500, true.mean())).deviance_explained == pytest.approx(0, abs=1e-12)


def test_nothing_expected_and_nothing_seen_keep_finite_scores():
    assert np.isfinite(count_score(np.asarray([0, 3]), np.asarray([0.0, -1.0])).log_loss)
    assert np.isfinite(count_score(np.zeros(4), np.zeros(4)).deviance_explained)
    assert count_dimensions(["x", "#licks.left", "trials=a"]) == {"#licks.left": 1}


@pytest.mark.parametrize(
    ("true", "words"),
    [(np.asarray([0.5, 1.0]), "whole numbers"), (np.asarray([-1.0, 1.0]), "whole numbers"), (np.zeros(3), "alike")],
)
def test_what_is_no_number_of_events_is_refused(true, words):
    with pytest.raises(InputError, match=words):
        count_score(true, np.ones(2))


@pytest.fixture(scope="module")
def recording():
    """Two minutes in which a rat licks in bouts of a second, at 8 Hz, and six units fire at three rates with it."""
    rng = np.random.default_rng(1)
    licking = np.repeat(rng.random(120) < 0.5, 1000)  # as in `test_events_are_decoded_and_told`

    def times(rate):
        return np.flatnonzero(rng.random(120_000) < rate / 1000) / 1000 + 5e-4

    licks = times(8.0 * licking)
    units = tuple(times(5 + gain * licking) for gain in (30, 30, 20, 20, 0, 0))
    return Recording(
        name="licks",
        spikes={
            "spikes": SpikeTrains("spikes", units, tuple("abcdef")),
            "licks": SpikeTrains("licks", (licks,), ("0",)),
            "presses": SpikeTrains("presses", (licks[::2], licks[1::2]), ("left", "right")),
        },
    )


def test_events_of_bins_by_a_loop(recording):
    batch = to_bins(recording, width=0.1, target=["licks", "presses"])
    assert batch.names == ("spikes",)
    assert batch.target_names == ("#licks", "#presses.left", "#presses.right")
    assert batch.target_units == ("events per bin",) * 3
    trains = [*recording.spikes["licks"].times, *recording.spikes["presses"].times]
    for time, target in zip(batch.time, batch.target, strict=True):
        expected = [np.sum((train >= time - 0.1 - 1e-9) & (train < time - 1e-9)) for train in trains]
        assert target.tolist() == expected
    assert batch.target[:, 0].sum() == len(trains[0])


def test_events_are_decoded_and_told(recording):
    batch = to_bins(recording, width=0.1, target="licks")
    result = cross_validate([Method("multimodal", CausalRidge(), batch.names)], time_folds(batch, 3, gap=1.0))
    score = result.count_scores()["#licks"]["multimodal"]["filtered"]
    licking = np.repeat(np.random.default_rng(1).random(120) < 0.5, 10)[np.round(batch.time * 10).astype(int) - 1]
    best = count_score(batch.target[:, 0], 0.8 * licking).deviance_explained  # of who knows the rate
    assert 0.6 * best < score.deviance_explained < best
    assert score.log_loss < score.mean_log_loss
    summary = summary_of(result, batch, title="t", seed=0, settings={})
    assert summary["counts"]["#licks"]["multimodal"]["filtered"] == score._asdict()
    assert "Of the deviance of #licks" in finding(result)


def test_recorded_counts_are_added_up_where_they_are_known(recording):
    values = np.arange(1200.0)[:, None] % 7
    values[40:44] = np.nan
    taps = BinnedCounts("taps", values, width=0.05, start=3.0)
    given = Recording(name="r", spikes={"spikes": recording.spikes["spikes"]}, counts={"taps": taps})
    batch = to_bins(given, width=0.1, target="taps")
    pairs = values[:, 0].reshape(-1, 2).sum(axis=1)
    inside = (batch.time > 3.05) & (batch.time < 63.05)
    np.testing.assert_array_equal(batch.target_observed[inside], ~np.isnan(pairs))
    np.testing.assert_array_equal(batch.target[inside, 0], np.nan_to_num(pairs))
    assert not batch.target_observed[~inside].any()
    with pytest.raises(InputError, match="multiple"):
        to_bins(given, width=0.07, target="taps")


def test_trials_and_time_that_was_not_recorded(recording):
    trials = Intervals("trials", np.asarray([1.0, 10.0]), np.asarray([3.0, 12.0]), ("a", "b"))
    licks = recording.spikes["licks"].times[0]
    given = Recording(name="r", spikes=recording.spikes, intervals={"trials": trials})
    batch = to_bins(given, width=0.5, target="licks", interval="trials")
    edges = [*np.arange(1.0, 3.0, 0.5), *np.arange(10.0, 12.0, 0.5)]
    assert batch.target[:, 0].tolist() == [np.sum((licks >= e) & (licks < e + 0.5)) for e in edges]


def test_what_is_decoded_is_not_seen(recording):
    with pytest.raises(InputError, match="'licks' is to be decoded and is also what is decoded from"):
        to_bins(recording, width=0.1, target="licks", modalities=["spikes", "licks"])
    with pytest.raises(InputError, match="did you mean 'licks'"):
        to_bins(recording, width=0.1, target="lick")
    assert to_bins(recording, width=0.1, target="licks", modalities="all").names == ("spikes", "presses")
