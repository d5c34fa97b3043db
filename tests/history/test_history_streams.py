"""Features in pieces against the same features of whole trials; what is fitted does not depend on the cuts."""

import numpy as np
import pytest

from neurodyn.baselines import CausalRidge, ExponentialFilters, Lags
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.scaling import Scaling
from neurodyn.history import SampleLags, streams
from neurodyn.history.streams import Features, scored_blocks
from neurodyn.targets import linear

HISTORIES = {"filters": ExponentialFilters((0.1, 1.0)), "lags": Lags(5), "samples": SampleLags(5)}


class Uncut:
    """A history of a user's own that knows whole trials only."""

    def history(self, values, observed, width):
        return ExponentialFilters((0.1, 1.0)).history(values, observed, width)


HISTORIES["whole trials"] = Uncut()


@pytest.fixture
def batch():
    """Trials of 40, 3, 25, 25 and 1 bins of two modalities with holes; a target with holes."""
    rng = np.random.default_rng(0)
    lengths = np.array([40, 3, 25, 25, 1])
    spikes = rng.poisson(1.0, (5, 40, 4)).astype(float)
    field = rng.normal(size=(5, 40, 3))
    spikes[rng.random(spikes.shape) < 0.1] = np.nan
    field[:, 10:14] = np.nan
    target = rng.normal(size=(5, 40, 2))
    target[:, 5:8] = np.nan
    made = MultimodalBatch.from_arrays(
        {"spikes": spikes, "field": field},
        width=0.05,
        likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=target,
        lengths=lengths,
    )
    return made.with_runs(made.starts, made.lengths, np.array([4, 0, 2, 0, 0]))


def whole(batch, history, scaling, *, future):
    """The features of all trials side by side, as they were made before there were pieces."""
    stacked, parts = batch.stacked(), []
    for order in (slice(None), slice(None, None, -1))[: 1 + future]:
        for name in batch.names:
            seen = stacked.observed[name]
            values = (stacked.observations[name] - scaling.mean[name]) / scaling.scale[name]
            values = np.where(seen, values, np.float32(0))
            parts.append(history.history(values[:, order], seen[:, order], batch.width)[:, order])
    return np.concatenate(parts, axis=2)


@pytest.mark.parametrize("future", [False, True])
@pytest.mark.parametrize("size", [1, 1000, 4000, 10**8])
@pytest.mark.parametrize("history", HISTORIES)
def test_pieces_are_the_whole(monkeypatch, batch, history, size, future):
    monkeypatch.setattr(streams, "PIECE_BYTES", size)
    scaling, valid = Scaling.fit(batch), batch.stacked().valid
    expected = whole(batch, HISTORIES[history], scaling, future=future)
    features = Features(batch, HISTORIES[history], scaling, future=future)
    for _ in range(2):  # every pass is the same
        found = np.full_like(expected, np.nan)
        for piece, part in features:
            assert np.isnan(found[piece.trials, piece.first : piece.last]).all()
            found[piece.trials, piece.first : piece.last] = part
        np.testing.assert_array_equal(found[valid], expected[valid])


@pytest.mark.parametrize("kept", [0, 2**28])
def test_rows_are_the_scored_bins_in_blocks_of_time(monkeypatch, batch, kept):
    monkeypatch.setattr(streams, "PIECE_BYTES", 1000)
    monkeypatch.setattr(streams, "KEPT_BYTES", kept)
    scaling, stacked = Scaling.fit(batch), batch.stacked()
    scored = stacked.scored()
    expected = whole(batch, ExponentialFilters(), scaling, future=True)[scored]
    lengths = scored.sum(1)
    groups = linear.time_blocks(lengths[lengths > 0], 3)
    rows = Features(batch, ExponentialFilters(), scaling, future=True).rows(scored_blocks(batch, 3))
    for _ in range(3):
        blocks = list(rows())
        found = [np.concatenate([b[i] for b in blocks]) for i in range(3)]
        # Pieces of short trials come trial by trial, those of a long one by time: the order of rows is free.
        order, given = np.lexsort(found[0].T), np.lexsort(expected.T)
        np.testing.assert_array_equal(found[0][order], expected[given])
        np.testing.assert_array_equal(found[1][order], stacked.target[scored][given])
        np.testing.assert_array_equal(found[2][order], groups[given])


def test_what_is_fitted_does_not_depend_on_the_pieces(monkeypatch, batch):
    ridge = CausalRidge(ExponentialFilters((0.1, 1.0)), blocks=3).fit(batch)
    predicted = [ridge.predict(batch, smoothed=s)["target"].to_numpy() for s in (False, True)]
    monkeypatch.setattr(streams, "PIECE_BYTES", 1000)
    small = CausalRidge(ExponentialFilters((0.1, 1.0)), blocks=3).fit(batch)
    for smoothed, before in zip((False, True), predicted, strict=True):
        np.testing.assert_allclose(small.predict(batch, smoothed=smoothed)["target"], before, rtol=1e-9, atol=1e-12)


def test_many_features_take_the_way_of_the_subspace(monkeypatch, batch):
    """The same decoder to a hundredth of its error."""
    exact = CausalRidge(blocks=3).fit(batch)
    monkeypatch.setattr(linear, "EXACT_FEATURES", 10)
    found = CausalRidge(blocks=3).fit(batch)
    np.testing.assert_array_equal(found.filtered_.penalty, exact.filtered_.penalty)
    error = np.sqrt(np.diag(exact.filtered_.residual_covariance))
    gap = (found.predict(batch)["target"] - exact.predict(batch)["target"]).to_numpy()
    assert np.sqrt(np.nanmean(gap**2)) < 0.01 * error.max()


def test_trials_without_observations_are_the_stacked_ones(batch):
    plain, light = batch.stacked(), batch.stacked(observations=False)
    for name in ("target", "target_observed", "valid", "context", "time"):
        np.testing.assert_array_equal(getattr(light, name), getattr(plain, name))
    assert light.observations == light.observed == {}
