r"""Kalman filtering and smoothing with missing channels, one time step at a time.

The model is linear and Gaussian with diagonal noise, for bins ``t = 0 .. T - 1``:

.. math::
    z_0 \sim N(\mu_0, P_0), \qquad
    z_{t+1} = A z_t + w_t,\; w_t \sim N(0, \mathrm{diag}(q)), \qquad
    y_t = C z_t + r_t,\; r_t \sim N(0, \mathrm{diag}(r)).

Three facts shape this module.

1. Covariances and gains depend on what is observed, never on the values (:func:`filter_covariances`,
   :func:`smoother_information`). They are computed once per distinct mask and shared by every trial that has it; only
   the means (:func:`filter_means`, :func:`smooth_means`) are per trial.
2. Given the gains, both means are one linear recurrence ``x_t = F_t x_{t-1} + u_t``, whose ``u_t`` needs no loop.
3. The smoother needs no inverse of a predicted covariance: its backward pass carries what later bins say about a state
   as a score and an information matrix. It gives the Rauch-Tung-Striebel estimates at a fraction of the cost.

A mask is ``time x channel``, or ``time x 1`` where a bin is observed whole or not at all; the second is faster. A
missing channel is exact, not approximate: its row of ``C`` is zeroed and its noise set to one, so that its column of
the gain vanishes and the other channels are weighted as if it did not exist.

Reference: Rauch, Tung & Striebel (1965), AIAA Journal 3(8); Bryson & Frazier (1963) and de Jong (1988), Biometrika
75(3), for the backward pass; Joseph's form of the update after Bucy & Joseph (1968).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.linalg import congruence, symmetrise
from neurodyn.kernels.parallel import backward_information, filtered_covariances
from neurodyn.kernels.parallel import linear_recurrence as parallel_recurrence


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
    """The data-free half of the filter for one mask over T bins."""

    predicted: Float[Array, "*trial T n n"]  # P[t|t-1]
    filtered: Float[Array, "*trial T n n"]  # P[t|t]
    gain: Float[Array, "*trial T n m"]  # K = P[t|t-1] W'
    weight: Float[Array, "*trial T m n"]  # W = S^-1 C, S the covariance of the innovation


class Filtered(NamedTuple):
    """Filtered means of a batch of trials, and the covariances they share or have one set each of."""

    mean: Float[Array, "trial T n"]
    innovation: Float[Array, "trial T m"]
    covariances: FilterCovariances


class Smoothed(NamedTuple):
    """Smoothed means of a batch of trials and their variances; ``information`` is what later bins add."""

    mean: Float[Array, "trial T n"]
    variance: Float[Array, "*trial T n"]
    information: Float[Array, "*trial T n n"]


# One time step ------------------------------------------------------------------------------------------------


def predict_covariance(model: LinearGaussian, covariance: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """``A P A' + diag(q)``: the covariance one bin later."""
    return symmetrise(congruence(model.transition, covariance) + jnp.diag(model.process_noise))


@jax.custom_vjp
def condition(
    covariance: Float[Array, "n n"], emission: Float[Array, "m n"], noise: Float[Array, " m"]
) -> tuple[Float[Array, "n n"], Float[Array, "m n"]]:
    """Condition a covariance on all channels of one bin.

    Returns
    -------
    ``P+ = (I - K C) P (I - K C)' + K R K'`` (Joseph's form: a sum of positive terms, which stays positive-definite in
    float32 where ``P - K C P`` does not) and ``W = S^-1 C`` with ``S = C P C' + R``; the gain is ``K = P W'``.
    """
    return _condition_forward(covariance, emission, noise)[0]


def _condition_forward(covariance, emission, noise):
    cross = emission @ covariance
    root = jnp.linalg.cholesky(cross @ emission.T + jnp.diag(noise))
    weight = cho_solve((root, True), emission)
    gain = covariance @ weight.T
    keep = _complement(gain @ emission)
    updated = symmetrise(congruence(keep, covariance) + (gain * noise) @ gain.T)
    return (updated, weight), (covariance, emission, updated, weight, root)


