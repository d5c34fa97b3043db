r"""Kalman filtering and smoothing with missing channels, one time step at a time.

The model is linear and Gaussian with diagonal noise, for bins ``t = 0 .. T - 1``:

.. math::
    z_0 \sim N(\mu_0, P_0), \qquad
    z_{t+1} = A z_t + w_t,\; w_t \sim N(0, \mathrm{diag}(q)), \qquad
    y_t = C z_t + r_t,\; r_t \sim N(0, \mathrm{diag}(r)).

Two facts shape this module.

1. Covariances and gains depend on which channels are observed, never on their values
   (:func:`filter_covariances`, :func:`smoother_gains`). They are computed once per distinct mask and shared by
   every trial that has it; only the means (:func:`filter_means`, :func:`smooth_means`) are per trial.
2. Given the gains, both means are one linear recurrence ``x_t = F_t x_{t-1} + u_t``, whose ``u_t`` needs no loop.

A missing channel is exact, not approximate: its row of ``C`` is zeroed and its noise set to one, so that its column
of the gain vanishes and the other channels are weighted as if it did not exist.

Reference: Rauch, Tung & Striebel (1965), AIAA Journal 3(8); Joseph's form of the update after Bucy & Joseph (1968).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.linalg import congruence, solve_positive, symmetrise


class LinearGaussian(NamedTuple):
    """Parameters of a linear Gaussian state-space model with diagonal noise (n latents, m channels)."""

    transition: Float[Array, "n n"]
    process_noise: Float[Array, " n"]  # variances
    emission: Float[Array, "m n"]
    observation_noise: Float[Array, " m"]  # variances
    initial_mean: Float[Array, " n"]
    initial_covariance: Float[Array, "n n"]


class Belief(NamedTuple):
    """A Gaussian over the latent: mean and covariance."""

    mean: Float[Array, " n"]
    covariance: Float[Array, "n n"]


class FilterCovariances(NamedTuple):
    """The data-free half of the filter for one mask over T bins."""

    predicted: Float[Array, "T n n"]  # P[t|t-1]
    filtered: Float[Array, "T n n"]  # P[t|t]
    gain: Float[Array, "T n m"]


class SmootherGains(NamedTuple):
    """The data-free half of the smoother for one mask over T bins."""

    gain: Float[Array, "T n n"]  # G[t] = P[t|t] A' P[t+1|t]^-1, zero in the last bin
    covariance: Float[Array, "T n n"]  # P[t|T]


class Filtered(NamedTuple):
    """Filtered means of a batch of trials and the covariances they share (or one set per trial)."""

    mean: Float[Array, "trial T n"]
    covariances: FilterCovariances


class Smoothed(NamedTuple):
    """Smoothed means of a batch of trials and the covariances they share (or one set per trial)."""

    mean: Float[Array, "trial T n"]
    covariance: Float[Array, "*trial T n n"]


# One time step ------------------------------------------------------------------------------------------------


def predict_covariance(model: LinearGaussian, covariance: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """``A P A' + diag(q)``: the covariance one bin later."""
    return symmetrise(congruence(model.transition, covariance) + jnp.diag(model.process_noise))


def update_covariance(
    model: LinearGaussian, covariance: Float[Array, "n n"], observed: Bool[Array, " m"]
) -> tuple[Float[Array, "n n"], Float[Array, "n m"]]:
    """Condition the covariance on the observed channels of one bin (Joseph's form).

    Arguments
    ---------
    covariance: predicted, latent x latent.
    observed: channel; False where the channel is missing in this bin.

    Returns
    -------
    The filtered covariance and the gain (latent x channel), whose columns are zero at missing channels.
    """
    one = jnp.ones((), covariance.dtype)
    emission = jnp.where(observed[:, None], model.emission, 0 * one)
    noise = jnp.where(observed, model.observation_noise, one)
    cross = emission @ covariance
    gain = solve_positive(cross @ emission.T + jnp.diag(noise), cross).T
    keep = jnp.eye(covariance.shape[0], dtype=covariance.dtype) - gain @ emission
    # Joseph's form is a sum of two positive terms: it stays positive-definite in float32, where P - K C P does not.
    return symmetrise(congruence(keep, covariance) + (gain * noise) @ gain.T), gain


