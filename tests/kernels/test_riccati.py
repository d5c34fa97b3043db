"""The covariance recursion and its closed-form derivative against inverses and JAX's own derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from neurodyn.kernels import riccati

LATENT, BINS = 4, 7


def covariance(rng, *batch):
    root = rng.normal(size=(*batch, LATENT, LATENT))
    return jnp.asarray(root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(LATENT))


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_conditioning_adds_information(rows):
    rng = np.random.default_rng(rows)
    predicted, factor = covariance(rng, 5), rng.normal(size=(rows, LATENT))
    expected = np.linalg.inv(np.linalg.inv(predicted) + factor.T @ factor)
    np.testing.assert_allclose(riccati.condition(predicted, jnp.asarray(factor)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("varying", [False, True])
@pytest.mark.parametrize("masks", [1, 3])
def test_the_derivative_is_that_of_the_plain_recursion(varying, masks):
    """The plain one inverts the covariance, adds the information and inverts back; JAX derives that by itself."""
    rng = np.random.default_rng(masks)
    axes = (BINS, masks) if varying else ()
    factor = jnp.asarray(rng.normal(size=(*axes, 3, LATENT)))
    seen = jnp.asarray(rng.random((BINS, masks)) < 0.6)
    weights = jnp.asarray(rng.normal(size=(BINS, masks, LATENT, LATENT)))
    arguments = (
        jnp.asarray(rng.normal(size=(LATENT, LATENT)) / 2),
        jnp.asarray(rng.uniform(0.1, 1.0, LATENT)),
        covariance(rng, masks),
        jnp.swapaxes(factor, -1, -2) @ factor,
    )

    def plain(transition, noise, first, information):
        def step(predicted, inputs):
            here, own = inputs
            updated = jnp.linalg.inv(jnp.linalg.inv(predicted) + own)
            filtered = jnp.where(here[:, None, None], updated, predicted)
            return transition @ filtered @ transition.T + jnp.diag(noise), filtered

        each = jnp.broadcast_to(information, (BINS, masks, LATENT, LATENT))
        return lax.scan(step, first, (seen, each))[1]

    def ours(transition, noise, first, information):
        return riccati.filtered_covariances(transition, noise, first, information, factor, seen)

    def total(recursion, *arguments):
        return jnp.sum(jnp.sin(recursion(*arguments)) * weights)

    derive = jax.jit(jax.value_and_grad(total, argnums=(1, 2, 3, 4)), static_argnums=0)
    (value, found), (same, expected) = derive(ours, *arguments), derive(plain, *arguments)
    np.testing.assert_allclose(value, same, rtol=1e-10)
    for name, one, other in zip(("transition", "noise", "first", "information"), found, expected, strict=True):
        # Of a derivative with respect to a symmetric matrix only the symmetric part has a meaning.
        other = other if name in ("transition", "noise") else (other + jnp.swapaxes(other, -1, -2)) / 2
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9, err_msg=name)
