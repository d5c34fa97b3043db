r"""The recursions of :mod:`neurodyn.kernels.kalman` in logarithmic depth, for accelerators and long recordings.

Each recursion is a prefix sum of an associative operation, so that T bins take about ``2 log2 T`` batched steps instead
of T small ones; the work grows by a constant factor, which a CPU would pay for and a GPU hides.

1. Filter covariances: an element ``(A, C, J)`` maps a Gaussian before some bins to one after them (C: covariance given
   the state before, J: what the bins say about that state). Combining earlier i and later j:
   ``A = A_j D A_i``, ``C = A_j D C_i A_j' + C_j``, ``J = A_i' J_j D A_i + J_i`` with ``D = (I + C_i J_j)^-1``.
2. Linear recurrences ``x_t = F_t x_{t-1} + u_t``: ``(F_j F_i, F_j u_i + u_j)``.
3. The smoother's information ``Z_t = E_t + L_t' Z_{t+1} L_t``: ``(L_j L_i, E_i + L_i' E_j L_i)``.

Reference: Sarkka & Garcia-Fernandez (2021), Temporal parallelization of Bayesian smoothers, IEEE TAC 66(1).
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.linalg import congruence, symmetrise


def filtered_covariances(
    transition: Float[Array, "n n"],
    process_noise: Float[Array, " n"],
    emission: Float[Array, "m n"],
    observation_noise: Float[Array, " m"],
    initial_covariance: Float[Array, "n n"],
    observed: Bool[Array, "T #m"],
) -> Float[Array, "T n n"]:
    """``P[t|t]`` for every bin of one mask; arguments as in ``LinearGaussian``."""
    steady = jnp.diag(process_noise)
    before = jnp.concatenate([initial_covariance[None], jnp.broadcast_to(steady, (len(observed) - 1, *steady.shape))])
    seen = jnp.broadcast_to(observed, (len(observed), emission.shape[0]))

    def element(covariance: Array, channels: Array) -> tuple[Array, Array, Array]:
        rows = jnp.where(channels[:, None], emission, jnp.zeros_like(emission))
        noise = jnp.where(channels, observation_noise, jnp.ones_like(observation_noise))
        root = jnp.linalg.cholesky(congruence(rows, covariance) + jnp.diag(noise))
        weight = cho_solve((root, True), rows)
        keep = jnp.eye(covariance.shape[0], dtype=covariance.dtype) - covariance @ weight.T @ rows
        information = transition.T @ (rows.T @ weight) @ transition
        return keep @ transition, symmetrise(keep @ covariance), symmetrise(information)

    moved, added, information = jax.vmap(element)(before, seen)
    # The first bin starts from the prior, not from a state before it.
    moved = moved.at[0].set(jnp.zeros_like(transition))
    return lax.associative_scan(_combine, (moved, added, information))[1]


def linear_recurrence(
    transition: Float[Array, "T n n"], drive: Float[Array, "trial T n"], *, reverse: bool = False
) -> Float[Array, "trial T n"]:
    """``x[t] = F[t] x[t-1] + u[t]`` from ``x[-1] = 0`` (``x[t+1]`` and ``x[T] = 0`` if reversed)."""

    def combine(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
        return later[0] @ earlier[0], earlier[1] @ jnp.swapaxes(later[0], -1, -2) + later[1]

    # Trials stand side by side as rows, so that a bin's transition multiplies all of them at once.
    rows = jnp.swapaxes(drive, 0, 1)
    _, states = lax.associative_scan(combine, (transition, rows), reverse=reverse)
    return jnp.swapaxes(states, 0, 1)


def backward_information(closed_loop: Float[Array, "T n n"], gained: Float[Array, "T n n"]) -> Float[Array, "T n n"]:
    """``Z[t] = E[t] + L[t]' Z[t+1] L[t]`` from ``Z[T] = 0``."""

    def combine(later: tuple[Array, Array], earlier: tuple[Array, Array]) -> tuple[Array, Array]:
        pulled = jnp.swapaxes(earlier[0], -1, -2) @ later[1] @ earlier[0]
        return later[0] @ earlier[0], symmetrise(earlier[1] + pulled)

    return lax.associative_scan(combine, (closed_loop, gained), reverse=True)[1]


def _combine(earlier: tuple[Array, Array, Array], later: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    moved_i, added_i, information_i = earlier
    moved_j, added_j, information_j = later
    eye = jnp.eye(added_i.shape[-1], dtype=added_i.dtype)
    # One solve gives D A_i and D C_i.
    both = jnp.linalg.solve(eye + added_i @ information_j, jnp.concatenate([moved_i, added_i], axis=-1))
    through, spread = jnp.split(both, 2, axis=-1)
    added = symmetrise(moved_j @ spread @ jnp.swapaxes(moved_j, -1, -2) + added_j)
    information = symmetrise(jnp.swapaxes(moved_i, -1, -2) @ information_j @ through + information_i)
    return moved_j @ through, added, information