def covariance_step(
    model: LinearGaussian, predicted: Float[Array, "n n"], observed: Bool[Array, " m"]
) -> tuple[Float[Array, "n n"], Float[Array, "n m"]]:
    """Like :func:`update_covariance`, at no cost in a bin where nothing is observed."""

    def nothing_seen() -> tuple[Array, Array]:
        gain = jnp.zeros(model.emission.shape[::-1], predicted.dtype)
        return predicted, gain

    return lax.cond(jnp.any(observed), lambda: update_covariance(model, predicted, observed), nothing_seen)


def initial_belief(model: LinearGaussian) -> Belief:
    """The prediction for the first bin, before any observation."""
    return Belief(model.initial_mean, model.initial_covariance)


def predict(model: LinearGaussian, belief: Belief) -> Belief:
    """Move a belief one bin ahead."""
    return Belief(model.transition @ belief.mean, predict_covariance(model, belief.covariance))


def update(
    model: LinearGaussian, predicted: Belief, observation: Float[Array, " m"], observed: Bool[Array, " m"]
) -> Belief:
    """Condition a predicted belief on the observed channels of one bin.

    Arguments
    ---------
    observation: channel; the value of a missing channel is never read (it may be NaN).
    observed: channel; True where the channel is observed.
    """
    covariance, gain = covariance_step(model, predicted.covariance, observed)
    innovation = _zero_missing(observation, observed) - model.emission @ predicted.mean
    return Belief(predicted.mean + gain @ innovation, covariance)


def predict_ahead(model: LinearGaussian, belief: Belief, steps: int) -> Belief:
    """Move a belief ``steps`` bins ahead without observations."""
    return lax.fori_loop(0, steps, lambda _, b: predict(model, b), belief)


# Whole recordings ---------------------------------------------------------------------------------------------


def filter_covariances(model: LinearGaussian, observed: Bool[Array, "T m"]) -> FilterCovariances:
    """Covariances and gains of the filter for one mask: a scan of the step above, without data.

    Arguments
    ---------
    observed: time x channel; True where the channel is observed in that bin.
    """

    def step(predicted: Array, seen: Array) -> tuple[Array, FilterCovariances]:
        filtered, gain = covariance_step(model, predicted, seen)
        return predict_covariance(model, filtered), FilterCovariances(predicted, filtered, gain)

    return lax.scan(step, model.initial_covariance, observed)[1]


def filter_means(
    model: LinearGaussian,
    gain: Float[Array, "T n m"],
    observations: Float[Array, "trial T m"],
    observed: Bool[Array, "T m"],
) -> Float[Array, "trial T n"]:
    """Filtered means of trials that share one mask.

    ``x[t|t] = (A - K C A) x[t-1|t-1] + K y``: the filter with its gains known is one linear recurrence.
    """
    closed_loop = model.transition - gain @ (model.emission @ model.transition)
    drive = jnp.einsum("tnm,btm->btn", gain, _zero_missing(observations, observed))
    start = model.initial_mean - gain[0] @ (model.emission @ model.initial_mean)
    drive = drive.at[:, 0].add(start)
    return linear_recurrence(closed_loop, drive)


