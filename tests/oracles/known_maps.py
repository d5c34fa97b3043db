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


def circle(state, radius):
    """Half of the way to a circle: every state on it rests, and no other."""
    length = jnp.sqrt(jnp.sum(state**2))
    return jnp.asarray(0.5, state.dtype) * state * (1 + radius / length)


def circles(state, _):
    """``r' = r - 0.02 (r - 1) (r - 2) (r - 3) r``: circles of radius 1 and 3 attract, that of 2 does not rest alone.

    The circle of radius 2 turns by 0.1 rad, so its states do not rest; nor does the turn reach 1 and 3.
    """
    length = jnp.sqrt(jnp.sum(state**2))
    change = (length - 1) * (length - 3)
    angle = 0.1 * change
    turn = jnp.stack([jnp.stack([jnp.cos(angle), -jnp.sin(angle)]), jnp.stack([jnp.sin(angle), jnp.cos(angle)])])
    return turn @ (state * (1 - 0.02 * change * (length - 2)))


def ring_network(size, gain):
    """A ring of units with cosine weights and a saturating rate: a bump rests wherever it is.

    A ring of finite size prefers some positions; with a smooth rate and this many units by less than rounding.
    """
    angles = 2 * np.pi * np.arange(size) / size
    weights = jnp.asarray(np.cos(angles[:, None] - angles) * 2 / size)
    return lambda state, _: 0.5 * state + 0.5 * jnp.tanh(gain / 4 * (weights @ state))


def sine(state, _):
    """Keeps the first entry, and lets the others decay to its sine and to 0."""
    return jnp.stack([state[0], 0.3 * state[1] + 0.7 * jnp.sin(state[0]), 0.2 * state[2]])


def integrator(dims, size, seed=0):
    """A linear network, an input added: it keeps ``dims`` directions of its state and forgets the others."""
    random = np.random.default_rng(seed)
    basis = np.eye(5) if size == 5 else np.linalg.qr(random.normal(size=(size, size)))[0]
    values = np.append(np.ones(dims), random.uniform(0, 0.8, size - dims))
    matrix = jnp.asarray(basis * values @ basis.T)
    return lambda state, x: matrix @ state + (0 if x is None else x)


def grid(state, _):
    """``h - 0.3 sin(h)`` in each entry: multiples of pi rest, attractors and repellers in turn."""
    return state - 0.3 * jnp.sin(state)


def cubic(state, _):
    """``x - x^3 / 2`` beside a decay: a point of third order, which is reached as slowly as can be."""
    return jnp.stack([state[0] - 0.5 * state[0] ** 3, 0.5 * state[1]])


def saturated(share):
    """A cell whose forget gate is at ``share``: ``c' = share c + tanh(1 + h)``, ``h' = tanh(c) / 2``.

    With c so large that its tanh is 1, ``c = tanh(1.5) / (1 - share)``; with c at minus that, h is -1/2.
    """

    def step(state, _):
        kept = jnp.asarray(share, state["c"].dtype)
        return {"c": kept * state["c"] + jnp.tanh(1 + state["h"]), "h": jnp.tanh(state["c"]) / 2}

    return step


def random_network(size, gain, *, symmetric=False, seed=0, dtype=np.float32):
    """Weights of a network of tanh units; symmetric ones have many fixed points, in pairs +-h."""
    weights = gain * np.random.default_rng(seed).normal(size=(size, size)) / size**0.5
    return jnp.asarray(((weights + weights.T) / 2**0.5 if symmetric else weights).astype(dtype))
