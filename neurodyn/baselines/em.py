r"""Expectation-maximisation of a linear state-space model with Gaussian signals and Poisson counts.

Expectation: the posterior of the states (:mod:`neurodyn.kernels.laplace`). Maximisation, with ``<.>`` for expectation
under that posterior, whose means are m and whose covariances are P:

1. :math:`A = \sum \langle x_t x_{t-1}' \rangle (\sum \langle x_{t-1} x_{t-1}' \rangle)^{-1}`, and Q the mean of
   :math:`\langle (x_t - A x_{t-1})(x_t - A x_{t-1})' \rangle`; mean and covariance of the first state likewise.
2. C, d and R of each Gaussian channel: the same regression of the channel on ``(x, 1)``, over the bins in which it was
   observed.
3. Loadings h and baseline b of each channel of counts maximise
   :math:`\sum_t n_t (h' m_t + b) - \exp(h' m_t + b + h' P_t h / 2)`, the expectation of its log-likelihood, by Newton's
   method. With :math:`v_t = (m_t + P_t h, 1)` and :math:`\lambda_t` the exponential, its gradient is
   :math:`\sum n_t (m_t, 1) - \lambda_t v_t` and its curvature :math:`-\sum \lambda_t (v_t v_t' + P_t)`: concave.

The start is principal component analysis: smoothed signals and square roots of counts give states as if they were
known, and a maximisation given these the first parameters.

References: Shumway & Stoffer (1982), An approach to time series smoothing and forecasting using the EM algorithm,
Journal of Time Series Analysis 3(4), for steps 1 and 2. Macke et al. (2011), Empirical models of spiking in neural
populations, NIPS 24, for step 3. Abbaspourazad, Hsieh & Shanechi (2019), IEEE TNSRE 27(6), for both at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from neurodyn.baselines.loadings import CountsGivenStates, fit_loadings, log_means, upper_triangles
from neurodyn.binning.likelihood import LEAST_COUNT
from neurodyn.errors import NumericalError
from neurodyn.threads import one_blas_thread

if TYPE_CHECKING:
    from neurodyn.kernels.laplace import LinearMultiscale, Observations

LEAST_PROCESS = 1e-6
"""Least variance of the state's noise in any direction; states have a variance of about one."""
LEAST_NOISE = 1e-4
"""Least variance of the noise of a Gaussian channel, whose own variance is about one: constant channels reach it."""
NEWTON_STEPS, FIRST_STEPS = 2, 8
"""Newton's steps of the loadings of counts in a maximisation, and in the first one."""
ROUNDING = 1e-9
"""Added to Gram matrices of the states, relative to the number of bins."""


class Posterior(NamedTuple):
    """Of the states: means, covariances, and covariances of each state with the one before it.

    As :class:`neurodyn.kernels.laplace.Smoothed`, in NumPy.
    """

    mean: Float[np.ndarray, "trial time n"]
    covariance: Float[np.ndarray, "trial time n n"]
    lagged: Float[np.ndarray, "trial lags n n"]


class Estimate(NamedTuple):
    """What EM found.

    Parameters
    ----------
    model
        The most likely of the iterations.
    log_likelihood
        Of the data before each iteration, and after the last: exact without counts, Laplace's approximation with them.
    converged
        Whether it had stopped growing, by the tolerance.
    """

    model: "LinearMultiscale"
    log_likelihood: tuple[float, ...]
    converged: bool


