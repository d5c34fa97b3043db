"""Samples hidden on purpose: how many, where, and that nothing else changes."""

import numpy as np
import pytest

from neurodyn.binning import MultimodalBatch, holdout
from neurodyn.errors import InputError


@pytest.fixture(scope="module")
def batch():
    """Two trials of 100 bins of 10 ms; the field has a sample in every second bin."""
    rng = np.random.default_rng(0)
    field = rng.normal(size=(2, 100, 2))
    field[:, ::2] = np.nan
    return MultimodalBatch.from_arrays(
        {"spikes": rng.poisson(3.0, (2, 100, 3)) + 1.0, "field": field}, width=0.01,
        likelihoods={"spikes": "poisson", "field": "gaussian"}, target=rng.normal(size=(2, 100, 1)),
        sample_every={"field": 2}, channels={"spikes": ["u", "v", "w"]},
    )  # fmt: skip


def lost(batch, hidden, name="spikes"):
    return batch.observed[name] & ~hidden.observed[name]


def test_all_of_a_modality(batch):
    hidden = batch.hide("spikes")
    assert not hidden.observed["spikes"].any()
    assert not hidden.observations["spikes"].any()
    assert hidden.observed["field"] is not None
    np.testing.assert_array_equal(hidden.observed["field"], batch.observed["field"])
    np.testing.assert_array_equal(hidden.target, batch.target)
    assert batch.observed["spikes"].all()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.4, 1.0])
def test_a_share_is_of_the_bins_with_a_sample(batch, share):
    for name, samples in (("spikes", 200), ("field", 100)):
        hidden = batch.hide(name, share=share, seed=1)
        whole = lost(batch, hidden, name)
        assert (whole.any(axis=1) == whole.all(axis=1)).all()
        assert whole[:, 0].sum() == round(share * samples)
        kept = hidden.observed[name]
        np.testing.assert_array_equal(hidden.observations[name][kept], batch.observations[name][kept])


def test_seeds(batch):
    first, again, other = (batch.hide("spikes", share=0.5, seed=seed).observed["spikes"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_bursts_are_stretches_of_that_length(batch):
    hidden = batch.hide("spikes", share=0.5, bursts="100ms", seed=2)
    flags = lost(batch, hidden)[:, 0]
    assert flags.mean() == pytest.approx(0.5, abs=0.06)
    edges = np.flatnonzero(np.diff(flags.astype(int), prepend=0, append=0))
    lengths = np.diff(edges.reshape(-1, 2), axis=1)[:, 0]
    inner = lengths[1:-1]
    assert len(inner)
    assert (inner % 10 == 0).all()
    singles = lost(batch, batch.hide("spikes", share=0.5, seed=2))[:, 0]
    assert np.abs(np.diff(singles.astype(int))).sum() > 3 * len(lengths)


def test_bins_and_channels_that_are_named(batch):
    hidden = batch.hide("spikes", bins=slice(10, 20), channels=["w", "u"])
    expected = np.zeros((200, 3), bool)
    expected[10:20, [0, 2]] = True
    np.testing.assert_array_equal(lost(batch, hidden), expected)
    flags = batch.time > 1.5
    np.testing.assert_array_equal(lost(batch, batch.hide("spikes", bins=flags))[:, 0], flags)
    assert lost(batch, batch.hide("spikes", bins=[3, 5], channels="v")).sum() == 2


def test_only_the_trials_count(batch):
    part = batch.with_trials([1])
    flags = lost(part, part.hide("spikes", share=0.3))[:, 0]
    assert not flags[:100].any()
    assert flags.sum() == 30
    assert lost(batch, holdout(batch).test.hide("spikes", share=1.0))[:, 0].sum() == 100


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "spike"}, "unknown modality 'spike': did you mean 'spikes'"),
        ({"share": 1.5}, "from 0 to 1, got 1.5"),
        ({"share": 0.5, "bursts": 0.001}, "shorter than a bin"),
        ({"share": 0.5, "bins": [1]}, "not both"),
        ({"bins": [1000]}, "timeline of 200 bins"),
        ({"channels": ["x"]}, "unknown channel of modality 'spikes' 'x'"),
    ],
)
def test_what_cannot_be_hidden(batch, given, words):
    with pytest.raises(InputError, match=words):
        batch.hide(**{"name": "spikes", **given})


def test_a_modality_that_is_left_out_is_missing(batch):
    """As a live decoder takes it; one under another name is not taken for it."""
    spikes = batch.with_modalities("spikes")
    full = spikes.aligned_to(batch.modalities)
    assert full.names == batch.names
    assert full.modalities == batch.modalities
    assert not full.observed["field"].any()
    np.testing.assert_array_equal(full.observed["spikes"], batch.observed["spikes"])
    with pytest.raises(InputError, match="the batch has spikes, the model was fitted on field"):
        spikes.aligned_to(batch.with_modalities(["field"]).modalities)
    renamed = MultimodalBatch.from_arrays(
        {"spikes": np.ones((1, 5, 3)), "lfp": np.ones((1, 5, 2))}, width=0.01,
        likelihoods={"spikes": "poisson", "lfp": "gaussian"}, channels={"spikes": ["u", "v", "w"]},
    )  # fmt: skip
    with pytest.raises(InputError, match="leave 'lfp' out"):
        renamed.aligned_to(batch.modalities)


def test_no_bins_are_none_hidden(batch):
    np.testing.assert_array_equal(batch.hide("spikes", bins=[]).observed["spikes"], batch.observed["spikes"])


def test_trials_with_their_context(batch):
    led = batch.with_runs([0, 100], [100, 100], [20, 0])
    assert led.in_trials().sum() == 180
    assert led.in_trials(context=True).all()
