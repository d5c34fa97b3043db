r"""The smoother: from the last bin backwards, what later bins say about each state.

The bins from t on carry, about the state predicted for bin t, a score s (gradient of their log-likelihood at
``x[t|t-1]``) and an information matrix Z (:class:`~neurodyn.kernels.kalman.FutureEvidence`). With M = I - K H,
v the innovation and J, h what a bin says (:mod:`neurodyn.kernels.kalman.observations`), both run backwards,

    s[t] = M' (H' R^-1 v[t] + F' s[t+1])
    Z[t] = J M + (F M)' Z[t+1] (F M)

and give the smoothed state without the inverse of a predicted covariance:

    x[t|T] = x[t|t] + P[t|t] F' s[t+1]
    P[t|T] = P[t|t] - P[t|t] F' Z[t+1] F P[t|t]

These are the estimates of Rauch, Tung and Striebel at a fraction of the cost.

References: Bryson & Frazier (1963); de Jong (1988), Biometrika 75(3); Rauch, Tung & Striebel (1965), AIAA Journal 3(8).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from neurodyn.kernels.kalman import parallel as in_parallel
from neurodyn.kernels.kalman import settled
from neurodyn.kernels.kalman.model import FilterCovariances, Filtered, FutureEvidence, LinearGaussian, Smoothed
from neurodyn.kernels.kalman.observations import (
    gram,
    information_matrix,
    information_vector,
    whitened_emission,
    zero_missing,
)
from neurodyn.kernels.kalman.scan import kept_of_prediction
from neurodyn.kernels.kalman.trials import apply, in_blocks, is_parallel, next_bin, time_first
from neurodyn.kernels.linalg import congruence


@partial(jax.jit, static_argnames="parallel")
def smooth_trials(
    model: LinearGaussian, filtered: Filtered, future: FutureEvidence | None = None, *, parallel: bool | None = None
) -> Smoothed:
    """Smooth what `filter_trials` returned, with shared or separate covariances alike.

    Parameters
    ----------
    model
        The one that was filtered with.
    filtered
        What the filter found.
    future
        ``evidence_at_first`` of the piece after this one; None at the end of a recording.
    parallel
        Recursion of logarithmic depth over time; None: where it is faster, which is not on a CPU.

    Examples
    --------
    A random walk that is not observed at first: the later observation says where it was.

    >>> from neurodyn.kernels.kalman import filter_trials
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> filtered = filter_trials(model, jnp.array([[[0.0], [6.0]]]), jnp.array([[False], [True]]))
    >>> [round(float(x), 3) for x in smooth_trials(model, filtered).mean.ravel()]
    [2.0, 4.0]
    """
    parallel = is_parallel(parallel)
    if future is None:
        first = filtered.covariances.filtered[..., 0, :, :]
        future = FutureEvidence(jnp.zeros_like(filtered.mean[:, 0]), jnp.zeros_like(first))

    def smooth_block(filtered: Filtered, future: FutureEvidence) -> Smoothed:
        covariances = filtered.covariances
        information = smoother_information(model, covariances, future.information, parallel=parallel)
        mean, score = smooth_means(model, filtered, future.score, parallel=parallel)
        of_next_bin = next_bin(information, future.information, axis=information.ndim - 3)
        variance = smoothed_variances(model, covariances.filtered, of_next_bin)
        return Smoothed(mean, variance, of_next_bin, FutureEvidence(score, information[..., 0, :, :]))

    if parallel or filtered.covariances.filtered.ndim == 3:
        return smooth_block(filtered, future)
    return in_blocks(smooth_block, len(model.transition), filtered, future)


def smoother_information(
    model: LinearGaussian,
    covariances: FilterCovariances,
    future: Float[Array, "*trial n n"] | None = None,
    *,
    parallel: bool = False,
) -> Float[Array, "*trial T n n"]:
    """``Z[t] = J M + (F M)' Z[t+1] (F M)``: what the bins from t on say about the state predicted for bin t.

    Parameters
    ----------
    model, covariances
        The model, and the covariances of its filter.
    future
        ``Z[T]``, what bins after the last say; zero if None.
    parallel
        Use the recursion of logarithmic depth; same result to rounding.

    Examples
    --------
    >>> from neurodyn.kernels.kalman import filter_covariances
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> smoother_information(model, filter_covariances(model, jnp.array([[True]]))).ravel().tolist()
    [0.5]
    """
    if not parallel:
        filtered, observed = time_first(covariances.filtered, 3), time_first(covariances.observed, 2)
        last = jnp.zeros_like(filtered[0]) if future is None else future
        information, seen = gram(whitened_emission(model, observed)), jnp.any(observed, axis=-1)
        return time_first(settled.future_information(model.transition, filtered, information, seen, last), 3)
    kept = kept_of_prediction(model, covariances)
    gained, closed_loop = information_matrix(model, covariances.observed) @ kept, model.transition @ kept
    if future is not None:
        last = jnp.swapaxes(closed_loop[..., -1, :, :], -1, -2)
        gained = gained.at[..., -1, :, :].add(congruence(last, future))
    recursion = in_parallel.backward_information
    return recursion(closed_loop, gained) if gained.ndim == 3 else jax.vmap(recursion)(closed_loop, gained)


def smooth_means(
    model: LinearGaussian,
    filtered: Filtered,
    future: Float[Array, "trial n"] | None = None,
    *,
    parallel: bool = False,
) -> tuple[Float[Array, "trial T n"], Float[Array, "trial n"]]:
    """Smoothed means ``x[t|T] = x[t|t] + P[t|t] F' s[t+1]``, and the score ``s[0]`` of the first bin.

    Parameters
    ----------
    model, filtered
        The model, and what its filter found.
    future
        ``s[T]``, the score of the bins after the last; zero if None.
    parallel
        Use the recursion of logarithmic depth; same result to rounding.

    Examples
    --------
    >>> from neurodyn.kernels.kalman import filter_trials
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> filtered = filter_trials(model, jnp.array([[[2.0]]]), jnp.array([[True]]))
    >>> mean, score = smooth_means(model, filtered)
    >>> mean.ravel().tolist(), score.ravel().tolist()
    ([1.0], [1.0])
    """
    gained = information_vector(model, filtered.innovation)
    last = jnp.zeros_like(gained[:, 0]) if future is None else future
    if not parallel:
        correction, first = _scores_bin_by_bin(model, filtered.covariances, gained, last)
        return filtered.mean + correction, first
    kept = jnp.swapaxes(kept_of_prediction(model, filtered.covariances), -1, -2)
    closed_loop, inputs = kept @ model.transition.T, apply(kept, gained)
    inputs = inputs.at[:, -1].add(apply(closed_loop[..., -1, :, :], last))
    score = in_parallel.linear_recurrence_of_trials(closed_loop, inputs, reverse=True)
    correction = apply(filtered.covariances.filtered, next_bin(score, last, axis=1) @ model.transition)
    return filtered.mean + correction, score[:, 0]


def _scores_bin_by_bin(
    model: LinearGaussian, covariances: FilterCovariances, gained: Array, last: Array
) -> tuple[Array, Array]:
    """The corrections ``P[t|t] F' s[t+1]`` of every bin, and the score of the first."""

    def step(future: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        filtered, gained, observed = inputs
        carried_back = future @ model.transition  # F' s[t+1]
        score = gained + carried_back
        # M' s = s - H' R^-1 H P[t|t] s, channel by channel: a missing one takes nothing away.
        explained = zero_missing(apply(filtered, score) @ model.emission.T, observed)
        return score - information_vector(model, explained), apply(filtered, carried_back)

    inputs = time_first(covariances.filtered, 3), time_first(gained, 2), time_first(covariances.observed, 2)
    first, corrections = lax.scan(step, last, inputs, reverse=True)
    return time_first(corrections, 2), first


def smoothed_covariances(
    model: LinearGaussian, filtered: Float[Array, "*trial T n n"], information: Float[Array, "*trial T n n"]
) -> Float[Array, "*trial T n n"]:
    """``P[t|T] = P[t|t] - P[t|t] F' Z[t+1] F P[t|t]`` of every bin.

    Parameters
    ----------
    model
        The one that was filtered with.
    filtered
        ``P[t|t]``.
    information
        ``Z[t+1]``, which is ``Smoothed.information``.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> smoothed_covariances(model, eye[None], 0.25 * eye[None]).ravel().tolist()
    [0.75]
    """
    return settled.smoothed_covariances(model.transition, filtered, information)


def smoothed_variances(
    model: LinearGaussian, filtered: Float[Array, "*trial T n n"], information: Float[Array, "*trial T n n"]
) -> Float[Array, "*trial T n"]:
    """The diagonal of :func:`smoothed_covariances`, without the rest.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> smoothed_variances(model, eye[None], 0.25 * eye[None]).ravel().tolist()
    [0.75]
    """
    predicted = model.transition @ filtered
    before = jnp.diagonal(filtered, axis1=-2, axis2=-1)
    difference = before - jnp.sum((information @ predicted) * predicted, axis=-2)
    # Rounding of a difference: a variance that shrinks by more than float32 resolves is kept at what it resolves.
    return jnp.maximum(difference, jnp.finfo(before.dtype).eps * before)
