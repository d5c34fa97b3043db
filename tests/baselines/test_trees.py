"""Boosted trees on targets that no linear method finds, and what is kept out when they stop growing."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from neurodyn.baselines import BoostedTrees, WienerCascade, WienerFilter
from neurodyn.baselines.base import kept_out
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError, MissingExtraError
from neurodyn.evaluation import cross_val_score

pytest.importorskip("sklearn")


def a_batch(field, target, **more):
    return MultimodalBatch.from_arrays(
        {"field": field}, width=0.05, likelihoods={"field": "gaussian"}, target=target, **more
    )


def decoded(fitted, batch):
    return fitted.predict(batch)["target"].to_numpy()


@pytest.fixture(scope="module")
def fitted(interaction):
    return BoostedTrees(lags=3).fit(interaction.with_trials([0]))


def test_an_interaction_over_lags_is_found(interaction, fitted):
    """No linear method can, nor one with a nonlinearity behind it."""
    train, test = interaction.with_trials([0]), interaction.with_trials([1])
    assert fitted.score(test).r2[0] > 0.85
    for linear in (WienerFilter((3,)), WienerCascade((3,))):
        assert linear.fit(train).score(test).r2[0] < 0.05


def test_the_deviation_is_about_the_error_on_new_data(interaction, fitted):
    test = interaction.with_trials([1])
    found = fitted.predict(test)
    error = found["target"].to_numpy()[0] - test.stacked().target[0]
    np.testing.assert_allclose(found["deviation"][0, 0, 0], np.sqrt(np.mean(error**2)), rtol=0.25)


def test_what_comes_later_changes_nothing(interaction, fitted):
    field = interaction.observations["field"].copy()
    first = int(interaction.starts[1])
    field[first + 100 :] *= -1
    before, after = decoded(fitted, interaction), decoded(fitted, replace(interaction, observations={"field": field}))
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1, :100], after[1, :100])
    assert np.abs(before - after)[1, 100:].max() > 1.0


def test_growth_is_judged_on_blocks_of_time(interaction, monkeypatch):
    """What scikit-learn is given to stop by are the bins of the blocks kept out, in order, and no other."""
    import sklearn.ensemble

    given = {}

    class Recorded(sklearn.ensemble.HistGradientBoostingRegressor):
        def fit(self, X, y, **more):
            given.update(X=X, y=y, **more)
            return super().fit(X, y, **more)

    monkeypatch.setattr(sklearn.ensemble, "HistGradientBoostingRegressor", Recorded)
    BoostedTrees(lags=2, trees=3).fit(interaction)
    inner, held = (part.stacked(observations=False) for part in kept_out(interaction))
    np.testing.assert_array_equal(given["y"], inner.target[inner.scored()][:, 0])
    np.testing.assert_array_equal(given["y_val"], held.target[held.scored()][:, 0])
    assert len(given["X"]) == len(given["y"])
    assert len(given["X_val"]) == len(given["y_val"])
    assert not set(given["y"].tolist()) & set(given["y_val"].tolist())


def test_growth_ends_where_nothing_is_to_be_learned():
    random = np.random.default_rng(3)
    batch = a_batch(random.normal(size=(1, 800, 2)), random.normal(size=(1, 800, 2)))
    fitted = BoostedTrees(lags=1, patience=4).fit(batch)
    assert max(fitted.trees_) < 30


def test_missing_samples_go_their_own_way():
    """Where a channel is lost the target is 4: a mean in its place would be taken for a sample."""
    random = np.random.default_rng(1)
    signal, gone = random.normal(size=(1, 2000)), random.random((1, 2000)) < 0.3
    target = np.where(gone, 4.0, np.abs(signal))[..., None]
    batch = a_batch(np.where(gone, np.nan, signal)[..., None], target)
    found = decoded(BoostedTrees(lags=1).fit(batch), batch)
    np.testing.assert_allclose(found[gone[..., None]], 4.0, atol=0.1)
    assert np.corrcoef(found[~gone[..., None]], target[~gone[..., None]])[0, 1] > 0.95


def test_short_trials_and_padding(interaction, fitted):
    short = interaction.with_runs(interaction.starts, np.array([40, 2]), interaction.lead)
    np.testing.assert_array_equal(decoded(fitted, short)[0], decoded(fitted, interaction)[0, :40])
    assert np.isnan(decoded(fitted, short)[1, 2:]).all()
    assert np.isfinite(decoded(fitted, short)[1, :2]).all()


def test_it_goes_through_cross_validation(interaction):
    assert cross_val_score(BoostedTrees(lags=3, trees=60), interaction, 2).min() > 0.5


def test_without_scikit_learn_the_extra_is_named(interaction, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match=r"the package 'sklearn': .* pip install '.\[trees\]'"):
        BoostedTrees().fit(interaction)


def test_what_it_cannot_do_is_refused(interaction, fitted):
    with pytest.raises(InputError, match="not fitted"):
        BoostedTrees().predict(interaction)
    with pytest.raises(InputError, match="no smoothed estimate"):
        fitted.predict(interaction, smoothed=True)
    with pytest.raises(InputError, match=r"fitted on 0.05 s bins, the batch has 0.1 s bins"):
        fitted.predict(replace(interaction, width=0.1))
    with pytest.raises(InputError, match=r"'field' was fitted on 3 channels .*the batch has 2"):
        fitted.predict(a_batch(np.zeros((1, 5, 2)), np.arange(5.0)[None, :, None]))
    with pytest.raises(InputError, match="no target"):
        fitted.fit(replace(interaction, target=interaction.target[:, :0], target_names=()))
    with pytest.raises(InputError, match="constant"):
        fitted.fit(replace(interaction, target=np.ones_like(interaction.target)))
    for settings, words in (
        ({"lags": 0}, "lags: expected a whole number"),
        ({"trees": 0}, "trees: expected a whole number"),
        ({"leaves": 1}, "leaves: a tree needs 2 or more, got 1"),
        ({"rate": 0.0}, "rate: a step of the trees is more than 0, got 0"),
        ({"patience": 0}, "patience: expected a whole number"),
    ):
        with pytest.raises(InputError, match=words):
            BoostedTrees(**settings).fit(interaction)
    untold = replace(
        interaction, target_observed=np.zeros_like(interaction.target_observed), target=0 * interaction.target
    )
    with pytest.raises(InputError, match="is observed in no bin of the training data"):
        BoostedTrees().fit(untold)
