"""The recurrent yardstick behind the interface of the others."""

from dataclasses import replace

import numpy as np
import pytest

from neurodyn.baselines import CausalGru
from neurodyn.errors import InputError
from neurodyn.evaluation.crossvalidation import Decoder
from neurodyn.recurrent import RecurrentConfig

SMALL = RecurrentConfig(hidden=16, members=1, window=50, batch=8, steps=200, validate_every=50, learning_rate=1e-2)


@pytest.fixture(scope="module")
def fitted(lorenz_batch):
    return CausalGru(SMALL, progress=False).fit(lorenz_batch[0])


def test_it_decodes_what_it_was_not_fitted_on(fitted, lorenz_batch):
    score = fitted.score(lorenz_batch[1])
    assert score.dims == lorenz_batch[0].target_names
    assert score.correlation.mean() > 0.6


def test_it_says_how_far_off_it_is(fitted, lorenz_batch):
    test = lorenz_batch[1]
    found, stacked = fitted.predict(test), test.stacked()
    scored = stacked.scored()
    error = np.abs(found["target"].to_numpy() - stacked.target)[scored]
    inside = error <= 1.96 * found["deviation"].to_numpy()[scored]
    assert 0.8 < inside.mean() <= 1.0


def test_a_fit_is_a_copy(fitted, lorenz_batch):
    blank = CausalGru(SMALL, progress=False)
    assert isinstance(blank, Decoder)
    with pytest.raises(InputError, match="not fitted"):
        blank.predict(lorenz_batch[1])
    assert fitted is not blank


def test_what_it_cannot_do_is_refused(fitted, lorenz_batch):
    with pytest.raises(InputError, match="no smoothed estimate"):
        fitted.predict(lorenz_batch[1], smoothed=True)
    renamed = lorenz_batch[1].with_modalities(["spikes"])
    renamed = replace(
        renamed, modalities=(replace(renamed.modality("spikes"), name="units"),),
        observations={"units": renamed.observations["spikes"]}, observed={"units": renamed.observed["spikes"]},
    )  # fmt: skip
    with pytest.raises(InputError, match="the batch has units, the model was fitted on field, spikes"):
        fitted.predict(renamed)
