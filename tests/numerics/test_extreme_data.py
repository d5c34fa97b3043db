"""The estimator on data at the edge: silent and raging units, dead and doubled channels, constants, huge offsets."""

import numpy as np
import pytest
from oracles.small_decoder import small_decoder

from neurodyn.binning import MultimodalBatch
from neurodyn.errors import InputError

TRIALS, BINS, WIDTH = 8, 30, 0.05


def a_batch(change=lambda spikes, field, target: None) -> MultimodalBatch:
    """Counts and a field that follow an oscillation; `change` spoils them in place."""
    random = np.random.default_rng(0)
    phase = np.arange(BINS) / 5 + random.uniform(0, 6, (TRIALS, 1))
    target = np.stack([np.cos(phase), np.sin(phase)], -1)
    spikes = random.poisson(np.exp(target @ random.normal(size=(2, 3)))).astype(np.float64)
    field = target @ random.normal(size=(2, 2)) + 0.1 * random.normal(size=(TRIALS, BINS, 2))
    change(spikes, field, target)
    return MultimodalBatch.from_arrays(
        {"spikes": spikes, "field": field},
        width=WIDTH,
        likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=target,
    )


def silent(spikes, field, target):
    spikes[..., 0] = 0


def raging(spikes, field, target):
    spikes[..., 0] = 1000 * WIDTH  # 1,000 Hz


def silent_then_raging(spikes, field, target):
    spikes[: TRIALS // 2, :, 0], spikes[TRIALS // 2 :, :, 0] = 0, 1000 * WIDTH


def dead(spikes, field, target):
    field[..., 0] = 0.25


def doubled(spikes, field, target):
    field[..., 1], spikes[..., 1] = field[..., 0], spikes[..., 0]


def far_away(spikes, field, target):
    field += 1e6
    target += 1e4


def tiny(spikes, field, target):
    field *= 1e-9


@pytest.mark.parametrize("change", [silent, raging, silent_then_raging, dead, doubled, far_away, tiny])
def test_everything_stays_finite(change, float32):
    batch = a_batch(change)
    fitted = small_decoder(epochs=3).fit(batch)
    assert np.isfinite(fitted.fitted_.history.loss).all()
    decoded, latents = fitted.predict(batch), fitted.transform(batch, smoothed=True)
    for dataset in (decoded, latents):
        for name, values in dataset.items():
            assert np.isfinite(values.to_numpy()).all(), name
    assert (decoded["deviation"] > 0).all()
    # Offsets of the target are in the read-out's intercept: the decoded target lies where the target does.
    np.testing.assert_allclose(decoded["target"].mean(), batch.target.mean(), atol=0.5, rtol=1e-3)
    live = fitted.realtime()
    step = live.step({"spikes": batch.observations["spikes"][0], "field": batch.observations["field"][0]}, WIDTH)
    assert np.isfinite(step.target).all()


def test_a_constant_target_is_refused():
    def constant(spikes, field, target):
        target[..., 1] = 3.0

    with pytest.raises(InputError, match="'target1' is constant"):
        a_batch(constant)
