"""Which bins are trained on and which are held out; how segments are cut from the timeline."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neurodyn.binning import MultimodalBatch
from neurodyn.binning.folds import validation_split
from neurodyn.binning.scaling import Scaling
from neurodyn.multiscale.fitting import likelihood_scales
from neurodyn.multiscale.segments import gather, most_share_a_mask, segments_of, timeline_of

WIDTH = 0.1


def make_batch(lengths, leads=None, *, sample_every=1, missing=0.0, seed=0, spare=3):
    """Batch of trials with spare bins between them, counts in every bin and a field sampled more slowly."""
    rng = np.random.default_rng(seed)
    lengths = np.asarray(lengths)
    bins = int(lengths.sum() + spare * (len(lengths) + 1))
    due = ((np.arange(bins) + 1) % sample_every == 0)[:, None] & (rng.random((bins, 2)) >= missing)
    seen = rng.random((bins, 3)) >= missing
    base = MultimodalBatch.from_arrays(
        {
            "spikes": np.where(seen, rng.poisson(2.0, (bins, 3)), np.nan)[None],
            "field": np.where(due, rng.normal(3.0, 2.0, (bins, 2)), np.nan)[None],
        },
        width=WIDTH,
        likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=np.where(rng.random((bins, 1)) < 0.9, rng.normal(size=(bins, 2)), np.nan)[None],
        sample_every={"spikes": 1, "field": sample_every},
    )
    starts = np.cumsum(lengths + spare) - lengths
    leads = np.zeros(len(lengths), int) if leads is None else np.minimum(leads, lengths - 1)
    return base.with_runs(starts, lengths, leads)


def bins_of(batch, *, context: bool) -> np.ndarray:
    """How many trials each bin of the timeline is in, with or without their context."""
    count = np.zeros(len(batch.time), int)
    for start, length, lead in zip(batch.starts, batch.lengths, batch.lead, strict=True):
        count[start + (0 if context else lead) : start + length] += 1
    return count


# Lengths and leads of trials; the batch is made inside the tests, because hypothesis forbids the type checker's use of
# the module random while it draws.
trials_drawn = st.lists(st.tuples(st.integers(2, 60), st.integers(0, 8)), min_size=1, max_size=12).filter(
    lambda trials: sum(length for length, _ in trials) > 30
)
sample_every_drawn = st.sampled_from([1, 5])


@settings(max_examples=150, deadline=None)
@given(trials_drawn, sample_every_drawn, st.sampled_from([0.05, 0.15, 0.3, 0.5]), st.sampled_from([0.5, 1.5, 4.0]))
def test_validation_is_disjoint_complete_and_within_trials(trials, sample_every, share, seconds):
    batch = make_batch(*np.transpose(trials), sample_every=sample_every)
    train, held = validation_split(batch, share, seconds)
    trained, scored = bins_of(train, context=True), bins_of(held, context=False)
    original, own = bins_of(batch, context=True), bins_of(batch, context=False)
    assert held.n_trials > 0
    assert train.n_trials > 0
    assert not np.any((trained > 0) & (scored > 0))
    assert trained.max() == 1  # no bin is trained on twice
    assert scored.max() == 1  # nor judged twice
    # Complete, except single bins left over at the edges of pieces: at most two per piece held out.
    left_over = (original > 0) & (trained + scored == 0) & (own > 0)
    single = np.sum(batch.lengths - batch.lead == 1)
    assert left_over.sum() <= 2 * held.n_trials + single
    # Within the trials: every run of either lies in one trial, and the context of the original is never scored.
    for part in (train, held):
        assert not np.any((bins_of(part, context=False) > 0) & (own == 0))
        for start, length in zip(part.starts, part.lengths, strict=True):
            assert any(s <= start and start + length <= s + n for s, n in zip(batch.starts, batch.lengths, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.integers(200, 900), st.sampled_from([0.1, 0.15, 0.3]), st.sampled_from([1.0, 2.0]))
def test_the_share_held_out_of_one_long_recording_is_the_one_asked_for(bins, share, seconds):
    batch = make_batch([bins])
    held = bins_of(validation_split(batch, share, seconds)[1], context=False).sum()
    piece = round(seconds / WIDTH)
    assert share * bins - piece <= held <= share * bins


@settings(max_examples=100, deadline=None)
@given(trials_drawn, sample_every_drawn, st.sampled_from([0.2, 0.5, 1.5, 4.0]))
def test_segments_cover_the_trials_and_stay_inside(trials, sample_every, seconds):
    batch = make_batch(*np.transpose(trials), sample_every=sample_every)
    segments = segments_of(batch, seconds)
    covered, scored = np.zeros(len(batch.time), bool), np.zeros(len(batch.time), bool)
    for start, length, lead in zip(segments.starts, segments.lengths, segments.leads, strict=True):
        assert 1 <= length <= segments.bins
        owner = np.flatnonzero((batch.starts <= start) & (start + length <= batch.starts + batch.lengths))
        assert len(owner) == 1
        covered[start : start + length] = True
        scored[start + lead : start + length] = True
    assert not np.any(scored & (bins_of(batch, context=False) == 0))
    # Starts keep the phase of all samples: less than one of their common cycles is left out at either end of a trial.
    for start, length in zip(batch.starts, batch.lengths, strict=True):
        assert covered[start + sample_every - 1 : start + length - sample_every + 1].all()
        if length <= segments.bins:
            assert covered[start : start + length].all()


def test_drawing_uses_every_segment_once_per_round_and_depends_on_seed_and_epoch_only():
    segments = segments_of(make_batch([20] * 9), 2.0)
    drawn = segments.draw(1, 4, batch=4)
    assert drawn.shape == (3, 2, 4)
    assert len(set(drawn[0].ravel())) == 8
    np.testing.assert_array_equal(drawn, segments.draw(1, 4, batch=4))
    assert not np.array_equal(drawn, segments.draw(1, 5, batch=4))
    assert not np.array_equal(drawn, segments.draw(2, 4, batch=4))


def test_a_batch_larger_than_the_data_takes_it_all():
    drawn = segments_of(make_batch([20] * 3), 2.0).draw(0, 0, batch=32)
    assert sorted(drawn[0].ravel()) == [3, 26, 49]


def masks_of(batch, segments):
    """One mask of bins per segment: modalities side by side."""
    return [
        np.stack([batch.observed[n][start : start + length].any(axis=1) for n in batch.names])
        for start, length in zip(segments.starts, segments.lengths, strict=True)
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(12, 60), min_size=1, max_size=4),
    st.sampled_from([1, 2, 5]),
    st.sampled_from([0.0, 0.0, 0.02, 0.2]),
    st.integers(0, 6),
    st.integers(0, 4),
)
def test_segments_said_to_share_a_mask_do(lengths, sample_every, missing, lead, spare):
    batch = make_batch(lengths, np.full(len(lengths), lead), sample_every=sample_every, missing=missing, spare=spare)
    everything = segments_of(batch, 1.0)
    segments, shared = most_share_a_mask(batch, everything)
    assert 0.8 * len(everything.starts) <= len(segments.starts) <= len(everything.starts)
    if shared:
        masks = masks_of(batch, segments)
        assert all(np.array_equal(mask, masks[0]) for mask in masks)
    else:
        np.testing.assert_array_equal(segments.starts, everything.starts)


@pytest.mark.parametrize("sample_every", [1, 5])
def test_regular_recordings_share_one_mask(sample_every):
    batch = make_batch([200, 100], sample_every=sample_every, spare=5)
    everything = segments_of(batch, 2.0)
    segments, shared = most_share_a_mask(batch, everything)
    assert shared
    np.testing.assert_array_equal(segments.starts, everything.starts)


def test_segments_at_a_gap_are_left_out_if_few():
    batch = make_batch([400])
    observed = {n: o.copy() for n, o in batch.observed.items()}
    observed["field"][100:103] = False
    values = {n: np.where(observed[n], v, np.float32(0)) for n, v in batch.observations.items()}
    batch = replace(batch, observed=observed, observations=values)
    segments, shared = most_share_a_mask(batch, segments_of(batch, 1.0))
    assert shared
    assert not np.any((segments.starts < 103) & (segments.starts + 10 > 100))
    assert len(segments.starts) == len(segments_of(batch, 1.0).starts) - 12


def test_two_slow_modalities_share_a_mask_only_in_a_common_phase():
    rng = np.random.default_rng(0)
    due = {name: (np.arange(120) + 1) % every == 0 for name, every in (("slow", 2), ("slower", 3))}
    batch = MultimodalBatch.from_arrays(
        {n: np.where(d[:, None], rng.normal(size=(120, 2)), np.nan)[None] for n, d in due.items()},
        width=WIDTH,
        likelihoods={"slow": "gaussian", "slower": "gaussian"},
        sample_every={"slow": 2, "slower": 3},
    )
    segments, shared = most_share_a_mask(batch, segments_of(batch, 2.0))
    assert shared
    masks = masks_of(batch, segments)
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


@pytest.mark.parametrize("shared", [True, False])
def test_gather_cuts_what_slicing_cuts(shared):
    batch = make_batch([40, 40], np.array([4, 0]), sample_every=5)
    scaling = Scaling.fit(batch)
    segments = segments_of(batch, 2.0)
    table = segments.everything()[:, [0, 1, -1]]
    found = gather(timeline_of(batch, scaling), jnp.asarray(table), segments.bins, shared=shared)
    for i, (start, length, lead) in enumerate(table.T):
        span = slice(start, start + length)
        for name in batch.names:
            np.testing.assert_array_equal(found.trials.observations[name][i], batch.observations[name][span])
            np.testing.assert_array_equal(found.trials.observed[name][i], batch.observed[name][span])
            seen = found.trials.seen[name] if shared else found.trials.seen[name][i]
            np.testing.assert_array_equal(seen, batch.observed[name][span].any(axis=1))
        scored = batch.target_observed[span] & (np.arange(length) >= lead)
        np.testing.assert_array_equal(found.scored[i], scored)
        z = (batch.target[span] - scaling.target_mean) / scaling.target_scale
        np.testing.assert_allclose(np.asarray(found.target[i])[scored], z[scored], rtol=1e-6)


def test_gather_masks_what_lies_beyond_a_short_trial_and_the_timeline():
    batch = make_batch([8, 30], spare=0)
    timeline = timeline_of(batch, Scaling.fit(batch))
    table = jnp.asarray([[0, 30], [8, 8], [0, 0]])
    found = gather(timeline, table, 12, shared=False)
    assert not np.any(found.trials.valid[:, 8:])
    assert not np.any(found.scored[:, 8:])
    assert not any(np.any(o[:, 8:]) for o in found.trials.observed.values())
    assert np.all(found.trials.valid[:, :8])


def test_likelihood_scales_are_scipys():
    batch = make_batch([60, 40], sample_every=5, missing=0.2)
    inside = bins_of(batch, context=False) > 0
    totals = {}
    for name in batch.names:
        values, seen = batch.observations[name][inside].astype(float), batch.observed[name][inside]
        entries = []
        for channel in range(values.shape[1]):
            x = values[seen[:, channel], channel]
            if name == "spikes":
                entries.append(stats.poisson.logpmf(x, x.mean()))
            else:
                entries.append(stats.norm.logpdf((x - x.mean()) / x.std()))
        totals[name] = np.mean(np.concatenate(entries))
    found = likelihood_scales(batch, Scaling.fit(batch))
    assert found["field"] == 1.0
    np.testing.assert_allclose(found["spikes"], abs(totals["field"]) / abs(totals["spikes"]), rtol=1e-5)


def test_likelihood_scales_without_a_field_are_one():
    batch = make_batch([60]).with_modalities(["spikes"])
    assert likelihood_scales(batch, Scaling.fit(batch)) == {"spikes": 1.0}
