"""What would make a search better, where its result shows it."""

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from neurodyn.fixed_points.problem import Problem, VectorStep
from neurodyn.fixed_points.status import Status

if TYPE_CHECKING:
    from neurodyn.fixed_points.points import FixedPoints

MOST_SHARE = 0.5
"""Share of the starts beyond which one unstable point has caught most of them."""
FAR = 100.0
"""Times the size of the starts beyond which an end that is not a fixed point has been driven off."""
ROUNDS = 200
"""Steps of the linearised map, in which a perturbation that is left to itself turns into its fastest direction."""
GROWS = 1e-3


def advise(problem: Problem, found: "FixedPoints") -> str:
    """Say what the starts have to do with what a search found; empty if there is nothing to say.

    Parameters
    ----------
    problem
        What was searched.
    found
        The result.
    """
    count = len(problem.vectors)
    sentences = []
    fixed = np.array([status is Status.FIXED for status in found.status])
    if fixed.any():
        most = int(np.argmax(np.where(fixed, found.starts, -1)))
        if found.starts[most] > MOST_SHARE * count and count > 1 and _growth(problem, found, most) > 1 + GROWS:
            sentences.append(
                f"{found.starts[most]} of {count} starts came to point {most}, which is unstable: states that the "
                "network goes through (sample_starts) lead to more points than random ones"
            )
    size = float(np.median(np.abs(problem.vectors).max(axis=1))) or 1.0
    driven = ~fixed & (np.abs(found.vectors).max(axis=1) > FAR * size)
    if driven.any() and found.starts[driven].sum() > MOST_SHARE * count:
        sentences.append(
            f"{found.starts[driven].sum()} of {count} starts went off to over {FAR:g} times their size: under this "
            "input the step may integrate without an end, as an LSTM does whose gates saturate"
        )
    return "; ".join(sentences)


def _growth(problem: Problem, found: "FixedPoints", point: int) -> float:
    """Factor per step by which a small perturbation of a point grows in the end; below or at 1 where it does not."""
    inputs = problem.inputs
    if problem.input_axis == 0:
        inputs = jax.tree.map(lambda leaf: leaf[int(found.source[point])], inputs)
    vector = jnp.asarray(found.vectors[point])
    start = jnp.asarray(np.random.default_rng(0).normal(size=vector.shape), vector.dtype)
    return float(_rate(problem.step, vector, start, inputs))


@partial(jax.jit, static_argnums=(0,))
def _rate(step: VectorStep, vector: Array, start: Array, inputs: Any) -> Array:
    _, forward = jax.linearize(lambda state: step(state, inputs), vector)
    tiny = jnp.finfo(vector.dtype).tiny

    def once(way: Array, _: Any) -> tuple[Array, Array]:
        after = forward(way)
        size = jnp.sqrt(jnp.sum(after**2))
        return after / jnp.maximum(size, tiny), jnp.log(jnp.maximum(size, tiny))

    way = start / jnp.sqrt(jnp.sum(start**2))
    _, growth = lax.scan(once, way, length=ROUNDS)
    return jnp.exp(growth[ROUNDS // 2 :].mean())
