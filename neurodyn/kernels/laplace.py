r"""Filter and smoother of a linear state-space model that is seen through Gaussian signals and Poisson counts at once.

.. math::
    x_t = A x_{t-1} + w_t,\; w_t \sim N(0, Q), \qquad
    y_t = C x_t + d + v_t,\; v_t \sim N(0, R), \qquad
    n_t \sim \mathrm{Poisson}(\exp(H x_t + b))

with Q full and R diagonal. Given counts the posterior of a state is not Gaussian; Laplace's approximation puts a
Gaussian at its mode, with the curvature there. Without counts everything is exact, and the filter is Kalman's.

The update of one bin, with the prediction :math:`N(m, P)` and :math:`P = L L'`:

1. Write :math:`x = m + L u`. The log posterior is :math:`\ell(m + L u) - u'u / 2` plus a constant, where :math:`\ell`
   is the log-likelihood of the bin: concave, and as well scaled in u as it can be.
2. With :math:`\lambda = \exp(H x + b)` its gradient is
   :math:`g = L' (C' R^{-1} (y - d - C x) + H' (n - \lambda)) - u`, its negative curvature :math:`B = I + L' J L` with
   :math:`J = C' R^{-1} C + H' \mathrm{diag}(\lambda) H`. Missing channels leave both. The eigenvalues of B are at
   least one, whatever was observed.
3. Newton's step :math:`B^{-1} g` is shortened by :math:`\log(1 + \beta) / \beta`, where :math:`\beta` is the largest
   change that it would make to a log rate: along the step the third derivative is at most :math:`\beta` times the
   second, so that the posterior rises all the way, and close to the mode the steps are Newton's (Sun & Tran-Dinh 2019,
   Mathematical Programming 178, for such functions). It ends when a further step would gain less than `PRECISION`.
4. The posterior is :math:`N(m + L u, L B^{-1} L')`, a square: it stays positive-definite in single precision. The
   log-likelihood of the bin given the past is about :math:`\ell(x) - u'u / 2 - \log |B| / 2`.

References: Hsieh, Wong, Pesaran & Shanechi (2018), Multiscale modeling and decoding algorithms for spike-field
activity, Journal of Neural Engineering 16(1), for the filter. Abbaspourazad, Hsieh & Shanechi (2019), A multiscale
dynamical modeling and identification framework for spike-field activity, IEEE TNSRE 27(6), for the smoother and EM.
Smith & Brown (2003), Estimating a state-space model from point process observations, Neural Computation 15(5), for
counts alone.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.kalman.model import Belief
from neurodyn.kernels.linalg import complement, congruence, inverse_cholesky, symmetrise

PRECISION = 1e-8
"""Newton's steps end when the next would raise the log posterior by less: 1e-4 posterior deviations from the mode."""
MOST_STEPS = 200
"""Newton's steps of a bin; three or four are usual, more are needed only where counts come as a surprise.

Far too high a log rate falls by about one at a step: one that is a hundred too high, which no count rules out, ends in
time."""
JITTER = 10.0
"""Added to a predicted covariance before its Cholesky factorisation: so many rounding errors of its mean variance."""

Numbers = Array | np.ndarray


class LinearMultiscale(NamedTuple):
    """Parameters of a linear state-space model of n states, g Gaussian channels and p channels of counts.

    Parameters
    ----------
    transition, process_noise
        A and Q, (n, n), per bin.
    emission, offset, observation_noise
        C (g, n), d (g,) and the diagonal of R (g,), variances.
    loadings, baseline
        H (p, n) and b (p,): log of the expected counts per bin.
    initial_mean, initial_covariance
        Mean (n,) and covariance (n, n) of the state in the first bin, before its observation.
    """

    transition: Float[Numbers, "n n"]
    process_noise: Float[Numbers, "n n"]
    emission: Float[Numbers, "g n"]
    offset: Float[Numbers, " g"]
    observation_noise: Float[Numbers, " g"]
    loadings: Float[Numbers, "p n"]
    baseline: Float[Numbers, " p"]
    initial_mean: Float[Numbers, " n"]
    initial_covariance: Float[Numbers, "n n"]


class Observations(NamedTuple):
    """Signals and counts with their masks, of one bin of each trial or of whole trials; missing entries are finite.

    Parameters
    ----------
    values, observed
        (trial, [time,] g), and where they are True.
    counts, counted
        (trial, [time,] p), and where they are True.
    """

    values: Float[Numbers, "*bins g"]
    observed: Bool[Numbers, "*bins g"]
    counts: Float[Numbers, "*bins p"]
    counted: Bool[Numbers, "*bins p"]


