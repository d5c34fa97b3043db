"""Recursions of covariances that have settled: a bin that repeats the one before it is copied, not computed again.

In a long recording with one mask of whole bins the filter's covariance forgets where it began: from some bin on, each
bin that is seen repeats the seen one before it, to rounding. Both recursions that go along time, the filter's forwards
and the smoother's backwards, keep the last bin that was computed and take its result where the same comes in again.
Recordings of a regular clock are three to six times as fast for it; bins lost at random keep them from settling.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.kalman.step import predict_covariance, update_covariance
from neurodyn.kernels.linalg import complement, congruence, symmetrise

LONG = 512
"""Bins from which on a recording may settle: shorter ones are over by then, and the comparison is not free."""


class Computed(NamedTuple):
    """The last seen bin that was computed: what came in, its filtered covariance, and what goes out to the next bin."""

    incoming: Array
    filtered: Array
    outgoing: Array


def filter_until_settled(
    F: Float[Array, "n n"],
    q: Float[Array, " n"],
    first: Float[Array, "n n"],
    factor: Float[Array, "k n"],
    seen: Bool[Array, " T"],
) -> Float[Array, "T n n"]:
    """``P[t|t]`` of one mask of whole bins.

    Parameters
    ----------
    F, q
        Transition, and the diagonal of the process noise.
    first
        Covariance predicted for the first bin.
    factor
        E of ``J = E' E``, what a seen bin says.
    seen
        False where a bin is missing.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> filter_until_settled(eye, one, eye, eye, jnp.array([True, False])).ravel().tolist()
    [0.5, 1.5]
    """

    def missing(predicted: Array, last: Computed) -> tuple[Array, Array, Computed]:
        return predict_covariance(F, q, predicted), predicted, last

    def repeated(_: Array, last: Computed) -> tuple[Array, Array, Computed]:
        return last.outgoing, last.filtered, last

    def new(predicted: Array, _: Computed) -> tuple[Array, Array, Computed]:
        filtered = update_covariance(predicted, factor)
        following = predict_covariance(F, q, filtered)
        return following, filtered, Computed(predicted, filtered, following)

    def step(carry: tuple[Array, Computed], seen: Array) -> tuple[tuple[Array, Computed], Array]:
        predicted, last = carry
        case = jnp.where(seen, jnp.where(_same(predicted, last.incoming), 1, 2), 0)
        following, filtered, last = lax.switch(case, (missing, repeated, new), predicted, last)
        return (following, last), filtered

    nothing = jnp.full_like(first, jnp.nan)  # equal to no covariance
    return lax.scan(step, (first, Computed(nothing, nothing, nothing)), seen)[1]


def _same(covariance: Array, known: Array) -> Array:
    """Whether two covariances differ by no more than rounding, entry by entry on the scale of its two deviations."""
    deviation = jnp.sqrt(jnp.diagonal(known))
    scale = deviation[:, None] * deviation
    return jnp.all(jnp.abs(covariance - known) <= jnp.finfo(known.dtype).eps * scale)


def future_information(
    F: Float[Array, "n n"],
    filtered: Float[Array, "T *mask n n"],
    information: Float[Array, "*time_mask n n"],
    seen: Bool[Array, "T *mask"],
    last: Float[Array, "*mask n n"],
) -> Float[Array, "T *mask n n"]:
    """``Z[t] = J M + (F M)' Z[t+1] (F M)``, ``M = I - P[t|t] J``: what bins from t on say about the state of bin t.

    Parameters
    ----------
    F, filtered
        Transition, and ``P[t|t]``.
    information
        J, (n, n) if a bin is seen whole or not at all; with axes of time and mask before them if channels are missing.
    seen
        False where nothing of a bin is observed.
    last
        Z of the bin after the last.

    Examples
    --------
    >>> eye = jnp.eye(1)
    >>> future_information(eye, 0.5 * eye[None], eye, jnp.array([True]), 0 * eye).ravel().tolist()
    [0.5]
    """
    if information.ndim == 2 and filtered.ndim == 3 and len(filtered) >= LONG:
        return _future_until_settled(F, filtered, information, seen, last)
    return _future(F, filtered, information, seen, last)


def _future(F: Array, filtered: Array, information: Array, seen: Array, last: Array) -> Array:
    each = jnp.where(seen[..., None, None], information, jnp.zeros_like(information))
    kept = complement(filtered @ each)
    closed_loop, gained = F @ kept, each @ kept

    def step(future: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        closed_loop, gained = inputs
        future = symmetrise(gained + congruence(jnp.swapaxes(closed_loop, -1, -2), future))
        return future, future

    return lax.scan(step, last, (closed_loop, gained), reverse=True)[1]


@jax.custom_vjp
def _future_until_settled(F, filtered, information, seen, last):
    """The same for one mask of whole bins; its derivative is that of the recursion without copies."""
    return _future_forward(F, filtered, information, seen, last)[0]


def _future_forward(F, filtered, information, seen, last):
    def missing(_: Array, future: Array, known: Computed) -> tuple[Array, Computed]:
        return symmetrise(congruence(F.T, future)), known

    def repeated(_: Array, __: Array, known: Computed) -> tuple[Array, Computed]:
        return known.outgoing, known

    def new(filtered: Array, future: Array, _: Computed) -> tuple[Array, Computed]:
        kept = complement(filtered @ information)
        here = symmetrise(information @ kept + congruence((F @ kept).T, future))
        return here, Computed(future, filtered, here)

    def step(carry: tuple[Array, Computed], inputs: tuple[Array, Array]) -> tuple[tuple[Array, Computed], Array]:
        (future, known), (filtered, seen) = carry, inputs
        repeats = _same(future, known.incoming) & _same(filtered, known.filtered)
        case = jnp.where(seen, jnp.where(repeats, 1, 2), 0)
        future, known = lax.switch(case, (missing, repeated, new), filtered, future, known)
        return (future, known), future

    nothing = jnp.full_like(last, jnp.nan)
    start = (last, Computed(nothing, nothing, nothing))
    result = lax.scan(step, start, (filtered, seen), reverse=True)[1]
    return result, (F, filtered, information, seen, last)


def _future_backward(saved, cotangent):
    *matrices, seen, last = saved
    derive = jax.vjp(lambda f, p, j, z: _future(f, p, j, seen, z), *matrices, last)[1]
    *matrices_bar, last_bar = derive(cotangent)
    return *matrices_bar, None, last_bar


_future_until_settled.defvjp(_future_forward, _future_backward)
