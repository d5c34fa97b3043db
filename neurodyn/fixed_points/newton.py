r"""Newton's method for starts that Levenberg and Marquardt leave on the way: steps that do not depend on the units.

Where a gate saturates, as in an LSTM under a strong input, one direction keeps a share f of itself next to 1, and the
fixed point lies :math:`1 / (1 - f)` away: thousands of times as far as the states. Damping in proportion to the
residual, which serves all other starts, holds such steps back. Newton's step :math:`p = -(J - I)^{-1} G` is the same in
any coordinates, and a share t of it is taken if the step that would follow with the same matrix is shorter,
:math:`|(J - I)^{-1} G(h + t p)| \le (1 - t / 4) |p|` (natural monotonicity). Before, the network itself runs for a
while, which brings its gates to where they saturate.

Reference: Deuflhard (2011), Newton Methods for Nonlinear Problems, Springer, section 3.3.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Float

from neurodyn.fixed_points.problem import Problem, VectorStep
from neurodyn.fixed_points.solver import DescentResult, Limits, batches, residual_of

RUN = 2
"""Steps that the network takes by itself first, for each step that Newton's method may take."""
SHARES = (1.0, 0.5, 0.2, 0.05)
"""Of the step, the longest first."""


def newton(problem: Problem, limits: Limits, *, most: int) -> DescentResult:
    """Let every start run, and then go by Newton's method until it has arrived or finds no shorter step.

    Parameters
    ----------
    problem
        With the vectors to start from.
    limits
        When a start has arrived.
    most
        Steps of a start.

    Returns
    -------
    A start whose next step is longer than the root of the tolerance, in units of the state's size, has an infinite
    residual: its residual may be below the tolerance, but where it stands is not known.
    """
    count = len(problem.vectors)
    vectors = np.array(problem.vectors)
    for batch in batches(np.arange(count), vectors.shape[1]):
        vectors[batch] = _run(problem.step, problem.input_axis, vectors[batch], problem.inputs_of(batch), RUN * most)
    vectors = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, problem.vectors)
    residual = np.full(count, np.inf, vectors.dtype)
    taken, active = np.zeros(count, np.int32), np.arange(count)
    for iteration in range(most + 1):
        for batch in batches(active, vectors.shape[1]):
            after = _improve(problem.step, problem.input_axis, vectors[batch], problem.inputs_of(batch))
            following, length, size, went = (np.asarray(part) for part in after)
            known = length <= limits.tolerance**0.5 * np.maximum(1, np.abs(vectors[batch]).max(axis=1))
            size = np.where(known, size, np.inf)
            residual[batch] = size
            move = went & ~limits.fixed(vectors[batch], size) & (iteration < most)
            vectors[batch] = np.where(move[:, None], following, vectors[batch])
            taken[batch[move]] = iteration + 1
        active = active[taken[active] == iteration + 1]
        if not len(active):
            break
    return DescentResult(vectors, residual, np.zeros(count, np.bool_), taken)


@partial(jax.jit, static_argnums=(0, 1))
def _run(step: VectorStep, input_axis: int | None, vectors: Array, inputs: Any, steps: Any) -> Array:
    return lax.fori_loop(0, steps, lambda _, now: jax.vmap(step, in_axes=(0, input_axis))(now, inputs), vectors)


@partial(jax.jit, static_argnums=(0, 1))
def _improve(step: VectorStep, input_axis: int | None, vectors: Array, inputs: Any) -> tuple[Array, ...]:
    """Where each start goes next, how far the whole step is, the residual here, and whether there is a step to take."""

    def of_one(vector: Float[Array, " size"], given: Any) -> tuple[Array, ...]:
        here = residual_of(step, vector, given)
        matrix = jax.jacfwd(lambda h: residual_of(step, h, given))(vector)
        factor = lu_factor(matrix)
        change = -lu_solve(factor, here)
        shares = jnp.asarray(SHARES, vector.dtype)
        there = vector + shares[:, None] * change
        ahead = jax.vmap(lambda h: -lu_solve(factor, residual_of(step, h, given)))(there)
        length = jnp.sqrt(jnp.sum(change**2))
        good = jnp.sqrt(jnp.sum(ahead**2, axis=1)) <= (1 - shares / 4) * length  # False for NaN: a singular matrix
        return there[jnp.argmax(good)], length, jnp.abs(here).max(), good.any()

    return jax.vmap(of_one, in_axes=(0, input_axis))(vectors, inputs)
