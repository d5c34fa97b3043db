"""Settings by name, cloning, and scores over trials: with scikit-learn where it is installed, else by the protocol."""

from dataclasses import fields, replace

import numpy as np
import pytest

from neurodyn.baselines import (
    BoostedTrees,
    CausalGru,
    CausalRidge,
    CausalTransformer,
    CebraEmbedding,
    ExponentialFilters,
    LinearDynamicalSystem,
    MultimodalVae,
    PiecewiseLinearRnn,
    PreferentialSubspace,
    VelocityKalman,
    WienerCascade,
    WienerFilter,
    XgboostTrees,
)
from neurodyn.binning import trial_folds
from neurodyn.errors import InputError
from neurodyn.evaluation import OverTrials, cross_val_score, r2, trials_of
from neurodyn.multiscale import MultiscaleDecoder, TrainingConfig
from neurodyn.recurrent import RecurrentConfig
from neurodyn.simulation import LorenzSettings, simulate_lorenz

RIDGE = CausalRidge(ExponentialFilters((0.05, 0.2)), smoothed=False)
DECODERS = [
    RIDGE,
    CausalGru(RecurrentConfig(hidden=8)),
    MultiscaleDecoder(latent=3, training=TrainingConfig(epochs=2)),
    VelocityKalman(),
    WienerFilter(),
    WienerCascade(),
    BoostedTrees(),
    LinearDynamicalSystem(),
    MultimodalVae(),
    PiecewiseLinearRnn(),
    CausalTransformer(RecurrentConfig(hidden=8)),
    XgboostTrees(),
    PreferentialSubspace(),
    CebraEmbedding(),
]


@pytest.fixture(scope="module")
def batch():
    return simulate_lorenz(LorenzSettings(n_trials=12, seconds=0.4), seed=0)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: type(d).__name__)
def test_settings_make_an_equal_one(decoder):
    """The protocol of ``sklearn.base.clone``: the class called with them holds the very same objects."""
    settings = decoder.get_params(deep=False)
    assert set(settings) == {each.name for each in fields(decoder)} - {"fitted_"}
    copy = type(decoder)(**settings)
    assert all(value is settings[name] for name, value in copy.get_params(deep=False).items())


def test_settings_of_configurations_have_names_of_their_own():
    decoder = DECODERS[2]
    assert decoder.get_params()["training__epochs"] == 2
    changed = decoder.set_params(latent=5, training__seed=9, recurrent__hidden=16)
    assert (changed.latent, changed.training.seed, changed.training.epochs) == (5, 9, 2)
    assert changed.recurrent.hidden == 16
    assert (decoder.latent, decoder.training.seed) == (3, 0)
    both = decoder.set_params(training=TrainingConfig(epochs=7), training__seed=4)
    assert (both.training.epochs, both.training.seed) == (7, 4)
    for wrong in ({"latnt": 5}, {"latent__x": 5}, {"training__sed": 1}, {"fitted_": 1}):
        with pytest.raises(InputError, match="unknown setting"):
            decoder.set_params(**wrong)


def test_epochs_and_seed_are_set_as_they_are_given():
    decoder = MultiscaleDecoder(latent=3, epochs=2)
    changed = decoder.set_params(epochs=5, seed=7, latent=4)
    assert (changed.training.epochs, changed.training.seed, changed.latent) == (5, 7, 4)
    assert decoder.set_params(epochs=None).training == decoder.training
    assert decoder.set_params(training=TrainingConfig(epochs=9), seed=1).training == TrainingConfig(epochs=9, seed=1)
    with pytest.raises(InputError, match="epochs and training__epochs are one setting"):
        decoder.set_params(epochs=5, training__epochs=6)


def test_a_fit_leaves_the_estimator_and_other_settings_unfit_it(batch):
    """One estimator fitted on several folds is several estimators: not one with the weights of the last."""
    folds = trial_folds(batch, 3, seed=0)
    fitted = [RIDGE.fit(fold.train) for fold in folds]
    assert RIDGE.fitted_ is None
    weights = [one.filtered_.weights for one in fitted]
    assert not np.array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], RIDGE.fit(folds[0].train).filtered_.weights)
    with pytest.raises(InputError, match="not fitted"):
        fitted[0].set_params(blocks=5).predict(batch)


