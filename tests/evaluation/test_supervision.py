"""Which decoders learn from the target, and which only read it out of what they learned without it."""

from dataclasses import replace

import numpy as np
import pytest
from oracles.small_decoder import small_decoder

from neurodyn.baselines import BASELINES, CausalRidge, LinearDynamicalSystem
from neurodyn.evaluation import Method, cross_validate, training_of
from neurodyn.multiscale import MultiscaleDecoder, ObjectiveConfig


@pytest.mark.parametrize(
    ("decoder", "training"),
    [
        (MultiscaleDecoder(), "supervised"),
        (MultiscaleDecoder(objective=ObjectiveConfig(target=0.0)), "supervised"),  # its recurrent network learns it
        (MultiscaleDecoder(objective=ObjectiveConfig(target=0.0), recurrent=None), "supervised"),  # traces are weighed
        (MultiscaleDecoder().without_target(), "unsupervised"),
        (MultiscaleDecoder.published(), "unsupervised"),
        (CausalRidge(), "supervised"),
        (LinearDynamicalSystem(), "unsupervised"),
    ],
)
def test_what_learns_from_the_target(decoder, training):
    assert training_of(decoder) == training


def test_of_the_baselines_three_do_not_learn_from_the_target():
    found = {name for name, row in BASELINES.items() if training_of(row.make(None)) == "unsupervised"}
    assert found == {"lds", "mvae", "plrnn"}


def test_the_states_of_an_unsupervised_model_do_not_depend_on_the_target(lorenz_batch):
    """The claim itself: with another target the fit finds the same latents, and only the read-out differs."""
    train, test = lorenz_batch
    shuffled = replace(train, target=np.ascontiguousarray(train.target[::-1]))
    decoder = small_decoder(epochs=2).without_target()
    one, other = decoder.fit(train), decoder.fit(shuffled)
    np.testing.assert_array_equal(one.transform(test)["latent"].to_numpy(), other.transform(test)["latent"].to_numpy())
    assert np.abs(one.predict(test)["target"] - other.predict(test)["target"]).max() > 1e-3


def test_a_cross_validation_knows_it(lorenz_batch):
    from neurodyn.binning import trial_folds

    train, _ = lorenz_batch
    methods = [
        Method("lds", LinearDynamicalSystem(2, iterations=2), train.names),
        Method("ridge", CausalRidge(), train.names),
    ]
    found = cross_validate(methods, trial_folds(train, 2, seed=0), jobs=1)
    assert (found.training("lds"), found.training("ridge")) == ("unsupervised", "supervised")
    assert found.difference("ridge", "lds").trainings() == "supervised minus unsupervised"
