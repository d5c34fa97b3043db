"""The covariance recursion and its closed-form derivative against inverses and JAX's own derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from neurodyn.kernels.kalman import covariance_derivative, settled
from neurodyn.kernels.kalman.step import update_covariance

LATENT, BINS = 4, 7


def covariance(rng, *batch):
    root = rng.normal(size=(*batch, LATENT, LATENT))
    return jnp.asarray(root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(LATENT))


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_conditioning_adds_information(rows):
    rng = np.random.default_rng(rows)
    predicted, factor = covariance(rng, 5), rng.normal(size=(rows, LATENT))
    expected = np.linalg.inv(np.linalg.inv(predicted) + factor.T @ factor)
    np.testing.assert_allclose(update_covariance(predicted, jnp.asarray(factor)), expected, rtol=1e-10, atol=1e-12)


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
        return covariance_derivative.filtered_covariances(transition, noise, first, information, factor, seen)

    def total(recursion, *arguments):
        return jnp.sum(jnp.sin(recursion(*arguments)) * weights)

    derive = jax.jit(jax.value_and_grad(total, argnums=(1, 2, 3, 4)), static_argnums=0)
    (value, found), (same, expected) = derive(ours, *arguments), derive(plain, *arguments)
    np.testing.assert_allclose(value, same, rtol=1e-10)
    for name, one, other in zip(("transition", "noise", "first", "information"), found, expected, strict=True):
        # Of a derivative with respect to a symmetric matrix only the symmetric part has a meaning.
        other = other if name in ("transition", "noise") else (other + jnp.swapaxes(other, -1, -2)) / 2
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9, err_msg=name)


MASKS = {"all": slice(None), "every fifth": slice(4, None, 5), "a gap": np.r_[0:40, 60:160]}


def long_recording(mask):
    rng = np.random.default_rng(5)
    seen = np.zeros(160, bool)
    seen[MASKS[mask]] = True
    factor = jnp.asarray(rng.normal(size=(3, LATENT)))
    transition = jnp.asarray(np.diag([0.9, 0.7, 0.5, 0.2]) + 0.05 * rng.normal(size=(LATENT, LATENT)))
    arguments = transition, jnp.asarray(rng.uniform(0.1, 1.0, LATENT)), covariance(rng, 1), factor.T @ factor
    return arguments, factor, jnp.asarray(seen), covariance(rng)


@pytest.mark.parametrize("mask", MASKS)
def test_what_has_settled_is_copied_and_nothing_changes(mask, monkeypatch):
    """Values and derivatives, forwards and backwards, next to the recursion without copies."""
    arguments, factor, seen, last = long_recording(mask)
    weights = jnp.asarray(np.random.default_rng(6).normal(size=(3, 160, LATENT, LATENT)))

    def both(transition, noise, first, information, last):
        filtered = covariance_derivative.filtered_covariances(
            transition, noise, first, information, factor, seen[:, None]
        )[:, 0]
        future = settled.future_information(transition, filtered, information, seen, last)
        following = jnp.concatenate([future[1:], last[None]])
        return filtered, future, settled.smoothed_covariances(transition, filtered, following)

    def total(*arguments):
        return sum(jnp.sum(jnp.sin(found) * w) for found, w in zip(both(*arguments), weights, strict=True))

    results = []
    for long in (161, 1):
        monkeypatch.setattr(settled, "LONG", long)
        # A function of its own each time: compiled programs are kept by function, and LONG is no argument.
        found = jax.jit(lambda *a: both(*a))(*arguments, last)
        gradient = jax.jit(jax.grad(lambda *a: total(*a), argnums=(0, 1, 2, 3, 4)))(*arguments, last)
        results.append((found, gradient))
    for one, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)
    middle = np.flatnonzero(np.asarray(seen)[100:116]) + 100
    for covariances in results[1][0]:
        repeated = np.asarray(covariances)[middle]
        assert np.all(repeated == repeated[0])  # to the last bit: copied


def test_what_has_settled_is_as_close_in_single_precision(monkeypatch):
    """Stopping costs no more than rounding does, also with a mode that forgets over thousands of bins."""
    rng = np.random.default_rng(7)
    decay = np.exp(-1 / np.array([2.0, 20.0, 200.0, 2000.0]))
    factor, seen = rng.normal(size=(2, LATENT)), np.ones((8000, 1), bool)
    errors = {}
    monkeypatch.setattr(settled, "LONG", 10_000)
    exact = None
    for name, dtype, long in (("exact", np.float64, 10_000), ("plain", np.float32, 10_000), ("settled", np.float32, 1)):
        monkeypatch.setattr(settled, "LONG", long)
        given = [jnp.asarray(a, dtype) for a in (np.diag(decay), 1 - decay**2, np.eye(LATENT)[None], factor)]
        transition, noise, first, root = given
        found = jax.jit(lambda *a: covariance_derivative.filtered_covariances(*a))(
            transition, noise, first, root.T @ root, root, jnp.asarray(seen)
        )
        found = np.asarray(found[:, 0], np.float64)
        exact = found if exact is None else exact
        deviation = np.sqrt(np.einsum("tii->ti", exact))
        errors[name] = np.max(np.abs(found - exact) / (deviation[:, :, None] * deviation[:, None, :]))
    assert errors["settled"] < 3 * errors["plain"] < 3e-4
