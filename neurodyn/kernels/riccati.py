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

Reference: Bucy & Joseph (1968), Filtering for stochastic processes, for the update. Anderson & Moore (1979), Optimal
filtering, chapter 6, for the information form.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.linalg import complement, congruence, inverse_cholesky, symmetrise

Tree = TypeVar("Tree")


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

    _, filtered = lax.scan(step, first, (seen, own))
    return filtered, (transition, information, seen, filtered)


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
