from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from neurodyn.binning import Modality, MultimodalBatch, check_usable
from neurodyn.errors import InputError

LIKELIHOODS = {"s": "poisson", "f": "gaussian"}


def small(**changes):
    rng = np.random.default_rng(0)
    given = {
        "observations": {"s": rng.poisson(1, (2, 10, 2)), "f": rng.normal(size=(2, 10, 3))},
        "width": 0.1,
        "likelihoods": LIKELIHOODS,
        "target": rng.normal(size=(2, 10, 2)),
    }
    return MultimodalBatch.from_arrays(**{**given, **changes})


def test_nan_becomes_a_mask_and_a_zero():
    field = np.ones((1, 4, 2))
    field[0, 1, 0] = np.nan
    target = np.arange(8.0).reshape(1, 4, 2)
    target[0, 2, 1] = np.nan
    batch = MultimodalBatch.from_arrays({"f": field}, width=0.5, likelihoods={"f": "gaussian"}, target=target)
    np.testing.assert_array_equal(batch.observed["f"], [[1, 1], [0, 1], [1, 1], [1, 1]])
    np.testing.assert_array_equal(batch.observations["f"], [[1, 1], [0, 1], [1, 1], [1, 1]])
    np.testing.assert_array_equal(batch.target_observed, [1, 1, 0, 1])
    np.testing.assert_array_equal(batch.target[2], [0, 0])
    np.testing.assert_array_equal(batch.time, [0.5, 1.0, 1.5, 2.0])
    assert batch.modalities == (Modality("f", "gaussian", ("f0", "f1")),)
    assert batch.target_names == ("target0", "target1")
    assert (batch.n_trials, batch.n_bins, batch.n_dims) == (1, 4, 2)


def test_lengths_drop_the_padding():
    batch = small(lengths=[4, 10])
    np.testing.assert_array_equal(batch.starts, [0, 4])
    assert len(batch.time) == 14


def test_stacked_pads_and_returns_every_bin(make_batch):
    batch = make_batch(lengths=(3, 5, 2))
    stacked = batch.stacked()
    np.testing.assert_array_equal(stacked.valid.sum(axis=1), [3, 5, 2])
    for name in batch.names:
        assert stacked.observations[name].shape == (3, 5, batch.modality(name).n_channels)
        assert not stacked.observed[name][~stacked.valid].any()
        assert not stacked.observations[name][~stacked.valid].any()
        for i in range(3):
            np.testing.assert_array_equal(
                stacked.observations[name][i, : batch.lengths[i]], batch.observations[name][batch.trial(i)]
            )
            np.testing.assert_array_equal(
                stacked.observed[name][i, : batch.lengths[i]], batch.observed[name][batch.trial(i)]
            )
    np.testing.assert_array_equal(stacked.target[stacked.valid], batch.target)
    np.testing.assert_array_equal(stacked.target_observed[stacked.valid], batch.target_observed)
    assert not stacked.target_observed[~stacked.valid].any()
    assert not stacked.target[~stacked.valid].any()
    np.testing.assert_array_equal(stacked.time[stacked.valid], batch.time)
    assert np.isnan(stacked.time[~stacked.valid]).all()


def test_scored_is_valid_after_lead_and_observed(make_batch):
    batch = make_batch(lengths=(6, 4)).with_runs([0, 6], [6, 4], [2, 1])
    expected = np.zeros((2, 6), bool)
    for trial, (start, length, lead) in enumerate([(0, 6, 2), (6, 4, 1)]):
        for k in range(lead, length):
            expected[trial, k] = batch.target_observed[start + k]
    np.testing.assert_array_equal(batch.scored(), expected)
    np.testing.assert_array_equal(batch.in_trials(), [0, 0, 1, 1, 1, 1, 0, 1, 1, 1])


def test_segments_drop_nothing_and_keep_the_lead(make_batch):
    batch = make_batch(lengths=(7, 3)).with_runs([0, 7], [7, 3], [4, 0])
    cut = batch.segments(0.3)
    np.testing.assert_array_equal(cut.starts, [0, 3, 6, 7])
    np.testing.assert_array_equal(cut.lengths, [3, 3, 1, 3])
    np.testing.assert_array_equal(cut.lead, [3, 1, 0, 0])
    assert cut.n_bins == batch.n_bins
    np.testing.assert_array_equal(cut.in_trials(), batch.in_trials())


