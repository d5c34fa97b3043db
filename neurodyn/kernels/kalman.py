r"""Kalman filtering and smoothing with missing channels, one time step at a time.

The model is linear and Gaussian with diagonal noise, for bins ``t = 0 .. T - 1``:

.. math::
    z_0 \sim N(\mu_0, P_0), \qquad
    z_{t+1} = A z_t + w_t,\; w_t \sim N(0, \mathrm{diag}(q)), \qquad
    y_t = C z_t + r_t,\; r_t \sim N(0, \mathrm{diag}(r)).

Four facts shape this module.

1. Covariances depend on what is observed, never on the values (:func:`filter_covariances`,
   :func:`smoother_information`). They are computed once per distinct mask and shared by every trial that has it; only
   the means (:func:`filter_means`, :func:`smooth_means`) are per trial.
2. All that a bin says about the state are ``J = C' R^-1 C`` and ``h = C' R^-1 y``, of the size of the latent: channels
   cost one matrix product per recording, not a larger system per bin. The gain is ``K = P[t|t] C' R^-1``.
3. Given the covariances, both means are a recursion of thin matrix products, one row per trial; or, where time is to
   be parallel, one linear recurrence ``x_t = F_t x_{t-1} + u_t``.
4. The smoother needs no inverse of a predicted covariance: its backward pass carries what later bins say about a state
   as a score and an information matrix. It gives the Rauch-Tung-Striebel estimates at a fraction of the cost.

A mask is ``time x channel``, or ``time x 1`` where a bin is observed whole or not at all; the second is faster. A
missing channel is exact, not approximate: its noise is infinite, its share of J and h zero.

Reference: Rauch, Tung & Striebel (1965), AIAA Journal 3(8); Bryson & Frazier (1963) and de Jong (1988), Biometrika
75(3), for the backward pass; :mod:`neurodyn.kernels.riccati` for the covariances.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.kernels import parallel as in_parallel
from neurodyn.kernels import riccati
from neurodyn.kernels.linalg import complement, congruence, symmetrise

Tree = TypeVar("Tree")

CACHED = 2**17
"""Numbers of a batch of matrices (512 KiB) that are worked on best at once, where each trial has its own."""

SMALLEST_BLOCK = 4
"""Matrices worked on at once, however large they are."""


class LinearGaussian(NamedTuple):
    """Parameters of a linear Gaussian state-space model with diagonal noise (n latents, m channels)."""

    transition: Float[Array, "n n"]
    process_noise: Float[Array, " n"]  # variances
    emission: Float[Array, "m n"]
    observation_noise: Float[Array, " m"]  # variances
    initial_mean: Float[Array, " n"]
    initial_covariance: Float[Array, "n n"]


class Belief(NamedTuple):
    """A Gaussian over the latent: mean and covariance, of one bin or of many."""

    mean: Float[Array, "*bins n"]
    covariance: Float[Array, "*mask n n"]


class FilterCovariances(NamedTuple):
    """The data-free half of the filter for one mask over T bins, or for one mask per trial."""

    predicted: Float[Array, "*trial T n n"]  # P[t|t-1]
    filtered: Float[Array, "*trial T n n"]  # P[t|t]
    observed: Bool[Array, "*trial T #m"]


class Filtered(NamedTuple):
    """Filtered means of a batch of trials, and the covariances they share or have one set each of."""

    mean: Float[Array, "trial T n"]
    innovation: Float[Array, "trial T m"]
    covariances: FilterCovariances


class Later(NamedTuple):
    """What the bins from one on say about the state predicted for it: nothing after the end of a recording."""

    score: Float[Array, "trial n"]
    information: Float[Array, "*trial n n"]


class Smoothed(NamedTuple):
    """Smoothed means of a batch of trials and their variances; ``information`` is what later bins add to each bin.

    ``onward`` is what all bins together say to the bins before the first: where a recording is smoothed in pieces.
    """

    mean: Float[Array, "trial T n"]
    variance: Float[Array, "*trial T n"]
    information: Float[Array, "*trial T n n"]
    onward: Later


# One time step ------------------------------------------------------------------------------------------------


def predict_covariance(model: LinearGaussian, covariance: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """``A P A' + diag(q)``: the covariance one bin later."""
    return riccati.predict(model.transition, model.process_noise, covariance)


