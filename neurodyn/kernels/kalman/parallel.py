r"""The recursions of filter and smoother in logarithmic depth, for accelerators and long recordings.

Each recursion is a prefix sum of an associative operation, so that T bins take about ``2 log2 T`` batched steps instead
of T small ones; the work grows by a constant factor, which a CPU would pay for and a GPU hides.

1. Filter covariances: an element ``(A, C, J)`` maps a Gaussian before some bins to one after them (A: transition across
   the bins, C: covariance given the state before them, J: what the bins say about that state). Combining earlier i and
   later j: ``A = A_j D A_i``, ``C = A_j D C_i A_j' + C_j``, ``J = A_i' J_j D A_i + J_i`` with ``D = (I + C_i J_j)^-1``.
2. Linear recurrences ``x_t = A_t x_{t-1} + u_t``: ``(A_j A_i, A_j u_i + u_j)``.
3. The smoother's information ``Z_t = G_t + L_t' Z_{t+1} L_t``: ``(L_j L_i, G_i + L_i' G_j L_i)``.

Reference: Sarkka & Garcia-Fernandez (2021), Temporal parallelization of Bayesian smoothers, IEEE TAC 66(1).
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.kalman.observations import zero_missing
from neurodyn.kernels.linalg import complement, congruence, symmetrise


def filtered_covariances(
    transition: Float[Array, "n n"],
    process_noise: Float[Array, " n"],
    emission: Float[Array, "m n"],
    observation_noise: Float[Array, " m"],
    initial_covariance: Float[Array, "n n"],
    observed: Bool[Array, "T #m"],
) -> Float[Array, "T n n"]:
    """``P[t|t]`` for every bin of one mask.

    Parameters
    ----------
    transition, process_noise, emission, observation_noise, initial_covariance
        As in :class:`neurodyn.kernels.kalman.LinearGaussian`.
    observed
        (T, m), or (T, 1) for whole bins.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> found = filtered_covariances(eye, one, eye, one, eye, jnp.array([[True], [False]]))
    >>> [round(float(x), 3) for x in found.ravel()]
    [0.5, 1.5]
    """
    noise_of_a_bin = jnp.diag(process_noise)
    # The covariance of each bin's state given the state before it.
    before = jnp.concatenate(
        [initial_covariance[None], jnp.broadcast_to(noise_of_a_bin, (len(observed) - 1, *noise_of_a_bin.shape))]
    )
    channels = jnp.broadcast_to(observed, (len(observed), emission.shape[0]))

    def element(covariance: Array, observed: Array) -> tuple[Array, Array, Array]:
        rows = zero_missing(emission, observed[:, None])
        noise = jnp.where(observed, observation_noise, jnp.ones_like(observation_noise))
        root = jnp.linalg.cholesky(congruence(rows, covariance) + jnp.diag(noise))  # of S = H P H' + R
        weight = cho_solve((root, True), rows)  # S^-1 H
        kept = complement(covariance @ weight.T @ rows)  # I - K H
        information = transition.T @ (rows.T @ weight) @ transition
        return kept @ transition, symmetrise(kept @ covariance), symmetrise(information)

    across, added, information = jax.vmap(element)(before, channels)
    # The first bin starts from the prior, not from a state before it.
    across = across.at[0].set(jnp.zeros_like(transition))
    return lax.associative_scan(_combine, (across, added, information))[1]


def linear_recurrence(
    transition: Float[Array, "T n n"], inputs: Float[Array, "trial T n"], *, reverse: bool = False
) -> Float[Array, "trial T n"]:
    """``x[t] = A[t] x[t-1] + u[t]`` from ``x[-1] = 0``, for trials that share the transitions.

    Parameters
    ----------
    transition, inputs
        A and u of every bin.
    reverse
        Run backwards in time: ``x[t] = A[t] x[t+1] + u[t]`` from ``x[T] = 0``.

    Examples
    --------
    >>> linear_recurrence(jnp.full((3, 1, 1), 0.5), jnp.ones((1, 3, 1))).ravel().tolist()
    [1.0, 1.5, 1.75]
    """

    def combine(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
        return later[0] @ earlier[0], earlier[1] @ jnp.swapaxes(later[0], -1, -2) + later[1]

    # Trials stand side by side as rows, so that a bin's transition multiplies all of them at once.
    rows = jnp.swapaxes(inputs, 0, 1)
    _, states = lax.associative_scan(combine, (transition, rows), reverse=reverse)
    return jnp.swapaxes(states, 0, 1)


def linear_recurrence_of_trials(
    transition: Float[Array, "*trial T n n"], inputs: Float[Array, "trial T n"], *, reverse: bool = False
) -> Float[Array, "trial T n"]:
    """:func:`linear_recurrence` of trials that share the transitions (T, n, n) or have their own (trial, T, n, n).

    Examples
    --------
    >>> linear_recurrence_of_trials(jnp.full((2, 3, 1, 1), 0.5), jnp.ones((2, 3, 1))).shape
    (2, 3, 1)
    """
    if transition.ndim == 3:
        return linear_recurrence(transition, inputs, reverse=reverse)
    return jax.vmap(lambda a, u: linear_recurrence(a, u[None], reverse=reverse)[0])(transition, inputs)


def backward_information(closed_loop: Float[Array, "T n n"], gained: Float[Array, "T n n"]) -> Float[Array, "T n n"]:
    """``Z[t] = G[t] + L[t]' Z[t+1] L[t]`` from ``Z[T] = 0``.

    Parameters
    ----------
    closed_loop, gained
        L, from the prediction of a bin to that of the next, and G, what the bin itself says.

    Examples
    --------
    >>> backward_information(jnp.full((3, 1, 1), 0.5), jnp.ones((3, 1, 1))).ravel().tolist()
    [1.3125, 1.25, 1.0]
    """

    def combine(later: tuple[Array, Array], earlier: tuple[Array, Array]) -> tuple[Array, Array]:
        carried_back = congruence(jnp.swapaxes(earlier[0], -1, -2), later[1])
        return later[0] @ earlier[0], symmetrise(earlier[1] + carried_back)

    return lax.associative_scan(combine, (closed_loop, gained), reverse=True)[1]


def _combine(earlier: tuple[Array, Array, Array], later: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Two stretches of bins, one after the other, as one: fact 1 above."""
    across_i, added_i, information_i = earlier
    across_j, added_j, information_j = later
    eye = jnp.eye(added_i.shape[-1], dtype=added_i.dtype)
    # One solve gives D A_i and D C_i.
    both = jnp.linalg.solve(eye + added_i @ information_j, jnp.concatenate([across_i, added_i], axis=-1))
    d_across, d_added = jnp.split(both, 2, axis=-1)
    added = symmetrise(congruence(across_j, d_added) + added_j)
    information = symmetrise(jnp.swapaxes(across_i, -1, -2) @ information_j @ d_across + information_i)
    return across_j @ d_across, added, information
