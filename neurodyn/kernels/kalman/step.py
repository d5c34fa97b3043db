r"""One bin of the Kalman filter, as the textbook has it: predict, then update with what is observed.

Letters: F, Q transition and process noise, H, R emission and observation noise, x and P mean and covariance of the
state, minus and plus for before and after the observation of the bin.

    predict    x- = F x+                    P- = F P+ F' + Q
    update     K  = P- H' S^-1,   S = H P- H' + R
               x+ = x- + K (y - H x-)       P+ = (I - K H) P-

:func:`predict` and :func:`update` are this for one bin. The filter over whole recordings
(:mod:`neurodyn.kernels.kalman.scan`) repeats the functions that they are made of: :func:`predict_covariance` and
:func:`update_covariance`, once per mask, and :func:`update_mean`, for all trials at once.

References: Kalman (1960), Journal of Basic Engineering 82(1). Bucy & Joseph (1968), Filtering for stochastic processes,
for the form of the covariance. Anderson & Moore (1979), Optimal filtering, chapter 6, for the information form.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.kalman.model import Belief, LinearGaussian
from neurodyn.kernels.kalman.observations import information_factor, information_vector, whitened_emission, zero_missing
from neurodyn.kernels.kalman.trials import apply
from neurodyn.kernels.linalg import complement, congruence, inverse_cholesky, symmetrise


def initial_belief(model: LinearGaussian) -> Belief:
    """The prediction for the first bin, before any observation.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> float(initial_belief(LinearGaussian(eye, one, eye, one, 0 * one, eye)).covariance[0, 0])
    1.0
    """
    return Belief(model.initial_mean, model.initial_covariance)


def predict(model: LinearGaussian, filtered: Belief) -> Belief:
    """Move a belief, or a batch of them, one bin ahead.

    Parameters
    ----------
    model
        Model of n state dimensions.
    filtered
        Mean (..., n) and covariance (..., n, n) given everything up to bin t.

    Returns
    -------
    Belief
        Of bin t + 1, given the same.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(0.5 * eye, one, eye, one, 0 * one, eye)
    >>> belief = predict(model, Belief(4 * one, eye))
    >>> float(belief.mean[0]), float(belief.covariance[0, 0])
    (2.0, 1.25)
    """
    F, q = model.transition, model.process_noise
    return Belief(filtered.mean @ F.T, predict_covariance(F, q, filtered.covariance))


def update(
    model: LinearGaussian, predicted: Belief, observation: Float[Array, " m"], observed: Bool[Array, " #m"]
) -> Belief:
    """Condition the prediction for a bin on the channels observed in it; free of cost where there are none.

    Parameters
    ----------
    model
        Model of n state dimensions and m channels.
    predicted
        Mean (n,) and covariance (n, n) before the observation.
    observation
        (m,); the value of a missing channel is never read and may be NaN.
    observed
        (m,), or (1,) for the whole bin; True where observed.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> belief = update(model, initial_belief(model), jnp.array([2.0]), jnp.array([True]))
    >>> float(belief.mean[0]), float(belief.covariance[0, 0])
    (1.0, 0.5)
    """
    factor = information_factor(whitened_emission(model, observed))
    covariance = lax.cond(
        jnp.any(observed), lambda: update_covariance(predicted.covariance, factor), lambda: predicted.covariance
    )
    values = zero_missing(observation, observed)
    mean = update_mean(model, predicted.mean[None], covariance, values[None], observed)
    return Belief(mean[0], covariance)


def predict_covariance(
    F: Float[Array, "n n"], q: Float[Array, " n"], filtered: Float[Array, "*batch n n"]
) -> Float[Array, "*batch n n"]:
    """``P- = F P+ F' + Q``: the covariance one bin later.

    Parameters
    ----------
    F, q
        Transition, and the diagonal of the process noise.
    filtered
        P+, one or many.

    Examples
    --------
    >>> predict_covariance(jnp.array([[0.5]]), jnp.array([1.0]), jnp.array([[4.0]])).tolist()
    [[2.0]]
    """
    return symmetrise(congruence(F, filtered) + jnp.diag(q))


def update_covariance(predicted: Float[Array, "*batch n n"], factor: Float[Array, "..."]) -> Float[Array, "*batch n n"]:
    """``P+ = (P-^-1 + J)^-1``: a covariance given observations that carry the information ``J = E' E``.

    It is the textbook's ``(I - K H) P-`` with E for H and I for R, since ``H' R^-1 H = E' E`` is all that counts, in
    Joseph's form: a sum of two positive terms, which stays positive-definite in single precision where a difference
    does not.

    Parameters
    ----------
    predicted
        P-, one or many.
    factor
        E, row x state (:func:`neurodyn.kernels.kalman.observations.information_factor`), one for all or one each.

    Examples
    --------
    >>> update_covariance(jnp.array([[1.0]]), jnp.array([[1.0]])).tolist()
    [[0.5]]
    """
    cross = predicted @ jnp.swapaxes(factor, -1, -2)  # P- E'
    innovation = factor @ cross  # S - I = E P- E'
    # L^-1 of S = L L'. The eigenvalues of S are at least one, whatever the scales of states and channels.
    root = inverse_cholesky(jnp.eye(innovation.shape[-1], dtype=innovation.dtype) + innovation)
    gain = (cross @ jnp.swapaxes(root, -1, -2)) @ root  # K = P- E' S^-1, and S^-1 = L^-T L^-1
    kept = complement(gain @ factor)  # I - K E
    return symmetrise(congruence(kept, predicted) + gain @ jnp.swapaxes(gain, -1, -2))


def update_mean(
    model: LinearGaussian,
    predicted: Float[Array, "trial n"],
    filtered: Float[Array, "*trial n n"],
    values: Float[Array, "trial m"],
    observed: Bool[Array, "..."],
) -> Float[Array, "trial n"]:
    """``x+ = x- + K (y - H x-)`` of every trial, with the gain as ``K = P+ H' R^-1``.

    That is the textbook's gain: ``P+ H' R^-1 = (I - K H) P- H' R^-1 = K (S - H P- H') R^-1 = K R R^-1 = K``.

    Parameters
    ----------
    model
        Model of n state dimensions and m channels.
    predicted
        x-.
    filtered
        P+, shared by the trials or one each.
    values
        y, zero where missing.
    observed
        Mask of the channels or of the whole bin, shared by the trials or one each.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> update_mean(model, jnp.zeros((1, 1)), 0.5 * eye, jnp.array([[2.0]]), jnp.array([True])).tolist()
    [[1.0]]
    """
    innovation = zero_missing(values - predicted @ model.emission.T, observed)
    return predicted + apply(filtered, information_vector(model, innovation))
