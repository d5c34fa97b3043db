"""A million filter steps in single precision beside double precision: nothing drifts, whatever is missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from neurodyn.kernels import kalman

STEPS, EVERY = 1_000_000, 100
N, M = 4, 3


def a_model() -> kalman.LinearGaussian:
    """Slow modes that rotate, of very different noise; channels of very different gain."""
    random = np.random.default_rng(0)
    angle = 0.05
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    transition = np.zeros((N, N))
    transition[:2, :2], transition[2:, 2:] = 0.9999 * rotation, np.diag([0.99, 0.5])
    emission = random.normal(size=(M, N)) * np.array([[0.1], [1.0], [10.0]])
    parts = (transition, [1e-4, 1e-4, 1e-2, 1.0], emission, [1e-2, 1.0, 10.0], np.zeros(N), np.eye(N))
    return kalman.LinearGaussian(*(jnp.asarray(part, jnp.float64) for part in parts))


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def draw(key):
    """Observations of a bin and which channels are seen; whole stretches of 1,000 bins go missing now and then."""
    one, two = jax.random.split(key)
    return jax.random.normal(one, (M,)) * 3.0, jax.random.uniform(two, (M,)) < 0.6


@jax.jit
def run(key):
    """Both filters, step by step; every `EVERY` steps both beliefs, and whether all before were finite."""
    double = a_model()
    single = cast(double, jnp.float32)

    def filtered(model, belief, observation, observed):
        return kalman.predict(model, kalman.update(model, belief, observation, observed))

    def step(carry, number):
        two, one, fine = carry
        observation, observed = draw(jax.random.fold_in(key, number))
        lost = (number // 1000) % 7 == 3
        observed = observed & ~lost
        two = filtered(double, two, observation, observed)
        one = filtered(single, one, observation.astype(jnp.float32), observed)
        fine &= jnp.isfinite(one.mean).all() & jnp.isfinite(one.covariance).all()
        return (two, one, fine), None

    def block(carry, first):
        carry, _ = lax.scan(step, carry, first + jnp.arange(EVERY))
        return carry, carry

    start = (kalman.initial_belief(double), kalman.initial_belief(single), jnp.array(True))
    return lax.scan(block, start, EVERY * jnp.arange(STEPS // EVERY))[1]


@pytest.mark.slow
def test_a_million_steps_in_single_precision():
    double, single, fine = jax.tree.map(np.asarray, run(jax.random.key(0)))
    assert single.mean.dtype == np.float32
    assert len(fine) == STEPS // EVERY
    assert fine.all()
    np.testing.assert_array_equal(single.covariance, np.swapaxes(single.covariance, -1, -2))
    assert np.linalg.eigvalsh(single.covariance.astype(np.float64)).min() > 0
    deviation = np.sqrt(np.diagonal(double.covariance, axis1=-2, axis2=-1))
    assert np.abs((single.mean - double.mean) / deviation).max() < 1e-3
    scale = deviation[:, :, None] * deviation[:, None, :]
    assert np.abs((single.covariance - double.covariance) / scale).max() < 1e-3
    # The comparison is one of states that move: the filter follows its observations all the time.
    assert (np.abs(np.diff(double.mean, axis=0)).max(axis=1) > 0).all()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_the_observations_do_not_matter(scale):
    """The same recording in volts and in microvolts gives the same states, also in single precision."""
    model = cast(a_model(), jnp.float32)
    other = model._replace(
        emission=model.emission * np.float32(scale), observation_noise=model.observation_noise * np.float32(scale) ** 2
    )
    one, two = kalman.initial_belief(model), kalman.initial_belief(other)
    step = jax.jit(lambda m, b, y, s: kalman.predict(m, kalman.update(m, b, y, s)))
    for number in range(200):
        observation, observed = draw(jax.random.key(number))
        observation = observation.astype(jnp.float32)
        one, two = step(model, one, observation, observed), step(other, two, observation * np.float32(scale), observed)
    np.testing.assert_allclose(one.mean, two.mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-3, atol=1e-5)