def smoother_gains(model: LinearGaussian, covariances: FilterCovariances) -> SmootherGains:
    """Gains and covariances of the Rauch-Tung-Striebel smoother for one mask.

    With ``G = P[t|t] A' P[t+1|t]^-1`` the recursion ``P[t|T] = G P[t+1|T] G' + L`` is used with ``L`` written as
    ``(I - G A) P[t|t] (I - G A)' + G Q G'``: a sum of positive terms, where the textbook's difference can turn
    indefinite in float32.
    """
    filtered = covariances.filtered[:-1]
    gain = jnp.swapaxes(solve_positive(covariances.predicted[1:], model.transition @ filtered), -1, -2)
    keep = jnp.eye(filtered.shape[-1], dtype=filtered.dtype) - gain @ model.transition
    added = congruence(keep, filtered) + (gain * model.process_noise) @ jnp.swapaxes(gain, -1, -2)

    def step(later: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        here = symmetrise(congruence(inputs[0], later) + inputs[1])
        return here, here

    last = covariances.filtered[-1]
    _, smoothed = lax.scan(step, last, (gain, added), reverse=True)
    return SmootherGains(
        jnp.concatenate([gain, jnp.zeros_like(last)[None]]), jnp.concatenate([smoothed, last[None]])
    )


def smooth_means(
    model: LinearGaussian, gain: Float[Array, "T n n"], filtered: Float[Array, "trial T n"]
) -> Float[Array, "trial T n"]:
    """Smoothed means: ``x[t|T] = G x[t+1|T] + (I - G A) x[t|t]``, the same recurrence run backwards."""
    drive = filtered - jnp.einsum("tij,btj->bti", gain @ model.transition, filtered)
    return linear_recurrence(gain, drive, reverse=True)


def linear_recurrence(
    transition: Float[Array, "T n n"], drive: Float[Array, "trial T n"], *, reverse: bool = False
) -> Float[Array, "trial T n"]:
    """``x[t] = F[t] x[t-1] + u[t]`` from ``x[-1] = 0`` (``x[t+1]`` and ``x[T] = 0`` if reversed)."""

    def step(state: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        state = state @ inputs[0].T + inputs[1]
        return state, state

    zero = jnp.zeros((drive.shape[0], drive.shape[2]), drive.dtype)
    _, states = lax.scan(step, zero, (transition, jnp.swapaxes(drive, 0, 1)), reverse=reverse)
    return jnp.swapaxes(states, 0, 1)


def filter_trials(
    model: LinearGaussian,
    observations: Float[Array, "trial T m"],
    observed: Bool[Array, "T m"] | Bool[Array, "trial T m"],
) -> Filtered:
    """Filter a batch of trials that share one mask (time x channel) or have one each (trial x time x channel)."""
    if observed.ndim == 3:
        return jax.vmap(lambda y, o: _drop_trial(filter_trials(model, y[None], o)))(observations, observed)
    covariances = filter_covariances(model, observed)
    return Filtered(filter_means(model, covariances.gain, observations, observed), covariances)


def smooth_trials(model: LinearGaussian, filtered: Filtered) -> Smoothed:
    """Smooth what :func:`filter_trials` returned, with shared or separate covariances alike."""
    if filtered.covariances.gain.ndim == 4:
        return jax.vmap(lambda mean, c: _drop_trial(smooth_trials(model, Filtered(mean[None], c))))(
            filtered.mean, filtered.covariances
        )
    gains = smoother_gains(model, filtered.covariances)
    return Smoothed(smooth_means(model, gains.gain, filtered.mean), gains.covariance)


def log_likelihood(
    model: LinearGaussian,
    filtered: Filtered,
    observations: Float[Array, "trial T m"],
    observed: Bool[Array, "T m"] | Bool[Array, "trial T m"],
) -> Float[Array, " trial"]:
    """Marginal log-likelihood of each trial's observed entries, from the innovations of the filter."""
    first = jnp.broadcast_to(model.initial_mean, filtered.mean[:, :1].shape)
    predicted = jnp.concatenate([first, filtered.mean[:, :-1] @ model.transition.T], axis=1)
    innovation = _zero_missing(observations - predicted @ model.emission.T, observed)

    def one_bin(covariance: Array, residual: Array, seen: Array) -> Array:
        emission = jnp.where(seen[:, None], model.emission, jnp.zeros_like(model.emission))
        noise = jnp.where(seen, model.observation_noise, jnp.ones_like(model.observation_noise))
        root = jnp.linalg.cholesky(congruence(emission, covariance) + jnp.diag(noise))
        white = jax.scipy.linalg.solve_triangular(root, residual, lower=True)
        count = jnp.sum(seen.astype(residual.dtype))
        return -0.5 * (white @ white + count * jnp.log(2 * jnp.pi).astype(residual.dtype)) - jnp.sum(
            jnp.log(jnp.diag(root))
        )

    over_time = jax.vmap(one_bin)
    shared = observed.ndim == 2
    over_trials = jax.vmap(over_time, in_axes=(None, 0, None) if shared else (0, 0, 0))
    return jnp.sum(over_trials(filtered.covariances.predicted, innovation, observed), axis=1)


def _zero_missing(values: Array, observed: Array) -> Array:
    return jnp.where(observed, values, jnp.zeros_like(values))


def _drop_trial(result):
    """Take the only trial out of the means of a batch of one."""
    return result._replace(mean=result.mean[0])
