"""Recursions of covariances that have settled: a bin that repeats an earlier one is copied, not computed again.

In a long recording with one mask of whole bins the filter's covariance forgets where it began: from some bin on, each
bin repeats an earlier one, to rounding; with slow sampling, the one a period before. The recursions along time, the
filter's forwards and the smoother's backwards, remember what they computed lately and which bin followed which
(:func:`_remembering`), and take the result from there where the same comes in again. Recordings that are regularly
sampled are many times as fast for it; bins lost at random keep them from settling.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from neurodyn.kernels.kalman.step import predict_covariance, update_covariance
from neurodyn.kernels.linalg import complement, congruence, symmetrise

LONG = 512
"""Bins from which on a recording may settle: shorter ones are over by then, and the comparison is not free."""

REMEMBERED = 32
"""Computed bins that are remembered: sampling whose period is longer than this is computed bin by bin."""


class Memory(NamedTuple):
    """The bins that were computed lately, each in the slot of its number modulo their count.

    Parameters
    ----------
    incoming
        What the recursion brought to the bin (None where there is none), for each slot.
    given
        What else its result depends on.
    outgoing, result
        What the recursion takes on (None where there is none), and what is kept of the bin.
    seen
        Whether something was observed.
    following
        Number of the computed bin that came next the last time, -1 if none did.
    """

    incoming: Any
    given: tuple[Array, ...]
    outgoing: Any
    result: Array
    seen: Bool[Array, " slot"]
    following: Int[Array, " slot"]


def _remembering(
    compute: Callable[..., tuple[Any, Array]],
    start: Any,
    seen: Bool[Array, " T"],
    given: tuple[Float[Array, "T n n"], ...] = (),
    *,
    reverse: bool = False,
) -> Array:
    """Results of a recursion, computed where they are new: ``outgoing, result = compute(seen, incoming, *given)``.

    A bin is not new if it comes after a bin that was remembered as it came the last time, with equal inputs, or if what
    comes in differs by no more than rounding from what came into the last seen one: there the recursion has settled.
    """

    def step(carry: tuple[Memory, Array, Array, Array, Any], inputs: tuple[Array, ...]) -> tuple[Any, Array]:
        (memory, count, before, latest, incoming), (seen, *given) = carry, inputs

        def is_known(number: Array) -> Array:
            # The slot that is written next holds the oldest bin, which no longer counts.
            known = (number >= 0) & (number > count - REMEMBERED) & (_at(memory.seen, number) == seen)
            for ours, theirs in zip(given, memory.given, strict=True):
                known = known & jnp.all(ours == _at(theirs, number))
            return known

        number = _at(memory.following, before)
        number = jnp.where(is_known(number), number, -1)
        if incoming is not None:
            then = _at(memory.incoming, latest)

            comparable = seen & is_known(latest)

            def settled() -> Array:
                return jnp.where(comparable & _same(incoming, then), latest, -1)

            number = lax.cond(number >= 0, lambda: number, settled)
        # Taken out before the choice: what is remembered would be copied, all of it, on its way into a branch.
        remembered = jax.tree.map(lambda kept: _at(kept, number), (memory.outgoing, memory.result))
        outgoing, result = lax.cond(number >= 0, lambda: remembered, lambda: compute(seen, incoming, *given))
        new, slot = number < 0, count % REMEMBERED
        # That it is new has to be known before it is written: else the compiler may write first, and copy all for it.
        came, handed = jax.tree.map(
            lambda matrix: jnp.where(new, matrix, jnp.zeros_like(matrix)), (incoming, tuple(given))
        )
        number = jnp.where(new, count, number)
        kept = Memory(came, handed, outgoing, result, seen, jnp.full((), -1, jnp.int32))
        memory = jax.tree.map(lambda slots, here: lax.dynamic_update_index_in_dim(slots, here, slot, 0), memory, kept)
        following = lax.dynamic_update_index_in_dim(memory.following, number, before % REMEMBERED, 0)
        latest, count = jnp.where(seen, number, latest), count + new.astype(jnp.int32)
        return (memory._replace(following=following), count, number, latest, outgoing), result

    blank_outgoing, blank_result = jax.eval_shape(lambda: compute(seen[0], start, *(matrices[0] for matrices in given)))
    one = Memory(start, tuple(m[0] for m in given), blank_outgoing, blank_result, seen[0], jnp.full((), -1, jnp.int32))
    memory = jax.tree.map(lambda array: jnp.zeros((REMEMBERED, *array.shape), array.dtype), one)
    memory = memory._replace(following=jnp.full(REMEMBERED, -1, jnp.int32))
    none = jnp.full((), -1, jnp.int32)
    carry = (memory, jnp.zeros((), jnp.int32), none, none, start)
    return lax.scan(step, carry, (seen, *given), reverse=reverse)[1]


def _at(slots: Array, number: Array) -> Array:
    return lax.dynamic_index_in_dim(slots, number % REMEMBERED, 0, keepdims=False)


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

    def compute(seen: Array, predicted: Array) -> tuple[Array, Array]:
        filtered = lax.cond(seen, lambda: update_covariance(predicted, factor), lambda: predicted)
        return predict_covariance(F, q, filtered), filtered

    return _remembering(compute, first, seen)


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
    def compute(seen: Array, future: Array, filtered: Array) -> tuple[Array, Array]:
        def observed() -> Array:
            kept = complement(filtered @ information)
            return symmetrise(information @ kept + congruence((F @ kept).T, future))

        here = lax.cond(seen, observed, lambda: symmetrise(congruence(F.T, future)))
        return here, here

    result = _remembering(compute, last, seen, (filtered,), reverse=True)
    return result, (F, filtered, information, seen, last)


def _future_backward(saved, cotangent):
    *matrices, seen, last = saved
    derive = jax.vjp(lambda f, p, j, z: _future(f, p, j, seen, z), *matrices, last)[1]
    *matrices_bar, last_bar = derive(cotangent)
    return *matrices_bar, None, last_bar


_future_until_settled.defvjp(_future_forward, _future_backward)


def smoothed_covariances(
    F: Float[Array, "n n"], filtered: Float[Array, "*bins n n"], information: Float[Array, "*bins n n"]
) -> Float[Array, "*bins n n"]:
    """``P[t|T] = P[t|t] - P[t|t] F' Z[t+1] F P[t|t]``.

    Parameters
    ----------
    F, filtered, information
        Transition, ``P[t|t]``, and ``Z[t+1]``.

    Examples
    --------
    >>> eye = jnp.eye(1)
    >>> smoothed_covariances(eye, eye[None], 0.25 * eye[None]).ravel().tolist()
    [0.75]
    """
    if filtered.ndim == 3 and len(filtered) >= LONG:
        return _smoothed_once_each(F, filtered, information)
    return _smoothed(F, filtered, information)


def _smoothed(F: Array, filtered: Array, information: Array) -> Array:
    predicted = F @ filtered
    return symmetrise(filtered - jnp.swapaxes(predicted, -1, -2) @ information @ predicted)


@jax.custom_vjp
def _smoothed_once_each(F, filtered, information):
    """The same where bins repeat, from the last, as their information was found; its derivative is the plain one's."""
    return _smoothed_forward(F, filtered, information)[0]


def _smoothed_forward(F, filtered, information):
    def compute(_: Array, __: None, filtered: Array, information: Array) -> tuple[None, Array]:
        return None, _smoothed(F, filtered, information)

    everywhere = jnp.ones(len(filtered), jnp.bool_)
    return _remembering(compute, None, everywhere, (filtered, information), reverse=True), (F, filtered, information)


def _smoothed_backward(saved, cotangent):
    return jax.vjp(_smoothed, *saved)[1](cotangent)


_smoothed_once_each.defvjp(_smoothed_forward, _smoothed_backward)
