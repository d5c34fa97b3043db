r"""One iteration of a start without any Jacobian: for states too large for matrices of their size squared.

The equations :math:`(B + \lambda I) p = -J' G` of ``solver.py`` are solved by conjugate gradients, for which products
with J and J' are enough (one forward and one backward derivative each), or with the second derivative of the speed. The
equations need not be solved to the end far from a fixed point: the solver stops when their residual is below a share of
its start that shrinks with the residual of the map, which keeps convergence faster than linear, and where the curvature
is negative it keeps what it has (Steihaug's rule). Memory is in proportion to the size of a state.

References: Dembo, Eisenstat & Steihaug (1982), SIAM Journal on Numerical Analysis 19(2), for how closely to solve;
Steihaug (1983), SIAM Journal on Numerical Analysis 20(3), for negative curvature.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

MOST = 300
"""Products with B per iteration."""
CLOSEST = 1e-3
"""Share of the right-hand side to which the equations are solved near a fixed point."""

Map = Callable[[Array], Array]


class Direction(NamedTuple):
    """The step of one iteration and what the quadratic model says of it."""

    change: Float[Array, " size"]
    gradient: Float[Array, " size"]
    curvature: Float[Array, ""]  # along the gradient


def direction(residual: Map, vector: Float[Array, " size"], damping: Float[Array, ""], *, full: bool) -> Direction:
    """The step from a state, solved for without a matrix.

    Parameters
    ----------
    residual
        ``G``.
    vector
        The state.
    damping
        lambda.
    full
        Whether B is the second derivative of the speed instead of ``J'J``.
    """
    here, forward = jax.linearize(residual, vector)
    backward = jax.linear_transpose(forward, vector)
    gradient = backward(here)[0]

    def half_square(state: Array) -> Array:
        return jnp.sum(residual(state) ** 2) / 2

    def product(way: Array) -> Array:
        if full:
            return jax.jvp(jax.grad(half_square), (vector,), (way,))[1]
        return backward(forward(way))[0]

    size = jnp.sqrt(jnp.sum(here**2))
    closeness = jnp.clip(size, CLOSEST, 0.1).astype(vector.dtype)
    change = conjugate_gradients(lambda way: product(way) + damping * way, -gradient, closeness)
    tiny = jnp.finfo(vector.dtype).tiny
    curvature = gradient @ product(gradient) / jnp.maximum(gradient @ gradient, tiny)
    return Direction(change, gradient, curvature)


def conjugate_gradients(apply: Map, right: Float[Array, " size"], closeness: Float[Array, ""]) -> Float[Array, " size"]:
    """Solve ``A p = b`` for a symmetric A, as closely as asked for, or up to where A is not positive-definite.

    Parameters
    ----------
    apply
        ``p -> A p``.
    right
        b.
    closeness
        Length of ``b - A p`` at which to stop, in units of that of b.
    """
    limit = closeness**2 * (right @ right)

    def going(state: tuple[Any, ...]) -> Array:
        _, _, _, square, positive, count = state
        return (square > limit) & positive & (count < MOST)

    def advance(state: tuple[Any, ...]) -> tuple[Any, ...]:
        found, rest, way, square, _, count = state
        image = apply(way)
        along = way @ image
        positive = along > 0
        length = jnp.where(positive, square / jnp.where(positive, along, 1), 0)
        # Along negative curvature nothing has been found yet in the first round: the gradient is better than nothing.
        found = jnp.where(positive | (count > 0), found + length * way, right)
        rest = rest - length * image
        after = rest @ rest
        way = rest + after / jnp.where(square > 0, square, 1) * way
        return found, rest, way, after, positive, count + 1

    start = (jnp.zeros_like(right), right, right, right @ right, jnp.asarray(True), jnp.asarray(0))
    return lax.while_loop(going, advance, start)[0]