def covariance_step(
    model: LinearGaussian, predicted: Float[Array, "n n"], observed: Bool[Array, " #m"]
) -> tuple[Float[Array, "n n"], Float[Array, "n m"]]:
    """Condition the covariance on what is observed in one bin; free of cost where nothing is.

    Arguments
    ---------
    predicted: latent x latent.
    observed: channel (or one entry for the whole bin); False where missing.

    Returns
    -------
    The filtered covariance P+ and the gain ``K = P+ C' R^-1``, whose columns are zero at missing channels.
    """
    factor = _factor(_scaled_rows(model, observed))
    filtered = lax.cond(jnp.any(observed), lambda: riccati.condition(predicted, factor), lambda: predicted)
    return filtered, filtered @ _projection(model, observed).T


def initial_belief(model: LinearGaussian) -> Belief:
    """The prediction for the first bin, before any observation."""
    return Belief(model.initial_mean, model.initial_covariance)


def predict(model: LinearGaussian, belief: Belief) -> Belief:
    """Move a belief, or a batch of them, one bin ahead."""
    return Belief(belief.mean @ model.transition.T, predict_covariance(model, belief.covariance))


def update(
    model: LinearGaussian, predicted: Belief, observation: Float[Array, " m"], observed: Bool[Array, " #m"]
) -> Belief:
    """Condition a predicted belief on the observed channels of one bin.

    Arguments
    ---------
    observation: channel; the value of a missing channel is never read (it may be NaN).
    observed: channel, or one entry for the whole bin; True where observed.
    """
    covariance, gain = covariance_step(model, predicted.covariance, observed)
    innovation = _zero_missing(observation, observed) - model.emission @ predicted.mean
    return Belief(predicted.mean + gain @ innovation, covariance)


def predict_ahead(model: LinearGaussian, belief: Belief, steps: int) -> Belief:
    """Move a belief ``steps`` bins ahead without observations."""
    return lax.fori_loop(0, steps, lambda _, b: predict(model, b), belief)


# What a bin says about its state ------------------------------------------------------------------------------


def _scaled_rows(model: LinearGaussian, observed: Array) -> Array:
    """``R^-1/2 C``, the rows of missing channels zero; with the axes of the mask where channels are missing."""
    rows = model.emission / jnp.sqrt(model.observation_noise)[:, None]
    return rows if observed.shape[-1] == 1 else _zero_missing(rows, observed[..., None])


def _gram(rows: Array) -> Array:
    """``E' E`` of rows E."""
    return jnp.swapaxes(rows, -1, -2) @ rows


def _factor(rows: Array) -> Array:
    """A factor E of ``J = E' E`` with no more rows than latents: orthogonal mixtures of the channels if there are more.

    Its derivative is never needed: that of J is (see :mod:`neurodyn.kernels.riccati`).
    """
    rows = lax.stop_gradient(rows)
    return rows if rows.shape[-2] <= rows.shape[-1] else jnp.linalg.qr(rows, mode="r")


def _information(model: LinearGaussian, observed: Array) -> Array:
    """``J = C' R^-1 C`` of the channels seen, latent x latent after the axes of the mask."""
    information = _gram(_scaled_rows(model, observed))
    return information if observed.shape[-1] != 1 else _zero_missing(information, observed[..., None])


def _projection(model: LinearGaussian, observed: Array) -> Array:
    """``R^-1 C``, the rows of missing channels zero, after the axes of the mask."""
    return _zero_missing(model.emission / model.observation_noise[:, None], observed[..., None])