class Filtered(NamedTuple):
    """What the filter finds: means (trial, time, n), covariances (trial, time, n, n), log-likelihoods (trial, time).

    The log-likelihood of a bin is given the bins before it; with counts it is Laplace's approximation.
    """

    mean: Float[Array, "trial time n"]
    covariance: Float[Array, "trial time n n"]
    log_likelihood: Float[Array, "trial time"]


class Smoothed(NamedTuple):
    """What the smoother finds: means, covariances, and ``lagged``, the covariances of each state with the one before.

    ``lagged[:, t]`` is that of ``x_{t+1}`` (rows) with ``x_t`` (columns), (trial, time - 1, n, n).
    """

    mean: Float[Array, "trial time n"]
    covariance: Float[Array, "trial time n n"]
    lagged: Float[Array, "trial lags n n"]


class _Point(NamedTuple):
    """A point on the way to the mode; all of (trial, ...), in the coordinates u of step 1."""

    place: Array
    root: Array  # inverse of the Cholesky factor of B
    step: Array  # Newton's
    gain: Array  # of the log posterior by that step, if it were quadratic
    log_posterior: Array


@jax.jit
def update(model: LinearMultiscale, predicted: Belief, observations: Observations) -> tuple[Belief, Array]:
    """Condition the predictions for a bin of several trials on what was observed in it.

    Parameters
    ----------
    model
        Model of n states, g Gaussian channels and p channels of counts.
    predicted
        Mean (trial, n) and covariance (trial, n, n).
    observations
        Of the bin.

    Returns
    -------
    Belief given the bin, and (trial,) the log-likelihood of the bin.

    Examples
    --------
    A count of one where one was expected leaves the mean as it is and halves the variance:

    >>> one, eye, none = jnp.ones(1), jnp.eye(1), jnp.zeros((0, 1))
    >>> model = LinearMultiscale(
    ...     transition=eye, process_noise=eye, emission=none, offset=none[:, 0], observation_noise=none[:, 0],
    ...     loadings=eye, baseline=0 * one, initial_mean=0 * one, initial_covariance=eye)
    >>> seen = Observations(none.T, none.T > 0, eye, eye > 0)
    >>> belief, _ = update(model, Belief(0 * eye, eye[None]), seen)
    >>> float(belief.mean[0, 0]), round(float(belief.covariance[0, 0, 0]), 6)
    (0.0, 0.5)
    """
    belief, log_likelihood = _update(model, _row_products(model), predicted, observations)
    return belief, log_likelihood + _constant(model, observations)


@jax.jit
def filter_states(model: LinearMultiscale, observations: Observations) -> Filtered:
    """Filter trials side by side, bin after bin.

    Parameters
    ----------
    model
        Model of n states, g Gaussian channels and p channels of counts.
    observations
        Of whole trials.

    Examples
    --------
    Two bins of a random walk, the second missing: the mean stays, the variance grows by that of a step.

    >>> one, eye, none = jnp.ones(1), jnp.eye(1), jnp.zeros((0, 1))
    >>> model = LinearMultiscale(
    ...     transition=eye, process_noise=eye, emission=eye, offset=0 * one, observation_noise=one,
    ...     loadings=none, baseline=none[:, 0], initial_mean=0 * one, initial_covariance=eye)
    >>> counts = jnp.zeros((1, 2, 0))
    >>> seen = Observations(jnp.array([[[2.0], [0.0]]]), jnp.array([[[True], [False]]]), counts, counts > 0)
    >>> found = filter_states(model, seen)
    >>> found.mean.round(6).ravel().tolist(), found.covariance.round(6).ravel().tolist()
    ([1.0, 1.0], [0.5, 1.5])
    """
    trials, n = len(observations.values), len(model.transition)
    start = Belief(
        jnp.broadcast_to(model.initial_mean, (trials, n)), jnp.broadcast_to(model.initial_covariance, (trials, n, n))
    )

    products = _row_products(model)

    def step(predicted: Belief, bin_: Observations) -> tuple[Belief, tuple[Array, Array, Array]]:
        belief, log_likelihood = _update(model, products, predicted, bin_)
        return predict(model, belief), (belief.mean, belief.covariance, log_likelihood)

    _, found = lax.scan(step, start, jax.tree.map(_swap, observations))
    mean, covariance, log_likelihood = map(_swap, found)
    return Filtered(mean, covariance, log_likelihood + _constant(model, observations))