def test_views_share_the_timeline(make_batch):
    batch = make_batch()
    one = batch.with_modalities(["field"]).with_trials([2, 0])
    assert one.names == ("field",)
    np.testing.assert_array_equal(one.lengths, batch.lengths[[2, 0]])
    assert np.shares_memory(one.observations["field"], batch.observations["field"])
    assert batch.with_modalities(["field", "spikes"]).names == ("field", "spikes")


def test_batch_cannot_be_changed_and_does_not_freeze_its_input():
    values = np.random.default_rng(0).normal(size=(5, 1)).astype(np.float32)
    batch = MultimodalBatch(
        observations={"f": values}, observed={"f": np.ones((5, 1), bool)},
        target=np.zeros((5, 0), np.float32),
        target_observed=np.ones(5, bool), time=np.arange(5.0), width=1.0, starts=np.array([0]),
        lengths=np.array([5]), lead=np.array([0]), modalities=(Modality("f", "gaussian", ("c",)),),
        target_names=(),
    )  # fmt: skip
    with pytest.raises(ValueError, match="read-only"):
        batch.observations["f"][0] = 1.0
    with pytest.raises(FrozenInstanceError):
        batch.width = 2.0  # pyright: ignore[reportAttributeAccessIssue]
    assert values.flags.writeable


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starts": np.array([0, 15])}, "trial 1 covers bins 15 to 25 of a timeline of 20"),
        ({"lengths": np.array([0, 10])}, "trial 0 covers"),
        ({"lead": np.array([11, 0])}, "11 context bins of 10"),
        ({"target_names": ("only",)}, "target must be"),
        ({"width": 0.0}, "width must be positive"),
        ({"observed": {"s": np.ones((20, 2), bool)}}, "observed are of"),
    ],
)
def test_inconsistent_batches_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(small(), **changes)


def test_hidden_values_are_refused():
    batch = small()
    hidden = np.zeros((20, 3), bool)
    with pytest.raises(InputError, match="modality 'f' has values where its mask says missing"):
        replace(batch, observed={**batch.observed, "f": hidden})
    with pytest.raises(InputError, match="modality 'f' holds NaN"):
        replace(batch, observations={**batch.observations, "f": np.full((20, 3), np.nan, np.float32)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": {}}, "at least one modality"),
        ({"observations": {"s": np.ones((2, 10))}}, r"must be \(trial, time, channel\)"),
        ({"observations": {"s": np.ones((2, 10, 1)), "f": np.ones((2, 9, 1))}}, "'f' has .* pad with NaN"),
        ({"observations": {"s": np.full((2, 10, 1), np.inf)}}, "infinite"),
        ({"observations": {"s": np.full((2, 10, 1), -1.0)}}, "negative counts"),
        ({"observations": {"z": np.ones((2, 10, 1))}}, "no entry for modality 'z'"),
        ({"likelihoods": {"s": "poison", "f": "gaussian"}}, "'poison': did you mean 'poisson'"),
        ({"lengths": [3, 11]}, r"in 1 \.\. 10"),
    ],
)
def test_bad_arrays_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        small(**changes)


def test_unusable_data_is_named():
    field = np.random.default_rng(0).normal(size=(2, 10, 3))
    dead = field.copy()
    dead[:, :, 1] = np.nan
    with pytest.raises(InputError, match="modality 'f', channel 'f1' has no observed sample"):
        small(observations={"f": dead})
    with pytest.raises(InputError, match="modality 'f' has no observed sample"):
        small(observations={"f": np.full_like(field, np.nan)})
    constant = np.stack([field[..., 0], np.ones((2, 10))], axis=2)
    with pytest.raises(InputError, match="target 'y' is constant"):
        small(target=constant, target_names=("x", "y"))
    with pytest.raises(InputError, match="target x, y is never observed"):
        small(target=constant * np.nan, target_names=("x", "y"))


def test_usable_looks_only_at_the_trials():
    field = np.random.default_rng(0).normal(size=(2, 10, 1))
    field[0] = np.nan
    batch = small(observations={"f": field})
    with pytest.raises(InputError, match="no observed sample"):
        check_usable(batch.with_trials([0]))


def test_unknown_modality_gives_the_nearest_name(make_batch):
    with pytest.raises(InputError, match="did you mean 'spikes'"):
        make_batch().with_modalities(["spike"])
