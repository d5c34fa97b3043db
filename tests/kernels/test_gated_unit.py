"""The gated unit's written-out derivative, against JAX's own of the plain recursion."""

import jax
import jax.numpy as jnp
import numpy as np

from neurodyn.kernels.recurrence import CELLS, initialise, project, step, unroll, unroll_gated


def by_steps(parameters, initial, inputs):
    """States of :func:`step` in a Python loop: what JAX differentiates by itself."""
    states, state = [], initial
    for now in inputs:
        state = step(CELLS["gru"], parameters, state, now)
        states.append(state)
    return jnp.stack(states)


def setting():
    parameters = initialise(CELLS["gru"], jax.random.key(0), hidden=4, inputs=3)
    inputs = jax.random.normal(jax.random.key(1), (7, 5, 3))
    initial = jax.random.normal(jax.random.key(2), (5, 4))
    weights = jax.random.normal(jax.random.key(3), (7, 5, 4))
    return parameters, initial, inputs, weights


def test_states_are_those_of_the_steps():
    parameters, initial, inputs, _ = setting()
    expected = by_steps(parameters, initial, inputs)
    np.testing.assert_allclose(unroll_gated(parameters, initial, project(parameters, inputs)), expected, atol=1e-14)
    np.testing.assert_allclose(unroll(CELLS["gru"], parameters, initial, inputs), expected, atol=1e-14)


def test_the_derivative_is_jaxs_own():
    parameters, initial, inputs, weights = setting()

    def score(run):
        return jax.grad(lambda p, h, x: jnp.sum(weights * run(p, h, x)), argnums=(0, 1, 2))

    found = score(lambda p, h, x: unroll_gated(p, h, project(p, x)))(parameters, initial, inputs)
    expected = score(by_steps)(parameters, initial, inputs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), found, expected)


def test_members_side_by_side_are_each_alone():
    many = jax.vmap(lambda key: initialise(CELLS["gru"], key, hidden=4, inputs=3))(
        jax.random.split(jax.random.key(4), 3)
    )
    _, initial, inputs, weights = setting()

    def gradient(parameters):
        run = lambda p: jnp.sum(weights * unroll_gated(p, initial, project(p, inputs)))  # noqa: E731
        return jax.grad(run)(parameters)

    together = jax.vmap(gradient)(many)
    for member in range(3):
        alone = gradient(jax.tree.map(lambda a, m=member: a[m], many))
        jax.tree.map(lambda a, b, m=member: np.testing.assert_allclose(a[m], b, atol=1e-12), together, alone)
