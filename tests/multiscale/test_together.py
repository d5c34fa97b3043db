"""Models trained together: each is the one it would be alone."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from oracles.small_decoder import small_decoder

from neurodyn.binning import trial_folds
from neurodyn.errors import InputError
from neurodyn.evaluation import FitsMany, Method, cross_validate
from neurodyn.multiscale import estimator, fit_many, fitting, together
from neurodyn.multiscale.settings import config_of
from neurodyn.training import engine

DECODER = small_decoder(epochs=3, validate_every=1, seed=4)


@pytest.fixture(scope="module")
def folds(lorenz_batch):
    """Two of three folds of whole trials, whose training parts have one shape."""
    return trial_folds(lorenz_batch[0], 3, seed=0)[:2]


@pytest.fixture(scope="module")
def alone(folds):
    """The folds fitted alone."""
    return [DECODER.fit(fold.train) for fold in folds]


def equal(found, expected, rtol=1e-7):
    one, other = found.fitted_, expected.fitted_
    assert one.config == other.config
    assert one.status == other.status
    assert one.history.validation_epoch == other.history.validation_epoch
    np.testing.assert_allclose(one.history.loss, other.history.loss, rtol=rtol)
    np.testing.assert_allclose(one.history.validation, other.history.validation, rtol=rtol)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), one.network.constants, other.network.constants)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=10 * rtol), one.network.parameters, other.network.parameters
    )


def test_folds_are_the_models_they_would_be_alone(folds, alone):
    found = DECODER.fit_many([fold.train for fold in folds], together=True)
    for one, expected, fold in zip(found, alone, folds, strict=True):
        equal(one, expected)
        assert one.progress == expected.progress
        np.testing.assert_allclose(
            one.predict(fold.test)["target"], expected.predict(fold.test)["target"], rtol=1e-5, atol=1e-6
        )


def test_seeds_are_the_models_they_would_be_alone_in_any_order(folds, alone):
    found = DECODER.fit_many(folds[0].train, seeds=[9, 4], together=True)
    equal(found[1], alone[0])
    equal(found[0], replace(DECODER, training=replace(DECODER.training, seed=9)).fit(folds[0].train))


def test_more_models_of_the_same_shapes_compile_nothing(folds):
    parts = [fold.train for fold in folds]
    DECODER.fit_many(parts, together=True)
    before = engine.run_epochs._cache_size(), fitting.validation_scores._cache_size()
    small_decoder(epochs=1, seed=1).fit_many(folds[0].train, seeds=[5, 6], together=True)
    small_decoder(epochs=2).fit_many(parts, together=True)
    assert (engine.run_epochs._cache_size(), fitting.validation_scores._cache_size()) == before


def test_checkpoints_are_those_of_models_alone(folds, alone, tmp_path):
    files, parts = [tmp_path / "a.h5", tmp_path / "b.h5"], [fold.train for fold in folds]
    DECODER.fit(parts[1], checkpoint=files[1])
    for one, expected in zip(DECODER.fit_many(parts, together=True, checkpoints=files), alone, strict=True):
        equal(one, expected)
    equal(DECODER.fit(parts[0], checkpoint=files[0]), alone[0])


def test_where_it_is_not_asked_for_a_rule_decides(folds, monkeypatch):
    parts, calls = [fold.train for fold in folds], []
    original = fit_many.fit_together
    monkeypatch.setattr(
        fit_many, "fit_together", lambda runs, *a, **k: calls.append(len(runs)) or original(runs, *a, **k)
    )
    decoder = small_decoder(epochs=1, seed=4)
    assert together.widest_layer(config_of(decoder, parts[0]), parts[0]) == 8 * 50 * 8  # segments x bins x units
    assert decoder.faster_together(parts)
    monkeypatch.setattr(together, "SMALL", 8 * 50 * 8 - 1)
    assert decoder.faster_together(parts) == (jax.default_backend() != "cpu")
    monkeypatch.setattr(estimator, "faster_together", lambda config, batch: False)
    one_by_one = decoder.fit_many(parts)
    assert calls == []
    monkeypatch.setattr(estimator, "faster_together", lambda config, batch: True)
    shorter = parts[0].with_trials(np.arange(9))
    found = decoder.fit_many([parts[0], shorter, parts[1]])
    assert calls == [2]  # the odd one is trained alone
    for one, expected in zip((found[0], found[2]), one_by_one, strict=True):
        equal(one, expected)
    assert found[1].fitted_.provenance["training_trials"] == 9


def test_cross_validation_fits_folds_together_and_scores_them_alike(folds):
    decoder = small_decoder(epochs=1, seed=4)
    assert isinstance(decoder, FitsMany)
    methods = [Method("both", decoder, ("spikes", "field"))]
    apart, joint = (cross_validate(methods, folds, together=choice) for choice in (False, True))
    for one, other in zip(joint.results, apart.results, strict=True):
        np.testing.assert_allclose(one.filtered.r2, other.filtered.r2, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(one.decoded.smoothed, other.decoded.smoothed, rtol=1e-5, atol=1e-6)
    assert len({result.fit_seconds for result in joint.results}) == 1


def test_ctrl_c_before_the_last_fit_is_an_interrupt(alone):
    def fitted(status):
        return replace(DECODER, fitted_=replace(alone[0].fitted_, status=status))

    with pytest.raises(KeyboardInterrupt):
        fit_many._in_turn([lambda: [fitted("interrupted")], lambda: [fitted("finished")]])
    assert len(fit_many._in_turn([lambda: [fitted("finished")], lambda: [fitted("interrupted")]])) == 2


def test_what_cannot_be_fitted_together_is_refused_before_it_starts(folds, lorenz_batch, monkeypatch):
    monkeypatch.setattr(engine, "run_epochs", None)
    train = lorenz_batch[0]
    refusals = {
        "at least one batch and one seed, got 0 batches": ([], {}),
        "one seed, got 1 batches and seeds": (train, {"seeds": []}),
        "batch 3 comes more than once": ([train, folds[0].train, train], {}),
        "seeds must differ, got 1, 2, 1": (train, {"seeds": [1, 2, 1]}),
        "expected 2 different checkpoints, one for each model, got 1": (train, {"seeds": [1, 2], "checkpoints": ["a"]}),
        r"steps per epoch is 3 for model 1 \(seed 4\) and 1 for": ([train, train.with_trials(np.arange(9))], {}),
        "modalities is .* for model 1 .* for model 2": ([train, train.with_modalities(["spikes"])], {}),
    }
    for message, (batches, settings) in refusals.items():
        with pytest.raises(InputError, match=message):
            DECODER.fit_many(batches, together=True, **settings)
