"""The Kalman filter over whole recordings: covariances once per mask, means of all trials beside one another.

The filter is a scan of the two functions that make up the update of one bin (:mod:`neurodyn.kernels.kalman.step`).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.kalman import covariance_derivative
from neurodyn.kernels.kalman import parallel as in_parallel
from neurodyn.kernels.kalman.model import Belief, FilterCovariances, Filtered, LinearGaussian
from neurodyn.kernels.kalman.observations import (
    gram,
    information_factor,
    information_matrix,
    information_vector,
    whitened_emission,
    zero_missing,
)
from neurodyn.kernels.kalman.step import initial_belief, predict, predict_covariance, update_mean
from neurodyn.kernels.kalman.trials import apply, in_blocks, is_parallel, time_first
from neurodyn.kernels.linalg import complement, symmetrise


@partial(jax.jit, static_argnames="parallel")
def filter_trials(
    model: LinearGaussian,
    observations: Float[Array, "trial T m"],
    observed: Bool[Array, "T #m"] | Bool[Array, "trial T #m"],
    start: Belief | None = None,
    *,
    parallel: bool | None = None,
) -> Filtered:
    """Filter a batch of trials that share one mask or have one each.

    Parameters
    ----------
    model
        Model of n state dimensions and m channels.
    observations
        (trial, T, m); values that are missing are never read and may be NaN.
    observed
        (T, m), or (trial, T, m) where trials differ, which costs one recursion of covariances per trial; (T, 1) or
        (trial, T, 1) where a bin is observed whole or not at all, which is faster. True where observed.
    start
        The prediction for the first bin, by :func:`after` from the piece before; the model's initial belief if None.
        Its mean is per trial; its covariance has a trial axis if the masks have one.
    parallel
        Recursion of logarithmic depth over time; None: where it is faster, which is not on a CPU.

    Examples
    --------
    Two bins of a random walk, the second missing: the mean stays, the variance grows by that of a step.

    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> found = filter_trials(model, jnp.array([[[2.0], [jnp.nan]]]), jnp.array([[True], [False]]))
    >>> found.mean.ravel().tolist(), found.covariances.filtered.ravel().tolist()
    ([1.0, 1.0], [0.5, 1.5])
    """
    parallel = is_parallel(parallel)
    start = start or initial_belief(model)

    def filter_block(values: Array, observed: Array, mean: Array, covariance: Array) -> Filtered:
        covariances = filter_covariances(model, observed, covariance, parallel=parallel)
        return filter_means(model, covariances, values, mean, parallel=parallel)

    if parallel or observed.ndim == 2:
        return filter_block(observations, observed, start.mean, start.covariance)
    trials, n = len(observations), len(model.transition)
    mean = jnp.broadcast_to(start.mean, (trials, n))
    covariance = jnp.broadcast_to(start.covariance, (trials, n, n))
    return in_blocks(filter_block, n, observations, observed, mean, covariance)


def after(model: LinearGaussian, filtered: Filtered) -> Belief:
    """The prediction for the bin after the last: where the filter of the next piece of a recording starts.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> found = filter_trials(model, jnp.array([[[2.0]]]), jnp.array([[True]]))
    >>> float(after(model, found).covariance[0, 0])
    1.5
    """
    return predict(model, Belief(filtered.mean[:, -1], filtered.covariances.filtered[..., -1, :, :]))


def filter_covariances(
    model: LinearGaussian,
    observed: Bool[Array, "T #m"] | Bool[Array, "trial T #m"],
    first: Float[Array, "n n"] | Float[Array, "trial n n"] | None = None,
    *,
    parallel: bool = False,
) -> FilterCovariances:
    """Covariances of the filter for one mask or for several at once, without data.

    Parameters
    ----------
    model
        Model of n state dimensions and m channels.
    observed
        As in :func:`filter_trials`.
    first
        ``P[0|-1]``, the covariance predicted for the first bin; the model's initial one if None.
    parallel
        Use the recursion of logarithmic depth (:mod:`neurodyn.kernels.kalman.parallel`); same result to rounding.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> filter_covariances(model, jnp.array([[True], [False]])).predicted.ravel().tolist()
    [1.0, 1.5]
    """
    masks = observed if observed.ndim == 3 else observed[None]
    first = model.initial_covariance if first is None else first
    first = jnp.broadcast_to(symmetrise(first), (len(masks), *first.shape[-2:]))
    if parallel:
        filtered = jax.vmap(lambda p, o: in_parallel.filtered_covariances(*model[:4], p, o))(first, masks)
    else:
        filtered = _covariances_bin_by_bin(model, jnp.swapaxes(masks, 0, 1), first)
    later = predict_covariance(model.transition, model.process_noise, filtered[:, :-1])
    predicted = jnp.concatenate([first[:, None], later], axis=1)
    if observed.ndim == 2:
        predicted, filtered = predicted[0], filtered[0]
    return FilterCovariances(predicted, filtered, observed)


def _covariances_bin_by_bin(model: LinearGaussian, observed: Array, first: Array) -> Array:
    """``P[t|t]`` (mask x time x n x n) from a mask (time x mask x channel)."""
    rows = whitened_emission(model, observed)
    filtered = covariance_derivative.filtered_covariances(
        model.transition,
        model.process_noise,
        first,
        gram(rows),
        information_factor(rows),
        jnp.any(observed, axis=-1),
    )
    return jnp.swapaxes(filtered, 0, 1)


def filter_means(
    model: LinearGaussian,
    covariances: FilterCovariances,
    observations: Float[Array, "trial T m"],
    first: Float[Array, " n"] | Float[Array, "trial n"] | None = None,
    *,
    parallel: bool = False,
) -> Filtered:
    """Filtered means of trials that share one mask or have one each, given its covariances.

    Parameters
    ----------
    model
        Model of n state dimensions and m channels.
    covariances
        By :func:`filter_covariances`.
    observations
        As in :func:`filter_trials`.
    first
        ``x[0|-1]``, the mean predicted for the first bin; the model's initial one if None.
    parallel
        As in :func:`filter_covariances`. The filter is then the recurrence
        ``x[t|t] = (I - K H) F x[t-1|t-1] + P[t|t] h_t``.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> covariances = filter_covariances(model, jnp.array([[True]]))
    >>> filter_means(model, covariances, jnp.array([[[2.0]], [[4.0]]])).mean.ravel().tolist()
    [1.0, 2.0]
    """
    values = zero_missing(observations, covariances.observed)
    first = jnp.broadcast_to(model.initial_mean if first is None else first, (len(values), len(model.transition)))
    if parallel:
        kept = kept_of_prediction(model, covariances)
        inputs = apply(covariances.filtered, information_vector(model, values))
        inputs = inputs.at[:, 0].add(apply(kept[..., 0, :, :], first))
        mean = in_parallel.linear_recurrence_of_trials(kept @ model.transition, inputs)
    else:
        mean = _means_bin_by_bin(model, covariances, values, first)
    predicted = jnp.concatenate([first[:, None], mean[:, :-1] @ model.transition.T], axis=1)
    innovation = zero_missing(values - predicted @ model.emission.T, covariances.observed)
    return Filtered(mean, innovation, covariances)


def _means_bin_by_bin(model: LinearGaussian, covariances: FilterCovariances, values: Array, first: Array) -> Array:
    """The textbook's recursion of the mean: update, then predict the next bin."""

    def step(predicted: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        mean = update_mean(model, predicted, *inputs)
        return mean @ model.transition.T, mean

    inputs = time_first(covariances.filtered, 3), time_first(values, 2), time_first(covariances.observed, 2)
    return time_first(lax.scan(step, first, inputs)[1], 2)


def kept_of_prediction(model: LinearGaussian, covariances: FilterCovariances) -> Float[Array, "*trial T n n"]:
    """``I - K H = I - P[t|t] J``: what the update of each bin keeps of the prediction.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> kept_of_prediction(model, filter_covariances(model, jnp.array([[True]]))).ravel().tolist()
    [0.5]
    """
    return complement(covariances.filtered @ information_matrix(model, covariances.observed))