def predict(model: LinearMultiscale, belief: Belief) -> Belief:
    """Move beliefs one bin ahead: ``A m`` and ``A P A' + Q``.

    Examples
    --------
    >>> one, eye, none = jnp.ones(1), jnp.eye(1), jnp.zeros((0, 1))
    >>> model = LinearMultiscale(
    ...     transition=0.5 * eye, process_noise=eye, emission=eye, offset=0 * one, observation_noise=one,
    ...     loadings=none, baseline=none[:, 0], initial_mean=0 * one, initial_covariance=eye)
    >>> belief = predict(model, Belief(jnp.array([[4.0]]), eye[None]))
    >>> float(belief.mean[0, 0]), float(belief.covariance[0, 0, 0])
    (2.0, 1.25)
    """
    A = jnp.asarray(model.transition)
    return Belief(belief.mean @ A.T, symmetrise(congruence(A, belief.covariance) + model.process_noise))


@jax.jit
def smooth_states(model: LinearMultiscale, filtered: Filtered) -> Smoothed:
    """Rauch, Tung and Striebel's smoother of what the filter found.

    With the gain ``G = P A' (A P A' + Q)^-1`` and ``^`` for smoothed, the covariance is
    ``(I - G A) P (I - G A)' + G (P^[t+1] + Q) G'``: Joseph's form, a sum of squares where textbooks have a difference.

    Parameters
    ----------
    model
        That the trials were filtered with.
    filtered
        By :func:`filter_states`.

    Examples
    --------
    >>> one, eye, none = jnp.ones(1), jnp.eye(1), jnp.zeros((0, 1))
    >>> model = LinearMultiscale(
    ...     transition=eye, process_noise=eye, emission=eye, offset=0 * one, observation_noise=one,
    ...     loadings=none, baseline=none[:, 0], initial_mean=0 * one, initial_covariance=eye)
    >>> counts = jnp.zeros((1, 2, 0))
    >>> seen = Observations(jnp.array([[[0.0], [3.0]]]), jnp.array([[[False], [True]]]), counts, counts > 0)
    >>> smooth_states(model, filter_states(model, seen)).mean.round(6).ravel().tolist()
    [1.0, 2.0]
    """
    A, Q = model.transition, model.process_noise

    def step(after: Belief, bin_: tuple[Array, Array]) -> tuple[Belief, tuple[Array, Array, Array]]:
        belief = Belief(*bin_)
        predicted = predict(model, belief)
        root = inverse_cholesky(_lifted(predicted.covariance))
        gain = (belief.covariance @ A.T @ _transposed(root)) @ root
        mean = belief.mean + _product(gain, after.mean - predicted.mean)
        kept = complement(gain @ A)
        covariance = symmetrise(congruence(kept, belief.covariance) + congruence(gain, after.covariance + Q))
        lagged = after.covariance @ _transposed(gain)
        return Belief(mean, covariance), (mean, covariance, lagged)

    means, covariances = _swap(filtered.mean), _swap(filtered.covariance)
    last = Belief(means[-1], covariances[-1])
    _, found = lax.scan(step, last, (means[:-1], covariances[:-1]), reverse=True)
    mean, covariance = (jnp.concatenate([a, b[None]]) for a, b in zip(found[:2], last, strict=True))
    return Smoothed(_swap(mean), _swap(covariance), _swap(found[2]))


def _row_products(model: LinearMultiscale) -> Array:
    """Outer product of the row of each channel, flat: J is their sum, weighted, one matrix product for all trials."""
    rows = jnp.concatenate([model.emission, model.loadings])
    return (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)


