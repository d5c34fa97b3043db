"""Cross-validation against fits written out, in this process and in workers."""

import multiprocessing
import os
from dataclasses import replace

import numpy as np
import pytest
from evaluation.stubs import Dies, Interrupted, Leaky, Many

from neurodyn.baselines import CausalRidge, ExponentialFilters
from neurodyn.binning import Fold, MultimodalBatch, time_folds, trial_folds
from neurodyn.errors import InputError, NeurodynError
from neurodyn.evaluation import Method, check_folds, check_online, cross_validate, r2, stream
from neurodyn.evaluation.workers import WORKER_ENVIRONMENT
from neurodyn.simulation import LorenzSettings, simulate_lorenz

BOTH = ("spikes", "field")
RIDGE = CausalRidge(ExponentialFilters((0.05, 0.2)))


@pytest.fixture(scope="module")
def folds():
    return trial_folds(simulate_lorenz(LorenzSettings(n_trials=12, seconds=0.4), seed=0), 3, seed=0)


@pytest.fixture
def methods():
    return [Method("both", Leaky(), BOTH, stream=True), Method("ridge", RIDGE, ("spikes",))]


def test_scores_are_those_of_fits_written_out(folds, methods):
    seen = []
    result = cross_validate(methods, folds, on_result=lambda r: seen.append((r.method, r.fold)))
    assert sorted(seen) == [(m, k) for m in ("both", "ridge") for k in range(3)]
    assert [(r.method, r.fold) for r in result.results] == sorted(seen)
    for number, fold in enumerate(folds):
        train, test = fold.train.with_modalities(("spikes",)), fold.test.with_modalities(("spikes",))
        ridge = CausalRidge(ExponentialFilters((0.05, 0.2))).fit(train)
        for smoothed in (False, True):
            found = result.scores("ridge", smoothed=smoothed)[number]
            np.testing.assert_array_equal(found.r2, ridge.score(test, smoothed=smoothed).r2)
    per_fold = result.summary()["ridge"]["filtered"]["r2"]["per_fold"]
    np.testing.assert_allclose(per_fold, [s.r2.mean() for s in result.scores("ridge")])


def test_workers_find_what_this_process_finds(folds, methods):
    here = cross_validate(methods, folds)
    before = dict(os.environ)
    there = cross_validate(methods, folds, jobs=2)
    assert dict(os.environ) == before
    for one, two in zip(here.results, there.results, strict=True):
        assert (one.method, one.fold) == (two.method, two.fold)
        np.testing.assert_allclose(one.filtered.r2, two.filtered.r2, rtol=1e-9)
        np.testing.assert_allclose(one.decoded.smoothed, two.decoded.smoothed, rtol=1e-9, atol=1e-12)


def test_decoded_leaves_out_context_and_keeps_missing_targets_unscored():
    batch = simulate_lorenz(LorenzSettings(n_trials=1, seconds=6.0), seed=1)
    seen = np.arange(600) % 5 != 0
    batch = replace(batch, target=np.where(seen[:, None], batch.target, np.float32(0)), target_observed=seen)
    parts = time_folds(batch, 3, gap=0.1, lead_in=0.5)
    assert parts[1].test.lead[0] == 50
    result = cross_validate([Method("both", Leaky(), BOTH, stream=True)], parts)
    decoded = [r.decoded for r in result.of("both")]
    np.testing.assert_array_equal(np.concatenate([d.time for d in decoded]), batch.time)
    np.testing.assert_array_equal(np.concatenate([d.scored for d in decoded]), seen)
    for part, found in zip(decoded, result.of("both"), strict=True):
        assert found.filtered.n_bins == part.scored.sum()
        np.testing.assert_array_equal(found.filtered.r2, r2(part.true[part.scored], part.filtered[part.scored]))
        assert found.latent is not None
        assert found.latent.shape == (200, 3)


def test_learning_curves_and_methods_without(folds, methods):
    result = cross_validate(methods, folds)
    curve = result.of("both")[0].learning
    assert curve is not None
    assert curve.loss.tolist() == [3.0, 2.0]
    assert curve.validation_epoch.tolist() == [1, 2]
    assert result.of("ridge")[0].learning is None
    assert result.of("ridge")[0].online is None
    with pytest.raises(InputError, match=r"unknown method 'rigde': did you mean 'ridge'"):
        result.of("rigde")


@pytest.mark.parametrize("error", [0.0, 0.25])
def test_online_difference_is_found(folds, error):
    decoder = Leaky(error=error).fit(folds[0].train)
    check = check_online(decoder, folds[0].test)
    assert check.n_bins == folds[0].test.n_bins
    assert check.latent_difference == pytest.approx(error, abs=1e-12)
    assert check.target_difference < 1e-10
    assert len(check.microseconds) == check.n_bins - 20


