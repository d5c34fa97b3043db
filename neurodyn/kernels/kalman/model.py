r"""The linear Gaussian state-space model, and what filter and smoother return.

With the textbook's letters, for bins ``t = 0 .. T - 1``, n state dimensions and m channels:

.. math::
    x_0 \sim N(\mu_0, P_0), \qquad
    x_{t+1} = F x_t + w_t,\; w_t \sim N(0, Q), \qquad
    y_t = H x_t + v_t,\; v_t \sim N(0, R),

with Q and R diagonal. ``x[t|s]`` and ``P[t|s]`` are mean and covariance of ``x_t`` given the observations up to bin s.
"""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float


class LinearGaussian(NamedTuple):
    """Parameters of a linear Gaussian state-space model with diagonal noise.

    Parameters
    ----------
    transition
        F, (n, n), per bin.
    process_noise
        The diagonal of Q, (n,), variances.
    emission
        H, (m, n).
    observation_noise
        The diagonal of R, (m,), variances.
    initial_mean, initial_covariance
        Mean (n,) and covariance (n, n) of the state in the first bin, before its observation.

    Examples
    --------
    A random walk of variance 1 per bin, observed in noise of variance 1:

    >>> import jax.numpy as jnp
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> LinearGaussian(eye, one, eye, one, 0 * one, eye).emission.shape
    (1, 1)
    """

    transition: Float[Array, "n n"]
    process_noise: Float[Array, " n"]
    emission: Float[Array, "m n"]
    observation_noise: Float[Array, " m"]
    initial_mean: Float[Array, " n"]
    initial_covariance: Float[Array, "n n"]


class Belief(NamedTuple):
    """A Gaussian distribution of the state: its mean and covariance, of one bin or of many.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.kernels.kalman import predict
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> predict(model, Belief(jnp.array([2.0]), eye)).covariance.tolist()  # a bin later it is less certain
    [[2.0]]
    """

    mean: Float[Array, "*bins n"]
    covariance: Float[Array, "*mask n n"]


class FilterCovariances(NamedTuple):
    """The half of the filter that depends on no data, for one mask of T bins, or for one mask per trial.

    Parameters
    ----------
    predicted, filtered
        ``P[t|t-1]`` and ``P[t|t]``, ([trial,] T, n, n).
    observed
        ([trial,] T, m), or ([trial,] T, 1) where a bin is observed whole or not at all.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.kernels.kalman import filter_covariances
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> found = filter_covariances(model, jnp.array([[True], [False]]))
    >>> [[round(float(bin), 3) for bin in covariance.ravel()] for covariance in (found.predicted, found.filtered)]
    [[1.0, 1.5], [0.5, 1.5]]
    """

    predicted: Float[Array, "*trial T n n"]
    filtered: Float[Array, "*trial T n n"]
    observed: Bool[Array, "*trial T #m"]


class Filtered(NamedTuple):
    """What the filter finds for a batch of trials.

    Parameters
    ----------
    mean
        ``x[t|t]``, (trial, T, n).
    innovation
        ``y_t - H x[t|t-1]``, (trial, T, m), zero where missing.
    covariances
        Shared by the trials if they have one mask, with a trial axis if they have one each.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.kernels.kalman import filter_trials
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> found = filter_trials(model, jnp.array([[[2.0], [jnp.nan]]]), jnp.array([[True], [False]]))
    >>> [round(float(mean), 3) for mean in found.mean.ravel()], found.innovation.shape
    ([1.0, 1.0], (1, 2, 1))
    """

    mean: Float[Array, "trial T n"]
    innovation: Float[Array, "trial T m"]
    covariances: FilterCovariances


class FutureEvidence(NamedTuple):
    """Information that observations from bin t onward carry about the state predicted for bin t.

    They are the gradient and the negative curvature of the log-likelihood of those observations, given the ones before,
    as a function of the predicted mean ``x[t|t-1]``. After the last bin both are zero.

    Parameters
    ----------
    score
        (trial, n).
    information
        ([trial,] n, n): it depends on the mask alone.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.kernels.kalman import filter_trials, smooth_trials
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> found = smooth_trials(model, filter_trials(model, jnp.array([[[2.0]]]), jnp.array([[True]])))
    >>> [round(float(part.ravel()[0]), 3) for part in found.evidence_at_first]
    [1.0, 0.5]
    """

    score: Float[Array, "trial n"]
    information: Float[Array, "*trial n n"]


class Smoothed(NamedTuple):
    """What the smoother finds for a batch of trials.

    Parameters
    ----------
    mean
        ``x[t|T-1]``, (trial, T, n).
    variance
        The diagonal of ``P[t|T-1]``, ([trial,] T, n).
    information
        What the bins from t + 1 on say about the state of bin t + 1, ([trial,] T, n, n): `smoothed_covariances` makes
        whole covariances of it.
    evidence_at_first
        What all bins together say about the state predicted for the first: where a recording is smoothed in pieces,
        the piece before this one starts from it.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.kernels.kalman import filter_trials, smooth_trials
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, eye, one, 0 * one, eye)
    >>> found = smooth_trials(model, filter_trials(model, jnp.array([[[0.0], [6.0]]]), jnp.array([[False], [True]])))
    >>> [round(float(mean), 3) for mean in found.mean.ravel()], found.variance.shape
    ([2.0, 4.0], (2, 1))
    """

    mean: Float[Array, "trial T n"]
    variance: Float[Array, "*trial T n"]
    information: Float[Array, "*trial T n n"]
    evidence_at_first: FutureEvidence
