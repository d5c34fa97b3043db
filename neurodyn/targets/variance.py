r"""Variance of a decoded target in every bin, from what makes the bin uncertain; fitted on held-out bins.

What is known of a bin before its error is: what the recurrent network says of its own error, and what was lost lately.
Errors multiply with these, so that the logarithm of the variance is linear in them:

.. math::
    \log v_t = \beta_0 + \beta_1 \log r_t + \sum_j \left( \gamma_j\, m_{jt} + \delta_j \sqrt{m_{jt}} \right)

with the recurrent network's variance :math:`r_t` and the fading memories :math:`m_{jt}` of lost samples
(:mod:`neurodyn.targets.losses`). The roots let the variance rise fast and fall slowly. The coefficients maximise the
normal likelihood of the errors, which is concave in them, under a normal prior. What the held-out bins leave open of
them adds to the variance: a log variance that is known up to :math:`s^2` stands for a mean variance of
:math:`\exp(s^2 / 2)` times its own, :math:`s^2` the mean over the bins.

Slopes of losses may be negative, so that a width may dip within a gap: held to positive ones the mean log score was
0.015 to 0.02 worse on each of the systems that the form was chosen on.

The states' own covariance has no part in it: the loss of the state-space model sees means alone, so that the scale of
the covariance is arbitrary, and what it adds to the memories of lost samples widened the intervals of a macaque's
recording twofold where they were right without it.

Reference: Harvey (1976), Estimating regression models with multiplicative heteroscedasticity, Econometrica 44.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float

PRIOR_SLOPE = 1.0
"""How far a slope is expected to lie from zero, per standard deviation of its feature."""
TINY = 1e-36
"""Least variance whose logarithm is taken: targets may have any unit, and this is still a number in float32."""
LEAST_SQUARE = 1e-6
"""Added to squared errors, relative to their mean: a bin without any error says little."""
MOST_OPEN = 1.0
"""Most that the log variance counts as uncertain: from a few bins alone nothing is known of slopes but their prior."""
ROUNDS = 100
"""Most Newton steps."""


class VarianceSources(NamedTuple):
    """What the variance of the target may depend on.

    Parameters
    ----------
    excess
        (..., dims), what ``diag(W' P W)`` exceeds its usual value by, in squared target units; at least zero. It has a
        part in :class:`LinearVariance` alone, and is None where it was not worked out.
    recurrent_variance
        (..., dims), variance by the recurrent network in squared target units, or None.
    memory
        (..., memories), of lost samples (:func:`neurodyn.targets.loss_memory`).

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import VarianceSources
    >>> sources = VarianceSources(excess=None, recurrent_variance=np.ones((5, 2)), memory=np.zeros((5, 1)))
    >>> sources.logarithmic(2).shape  # its own, a memory and its root
    (5, 3, 2)
    """

    excess: Float[np.ndarray, "*bins dims"] | None
    recurrent_variance: Float[np.ndarray, "*bins dims"] | None
    memory: Float[np.ndarray, "*bins memories"]

    def logarithmic(self, dims: int) -> Float[np.ndarray, "*bins features dims"]:
        """The features of the log variance: logarithm of the recurrent network's, the memories and their roots."""
        shape = (*self.memory.shape[:-1], 1, dims)
        recurrent = self.recurrent_variance
        log_recurrent = np.zeros(shape) if recurrent is None else np.log(np.maximum(recurrent, TINY)).reshape(shape)
        memories = np.concatenate([self.memory, np.sqrt(self.memory)], axis=-1)
        return np.concatenate([log_recurrent, np.broadcast_to(memories[..., None], (*memories.shape, dims))], axis=-2)


@dataclass(frozen=True)
class LinearVariance:
    """Variance that is a constant, and what is added to it: of a single linear map, and of models of format 3.

    Parameters
    ----------
    constant
        (dims,), variance where nothing is lost, in squared target units.
    slopes
        (features, dims), added per unit of the excess, of the recurrent network's variance and of each memory; a
        single linear map has the first alone.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import LinearVariance, VarianceSources
    >>> model = LinearVariance(np.array([2.0]), np.array([[1.0]]))
    >>> model.variance(VarianceSources(np.array([[0.0], [0.5]]), None, np.zeros((2, 0)))).ravel().tolist()
    [2.0, 2.5]
    """

    constant: Float[np.ndarray, " dims"]
    slopes: Float[np.ndarray, "features dims"]
    lost_before: ClassVar[float] = 0.0
    """What the memory of lost samples holds before the first bin."""

    def variance(self, sources: VarianceSources) -> Float[np.ndarray, "*bins dims"]:
        """Variance in every bin."""
        assert sources.excess is not None
        found = self.constant + self.slopes[0] * sources.excess
        if len(self.slopes) == 1:
            return found
        if sources.recurrent_variance is not None:
            found = found + self.slopes[1] * sources.recurrent_variance
        return found + sources.memory @ self.slopes[2:]


@dataclass(frozen=True)
class LogLinearVariance:
    """Variance whose logarithm is linear in its features.

    Parameters
    ----------
    constant
        (dims,), log variance where all features are zero.
    slopes
        (features, dims), of the features in the order of :meth:`VarianceSources.logarithmic`.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import LogLinearVariance, VarianceSources
    >>> model = LogLinearVariance(np.log([2.0]), np.array([[0.0], [1.0], [0.0]]))
    >>> sources = VarianceSources(None, np.ones((2, 1)), np.array([[0.0], [1.0]]))  # nothing is lost, then all is
    >>> model.variance(sources).ravel().round(2).tolist()
    [2.0, 5.44]
    """

    constant: Float[np.ndarray, " dims"]
    slopes: Float[np.ndarray, "features dims"]
    lost_before: ClassVar[float] = 1.0
    """What the memory of lost samples holds before the first bin: a decoder that begins has lost everything so far."""

    def variance(self, sources: VarianceSources) -> Float[np.ndarray, "*bins dims"]:
        """Variance in every bin."""
        return np.exp(self.constant + np.sum(self.slopes * sources.logarithmic(len(self.constant)), axis=-2))


def fit_log_linear_variance(
    squares: Float[np.ndarray, "bins dims"], sources: VarianceSources, independent: Float[np.ndarray, " dims"]
) -> LogLinearVariance:
    """Fit the variance to squared errors.

    The slope of the recurrent network's variance is not negative: where it would be, it is zero.

    Parameters
    ----------
    squares
        Squared errors of held-out bins.
    sources
        What the variance may depend on, in the same bins.
    independent
        (dims,), how many of the bins count as independent (:func:`neurodyn.targets.independent_bins`): the fewer,
        the stronger the prior.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets.variance import VarianceSources, fit_log_linear_variance
    >>> recurrent = np.exp(np.random.default_rng(0).normal(size=(4000, 1)))
    >>> sources = VarianceSources(np.zeros((4000, 1)), recurrent, np.zeros((4000, 1)))
    >>> squares = 2 * recurrent * np.random.default_rng(1).chisquare(1, (4000, 1))
    >>> model = fit_log_linear_variance(squares, sources, np.asarray([4000.0]))
    >>> bool(np.allclose(model.variance(sources), 2 * recurrent, rtol=0.15))
    True
    """
    features = sources.logarithmic(squares.shape[1])
    found = [
        _fit(squares[:, d], features[:, :, d], float(independent[d]) / len(squares)) for d in range(squares.shape[1])
    ]
    constants, slopes = zip(*found, strict=True)
    return LogLinearVariance(np.asarray(constants), np.stack(slopes, axis=1))


def _fit(squares: np.ndarray, features: np.ndarray, weight: float) -> tuple[float, np.ndarray]:
    """Constant and slopes for one dimension; ``weight`` is the evidence of a bin."""
    unit_squared = max(float(squares.mean()), TINY)
    squares = squares / unit_squared + LEAST_SQUARE
    centre, scale = features.mean(axis=0), features.std(axis=0)
    varied = scale > 1e-9 * np.maximum(np.abs(centre), 1)
    unit = np.where(varied, scale, 1.0)
    standard = (features - centre) / unit
    used = np.flatnonzero(varied)
    while True:
        constant, slopes = _most_likely(squares, standard[:, used], weight)
        shrunk = (used == 0) & (slopes < 0)
        if not shrunk.any():
            break
        used = used[~shrunk]
    whole = np.zeros(features.shape[1])
    whole[used] = slopes / unit[used]
    return constant - float(centre @ whole) + float(np.log(unit_squared)), whole


def _most_likely(squares: np.ndarray, inputs: np.ndarray, weight: float) -> tuple[float, np.ndarray]:
    """Newton's method on ``weight / 2 * sum(eta + squares * exp(-eta)) + |slopes|^2 / 2 PRIOR_SLOPE^2``, damped.

    The constant holds what the uncertainty of the coefficients adds.
    """
    design = np.concatenate([np.ones((len(inputs), 1)), inputs], axis=1)
    precision = np.r_[0.0, np.full(inputs.shape[1], 1 / PRIOR_SLOPE**2)]
    found = np.zeros(design.shape[1])
    found[0] = np.log(squares.mean())

    def loss(coefficients: np.ndarray) -> float:
        log_variance = design @ coefficients
        likelihood = np.sum(log_variance + squares * np.exp(-np.clip(log_variance, -80, 80)))
        return 0.5 * weight * likelihood + 0.5 * float(precision @ coefficients**2)

    value = loss(found)
    for _ in range(ROUNDS):
        ratio = squares * np.exp(-np.clip(design @ found, -80, 80))
        gradient = 0.5 * weight * (design.T @ (1 - ratio)) + precision * found
        # Expected curvature where the observed one is small: a bin with a small error would otherwise have none.
        curvature = (design * (0.5 * weight * np.maximum(ratio, 0.1))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curvature + 1e-9 * weight * np.eye(len(found)), gradient)
        size = 1.0
        while loss(found - size * step) > value - 1e-4 * size * float(gradient @ step) and size > 1e-8:
            size /= 2
        found = found - size * step
        before, value = value, loss(found)
        if before - value <= 1e-9 * max(abs(value), 1.0):
            break
    moments = design.T @ design
    covariance = np.linalg.inv(0.5 * weight * moments + np.diag(precision))  # of the coefficients, given the bins
    open_still = float(np.sum(covariance * moments)) / len(design)
    return float(found[0]) + min(open_still, MOST_OPEN) / 2, found[1:]
