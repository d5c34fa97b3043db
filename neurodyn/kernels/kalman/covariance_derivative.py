r"""The filter's covariances over a whole recording, for one mask or for many at once, and their derivative.

The recursion is ``P[t|t] = (P[t|t-1]^-1 + J_t)^-1``, ``P[t+1|t] = F P[t|t] F' + Q``
(:mod:`neurodyn.kernels.kalman.step`). Its derivative by JAX would keep what every bin's factorisation went through. In
closed form it is one recursion backwards that needs the filtered covariances and nothing else. With ``M = I - P+ J``
and a bar for the derivative of the result with respect to a quantity:

1. ``dP+ = M dP- M' - P+ dJ P+``, because ``d(P+^-1) = d(P-^-1) + dJ`` and ``P+ P-^-1 = M``; so that
   ``P-_bar = M' P+_bar M`` and ``J_bar = -P+ P+_bar P+``;
2. ``dP- = dF P+ F' + F dP+ F' + F P+ dF' + dQ``, so that ``P+_bar[t-1] = F' P-_bar[t] F``,
   ``F_bar = 2 sum_t P-_bar[t] F P+[t-1]`` and ``q_bar = sum_t diag(P-_bar[t])``.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

from neurodyn.kernels.kalman import settled
from neurodyn.kernels.kalman.step import predict_covariance, update_covariance
from neurodyn.kernels.linalg import symmetrise

Tree = TypeVar("Tree")


@jax.custom_vjp
def filtered_covariances(F, q, first, information, factor, seen):
    """``P[t|t]`` of every bin for a batch of masks.

    Parameters
    ----------
    F, q
        Transition (n, n), and the diagonal of the process noise (n,).
    first
        Covariance predicted for the first bin, (mask, n, n).
    information, factor
        J, (n, n), and its factor E, (k, n), if a bin is seen whole or not at all; (time, mask, ...) if channels go
        missing one by one. The derivative goes through J; E says the same.
    seen
        (time, mask), False where nothing of a bin is observed.

    Returns
    -------
    (time, mask, n, n).

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> filtered_covariances(eye, one, eye[None], eye, eye, jnp.array([[True], [False]])).ravel().tolist()
    [0.5, 1.5]
    """
    return _forward(F, q, first, information, factor, seen)[0]


def _forward(F, q, first, information, factor, seen):
    factor_of_bin = factor if factor.ndim > 2 else None  # None in the scan: the same factor in every bin

    def step(predicted: Array, inputs: tuple[Array, Array | None]) -> tuple[Array, Array]:
        seen, of_bin = inputs
        factor_here = factor if of_bin is None else of_bin
        filtered = _where_seen(seen, lambda: update_covariance(predicted, factor_here), predicted)
        return predict_covariance(F, q, filtered), filtered

    if factor_of_bin is None and seen.shape[1] == 1 and len(seen) >= settled.LONG:
        filtered = settled.filter_until_settled(F, q, first[0], factor, seen[:, 0])[:, None]
    else:
        _, filtered = lax.scan(step, first, (seen, factor_of_bin))
    return filtered, (F, information, seen, filtered)


def _backward(saved, cotangent):
    F, information, seen, filtered = saved
    information_of_bin = information if information.ndim > 2 else None

    def step(carry: tuple[Array, ...], inputs: tuple[tuple[Array, Array, Array], Array | None]):
        predicted_bar, F_bar, q_bar, information_bar = carry  # predicted_bar is that of the bin after this one
        (filtered_bar, seen, filtered), of_bin = inputs
        predicted_bar_F = predicted_bar @ F
        F_bar = F_bar + 2 * jnp.einsum("gij,gjk->ik", predicted_bar_F, filtered)
        q_bar = q_bar + jnp.einsum("gii->i", predicted_bar)
        filtered_bar = filtered_bar + F.T @ predicted_bar_F
        of_this_bin = information if of_bin is None else of_bin
        predicted_bar, gained_bar = _update_backward(seen, filtered_bar, filtered, of_this_bin)
        if of_bin is not None:
            return (predicted_bar, F_bar, q_bar, information_bar), gained_bar
        return (predicted_bar, F_bar, q_bar, information_bar + jnp.sum(gained_bar, axis=0)), None

    zero = jnp.zeros_like(F)
    start = (jnp.zeros_like(filtered[0]), zero, zero[0], zero)
    # Symmetric at the start, everything stays so but for rounding.
    inputs = ((symmetrise(cotangent), seen, filtered), information_of_bin)
    (first_bar, F_bar, q_bar, information_bar), each = lax.scan(step, start, inputs, reverse=True)
    # The factor says the same as the information, whose derivative is enough; the mask has none.
    return F_bar, q_bar, first_bar, information_bar if information_of_bin is None else each, None, None


def _update_backward(seen: Array, filtered_bar: Array, filtered: Array, information: Array) -> tuple[Array, Array]:
    """Step 1 above: derivatives with respect to the predicted covariance and to the information."""

    def where_seen() -> tuple[Array, Array]:
        bar_filtered = filtered_bar @ filtered  # P+_bar P+
        bar_kept = filtered_bar - bar_filtered @ information  # P+_bar M
        return bar_kept - information @ (filtered @ bar_kept), -filtered @ bar_filtered

    return _where_seen(seen, where_seen, (filtered_bar, jnp.zeros_like(filtered_bar)))


def _where_seen(seen: Bool[Array, " mask"], compute: Callable[[], Tree], otherwise: Tree) -> Tree:
    """Per mask what is computed where something is seen; free of cost for a single mask where nothing is."""
    if len(seen) == 1:
        return lax.cond(seen[0], compute, lambda: otherwise)
    return jax.tree.map(lambda new, old: jnp.where(seen[:, None, None], new, old), compute(), otherwise)


filtered_covariances.defvjp(_forward, _backward)