def _collected(model: LinearGaussian, values: Array) -> Array:
    """``h = C' R^-1 y`` of values that are zero where missing."""
    return (values / model.observation_noise) @ model.emission


# Whole recordings ---------------------------------------------------------------------------------------------


def filter_covariances(
    model: LinearGaussian,
    observed: Bool[Array, "T #m"] | Bool[Array, "trial T #m"],
    first: Float[Array, "n n"] | Float[Array, "trial n n"] | None = None,
    *,
    parallel: bool = False,
) -> FilterCovariances:
    """Covariances of the filter for one mask or for several at once: the step above, without data.

    Arguments
    ---------
    observed: time x channel, or time x 1 for whole bins; True where observed.
    first: covariance predicted for the first bin; the model's initial one if None.
    parallel: use the recursion of logarithmic depth (:mod:`neurodyn.kernels.parallel`); same result to rounding.
    """
    masks = observed if observed.ndim == 3 else observed[None]
    first = model.initial_covariance if first is None else first
    first = jnp.broadcast_to(symmetrise(first), (len(masks), *first.shape[-2:]))
    if parallel:
        filtered = jax.vmap(lambda p, o: in_parallel.filtered_covariances(*model[:4], p, o))(first, masks)
    else:
        in_time = jnp.swapaxes(masks, 0, 1)
        rows = _scaled_rows(model, in_time)
        filtered = riccati.filtered_covariances(
            model.transition, model.process_noise, first, _gram(rows), _factor(rows), jnp.any(in_time, axis=-1)
        )
        filtered = jnp.swapaxes(filtered, 0, 1)
    predicted = jnp.concatenate([first[:, None], predict_covariance(model, filtered[:, :-1])], axis=1)
    if observed.ndim == 2:
        predicted, filtered = predicted[0], filtered[0]
    return FilterCovariances(predicted, filtered, observed)


def gains(model: LinearGaussian, covariances: FilterCovariances) -> Float[Array, "*trial T n m"]:
    """``K = P[t|t] C' R^-1`` of every bin; columns of missing channels are zero."""
    return covariances.filtered @ jnp.swapaxes(_projection(model, covariances.observed), -1, -2)


def filter_means(
    model: LinearGaussian,
    covariances: FilterCovariances,
    observations: Float[Array, "trial T m"],
    first: Float[Array, " n"] | Float[Array, "trial n"] | None = None,
    *,
    parallel: bool = False,
) -> Filtered:
    """Filtered means of trials that share one mask or have one each: ``x[t|t] = x[t|t-1] + P[t|t] (h - J x[t|t-1])``.

    Arguments
    ---------
    first: mean predicted for the first bin; the model's initial one if None.
    """
    values = _zero_missing(observations, covariances.observed)
    first = jnp.broadcast_to(model.initial_mean if first is None else first, (len(values), len(model.transition)))
    if parallel:
        keep = _keep(model, covariances)
        drive = _apply(covariances.filtered, _collected(model, values))
        drive = drive.at[:, 0].add(_apply(keep[..., 0, :, :], first))
        mean = _linear_recurrence(keep @ model.transition, drive)
    else:
        mean = _means_step_by_step(model, covariances, values, first)
    before = jnp.concatenate([first[:, None], mean[:, :-1] @ model.transition.T], axis=1)
    return Filtered(mean, _zero_missing(values - before @ model.emission.T, covariances.observed), covariances)


