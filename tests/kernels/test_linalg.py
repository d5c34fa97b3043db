"""Inverses against numpy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.kernels.linalg import inverse_cholesky, inverse_triangular, spectral_norm


@pytest.mark.parametrize("size", [1, 3, 8, 9, 16, 21, 40])
def test_triangles_of_every_size_are_inverted(size):
    rng = np.random.default_rng(size)
    lower = np.tril(rng.normal(size=(2, 3, size, size))) / np.sqrt(size) + 2 * np.eye(size)
    found = np.asarray(inverse_triangular(jnp.asarray(lower)))
    np.testing.assert_allclose(found, np.linalg.inv(lower), rtol=1e-10, atol=1e-12)
    assert not np.any(np.triu(found, 1))


@pytest.mark.parametrize("size", [2, 12, 33])
def test_an_inverse_root_gives_the_inverse(size):
    root = np.random.default_rng(size).normal(size=(4, size, size))
    matrix = root @ np.swapaxes(root, -1, -2) + np.eye(size)
    inverse = np.asarray(inverse_cholesky(jnp.asarray(matrix)))
    np.testing.assert_allclose(np.swapaxes(inverse, -1, -2) @ inverse, np.linalg.inv(matrix), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gap", [0.5, 1e-3, 0.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_spectral_norm_is_the_largest_singular_value(gap, scale):
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(6, 6)))[0] for _ in range(2))
    matrix = scale * left @ np.diag([1.0, 1.0 - gap, 0.5, 0.3, 1e-3, 0.0]) @ right
    norm, gradient = jax.value_and_grad(spectral_norm)(jnp.asarray(matrix))
    np.testing.assert_allclose(norm, scale, rtol=1e-12)
    if gap:
        np.testing.assert_allclose(gradient, np.outer(left[:, 0], right[0]), rtol=1e-9, atol=1e-9)
    else:  # any mean of the two directions is a derivative there
        np.testing.assert_allclose(np.sum(gradient * matrix), scale, rtol=1e-12)


def test_the_spectral_norm_in_single_precision(float32):
    matrix = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)
    norm, gradient = jax.value_and_grad(spectral_norm)(jnp.asarray(matrix))
    left, values, right = np.linalg.svd(matrix.astype(float))
    np.testing.assert_allclose(norm, values[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, np.outer(left[:, 0], right[0]), atol=1e-4)


def test_a_matrix_of_zeros_has_norm_zero_and_a_finite_derivative():
    norm, gradient = jax.value_and_grad(spectral_norm)(jnp.zeros((3, 3)))
    assert 0 <= norm < 1e-100
    assert np.isfinite(gradient).all()
