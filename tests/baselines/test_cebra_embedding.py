"""CEBRA's embedding of the last bins: it decodes a target that is not linear in them, and knows the past only."""

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest

from neurodyn.baselines import CebraEmbedding
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError, MissingExtraError

installed = pytest.mark.skipif(
    importlib.util.find_spec("cebra") is None, reason="cebra, of the extra bench, is not installed"
)
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")


def circle(seed, bins=800):
    """Two trials of cells with places on a circle that an angle walks along; the target is its cosine and sine."""
    rng = np.random.default_rng(seed)
    angle = np.cumsum(0.3 * rng.normal(size=(2, bins)), axis=1)
    places = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    counts = rng.poisson(3 * np.exp(4 * (np.cos(angle[..., None] - places) - 1)))
    target = np.stack([np.cos(2 * angle), np.sin(2 * angle)], axis=-1)
    return MultimodalBatch.from_arrays(
        {"spikes": counts.astype(float)}, width=0.05, likelihoods={"spikes": "poisson"}, target=target
    )


@pytest.fixture(scope="module")
def fitted():
    return CebraEmbedding(2, size=6, iterations=150).fit(circle(0))


@installed
def test_it_decodes_far_above_the_mean(fitted):
    """R² of 0 is that of the mean."""
    test = circle(1)
    assert fitted.score(test).r2.min() > 0.5
    found, stacked = fitted.predict(test), test.stacked()
    error = np.sqrt(np.mean((found["target"].to_numpy() - stacked.target) ** 2, axis=(0, 1)))
    np.testing.assert_allclose(found["deviation"][0, 0], error, rtol=0.25)


@installed
def test_a_bin_knows_itself_and_the_lags_before_it(fitted):
    """Two lags: a changed bin changes its own estimate and the next one, none before and none after."""
    batch = circle(1)
    changed = batch.observations["spikes"].copy()
    changed[300] = 9 - changed[300]
    before = fitted.predict(batch)["target"].to_numpy()
    after = fitted.predict(replace(batch, observations={"spikes": changed}))["target"].to_numpy()
    different = np.abs(before - after).max(axis=2)[0] > 1e-6
    np.testing.assert_array_equal(np.flatnonzero(different), [300, 301])


@installed
def test_missing_samples_are_means(fitted):
    batch = circle(1)
    observed = batch.observed["spikes"].copy()
    observed[300] = False
    zero, filled = batch.observations["spikes"].copy(), batch.observations["spikes"].copy()
    zero[300], filled[300] = 0, fitted.fitted_.inputs.scaling.mean["spikes"] ** 2
    lost = replace(batch, observed={"spikes": observed}, observations={"spikes": zero})
    means = replace(batch, observations={"spikes": filled})
    np.testing.assert_allclose(fitted.predict(lost)["target"], fitted.predict(means)["target"], atol=1e-4)


@installed
def test_threads_are_given_back(fitted):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        CebraEmbedding(1, iterations=1).fit(circle(0, bins=200))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@installed
def test_what_it_cannot_do_is_refused(fitted):
    with pytest.raises(InputError, match="no smoothed estimate"):
        fitted.predict(circle(1), smoothed=True)
    with pytest.raises(InputError, match="size: expected a whole number"):
        CebraEmbedding(size=0).fit(circle(0))
    assert "6 dimensions, 150 steps" in repr(fitted)


def test_without_cebra_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cebra", None)
    with pytest.raises(MissingExtraError, match=r"the package 'cebra': .* pip install '.\[bench\]'"):
        CebraEmbedding().fit(circle(0, bins=200))