def _condition_backward(saved, cotangents):
    """Derivatives of :func:`condition` in closed form, about three times cheaper than through the factorisation.

    1. ``P+`` is stationary in the gain, so ``dP+ = M dP M' + K dR K' - K dC P+ - P+ dC' K'`` with ``M = I - K C``.
    2. ``S W = C`` gives ``dW = S^-1 (dC - (dC P C' + C dP C' + C P dC' + dR) W)``.
    3. With X = S^-1 dW's cotangent and ``F = C' X``, collect the terms by argument; ``P C' W = I - M`` shortens them.
    """
    covariance, emission, updated, weight, root = saved
    updated_bar, weight_bar = cotangents
    updated_bar = symmetrise(updated_bar)
    gain = covariance @ weight.T
    keep = _complement(gain @ emission)
    solved = cho_solve((root, True), weight_bar)
    pulled = gain.T @ updated_bar
    spread = emission.T @ solved
    covariance_bar = keep.T @ updated_bar @ keep - symmetrise(spread @ (emission.T @ weight))
    emission_bar = solved @ keep.T - 2 * pulled @ updated - weight @ (covariance @ spread).T
    noise_bar = jnp.sum(pulled * gain.T, axis=1) - jnp.sum(solved * weight, axis=1)
    return covariance_bar, emission_bar, noise_bar


condition.defvjp(_condition_forward, _condition_backward)


def covariance_step(
    model: LinearGaussian, predicted: Float[Array, "n n"], observed: Bool[Array, " #m"]
) -> tuple[Float[Array, "n n"], Float[Array, "m n"]]:
    """Condition the covariance on what is observed in one bin; free of cost where nothing is.

    Arguments
    ---------
    predicted: latent x latent.
    observed: channel (or one entry for the whole bin); False where missing.

    Returns
    -------
    The filtered covariance and the weight ``W`` of :func:`condition`, whose rows are zero at missing channels.
    """
    emission, noise = model.emission, model.observation_noise
    if observed.shape[0] != 1:
        emission = jnp.where(observed[:, None], emission, jnp.zeros_like(emission))
        noise = jnp.where(observed, noise, jnp.ones_like(noise))
    return lax.cond(
        jnp.any(observed),
        lambda: condition(predicted, emission, noise),
        lambda: (predicted, jnp.zeros_like(emission)),
    )


def initial_belief(model: LinearGaussian) -> Belief:
    """The prediction for the first bin, before any observation."""
    return Belief(model.initial_mean, model.initial_covariance)


def predict(model: LinearGaussian, belief: Belief) -> Belief:
    """Move a belief one bin ahead."""
    return Belief(model.transition @ belief.mean, predict_covariance(model, belief.covariance))


def update(
    model: LinearGaussian, predicted: Belief, observation: Float[Array, " m"], observed: Bool[Array, " #m"]
) -> Belief:
    """Condition a predicted belief on the observed channels of one bin.

    Arguments
    ---------
    observation: channel; the value of a missing channel is never read (it may be NaN).
    observed: channel, or one entry for the whole bin; True where observed.
    """
    covariance, weight = covariance_step(model, predicted.covariance, observed)
    innovation = _zero_missing(observation, observed) - model.emission @ predicted.mean
    return Belief(predicted.mean + predicted.covariance @ (weight.T @ innovation), covariance)


def predict_ahead(model: LinearGaussian, belief: Belief, steps: int) -> Belief:
    """Move a belief ``steps`` bins ahead without observations."""
    return lax.fori_loop(0, steps, lambda _, b: predict(model, b), belief)


# Whole recordings ---------------------------------------------------------------------------------------------


