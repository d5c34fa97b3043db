r"""The covariance of the filter over a whole recording, for one mask or for many at once, and its derivative.

The recursion ``P[t|t] = (P[t|t-1]^-1 + J_t)^-1``, ``P[t+1|t] = A P[t|t] A' + diag(q)`` needs of the channels of a bin
only the information ``J = C' R^-1 C`` they carry, a latent x latent matrix however many channels there are. It is
computed through a factor ``J = E' E`` with at most as many rows as there are latents:

1. ``S = I + E P E' = L L'`` (eigenvalues of at least one), ``K = P E' S^-1`` from the inverse of L;
2. ``P+ = (I - K E) P (I - K E)' + K K'``: Joseph's form, a sum of positive terms, which stays positive-definite in
   float32 where ``P - K E P`` does not.

The derivative is one recursion backwards, which needs the filtered covariances and nothing else. With
``M = I - P+ J`` and a bar for the derivative of the result with respect to a quantity:

3. ``dP+ = M dP M' - P+ dJ P+``, so that ``P_bar = M' P+_bar M`` and ``J_bar = -P+ P+_bar P+``;
4. ``P+_bar[t-1] = A' P_bar[t] A``, ``A_bar = 2 sum_t P_bar[t] A P+[t-1]``, ``q_bar = sum_t diag(P_bar[t])``.

In a long recording the covariance forgets where it began: from some bin on, each bin that is seen repeats the one seen
before it, to rounding. There the result is copied, not computed again.

Reference: Bucy & Joseph (1968), Filtering for stochastic processes, for the update. Anderson & Moore (1979), Optimal
filtering, chapter 6, for the information form.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.linalg import complement, congruence, inverse_cholesky, symmetrise

Tree = TypeVar("Tree")

LONG = 512
"""Bins from which on a recording may settle: shorter ones are over by then, and the comparison is not free."""


def condition(predicted: Float[Array, "*batch n n"], factor: Float[Array, "..."]) -> Float[Array, "*batch n n"]:
    """``(P^-1 + E' E)^-1``: a covariance given observations that carry the information ``E' E``.

    Arguments
    ---------
    predicted: covariances P, latent x latent.
    factor: E, row x latent, one for all or one per covariance.
    """
    cross = predicted @ jnp.swapaxes(factor, -1, -2)
    innovation = factor @ cross
    root = inverse_cholesky(jnp.eye(innovation.shape[-1], dtype=innovation.dtype) + innovation)
    gain = (cross @ jnp.swapaxes(root, -1, -2)) @ root
    keep = complement(gain @ factor)
    return symmetrise(congruence(keep, predicted) + gain @ jnp.swapaxes(gain, -1, -2))


def predict(
    transition: Float[Array, "n n"], noise: Float[Array, " n"], filtered: Float[Array, "*batch n n"]
) -> Float[Array, "*batch n n"]:
    """``A P A' + diag(q)``: the covariance one bin later."""
    return symmetrise(congruence(transition, filtered) + jnp.diag(noise))


@jax.custom_vjp
def filtered_covariances(transition, noise, first, information, factor, seen):
    """``P[t|t]`` of every bin for a batch of masks.

    Arguments
    ---------
    transition, noise: A (latent x latent) and q (latent).
    first: covariance predicted for the first bin, mask x latent x latent.
    information, factor: J and E, latent x latent and row x latent if a bin is seen whole or not at all; with time and
        mask axes before them if channels go missing one by one. The derivative goes through J; E says the same.
    seen: time x mask, False where nothing of a bin is seen.

    Returns
    -------
    time x mask x latent x latent.
    """
    return _forward(transition, noise, first, information, factor, seen)[0]


def _forward(transition, noise, first, information, factor, seen):
    own = factor if factor.ndim > 2 else None

    def step(predicted: Array, inputs: tuple[Array, Array | None]) -> tuple[Array, Array]:
        here, varying = inputs
        filtered = _where_seen(here, lambda: condition(predicted, factor if varying is None else varying), predicted)
        return predict(transition, noise, filtered), filtered

    if own is None and seen.shape[1] == 1 and len(seen) >= LONG:
        filtered = _until_settled(transition, noise, first[0], factor, seen[:, 0])[:, None]
    else:
        _, filtered = lax.scan(step, first, (seen, own))
    return filtered, (transition, information, seen, filtered)


class _Known(NamedTuple):
    """The last bin that was worked out: what came to it, its filtered covariance, and what goes on to the next."""

    came: Array
    filtered: Array
    onward: Array


def _until_settled(transition: Array, noise: Array, first: Array, factor: Array, seen: Array) -> Array:
    """The recursion of one mask of whole bins, which copies what it knows where the prediction is one it has met."""

    def missing(predicted: Array, known: _Known) -> tuple[Array, Array, _Known]:
        return predict(transition, noise, predicted), predicted, known

    def repeated(_: Array, known: _Known) -> tuple[Array, Array, _Known]:
        return known.onward, known.filtered, known

    def new(predicted: Array, _: _Known) -> tuple[Array, Array, _Known]:
        filtered = condition(predicted, factor)
        onward = predict(transition, noise, filtered)
        return onward, filtered, _Known(predicted, filtered, onward)

    def step(carry: tuple[Array, _Known], here: Array) -> tuple[tuple[Array, _Known], Array]:
        predicted, known = carry
        case = jnp.where(here, jnp.where(_same(predicted, known.came), 1, 2), 0)
        onward, filtered, known = lax.switch(case, (missing, repeated, new), predicted, known)
        return (onward, known), filtered

    nothing = jnp.full_like(first, jnp.nan)  # equal to no covariance
    return lax.scan(step, (first, _Known(nothing, nothing, nothing)), seen)[1]


def _same(covariance: Array, known: Array) -> Array:
    """Whether two covariances differ by no more than rounding, entry by entry on the scale of its two deviations."""
    deviation = jnp.sqrt(jnp.diagonal(known))
    scale = deviation[:, None] * deviation
    return jnp.all(jnp.abs(covariance - known) <= jnp.finfo(known.dtype).eps * scale)


def _backward(saved, cotangent):
    transition, information, seen, filtered = saved
    own = information if information.ndim > 2 else None

    def step(carry: tuple[Array, ...], inputs: tuple[tuple[Array, Array, Array], Array | None]):
        later_bar, transition_bar, noise_bar, information_bar = carry
        (bar, here, updated), varying = inputs
        moved = later_bar @ transition
        transition_bar = transition_bar + 2 * jnp.einsum("gij,gjk->ik", moved, updated)
        noise_bar = noise_bar + jnp.einsum("gii->i", later_bar)
        bar = bar + transition.T @ moved
        predicted_bar, gained_bar = _condition_backward(here, bar, updated, information if varying is None else varying)
        carry = (predicted_bar, transition_bar, noise_bar, information_bar)
        if varying is not None:
            return carry, gained_bar
        return (*carry[:3], information_bar + jnp.sum(gained_bar, axis=0)), None

    zero = jnp.zeros_like(transition)
    start = (jnp.zeros_like(filtered[0]), zero, zero[0], zero)
    # Symmetric at the start, everything stays so but for rounding.
    inputs = ((symmetrise(cotangent), seen, filtered), own)
    (first_bar, transition_bar, noise_bar, information_bar), each = lax.scan(step, start, inputs, reverse=True)
    # The factor says the same as the information, whose derivative is enough; the mask has none.
    return transition_bar, noise_bar, first_bar, information_bar if own is None else each, None, None


def _condition_backward(here: Array, bar: Array, updated: Array, information: Array) -> tuple[Array, Array]:
    """Step 3 above: derivatives with respect to the predicted covariance and to the information."""

    def seen() -> tuple[Array, Array]:
        pulled = bar @ updated
        kept = bar - pulled @ information
        return kept - information @ (updated @ kept), -updated @ pulled

    return _where_seen(here, seen, (bar, jnp.zeros_like(bar)))


def _where_seen(here: Bool[Array, " mask"], compute: Callable[[], Tree], otherwise: Tree) -> Tree:
    """Per mask what is computed where something is seen; free of cost for a single mask where nothing is."""
    if len(here) == 1:
        return lax.cond(here[0], compute, lambda: otherwise)
    return jax.tree.map(lambda new, old: jnp.where(here[:, None, None], new, old), compute(), otherwise)


filtered_covariances.defvjp(_forward, _backward)


def later_information(
    transition: Float[Array, "n n"],
    filtered: Float[Array, "time *mask n n"],
    information: Float[Array, "*time_mask n n"],
    seen: Bool[Array, "time *mask"],
    last: Float[Array, "*mask n n"],
) -> Float[Array, "time *mask n n"]:
    """``Z[t] = J M + (A M)' Z[t+1] (A M)``, ``M = I - P[t|t] J``: what bins from t on say about the state of bin t.

    Arguments
    ---------
    transition, filtered: A and P[t|t].
    information: J, latent x latent if a bin is seen whole or not at all; with time and mask axes before it if not.
    seen: False where nothing of a bin is seen.
    last: Z of the bin after the last.
    """
    if information.ndim == 2 and filtered.ndim == 3 and len(filtered) >= LONG:
        return _later_until_settled(transition, filtered, information, seen, last)
    return _later(transition, filtered, information, seen, last)


def _later(transition: Array, filtered: Array, information: Array, seen: Array, last: Array) -> Array:
    each = jnp.where(seen[..., None, None], information, jnp.zeros_like(information))
    keep = complement(filtered @ each)
    closed_loop, gained = transition @ keep, each @ keep

    def step(later: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        here = symmetrise(inputs[1] + congruence(jnp.swapaxes(inputs[0], -1, -2), later))
        return here, here

    return lax.scan(step, last, (closed_loop, gained), reverse=True)[1]


@jax.custom_vjp
def _later_until_settled(transition, filtered, information, seen, last):
    """The same for one mask of whole bins; its derivative is that of the recursion without copies."""
    return _later_forward(transition, filtered, information, seen, last)[0]


def _later_forward(transition, filtered, information, seen, last):
    def missing(_: Array, later: Array, known: _Known) -> tuple[Array, _Known]:
        return symmetrise(congruence(transition.T, later)), known

    def repeated(_: Array, __: Array, known: _Known) -> tuple[Array, _Known]:
        return known.onward, known

    def new(updated: Array, later: Array, _: _Known) -> tuple[Array, _Known]:
        keep = complement(updated @ information)
        here = symmetrise(information @ keep + congruence((transition @ keep).T, later))
        return here, _Known(later, updated, here)

    def step(carry: tuple[Array, _Known], inputs: tuple[Array, Array]) -> tuple[tuple[Array, _Known], Array]:
        (later, known), (updated, here) = carry, inputs
        met = _same(later, known.came) & _same(updated, known.filtered)
        case = jnp.where(here, jnp.where(met, 1, 2), 0)
        later, known = lax.switch(case, (missing, repeated, new), updated, later, known)
        return (later, known), later

    nothing = jnp.full_like(last, jnp.nan)
    start = (last, _Known(nothing, nothing, nothing))
    result = lax.scan(step, start, (filtered, seen), reverse=True)[1]
    return result, (transition, filtered, information, seen, last)


def _later_backward(saved, cotangent):
    *matrices, seen, last = saved
    derive = jax.vjp(lambda a, p, j, z: _later(a, p, j, seen, z), *matrices, last)[1]
    *matrices_bar, last_bar = derive(cotangent)
    return *matrices_bar, None, last_bar


_later_until_settled.defvjp(_later_forward, _later_backward)