def test_a_score_per_fold(batch):
    """Written out with predictions and R2 from its definition."""
    folds = trial_folds(batch, 3, seed=2)
    expected = []
    for fold in folds:
        decoded = RIDGE.fit(fold.train).predict(fold.test)["target"].to_numpy()
        stacked = fold.test.stacked()
        scored = stacked.scored()
        expected.append(r2(stacked.target[scored].astype(float), decoded[scored]).mean())
    np.testing.assert_allclose(cross_val_score(RIDGE, batch, 3, seed=2), expected, rtol=1e-9)
    np.testing.assert_allclose(cross_val_score(RIDGE, batch, folds), expected, rtol=1e-9)
    with pytest.raises(InputError, match="unknown metric 'r3'"):
        cross_val_score(RIDGE, batch, 3, metric="r3")


def test_a_wrapped_decoder_is_fitted_in_place(batch):
    wrapped, trials = OverTrials(RIDGE), trials_of(batch)
    with pytest.raises(InputError, match="not fitted"):
        wrapped.score(trials)
    assert wrapped.fit(trials[:8]) is wrapped
    expected = RIDGE.fit(batch.with_trials(range(8))).score(batch.with_trials(range(8, 12)))
    assert wrapped.score(trials[8:]) == pytest.approx(expected.r2.mean(), rel=1e-9)
    assert wrapped.set_params(decoder__blocks=4, metric="correlation").get_params()["decoder__blocks"] == 4
    for wrong in ({"blocks": 4}, {"decoder__bloks": 4}):
        with pytest.raises(InputError, match="unknown setting"):
            wrapped.set_params(metric="r2", decoder=CausalRidge(), **wrong)
        assert wrapped.metric == "correlation"
        assert wrapped.decoder.blocks == 4
    with pytest.raises(InputError, match="trials of one batch"):
        wrapped.fit([trials[0], trials_of(replace(batch))[1]])


def test_scikit_learn_clones_scores_and_searches(batch):
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")
    for decoder in DECODERS:
        assert base.clone(decoder).get_params(deep=False) == decoder.get_params(deep=False)
    trials, parts = trials_of(batch), selection.KFold(3)
    found = selection.cross_val_score(OverTrials(RIDGE), trials, cv=parts)
    expected = []
    for train, test in parts.split(np.arange(12)):
        expected.append(RIDGE.fit(batch.with_trials(train)).score(batch.with_trials(test)).r2.mean())
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    search = selection.GridSearchCV(OverTrials(RIDGE), {"decoder__penalties": [(1e-3,), (1e6,)]}, cv=parts)
    assert search.fit(trials).best_params_ == {"decoder__penalties": (1e-3,)}


def test_scikit_learn_searches_over_epochs(batch):
    """The name in the grid is the one that the class takes."""
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")
    decoder = MultiscaleDecoder(latent=2, encoder=(), decoder=(), fusion=(), recurrent=None, progress=False, seed=3)
    grid = {"decoder__epochs": [1, 2]}
    search = selection.GridSearchCV(OverTrials(decoder), grid, cv=selection.KFold(2), refit=False)
    found = search.fit(trials_of(batch)).cv_results_
    assert [one["decoder__epochs"] for one in found["params"]] == [1, 2]
    assert np.isfinite(found["mean_test_score"]).all()
    changed = base.clone(OverTrials(decoder)).set_params(decoder__epochs=2)
    assert (changed.decoder.training.epochs, changed.decoder.training.seed) == (2, 3)


def test_scikit_learn_sees_whether_an_estimator_is_fitted(batch):
    exceptions = pytest.importorskip("sklearn.exceptions")
    validation = pytest.importorskip("sklearn.utils.validation")
    wrapped = OverTrials(RIDGE)
    with pytest.raises(exceptions.NotFittedError):
        validation.check_is_fitted(wrapped)
    validation.check_is_fitted(wrapped.fit(trials_of(batch)))
    for decoder in DECODERS:
        assert not validation._is_fitted(decoder)
    assert validation._is_fitted(RIDGE.fit(batch))
