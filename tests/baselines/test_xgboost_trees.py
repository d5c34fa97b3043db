"""XGBoost's trees beside those of scikit-learn, on one simulated system."""

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest

from neurodyn.baselines import BoostedTrees, XgboostTrees
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError, MissingExtraError

installed = pytest.mark.skipif(
    importlib.util.find_spec("xgboost") is None, reason="xgboost, of the extra bench, is not installed"
)
MARGIN = 0.05
"""Most that R² may lie apart: grown alike, with other penalties on leaves and other bounds of bins."""


def a_batch(field, target):
    return MultimodalBatch.from_arrays({"field": field}, width=0.05, likelihoods={"field": "gaussian"}, target=target)


@pytest.fixture(scope="module")
def fitted(interaction):
    return XgboostTrees(lags=3).fit(interaction.with_trials([0]))


@installed
def test_it_decodes_as_well_as_the_other_library(interaction, fitted):
    pytest.importorskip("sklearn")
    train, test = interaction.with_trials([0]), interaction.with_trials([1])
    other = BoostedTrees(lags=3).fit(train).score(test).r2[0]
    assert other > 0.85
    np.testing.assert_allclose(fitted.score(test).r2[0], other, atol=MARGIN)


@installed
def test_what_is_kept_are_the_trees_that_were_best(interaction, fitted):
    """With as many trees and no more, and growth that cannot end early, the same is decoded."""
    (kept,) = fitted.trees_
    assert 1 < kept < 200
    assert f"trees   {kept}, of at most 200" in repr(fitted)
    again = XgboostTrees(lags=3, trees=kept, patience=kept).fit(interaction.with_trials([0]))
    np.testing.assert_array_equal(again.predict(interaction)["target"], fitted.predict(interaction)["target"])


@installed
def test_settings_reach_the_library(interaction):
    """Trees of two leaves cannot see one channel through the other."""
    train, test = interaction.with_trials([0]), interaction.with_trials([1])
    assert XgboostTrees(lags=3, leaves=2).fit(train).score(test).r2[0] < 0.1
    assert XgboostTrees(lags=3, trees=4).fit(train).trees_ == (4,)


@installed
def test_missing_samples_go_their_own_way():
    """Where a channel is lost the target is 4: a mean in its place would be taken for a sample."""
    random = np.random.default_rng(1)
    signal, gone = random.normal(size=(1, 2000)), random.random((1, 2000)) < 0.3
    target = np.where(gone, 4.0, np.abs(signal))[..., None]
    batch = a_batch(np.where(gone, np.nan, signal)[..., None], target)
    found = XgboostTrees(lags=1).fit(batch).predict(batch)["target"].to_numpy()
    np.testing.assert_allclose(found[gone[..., None]], 4.0, atol=0.1)
    assert np.corrcoef(found[~gone[..., None]], target[~gone[..., None]])[0, 1] > 0.95


@installed
def test_what_comes_later_changes_nothing(interaction, fitted):
    field = interaction.observations["field"].copy()
    field[int(interaction.starts[1]) + 100 :] *= -1
    before = fitted.predict(interaction)["target"].to_numpy()
    after = fitted.predict(replace(interaction, observations={"field": field}))["target"].to_numpy()
    np.testing.assert_array_equal(before[1, :100], after[1, :100])
    assert np.abs(before - after)[1, 100:].max() > 1.0


def test_settings_are_those_of_the_other_trees(interaction):
    with pytest.raises(InputError, match="leaves: a tree needs 2 or more, got 1"):
        XgboostTrees(leaves=1).fit(interaction)


def test_without_xgboost_the_extra_is_named(interaction, monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingExtraError, match=r"the package 'xgboost': .* pip install '.\[bench\]'"):
        XgboostTrees().fit(interaction)
