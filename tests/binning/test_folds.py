import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodyn.binning import MultimodalBatch, holdout, time_folds, trial_folds
from neurodyn.errors import InputError

WIDTH = 0.1


def batch_of(lengths, lead=0):
    longest = max(lengths)
    values = np.random.default_rng(1).normal(size=(len(lengths), longest, 1))
    batch = MultimodalBatch.from_arrays(
        {"f": values}, width=WIDTH, likelihoods={"f": "gaussian"}, target=values + 1, lengths=lengths
    )
    return batch.with_runs(batch.starts, batch.lengths, np.minimum(lead, batch.lengths - 1))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=6),
    st.integers(2, 6),
    st.integers(0, 3),
    st.integers(0, 8),
    st.integers(0, 3),
)
def test_time_folds_tile_are_disjoint_and_keep_the_gap(lengths, n, gap, lead_in, lead):
    lengths = [*lengths, 60]
    batch = batch_of(lengths, lead)
    folds = time_folds(batch, n, gap=gap * WIDTH, lead_in=lead_in * WIDTH)
    times_tested = sum(fold.test.in_trials().astype(int) for fold in folds)
    np.testing.assert_array_equal(times_tested, batch.in_trials().astype(int))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    last = -1
    for fold in folds:
        train, test = fold.train.in_trials(), fold.test.in_trials()
        inside = np.flatnonzero(test)
        assert inside[0] > last
        last = inside[-1]
        expected = batch.in_trials() & ~test
        for k in np.flatnonzero(expected):
            if np.abs(inside - k).min() <= gap:
                expected[k] = False
        np.testing.assert_array_equal(train, expected)
        for start, length, context in zip(fold.test.starts, fold.test.lengths, fold.test.lead, strict=True):
            assert len(set(owner[start : start + length])) == 1
            first = batch.starts[owner[start]]
            own = batch.lead[owner[start]]
            opens = start + context == first + own
            assert context == min(start + context - first, max(lead_in, own if opens else 0))
        assert not fold.train.lead.any()


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 15), st.integers(2, 8), st.integers(0, 5))
def test_trial_folds_test_each_trial_once(n_trials, n, seed):
    batch = batch_of([5] * n_trials)
    if n > n_trials:
        with pytest.raises(InputError, match=f"{n} folds need at least {n} trials, got {n_trials}"):
            trial_folds(batch, n, seed=seed)
        return
    folds = trial_folds(batch, n, seed=seed)
    assert sorted(np.concatenate([fold.test.starts for fold in folds])) == batch.starts.tolist()
    for fold in folds:
        both = np.concatenate([fold.train.starts, fold.test.starts])
        assert sorted(both) == batch.starts.tolist()
        assert abs(fold.test.n_trials - n_trials / n) < 1


def test_trial_folds_depend_on_the_seed_only():
    batch = batch_of([4] * 20)
    tested = [[f.test.starts.tolist() for f in trial_folds(batch, 4, seed=seed)] for seed in (0, 0, 1)]
    assert tested[0] == tested[1] != tested[2]


def test_gap_counts_recorded_time_not_rows():
    # Two trials next to each other in the arrays, 100 s apart in time: no bin of the other is in the gap.
    batch = batch_of([20, 20])
    time = batch.time + np.repeat([0.0, 100.0], 20)
    apart = MultimodalBatch(**{**vars(batch), "time": time})
    assert time_folds(apart, 2, gap=0.5)[0].train.n_bins == 20
    assert time_folds(batch, 2, gap=0.5)[0].train.n_bins == 15


def test_folds_that_cannot_be_used_are_refused():
    batch = batch_of([100])
    with pytest.raises(InputError, match="at least 2 folds, got 1"):
        time_folds(batch, 1, gap=0.0)
    with pytest.raises(InputError, match="nothing left to train on"):
        time_folds(batch, 2, gap=10.0)
    with pytest.raises(InputError, match="101 folds need at least 101 bins"):
        time_folds(batch, 101, gap=0.0)
    with pytest.raises(InputError, match="gap: expected seconds, 0 or more, got -1"):
        time_folds(batch, 2, gap=-1.0)
    with pytest.raises(InputError, match="2 folds need at least 2 trials, got 1"):
        trial_folds(batch, 2, seed=0)
    blind = MultimodalBatch(
        **{
            **vars(batch),
            "target": np.where(np.arange(100)[:, None] < 50, 0, batch.target),
            "target_observed": np.arange(100) >= 50,
        }
    )
    with pytest.raises(InputError, match="fold 1 of 2 has no bin with an observed target to test on"):
        time_folds(blind, 2, gap=0.0)


def test_trials_that_share_bins_would_leak():
    batch = batch_of([100]).with_runs([0, 40], [50, 60], [0, 0])
    with pytest.raises(InputError, match="shares bins"):
        time_folds(batch, 2, gap=0.0)
    # Shared context is no leak: it is not scored.
    assert len(time_folds(batch.with_runs([0, 40], [50, 60], [0, 10]), 2, gap=0.0)) == 2


def test_train_and_test_of_one_recording_and_of_trials():
    one = batch_of([500])
    np.testing.assert_array_equal(one.train.lengths, [380])
    np.testing.assert_array_equal(one.test.starts, [400])
    many = batch_of([10] * 10)
    np.testing.assert_array_equal(many.train.starts, np.arange(0, 80, 10))
    np.testing.assert_array_equal(many.test.starts, [80, 90])
    with pytest.raises(InputError, match="between 0 and 1"):
        holdout(one, fraction=1.0)