def _means_step_by_step(model: LinearGaussian, covariances: FilterCovariances, values: Array, first: Array) -> Array:
    """The recursion of :func:`filter_means` as it stands."""

    def step(predicted: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        filtered, value, seen = inputs
        innovation = _zero_missing(value - predicted @ model.emission.T, seen)
        mean = predicted + _apply(filtered, _collected(model, innovation))
        return mean @ model.transition.T, mean

    inputs = _time_first(covariances.filtered, 3), _time_first(values, 2), _time_first(covariances.observed, 2)
    return _time_first(lax.scan(step, first, inputs)[1], 2)


def smoother_information(
    model: LinearGaussian,
    covariances: FilterCovariances,
    later: Float[Array, "*trial n n"] | None = None,
    *,
    parallel: bool = False,
) -> Float[Array, "*trial T n n"]:
    """What the bins from t on say about the state predicted for bin t, as an information matrix Z.

    ``Z[t] = J M + (A M)' Z[t+1] (A M)`` with ``M = I - K C``, from ``Z[T] = later``, zero if None.
    """
    if not parallel:
        filtered, observed = _time_first(covariances.filtered, 3), _time_first(covariances.observed, 2)
        later = jnp.zeros_like(filtered[0]) if later is None else later
        information, seen = _gram(_scaled_rows(model, observed)), jnp.any(observed, axis=-1)
        return _time_first(riccati.later_information(model.transition, filtered, information, seen, later), 3)
    keep = _keep(model, covariances)
    gained, closed_loop = _information(model, covariances.observed) @ keep, model.transition @ keep
    if later is not None:
        last = jnp.swapaxes(closed_loop[..., -1, :, :], -1, -2)
        gained = gained.at[..., -1, :, :].add(congruence(last, later))
    recursion = in_parallel.backward_information
    return recursion(closed_loop, gained) if gained.ndim == 3 else jax.vmap(recursion)(closed_loop, gained)


def smooth_means(
    model: LinearGaussian,
    filtered: Filtered,
    later: Float[Array, "trial n"] | None = None,
    *,
    parallel: bool = False,
) -> tuple[Float[Array, "trial T n"], Float[Array, "trial n"]]:
    """Smoothed means ``x[t|T] = x[t|t] + P[t|t] A' s[t+1]``, and the score of the first bin.

    The score of the innovations v from bin t on is ``s[t] = M' (C' R^-1 v + A' s[t+1])``, from ``s[T] = later``, zero
    if None.
    """
    drive = _collected(model, filtered.innovation)
    last = jnp.zeros_like(drive[:, 0]) if later is None else later
    if not parallel:
        correction, first = _scores_step_by_step(model, filtered.covariances, drive, last)
        return filtered.mean + correction, first
    keep = jnp.swapaxes(_keep(model, filtered.covariances), -1, -2)
    closed_loop, drive = keep @ model.transition.T, _apply(keep, drive)
    drive = drive.at[:, -1].add(_apply(closed_loop[..., -1, :, :], last))
    score = _linear_recurrence(closed_loop, drive, reverse=True)
    correction = _apply(filtered.covariances.filtered, _next_bin(score, last, axis=1) @ model.transition)
    return filtered.mean + correction, score[:, 0]


def _scores_step_by_step(
    model: LinearGaussian, covariances: FilterCovariances, drive: Array, last: Array
) -> tuple[Array, Array]:
    """The recursion of :func:`smooth_means` as it stands: its corrections, and the score of the first bin."""

    def step(later: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        filtered, said, seen = inputs
        moved = later @ model.transition
        score = said + moved
        known = _zero_missing(_apply(filtered, score) @ model.emission.T, seen)
        return score - _collected(model, known), _apply(filtered, moved)

    inputs = _time_first(covariances.filtered, 3), _time_first(drive, 2), _time_first(covariances.observed, 2)
    first, corrections = lax.scan(step, last, inputs, reverse=True)
    return _time_first(corrections, 2), first


def smoothed_covariances(
    model: LinearGaussian, filtered: Float[Array, "*trial T n n"], information: Float[Array, "*trial T n n"]
) -> Float[Array, "*trial T n n"]:
    """``P[t|T] = P[t|t] - P[t|t] A' Z[t+1] A P[t|t]`` for every bin, given what later bins add to each."""
    moved = model.transition @ filtered
    return symmetrise(filtered - jnp.swapaxes(moved, -1, -2) @ information @ moved)


def smoothed_variances(
    model: LinearGaussian, filtered: Float[Array, "*trial T n n"], information: Float[Array, "*trial T n n"]
) -> Float[Array, "*trial T n"]:
    """The diagonal of :func:`smoothed_covariances`, without the rest."""
    moved = model.transition @ filtered
    before = jnp.diagonal(filtered, axis1=-2, axis2=-1)
    after = before - jnp.sum((information @ moved) * moved, axis=-2)
    # Rounding of a difference: a variance that shrinks by more than float32 can tell is kept at what it can tell.
    return jnp.maximum(after, jnp.finfo(before.dtype).eps * before)


def _keep(model: LinearGaussian, covariances: FilterCovariances) -> Array:
    """``M = I - K C = I - P[t|t] J``: what an update keeps of the prediction."""
    return complement(covariances.filtered @ _information(model, covariances.observed))


def _apply(matrices: Array, vectors: Array) -> Array:
    """Each trial's vectors (trial x [time x] n) by matrices that trials share or have one each of."""
    if matrices.ndim <= vectors.ndim:
        return jnp.einsum("...ij,b...j->b...i", matrices, vectors)
    return jnp.einsum("b...ij,b...j->b...i", matrices, vectors)


def _next_bin(values: Array, last: Array, axis: int) -> Array:
    """The entry of bin t + 1 at bin t, ``last`` in the last bin."""
    return jnp.concatenate([lax.slice_in_dim(values, 1, None, axis=axis), jnp.expand_dims(last, axis)], axis=axis)


def _linear_recurrence(transition: Array, drive: Array, *, reverse: bool = False) -> Array:
    """``x[t] = F[t] x[t-1] + u[t]`` from ``x[-1] = 0`` (``x[t+1]`` and ``x[T] = 0`` if reversed), in parallel."""
    if transition.ndim == 3:
        return in_parallel.linear_recurrence(transition, drive, reverse=reverse)
    return jax.vmap(lambda f, u: in_parallel.linear_recurrence(f, u[None], reverse=reverse)[0])(transition, drive)


def _time_first(array: Array, without_trials: int) -> Array:
    """Swap time and trials; an array of ``without_trials`` axes, shared by all trials, has time first already."""
    return array if array.ndim == without_trials else jnp.swapaxes(array, 0, 1)


@partial(jax.jit, static_argnames="parallel")
def filter_trials(
    model: LinearGaussian,
    observations: Float[Array, "trial T m"],
    observed: Bool[Array, "T #m"] | Bool[Array, "trial T #m"],
    start: Belief | None = None,
    *,
    parallel: bool | None = None,
) -> Filtered:
    """Filter a batch of trials that share one mask (time x channel) or have one each (trial x time x channel).

    Arguments
    ---------
    start: prediction for the first bin, from :func:`after` the piece before; the model's initial belief if None. Its
        mean is per trial; its covariance has a trial axis if the masks have one.
    parallel: recursion of logarithmic depth over time; None: where it is faster, which is not on a CPU.
    """
    parallel = _in_parallel(parallel)
    start = start or Belief(model.initial_mean, model.initial_covariance)

    def whole(values: Array, seen: Array, mean: Array, covariance: Array) -> Filtered:
        covariances = filter_covariances(model, seen, covariance, parallel=parallel)
        return filter_means(model, covariances, values, mean, parallel=parallel)

    if parallel or observed.ndim == 2:
        return whole(observations, observed, start.mean, start.covariance)
    trials, n = len(observations), len(model.transition)
    mean = jnp.broadcast_to(start.mean, (trials, n))
    covariance = jnp.broadcast_to(start.covariance, (trials, n, n))
    return _in_blocks(whole, n, observations, observed, mean, covariance)


def after(model: LinearGaussian, filtered: Filtered) -> Belief:
    """The prediction for the bin after the last: where the filter of the next piece of a recording starts."""
    return predict(model, Belief(filtered.mean[:, -1], filtered.covariances.filtered[..., -1, :, :]))


@partial(jax.jit, static_argnames="parallel")
def smooth_trials(
    model: LinearGaussian, filtered: Filtered, later: Later | None = None, *, parallel: bool | None = None
) -> Smoothed:
    """Smooth what :func:`filter_trials` returned, with shared or separate covariances alike.

    Arguments
    ---------
    later: ``onward`` of the piece after this one; None at the end of a recording.
    """
    parallel = _in_parallel(parallel)
    if later is None:
        first = filtered.covariances.filtered[..., 0, :, :]
        later = Later(jnp.zeros_like(filtered.mean[:, 0]), jnp.zeros_like(first))

    def whole(filtered: Filtered, later: Later) -> Smoothed:
        covariances = filtered.covariances
        information = smoother_information(model, covariances, later.information, parallel=parallel)
        mean, onward = smooth_means(model, filtered, later.score, parallel=parallel)
        added = _next_bin(information, later.information, axis=information.ndim - 3)
        variance = smoothed_variances(model, covariances.filtered, added)
        return Smoothed(mean, variance, added, Later(onward, information[..., 0, :, :]))

    if parallel or filtered.covariances.filtered.ndim == 3:
        return whole(filtered, later)
    return _in_blocks(whole, len(model.transition), filtered, later)


def _in_blocks(function: Callable[..., Tree], n: int, *arrays: Any) -> Tree:
    """Apply a function of batches of trials to so few at a time that a bin's matrices stay in the processor's cache.

    Trials that fill up the last block have nothing observed.
    """
    trials = len(jax.tree.leaves(arrays)[0])
    size = max(SMALLEST_BLOCK, CACHED // n**2)
    if trials <= size:
        return function(*arrays)
    extra = -trials % size

    def fold(array: Array) -> Array:
        return jnp.pad(array, [(0, extra), *[(0, 0)] * (array.ndim - 1)]).reshape(-1, size, *array.shape[1:])

    results = lax.map(lambda block: function(*block), jax.tree.map(fold, arrays))
    return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:])[:trials], results)


