"""Maps whose fixed points are known, each as ``step(state, input) -> state``."""

import jax
import jax.numpy as jnp
import numpy as np

DT = 0.1


def pitchfork(state, r):
    """Euler steps of ``x' = r x - x^3, y' = -y``: (0, 0), and for r > 0 also (+-sqrt(r), 0)."""
    x, y = state[0], state[1]
    return state + jnp.asarray(DT, state.dtype) * jnp.stack([r * x - x**3, -y])


def saddle_node(state, r):
    """``x' = r - x^2, y' = -y``: (+-sqrt(r), 0) for r > 0; for r < 0 the speed is least at (0, 0)."""
    x, y = state[0], state[1]
    return state + jnp.asarray(DT, state.dtype) * jnp.stack([r - x**2, -y])


def limit_cycle(state, r):
    """A turn by 0.3 rad and growth towards radius sqrt(r): the origin alone is fixed, and unstable for r > 0."""
    turn = jnp.asarray([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]], state.dtype)
    return turn @ (state * (1 + jnp.asarray(DT, state.dtype) * (r - jnp.sum(state**2))))


def flip(state, r):
    """The logistic map ``r x (1 - x)``: 1 - 1/r loses its stability by a flip at r = 3."""
    return r * state * (1 - state)


def linear(matrix, offset):
    """``A h + b``: the one fixed point is (I - A)^-1 b."""
    return lambda state, _: matrix @ state + offset


def hopfield(patterns, gain):
    """``tanh(gain W h)`` with Hebbian weights on orthogonal patterns xi: c xi are fixed, c = tanh(gain c)."""
    weights = patterns.T @ patterns / patterns.shape[1]
    return lambda state, _: jnp.tanh(gain * (weights @ state))


def rank_one(left, right):
    """``m (n . tanh(h)) / N``: fixed points k m with ``k = n . tanh(k m) / N``."""
    return lambda state, _: left * (right @ jnp.tanh(state)) / len(left)


def orthogonal_patterns(count, size):
    """Rows of a Hadamard matrix (size a power of two)."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix[1 : count + 1]


def solve_scalar(function, low, high):
    """Root by bisection, in plain Python."""
    sign = np.sign(function(low))
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.sign(function(middle)) == sign else (low, middle)
    return low


def cloud(count, size, *, scale=1.0, seed=0, dtype=None):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=(count, size)), dtype or jnp.result_type(float))


def relu_step(matrix):
    """A network of rectifiers without bias."""
    return lambda state, _: jax.nn.relu(matrix @ state)