def test_stream_feeds_bins_in_order_and_missing_as_none(folds):
    test = folds[0].test
    live = Leaky().fit(folds[0].train).realtime()
    streamed = stream(live, test, max_bins=50)
    assert [i for i, s in enumerate(live.seen) if s == "reset"] == [0, 41]  # trials of 40 bins
    given = [s for s in live.seen if s != "reset"]
    first = np.r_[test.starts[0] : test.starts[0] + 40, test.starts[1] : test.starts[1] + 10]
    assert [g["field"] for g in given] == test.observed["field"][first].any(1).tolist()
    np.testing.assert_allclose(streamed.microseconds, 100 + test.time[first])
    with pytest.raises(InputError, match="max_bins"):
        stream(live, test, max_bins=0)


def test_a_dying_worker_is_reported(folds):
    with pytest.raises(NeurodynError, match="worker process ended unexpectedly"):
        cross_validate([Method("dies", Dies(), BOTH)], folds, jobs=2)


def test_an_interrupt_stops_the_workers(folds):
    def interrupt(result):
        raise KeyboardInterrupt

    before = dict(os.environ)
    with pytest.raises(KeyboardInterrupt):
        cross_validate([Method("both", Leaky(), BOTH)], folds, jobs=2, on_result=interrupt)
    assert not multiprocessing.active_children()
    assert dict(os.environ) == before
    assert not set(WORKER_ENVIRONMENT) - {"XLA_FLAGS"} & set(os.environ) - set(before)


def test_a_fit_that_was_interrupted_ends_the_whole(folds):
    with pytest.raises(KeyboardInterrupt):
        cross_validate([Method("stopped", Interrupted(), BOTH)], folds)


def test_refusals(folds, methods):
    with pytest.raises(InputError, match="at least 2 folds, got 1"):
        check_folds(methods, folds[:1])
    with pytest.raises(InputError, match="different names, got: both, both"):
        check_folds([methods[0], methods[0]], folds)
    with pytest.raises(InputError, match="methods of different names, got: none"):
        check_folds([], folds)
    with pytest.raises(InputError, match="jobs must be at least 1"):
        cross_validate(methods, folds, jobs=0)


def test_a_target_that_stands_still_in_a_test_part_is_refused(methods):
    rng = np.random.default_rng(0)
    target = rng.normal(size=(1, 200, 2))
    target[0, 130:, 1] = 1.0
    batch = MultimodalBatch.from_arrays(
        {"spikes": rng.poisson(1.0, (1, 200, 2)).astype(float)},
        width=0.1, likelihoods={"spikes": "poisson"}, target=target, target_names=("moves", "stops"),
    )  # fmt: skip
    with pytest.raises(InputError, match="'stops' is constant in the test part of fold 3 of 3"):
        check_folds(methods[1:], time_folds(batch, 3, gap=1.0))


def test_a_channel_never_seen_in_training_is_refused(methods):
    rng = np.random.default_rng(0)
    field = rng.normal(size=(1, 200, 2))
    field[0, :110, 1] = np.nan
    batch = MultimodalBatch.from_arrays(
        {"field": field}, width=0.1, likelihoods={"field": "gaussian"}, target=rng.normal(size=(1, 200, 1))
    )
    folds: list[Fold] = time_folds(batch, 2, gap=1.0)
    with pytest.raises(InputError, match=r"fold 2 of 2 cannot be trained on: .*channel 'field1'"):
        check_folds(methods[1:], folds)


@pytest.mark.parametrize(
    ("together", "faster", "calls"),
    [(None, True, [(3, None)]), (None, False, []), (True, False, [(3, True)]), (False, True, [])],
)
def test_folds_are_fitted_together_where_that_is_asked_for_or_faster(folds, methods, together, faster, calls):
    many = Many(faster=faster, calls=[])
    found = cross_validate([Method("both", many, BOTH, stream=True), methods[1]], folds, together=together)
    assert many.calls == calls
    for one, other in zip(found.results, cross_validate(methods, folds).results, strict=True):
        assert (one.method, one.fold) == (other.method, other.fold)
        np.testing.assert_array_equal(one.decoded.filtered, other.decoded.filtered)


def test_insisting_on_what_cannot_be_is_refused(folds, methods):
    with pytest.raises(InputError, match="together=True needs jobs=1, got 2"):
        cross_validate([Method("both", Many(calls=[]), BOTH)], folds, jobs=2, together=True)
    with pytest.raises(InputError, match="leave together=True out for both, ridge"):
        cross_validate(methods, folds, together=True)
