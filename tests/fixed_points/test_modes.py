"""Modes of matrices that were built from known ones, and intervals that cover them."""

import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.fixed_points import Stability, linearise, modes

WIDTH = 0.05


def transition(decays, hertz, seed=0, noise=0.0):
    """A matrix with these modes in random axes; zero hertz is one real eigenvalue, else a pair."""
    random = np.random.default_rng(seed)
    blocks = []
    for decay, frequency in zip(decays, hertz, strict=True):
        length, angle = np.exp(-WIDTH / decay * np.exp(noise * random.normal())), 2 * np.pi * frequency * WIDTH
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        blocks.append(length * turn if frequency else np.array([[length]]))
    size = sum(len(block) for block in blocks)
    matrix, at = np.zeros((size, size)), 0
    for block in blocks:
        matrix[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    axes = random.normal(size=(size, size))
    return axes @ matrix @ np.linalg.inv(axes)


def test_known_modes_slowest_first():
    found = modes(transition([0.2, 1.0, 0.5], [0.0, 2.0, 4.0]), WIDTH)
    np.testing.assert_allclose(found.decay, [1.0, 0.5, 0.2], rtol=1e-8)
    np.testing.assert_allclose(found.frequency, [2.0, 4.0, 0.0], atol=1e-8)
    assert np.isnan(found.decay_interval).all()


def test_fits_with_other_axes_are_matched():
    found = modes([transition([0.2, 1.0, 0.5], [0.0, 2.0, 4.0], seed) for seed in range(4)], WIDTH)
    np.testing.assert_allclose(found.decay, [1.0, 0.5, 0.2], rtol=1e-7)
    np.testing.assert_allclose(found.decay_interval, found.decay[:, None] * np.ones(2), rtol=1e-7)
    np.testing.assert_allclose(np.abs(found.eigenvalues), np.exp(-WIDTH / found.decay) * np.ones((4, 1)), rtol=1e-7)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    truth, covered = np.array([2.0, 0.4]), []
    for study in range(60):
        fits = [transition(truth, [0.0, 3.0], 100 * study + fold, noise=0.2) for fold in range(10)]
        interval = modes(fits, WIDTH, level=0.9, resamples=400).decay_interval
        covered.append((interval[:, 0] <= truth) & (truth <= interval[:, 1]))
    # The rate's mean is exp(0.02) off the truth, and a bootstrap of ten is a little narrow.
    assert 0.75 < np.mean(covered) < 0.97


def test_labels_and_table():
    found = modes([transition([1.0], [2.0], seed) for seed in range(3)], WIDTH)
    data = found.to_xarray()
    assert data["decay"].attrs["units"] == "s"
    assert data["eigenvalue"].dims == ("fit", "mode")
    assert len(found.table().splitlines()) == 2


def test_modes_do_not_depend_on_the_step():
    matrix = transition([1.0, 0.5], [2.0, 0.0])
    once, twice = modes(matrix, WIDTH), modes(matrix @ matrix, 2 * WIDTH)
    np.testing.assert_allclose(twice.decay, once.decay, rtol=1e-8)
    np.testing.assert_allclose(twice.frequency, once.frequency, atol=1e-8)


def test_a_fitted_backbone(spikes_decoder):
    """The backbone as a step, and its matrix, tell the same; both decay, as the fit enforces."""
    fitted = spikes_decoder.fitted_
    backbone, latent = fitted.network.model().backbone, 4
    found = modes(np.asarray(backbone.stable_transition()), fitted.width)
    step = lambda x, _: backbone.ahead(x, (1,))[0]  # noqa: E731
    linear = linearise(step, np.zeros((1, latent)), dt=fitted.width)
    assert linear.stability == (Stability.ATTRACTOR,)
    above = linear.eigenvalues[0].imag >= 0
    np.testing.assert_allclose(found.decay, linear.time_constants[0, above], rtol=1e-9)
    np.testing.assert_allclose(found.frequency, linear.frequencies[0, above], atol=1e-9)
    assert (found.decay > 0).all()


@pytest.mark.parametrize(
    ("matrices", "width", "message"),
    [
        (np.zeros((2, 3)), 0.1, "square"),
        ([np.eye(2), np.eye(3)], 0.1, "one size"),
        (np.full((2, 2), np.nan), 0.1, "NaN"),
        (np.eye(2) / 2, 0.0, "width"),
    ],
)
def test_bad_input(matrices, width, message):
    with pytest.raises(InputError, match=message):
        modes(matrices, width)