def filter_covariances(
    model: LinearGaussian, observed: Bool[Array, "T #m"], *, parallel: bool = False
) -> FilterCovariances:
    """Covariances and gains of the filter for one mask: a scan of the step above, without data.

    Arguments
    ---------
    observed: time x channel, or time x 1 for whole bins; True where observed.
    parallel: use the recursion of logarithmic depth (:mod:`neurodyn.kernels.parallel`); same result to rounding.
    """

    def step(predicted: Array, seen: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        filtered, weight = covariance_step(model, predicted, seen)
        return predict_covariance(model, filtered), (predicted, filtered, weight)

    if parallel:
        filtered = filtered_covariances(*model[:4], model.initial_covariance, observed)
        later = jax.vmap(lambda p: predict_covariance(model, p))(filtered[:-1])
        predicted = jnp.concatenate([model.initial_covariance[None], later])
        filtered, weight = jax.vmap(lambda p, seen: covariance_step(model, p, seen))(predicted, observed)
    else:
        _, (predicted, filtered, weight) = lax.scan(step, model.initial_covariance, observed)
    return FilterCovariances(predicted, filtered, predicted @ jnp.swapaxes(weight, -1, -2), weight)


def filter_means(
    model: LinearGaussian,
    covariances: FilterCovariances,
    observations: Float[Array, "trial T m"],
    observed: Bool[Array, "T #m"],
    *,
    parallel: bool = False,
) -> Filtered:
    """Filtered means of trials that share one mask.

    ``x[t|t] = (I - K C) A x[t-1|t-1] + K y``: the filter with its gains known is one linear recurrence.
    """
    gain, emitted = covariances.gain, model.emission @ model.transition
    values = _zero_missing(observations, observed)
    drive = jnp.einsum("tnm,btm->btn", gain, values)
    drive = drive.at[:, 0].add(model.initial_mean - gain[0] @ (model.emission @ model.initial_mean))
    mean = linear_recurrence(model.transition - gain @ emitted, drive, parallel=parallel)
    first = jnp.broadcast_to(model.emission @ model.initial_mean, values[:, :1].shape)
    expected = jnp.concatenate([first, mean[:, :-1] @ emitted.T], axis=1)
    return Filtered(mean, _zero_missing(values - expected, observed), covariances)


def smoother_information(
    model: LinearGaussian, covariances: FilterCovariances, *, parallel: bool = False
) -> Float[Array, "T n n"]:
    """What the bins from t on say about the state predicted for bin t, as an information matrix Z.

    ``Z[t] = C' W + (A M)' Z[t+1] (A M)`` with ``M = I - K C``, from ``Z[T] = 0``.
    """
    gained = model.emission.T @ covariances.weight
    closed_loop = _closed_loop(model, covariances)
    if parallel:
        return backward_information(closed_loop, gained)

    def step(later: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        here = symmetrise(inputs[1] + inputs[0].T @ later @ inputs[0])
        return here, here

    zero = jnp.zeros_like(model.transition)
    return lax.scan(step, zero, (closed_loop, gained), reverse=True)[1]


def smooth_means(model: LinearGaussian, filtered: Filtered, *, parallel: bool = False) -> Float[Array, "trial T n"]:
    """Smoothed means of trials that share one mask: ``x[t|T] = x[t|t] + P[t|t] A' s[t+1]``.

    The score ``s[t] = W' v + (A M)' s[t+1]`` of the innovations v from bin t on is a recurrence run backwards.
    """
    covariances = filtered.covariances
    drive = jnp.einsum("tmn,btm->btn", covariances.weight, filtered.innovation)
    transposed = jnp.swapaxes(_closed_loop(model, covariances), -1, -2)
    score = _next_bin(linear_recurrence(transposed, drive, reverse=True, parallel=parallel), axis=1)
    return filtered.mean + jnp.einsum("tij,btj->bti", covariances.filtered, score @ model.transition)


def smoothed_covariances(
    model: LinearGaussian, filtered: Float[Array, "*trial T n n"], information: Float[Array, "*trial T n n"]
) -> Float[Array, "*trial T n n"]:
    """``P[t|T] = P[t|t] - P[t|t] A' Z[t+1] A P[t|t]`` for every bin."""
    moved = model.transition @ filtered
    later = _next_bin(information, axis=-3)
    return symmetrise(filtered - jnp.swapaxes(moved, -1, -2) @ later @ moved)


def smoothed_variances(
    model: LinearGaussian, filtered: Float[Array, "*trial T n n"], information: Float[Array, "*trial T n n"]
) -> Float[Array, "*trial T n"]:
    """The diagonal of :func:`smoothed_covariances`, without the rest."""
    moved = model.transition @ filtered
    before = jnp.diagonal(filtered, axis1=-2, axis2=-1)
    after = before - jnp.sum((_next_bin(information, axis=-3) @ moved) * moved, axis=-2)
    # Rounding of a difference: a variance that shrinks by more than float32 can tell is kept at what it can tell.
    return jnp.maximum(after, jnp.finfo(before.dtype).eps * before)


def _closed_loop(model: LinearGaussian, covariances: FilterCovariances) -> Float[Array, "T n n"]:
    """``A (I - K C)``: from one predicted state to the next."""
    return model.transition - (model.transition @ covariances.gain) @ model.emission


def _next_bin(values: Array, axis: int) -> Array:
    """The entry of bin t + 1 at bin t, zero in the last bin."""
    later = lax.slice_in_dim(values, 1, None, axis=axis)
    return jnp.concatenate([later, jnp.zeros_like(lax.slice_in_dim(values, 0, 1, axis=axis))], axis=axis)


def linear_recurrence(
    transition: Float[Array, "T n n"],
    drive: Float[Array, "trial T n"],
    *,
    reverse: bool = False,
    parallel: bool = False,
) -> Float[Array, "trial T n"]:
    """``x[t] = F[t] x[t-1] + u[t]`` from ``x[-1] = 0`` (``x[t+1]`` and ``x[T] = 0`` if reversed)."""
    if parallel:
        return parallel_recurrence(transition, drive, reverse=reverse)

    def step(state: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        state = state @ inputs[0].T + inputs[1]
        return state, state

    zero = jnp.zeros((drive.shape[0], drive.shape[2]), drive.dtype)
    _, states = lax.scan(step, zero, (transition, jnp.swapaxes(drive, 0, 1)), reverse=reverse)
    return jnp.swapaxes(states, 0, 1)


def filter_trials(
    model: LinearGaussian,
    observations: Float[Array, "trial T m"],
    observed: Bool[Array, "T #m"] | Bool[Array, "trial T #m"],
    *,
    parallel: bool | None = None,
) -> Filtered:
    """Filter a batch of trials that share one mask (time x channel) or have one each (trial x time x channel).

    Arguments
    ---------
    parallel: recursion of logarithmic depth over time; None: where it is faster, which is not on a CPU.
    """
    if parallel is None:
        parallel = jax.default_backend() != "cpu"
    if observed.ndim == 3:
        return jax.vmap(lambda y, o: _drop_trial(filter_trials(model, y[None], o, parallel=parallel)))(
            observations, observed
        )
    covariances = filter_covariances(model, observed, parallel=parallel)
    return filter_means(model, covariances, observations, observed, parallel=parallel)


def smooth_trials(model: LinearGaussian, filtered: Filtered, *, parallel: bool | None = None) -> Smoothed:
    """Smooth what :func:`filter_trials` returned, with shared or separate covariances alike."""
    if parallel is None:
        parallel = jax.default_backend() != "cpu"
    if filtered.covariances.gain.ndim == 4:
        add_trial = filtered._replace(mean=filtered.mean[:, None], innovation=filtered.innovation[:, None])
        return jax.vmap(lambda one: _drop_trial(smooth_trials(model, one, parallel=parallel)))(add_trial)
    information = smoother_information(model, filtered.covariances, parallel=parallel)
    variance = smoothed_variances(model, filtered.covariances.filtered, information)
    return Smoothed(smooth_means(model, filtered, parallel=parallel), variance, information)


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


def _complement(matrix: Array) -> Array:
    """``I - matrix``."""
    return jnp.eye(matrix.shape[-1], dtype=matrix.dtype) - matrix


def _drop_trial(result):
    """Take the only trial out of a batch of one; covariances have no trial axis."""
    if isinstance(result, Filtered):
        return result._replace(mean=result.mean[0], innovation=result.innovation[0])
    return result._replace(mean=result.mean[0])