def fit_em(
    data: "Observations",
    valid: Bool[np.ndarray, "trial time"],
    latent: int,
    *,
    iterations: int,
    tolerance: float,
    smoothing: Int[np.ndarray, " channels"] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Estimate:
    """Fit a model to trials.

    Parameters
    ----------
    data
        Of the trials: Gaussian channels with a variance of about one, and counts.
    valid
        False in bins that pad a trial at its end.
    latent
        Number of states.
    iterations
        At most so many.
    tolerance
        It ends when the log-likelihood grows by less, in nats per bin.
    smoothing
        Deviation of the Gaussian that each channel is smoothed with for the start, bins: signals first, then counts;
        None: one bin. More would hide fast modes from the start, and EM hardly finds them later.
    progress
        Called after each iteration with its number and the log-likelihood per bin.

    Raises
    ------
    NumericalError
        If the log-likelihood is not finite.

    Examples
    --------
    >>> from neurodyn.kernels.laplace import Observations
    >>> random = np.random.default_rng(0)
    >>> walk = np.cumsum(random.normal(size=(4, 50, 1)), axis=1)
    >>> values, counts = walk + random.normal(size=(4, 50, 3)), np.zeros((4, 50, 0))
    >>> data = Observations(values, values == values, counts, counts > 0)
    >>> found = fit_em(data, np.ones((4, 50), bool), 1, iterations=5, tolerance=0.0)
    >>> found.model.emission.shape, len(found.log_likelihood), found.log_likelihood[-1] > found.log_likelihood[0]
    ((3, 1), 6, True)
    """
    with one_blas_thread():  # the products of a maximisation are small, and alternate with the threads of JAX
        first = first_model(data, valid, latent, smoothing)
        return _iterate(first, data, valid, iterations, tolerance, progress)


def _iterate(
    model: "LinearMultiscale",
    data: "Observations",
    valid: Bool[np.ndarray, "trial time"],
    iterations: int,
    tolerance: float,
    progress: Callable[[int, float], None] | None,
) -> Estimate:
    """EM from a first model on."""
    best, history, bins = model, [], int(valid.sum())
    for number in range(iterations + 1):
        posterior, log_likelihood = expectation(model, data, valid)
        if not np.isfinite(log_likelihood):
            raise NumericalError(
                f"the log-likelihood of the state-space model is {log_likelihood} after {number} iterations of EM: "
                "look for channels with extreme values, or use fewer latent states"
            )
        if log_likelihood > max(history, default=-np.inf):
            best = model
        history.append(log_likelihood)
        if progress is not None:
            progress(number, log_likelihood / bins)
        if number and history[-1] - history[-2] < tolerance * bins:
            # With counts the approximate log-likelihood may fall, which is an end and no convergence.
            return Estimate(best, tuple(history), converged=history[-1] >= history[-2] - tolerance * bins)
        if number < iterations:
            model = maximisation(model, posterior, data, valid)
    return Estimate(best, tuple(history), converged=False)


def expectation(
    model: "LinearMultiscale", data: "Observations", valid: Bool[np.ndarray, "trial time"]
) -> tuple[Posterior, float]:
    """Posterior of the states given whole trials, and the log-likelihood of the data, in double precision."""
    import jax
    import jax.numpy as jnp

    from neurodyn.kernels.laplace import filter_states, smooth_states

    with jax.enable_x64(True):
        parameters = jax.tree.map(jnp.asarray, model)
        filtered = filter_states(parameters, jax.tree.map(jnp.asarray, data))
        smoothed = smooth_states(parameters, filtered)
        log_likelihood = float(np.asarray(filtered.log_likelihood)[valid].sum())
        return Posterior(*map(np.asarray, smoothed)), log_likelihood


def maximisation(
    model: "LinearMultiscale",
    posterior: Posterior,
    data: "Observations",
    valid: Bool[np.ndarray, "trial time"],
    *,
    newton_steps: int = NEWTON_STEPS,
) -> "LinearMultiscale":
    """Parameters that make data and states most likely in expectation; the loadings of counts start from the model's.

    Parameters
    ----------
    model
        The parameters before.
    posterior
        Of the states of all trials.
    data, valid
        As in :func:`fit_em`.
    newton_steps
        Of the loadings of counts.
    """
    from neurodyn.kernels.laplace import LinearMultiscale

    transition, process = _dynamics(posterior, valid)
    first, spread = posterior.mean[:, 0], posterior.covariance[:, 0].mean(axis=0)
    away = first - first.mean(axis=0)
    states, covariances = posterior.mean[valid], posterior.covariance[valid]
    values, observed, counts, counted = (np.asarray(array)[valid] for array in data)
    emission, offset, noise = _emissions(states, covariances, values, observed)
    inputs = np.concatenate([states, np.ones((len(states), 1))], axis=1)
    moments = inputs[:, :, None] * inputs[:, None, :]
    weights = np.concatenate([model.loadings, model.baseline[:, None]], axis=1)
    seen = CountsGivenStates(inputs, upper_triangles(moments), upper_triangles(covariances), counts, counted)
    loadings, baseline = fit_loadings(weights, seen, newton_steps)
    return LinearMultiscale(
        transition=transition, process_noise=process, emission=emission, offset=offset, observation_noise=noise,
        loadings=loadings, baseline=baseline, initial_mean=first.mean(axis=0),
        initial_covariance=_at_least(spread + away.T @ away / len(away), LEAST_PROCESS),
    )  # fmt: skip


def first_model(
    data: "Observations",
    valid: Bool[np.ndarray, "trial time"],
    latent: int,
    smoothing: Int[np.ndarray, " channels"] | None = None,
) -> "LinearMultiscale":
    """Parameters that fit the principal components of the smoothed observations, as if these were the states."""
    from neurodyn.kernels.laplace import LinearMultiscale

    if smoothing is None:
        smoothing = np.ones(data.values.shape[-1] + data.counts.shape[-1], np.int64)
    scores = _principal_scores(data, valid, latent, smoothing)
    known = Posterior(
        scores,
        np.zeros((*scores.shape, latent)),
        np.zeros((len(scores), scores.shape[1] - 1, latent, latent)),
    )
    counts, counted = np.asarray(data.counts)[valid], np.asarray(data.counted)[valid]
    none, nothing = np.zeros((0, latent)), np.zeros((latent, latent))
    silent = LinearMultiscale(
        transition=nothing, process_noise=nothing, emission=none, offset=none[:, 0], observation_noise=none[:, 0],
        loadings=np.zeros((counts.shape[1], latent)), baseline=log_means(counts, counted),
        initial_mean=nothing[0], initial_covariance=nothing,
    )  # fmt: skip
    return maximisation(silent, known, data, valid, newton_steps=FIRST_STEPS)


def _principal_scores(
    data: "Observations", valid: Bool[np.ndarray, "trial time"], latent: int, smoothing: Int[np.ndarray, " channels"]
) -> Float[np.ndarray, "trial time latent"]:
    """First principal components of all channels smoothed in time, each of unit variance.

    Where there are fewer channels than states, the channels as they were some bins before stand beside them.
    """
    roots = np.sqrt(data.counts)
    columns = np.concatenate([data.values, roots], axis=-1)
    seen = np.concatenate([data.observed, data.counted], axis=-1)
    count = np.maximum(seen.sum(axis=(0, 1)), 1)
    columns = np.where(seen, columns - np.where(seen, columns, 0.0).sum(axis=(0, 1)) / count, 0.0)
    columns /= np.maximum(np.sqrt((columns**2).sum(axis=(0, 1)) / count), np.sqrt(LEAST_COUNT))
    # A weighted mean of the samples that were observed; zero, the mean of the channel, far from all of them.
    for width in np.unique(smoothing):
        cut = smoothing == width
        weight, total = (
            scipy.ndimage.gaussian_filter1d(part[..., cut], width, axis=1, mode="constant")
            for part in (seen.astype(np.float64), columns)
        )
        columns[..., cut] = total * valid[..., None] / np.maximum(weight, 0.05)
    copies = [columns]
    for lag in range(1, -(-latent // columns.shape[-1])):
        shift = min(lag * int(smoothing.max()), columns.shape[1] - 1)
        copies.append(np.concatenate([columns[:, :1].repeat(shift, axis=1), columns[:, : -shift or None]], axis=1))
    columns = np.concatenate(copies, axis=-1)
    rows = columns[valid]
    variance, directions = np.linalg.eigh(np.cov(rows.T, bias=True).reshape(rows.shape[1], -1))
    variance, directions = variance[::-1][:latent], directions[:, ::-1][:, :latent]
    return (columns - rows.mean(axis=0)) @ directions / np.sqrt(np.maximum(variance, 1e-6 * variance[0] + 1e-12))


def _dynamics(
    posterior: Posterior, valid: Bool[np.ndarray, "trial time"]
) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n n"]]:
    """A and Q, step 1; where a mode grows, which would run away in a gap, all of A is made smaller until none does."""
    pairs = valid[:, 1:]
    before, after = posterior.mean[:, :-1][pairs], posterior.mean[:, 1:][pairs]
    count, n = max(len(after), 1), before.shape[-1]
    of_before = before.T @ before + posterior.covariance[:, :-1][pairs].sum(axis=0)
    of_after = after.T @ after + posterior.covariance[:, 1:][pairs].sum(axis=0)
    cross = after.T @ before + posterior.lagged[pairs].sum(axis=0)
    transition = np.linalg.solve(of_before + ROUNDING * count * np.eye(n), cross.T).T
    transition /= max(1.0, np.abs(np.linalg.eigvals(transition)).max())
    moved = transition @ cross.T
    process = (of_after - moved - moved.T + transition @ of_before @ transition.T) / count
    return transition, _at_least(process, LEAST_PROCESS)


def _emissions(
    states: Float[np.ndarray, "bins n"],
    covariances: Float[np.ndarray, "bins n n"],
    values: Float[np.ndarray, "bins g"],
    observed: Bool[np.ndarray, "bins g"],
) -> tuple[Float[np.ndarray, "g n"], Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """C, d and the diagonal of R, step 2."""
    bins, n = states.shape
    seen, values = observed.astype(np.float64), np.where(observed, values, 0.0)
    inputs = np.concatenate([states, np.ones((bins, 1))], axis=1)
    moments = inputs[:, :, None] * inputs[:, None, :]
    moments[:, :n, :n] += covariances
    gram = (seen.T @ moments.reshape(bins, -1)).reshape(-1, n + 1, n + 1)
    count = np.maximum(seen.sum(axis=0), 1.0)
    lifted = gram + ROUNDING * count[:, None, None] * np.eye(n + 1)
    weights = np.linalg.solve(lifted, (values.T @ inputs)[..., None])[..., 0]
    residual = np.where(observed, values - inputs @ weights.T, 0.0)
    spread = (seen.T @ covariances.reshape(bins, -1)).reshape(-1, n, n)
    noise = (residual**2).sum(axis=0) + np.einsum("gi,gij,gj->g", weights[:, :n], spread, weights[:, :n])
    return weights[:, :n], weights[:, n], np.maximum(noise / count, LEAST_NOISE)


def _at_least(covariance: Float[np.ndarray, "n n"], least: float) -> Float[np.ndarray, "n n"]:
    """Covariance with at least this variance in every direction."""
    variance, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    if variance[0] >= least:
        return (covariance + covariance.T) / 2
    return (directions * np.maximum(variance, least)) @ directions.T
