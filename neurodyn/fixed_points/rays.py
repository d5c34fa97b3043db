"""Positively homogeneous steps: F(c h) = c F(h) for c > 0, such as networks of rectifiers without bias or input.

The origin of such a step is always a fixed point, and every other one lies on a ray of them. Rays of fixed points are
an exception (some direction has to grow by exactly 1 per step); directions that are kept and shrink or grow slowly
are not. `find_rays` finds all of these.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neurodyn.errors import InputError
from neurodyn.fixed_points.points import FixedPoints
from neurodyn.fixed_points.problem import Step, is_homogeneous, make_problem
from neurodyn.fixed_points.search import SearchConfig, find


@dataclass(frozen=True)
class _Direction:
    """The step followed by a scaling to length 1; equal for equal steps, so that it compiles once."""

    step: Step

    def __call__(self, state: Any, inputs: Any) -> Any:
        after = self.step(state, inputs)
        length = _length(after)
        return jax.tree.map(lambda leaf: leaf / length, after)


@dataclass(frozen=True, eq=False)
class Rays:
    """Directions that a homogeneous step keeps: ``F(v) = growth * v``.

    Parameters
    ----------
    points
        The directions v, of length 1, as `neurodyn.fixed_points.find` returns points; the true ones are ``.fixed``.
    growth
        (points,) factor per step: 1 is a ray of fixed points, near 1 a slow direction.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import find_rays
    >>> starts = np.random.default_rng(0).uniform(size=(20, 2)).astype(np.float32)
    >>> rays = find_rays(lambda h, _: jnp.maximum(1.1 * h[::-1], 0), starts)
    >>> rays.growth.round(2), rays.points.fixed.vectors.round(2)
    (array([1.1], dtype=float32), array([[0.71, 0.71]], dtype=float32))
    """

    points: FixedPoints
    growth: Float[np.ndarray, " points"]


def find_rays(
    step: Step,
    starts: Any,
    inputs: Any = None,
    *,
    input_axis: int | None = None,
    config: SearchConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Rays:
    """Find the directions that a positively homogeneous step keeps, and how fast states grow along them.

    They are the fixed points of ``v -> F(v) / |F(v)|``.

    Parameters
    ----------
    step, starts, inputs, input_axis, config, progress
        As in `neurodyn.fixed_points.find`; starts are scaled to length 1.

    Raises
    ------
    InputError
        If the step is not positively homogeneous at this input, or as in `neurodyn.fixed_points.find`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import find_rays
    >>> rectified = lambda h, _: jnp.maximum(1.1 * h[::-1], 0)  # two rectifiers that excite each other
    >>> rays = find_rays(rectified, np.random.default_rng(0).uniform(size=(20, 2)).astype(np.float32))
    >>> len(rays.growth), round(float(rays.growth[0]), 3)
    (1, 1.1)
    """
    problem = make_problem(step, starts, inputs, input_axis)
    if not is_homogeneous(problem):
        raise InputError("step is not positively homogeneous at this input, F(c h) differs from c F(h): use find")
    vectors = problem.vectors / np.linalg.norm(problem.vectors, axis=1, keepdims=True)
    points = find(
        _Direction(problem.step.step),
        problem.step.layout.states(jnp.asarray(vectors)),
        inputs,
        input_axis=input_axis,
        config=config,
        progress=progress,
    )
    after = jax.vmap(problem.step, in_axes=(0, problem.input_axis))
    after = after(jnp.asarray(points.vectors), problem.inputs_of(points.source))
    return Rays(points, np.linalg.norm(after, axis=1))


def _length(state: Any) -> Array:
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(state)))