def _in_parallel(choice: bool | None) -> bool:
    """A CPU pays for the extra work of the parallel recursions, an accelerator hides it."""
    return jax.default_backend() != "cpu" if choice is None else choice


def log_likelihood(
    model: LinearGaussian,
    filtered: Filtered,
    observed: Bool[Array, "T #m"] | Bool[Array, "trial T #m"],
) -> Float[Array, " trial"]:
    """Marginal log-likelihood of each trial's observed entries, from the innovations of the filter."""

    def one_bin(covariance: Array, residual: Array, seen: Array) -> Array:
        emission = jnp.where(seen[:, None], model.emission, jnp.zeros_like(model.emission))
        noise = jnp.where(seen, model.observation_noise, jnp.ones_like(model.observation_noise))
        root = jnp.linalg.cholesky(congruence(emission, covariance) + jnp.diag(noise))
        white = jax.scipy.linalg.solve_triangular(root, residual, lower=True)
        count = jnp.sum(jnp.broadcast_to(seen, residual.shape).astype(residual.dtype))
        constant = count * jnp.log(2 * jnp.pi).astype(residual.dtype)
        return -0.5 * (white @ white + constant) - jnp.sum(jnp.log(jnp.diag(root)))

    over_time = jax.vmap(one_bin)
    shared = observed.ndim == 2
    over_trials = jax.vmap(over_time, in_axes=(None, 0, None) if shared else (0, 0, 0))
    return jnp.sum(over_trials(filtered.covariances.predicted, filtered.innovation, observed), axis=1)


def _zero_missing(values: Array, observed: Array) -> Array:
    return jnp.where(observed, values, jnp.zeros_like(values))
