"""Scores of decoded classes against scikit-learn's, and classes decoded from a recording whose rates follow them."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from neurodyn.baselines import CausalRidge, WienerFilter
from neurodyn.binning import time_folds, to_bins
from neurodyn.errors import InputError
from neurodyn.evaluation import Method, class_groups, class_probabilities, class_score, cross_validate
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.report.summary import finding, summary_of


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    label = rng.choice(3, 500, p=[0.6, 0.3, 0.1])
    true = np.eye(3)[label]
    decoded = true * 0.5 + rng.normal(0.2, 0.4, true.shape)
    score, probability = class_score(true, decoded), class_probabilities(decoded)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_allclose(score.accuracy, accuracy_score(label, probability.argmax(axis=1)))
    np.testing.assert_allclose(score.balanced_accuracy, balanced_accuracy_score(label, probability.argmax(axis=1)))
    np.testing.assert_allclose(score.log_loss, log_loss(label, probability))
    shares = np.bincount(label) / 500
    np.testing.assert_allclose(score.chance, shares.max())
    np.testing.assert_allclose(score.chance_log_loss, log_loss(label, np.tile(shares, (500, 1))))


def test_what_squared_errors_make_of_classes_is_their_probability():
    """Least squares on the one-hot truth of a known mixture finds the posterior in each state of the input."""
    rng = np.random.default_rng(1)
    state = rng.choice(4, 40_000)
    posterior = np.asarray([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.05, 0.95]])
    true = np.eye(2)[(rng.random(40_000) > posterior[state, 0]).astype(int)]
    weights = np.linalg.lstsq(np.eye(4)[state], true, rcond=None)[0]
    np.testing.assert_allclose(class_probabilities(weights), posterior, atol=0.02)


def test_what_never_holds_keeps_a_probability():
    assert np.isfinite(class_score(np.eye(2), np.eye(2)[::-1]).log_loss)
    assert class_groups(["cos", "a=x", "b=y", "a=z"]) == {"a": [1, 3]}


@pytest.mark.parametrize(
    ("true", "decoded", "words"),
    [
        (np.ones((3, 2)), np.ones((3, 2)), "one label"),
        (np.full((3, 2), 0.5), np.ones((3, 2)), "one label"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "got"),
    ],
)
def test_what_is_no_class_is_refused(true, decoded, words):
    with pytest.raises(InputError, match=words):
        class_score(true, decoded)


@pytest.fixture(scope="module")
def recording():
    """Sixty trials of two seconds with a second between them, whose side and odour drive the rates of ten units."""
    rng = np.random.default_rng(2)
    starts = 3.0 * np.arange(60)
    side = np.asarray(["left", "right"])[rng.integers(0, 2, 60)]
    odour = np.asarray(["rose", "mint", "none"])[rng.integers(0, 3, 60)]
    times = []
    for unit in range(10):
        rate = 5 + 20 * (side == ("left" if unit % 2 else "right")) + 15 * (odour == ("rose", "mint", "none")[unit % 3])
        counts = rng.poisson(2 * rate)
        times.append(np.sort(np.concatenate([s + 2 * rng.random(n) for s, n in zip(starts, counts, strict=True)])))
    return Recording(
        name="sides",
        spikes={"spikes": SpikeTrains("spikes", tuple(times), tuple(f"u{k}" for k in range(10)))},
        behaviour={"lick": Signal("lick", rng.normal(size=(1800, 1)), rate=10.0, start=0.0)},
        intervals={
            "trials": Intervals("trials", starts, starts + 2.0, tuple(side), {"odour": odour, "n": np.arange(60)})
        },
    )


def test_labels_of_bins_by_a_loop(recording):
    batch = to_bins(recording, width=0.1, target=["trials", "trials.odour"])
    table = recording.intervals["trials"]
    sides, odours = dict.fromkeys(table.labels), dict.fromkeys(table.columns["odour"])
    assert batch.target_names == (*(f"trials={s}" for s in sides), *(f"trials.odour={o}" for o in odours))
    assert batch.target_units == ("probability",) * 5
    for time, target, observed in zip(batch.time, batch.target, batch.target_observed, strict=True):
        row = int((time - 1e-6) // 3)
        assert observed == (1e-6 < time - 3 * row <= 2 + 1e-6)
        if observed:
            expected = [table.labels[row] == s for s in sides] + [table.columns["odour"][row] == o for o in odours]
            assert target.tolist() == expected


def test_classes_are_decoded_and_told(recording):
    batch = to_bins(recording, width=0.1, target=["trials", "trials.odour"])
    methods = [Method("multimodal", CausalRidge(), batch.names), Method("wiener", WienerFilter(lags=(5,)), batch.names)]
    result = cross_validate(methods, time_folds(batch, 3, gap=1.0))
    found = result.class_scores()
    assert set(found) == {"trials", "trials.odour"}
    for name, least in (("trials", 0.85), ("trials.odour", 0.75)):
        score = found[name]["multimodal"]["filtered"]
        assert score.accuracy > least > score.chance + 0.1
        assert score.log_loss < 0.7 * score.chance_log_loss
    assert set(found["trials"]["wiener"]) == {"filtered"}
    summary = summary_of(result, batch, title="t", seed=0, settings={})
    assert (
        summary["classes"]["trials"]["multimodal"]["filtered"]["accuracy"]
        == found["trials"]["multimodal"]["filtered"][0]
    )
    assert "trials is right in" in finding(result)


def test_names_that_are_no_classes_say_what_are(recording):
    with pytest.raises(
        InputError, match=r"'trials.n' has 60 labels for 60 intervals.*choose one of trials, trials.odour"
    ):
        to_bins(recording, width=0.1, target="trials.n")
    with pytest.raises(InputError, match="unknown column of 'trials' 'odor': did you mean 'odour'"):
        to_bins(recording, width=0.1, target="trials.odor")
    with pytest.raises(InputError, match="did you mean 'trials'"):
        to_bins(recording, width=0.1, target="trial")


def test_intervals_that_disagree_leave_the_class_open(recording):
    both = Intervals("state", np.asarray([0.0, 4.0]), np.asarray([5.0, 9.0]), ("run", "rest"))
    batch = to_bins(
        Recording(name="r", spikes=recording.spikes, intervals={"state": both}), width=0.5, target="state",
        interval=(0.0, 10.0),
    )  # fmt: skip
    assert batch.time[batch.target_observed].tolist() == [*np.arange(0.5, 4.25, 0.5), *np.arange(5.5, 9.25, 0.5)]