def _update(
    model: LinearMultiscale, products: Array, predicted: Belief, observations: Observations
) -> tuple[Belief, Array]:
    """The update, its log-likelihood without what does not depend on the state."""
    factor = lax.linalg.cholesky(_lifted(predicted.covariance), symmetrize_input=False)  # L
    find = partial(_at, model, products, predicted.mean, factor, observations)

    def is_on_its_way(state: tuple[Array, _Point]) -> Array:
        return (state[0] <= MOST_STEPS) & jnp.any(state[1].gain > PRECISION)

    def shortened_step(state: tuple[Array, _Point]) -> tuple[Array, _Point]:
        number, point = state
        change = jnp.abs(_product(factor, point.step) @ model.loadings.T)
        largest = jnp.max(jnp.where(observations.counted, change, jnp.zeros_like(change)), axis=-1, initial=0)
        tiny = jnp.finfo(largest.dtype).eps
        share = jnp.where(largest > tiny, jnp.log1p(largest) / jnp.maximum(largest, tiny), jnp.ones_like(largest))
        found = find(point.place + share[:, None] * point.step)
        # A trial that has arrived stays, however long others take: what is found of one does not depend on others.
        goes_on = point.gain > PRECISION
        kept = [jnp.where(goes_on.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(found, point, strict=True)]
        return number + 1, _Point(*kept)

    # The first round takes no step: it only looks at the prediction.
    zero = jnp.zeros_like(predicted.mean)
    start = _Point(zero, jnp.zeros_like(factor), step=zero, gain=zero[:, 0] + jnp.inf, log_posterior=zero[:, 0])
    _, mode = lax.while_loop(is_on_its_way, shortened_step, (jnp.zeros((), int), start))
    spread = factor @ _transposed(mode.root)  # its square is L B^-1 L'
    mean = predicted.mean + _product(factor, mode.place)
    half_log_determinant = -jnp.sum(jnp.log(jnp.diagonal(mode.root, axis1=-2, axis2=-1)), axis=-1)
    return Belief(mean, symmetrise(spread @ _transposed(spread))), mode.log_posterior - half_log_determinant


def _at(
    model: LinearMultiscale, products: Array, mean: Array, factor: Array, observations: Observations, place: Array
) -> _Point:
    """Step 2 of the derivation at one u: gradient, curvature and Newton's step."""
    values, observed, counts, counted = observations
    zero, n = jnp.zeros_like(place[:, :1]), place.shape[-1]
    state = mean + _product(factor, place)
    residual = jnp.where(observed, values - model.offset - state @ model.emission.T, zero)
    log_rate = state @ model.loadings.T + model.baseline
    rate = jnp.where(counted, jnp.exp(log_rate), zero)
    counts = jnp.where(counted, counts, zero)
    precision = jnp.where(observed, 1 / model.observation_noise, zero)
    information = (jnp.concatenate([precision, rate], axis=-1) @ products).reshape(-1, n, n)
    score = (residual * precision) @ model.emission + (counts - rate) @ model.loadings
    gradient = _product(_transposed(factor), score) - place
    curvature = jnp.eye(n, dtype=place.dtype) + _transposed(factor) @ information @ factor
    root = inverse_cholesky(symmetrise(curvature))
    white = _product(root, gradient)
    likelihood = jnp.sum(counts * jnp.where(counted, log_rate, zero) - rate, axis=-1)
    likelihood = likelihood - jnp.sum(residual**2 * precision, axis=-1) / 2
    return _Point(
        place, root, step=_product(_transposed(root), white), gain=jnp.sum(white**2, axis=-1) / 2,
        log_posterior=likelihood - jnp.sum(place**2, axis=-1) / 2,
    )  # fmt: skip


def _constant(model: LinearMultiscale, observations: Observations) -> Array:
    """What the log-likelihood of a bin has that does not depend on the state."""
    variance = jnp.log(2 * jnp.pi * model.observation_noise)
    signals = jnp.where(observations.observed, variance, jnp.zeros_like(variance))
    factorials = jnp.where(observations.counted, gammaln(observations.counts + 1), jnp.zeros_like(observations.counts))
    return -jnp.sum(signals, axis=-1) / 2 - jnp.sum(factorials, axis=-1)


def _lifted(covariance: Array) -> Array:
    """A covariance that is positive-definite to rounding."""
    n = covariance.shape[-1]
    share = JITTER * jnp.finfo(covariance.dtype).eps
    variance = jnp.trace(covariance, axis1=-2, axis2=-1) / n
    return covariance + (share * variance)[..., None, None] * jnp.eye(n, dtype=covariance.dtype)


def _product(matrices: Array, vectors: Array) -> Array:
    """Of each trial's matrix with its vector."""
    return (matrices @ vectors[..., None])[..., 0]


def _transposed(matrices: Array) -> Array:
    return jnp.swapaxes(matrices, -1, -2)


def _swap(array: Array) -> Array:
    """Swap trials and time, in which scans run."""
    return jnp.swapaxes(array, 0, 1)
